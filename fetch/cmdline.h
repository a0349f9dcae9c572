/* SPDX-License-Identifier: MIT */
/* QEMU's command line for a machine, in the layout that libvirt writes: the same
 * devices with the same ids, on the same buses at the same addresses, in the same
 * order.  A state that libvirt saved names devices by these, so it can be loaded.
 * (libvirt's own domxml-to-native would rewrite interfaces, and needs a daemon.)
 *
 * Nothing of the host comes from the machine: every path, socket and port is in
 * the options, from the launcher.
 */
#ifndef NX_FETCH_CMDLINE_H
#define NX_FETCH_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/process.h"
#include "formats/machine.h"

/* Where one image of the package is on this host. */
struct nx_cmdline_image {
    const char *image; /* its name in the package, "disk0" */
    const char *path;  /* raw and never written: the FUSE file */
    const char
        *overlay; /* qcow2 that takes the writes, with path as its backing file; NULL: read-only */
};

struct nx_cmdline_forward {
    bool udp;
    const char *host_address; /* NULL: 127.0.0.1 */
    unsigned host_port;
    unsigned guest_port;
};

enum nx_cmdline_serial {
    NX_SERIAL_NULL,
    NX_SERIAL_STDIO, /* Ctrl-C goes to the guest */
    NX_SERIAL_FILE,
    NX_SERIAL_UNIX, /* a socket that QEMU listens on */
    NX_SERIAL_FD,   /* a connected socket that QEMU inherits */
};

struct nx_cmdline_options {
    const char *qemu;  /* argv[0] */
    const char *accel; /* "kvm" or "tcg" */
    bool paused;       /* -S: wait for `cont` over QMP */

    const struct nx_cmdline_image *images;
    size_t n_images;

    /* UEFI: the firmware, and this run's own copy of its variables. */
    const char *firmware_code;
    const char *firmware_vars;

    const char *qmp_path; /* Unix socket that QEMU listens on; NULL with qmp_fd or for none */
    int qmp_fd; /* a listening socket that QEMU inherits; used if qmp_path is NULL, -1: none */
    const char *title; /* of its window, made plain; NULL: the machine's name */
    bool fullscreen;
    const char *display; /* -display's value: "gtk", "none", "spice-app"; NULL: "none" */
    const char *vnc;     /* -vnc's value, or NULL */
    const char *audio;   /* -audiodev driver, "none" if NULL */

    enum nx_cmdline_serial serial; /* the first serial port; all others lead nowhere */
    const char *serial_path;       /* file or Unix socket */
    int serial_fd;                 /* of NX_SERIAL_FD */

    /* It is one of many that come from the same package. */
    bool new_genid; /* its vmgenid is made up, if it has one */
    bool
        new_macs; /* so are its network cards' addresses, if it boots: a saved state has them in it */

    bool no_network; /* the cards stay, their cables are cut off the host */
    const struct nx_cmdline_forward *forwards; /* to the first network card */
    size_t n_forwards;

    uint64_t memory; /* bytes; 0: the machine's own */
    unsigned cpus;   /* 0: the machine's own */

    /* Guest memory: NULL for anonymous memory, else a file of the memory's size that
     * QEMU maps privately (a suspended machine's memory, shown by FUSE).
     */
    const char *memory_path;
    const char *incoming; /* -incoming's value, or NULL */

    bool no_sandbox; /* without -sandbox: a QEMU that was built without seccomp */

    /* Told of every feature that the machine has and this accelerator cannot give, if not NULL. */
    void (*note)(void *opaque, const char *text);
    void *note_opaque;
};
#define NX_CMDLINE_DEFAULTS          \
    {                                \
        .accel = "tcg", .qmp_fd = -1 \
    }

/* Write the command line into *ret_args (empty at the start; the caller releases it).
 * USAGE error for an option that does not fit the machine (an image without path,
 * forwards without a network card, UEFI without firmware).
 */
int nx_cmdline_build(const struct nx_machine *machine, const struct nx_cmdline_options *options,
                     struct nx_args *ret_args, struct nx_error *err);

/* Has the machine the port that options->serial means? */
bool nx_cmdline_has_terminal(const struct nx_machine *machine);

/* A command line for the machine's board alone, machine type and processors, with QMP on standard input and
 * output.  It fails to start if the processors lack a feature.
 */
int nx_cmdline_board(const struct nx_machine *machine, const char *qemu, const char *accel,
                     struct nx_args *ret_args, struct nx_error *err);

/* The program for a machine's architecture: "qemu-system-x86_64", or "qemu-system-i386", which libvirt
 * takes for i686, so that saved states fit.  Where that is missing, the former runs both.
 */
const char *nx_cmdline_program(const struct nx_machine *machine);

#endif
