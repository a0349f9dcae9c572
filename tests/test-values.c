/* SPDX-License-Identifier: MIT */
#include "fetch/values.h"

#include "fetch/options.h"
#include "tests/support/main.h"

#define GIB (UINT64_C(1) << 30)

START_TEST(sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;      /* 0: refused */
        const char *message; /* and why */
    } cases[] = {
        { "512M", GIB / 2, NULL },       { "2g", 2 * GIB, NULL },
        { "2GiB", 2 * GIB, NULL },       { "1.5GB", GIB * 3 / 2, NULL },
        { "512", 0, "is not a size" },   { "", 0, "is not a size" },
        { "M", 0, "is not a size" },     { "-1G", 0, "is not a size" },
        { " 1G", 0, "is not a size" },   { ".5G", 0, "is not a size" },
        { "1..5G", 0, "is not a size" }, { "1GG", 0, "is not a size" },
        { "0x10M", 0, "is not a size" }, { "1e3M", 0, "is not a size" },
        { "1K", 0, "too small" },        { "99999999999999999999G", 0, "too large" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        uint64_t bytes = 0;
        if (cases[i].bytes) {
            nx_assert_ok(nx_parse_size("memory", cases[i].text, 1 << 20, 64 * GIB, &bytes, &err),
                         err);
            ck_assert_uint_eq(bytes, cases[i].bytes);
        } else {
            nx_assert_fails(nx_parse_size("memory", cases[i].text, 1 << 20, 64 * GIB, &bytes, &err),
                            err, cases[i].message);
            ck_assert_int_eq(err.code, NX_ERR_USAGE);
            ck_assert_ptr_nonnull(strstr(err.msg, "--memory"));
        }
    }
}
END_TEST

