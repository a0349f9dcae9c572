/* SPDX-License-Identifier: MIT */
/* What a machine that was written by hand leaves out, and whether it all fits together.
 * A machine that libvirt wrote passes through unchanged.
 */
#include "formats/machine-parse.h"

#include <string.h>

/* ---- disks --------------------------------------------------------------------- */

/* "sdc" is the third disk of its kind, "sdaa" the 27th: counted from 0. */
static unsigned disk_number(const char *dev)
{
    unsigned n = 0;
    const char *letters =
        dev + (strncmp(dev, "xvd", 3) == 0 || strncmp(dev, "ubd", 3) == 0 ? 3 : 2);
    for (; *letters; letters++)
        n = n * 26 + (unsigned)(*letters - 'a') + 1;
    return n - 1;
}

/* Where libvirt plugs a disk in that does not say. */
static void place_drive(struct nx_disk *disk, bool wide_scsi)
{
    struct nx_address *a = &disk->address;
    unsigned n = disk_number(disk->dev);
    a->type = NX_ADDRESS_DRIVE;
    switch (disk->bus) {
    case NX_BUS_IDE:
        a->controller = n / 4;
        a->bus = n % 4 / 2;
        a->unit = n % 2;
        break;
    case NX_BUS_SATA:
        a->controller = n / 6;
        a->unit = n % 6;
        break;
    case NX_BUS_SCSI:
        a->controller = n / (wide_scsi ? 16 : 7);
        a->unit = n % (wide_scsi ? 16 : 7);
        break;
    default:
        a->unit = n % 2; /* floppies: one controller */
    }
}

static struct nx_controller *find_controller(struct nx_machine *m, enum nx_controller_type type,
                                             unsigned index)
{
    for (size_t i = 0; i < m->n_controllers; i++)
        if (m->controllers[i].type == type && m->controllers[i].index == index)
            return &m->controllers[i];
    return NULL;
}

/* The narrow bus: also libvirt's choice for a SCSI controller of no model. */
static bool is_lsi(const struct nx_controller *c)
{
    return c && (!c->model || strcmp(c->model, "auto") == 0 || strcmp(c->model, "lsilogic") == 0);
}

static enum nx_address_type disk_address_type(enum nx_disk_bus bus)
{
    return bus == NX_BUS_VIRTIO ? NX_ADDRESS_PCI
           : bus == NX_BUS_USB  ? NX_ADDRESS_USB
                                : NX_ADDRESS_DRIVE;
}

static const char *disk_contradiction(struct nx_machine *m, const struct nx_disk *disk)
{
    if ((disk->bus == NX_BUS_FDC) != (disk->device == NX_DISK_FLOPPY))
        return "floppies, and nothing else, are on bus 'fdc'";
    if (disk->device == NX_DISK_CDROM && disk->bus == NX_BUS_VIRTIO)
        return "a CD-ROM drive cannot be on bus 'virtio': use 'sata', 'ide' or 'scsi'";
    if (disk->bus == NX_BUS_IDE && m->q35)
        return "a q35 machine has no IDE controller: use bus 'sata'";
    if (disk->device == NX_DISK_DISK && !disk->image)
        return "it has no image";
    if (disk->bus == NX_BUS_USB && !disk->image)
        return "QEMU has no empty drives on bus 'usb': remove it";
    if (disk->device == NX_DISK_DISK && disk->readonly &&
        (disk->bus == NX_BUS_IDE || disk->bus == NX_BUS_SATA))
        return "QEMU has no read-only disks on bus 'ide' or 'sata': remove <readonly/>";
    if (disk->address.type != NX_ADDRESS_NONE && disk->address.type != disk_address_type(disk->bus))
        return "its <address> is not of the type that its bus needs";
    return NULL;
}

