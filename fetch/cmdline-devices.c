/* SPDX-License-Identifier: MIT */
/* Controllers, network cards, serial ports and all other devices but disks. */
#include "fetch/cmdline-builder.h"

#include <string.h>
#include <sys/random.h>

static bool is(const char *word, const char *other)
{
    return word && strcmp(word, other) == 0;
}

/* libvirt's word -> QEMU's device. */
struct word_pair {
    const char *word;
    const char *driver;
};

static const char *look_up(const struct word_pair *table, const char *word, const char *dflt)
{
    for (; table->word; table++)
        if (is(word, table->word))
            return table->driver;
    return dflt;
}

/* ---- controllers --------------------------------------------------------------- */

static json_t *pci_controller(struct nx_cmdline *c, const struct nx_controller *k)
{
    static const struct word_pair drivers[] = {
        { "pci-bridge", "pci-bridge" },
        { "pcie-to-pci-bridge", "pcie-pci-bridge" },
        { "dmi-to-pci-bridge", "i82801b11-bridge" },
        { NULL, NULL },
    };
    bool root_port = is(k->model, "pcie-root-port");
    json_t *props = nx_cmdline_device(
        c, root_port ? (is(k->model_name, "ioh3420") ? "ioh3420" : "pcie-root-port")
                     : look_up(drivers, k->model, "pci-bridge"));
    if (root_port) {
        unsigned port = k->address.slot << 3 | k->address.function;
        nx_prop_uint(c, props, "port", k->has_port ? k->port : port);
        nx_prop_uint(c, props, "chassis", k->chassis ? k->chassis : k->index);
        if (k->hotplug == NX_OFF)
            nx_prop_bool(c, props, "hotplug", false);
    } else if (is(k->model, "pci-bridge")) {
        nx_prop_uint(c, props, "chassis_nr", k->chassis_nr ? k->chassis_nr : k->index);
    }
    nx_prop_textf(c, props, "id", "pci.%u", k->index);
    return props;
}

static json_t *usb_controller(struct nx_cmdline *c, const struct nx_controller *k)
{
    static const struct word_pair drivers[] = {
        { "piix3-uhci", "piix3-usb-uhci" },
        { "piix4-uhci", "piix4-usb-uhci" },
        { "ehci", "usb-ehci" },
        { "ich9-ehci1", "ich9-usb-ehci1" },
        { "ich9-uhci1", "ich9-usb-uhci1" },
        { "ich9-uhci2", "ich9-usb-uhci2" },
        { "ich9-uhci3", "ich9-usb-uhci3" },
        { "vt82c686b-uhci", "vt82c686b-usb-uhci" },
        { "pci-ohci", "pci-ohci" },
        { "nec-xhci", "nec-usb-xhci" },
        { "qemu-xhci", "qemu-xhci" },
        { NULL, NULL },
    };
    json_t *props = nx_cmdline_device(
        c, look_up(drivers, k->model, c->machine->q35 ? "qemu-xhci" : "piix3-usb-uhci"));
    if (k->is_companion) {
        if (k->index == 0)
            nx_prop_text(c, props, "masterbus", "usb.0");
        else
            nx_prop_textf(c, props, "masterbus", "usb%u.0", k->index);
        nx_prop_uint(c, props, "firstport", k->start_port);
        return props;
    }
    nx_prop_nonzero(c, props, "p2", k->ports);
    nx_prop_nonzero(c, props, "p3", k->ports);
    if (k->index == 0)
        nx_prop_text(c, props, "id", "usb");
    else
        nx_prop_textf(c, props, "id", "usb%u", k->index);
    return props;
}

static json_t *scsi_controller(struct nx_cmdline *c, const struct nx_controller *k)
{
    static const struct word_pair drivers[] = {
        { "lsisas1068", "mptsas1068" },
        { "lsisas1078", "megasas" },
        { NULL, NULL },
    };
    bool virtio = k->model && strncmp(k->model, "virtio", strlen("virtio")) == 0;
    json_t *props = virtio ? nx_cmdline_virtio(c, "virtio-scsi", k->model)
                           : nx_cmdline_device(c, look_up(drivers, k->model, "lsi"));
    nx_prop_textf(c, props, "id", "scsi%u", k->index);
    if (virtio)
        nx_prop_nonzero(c, props, "num_queues", k->queues);
    return props;
}

