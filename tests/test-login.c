/* SPDX-License-Identifier: MIT */
/* What curl is told for which URL, and what is said of a refusal.  (Real servers: 44-logins.sh.) */
#include "common/login.h"

#include "common/weboptions.h"
#include "tests/support/main.h"

START_TEST(test_token)
{
    static const struct {
        const char *url;
        bool anyhow, good;
    } cases[] = {
        { "https://example.org/a", false, true },
        { "https://127.0.0.1/a", false, true },
        { "http://127.0.0.1:8080/a", false, true },
        { "http://127.5.6.7/a", false, true },
        { "http://localhost/a", false, true },
        { "http://[::1]:80/a", false, true },
        { "http://example.org/a", false, false },
        { "http://example.org/a", true, true },
        { "http://localhost.example.org/a", false, false },
        { "http://127.example.org/a", false, false },
        { "http://127.0.0.1.example.org/a", false, false },
        { "http://10.0.0.1/?127.0.0.1", false, false },
        { "http://[::2]/a", false, false },
    };
    CURL *easy = curl_easy_init();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_login login;
        struct nx_login_use use;
        struct nx_error err = NX_ERROR_INIT;
        nx_login_init(&login);
        login.bearer.command = "true";
        login.anyhow = cases[i].anyhow;
        nx_assert_ok(nx_login_set_token(&login, "abcdef", 3, &err), err);
        ck_assert_str_eq(login.token, "abc");
        int ret = nx_login_apply(&login, easy, cases[i].url, NULL, &use, &err);
        ck_assert_msg((ret == 0) == cases[i].good, "%s: %s", cases[i].url, err.msg);
        ck_assert(use.token == cases[i].good);
        if (!cases[i].good)
            ck_assert_ptr_nonnull(strstr(err.msg, "https only"));
        nx_login_release(&login);
    }
    curl_easy_cleanup(easy);
}
END_TEST

/* A URL's own password comes before all else. */
START_TEST(test_use)
{
    CURL *easy = curl_easy_init();
    struct nx_login login;
    struct nx_login_use use;
    struct nx_error err = NX_ERROR_INIT;
    nx_login_init(&login);
    login.user = "joe";
    login.password = strdup("x");
    nx_assert_ok(nx_login_apply(&login, easy, "http://h/a", NULL, &use, &err), err);
    ck_assert(use.user && !use.netrc && !use.token && !use.secure);
    login.user = NULL;
    login.netrc = strdup("/nonexistent");
    nx_assert_ok(nx_login_apply(&login, easy, "https://h/a", NULL, &use, &err), err);
    ck_assert(!use.user && use.netrc && use.secure);
    nx_assert_ok(nx_login_apply(&login, easy, "https://eve:y@h/a", NULL, &use, &err), err);
    ck_assert(use.user && !use.netrc);
    login.bearer.command = "true";
    nx_assert_ok(nx_login_set_token(&login, "t", 1, &err), err);
    nx_assert_ok(nx_login_apply(&login, easy, "https://eve:y@h/a", NULL, &use, &err), err);
    ck_assert(use.user && !use.token);
    nx_assert_ok(nx_login_apply(&login, easy, "https://h/a", NULL, &use, &err), err);
    ck_assert(use.token && !use.user && !use.netrc);
    ck_assert(nx_login_is_current(&login, &use));
    nx_assert_ok(nx_login_set_token(&login, "u", 1, &err), err);
    ck_assert(!nx_login_is_current(&login, &use));
    nx_assert_ok(nx_login_apply(NULL, easy, "https://h/a", NULL, &use, &err), err);
    ck_assert(use.secure && !use.token && !nx_login_has_secrets(NULL));
    nx_login_release(&login);
    curl_easy_cleanup(easy);
}
END_TEST

static unsigned count_cookies(CURL *easy)
{
    struct curl_slist *list = NULL;
    unsigned n = 0;
    curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &list);
    for (struct curl_slist *line = list; line; line = line->next)
        n++;
    curl_slist_free_all(list);
    return n;
}

