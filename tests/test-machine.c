/* SPDX-License-Identifier: MIT */
#include "formats/machine.h"

#include <stdio.h>

#include "formats/xml.h"
#include "tests/support/main.h"

#define HEAD(os) \
    "<domain type='kvm'><name>m</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>" os "<devices>"
#define PC  HEAD("<os><type machine='pc'>hvm</type></os>")
#define Q35 HEAD("<os><type machine='q35'>hvm</type></os>")
#define END "</devices></domain>"
#define DISK(n, dev, bus)                                                                         \
    "<disk type='file' device='disk'><source image='disk" #n "'/><target dev='" dev "' bus='" bus \
    "'/></disk>"
#define CDROM(dev, bus) \
    "<disk type='file' device='cdrom'><target dev='" dev "' bus='" bus "'/></disk>"

static int parse(const char *text, struct nx_machine **ret, struct nx_error *err)
{
    return nx_machine_parse(text, strlen(text), "m.xml", ret, err);
}

static struct nx_machine *parsed(const char *text)
{
    struct nx_error err;
    struct nx_machine *machine = NULL;
    nx_assert_ok(parse(text, &machine, &err), err);
    return machine;
}

static const struct nx_controller *controller(const struct nx_machine *m,
                                              enum nx_controller_type type, unsigned index)
{
    for (size_t i = 0; i < m->n_controllers; i++)
        if (m->controllers[i].type == type && m->controllers[i].index == index)
            return &m->controllers[i];
    return NULL;
}

START_TEST(everything_said)
{
    NX_AUTO_MACHINE struct nx_machine *m = parsed(
        "<domain type='qemu'><name>a &amp; b</name><title>T</title><uuid>"
        "3e10286e-c5eb-47b3-a2e1-0b18d09cf128</uuid><genid/>"
        "<memory unit='GB'>1</memory><vcpu current='2'>4</vcpu>"
        "<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
        "<loader secure='yes'/><nvram image='nvram'/><boot dev='cdrom'/><boot dev='hd'/>"
        "<bios rebootTimeout='-1'/></os>"
        "<features><acpi/><apic eoi='on'/><vmport state='off'/><hyperv><spinlocks state='on' "
        "retries='8191'/><stimer state='on'><direct state='on'/></stimer></hyperv></features>"
        "<cpu mode='custom'><model vendor_id='AuthenticAMD'>EPYC</model>"
        "<topology sockets='1' cores='2' threads='2'/><feature policy='disable' name='svm'/></cpu>"
        "<clock offset='variable' adjustment='-60' basis='localtime'>"
        "<timer name='tsc' frequency='2000000000'/></clock>"
        "<pm><suspend-to-mem enabled='no'/></pm>"
        "<devices>"
        "<disk type='file' device='disk'><source image='disk0'/><target dev='vdb' bus='virtio'/>"
        "<serial>S</serial><boot order='3'/>"
        "<address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x7' "
        "multifunction='on'/></disk></devices></domain>");
    ck_assert(!m->kvm && m->q35 && m->uefi && m->acpi && m->apic && !m->pae);
    ck_assert_str_eq(m->name, "a & b");
    ck_assert_str_eq(m->genid, "auto");
    ck_assert_uint_eq(m->memory, UINT64_C(954) << 20); /* 10^9 bytes, in whole MiB */
    ck_assert_uint_eq(m->cpus, 2);
    ck_assert_uint_eq(m->max_cpus, 4);
    ck_assert_int_eq(m->secure_boot, NX_ON);
    ck_assert_str_eq(m->nvram, "nvram");
    ck_assert_str_eq(m->boot, "dc");
    ck_assert_int_eq(m->reboot_timeout, -1);
    ck_assert_int_eq(m->apic_eoi, NX_ON);
    ck_assert_int_eq(m->vmport, NX_OFF);
    ck_assert_int_eq(m->smm, NX_UNSAID);
    ck_assert_uint_eq(m->n_hyperv, 2);
    ck_assert_uint_eq(m->hyperv[0].retries, 8191);
    ck_assert(m->hyperv[1].direct);
    ck_assert_int_eq(m->cpu.mode, NX_CPU_CUSTOM);
    ck_assert_str_eq(m->cpu.model, "EPYC");
    ck_assert_str_eq(m->cpu.features[0].policy, "disable");
    ck_assert_int_eq(m->clock_adjustment, -60);
    ck_assert(m->clock_basis_localtime);
    ck_assert_uint_eq(m->timers[0].frequency, 2000000000);
    ck_assert_int_eq(m->suspend_to_mem, NX_OFF);
    ck_assert_int_eq(m->suspend_to_disk, NX_UNSAID);
    const struct nx_disk *d = &m->disks[0];
    ck_assert_str_eq(d->serial, "S");
    ck_assert_uint_eq(d->boot_order, 3);
    ck_assert_uint_eq(d->address.slot, 0x1f);
    ck_assert_uint_eq(d->address.function, 7);
    ck_assert_int_eq(d->address.multifunction, NX_ON);
    ck_assert_uint_eq(nx_machine_images(m), 1);
}
END_TEST

