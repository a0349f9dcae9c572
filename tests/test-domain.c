/* SPDX-License-Identifier: MIT */
#include "formats/domain.h"

#include <glob.h>
#include <stdio.h>

#include "common/io.h"
#include "formats/machine.h"
#include "formats/xml.h"
#include "tests/support/main.h"

/* Line 1 and 2 are the same everywhere, so what a case adds stands on line 3. */
#define TOP       "<domain type='kvm'><name>t</name><memory>65536</memory><vcpu>1</vcpu>\n"
#define OS        "<os><type arch='x86_64' machine='pc'>hvm</type></os>\n"
#define DISK      "<disk type='file'><source file='/h/a'/><target dev='hda' bus='ide'/></disk>"
#define DEVICES   TOP OS "<devices>"
#define END       "</devices></domain>"
#define DEVICE(x) DEVICES DISK "\n" x END /* x on line 4 */

static int reduce(const char *text, struct nx_domain *domain, struct nx_error *err)
{
    return nx_domain_reduce(text, strlen(text), "g.xml", domain, err);
}

static bool contains(const struct nx_domain *domain, const char *text)
{
    return domain->xml.data && strstr((const char *)domain->xml.data, text);
}

static bool has_note(const struct nx_domain *domain, enum nx_domain_verdict verdict, int line,
                     const char *text)
{
    for (size_t i = 0; i < domain->n_notes; i++)
        if (domain->notes[i].verdict == verdict && domain->notes[i].line == line &&
            strstr(domain->notes[i].message, text))
            return true;
    return false;
}

/* ---- what is refused ------------------------------------------------------------- */

