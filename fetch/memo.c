/* SPDX-License-Identifier: MIT */
/* Threads: one lock around everything; nothing slow happens under it. */
#include "fetch/memo.h"

#include <pthread.h>
#include <sys/queue.h>

#include "fetch/digestmap.h"

struct entry {
    struct nx_map_node node;
    TAILQ_ENTRY(entry) link;
    struct nx_bytes *bytes;
};

struct nx_memo {
    pthread_mutex_t lock;
    struct nx_map map;                      /* under lock */
    TAILQ_HEAD(nx_memo_list, entry) recent; /* under lock; the most recently used first */
    size_t bytes, max;                      /* under lock */
};

int nx_memo_new(size_t max_bytes, struct nx_memo **ret_memo, struct nx_error *err)
{
    NX_AUTO_MEMO struct nx_memo *memo = calloc(1, sizeof(*memo));
    if (!memo)
        return nx_fail_errno(err, "memory of recent bytes");
    pthread_mutex_init(&memo->lock, NULL);
    TAILQ_INIT(&memo->recent);
    memo->max = max_bytes;
    if (nx_map_init(&memo->map, 10, err) < 0)
        return -1;
    *ret_memo = NX_STEAL(memo);
    return 0;
}

static void drop(struct nx_memo *memo, struct entry *entry)
{
    nx_map_remove(&memo->map, &entry->node);
    TAILQ_REMOVE(&memo->recent, entry, link);
    memo->bytes -= entry->bytes->len;
    nx_bytes_unref(entry->bytes);
    free(entry);
}

void nx_memo_free(struct nx_memo *memo)
{
    if (!memo)
        return;
    struct entry *entry;
    while ((entry = TAILQ_FIRST(&memo->recent)))
        drop(memo, entry);
    nx_map_release(&memo->map);
    pthread_mutex_destroy(&memo->lock);
    free(memo);
}

static struct entry *find(struct nx_memo *memo, const struct nx_digest *digest)
{
    struct entry *entry = NX_MAP_ENTRY(nx_map_find(&memo->map, digest), struct entry, node);
    if (entry) {
        TAILQ_REMOVE(&memo->recent, entry, link);
        TAILQ_INSERT_HEAD(&memo->recent, entry, link);
    }
    return entry;
}

struct nx_bytes *nx_memo_get(struct nx_memo *memo, const struct nx_digest *digest)
{
    pthread_mutex_lock(&memo->lock);
    struct entry *entry = find(memo, digest);
    struct nx_bytes *bytes = entry ? nx_bytes_ref(entry->bytes) : NULL;
    pthread_mutex_unlock(&memo->lock);
    return bytes;
}

static void shrink(struct nx_memo *memo)
{
    while (memo->bytes > memo->max)
        drop(memo, TAILQ_LAST(&memo->recent, nx_memo_list));
}

static void add(struct nx_memo *memo, const struct nx_digest *digest, struct nx_bytes *bytes)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return;
    entry->node.key = *digest;
    entry->bytes = nx_bytes_ref(bytes);
    nx_map_insert(&memo->map, &entry->node);
    TAILQ_INSERT_HEAD(&memo->recent, entry, link);
    memo->bytes += bytes->len;
    shrink(memo);
}

void nx_memo_put(struct nx_memo *memo, const struct nx_digest *digest, struct nx_bytes *bytes)
{
    pthread_mutex_lock(&memo->lock);
    if (!find(memo, digest))
        add(memo, digest, bytes);
    pthread_mutex_unlock(&memo->lock);
}

void nx_memo_set_max(struct nx_memo *memo, size_t max_bytes)
{
    pthread_mutex_lock(&memo->lock);
    memo->max = max_bytes;
    shrink(memo);
    pthread_mutex_unlock(&memo->lock);
}