static const char *drive_contradiction(struct nx_machine *m, const struct nx_disk *disk)
{
    const struct nx_address *a = &disk->address;
    const bool lsi = is_lsi(find_controller(m, NX_CONTROLLER_SCSI, a->controller));
    bool fits;
    switch (disk->bus) {
    case NX_BUS_IDE:
        fits = a->controller == 0 && a->bus < 2 && a->target == 0 && a->unit < 2;
        break;
    case NX_BUS_SATA:
        fits = a->bus == 0 && a->target == 0 && a->unit < 6;
        break;
    case NX_BUS_SCSI:
        fits = a->bus == 0 && (lsi ? a->target == 0 && a->unit < 8 : a->unit < 16384);
        break;
    case NX_BUS_FDC:
        fits = a->controller == 0 && a->bus == 0 && a->target == 0 && a->unit < 2;
        break;
    default:
        fits = true;
    }
    return fits ? NULL : "its bus has no such address (or name)";
}

static const char *twin_contradiction(const struct nx_machine *m, const struct nx_disk *disk)
{
    for (const struct nx_disk *other = m->disks; other < disk; other++) {
        if (strcmp(other->dev, disk->dev) == 0)
            return "two disks have this name";
        if (disk->image && other->image && strcmp(other->image, disk->image) == 0)
            return "another disk has the same image";
    }
    return NULL;
}

static int complete_disks(struct nx_machine_parser *p, struct nx_error *err)
{
    struct nx_machine *m = p->machine;
    for (size_t i = 0; i < m->n_disks; i++) {
        struct nx_disk *disk = &m->disks[i];
        const char *wrong = disk_contradiction(m, disk);
        if (!wrong)
            wrong = twin_contradiction(m, disk);
        if (!wrong && disk->address.type == NX_ADDRESS_NONE &&
            disk_address_type(disk->bus) == NX_ADDRESS_DRIVE)
            place_drive(disk, !is_lsi(find_controller(m, NX_CONTROLLER_SCSI, 0)));
        if (!wrong)
            wrong = drive_contradiction(m, disk);
        if (wrong)
            return nx_fail(err, NX_ERR_FORMAT, "%s: disk %s: %s", p->name, disk->dev, wrong);
    }
    if (nx_machine_images(m) == 0)
        return nx_fail(err, NX_ERR_FORMAT, "%s: no <disk> has an image: nothing to boot from",
                       p->name);
    return 0;
}

/* ---- controllers --------------------------------------------------------------- */

/* The controller of that type and index, made if it is not there. */
static struct nx_controller *need_controller(struct nx_machine_parser *p,
                                             enum nx_controller_type type, unsigned index,
                                             const char *model)
{
    struct nx_machine *m = p->machine;
    struct nx_controller *c = find_controller(m, type, index);
    if (c)
        return c;
    c = NX_PARSE_APPEND(p, m->controllers, m->n_controllers);
    if (!c)
        return NULL;
    c->type = type;
    c->index = index;
    if (model && !(c->model = strdup(model)))
        p->no_memory = true;
    return c;
}

static bool has_controller(const struct nx_machine *m, enum nx_controller_type type)
{
    for (size_t i = 0; i < m->n_controllers; i++)
        if (m->controllers[i].type == type)
            return true;
    return false;
}

static bool is_model(const struct nx_controller *c, const char *model)
{
    return c->model && strcmp(c->model, model) == 0;
}

/* libvirt gives every machine a USB controller, unless there is one of model "none". */
static void need_usb(struct nx_machine_parser *p)
{
    struct nx_machine *m = p->machine;
    if (has_controller(m, NX_CONTROLLER_USB))
        return;
    struct nx_controller *usb =
        need_controller(p, NX_CONTROLLER_USB, 0, m->q35 ? "qemu-xhci" : "piix3-uhci");
    if (usb && !m->q35)
        usb->address = (struct nx_address){ .type = NX_ADDRESS_PCI, .slot = 1, .function = 2 };
}

static void need_disk_controllers(struct nx_machine_parser *p)
{
    struct nx_machine *m = p->machine;
    for (size_t i = 0; i < m->n_disks; i++) {
        const struct nx_disk *disk = &m->disks[i];
        if (disk->bus == NX_BUS_SATA)
            need_controller(p, NX_CONTROLLER_SATA, disk->address.controller, NULL);
        else if (disk->bus == NX_BUS_SCSI)
            need_controller(p, NX_CONTROLLER_SCSI, disk->address.controller, "virtio-scsi");
        else if (disk->bus == NX_BUS_IDE)
            need_controller(p, NX_CONTROLLER_IDE, 0, NULL);
        else if (disk->bus == NX_BUS_FDC)
            need_controller(p, NX_CONTROLLER_FDC, 0, NULL);
    }
}

