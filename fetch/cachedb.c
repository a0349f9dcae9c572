/* SPDX-License-Identifier: MIT */
/* Threads: LMDB serialises writers, also of other processes; each reader has a transaction of its
 * own (MDB_NOTLS).  The struct does not change after it was opened.
 */
#include "fetch/cachedb.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fetch/mdbcheck.h"
#include "fetch/segment.h"

#define INDEX_NAME  "index.mdb"
#define LOCK_NAME   INDEX_NAME "-lock"
#define MAX_READERS 1024
#define FULL_BYTES  (64 << 10) /* a disk with less is full */
#define LOCK_SIZE   (68 << 10) /* bytes: room for so many readers */

struct nx_cachedb {
    MDB_env *env;
    MDB_dbi objects; /* digest -> struct nx_place */
    MDB_dbi state;   /* WHOLE, or nothing */
    int dir_fd;      /* the cache's, not owned */
    char *path;      /* for messages */
};

NX_DEFINE_AUTO(MDB_txn *, mdb_txn, mdb_txn_abort)

static const char whole[] = "whole";

static bool is_full(const struct nx_cachedb *db)
{
    struct statvfs fs;
    return fstatvfs(db->dir_fd, &fs) == 0 && fs.f_bavail * fs.f_frsize < FULL_BYTES;
}

static int fail_mdb(struct nx_error *err, const struct nx_cachedb *db, int rc, const char *what)
{
    if (rc > 0) {                                       /* an errno … */
        errno = rc == EIO && is_full(db) ? ENOSPC : rc; /* … but LMDB calls a short write EIO */
        return nx_fail_errno(err, "%s: %s", db->path, what);
    }
    return nx_fail(err, NX_ERR_FORMAT, "%s: %s: %s", db->path, what, mdb_strerror(rc));
}

static bool is_damage(int rc)
{
    return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID || rc == MDB_PANIC ||
           rc == MDB_VERSION_MISMATCH || rc == MDB_BAD_TXN;
}

void nx_cachedb_discard(int dir_fd)
{
    unlinkat(dir_fd, INDEX_NAME, 0);
    unlinkat(dir_fd, LOCK_NAME, 0);
}

/* LMDB writes to its lock file through a map: without room on the disk that is a SIGBUS, so have the room before. */
static int reserve_lock_file(int dir_fd)
{
    NX_AUTO_FD int fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return errno;
    return st.st_blocks * 512 >= LOCK_SIZE ? 0 : posix_fallocate(fd, 0, LOCK_SIZE);
}

static int open_tables(struct nx_cachedb *db)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "objects", MDB_CREATE, &db->objects);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "state", MDB_CREATE, &db->state);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_env(struct nx_cachedb *db)
{
    int rc = reserve_lock_file(db->dir_fd);
    if (rc == 0)
        rc = mdb_env_create(&db->env);
    if (rc != 0)
        return rc;
    mdb_env_set_mapsize(db->env, NX_MDB_MAP_SIZE);
    mdb_env_set_maxdbs(db->env, NX_MDB_TABLES_MAX);
    mdb_env_set_maxreaders(db->env, MAX_READERS);
    rc = mdb_env_open(db->env, db->path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMETASYNC,
                      0600);
    if (rc == 0) {
        int dead;
        mdb_reader_check(db->env, &dead); /* slots of processes that were killed */
        rc = open_tables(db);
    }
    if (rc == 0 && fsync(db->dir_fd) < 0) /* its name, if it is new */
        rc = errno;
    if (rc != 0) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    return rc;
}

int nx_cachedb_open(int dir_fd, const char *dir, struct nx_cachedb **ret_db, bool *ret_damaged,
                    struct nx_error *err)
{
    NX_AUTO_CACHEDB struct nx_cachedb *db = calloc(1, sizeof(*db));
    if (!db || asprintf(&db->path, "%s/" INDEX_NAME, dir) < 0)
        return nx_fail_errno(err, "%s", dir);
    db->dir_fd = dir_fd;
    int rc = nx_mdbcheck(db->path);
    if (rc == 0)
        rc = open_env(db);
    bool damaged = is_damage(rc);
    if (damaged) {
        nx_cachedb_discard(dir_fd);
        rc = open_env(db);
    }
    if (rc != 0)
        return fail_mdb(err, db, rc, "open");
    *ret_damaged = damaged;
    *ret_db = NX_STEAL(db);
    return 0;
}

