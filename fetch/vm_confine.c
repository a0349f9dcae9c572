/* SPDX-License-Identifier: MIT */
#include "fetch/vm_confine.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "fetch/program.h"

static const char *const programs[] = { "/usr", "/lib", "/lib64", NULL };

/* Settings of libraries, names for user-mode networking, and how many processors there are. */
static const char *const read_files[] = {
    "/etc/ld.so.cache",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/etc/qemu",
    "/etc/ssl/openssl.cnf",
    "/run/systemd/resolve",
    "/run/NetworkManager/resolv.conf",
    "/run/resolvconf",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/sys/devices/system",
    NULL,
};
static const char *const devices[] = { "/dev/null", "/dev/kvm", NULL };

/* Fonts, themes, the graphics card, and the way to the display and to the sound. */
static const char *const window_files[] = {
    "/etc/fonts",
    "/etc/gtk-3.0",
    "/etc/X11",
    "/etc/drirc",
    "/etc/glvnd",
    "/etc/pulse",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/var/cache/fontconfig",
    "/sys/dev",
    "/sys/devices",
    "/sys/class/drm",
    "/sys/bus/pci",
    "/proc/self",
    NULL,
};
static const char *const window_devices[] = { "/dev/dri", "/dev/shm", NULL };

/* A file below the user's home, that of variable if that is set. */
static int allow_home(const struct nx_confinement *c, const char *variable, const char *below,
                      struct nx_error *err)
{
    const char *value = getenv(variable), *home = getenv("HOME");
    char path[PATH_MAX];
    if (!value && home)
        snprintf(path, sizeof path, "%s/%s", home, below);
    return value  ? nx_confine_allow(c, value, NX_MAY_READ, err)
           : home ? nx_confine_allow(c, path, NX_MAY_READ, err)
                  : 0;
}

static int allow_window(const struct nx_confinement *c, struct nx_error *err)
{
    if (nx_confine_allow_all(c, window_files, NX_MAY_READ, err) < 0 ||
        nx_confine_allow_all(c, window_devices, NX_MAY_WRITE, err) < 0 ||
        allow_home(c, "XAUTHORITY", ".Xauthority", err) < 0)
        return -1;
    return allow_home(c, "PULSE_COOKIE", ".config/pulse/cookie", err);
}

/* Its folder is the user's: QEMU may make a socket in it, and nothing else. */
static int allow_socket(const struct nx_confinement *c, const char *path, struct nx_error *err)
{
    struct stat st;
    NX_AUTO_FREE char *folder = nx_folder_of(path);
    if (!folder)
        return nx_fail_errno(err, "%s", path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && unlink(path) < 0)
        return nx_fail_errno(err, "--serial: %s", path);
    return nx_confine_allow(c, folder, NX_MAY_LISTEN, err);
}

static int allow_serial(const struct nx_confinement *c, const struct nx_serial *serial,
                        struct nx_error *err)
{
    if (serial->kind == NX_SERIAL_UNIX)
        return allow_socket(c, serial->path, err);
    if (serial->kind != NX_SERIAL_FILE)
        return 0;
    NX_AUTO_FD int fd = open(serial->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return nx_fail_errno(err, "--serial: %s", serial->path);
    return nx_confine_allow(c, serial->path, NX_MAY_WRITE, err);
}

static int allow_run(const struct nx_confinement *c, const struct nx_vm_files *files,
                     struct nx_error *err)
{
    const struct nx_instance *instance = files->instance;
    char program[PATH_MAX];
    if (nx_find_program(files->program, program) == 0 &&
        nx_confine_allow(c, program, NX_MAY_RUN, err) < 0)
        return -1;
    if (nx_confine_allow(c, files->images_dir, NX_MAY_WRITE, err) < 0 ||
        (instance->disk.dir && nx_confine_allow(c, instance->disk.dir, NX_MAY_WRITE, err) < 0) ||
        (files->vars && nx_confine_allow(c, files->vars, NX_MAY_WRITE, err) < 0) ||
        (files->picture && nx_confine_allow(c, files->picture, NX_MAY_WRITE, err) < 0) ||
        (files->firmware->code && nx_confine_allow(c, files->firmware->code, NX_MAY_READ, err) < 0))
        return -1;
    return allow_serial(c, files->serial, err);
}

int nx_vm_confine(const struct nx_vm_files *files, struct nx_confinement *ret_confinement,
                  struct nx_error *err)
{
    struct nx_confinement c = NX_CONFINEMENT_INIT;
    *ret_confinement = c;
    if (files->display->runs_helper)
        return 0;
    if (nx_confine_new(&c, err) < 0)
        return -1;
    if (nx_confine_allow_all(&c, programs, NX_MAY_RUN, err) < 0 ||
        nx_confine_allow_all(&c, read_files, NX_MAY_READ, err) < 0 ||
        nx_confine_allow_all(&c, devices, NX_MAY_WRITE, err) < 0 ||
        (files->display->window && allow_window(&c, err) < 0) || allow_run(&c, files, err) < 0) {
        nx_confine_release(&c);
        return -1;
    }
    *ret_confinement = c;
    return 0;
}
