/* SPDX-License-Identifier: MIT */
#include "pack/dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Address space, not memory: entries of 80 bytes or so for 2^31 chunks. */
#define MAP_SIZE (UINT64_C(1) << 38)
/* A transaction's dirty pages are in memory: so many entries (some MiB) go into each. */
#define ENTRIES_A_TRANSACTION 8192

struct nx_dedup {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn;
    unsigned added; /* in this transaction */
};

static int fail_lmdb(struct nx_error *err, int rc)
{
    return nx_fail(err, NX_ERR_SYSTEM, "temporary map of chunks: %s", mdb_strerror(rc));
}

/* The file's name is needed only while LMDB opens it. */
static int open_unlinked(MDB_env *env, const char *beside)
{
    NX_AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s.XXXXXX.map", beside) < 0) {
        path = NULL;
        return ENOMEM;
    }
    NX_AUTO_FD int fd = mkostemps(path, 4, O_CLOEXEC);
    if (fd < 0)
        return errno;
    int rc = mdb_env_open(
        env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOMEMINIT, 0600);
    unlink(path);
    return rc;
}

int nx_dedup_new(const char *beside, struct nx_dedup **ret_dedup, struct nx_error *err)
{
    NX_AUTO_DEDUP struct nx_dedup *dedup = calloc(1, sizeof *dedup);
    if (!dedup)
        return nx_fail_errno(err, "temporary map of chunks");
    int rc = mdb_env_create(&dedup->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(dedup->env, (size_t)MAP_SIZE);
    if (rc == 0)
        rc = open_unlinked(dedup->env, beside);
    if (rc == 0)
        rc = mdb_txn_begin(dedup->env, NULL, 0, &dedup->txn);
    if (rc == 0)
        rc = mdb_dbi_open(dedup->txn, NULL, 0, &dedup->dbi);
    if (rc)
        return fail_lmdb(err, rc);
    *ret_dedup = NX_STEAL(dedup);
    return 0;
}

void nx_dedup_free(struct nx_dedup *dedup)
{
    if (!dedup)
        return;
    if (dedup->txn)
        mdb_txn_abort(dedup->txn);
    if (dedup->env)
        mdb_env_close(dedup->env);
    free(dedup);
}

static int next_transaction(struct nx_dedup *dedup)
{
    int rc = mdb_txn_commit(NX_STEAL(dedup->txn));
    dedup->added = 0;
    return rc ? rc : mdb_txn_begin(dedup->env, NULL, 0, &dedup->txn);
}

int nx_dedup_find_or_add(struct nx_dedup *dedup, const struct nx_digest *content,
                         struct nx_index_entry *entry, struct nx_error *err)
{
    MDB_val key = { sizeof content->bytes, (void *)content->bytes };
    MDB_val value = { sizeof *entry, entry };
    int rc = mdb_put(dedup->txn, dedup->dbi, &key, &value, MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST) {
        memcpy(entry, value.mv_data, sizeof *entry); /* it may stand unaligned */
        return 1;
    }
    if (rc == 0 && ++dedup->added == ENTRIES_A_TRANSACTION)
        rc = next_transaction(dedup);
    return rc ? fail_lmdb(err, rc) : 0;
}
