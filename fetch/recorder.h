/* SPDX-License-Identifier: MIT */
/* Notes each chunk's first use while a machine runs (formats/record.h).  Any thread. */
#ifndef NX_FETCH_RECORDER_H
#define NX_FETCH_RECORDER_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "fetch/report.h"
#include "formats/record.h"

struct nx_recorder;

/* Each new touch also counts in report's stats.touched. */
int nx_recorder_new(const struct nx_manifest *manifest, struct nx_report *report,
                    struct nx_recorder **ret_recorder, struct nx_error *err);
void nx_recorder_free(struct nx_recorder *recorder);

/* The machine runs from now on: times count from here. */
void nx_recorder_start(struct nx_recorder *recorder);

/* A guest's read has used this chunk, which is not all zero. */
void nx_recorder_touch(struct nx_recorder *recorder, unsigned image, uint64_t number);

/* Write the record to fd (an empty file). */
int nx_recorder_write(struct nx_recorder *recorder, int fd, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_recorder *, recorder, nx_recorder_free)
#define NX_AUTO_RECORDER NX_AUTO(recorder)

#endif
