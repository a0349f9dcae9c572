/* SPDX-License-Identifier: MIT */
/* The misbehaving web server of the unit tests (tests/support/origin.h) as a program:
 *
 *     origin [-m MISCHIEF [-n TIMES]] [-p PERCENT] [-s SEED] [-f PORT_FILE] FILE
 *
 * It serves FILE, whatever the path, from a port that the kernel chooses, well until
 *
 *     SIGUSR1   PERCENT of all requests (10) misbehave at random, or all of them, or the next TIMES, by MISCHIEF
 *     SIGUSR2   all is well again; a line on stderr says when one of these has been heard
 *     SIGTERM   the end: it says how many requests there were, and how many of them were answered badly
 */
#include "tests/support/origin.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

static struct {
    enum origin_mischief mischief; /* ORIGIN_GOOD: any */
    unsigned times, percent, seed;
    const char *port_file;
} options = { ORIGIN_GOOD, UINT_MAX, 10, 1, NULL };

static enum origin_mischief mischief_of(const char *name)
{
    int m = ORIGIN_GOOD;
    while (origin_name(m) && strcmp(origin_name(m), name) != 0)
        m++;
    return m;
}

static bool parse(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "m:n:p:s:f:")) != -1) {
        if (option == 'm')
            options.mischief = mischief_of(optarg);
        else if (option == 'n')
            options.times = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'p')
            options.percent = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 's')
            options.seed = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'f')
            options.port_file = optarg;
        else
            return false;
    }
    return options.mischief < ORIGIN_MISCHIEFS && argc == optind + 1;
}

static bool write_port(const struct origin *origin)
{
    unsigned port = 0;
    sscanf(origin_url(origin), "http://127.0.0.1:%u/", &port);
    FILE *file = options.port_file ? fopen(options.port_file, "we") : stdout;
    if (!file)
        return false;
    fprintf(file, "%u\n", port);
    return options.port_file ? fclose(file) == 0 : fflush(file) == 0;
}

static void misbehave(struct origin *origin, bool on)
{
    if (options.mischief == ORIGIN_GOOD)
        origin_misbehave_at_random(origin, on ? options.percent : 0, options.seed++);
    else
        origin_misbehave(origin, options.mischief, on ? options.times : 0);
}

static void serve(struct origin *origin, const sigset_t *signals)
{
    int sig;
    while (sigwait(signals, &sig) == 0 && (sig == SIGUSR1 || sig == SIGUSR2)) {
        misbehave(origin, sig == SIGUSR1);
        fputs(sig == SIGUSR1 ? "bad from now on\n" : "good from now on\n", stderr);
    }
    printf("%u requests, %u answered badly\n", origin_requests(origin), origin_mischiefs(origin));
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fputs("origin [-m MISCHIEF [-n TIMES]] [-p PERCENT] [-s SEED] [-f PORT_FILE] FILE\n",
              stderr);
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    NX_AUTO_FD int fd = open(argv[optind], O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(argv[optind]);
        return 1;
    }
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        perror(argv[optind]);
        return 1;
    }
    struct origin *origin = origin_start(data, (size_t)st.st_size);
    if (!write_port(origin)) {
        perror(options.port_file);
        return 1;
    }
    serve(origin, &signals);
    return 0; /* the threads that are still misbehaving end with us */
}
