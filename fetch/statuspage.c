/* SPDX-License-Identifier: MIT */
/* Threads: machines are asked on the web server's, one request after the other; the main thread only waits. */
#include "fetch/statuspage.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/embed.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "fetch/peers.h"

NX_EMBED(nx_status_html, "fetch/status/status.html");
NX_EMBED(nx_status_css, "fetch/status/status.css");
NX_EMBED(nx_status_js, "fetch/status/status.js");

#define CELLS  2048 /* of each map: more than a page has room for squares */
#define ASK_MS 2000

static json_t *full_status(const struct nx_peer *peer)
{
    json_t *status = NULL;
    struct nx_error why = NX_ERROR_INIT;
    if (nx_peers_ask(peer->pid, nx_peers_status_request(CELLS), ASK_MS, &status, &why) < 0)
        return json_pack("{s:i, s:o}", "pid", (int)peer->pid, "error", nx_json_text(why.msg));
    return status;
}

/* {"machines":[…]}, as `nxfetch status --json` has them.  That there is none is an answer, too. */
static int answer(void *opaque, struct nx_buffer *body, struct nx_error *err)
{
    const char *machine = opaque;
    NX_AUTO_PEERS struct nx_peers peers = { 0 };
    const struct nx_peer *chosen = NULL;
    struct nx_error none = NX_ERROR_INIT;
    if (nx_peers_list(&peers, err) < 0)
        return -1;
    bool all = !machine;
    if (machine && nx_peers_choose(&peers, machine, &chosen, &none) < 0)
        chosen = NULL;
    json_t *array = json_array();
    for (size_t i = 0; i < peers.count; i++)
        if (all || chosen == &peers.items[i])
            json_array_append_new(array, full_status(&peers.items[i]));
    json_t *whole = json_pack("{s:o}", "machines", array);
    NX_AUTO_FREE char *text =
        whole ? json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(whole);
    if (!text)
        return nx_fail(err, NX_ERR_SYSTEM, "no memory for the status");
    return nx_buffer_printf(body, err, "%s", text);
}

int nx_statuspage_serve(const struct nx_web_address *address, const char *machine,
                        struct nx_error *err)
{
    const struct nx_web_route routes[] = {
        { .path = "/", .type = "text/html; charset=utf-8", .text = nx_status_html },
        { .path = "/status.css", .type = "text/css; charset=utf-8", .text = nx_status_css },
        { .path = "/status.js", .type = "text/javascript; charset=utf-8", .text = nx_status_js },
        { .path = "/status.json",
          .type = "application/json",
          .answer = answer,
          .opaque = (void *)machine },
    };
    NX_AUTO_WEBSERVER struct nx_webserver *server = NULL;
    if (nx_webserver_start("web", address, routes, sizeof routes / sizeof *routes, &server, err) <
        0)
        return -1;
    if (!nx_webserver_is_loopback(server))
        nx_log(NX_LOG_WARNING,
               "whoever has this address can see the page, and it is not encrypted");
    printf("%s\n", nx_webserver_url(server));
    if (nx_flush_stdout(err) < 0)
        return -1;
    if (isatty(STDOUT_FILENO))
        nx_log(NX_LOG_NOTICE, "open this in a browser; Ctrl-C ends it");
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all,
                &before); /* so that none comes just before the wait, and is slept over */
    nx_interrupt_wait(-1, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return 0;
}
