/* SPDX-License-Identifier: MIT */
/* Everything below <devices>: one small function for each kind. */
#include "formats/machine-parse.h"

#include <stdio.h>
#include <string.h>

#include "formats/xml.h"

static struct nx_address parse_address(const xmlNode *device)
{
    struct nx_address a = { .type = NX_ADDRESS_NONE };
    const xmlNode *node = nx_xml_child(device, "address");
    if (!node)
        return a;
    if (nx_parse_is(node, "type", "pci"))
        a.type = NX_ADDRESS_PCI;
    else if (nx_parse_is(node, "type", "drive"))
        a.type = NX_ADDRESS_DRIVE;
    else if (nx_parse_is(node, "type", "usb"))
        a.type = NX_ADDRESS_USB;
    else if (nx_parse_is(node, "type", "virtio-serial"))
        a.type = NX_ADDRESS_VIRTIO_SERIAL;
    else
        a.type = NX_ADDRESS_ISA;
    a.controller = nx_parse_uint(node, "controller", 0);
    a.bus = nx_parse_uint(node, "bus", 0);
    a.slot = nx_parse_uint(node, "slot", 0);
    a.function = nx_parse_uint(node, "function", 0);
    a.multifunction = nx_parse_switch(node, "multifunction");
    a.target = nx_parse_uint(node, "target", 0);
    a.unit = nx_parse_uint(node, "unit", 0);
    a.iobase = nx_parse_uint(node, "iobase", 0);
    a.irq = nx_parse_uint(node, "irq", 0);
    NX_AUTO_FREE char *port = nx_xml_attr(node, "port");
    if (port)
        snprintf(a.port, sizeof a.port, "%s", port);
    return a;
}

static unsigned parse_boot_order(const xmlNode *device)
{
    const xmlNode *boot = nx_xml_child(device, "boot");
    return boot ? nx_parse_uint(boot, "order", 0) : 0;
}

static enum nx_disk_bus disk_bus(const xmlNode *target)
{
    static const struct {
        const char *name;
        enum nx_disk_bus bus;
    } buses[] = {
        { "ide", NX_BUS_IDE },       { "sata", NX_BUS_SATA }, { "scsi", NX_BUS_SCSI },
        { "virtio", NX_BUS_VIRTIO }, { "usb", NX_BUS_USB },   { "fdc", NX_BUS_FDC },
    };
    for (size_t i = 0; i < sizeof buses / sizeof *buses; i++)
        if (nx_parse_is(target, "bus", buses[i].name))
            return buses[i].bus;
    return NX_BUS_IDE;
}

static void parse_disk_source(struct nx_machine_parser *p, const xmlNode *node,
                              struct nx_disk *disk)
{
    const xmlNode *source = nx_xml_child(node, "source");
    const xmlNode *blockio = nx_xml_child(node, "blockio");
    const xmlNode *driver = nx_xml_child(node, "driver");
    disk->image = source ? nx_parse_string(p, source, "image") : NULL;
    if (blockio) {
        disk->logical_block_size = nx_parse_uint(blockio, "logical_block_size", 0);
        disk->physical_block_size = nx_parse_uint(blockio, "physical_block_size", 0);
    }
    if (driver) {
        disk->queues = nx_parse_uint(driver, "queues", 0);
        disk->event_idx = nx_parse_switch(driver, "event_idx");
        disk->packed = nx_parse_switch(driver, "packed");
    }
}