/* A server that sets cookies without end: then the jar is as it was at first. */
START_TEST(test_jar)
{
    NX_AUTO_WEB struct nx_web_options web;
    struct nx_error err = NX_ERROR_INIT;
    char name[] = "/tmp/nxpk-cookies.XXXXXX";
    static const char text[] = "example.org\tFALSE\t/\tFALSE\t0\tours\tsecret\n";
    int fd = mkstemp(name);
    ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    nx_web_init(&web);
    web.cookie = name;
    nx_assert_ok(nx_web_settle(&web, "http://example.org/", false, &err), err);
    unlink(name);
    CURL *easy = curl_easy_init(), *other = curl_easy_init();
    struct nx_login_use use;
    nx_assert_ok(nx_login_apply(&web.login, easy, "http://example.org/", NULL, &use, &err), err);
    ck_assert_uint_eq(count_cookies(easy), 1);
    for (int i = 0; i < 100; i++) {
        char line[64];
        snprintf(line, sizeof line, "example.org\tFALSE\t/\tFALSE\t0\tc%d\tx", i);
        curl_easy_setopt(easy, CURLOPT_COOKIELIST, line);
        nx_login_count_cookie(&web.login, 4000);
    }
    ck_assert_uint_eq(count_cookies(easy), 101);
    nx_assert_ok(nx_login_apply(&web.login, other, "http://example.org/", NULL, &use, &err), err);
    ck_assert_uint_eq(count_cookies(other), 1); /* 400,000 bytes were too many */
    curl_easy_setopt(easy, CURLOPT_COOKIELIST, "example.org\tFALSE\t/\tFALSE\t0\tmore\tx");
    nx_login_count_cookie(&web.login, 4000);
    nx_assert_ok(nx_login_apply(&web.login, other, "http://example.org/", NULL, &use, &err), err);
    ck_assert_uint_eq(count_cookies(other), 2);
    curl_easy_cleanup(easy);
    curl_easy_cleanup(other);
}
END_TEST

START_TEST(test_schemes)
{
    ck_assert_uint_eq(nx_login_scheme("Basic realm=\"x\""), CURLAUTH_BASIC);
    ck_assert_uint_eq(nx_login_scheme("digest realm=\"x\""), CURLAUTH_DIGEST);
    ck_assert_uint_eq(nx_login_scheme("Bearer"), CURLAUTH_BEARER);
    ck_assert_uint_eq(nx_login_scheme("Basically"), CURLAUTH_NEGOTIATE);
    ck_assert_uint_eq(nx_login_scheme("NTLM"), CURLAUTH_NEGOTIATE);
    static const struct {
        struct nx_login_use use;
        long status;
        unsigned long schemes;
        const char *text;
    } cases[] = {
        { { 0 }, 401, 0, "--user NAME" },
        { { 0 }, 401, CURLAUTH_BASIC | CURLAUTH_NEGOTIATE, "--user NAME" },
        { { 0 }, 401, CURLAUTH_BEARER, "--bearer-command" },
        { { 0 }, 401, CURLAUTH_NEGOTIATE, "not known here" },
        { { .user = true }, 401, CURLAUTH_BASIC, "does not take this user name" },
        { { .user = true }, 401, CURLAUTH_BEARER, "wants a token, no password" },
        { { .netrc = true }, 401, CURLAUTH_BASIC, "none of .netrc" },
        { { .token = true }, 401, CURLAUTH_BEARER, "does not take the token" },
        { { .token = true }, 407, CURLAUTH_BASIC, "--proxy-user NAME" },
        { { .proxy_user = true }, 407, CURLAUTH_BASIC, "the proxy does not take" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(strstr(nx_login_advice(&cases[i].use, cases[i].status, cases[i].schemes),
                             cases[i].text),
                      "%zu: %s", i, cases[i].text);
}
END_TEST

NX_TEST_MAIN("login", test_token, test_use, test_jar, test_schemes)
