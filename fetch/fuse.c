/* SPDX-License-Identifier: MIT */
/* Threads: THREADS workers, each of which takes a request from the kernel and answers it before
 * the next, so that so many reads may wait for the network at a time.  One of them at a time waits for
 * the kernel: if all did, each request would wake all.  We do not use libfuse's own
 * loop since it ends only by a signal.  `shown` is set once, with release order, and
 * what it points to does not change.
 */
#include "fetch/fuse.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define THREADS        24
#define STACK_SIZE     (256u << 10)
#define TIMEOUT        86400.0 /* s: what the kernel knows of a file never changes */
#define FIRST_INODE    2       /* of image 0; 1 is the directory */
#define READ_MAX       (1u << 20)
#define RETRY_FIRST_MS 500 /* of a read of memory that has failed */
#define RETRY_LAST_MS  15000
#define BACKGROUND     64 /* requests that the kernel may have under way */

struct shown {
    const struct nx_manifest *manifest;
    struct nx_images *images;
};

struct nx_fuse {
    struct fuse_session *session;
    struct nx_report *report;
    int stop_fd;          /* an eventfd: readable once the threads must end */
    pthread_mutex_t turn; /* whose it is takes the next request */
    pthread_t threads[THREADS];
    unsigned n_threads;
    time_t started;
    struct shown shown_storage;
    _Atomic(struct shown *) shown;
    atomic_flag told; /* the user has heard of a read that failed */
};

static const struct shown *shown(fuse_req_t req)
{
    struct nx_fuse *fuse = fuse_req_userdata(req);
    return atomic_load_explicit(&fuse->shown, memory_order_acquire);
}

static const struct nx_image *image_of(fuse_req_t req, fuse_ino_t ino)
{
    const struct shown *s = shown(req);
    return s && ino >= FIRST_INODE && ino - FIRST_INODE < s->manifest->n_images
               ? &s->manifest->images[ino - FIRST_INODE]
               : NULL;
}

/* ---- requests -------------------------------------------------------------- */

static void on_init(void *opaque, struct fuse_conn_info *conn)
{
    conn->max_readahead = 0; /* the kernel would read 128 KiB around each fault in memory */
    conn->max_background = BACKGROUND;
    conn->congestion_threshold = BACKGROUND;
    conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ; /* requests are small */
}

static void fill_attr(fuse_req_t req, fuse_ino_t ino, const struct nx_image *image,
                      struct stat *ret_attr)
{
    const struct nx_fuse *fuse = fuse_req_userdata(req);
    *ret_attr = (struct stat){
        .st_ino = ino,
        .st_mode = image ? S_IFREG | 0600 : S_IFDIR | 0500,
        .st_nlink = image ? 1 : 2,
        .st_uid = getuid(),
        .st_gid = getgid(),
        .st_size = image ? (off_t)image->size : 0,
        .st_blocks = image ? (blkcnt_t)(image->size / 512) : 0,
        .st_blksize = image ? (blksize_t)image->chunk_size : 4096,
        .st_mtime = fuse->started,
        .st_ctime = fuse->started,
        .st_atime = fuse->started,
    };
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct nx_image *image = image_of(req, ino);
    if (!image && ino != FUSE_ROOT_ID) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct stat attr;
    fill_attr(req, ino, image, &attr);
    fuse_reply_attr(req, &attr, TIMEOUT);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct shown *s = shown(req);
    for (unsigned i = 0; s && parent == FUSE_ROOT_ID && i < s->manifest->n_images; i++) {
        const struct nx_image *image = &s->manifest->images[i];
        if (strcmp(image->name, name) != 0)
            continue;
        struct fuse_entry_param entry = { .ino = FIRST_INODE + i,
                                          .attr_timeout = TIMEOUT,
                                          .entry_timeout = TIMEOUT };
        fill_attr(req, entry.ino, image, &entry.attr);
        fuse_reply_entry(req, &entry);
        return;
    }
    fuse_reply_err(req, ENOENT);
}

