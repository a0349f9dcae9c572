/* SPDX-License-Identifier: MIT */
#include "fetch/display.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/process.h"

#define HELP_MAX 65536

bool nx_has_desktop(void)
{
    const char *x11 = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    return (x11 && *x11) || (wayland && *wayland);
}

/* Is word a line of text? */
static bool has_line(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strncmp(at, word, len) == 0 && (at[len] == '\n' || at[len] == '\r' || at[len] == 0))
            return true;
    return false;
}

/* The first kind of window that this QEMU has, or NULL. */
static const char *window_of(const char *program)
{
    static const char *const kinds[] = { "gtk", "sdl" };
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, program);
    nx_args_add(&args, "-display");
    nx_args_add(&args, "help");
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(HELP_MAX);
    if (nx_run(&args, &out, NULL) < 0 || nx_buffer_printf(&out, NULL, "%s", "") < 0)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (has_line((const char *)out.data, kinds[i]))
            return kinds[i];
    return NULL;
}

void nx_display_choose(const struct nx_options *options, const char *program,
                       struct nx_display *ret_display)
{
    bool elsewhere = options->vnc[0] || options->in_browser;
    if (options->display) {
        bool helper = strncmp(options->display, "spice-app", 9) == 0;
        bool none = strcmp(options->display, "none") == 0;
        *ret_display =
            (struct nx_display){ .qemu = options->display, .window = !none, .runs_helper = helper };
        if (helper)
            nx_log(NX_LOG_WARNING, "spice-app starts its viewer itself, so QEMU runs without its "
                                   "sandbox");
        return;
    }
    const char *window = elsewhere || !nx_has_desktop() ? NULL : window_of(program);
    *ret_display = (struct nx_display){ .qemu = window ? window : "none",
                                        .chosen = true,
                                        .window = window != NULL };
}

void nx_display_announce(const struct nx_options *options, const struct nx_display *display,
                         const char *name)
{
    const char *way = display->window ? "" : ", without a window";
    if (display->window || options->serial.kind != NX_SERIAL_NULL || options->vnc[0] ||
        options->in_browser)
        nx_log(NX_LOG_NOTICE, "%s runs%s", name, way);
    else
        nx_log(NX_LOG_NOTICE, "%s runs%s; to see it: --serial stdio, or --web", name, way);
    if (options->serial.kind == NX_SERIAL_UNIX)
        nx_log(NX_LOG_NOTICE, "its serial port: the Unix socket %s", options->serial.path);
    else if (options->serial.kind == NX_SERIAL_FILE)
        nx_log(NX_LOG_NOTICE, "its serial port writes to %s", options->serial.path);
    else if (options->serial.kind == NX_SERIAL_STDIO && isatty(STDIN_FILENO))
        nx_log(
            NX_LOG_NOTICE,
            "its serial port is this terminal, Ctrl-C included; to end it: nxfetch power stop %d",
            (int)getpid());
}
