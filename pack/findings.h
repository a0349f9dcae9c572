/* SPDX-License-Identifier: MIT */
/* Everything that is to be said of a domain before it is packed, in the form in which it is printed for programs. */
#ifndef NX_PACK_FINDINGS_H
#define NX_PACK_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/buffer.h"
#include "common/error.h"

struct nx_findings {
    json_t *problems; /* {"line": 12, "message": "…", "remedy": "…"}; none: it can be packed */
    json_t *changes;  /* {"line": 12, "message": "…"} */
    json_t *images;   /* {"name": "disk0", "file": "/…", "format": "raw", "size": 1} */
};

/* Look at a domain: xml, if it is in no file, which is then its name in messages, or the file path, a domain's or a save.
 * Only what cannot be read is an error; what is wrong in it becomes findings.  Release them in both cases.
 */
int nx_findings_of(const char *path, const struct nx_buffer *xml, struct nx_findings *ret_findings,
                   struct nx_error *err);

/* Look at the XML of a machine that runs, and at its images: could it be suspended, packed, and resumed elsewhere? */
int nx_findings_of_running(const char *name, const struct nx_buffer *xml,
                           struct nx_findings *ret_findings, struct nx_error *err);

/* Add a problem of no line in particular, before all others: they may come of it. */
void nx_findings_add(struct nx_findings *findings, const char *message);

void nx_findings_release(struct nx_findings *findings);

static inline void nx_auto_findings(struct nx_findings *findings)
{
    nx_findings_release(findings);
}
#define NX_AUTO_FINDINGS NX_AUTO(findings) /* nx_findings_release() at the end of scope */

#endif
