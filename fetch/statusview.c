/* SPDX-License-Identifier: MIT */
/* The status comes from another process: a member that is missing, or of another type, is shown as unknown. */
#include "fetch/statusview.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/plain.h"
#include "common/progress.h"
#include "fetch/mapmessage.h"

#define FIELD_MAX    1024
#define MAP_ROWS     6 /* of an image, where there is no end of lines */
#define MAP_ROWS_MAX 64
#define INDENT       2

/* A picture that is being made.  What cannot be added any more is missed: nx_buffer_*() keep the first error. */
struct picture {
    const struct nx_view *view;
    struct nx_buffer *out;
    struct nx_error *err;
    unsigned lines;  /* so far */
    unsigned column; /* of the line under way */
    bool failed;
};

/* ---- members ---- */

static double number_of(const json_t *object, const char *member)
{
    return json_number_value(json_object_get(object, member));
}

static uint64_t count_of(const json_t *object, const char *member)
{
    json_int_t value = json_integer_value(json_object_get(object, member));
    return value > 0 ? (uint64_t)value : 0;
}

/* A string as one line that does no harm to a terminal. */
static const char *text_of(const json_t *object, const char *member, char text[static FIELD_MAX])
{
    const char *value = json_string_value(json_object_get(object, member));
    snprintf(text, FIELD_MAX, "%s", value ? value : "");
    return nx_plain(text);
}

/* "41 %", or "-" while it is not known.  All is 100 %, and less is not. */
static const char *percent_of(const json_t *object, const char *member, char text[static 32])
{
    const json_t *value = json_object_get(object, member);
    int percent = (int)(json_number_value(value) * 100);
    if (!json_is_number(value))
        return strcpy(text, "-");
    snprintf(text, 32, "%d %%", percent < 0 ? 0 : percent > 100 ? 100 : percent);
    return text;
}

static const char *duration_of(const json_t *status, char text[static 32])
{
    unsigned long s = (unsigned long)number_of(status, "seconds");
    snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    return text;
}

/* ---- lines ---- */

/* Bytes of text that fit into so many columns; *ret_columns is what they take. */
static size_t fit(const char *text, unsigned columns, unsigned *ret_columns)
{
    mbstate_t state = { 0 };
    size_t at = 0;
    *ret_columns = 0;
    while (text[at]) {
        wchar_t c;
        size_t n = mbrtowc(&c, text + at, MB_CUR_MAX, &state);
        int w = 1;
        if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
            n = 1;
            state = (mbstate_t){ 0 };
        } else {
            w = wcwidth(c) < 0 ? 1 : wcwidth(c);
        }
        if (*ret_columns + (unsigned)w > columns)
            break;
        *ret_columns += (unsigned)w;
        at += n;
    }
    return at;
}

static bool is_full(const struct picture *p)
{
    return p->view->height && p->lines >= p->view->height;
}

static void put(struct picture *p, const char *text, size_t len)
{
    if (!p->failed && nx_buffer_add(p->out, text, len, p->err) < 0)
        p->failed = true;
}

static void style(struct picture *p, const char *sgr)
{
    if (!p->view->colour)
        return;
    put(p, "\033[", 2);
    put(p, sgr, strlen(sgr));
    put(p, "m", 1);
}

static void end_line(struct picture *p)
{
    if (!is_full(p))
        put(p, "\n", 1);
    p->lines++;
    p->column = 0;
}