static json_t *controller(struct nx_cmdline *c, const struct nx_controller *k)
{
    json_t *props;
    switch (k->type) {
    case NX_CONTROLLER_PCI:
        return pci_controller(c, k);
    case NX_CONTROLLER_USB:
        return usb_controller(c, k);
    case NX_CONTROLLER_SCSI:
        return scsi_controller(c, k);
    case NX_CONTROLLER_SATA:
        props = nx_cmdline_device(c, "ahci");
        nx_prop_textf(c, props, "id", "sata%u", k->index);
        return props;
    case NX_CONTROLLER_VIRTIO_SERIAL:
        props = nx_cmdline_virtio(c, "virtio-serial", k->model);
        nx_prop_textf(c, props, "id", "virtio-serial%u", k->index);
        nx_prop_nonzero(c, props, "max_ports", k->ports);
        nx_prop_nonzero(c, props, "vectors", k->vectors);
        return props;
    case NX_CONTROLLER_IDE:
    case NX_CONTROLLER_FDC: /* with the floppies: cmdline-disks.c */
        break;
    }
    return NULL;
}

static void add_controller(struct nx_cmdline *c, const struct nx_controller *k)
{
    json_t *props = k->builtin ? NULL : controller(c, k);
    if (!props)
        return;
    nx_prop_address(c, props, &k->address);
    nx_cmdline_json(c, "-device", props);
}

/* A bus must exist before what is plugged into it: bridges by their index, USB 2 controllers before
 * their companions.
 */
static void add_controllers(struct nx_cmdline *c, enum nx_controller_type type, bool companions)
{
    const struct nx_machine *m = c->machine;
    unsigned last = 0;
    for (size_t i = 0; i < m->n_controllers; i++)
        if (m->controllers[i].index > last)
            last = m->controllers[i].index;
    for (unsigned index = 0; index <= last; index++)
        for (size_t i = 0; i < m->n_controllers; i++) {
            const struct nx_controller *k = &m->controllers[i];
            if (k->type == type && k->index == index && k->is_companion == companions)
                add_controller(c, k);
        }
}

void nx_cmdline_controllers(struct nx_cmdline *c)
{
    add_controllers(c, NX_CONTROLLER_PCI, false);
    add_controllers(c, NX_CONTROLLER_USB, false);
    add_controllers(c, NX_CONTROLLER_USB, true);
    add_controllers(c, NX_CONTROLLER_SCSI, false);
    add_controllers(c, NX_CONTROLLER_SATA, false);
    add_controllers(c, NX_CONTROLLER_VIRTIO_SERIAL, false);
}

void nx_cmdline_hubs(struct nx_cmdline *c)
{
    for (size_t i = 0; i < c->machine->n_hubs; i++) {
        json_t *props = nx_cmdline_device(c, "usb-hub");
        nx_prop_textf(c, props, "id", "hub%zu", i);
        nx_prop_address(c, props, &c->machine->hubs[i].address);
        nx_cmdline_json(c, "-device", props);
    }
}

/* ---- network ------------------------------------------------------------------- */

static json_t *forward_rules(struct nx_cmdline *c)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < c->options->n_forwards; i++) {
        const struct nx_cmdline_forward *f = &c->options->forwards[i];
        json_t *rule = json_object();
        nx_prop_textf(c, rule, "str", "%s:%s:%u-:%u", f->udp ? "udp" : "tcp",
                      f->host_address ? f->host_address : "127.0.0.1", f->host_port, f->guest_port);
        if (json_array_append_new(rules, rule) < 0)
            c->failed = true;
    }
    return rules;
}

/* Without a network the card is on a hub of its own: a cable that leads nowhere.  A saved state may have the
 * network's own state in it, which only a network takes: then it is one from which nothing leaves.
 */
static void add_netdev(struct nx_cmdline *c, size_t i)
{
    json_t *props = json_object();
    bool hub = c->options->no_network && !c->options->incoming;
    nx_prop_text(c, props, "type", hub ? "hubport" : "user");
    if (c->options->no_network && !hub)
        nx_prop_bool(c, props, "restrict", true);
    else if (hub)
        nx_prop_uint(c, props, "hubid", i);
    else if (i == 0 && c->options->n_forwards &&
             json_object_set_new(props, "hostfwd", forward_rules(c)) < 0)
        c->failed = true;
    nx_prop_textf(c, props, "id", "hostnet%zu", i);
    nx_cmdline_json(c, "-netdev", props);
}