START_TEST(units)
{
    static const struct {
        const char *text;
        uint64_t mib;
    } cases[] = {
        { "<memory>65536</memory>", 64 },        { "<memory unit='b'>1048577</memory>", 2 },
        { "<memory unit='k'>2048</memory>", 2 }, { "<memory unit='MB'>2</memory>", 2 },
        { "<memory unit='G'>3</memory>", 3072 }, { "<memory unit='TiB'>1</memory>", 1024 * 1024 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "<domain type='kvm'><name>m</name>%s<vcpu>1</vcpu><os><type>hvm</type></os>"
                 "<devices>" DISK(0, "hda", "ide") END,
                 cases[i].text);
        NX_AUTO_MACHINE struct nx_machine *m = parsed(text);
        ck_assert_msg(m->memory == cases[i].mib << 20, "%s", cases[i].text);
    }
}
END_TEST

START_TEST(versioned_types)
{
    static const char *const good[] = { "pc-q35-7.2", "pc-i440fx-2.12", "pc-q35-10.0" };
    static const char *const bad[] = { "q35",          "pc",          "pc-q35-",
                                       "pc-q35-jammy", "pc-q35-7.2 ", "pc-q35-rhel9.2.0",
                                       "pc-q35-7.2.1", "xpc-q35-7.2", "" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(nx_machine_is_versioned(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!nx_machine_is_versioned(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(drives_are_placed_by_name)
{
    NX_AUTO_MACHINE struct nx_machine *pc = parsed(PC DISK(0, "hdd", "ide") DISK(
        1, "sdr", "scsi") DISK(2, "sdh", "sata") DISK(3, "sdaa", "usb") END);
    const struct nx_disk *d = pc->disks;
    ck_assert_uint_eq(d[0].address.bus, 1);
    ck_assert_uint_eq(d[0].address.unit, 1);
    ck_assert_uint_eq(d[1].address.controller, 1);
    ck_assert_uint_eq(d[1].address.unit, 1);
    ck_assert_uint_eq(d[2].address.controller, 1);
    ck_assert_uint_eq(d[2].address.unit, 1);
    ck_assert_str_eq(controller(pc, NX_CONTROLLER_SCSI, 1)->model, "virtio-scsi");
    ck_assert(!controller(pc, NX_CONTROLLER_SATA, 1)->builtin);
    ck_assert(controller(pc, NX_CONTROLLER_IDE, 0)->builtin);
}
END_TEST

START_TEST(controllers_are_made)
{
    NX_AUTO_MACHINE struct nx_machine *pc = parsed(PC DISK(0, "hda", "ide") END);
    NX_AUTO_MACHINE struct nx_machine *q35 =
        parsed(Q35 DISK(0, "sda", "sata") "<channel type='null'><target type='virtio'/></channel>"
                                          "<console type='null'/>" END);
    ck_assert_str_eq(controller(pc, NX_CONTROLLER_PCI, 0)->model, "pci-root");
    ck_assert_str_eq(controller(pc, NX_CONTROLLER_USB, 0)->model, "piix3-uhci");
    ck_assert_uint_eq(controller(pc, NX_CONTROLLER_USB, 0)->address.function, 2);
    ck_assert_str_eq(controller(q35, NX_CONTROLLER_PCI, 0)->model, "pcie-root");
    ck_assert_str_eq(controller(q35, NX_CONTROLLER_USB, 0)->model, "qemu-xhci");
    ck_assert(controller(q35, NX_CONTROLLER_SATA, 0)->builtin);
    ck_assert_int_eq(controller(q35, NX_CONTROLLER_VIRTIO_SERIAL, 0)->address.type, NX_ADDRESS_PCI);
    /* A console that is no virtio console is a serial port. */
    ck_assert_uint_eq(q35->n_chardevs, 2);
    ck_assert_int_eq(q35->chardevs[1].kind, NX_CHARDEV_SERIAL);
}
END_TEST

START_TEST(pci_slots_are_filled_around_what_is_said)
{
    NX_AUTO_MACHINE struct nx_machine *m = parsed(PC DISK(0, "vda", "virtio") DISK(
        1, "vdb", "virtio") "<interface type='user'><address type='pci' slot='0x03'/></interface>"
                            "<sound model='ac97'/><video><model type='vga'/></video>" END);
    ck_assert_uint_eq(m->videos[0].address.slot, 2);
    ck_assert_uint_eq(m->nics[0].address.slot, 3);
    ck_assert_str_eq(m->nics[0].model, "rtl8139");
    ck_assert_uint_eq(m->sounds[0].address.slot, 4);
    ck_assert_uint_eq(m->disks[0].address.slot, 5);
    ck_assert_uint_eq(m->disks[1].address.slot, 6);
}
END_TEST

static const struct {
    const char *xml, *message;
} refusals[] = {
    { "<domain/>", "m.xml:1: " },
    { PC END, "no <disk> has an image" },
    { PC CDROM("hda", "ide") END, "no <disk> has an image" },
    { PC "<disk type='file' device='disk'><source file='/etc/shadow'/>"
         "<target dev='vda' bus='virtio'/></disk>" END,
      "m.xml:1: " },
    { PC "<disk type='block' device='disk'><source image='disk0'/>"
         "<target dev='vda' bus='virtio'/></disk>" END,
      "m.xml:1: " },
    { PC "<disk type='file' device='disk'><source image='../x'/>"
         "<target dev='vda' bus='virtio'/></disk>" END,
      "m.xml:1: " },
    { PC DISK(0, "hda", "ide") DISK(1, "hda", "ide") END, "hda: two disks have this name" },
    { PC DISK(0, "hda", "ide") DISK(0, "hdb", "ide") END, "hdb: another disk has the same image" },
    { PC DISK(0, "hde", "ide") END, "hde: its bus has no such address" },
    { PC DISK(0, "sda", "fdc") END, "sda: floppies" },
    { PC DISK(0, "hda", "ide") CDROM("vda", "virtio") END, "vda: a CD-ROM drive" },
    { PC DISK(0, "hda", "ide") CDROM("sda", "usb") END, "sda: QEMU has no empty drives" },
    { Q35 DISK(0, "hda", "ide") END, "hda: a q35 machine has no IDE controller" },
    { PC "<disk type='file' device='disk'><source image='disk0'/><target dev='hda' bus='ide'/>"
         "<readonly/></disk>" END,
      "hda: QEMU has no read-only disks" },
    { PC "<disk type='file' device='disk'><source image='disk0'/><target dev='hda' bus='ide'/>"
         "<address type='pci' slot='3'/></disk>" END,
      "hda: its <address>" },
    { PC DISK(0, "hda", "ide") "<sound model='ac97'><address type='usb' bus='0'/></sound>" END,
      "<address> of another type" },
    { PC DISK(0, "hda", "ide") "<sound model='ac97'><address type='pci' bus='9'/></sound>" END,
      "PCI bus 9" },
    { PC DISK(0, "hda", "ide") "<controller type='pci' model='pcie-root' index='0'/>" END,
      "pci-root" },
    { PC DISK(0, "hda", "ide") "<controller type='pci' model='pci-root' index='1'/>" END, "root" },
    { PC DISK(0, "hda", "ide") "<controller type='scsi' index='0'/>"
                               "<controller type='scsi' index='0'/>" END,
      "two controllers" },
    { HEAD("<os firmware='efi'><type machine='pc'>hvm</type><loader secure='yes'/></os>")
          DISK(0, "hda", "ide") END,
      "Secure Boot needs a q35" },
    { HEAD("<os><type>hvm</type></os><cpu><topology sockets='2' cores='1' threads='1'/></cpu>")
          DISK(0, "hda", "ide") END,
      "<topology> makes 2 CPUs" },
    { "<domain type='kvm'><name>m</name><memory unit='TiB'>999999999999999</memory><vcpu>1</vcpu>"
      "<os><type>hvm</type></os><devices>" DISK(0, "hda", "ide") END,
      "<memory> is not between" },
    { "<domain type='kvm'><name>m</name><memory unit='b'>0</memory><vcpu>1</vcpu>"
      "<os><type>hvm</type></os><devices>" DISK(0, "hda", "ide") END,
      "<memory> is not between" },
    { "<domain type='kvm'><name>m</name><memory>65536</memory><vcpu current='9'>1</vcpu>"
      "<os><type>hvm</type></os><devices>" DISK(0, "hda", "ide") END,
      "more than all 1" },
};

START_TEST(refused)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_MACHINE struct nx_machine *machine = NULL;
        ck_assert_msg(parse(refusals[i].xml, &machine, &err) < 0, "case %zu was accepted", i);
        ck_assert_msg(strstr(err.msg, refusals[i].message), "case %zu said \"%s\", not \"%s\"", i,
                      err.msg, refusals[i].message);
        ck_assert_ptr_null(machine);
    }
}
END_TEST

static void many(struct nx_buffer *text, const char *device, int n)
{
    struct nx_error err;
    text->len = 0;
    nx_assert_ok(nx_buffer_printf(text, &err, "%s%s", PC, DISK(0, "hda", "ide")), err);
    for (int i = 0; i < n; i++)
        nx_assert_ok(nx_buffer_printf(text, &err, "%s", device), err);
    nx_assert_ok(nx_buffer_printf(text, &err, "%s", END), err);
}

START_TEST(too_many)
{
    struct nx_error err;
    NX_AUTO_MACHINE struct nx_machine *m = NULL;
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(NX_XML_MAX);
    many(&text, "<sound model='ac97'/>", 40);
    nx_assert_fails(parse((const char *)text.data, &m, &err), err, "more PCI devices than slots");
    many(&text, "<sound model='sb16'/>", 600);
    nx_assert_fails(parse((const char *)text.data, &m, &err), err, "more than 512 devices");
}
END_TEST

NX_TEST_MAIN("machine", everything_said, units, drives_are_placed_by_name, versioned_types,
             controllers_are_made, pci_slots_are_filled_around_what_is_said, refused, too_many)
