/* SPDX-License-Identifier: MIT */
/* A manifest that somebody signed: parsed, written, parsed again, the same. */
#include "formats/manifest.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    NX_AUTO_MANIFEST struct nx_manifest *manifest = NULL;
    NX_AUTO_MANIFEST struct nx_manifest *again = NULL;
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(4 * NX_MANIFEST_MAX);
    if (nx_manifest_parse(data, size, &manifest, &err) < 0)
        return 0;
    if (nx_manifest_write(manifest, &xml, &err) < 0)
        abort();
    if (xml.len <= NX_MANIFEST_MAX && nx_manifest_parse(xml.data, xml.len, &again, &err) == 0 &&
        memcmp(manifest->images, again->images, sizeof manifest->images) != 0)
        abort();
    return 0;
}