static const struct {
    const char *xml, *message;
} refusals[] = {
    { "", "g.xml: empty" },
    { "<domain", "g.xml:1: " },
    { "<network/>", "root element is <network>" },
    { "<domstatus/>", "root element is <domstatus>" },
    { "<!DOCTYPE d [<!ENTITY x 'y'>]><domain type='kvm'/>", "DOCTYPE" },
    { "<domain type='xen'/>", "g.xml:1: <domain type='xen'> is not a machine of QEMU" },
    { "<domain/>", "g.xml:1: <domain type=''>" },
    { "<domain type='kvm'/>", "g.xml:1: " },
    { TOP "<maxMemory slots='2'>9</maxMemory>" OS, "g.xml:2: <maxMemory>" },
    { TOP "<launchSecurity type='sev'/>" OS, "g.xml:2: <launchSecurity>" },
    { TOP "<sysinfo type='smbios'/>" OS, "g.xml:2: <sysinfo>" },
    { TOP "<bootloader>/usr/bin/pygrub</bootloader>", "g.xml:2: <bootloader>" },
    { TOP "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
          "<q:arg value='-fw_cfg'/></q:commandline>",
      "g.xml:2: <qemu:commandline>" },
    { TOP "<q:override xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>",
      "g.xml:2: <qemu:override>" },
    { TOP "<os><type>hvm</type>\n<kernel>/boot/vmlinuz</kernel></os>", "g.xml:3: <kernel>" },
    { TOP "<os><type>hvm</type>\n<initrd>/boot/i</initrd></os>", "g.xml:3: <initrd>" },
    { TOP "<os><type>hvm</type>\n<loader type='rom'>/usr/share/seabios/b</loader></os>",
      "g.xml:3: <loader>" },
    { TOP "<os><type>hvm</type>\n<loader type='pflash' readonly='no'>/x</loader></os>",
      "g.xml:3: <loader readonly='no'>" },
    { TOP "<os firmware='efi'><type>hvm</type>\n<nvram type='network'/></os>",
      "g.xml:3: <nvram type='network'>" },
    { TOP "<os><type>hvm</type>\n<smbios mode='host'/></os>", "g.xml:3: <smbios>" },
    { TOP "<os><type>hvm</type>\n<fancy/></os>", "g.xml:3: <fancy> (in os/fancy)" },
    { TOP OS "<features><acpi/>\n<tcg/></features>", "g.xml:4: <tcg>" },
    { TOP OS "<features>\n<apic new='1'/></features>", "g.xml:4: <apic> has an attribute 'new'" },
    { TOP OS "<cpu>\n<numa><cell id='0' cpus='0' memory='1'/></numa></cpu>", "g.xml:4: <numa>" },
    { DEVICE("<hostdev mode='subsystem' type='pci'/>"), "g.xml:4: <hostdev>" },
    { DEVICE("<filesystem type='mount'><source dir='/home'/></filesystem>"),
      "g.xml:4: <filesystem>" },
    { DEVICE("<shmem name='s'/>"), "g.xml:4: <shmem>" },
    { DEVICE("<smartcard mode='host'/>"), "g.xml:4: <smartcard>" },
    { DEVICE("<tpm model='tpm-crb'><backend type='emulator'/></tpm>"), "g.xml:4: <tpm>" },
    { DEVICE("<memory model='nvdimm'/>"), "g.xml:4: <memory>" },
    { DEVICE("<iommu model='intel'/>"), "g.xml:4: <iommu>" },
    { DEVICE("<vsock model='virtio'/>"), "g.xml:4: <vsock>" },
    { DEVICE("<quantum/>"), "g.xml:4: <quantum>" },
    { DEVICE("<x:disk xmlns:x='urn:x'/>"), "g.xml:4: <disk> (in devices/other:disk)" },
    { DEVICE("<interface type='hostdev'/>"), "g.xml:4: <interface type='hostdev'>" },
    { DEVICE("<interface type='vhostuser'><source type='unix' path='/s'/></interface>"),
      "g.xml:4: <interface type='vhostuser'>" },
    { DEVICE("<interface type='vdpa'/>"), "g.xml:4: <interface type='vdpa'>" },
    { DEVICE("<interface><model type='e1000'/></interface>"), "g.xml:4: <interface type=''>" },
    { DEVICE("<interface type='user'>\n<model type='virtio,id=x'/></interface>"), "g.xml:5: " },
    { DEVICE(
          "<channel type='unix'><target type='guestfwd' address='10.0.2.1' port='1'/></channel>"),
      "g.xml:4: <" },
    { DEVICE("<redirdev bus='usb' type='tcp'/>"), "g.xml:4: <redirdev>" },
    { DEVICE("<input type='passthrough' bus='virtio'><source evdev='/dev/input/e1'/></input>"),
      "g.xml:4: <input>" },
    { DEVICE("<watchdog model='diag288'/>"), "g.xml:4: " },
    { DEVICE("<disk type='network'><source protocol='nbd' name='x'/>"
             "<target dev='vda' bus='virtio'/></disk>"),
      "g.xml:4: <disk type='network'>" },
    { DEVICE("<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>"),
      "g.xml:4: <disk type='volume'>" },
    { DEVICE("<disk type='nvme'/>"), "g.xml:4: <disk type='nvme'>" },
    { DEVICE("<disk type='vhostuser'/>"), "g.xml:4: <disk type='vhostuser'>" },
    { DEVICE("<disk type='block' device='lun'><source dev='/dev/sda'/></disk>"),
      "g.xml:4: <disk device='lun'>" },
    { DEVICE("<disk type='file'><target dev='vda' bus='virtio'/></disk>"),
      "g.xml:4: <disk> names no image" },
    { DEVICE("<disk type='file'><source file=''/><target dev='vda' bus='virtio'/></disk>"),
      "g.xml:4: <disk> names no image" },
    { DEVICE("<disk type='file'><source file='/b'>\n<encryption format='luks'/></source>"
             "<target dev='vda' bus='virtio'/></disk>"),
      "g.xml:5: <encryption>" },
    { DEVICE("<disk type='file'><source file='/b'>\n<reservations managed='yes'/></source></disk>"),
      "g.xml:5: <reservations>" },
    { DEVICE("<disk type='file'><source file='/b'/>\n<mirror type='file'/></disk>"),
      "g.xml:5: <mirror>" },
    { DEVICE("<disk type='file'><source file='/b'/><target dev='vda' bus='virtio'/>\n"
             "<serial>/dev/sda</serial></disk>"),
      "host path" },
    { DEVICE("<disk type='file'><source file='/b'/><target dev='../x' bus='virtio'/></disk>"),
      "host path" },
    { DEVICE("<disk type='file'><source file='/b'/>\n<target dev='vda' bus='xen'/></disk>"),
      "g.xml:" },
};

