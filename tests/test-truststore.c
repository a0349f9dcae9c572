/* SPDX-License-Identifier: MIT */
#include "fetch/truststore.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/main.h"

#define ALICE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOB   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char home[] = "/tmp/nxpk-home-XXXXXX";
static char path[128];

static void make_home(void)
{
    ck_assert_ptr_nonnull(mkdtemp(home));
    setenv("XDG_CONFIG_HOME", home, 1);
    snprintf(path, sizeof path, "%s/nxpk/trust.json", home);
}

static void drop_home(void)
{
    static const char *const files[] = { "nxpk/trust.json", "nxpk/trust.json.lock", "nxpk", "" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", home, files[i]);
        remove(name);
    }
}

START_TEST(kept)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_trusted trusted = { .name = "Alice \"\x1b[1m\"", .no_network = true };
    make_home();
    NX_AUTO_TRUSTSTORE struct nx_truststore a = NX_TRUSTSTORE_INIT, b = NX_TRUSTSTORE_INIT;
    nx_assert_ok(nx_truststore_open(&a, &err), err);
    ck_assert(!nx_truststore_signer(&a, ALICE, &trusted));
    ck_assert_int_ne(access(path, F_OK), 0); /* looking makes no file */
    nx_assert_ok(nx_truststore_lock(&a, &err), err);
    nx_assert_ok(nx_truststore_add_signer(&a, ALICE, &trusted, &err), err);
    nx_assert_ok(nx_truststore_note_url(&a, "http://h/a", ALICE, &err), err);
    nx_assert_ok(nx_truststore_note_url(&a, "http://h/b", BOB, &err), err);
    nx_assert_ok(nx_truststore_note_serial(&a, ALICE, "x", 5, &err), err);
    nx_assert_ok(nx_truststore_note_serial(&a, ALICE, "x", 4, &err), err);
    nx_assert_ok(nx_truststore_note_serial(&a, BOB, "x", UINT64_C(1) << 59, &err), err);
    nx_assert_ok(nx_truststore_commit(&a, &err), err);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);

    nx_assert_ok(nx_truststore_open(&b, &err), err);
    struct nx_trusted found;
    ck_assert(nx_truststore_signer(&b, ALICE, &found));
    ck_assert_str_eq(found.name, trusted.name);
    ck_assert(found.no_network && strlen(found.since) == 20);
    ck_assert(!nx_truststore_signer(&b, BOB, &found));
    ck_assert_str_eq(nx_truststore_url(&b, "http://h/b"), BOB);
    ck_assert_ptr_null(nx_truststore_url(&b, "http://h/c"));
    ck_assert_uint_eq(nx_truststore_serial(&b, ALICE, "x"), 5);
    ck_assert_uint_eq(nx_truststore_serial(&b, ALICE, "y"), 0);
    ck_assert_uint_eq(nx_truststore_serial(&b, BOB, "x"), UINT64_C(1) << 59);
    /* Who is removed is forgotten with all that was seen of him. */
    ck_assert(nx_truststore_remove_signer(&b, ALICE));
    ck_assert(!nx_truststore_remove_signer(&b, ALICE));
    ck_assert_ptr_null(nx_truststore_url(&b, "http://h/a"));
    ck_assert_uint_eq(nx_truststore_serial(&b, ALICE, "x"), 0);
    ck_assert_str_eq(nx_truststore_url(&b, "http://h/b"), BOB);
    drop_home();
}
END_TEST

/* Who is trusted is not guessed. */
START_TEST(damaged)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"version\": 1}",
        "{\"version\": 2, \"signers\": {}, \"urls\": {}, \"packages\": {}}",
        "{\"version\": 1, \"signers\": {\"x\": {\"name\": \"\", \"since\": \"\", \"network\": "
        "true}}, \"urls\": {}, \"packages\": {}}",
        "{\"version\": 1, \"signers\": {\"" ALICE "\": {\"name\": 1, \"since\": \"\", \"network\": "
        "true}}, \"urls\": {}, \"packages\": {}}",
        "{\"version\": 1, \"signers\": {}, \"urls\": {\"u\": {\"signer\": \"x\", \"seen\": "
        "\"\"}}, \"packages\": {}}",
        "{\"version\": 1, \"signers\": {}, \"urls\": {\"u\": null}, \"packages\": {}}",
        "{\"version\": 1, \"signers\": {}, \"urls\": {}, \"packages\": {\"" ALICE "\": []}}",
        "{\"version\": 1, \"signers\": {}, \"urls\": {}, \"packages\": {\"" ALICE
        "\": {\"x\": {\"serial\": -1, \"seen\": \"\"}}}}",
        "{\"version\": 1, \"version\": 1, \"signers\": {}, \"urls\": {}, \"packages\": {}}",
    };
    make_home();
    char folder[128];
    snprintf(folder, sizeof folder, "%s/nxpk", home);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
        nx_assert_ok(nx_write_file(path, 0600, texts[i], strlen(texts[i]), &err), err);
        ck_assert_msg(nx_truststore_open(&store, &err) < 0, "case %zu", i);
        ck_assert_msg(strstr(err.msg, path) && strstr(err.msg, "whom you trust"), "case %zu: %s", i,
                      err.msg);
    }
    drop_home();
}
END_TEST

/* What one process adds another one's change does not lose. */
START_TEST(at_once)
{
    struct nx_error err = NX_ERROR_INIT;
    make_home();
    for (int child = 0; child < 8; child++) {
        if (fork() > 0)
            continue;
        for (int i = 0; i < 5; i++) {
            NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
            char url[64];
            snprintf(url, sizeof url, "http://h/%d/%d", child, i);
            if (nx_truststore_open(&store, &err) < 0 || nx_truststore_lock(&store, &err) < 0 ||
                nx_truststore_note_url(&store, url, ALICE, &err) < 0 ||
                nx_truststore_commit(&store, &err) < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (int child = 0; child < 8; child++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    nx_assert_ok(nx_truststore_open(&store, &err), err);
    ck_assert_uint_eq(json_object_size(nx_truststore_urls(&store)), 40);
    drop_home();
}
END_TEST

START_TEST(bounded)
{
    struct nx_error err = NX_ERROR_INIT;
    make_home();
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    nx_assert_ok(nx_truststore_open(&store, &err), err);
    for (int i = 0; i < NX_TRUSTSTORE_SEEN_MAX + 10; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://h/%d", i);
        nx_assert_ok(nx_truststore_note_url(&store, url, ALICE, &err), err);
    }
    ck_assert_uint_eq(json_object_size(nx_truststore_urls(&store)), NX_TRUSTSTORE_SEEN_MAX);
    ck_assert_ptr_nonnull(nx_truststore_url(&store, "http://h/10009"));
    drop_home();
}
END_TEST

/* Without a home nobody is known, and nothing can be kept. */
START_TEST(homeless)
{
    struct nx_error err = NX_ERROR_INIT;
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    nx_assert_ok(nx_truststore_open(&store, &err), err);
    nx_assert_fails(nx_truststore_lock(&store, &err), err, "set $HOME");
}
END_TEST

NX_TEST_MAIN("truststore", kept, damaged, at_once, bounded, homeless)
