/* SPDX-License-Identifier: MIT */
/* Block nodes and the disks on them.  QEMU never guesses a format: every node names its
 * driver.  A disk that can be written is
 *
 *     libvirt-N-format (qcow2) ── libvirt-N-storage: the overlay
 *            └ backing ── nxpk-N-format (raw) ── nxpk-N-storage: the FUSE file, read-only
 *
 * and one that cannot has libvirt-N-format (raw) on the FUSE file.  N counts down to 1, as libvirt's.
 */
#include "fetch/cmdline-builder.h"

#include <string.h>

static void add_file_node(struct nx_cmdline *c, const char *path, const char *owner, size_t n,
                          bool readonly)
{
    json_t *node = nx_cmdline_device(c, "file");
    nx_prop_text(c, node, "filename", path);
    nx_prop_textf(c, node, "node-name", "%s-%zu-storage", owner, n);
    if (readonly)
        nx_prop_bool(c, node, "read-only", true);
    else
        nx_prop_bool(c, node, "auto-read-only", true);
    nx_prop_text(c, node, "discard", "unmap");
    nx_cmdline_json(c, "-blockdev", node);
}

static void add_raw_node(struct nx_cmdline *c, const char *path, const char *owner, size_t n)
{
    add_file_node(c, path, owner, n, true);
    json_t *node = json_object();
    nx_prop_textf(c, node, "node-name", "%s-%zu-format", owner, n);
    nx_prop_bool(c, node, "read-only", true);
    nx_prop_text(c, node, "driver", "raw");
    nx_prop_textf(c, node, "file", "%s-%zu-storage", owner, n);
    nx_cmdline_json(c, "-blockdev", node);
}

/* The overlay ends with the run: nothing is gained by waiting until it has reached the disk. */
static void add_no_flush(struct nx_cmdline *c, json_t *node)
{
    json_t *cache = json_object();
    nx_prop_bool(c, cache, "no-flush", true);
    if (json_object_set_new(node, "cache", cache) < 0)
        c->failed = true;
}

static void add_overlay_nodes(struct nx_cmdline *c, const struct nx_cmdline_image *image, size_t n)
{
    add_raw_node(c, image->path, "nxpk", n);
    add_file_node(c, image->overlay, "libvirt", n, false);
    json_t *node = json_object();
    nx_prop_textf(c, node, "node-name", "libvirt-%zu-format", n);
    nx_prop_bool(c, node, "read-only", false);
    add_no_flush(c, node);
    nx_prop_text(c, node, "driver", "qcow2");
    nx_prop_textf(c, node, "file", "libvirt-%zu-storage", n);
    nx_prop_textf(c, node, "backing", "nxpk-%zu-format", n);
    nx_cmdline_json(c, "-blockdev", node);
}

static const struct nx_cmdline_image *find_image(const struct nx_cmdline *c, const char *name)
{
    for (size_t i = 0; i < c->options->n_images; i++)
        if (strcmp(c->options->images[i].image, name) == 0)
            return &c->options->images[i];
    return NULL;
}

static int add_nodes(struct nx_cmdline *c, const struct nx_disk *disk, size_t n,
                     struct nx_error *err)
{
    const struct nx_cmdline_image *image = find_image(c, disk->image);
    if (!image || !image->path)
        return nx_fail(err, NX_ERR_FORMAT,
                       "disk %s: the package has no image called %s: it was packed wrongly",
                       disk->dev, disk->image);
    if (!disk->readonly && !image->overlay)
        return nx_fail(err, NX_ERR_USAGE, "disk %s: it can be written, but %s has no overlay",
                       disk->dev, disk->image);
    if (disk->readonly)
        add_raw_node(c, image->path, "libvirt", n);
    else
        add_overlay_nodes(c, image, n);
    return 0;
}

/* ---- the devices -------------------------------------------------------------- */

static bool is_narrow_scsi(const struct nx_machine *m, unsigned index)
{
    for (size_t i = 0; i < m->n_controllers; i++) {
        const struct nx_controller *k = &m->controllers[i];
        if (k->type == NX_CONTROLLER_SCSI && k->index == index)
            return !k->model || strcmp(k->model, "auto") == 0 || strcmp(k->model, "lsilogic") == 0;
    }
    return false;
}

/* The number that libvirt puts into "virtio-disk0": the disk's letters, from 0. */
static unsigned dev_number(const char *dev)
{
    unsigned n = 0;
    for (const char *letters = dev + 2; *letters; letters++)
        n = n * 26 + (unsigned)(*letters - 'a') + 1;
    return n - 1;
}