/* QEMU's own range of locally administered addresses. */
static void add_mac(struct nx_cmdline *c, json_t *props, const struct nx_nic *nic)
{
    uint8_t random[3];
    bool made_up = c->options->new_macs && !c->options->incoming &&
                   getrandom(random, sizeof random, 0) == (ssize_t)sizeof random;
    if (made_up)
        nx_prop_textf(c, props, "mac", "52:54:00:%02x:%02x:%02x", random[0], random[1], random[2]);
    else
        nx_prop_text(c, props, "mac", *nic->mac ? nic->mac : NULL);
}

static void add_nic(struct nx_cmdline *c, const struct nx_nic *nic, size_t i)
{
    bool virtio = strncmp(nic->model, "virtio", strlen("virtio")) == 0;
    add_netdev(c, i);
    json_t *props =
        virtio ? nx_cmdline_virtio(c, "virtio-net", nic->model) : nx_cmdline_device(c, nic->model);
    if (virtio)
        nx_prop_nonzero(c, props, "host_mtu", nic->mtu);
    nx_prop_textf(c, props, "netdev", "hostnet%zu", i);
    nx_prop_textf(c, props, "id", "net%zu", i);
    add_mac(c, props, nic);
    nx_prop_nonzero(c, props, "bootindex", nx_cmdline_nic_boot_index(c, nic));
    if (nic->rom_bar != NX_UNSAID && nic->address.type == NX_ADDRESS_PCI)
        nx_prop_uint(c, props, "rombar", nic->rom_bar == NX_ON);
    nx_prop_address(c, props, &nic->address);
    nx_cmdline_json(c, "-device", props);
}

int nx_cmdline_network(struct nx_cmdline *c, struct nx_error *err)
{
    const struct nx_machine *m = c->machine;
    if (c->options->n_forwards && c->options->no_network)
        return nx_fail(err, NX_ERR_USAGE, "--forward: there is no network (--no-network)");
    if (c->options->n_forwards && !m->n_nics)
        return nx_fail(err, NX_ERR_USAGE, "--forward: the machine has no network card");
    for (size_t i = 0; i < m->n_nics; i++)
        add_nic(c, &m->nics[i], i);
    return 0;
}

/* ---- serial ports and the like ---------------------------------------------------- */

static const char *chardev_name(const struct nx_chardev *d)
{
    static const char *const names[] = {
        [NX_CHARDEV_SERIAL] = "serial",   [NX_CHARDEV_PARALLEL] = "parallel",
        [NX_CHARDEV_CONSOLE] = "console", [NX_CHARDEV_CHANNEL] = "channel",
        [NX_CHARDEV_REDIR] = "redir",
    };
    return names[d->kind];
}

/* The device that --serial means: the first serial port, else the first virtio console. */
static const struct nx_chardev *find_terminal(const struct nx_machine *m)
{
    for (size_t i = 0; i < m->n_chardevs; i++)
        if (m->chardevs[i].kind == NX_CHARDEV_SERIAL)
            return &m->chardevs[i];
    for (size_t i = 0; i < m->n_chardevs; i++)
        if (m->chardevs[i].kind == NX_CHARDEV_CONSOLE)
            return &m->chardevs[i];
    return NULL;
}

bool nx_cmdline_has_terminal(const struct nx_machine *machine)
{
    return find_terminal(machine) != NULL;
}

