/* SPDX-License-Identifier: MIT */
#include "fetch/engine_confine.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "fetch/confine.h"

NX_DEFINE_AUTO(scmp_filter_ctx, filter, seccomp_release)

/* Names, certificates, character sets, libraries that these load late. */
static const char *const system_files[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/crypto-policies",
    "/run/systemd/resolve",
    "/run/NetworkManager/resolv.conf",
    "/run/resolvconf",
    "/run/nscd",
    "/dev/urandom",
    "/dev/random",
    "/sys/devices/system/cpu",
    NULL,
};

static int allow_files(const struct nx_confinement *c, const struct nx_engine_config *config,
                       struct nx_error *err)
{
    if (nx_confine_allow_all(c, system_files, NX_MAY_READ, err) < 0 ||
        nx_confine_allow(c, "/dev/null", NX_MAY_WRITE, err) < 0 ||
        (config->path && nx_confine_allow(c, config->path, NX_MAY_READ, err) < 0) ||
        (config->http.ca_file && nx_confine_allow(c, config->http.ca_file, NX_MAY_READ, err) < 0) ||
        (config->export_dir && nx_confine_allow(c, config->export_dir, NX_MAY_FILL, err) < 0))
        return -1;
    if (!config->cache_dir)
        return 0;
    struct nx_error ignored = NX_ERROR_INIT; /* who opens it says what is wrong with it */
    nx_make_folders(config->cache_dir, &ignored);
    return nx_confine_allow(c, config->cache_dir, NX_MAY_FILL, err);
}

static int confine_files(const struct nx_engine_config *config, struct nx_error *err)
{
    struct nx_confinement confinement = NX_CONFINEMENT_INIT;
    if (nx_confine_new(&confinement, err) < 0)
        return -1;
    int ret = allow_files(&confinement, config, err);
    if (ret < 0)
        nx_confine_release(&confinement);
    else if (nx_confine_enter(&confinement) < 0)
        ret = nx_fail_errno(err, "Landlock");
    return ret;
}

/* What an engine that was taken over would look for: programs, other processes, mounts, the kernel's odd corners. */
static const int refused_calls[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(acct),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(quotactl),
};

static bool is_needed(int family)
{
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

/* HTTP, names (some by a Unix socket or netlink), and none of the rarer families.  AF_NETLINK is the last one needed. */
static int refuse_sockets(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp which = { .arg = 0, .op = SCMP_CMP_EQ };
    int r = 0;
    for (int family = 0; r == 0 && family < AF_NETLINK; family++) {
        which.datum_a = (scmp_datum_t)family;
        if (!is_needed(family))
            r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                       &which);
    }
    which.op = SCMP_CMP_GT;
    which.datum_a = AF_NETLINK;
    return r < 0 ? r
                 : seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                          &which);
}

static int confine_calls(struct nx_error *err)
{
    NX_AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int r = filter ? refuse_sockets(filter) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < sizeof refused_calls / sizeof refused_calls[0]; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls[i], 0);
    if (r == 0)
        r = seccomp_load(filter);
    errno = -r;
    return r < 0 ? nx_fail_errno(err, "seccomp filter") : 0;
}

int nx_engine_confine(const struct nx_engine_config *config, struct nx_error *err)
{
    /* A core would hold what was decrypted, and what was not yet verified. */
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    struct nx_error files = NX_ERROR_INIT;
    int ret = confine_files(config, &files);
    if (confine_calls(err) < 0)
        return -1;
    if (ret < 0)
        *err = files;
    return ret;
}
