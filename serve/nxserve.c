/* SPDX-License-Identifier: MIT */
/* nxserve: options, and which of its three jobs to do: serve a directory, answer one CGI
 * request, or print another server's configuration.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "common/embed.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "serve/cgi.h"
#include "serve/server.h"
#include "serve/snippet.h"

NX_EMBED(help_text, "serve/nxserve.help");

#define SNIPPET_MAX 65536

struct options {
    struct nx_server_options server;
    const char *port_file;
    char metrics_address[256]; /* what server.metrics_address points to */
};

enum {
    OPT_PORT_FILE = 256,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_ACCESS_LOG,
    OPT_METRICS,
    OPT_JSON,
    OPT_VERSION,
};

static const char short_options[] = "l:p:qvh";
static const struct option long_options[] = {
    { "listen", required_argument, NULL, 'l' },
    { "port", required_argument, NULL, 'p' },
    { "port-file", required_argument, NULL, OPT_PORT_FILE },
    { "tls-cert", required_argument, NULL, OPT_TLS_CERT },
    { "tls-key", required_argument, NULL, OPT_TLS_KEY },
    { "access-log", required_argument, NULL, OPT_ACCESS_LOG },
    { "metrics", required_argument, NULL, OPT_METRICS },
    { "json", no_argument, NULL, OPT_JSON },
    { "quiet", no_argument, NULL, 'q' },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, OPT_VERSION },
    { NULL, 0, NULL, 0 },
};

static int try_help(void)
{
    fprintf(stderr, "Try 'nxserve --help'.\n");
    return 2;
}

static int failure(const struct nx_error *err)
{
    int status = nx_log_failure(err);
    nx_json_print_failure(err);
    return err->code == NX_ERR_USAGE ? try_help() : status;
}

static int parse_port(const char *option, const char *text, uint16_t *ret_port,
                      struct nx_error *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long port =
        digits > 0 && digits <= 5 && !text[digits] ? strtoul(text, NULL, 10) : UINT32_MAX;
    if (port > UINT16_MAX)
        return nx_fail(err, NX_ERR_USAGE, "%s %s: not a number from 0 to 65535", option, text);
    *ret_port = (uint16_t)port;
    return 0;
}

/* "9100", "10.0.0.1:9100" or "[::1]:9100" */
static int parse_metrics(const char *text, struct options *opt, struct nx_error *err)
{
    const char *colon = strrchr(text, ':');
    const char *address = colon ? text : "127.0.0.1";
    size_t len = colon ? (size_t)(colon - text) : strlen(address);
    if (len > 1 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    } else if (memchr(address, ':', len)) {
        return nx_fail(err, NX_ERR_USAGE, "--metrics %s: write an IPv6 address as in [::1]:9100",
                       text);
    }
    if (len == 0 || len >= sizeof opt->metrics_address)
        return nx_fail(err, NX_ERR_USAGE, "--metrics %s: not [ADDRESS:]PORT", text);
    memcpy(opt->metrics_address, address, len);
    opt->metrics_address[len] = '\0';
    opt->server.metrics_address = opt->metrics_address;
    return parse_port("--metrics", colon ? colon + 1 : text, &opt->server.metrics_port, err);
}

static int check_options(const struct options *opt, int n_dirs, struct nx_error *err)
{
    if (nx_json_wanted() && opt->server.access_log && strcmp(opt->server.access_log, "-") == 0)
        return nx_fail(err, NX_ERR_USAGE, "--json and --access-log=- exclude each other");
    if (n_dirs > 1)
        return nx_fail(err, NX_ERR_USAGE, "more than one directory given");
    if (!opt->server.tls_cert != !opt->server.tls_key)
        return nx_fail(err, NX_ERR_USAGE, "--tls-cert and --tls-key need each other");
    return 0;
}

/* "nxserve config SERVER": argc words, and n_options, which must be none. */
static int print_config(int argc, char **argv, int n_options)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(SNIPPET_MAX);
    if (argc != 2 || n_options) {
        nx_fail(&err, NX_ERR_USAGE, "config: %s",
                argc != 2 ? "name one of nginx, apache, lighttpd, caddy" : "takes no options");
        return failure(&err);
    }
    if (nx_snippet_write(argv[1], &text, &err) < 0)
        return failure(&err);
    fwrite(text.data, 1, text.len, stdout);
    return nx_flush_stdout(&err) < 0 ? nx_log_failure(&err) : 0;
}

static volatile sig_atomic_t log_was_moved;

static void on_hangup(int sig)
{
    log_was_moved = 1;
}

/* With a log in a file, SIGHUP is its rotation; otherwise a terminal that went away, and ends us as Ctrl-C does. */
static void watch_for_rotation(const struct options *opt)
{
    if (!opt->server.access_log || strcmp(opt->server.access_log, "-") == 0)
        return;
    struct sigaction action = { .sa_handler = on_hangup };
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
}

static void reopen_log(struct nx_server *server)
{
    struct nx_error err = NX_ERROR_INIT;
    log_was_moved = 0;
    if (nx_server_reopen_log(server, &err) < 0)
        nx_log(NX_LOG_WARNING, "%s: the old file stays in use", err.msg);
}