/* A field behind the others of the line, or on the next one where there is no room. */
__attribute__((format(printf, 3, 4))) static void field(struct picture *p, const char *sgr,
                                                        const char *fmt, ...)
{
    char text[FIELD_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    unsigned columns, width = p->view->width, gap = p->column > INDENT ? 2 : 0;
    fit(text, width, &columns);
    if (gap && p->column + gap + columns > width) {
        end_line(p);
        gap = 0;
    }
    if (is_full(p))
        return;
    size_t len = fit(text, width - p->column - gap, &columns);
    put(p, "  ", gap);
    if (sgr)
        style(p, sgr);
    put(p, text, len);
    if (sgr)
        style(p, "0");
    p->column += gap + columns;
}

static void indent(struct picture *p)
{
    if (is_full(p) || p->view->width <= INDENT)
        return;
    put(p, "  ", INDENT);
    p->column = INDENT;
}

/* ---- the map ---- */

static const struct look {
    const char *utf8, *ascii, *sgr, *label;
} looks[NX_CHUNK_STATES] = {
    [NX_CHUNK_EMPTY] = { " ", " ", "0", NULL },
    [NX_CHUNK_ABSENT] = { "·", ".", "2", "absent" },
    [NX_CHUNK_CACHED] = { "░", "o", "36", "cached before" },
    [NX_CHUNK_AHEAD] = { "▒", "+", "33", "fetched ahead" },
    [NX_CHUNK_READ] = { "█", "#", "32", "read" },
    [NX_CHUNK_AWAITED] = { "◆", "!", "31", "read, waited for" },
};

/* Shares of the states in each cell, as the status has them. */
struct cells {
    uint32_t (*shares)[NX_CHUNK_STATES]; /* owned */
    unsigned count;
};

static bool add_run(struct cells *cells, unsigned all, const json_t *run)
{
    json_int_t length = json_integer_value(json_array_get(run, 0));
    uint32_t shares[NX_CHUNK_STATES] = { 0 }, rest = 255;
    for (unsigned i = NX_CHUNK_ABSENT; i < NX_CHUNK_STATES; i++) {
        json_int_t share = json_integer_value(json_array_get(run, i));
        shares[i] = share < 0 || share > (json_int_t)rest ? 0 : (uint32_t)share;
        rest -= shares[i];
    }
    shares[NX_CHUNK_EMPTY] = rest;
    if (length < 1 || length > (json_int_t)(all - cells->count))
        return false;
    while (length-- > 0)
        memcpy(cells->shares[cells->count++], shares, sizeof shares);
    return true;
}

/* As many as make sense; to be freed. */
static struct cells read_cells(const json_t *map)
{
    struct cells cells = { 0 };
    const json_t *runs = json_object_get(map, "runs");
    uint64_t all = count_of(map, "cells");
    if (all < 1 || all > NX_MAP_CELLS_MAX || !(cells.shares = calloc(all, sizeof *cells.shares)))
        return cells;
    for (size_t i = 0; i < json_array_size(runs); i++)
        if (!add_run(&cells, (unsigned)all, json_array_get(runs, i)))
            break;
    return cells;
}

/* What a character for cells first … end - 1 shows: most of what is here of them; if nothing is, what is absent. */
static enum nx_chunk_state state_of(const struct cells *cells, unsigned first, unsigned end)
{
    uint32_t sums[NX_CHUNK_STATES] = { 0 };
    for (unsigned i = first; i < end; i++)
        for (unsigned s = 0; s < NX_CHUNK_STATES; s++)
            sums[s] += cells->shares[i][s];
    enum nx_chunk_state most = sums[NX_CHUNK_ABSENT] ? NX_CHUNK_ABSENT : NX_CHUNK_EMPTY;
    uint32_t least = 0;
    for (unsigned s = NX_CHUNK_CACHED; s < NX_CHUNK_STATES; s++)
        if (sums[s] && sums[s] >= least) {
            most = (enum nx_chunk_state)s;
            least = sums[s];
        }
    return most;
}

static const char *character(const struct picture *p, enum nx_chunk_state state)
{
    return p->view->utf8 ? looks[state].utf8 : looks[state].ascii;
}

/* One row of characters first … end - 1, of `all`. */
static void draw_row(struct picture *p, const struct cells *cells, unsigned first, unsigned end,
                     unsigned all)
{
    enum nx_chunk_state last = NX_CHUNK_EMPTY;
    indent(p);
    for (unsigned i = first; i < end && !is_full(p); i++) {
        enum nx_chunk_state state = state_of(cells, (unsigned)((uint64_t)cells->count * i / all),
                                             (unsigned)((uint64_t)cells->count * (i + 1) / all));
        if (state != last)
            style(p, "0");
        if (state != last)
            style(p, looks[state].sgr);
        last = state;
        put(p, character(p, state), strlen(character(p, state)));
    }
    style(p, "0");
    end_line(p);
}

static void draw_map(struct picture *p, const json_t *map, unsigned rows)
{
    struct cells cells = read_cells(map);
    unsigned row = p->view->width > INDENT ? p->view->width - INDENT : 1;
    unsigned all = cells.count < row * rows ? cells.count : row * rows;
    for (unsigned first = 0; first < all; first += row)
        draw_row(p, &cells, first, first + row < all ? first + row : all, all);
    free(cells.shares);
}

static void draw_legend(struct picture *p)
{
    for (unsigned s = NX_CHUNK_ABSENT; s < NX_CHUNK_STATES; s++)
        field(p, looks[s].sgr, "%s %s", character(p, (enum nx_chunk_state)s), looks[s].label);
    field(p, NULL, "blank: empty");
    end_line(p);
}

/* ---- a machine ---- */

static const char *state_words(const json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));
    static const char *const words[][2] = {
        { "connecting", "connecting" }, { "starting", "booting" },
        { "running", "running" },       { "waiting", "waiting for the network" },
        { "fetching", "fetching" },     { "ended", "ended" },
    };
    for (size_t i = 0; state && i < sizeof words / sizeof *words; i++)
        if (strcmp(state, words[i][0]) == 0)
            return json_is_true(json_object_get(status, "resumed")) && i == 2 ? "running, resumed"
                                                                              : words[i][1];
    return "in an unknown state";
}

