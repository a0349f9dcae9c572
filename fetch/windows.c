/* SPDX-License-Identifier: MIT */
#include "fetch/windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/plain.h"
#include "fetch/program.h"

#define FOLD_AT   80 /* characters of a line: a fingerprint fits with its label */
#define FOLD_BACK 24 /* that a line may be shorter, to end between words */
#define INDENT    "     "
#define ROOM      16 /* bytes for a character and a fold */

static const struct {
    const char *program;
    bool needs_x11;
} ways[NX_N_WAYS] = {
    [NX_WAY_ZENITY] = { "zenity", false },    [NX_WAY_KDIALOG] = { "kdialog", false },
    [NX_WAY_XMESSAGE] = { "xmessage", true }, [NX_WAY_NOTIFY_SEND] = { "notify-send", false },
    [NX_WAY_GDBUS] = { "gdbus", false },
};

enum nx_window_way nx_windows_find(enum nx_window_way first, enum nx_window_way last)
{
    char path[PATH_MAX];
    const char *x11 = getenv("DISPLAY");
    for (enum nx_window_way way = first; way <= last && way < NX_N_WAYS; way++)
        if ((!ways[way].needs_x11 || (x11 && *x11)) &&
            nx_find_program(ways[way].program, path) == 0)
            return way;
    return NX_WAY_NONE;
}

/* ---- texts ---- */

static bool is_utf8_locale(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "UTF-8") || strcasestr(value, "utf8");
    }
    return false;
}