static json_t *ide_disk(struct nx_cmdline *c, const struct nx_disk *disk)
{
    const struct nx_address *a = &disk->address;
    json_t *props = nx_cmdline_device(c, disk->device == NX_DISK_CDROM ? "ide-cd" : "ide-hd");
    nx_prop_textf(c, props, "bus", "ide.%u", a->bus);
    nx_prop_uint(c, props, "unit", a->unit);
    nx_prop_textf(c, props, "id", "ide%u-%u-%u", a->controller, a->bus, a->unit);
    return props;
}

static json_t *sata_disk(struct nx_cmdline *c, const struct nx_disk *disk)
{
    const struct nx_address *a = &disk->address;
    json_t *props = nx_cmdline_device(c, disk->device == NX_DISK_CDROM ? "ide-cd" : "ide-hd");
    if (c->machine->q35 && a->controller == 0)
        nx_prop_textf(c, props, "bus", "ide.%u", a->unit);
    else
        nx_prop_textf(c, props, "bus", "sata%u.%u", a->controller, a->unit);
    nx_prop_textf(c, props, "id", "sata%u-%u-%u", a->controller, a->bus, a->unit);
    return props;
}

/* The name that the guest may find a disk by (/dev/disk/by-id): its serial number, else its id. */
static json_t *scsi_disk(struct nx_cmdline *c, const struct nx_disk *disk)
{
    const struct nx_address *a = &disk->address;
    json_t *props = nx_cmdline_device(c, disk->device == NX_DISK_CDROM ? "scsi-cd" : "scsi-hd");
    nx_prop_textf(c, props, "bus", "scsi%u.0", a->controller);
    if (is_narrow_scsi(c->machine, a->controller)) {
        nx_prop_uint(c, props, "scsi-id", a->unit);
        nx_prop_textf(c, props, "device_id", "drive-scsi%u-%u-%u", a->controller, a->bus, a->unit);
        nx_prop_textf(c, props, "id", "scsi%u-%u-%u", a->controller, a->bus, a->unit);
    } else {
        nx_prop_uint(c, props, "channel", a->bus);
        nx_prop_uint(c, props, "scsi-id", a->target);
        nx_prop_uint(c, props, "lun", a->unit);
        nx_prop_textf(c, props, "device_id", "drive-scsi%u-%u-%u-%u", a->controller, a->bus,
                      a->target, a->unit);
        nx_prop_textf(c, props, "id", "scsi%u-%u-%u-%u", a->controller, a->bus, a->target, a->unit);
    }
    nx_prop_text(c, props, "device_id", disk->serial && *disk->serial ? disk->serial : NULL);
    nx_prop_text(c, props, "vendor", disk->vendor);
    nx_prop_text(c, props, "product", disk->product);
    return props;
}

static json_t *virtio_disk(struct nx_cmdline *c, const struct nx_disk *disk)
{
    json_t *props = nx_cmdline_virtio(c, "virtio-blk", disk->model);
    nx_prop_nonzero(c, props, "num-queues", disk->queues);
    nx_prop_switch(c, props, "event_idx", disk->event_idx);
    nx_prop_switch(c, props, "packed", disk->packed);
    nx_prop_address(c, props, &disk->address);
    nx_prop_textf(c, props, "id", "virtio-disk%u", dev_number(disk->dev));
    return props;
}

static json_t *usb_disk(struct nx_cmdline *c, const struct nx_disk *disk)
{
    json_t *props = nx_cmdline_device(c, "usb-storage");
    nx_prop_address(c, props, &disk->address);
    nx_prop_textf(c, props, "id", "usb-disk%u", dev_number(disk->dev));
    nx_prop_bool(c, props, "removable", disk->removable);
    return props;
}

static json_t *floppy(struct nx_cmdline *c, const struct nx_disk *disk)
{
    json_t *props = nx_cmdline_device(c, "floppy");
    nx_prop_uint(c, props, "unit", disk->address.unit);
    nx_prop_textf(c, props, "id", "fdc0-0-%u", disk->address.unit);
    return props;
}

static json_t *disk_device(struct nx_cmdline *c, const struct nx_disk *disk)
{
    switch (disk->bus) {
    case NX_BUS_IDE:
        return ide_disk(c, disk);
    case NX_BUS_SATA:
        return sata_disk(c, disk);
    case NX_BUS_SCSI:
        return scsi_disk(c, disk);
    case NX_BUS_VIRTIO:
        return virtio_disk(c, disk);
    case NX_BUS_USB:
        return usb_disk(c, disk);
    case NX_BUS_FDC:
        return floppy(c, disk);
    }
    return NULL;
}