void nx_cachedb_close(struct nx_cachedb *db)
{
    if (!db)
        return;
    if (db->env)
        mdb_env_close(db->env);
    free(db->path);
    free(db);
}

bool nx_cachedb_is_there(const struct nx_cachedb *db)
{
    mdb_filehandle_t fd;
    struct stat ours, named;
    return mdb_env_get_fd(db->env, &fd) == 0 && fstat(fd, &ours) == 0 &&
           fstatat(db->dir_fd, INDEX_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

int nx_cachedb_sync(struct nx_cachedb *db, struct nx_error *err)
{
    int rc = mdb_env_sync(db->env, 1);
    return rc == 0 ? 0 : fail_mdb(err, db, rc, "sync");
}

static MDB_val val(const void *data, size_t size)
{
    return (MDB_val){ .mv_size = size, .mv_data = (void *)data };
}

/* Copy what a table has under a digest, if it has the right size. */
static bool lookup(struct nx_cachedb *db, MDB_dbi table, const struct nx_digest *digest,
                   void *ret_value, size_t size)
{
    NX_AUTO(mdb_txn) MDB_txn *txn = NULL;
    MDB_val key = val(digest, sizeof(*digest)), value;
    if (mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0) {
        txn = NULL;
        return false;
    }
    if (mdb_get(txn, table, &key, &value) != 0 || value.mv_size != size)
        return false;
    memcpy(ret_value, value.mv_data, size);
    return true;
}

bool nx_cachedb_find(struct nx_cachedb *db, const struct nx_digest *digest,
                     struct nx_place *ret_place)
{
    return lookup(db, db->objects, digest, ret_place, sizeof(*ret_place));
}

/* Run change() in a write transaction. */
static int transact(struct nx_cachedb *db, int (*change)(MDB_txn *, struct nx_cachedb *, void *),
                    void *opaque, const char *what, struct nx_error *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = change(txn, db, opaque);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (is_damage(rc))
        nx_cachedb_discard(db->dir_fd);
    return rc == 0 ? 0 : fail_mdb(err, db, rc, what);
}

struct objects {
    const struct nx_placed *items;
    size_t count;
};

static int do_record(MDB_txn *txn, struct nx_cachedb *db, void *opaque)
{
    const struct objects *objects = opaque;
    int rc = 0;
    for (size_t i = 0; i < objects->count && rc == 0; i++) {
        MDB_val key = val(&objects->items[i].digest, sizeof(struct nx_digest));
        MDB_val value = val(&objects->items[i].place, sizeof(struct nx_place));
        rc = mdb_put(txn, db->objects, &key, &value, 0);
    }
    return rc;
}

int nx_cachedb_record(struct nx_cachedb *db, const struct nx_placed *objects, size_t count,
                      struct nx_error *err)
{
    struct objects arg = { objects, count };
    return transact(db, do_record, &arg, "record", err);
}

static int do_forget(MDB_txn *txn, struct nx_cachedb *db, void *opaque)
{
    const struct objects *objects = opaque;
    for (size_t i = 0; i < objects->count; i++) {
        MDB_val key = val(&objects->items[i].digest, sizeof(struct nx_digest)), value;
        int rc = mdb_get(txn, db->objects, &key, &value);
        if (rc == 0 && value.mv_size == sizeof(struct nx_place) &&
            memcmp(value.mv_data, &objects->items[i].place, value.mv_size) == 0)
            rc = mdb_del(txn, db->objects, &key, NULL);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return rc;
    }
    return 0;
}

int nx_cachedb_forget(struct nx_cachedb *db, const struct nx_placed *objects, size_t count,
                      struct nx_error *err)
{
    struct objects arg = { objects, count };
    return transact(db, do_forget, &arg, "forget", err);
}

static bool is_listed(const struct nx_segment_list *list, uint64_t number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].number == number)
            return true;
    return false;
}

