/* SPDX-License-Identifier: MIT */
/* Read what a guest has read, when it has read it, and say how long that took:
 *
 *     replay [-c REFERENCE] [-t TIMES] [-x MS] TRACE FILE|nbd+unix:///?socket=PATH
 *
 * TRACE has a line for each read, in the order in which the guest asked:
 *
 *     AFTER THINK OFFSET LENGTH
 *
 * It is begun THINK µs after the first AFTER reads of the trace are complete.  Reads of no length only wait: the
 * guest's work after its last one.  Lines that open with # are comments.
 *
 * So a read waits for all that the guest had in hand before it asked, and for nothing else: reads that overlapped when they
 * were recorded may overlap here (a kernel that reads ahead asks for several at once), and a read that came after another's
 * answer comes after it here.  Whether the guest needed that answer nobody knows.  A guest with several processes would
 * go on with another one; so what a slow system adds here is the most that it would add to a boot, the same for all systems.
 *
 * The page cache answers nothing (O_DIRECT, where the file system can).  With -c each byte is compared with REFERENCE's.
 * With -t each read leaves a line in TIMES: its number in the trace, when it was begun and how long it took in µs, offset,
 * length.
 * With -x no think time is longer than so many ms: a boot's pauses, in which it reads nothing, cost a benchmark half
 * of its time.  A system that goes on in them, in the background, gets less time for that than it would have.
 * Prints a JSON object: seconds in all; waited, those in which at least one read was under way; slowest read; reads; bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define WORKERS   16          /* reads under way, at most */
#define READS_MAX (1u << 20)  /* of a trace */
#define READ_MAX  (32u << 20) /* bytes of one read */

struct read {
    size_t after;
    int64_t think;
    uint64_t offset;
    size_t len;
    bool done;
    int64_t begun, took; /* µs, once it is done */
};

static struct read *reads;
static size_t n_reads;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
/* Under lock. */
static size_t taken;      /* reads that a worker has taken */
static size_t complete;   /* the first so many are done */
static int64_t *released; /* µs: when the first N were done */
static unsigned under_way;
static int64_t waiting_since, waited, slowest;
static uint64_t bytes;