START_TEST(numbers)
{
    struct nx_error err = NX_ERROR_INIT;
    uint64_t value = 0;
    nx_assert_ok(nx_parse_number("cpus", "255", 1, 255, &value, &err), err);
    ck_assert_uint_eq(value, 255);
    static const char *const bad[] = { "", "0", "256", "-1", "+1", "1 ", "18446744073709551617" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        nx_assert_fails(nx_parse_number("cpus", bad[i], 1, 255, &value, &err), err,
                        "is not a number from 1 to 255");
}
END_TEST

START_TEST(forwards)
{
    static const struct {
        const char *text;
        struct nx_forward forward;
        const char *message; /* NULL: accepted */
    } cases[] = {
        { "2222:22", { false, "127.0.0.1", 2222, 22 }, NULL },
        { "tcp:2222:22", { false, "127.0.0.1", 2222, 22 }, NULL },
        { "udp:53:5353", { true, "127.0.0.1", 53, 5353 }, NULL },
        { "0.0.0.0:80:8080", { false, "0.0.0.0", 80, 8080 }, NULL },
        { "udp:192.0.2.1:1:65535", { true, "192.0.2.1", 1, 65535 }, NULL },
        { "", { 0 }, "is not [tcp:" },
        { "22", { 0 }, "is not [tcp:" },
        { ":22", { 0 }, "is not [tcp:" },
        { "22:", { 0 }, "is not [tcp:" },
        { "0:22", { 0 }, "is not [tcp:" },
        { "22:0", { 0 }, "is not [tcp:" },
        { "65536:22", { 0 }, "is not [tcp:" },
        { "22:22,guestfwd=x", { 0 }, "is not [tcp:" },
        { "localhost:80:80", { 0 }, "'localhost' is not an IPv4 address" },
        { "sctp:80:80", { 0 }, "'sctp' is not an IPv4 address" },
        { "1.2.3.4.5.6.7.8.9.10.11:80:80", { 0 }, "is not an IPv4 address" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        struct nx_forward forward;
        if (cases[i].message) {
            nx_assert_fails(nx_parse_forward(cases[i].text, &forward, &err), err, cases[i].message);
            continue;
        }
        nx_assert_ok(nx_parse_forward(cases[i].text, &forward, &err), err);
        ck_assert_int_eq(forward.udp, cases[i].forward.udp);
        ck_assert_str_eq(forward.host_address, cases[i].forward.host_address);
        ck_assert_uint_eq(forward.host_port, cases[i].forward.host_port);
        ck_assert_uint_eq(forward.guest_port, cases[i].forward.guest_port);
    }
}
END_TEST

START_TEST(serial_and_vnc)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_serial serial;
    char vnc[80];
    nx_assert_ok(nx_parse_serial("stdio", &serial, &err), err);
    ck_assert_int_eq(serial.kind, NX_SERIAL_STDIO);
    nx_assert_ok(nx_parse_serial("unix:/run/s", &serial, &err), err);
    ck_assert_int_eq(serial.kind, NX_SERIAL_UNIX);
    ck_assert_str_eq(serial.path, "/run/s");
    nx_assert_ok(nx_parse_serial("./stdio", &serial, &err), err);
    ck_assert_int_eq(serial.kind, NX_SERIAL_FILE);
    nx_assert_fails(nx_parse_serial("unix:", &serial, &err), err, "is not stdio");
    nx_assert_fails(nx_parse_serial("", &serial, &err), err, "is not stdio");

    nx_assert_ok(nx_parse_vnc(":1", vnc, &err), err);
    ck_assert_str_eq(vnc, "127.0.0.1:1");
    nx_assert_ok(nx_parse_vnc("7", vnc, &err), err);
    ck_assert_str_eq(vnc, "127.0.0.1:7");
    nx_assert_ok(nx_parse_vnc("0.0.0.0:2", vnc, &err), err);
    ck_assert_str_eq(vnc, "0.0.0.0:2");
    nx_assert_fails(nx_parse_vnc("a,password=off:1", vnc, &err), err, "is not [ADDRESS:]N");
    nx_assert_fails(nx_parse_vnc(":", vnc, &err), err, "is not [ADDRESS:]N");
    nx_assert_fails(nx_parse_vnc(":99999", vnc, &err), err, "is not [ADDRESS:]N");
}
END_TEST

/* Whole command lines, with the message that each mistake gets. */
START_TEST(command_lines)
{
    static const struct {
        const char *words[8];
        enum nx_verb verb;
        const char *message; /* NULL: accepted */
    } cases[] = {
        { { "http://h/x.nxpk" }, NX_VERB_RUN, NULL },
        { { "./info" }, NX_VERB_RUN, NULL },
        { { "x.nxpk", "--cpus", "2", "-v" }, NX_VERB_RUN, NULL },
        { { "--desktop", "--", "http://h/x.nxpk" }, NX_VERB_RUN, NULL },
        { { "x.nxpk", "--fullscreen", "--display=sdl" }, NX_VERB_RUN, NULL },
        { { "info", "x.nxpk", "--json" }, NX_VERB_INFO, NULL },
        { { "--json", "info", "x.nxpk" }, NX_VERB_INFO, NULL },
        { { "pull", "http://h/x" }, NX_VERB_PULL, NULL },
        { { "mount", "x", "dir" }, NX_VERB_MOUNT, NULL },
        { { "cache", "show" }, NX_VERB_CACHE_SHOW, NULL },
        { { "cache", "prune", "1G" }, NX_VERB_CACHE_PRUNE, NULL },
        { { "--help", "nonsense", "more" }, NX_VERB_HELP, NULL },
        { { NULL }, 0, "which machine?" },
        { { "a", "b" }, 0, "one machine at a time" },
        { { "info" }, 0, "a file of that name is ./info" },
        { { "mount", "x" }, 0, "needs LOCATION DIR" },
        { { "cache" }, 0, "show, prune, clear or verify?" },
        { { "cache", "burn" }, 0, "'burn' is not show" },
        { { "cache", "show", "1G" }, 0, "too many arguments" },
        { { "cache", "prune", "lots" }, 0, "is not a size" },
        { { "--bogus", "x" }, 0, "--bogus is not an option" },
        { { "-z", "x" }, 0, "-z is not an option" },
        { { "x", "--cpus" }, 0, "--cpus needs a value" },
        { { "x", "--no-network=1" }, 0, "takes no value" },
        { { "info", "x", "--cpus", "2" }, 0, "--cpus means nothing here" },
        { { "x", "--json" }, NX_VERB_RUN, NULL },
        { { "x", "--json", "--serial", "f", "--web" }, NX_VERB_RUN, NULL },
        { { "x", "--json", "--serial=stdio" }, 0, "--json and --serial=stdio exclude each other" },
        { { "status", "--json", "--web" }, 0, "--web excludes --watch and --json" },
        { { "pull", "x", "--desktop" }, 0, "--desktop means nothing here" },
        { { "x", "--fullscreen", "--vnc", ":1" }, 0, "--fullscreen needs a window" },
        { { "x", "--fullscreen", "--display", "none" }, 0, "--fullscreen needs a window" },
        { { "x", "--accel", "fast" }, 0, "'fast' is not auto" },
        { { "x", "--trust", "/nonexistent" }, 0, "--trust: /nonexistent" },
        { { "http://h/x", "--offline", "--no-cache" }, 0, "--offline needs the cache" },
        { { "x", "--web" }, NX_VERB_RUN, NULL },
        { { "--web=[::1]:0", "--no-browser", "x" }, NX_VERB_RUN, NULL },
        { { "--web", "8080", "x" }, 0, "one machine at a time" },
        { { "--web=8080x", "x" }, 0, "--web: '8080x' is not [ADDRESS:]PORT" },
        { { "x", "--vnc", ":1", "--no-password" }, NX_VERB_RUN, NULL },
        { { "x", "--no-password" }, 0, "--no-password needs --vnc" },
        { { "x", "--vnc-password-file", "f" }, 0, "--vnc-password-file needs --vnc" },
        { { "x", "--no-browser" }, 0, "--no-browser needs --web" },
        { { "x", "--progress-fd", "77" }, 0, "--progress-fd: descriptor 77" },
    };
    setenv("HOME", "/nonexistent", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *argv[10] = { (char *)"nxfetch" };
        int argc = 1;
        for (; argc < 9 && cases[i].words[argc - 1]; argc++)
            argv[argc] = (char *)cases[i].words[argc - 1];
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_OPTIONS struct nx_options options;
        if (cases[i].message) {
            nx_assert_fails(nx_options_parse(argc, argv, &options, &err), err, cases[i].message);
            continue;
        }
        nx_assert_ok(nx_options_parse(argc, argv, &options, &err), err);
        ck_assert_int_eq(options.verb, cases[i].verb);
    }
}
END_TEST

NX_TEST_MAIN("values", sizes, numbers, forwards, serial_and_vnc, command_lines)
