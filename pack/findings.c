/* SPDX-License-Identifier: MIT */
#include "pack/findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "pack/author.h"
#include "pack/suspended.h"

static json_t *problem(int line, const char *message, const char *remedy)
{
    return json_pack("{s:i, s:o, s:o}", "line", line, "message", nx_json_text(message), "remedy",
                     nx_json_text(remedy));
}

static void note_problem(struct nx_findings *f, int line, const char *message, const char *remedy)
{
    json_array_append_new(f->problems, problem(line, message, remedy));
}

void nx_findings_add(struct nx_findings *findings, const char *message)
{
    json_array_insert_new(findings->problems, 0, problem(0, message, ""));
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

static void note_failure(struct nx_findings *f, const char *path, const struct nx_error *err)
{
    int line;
    const char *message = without_place(err->msg, path, &line);
    note_problem(f, line, message, "");
}

static void take_notes(struct nx_findings *f, const struct nx_domain *domain)
{
    for (size_t i = 0; i < domain->n_notes; i++) {
        const struct nx_domain_note *note = &domain->notes[i];
        if (note->verdict == NX_DOMAIN_REFUSED)
            note_problem(f, note->line, note->message, note->remedy);
        else
            json_array_append_new(f->changes, json_pack("{s:i, s:o}", "line", note->line, "message",
                                                        nx_json_text(note->message)));
    }
}

/* in_use: by a machine that runs; save: which it must not be newer than; or NULL */
static int take_image(struct nx_findings *f, const struct nx_domain_disk *disk, const char *path,
                      bool in_use, const struct nx_suspended *save)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_original *original = calloc(1, sizeof *original);
    if (!original)
        return -1;
    if (nx_original_open(original, disk, path, in_use, &err) < 0 ||
        (save && nx_suspended_check_disk(save, original, &err) < 0))
        note_failure(f, path, &err);
    else
        json_array_append_new(f->images,
                              json_pack("{s:s, s:o, s:s, s:I}", "name", disk->image, "file",
                                        nx_json_text(original->path), "format", original->format,
                                        "size", (json_int_t)original->size));
    nx_original_release(original);
    free(original);
    return 0;
}

static int take_images(struct nx_findings *f, const struct nx_author *author, const char *path,
                       bool in_use, const struct nx_suspended *save, struct nx_error *err)
{
    const struct nx_domain_disk *disk;
    for (unsigned i = 0; (disk = nx_author_disk(author, i)); i++)
        if (take_image(f, disk, path, in_use, save) < 0)
            return nx_fail_errno(err, "%s", path);
    return 0;
}

/* If path is a save file, whether its state can travel; *ret_save is NULL if it is none. */
static int take_save(struct nx_findings *f, const char *path, const struct nx_author *author,
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

/* Its hardware; whatever is wrong with it is found. */
static int take_author(struct nx_findings *f, const char *path, const struct nx_buffer *xml,
                       struct nx_author *author, struct nx_error *err)
{
    int ret = xml ? nx_author_parse(author, xml->data, xml->len, path, err)
                  : nx_author_read(author, path, err);
    if (ret < 0 && err->code != NX_ERR_FORMAT)
        return -1;
    take_notes(f, &author->domain);
    if (ret < 0 && json_array_size(f->problems) == 0)
        note_failure(f, path, err);
    return 0;
}

static void begin(struct nx_findings *f)
{
    *f = (struct nx_findings){ json_array(), json_array(), json_array() };
}

int nx_findings_of(const char *path, const struct nx_buffer *xml, struct nx_findings *ret_findings,
                   struct nx_error *err)
{
    NX_AUTO_AUTHOR struct nx_author author = { 0 };
    NX_AUTO_SUSPENDED struct nx_suspended *save = NULL;
    begin(ret_findings);
    if (take_author(ret_findings, path, xml, &author, err) < 0)
        return -1;
    if (!xml && take_save(ret_findings, path, &author, &save, err) < 0)
        return -1;
    return take_images(ret_findings, &author, path, false, save, err);
}

int nx_findings_of_running(const char *name, const struct nx_buffer *xml,
                           struct nx_findings *ret_findings, struct nx_error *err)
{
    NX_AUTO_AUTHOR struct nx_author author = { 0 };
    struct nx_error why = NX_ERROR_INIT;
    begin(ret_findings);
    if (take_author(ret_findings, name, xml, &author, err) < 0)
        return -1;
    if (author.machine && nx_suspended_check_xml(xml, name, author.machine, &why) < 0)
        note_failure(ret_findings, name, &why);
    return take_images(ret_findings, &author, name, true, NULL, err);
}

void nx_findings_release(struct nx_findings *findings)
{
    json_decref(findings->problems);
    json_decref(findings->changes);
    json_decref(findings->images);
    *findings = (struct nx_findings){ 0 };
}
