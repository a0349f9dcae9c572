/* SPDX-License-Identifier: MIT */
/* What nxpack, its verbs and nxref have in common on the command line. */
#ifndef NX_PACK_CLI_H
#define NX_PACK_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/weboptions.h"
#include "formats/key.h"

/* First thing in main: the program's name, its help, signals, whether --json is given. */
void nx_cli_start(const char *program, const char *help, int argc, char **argv);

/* Options that everything takes: -q, -v, --progress-fd, -h, --version. */
enum {
    NX_OPT_PROGRESS_FD = 1000,
    NX_OPT_VERSION,
    NX_OPT_JSON, /* of those that have it: NX_CLI_JSON in their table; then nx_json_wanted() */
};
#define NX_CLI_JSON                            \
    {                                          \
        "json", no_argument, NULL, NX_OPT_JSON \
    }
#define NX_CLI_SHORT "qvh"
#define NX_CLI_LONG                                                                           \
    { "quiet", no_argument, NULL, 'q' }, { "verbose", no_argument, NULL, 'v' },               \
        { "progress-fd", required_argument, NULL, NX_OPT_PROGRESS_FD },                       \
        { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, NX_OPT_VERSION }, \
    {                                                                                         \
        NULL, 0, NULL, 0                                                                      \
    }

/* Do what option c of the above asks (with getopt's optarg).  True if the program is to
 * end with *ret_status: after help, version, or a mistake, which was told.
 */
bool nx_cli_option(int c, int *ret_status);

/* getopt's next option for programs that also read from the web: those of weboptions.h go to web.  The value of one of
 * longs, which has n entries with its end; or -1 behind the last; or 0 if *ret_status is what the program is to end with.
 */
int nx_cli_web_option(int argc, char **argv, const char *shorts, const struct option *longs,
                      size_t n, struct nx_web_options *web, int *ret_status);

/* Tell the mistake or the failure, with --json there, too; the exit status. */
int nx_cli_fail(const struct nx_error *err);

/* After the options, argc - optind must be at least min and at most max: operands tells which. */
int nx_cli_count(int argc, int min, int max, const char *operands, struct nx_error *err);

/* A decimal number from min to max. */
int nx_cli_number(const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *ret_value, struct nx_error *err);

/* The same with K, M, G or T behind it for KiB, MiB, GiB or TiB. */
int nx_cli_size(const char *option, const char *text, uint64_t min, uint64_t max,
                uint64_t *ret_value, struct nx_error *err);

/* --threads */
int nx_cli_threads(const char *text, unsigned *ret_threads, struct nx_error *err);

/* Read a key of -k; a passphrase is asked for on the terminal. */
int nx_cli_read_key(const char *path, bool private, struct nx_key **ret_key, struct nx_error *err);

#endif
