/* SPDX-License-Identifier: MIT */
/* A domain XML: an author's, to be reduced; and, if it fits the schema, a package's, to be parsed. */
#include "formats/domain.h"
#include "formats/machine.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    if (nx_domain_reduce(data, size, "fuzz", &domain, &err) == 0 &&
        nx_domain_validate(domain.xml.data, domain.xml.len, "reduced", &err) < 0)
        abort(); /* what nxpack writes, nxfetch must take */
    struct nx_machine *machine = NULL;
    if (nx_domain_validate(data, size, "fuzz", &err) == 0 &&
        nx_machine_parse(data, size, "fuzz", &machine, &err) == 0)
        nx_machine_free(machine);
    return 0;
}
