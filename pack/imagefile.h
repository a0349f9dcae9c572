/* SPDX-License-Identifier: MIT */
/* A disk image that is being written: sparse raw or qcow2, whole or not at all. */
#ifndef NX_PACK_IMAGEFILE_H
#define NX_PACK_IMAGEFILE_H

#include "common/io.h"
#include "pack/qemunbd.h"

struct nx_imagefile {
    struct nx_newfile file;
    struct nx_qemunbd server; /* qcow2: what writes it */
};
#define NX_IMAGEFILE_INIT                                  \
    {                                                      \
        .file = NX_NEWFILE_INIT, .server = NX_QEMUNBD_INIT \
    }

/* Begin an image of size zero bytes; format is "raw" or "qcow2".  path is absolute and does not
 * exist yet.  While there is one thread (qemunbd.h).
 */
int nx_imagefile_open(struct nx_imagefile *image, const char *path, const char *format,
                      uint64_t size, struct nx_error *err);
int nx_imagefile_write(struct nx_imagefile *image, uint64_t offset, const void *data, size_t len,
                       struct nx_error *err);
int nx_imagefile_commit(struct nx_imagefile *image, struct nx_error *err);
void nx_imagefile_release(struct nx_imagefile *image);

static inline void nx_auto_imagefile(struct nx_imagefile *image)
{
    nx_imagefile_release(image);
}
#define NX_AUTO_IMAGEFILE NX_AUTO(imagefile) /* nx_imagefile_release() at the end of scope */

#endif
