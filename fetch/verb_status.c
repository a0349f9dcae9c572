/* SPDX-License-Identifier: MIT */
/* `nxfetch status`: how running machines fare, once, live, as JSON, or as a page for a browser. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "fetch/mapmessage.h"
#include "fetch/peers.h"
#include "fetch/statuspage.h"
#include "fetch/statusview.h"
#include "fetch/terminal.h"
#include "fetch/verbs.h"

#define ASK_MS     3000 /* for an answer */
#define FRAME_MS   500  /* between two pictures */
#define LINE_MS    1000 /* between two lines, where there is no terminal */
#define SURVEY_MS  2000 /* that one picture waits at most until all is known, … */
#define AGAIN_MS   100  /* … and asks again meanwhile */
#define CELLS_JSON 1024 /* of the map, where nobody says how wide he is */

static struct nx_view make_view(bool endless)
{
    struct nx_view view = { .colour = nx_terminal_has_colours(), .utf8 = nx_terminal_has_utf8() };
    nx_terminal_size(&view.width, &view.height);
    if (endless)
        view.height = 0;
    return view;
}

/* Not one for each character more than the map can have. */
static unsigned cells_of(const struct nx_view *view)
{
    unsigned cells = view->width * (view->height ? view->height : 24);
    return cells < NX_MAP_CELLS_MAX ? cells : NX_MAP_CELLS_MAX;
}

static void nap(int ms)
{
    usleep((useconds_t)ms * 1000); /* a signal ends it */
}

/* ---- once ---- */

/* Its status, when all is known that can be, or SURVEY_MS later. */
static int get_settled(pid_t pid, unsigned cells, json_t **ret_status, struct nx_error *err)
{
    json_t *status = NULL;
    for (int left = SURVEY_MS;; left -= AGAIN_MS) {
        json_decref(status);
        status = NULL;
        if (nx_peers_ask(pid, nx_peers_status_request(cells), ASK_MS, &status, err) < 0)
            return -1;
        if (left <= 0 || !json_is_false(json_object_get(status, "surveyed")))
            break;
        nap(AGAIN_MS);
        if (nx_check_interrupt(err) < 0) {
            json_decref(status);
            return -1;
        }
    }
    *ret_status = status;
    return 0;
}

static int print(const struct nx_buffer *text, struct nx_error *err)
{
    fwrite(text->data, 1, text->len, stdout);
    return nx_flush_stdout(err);
}

static int show_once(const struct nx_peer *peer, struct nx_error *err)
{
    const struct nx_view view = make_view(true);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(NX_VIEW_MAX);
    json_t *status;
    if (get_settled(peer->pid, cells_of(&view), &status, err) < 0)
        return nx_fail_while(err, "nxfetch %d", (int)peer->pid);
    int ret = nx_view_machine(&view, status, &out, err);
    json_decref(status);
    return ret < 0 ? -1 : print(&out, err);
}

static int show_list(const struct nx_peers *peers, struct nx_error *err)
{
    const struct nx_view view = make_view(true);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(NX_VIEW_MAX);
    return nx_view_list(&view, peers, &out, err) < 0 ? -1 : print(&out, err);
}

static int print_json(const json_t *value, size_t flags, struct nx_error *err)
{
    if (json_dumpf(value, stdout, flags | JSON_REAL_PRECISION(6)) < 0 || putchar('\n') == EOF)
        return nx_fail_errno(err, "standard output");
    return nx_flush_stdout(err);
}

/* All of them, or the one that was chosen, in an array. */
static int show_json(const struct nx_peers *peers, const struct nx_peer *chosen,
                     struct nx_error *err)
{
    json_t *array = json_array();
    struct nx_error why = NX_ERROR_INIT;
    int ret = 0;
    for (size_t i = 0; ret == 0 && i < peers->count; i++) {
        json_t *status;
        if (chosen && chosen != &peers->items[i])
            continue;
        if (get_settled(peers->items[i].pid, CELLS_JSON, &status, &why) < 0)
            status = json_pack("{s:i, s:o}", "pid", (int)peers->items[i].pid, "error",
                               nx_json_text(why.msg));
        json_array_append_new(array, status);
        ret = nx_check_interrupt(err);
    }
    if (ret == 0)
        ret = print_json(array, JSON_INDENT(2), err);
    json_decref(array);
    return ret;
}

/* ---- live ---- */

