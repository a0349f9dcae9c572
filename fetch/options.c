/* SPDX-License-Identifier: MIT */
#include "fetch/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/userdir.h"
#include "fetch/cache.h"

#define MEMORY_MIN (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 42)
#define CPUS_MAX   255
#define UNTIL_MAX  (30 * 86400) /* s */
#define CACHE_MIN  (UINT64_C(64) << 20)
#define CACHE_MAX  (UINT64_C(1) << 50)

/* The verbs that an option makes sense with. */
#define ON(verb) (1U << NX_VERB_##verb)
#define RUN      ON(RUN)
#define IMAGES   (RUN | ON(MOUNT))
#define NETWORK  (IMAGES | ON(PULL) | ON(INFO))
#define TRUST \
    (ON(TRUST_LIST) | ON(TRUST_SHOW) | ON(TRUST_ADD) | ON(TRUST_REMOVE) | ON(TRUST_IMPORT))
#define CACHE (ON(CACHE_SHOW) | ON(CACHE_PRUNE) | ON(CACHE_CLEAR) | ON(CACHE_VERIFY))
#define ANY   (~0U)

enum option_id {
    OPT_SERIAL = 256,
    OPT_DISPLAY,
    OPT_VNC,
    OPT_WEB,
    OPT_VNC_PASSWORD_FILE,
    OPT_NO_PASSWORD,
    OPT_NO_BROWSER,
    OPT_DESKTOP,
    OPT_FULLSCREEN,
    OPT_ACCEL,
    OPT_KEEP_MAC,
    OPT_NETWORK,
    OPT_NO_NETWORK,
    OPT_FORWARD,
    OPT_MEMORY,
    OPT_CPUS,
    OPT_COLD,
    OPT_NO_COLD,
    OPT_RECORD,
    OPT_UNTIL,
    OPT_SCREENSHOT,
    OPT_OFFLINE,
    OPT_NO_COMPLETE,
    OPT_STATS,
    OPT_TRUST,
    OPT_ALLOW_UNSIGNED,
    OPT_ALLOW_OLDER,
    OPT_NAME,
    OPT_INSECURE,
    OPT_CACHE_DIR,
    OPT_CACHE_SIZE,
    OPT_NO_CACHE,
    OPT_JSON,
    OPT_READY_FD,
    OPT_PROGRESS_FD,
    OPT_WATCH,
};

