/* SPDX-License-Identifier: MIT */
/* Can this domain be packed, and if not, why?  Everything that is wrong, not only the first. */
#include "pack/verbs.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/log.h"
#include "pack/author.h"
#include "pack/cli.h"
#include "pack/suspended.h"

enum { OPT_JSON = 256 };

static const struct option long_options[] = {
    { "json", no_argument, NULL, OPT_JSON },
    NX_CLI_LONG,
};

/* What was found, as it is printed for programs. */
struct findings {
    json_t *problems; /* {"line": 12, "message": "…", "remedy": "…"} */
    json_t *changes;  /* {"line": 12, "message": "…"} */
    json_t *images;   /* {"name": "disk0", "file": "/…", "format": "raw", "size": 1} */
};

/* A message may have a path in it that is not UTF-8, which JSON must be. */
static json_t *json_text(const char *text)
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

static void note_problem(struct findings *f, int line, const char *message, const char *remedy)
{
    json_array_append_new(f->problems, json_pack("{s:i, s:o, s:o}", "line", line, "message",
                                                 json_text(message), "remedy", json_text(remedy)));
}

/* A message of ours opens with "FILE:LINE: ", which goes into fields of its own. */
static const char *without_place(const char *message, const char *path, int *ret_line)
{
    size_t len = strlen(path);
    char *end;
    *ret_line = 0;
    if (strncmp(message, path, len) != 0 || message[len] != ':')
        return message;
    long line = strtol(message + len + 1, &end, 10);
    if (end == message + len + 1 || strncmp(end, ": ", 2) != 0)
        return strncmp(message + len, ": ", 2) == 0 ? message + len + 2 : message;
    *ret_line = (int)line;
    return end + 2;
}

static void note_failure(struct findings *f, const char *path, const struct nx_error *err)
{
    int line;
    const char *message = without_place(err->msg, path, &line);
    note_problem(f, line, message, "");
}

static void take_notes(struct findings *f, const struct nx_domain *domain)
{
    for (size_t i = 0; i < domain->n_notes; i++) {
        const struct nx_domain_note *note = &domain->notes[i];
        if (note->verdict == NX_DOMAIN_REFUSED)
            note_problem(f, note->line, note->message, note->remedy);
        else
            json_array_append_new(f->changes, json_pack("{s:i, s:o}", "line", note->line, "message",
                                                        json_text(note->message)));
    }
}

/* save: which it must not be newer than; or NULL */
static int take_image(struct findings *f, const struct nx_domain_disk *disk, const char *path,
                      const struct nx_suspended *save)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_original *original = calloc(1, sizeof *original);
    if (!original)
        return -1;
    if (nx_original_open(original, disk, path, &err) < 0 ||
        (save && nx_suspended_check_disk(save, original, &err) < 0))
        note_failure(f, path, &err);
    else
        json_array_append_new(f->images,
                              json_pack("{s:s, s:o, s:s, s:I}", "name", disk->image, "file",
                                        json_text(original->path), "format", original->format,
                                        "size", (json_int_t)original->size));
    nx_original_release(original);
    free(original);
    return 0;
}

/* If path is a save file, whether its state can travel; *ret_save is NULL if it is none. */
static int take_save(struct findings *f, const char *path, const struct nx_author *author,
                     struct nx_suspended **ret_save, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    *ret_save = NULL;
    if (!nx_suspended_is_save(path) || !author->machine)
        return 0;
    if (nx_suspended_open(path, ret_save, err) < 0)
        return -1;
    if (nx_suspended_check_machine(*ret_save, author->machine, &why) < 0)
        note_failure(f, path, &why);
    return 0;
}

/* Only a file that cannot be read is an error; what is wrong in it becomes findings. */
static int examine(struct findings *f, const char *path, struct nx_error *err)
{
    NX_AUTO_AUTHOR struct nx_author author = { 0 };
    NX_AUTO_SUSPENDED struct nx_suspended *save = NULL;
    bool reduced = nx_author_read(&author, path, err) == 0;
    if (!reduced && err->code != NX_ERR_FORMAT)
        return -1;
    take_notes(f, &author.domain);
    if (!reduced && json_array_size(f->problems) == 0)
        note_failure(f, path, err);
    if (take_save(f, path, &author, &save, err) < 0)
        return -1;
    const struct nx_domain_disk *disk;
    for (unsigned i = 0; (disk = nx_author_disk(&author, i)); i++)
        if (take_image(f, disk, path, save) < 0)
            return nx_fail_errno(err, "%s", path);
    return 0;
}

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

static void print_text(const struct findings *f, const char *path)
{
    print_notes(path, f->problems, "");
    if (nx_log_level() >= NX_LOG_INFO)
        print_notes(path, f->changes, "note: ");
    size_t n = json_array_size(f->problems), images = json_array_size(f->images);
    if (n)
        printf("%s: cannot be packed: %zu problem%s\n", path, n, n == 1 ? "" : "s");
    else
        printf("%s: can be packed, with %zu image%s\n", path, images, images == 1 ? "" : "s");
}

static int print_json(const struct findings *f, const char *path, struct nx_error *err)
{
    json_t *root = json_pack("{s:o, s:b, s:O, s:O, s:O}", "file", json_text(path), "packageable",
                             json_array_size(f->problems) == 0, "problems", f->problems, "changes",
                             f->changes, "images", f->images);
    int ret = root ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;
    json_decref(root);
    if (ret < 0)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: cannot be said in JSON", path);
    printf("\n");
    return 0;
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

static int validate(const char *given, bool json, bool *ret_good, struct nx_error *err)
{
    NX_AUTO_FREE char *managed = NULL;
    if (find_managed(given, &managed, err) < 0)
        return -1;
    const char *path = managed ? managed : given;
    struct findings f = { json_array(), json_array(), json_array() };
    int ret = examine(&f, path, err);
    if (ret == 0 && json)
        ret = print_json(&f, path, err);
    else if (ret == 0)
        print_text(&f, path);
    *ret_good = json_array_size(f.problems) == 0;
    json_decref(f.problems);
    json_decref(f.changes);
    json_decref(f.images);
    return ret < 0 ? -1 : nx_flush_stdout(err);
}

int nx_verb_validate(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    bool json = false, good = false;
    int status;
    for (int c; (c = getopt_long(argc, argv, NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == OPT_JSON)
            json = true;
        else if (nx_cli_option(c, &status))
            return status;
    }
    if (nx_cli_count(argc, 1, 1, "DOMAIN.XML", &err) < 0 ||
        validate(argv[optind], json, &good, &err) < 0)
        return nx_cli_fail(&err);
    return good ? 0 : 1;
}