/* Truncation is how O_TRUNC and ftruncate() arrive. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    fuse_reply_err(req, EROFS);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    const struct shown *s = shown(req);
    unsigned n_images = s ? s->manifest->n_images : 0;
    char buf[4096];
    size_t used = 0;
    if (size > sizeof(buf))
        size = sizeof(buf);
    for (uint64_t i = (uint64_t)offset; i < n_images + UINT64_C(2); i++) {
        struct stat attr = { .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR };
        const char *name = i == 0 ? "." : "..";
        if (i >= 2) {
            attr = (struct stat){ .st_ino = FIRST_INODE + i - 2, .st_mode = S_IFREG };
            name = s->manifest->images[i - 2].name;
        }
        size_t need = fuse_add_direntry(req, buf + used, size - used, name, &attr, (off_t)i + 1);
        if (need > size - used)
            break;
        used += need;
    }
    fuse_reply_buf(req, buf, used);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct nx_image *image = image_of(req, ino);
    if (!image) {
        fuse_reply_err(req, ino == FUSE_ROOT_ID ? EISDIR : ENOENT);
        return;
    }
    bool memory = image->role == NX_IMAGE_MEMORY;
    fi->direct_io = !memory;
    fi->keep_cache = memory;
    fi->noflush = 1;
    fuse_reply_open(req, fi);
}

/* A read that can never be right: say why, loudly, but once. */
static void read_failed(fuse_req_t req, const struct nx_error *err)
{
    struct nx_fuse *fuse = fuse_req_userdata(req);
    if (err->code != NX_ERR_CANCELLED && !atomic_flag_test_and_set(&fuse->told))
        nx_report_text(fuse->report, NX_MSG_NOTICE, "the guest gets a read error: %s", err->msg);
    fuse_reply_err(req, EIO);
}

/* True when the threads are to end; else so many milliseconds later. */
static bool stops_within(struct nx_fuse *fuse, int ms)
{
    struct pollfd pfd = { .fd = fuse->stop_fd, .events = POLLIN };
    return poll(&pfd, 1, ms) > 0;
}

/* A read of memory that fails would kill the machine: it is tried again, for as long as we live. */
static int read_memory(fuse_req_t req, const struct shown *s, unsigned image, uint64_t offset,
                       char *buf, size_t size, struct nx_error *err)
{
    struct nx_fuse *fuse = fuse_req_userdata(req);
    int ms = RETRY_FIRST_MS;
    bool told = false;
    int r;
    while ((r = nx_images_read(s->images, image, offset, buf, size, err)) < 0 &&
           err->code != NX_ERR_CANCELLED) {
        if (!told)
            nx_report_wait(fuse->report, err->msg);
        told = true;
        if (stops_within(fuse, ms))
            break;
        ms = 2 * ms < RETRY_LAST_MS ? 2 * ms : RETRY_LAST_MS;
    }
    if (told)
        nx_report_go_on(fuse->report);
    return r;
}

