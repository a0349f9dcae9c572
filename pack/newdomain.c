/* SPDX-License-Identifier: MIT */
/* The hardware is what a package may have (formats/domain.rng) and every computer can give:
 *
 *   - a processor by name, as all have it since 2010 (x86-64-v2: what today's distributions ask for), of no maker's,
 *     and without nested virtualization, which some have;
 *   - user-mode networking, for a virtio card on a bridge relies on what the bridge can do;
 *   - a machine type with its version, and every device at its address: libvirt adds both, and keeps them;
 *   - a vmgenid, by which the guest is told that it was resumed a second time.
 */
#include "pack/newdomain.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/kvm.h"
#include "common/log.h"
#include "common/process.h"
#include "formats/xml.h"
#include "pack/author.h"
#include "pack/detect.h"
#include "pack/suspended.h"
#include "pack/virt.h"

struct creation {
    const struct nx_newdomain *want;
    bool kvm;
    char *cdrom; /* absolute, or NULL */
    char *disk;
    bool has_disk; /* we have made it */
    struct nx_virt *virt;
    struct nx_virt_domain *domain; /* NULL until it is defined */
};

/* ---- its XML ---- */

static int add_escaped(struct nx_buffer *xml, const char *before, const char *text,
                       const char *after, struct nx_error *err)
{
    if (nx_buffer_printf(xml, err, "%s", before) < 0 || nx_xml_escape(xml, text, err) < 0)
        return -1;
    return nx_buffer_printf(xml, err, "%s", after);
}

static int add_cpu(struct nx_buffer *xml, const struct nx_newdomain *want, struct nx_error *err)
{
    static const char v2[] = "<feature policy='require' name='ssse3'/>"
                             "<feature policy='require' name='sse4.1'/>"
                             "<feature policy='require' name='sse4.2'/>"
                             "<feature policy='require' name='popcnt'/>"
                             "<feature policy='disable' name='svm'/>";
    bool wide = strcmp(want->arch, "x86_64") == 0;
    return nx_buffer_printf(xml, err,
                            "<cpu mode='custom' match='exact' check='none'>"
                            "<model fallback='forbid'>%s</model>%s</cpu>",
                            wide ? "qemu64" : "qemu32", wide ? v2 : "");
}

static int add_board(struct nx_buffer *xml, const struct creation *c, struct nx_error *err)
{
    const struct nx_newdomain *want = c->want;
    if (nx_buffer_printf(xml, err, "<domain type='%s'>", c->kvm ? "kvm" : "qemu") < 0 ||
        add_escaped(xml, "<name>", want->name, "</name><genid/>", err) < 0 ||
        nx_buffer_printf(xml, err, "<memory unit='MiB'>%llu</memory><vcpu>%u</vcpu>",
                         (unsigned long long)(want->memory >> 20), want->cpus) < 0 ||
        nx_buffer_printf(xml, err,
                         "<os%s><type arch='%s' machine='%s'>hvm</type>%s"
                         "<boot dev='hd'/><boot dev='cdrom'/></os>",
                         want->uefi ? " firmware='efi'" : "", want->arch, want->machine,
                         want->uefi
                             ? "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
                             : "") < 0 ||
        add_cpu(xml, want, err) < 0)
        return -1;
    return nx_buffer_printf(xml, err,
                            "<features><acpi/><apic/></features>"
                            "<clock offset='utc'><timer name='hpet' present='no'/></clock>");
}

static int add_disks(struct nx_buffer *xml, const struct creation *c, struct nx_error *err)
{
    if (add_escaped(xml,
                    "<disk type='file' device='disk'>"
                    "<driver name='qemu' type='qcow2' discard='unmap'/><source file='",
                    c->disk, "'/><target dev='vda' bus='virtio'/></disk>", err) < 0 ||
        nx_buffer_printf(xml, err,
                         "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>") < 0)
        return -1;
    if (c->cdrom && add_escaped(xml, "<source file='", c->cdrom, "'/>", err) < 0)
        return -1;
    return nx_buffer_printf(xml, err, "<target dev='sda' bus='sata'/><readonly/></disk>");
}

static int add_devices(struct nx_buffer *xml, const struct creation *c, struct nx_error *err)
{
    if (nx_buffer_printf(xml, err, "<devices>") < 0 || add_disks(xml, c, err) < 0)
        return -1;
    return nx_buffer_printf(
        xml, err,
        "<interface type='user'><model type='virtio'/></interface>"
        "<serial type='pty'/><console type='pty'/>"
        "<channel type='unix'>"
        "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "<input type='tablet' bus='usb'/>"
        "<graphics type='vnc'><listen type='socket'/></graphics>"
        "<video><model type='vga'/></video>"
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
        "</devices></domain>");
}

/* ---- what is asked for ---- */

static int check_name(const char *name, struct nx_error *err)
{
    size_t len = strlen(name);
    bool plain = len > 0 && len <= 200 && name[0] != '.' && name[0] != '-';
    for (const char *p = name; *p; p++)
        plain = plain && (unsigned char)*p > ' ' && *p != '/' && *p != 127;
    return plain ? 0
                 : nx_fail(err, NX_ERR_USAGE,
                           "'%s': not a name for a machine, which has 1 to 200 characters, no "
                           "spaces and no slash",
                           name);
}

