/* SPDX-License-Identifier: MIT */
/* A builder of migration streams, as QEMU writes them, and worse. */
#ifndef NX_TESTS_STREAM_H
#define NX_TESTS_STREAM_H

#include "common/buffer.h"

/* Append to buf, big-endian; strings with a byte of length in front. */
void stream_be(struct nx_buffer *buf, unsigned n, uint64_t value);
void stream_text(struct nx_buffer *buf, const char *text);

/* "QEVM", version 3, and the configuration of this machine type. */
void stream_head(struct nx_buffer *buf, const char *machine);

/* The header of a section of type 1 (start) to 4 (full); name NULL for a part or an end. */
void stream_section(struct nx_buffer *buf, unsigned type, uint32_t id, const char *name,
                    unsigned version);
void stream_footer(struct nx_buffer *buf, uint32_t id);

/* Records of "ram".  block NULL: the same as before. */
void stream_page(struct nx_buffer *buf, const char *block, uint64_t address,
                 const uint8_t page[4096]);
void stream_fill(struct nx_buffer *buf, const char *block, uint64_t address, uint8_t byte);
void stream_end_records(struct nx_buffer *buf);

/* Start of "ram", id 2, with these blocks. */
struct stream_block {
    const char *name;
    uint64_t size;
};
void stream_ram(struct nx_buffer *buf, const struct stream_block *blocks, size_t n);

/* A device's section, the end, and QEMU's description. */
void stream_tail(struct nx_buffer *buf);

#endif
