/* SPDX-License-Identifier: MIT */
/* The map of chunks: noted, written, read by somebody who believes nothing in it; and the picture that is drawn of it. */
#include "fetch/chunkmap.h"

#include <jansson.h>
#include <string.h>

#include "fetch/mapmessage.h"
#include "fetch/rate.h"
#include "fetch/statusview.h"
#include "tests/support/main.h"

#define KIB UINT64_C(1024)
#define TIB (UINT64_C(1) << 40)

static struct nx_manifest manifest;

static void add_image(const char *name, uint64_t size, uint32_t chunk_size)
{
    struct nx_image *image = &manifest.images[manifest.n_images++];
    *image = (struct nx_image){ .size = size, .chunk_size = chunk_size };
    strcpy(image->name, name);
    image->chunks = nx_image_chunk_count(image);
}

static void clear(void)
{
    memset(&manifest, 0, sizeof manifest);
}

static void write_map(const struct nx_chunkmap *map, unsigned cells, struct nx_buffer *payload)
{
    struct nx_error err = NX_ERROR_INIT;
    nx_assert_ok(nx_chunkmap_write(map, cells, payload, &err), err);
    nx_assert_ok(nx_map_check(payload, &err), err);
}

/* Each way that a chunk can go, and what it is then. */
static const struct way {
    unsigned marks;
    enum nx_chunk_state state;
} ways[] = {
    { 0, NX_CHUNK_ABSENT },
    { NX_MARK_LOOKED, NX_CHUNK_EMPTY },
    { NX_MARK_LOOKED | NX_MARK_STORED, NX_CHUNK_ABSENT },
    { NX_MARK_LOOKED | NX_MARK_STORED | NX_MARK_KEPT, NX_CHUNK_CACHED },
    { NX_MARK_FETCHED, NX_CHUNK_AHEAD },
    { NX_MARK_FETCHED | NX_MARK_KEPT | NX_MARK_STORED, NX_CHUNK_AHEAD },
    { NX_MARK_READ, NX_CHUNK_READ },
    { NX_MARK_READ | NX_MARK_FETCHED, NX_CHUNK_READ },
    { NX_MARK_READ | NX_MARK_FETCHED | NX_MARK_AWAITED, NX_CHUNK_AWAITED },
};
#define N_WAYS (sizeof ways / sizeof *ways)

START_TEST(test_states)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_CHUNKMAP struct nx_chunkmap *map = NULL;
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_MAP_MESSAGE_MAX);
    uint64_t wanted[NX_CHUNK_STATES] = { 0 };
    clear();
    add_image("disk0", N_WAYS * 64 * KIB, 64 * KIB);
    nx_assert_ok(nx_chunkmap_new(&manifest, &map, &err), err);
    for (unsigned i = 0; i < N_WAYS; i++) {
        nx_chunkmap_mark(map, 0, i, ways[i].marks);
        wanted[ways[i].state]++;
    }
    write_map(map, 100, &payload);
    struct nx_reader r = nx_reader(payload.data, payload.len);
    struct nx_map_image image;
    struct nx_map_run run;
    unsigned n, cell = 0;
    ck_assert_int_eq(nx_map_read_header(&r, &n), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(nx_map_read_image(&r, &image), 0);
    ck_assert_uint_eq(image.unit, 1);
    ck_assert_uint_eq(image.cells, N_WAYS);
    ck_assert_uint_eq(image.looked, 4 - 1);
    ck_assert_mem_eq(image.counts, wanted, sizeof wanted);
    while (cell < image.cells) {
        ck_assert_int_eq(nx_map_read_run(&r, image.cells - cell, &run), 0);
        for (unsigned i = 0; i < run.length; i++, cell++)
            ck_assert_uint_eq(run.share[ways[cell].state], 255);
    }
    ck_assert_uint_eq(nx_reader_left(&r), 0);
}
END_TEST

