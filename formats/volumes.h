/* SPDX-License-Identifier: MIT */
/* A package that is cut into volumes: its file's first bytes are the head, and what follows stands in numbered files
 * beside it, for servers and caches that do not take large ones.  docs/FORMAT.md, "Volumes".
 *
 *     guest.nxpk      head bytes
 *     guest.nxpk.001  size bytes
 *     guest.nxpk.002  size bytes
 *     guest.nxpk.003  the rest
 *
 * All offsets of a package stay those of the one file that these make, one behind the other.
 */
#ifndef NX_FORMATS_VOLUMES_H
#define NX_FORMATS_VOLUMES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define NX_VOLUME_SIZE_MIN (UINT64_C(2) << 20) /* larger than any head must be: NX_HEAD_MAX */
#define NX_VOLUME_SIZE_MAX (UINT64_C(1) << 50)
#define NX_VOLUMES_MAX     999 /* three digits, so that the names sort */
#define NX_VOLUME_TAIL \
    4096 /* bytes behind the chunks that have room in the last volume: the ZIP's directory */
#define NX_VOLUME_SUFFIX 8 /* bytes for ".001" and the like */
#define NX_VOLUME_UNTIL  32

/* How a package is cut; all zero if it is not. */
struct nx_volumes {
    uint64_t head;  /* bytes of the file before the first volume */
    uint64_t size;  /* bytes of each volume but the last */
    uint64_t end;   /* bytes that must be there: the end of the chunks */
    unsigned count; /* of volumes; 0: the package is one file */
};

/* Where a byte of the package is. */
struct nx_volume_place {
    unsigned file;   /* 0: the head, or the package that is one file; else the number of a volume */
    uint64_t offset; /* in that file */
    uint64_t left;   /* bytes from there on that belong to this file; the last has all there are */
};

/* Set count from the others, which may be anybody's.  FORMAT if nothing is behind the head, the size is not within
 * the limits, or there are too many volumes.
 */
int nx_volumes_check(struct nx_volumes *volumes, struct nx_error *err);

struct nx_volume_place nx_volumes_place(const struct nx_volumes *volumes, uint64_t offset);

/* How many bytes a file must have, and may have at most. */
void nx_volumes_bounds(const struct nx_volumes *volumes, unsigned file, uint64_t *ret_least,
                       uint64_t *ret_most);

/* Choose the head for volumes of volumes->size bytes, for a package whose chunks begin at `chunks` and end at `end`;
 * least: what the head has at least.  A package that is no larger than a volume is not cut: count becomes 0, and so
 * does head.  The head is at most about as large as a volume.  What may stand behind the chunks has room in the last
 * volume.  A count above NX_VOLUMES_MAX is nx_volumes_check()'s to refuse.
 */
void nx_volumes_plan(struct nx_volumes *volumes, uint64_t least, uint64_t chunks, uint64_t end);

/* What a file's name has at its end: "" or ".001".  Returns text. */
const char *nx_volume_suffix(unsigned file, char text[static NX_VOLUME_SUFFIX]);

/* For messages, behind an offset: "", or " (up to volume 2)" if n bytes from there end in another file.  Returns text. */
const char *nx_volumes_until(const struct nx_volumes *volumes, uint64_t offset, uint64_t n,
                             char text[static NX_VOLUME_UNTIL]);

/* path with that suffix; to be freed, NULL without memory. */
char *nx_volume_path(const char *path, unsigned file);

#endif