static void add_chardev(struct nx_cmdline *c, const struct nx_chardev *d, bool is_terminal)
{
    enum nx_cmdline_serial end = is_terminal ? c->options->serial : NX_SERIAL_NULL;
    NX_AUTO_FREE char *path = end == NX_SERIAL_FILE || end == NX_SERIAL_UNIX
                                  ? nx_cmdline_escape(c, c->options->serial_path)
                                  : NULL;
    const char *name = chardev_name(d);
    nx_args_add(c->args, "-chardev");
    switch (end) {
    case NX_SERIAL_STDIO:
        nx_args_addf(c->args, "stdio,id=char%s%u,signal=off", name, d->number);
        break;
    case NX_SERIAL_FILE:
        nx_args_addf(c->args, "file,id=char%s%u,path=%s", name, d->number, path ? path : "");
        break;
    case NX_SERIAL_UNIX:
        nx_args_addf(c->args, "socket,id=char%s%u,path=%s,server=on,wait=off", name, d->number,
                     path ? path : "");
        break;
    case NX_SERIAL_FD:
        nx_args_addf(c->args, "socket,id=char%s%u,fd=%d", name, d->number, c->options->serial_fd);
        break;
    case NX_SERIAL_NULL:
        nx_args_addf(c->args, "null,id=char%s%u", name, d->number);
        break;
    }
}

static json_t *chardev_device(struct nx_cmdline *c, const struct nx_chardev *d)
{
    switch (d->kind) {
    case NX_CHARDEV_SERIAL:
        return nx_cmdline_device(c, d->target);
    case NX_CHARDEV_PARALLEL:
        return nx_cmdline_device(c, "isa-parallel");
    case NX_CHARDEV_CONSOLE:
        return nx_cmdline_device(c, "virtconsole");
    case NX_CHARDEV_CHANNEL:
        return nx_cmdline_device(c, "virtserialport");
    case NX_CHARDEV_REDIR:
        return nx_cmdline_device(c, "usb-redir");
    }
    return NULL;
}

static void add_chardev_device(struct nx_cmdline *c, const struct nx_chardev *d)
{
    const char *name = chardev_name(d);
    json_t *props = chardev_device(c, d);
    nx_prop_textf(c, props, "chardev", "char%s%u", name, d->number);
    nx_prop_textf(c, props, "id", "%s%u", name, d->number);
    if (d->kind == NX_CHARDEV_SERIAL && is(d->target, "isa-serial"))
        nx_prop_uint(c, props, "index", d->port);
    if (d->kind == NX_CHARDEV_CHANNEL)
        nx_prop_text(c, props, "name", d->name);
    nx_prop_address(c, props, &d->address);
    nx_cmdline_json(c, "-device", props);
}

static void add_chardevs(struct nx_cmdline *c, enum nx_chardev_kind kind,
                         const struct nx_chardev *terminal)
{
    const struct nx_machine *m = c->machine;
    for (size_t i = 0; i < m->n_chardevs; i++)
        if (m->chardevs[i].kind == kind) {
            add_chardev(c, &m->chardevs[i], &m->chardevs[i] == terminal);
            add_chardev_device(c, &m->chardevs[i]);
        }
}

int nx_cmdline_chardevs(struct nx_cmdline *c, struct nx_error *err)
{
    const struct nx_chardev *terminal = find_terminal(c->machine);
    if (!terminal && c->options->serial != NX_SERIAL_NULL)
        return nx_fail(err, NX_ERR_USAGE, "--serial: the machine has no serial port");
    add_chardevs(c, NX_CHARDEV_SERIAL, terminal);
    add_chardevs(c, NX_CHARDEV_PARALLEL, terminal);
    add_chardevs(c, NX_CHARDEV_CHANNEL, terminal);
    add_chardevs(c, NX_CHARDEV_CONSOLE, terminal);
    return 0;
}

/* ---- what the user touches, sees and hears ----------------------------------------- */

void nx_cmdline_inputs(struct nx_cmdline *c)
{
    static const struct word_pair usb[] = {
        { "tablet", "usb-tablet" },
        { "mouse", "usb-mouse" },
        { "keyboard", "usb-kbd" },
        { NULL, NULL },
    };
    static const struct word_pair virtio[] = {
        { "tablet", "virtio-tablet" },
        { "mouse", "virtio-mouse" },
        { "keyboard", "virtio-keyboard" },
        { NULL, NULL },
    };
    for (size_t i = 0; i < c->machine->n_inputs; i++) {
        const struct nx_input *input = &c->machine->inputs[i];
        json_t *props;
        if (is(input->bus, "usb"))
            props = nx_cmdline_device(c, look_up(usb, input->type, "usb-tablet"));
        else if (is(input->bus, "virtio"))
            props =
                nx_cmdline_virtio(c, look_up(virtio, input->type, "virtio-tablet"), input->model);
        else
            continue; /* every PC has PS/2 keyboard and mouse */
        nx_prop_textf(c, props, "id", "input%zu", i);
        nx_prop_address(c, props, &input->address);
        nx_cmdline_json(c, "-device", props);
    }
}

