/* SPDX-License-Identifier: MIT */
/* QEMU as a child process: started, watched over QMP, ended.  One thread; it never waits
 * but in nx_vm_stop() and nx_vm_reap().
 */
#ifndef NX_FETCH_VM_H
#define NX_FETCH_VM_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "common/error.h"
#include "common/process.h"
#include "fetch/confine.h"
#include "fetch/qmp.h"
#include "fetch/vm_screen.h"

#define NX_VM_POLL_FDS 4
#define NX_VM_SAID_MAX 2048

/* Of a picture of the machine's screen. */
enum nx_vm_picture {
    NX_VM_PICTURE_NONE,
    NX_VM_PICTURE_ASKED,
    NX_VM_PICTURE_TAKEN,   /* QEMU has written it */
    NX_VM_PICTURE_REFUSED, /* no_picture says why */
};

struct nx_vm {
    int listen_fd; /* for nx_cmdline_options.qmp_fd: QEMU's end of QMP, listening */
    struct nx_qmp *qmp;
    pid_t pid;         /* 0 when there is none to wait for */
    int serial_fds[2]; /* ends of the machine's serial port, QEMU's and ours; -1 */
    int pidfd;
    int stderr_fd;
    char said[NX_VM_SAID_MAX]; /* the end of what QEMU wrote to stderr */
    size_t said_len;
    struct nx_confinement confinement; /* what QEMU may do; empty: what the user may */
    bool no_unix_sockets; /* QEMU can make none: it has neither a window nor a port on one */
    int incoming_fd;      /* the device state that it is to load; -1: it boots */
    bool running;         /* the guest runs, or boots */
    bool up;              /* QEMU has made the machine, its images are open, and it answers */
    bool shutdown;        /* the guest has shut itself down, or was asked to end */
    bool refused;         /* it has answered with an error before the guest ran */
    bool exited;          /* the process has ended; status says how */
    bool stands;          /* its clock is stopped: nx_vm_stand_still() */
    bool no_space;        /* the guest is paused, since its writes found no room */
    int64_t full_at;      /* nx_now_ms() when they last did, or were tried again; 0: never */
    enum nx_vm_picture picture;
    uint64_t picture_id; /* of the command that asks for it */
    struct nx_error no_picture;
    /* What is wanted of its VNC, set before the start; and whether it has been done. */
    struct nx_vm_screen screen;
    int status;
    bool has_terminal; /* it is QEMU's for the serial port; terminal is how it was before */
    struct termios terminal;
};
#define NX_VM_INIT                                                              \
    {                                                                           \
        .confinement = NX_CONFINEMENT_INIT, .listen_fd = -1, .incoming_fd = -1, \
        .serial_fds = { -1, -1 }, .pidfd = -1, .stderr_fd = -1                  \
    }

/* Make the QMP socket; path is a name for it in a private folder, removed again at once. */
int nx_vm_listen(struct nx_vm *vm, const char *path, struct nx_error *err);

/* Start QEMU by its command line, in a session of its own and with nothing of our environment but what a
 * window needs.  stdio: its standard input and output are ours (the serial port).
 */
int nx_vm_start(struct nx_vm *vm, const struct nx_args *args, bool stdio, struct nx_error *err);

/* Why QEMU did not load the state, in its own words. */
const char *nx_vm_rejection(const struct nx_vm *vm, char text[static 256]);

/* What to poll for; the caller passes the same array to nx_vm_handle() afterwards. */
void nx_vm_poll_fds(const struct nx_vm *vm, struct pollfd fds[static NX_VM_POLL_FDS]);

/* Do what has become due.  Fails when QEMU fails: the message has its last words. */
int nx_vm_handle(struct nx_vm *vm, const struct pollfd fds[static NX_VM_POLL_FDS],
                 struct nx_error *err);

/* Have the machine's serial port ourselves: serial_fds[0] is for nx_cmdline_options.serial_fd.  What the guest says there is
 * dropped.
 */
int nx_vm_open_serial(struct nx_vm *vm, struct nx_error *err);

/* Press a key that does no harm, and Return on the serial port if that is ours: as somebody would who looks
 * whether the machine is there.
 */
int nx_vm_poke(struct nx_vm *vm, struct nx_error *err);

/* Have QEMU write a picture of the machine's screen, as PNG, into the file at path, which is there and empty, and which its
 * confinement lets it write.  picture becomes TAKEN, or REFUSED.
 */
int nx_vm_take_picture(struct nx_vm *vm, const char *path, struct nx_error *err);

/* Press its power button, which asks the guest to shut down, or its reset button, which asks nobody. */
int nx_vm_power_off(struct nx_vm *vm, struct nx_error *err);
int nx_vm_reset(struct nx_vm *vm, struct nx_error *err);

/* Stop the guest's clock, or let it go on, while a read of its waits for the network: else it would see its processors
 * stuck and its disks silent for so long, and give some of them up.  QEMU itself waits for the read then, and
 * answers only afterwards.
 */
int nx_vm_stand_still(struct nx_vm *vm, bool still, struct nx_error *err);

/* Milliseconds until a guest that found no room should try again; -1: it has nothing to try. */
int nx_vm_retry_in(const struct nx_vm *vm);

/* Let it go on, if that is due: perhaps there is room by now. */
int nx_vm_retry_writes(struct nx_vm *vm, struct nx_error *err);

/* Ask QEMU to quit, and kill it if it has not within timeout_ms.  The machine is a throw-away one: its
 * guest is not asked.  It may be gone only later: a read of its that waits for the engine cannot be killed.
 */
void nx_vm_stop(struct nx_vm *vm, int timeout_ms);

/* Wait for a process that was stopped, and give the terminal back.  Call it after the engine's end. */
void nx_vm_reap(struct nx_vm *vm);

#endif