static void need_serial_controllers(struct nx_machine_parser *p)
{
    struct nx_machine *m = p->machine;
    for (size_t i = 0; i < m->n_chardevs; i++)
        if (m->chardevs[i].kind == NX_CHARDEV_CONSOLE || m->chardevs[i].kind == NX_CHARDEV_CHANNEL)
            need_controller(p, NX_CONTROLLER_VIRTIO_SERIAL, m->chardevs[i].address.controller,
                            NULL);
}

/* Controllers that are part of the board. */
static bool is_builtin(const struct nx_machine *m, const struct nx_controller *c)
{
    switch (c->type) {
    case NX_CONTROLLER_PCI:
        return c->index == 0;
    case NX_CONTROLLER_IDE:
        return !m->q35;
    case NX_CONTROLLER_FDC:
        return !m->q35;
    case NX_CONTROLLER_SATA:
        return m->q35 && c->index == 0;
    case NX_CONTROLLER_USB:
        return is_model(c, "none");
    default:
        return false;
    }
}

static const char *controller_contradiction(const struct nx_machine *m,
                                            const struct nx_controller *c)
{
    bool root =
        c->type == NX_CONTROLLER_PCI && (is_model(c, "pci-root") || is_model(c, "pcie-root"));
    if (c->type == NX_CONTROLLER_PCI && root != (c->index == 0))
        return "the PCI controller with index 0, and no other, is the root";
    if (root && is_model(c, "pcie-root") != m->q35)
        return "q35 machines have a pcie-root, pc machines a pci-root";
    if ((c->type == NX_CONTROLLER_IDE && (m->q35 || c->index)) ||
        (c->type == NX_CONTROLLER_FDC && c->index))
        return "this machine type has no such IDE or floppy controller";
    for (const struct nx_controller *other = m->controllers; other < c; other++)
        if (other->type == c->type && other->index == c->index && !c->is_companion &&
            !other->is_companion)
            return "two controllers of this type have this index";
    return NULL;
}

static int complete_controllers(struct nx_machine_parser *p, struct nx_error *err)
{
    struct nx_machine *m = p->machine;
    need_controller(p, NX_CONTROLLER_PCI, 0, m->q35 ? "pcie-root" : "pci-root");
    need_usb(p);
    need_disk_controllers(p);
    need_serial_controllers(p);
    if (p->no_memory)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: out of memory", p->name);
    for (size_t i = 0; i < m->n_controllers; i++) {
        struct nx_controller *c = &m->controllers[i];
        const char *wrong = controller_contradiction(m, c);
        if (wrong)
            return nx_fail(err, NX_ERR_FORMAT, "%s: controller with index %u: %s", p->name,
                           c->index, wrong);
        c->builtin = is_builtin(m, c);
    }
    return 0;
}

/* ---- PCI ----------------------------------------------------------------------- */

#define PCI_SLOTS 32

/* The addresses of all devices that are on a PCI bus. */
struct pci_users {
    struct nx_address *at[2 * NX_MACHINE_MAX_DEVICES];
    size_t n;
};

static void add_user(struct pci_users *users, struct nx_address *address)
{
    if (users->n < sizeof users->at / sizeof *users->at)
        users->at[users->n++] = address;
}

static bool is_word(const char *word, const char *other)
{
    return word && strcmp(word, other) == 0;
}

static void add_simple(struct pci_users *users, struct nx_simple_device *devices, size_t n,
                       const char *not_pci, const char *nor_pci)
{
    for (size_t i = 0; i < n; i++)
        if (!is_word(devices[i].model, not_pci) && !is_word(devices[i].model, nor_pci))
            add_user(users, &devices[i].address);
}