/* Not yet to be seen: whoever waits for the file may look at what was told before. */
static int write_port_file(const char *path, const struct nx_server *server,
                           struct nx_newfile *file, struct nx_error *err)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%u\n", nx_server_port(server));
    if (nx_server_metrics_port(server))
        len +=
            snprintf(text + len, sizeof text - (size_t)len, "%u\n", nx_server_metrics_port(server));
    if (nx_newfile_open(file, path, 0644, err) < 0 ||
        nx_write_full(file->fd, text, (size_t)len, path, err) < 0)
        return nx_fail_while(err, "--port-file");
    return 0;
}

static int tell(const struct options *opt, const struct nx_server *server, struct nx_error *err)
{
    return nx_json_print(json_pack("{s:o, s:s, s:i, s:s?}", "dir", nx_json_text(opt->server.dir),
                                   "url", nx_server_url(server), "port",
                                   (int)nx_server_port(server), "metrics",
                                   nx_server_metrics_url(server)),
                         err);
}

/* Until Ctrl-C.  The signals are blocked all the time but while waiting, so that none can
 * come between looking and waiting; the server's threads inherit that and never see one.
 */
static int serve(const struct options *opt, const sigset_t *unblocked, struct nx_error *err)
{
    NX_AUTO_SERVER struct nx_server *server = NULL;
    NX_AUTO_NEWFILE struct nx_newfile port_file = NX_NEWFILE_INIT;
    if (nx_server_start(&opt->server, &server, err) < 0)
        return -1;
    if (opt->port_file && write_port_file(opt->port_file, server, &port_file, err) < 0)
        return -1;
    const char *metrics = nx_server_metrics_url(server);
    nx_log(NX_LOG_NOTICE, "serving %s at %s (Ctrl-C ends it)", opt->server.dir,
           nx_server_url(server));
    if (metrics)
        nx_log(NX_LOG_NOTICE, "figures at %s", metrics);
    if (opt->port_file && nx_newfile_commit(&port_file, err) < 0)
        return nx_fail_while(err, "--port-file");
    int ret = nx_json_wanted() ? tell(opt, server, err) : 0;
    while (ret == 0 && !nx_interrupted()) {
        sigsuspend(unblocked);
        if (log_was_moved)
            reopen_log(server);
    }
    if (opt->port_file)
        unlink(opt->port_file);
    return ret;
}

static int serve_until_interrupted(const struct options *opt)
{
    struct nx_error err = NX_ERROR_INIT;
    sigset_t ours, unblocked;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    nx_interrupt_install();
    watch_for_rotation(opt);
    sigprocmask(SIG_BLOCK, &ours, &unblocked);
    /* A caller's mask may have them blocked already: they are how we end. */
    sigdelset(&unblocked, SIGINT);
    sigdelset(&unblocked, SIGTERM);
    sigdelset(&unblocked, SIGHUP);
    return serve(opt, &unblocked, &err) < 0 ? failure(&err) : 0;
}

static int run_cgi(void)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_interrupt_install(); /* a server that hangs up ends us by EPIPE, not by a signal */
    return nx_cgi_run(STDOUT_FILENO, &err) < 0 ? nx_log_failure(&err) : 0;
}

/* Does the option end the program by itself?  *ret_status is its status then. */
static bool answer_option(int c, int *ret_status)
{
    struct nx_error err = NX_ERROR_INIT;
    if (c == 'h')
        fputs(help_text, stdout);
    else if (c == OPT_VERSION)
        puts("nxserve " NX_VERSION);
    else if (c != '?')
        return false;
    if (c == '?') {
        nx_json_print_misuse(); /* getopt_long() has said what is wrong */
        *ret_status = try_help();
    } else
        *ret_status = nx_flush_stdout(&err) < 0 ? nx_log_failure(&err) : 0;
    return true;
}

int main(int argc, char **argv)
{
    nx_reserve_stdio();
    nx_log_set_program("nxserve");
    if (nx_cgi_is_request())
        return run_cgi();
    nx_json_note(argc, argv);

    struct nx_error err = NX_ERROR_INIT;
    struct options opt = { .server = { .dir = ".", .address = "127.0.0.1", .port = 8080 } };
    int status, n_options = 0;
    for (int c; (c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1;
         n_options++) {
        switch (c) {
        case 'l':
            opt.server.address = optarg;
            break;
        case 'p':
            if (parse_port("--port", optarg, &opt.server.port, &err) < 0)
                return failure(&err);
            break;
        case OPT_PORT_FILE:
            opt.port_file = optarg;
            break;
        case OPT_TLS_CERT:
            opt.server.tls_cert = optarg;
            break;
        case OPT_TLS_KEY:
            opt.server.tls_key = optarg;
            break;
        case OPT_ACCESS_LOG:
            opt.server.access_log = optarg;
            break;
        case OPT_METRICS:
            if (parse_metrics(optarg, &opt, &err) < 0)
                return failure(&err);
            break;
        case OPT_JSON:
            nx_json_want();
            break;
        case 'q':
            nx_log_set_level(NX_LOG_WARNING);
            break;
        case 'v':
            nx_log_set_level(nx_log_level() < NX_LOG_INFO ? NX_LOG_INFO : NX_LOG_DEBUG);
            break;
        default:
            if (answer_option(c, &status))
                return status;
        }
    }
    if (optind < argc && strcmp(argv[optind], "config") == 0)
        return print_config(argc - optind, argv + optind, n_options);
    if (check_options(&opt, argc - optind, &err) < 0)
        return failure(&err);
    if (optind < argc)
        opt.server.dir = argv[optind];
    return serve_until_interrupted(&opt);
}
