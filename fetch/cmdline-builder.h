/* SPDX-License-Identifier: MIT */
/* Inside of cmdline.c.  Devices are written as JSON, as libvirt does since QEMU 6.2: their
 * values have types, and no character in them has a meaning.
 */
#ifndef NX_FETCH_CMDLINE_BUILDER_H
#define NX_FETCH_CMDLINE_BUILDER_H

#include <jansson.h>

#include "fetch/cmdline.h"

struct nx_cmdline {
    const struct nx_machine *machine;
    const struct nx_cmdline_options *options;
    struct nx_args *args;
    bool failed; /* no memory, or a path that is not UTF-8; sticky */
};

/* "OPTION {json}"; takes props. */
void nx_cmdline_json(struct nx_cmdline *c, const char *option, json_t *props);

/* {"driver": driver} */
json_t *nx_cmdline_device(struct nx_cmdline *c, const char *driver);

/* Set a property: text (nothing if NULL), formatted text, a number, a number unless it is 0,
 * a boolean, a boolean unless it is unsaid.
 */
void nx_prop_text(struct nx_cmdline *c, json_t *props, const char *key, const char *text);
void nx_prop_textf(struct nx_cmdline *c, json_t *props, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void nx_prop_uint(struct nx_cmdline *c, json_t *props, const char *key, uint64_t value);
void nx_prop_nonzero(struct nx_cmdline *c, json_t *props, const char *key, uint64_t value);
void nx_prop_bool(struct nx_cmdline *c, json_t *props, const char *key, bool value);
void nx_prop_switch(struct nx_cmdline *c, json_t *props, const char *key, enum nx_switch value);

/* "bus", "multifunction", "addr", "port": where the device is plugged in; nothing if QEMU chooses. */
void nx_prop_address(struct nx_cmdline *c, json_t *props, const struct nx_address *address);

/* "virtio-blk" -> "virtio-blk-pci", "…-pci-transitional", "…-pci-non-transitional" by the model. */
json_t *nx_cmdline_virtio(struct nx_cmdline *c, const char *name, const char *model);

/* text with each comma doubled, for QEMU's key=value options; NULL without memory. */
char *nx_cmdline_escape(struct nx_cmdline *c, const char *text);

void nx_cmdline_note(struct nx_cmdline *c, const char *text);

/* Position in the order of booting, from 1, or 0: by <boot order='…'/> if any device has one, else
 * by the classes of <os>, whose first device it is.
 */
unsigned nx_cmdline_disk_boot_index(const struct nx_cmdline *c, const struct nx_disk *disk);
unsigned nx_cmdline_nic_boot_index(const struct nx_cmdline *c, const struct nx_nic *nic);

/* The parts, in the order of libvirt's command line.  enforce: a feature that cannot be given is an error of QEMU's. */
void nx_cmdline_cpu(struct nx_cmdline *c, bool enforce);
int nx_cmdline_firmware(struct nx_cmdline *c, struct nx_error *err);
void nx_cmdline_controllers(struct nx_cmdline *c);
int nx_cmdline_disks(struct nx_cmdline *c, struct nx_error *err);
int nx_cmdline_network(struct nx_cmdline *c, struct nx_error *err);
int nx_cmdline_chardevs(struct nx_cmdline *c, struct nx_error *err);
void nx_cmdline_hubs(struct nx_cmdline *c);
void nx_cmdline_inputs(struct nx_cmdline *c);
void nx_cmdline_displays(struct nx_cmdline *c);
void nx_cmdline_rest(struct nx_cmdline *c);

#endif
