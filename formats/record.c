/* SPDX-License-Identifier: MIT */
#include "formats/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

NX_DEFINE_AUTO(json_t *, json, json_decref)

void nx_record_free(struct nx_record *record)
{
    if (!record)
        return;
    free(record->touches);
    free(record);
}

int nx_record_new(const struct nx_manifest *manifest, struct nx_record **ret_record,
                  struct nx_error *err)
{
    struct nx_record *record = calloc(1, sizeof *record);
    if (!record)
        return nx_fail_errno(err, "record");
    record->n_images = manifest->n_images;
    for (unsigned i = 0; i < manifest->n_images; i++) {
        const struct nx_image *image = &manifest->images[i];
        memcpy(record->images[i].name, image->name, sizeof record->images[i].name);
        record->images[i].content = image->content;
        record->images[i].chunk_size = image->chunk_size;
    }
    *ret_record = record;
    return 0;
}

int nx_record_add(struct nx_record *record, const struct nx_touch *touch, struct nx_error *err)
{
    if (record->count >= NX_RECORD_TOUCHES_MAX)
        return 0;
    if (record->count == record->cap) {
        size_t cap = record->cap ? 2 * record->cap : 1024;
        struct nx_touch *touches = reallocarray(record->touches, cap, sizeof *touches);
        if (!touches)
            return nx_fail_errno(err, "record");
        record->touches = touches;
        record->cap = cap;
    }
    record->touches[record->count++] = *touch;
    return 0;
}

/* ---- writing ---- */

static int no_memory(struct nx_error *err)
{
    return nx_fail(err, NX_ERR_SYSTEM, "record: no memory");
}

static json_t *images_json(const struct nx_record *record)
{
    json_t *images = json_array();
    for (unsigned i = 0; i < record->n_images; i++) {
        char hex[NX_DIGEST_HEX];
        json_array_append_new(images,
                              json_pack("{s:s, s:s, s:I}", "name", record->images[i].name,
                                        "content", nx_digest_hex(&record->images[i].content, hex),
                                        "chunk-size", (json_int_t)record->images[i].chunk_size));
    }
    return images;
}

static json_t *touches_json(const struct nx_record *record)
{
    json_t *touched = json_array();
    for (size_t i = 0; i < record->count; i++) {
        const struct nx_touch *touch = &record->touches[i];
        json_array_append_new(touched,
                              json_pack("[I, I, I]", (json_int_t)touch->ms,
                                        (json_int_t)touch->image, (json_int_t)touch->number));
    }
    return touched;
}

static int add_text(const char *text, size_t len, void *opaque)
{
    return nx_buffer_add(opaque, text, len, NULL);
}

int nx_record_write(const struct nx_record *record, struct nx_buffer *buf, struct nx_error *err)
{
    NX_AUTO(json)
    json_t *root = json_pack("{s:i, s:o, s:o}", "nxpk-record", VERSION, "images",
                             images_json(record), "touched", touches_json(record));
    if (!root || json_array_size(json_object_get(root, "images")) != record->n_images ||
        json_array_size(json_object_get(root, "touched")) != record->count ||
        json_dump_callback(root, add_text, buf, JSON_COMPACT) < 0 ||
        nx_buffer_add(buf, "\n", 1, NULL) < 0)
        return no_memory(err);
    return 0;
}

/* ---- parsing ---- */

struct parse {
    const char *name;
    struct nx_record *record;
    struct nx_error *err;
};

static int wrong(const struct parse *p, const char *what)
{
    return nx_fail(p->err, NX_ERR_FORMAT, "%s: not a record of nxfetch: %s", p->name, what);
}

/* The object has these keys and no others. */
static bool has_just(const json_t *object, const char *const *keys, size_t count)
{
    bool all = json_is_object(object) && json_object_size(object) == count;
    for (size_t i = 0; all && i < count; i++)
        all = json_object_get(object, keys[i]) != NULL;
    return all;
}

static int parse_image(struct parse *p, const json_t *json, unsigned i)
{
    static const char *const keys[] = { "name", "content", "chunk-size" };
    if (!has_just(json, keys, 3))
        return wrong(p, "an image without exactly name, content and chunk-size");
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *content = json_string_value(json_object_get(json, "content"));
    json_int_t size = json_integer_value(json_object_get(json, "chunk-size"));
    if (!name || !*name || strlen(name) >= sizeof p->record->images[i].name)
        return wrong(p, "an image's name");
    if (!content || nx_digest_parse(content, &p->record->images[i].content, NULL) < 0)
        return wrong(p, "an image's content digest");
    if (size < NX_CHUNK_SIZE_MIN || size > NX_CHUNK_SIZE_MAX)
        return wrong(p, "an image's chunk-size");
    strcpy(p->record->images[i].name, name);
    p->record->images[i].chunk_size = (uint32_t)size;
    return 0;
}