static bool takes_rotation_rate(const struct nx_disk *disk)
{
    return disk->device == NX_DISK_DISK &&
           (disk->bus == NX_BUS_IDE || disk->bus == NX_BUS_SATA || disk->bus == NX_BUS_SCSI);
}

static void add_common_props(struct nx_cmdline *c, const struct nx_disk *disk, json_t *props)
{
    bool has_wwn = disk->wwn && disk->bus != NX_BUS_VIRTIO && disk->bus != NX_BUS_USB;
    nx_prop_nonzero(c, props, "bootindex", nx_cmdline_disk_boot_index(c, disk));
    nx_prop_nonzero(c, props, "logical_block_size", disk->logical_block_size);
    nx_prop_nonzero(c, props, "physical_block_size", disk->physical_block_size);
    if (has_wwn)
        nx_prop_uint(c, props, "wwn", strtoull(disk->wwn, NULL, 16));
    if (takes_rotation_rate(disk))
        nx_prop_nonzero(c, props, "rotation_rate", disk->rotation_rate);
    nx_prop_text(c, props, "serial", disk->serial && *disk->serial ? disk->serial : NULL);
}

static int add_disk(struct nx_cmdline *c, const struct nx_disk *disk, size_t n,
                    struct nx_error *err)
{
    bool loaded = disk->image && !disk->tray_open;
    if (loaded && add_nodes(c, disk, n, err) < 0)
        return -1;
    json_t *props = disk_device(c, disk);
    if (loaded)
        nx_prop_textf(c, props, "drive", "libvirt-%zu-format", n);
    if (disk->bus != NX_BUS_FDC) /* whose place in the order of booting the controller has */
        add_common_props(c, disk, props);
    nx_cmdline_json(c, "-device", props);
    return 0;
}

/* Floppy drives: a pc has the controller on board, a q35 gets one. */
static void add_floppy_controller(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    json_t *fdc = NULL;
    for (size_t i = 0; i < m->n_controllers && m->q35; i++)
        if (m->controllers[i].type == NX_CONTROLLER_FDC && !fdc)
            fdc = nx_cmdline_device(c, "isa-fdc");
    for (size_t i = 0; i < m->n_disks; i++) {
        unsigned index = nx_cmdline_disk_boot_index(c, &m->disks[i]);
        char drive = m->disks[i].address.unit == 0 ? 'A' : 'B';
        if (m->disks[i].bus != NX_BUS_FDC || !index)
            continue;
        if (fdc) {
            nx_prop_uint(c, fdc, drive == 'A' ? "bootindexA" : "bootindexB", index);
        } else {
            nx_args_add(c->args, "-global");
            nx_args_addf(c->args, "isa-fdc.bootindex%c=%u", drive, index);
        }
    }
    if (fdc)
        nx_cmdline_json(c, "-device", fdc);
}

int nx_cmdline_disks(struct nx_cmdline *c, struct nx_error *err)
{
    const struct nx_machine *m = c->machine;
    add_floppy_controller(c);
    for (size_t i = 0; i < m->n_disks; i++)
        if (add_disk(c, &m->disks[i], m->n_disks - i, err) < 0)
            return -1;
    return 0;
}

static void add_flash(struct nx_cmdline *c, const char *path, unsigned n, bool readonly)
{
    json_t *file = nx_cmdline_device(c, "file");
    nx_prop_text(c, file, "filename", path);
    nx_prop_textf(c, file, "node-name", "libvirt-pflash%u-storage", n);
    nx_prop_bool(c, file, "auto-read-only", true);
    nx_prop_text(c, file, "discard", "unmap");
    nx_cmdline_json(c, "-blockdev", file);
    json_t *raw = json_object();
    nx_prop_textf(c, raw, "node-name", "libvirt-pflash%u-format", n);
    nx_prop_bool(c, raw, "read-only", readonly);
    nx_prop_text(c, raw, "driver", "raw");
    nx_prop_textf(c, raw, "file", "libvirt-pflash%u-storage", n);
    nx_cmdline_json(c, "-blockdev", raw);
}

int nx_cmdline_firmware(struct nx_cmdline *c, struct nx_error *err)
{
    const struct nx_cmdline_options *o = c->options;
    if (!c->machine->uefi)
        return 0;
    if (!o->firmware_code || !o->firmware_vars)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "the machine boots with UEFI, whose firmware is not here: install the "
                       "package ovmf");
    add_flash(c, o->firmware_code, 0, true);
    add_flash(c, o->firmware_vars, 1, false);
    return 0;
}
