/* SPDX-License-Identifier: MIT */
#include "pack/cli.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "pack/passphrase.h"
#include "pack/pipeline.h"

static const char *help_text; /* set once, by nx_cli_start() */

void nx_cli_start(const char *program, const char *help, int argc, char **argv)
{
    nx_json_note(argc, argv);
    nx_reserve_stdio();
    nx_log_set_program(program);
    help_text = help;
    nx_interrupt_install();
}

static int try_help(void)
{
    fprintf(stderr, "Try '%s --help'.\n", nx_log_program());
    return 2;
}

int nx_cli_fail(const struct nx_error *err)
{
    int status = nx_log_failure(err);
    nx_json_print_failure(err);
    return err->code == NX_ERR_USAGE ? try_help() : status;
}

static int print(const char *text)
{
    struct nx_error err = NX_ERROR_INIT;
    fputs(text, stdout);
    return nx_flush_stdout(&err) < 0 ? nx_log_failure(&err) : 0;
}

static int set_progress_fd(const char *text, struct nx_error *err)
{
    uint64_t fd;
    if (nx_cli_number("--progress-fd", text, 0, INT32_MAX, &fd, err) < 0)
        return -1;
    if (fcntl((int)fd, F_GETFD) < 0)
        return nx_fail(err, NX_ERR_USAGE, "--progress-fd %s: %s", text, strerror(errno));
    nx_progress_set_fd((int)fd);
    return 0;
}

bool nx_cli_option(int c, int *ret_status)
{
    struct nx_error err = NX_ERROR_INIT;
    switch (c) {
    case 'q':
        nx_log_set_level(NX_LOG_WARNING);
        nx_progress_set_quiet(1);
        return false;
    case 'v':
        nx_log_set_level(nx_log_level() < NX_LOG_INFO ? NX_LOG_INFO : NX_LOG_DEBUG);
        return false;
    case NX_OPT_JSON:
        nx_json_want();
        return false;
    case NX_OPT_PROGRESS_FD:
        if (set_progress_fd(optarg, &err) == 0)
            return false;
        *ret_status = nx_cli_fail(&err);
        return true;
    case 'h':
        *ret_status = print(help_text);
        return true;
    case NX_OPT_VERSION:
        printf("%s %s\n", nx_log_program(), NX_VERSION);
        *ret_status = print("");
        return true;
    default: /* getopt has told it */
        nx_json_print_misuse();
        *ret_status = try_help();
        return true;
    }
}

#define WEB_OTHERS_MAX 32 /* options that a verb has itself */

int nx_cli_web_option(int argc, char **argv, const char *shorts, const struct option *longs,
                      size_t n, struct nx_web_options *web, int *ret_status)
{
    struct nx_error err = NX_ERROR_INIT;
    struct option all[NX_WEB_COUNT + WEB_OTHERS_MAX];
    assert(n <= WEB_OTHERS_MAX);
    nx_web_table(all, longs, n);
    int c;
    while ((c = getopt_long(argc, argv, shorts, all, NULL)) != -1 && nx_web_is_option(c)) {
        if (nx_web_take(web, c, optarg, &err) < 0) {
            *ret_status = nx_cli_fail(&err);
            return 0;
        }
    }
    return c;
}

int nx_cli_count(int argc, int min, int max, const char *operands, struct nx_error *err)
{
    int n = argc - optind;
    if (n < min)
        return nx_fail(err, NX_ERR_USAGE, "too few arguments: %s wanted", operands);
    if (n > max)
        return nx_fail(err, NX_ERR_USAGE, "too many arguments: %s wanted", operands);
    return 0;
}

#define UNITS "KMGT"

static int parse(const char *option, const char *text, bool units, uint64_t min, uint64_t max,
                 uint64_t *ret_value, struct nx_error *err)
{
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    uint64_t value = digits && digits < 20 ? strtoull(text, NULL, 10) : UINT64_MAX;
    const char *power = units && *unit ? strchr(UNITS, *unit) : NULL;
    if (power) {
        if (__builtin_mul_overflow(value, (uint64_t)1024 << 10 * (power - UNITS), &value))
            value = UINT64_MAX;
        unit++;
    }
    if (!digits || *unit || value < min || value > max)
        return nx_fail(err, NX_ERR_USAGE, "%s %s: not a number from %" PRIu64 " to %" PRIu64,
                       option, text, min, max);
    *ret_value = value;
    return 0;
}

int nx_cli_number(const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *ret_value, struct nx_error *err)
{
    return parse(option, text, false, min, max, ret_value, err);
}

int nx_cli_size(const char *option, const char *text, uint64_t min, uint64_t max,
                uint64_t *ret_value, struct nx_error *err)
{
    return parse(option, text, true, min, max, ret_value, err);
}

int nx_cli_threads(const char *text, unsigned *ret_threads, struct nx_error *err)
{
    uint64_t value;
    if (nx_cli_number("--threads", text, 1, NX_THREADS_MAX, &value, err) < 0)
        return -1;
    *ret_threads = (unsigned)value;
    return 0;
}

int nx_cli_read_key(const char *path, bool private, struct nx_key **ret_key, struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *key = NULL;
    if (nx_key_read(path, nx_ask_passphrase, NULL, &key, err) < 0)
        return -1;
    if (private && !nx_key_is_private(key))
        return nx_fail(err, NX_ERR_TRUST,
                       "%s: is a public key, which cannot sign: give the private one", path);
    *ret_key = NX_STEAL(key);
    return 0;
}
