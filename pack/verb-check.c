/* SPDX-License-Identifier: MIT */
/* nxref's verb: what a web server does wrong for us, and what mends it. */
#include "pack/verbs.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/http.h"
#include "common/io.h"
#include "common/json.h"
#include "common/progress.h"
#include "pack/cli.h"
#include "pack/webcheck.h"

#define TIMEOUT_MAX 600 /* seconds */

enum {
    OPT_JSON = 256,
    OPT_ADDRESS,
    OPT_TIMEOUT,
};

static const struct option long_options[] = {
    { "json", no_argument, NULL, OPT_JSON },
    { "address", required_argument, NULL, OPT_ADDRESS },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    NX_CLI_LONG,
};
#define N_OPTIONS (sizeof long_options / sizeof *long_options)

/* ---- for people ---- */

static void print_lines(const char *lines)
{
    while (*lines) {
        size_t len = strcspn(lines, "\n");
        printf("        %.*s\n", (int)len, lines);
        lines += len + (lines[len] == '\n');
    }
}

static void print_finding(const struct nx_webcheck *check, enum nx_trouble trouble)
{
    struct nx_remedy remedy = nx_webcheck_remedy(check, trouble);
    printf("\n%s: %s\n", nx_severity_name(nx_trouble_severity(trouble)), check->found[trouble]);
    printf("    %s\n    %s\n", nx_trouble_cost(trouble), remedy.words);
    if (remedy.lines)
        print_lines(remedy.lines);
}

static void print_facts(const struct nx_webcheck *check)
{
    char size[32];
    printf("%s\n", check->url);
    if (check->redirects > 0)
        printf("is at %s\n", check->final_url);
    printf("%s", check->server[0] ? check->server : "a server that does not say what it is");
    if (check->answered)
        printf(", %s", check->http2 ? "HTTP/2" : "HTTP/1");
    if (check->have_package)
        printf(", %s", nx_human_bytes(check->size, size));
    if (check->first_byte_us)
        printf(", first byte after %.1f ms, way there and back %.1f ms",
               check->first_byte_us / 1000.0, check->round_trip_us / 1000.0);
    printf("\n");
}

/* "(1 error, 2 notes)" */
static void print_counts(const struct nx_webcheck *check)
{
    const char *before = " (";
    for (int severity = NX_SEVERITY_ERROR; severity <= NX_SEVERITY_NOTE; severity++) {
        unsigned n = nx_webcheck_count(check, (enum nx_severity)severity);
        if (n == 0)
            continue;
        printf("%s%u %s%s", before, n, nx_severity_name((enum nx_severity)severity),
               n == 1 ? "" : "s");
        before = ", ";
    }
    printf("%s\n", before[0] == ',' ? ")" : "");
}

/* Is there anything that the configuration of ours mends? */
static bool wants_config(const struct nx_webcheck *check)
{
    for (int t = 0; t < NX_TROUBLES; t++)
        if (check->found[t][0] && nx_trouble_is_of_config((enum nx_trouble)t))
            return true;
    return false;
}

static void print_text(const struct nx_webcheck *check)
{
    unsigned errors = nx_webcheck_count(check, NX_SEVERITY_ERROR);
    unsigned warnings = nx_webcheck_count(check, NX_SEVERITY_WARNING);
    print_facts(check);
    for (int t = 0; t < NX_TROUBLES; t++)
        if (check->found[t][0])
            print_finding(check, (enum nx_trouble)t);
    printf("\n%s", errors     ? "nxfetch does not work from here"
                   : warnings ? "nxfetch works from here, but not as well as it could"
                              : "nxfetch works well from here");
    print_counts(check);
    if (wants_config(check) && nx_webserver_has_config(check->webserver))
        printf("What packages need of %s, ready to include: nxserve config %s\n",
               nx_webserver_name(check->webserver), nx_webserver_id(check->webserver));
}

/* ---- for programs: nxref(1), "JSON" ---- */

static json_t *finding_json(const struct nx_webcheck *check, enum nx_trouble trouble)
{
    struct nx_remedy remedy = nx_webcheck_remedy(check, trouble);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "id", nx_trouble_id(trouble), "severity",
                     nx_severity_name(nx_trouble_severity(trouble)), "what", check->found[trouble],
                     "cost", nx_trouble_cost(trouble), "remedy", remedy.words, "lines",
                     remedy.lines);
}

static json_t *findings_json(const struct nx_webcheck *check)
{
    json_t *findings = json_array();
    for (int t = 0; t < NX_TROUBLES; t++)
        if (check->found[t][0] &&
            json_array_append_new(findings, finding_json(check, (enum nx_trouble)t)) < 0) {
            json_decref(findings);
            return NULL;
        }
    return findings;
}

