/* SPDX-License-Identifier: MIT */
#include "pack/train.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/log.h"
#include "common/process.h"
#include "common/progress.h"
#include "pack/output.h"
#include "pack/placement.h"
#include "pack/reader.h"

#define COPY_BYTES (1024 * 1024)
#define SAID_MAX   4096 /* bytes of nxfetch's messages that are kept */
#define LOOK_MS    200  /* between two looks for Ctrl-C */

/* ---- running the machine ---- */

/* nxfetch beside ourselves, else in PATH; to be freed. */
static char *find_nxfetch(void)
{
    char self[4096];
    char *path = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = 0;
        char *slash = strrchr(self, '/');
        if (slash && asprintf(&path, "%.*s/nxfetch", (int)(slash - self), self) < 0)
            path = NULL;
    }
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return strdup("nxfetch");
}

/* A run of the machine. */
struct running {
    char *package; /* absolute */
    char *record;  /* what it has used; removed in the end */
    char *picture; /* of its screen, likewise; NULL: none is taken */
    unsigned seconds;
    bool memory; /* it is resumed */
};

static int make_command(const struct running *r, struct nx_args *args, struct nx_error *err)
{
    NX_AUTO_FREE char *program = find_nxfetch();
    if (!program)
        return nx_fail_errno(err, "nxfetch");
    nx_args_add(args, program);
    nx_args_addf(args, "--record=%s", r->record);
    if (r->seconds)
        nx_args_addf(args, "--until=%u", r->seconds);
    else
        nx_args_add(args, "--until=settled");
    if (r->picture)
        nx_args_addf(args, "--screenshot=%s", r->picture);
    static const char *const rest[] = { "--display=none", "--no-network", "--allow-unsigned",
                                        "--allow-older", "--quiet" };
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        nx_args_add(args, rest[i]);
    if (r->memory)
        nx_args_add(args, "--no-cold");
    nx_args_add(args, "--");
    nx_args_add(args, r->package);
    return 0;
}

static void keep_said(char said[static SAID_MAX], size_t *len, const char *more, size_t n)
{
    size_t drop = *len + n > SAID_MAX - 1 ? *len + n - (SAID_MAX - 1) : 0;
    memmove(said, said + drop, *len - drop);
    *len -= drop;
    memcpy(said + *len, more, n);
    *len += n;
    said[*len] = 0;
}

/* Until the child has closed its stderr, which is its end; Ctrl-C is handed on to it. */
static int wait_said(pid_t pid, int fd, char said[static SAID_MAX], struct nx_error *err)
{
    size_t len = 0;
    int ret = 0;
    said[0] = 0;
    for (;;) {
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        char chunk[1024];
        if (ret == 0 && nx_check_interrupt(err) < 0) {
            kill(pid, SIGINT);
            ret = -1;
        }
        if (poll(&pfd, 1, LOOK_MS) <= 0)
            continue;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return ret;
        if (n > 0)
            keep_said(said, &len, chunk, (size_t)n);
    }
}

/* The last line, without nxfetch's name in front. */
static const char *last_line(char *said)
{
    size_t len = strlen(said);
    while (len && said[len - 1] == '\n')
        said[--len] = 0;
    const char *line = strrchr(said, '\n');
    line = line ? line + 1 : said;
    return strncmp(line, "nxfetch: ", 9) == 0 ? line + 9 : line;
}

static int run_nxfetch(const struct nx_args *args, struct nx_error *err)
{
    int errors[2];
    char said[SAID_MAX];
    pid_t pid;
    int status;
    if (pipe2(errors, O_CLOEXEC) < 0)
        return nx_fail_errno(err, "pipe");
    NX_AUTO_FD int from = errors[0];
    NX_AUTO_FD int to = errors[1];
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stderr_fd = to;
    options.new_session = true;     /* Ctrl-C is ours to hand on */
    options.death_signal = SIGTERM; /* it has a mount to take away */
    if (nx_spawn(args, &options, &pid, err) < 0)
        return nx_fail_while(err, "nxfetch, which runs the machine");
    close(nx_steal_fd(&to));
    int ret = wait_said(pid, from, said, err);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return nx_fail_errno(err, "nxfetch");
    if (ret < 0)
        return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return nx_fail(err, NX_ERR_SYSTEM, "the machine was not run to its end: %s",
                   said[0] ? last_line(said) : "nxfetch does not say why");
}

