/* SPDX-License-Identifier: MIT */
/* Threads: the child has one.  It is a fork of a process with several, so it ends by _exit(). */
#include "fetch/mdbcheck.h"

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS 60 /* on a slow disk, for a database of the usual tens of megabytes */
#define CPU_SECONDS   2  /* and one for each … */
#define CPU_BYTES \
    (UINT64_C(128) << 20) /* … so many of it; who takes longer goes round in circles */

/* LMDB's pages as they lie in its file (0.9): their head, and that of each record in them. */
struct page_head {
    size_t number;
    uint16_t pad;
    uint16_t flags;
    uint16_t lower, upper; /* the offsets of records end; the records begin */
    uint16_t offsets[];
};
struct node_head {
    uint16_t low, high; /* of the value's size */
    uint16_t flags;
    uint16_t key_size;
};
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4 }; /* page_head.flags */
enum { ELSEWHERE = 1 };                      /* node_head.flags: the value has pages of its own */

enum verdict { GOOD, DAMAGED };

/* The tables that every database has, under LMDB's fixed numbers: lists of free pages, and the other tables. */
enum { FREE_TABLE, MAIN_TABLE };

struct check {
    MDB_txn *txn;
    uintptr_t page_size;
    uintptr_t base; /* where page 0 is mapped; 0: not yet known */
    size_t pages;   /* of the file, as its header says */
    enum page { UNSEEN, RECORDS, MORE_RECORDS, FREE } * seen; /* what each page was found to be */
};

/* Note the pages on which a key or a value stands.  Each first page opens with its number, which must agree with its place. */
static bool note_pages(struct check *check, const MDB_val *val)
{
    uintptr_t at = (uintptr_t)val->mv_data & ~(check->page_size - 1);
    uintptr_t end = (uintptr_t)val->mv_data + val->mv_size;
    if (val->mv_size == 0)
        return true;
    size_t number = *(const size_t *)at;
    uintptr_t base = at - number * check->page_size;
    if (number >= check->pages || (check->base && base != check->base))
        return false;
    check->base = base;
    check->seen[number] = RECORDS;
    while ((at += check->page_size) < end)
        if (++number >= check->pages)
            return false;
        else
            check->seen[number] = MORE_RECORDS;
    return true;
}

/* A list of free pages: its length, then their numbers, each less than the one before.  None may be in use: it
 * would be written to.
 */
static bool is_free_list(struct check *check, const MDB_val *value)
{
    const size_t *list = value->mv_data;
    size_t room = value->mv_size / sizeof(*list), before = check->pages;
    if (room == 0 || list[0] > room - 1)
        return false;
    for (size_t i = 1; i <= list[0]; i++) {
        if (list[i] < 2 || list[i] >= before || check->seen[list[i]] != UNSEEN)
            return false;
        before = list[i];
        check->seen[list[i]] = FREE;
    }
    return true;
}

static bool is_sane(struct check *check, MDB_dbi table, const MDB_val *key, const MDB_val *value)
{
    return note_pages(check, key) && note_pages(check, value) &&
           (table != FREE_TABLE || is_free_list(check, value));
}

/* Read a table from its first record to its last. */
static bool walk(struct check *check, MDB_dbi table)
{
    MDB_cursor *cursor;
    MDB_stat stat_;
    MDB_val key, value, before = { 0 };
    size_t n = 0;
    int rc = mdb_stat(check->txn, table, &stat_);
    if (rc == 0)
        rc = mdb_cursor_open(check->txn, table, &cursor);
    if (rc != 0)
        return false;
    while (n <= stat_.ms_entries && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if ((n++ > 0 && mdb_cmp(check->txn, table, &before, &key) >= 0) ||
            !is_sane(check, table, &key, &value))
            return false;
        before = key;
    }
    return rc == MDB_NOTFOUND && n == stat_.ms_entries;
}

static bool walk_named(struct check *check, const char *name)
{
    MDB_dbi table;
    int rc = mdb_dbi_open(check->txn, name, 0, &table);
    return rc == MDB_NOTFOUND || (rc == 0 && walk(check, table));
}

