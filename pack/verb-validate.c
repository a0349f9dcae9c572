/* SPDX-License-Identifier: MIT */
/* Can this domain be packed, and if not, why?  Everything that is wrong, not only the first. */
#include "pack/verbs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "pack/author.h"
#include "pack/byname.h"
#include "pack/cli.h"
#include "pack/findings.h"
#include "pack/suspended.h"

enum { OPT_JSON = 256 };

static const struct option long_options[] = {
    { "json", no_argument, NULL, OPT_JSON },
    { "connect", required_argument, NULL, 'c' },
    NX_CLI_LONG,
};

static void print_notes(const char *path, const json_t *notes, const char *prefix)
{
    size_t i;
    json_t *note;
    json_array_foreach(notes, i, note)
    {
        const char *remedy = json_string_value(json_object_get(note, "remedy"));
        int line = (int)json_integer_value(json_object_get(note, "line"));
        printf("%s:", path);
        if (line)
            printf("%d:", line);
        printf(" %s%s%s%s\n", prefix, json_string_value(json_object_get(note, "message")),
               remedy && *remedy ? ": " : "", remedy ? remedy : "");
    }
}

static void print_text(const struct nx_findings *f, const char *path, bool runs)
{
    print_notes(path, f->problems, "");
    if (nx_log_level() >= NX_LOG_INFO)
        print_notes(path, f->changes, "note: ");
    size_t n = json_array_size(f->problems), images = json_array_size(f->images);
    if (n)
        printf("%s: cannot be packed: %zu problem%s\n", path, n, n == 1 ? "" : "s");
    else if (runs)
        printf("%s: can be packed, with --suspend\n", path);
    else
        printf("%s: can be packed, with %zu image%s\n", path, images, images == 1 ? "" : "s");
}

static int print_json(const struct nx_findings *f, const char *path, struct nx_error *err)
{
    return nx_json_print(json_pack("{s:o, s:b, s:O, s:O, s:O}", "file", nx_json_text(path),
                                   "packageable", json_array_size(f->problems) == 0, "problems",
                                   f->problems, "changes", f->changes, "images", f->images),
                         err);
}

/* The managed save of a domain that can be packed: it is what packing takes.  *ret_path (to be freed) is NULL without. */
static int find_managed(const char *path, char **ret_path, struct nx_error *err)
{
    NX_AUTO_AUTHOR struct nx_author author = { 0 };
    struct nx_error ignored = NX_ERROR_INIT; /* examine() meets it again */
    *ret_path = NULL;
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) /* a pipe can be read but once */
        return 0;
    if (nx_suspended_is_save(path) || nx_author_read(&author, path, &ignored) < 0)
        return 0;
    if (nx_suspended_find(path, author.machine->name, ret_path, err) < 0)
        return -1;
    if (*ret_path)
        nx_log(NX_LOG_NOTICE, "%s: has a managed save, which is looked at instead", path);
    return 0;
}

static int tell(const struct nx_findings *findings, const char *path, bool runs, bool json,
                struct nx_error *err)
{
    if (json && print_json(findings, path, err) < 0)
        return -1;
    if (!json)
        print_text(findings, path, runs);
    return nx_flush_stdout(err);
}

static int validate_file(const char *given, bool json, bool *ret_good, struct nx_error *err)
{
    NX_AUTO_FREE char *managed = NULL;
    NX_AUTO_FINDINGS struct nx_findings findings = { 0 };
    if (find_managed(given, &managed, err) < 0)
        return -1;
    const char *path = managed ? managed : given;
    if (nx_findings_of(path, NULL, &findings, err) < 0)
        return -1;
    *ret_good = json_array_size(findings.problems) == 0;
    return tell(&findings, path, false, json, err);
}

static int validate_domain(const char *uri, const char *name, bool json, bool *ret_good,
                           struct nx_error *err)
{
    NX_AUTO_VIRT struct nx_virt *virt = NULL;
    NX_AUTO_VIRT_DOMAIN struct nx_virt_domain *domain = NULL;
    NX_AUTO_FINDINGS struct nx_findings findings = { 0 };
    enum nx_virt_state state;
    if (nx_virt_open(uri, &virt, err) < 0 || nx_virt_find(virt, name, &domain, err) < 0 ||
        nx_byname_examine(virt, domain, &state, &findings, err) < 0)
        return -1;
    *ret_good = json_array_size(findings.problems) == 0;
    return tell(&findings, name, nx_virt_is_active(state), json, err);
}

int nx_verb_validate(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    bool json = false, good = false;
    const char *uri = NULL;
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
    if (nx_cli_count(argc, 1, 1, uri ? "NAME" : "DOMAIN.XML", &err) < 0)
        return nx_cli_fail(&err);
    const char *what = argv[optind];
    if ((uri ? validate_domain(uri, what, json, &good, &err)
             : validate_file(what, json, &good, &err)) < 0)
        return nx_cli_fail(&err);
    return good ? 0 : 1;
}