static const char *name_of(const json_t *status, char text[static FIELD_MAX])
{
    text_of(status, "name", text);
    return text[0] ? text : strcpy(text, "a machine");
}

static void draw_head(struct picture *p, const json_t *status)
{
    char text[FIELD_MAX], time[32];
    bool waits = strcmp(state_words(status), "waiting for the network") == 0;
    field(p, "1", "%s", name_of(status, text));
    field(p, waits ? "31" : "32", "%s", state_words(status));
    field(p, NULL, "for %s", duration_of(status, time));
    field(p, "2", "%s, pid %llu", text_of(status, "verb", text),
          (unsigned long long)count_of(status, "pid"));
    end_line(p);
    field(p, NULL, "%s", text_of(status, "url", text));
    end_line(p);
}

static void draw_figures(struct picture *p, const json_t *status)
{
    char here[32], rate[32], bytes[32], hits[32];
    uint64_t retries = count_of(status, "retries"), waiting = count_of(status, "waiting");
    field(p, "1", "here %s", percent_of(status, "here", here));
    field(p, NULL, "%s/s", nx_human_bytes((uint64_t)number_of(status, "rate"), rate));
    field(p, NULL, "%s in %llu requests", nx_human_bytes(count_of(status, "bytes"), bytes),
          (unsigned long long)count_of(status, "requests"));
    if (retries)
        field(p, NULL, "%llu retries", (unsigned long long)retries);
    field(p, NULL, "hit rate %s", percent_of(status, "hit_rate", hits));
    field(p, waiting ? "31" : NULL, "%llu waiting", (unsigned long long)waiting);
    end_line(p);
}

static void draw_image(struct picture *p, const char *name, const json_t *image, unsigned rows)
{
    char size[32], here[32], hits[32], read[32], plain[64];
    snprintf(plain, sizeof plain, "%s", name);
    field(p, "1", "%s", nx_plain(plain));
    field(p, NULL, "%s", nx_human_bytes(count_of(image, "size"), size));
    field(p, NULL, "here %s", percent_of(image, "here", here));
    field(p, NULL, "hit rate %s", percent_of(image, "hit_rate", hits));
    field(p, NULL, "%llu reads of %s", (unsigned long long)count_of(image, "reads"),
          nx_human_bytes(count_of(image, "read_bytes"), read));
    if (number_of(image, "waited") > 0)
        field(p, NULL, "waited %.1f s", number_of(image, "waited"));
    end_line(p);
    draw_map(p, json_object_get(image, "map"), rows);
}

