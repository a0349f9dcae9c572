/* SPDX-License-Identifier: MIT */
/* Threads: saving takes as long as the machine has memory, so one thread waits for libvirt's answer while the caller's
 * shows progress and looks for Ctrl-C.  libvirt's connections may be used by both.  It is joined before nx_virt_save() returns.
 */
#include "pack/virt.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/uri.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "common/interrupt.h"
#include "common/log.h"
#include "common/progress.h"
#include "common/userdir.h"
#include "formats/xml.h"

#define LIBRARY "libvirt.so.0"
#define LOOK_MS 200 /* between two looks at the progress, and for Ctrl-C */

/* ---- the library ---- */

/* clang-format off */
#define CALLS(X) \
    X(virInitialize) X(virSetErrorFunc) X(virGetLastErrorCode) X(virGetLastErrorMessage) \
    X(virConnectOpen) X(virConnectClose) X(virConnectGetURI) X(virConnectListAllDomains) \
    X(virDomainDefineXMLFlags) X(virDomainLookupByName) X(virDomainFree) \
    X(virDomainGetName) X(virDomainGetUUIDString) X(virDomainGetState) \
    X(virDomainIsPersistent) X(virDomainHasManagedSaveImage) X(virDomainGetXMLDesc) \
    X(virDomainManagedSave) X(virDomainAbortJob) X(virDomainGetJobInfo) \
    X(virDomainCreate) X(virDomainUndefineFlags)
/* clang-format on */

#define MEMBER(name) __typeof__(name) *name;
static struct {
    bool loaded;
    CALLS(MEMBER)
} lib; /* filled once, by the main thread */

static void say_nothing(void *opaque, virErrorPtr error)
{
}

static int load(struct nx_error *err)
{
    if (lib.loaded)
        return 0;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return nx_fail(
            err, NX_ERR_SYSTEM,
            "libvirt's library is needed for domains by their names and cannot be loaded: "
            "install it (Debian's package libvirt0), or give a domain's XML file: %s",
            dlerror());
#define LOAD(name) (lib.name = (__typeof__(lib.name))dlsym(handle, #name)) &&
    if (!(CALLS(LOAD) true))
        return nx_fail(err, NX_ERR_SYSTEM, "libvirt's library is too old: %s", dlerror());
    if (lib.virInitialize() < 0)
        return nx_fail(err, NX_ERR_SYSTEM, "libvirt: %s", lib.virGetLastErrorMessage());
    lib.virSetErrorFunc(NULL, say_nothing); /* it would write to stderr */
    lib.loaded = true;
    return 0;
}

/* libvirt's own words for what failed last in this thread; always -1. */
static int fail_virt(struct nx_error *err, const char *what)
{
    return nx_fail(err, NX_ERR_SYSTEM, "%s: %s", what, lib.virGetLastErrorMessage());
}

/* ---- connections ---- */

struct nx_virt {
    virConnectPtr connection;
    char *uri;
    bool system;
};

/* Only QEMU of this computer: its disks are files here. */
static int take_uri(struct nx_virt *virt, struct nx_error *err)
{
    char *said = lib.virConnectGetURI(virt->connection);
    if (!said)
        return fail_virt(err, "libvirt");
    virt->uri = said; /* malloc()'s */
    xmlURI *uri = xmlParseURI(said);
    bool local = uri && uri->scheme && !uri->server && uri->path &&
                 (strcmp(uri->scheme, "qemu") == 0 || strcmp(uri->scheme, "qemu+unix") == 0);
    bool session = local && strcmp(uri->path, "/session") == 0;
    virt->system = local && strcmp(uri->path, "/system") == 0;
    xmlFreeURI(uri);
    if (session || virt->system)
        return 0;
    return nx_fail(err, NX_ERR_USAGE,
                   "%s: is not QEMU of this computer, where nxpack reads and makes disks: use "
                   "qemu:///session or qemu:///system, on the computer that has them",
                   virt->uri);
}