/* However large the images are, the table is not, and what is written fits. */
START_TEST(test_bounds)
{
    struct nx_error err = NX_ERROR_INIT;
    static const struct {
        unsigned images;
        uint64_t size;
        uint32_t chunk_size;
        uint64_t unit;
    } cases[] = {
        { 1, 64 * 1024 * KIB, 64 * KIB, 1 },
        { 1, TIB, 64 * KIB, 16 },
        { 1, 64 * TIB, 4096, 16384 },
        { 64, TIB, 64 * KIB, 1024 },
        { 64, 64 * KIB, 64 * KIB, 1 },
        { 2, TIB / 8, 64 * KIB, 4 },
        { 1, 1, 4096, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_CHUNKMAP struct nx_chunkmap *map = NULL;
        NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_MAP_MESSAGE_MAX);
        clear();
        for (unsigned n = 0; n < cases[i].images; n++)
            add_image("disk", cases[i].size, cases[i].chunk_size);
        nx_assert_ok(nx_chunkmap_new(&manifest, &map, &err), err);
        uint64_t units = 0;
        for (unsigned n = 0; n < cases[i].images; n++) {
            uint64_t chunks = nx_image_chunk_count(&manifest.images[n]);
            ck_assert_uint_eq(nx_chunkmap_unit(map, n), cases[i].unit);
            units += (chunks + cases[i].unit - 1) / cases[i].unit;
            /* No two cells are alike, as far as that can be. */
            for (uint64_t at = 0; at < chunks; at += chunks / 9000 + 1)
                nx_chunkmap_mark(map, n, at, NX_MARK_READ | (at % 2 ? NX_MARK_AWAITED : 0));
            nx_chunkmap_mark(map, n, chunks - 1, NX_MARK_READ);
        }
        ck_assert_uint_le(units, NX_CHUNKMAP_UNITS);
        write_map(map, 100000, &payload);
    }
}
END_TEST

START_TEST(test_cells)
{
    static const struct {
        unsigned wanted, images, cells;
    } cases[] = { { 100, 1, 100 },   { 0, 1, 1 },       { 5000, 1, 4096 }, { 4096, 4, 4096 },
                  { 4096, 5, 3276 }, { 4096, 64, 256 }, { 10, 64, 10 },    { 10, 0, 10 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq(nx_map_cells(cases[i].wanted, cases[i].images), cases[i].cells);
}
END_TEST

/* What an engine that was taken over might send. */
static const struct hostile {
    const char *what;
    size_t len;
    const char *bytes;
} hostiles[] = {
#define HOSTILE(what, bytes)           \
    {                                  \
        what, sizeof(bytes) - 1, bytes \
    }
#define COUNTS         \
    "\0\0\0\0\0\0\0\0" \
    "\0\0\0\0\0\0\0\0" \
    "\0\0\0\0\0\0\0\0" \
    "\0\0\0\0\0\0\0\0" \
    "\0\0\0\0\0\0\0\0" \
    "\0\0\0\0\0\0\0\0"
#define LOOKED "\0\0\0\0\0\0\0\0"
    HOSTILE("nothing", ""),
    HOSTILE("half a header", "\1\0"),
    HOSTILE("too many images", "\x41\0\0\0"),
    HOSTILE("an image that is not there", "\1\0\0\0"),
    HOSTILE("half an image", "\1\0\0\0"
                             "\0" COUNTS),
    HOSTILE("a unit of 2^35", "\1\0\0\0"
                              "\x23" COUNTS LOOKED "\0\0"),
    HOSTILE("more units than an image has bytes",
            "\1\0\0\0"
            "\0"
            "\377\377\377\377\377\377\377\377" COUNTS LOOKED "\0\0"),
    HOSTILE("too many cells", "\1\0\0\0"
                              "\0" COUNTS LOOKED "\1\x10"),
    HOSTILE("a run of nothing", "\1\0\0\0"
                                "\0" COUNTS LOOKED "\1\0"
                                "\0\0"
                                "\0\0\0\0\0"),
    HOSTILE("a run of too much", "\1\0\0\0"
                                 "\0" COUNTS LOOKED "\1\0"
                                 "\2\0"
                                 "\0\0\0\0\0"),
    HOSTILE("shares of more than all", "\1\0\0\0"
                                       "\0" COUNTS LOOKED "\1\0"
                                       "\1\0"
                                       "\200\200\0\0\0"),
    HOSTILE("half a run", "\1\0\0\0"
                          "\0" COUNTS LOOKED "\1\0"
                          "\1\0"
                          "\0\0"),
    HOSTILE("something behind", "\1\0\0\0"
                                "\0" COUNTS LOOKED "\1\0"
                                "\1\0"
                                "\0\0\0\0\0"
                                "x"),
};

START_TEST(test_hostile)
{
    for (size_t i = 0; i < sizeof hostiles / sizeof *hostiles; i++) {
        const struct hostile *h = &hostiles[i];
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_MAP_MESSAGE_MAX);
        nx_assert_ok(nx_buffer_add(&payload, h->bytes, h->len, &err), err);
        ck_assert_msg(nx_map_check(&payload, &err) < 0, "%s is taken for a map", h->what);
        ck_assert(strstr(err.msg, "a map that is none"));
    }
}
END_TEST

START_TEST(test_rate)
{
    struct nx_rate rate = { 0 };
    ck_assert(nx_rate_get(&rate, 0) == 0);
    nx_rate_note(&rate, 1000, 0);
    ck_assert(nx_rate_get(&rate, 1000) == 0);
    for (int64_t ms = 1050; ms <= 5000; ms += 50)
        nx_rate_note(&rate, ms, (uint64_t)(ms - 1000) * 100);
    double now = nx_rate_get(&rate, 5000);
    ck_assert_msg(now > 95000 && now < 115000, "%f", now);
    ck_assert(nx_rate_get(&rate, 5500) > 0);
    ck_assert(nx_rate_get(&rate, 7000) == 0); /* nothing has come since */
    /* After a long silence it is not taken for a slow line. */
    nx_rate_note(&rate, 60000, 400000);
    nx_rate_note(&rate, 60250, 500000);
    ck_assert(nx_rate_get(&rate, 60250) >= 50000);
    nx_rate_note(&rate, 60500, 10); /* the next engine counts from nothing */
    ck_assert(nx_rate_get(&rate, 60500) == 0);
}
END_TEST

/* ---- the picture ---- */

static const char status_text[] = "{\"name\":\"a\\u001b[2Jb\",\"url\":\"http://h/"
                                  "x.nxpk\",\"state\":\"running\",\"pid\":7,\"verb\":\"run\","
                                  "\"seconds\":3700,\"bytes\":2048,\"requests\":3,\"rate\":1024,"
                                  "\"here\":0.999,\"hit_rate\":null,\"waiting\":0,"
                                  "\"images\":{\"disk0\":{\"size\":655360,\"here\":1,\"hit_rate\":"
                                  "0.5,\"reads\":4,\"read_bytes\":4096,\"waited\":1.5,"
                                  "\"map\":{\"unit\":1,\"cells\":10,\"runs\":[[2],[2,255,0,0,0,0],["
                                  "2,0,255,0,0,0],[1,0,0,255,0,0],[1,0,0,0,255,0],"
                                  "[1,0,0,0,0,255],[1,200,0,0,55,0]]}}}}";

static void draw(const char *json, unsigned width, unsigned height, bool colour,
                 struct nx_buffer *out)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_view view = { .width = width, .height = height, .colour = colour };
    json_t *status = json_loads(json, 0, NULL);
    ck_assert_ptr_nonnull(status);
    out->len = 0;
    nx_assert_ok(nx_view_machine(&view, status, out, &err), err);
    nx_assert_ok(nx_buffer_add(out, "", 1, &err), err);
    json_decref(status);
}

