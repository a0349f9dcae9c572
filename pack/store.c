/* SPDX-License-Identifier: MIT */
#include "pack/store.h"

#include <string.h>

int nx_store_open(struct nx_store *store, int fd, uint64_t offset, const char *beside,
                  struct nx_error *err)
{
    *store = (struct nx_store)NX_STORE_INIT;
    if (nx_spool_open_within(&store->chunks, fd, offset, beside, err) == 0 &&
        nx_spool_open(&store->records, beside, err) == 0 &&
        nx_dedup_new(beside, &store->dedup, err) == 0)
        return 0;
    nx_store_release(store);
    return -1;
}

void nx_store_release(struct nx_store *store)
{
    nx_spool_release(&store->chunks);
    nx_spool_release(&store->records);
    nx_dedup_free(store->dedup);
    store->dedup = NULL;
}

int nx_store_add(struct nx_store *store, uint64_t number, const struct nx_digest *content,
                 const void *stored, uint32_t size, const struct nx_digest *digest,
                 struct nx_error *err)
{
    struct nx_index_entry entry = { store->chunks.size, size, *digest };
    int known = nx_dedup_find_or_add(store->dedup, content, &entry, err);
    if (known < 0 || (!known && nx_spool_add(&store->chunks, stored, size, err) < 0))
        return -1;
    return nx_store_record_add(&store->records, number, &entry, err);
}

int nx_store_record_add(struct nx_spool *records, uint64_t number,
                        const struct nx_index_entry *entry, struct nx_error *err)
{
    struct nx_store_record record;
    memset(&record, 0, sizeof record); /* padding too: it goes into a file */
    record.number = number;
    record.entry.offset = entry->offset;
    record.entry.size = entry->size;
    record.entry.digest = entry->digest;
    return nx_spool_add(records, &record, sizeof record, err);
}

int nx_store_record_read(struct nx_spool *records, uint64_t i, struct nx_store_record *ret_record,
                         struct nx_error *err)
{
    return nx_spool_read(records, ret_record, sizeof *ret_record, i * sizeof *ret_record, err);
}