static const char *target, *reference;
static int64_t longest_think = INT64_MAX; /* µs */

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void sleep_until(int64_t us)
{
    struct timespec ts = { us / 1000000, us % 1000000 * 1000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

/* ---- what is read from: a worker's own ---- */

struct source {
    int fd;
    struct nbd_handle *nbd;
};

static int open_file(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0 && errno == EINVAL && flags) {
        fd = open_file(path, 0);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    if (fd < 0)
        fail(path, strerror(errno));
    return fd;
}

static void source_open(struct source *source)
{
    if (strncmp(target, "nbd", 3) != 0 || !strchr(target, ':')) {
        source->fd = open_file(target, O_DIRECT);
        return;
    }
    source->nbd = nbd_create();
    if (!source->nbd || nbd_connect_uri(source->nbd, target) < 0)
        fail(target, nbd_get_error());
}

static void source_close(struct source *source)
{
    if (source->nbd)
        nbd_close(source->nbd);
    else
        close(source->fd);
}

static void source_read(struct source *source, void *buf, const struct read *read)
{
    if (source->nbd) {
        if (nbd_pread(source->nbd, buf, read->len, read->offset, 0) < 0)
            fail(target, nbd_get_error());
        return;
    }
    for (size_t got = 0; got < read->len;) {
        ssize_t n =
            pread(source->fd, (char *)buf + got, read->len - got, (off_t)(read->offset + got));
        if (n < 0 && errno != EINTR)
            fail(target, strerror(errno));
        if (n == 0)
            fail(target, "is shorter than the trace's disk");
        got += n > 0 ? (size_t)n : 0;
    }
}

static void compare(int fd, char *wanted, const char *got, const struct read *read)
{
    char at[64];
    snprintf(at, sizeof at, "%zu bytes at %" PRIu64, read->len, read->offset);
    if (pread(fd, wanted, read->len, (off_t)read->offset) != (ssize_t)read->len)
        fail(reference, "is shorter than the trace's disk");
    if (memcmp(wanted, got, read->len) != 0)
        fail(at, "are wrong");
}

/* ---- the replay ---- */

/* The next read, once its time has come; NULL: there is none. */
static struct read *take(void)
{
    pthread_mutex_lock(&lock);
    struct read *read = taken < n_reads ? &reads[taken++] : NULL;
    while (read && complete < read->after)
        pthread_cond_wait(&moved, &lock);
    int64_t due = read ? released[read->after] + read->think : 0;
    pthread_mutex_unlock(&lock);
    if (read)
        sleep_until(due);
    return read;
}

static void begin(int64_t now)
{
    pthread_mutex_lock(&lock);
    if (under_way++ == 0)
        waiting_since = now;
    pthread_mutex_unlock(&lock);
}

static void end(struct read *read, int64_t since)
{
    int64_t now = now_us();
    pthread_mutex_lock(&lock);
    if (--under_way == 0)
        waited += now - waiting_since;
    if (now - since > slowest)
        slowest = now - since;
    bytes += read->len;
    read->begun = since;
    read->took = now - since;
    read->done = true;
    for (; complete < n_reads && reads[complete].done; complete++)
        released[complete + 1] = now;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static void *work(void *opaque)
{
    struct source *source = opaque;
    char *buf = aligned_alloc(4096, READ_MAX), *wanted = aligned_alloc(4096, READ_MAX);
    int fd = reference ? open_file(reference, 0) : -1;
    if (!buf || !wanted)
        fail("memory", strerror(errno));
    for (struct read *read; (read = take());) {
        int64_t since = now_us();
        begin(since);
        if (read->len > 0)
            source_read(source, buf, read);
        end(read, since);
        if (reference)
            compare(fd, wanted, buf, read);
    }
    if (reference)
        close(fd);
    free(buf);
    free(wanted);
    return NULL;
}

/* ---- the trace ---- */

static void parse_line(const char *line, const char *path)
{
    struct read *read = &reads[n_reads];
    if (sscanf(line, "%zu %" SCNd64 " %" SCNu64 " %zu", &read->after, &read->think, &read->offset,
               &read->len) != 4)
        fail(path, "a line is not AFTER THINK OFFSET LENGTH");
    if (read->after > n_reads || read->think < 0 || read->len > READ_MAX)
        fail(path, "a read comes after one that is behind it, before its time, or is too long");
    if (read->think > longest_think)
        read->think = longest_think;
    if (++n_reads == READS_MAX)
        fail(path, "too many reads");
}

static void parse(const char *path)
{
    FILE *file = fopen(path, "re");
    reads = calloc(READS_MAX, sizeof *reads);
    released = calloc(READS_MAX + 1, sizeof *released);
    if (!file || !reads || !released)
        fail(path, strerror(errno));
    char line[256];
    while (fgets(line, sizeof line, file))
        if (line[0] != '#')
            parse_line(line, path);
    fclose(file);
    if (n_reads == 0)
        fail(path, "there is no read in it");
}

static void write_times(const char *path, int64_t start)
{
    FILE *file = fopen(path, "we");
    if (!file)
        fail(path, strerror(errno));
    for (size_t i = 0; i < n_reads; i++)
        fprintf(file, "%zu %" PRId64 " %" PRId64 " %" PRIu64 " %zu\n", i, reads[i].begun - start,
                reads[i].took, reads[i].offset, reads[i].len);
    if (fclose(file) != 0)
        fail(path, strerror(errno));
}

int main(int argc, char **argv)
{
    const char *times = NULL;
    int option;
    while ((option = getopt(argc, argv, "c:t:x:")) != -1) {
        if (option == 'c')
            reference = optarg;
        else if (option == 't')
            times = optarg;
        else if (option == 'x')
            longest_think = strtoll(optarg, NULL, 10) * 1000;
        else
            return 2;
    }
    if (argc - optind != 2) {
        fputs("replay [-c REFERENCE] [-t TIMES] [-x MS] TRACE FILE|NBD-URI\n", stderr);
        return 2;
    }
    parse(argv[optind]);
    target = argv[optind + 1];
    prctl(PR_SET_TIMERSLACK, 1); /* ns: thousands of short sleeps add up */

    struct source sources[WORKERS] = { { 0 } };
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        source_open(&sources[i]);
    int64_t start = released[0] = now_us();
    for (size_t i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, work, &sources[i]) != 0)
            fail("threads", "cannot be started");
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    printf("{ \"seconds\": %.3f, \"waited\": %.3f, \"slowest\": %.3f, \"reads\": %zu, "
           "\"bytes\": %" PRIu64 " }\n",
           (double)(released[n_reads] - start) / 1e6, (double)waited / 1e6, (double)slowest / 1e6,
           n_reads, bytes);
    if (times)
        write_times(times, start);
    for (size_t i = 0; i < WORKERS; i++)
        source_close(&sources[i]);
    return 0;
}
