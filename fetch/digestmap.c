/* SPDX-License-Identifier: MIT */
#include "fetch/digestmap.h"

#include <string.h>

int nx_map_init(struct nx_map *map, unsigned bits, struct nx_error *err)
{
    map->count = 0;
    map->mask = ((size_t)1 << bits) - 1;
    map->buckets = calloc(map->mask + 1, sizeof(*map->buckets));
    return map->buckets ? 0 : nx_fail_errno(err, "hash table");
}

void nx_map_release(struct nx_map *map)
{
    free(map->buckets);
    map->buckets = NULL;
}

static struct nx_map_node **bucket(const struct nx_map *map, const struct nx_digest *key)
{
    size_t hash;
    memcpy(&hash, key->bytes, sizeof(hash));
    return &map->buckets[hash & map->mask];
}

struct nx_map_node *nx_map_find(const struct nx_map *map, const struct nx_digest *key)
{
    struct nx_map_node *node = *bucket(map, key);
    while (node && !nx_digest_equal(&node->key, key))
        node = node->next;
    return node;
}

void nx_map_insert(struct nx_map *map, struct nx_map_node *node)
{
    struct nx_map_node **head = bucket(map, &node->key);
    node->next = *head;
    *head = node;
    map->count++;
}

void nx_map_remove(struct nx_map *map, struct nx_map_node *node)
{
    struct nx_map_node **at = bucket(map, &node->key);
    while (*at && *at != node)
        at = &(*at)->next;
    if (*at) {
        *at = node->next;
        map->count--;
    }
}
