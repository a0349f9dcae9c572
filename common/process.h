/* SPDX-License-Identifier: MIT */
/* Helper programs: qemu-img, fusermount3, QEMU.  Never through a shell. */
#ifndef NX_COMMON_PROCESS_H
#define NX_COMMON_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/buffer.h"
#include "common/error.h"

/* An argument vector that grows: argv[argc] is always NULL.  All strings are owned. */
struct nx_args {
    char **argv;
    size_t argc;
    bool failed; /* an allocation failed; nx_spawn() and nx_run() then refuse */
};

/* Append a copy of arg, or a formatted argument.  Errors are kept in args->failed. */
void nx_args_add(struct nx_args *args, const char *arg);
void nx_args_addf(struct nx_args *args, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nx_args_release(struct nx_args *args);

static inline void nx_auto_args(struct nx_args *args)
{
    nx_args_release(args);
}
#define NX_AUTO_ARGS NX_AUTO(args)

/* What a child process gets.  Signals are reset to their defaults in it, and it is
 * killed by death_signal if our thread that spawned it ends (so spawn from the main thread).
 */
struct nx_spawn_options {
    int stdin_fd;  /* -1: /dev/null */
    int stdout_fd; /* -1: /dev/null */
    int stderr_fd; /* -1: ours */
    const int
        *keep_fds; /* descriptors that stay open under their own numbers; the rest is closed */
    size_t n_keep_fds;
    int death_signal; /* 0: SIGKILL; SIGTERM for one that has something to clean up */
    bool new_session; /* setsid(), so that the terminal's Ctrl-C does not reach it */
    char *const *env; /* NULL: ours */
    /* Called in the child, last before it becomes the program: async-signal-safe calls only.  0, or -1 with errno, which
     * is nx_spawn()'s failure.  NULL: nothing. */
    int (*before_exec)(void *opaque);
    void *opaque;
};
#define NX_SPAWN_DEFAULTS                                \
    {                                                    \
        .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 \
    }

/* Start args->argv[0] (looked up in PATH).  A program that cannot be started is
 * an error here ("qemu-img: not found: install the package qemu-utils" is the
 * caller's context to add), not a child that exits with 127.
 */
int nx_spawn(const struct nx_args *args, const struct nx_spawn_options *options, pid_t *ret_pid,
             struct nx_error *err);

/* Run to the end, which must come within a minute.  stdout is collected in ret_out (up to its max; may be NULL).
 * A status other than 0 is an error with the last line that it wrote to stderr.
 */
int nx_run(const struct nx_args *args, struct nx_buffer *ret_out, struct nx_error *err);

#endif
