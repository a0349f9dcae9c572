/* SPDX-License-Identifier: MIT */
/* nxfetch: boot a packaged machine from a web server.  Only wires; the verbs are in verb_*.c. */
#include <stdio.h>

#include "common/embed.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/dialog.h"
#include "fetch/options.h"
#include "fetch/verbs.h"

NX_EMBED(help_text, "fetch/nxfetch.help");

static int failure(const struct nx_error *err)
{
    nx_progress_end();
    int status = nx_log_failure(err);
    nx_json_print_failure(err);
    if (err->code == NX_ERR_USAGE)
        fprintf(stderr, "Try 'nxfetch --help'.\n");
    nx_dialog_failed(err);
    return status;
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

/* Before there is another process: who the user is, if a server is to be told. */
static int settle(struct nx_options *options, struct nx_error *err)
{
    if (!options->location || options->offline)
        return 0;
    return nx_web_settle(&options->web, options->location, false, err);
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
    case NX_VERB_STATUS:
        return nx_verb_status(options, err);
    case NX_VERB_SCREENSHOT:
        return nx_verb_screenshot(options, err);
    case NX_VERB_POWER:
        return nx_verb_power(options, err);
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
    int parsed = nx_options_parse(argc, argv, &options, &err);
    if (options.desktop && options.verb == NX_VERB_RUN)
        nx_dialog_open(argv);
    if (parsed < 0)
        return failure(&err);
    if (options.verb == NX_VERB_HELP)
        return print(help_text);
    if (options.verb == NX_VERB_VERSION)
        return print("nxfetch " NX_VERSION "\n");
    set_up(&options);
    if (settle(&options, &err) == 0 && run_verb(&options, &err) == 0)
        return 0;
    return failure(&err);
}