static json_t *video_device(struct nx_cmdline *c, const struct nx_video *v)
{
    static const struct word_pair primary[] = {
        { "vga", "VGA" },
        { "cirrus", "cirrus-vga" },
        { "qxl", "qxl-vga" },
        { "virtio", "virtio-vga" },
        { "bochs", "bochs-display" },
        { "ramfb", "ramfb" },
        { NULL, NULL },
    };
    static const struct word_pair others[] = {
        { "qxl", "qxl" },
        { "virtio", "virtio-gpu-pci" },
        { "vga", "secondary-vga" },
        { NULL, NULL },
    };
    const char *driver = look_up(primary, v->model, "VGA");
    return nx_cmdline_device(c, v->primary ? driver : look_up(others, v->model, driver));
}

static void add_video_memory(struct nx_cmdline *c, const struct nx_video *v, json_t *props)
{
    if (is(v->model, "qxl")) {
        nx_prop_nonzero(c, props, "max_outputs", v->heads);
        nx_prop_nonzero(c, props, "ram_size", (uint64_t)v->ram * 1024);
        nx_prop_nonzero(c, props, "vram_size", (uint64_t)v->vram * 1024);
        nx_prop_uint(c, props, "vram64_size_mb", v->vram64 / 1024);
        nx_prop_nonzero(c, props, "vgamem_mb", v->vgamem / 1024);
    } else if (is(v->model, "virtio")) {
        nx_prop_nonzero(c, props, "max_outputs", v->heads);
    } else if (is(v->model, "vga")) {
        nx_prop_nonzero(c, props, "vgamem_mb", v->vram / 1024);
    } else if (is(v->model, "bochs")) {
        nx_prop_nonzero(c, props, "vgamem", (uint64_t)v->vram * 1024);
    }
}

static void add_video(struct nx_cmdline *c, const struct nx_video *v, size_t i)
{
    json_t *props = video_device(c, v);
    nx_prop_textf(c, props, "id", "video%zu", i);
    add_video_memory(c, v, props);
    if (!is(v->model, "cirrus") && !is(v->model, "ramfb")) {
        nx_prop_nonzero(c, props, "xres", v->x);
        nx_prop_nonzero(c, props, "yres", v->y);
    }
    nx_prop_address(c, props, &v->address);
    nx_cmdline_json(c, "-device", props);
}

static void add_codecs(struct nx_cmdline *c, const struct nx_sound *s, size_t i)
{
    static const struct word_pair drivers[] = {
        { "duplex", "hda-duplex" },
        { "micro", "hda-micro" },
        { "output", "hda-output" },
        { NULL, NULL },
    };
    size_t n = s->n_codecs ? s->n_codecs : 1;
    for (size_t k = 0; k < n; k++) {
        const char *codec = s->n_codecs ? s->codecs[k] : "duplex";
        json_t *props = nx_cmdline_device(c, look_up(drivers, codec, "hda-duplex"));
        nx_prop_textf(c, props, "id", "sound%zu-codec%zu", i, k);
        nx_prop_textf(c, props, "bus", "sound%zu.0", i);
        nx_prop_uint(c, props, "cad", k);
        nx_prop_text(c, props, "audiodev", "audio1");
        nx_cmdline_json(c, "-device", props);
    }
}

static void add_sound(struct nx_cmdline *c, const struct nx_sound *s, size_t i)
{
    static const struct word_pair drivers[] = {
        { "ich6", "intel-hda" }, { "ich9", "ich9-intel-hda" }, { "ac97", "AC97" },
        { "es1370", "ES1370" },  { "sb16", "sb16" },           { "usb", "usb-audio" },
        { NULL, NULL },
    };
    bool hda = is(s->model, "ich6") || is(s->model, "ich9");
    json_t *props = nx_cmdline_device(c, look_up(drivers, s->model, "AC97"));
    nx_prop_textf(c, props, "id", "sound%zu", i);
    if (!hda)
        nx_prop_text(c, props, "audiodev", "audio1");
    nx_prop_address(c, props, &s->address);
    nx_cmdline_json(c, "-device", props);
    if (hda)
        add_codecs(c, s, i);
}

