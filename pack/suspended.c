/* SPDX-License-Identifier: MIT */
#include "pack/suspended.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/progress.h"
#include "formats/devicestate.h"
#include "formats/migration.h"
#include "formats/savefile.h"
#include "formats/xml.h"
#include "pack/pages.h"

#define PAGE NX_MIGRATION_PAGE

struct nx_suspended {
    const char *path;
    int fd;
    struct timespec modified;
    uint64_t size; /* bytes of the save file */
    struct nx_savefile *save;

    /* Since the split. */
    struct nx_pages *memory;
    uint64_t memory_size;
    struct nx_state_writer *writer;
    struct nx_buffer state;
    uint64_t state_raw;
};

/* ---- finding ---- */

bool nx_suspended_is_save(const char *path)
{
    /* O_NONBLOCK: a FIFO must not hold us. */
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd >= 0 && nx_savefile_detect(fd);
}

static int exists(char *path, char **ret_path, struct nx_error *err)
{
    if (!path)
        return nx_fail(err, NX_ERR_SYSTEM, "managed save: no memory");
    int missing = access(path, F_OK) == 0 ? 0 : errno;
    int ret = 0;
    if (missing && missing != ENOENT && missing != ENOTDIR)
        ret = nx_fail_errno(err, "%s: perhaps a managed save (--no-memory packs the disks only)",
                            path);
    if (missing)
        free(path);
    else
        *ret_path = path;
    return ret;
}

int nx_suspended_find(const char *xml_path, const char *domain_name, char **ret_path,
                      struct nx_error *err)
{
    *ret_path = NULL;
    if (!domain_name || strchr(domain_name, '/'))
        return 0;
    NX_AUTO_FREE char *real = realpath(xml_path, NULL);
    if (!real)
        return 0; /* a pipe: it stands in no folder */
    char *path;
    if (asprintf(&path, "%.*ssave/%s.save", (int)(strrchr(real, '/') - real + 1), real,
                 domain_name) < 0)
        path = NULL;
    if (exists(path, ret_path, err) < 0 || *ret_path)
        return *ret_path ? 0 : -1;
    static const char system[] = "/etc/libvirt/qemu/";
    if (strncmp(real, system, sizeof system - 1) != 0)
        return 0;
    if (asprintf(&path, "/var/lib/libvirt/qemu/save/%s.save", domain_name) < 0)
        path = NULL;
    return exists(path, ret_path, err);
}

/* ---- opening ---- */

int nx_suspended_open(const char *path, struct nx_suspended **ret_suspended, struct nx_error *err)
{
    NX_AUTO_SUSPENDED struct nx_suspended *s = calloc(1, sizeof *s);
    struct stat st;
    if (!s)
        return nx_fail_errno(err, "%s", path);
    s->path = path;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return nx_fail_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return nx_fail(err, NX_ERR_SYSTEM, "%s: is no file", path);
    s->modified = st.st_mtim;
    s->size = (uint64_t)st.st_size;
    if (nx_savefile_open(s->fd, path, &s->save, err) < 0)
        return -1;
    *ret_suspended = NX_STEAL(s);
    return 0;
}

void nx_suspended_free(struct nx_suspended *s)
{
    if (!s)
        return;
    nx_savefile_free(s->save);
    if (s->fd >= 0)
        close(s->fd);
    nx_pages_free(s->memory);
    nx_state_writer_free(s->writer);
    nx_buffer_release(&s->state);
    free(s);
}

const struct nx_buffer *nx_suspended_xml(const struct nx_suspended *suspended)
{
    return nx_savefile_xml(suspended->save);
}

/* ---- checking ---- */

static int cannot_travel(const char *name, const char *why, const char *remedy,
                         struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT,
                   "%s: the saved state would not load on another host: %s; %s, start the machine "
                   "and save it again (or pack its disks only: DOMAIN.XML with --no-memory)",
                   name, why, remedy);
}

