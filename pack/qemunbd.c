/* SPDX-License-Identifier: MIT */
#include "pack/qemunbd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/interrupt.h"
#include "common/process.h"

int nx_fail_qemu(struct nx_error *err, const char *path, const char *message)
{
    /* Two lines of QEMU's: "Failed to get shared "write" lock", then this. */
    if (strstr(message, "Is another process using the image") || strstr(message, "\" lock"))
        return nx_fail(err, NX_ERR_SYSTEM, "%s: is in use by a running machine: shut it down first",
                       path);
    /* "qemu-nbd: Failed to blk_new_open 'PATH': why", "qemu-img: Could not open 'PATH': why" */
    const char *quoted = strstr(message, "open '");
    const char *why = quoted ? strstr(quoted, "': ") : NULL;
    return nx_fail(err, NX_ERR_SYSTEM, "%s: %s", path, why ? why + 3 : message);
}

/* The last line of what qemu-nbd wrote, or "". */
static void last_message(int fd, char *text, size_t size)
{
    text[0] = 0;
    off_t end = lseek(fd, 0, SEEK_END);
    if (end <= 0)
        return;
    off_t start = end < (off_t)size ? 0 : end - (off_t)size + 1;
    ssize_t n = pread(fd, text, (size_t)(end - start), start);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n > 0 ? n : 0] = 0;
    char *newline = strrchr(text, '\n');
    if (newline)
        memmove(text, newline + 1, strlen(newline + 1) + 1);
}

int nx_qemunbd_fail(const struct nx_qemunbd *server, struct nx_error *err)
{
    /* Ctrl-C at a terminal reaches qemu-nbd too. */
    if (nx_check_interrupt(err) < 0)
        return -1;
    char message[800];
    last_message(server->messages, message, sizeof message);
    if (strcmp(message, "qemu-nbd: No such file or directory") == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "qemu-nbd: not found: install the package qemu-utils");
    const char *said = nbd_get_error();
    return nx_fail_qemu(err, server->path, message[0] ? message : said ? said : "NBD failed");
}

static int connect_activated(struct nbd_handle *nbd, const char *path, const char *format,
                             bool writable)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "qemu-nbd");
    nx_args_addf(&args, "--format=%s", format);
    if (writable)
        nx_args_add(&args, "--cache=unsafe"); /* the file is fsynced before it gets its name */
    else
        nx_args_add(&args, "--read-only");
    nx_args_add(&args, "--");
    nx_args_add(&args, path);
    return args.failed ? -1 : nbd_connect_systemd_socket_activation(nbd, args.argv);
}

/* libnbd gives the child our stderr, so ours is qemu-nbd's for this moment. */
static int connect_with_stderr(const struct nx_qemunbd *server, const char *format, bool writable,
                               struct nx_error *err)
{
    NX_AUTO_FD int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (saved < 0 || dup2(server->messages, STDERR_FILENO) < 0)
        return nx_fail_errno(err, "stderr");
    int ret = connect_activated(server->nbd, server->path, format, writable);
    if (dup2(saved, STDERR_FILENO) < 0)
        return nx_fail_errno(err, "stderr");
    if (ret == 0)
        return 0;
    nx_qemunbd_fail(server, err);
    /* One that nobody has connected to waits for that for ever, and nbd_close() for its end.  Until it is qemu-nbd it has
     * our handler of SIGTERM.
     */
    nbd_kill_subprocess(server->nbd, SIGKILL);
    return -1;
}

/* qemu-nbd allocates each request's buffer anew.  By glibc's default they go back to the kernel when freed, to be
 * cleared and faulted in again: a tenth of the time that packing takes.
 */
static const struct {
    const char *name;
    char *assignment;
} keep_buffers[] = {
    { "MALLOC_MMAP_THRESHOLD_", (char *)"MALLOC_MMAP_THRESHOLD_=33554432" },
    { "MALLOC_TRIM_THRESHOLD_", (char *)"MALLOC_TRIM_THRESHOLD_=268435456" },
};
#define N_KEEP_BUFFERS (sizeof keep_buffers / sizeof keep_buffers[0])

/* The child has our environment: it is changed for it, but for what the user has set.  Not by setenv(), which loses its
 * copy when memory is short.
 */
static int connect_keeping_buffers(const struct nx_qemunbd *server, const char *format,
                                   bool writable, struct nx_error *err)
{
    bool set[N_KEEP_BUFFERS];
    for (size_t i = 0; i < N_KEEP_BUFFERS; i++)
        set[i] = !getenv(keep_buffers[i].name) && putenv(keep_buffers[i].assignment) == 0;
    int ret = connect_with_stderr(server, format, writable, err);
    for (size_t i = 0; i < N_KEEP_BUFFERS; i++)
        if (set[i])
            unsetenv(keep_buffers[i].name);
    return ret;
}

int nx_qemunbd_open(struct nx_qemunbd *server, const char *path, const char *format, bool writable,
                    struct nx_error *err)
{
    *server = (struct nx_qemunbd)NX_QEMUNBD_INIT;
    server->path = strdup(path);
    server->messages = memfd_create("qemu-nbd messages", MFD_CLOEXEC);
    server->nbd = nbd_create();
    int ret = -1;
    if (!server->path || server->messages < 0 || !server->nbd)
        nx_fail_errno(err, "%s", path);
    else if (nbd_add_meta_context(server->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
             nbd_set_pread_initialize(server->nbd, false) < 0)
        nx_fail(err, NX_ERR_SYSTEM, "%s: %s", path, nbd_get_error());
    else
        ret = connect_keeping_buffers(server, format, writable, err);
    if (ret < 0)
        nx_qemunbd_release(server);
    return ret;
}

void nx_qemunbd_release(struct nx_qemunbd *server)
{
    nbd_close(server->nbd);
    if (server->messages >= 0)
        close(server->messages);
    free(server->path);
    *server = (struct nx_qemunbd)NX_QEMUNBD_INIT;
}
