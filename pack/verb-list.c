/* SPDX-License-Identifier: MIT */
/* libvirt's domains, and which of them can be packed. */
#include "pack/verbs.h"

#include <stdio.h>
#include <string.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/plain.h"
#include "pack/byname.h"
#include "pack/cli.h"
#include "pack/virt.h"

enum { OPT_JSON = 256 };

static const struct option long_options[] = {
    { "connect", required_argument, NULL, 'c' },
    { "json", no_argument, NULL, OPT_JSON },
    NX_CLI_LONG,
};

/* {"name": "debian", "uuid": "…", "state": "running", "packageable": true, "suspend": true, "problems": […]} */
static int describe(const struct nx_virt *virt, const struct nx_virt_domain *domain, json_t *list,
                    struct nx_error *err)
{
    NX_AUTO_FINDINGS struct nx_findings findings = { 0 };
    struct nx_error why = NX_ERROR_INIT;
    enum nx_virt_state state = NX_VIRT_OTHER;
    /* What cannot be looked at, such as a save that only root may read, is no reason to say nothing of the others. */
    int ret = nx_byname_examine(virt, domain, &state, &findings, &why);
    if (!findings.problems)
        findings.problems = json_array();
    if (ret < 0)
        nx_findings_add(&findings, why.msg);
    bool good = json_array_size(findings.problems) == 0;
    json_t *entry =
        json_pack("{s:o, s:s, s:s, s:b, s:b, s:O}", "name", nx_json_text(nx_virt_name(domain)),
                  "uuid", nx_virt_uuid(domain), "state", nx_virt_state_name(state), "packageable",
                  good, "suspend", nx_virt_is_active(state), "problems", findings.problems);
    return json_array_append_new(list, entry) < 0
               ? nx_fail(err, NX_ERR_SYSTEM, "%s: no memory", nx_virt_name(domain))
               : 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* "yes", "yes, with --suspend" or "no: why"; to be freed. */
static char *verdict(const json_t *entry)
{
    const json_t *problems = json_object_get(entry, "problems");
    const json_t *first = json_array_get(problems, 0);
    const char *remedy = text_of(first, "remedy");
    size_t n = json_array_size(problems);
    char *text, more[64] = "";
    if (n == 0)
        return strdup(json_is_true(json_object_get(entry, "suspend")) ? "yes, with --suspend"
                                                                      : "yes");
    if (n > 1)
        snprintf(more, sizeof more, " (and %zu more)", n - 1);
    if (asprintf(&text, "no: %s%s%s%s", text_of(first, "message"), *remedy ? ": " : "", remedy,
                 more) < 0)
        return NULL;
    return nx_plain(text);
}

static int print_text(const json_t *list, struct nx_error *err)
{
    size_t i;
    int width = (int)strlen("NAME");
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        int len = (int)strlen(text_of(entry, "name"));
        width = len > width ? len : width;
    }
    if (json_array_size(list) > 0)
        printf("%-*s  %-9s  %s\n", width, "NAME", "STATE", "CAN BE PACKED");
    json_array_foreach(list, i, entry)
    {
        NX_AUTO_FREE char *name = strdup(text_of(entry, "name"));
        NX_AUTO_FREE char *can = verdict(entry);
        if (!name || !can)
            return nx_fail_errno(err, "list");
        printf("%-*s  %-9s  %s\n", width, nx_plain(name), text_of(entry, "state"), can);
    }
    return 0;
}

static int list_domains(const char *uri, bool json, struct nx_error *err)
{
    NX_AUTO_VIRT struct nx_virt *virt = NULL;
    struct nx_virt_domain **domains;
    size_t n;
    if (nx_virt_open(uri, &virt, err) < 0 || nx_virt_all(virt, &domains, &n, err) < 0)
        return -1;
    json_t *list = json_array();
    int ret = 0;
    for (size_t i = 0; i < n && ret == 0; i++) {
        ret = nx_check_interrupt(err);
        if (ret == 0)
            ret = describe(virt, domains[i], list, err);
    }
    nx_virt_free_all(domains, n);
    if (ret == 0)
        ret = json ? nx_json_print(json_incref(list), err) : print_text(list, err);
    json_decref(list);
    return ret < 0 ? -1 : nx_flush_stdout(err);
}

int nx_verb_list(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    const char *uri = NULL;
    bool json = false;
    int status;
    for (int c; (c = getopt_long(argc, argv, "c:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == OPT_JSON) {
            json = true;
            nx_json_want();
        } else if (c == 'c')
            uri = optarg;
        else if (nx_cli_option(c, &status))
            return status;
    }
    if (nx_cli_count(argc, 0, 0, "no operand", &err) < 0 || list_domains(uri, json, &err) < 0)
        return nx_cli_fail(&err);
    return 0;
}