static int read_image(fuse_req_t req, unsigned image, uint64_t offset, char *buf, size_t size,
                      struct nx_error *err)
{
    const struct shown *s = shown(req);
    if (s->manifest->images[image].role == NX_IMAGE_MEMORY)
        return read_memory(req, s, image, offset, buf, size, err);
    return nx_images_read(s->images, image, offset, buf, size, err);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    const struct nx_image *image = image_of(req, ino);
    struct nx_error err = NX_ERROR_INIT;
    if (!image || offset < 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    if ((uint64_t)offset >= image->size)
        size = 0;
    else if (size > image->size - (uint64_t)offset)
        size = (size_t)(image->size - (uint64_t)offset);
    if (size > READ_MAX)
        size = READ_MAX;
    NX_AUTO_FREE char *buf = malloc(size + 1);
    if (!buf)
        fuse_reply_err(req, ENOMEM);
    else if (read_image(req, (unsigned)(ino - FIRST_INODE), (uint64_t)offset, buf, size, &err) < 0)
        read_failed(req, &err);
    else
        fuse_reply_buf(req, buf, size);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    fuse_reply_err(req, EROFS);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 31 };
    fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops ops = {
    .init = on_init,
    .lookup = on_lookup,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readdir = on_readdir,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .statfs = on_statfs,
};

/* ---- threads --------------------------------------------------------------- */

/* False: the session has ended. */
static bool wait_for_request(struct nx_fuse *fuse)
{
    struct pollfd pfds[] = { { .fd = fuse_session_fd(fuse->session), .events = POLLIN },
                             { .fd = fuse->stop_fd, .events = POLLIN } };
    while (poll(pfds, 2, -1) < 0)
        if (errno != EINTR)
            return false;
    return !pfds[1].revents && !(pfds[0].revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* False: the session has ended. */
static bool take_request(struct nx_fuse *fuse, struct fuse_buf *buf)
{
    int r = -EAGAIN;
    pthread_mutex_lock(&fuse->turn);
    while (!fuse_session_exited(fuse->session) && (r == -EAGAIN || r == -EINTR)) {
        r = fuse_session_receive_buf(fuse->session, buf);
        if (r == -EAGAIN && !wait_for_request(fuse))
            r = 0;
    }
    pthread_mutex_unlock(&fuse->turn);
    return r > 0; /* else it was unmounted */
}

static void *serve(void *opaque)
{
    struct nx_fuse *fuse = opaque;
    struct fuse_buf buf = { .mem = NULL };
    while (take_request(fuse, &buf))
        fuse_session_process_buf(fuse->session, &buf);
    free(buf.mem);
    return NULL;
}

static int start_threads(struct nx_fuse *fuse, struct nx_error *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = 0;
    while (fuse->n_threads < THREADS && rc == 0) {
        rc = pthread_create(&fuse->threads[fuse->n_threads], &attr, serve, fuse);
        if (rc == 0)
            fuse->n_threads++;
    }
    pthread_attr_destroy(&attr);
    /* Some are enough. */
    return fuse->n_threads > 0 ? 0 : nx_fail(err, NX_ERR_SYSTEM, "FUSE thread: %s", strerror(rc));
}

/* libfuse takes a descriptor that is mounted already by this name. */
static int mount_fd(struct fuse_session *session, int fd, struct nx_error *err)
{
    char name[32];
    snprintf(name, sizeof(name), "/dev/fd/%d", fd);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return nx_fail_errno(err, "FUSE");
    return fuse_session_mount(session, name) == 0
               ? 0
               : nx_fail(err, NX_ERR_SYSTEM, "FUSE: descriptor %d cannot be served", fd);
}

int nx_fuse_start(int fd, struct nx_report *report, struct nx_fuse **ret_fuse, struct nx_error *err)
{
    NX_AUTO_FUSE struct nx_fuse *fuse = calloc(1, sizeof(*fuse));
    if (!fuse) {
        close(fd);
        return nx_fail_errno(err, "FUSE");
    }
    fuse->report = report;
    fuse->started = time(NULL);
    pthread_mutex_init(&fuse->turn, NULL);
    fuse->stop_fd = eventfd(0, EFD_CLOEXEC);
    char *argv[] = { (char *)"nxfetch", NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    fuse->session = fuse_session_new(&args, &ops, sizeof(ops), fuse);
    fuse_opt_free_args(&args);
    if (!fuse->session || fuse->stop_fd < 0) {
        close(fd);
        return nx_fail(err, NX_ERR_SYSTEM, "FUSE cannot start");
    }
    if (mount_fd(fuse->session, fd, err) < 0 || start_threads(fuse, err) < 0)
        return -1;
    *ret_fuse = NX_STEAL(fuse);
    return 0;
}

void nx_fuse_show(struct nx_fuse *fuse, const struct nx_manifest *manifest,
                  struct nx_images *images)
{
    fuse->shown_storage = (struct shown){ manifest, images };
    atomic_store_explicit(&fuse->shown, &fuse->shown_storage, memory_order_release);
}

void nx_fuse_stop(struct nx_fuse *fuse)
{
    if (!fuse)
        return;
    if (fuse->stop_fd >= 0)
        eventfd_write(fuse->stop_fd, 1);
    while (fuse->n_threads > 0)
        pthread_join(fuse->threads[--fuse->n_threads], NULL);
    if (fuse->session)
        fuse_session_destroy(fuse->session); /* closes fd; the mount is the launcher's to remove */
    if (fuse->stop_fd >= 0)
        close(fuse->stop_fd);
    pthread_mutex_destroy(&fuse->turn);
    free(fuse);
}