START_TEST(refused)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
        char *text = NULL;
        ck_assert_int_ge(asprintf(&text, "%s", refusals[i].xml), 0);
        /* Cases of the head are cut short; close what is open. */
        if (strncmp(text, TOP, strlen(TOP)) == 0 && !strstr(text, "</domain>")) {
            char *whole = NULL;
            ck_assert_int_ge(asprintf(&whole, "%s<devices>" DISK END, text), 0);
            free(text);
            text = whole;
        }
        int ret = reduce(text, &domain, &err);
        ck_assert_msg(ret < 0, "case %zu was accepted: %s", i, text);
        ck_assert_msg(strstr(err.msg, refusals[i].message), "case %zu said \"%s\", not \"%s\"", i,
                      err.msg, refusals[i].message);
        ck_assert_int_eq(err.code, NX_ERR_FORMAT);
        ck_assert_msg(!domain.xml.len, "case %zu left a result", i);
        free(text);
    }
}
END_TEST

START_TEST(all_refusals_are_listed)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    const char *text = DEVICE("<hostdev/>\n<shmem name='x'/>\n<interface type='bridge'/>\n"
                              "<disk type='network'/>");
    nx_assert_fails(reduce(text, &domain, &err), err, "g.xml:4: <hostdev>");
    ck_assert(strstr(err.msg, "remove it from the machine"));
    ck_assert(has_note(&domain, NX_DOMAIN_REFUSED, 4, "<hostdev>"));
    ck_assert(has_note(&domain, NX_DOMAIN_REFUSED, 5, "<shmem>"));
    ck_assert(has_note(&domain, NX_DOMAIN_CHANGED, 6, "becomes user-mode networking"));
    ck_assert(has_note(&domain, NX_DOMAIN_REFUSED, 7, "<disk type='network'>"));
}
END_TEST

START_TEST(schema_complaints_are_notes)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    nx_assert_fails(reduce(DEVICE("\n<sound model='gong'/>"), &domain, &err), err, "g.xml:5: ");
    ck_assert(has_note(&domain, NX_DOMAIN_REFUSED, 5, ""));
}
END_TEST

/* ---- what is replaced ---------------------------------------------------------------- */

START_TEST(second_disk_keeps_no_path)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    const char *text =
        DEVICE("<disk type='file' device='cdrom'><target dev='hdb' bus='ide'/></disk>"
               "<disk type='block'><driver type='raw' cache='none'/>"
               "<source dev='/dev/vg/secret' index='3'><seclabel model='dac'/></source>"
               "<backingStore type='file'><format type='raw'/><source file='/secret/base'/>"
               "</backingStore><target dev='vda' bus='virtio'/><alias name='x'/></disk>"
               "<disk type='file'><driver type='qcow2'/><source file='secret.qcow2'/>"
               "<target dev='vdb' bus='virtio'/><readonly/></disk>");
    nx_assert_ok(reduce(text, &domain, &err), err);
    ck_assert(!contains(&domain, "secret") && !contains(&domain, "backingStore"));
    ck_assert_uint_eq(domain.n_disks, 4);
    ck_assert_str_eq(domain.disks[0].image, "disk0");
    ck_assert_str_eq(domain.disks[0].path, "/h/a");
    ck_assert_ptr_null(domain.disks[0].format);
    ck_assert_ptr_null(domain.disks[1].image);
    ck_assert_int_eq(domain.disks[1].device, NX_DISK_CDROM);
    ck_assert_str_eq(domain.disks[2].image, "disk1");
    ck_assert_str_eq(domain.disks[2].path, "/dev/vg/secret");
    ck_assert(domain.disks[2].block && !domain.disks[2].readonly);
    ck_assert_str_eq(domain.disks[3].path, "secret.qcow2");
    ck_assert_str_eq(domain.disks[3].format, "qcow2");
    ck_assert(domain.disks[3].readonly);
    ck_assert_int_eq(domain.disks[3].line, 4);
}
END_TEST

