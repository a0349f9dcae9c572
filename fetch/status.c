/* SPDX-License-Identifier: MIT */
#include "fetch/status.h"

#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "fetch/mapmessage.h"
#include "fetch/statsfile.h"

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* part of whole; null if there is no whole. */
static json_t *share(double part, double whole)
{
    return whole > 0 ? json_real(part < whole ? part / whole : 1) : json_null();
}

/* ---- of an image ---- */

/* Bytes of an image, sums of which are those of the machine. */
struct sums {
    double here, stored; /* bytes; an estimate where a unit is several chunks */
    uint64_t hits, uses; /* units */
    bool surveyed;
};

/* Of an image whose units are chunks the manifest says how many there are. */
static double stored_units(const struct nx_map_image *map, const struct nx_image *image)
{
    uint64_t units = 0;
    for (unsigned i = NX_CHUNK_ABSENT; i < NX_CHUNK_STATES; i++)
        units += map->counts[i];
    return map->unit == 1 || image->chunks < units ? (double)image->chunks : (double)units;
}

static struct sums sum_up(const struct nx_map_image *map, const struct nx_image *image)
{
    struct sums sums = { 0 };
    uint64_t here = 0, all = 0;
    for (unsigned i = 0; i < NX_CHUNK_STATES; i++) {
        all += map->counts[i];
        here += i > NX_CHUNK_ABSENT ? map->counts[i] : 0;
    }
    double bytes = (double)map->unit * image->chunk_size;
    sums.stored = stored_units(map, image) * bytes;
    sums.here = (double)here * bytes < sums.stored ? (double)here * bytes : sums.stored;
    sums.hits = map->counts[NX_CHUNK_READ];
    sums.uses = sums.hits + map->counts[NX_CHUNK_AWAITED];
    sums.surveyed = map->looked >= all;
    return sums;
}

static void set_sums(json_t *object, const struct sums *sums)
{
    json_object_set_new(object, "here", share(sums->here, sums->stored));
    json_object_set_new(object, "hit_rate", share((double)sums->hits, (double)sums->uses));
    json_object_set_new(object, "surveyed", json_boolean(sums->surveyed));
}

static json_t *run_json(const struct nx_map_run *run)
{
    json_t *array = json_array();
    json_array_append_new(array, number(run->length));
    for (unsigned i = NX_CHUNK_ABSENT; run->share[NX_CHUNK_EMPTY] != 255 && i < NX_CHUNK_STATES;
         i++)
        json_array_append_new(array, number(run->share[i]));
    return array;
}

/* Takes the runs out of r, wanted or not. */
static json_t *map_json(struct nx_reader *r, const struct nx_map_image *map)
{
    json_t *units = json_object(), *runs = json_array();
    struct nx_map_run run;
    for (unsigned left = map->cells; left > 0 && nx_map_read_run(r, left, &run) == 0;
         left -= run.length)
        json_array_append_new(runs, run_json(&run));
    for (unsigned i = 0; i < NX_CHUNK_STATES; i++)
        json_object_set_new(units, nx_chunk_state_name(i), number(map->counts[i]));
    return json_pack("{s:o, s:o, s:o, s:o}", "unit", number(map->unit), "units", units, "cells",
                     number(map->cells), "runs", runs);
}

/* What the map says, into the objects of the images that the statistics have. */
static void add_map(json_t *all, const struct nx_manifest *manifest,
                    const struct nx_buffer *payload, bool cells)
{
    struct nx_reader r = nx_reader(payload->data, payload->len);
    json_t *images = json_object_get(all, "images");
    struct sums total = { .surveyed = true };
    unsigned n = 0;
    if (nx_map_read_header(&r, &n) < 0 || n == 0 || n != manifest->n_images) {
        struct sums nothing = { 0 };
        set_sums(all, &nothing);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct nx_image *image = &manifest->images[i];
        json_t *object = json_object_get(images, image->name);
        struct nx_map_image map;
        if (nx_map_read_image(&r, &map) < 0)
            return;
        json_t *drawn = map_json(&r, &map);
        struct sums sums = sum_up(&map, image);
        set_sums(object, &sums);
        if (cells)
            json_object_set(object, "map", drawn);
        json_decref(drawn);
        total.here += sums.here;
        total.stored += sums.stored;
        total.hits += sums.hits;
        total.uses += sums.uses;
        total.surveyed &= sums.surveyed;
    }
    set_sums(all, &total);
}

/* ---- of the machine ---- */

static const char *state_of(const struct nx_session *session)
{
    bool is_early = strcmp(session->state, "connecting") == 0;
    if (session->waits && strcmp(session->state, "ended") != 0)
        return "waiting";
    if (is_early && session->head)
        return session->use == NX_USE_PULL ? "fetching" : "starting";
    return session->state;
}

static const char *verb_of(const struct nx_session *session)
{
    return session->use == NX_USE_PULL ? "pull" : session->options->mount_dir ? "mount" : "run";
}

static json_t *text_or_null(const char *text)
{
    json_t *string = text ? json_string(text) : NULL;
    return string ? string : json_null();
}

static void add_session(json_t *all, const struct nx_session *session)
{
    const struct nx_manifest *manifest = session->head ? session->head->manifest : NULL;
    char started[NX_UTC_SIZE], location[512];
    int64_t now = nx_now_ms();
    json_object_set_new(all, "pid", number((uint64_t)getpid()));
    json_object_set_new(all, "verb", json_string(verb_of(session)));
    json_object_set_new(all, "name", text_or_null(manifest ? manifest->name : NULL));
    json_object_set_new(all, "description", text_or_null(manifest ? manifest->description : NULL));
    json_object_set_new(all, "location",
                        text_or_null(nx_location_typed(session->options->location, location)));
    json_object_set_new(all, "state", json_string(state_of(session)));
    json_object_set_new(all, "started", json_string(nx_utc(session->started_at, started)));
    json_object_set_new(all, "seconds", json_real((double)(now - session->started_ms) / 1000));
    json_object_set_new(all, "rate", json_real(nx_rate_get(&session->rate, now)));
}

static void add_images(json_t *all, const struct nx_manifest *manifest)
{
    json_t *images = json_object_get(all, "images");
    for (unsigned i = 0; i < manifest->n_images; i++) {
        json_t *object = json_object_get(images, manifest->images[i].name);
        json_object_set_new(object, "role",
                            json_string(nx_image_role_name(manifest->images[i].role)));
        json_object_set_new(object, "chunk_size", number(manifest->images[i].chunk_size));
        json_object_set_new(object, "chunks", number(manifest->images[i].chunks));
    }
}

json_t *nx_status_json(const struct nx_session *session, const struct nx_buffer *map, bool cells)
{
    const struct nx_manifest *manifest = session->head ? session->head->manifest : NULL;
    const struct nx_location *location = session->location;
    char name[512];
    json_t *all = nx_stats_json(location ? nx_location_name(location, name)
                                         : nx_location_typed(session->options->location, name),
                                session->state, session->resumed, &session->stats, manifest);
    if (!all)
        return NULL;
    add_session(all, session);
    if (manifest)
        add_images(all, manifest);
    if (manifest && map)
        add_map(all, manifest, map, cells);
    return all;
}