START_TEST(test_picture)
{
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(NX_VIEW_MAX);
    draw(status_text, 80, 0, false, &out);
    ck_assert_str_eq(
        (char *)out.data,
        "a?[2Jb  running  for 1:01:40  run, pid 7\n"
        "http://h/x.nxpk\n"
        "here 99 %  1.0 KiB/s  2.0 KiB in 3 requests  hit rate -  0 waiting\n"
        "disk0  640.0 KiB  here 100 %  hit rate 50 %  4 reads of 4.0 KiB  waited 1.5 s\n"
        "    ..oo+#!#\n"
        ". absent  o cached before  + fetched ahead  # read  ! read, waited for\n"
        "blank: empty\n");
    draw(status_text, 80, 0, true, &out);
    ck_assert(strstr((char *)out.data, "\033[32m#"));
}
END_TEST

/* Whatever the terminal's size: no line is longer, and there are no more of them. */
START_TEST(test_sizes)
{
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(NX_VIEW_MAX);
    for (unsigned width = 1; width < 130; width += 3)
        for (unsigned height = 1; height < 40; height += 2) {
            unsigned lines = 0;
            draw(status_text, width, height, false, &out);
            for (const char *at = (char *)out.data; *at; at += strcspn(at, "\n") + 1, lines++)
                ck_assert_uint_le(strcspn(at, "\n"), width);
            ck_assert_uint_le(lines, height);
        }
}
END_TEST

/* A status from a process that was taken over: members that are missing, of other types, or senseless. */
START_TEST(test_odd_status)
{
    static const char *const odd[] = {
        "{}",
        "[]",
        "{\"images\":7}",
        "{\"images\":{\"d\":7}}",
        "{\"images\":{\"d\":{\"map\":7}}}",
        "{\"images\":{\"d\":{\"map\":{\"cells\":3,\"runs\":[[1000000,0,0,0,0,0]]}}}}",
        "{\"images\":{\"d\":{\"map\":{\"cells\":100000000,\"runs\":[]}}}}",
        "{\"images\":{\"d\":{\"map\":{\"cells\":3,\"runs\":[7,\"x\",[],[-1],[1,-5,999,255]]}}}}",
        "{\"name\":7,\"state\":[],\"seconds\":\"x\",\"here\":\"x\",\"bytes\":-5}",
        "{\"here\":1e300,\"hit_rate\":-1e300}",
    };
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(NX_VIEW_MAX);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        draw(odd[i], 80, 24, false, &out);
}
END_TEST

NX_TEST_MAIN("chunkmap", test_states, test_bounds, test_cells, test_hostile, test_rate,
             test_picture, test_sizes, test_odd_status)
