/* SPDX-License-Identifier: MIT */
/* Whether --json was given is set once by main, before there are threads. */
#include "common/json.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"

static bool wanted;

void nx_json_note(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        wanted |= strcmp(argv[i], "--json") == 0;
}

void nx_json_want(void)
{
    wanted = true;
}

bool nx_json_wanted(void)
{
    return wanted;
}

int nx_json_print(json_t *object, struct nx_error *err)
{
    if (!object)
        return nx_fail(err, NX_ERR_SYSTEM, "--json: no memory, or a text that is no UTF-8");
    /* Six digits are enough for seconds and rates, and 0.1 stays 0.1. */
    int ret = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(object);
    if (ret < 0)
        return nx_fail(err, NX_ERR_SYSTEM, "--json: no memory, or standard output takes nothing");
    putchar('\n');
    return nx_flush_stdout(err);
}

static const char *code_name(enum nx_errcode code)
{
    static const char *const names[] = {
        [NX_OK] = "ok",
        [NX_ERR_USAGE] = "usage",
        [NX_ERR_SYSTEM] = "system",
        [NX_ERR_FORMAT] = "format",
        [NX_ERR_TRUST] = "trust",
        [NX_ERR_NETWORK] = "network",
        [NX_ERR_SERVER] = "server",
        [NX_ERR_CANCELLED] = "cancelled",
    };
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "system";
}

void nx_json_print_failure(const struct nx_error *err)
{
    struct nx_error ignored = NX_ERROR_INIT;
    if (wanted)
        nx_json_print(json_pack("{s:{s:s, s:o}}", "error", "code", code_name(err->code), "message",
                                nx_json_text(err->msg)),
                      &ignored);
}

void nx_json_print_misuse(void)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_fail(&err, NX_ERR_USAGE, "a wrong option; standard error says which");
    nx_json_print_failure(&err);
}

json_t *nx_json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char ascii[sizeof((struct nx_error *)0)->msg];
    snprintf(ascii, sizeof ascii, "%s", text);
    for (char *p = ascii; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(ascii);
}
