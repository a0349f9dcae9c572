/* SPDX-License-Identifier: MIT */
/* Many clients of one web server at once, each with a connection of its own:
 *
 *     load [-i IDLE] [-a ACTIVE] [-s SECONDS] [-r BYTES] [-b ROUNDS -p PID] URL
 *     load -m FILE MIB                    # make the file that the URL is to serve
 *
 * IDLE clients ask for a little, stay connected without a word, and ask again at the end: on the same
 * connection, or the server has not held them.  ACTIVE clients ask for random ranges of BYTES, one after
 * the other, for SECONDS.  Every byte of each answer is looked at.  The figures go to stdout as JSON;
 * status 0 if no request has failed and all idle clients were held.
 *
 * With -b, the idle ones then ask all at once, so many times: the server, PID, is stopped until they have, so that it finds
 * a heap of requests when it goes on.  In each round it is one request fewer, and nothing else comes before it is answered.
 *
 * One thread, two curl multi handles: what is idle must not be given to those who are active.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/http.h"
#include "common/io.h"
#include "common/log.h"

#define WORD          sizeof(uint64_t) /* the file: words that say their own offset */
#define TIMES_MAX     4000000
#define FAILURES_SAID 5
#define STALL         60 /* s that an answer may stand still */
#define STALL_HEAP    5  /* … of a heap, where nobody else is asking */

struct client {
    struct load *load;
    CURL *easy;
    struct nx_http_request request;
    int64_t asked; /* now_us() */
};

