/* SPDX-License-Identifier: MIT */
#include "fetch/cmdline-builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void nx_cmdline_json(struct nx_cmdline *c, const char *option, json_t *props)
{
    NX_AUTO_FREE char *text = props ? json_dumps(props, JSON_COMPACT) : NULL;
    json_decref(props);
    if (!text) {
        c->failed = true;
        return;
    }
    nx_args_add(c->args, option);
    nx_args_add(c->args, text);
}

static void set(struct nx_cmdline *c, json_t *props, const char *key, json_t *value)
{
    if (json_object_set_new(props, key, value) < 0)
        c->failed = true;
}

json_t *nx_cmdline_device(struct nx_cmdline *c, const char *driver)
{
    json_t *props = json_object();
    nx_prop_text(c, props, "driver", driver);
    return props;
}

void nx_prop_text(struct nx_cmdline *c, json_t *props, const char *key, const char *text)
{
    if (text)
        set(c, props, key, json_string(text));
}

void nx_prop_textf(struct nx_cmdline *c, json_t *props, const char *key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set(c, props, key, json_vsprintf(fmt, args));
    va_end(args);
}

void nx_prop_uint(struct nx_cmdline *c, json_t *props, const char *key, uint64_t value)
{
    set(c, props, key, json_integer((json_int_t)value));
}

void nx_prop_nonzero(struct nx_cmdline *c, json_t *props, const char *key, uint64_t value)
{
    if (value)
        nx_prop_uint(c, props, key, value);
}

void nx_prop_bool(struct nx_cmdline *c, json_t *props, const char *key, bool value)
{
    set(c, props, key, json_boolean(value));
}

void nx_prop_switch(struct nx_cmdline *c, json_t *props, const char *key, enum nx_switch value)
{
    if (value != NX_UNSAID)
        nx_prop_bool(c, props, key, value == NX_ON);
}

static void prop_pci_address(struct nx_cmdline *c, json_t *props, const struct nx_address *a)
{
    if (a->bus == 0)
        nx_prop_text(c, props, "bus", c->machine->q35 ? "pcie.0" : "pci.0");
    else
        nx_prop_textf(c, props, "bus", "pci.%u", a->bus);
    nx_prop_switch(c, props, "multifunction", a->multifunction);
    if (a->function)
        nx_prop_textf(c, props, "addr", "0x%x.0x%x", a->slot, a->function);
    else
        nx_prop_textf(c, props, "addr", "0x%x", a->slot);
}

void nx_prop_address(struct nx_cmdline *c, json_t *props, const struct nx_address *a)
{
    switch (a->type) {
    case NX_ADDRESS_PCI:
        prop_pci_address(c, props, a);
        break;
    case NX_ADDRESS_USB:
        if (a->bus == 0)
            nx_prop_text(c, props, "bus", "usb.0");
        else
            nx_prop_textf(c, props, "bus", "usb%u.0", a->bus);
        nx_prop_text(c, props, "port", *a->port ? a->port : NULL);
        break;
    case NX_ADDRESS_VIRTIO_SERIAL:
        nx_prop_textf(c, props, "bus", "virtio-serial%u.%u", a->controller, a->bus);
        if (*a->port)
            nx_prop_uint(c, props, "nr", strtoul(a->port, NULL, 10));
        break;
    case NX_ADDRESS_ISA:
        nx_prop_nonzero(c, props, "iobase", a->iobase);
        nx_prop_nonzero(c, props, "irq", a->irq);
        break;
    case NX_ADDRESS_DRIVE: /* names differ from bus to bus: cmdline-disks.c */
    case NX_ADDRESS_NONE:
        break;
    }
}

json_t *nx_cmdline_virtio(struct nx_cmdline *c, const char *name, const char *model)
{
    const char *suffix = model && strcmp(model, "virtio-transitional") == 0 ? "-transitional"
                         : model && strcmp(model, "virtio-non-transitional") == 0
                             ? "-non-transitional"
                             : "";
    json_t *props = json_object();
    nx_prop_textf(c, props, "driver", "%s-pci%s", name, suffix);
    return props;
}

char *nx_cmdline_escape(struct nx_cmdline *c, const char *text)
{
    char *escaped = malloc(2 * strlen(text) + 1);
    if (!escaped) {
        c->failed = true;
        return NULL;
    }
    char *to = escaped;
    for (; *text; text++) {
        if (*text == ',')
            *to++ = ',';
        *to++ = *text;
    }
    *to = 0;
    return escaped;
}

void nx_cmdline_note(struct nx_cmdline *c, const char *text)
{
    if (c->options->note)
        c->options->note(c->options->note_opaque, text);
}

/* ---- the order of booting -------------------------------------------------------- */

static bool has_boot_orders(const struct nx_machine *m)
{
    for (size_t i = 0; i < m->n_disks; i++)
        if (m->disks[i].boot_order)
            return true;
    for (size_t i = 0; i < m->n_nics; i++)
        if (m->nics[i].boot_order)
            return true;
    return false;
}

/* Position of a class in <os>'s list, from 1; 0 if it is not in it.  No list: the disk. */
static unsigned class_position(const struct nx_machine *m, char letter)
{
    const char *order = *m->boot ? m->boot : "c";
    const char *at = strchr(order, letter);
    return at ? (unsigned)(at - order) + 1 : 0;
}

unsigned nx_cmdline_disk_boot_index(const struct nx_cmdline *c, const struct nx_disk *disk)
{
    const struct nx_machine *m = c->machine;
    if (has_boot_orders(m))
        return disk->boot_order;
    for (const struct nx_disk *d = m->disks; d < disk; d++)
        if (d->device == disk->device)
            return 0;
    return class_position(m, disk->device == NX_DISK_CDROM    ? 'd'
                             : disk->device == NX_DISK_FLOPPY ? 'a'
                                                              : 'c');
}

unsigned nx_cmdline_nic_boot_index(const struct nx_cmdline *c, const struct nx_nic *nic)
{
    const struct nx_machine *m = c->machine;
    if (has_boot_orders(m))
        return nic->boot_order;
    return nic == m->nics ? class_position(m, 'n') : 0;
}
