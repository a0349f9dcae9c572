/* SPDX-License-Identifier: MIT */
/* The elements of libvirt's XML that are more than their attributes: what stands
 * behind them on the author's host is found out here, and replaced.
 */
#include "formats/domain-reduce.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "formats/xml.h"

static void set(struct nx_reducer *reducer, xmlNode *node, const char *name, const char *value)
{
    if (!xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value))
        reducer->no_memory = true;
}

static void unset(xmlNode *node, const char *name)
{
    xmlUnsetProp(node, (const xmlChar *)name);
}

/* <child name='value'/> at the end of node. */
static void add(struct nx_reducer *reducer, xmlNode *node, const char *child, const char *name,
                const char *value)
{
    xmlNode *added = xmlNewChild(node, NULL, (const xmlChar *)child, NULL);
    if (!added) {
        reducer->no_memory = true;
        return;
    }
    added->line = node->line;
    set(reducer, added, name, value);
}

static bool attr_is(const xmlNode *node, const char *name, const char *value)
{
    NX_AUTO_FREE char *found = nx_xml_attr(node, name);
    return found && strcmp(found, value) == 0;
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static char *copy(struct nx_reducer *reducer, const char *text)
{
    char *copied = strdup(text);
    if (!copied)
        reducer->no_memory = true;
    return copied;
}

/* ---- firmware ---------------------------------------------------------------- */

static bool wants_secure_boot(const xmlNode *os, const xmlNode *loader)
{
    if (loader && attr_is(loader, "secure", "yes"))
        return true;
    const xmlNode *firmware = nx_xml_child(os, "firmware");
    const xmlNode *feature = firmware ? nx_xml_child(firmware, "feature") : NULL;
    for (; feature; feature = nx_xml_next(feature, "feature"))
        if (attr_is(feature, "name", "secure-boot") && attr_is(feature, "enabled", "yes"))
            return true;
    return false;
}

/* The variables' file: the element's text, or <source file='…'/> below it; NULL if neither. */
static char *nvram_path(const xmlNode *nvram)
{
    const xmlNode *source = nx_xml_child(nvram, "source");
    if (source)
        return nx_xml_attr(source, "file");
    char *text = nx_xml_text(nvram);
    if (text && *text)
        return text;
    free(text);
    return NULL;
}

static void take_nvram(struct nx_reducer *reducer, const xmlNode *nvram, xmlNode *os)
{
    NX_AUTO_FREE char *type = nx_xml_attr(nvram, "type");
    if (type && strcmp(type, "file") != 0) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, nvram, "keep the UEFI variables in a file",
                       "<nvram type='%.40s'> keeps the UEFI variables outside of this host", type);
        return;
    }
    NX_AUTO_FREE char *path = nvram_path(nvram);
    if (!path || reducer->domain->nvram)
        return;
    struct nx_domain_disk *image = calloc(1, sizeof *image);
    if (!image) {
        reducer->no_memory = true;
        return;
    }
    image->image = copy(reducer, NX_DOMAIN_NVRAM_IMAGE);
    image->path = NX_STEAL(path);
    image->format = nx_xml_attr(nvram, "format");
    image->line = (int)xmlGetLineNo(nvram);
    reducer->domain->nvram = image;
    add(reducer, os, "nvram", "image", NX_DOMAIN_NVRAM_IMAGE);
}

static void check_smbios(struct nx_reducer *reducer, const xmlNode *os)
{
    const xmlNode *smbios = nx_xml_child(os, "smbios");
    if (smbios && !attr_is(smbios, "mode", "emulate"))
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, smbios, "remove <smbios>",
                       "<smbios> shows the guest this host's or the author's SMBIOS strings, "
                       "which packages do not carry");
}

