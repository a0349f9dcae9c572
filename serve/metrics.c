/* SPDX-License-Identifier: MIT */
#include "serve/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"

static void add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t value_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void nx_metrics_init(struct nx_metrics *metrics)
{
    memset(metrics, 0, sizeof *metrics);
    metrics->started = time(NULL);
    metrics->started_ms = nx_now_ms();
}

void nx_metrics_begun(struct nx_metrics *metrics)
{
    add(&metrics->begun, 1);
}

void nx_metrics_ended(struct nx_metrics *metrics, unsigned status, unsigned ranges, uint64_t bytes,
                      bool cut)
{
    add(&metrics->ranges, ranges);
    add(&metrics->bytes, bytes);
    add(&metrics->cut, cut);
    add(&metrics->requests[nx_status_index(status)], 1); /* last: then it is not in progress */
}

void nx_metrics_connected(struct nx_metrics *metrics)
{
    add(&metrics->connections, 1);
}

void nx_metrics_disconnected(struct nx_metrics *metrics)
{
    add(&metrics->closed, 1);
}

/* One metric with one value. */
static int write_one(struct nx_buffer *out, const char *name, const char *type, const char *help,
                     double value, struct nx_error *err)
{
    return nx_buffer_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n%s %.16g\n", name, help, name,
                            type, name, value);
}

/* Every status has its line from the start, so that a rate is right from the first one on. */
static int write_requests(const struct nx_metrics *metrics, struct nx_buffer *out,
                          uint64_t *ret_ended, struct nx_error *err)
{
    static const char name[] = "nxserve_requests_total";
    *ret_ended = 0;
    if (nx_buffer_printf(out, err,
                         "# HELP %s Requests that have ended, by status.\n# TYPE %s counter\n",
                         name, name) < 0)
        return -1;
    for (size_t i = 0; i < NX_STATUSES_MAX; i++) {
        unsigned status = nx_status_at(i);
        uint64_t n = value_of(&metrics->requests[i]);
        char code[16];
        snprintf(code, sizeof code, "%u", status);
        *ret_ended += n;
        if (nx_buffer_printf(out, err, "%s{code=\"%s\"} %" PRIu64 "\n", name,
                             status ? code : "other", n) < 0)
            return -1;
    }
    return 0;
}

/* The names that Prometheus' own client libraries give these. */
static int write_process(const struct nx_metrics *metrics, struct nx_buffer *out,
                         struct nx_error *err)
{
    struct rusage usage;
    uintmax_t pages = 0, resident = 0;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    NX_AUTO_FILE FILE *statm = fopen("/proc/self/statm", "re");
    if (statm && fscanf(statm, "%ju %ju", &pages, &resident) == 2 &&
        write_one(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                  (double)resident * (double)sysconf(_SC_PAGESIZE), err) < 0)
        return -1;
    if (write_one(out, "process_cpu_seconds_total", "counter",
                  "Total user and system CPU time spent in seconds.", cpu, err) < 0)
        return -1;
    return write_one(out, "process_start_time_seconds", "gauge",
                     "Start time of the process since unix epoch in seconds.",
                     (double)metrics->started, err);
}

int nx_metrics_write(const struct nx_metrics *metrics, unsigned connections_max,
                     struct nx_buffer *out, struct nx_error *err)
{
    uint64_t begun = value_of(&metrics->begun), ended;
    uint64_t closed = value_of(&metrics->closed), connections = value_of(&metrics->connections);
    if (nx_buffer_printf(out, err,
                         "# HELP nxserve_build_info Always 1; the version is a label.\n"
                         "# TYPE nxserve_build_info gauge\n"
                         "nxserve_build_info{version=\"" NX_VERSION "\"} 1\n") < 0 ||
        write_requests(metrics, out, &ended, err) < 0)
        return -1;
    const struct {
        const char *name, *type, *help;
        double value;
    } others[] = {
        { "nxserve_requests_cut_total", "counter",
          "Requests that ended before their answer was sent.", (double)value_of(&metrics->cut) },
        /* A request that has ended since we looked would make it less than none. */
        { "nxserve_requests_in_progress", "gauge", "Requests that are being answered.",
          begun > ended ? (double)(begun - ended) : 0 },
        { "nxserve_sent_bytes_total", "counter", "Bytes of bodies sent.",
          (double)value_of(&metrics->bytes) },
        { "nxserve_ranges_total", "counter", "Byte ranges sent.",
          (double)value_of(&metrics->ranges) },
        { "nxserve_connections_total", "counter", "Connections accepted.", (double)connections },
        { "nxserve_connections", "gauge", "Connections open now.",
          connections > closed ? (double)(connections - closed) : 0 },
        { "nxserve_connections_limit", "gauge", "Connections that may be open at once.",
          connections_max },
        { "nxserve_uptime_seconds", "gauge", "Seconds since the start.",
          (double)(nx_now_ms() - metrics->started_ms) / 1000 },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (write_one(out, others[i].name, others[i].type, others[i].help, others[i].value, err) <
            0)
            return -1;
    return write_process(metrics, out, err);
}