/* A tap device of this host's; user-mode networking, a socket or nothing is none. */
static bool is_tap(const char *type)
{
    static const char *const taps[] = { "network", "bridge", "direct", "ethernet", "internal" };
    for (size_t i = 0; i < sizeof taps / sizeof taps[0]; i++)
        if (strcmp(type, taps[i]) == 0)
            return true;
    return false;
}

/* libvirt gives a virtio card on a tap device the latter's offloads (vnet_hdr), and QEMU loads its state only where it has
 * them again, which user-mode networking has not ("saved image requires vnet_hdr=on").  Other cards know nothing of it.
 */
static int check_interface(const char *name, const xmlNode *interface, struct nx_error *err)
{
    const xmlNode *model = nx_xml_child(interface, "model");
    NX_AUTO_FREE char *type = nx_xml_attr(interface, "type");
    NX_AUTO_FREE char *card = model ? nx_xml_attr(model, "type") : NULL;
    if (!type || !card || !is_tap(type) || strncmp(card, "virtio", strlen("virtio")) != 0)
        return 0;
    char why[128];
    snprintf(why, sizeof why, "its virtio network card relies on this host's <interface type='%s'>",
             type);
    return cannot_travel(name, why, "make it <interface type='user'>, or its model e1000e", err);
}

/* What the reduced domain does not say any more. */
static int check_interfaces(const struct nx_buffer *xml, const char *name, struct nx_error *err)
{
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    if (nx_xml_parse(xml->data, xml->len, name, &doc, err) < 0)
        return -1;
    const xmlNode *root = xmlDocGetRootElement(doc);
    const xmlNode *devices = root ? nx_xml_child(root, "devices") : NULL;
    for (const xmlNode *n = devices ? nx_xml_child(devices, "interface") : NULL; n;
         n = nx_xml_next(n, "interface"))
        if (check_interface(name, n, err) < 0)
            return -1;
    return nx_xml_end(0, name, err);
}

int nx_suspended_check_xml(const struct nx_buffer *xml, const char *name,
                           const struct nx_machine *machine, struct nx_error *err)
{
    static const struct {
        enum nx_cpu_mode mode;
        const char *why;
    } modes[] = {
        { NX_CPU_HOST_PASSTHROUGH, "its processor is this host's (mode host-passthrough)" },
        { NX_CPU_HOST_MODEL, "its processor is like this host's (mode host-model)" },
        { NX_CPU_MAXIMUM, "its processor is all that this QEMU can do (mode maximum)" },
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (machine->cpu.mode == modes[i].mode)
            return cannot_travel(name, modes[i].why,
                                 "give the domain <cpu mode='custom'> with a model", err);
    char why[256];
    snprintf(why, sizeof why, "its machine type %s is not one of QEMU's own with a version",
             machine->machine);
    if (!nx_machine_is_versioned(machine->machine))
        return cannot_travel(name, why,
                             "give the domain a type such as pc-q35-7.2 or pc-i440fx-7.2", err);
    return check_interfaces(xml, name, err);
}

int nx_suspended_check_machine(const struct nx_suspended *suspended,
                               const struct nx_machine *machine, struct nx_error *err)
{
    return nx_suspended_check_xml(nx_savefile_xml(suspended->save), suspended->path, machine, err);
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

int nx_suspended_check_disk(const struct nx_suspended *suspended, const struct nx_original *disk,
                            struct nx_error *err)
{
    for (unsigned i = 0; i < disk->n_files; i++)
        if (is_later(&disk->files[i].modified, &suspended->modified))
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: was written after %s was saved, so disk and memory do not belong "
                           "together: restore the machine and save it again (if only the times "
                           "are wrong, as after a copy: --ignore-times)",
                           disk->files[i].path, suspended->path);
    return 0;
}

/* ---- splitting ---- */

static int read_stream(void *opaque, void *buf, size_t len, size_t *ret_n, struct nx_error *err)
{
    struct nx_suspended *s = opaque;
    if (nx_check_interrupt(err) < 0)
        return -1;
    off_t at = lseek(s->fd, 0, SEEK_CUR); /* of the file, which may be compressed */
    if (at > 0)
        nx_progress_update((uint64_t)at);
    return nx_savefile_read(s->save, buf, len, ret_n, err);
}

/* The stream's memory is known only when its list of blocks was read; the machine has said it before. */
static int take_page(void *opaque, uint64_t offset, const void *data, uint64_t at,
                     struct nx_error *err)
{
    struct nx_suspended *s = opaque;
    if (offset > s->memory_size - PAGE)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its memory is larger than the domain's %" PRIu64 " MiB", s->path,
                       s->memory_size >> 20);
    return nx_pages_add(s->memory, offset, data, at, err);
}