static void parse_disk(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_disk *disk = NX_PARSE_APPEND(p, m->disks, m->n_disks);
    if (!disk)
        return;
    const xmlNode *target = nx_xml_child(node, "target");
    disk->device = nx_parse_is(node, "device", "cdrom")    ? NX_DISK_CDROM
                   : nx_parse_is(node, "device", "floppy") ? NX_DISK_FLOPPY
                                                           : NX_DISK_DISK;
    disk->model = nx_parse_string(p, node, "model");
    disk->dev = nx_parse_string(p, target, "dev");
    disk->bus = disk_bus(target);
    disk->tray_open = nx_parse_is(target, "tray", "open");
    disk->removable = nx_parse_is(target, "removable", "on");
    disk->rotation_rate = nx_parse_uint(target, "rotation_rate", 0);
    disk->readonly = disk->device == NX_DISK_CDROM || nx_xml_child(node, "readonly");
    disk->serial = nx_parse_child_text(p, node, "serial");
    disk->wwn = nx_parse_child_text(p, node, "wwn");
    disk->vendor = nx_parse_child_text(p, node, "vendor");
    disk->product = nx_parse_child_text(p, node, "product");
    disk->boot_order = parse_boot_order(node);
    disk->address = parse_address(node);
    parse_disk_source(p, node, disk);
}

