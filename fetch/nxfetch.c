/* SPDX-License-Identifier: MIT */
/* nxfetch: boot a packaged machine from a web server.  Only wires; the verbs are in verb_*.c. */
#include <stdio.h>

#include "common/embed.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/options.h"
#include "fetch/verbs.h"

NX_EMBED(help_text, "fetch/nxfetch.help");

static int failure(const struct nx_error *err)
{
    nx_log(NX_LOG_ERROR, "%s", err->msg);
    nx_json_print_failure(err);
    if (err->code != NX_ERR_USAGE)
        return nx_exit_status(err);
    fprintf(stderr, "Try 'nxfetch --help'.\n");
    return 2;
}

static int print(const char *text)
{
    struct nx_error err = NX_ERROR_INIT;
    fputs(text, stdout);
    return nx_flush_stdout(&err) < 0 ? nx_log_failure(&err) : 0;
}

static void set_up(const struct nx_options *options)
{
    enum nx_loglevel level = options->quiet          ? NX_LOG_WARNING
                             : options->verbose == 0 ? NX_LOG_NOTICE
                             : options->verbose == 1 ? NX_LOG_INFO
                                                     : NX_LOG_DEBUG;
    nx_log_set_level(level);
    nx_progress_set_quiet(options->quiet);
    nx_progress_set_fd(options->progress_fd);
    nx_interrupt_install();
}

static int run_verb(const struct nx_options *options, struct nx_error *err)
{
    switch (options->verb) {
    case NX_VERB_RUN:
        return nx_verb_run(options, err);
    case NX_VERB_INFO:
        return nx_verb_info(options, err);
    case NX_VERB_PULL:
        return nx_verb_pull(options, err);
    case NX_VERB_MOUNT:
        return nx_verb_mount(options, err);
    case NX_VERB_TRUST_LIST:
    case NX_VERB_TRUST_SHOW:
    case NX_VERB_TRUST_ADD:
    case NX_VERB_TRUST_REMOVE:
    case NX_VERB_TRUST_IMPORT:
        return nx_verb_trust(options, err);
    default:
        return nx_verb_cache(options, err);
    }
}

int main(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_OPTIONS struct nx_options options;
    nx_reserve_stdio();
    nx_log_set_program("nxfetch");
    nx_json_note(argc, argv);
    if (nx_options_parse(argc, argv, &options, &err) < 0)
        return failure(&err);
    if (options.verb == NX_VERB_HELP)
        return print(help_text);
    if (options.verb == NX_VERB_VERSION)
        return print("nxfetch " NX_VERSION "\n");
    set_up(&options);
    if (run_verb(&options, &err) == 0)
        return 0;
    nx_progress_end();
    return failure(&err);
}