/* 1: it has ended. */
static int get_status(pid_t pid, unsigned cells, json_t **ret_status, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    if (nx_peers_ask(pid, nx_peers_status_request(cells), ASK_MS, ret_status, &why) == 0)
        return 0;
    if (nx_check_interrupt(err) < 0)
        return -1;
    return why.code == NX_ERR_CANCELLED
               ? 1
               : nx_fail(err, why.code, "nxfetch %d: %s", (int)pid, why.msg);
}

static int draw_machine(const struct nx_view *view, pid_t pid, struct nx_buffer *out,
                        struct nx_error *err)
{
    json_t *status;
    int ret = get_status(pid, cells_of(view), &status, err);
    if (ret != 0)
        return ret;
    ret = nx_view_machine(view, status, out, err);
    json_decref(status);
    return ret;
}

static int draw_list(const struct nx_view *view, struct nx_buffer *out, struct nx_error *err)
{
    NX_AUTO_PEERS struct nx_peers peers = { 0 };
    if (nx_peers_list(&peers, err) < 0)
        return -1;
    return peers.count == 0 ? 1 : nx_view_list(view, &peers, out, err);
}

/* One picture; pid 0: the list.  1: there is nothing to draw any more. */
static int draw(pid_t pid, struct nx_error *err)
{
    const struct nx_view view = make_view(false);
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(NX_VIEW_MAX);
    int ret = pid ? draw_machine(&view, pid, &out, err) : draw_list(&view, &out, err);
    return ret == 0 ? nx_terminal_draw(&out, err) : ret;
}

static int watch_screen(pid_t pid, struct nx_error *err)
{
    NX_AUTO_TERMINAL struct nx_terminal terminal = { 0 };
    int ret = nx_terminal_open(&terminal, err);
    while (ret == 0 && (ret = draw(pid, err)) == 0)
        if (nx_terminal_wait(&terminal, FRAME_MS) || nx_interrupted())
            return 0;
    nx_terminal_close(&terminal);
    if (ret < 0)
        return nx_interrupted() ? 0 : -1;
    nx_log(NX_LOG_NOTICE, pid ? "the machine has ended" : "no machine is running any more");
    return 0;
}

/* A line when something has changed but the time. */
static int print_change(const json_t *status, struct nx_buffer *last, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer line = NX_BUFFER_INIT(NX_VIEW_MAX);
    if (nx_view_line(status, &line, err) < 0)
        return -1;
    if (line.len > 0 && line.len == last->len && memcmp(line.data, last->data, line.len) == 0)
        return 0;
    last->len = 0;
    return nx_buffer_add(last, line.data, line.len, err) < 0 ? -1 : print(&line, err);
}

static int watch_lines(pid_t pid, bool json, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer last = NX_BUFFER_INIT(NX_VIEW_MAX);
    int ret = 0;
    while (ret == 0 && !nx_interrupted()) {
        json_t *status;
        ret = get_status(pid, json ? CELLS_JSON : 0, &status, err);
        if (ret != 0)
            break;
        ret = json ? print_json(status, JSON_COMPACT, err) : print_change(status, &last, err);
        json_decref(status);
        if (ret == 0)
            nap(LINE_MS);
    }
    return ret < 0 && !nx_interrupted() ? -1 : 0;
}

static int watch(const struct nx_options *options, const struct nx_peers *peers,
                 const struct nx_peer *chosen, struct nx_error *err)
{
    bool screen = nx_terminal_is_there() && !options->json;
    if (!chosen && screen)
        return watch_screen(0, err);
    if (!chosen && nx_peers_choose(peers, NULL, &chosen, err) < 0)
        return -1;
    return screen ? watch_screen(chosen->pid, err) : watch_lines(chosen->pid, options->json, err);
}

int nx_verb_status(const struct nx_options *options, struct nx_error *err)
{
    NX_AUTO_PEERS struct nx_peers peers = { 0 };
    const struct nx_peer *chosen = NULL;
    if (options->in_browser)
        return nx_statuspage_serve(&options->web_address, options->machine, err);
    if (nx_peers_list(&peers, err) < 0)
        return -1;
    bool only = options->machine || peers.count < 2;
    if (only && nx_peers_choose(&peers, options->machine, &chosen, err) < 0)
        return -1;
    if (options->watch)
        return watch(options, &peers, chosen, err);
    if (options->json)
        return show_json(&peers, chosen, err);
    return chosen ? show_once(chosen, err) : show_list(&peers, err);
}