static int check_cdrom(struct creation *c, struct nx_error *err)
{
    struct stat st;
    if (!c->want->cdrom)
        return 0;
    NX_AUTO_FD int fd = open(c->want->cdrom, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return nx_fail_errno(err, "--cdrom %s", c->want->cdrom);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return nx_fail(err, NX_ERR_USAGE, "--cdrom %s: is not an image of a CD-ROM",
                       c->want->cdrom);
    if (nx_image_check_format(fd, c->want->cdrom, "raw", err) < 0)
        return nx_fail_while(err, "--cdrom");
    c->cdrom = realpath(c->want->cdrom, NULL);
    return c->cdrom ? 0 : nx_fail_errno(err, "--cdrom %s", c->want->cdrom);
}

static int check_free(const struct creation *c, struct nx_error *err)
{
    bool taken;
    if (nx_virt_has(c->virt, c->want->name, &taken, err) < 0)
        return -1;
    if (taken)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: %s has a domain of that name already: choose another one",
                       c->want->name, nx_virt_uri(c->virt));
    /* It would go on from there. */
    NX_AUTO_FREE char *save = nx_virt_save_path(c->virt, c->want->name);
    if (!save)
        return nx_fail_errno(err, "%s", c->want->name);
    if (access(save, F_OK) == 0)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: is the saved memory of an earlier machine of that name: remove it, or "
                       "choose another name",
                       save);
    return 0;
}

/* ---- making it ---- */

/* The folder may be relative, and libvirt wants no such path. */
static int name_disk(struct creation *c, struct nx_error *err)
{
    NX_AUTO_FREE char *folder =
        c->want->folder ? strdup(c->want->folder) : nx_virt_image_folder(c->virt);
    if (!folder)
        return nx_fail_errno(err, "%s", c->want->name);
    if (!c->want->folder && nx_make_folders(folder, err) < 0)
        return -1;
    NX_AUTO_FREE char *real = realpath(folder, NULL);
    if (!real)
        return nx_fail_errno(err, "--dir %s", folder);
    if (asprintf(&c->disk, "%s/%s.qcow2", real, c->want->name) < 0) {
        c->disk = NULL;
        return nx_fail_errno(err, "%s", c->want->name);
    }
    return 0;
}

/* The empty file is ours before qemu-img, which would replace anything, fills it. */
static int make_disk(struct creation *c, struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    NX_AUTO_FD int fd = open(c->disk, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: exists: remove it, or choose another name or folder (--dir)", c->disk);
    if (fd < 0)
        return nx_fail_errno(err, "%s", c->disk);
    c->has_disk = true;
    static const char *const words[] = { "qemu-img", "create", "-q", "-f", "qcow2", "--" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        nx_args_add(&args, words[i]);
    nx_args_add(&args, c->disk);
    nx_args_addf(&args, "%llu", (unsigned long long)c->want->disk);
    if (nx_run(&args, NULL, err) < 0)
        return nx_fail_while(err, "%s: qemu-img (of the package qemu-utils)", c->disk);
    return fsync(fd) < 0 ? nx_fail_errno(err, "%s", c->disk) : 0;
}

static int define(struct creation *c, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_XML_MAX);
    if (add_board(&xml, c, err) < 0 || add_devices(&xml, c, err) < 0)
        return -1;
    return nx_virt_define(c->virt, (const char *)xml.data, &c->domain, err);
}

/* What libvirt has made of it must travel, with all that it has added. */
static int check_made(const struct creation *c, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    NX_AUTO_AUTHOR struct nx_author author = { 0 };
    if (nx_virt_xml(c->domain, true, &xml, err) < 0 ||
        nx_author_parse(&author, xml.data, xml.len, c->want->name, err) < 0)
        return -1;
    if (!nx_machine_is_versioned(author.machine->machine))
        return nx_fail(err, NX_ERR_USAGE,
                       "--machine %s: is %s here, which other computers do not know: say one with "
                       "QEMU's own version, such as pc-q35-7.2",
                       c->want->machine, author.machine->machine);
    return nx_suspended_check_xml(&xml, c->want->name, author.machine, err);
}

static int create(struct creation *c, const char *uri, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    if (check_name(c->want->name, err) < 0 || check_cdrom(c, err) < 0 ||
        nx_virt_open(uri, &c->virt, err) < 0 || check_free(c, err) < 0 || name_disk(c, err) < 0)
        return -1;
    c->kvm = nx_kvm_check(&why) == 0;
    if (make_disk(c, err) < 0 || nx_check_interrupt(err) < 0 || define(c, err) < 0 ||
        check_made(c, err) < 0 || nx_check_interrupt(err) < 0)
        return -1;
    if (!c->kvm)
        nx_log(NX_LOG_NOTICE,
               "KVM cannot be used (%s): the machine will be emulated, which is slower", why.msg);
    return 0;
}

static void undo(struct creation *c)
{
    struct nx_error err = NX_ERROR_INIT;
    if (c->domain && nx_virt_undefine(c->domain, &err) < 0)
        nx_log(NX_LOG_WARNING, "%s is left behind, with its disk %s: %s", c->want->name, c->disk,
               err.msg);
    else if (c->has_disk)
        unlink(c->disk);
}

int nx_newdomain_create(const char *uri, const struct nx_newdomain *newdomain, char **ret_disk,
                        struct nx_error *err)
{
    struct creation c = { .want = newdomain };
    int ret = create(&c, uri, err);
    if (ret < 0)
        undo(&c);
    else
        *ret_disk = NX_STEAL(c.disk);
    nx_virt_domain_free(c.domain);
    nx_virt_close(c.virt);
    free(c.disk);
    free(c.cdrom);
    return ret;
}