static const struct entry {
    const char *name;
    int has_arg;
    int id;
    unsigned verbs;
} table[] = {
    { "serial", required_argument, OPT_SERIAL, RUN },
    { "display", required_argument, OPT_DISPLAY, RUN },
    { "desktop", no_argument, OPT_DESKTOP, RUN },
    { "fullscreen", no_argument, OPT_FULLSCREEN, RUN },
    { "vnc", required_argument, OPT_VNC, RUN },
    { "web", optional_argument, OPT_WEB, RUN | ON(STATUS) },
    { "vnc-password-file", required_argument, OPT_VNC_PASSWORD_FILE, RUN },
    { "no-password", no_argument, OPT_NO_PASSWORD, RUN },
    { "no-browser", no_argument, OPT_NO_BROWSER, RUN },
    { "accel", required_argument, OPT_ACCEL, RUN },
    { "keep-mac", no_argument, OPT_KEEP_MAC, RUN },
    { "network", no_argument, OPT_NETWORK, RUN },
    { "no-network", no_argument, OPT_NO_NETWORK, RUN | ON(TRUST_ADD) },
    { "forward", required_argument, OPT_FORWARD, RUN },
    { "memory", required_argument, OPT_MEMORY, RUN },
    { "cpus", required_argument, OPT_CPUS, RUN },
    { "cold", no_argument, OPT_COLD, RUN },
    { "no-cold", no_argument, OPT_NO_COLD, RUN },
    { "record", required_argument, OPT_RECORD, RUN },
    { "until", required_argument, OPT_UNTIL, RUN },
    { "screenshot", required_argument, OPT_SCREENSHOT, RUN },
    { "offline", no_argument, OPT_OFFLINE, IMAGES | ON(INFO) },
    { "no-complete", no_argument, OPT_NO_COMPLETE, IMAGES },
    { "stats", required_argument, OPT_STATS, NETWORK },
    { "trust", required_argument, OPT_TRUST, IMAGES },
    { "allow-unsigned", no_argument, OPT_ALLOW_UNSIGNED, IMAGES },
    { "allow-older", no_argument, OPT_ALLOW_OLDER, IMAGES },
    { "name", required_argument, OPT_NAME, ON(TRUST_ADD) },
    { "insecure", no_argument, OPT_INSECURE, NETWORK },
    { "cache-dir", required_argument, OPT_CACHE_DIR, NETWORK | CACHE },
    { "cache-size", required_argument, OPT_CACHE_SIZE, NETWORK | CACHE },
    { "no-cache", no_argument, OPT_NO_CACHE, IMAGES | ON(INFO) },
    { "json", no_argument, OPT_JSON, ANY },
    { "watch", no_argument, OPT_WATCH, ON(STATUS) },
    { "ready-fd", required_argument, OPT_READY_FD, ON(MOUNT) },
    { "progress-fd", required_argument, OPT_PROGRESS_FD, ANY },
    { "verbose", no_argument, 'v', ANY },
    { "quiet", no_argument, 'q', ANY },
    { "help", no_argument, 'h', ANY },
    { "version", no_argument, 'V', ANY },
};
#define N_ENTRIES (sizeof table / sizeof *table)
_Static_assert(N_ENTRIES <= 64, "what was given is a bit for each");

static int parse_fd(const char *option, const char *text, int *ret_fd, struct nx_error *err)
{
    uint64_t fd;
    if (nx_parse_number(option, text, 0, 1 << 20, &fd, err) < 0)
        return -1;
    if (fcntl((int)fd, F_GETFD) < 0)
        return nx_fail_errno(err, "--%s: descriptor %s", option, text);
    *ret_fd = (int)fd;
    return 0;
}

static int add_forward(struct nx_options *options, const char *text, struct nx_error *err)
{
    if (options->n_forwards == NX_FORWARDS_MAX)
        return nx_fail(err, NX_ERR_USAGE, "--forward: at most %d of them", NX_FORWARDS_MAX);
    if (nx_parse_forward(text, &options->forwards[options->n_forwards], err) < 0)
        return -1;
    options->n_forwards++;
    return 0;
}

static int set_cache_dir(struct nx_options *options, char *dir, struct nx_error *err)
{
    free(options->cache_dir);
    options->cache_dir = dir;
    return dir ? 0 : nx_fail_errno(err, "cache directory");
}

/* $XDG_CACHE_HOME/nxpk, or below $HOME; with neither there is no cache. */
static int default_cache_dir(struct nx_options *options, struct nx_error *err)
{
    char *dir = nx_user_path("XDG_CACHE_HOME", ".cache", "nxpk");
    return dir || errno ? set_cache_dir(options, dir, err) : 0;
}

/* Options about where its screen is seen. */
static int apply_screen(struct nx_options *options, int id, const char *arg, struct nx_error *err)
{
    switch (id) {
    case OPT_DISPLAY:
        options->display = arg;
        return 0;
    case OPT_DESKTOP:
        options->desktop = true;
        return 0;
    case OPT_FULLSCREEN:
        options->fullscreen = true;
        return 0;
    case OPT_VNC:
        return nx_parse_vnc(arg, options->vnc, err);
    case OPT_WEB:
        options->in_browser = true;
        return nx_web_address_parse("web", arg, &options->web_address, err);
    case OPT_VNC_PASSWORD_FILE:
        options->vnc_password_file = arg;
        return 0;
    case OPT_NO_PASSWORD:
        options->no_password = true;
        return 0;
    case OPT_NO_BROWSER:
        options->no_browser = true;
        return 0;
    default:
        return 1;
    }
}