int nx_virt_open(const char *uri, struct nx_virt **ret_virt, struct nx_error *err)
{
    NX_AUTO_VIRT struct nx_virt *virt = calloc(1, sizeof *virt);
    if (!virt)
        return nx_fail_errno(err, "libvirt");
    if (!uri)
        uri = getenv("LIBVIRT_DEFAULT_URI");
    if (!uri || !*uri)
        uri = NX_VIRT_URI_DEFAULT;
    if (load(err) < 0)
        return -1;
    virt->connection = lib.virConnectOpen(uri);
    if (!virt->connection)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: libvirt cannot be reached: %s; is its daemon installed (Debian's "
                       "package libvirt-daemon-system), and may you use it?",
                       uri, lib.virGetLastErrorMessage());
    if (take_uri(virt, err) < 0)
        return -1;
    *ret_virt = NX_STEAL(virt);
    return 0;
}

void nx_virt_close(struct nx_virt *virt)
{
    if (!virt)
        return;
    if (virt->connection)
        lib.virConnectClose(virt->connection);
    free(virt->uri);
    free(virt);
}

const char *nx_virt_uri(const struct nx_virt *virt)
{
    return virt->uri;
}

bool nx_virt_is_system(const struct nx_virt *virt)
{
    return virt->system;
}

char *nx_virt_image_folder(const struct nx_virt *virt)
{
    return virt->system ? strdup("/var/lib/libvirt/images")
                        : nx_user_path("XDG_DATA_HOME", ".local/share", "libvirt/images");
}

/* ---- domains ---- */

struct nx_virt_domain {
    struct nx_virt *virt;
    virDomainPtr domain;
    const char *name; /* the handle's: to ask for it anew would forget libvirt's last error */
    char uuid[VIR_UUID_STRING_BUFLEN];
};

static void fill(struct nx_virt_domain *domain, struct nx_virt *virt, virDomainPtr handle)
{
    domain->virt = virt;
    domain->domain = handle;
    domain->name = lib.virDomainGetName(handle); /* as it does the UUID, the handle has it in it */
    lib.virDomainGetUUIDString(handle, domain->uuid);
}

/* Owns handle, also when it fails. */
static int wrap(struct nx_virt *virt, virDomainPtr handle, struct nx_virt_domain **ret_domain,
                struct nx_error *err)
{
    struct nx_virt_domain *domain = calloc(1, sizeof *domain);
    if (!domain) {
        lib.virDomainFree(handle);
        return nx_fail_errno(err, "libvirt");
    }
    fill(domain, virt, handle);
    *ret_domain = domain;
    return 0;
}

void nx_virt_domain_free(struct nx_virt_domain *domain)
{
    if (!domain)
        return;
    if (domain->domain)
        lib.virDomainFree(domain->domain);
    free(domain);
}

int nx_virt_find(struct nx_virt *virt, const char *name, struct nx_virt_domain **ret_domain,
                 struct nx_error *err)
{
    virDomainPtr found = lib.virDomainLookupByName(virt->connection, name);
    if (found)
        return wrap(virt, found, ret_domain, err);
    if (lib.virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: %s has no domain of that name: see nxpack list",
                       name, virt->uri);
    return fail_virt(err, name);
}