void nx_reduce_finish_os(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    const xmlNode *loader = nx_xml_child(source, "loader");
    const xmlNode *nvram = nx_xml_child(source, "nvram");
    bool uefi = attr_is(source, "firmware", "efi") || (loader && attr_is(loader, "type", "pflash"));
    check_smbios(reducer, source);
    if (!uefi && loader) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, loader,
                       "remove <loader> for a PC BIOS, or say <os firmware='efi'> for UEFI",
                       "<loader> is firmware of this host that is neither QEMU's BIOS nor UEFI in "
                       "flash memory");
        return;
    }
    unset(reduced, "firmware"); /* 'bios' is the default */
    if (!uefi)
        return;
    if (loader && attr_is(loader, "readonly", "no")) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, loader, "say <os firmware='efi'> instead",
                       "<loader readonly='no'> keeps firmware and variables in one file");
        return;
    }
    set(reducer, reduced, "firmware", "efi");
    if (wants_secure_boot(source, loader))
        add(reducer, reduced, "loader", "secure", "yes");
    if (nvram)
        take_nvram(reducer, nvram, reduced);
}

/* ---- clock ------------------------------------------------------------------- */

void nx_reduce_finish_clock(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    NX_AUTO_FREE char *offset = nx_xml_attr(source, "offset");
    const char *result = offset ? offset : "utc";
    if (strcmp(result, "timezone") == 0) {
        nx_reduce_note(reducer, NX_DOMAIN_CHANGED, source, "",
                       "the clock shows the user's local time instead of one time zone's");
        result = "localtime";
    }
    set(reducer, reduced, "offset", result);
    /* utc and localtime may say adjustment='reset': what libvirt does with its own records. */
    if (strcmp(result, "variable") != 0) {
        unset(reduced, "adjustment");
        unset(reduced, "basis");
    } else if (attr_is(reduced, "adjustment", "reset")) {
        unset(reduced, "adjustment");
    }
}

/* ---- disks ------------------------------------------------------------------- */

static const char *const disk_source_children[] = { "seclabel", "privateData", NULL };

/* file= or dev= of the <source>; NULL for none (an empty drive). */
static char *disk_path(struct nx_reducer *reducer, const xmlNode *disk, bool block)
{
    const xmlNode *source = nx_xml_child(disk, "source");
    if (!source)
        return NULL;
    for (const xmlNode *n = source->children; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE && !is_one_of((const char *)n->name, disk_source_children))
            nx_reduce_note(reducer, NX_DOMAIN_REFUSED, n,
                           "convert the disk to a plain image (qemu-img convert)",
                           "<%.60s> in a disk's source needs more than the file to read it",
                           (const char *)n->name);
    char *path = nx_xml_attr(source, block ? "dev" : "file");
    if (path && *path)
        return path;
    free(path);
    return NULL;
}

static struct nx_domain_disk *append_disk(struct nx_reducer *reducer, const xmlNode *source)
{
    struct nx_domain *domain = reducer->domain;
    if (domain->n_disks == NX_DOMAIN_MAX_DISKS) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, "remove some",
                       "<disk>: more than %d disks", NX_DOMAIN_MAX_DISKS);
        return NULL;
    }
    struct nx_domain_disk *disk = &domain->disks[domain->n_disks++];
    disk->line = (int)xmlGetLineNo(source);
    return disk;
}

/* Is it a disk whose contents can be read from this host, and that a guest elsewhere can have? */
static bool check_disk_kind(struct nx_reducer *reducer, const xmlNode *source, const char *type,
                            const char *device)
{
    if (strcmp(type, "file") != 0 && strcmp(type, "block") != 0) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source,
                       "copy it into an image file (qemu-img convert) and use <disk type='file'>",
                       "<disk type='%.40s'> is neither a file nor a block device of this host",
                       type);
        return false;
    }
    if (strcmp(device, "lun") == 0) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, "say device='disk' instead",
                       "<disk device='lun'> passes SCSI commands to a device of this host");
        return false;
    }
    return true;
}

static void reference_image(struct nx_reducer *reducer, struct nx_domain_disk *disk,
                            xmlNode *reduced)
{
    xmlNode *source = xmlNewNode(NULL, (const xmlChar *)"source");
    if (!source || asprintf(&disk->image, "disk%zu", reducer->n_images++) < 0) {
        disk->image = NULL;
        xmlFreeNode(source);
        reducer->no_memory = true;
        return;
    }
    source->line = reduced->line;
    if (reduced->children)
        xmlAddPrevSibling(reduced->children, source);
    else
        xmlAddChild(reduced, source);
    set(reducer, source, "image", disk->image);
}