START_TEST(other_ends_are_cut_off)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    const char *text =
        DEVICE("<emulator>/opt/evil</emulator>"
               "<interface type='network'><mac address='52:54:00:aa:bb:cc'/>"
               "<source network='internal'/><target dev='vnet7'/><model type='virtio'/></interface>"
               "<serial type='tcp'><source host='intern.example' service='1'/>"
               "<log file='/var/log/x'/><target port='0'/></serial>"
               "<graphics type='vnc' passwd='hunter2'/>"
               "<rng model='virtio'><backend model='egd'><source host='intern.example'/></backend>"
               "</rng>");
    static const char *const gone[] = { "evil",           "internal", "vnet7",
                                        "intern.example", "/var",     "hunter2" };
    nx_assert_ok(reduce(text, &domain, &err), err);
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        ck_assert_msg(!contains(&domain, gone[i]), "%s is still there", gone[i]);
    ck_assert(contains(&domain, "<interface type=\"user\">"));
    ck_assert(contains(&domain, "52:54:00:aa:bb:cc"));
    ck_assert(contains(&domain, "<serial type=\"null\">"));
    ck_assert(contains(&domain, "<backend model=\"builtin\"/>"));
}
END_TEST

START_TEST(uefi)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    const char *text = TOP "<os><type machine='q35'>hvm</type>\n"
                           "<loader readonly='yes' secure='yes' type='pflash'>/usr/OVMF</loader>\n"
                           "<nvram template='/usr/VARS' format='qcow2'>/var/n_VARS.fd</nvram></os>"
                           "<devices>" DISK END;
    nx_assert_ok(reduce(text, &domain, &err), err);
    ck_assert(contains(&domain, "<os firmware=\"efi\">"));
    ck_assert(contains(&domain, "<loader secure=\"yes\"/>"));
    ck_assert(contains(&domain, "<nvram image=\"nvram\"/>"));
    ck_assert(!contains(&domain, "/usr") && !contains(&domain, "/var"));
    ck_assert_ptr_nonnull(domain.nvram);
    ck_assert_str_eq(domain.nvram->path, "/var/n_VARS.fd");
    ck_assert_str_eq(domain.nvram->format, "qcow2");
    ck_assert_int_eq(domain.nvram->line, 4);
}
END_TEST

START_TEST(a_running_domain_is_unwrapped)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    const char *text =
        "<!-- libvirt -->\n<domstatus state='running'><monitor path='/m'/>" DEVICES DISK END
        "</domstatus>";
    nx_assert_ok(reduce(text, &domain, &err), err);
    ck_assert_str_eq(domain.name, "t");
}
END_TEST

START_TEST(unseen_is_dropped_with_a_note)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    const char *text = TOP "<cputune><shares>9</shares></cputune>" OS "<devices>" DISK END;
    nx_assert_ok(reduce(text, &domain, &err), err);
    ck_assert(has_note(&domain, NX_DOMAIN_DROPPED, 2, "<cputune>"));
    ck_assert(!contains(&domain, "cputune"));
}
END_TEST

