/* SPDX-License-Identifier: MIT */
/* Inside of machine.c: the XML was validated, so its values are of their types; what is
 * left to go wrong is memory (sticky) and machines that contradict themselves.
 */
#ifndef NX_FORMATS_MACHINE_PARSE_H
#define NX_FORMATS_MACHINE_PARSE_H

#include <libxml/tree.h>

#include "formats/machine.h"

/* Devices of all kinds together: more than any PC has slots for. */
#define NX_MACHINE_MAX_DEVICES 512

struct nx_machine_parser {
    struct nx_machine *machine;
    const char *name; /* of the document, for messages */
    size_t n_devices;
    bool no_memory;
};

/* Values of attributes: "dflt" if absent. */
char *nx_parse_string(struct nx_machine_parser *p, const xmlNode *node, const char *name);
unsigned nx_parse_uint(const xmlNode *node, const char *name, unsigned dflt);
enum nx_switch nx_parse_switch(const xmlNode *node, const char *name); /* on, yes, off, no */
bool nx_parse_is(const xmlNode *node, const char *name, const char *value);

/* Text of an element, or of a child (NULL if there is none). */
char *nx_parse_text(struct nx_machine_parser *p, const xmlNode *node);
char *nx_parse_child_text(struct nx_machine_parser *p, const xmlNode *node, const char *child);

/* Room for one more at the end of an array, zeroed; NULL without memory. */
#define NX_PARSE_APPEND(p, array, count) \
    ((__typeof__(array))nx_parse_append((p), (void **)&(array), &(count), sizeof *(array)))
void *nx_parse_append(struct nx_machine_parser *p, void **array, size_t *count, size_t size);

/* machine-devices.c: everything below <devices>. */
int nx_parse_devices(struct nx_machine_parser *p, const xmlNode *devices, struct nx_error *err);

/* machine-complete.c: what libvirt would fill in: the controllers that the machine type and the
 * devices need, and addresses.  FORMAT error for a machine that contradicts itself.
 */
int nx_machine_complete(struct nx_machine_parser *p, struct nx_error *err);

#endif