static int read_record(const char *record_path, const struct nx_manifest *manifest,
                       struct nx_record **ret_record, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer json = NX_BUFFER_INIT(0);
    NX_AUTO_RECORD struct nx_record *record = NULL;
    if (nx_read_file(record_path, NX_RECORD_MAX, &json, err) < 0 ||
        nx_record_parse(json.data, json.len, record_path, &record, err) < 0 ||
        nx_record_check(record, manifest, record_path, err) < 0)
        return -1;
    *ret_record = NX_STEAL(record);
    return 0;
}

static int read_picture(const char *path, struct nx_screenshot *shot, struct nx_error *err)
{
    if (nx_read_file(path, NX_SCREENSHOT_MAX, &shot->png, err) < 0)
        return -1;
    return nx_screenshot_check(shot, path, err);
}

static int start_running(struct running *r, const char *path, bool picture, struct nx_error *err)
{
    r->package = realpath(path, NULL);
    if (!r->package)
        return nx_fail_errno(err, "%s", path);
    if (asprintf(&r->record, "%s.record.tmp", r->package) < 0) {
        r->record = NULL;
        return nx_fail_errno(err, "%s", path);
    }
    if (picture && asprintf(&r->picture, "%s.screen.tmp", r->package) < 0) {
        r->picture = NULL;
        return nx_fail_errno(err, "%s", path);
    }
    return 0;
}

static void end_running(struct running *r)
{
    if (r->record)
        unlink(r->record);
    if (r->picture)
        unlink(r->picture);
    free(r->package);
    free(r->record);
    free(r->picture);
}