/* Lines that something takes, by drawing it for nobody. */
static unsigned lines_of(const struct picture *p, void (*draw)(struct picture *, const json_t *),
                         const json_t *object)
{
    NX_AUTO_BUFFER struct nx_buffer nowhere = NX_BUFFER_INIT(NX_VIEW_MAX);
    struct nx_view endless = *p->view;
    endless.height = 0;
    struct picture trial = { .view = &endless, .out = &nowhere };
    draw(&trial, object);
    return trial.lines;
}

static void draw_legend_of(struct picture *p, const json_t *ignored)
{
    (void)ignored;
    draw_legend(p);
}

static void draw_names(struct picture *p, const json_t *status)
{
    const char *name;
    json_t *image;
    json_object_foreach(json_object_get(status, "images"), name, image)
        draw_image(p, name, image, 0);
}

/* Rows of each image's map: what is left of the height when everything else has its lines. */
static unsigned rows_of(const struct picture *p, const json_t *status)
{
    size_t n = json_object_size(json_object_get(status, "images"));
    if (!p->view->height || n == 0)
        return MAP_ROWS;
    unsigned taken = p->lines + lines_of(p, draw_names, status) + lines_of(p, draw_legend_of, NULL);
    unsigned rows = taken < p->view->height ? (p->view->height - taken) / (unsigned)n : 0;
    return rows < MAP_ROWS_MAX ? rows : MAP_ROWS_MAX;
}

int nx_view_machine(const struct nx_view *view, const json_t *status, struct nx_buffer *out,
                    struct nx_error *err)
{
    struct picture p = { .view = view, .out = out, .err = err };
    const json_t *images = json_object_get(status, "images");
    const char *name;
    json_t *image;
    draw_head(&p, status);
    draw_figures(&p, status);
    unsigned rows = rows_of(&p, status);
    json_object_foreach((json_t *)images, name, image) draw_image(&p, name, image, rows);
    if (json_object_size(images))
        draw_legend(&p);
    return p.failed ? -1 : 0;
}

/* ---- several, and one line ---- */

static void draw_row_of_list(struct picture *p, const struct nx_peer *peer)
{
    char name[FIELD_MAX], state[FIELD_MAX], url[FIELD_MAX], here[32], rate[32];
    if (!peer->status) {
        field(p, NULL, "%7d  %.300s", (int)peer->pid, peer->why.msg);
        end_line(p);
        return;
    }
    field(p, NULL, "%7d  %-20.60s  %-10.40s  %6s  %10s/s", (int)peer->pid,
          name_of(peer->status, name), text_of(peer->status, "state", state),
          percent_of(peer->status, "here", here),
          nx_human_bytes((uint64_t)number_of(peer->status, "rate"), rate));
    field(p, NULL, "%s", text_of(peer->status, "url", url));
    end_line(p);
}

int nx_view_list(const struct nx_view *view, const struct nx_peers *peers, struct nx_buffer *out,
                 struct nx_error *err)
{
    struct picture p = { .view = view, .out = out, .err = err };
    field(&p, "1", "%7s  %-20s  %-10s  %6s  %12s", "PID", "NAME", "STATE", "HERE", "RATE");
    field(&p, "1", "URL");
    end_line(&p);
    for (size_t i = 0; i < peers->count; i++)
        draw_row_of_list(&p, &peers->items[i]);
    return p.failed ? -1 : 0;
}

int nx_view_line(const json_t *status, struct nx_buffer *out, struct nx_error *err)
{
    char name[FIELD_MAX], here[32], rate[32], bytes[32], hits[32];
    return nx_buffer_printf(
        out, err,
        "%s: %s, here %s, rate %s/s, received %s, requests %llu, hit rate %s, waiting reads %llu\n",
        name_of(status, name), state_words(status), percent_of(status, "here", here),
        nx_human_bytes((uint64_t)number_of(status, "rate"), rate),
        nx_human_bytes(count_of(status, "bytes"), bytes),
        (unsigned long long)count_of(status, "requests"), percent_of(status, "hit_rate", hits),
        (unsigned long long)count_of(status, "waiting"));
}