START_TEST(too_many)
{
    struct nx_error err;
    NX_AUTO_DOMAIN struct nx_domain disks = { 0 }, notes = { 0 };
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(NX_XML_MAX);
    nx_buffer_printf(&text, &err, "%s", DEVICES);
    for (int i = 0; i <= NX_DOMAIN_MAX_DISKS; i++)
        nx_buffer_printf(&text, &err, "<disk><source file='/%d'/><target dev='vd%c%c'/></disk>", i,
                         'a' + i / 26, 'a' + i % 26);
    nx_buffer_printf(&text, &err, "%s", END);
    nx_assert_fails(reduce((const char *)text.data, &disks, &err), err, "more than 64 disks");
    text.len = 0;
    nx_buffer_printf(&text, &err, "%s", DEVICES);
    for (int i = 0; i < 2 * NX_DOMAIN_MAX_NOTES; i++)
        nx_buffer_printf(&text, &err, "<x/>");
    nx_buffer_printf(&text, &err, "%s", END);
    nx_assert_fails(reduce((const char *)text.data, &notes, &err), err, "<x>");
    ck_assert_uint_eq(notes.n_notes, NX_DOMAIN_MAX_NOTES);
}
END_TEST

/* ---- what people really have ------------------------------------------------------------ */

/* No slash may remain but in closing tags and in the words that are only shown. */
static void assert_no_path(const char *file, const char *xml)
{
    for (const char *at = xml; (at = strchr(at, '/')); at++) {
        const char *title = strstr(xml, "<title>"), *end = strstr(xml, "</title>");
        bool is_tag = at[-1] == '<' || at[1] == '>';
        ck_assert_msg(is_tag || (title && at > title && at < end), "%s: %.40s", file, at - 10);
    }
}

START_TEST(real_domains)
{
    glob_t files = { 0 };
    ck_assert_int_eq(glob("tests/data/domains/*.xml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct nx_error err;
        NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(NX_XML_MAX);
        NX_AUTO_DOMAIN struct nx_domain domain = { 0 }, again = { 0 };
        NX_AUTO_MACHINE struct nx_machine *machine = NULL;
        nx_assert_ok(nx_read_file(files.gl_pathv[i], NX_XML_MAX, &text, &err), err);
        nx_assert_ok(nx_domain_reduce(text.data, text.len, files.gl_pathv[i], &domain, &err), err);
        nx_assert_ok(nx_domain_validate(domain.xml.data, domain.xml.len, "reduced", &err), err);
        assert_no_path(files.gl_pathv[i], (const char *)domain.xml.data);
        nx_assert_ok(nx_machine_parse(domain.xml.data, domain.xml.len, "reduced", &machine, &err),
                     err);
        /* The author's form is not the reduced one. */
        ck_assert_int_lt(nx_domain_validate(text.data, text.len, "author's", &err), 0);
    }
    ck_assert_uint_ge(files.gl_pathc, 9);
    globfree(&files);
}
END_TEST

/* Cut anywhere and with any byte changed: an answer, never a crash. */
START_TEST(damaged)
{
    struct nx_error err;
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(NX_XML_MAX);
    nx_assert_ok(nx_read_file("tests/data/domains/pc-by-hand.xml", NX_XML_MAX, &text, &err), err);
    for (size_t at = 0; at < text.len; at += 3) {
        NX_AUTO_DOMAIN struct nx_domain cut = { 0 }, changed = { 0 };
        ck_assert_int_lt(nx_domain_reduce(text.data, at, "cut", &cut, &err), 0);
        uint8_t kept = text.data[at];
        text.data[at] = (uint8_t) "<>/'\" \t\x80&a"[at % 10];
        if (nx_domain_reduce(text.data, text.len, "changed", &changed, &err) == 0)
            assert_no_path("changed", (const char *)changed.xml.data);
        text.data[at] = kept;
    }
}
END_TEST

NX_TEST_MAIN("domain", refused, all_refusals_are_listed, schema_complaints_are_notes,
             second_disk_keeps_no_path, other_ends_are_cut_off, uefi, a_running_domain_is_unwrapped,
             unseen_is_dropped_with_a_note, too_many, real_domains, damaged)