static enum nx_controller_type controller_type(const xmlNode *node)
{
    static const struct {
        const char *name;
        enum nx_controller_type type;
    } types[] = {
        { "pci", NX_CONTROLLER_PCI },   { "ide", NX_CONTROLLER_IDE },
        { "sata", NX_CONTROLLER_SATA }, { "scsi", NX_CONTROLLER_SCSI },
        { "usb", NX_CONTROLLER_USB },   { "virtio-serial", NX_CONTROLLER_VIRTIO_SERIAL },
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (nx_parse_is(node, "type", types[i].name))
            return types[i].type;
    return NX_CONTROLLER_FDC;
}

static void parse_controller(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_controller *c = NX_PARSE_APPEND(p, m->controllers, m->n_controllers);
    if (!c)
        return;
    const xmlNode *model = nx_xml_child(node, "model");
    const xmlNode *target = nx_xml_child(node, "target");
    const xmlNode *master = nx_xml_child(node, "master");
    const xmlNode *driver = nx_xml_child(node, "driver");
    c->type = controller_type(node);
    c->index = nx_parse_uint(node, "index", 0);
    c->model = nx_parse_string(p, node, "model");
    c->ports = nx_parse_uint(node, "ports", 0);
    c->vectors = nx_parse_uint(node, "vectors", 0);
    c->queues = driver ? nx_parse_uint(driver, "queues", 0) : 0;
    c->model_name = model ? nx_parse_string(p, model, "name") : NULL;
    if (target) {
        c->chassis = nx_parse_uint(target, "chassis", 0);
        c->chassis_nr = nx_parse_uint(target, "chassisNr", 0);
        c->port = nx_parse_uint(target, "port", 0);
        c->has_port = xmlHasProp(target, (const xmlChar *)"port");
        c->hotplug = nx_parse_switch(target, "hotplug");
    }
    c->is_companion = master;
    c->start_port = master ? nx_parse_uint(master, "startport", 0) : 0;
    c->address = parse_address(node);
}

static void parse_nic(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_nic *nic = NX_PARSE_APPEND(p, m->nics, m->n_nics);
    if (!nic)
        return;
    const xmlNode *mac = nx_xml_child(node, "mac");
    const xmlNode *model = nx_xml_child(node, "model");
    const xmlNode *link = nx_xml_child(node, "link");
    const xmlNode *mtu = nx_xml_child(node, "mtu");
    const xmlNode *rom = nx_xml_child(node, "rom");
    const xmlNode *driver = nx_xml_child(node, "driver");
    NX_AUTO_FREE char *address = mac ? nx_parse_string(p, mac, "address") : NULL;
    snprintf(nic->mac, sizeof nic->mac, "%s", address ? address : "");
    nic->model = model ? nx_parse_string(p, model, "type") : strdup("rtl8139");
    if (!nic->model)
        p->no_memory = true;
    nic->boot_order = parse_boot_order(node);
    nic->link_down = link && nx_parse_is(link, "state", "down");
    nic->mtu = mtu ? nx_parse_uint(mtu, "size", 0) : 0;
    nic->rom_bar = rom ? nx_parse_switch(rom, "bar") : NX_UNSAID;
    nic->queues = driver ? nx_parse_uint(driver, "queues", 0) : 0;
    nic->address = parse_address(node);
}

/* A serial port's device: by its model, else by its target type, else where it is plugged in. */
static char *serial_target(struct nx_machine_parser *p, const xmlNode *target,
                           const struct nx_address *address)
{
    const xmlNode *model = target ? nx_xml_child(target, "model") : NULL;
    char *name = model ? nx_parse_string(p, model, "name") : NULL;
    if (!name && target && !nx_parse_is(target, "type", "serial"))
        name = nx_parse_string(p, target, "type");
    if (!name)
        name = strdup(address->type == NX_ADDRESS_PCI   ? "pci-serial"
                      : address->type == NX_ADDRESS_USB ? "usb-serial"
                                                        : "isa-serial");
    if (!name)
        p->no_memory = true;
    return name;
}

/* Elements of the same name before this one: consoles count the one that is a serial port, too. */
static unsigned count_before(const xmlNode *node)
{
    unsigned n = 0;
    for (const xmlNode *other = nx_xml_child(node->parent, (const char *)node->name);
         other && other != node; other = nx_xml_next(other, (const char *)node->name))
        n++;
    return n;
}

static void parse_chardev(struct nx_machine_parser *p, const xmlNode *node,
                          enum nx_chardev_kind kind)
{
    struct nx_machine *m = p->machine;
    struct nx_chardev *c = NX_PARSE_APPEND(p, m->chardevs, m->n_chardevs);
    if (!c)
        return;
    const xmlNode *target = nx_xml_child(node, "target");
    c->kind = kind;
    c->number = count_before(node);
    c->address = parse_address(node);
    c->port = target ? nx_parse_uint(target, "port", 0) : 0;
    if (kind == NX_CHARDEV_CHANNEL)
        c->name = nx_parse_string(p, target, "name");
    if (kind == NX_CHARDEV_SERIAL)
        c->target = serial_target(p, target, &c->address);
}

static void parse_serial(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_chardev(p, node, NX_CHARDEV_SERIAL);
}

static void parse_parallel(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_chardev(p, node, NX_CHARDEV_PARALLEL);
}

static bool has_serial_port(const struct nx_machine *m)
{
    for (size_t i = 0; i < m->n_chardevs; i++)
        if (m->chardevs[i].kind == NX_CHARDEV_SERIAL)
            return true;
    return false;
}

/* Consoles of type "serial" are the first serial port once more; libvirt makes that port if it
 * is not there.
 */
static void parse_console(struct nx_machine_parser *p, const xmlNode *node)
{
    const xmlNode *target = nx_xml_child(node, "target");
    if (target && nx_parse_is(target, "type", "virtio"))
        parse_chardev(p, node, NX_CHARDEV_CONSOLE);
    else if (!nx_xml_child(node->parent, "serial") && !has_serial_port(p->machine))
        parse_chardev(p, node, NX_CHARDEV_SERIAL);
}

static void parse_channel(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_chardev(p, node, NX_CHARDEV_CHANNEL);
}

static void parse_redirdev(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_chardev(p, node, NX_CHARDEV_REDIR);
}

static void parse_input(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_input *input = NX_PARSE_APPEND(p, m->inputs, m->n_inputs);
    if (!input)
        return;
    input->type = nx_parse_string(p, node, "type");
    input->bus = nx_parse_string(p, node, "bus");
    input->model = nx_parse_string(p, node, "model");
    input->address = parse_address(node);
    if (!input->bus) /* as libvirt: a tablet is USB, the others PS/2 */
        input->bus = strdup(nx_parse_is(node, "type", "tablet") ? "usb" : "ps2");
    if (!input->bus)
        p->no_memory = true;
}

static void parse_video(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_video *video = NX_PARSE_APPEND(p, m->videos, m->n_videos);
    if (!video)
        return;
    const xmlNode *model = nx_xml_child(node, "model");
    const xmlNode *resolution = nx_xml_child(model, "resolution");
    video->model = nx_parse_string(p, model, "type");
    video->primary = nx_parse_is(model, "primary", "yes") || m->n_videos == 1;
    video->vram = nx_parse_uint(model, "vram", 0);
    video->ram = nx_parse_uint(model, "ram", 0);
    video->vgamem = nx_parse_uint(model, "vgamem", 0);
    video->vram64 = nx_parse_uint(model, "vram64", 0);
    video->heads = nx_parse_uint(model, "heads", 0);
    video->x = resolution ? nx_parse_uint(resolution, "x", 0) : 0;
    video->y = resolution ? nx_parse_uint(resolution, "y", 0) : 0;
    video->address = parse_address(node);
}

static void parse_sound(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_sound *sound = NX_PARSE_APPEND(p, m->sounds, m->n_sounds);
    if (!sound)
        return;
    sound->model = nx_parse_string(p, node, "model");
    sound->address = parse_address(node);
    for (const xmlNode *n = nx_xml_child(node, "codec"); n; n = nx_xml_next(n, "codec")) {
        char **codec = NX_PARSE_APPEND(p, sound->codecs, sound->n_codecs);
        if (codec)
            *codec = nx_parse_string(p, n, "type");
    }
}

static struct nx_simple_device *parse_simple(struct nx_machine_parser *p, const xmlNode *node,
                                             struct nx_simple_device **array, size_t *count)
{
    struct nx_simple_device *device = NX_PARSE_APPEND(p, *array, *count);
    if (device) {
        device->model = nx_parse_string(p, node, "model");
        device->action = nx_parse_string(p, node, "action");
        device->autodeflate = nx_parse_switch(node, "autodeflate");
        device->free_page_reporting = nx_parse_switch(node, "freePageReporting");
        device->address = parse_address(node);
    }
    return device;
}

static void parse_rng(struct nx_machine_parser *p, const xmlNode *node)
{
    struct nx_machine *m = p->machine;
    struct nx_simple_device *rng = parse_simple(p, node, &m->rngs, &m->n_rngs);
    const xmlNode *rate = nx_xml_child(node, "rate");
    if (rng && rate) {
        rng->bytes = nx_parse_uint(rate, "bytes", 0);
        rng->period = nx_parse_uint(rate, "period", 0);
    }
}

static void parse_memballoon(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_simple(p, node, &p->machine->balloons, &p->machine->n_balloons);
}

static void parse_watchdog(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_simple(p, node, &p->machine->watchdogs, &p->machine->n_watchdogs);
}

static void parse_panic(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_simple(p, node, &p->machine->panics, &p->machine->n_panics);
}

static void parse_hub(struct nx_machine_parser *p, const xmlNode *node)
{
    parse_simple(p, node, &p->machine->hubs, &p->machine->n_hubs);
}

static const struct {
    const char *element;
    void (*parse)(struct nx_machine_parser *p, const xmlNode *node);
} kinds[] = {
    { "disk", parse_disk },         { "controller", parse_controller },
    { "interface", parse_nic },     { "serial", parse_serial },
    { "parallel", parse_parallel }, { "console", parse_console },
    { "channel", parse_channel },   { "redirdev", parse_redirdev },
    { "input", parse_input },       { "video", parse_video },
    { "sound", parse_sound },       { "rng", parse_rng },
    { "watchdog", parse_watchdog }, { "memballoon", parse_memballoon },
    { "panic", parse_panic },       { "hub", parse_hub },
};

static void parse_device(struct nx_machine_parser *p, const xmlNode *node)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].element, (const char *)node->name) == 0)
            kinds[i].parse(p, node);
}

int nx_parse_devices(struct nx_machine_parser *p, const xmlNode *devices, struct nx_error *err)
{
    for (const xmlNode *n = devices->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (++p->n_devices > NX_MACHINE_MAX_DEVICES)
            return nx_fail(err, NX_ERR_FORMAT, "%s:%ld: more than %d devices", p->name,
                           xmlGetLineNo(n), NX_MACHINE_MAX_DEVICES);
        parse_device(p, n);
    }
    return 0;
}