void nx_reduce_finish_disk(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    NX_AUTO_FREE char *type_said = nx_xml_attr(source, "type");
    NX_AUTO_FREE char *device_said = nx_xml_attr(source, "device");
    const char *type = type_said ? type_said : "file";
    const char *device = device_said ? device_said : "disk";
    if (!check_disk_kind(reducer, source, type, device))
        return;
    struct nx_domain_disk *disk = append_disk(reducer, source);
    if (!disk)
        return;
    disk->block = strcmp(type, "block") == 0;
    disk->device = strcmp(device, "cdrom") == 0    ? NX_DISK_CDROM
                   : strcmp(device, "floppy") == 0 ? NX_DISK_FLOPPY
                                                   : NX_DISK_DISK;
    disk->readonly = disk->device == NX_DISK_CDROM || nx_xml_child(source, "readonly");
    const xmlNode *driver = nx_xml_child(source, "driver");
    disk->format = driver ? nx_xml_attr(driver, "type") : NULL;
    disk->path = disk_path(reducer, source, disk->block);
    set(reducer, reduced, "type", "file");
    set(reducer, reduced, "device", device);
    if (disk->path)
        reference_image(reducer, disk, reduced);
    else if (disk->device == NX_DISK_DISK)
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source,
                       "give it a <source file='…'/>, or remove the disk",
                       "<disk> names no image to pack");
}

/* ---- what has another end ------------------------------------------------------ */

static const char *const replaceable_networks[] = {
    "user",  "network", "bridge", "direct", "ethernet", "internal", "udp",
    "mcast", "server",  "client", "null",   "vds",      NULL,
};

void nx_reduce_finish_interface(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    NX_AUTO_FREE char *type = nx_xml_attr(source, "type");
    if (!type || !is_one_of(type, replaceable_networks)) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, "make it <interface type='user'>",
                       "<interface type='%.40s'> hands network hardware of this host to the guest",
                       type ? type : "");
        return;
    }
    if (strcmp(type, "user") != 0)
        nx_reduce_note(reducer, NX_DOMAIN_CHANGED, source, "",
                       "<interface type='%s'> becomes user-mode networking with the same card",
                       type);
    set(reducer, reduced, "type", "user");
}

static const char *const quiet_chardevs[] = { "pty", "null", "unix", "spicevmc", NULL };

void nx_reduce_finish_chardev(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    const char *name = (const char *)source->name;
    NX_AUTO_FREE char *type = nx_xml_attr(source, "type");
    const xmlNode *target = nx_xml_child(source, "target");
    if (strcmp(name, "channel") == 0 && (!target || !attr_is(target, "type", "virtio"))) {
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source,
                       "make it <target type='virtio'>, or remove the channel",
                       "<channel> is not a virtio channel: it leads to a service of this host");
        return;
    }
    if (type && !is_one_of(type, quiet_chardevs))
        nx_reduce_note(reducer, NX_DOMAIN_CHANGED, source, "",
                       "<%s type='%.40s'> is cut off this host; the guest keeps the device", name,
                       type);
    set(reducer, reduced, "type", "null");
}

void nx_reduce_finish_redirdev(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    if (!attr_is(source, "type", "spicevmc"))
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, "remove it from the machine",
                       "<redirdev> hands a USB device of a host to the guest");
    set(reducer, reduced, "type", "null");
}

void nx_reduce_finish_input(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    if (attr_is(source, "type", "passthrough") || attr_is(source, "type", "evdev"))
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source,
                       "make it a tablet, mouse or keyboard on bus='usb'",
                       "<input> hands an input device of this host to the guest");
    (void)reduced;
}

void nx_reduce_finish_rng(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    const xmlNode *backend = nx_xml_child(source, "backend");
    if (backend && attr_is(backend, "model", "egd"))
        nx_reduce_note(reducer, NX_DOMAIN_CHANGED, backend, "",
                       "<rng> gets its random numbers from QEMU instead of a daemon");
    add(reducer, reduced, "backend", "model", "builtin");
}