static int parse_images(struct parse *p, const json_t *images)
{
    size_t count = json_array_size(images);
    if (!json_is_array(images) || count < 1 || count > NX_IMAGES_MAX)
        return wrong(p, "\"images\" is not a list of 1 to 64");
    for (size_t i = 0; i < count; i++)
        if (parse_image(p, json_array_get(images, i), (unsigned)i) < 0)
            return -1;
    p->record->n_images = (unsigned)count;
    return 0;
}

static int parse_touch(struct parse *p, const json_t *json)
{
    json_int_t values[3];
    if (!json_is_array(json) || json_array_size(json) != 3)
        return wrong(p, "a touch that is not three numbers");
    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_array_get(json, i);
        values[i] = json_integer_value(value);
        if (!json_is_integer(value) || values[i] < 0)
            return wrong(p, "a touch that is not three numbers");
    }
    if (values[0] > UINT32_MAX || values[1] >= p->record->n_images)
        return wrong(p, "a touch of an image that is not there");
    struct nx_touch touch = { (uint32_t)values[0], (uint32_t)values[1], (uint64_t)values[2] };
    return nx_record_add(p->record, &touch, p->err);
}

static int parse_root(struct parse *p, const json_t *root)
{
    static const char *const keys[] = { "nxpk-record", "images", "touched" };
    if (!has_just(root, keys, 3))
        return wrong(p, "not an object of nxpk-record, images and touched");
    if (json_integer_value(json_object_get(root, "nxpk-record")) != VERSION)
        return wrong(p, "its version is not 1");
    if (parse_images(p, json_object_get(root, "images")) < 0)
        return -1;
    const json_t *touched = json_object_get(root, "touched");
    if (!json_is_array(touched) || json_array_size(touched) > NX_RECORD_TOUCHES_MAX)
        return wrong(p, "\"touched\" is not a list, or too long a one");
    for (size_t i = 0; i < json_array_size(touched); i++)
        if (parse_touch(p, json_array_get(touched, i)) < 0)
            return -1;
    return 0;
}

int nx_record_parse(const void *json, size_t len, const char *name, struct nx_record **ret_record,
                    struct nx_error *err)
{
    json_error_t reason;
    if (len > NX_RECORD_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: not a record of nxfetch: larger than %d MiB", name,
                       NX_RECORD_MAX >> 20);
    NX_AUTO(json) json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &reason);
    if (!root)
        return nx_fail(err, NX_ERR_FORMAT, "%s: not a record of nxfetch: line %d: %s", name,
                       reason.line, reason.text);
    NX_AUTO_RECORD struct nx_record *record = calloc(1, sizeof *record);
    if (!record)
        return nx_fail_errno(err, "%s", name);
    struct parse p = { name, record, err };
    if (parse_root(&p, root) < 0)
        return -1;
    *ret_record = NX_STEAL(record);
    return 0;
}

/* ---- checking ---- */

static int not_of(const char *name, const char *what, struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT,
                   "%s: the record of another package: %s; record a run of this one with nxfetch "
                   "--record",
                   name, what);
}

int nx_record_check(const struct nx_record *record, const struct nx_manifest *manifest,
                    const char *name, struct nx_error *err)
{
    if (record->n_images != manifest->n_images)
        return not_of(name, "it has another number of images", err);
    for (unsigned i = 0; i < record->n_images; i++) {
        const struct nx_image *image = &manifest->images[i];
        if (strcmp(record->images[i].name, image->name) != 0)
            return not_of(name, "its images have other names", err);
        if (record->images[i].chunk_size != image->chunk_size ||
            !nx_digest_equal(&record->images[i].content, &image->content))
            return not_of(name, "its images have another content", err);
    }
    for (size_t i = 0; i < record->count; i++) {
        const struct nx_touch *touch = &record->touches[i];
        if (touch->number >= nx_image_chunk_count(&manifest->images[touch->image]))
            return nx_fail(err, NX_ERR_FORMAT, "%s: chunk %" PRIu64 " lies behind the end of %s",
                           name, touch->number, record->images[touch->image].name);
    }
    return 0;
}
