/* SPDX-License-Identifier: MIT */
/* A hash table whose keys are digests and whose nodes live in their owners' structs.
 * A digest is as random as a hash gets, so its first bytes choose the bucket.  No locks.
 */
#ifndef NX_FETCH_DIGESTMAP_H
#define NX_FETCH_DIGESTMAP_H

#include <stddef.h>

#include "formats/digest.h"

struct nx_map_node {
    struct nx_digest key;
    struct nx_map_node *next;
};

struct nx_map {
    struct nx_map_node **buckets;
    size_t mask; /* number of buckets, a power of two, less one */
    size_t count;
};

/* The struct of this type whose member is node (which may be NULL, then NULL). */
#define NX_MAP_ENTRY(node, type, member)                                               \
    ({                                                                                 \
        struct nx_map_node *nx_node_ = (node);                                         \
        nx_node_ ? (type *)(void *)((char *)nx_node_ - offsetof(type, member)) : NULL; \
    })

/* 2^bits buckets; it does not grow. */
int nx_map_init(struct nx_map *map, unsigned bits, struct nx_error *err);
/* Free the buckets.  The nodes are their owners'. */
void nx_map_release(struct nx_map *map);

struct nx_map_node *nx_map_find(const struct nx_map *map, const struct nx_digest *key);
void nx_map_insert(struct nx_map *map, struct nx_map_node *node);
void nx_map_remove(struct nx_map *map, struct nx_map_node *node);

#endif