void nx_cmdline_displays(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    const struct nx_cmdline_options *o = c->options;
    if (m->n_sounds) {
        json_t *audio = json_object();
        nx_prop_text(c, audio, "id", "audio1");
        nx_prop_text(c, audio, "driver", o->audio ? o->audio : "none");
        nx_cmdline_json(c, "-audiodev", audio);
    }
    nx_args_add(c->args, "-display");
    nx_args_add(c->args, o->display ? o->display : "none");
    if (o->fullscreen)
        nx_args_add(c->args, "-full-screen");
    if (o->vnc) {
        nx_args_add(c->args, "-vnc");
        nx_args_add(c->args, o->vnc);
    }
    for (size_t i = 0; i < m->n_videos; i++)
        if (!is(m->videos[i].model, "none"))
            add_video(c, &m->videos[i], i);
    for (size_t i = 0; i < m->n_sounds; i++)
        add_sound(c, &m->sounds[i], i);
}

/* ---- the rest -------------------------------------------------------------------- */

static void add_watchdogs(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    for (size_t i = 0; i < m->n_watchdogs; i++) {
        const struct nx_simple_device *w = &m->watchdogs[i];
        if (is(w->model, "itco")) { /* part of a q35's board, but held back by default */
            nx_args_add(c->args, "-global");
            nx_args_add(c->args, "ICH9-LPC.noreboot=off");
            continue;
        }
        json_t *props = nx_cmdline_device(c, w->model);
        nx_prop_textf(c, props, "id", "watchdog%zu", i);
        nx_prop_address(c, props, &w->address);
        nx_cmdline_json(c, "-device", props);
    }
    if (m->n_watchdogs) { /* one action for all, as libvirt insists */
        nx_args_add(c->args, "-watchdog-action");
        nx_args_add(c->args, m->watchdogs[0].action ? m->watchdogs[0].action : "reset");
    }
}

static void add_balloons(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    for (size_t i = 0; i < m->n_balloons; i++) {
        const struct nx_simple_device *b = &m->balloons[i];
        if (is(b->model, "none"))
            continue;
        json_t *props = nx_cmdline_virtio(c, "virtio-balloon", b->model);
        nx_prop_textf(c, props, "id", "balloon%zu", i);
        nx_prop_switch(c, props, "deflate-on-oom", b->autodeflate);
        nx_prop_switch(c, props, "free-page-reporting", b->free_page_reporting);
        nx_prop_address(c, props, &b->address);
        nx_cmdline_json(c, "-device", props);
    }
}

static void add_rng(struct nx_cmdline *c, const struct nx_simple_device *r, size_t i)
{
    json_t *source = json_object();
    nx_prop_text(c, source, "qom-type", "rng-builtin");
    nx_prop_textf(c, source, "id", "objrng%zu", i);
    nx_cmdline_json(c, "-object", source);
    json_t *props = nx_cmdline_virtio(c, "virtio-rng", r->model);
    nx_prop_textf(c, props, "rng", "objrng%zu", i);
    nx_prop_textf(c, props, "id", "rng%zu", i);
    if (r->bytes) {
        nx_prop_uint(c, props, "max-bytes", r->bytes);
        nx_prop_uint(c, props, "period", r->period ? r->period : 1000);
    }
    nx_prop_address(c, props, &r->address);
    nx_cmdline_json(c, "-device", props);
}

static void add_panics(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    for (size_t i = 0; i < m->n_panics; i++) {
        if (is(m->panics[i].model, "hyperv")) /* a CPU feature */
            continue;
        json_t *props = nx_cmdline_device(c, "pvpanic");
        nx_prop_nonzero(c, props, "ioport", m->panics[i].address.iobase);
        nx_cmdline_json(c, "-device", props);
    }
}

void nx_cmdline_rest(struct nx_cmdline *c)
{
    add_watchdogs(c);
    add_chardevs(c, NX_CHARDEV_REDIR, NULL);
    add_balloons(c);
    for (size_t i = 0; i < c->machine->n_rngs; i++)
        add_rng(c, &c->machine->rngs[i], i);
    add_panics(c);
}