static void collect_pci_users(struct nx_machine *m, struct pci_users *users)
{
    for (size_t i = 0; i < m->n_videos; i++)
        if (!is_word(m->videos[i].model, "none") && !is_word(m->videos[i].model, "ramfb"))
            add_user(users, &m->videos[i].address);
    for (size_t i = 0; i < m->n_controllers; i++)
        if (!m->controllers[i].builtin && m->controllers[i].type != NX_CONTROLLER_FDC)
            add_user(users, &m->controllers[i].address);
    for (size_t i = 0; i < m->n_nics; i++)
        if (!is_word(m->nics[i].model, "usb-net"))
            add_user(users, &m->nics[i].address);
    for (size_t i = 0; i < m->n_sounds; i++)
        if (!is_word(m->sounds[i].model, "sb16") && !is_word(m->sounds[i].model, "usb"))
            add_user(users, &m->sounds[i].address);
    for (size_t i = 0; i < m->n_disks; i++)
        if (m->disks[i].bus == NX_BUS_VIRTIO)
            add_user(users, &m->disks[i].address);
    for (size_t i = 0; i < m->n_inputs; i++)
        if (is_word(m->inputs[i].bus, "virtio"))
            add_user(users, &m->inputs[i].address);
    for (size_t i = 0; i < m->n_chardevs; i++)
        if (is_word(m->chardevs[i].target, "pci-serial"))
            add_user(users, &m->chardevs[i].address);
    add_simple(users, m->rngs, m->n_rngs, "none", "none");
    add_simple(users, m->balloons, m->n_balloons, "none", "none");
    add_simple(users, m->watchdogs, m->n_watchdogs, "ib700", "itco");
}

/* Slots of the root bus that the board itself fills, or where firmware wants the first video card. */
static uint32_t reserved_slots(const struct nx_machine *m)
{
    return m->q35 ? 1U << 0 | 1U << 1 | 1U << 31 : 1U << 0 | 1U << 1 | 1U << 2;
}

static int place_pci_user(struct nx_address *address, uint32_t *used)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (*used & 1U << slot)
            continue;
        *used |= 1U << slot;
        *address = (struct nx_address){ .type = NX_ADDRESS_PCI, .slot = slot };
        return 0;
    }
    return -1;
}

/* The first video card goes where it always is, if nobody else is there. */
static void place_first_video(struct nx_machine *m, const struct pci_users *users)
{
    unsigned slot = m->q35 ? 1 : 2;
    struct nx_address *video = m->n_videos ? &m->videos[0].address : NULL;
    if (!users->n || users->at[0] != video || video->type != NX_ADDRESS_NONE)
        return;
    for (size_t i = 0; i < users->n; i++)
        if (users->at[i]->type == NX_ADDRESS_PCI && !users->at[i]->bus &&
            users->at[i]->slot == slot)
            return;
    *video = (struct nx_address){ .type = NX_ADDRESS_PCI, .slot = slot };
}

static int complete_pci(struct nx_machine_parser *p, struct nx_error *err)
{
    struct nx_machine *m = p->machine;
    struct pci_users users = { .n = 0 };
    uint32_t used = reserved_slots(m);
    collect_pci_users(m, &users);
    place_first_video(m, &users);
    for (size_t i = 0; i < users.n; i++) {
        const struct nx_address *a = users.at[i];
        if (a->type != NX_ADDRESS_PCI && a->type != NX_ADDRESS_NONE)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: a PCI device has an <address> of another type: remove it", p->name);
        if (a->type == NX_ADDRESS_PCI && !find_controller(m, NX_CONTROLLER_PCI, a->bus))
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: a device is on PCI bus %u, but no <controller> makes that bus",
                           p->name, a->bus);
        if (a->type == NX_ADDRESS_PCI && a->bus == 0)
            used |= 1U << a->slot % PCI_SLOTS;
    }
    for (size_t i = 0; i < users.n; i++)
        if (users.at[i]->type == NX_ADDRESS_NONE && place_pci_user(users.at[i], &used) < 0)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: more PCI devices than slots: let libvirt give them addresses "
                           "(virsh define, then virsh dumpxml)",
                           p->name);
    return 0;
}

int nx_machine_complete(struct nx_machine_parser *p, struct nx_error *err)
{
    const struct nx_machine *m = p->machine;
    if (m->secure_boot == NX_ON && !m->q35)
        return nx_fail(err, NX_ERR_FORMAT, "%s: Secure Boot needs a q35 machine", p->name);
    if (complete_disks(p, err) < 0 || complete_controllers(p, err) < 0)
        return -1;
    return complete_pci(p, err);
}