struct load {
    const char *url;
    uint64_t size, range;
    unsigned seed;
    CURLM *idle, *active;
    unsigned running;
    long stall;    /* s */
    pid_t stopped; /* the server, until all have asked; or 0 */
    int64_t until; /* nx_now_ms() when the active ones end */
    uint64_t requests, bytes, failures, connections;
    uint32_t *times; /* of requests by active clients, microseconds */
    size_t n_times;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void failed(struct load *load, const char *what)
{
    if (load->failures++ < FAILURES_SAID)
        fprintf(stderr, "load: %s\n", what);
}

static bool is_right(const struct nx_http_request *request)
{
    for (size_t i = 0; i + WORD <= request->body.len; i += WORD) {
        uint64_t word;
        memcpy(&word, request->body.data + i, WORD);
        if (word != request->offset + i)
            return false;
    }
    return true;
}

static void ask(struct client *client, CURLM *multi, uint64_t length)
{
    struct load *load = client->load;
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_http_options options = { .stall_timeout = load->stall };
    uint64_t words = (load->size - length) / WORD + 1;
    client->request.offset =
        (((uint64_t)rand_r(&load->seed) << 31 | (uint64_t)rand_r(&load->seed)) % words) * WORD;
    client->request.length = client->request.body.max = length;
    client->request.body.len = 0;
    if (nx_http_prepare(client->easy, load->url, &options, &client->request, &err) < 0)
        die(err.msg);
    curl_easy_setopt(client->easy, CURLOPT_PRIVATE, client);
    curl_easy_setopt(client->easy, CURLOPT_PIPEWAIT, 0L);
    client->asked = now_us();
    curl_multi_add_handle(multi, client->easy);
    load->running++;
}

/* A client has its answer. */
static void judge(struct client *client, CURLcode code)
{
    struct load *load = client->load;
    struct nx_error err = NX_ERROR_INIT;
    long connects = 0;
    curl_easy_getinfo(client->easy, CURLINFO_NUM_CONNECTS, &connects);
    load->connections += (uint64_t)connects;
    if (nx_http_finish(client->easy, load->url, code, &client->request, &err) < 0)
        failed(load, err.msg);
    else if (!is_right(&client->request))
        failed(load, "wrong bytes");
    load->requests++;
    load->bytes += client->request.body.len;
}

static void note_time(const struct client *client)
{
    struct load *load = client->load;
    int64_t us = now_us() - client->asked;
    if (load->n_times < TIMES_MAX)
        load->times[load->n_times++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* Until nobody has a request under way.  Who is active asks again while there is time. */
static void run(struct load *load, CURLM *multi)
{
    while (load->running > 0) {
        int running, left;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        if (load->stopped)
            kill(load->stopped, SIGCONT);
        load->stopped = 0;
        while ((message = curl_multi_info_read(multi, &left))) {
            struct client *client;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &client);
            judge(client, code);
            curl_multi_remove_handle(multi, client->easy);
            load->running--;
            if (multi != load->active)
                continue;
            note_time(client);
            if (nx_now_ms() < load->until)
                ask(client, multi, load->range);
        }
        if (load->running > 0)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

static struct client *new_clients(struct load *load, unsigned n)
{
    struct client *clients = calloc(n ? n : 1, sizeof *clients);
    for (unsigned i = 0; clients && i < n; i++) {
        clients[i].load = load;
        clients[i].easy = curl_easy_init();
        if (!clients[i].easy)
            die("curl does not start");
    }
    return clients ? clients : (die("no memory"), NULL);
}

static void free_clients(struct client *clients, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        curl_easy_cleanup(clients[i].easy);
        nx_http_request_release(&clients[i].request);
    }
    free(clients);
}

static void all_ask(struct load *load, struct client *clients, unsigned n, CURLM *multi,
                    uint64_t length)
{
    load->connections = 0;
    for (unsigned i = 0; i < n; i++)
        ask(&clients[i], multi, length);
    run(load, multi);
}

/* Heaps of 1 to n requests, about. */
static void heaps(struct load *load, struct client *clients, unsigned n, unsigned rounds, pid_t pid)
{
    load->stall = STALL_HEAP;
    for (unsigned i = 0; i < rounds && !load->failures; i++) {
        if (kill(pid, SIGSTOP) < 0)
            die("the server cannot be stopped");
        load->stopped = pid;
        all_ask(load, clients, n - i % n, load->idle, WORD);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double time_at(const struct load *load, double part)
{
    return load->n_times ? load->times[(size_t)(part * (double)(load->n_times - 1))] / 1000.0 : 0;
}

static CURLM *new_multi(unsigned connections)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        die("curl does not start");
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)connections + 1);
    return multi;
}

/* The file's size, from the first answer. */
static void find_size(struct load *load)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_http_options options = { .tries = 1 };
    struct nx_http_request request = { .length = WORD, .body = NX_BUFFER_INIT(WORD) };
    if (nx_http_get(load->url, &options, &request, &err) < 0)
        die(err.msg);
    load->size = request.total;
    if (load->size < load->range)
        die("the file is smaller than the ranges");
    nx_http_request_release(&request);
}

static int make_file(const char *path, uint64_t mib)
{
    static uint64_t words[(1 << 20) / WORD];
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_NEWFILE struct nx_newfile file = NX_NEWFILE_INIT;
    if (nx_newfile_open(&file, path, 0644, &err) < 0)
        return nx_log_failure(&err);
    for (uint64_t i = 0; i < mib; i++) {
        for (size_t w = 0; w < sizeof words / WORD; w++)
            words[w] = (i << 20) + w * WORD;
        if (nx_write_full(file.fd, words, sizeof words, path, &err) < 0)
            return nx_log_failure(&err);
    }
    return nx_newfile_commit(&file, &err) < 0 ? nx_log_failure(&err) : 0;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    unsigned n_idle = 0, n_active = 1, n_heaps = 0;
    pid_t pid = 0;
    double seconds = 1;
    bool make = false;
    struct load load = { .range = 65536, .seed = 4711, .stall = STALL };
    nx_log_set_program("load");
    for (int c; (c = getopt(argc, argv, "i:a:s:r:b:p:m")) != -1;) {
        switch (c) {
        case 'i':
            n_idle = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'a':
            n_active = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            seconds = strtod(optarg, NULL);
            break;
        case 'r':
            load.range = strtoull(optarg, NULL, 10) / WORD * WORD;
            break;
        case 'b':
            n_heaps = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            pid = (pid_t)strtol(optarg, NULL, 10);
            break;
        case 'm':
            make = true;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != (make ? 2 : 1) || load.range == 0 || (n_heaps && (pid <= 1 || !n_idle)))
        die("usage: load [-i IDLE] [-a ACTIVE] [-s SECONDS] [-r BYTES] [-b ROUNDS -p PID] URL, or "
            "load -m FILE MIB");
    if (make)
        return make_file(argv[optind], strtoull(argv[optind + 1], NULL, 10));
    load.url = argv[optind];
    raise_file_limit();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    find_size(&load);
    load.times = malloc(TIMES_MAX * sizeof *load.times);
    load.idle = new_multi(n_idle);
    load.active = new_multi(n_active);
    struct client *idle = new_clients(&load, n_idle), *active = new_clients(&load, n_active);
    if (!load.times)
        die("no memory");

    all_ask(&load, idle, n_idle, load.idle, WORD);
    load.requests = load.bytes = 0;
    int64_t start = nx_now_ms();
    load.until = start + (int64_t)(seconds * 1000);
    all_ask(&load, active, n_active, load.active, load.range);
    double took = (double)(nx_now_ms() - start) / 1000;
    uint64_t requests = load.requests, bytes = load.bytes;
    all_ask(&load, idle, n_idle, load.idle, WORD);
    uint64_t kept = load.connections < n_idle ? n_idle - load.connections : 0;
    heaps(&load, idle, n_idle, n_heaps, pid);

    qsort(load.times, load.n_times, sizeof *load.times, by_value);
    json_t *said = json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:f, s:i, s:i, s:I, s:I}", "requests", (json_int_t)requests,
        "bytes", (json_int_t)bytes, "seconds", took, "median_ms", time_at(&load, 0.5), "p99_ms",
        time_at(&load, 0.99), "max_ms", time_at(&load, 1), "active", (int)n_active, "idle",
        (int)n_idle, "idle_kept", (json_int_t)kept, "failures", (json_int_t)load.failures);
    if (!said || json_dumpf(said, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0)
        die("no memory");
    putchar('\n');
    json_decref(said);
    free_clients(idle, n_idle);
    free_clients(active, n_active);
    curl_multi_cleanup(load.idle);
    curl_multi_cleanup(load.active);
    free(load.times);
    return load.failures || kept < n_idle;
}