static bool is_kept(const MDB_val *key, const MDB_val *value, const struct nx_segment_list *list)
{
    struct nx_place place;
    if (key->mv_size != sizeof(struct nx_digest) || value->mv_size != sizeof(place))
        return false;
    memcpy(&place, value->mv_data, sizeof(place));
    return is_listed(list, place.segment);
}

/* The segments are listed within the transaction: what another process records has its file by then. */
static int do_tidy(MDB_txn *txn, struct nx_cachedb *db, void *opaque)
{
    NX_AUTO_SEGMENT_LIST struct nx_segment_list list = { 0 };
    MDB_cursor *cursor;
    MDB_val key, value;
    if (nx_segment_list(*(const int *)opaque, &list, NULL) < 0)
        return errno;
    int rc = mdb_cursor_open(txn, db->objects, &cursor);
    if (rc != 0)
        return rc;
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        if (!is_kept(&key, &value, &list))
            rc = mdb_cursor_del(cursor, 0);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int nx_cachedb_tidy(struct nx_cachedb *db, int segments_fd, struct nx_error *err)
{
    return transact(db, do_tidy, &segments_fd, "tidy", err);
}

static int do_set_whole(MDB_txn *txn, struct nx_cachedb *db, void *opaque)
{
    MDB_val key = val(whole, sizeof(whole)), value = val("", 0);
    return mdb_put(txn, db->state, &key, &value, 0);
}

int nx_cachedb_set_whole(struct nx_cachedb *db, struct nx_error *err)
{
    return transact(db, do_set_whole, NULL, "record", err);
}

bool nx_cachedb_is_whole(struct nx_cachedb *db)
{
    NX_AUTO(mdb_txn) MDB_txn *txn = NULL;
    MDB_val key = val(whole, sizeof(whole)), value;
    if (mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0) {
        txn = NULL;
        return false;
    }
    return mdb_get(txn, db->state, &key, &value) == 0;
}

static int count_table(MDB_txn *txn, MDB_dbi table, uint64_t *ret_count)
{
    MDB_stat stat_;
    int rc = mdb_stat(txn, table, &stat_);
    if (rc == 0)
        *ret_count = stat_.ms_entries;
    return rc;
}

int nx_cachedb_count(struct nx_cachedb *db, uint64_t *ret_objects, struct nx_error *err)
{
    NX_AUTO(mdb_txn) MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = count_table(txn, db->objects, ret_objects);
    return rc == 0 ? 0 : fail_mdb(err, db, rc, "count");
}

/* Copy the table's well-formed records into objects, which has room for max. */
static int copy_all(MDB_cursor *cursor, struct nx_placed *objects, size_t max, size_t *ret_count)
{
    MDB_val key, value;
    size_t count = 0;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == 0 && count < max; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        if (key.mv_size != sizeof(struct nx_digest) || value.mv_size != sizeof(struct nx_place))
            continue;
        memcpy(&objects[count].digest, key.mv_data, key.mv_size);
        memcpy(&objects[count].place, value.mv_data, value.mv_size);
        count++;
    }
    *ret_count = count;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int nx_cachedb_all(struct nx_cachedb *db, struct nx_placed **ret_objects, size_t *ret_count,
                   struct nx_error *err)
{
    NX_AUTO(mdb_txn) MDB_txn *txn = NULL;
    MDB_cursor *cursor;
    uint64_t max = 0;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = count_table(txn, db->objects, &max);
    if (rc != 0)
        return fail_mdb(err, db, rc, "list");
    NX_AUTO_FREE struct nx_placed *objects = calloc(max + 1, sizeof(*objects));
    if (!objects)
        return nx_fail_errno(err, "list of the cache's objects");
    rc = mdb_cursor_open(txn, db->objects, &cursor);
    if (rc == 0) {
        rc = copy_all(cursor, objects, max, ret_count);
        mdb_cursor_close(cursor);
    }
    if (rc != 0)
        return fail_mdb(err, db, rc, "list");
    *ret_objects = NX_STEAL(objects);
    return 0;
}