/* Options about the machine. */
static int apply_machine(struct nx_options *options, int id, const char *arg, struct nx_error *err)
{
    uint64_t number;
    switch (id) {
    case OPT_SERIAL:
        return nx_parse_serial(arg, &options->serial, err);
    case OPT_ACCEL:
        return nx_accel_parse(arg, &options->accel, err);
    case OPT_KEEP_MAC:
        options->keep_mac = true;
        return 0;
    case OPT_NETWORK:
        options->network = true;
        return 0;
    case OPT_NO_NETWORK:
        options->no_network = true;
        return 0;
    case OPT_FORWARD:
        return add_forward(options, arg, err);
    case OPT_MEMORY:
        return nx_parse_size("memory", arg, MEMORY_MIN, MEMORY_MAX, &options->memory, err);
    case OPT_CPUS:
        if (nx_parse_number("cpus", arg, 1, CPUS_MAX, &number, err) < 0)
            return -1;
        options->cpus = (unsigned)number;
        return 0;
    default:
        return 1; /* not one of these */
    }
}

static int set_until(struct nx_options *options, const char *arg, struct nx_error *err)
{
    uint64_t seconds;
    options->until_settled = strcmp(arg, "settled") == 0;
    if (options->until_settled)
        return 0;
    if (nx_parse_number("until", arg, 1, UNTIL_MAX, &seconds, err) < 0)
        return nx_fail(err, NX_ERR_USAGE, "--until=%s: neither \"settled\" nor seconds", arg);
    options->until_seconds = (unsigned)seconds;
    return 0;
}

/* Options about how the machine starts, and when it ends. */
static int apply_run(struct nx_options *options, int id, const char *arg, struct nx_error *err)
{
    switch (id) {
    case OPT_COLD:
        options->cold = true;
        return 0;
    case OPT_NO_COLD:
        options->no_cold = true;
        return 0;
    case OPT_RECORD:
        options->record_file = arg;
        return 0;
    case OPT_UNTIL:
        return set_until(options, arg, err);
    case OPT_SCREENSHOT:
        options->screenshot_file = arg;
        return 0;
    default:
        return 1;
    }
}

/* Options about the package and how it comes here. */
static int apply_source(struct nx_options *options, int id, const char *arg, struct nx_error *err)
{
    switch (id) {
    case OPT_OFFLINE:
        options->offline = true;
        return 0;
    case OPT_NO_COMPLETE:
        options->no_complete = true;
        return 0;
    case OPT_TRUST:
        return nx_trust_add(&options->trust, arg, err) < 0 ? nx_fail_while(err, "--trust") : 0;
    case OPT_ALLOW_UNSIGNED:
        options->trust.allow_unsigned = true;
        return 0;
    case OPT_ALLOW_OLDER:
        options->trust.allow_older = true;
        return 0;
    case OPT_NAME:
        options->name = arg;
        return 0;
    case OPT_INSECURE:
        options->web.http.insecure = true;
        return 0;
    case OPT_CACHE_DIR:
        return set_cache_dir(options, strdup(arg), err);
    case OPT_CACHE_SIZE:
        return nx_parse_size("cache-size", arg, CACHE_MIN, CACHE_MAX, &options->cache_limit, err);
    case OPT_NO_CACHE:
        free(options->cache_dir);
        options->cache_dir = NULL;
        return 0;
    default:
        return 1;
    }
}