/* The machine of the package that reading has open. */
static int run_machine(struct running *r, const struct nx_reading *reading,
                       struct nx_record **ret_record, struct nx_screenshot *shot,
                       struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    NX_AUTO_RECORD struct nx_record *record = NULL;
    r->memory = reading->head->manifest->suspended;
    if (make_command(r, &args, err) < 0)
        return -1;
    nx_progress_start("training: the machine runs", 0);
    int ret = run_nxfetch(&args, err);
    nx_progress_end();
    if (ret < 0 || read_record(r->record, reading->head->manifest, &record, err) < 0 ||
        (shot && read_picture(r->picture, shot, err) < 0))
        return -1;
    if (record->count == 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: the machine has used nothing of it", reading->name);
    *ret_record = NX_STEAL(record);
    return 0;
}

int nx_train_run(const char *path, unsigned seconds, struct nx_record **ret_record,
                 struct nx_screenshot *shot, struct nx_error *err)
{
    NX_AUTO_READING struct nx_reading reading = NX_READING_INIT;
    struct running running = { .seconds = seconds };
    int ret = start_running(&running, path, shot, err);
    if (ret == 0)
        ret = nx_reading_open(&reading, path, err);
    if (ret == 0)
        ret = run_machine(&running, &reading, ret_record, shot, err);
    end_running(&running);
    return ret;
}

int nx_train_read(const char *record_path, const char *package_path, struct nx_record **ret_record,
                  struct nx_error *err)
{
    NX_AUTO_READING struct nx_reading reading = NX_READING_INIT;
    if (nx_reading_open(&reading, package_path, err) < 0)
        return -1;
    return read_record(record_path, reading.head->manifest, ret_record, err);
}

/* ---- laying out anew ---- */

struct relayout {
    struct nx_reading reading;
    struct nx_placement *placement;
    struct nx_spool records;
    unsigned image; /* that is being walked */
};

static int take_chunk(uint64_t number, const struct nx_index_entry *entry, void *opaque,
                      struct nx_error *err)
{
    struct relayout *r = opaque;
    nx_placement_note(r->placement, r->image, number, entry);
    return nx_store_record_add(&r->records, number, entry, err);
}

static int walk_images(struct relayout *r, struct nx_error *err)
{
    const struct nx_manifest *m = r->reading.head->manifest;
    for (r->image = 0; r->image < m->n_images; r->image++)
        if (nx_reading_walk(&r->reading, &m->images[r->image], take_chunk, r, err) < 0)
            return -1;
    return 0;
}

static int copy_hot(const struct relayout *r, struct nx_zip_writer *zip, uint64_t *done,
                    struct nx_error *err)
{
    NX_AUTO_FREE uint8_t *buf = malloc(NX_CHUNK_SIZE_MAX);
    if (!buf)
        return nx_fail_errno(err, "buffer");
    for (size_t i = 0; i < nx_placement_count(r->placement); i++) {
        const struct nx_index_entry *entry = nx_placement_hot(r->placement, i);
        if (nx_check_interrupt(err) < 0)
            return -1;
        uint64_t within;
        const char *name = nx_reading_where(&r->reading, entry, &within);
        if (nx_reading_chunk(&r->reading, entry, buf, err) < 0)
            return nx_fail_while(err, "%s: chunk at offset %" PRIu64, name, within);
        if (nx_zip_write(zip, buf, entry->size, err) < 0)
            return -1;
        nx_progress_update(*done += entry->size);
    }
    return 0;
}

static int copy_range(const struct relayout *r, struct nx_zip_writer *zip, uint64_t from,
                      uint64_t to, uint64_t *done, struct nx_error *err)
{
    NX_AUTO_FREE uint8_t *buf = malloc(COPY_BYTES);
    uint64_t base = r->reading.head->manifest->chunks.offset;
    if (!buf)
        return nx_fail_errno(err, "buffer");
    while (from < to) {
        size_t n = to - from < COPY_BYTES ? (size_t)(to - from) : COPY_BYTES;
        if (nx_check_interrupt(err) < 0 ||
            nx_parts_read(&r->reading.parts, buf, n, base + from, err) < 0 ||
            nx_zip_write(zip, buf, n, err) < 0)
            return -1;
        from += n;
        nx_progress_update(*done += n);
    }
    return 0;
}

/* The boot set, and then what stood around it. */
static int copy_chunks(struct nx_zip_writer *zip, void *opaque, struct nx_error *err)
{
    const struct relayout *r = opaque;
    uint64_t done = 0, from = 0;
    if (copy_hot(r, zip, &done, err) < 0)
        return -1;
    for (size_t i = 0; i < nx_placement_count(r->placement); i++) {
        const struct nx_index_entry *hot = nx_placement_by_offset(r->placement, i);
        if (copy_range(r, zip, from, hot->offset, &done, err) < 0)
            return -1;
        from = hot->offset + hot->size;
    }
    return copy_range(r, zip, from, r->reading.head->manifest->chunks.size, &done, err);
}

static int write_anew(struct relayout *r, const struct nx_key *key, uint64_t volume_size,
                      struct nx_newfile *out, struct nx_error *err)
{
    NX_AUTO_LAYOUT struct nx_layout layout = NX_LAYOUT_INIT;
    NX_AUTO_BUFFER struct nx_buffer state = NX_BUFFER_INIT(0);
    struct nx_manifest *m = r->reading.head->manifest;
    NX_AUTO_FREE struct nx_manifest *planned = malloc(sizeof *planned);
    if (!planned)
        return nx_fail_errno(err, "manifest");
    *planned = *m;
    if (m->suspended && nx_reading_state(&r->reading, &state, err) < 0)
        return -1;
    if (nx_layout_make(&layout, &r->records, r->placement, planned, out->path, err) < 0)
        return nx_fail_while(err, "%s", r->reading.name);
    planned->volumes = (struct nx_volumes){ .size = volume_size };
    planned->boot_chunks = nx_placement_hot_bytes(r->placement);
    const struct nx_output output = {
        .file = out,
        .manifest = planned,
        .domain_xml = r->reading.head->domain_xml.data,
        .key = key,
        .state = m->suspended ? &state : NULL,
        .layout = &layout,
        .write_chunks = copy_chunks,
        .opaque = r,
    };
    return nx_output_write(&output, err);
}

static void tell(const struct relayout *r, const struct nx_record *record, const char *name)
{
    char size[32];
    uint32_t ms = record->count ? record->touches[record->count - 1].ms : 0;
    nx_log(NX_LOG_NOTICE,
           "%s: trained: the machine used %zu chunks in %u.%u s; they stand first, %s", name,
           record->count, ms / 1000, ms / 100 % 10,
           nx_human_bytes(nx_placement_hot_bytes(r->placement), size));
}

int nx_train_layout(const char *path, const struct nx_record *record, const struct nx_key *key,
                    uint64_t volume_size, struct nx_newfile *out, struct nx_error *err)
{
    struct relayout r = { .reading = NX_READING_INIT, .records = NX_SPOOL_INIT };
    int ret = -1;
    if (nx_reading_open(&r.reading, path, err) == 0 &&
        nx_record_check(record, r.reading.head->manifest, "record", err) == 0 &&
        nx_placement_new(record, record->count, &r.placement, err) == 0 &&
        nx_spool_open(&r.records, out->path, err) == 0 && walk_images(&r, err) == 0 &&
        nx_placement_settle(r.placement, path, err) == 0)
        ret = write_anew(&r, key, volume_size, out, err);
    if (ret == 0)
        tell(&r, record, out->path);
    nx_spool_release(&r.records);
    nx_placement_free(r.placement);
    nx_reading_release(&r.reading);
    return ret;
}