/* The bytes that a record takes in its page. */
static size_t node_size(const struct page_head *page, const struct node_head *node)
{
    size_t value = node->low | (size_t)node->high << 16;
    if (page->flags == BRANCH)
        value = 0;
    else if (node->flags & ELSEWHERE)
        value = sizeof(size_t);
    return (sizeof(*node) + node->key_size + value + 1) & ~(size_t)1;
}

/* The records fill their part of the page: LMDB moves them by these numbers. */
static bool is_page(const struct check *check, size_t number)
{
    const uint8_t *at = (const uint8_t *)(check->base + number * check->page_size);
    const struct page_head *page = (const void *)at;
    size_t sum = 0;
    if (page->number != number)
        return false;
    if (page->flags == OVERFLOW)
        return true;
    if ((page->flags != BRANCH && page->flags != LEAF) || page->lower < sizeof(*page) ||
        page->lower > page->upper || page->upper > check->page_size || page->lower % 2)
        return false;
    for (size_t i = 0; i < (page->lower - sizeof(*page)) / sizeof(page->offsets[0]); i++) {
        size_t offset = page->offsets[i];
        if (offset % 2 || offset < page->upper ||
            offset + sizeof(struct node_head) > check->page_size)
            return false;
        sum += node_size(page, (const void *)(at + offset));
    }
    return sum == check->page_size - page->upper;
}

/* All that are in use, the inner ones of the trees, too. */
static bool are_pages(const struct check *check)
{
    for (size_t i = 2; check->base && i < check->pages; i++)
        if ((check->seen[i] == UNSEEN || check->seen[i] == RECORDS) && !is_page(check, i))
            return false;
    return true;
}

/* The free lists last: then it is known which pages are not. */
static bool walk_all(struct check *check)
{
    static const char *const names[] = { "objects", "state" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!walk_named(check, names[i]))
            return false;
    return walk(check, MAIN_TABLE) && walk(check, FREE_TABLE) && are_pages(check);
}

/* What is not the file's fault is met again by whoever opens it in earnest. */
static enum verdict verdict_of(int rc)
{
    return rc >= 0 || rc == MDB_READERS_FULL ? GOOD : DAMAGED;
}

static void assertion_failed(MDB_env *env, const char *text)
{
    _exit(DAMAGED);
}

static enum verdict check_env(MDB_env *env, const char *path)
{
    struct check check = { 0 };
    MDB_envinfo info;
    MDB_stat stat_;
    MDB_dbi main_table;
    mdb_env_set_assert(env, assertion_failed);
    mdb_env_set_mapsize(env, NX_MDB_MAP_SIZE);
    mdb_env_set_maxdbs(env, NX_MDB_TABLES_MAX);
    int rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_RDONLY, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &check.txn);
    if (rc != 0)
        return verdict_of(rc);
    if (mdb_dbi_open(check.txn, NULL, 0, &main_table) != 0 || mdb_env_info(env, &info) != 0 ||
        mdb_env_stat(env, &stat_) != 0)
        return DAMAGED;
    check.page_size = stat_.ms_psize;
    check.pages = info.me_last_pgno + 1;
    if (check.pages > NX_MDB_MAP_SIZE / check.page_size)
        return DAMAGED;
    check.seen = calloc(check.pages, sizeof(*check.seen));
    return check.seen && walk_all(&check) ? GOOD : DAMAGED;
}

static void limit_child(uint64_t size)
{
    const struct rlimit no_core = { 0, 0 };
    const rlim_t seconds = CPU_SECONDS + size / CPU_BYTES;
    const struct rlimit cpu = { seconds, seconds };
    const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        signal(crashes[i], SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_CPU, &cpu);
    alarm(CHECK_SECONDS);
}

static enum verdict check_file(const char *path, uint64_t size)
{
    MDB_env *env;
    limit_child(size);
    return mdb_env_create(&env) == 0 ? check_env(env, path) : GOOD;
}

int nx_mdbcheck(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : errno;
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(check_file(path, (uint64_t)st.st_size));
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return ETIMEDOUT;
    return WIFEXITED(status) && WEXITSTATUS(status) == GOOD ? 0 : MDB_CORRUPTED;
}