/* Options about what is shown, and to whom. */
static int apply_output(struct nx_options *options, int id, const char *arg, struct nx_error *err)
{
    switch (id) {
    case OPT_WATCH:
        options->watch = true;
        return 0;
    case OPT_STATS:
        options->stats_file = arg;
        return 0;
    case OPT_JSON:
        options->json = true;
        nx_json_want();
        return 0;
    case OPT_READY_FD:
        return parse_fd("ready-fd", arg, &options->ready_fd, err);
    case OPT_PROGRESS_FD:
        return parse_fd("progress-fd", arg, &options->progress_fd, err);
    case 'v':
        options->verbose++;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    case 'h':
        options->verb = NX_VERB_HELP;
        return 0;
    default:
        options->verb = NX_VERB_VERSION;
        return 0;
    }
}

static int apply(struct nx_options *options, int id, const char *arg, struct nx_error *err)
{
    int ret = nx_web_is_option(id) ? nx_web_take(&options->web, id, arg, err)
                                   : apply_machine(options, id, arg, err);
    if (ret > 0)
        ret = apply_screen(options, id, arg, err);
    if (ret > 0)
        ret = apply_run(options, id, arg, err);
    if (ret > 0)
        ret = apply_source(options, id, arg, err);
    return ret > 0 ? apply_output(options, id, arg, err) : ret;
}

/* Take the whole of argv's options; *ret_seen has a bit for each entry of the table. */
static int parse_options(int argc, char **argv, struct nx_options *options, uint64_t *ret_seen,
                         struct nx_error *err)
{
    struct option longs[N_ENTRIES + 1] = { 0 }, all[NX_WEB_COUNT + N_ENTRIES + 1];
    for (size_t i = 0; i < N_ENTRIES; i++)
        longs[i] = (struct option){ table[i].name, table[i].has_arg, NULL, table[i].id };
    nx_web_table(all, longs, N_ENTRIES + 1);
    opterr = 0;
    optind = 0; /* glibc: start anew, as a test may call this many times */
    int id;
    while ((id = getopt_long(argc, argv, ":vqh" NX_WEB_SHORT, all, NULL)) != -1) {
        if (id == ':')
            return nx_fail(err, NX_ERR_USAGE, "%s needs a value", argv[optind - 1]);
        if (id == '?' && optopt && optopt < 256)
            return nx_fail(err, NX_ERR_USAGE, "-%c is not an option", optopt);
        if (id == '?')
            return nx_fail(err, NX_ERR_USAGE, "%s is not an option, or takes no value",
                           argv[optind - 1]);
        if (apply(options, id, optarg, err) < 0)
            return -1;
        for (size_t i = 0; i < N_ENTRIES; i++)
            *ret_seen |= (uint64_t)(table[i].id == id) << i;
    }
    return 0;
}

static int parse_cache_verb(int n, char **words, struct nx_options *options, struct nx_error *err)
{
    static const char *const names[] = { "show", "prune", "clear", "verify" };
    unsigned which = 0;
    if (n == 0)
        return nx_fail(err, NX_ERR_USAGE, "cache: show, prune, clear or verify?");
    while (which < 4 && strcmp(words[0], names[which]) != 0)
        which++;
    if (which == 4)
        return nx_fail(err, NX_ERR_USAGE, "cache: '%s' is not show, prune, clear or verify",
                       words[0]);
    options->verb = (enum nx_verb)(NX_VERB_CACHE_SHOW + which);
    options->prune_to = options->cache_limit;
    bool has_size = options->verb == NX_VERB_CACHE_PRUNE && n == 2;
    if (n != 1 && !has_size)
        return nx_fail(err, NX_ERR_USAGE, "cache %s: too many arguments", words[0]);
    return has_size ? nx_parse_size("cache prune", words[1], 0, CACHE_MAX, &options->prune_to, err)
                    : 0;
}

