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

#define INDEX_NAME "index.mdb"
/* Address space, not memory: 4 GiB is room for some 30 million objects.  LMDB cannot grow it while
 * other processes look, so it is what it is from the start.
 */
#define MAP_SIZE    (sizeof(size_t) > 4 ? (size_t)4 << 30 : (size_t)256 << 20)
#define MAX_READERS 1024

struct nx_cachedb {
    MDB_env *env;
    MDB_dbi objects; /* digest -> struct nx_place */
    MDB_dbi heads;   /* digest of the URL -> struct nx_cache_head */
    int dir_fd;      /* the cache's, not owned */
};

NX_DEFINE_AUTO(MDB_txn *, mdb_txn, mdb_txn_abort)

static int fail_mdb(struct nx_error *err, int rc, const char *what)
{
    if (rc > 0) { /* an errno */
        errno = rc;
        return nx_fail_errno(err, "the cache's database: %s", what);
    }
    return nx_fail(err, NX_ERR_FORMAT, "the cache's database: %s: %s", what, mdb_strerror(rc));
}

static bool is_damage(int rc)
{
    return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID || rc == MDB_PANIC ||
           rc == MDB_VERSION_MISMATCH || rc == MDB_BAD_TXN;
}

/* The next nxfetch makes it anew from the segments; those that have it open keep their own. */
static void discard(int dir_fd)
{
    unlinkat(dir_fd, INDEX_NAME, 0);
    unlinkat(dir_fd, INDEX_NAME "-lock", 0);
}

/* A file that is shorter than its last page would kill us by SIGBUS when that page is read. */
static int check_length(MDB_env *env, const char *path)
{
    MDB_envinfo info;
    MDB_stat stat_;
    struct stat st;
    int rc = mdb_env_info(env, &info);
    if (rc == 0)
        rc = mdb_env_stat(env, &stat_);
    if (rc == 0 && stat(path, &st) < 0)
        rc = errno;
    if (rc == 0 && ((uint64_t)info.me_last_pgno + 1) * stat_.ms_psize > (uint64_t)st.st_size)
        rc = MDB_CORRUPTED;
    return rc;
}

static int open_tables(struct nx_cachedb *db)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "objects", MDB_CREATE, &db->objects);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "heads", MDB_CREATE, &db->heads);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_env(struct nx_cachedb *db, const char *path)
{
    int rc = mdb_env_create(&db->env);
    if (rc != 0)
        return rc;
    mdb_env_set_mapsize(db->env, MAP_SIZE);
    mdb_env_set_maxdbs(db->env, 4);
    mdb_env_set_maxreaders(db->env, MAX_READERS);
    rc = mdb_env_open(db->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMETASYNC,
                      0600);
    if (rc == 0)
        rc = check_length(db->env, path);
    if (rc == 0) {
        int dead;
        mdb_reader_check(db->env, &dead); /* slots of processes that were killed */
        rc = open_tables(db);
    }
    if (rc != 0) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    return rc;
}

int nx_cachedb_open(int dir_fd, const char *dir, struct nx_cachedb **ret_db, struct nx_error *err)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/" INDEX_NAME, dir) < 0)
        return nx_fail_errno(err, "%s", dir);
    NX_AUTO_CACHEDB struct nx_cachedb *db = calloc(1, sizeof(*db));
    if (!db)
        return nx_fail_errno(err, "%s", path);
    db->dir_fd = dir_fd;
    int rc = open_env(db, path);
    if (is_damage(rc)) {
        discard(dir_fd);
        rc = open_env(db, path);
    }
    if (rc != 0) {
        fail_mdb(err, rc, "open");
        return nx_fail_while(err, "%s", path);
    }
    *ret_db = NX_STEAL(db);
    return 0;
}

void nx_cachedb_close(struct nx_cachedb *db)
{
    if (!db)
        return;
    if (db->env)
        mdb_env_close(db->env);
    free(db);
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

bool nx_cachedb_get_head(struct nx_cachedb *db, const struct nx_digest *key,
                         struct nx_cache_head *ret_head)
{
    struct nx_cache_head head;
    if (!lookup(db, db->heads, key, &head, sizeof(head)) || head.etag[sizeof(head.etag) - 1])
        return false;
    *ret_head = head;
    return true;
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
        discard(db->dir_fd);
    return rc == 0 ? 0 : fail_mdb(err, rc, what);
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

static int do_clear(MDB_txn *txn, struct nx_cachedb *db, void *opaque)
{
    int rc = mdb_drop(txn, db->objects, 0);
    return rc == 0 ? mdb_drop(txn, db->heads, 0) : rc;
}

int nx_cachedb_clear(struct nx_cachedb *db, struct nx_error *err)
{
    return transact(db, do_clear, NULL, "clear", err);
}

struct head_record {
    const struct nx_digest *key;
    const struct nx_cache_head *head;
};

static int do_put_head(MDB_txn *txn, struct nx_cachedb *db, void *opaque)
{
    const struct head_record *record = opaque;
    MDB_val key = val(record->key, sizeof(*record->key));
    MDB_val value = val(record->head, sizeof(*record->head));
    return mdb_put(txn, db->heads, &key, &value, 0);
}

int nx_cachedb_put_head(struct nx_cachedb *db, const struct nx_digest *key,
                        const struct nx_cache_head *head, struct nx_error *err)
{
    struct head_record arg = { key, head };
    return transact(db, do_put_head, &arg, "record a package", err);
}

static int count_table(MDB_txn *txn, MDB_dbi table, uint64_t *ret_count)
{
    MDB_stat stat_;
    int rc = mdb_stat(txn, table, &stat_);
    if (rc == 0)
        *ret_count = stat_.ms_entries;
    return rc;
}

int nx_cachedb_count(struct nx_cachedb *db, uint64_t *ret_objects, uint64_t *ret_heads,
                     struct nx_error *err)
{
    NX_AUTO(mdb_txn) MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = count_table(txn, db->objects, ret_objects);
    if (rc == 0)
        rc = count_table(txn, db->heads, ret_heads);
    return rc == 0 ? 0 : fail_mdb(err, rc, "count");
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
        return fail_mdb(err, rc, "list");
    NX_AUTO_FREE struct nx_placed *objects = calloc(max + 1, sizeof(*objects));
    if (!objects)
        return nx_fail_errno(err, "list of the cache's objects");
    rc = mdb_cursor_open(txn, db->objects, &cursor);
    if (rc == 0) {
        rc = copy_all(cursor, objects, max, ret_count);
        mdb_cursor_close(cursor);
    }
    if (rc != 0)
        return fail_mdb(err, rc, "list");
    *ret_objects = NX_STEAL(objects);
    return 0;
}