static json_t *milliseconds_json(unsigned us)
{
    return us ? json_real(us / 1000.0) : json_null();
}

static json_t *check_json(const struct nx_webcheck *check)
{
    return json_pack(
        "{s:s, s:s?, s:s?, s:s, s:s?, s:o, s:i, s:i, s:o, s:o, s:i, s:i, s:i, s:o}", "url",
        check->url, "final-url", check->final_url[0] ? check->final_url : NULL, "server",
        check->server[0] ? check->server : NULL, "server-kind", nx_webserver_id(check->webserver),
        "http",
        !check->answered ? NULL
        : check->http2   ? "2"
                         : "1",
        "size", check->have_package ? json_integer((json_int_t)check->size) : json_null(),
        "redirects", (int)check->redirects, "requests", (int)check->questions, "first-byte-ms",
        milliseconds_json(check->first_byte_us), "round-trip-ms",
        milliseconds_json(check->round_trip_us), "errors",
        (int)nx_webcheck_count(check, NX_SEVERITY_ERROR), "warnings",
        (int)nx_webcheck_count(check, NX_SEVERITY_WARNING), "notes",
        (int)nx_webcheck_count(check, NX_SEVERITY_NOTE), "findings", findings_json(check));
}

/* ---- all together ---- */

static int add_address(struct nx_webcheck_options *options, const char *text, struct nx_error *err)
{
    uint8_t bytes[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1)
        return nx_fail(err, NX_ERR_USAGE, "--address %s: not an IPv4 or IPv6 address", text);
    if (options->n_addresses == NX_PROBER_ADDRESSES)
        return nx_fail(err, NX_ERR_USAGE, "--address %s: there are %d already", text,
                       NX_PROBER_ADDRESSES);
    options->addresses[options->n_addresses++] = text;
    return 0;
}

static int take_option(struct nx_webcheck_options *options, bool *json, int c, const char *text,
                       struct nx_error *err)
{
    uint64_t seconds;
    switch (c) {
    case OPT_JSON:
        *json = true;
        nx_json_want();
        return 0;
    case OPT_ADDRESS:
        return add_address(options, text, err);
    default:
        if (nx_cli_number("--timeout", text, 1, TIMEOUT_MAX, &seconds, err) < 0)
            return -1;
        options->timeout = (unsigned)seconds;
        return 0;
    }
}

/* *ret_good: nothing but notes was found. */
static int report(const char *url, const struct nx_webcheck_options *options, bool json,
                  bool *ret_good, struct nx_error *err)
{
    NX_AUTO_FREE struct nx_webcheck *check = malloc(sizeof *check);
    if (!check)
        return nx_fail_errno(err, "check");
    if (nx_webcheck_run(url, options, check, err) < 0)
        return -1;
    if (json && nx_json_print(check_json(check), err) < 0)
        return -1;
    if (!json)
        print_text(check);
    *ret_good = nx_webcheck_count(check, NX_SEVERITY_ERROR) == 0 &&
                nx_webcheck_count(check, NX_SEVERITY_WARNING) == 0;
    return nx_flush_stdout(err);
}

static int check_location(const char *location, struct nx_web_options *web,
                          struct nx_webcheck_options *options, bool json, bool *ret_good,
                          struct nx_error *err)
{
    NX_AUTO_FREE char *url = NULL;
    if (nx_http_normalize_url(location, &url, err) < 0 || nx_web_settle(web, url, true, err) < 0)
        return -1;
    options->http = web->http;
    return report(url, options, json, ret_good, err);
}

int nx_verb_check(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_webcheck_options options = { 0 };
    NX_AUTO_WEB struct nx_web_options web;
    bool json = false, good = false;
    int status;
    nx_web_init(&web);
    for (int c; (c = nx_cli_web_option(argc, argv, NX_WEB_SHORT NX_CLI_SHORT, long_options,
                                       N_OPTIONS, &web, &status)) != -1;) {
        if (c >= OPT_JSON && c <= OPT_TIMEOUT) {
            if (take_option(&options, &json, c, optarg, &err) < 0)
                return nx_cli_fail(&err);
        } else if (c == 0 || nx_cli_option(c, &status)) {
            return status;
        }
    }
    if (nx_cli_count(argc, 1, 1, "URL", &err) < 0 ||
        check_location(argv[optind], &web, &options, json, &good, &err) < 0)
        return nx_cli_fail(&err);
    return good ? 0 : 1;
}