static int parse_trust_verb(int n, char **words, struct nx_options *options, struct nx_error *err)
{
    static const struct {
        const char *name;
        enum nx_verb verb;
        const char *arg;
    } verbs[] = { { "list", NX_VERB_TRUST_LIST, NULL },
                  { "show", NX_VERB_TRUST_SHOW, "KEY|URL" },
                  { "add", NX_VERB_TRUST_ADD, "KEY" },
                  { "remove", NX_VERB_TRUST_REMOVE, "KEY|URL" },
                  { "import", NX_VERB_TRUST_IMPORT, "FILE" } };
    if (n == 0)
        return nx_fail(err, NX_ERR_USAGE, "trust: list, show, add, remove or import?");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(words[0], verbs[i].name) != 0)
            continue;
        if (n - 1 != (verbs[i].arg ? 1 : 0))
            return nx_fail(err, NX_ERR_USAGE, "trust %s: needs %s", words[0],
                           verbs[i].arg ? verbs[i].arg : "no argument");
        options->verb = verbs[i].verb;
        options->signer = words[n - 1];
        return 0;
    }
    return nx_fail(err, NX_ERR_USAGE, "trust: '%s' is not list, show, add, remove or import",
                   words[0]);
}

/* Those for a machine that runs: what else they need, then the machine, if there are several.  1: none of these. */
static int parse_running_verb(int n, char **words, struct nx_options *options, struct nx_error *err)
{
    static const struct {
        const char *name;
        enum nx_verb verb;
        int n_args; /* before the machine */
        const char *args;
    } verbs[] = { { "status", NX_VERB_STATUS, 0, "" },
                  { "screenshot", NX_VERB_SCREENSHOT, 1, "FILE " },
                  { "power", NX_VERB_POWER, 1, "off|reset|stop " } };
    size_t i = 0;
    while (i < sizeof verbs / sizeof *verbs && strcmp(words[0], verbs[i].name) != 0)
        i++;
    if (i == sizeof verbs / sizeof *verbs)
        return 1;
    int more = n - 1 - verbs[i].n_args;
    const char *first = n > 1 ? words[1] : "";
    if (more < 0 || more > 1)
        return nx_fail(err, NX_ERR_USAGE, "%s: needs %s[MACHINE]; a file of that name is ./%s",
                       words[0], verbs[i].args, words[0]);
    if (verbs[i].verb == NX_VERB_POWER && strcmp(first, "off") != 0 &&
        strcmp(first, "reset") != 0 && strcmp(first, "stop") != 0)
        return nx_fail(err, NX_ERR_USAGE, "power: '%s' is not off, reset or stop", first);
    options->verb = verbs[i].verb;
    options->machine = more ? words[n - 1] : NULL;
    options->shot_file = options->power = first;
    return 0;
}

/* The words that are no options: a verb with its arguments, or a location to boot. */
static int parse_words(int n, char **words, struct nx_options *options, struct nx_error *err)
{
    static const struct {
        const char *name;
        enum nx_verb verb;
        int n_args;
        const char *args;
    } verbs[] = { { "info", NX_VERB_INFO, 1, "LOCATION" },
                  { "pull", NX_VERB_PULL, 1, "LOCATION" },
                  { "mount", NX_VERB_MOUNT, 2, "LOCATION DIR" } };
    if (n == 0)
        return nx_fail(err, NX_ERR_USAGE, "which machine?  Name a URL or a file");
    if (strcmp(words[0], "cache") == 0)
        return parse_cache_verb(n - 1, words + 1, options, err);
    if (strcmp(words[0], "trust") == 0)
        return parse_trust_verb(n - 1, words + 1, options, err);
    int ret = parse_running_verb(n, words, options, err);
    if (ret <= 0)
        return ret;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(words[0], verbs[i].name) != 0)
            continue;
        if (n - 1 != verbs[i].n_args)
            return nx_fail(err, NX_ERR_USAGE, "%s: needs %s; a file of that name is ./%s", words[0],
                           verbs[i].args, words[0]);
        options->verb = verbs[i].verb;
        options->location = words[1];
        options->mount_dir = words[n - 1];
        return 0;
    }
    if (n > 1)
        return nx_fail(err, NX_ERR_USAGE, "'%s': one machine at a time", words[1]);
    options->location = words[0];
    return 0;
}

