/* SPDX-License-Identifier: MIT */
/* `nxfetch screenshot` and `nxfetch power`: asking a running machine for something. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "fetch/peers.h"
#include "fetch/verbs.h"

#define ASK_MS  5000  /* for an answer */
#define SHOT_MS 40000 /* for a picture, which may wait for the network */

/* *ret_pid: of whom it was asked. */
static int ask(const struct nx_options *options, json_t *request, int timeout_ms, pid_t *ret_pid,
               struct nx_error *err)
{
    NX_AUTO_PEERS struct nx_peers peers = { 0 };
    const struct nx_peer *peer;
    json_t *answer;
    if (nx_peers_list(&peers, err) < 0 ||
        nx_peers_choose(&peers, options->machine, &peer, err) < 0) {
        json_decref(request);
        return -1;
    }
    const char *name = nx_peers_text(peer, "name");
    *ret_pid = peer->pid;
    if (nx_peers_ask(peer->pid, request, timeout_ms, &answer, err) < 0)
        return nx_fail_while(err, "%s, pid %d", name[0] ? name : "a machine", (int)peer->pid);
    json_decref(answer);
    return 0;
}

/* Its nxfetch may have another working directory. */
static int absolute(const char *file, char path[static PATH_MAX], struct nx_error *err)
{
    NX_AUTO_FREE char *here = file[0] == '/' ? NULL : getcwd(NULL, 0);
    if (file[0] != '/' && !here)
        return nx_fail_errno(err, "%s", file);
    int n = snprintf(path, PATH_MAX, "%s%s%s", here ? here : "", here ? "/" : "", file);
    return n < PATH_MAX ? 0 : nx_fail(err, NX_ERR_USAGE, "screenshot: the path is too long");
}

int nx_verb_screenshot(const struct nx_options *options, struct nx_error *err)
{
    char path[PATH_MAX];
    pid_t pid;
    if (absolute(options->shot_file, path, err) < 0 ||
        ask(options, json_pack("{s:s, s:s}", "ask", "screenshot", "file", path), SHOT_MS, &pid,
            err) < 0)
        return -1;
    if (options->json)
        return nx_json_print(json_pack("{s:i, s:o}", "pid", (int)pid, "file", nx_json_text(path)),
                             err);
    nx_log(NX_LOG_NOTICE, "%s: a picture of the machine's screen", options->shot_file);
    return 0;
}

int nx_verb_power(const struct nx_options *options, struct nx_error *err)
{
    pid_t pid;
    if (ask(options, json_pack("{s:s, s:s}", "ask", "power", "how", options->power), ASK_MS, &pid,
            err) < 0)
        return -1;
    if (options->json)
        return nx_json_print(json_pack("{s:i, s:s}", "pid", (int)pid, "power", options->power),
                             err);
    if (strcmp(options->power, "off") == 0)
        nx_log(NX_LOG_NOTICE,
               "its power button was pressed; if its system does not hear: nxfetch power stop");
    return 0;
}