int nx_virt_has(struct nx_virt *virt, const char *name, bool *ret_taken, struct nx_error *err)
{
    virDomainPtr found = lib.virDomainLookupByName(virt->connection, name);
    if (!found && lib.virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
        return fail_virt(err, name);
    *ret_taken = found;
    if (found)
        lib.virDomainFree(found);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(nx_virt_name(*(struct nx_virt_domain *const *)a),
                  nx_virt_name(*(struct nx_virt_domain *const *)b));
}

/* The array, and its handles from that one on. */
static void free_handles(virDomainPtr *handles, int from, int n)
{
    for (int i = from; i < n; i++)
        lib.virDomainFree(handles[i]);
    free(handles);
}

int nx_virt_all(struct nx_virt *virt, struct nx_virt_domain ***ret_domains, size_t *ret_n,
                struct nx_error *err)
{
    virDomainPtr *handles = NULL;
    int n = lib.virConnectListAllDomains(virt->connection, &handles, 0);
    if (n < 0)
        return fail_virt(err, virt->uri);
    struct nx_virt_domain **domains = calloc((size_t)n + 1, sizeof *domains);
    if (!domains) {
        free_handles(handles, 0, n);
        return nx_fail_errno(err, "libvirt");
    }
    int kept = 0, ret = 0;
    while (kept < n && (ret = wrap(virt, handles[kept], &domains[kept], err)) == 0)
        kept++;
    if (ret < 0) {
        free_handles(handles, kept + 1, n); /* wrap() has freed that one */
        nx_virt_free_all(domains, (size_t)kept);
        return -1;
    }
    free(handles);
    qsort(domains, (size_t)kept, sizeof *domains, by_name);
    *ret_domains = domains;
    *ret_n = (size_t)kept;
    return 0;
}

void nx_virt_free_all(struct nx_virt_domain **domains, size_t n)
{
    for (size_t i = 0; i < n; i++)
        nx_virt_domain_free(domains[i]);
    free(domains);
}

const char *nx_virt_name(const struct nx_virt_domain *domain)
{
    return domain->name;
}

const char *nx_virt_uuid(const struct nx_virt_domain *domain)
{
    return domain->uuid;
}

int nx_virt_is_persistent(const struct nx_virt_domain *domain, bool *ret_persistent,
                          struct nx_error *err)
{
    int persistent = lib.virDomainIsPersistent(domain->domain);
    if (persistent < 0)
        return fail_virt(err, nx_virt_name(domain));
    *ret_persistent = persistent;
    return 0;
}

/* ---- their state ---- */

const char *nx_virt_state_name(enum nx_virt_state state)
{
    static const char *const names[] = {
        [NX_VIRT_OFF] = "off",       [NX_VIRT_SAVED] = "suspended", [NX_VIRT_RUNNING] = "running",
        [NX_VIRT_PAUSED] = "paused", [NX_VIRT_OTHER] = "other",
    };
    return names[state];
}

bool nx_virt_is_active(enum nx_virt_state state)
{
    return state != NX_VIRT_OFF && state != NX_VIRT_SAVED;
}

int nx_virt_state(const struct nx_virt_domain *domain, enum nx_virt_state *ret_state,
                  struct nx_error *err)
{
    int state = VIR_DOMAIN_NOSTATE, saved = 0;
    if (lib.virDomainGetState(domain->domain, &state, NULL, 0) < 0 ||
        (saved = lib.virDomainHasManagedSaveImage(domain->domain, 0)) < 0)
        return fail_virt(err, nx_virt_name(domain));
    switch (state) {
    case VIR_DOMAIN_SHUTOFF:
        *ret_state = saved ? NX_VIRT_SAVED : NX_VIRT_OFF;
        break;
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        *ret_state = NX_VIRT_RUNNING;
        break;
    case VIR_DOMAIN_PAUSED:
        *ret_state = NX_VIRT_PAUSED;
        break;
    default:
        *ret_state = NX_VIRT_OTHER;
        break;
    }
    return 0;
}

int nx_virt_xml(const struct nx_virt_domain *domain, bool inactive, struct nx_buffer *ret_xml,
                struct nx_error *err)
{
    NX_AUTO_FREE char *xml =
        lib.virDomainGetXMLDesc(domain->domain, inactive ? VIR_DOMAIN_XML_INACTIVE : 0);
    if (!xml)
        return fail_virt(err, nx_virt_name(domain));
    nx_buffer_init(ret_xml, NX_XML_MAX);
    return nx_buffer_add(ret_xml, xml, strlen(xml), err);
}

char *nx_virt_save_path(const struct nx_virt *virt, const char *name)
{
    NX_AUTO_FREE char *folder =
        virt->system ? strdup("/var/lib/libvirt/qemu/save")
                     : nx_user_path("XDG_CONFIG_HOME", ".config", "libvirt/qemu/save");
    char *path = NULL;
    if (!folder || asprintf(&path, "%s/%s.save", folder, name) < 0)
        return NULL;
    return path;
}

/* ---- saving and starting ---- */

struct saving {
    struct nx_virt_domain *domain;
    int done; /* a pipe's end that is closed when libvirt has answered */
    int ret;
    char said[512]; /* why it failed */
};

static void *save(void *opaque)
{
    struct saving *s = opaque;
    s->ret = lib.virDomainManagedSave(s->domain->domain, 0);
    if (s->ret < 0)
        snprintf(s->said, sizeof s->said, "%s", lib.virGetLastErrorMessage());
    close(s->done);
    return NULL;
}

static void show_progress(const struct nx_virt_domain *domain)
{
    virDomainJobInfo info;
    if (lib.virDomainGetJobInfo(domain->domain, &info) < 0 || info.type == VIR_DOMAIN_JOB_NONE)
        return;
    nx_progress_set_total(info.dataTotal);
    nx_progress_update(info.dataProcessed);
}

/* Until libvirt has answered.  The first Ctrl-C asks it to let the machine go on instead. */
static void wait_saved(const struct nx_virt_domain *domain, int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    bool aborted = false;
    while (poll(&pfd, 1, LOOK_MS) <= 0) {
        if (nx_interrupted() && !aborted)
            aborted = lib.virDomainAbortJob(domain->domain) == 0; /* it may not have begun yet */
        else
            show_progress(domain);
    }
}

int nx_virt_save(struct nx_virt_domain *domain, struct nx_error *err)
{
    struct saving s = { .domain = domain };
    int pipefd[2];
    pthread_t thread;
    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int from = pipefd[0];
    s.done = pipefd[1];
    int failed = pthread_create(&thread, NULL, save, &s);
    if (failed) {
        close(s.done);
        errno = failed;
        return nx_fail_errno(err, "thread");
    }
    nx_progress_start("saving the machine", 0);
    wait_saved(domain, from);
    pthread_join(thread, NULL);
    nx_progress_end();
    if (s.ret == 0)
        return 0;
    if (nx_check_interrupt(err) < 0)
        return -1;
    return nx_fail(err, NX_ERR_SYSTEM, "%s: cannot be suspended: %s", nx_virt_name(domain), s.said);
}

int nx_virt_start(struct nx_virt_domain *domain, struct nx_error *err)
{
    if (lib.virDomainCreate(domain->domain) < 0)
        return fail_virt(err, nx_virt_name(domain));
    return 0;
}

/* ---- new ones ---- */

int nx_virt_define(struct nx_virt *virt, const char *xml, struct nx_virt_domain **ret_domain,
                   struct nx_error *err)
{
    NX_AUTO_VIRT_DOMAIN struct nx_virt_domain *domain = calloc(1, sizeof *domain);
    if (!domain)
        return nx_fail_errno(err, "libvirt");
    virDomainPtr defined =
        lib.virDomainDefineXMLFlags(virt->connection, xml, VIR_DOMAIN_DEFINE_VALIDATE);
    if (!defined)
        return fail_virt(err, virt->uri);
    fill(domain, virt, defined);
    *ret_domain = NX_STEAL(domain);
    return 0;
}

int nx_virt_undefine(struct nx_virt_domain *domain, struct nx_error *err)
{
    /* It has never run: variables and memory of its name are another one's. */
    if (lib.virDomainUndefineFlags(domain->domain, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) < 0)
        return fail_virt(err, nx_virt_name(domain));
    return 0;
}
