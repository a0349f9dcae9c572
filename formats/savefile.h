/* SPDX-License-Identifier: MIT */
/* libvirt's save file (`virsh save`, managed save): a header, the domain XML with the machine's
 * live addresses, a cookie of libvirt's own, and QEMU's migration stream, perhaps compressed.
 *
 *     offset  size
 *          0    16  "LibvirtQemudSave"; "LibvirtQemudPart" while it is being written
 *         16     4  version: 2 (3, "sparse", holds no stream and is refused)
 *         20     4  bytes of XML, padding and cookie
 *         24     4  was the machine running?  0: it was paused
 *         28     4  compression
 *         32     4  offset of the cookie from the XML's first byte; 0: none
 *         36    56  unused
 *         92        XML, NUL, padding, cookie; then the stream
 *
 * Numbers are in the byte order of the host that wrote it; a version that reads as 2 tells which.
 */
#ifndef NX_FORMATS_SAVEFILE_H
#define NX_FORMATS_SAVEFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"

#define NX_SAVEFILE_XML_MAX (4 * 1024 * 1024) /* bytes of XML, padding and cookie */

struct nx_savefile;

/* Does the file open with the magic of one, whole or not?  Its position is kept. */
bool nx_savefile_detect(int fd);

/* Read the header and the XML of an open file, from its first byte on.  fd stays the caller's, but its position is
 * ours until nx_savefile_free().  name goes into messages and must outlive it.
 */
int nx_savefile_open(int fd, const char *name, struct nx_savefile **ret_save, struct nx_error *err);
void nx_savefile_free(struct nx_savefile *save);

/* The domain XML; a NUL follows that does not count. */
const struct nx_buffer *nx_savefile_xml(const struct nx_savefile *save);
bool nx_savefile_was_running(const struct nx_savefile *save);
const char *nx_savefile_compression(const struct nx_savefile *save); /* "none", "gzip", "zstd" … */

/* Where in the file the stream begins; 0 if it is compressed. */
uint64_t nx_savefile_stream(const struct nx_savefile *save);

/* The stream's next bytes, decompressed: *ret_n of at most len; 0 at its end. */
int nx_savefile_read(struct nx_savefile *save, void *buf, size_t len, size_t *ret_n,
                     struct nx_error *err);

NX_DEFINE_AUTO(struct nx_savefile *, savefile, nx_savefile_free)
#define NX_AUTO_SAVEFILE NX_AUTO(savefile) /* nx_savefile_free() at the end of scope */

#endif