static int take_state(void *opaque, const void *data, size_t len, struct nx_error *err)
{
    struct nx_suspended *s = opaque;
    return nx_state_writer_add(s->writer, data, len, err);
}

static int prepare_split(struct nx_suspended *s, const struct nx_machine *machine,
                         const char *beside, int level, struct nx_error *err)
{
    s->memory_size = machine->memory;
    if (s->memory_size < PAGE || s->memory_size % PAGE || s->memory_size > NX_MIGRATION_RAM_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: %" PRIu64 " bytes of memory cannot be packed",
                       s->path, s->memory_size);
    if (nx_pages_new(s->memory_size, s->fd, nx_savefile_stream(s->save), s->path, beside,
                     &s->memory, err) < 0)
        return -1;
    return nx_state_writer_new(level, &s->writer, err);
}

static int check_split(const struct nx_suspended *s, const struct nx_machine *machine,
                       const struct nx_migration_info *info, struct nx_error *err)
{
    if (strcmp(info->machine, machine->machine) != 0)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its domain XML says machine type %s, but the state was saved by a %s",
                       s->path, machine->machine, info->machine);
    if (info->memory != machine->memory)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: its domain XML says %" PRIu64 " MiB of memory, but %" PRIu64
                       " MiB were saved",
                       s->path, machine->memory >> 20, info->memory >> 20);
    return 0;
}

int nx_suspended_split(struct nx_suspended *suspended, const struct nx_machine *machine,
                       const char *beside, int level, struct nx_error *err)
{
    const struct nx_migration_ops ops = { read_stream, take_page, take_state, suspended };
    struct nx_migration_info info;
    if (prepare_split(suspended, machine, beside, level, err) < 0)
        return -1;
    nx_progress_start("splitting", suspended->size);
    int ret = nx_migration_split(&ops, suspended->path, &info, err);
    nx_progress_end();
    if (ret < 0 || check_split(suspended, machine, &info, err) < 0)
        return -1;
    return nx_state_writer_finish(suspended->writer, &suspended->state, &suspended->state_raw, err);
}

/* ---- what came out ---- */

uint64_t nx_suspended_memory_size(const struct nx_suspended *suspended)
{
    return suspended->memory_size;
}

int nx_suspended_open_memory(struct nx_suspended *suspended, struct nx_source **ret_source,
                             struct nx_error *err)
{
    return nx_pages_open(suspended->memory, ret_source, err);
}

int nx_suspended_drop_memory(struct nx_suspended *suspended, struct nx_error *err)
{
    struct stat st;
    nx_pages_free(NX_STEAL(suspended->memory));
    if (fstat(suspended->fd, &st) < 0)
        return nx_fail_errno(err, "%s", suspended->path);
    if ((uint64_t)st.st_size == suspended->size && !is_later(&st.st_mtim, &suspended->modified))
        return 0;
    return nx_fail(err, NX_ERR_SYSTEM, "%s: was written while it was read: pack it again",
                   suspended->path);
}

const struct nx_buffer *nx_suspended_state(const struct nx_suspended *suspended)
{
    return &suspended->state;
}

uint64_t nx_suspended_state_raw(const struct nx_suspended *suspended)
{
    return suspended->state_raw;
}
