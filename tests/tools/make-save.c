/* SPDX-License-Identifier: MIT */
/* make-save DOMAIN.xml >FILE: what libvirt would save of this machine, with 1 MiB of memory and a state that no QEMU
 * loads: for tests of nxpack that need a small file.
 */
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "tests/support/stream.h"

#define MEMORY (1u << 20)

static void build_stream(struct nx_buffer *stream)
{
    static const struct stream_block block = { "pc.ram", MEMORY };
    uint8_t page[4096] = { 0 };
    stream_head(stream, "pc-i440fx-7.2");
    stream_ram(stream, &block, 1);
    stream_section(stream, 3, 2, NULL, 0);
    for (unsigned i = 0; i < MEMORY / sizeof page; i++) {
        page[0] = (uint8_t)i;
        stream_page(stream, i ? NULL : "pc.ram", i * sizeof page, page);
    }
    stream_end_records(stream);
    stream_footer(stream, 2);
    stream_tail(stream);
}

int main(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    NX_AUTO_BUFFER struct nx_buffer stream = NX_BUFFER_INIT(4 * MEMORY);
    nx_log_set_program("make-save");
    if (argc != 2)
        return 2;
    if (nx_read_file(argv[1], 1 << 20, &xml, &err) < 0)
        return nx_log_failure(&err);
    uint8_t head[92] = "LibvirtQemudSave";
    const uint32_t numbers[5] = { 2, (uint32_t)xml.len + 1, 1, 0, 0 };
    memcpy(head + 16, numbers, sizeof numbers);
    build_stream(&stream);
    if (nx_write_full(STDOUT_FILENO, head, sizeof head, "stdout", &err) < 0 ||
        nx_write_full(STDOUT_FILENO, xml.data, xml.len + 1, "stdout", &err) < 0 ||
        nx_write_full(STDOUT_FILENO, stream.data, stream.len, "stdout", &err) < 0)
        return nx_log_failure(&err);
    return 0;
}
