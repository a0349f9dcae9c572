/* SPDX-License-Identifier: MIT */
#include "fetch/windows.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/main.h"

#define HOSTILE "--help <b>\\n&amp; \"'; \x1b[2J \xff\xc3 -x\xe2\x80\xae\xc3\xa9"

static void set_locale(const char *lang)
{
    unsetenv("LC_ALL");
    unsetenv("LC_CTYPE");
    setenv("LANG", lang, 1);
}

START_TEST(plain_lines)
{
    static const struct {
        const char *lang, *label, *text, *lines;
    } cases[] = {
        { "C.UTF-8", "Name:  ", "Debian", "Name:  Debian" },
        { "C.UTF-8", "", "caf\xc3\xa9", "caf\xc3\xa9" },
        { "C", "", "caf\xc3\xa9", "caf??" },
        { "C.UTF-8", "", "a\nb\tc\x1b", "a?b?c?" },
        { "C.UTF-8", "", "\\n\\\\", "?n??" },
        { "C.UTF-8", "", "\xff\xc3\xe2\x82", "????" },
        { "C.UTF-8", "", "right\xe2\x80\xaeleft", "right?left" },
        { "C.UTF-8", "", "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lines[256] = "";
        set_locale(cases[i].lang);
        nx_windows_plain(cases[i].label, cases[i].text, lines, sizeof lines);
        ck_assert_str_eq(lines, cases[i].lines);
    }
}
END_TEST

START_TEST(folded_lines)
{
    char lines[2048] = "first", word[301], prose[301];
    memset(word, 'x', 300);
    word[300] = 0;
    for (int i = 0; i < 300; i++)
        prose[i] = i % 5 == 4 ? ' ' : 'y';
    prose[300] = 0;
    set_locale("C.UTF-8");
    nx_windows_plain("Name:  ", word, lines, sizeof lines);
    nx_windows_plain("", prose, lines, sizeof lines);
    size_t n = 0, xs = 0;
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n"), n++) {
        ck_assert_uint_le(strlen(line), 80);
        for (const char *c = line; *c; c++)
            xs += *c == 'x';
        if (strchr(line, 'y')) /* between words */
            ck_assert_msg(line[0] == 'y' && strncmp(line, "yyyy", 4) == 0, "%s", line);
        else if (n > 1)
            ck_assert_msg(strncmp(line, "     x", 6) == 0, "%s", line);
    }
    ck_assert_uint_eq(xs, 300);
    ck_assert_uint_ge(n, 9);
}
END_TEST

/* Whatever the room is, the lines end in it, and with a whole character. */
START_TEST(lines_without_room)
{
    set_locale("C.UTF-8");
    for (size_t size = 1; size < 300; size++) {
        char text[301], *lines = malloc(size);
        ck_assert_ptr_nonnull(lines);
        for (int i = 0; i < 300; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        text[300] = 0;
        lines[0] = 0;
        nx_windows_plain("From:  ", text, lines, size);
        size_t len = strlen(lines);
        ck_assert_uint_lt(len, size);
        ck_assert(len == 0 || (unsigned char)lines[len - 1] != 0xc3);
        free(lines);
    }
}
END_TEST

/* A stranger's text is never a word of its own that could be an option, nor markup. */
START_TEST(hostile_texts)
{
    char text[1024] = "";
    set_locale("C.UTF-8");
    nx_windows_plain("", HOSTILE, text, sizeof text);
    for (enum nx_window_way way = 0; way < NX_N_WAYS; way++) {
        NX_AUTO_ARGS struct nx_args args = { 0 };
        const char *input;
        bool behind_dashes = false, seen = false;
        nx_windows_message(way, true, "title", text, &args, &input);
        ck_assert(!args.failed);
        for (size_t i = 0; i < args.argc; i++) {
            const char *arg = args.argv[i];
            behind_dashes |= strcmp(arg, "--") == 0;
            ck_assert_ptr_null(strpbrk(arg, "\x1b\xff"));
            if (!strstr(arg, "help"))
                continue;
            seen = true;
            ck_assert_msg(strncmp(arg, "--text=", 7) == 0 || arg[0] == '<' || behind_dashes, "%s",
                          arg);
            ck_assert_msg(way == NX_WAY_ZENITY || !strstr(arg, "<b>"), "%s", arg);
        }
        ck_assert_msg(seen != (input != NULL), "%s", args.argv[0]);
        if (way == NX_WAY_ZENITY)
            ck_assert_str_eq(args.argv[2], "--no-markup");
        if (way == NX_WAY_GDBUS)
            ck_assert_str_eq(args.argv[11],
                             "\"--help &lt;b&gt;?n&amp;amp; \\\"'; ?[2J ?? -x?\xc3\xa9\"");
    }
}
END_TEST

START_TEST(answers)
{
    const struct nx_window_question question = {
        .title = "t", .text = "x", .once = "Once", .always = "Always", .no = "No"
    };
    static const struct {
        enum nx_window_way way;
        int status;
        const char *output;
        enum nx_window_answer answer;
    } cases[] = {
        { NX_WAY_ZENITY, 0, "", NX_ANSWER_ONCE },
        { NX_WAY_ZENITY, 1, "", NX_ANSWER_NO },
        { NX_WAY_ZENITY, 1, "Always\n", NX_ANSWER_ALWAYS },
        { NX_WAY_ZENITY, 1, "Alwaysx\n", NX_ANSWER_NO },
        { NX_WAY_ZENITY, 255, "", NX_ANSWER_FAILED },
        { NX_WAY_ZENITY, -1, "Always\n", NX_ANSWER_FAILED },
        { NX_WAY_KDIALOG, 0, "no\n", NX_ANSWER_NO },
        { NX_WAY_KDIALOG, 0, "once\n", NX_ANSWER_ONCE },
        { NX_WAY_KDIALOG, 0, "always\n", NX_ANSWER_ALWAYS },
        { NX_WAY_KDIALOG, 0, "", NX_ANSWER_NO },
        { NX_WAY_KDIALOG, 1, "always\n", NX_ANSWER_NO },
        { NX_WAY_KDIALOG, -1, "always\n", NX_ANSWER_FAILED },
        { NX_WAY_XMESSAGE, 10, "", NX_ANSWER_NO },
        { NX_WAY_XMESSAGE, 11, "", NX_ANSWER_ONCE },
        { NX_WAY_XMESSAGE, 12, "", NX_ANSWER_ALWAYS },
        { NX_WAY_XMESSAGE, 1, "", NX_ANSWER_NO },
        { NX_WAY_XMESSAGE, 0, "", NX_ANSWER_NO },
        { NX_WAY_XMESSAGE, -1, "", NX_ANSWER_FAILED },
        { NX_WAY_GDBUS, 0, "", NX_ANSWER_FAILED },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_int_eq(
            nx_windows_answer(cases[i].way, &question, cases[i].status, cases[i].output),
            cases[i].answer);
}
END_TEST

START_TEST(progress_lines)
{
    char line[64];
    ck_assert_int_eq(nx_windows_progress_line("a", -1, line, sizeof line), 17);
    ck_assert_str_eq(line, "# a\npulsate:true\n");
    nx_windows_progress_line("a", 42, line, sizeof line);
    ck_assert_str_eq(line, "# a\npulsate:false\n42\n");
    ck_assert_int_eq(nx_windows_progress_line("a", 42, line, 8), 0);
}
END_TEST

NX_TEST_MAIN("windows", plain_lines, folded_lines, lines_without_room, hostile_texts, answers,
             progress_lines)
