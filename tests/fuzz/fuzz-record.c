/* SPDX-License-Identifier: MIT */
/* The record of a run, which an author may have from somebody else. */
#include "formats/record.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    struct nx_record *record;
    struct nx_buffer json = NX_BUFFER_INIT(NX_RECORD_MAX);
    if (nx_record_parse(data, size, "fuzz", &record, &err) < 0)
        return 0;
    if (nx_record_write(record, &json, &err) < 0)
        abort();
    nx_buffer_release(&json);
    nx_record_free(record);
    return 0;
}