/* An option that does nothing would be a surprise: refuse it. */
static int check_fitting(const struct nx_options *options, uint64_t seen, struct nx_error *err)
{
    for (size_t i = 0; i < N_ENTRIES; i++)
        if ((seen >> i & 1) && !(table[i].verbs >> options->verb & 1))
            return nx_fail(err, NX_ERR_USAGE, "--%s means nothing here", table[i].name);
    if (options->web.seen && !(NETWORK >> options->verb & 1))
        return nx_fail(err, NX_ERR_USAGE, "--%s means nothing here", options->web.seen);
    if (options->cold && options->no_cold)
        return nx_fail(err, NX_ERR_USAGE, "--cold and --no-cold exclude each other");
    if (options->fullscreen && (options->display ? strcmp(options->display, "none") == 0
                                                 : options->vnc[0] || options->in_browser))
        return nx_fail(err, NX_ERR_USAGE, "--fullscreen needs a window");
    if (options->network && options->no_network)
        return nx_fail(err, NX_ERR_USAGE, "--network and --no-network exclude each other");
    if ((options->no_password || options->vnc_password_file) && !options->vnc[0])
        return nx_fail(err, NX_ERR_USAGE, "--%s needs --vnc",
                       options->no_password ? "no-password" : "vnc-password-file");
    if (options->no_password && options->vnc_password_file)
        return nx_fail(err, NX_ERR_USAGE,
                       "--no-password and --vnc-password-file exclude each other");
    if (options->no_browser && !options->in_browser)
        return nx_fail(err, NX_ERR_USAGE, "--no-browser needs --web");
    if (options->verb == NX_VERB_STATUS && options->in_browser && (options->watch || options->json))
        return nx_fail(err, NX_ERR_USAGE, "--web excludes --watch and --json");
    if (options->json && options->serial.kind == NX_SERIAL_STDIO)
        return nx_fail(err, NX_ERR_USAGE, "--json and --serial=stdio exclude each other");
    if (options->until_settled && !options->record_file)
        return nx_fail(err, NX_ERR_USAGE, "--until=settled needs --record");
    if (options->screenshot_file && !options->until_settled && !options->until_seconds)
        return nx_fail(err, NX_ERR_USAGE, "--screenshot needs --until, which says when");
    if (options->offline && !options->cache_dir && options->location &&
        nx_http_is_url(options->location))
        return nx_fail(err, NX_ERR_USAGE, "--offline needs the cache, and there is none");
    if (options->verb == NX_VERB_PULL && !options->cache_dir)
        return nx_fail(err, NX_ERR_USAGE,
                       "pull: there is no place for a cache: set $HOME or "
                       "use --cache-dir");
    if (options->verb >= NX_VERB_CACHE_SHOW && !options->cache_dir)
        return nx_fail(err, NX_ERR_USAGE, "cache: there is none: set $HOME or use --cache-dir");
    return 0;
}

int nx_options_parse(int argc, char **argv, struct nx_options *ret_options, struct nx_error *err)
{
    *ret_options = (struct nx_options){ .ready_fd = -1,
                                        .progress_fd = -1,
                                        .cache_limit = NX_CACHE_LIMIT_DEFAULT };
    uint64_t seen = 0;
    nx_web_init(&ret_options->web);
    if (default_cache_dir(ret_options, err) < 0 ||
        parse_options(argc, argv, ret_options, &seen, err) < 0)
        return -1;
    if (ret_options->verb == NX_VERB_HELP || ret_options->verb == NX_VERB_VERSION)
        return 0;
    if (parse_words(argc - optind, argv + optind, ret_options, err) < 0)
        return -1;
    return check_fitting(ret_options, seen, err);
}

void nx_options_release(struct nx_options *options)
{
    free(options->cache_dir);
    options->cache_dir = NULL;
    nx_web_release(&options->web);
}