/* Bytes of the UTF-8 character that the text opens with; 0 if it is none. */
static size_t character_bytes(const unsigned char *text)
{
    size_t n = text[0] < 0x80                       ? 1
               : text[0] >= 0xc2 && text[0] <= 0xdf ? 2
               : text[0] >= 0xe0 && text[0] <= 0xef ? 3
               : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                    : 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* Break the line that ends at len: at its last space, if that is not far, else right there.  Returns the new length. */
static size_t fold(char *lines, size_t len, const char *indent, size_t *column)
{
    size_t at = len, back = 0, width = strlen(indent);
    while (back < FOLD_BACK && lines[len - 1 - back] != ' ')
        back++;
    if (back < FOLD_BACK)
        at = len - back;
    memmove(lines + at + 1 + width, lines + at, len - at + 1);
    lines[at] = '\n';
    memcpy(lines + at + 1, indent, width);
    *column = width + (len - at);
    return len + 1 + width;
}

void nx_windows_plain(const char *label, const char *text, char *lines, size_t size)
{
    char plain[1024];
    const char *indent = *label ? INDENT : "";
    size_t len = strlen(lines);
    snprintf(plain, sizeof plain, "%s", text);
    nx_plain(plain);
    if (!is_utf8_locale())
        nx_plain_ascii(plain);
    int n = snprintf(lines + len, size - len, "%s%s", len ? "\n" : "", label);
    len = n < (int)(size - len) ? len + (size_t)n : size - 1;
    size_t column = strlen(label);
    for (const char *at = plain; *at && len + ROOM < size; column++) {
        size_t bytes = character_bytes((const unsigned char *)at);
        if (column >= FOLD_AT)
            len = fold(lines, len, indent, &column);
        /* A backslash opens an escape for some of the programs. */
        if (bytes == 0 || *at == '\\')
            lines[len++] = '?';
        else
            len = (size_t)((char *)mempcpy(lines + len, at, bytes) - lines);
        lines[len] = 0;
        at += bytes ? bytes : 1;
    }
}

/* As HTML, which Qt's windows and notifications take a text for as soon as it looks like it. */
static char *html(const char *before, const char *text, const char *newline, const char *after)
{
    size_t size = strlen(before) + strlen(text) * 6 + strlen(after) + 1;
    char *all = malloc(size);
    if (!all)
        return NULL;
    char *to = stpcpy(all, before);
    for (; *text; text++)
        switch (*text) {
        case '<':
            to = stpcpy(to, "&lt;");
            break;
        case '>':
            to = stpcpy(to, "&gt;");
            break;
        case '&':
            to = stpcpy(to, "&amp;");
            break;
        case '\n':
            to = stpcpy(to, newline);
            break;
        default:
            *to++ = *text;
        }
    strcpy(to, after);
    return all;
}

static void add_owned(struct nx_args *args, char *text)
{
    if (text)
        nx_args_add(args, text);
    else
        args->failed = true;
    free(text);
}

/* GVariant's notation of a string, for gdbus. */
static void add_variant(struct nx_args *args, const char *text)
{
    NX_AUTO_FREE char *quoted = malloc(strlen(text) * 2 + 3);
    char *to = quoted;
    if (!quoted) {
        args->failed = true;
        return;
    }
    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '"';
    *to = 0;
    nx_args_add(args, quoted);
}

/* ---- calls ---- */

static void add_all(struct nx_args *args, const char *const *words)
{
    for (; *words; words++)
        nx_args_add(args, *words);
}
#define ADD(args, ...) add_all(args, (const char *const[]){ __VA_ARGS__, NULL })

static void zenity_question(const struct nx_window_question *question, struct nx_args *args)
{
    ADD(args, "zenity", "--question", "--no-markup", "--no-wrap", "--default-cancel",
        "--window-icon=nxfetch");
    nx_args_addf(args, "--title=%s", question->title);
    nx_args_addf(args, "--text=%s", question->text);
    nx_args_addf(args, "--ok-label=%s", question->once);
    nx_args_addf(args, "--cancel-label=%s", question->no);
    nx_args_addf(args, "--extra-button=%s", question->always);
}

/* Its windows with three buttons have "Yes" as their default; this list has "No". */
static void kdialog_question(const struct nx_window_question *question, struct nx_args *args)
{
    ADD(args, "kdialog", "--title", question->title, "--radiolist");
    add_owned(args, html("<qt>", question->text, "<br/>", "</qt>"));
    ADD(args, "no", question->no, "on", "once", question->once, "off", "always", question->always,
        "off");
}

static void xmessage_question(const struct nx_window_question *question, struct nx_args *args)
{
    ADD(args, "xmessage", "-center", "-title", question->title, "-buttons");
    nx_args_addf(args, "%s:10,%s:11,%s:12", question->no, question->once, question->always);
    ADD(args, "-default", question->no, "-file", "-");
}

void nx_windows_question(enum nx_window_way way, const struct nx_window_question *question,
                         struct nx_args *ret_args, const char **ret_input)
{
    *ret_input = way == NX_WAY_XMESSAGE ? question->text : NULL;
    if (way == NX_WAY_ZENITY)
        zenity_question(question, ret_args);
    else if (way == NX_WAY_KDIALOG)
        kdialog_question(question, ret_args);
    else
        xmessage_question(question, ret_args);
}

static bool is_line(const char *output, const char *line)
{
    size_t len = strlen(line);
    return strncmp(output, line, len) == 0 && (output[len] == 0 || output[len] == '\n');
}

enum nx_window_answer nx_windows_answer(enum nx_window_way way,
                                        const struct nx_window_question *question, int exit_status,
                                        const char *output)
{
    if (exit_status < 0)
        return NX_ANSWER_FAILED;
    switch (way) {
    case NX_WAY_ZENITY: /* 1 is every other button, and Escape */
        return exit_status == 0                    ? NX_ANSWER_ONCE
               : exit_status != 1                  ? NX_ANSWER_FAILED
               : is_line(output, question->always) ? NX_ANSWER_ALWAYS
                                                   : NX_ANSWER_NO;
    case NX_WAY_KDIALOG:
        return exit_status > 1                                 ? NX_ANSWER_FAILED
               : exit_status == 0 && is_line(output, "once")   ? NX_ANSWER_ONCE
               : exit_status == 0 && is_line(output, "always") ? NX_ANSWER_ALWAYS
                                                               : NX_ANSWER_NO;
    case NX_WAY_XMESSAGE:
        return exit_status == 11   ? NX_ANSWER_ONCE
               : exit_status == 12 ? NX_ANSWER_ALWAYS
                                   : NX_ANSWER_NO;
    default:
        return NX_ANSWER_FAILED;
    }
}

static void gdbus_message(bool error, const char *title, const char *text, struct nx_args *args)
{
    NX_AUTO_FREE char *body = html("", text, "\n", "");
    ADD(args, "gdbus", "call", "--session", "--dest=org.freedesktop.Notifications",
        "--object-path=/org/freedesktop/Notifications",
        "--method=org.freedesktop.Notifications.Notify", "--", "\"nxfetch\"", "0", "\"nxfetch\"");
    add_variant(args, title);
    add_variant(args, body ? body : "");
    ADD(args, "[]", error ? "{\"urgency\": <byte 2>}" : "{\"urgency\": <byte 1>}", "-1");
}

void nx_windows_message(enum nx_window_way way, bool error, const char *title, const char *text,
                        struct nx_args *args, const char **ret_input)
{
    *ret_input = way == NX_WAY_XMESSAGE ? text : NULL;
    switch (way) {
    case NX_WAY_ZENITY:
        ADD(args, "zenity", error ? "--error" : "--warning", "--no-markup", "--no-wrap",
            "--window-icon=nxfetch");
        nx_args_addf(args, "--title=%s", title);
        nx_args_addf(args, "--text=%s", text);
        break;
    case NX_WAY_KDIALOG:
        ADD(args, "kdialog", "--title", title, error ? "--error" : "--sorry");
        add_owned(args, html("<qt>", text, "<br/>", "</qt>"));
        break;
    case NX_WAY_XMESSAGE:
        ADD(args, "xmessage", "-center", "-title", title, "-buttons", "Close", "-default", "Close",
            "-file", "-");
        break;
    case NX_WAY_NOTIFY_SEND:
        ADD(args, "notify-send", "--app-name=nxfetch", "--icon=nxfetch",
            error ? "--urgency=critical" : "--urgency=normal", "--", title);
        add_owned(args, html("", text, "\n", ""));
        break;
    case NX_WAY_GDBUS:
        gdbus_message(error, title, text, args);
        break;
    case NX_N_WAYS:
        break;
    }
}

void nx_windows_progress(const char *title, const char *text, struct nx_args *args)
{
    ADD(args, "zenity", "--progress", "--width=420", "--window-icon=nxfetch");
    nx_args_addf(args, "--title=%s", title);
    nx_args_addf(args, "--text=%s", text);
}

int nx_windows_progress_line(const char *text, int percent, char *line, size_t size)
{
    int len = percent < 0 ? snprintf(line, size, "# %s\npulsate:true\n", text)
                          : snprintf(line, size, "# %s\npulsate:false\n%d\n", text, percent);
    return len < (int)size ? len : 0;
}
