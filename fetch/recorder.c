/* SPDX-License-Identifier: MIT */
/* Threads: everything is under the lock; a touch that is known already costs little more than taking it. */
#include "fetch/recorder.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/io.h"

#define PAGE_BITS 32768 /* chunks that one page of a bitmap stands for */

/* Which chunks of an image were touched.  Images are large and touches few: pages come as they are needed. */
struct bitmap {
    uint8_t **pages;
    uint64_t n_pages;
};

struct nx_recorder {
    struct nx_report *report;
    pthread_mutex_t lock;
    struct nx_record *record;
    struct bitmap bitmaps[NX_IMAGES_MAX];
    bool started;
    double start; /* nx_report_time() */
};

int nx_recorder_new(const struct nx_manifest *manifest, struct nx_report *report,
                    struct nx_recorder **ret_recorder, struct nx_error *err)
{
    NX_AUTO_RECORDER struct nx_recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder)
        return nx_fail_errno(err, "record");
    pthread_mutex_init(&recorder->lock, NULL);
    recorder->report = report;
    if (nx_record_new(manifest, &recorder->record, err) < 0)
        return -1;
    for (unsigned i = 0; i < manifest->n_images; i++) {
        struct bitmap *bitmap = &recorder->bitmaps[i];
        bitmap->n_pages = nx_image_chunk_count(&manifest->images[i]) / PAGE_BITS + 1;
        bitmap->pages = calloc(bitmap->n_pages, sizeof *bitmap->pages);
        if (!bitmap->pages)
            return nx_fail_errno(err, "record");
    }
    *ret_recorder = NX_STEAL(recorder);
    return 0;
}

void nx_recorder_free(struct nx_recorder *recorder)
{
    if (!recorder)
        return;
    for (unsigned i = 0; i < NX_IMAGES_MAX; i++) {
        struct bitmap *bitmap = &recorder->bitmaps[i];
        for (uint64_t page = 0; bitmap->pages && page < bitmap->n_pages; page++)
            free(bitmap->pages[page]);
        free(bitmap->pages);
    }
    nx_record_free(recorder->record);
    pthread_mutex_destroy(&recorder->lock);
    free(recorder);
}

void nx_recorder_start(struct nx_recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->started = true;
    recorder->start = nx_report_time(recorder->report);
    pthread_mutex_unlock(&recorder->lock);
}

/* True if the bit was not set before.  Without memory nothing is new: the record gets shorter. */
static bool set_bit(struct bitmap *bitmap, uint64_t number)
{
    uint8_t **page = &bitmap->pages[number / PAGE_BITS];
    if (!*page && !(*page = calloc(1, PAGE_BITS / 8)))
        return false;
    uint8_t *byte = &(*page)[number % PAGE_BITS / 8];
    uint8_t bit = (uint8_t)(1u << (number % 8));
    bool is_new = !(*byte & bit);
    *byte |= bit;
    return is_new;
}

void nx_recorder_touch(struct nx_recorder *recorder, unsigned image, uint64_t number)
{
    pthread_mutex_lock(&recorder->lock);
    bool is_new = set_bit(&recorder->bitmaps[image], number);
    if (is_new) {
        double since = recorder->started ? nx_report_time(recorder->report) - recorder->start : 0;
        struct nx_touch touch = { (uint32_t)(since * 1000), image, number };
        nx_record_add(recorder->record, &touch, NULL);
    }
    pthread_mutex_unlock(&recorder->lock);
    if (is_new)
        nx_report_add(recorder->report, &recorder->report->stats.touched, 1);
}

int nx_recorder_write(struct nx_recorder *recorder, int fd, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer json = NX_BUFFER_INIT(NX_RECORD_MAX);
    pthread_mutex_lock(&recorder->lock);
    int ret = nx_record_write(recorder->record, &json, err);
    pthread_mutex_unlock(&recorder->lock);
    return ret < 0 ? -1 : nx_write_full(fd, json.data, json.len, "record", err);
}
