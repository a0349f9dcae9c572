/* SPDX-License-Identifier: MIT */
/* What nxref check knows of servers and their troubles. */
#include "pack/remedy.h"

#include "common/plain.h"
#include "common/types.h"
#include "formats/package.h"
#include "formats/reference.h"
#include "pack/webcheck-state.h"
#include "tests/support/main.h"

static const struct {
    const char *server, *via, *id;
} answers[] = {
    { "nginx/1.22.1", "", "nginx" },
    { "nginx", "", "nginx" },
    { "openresty/1.21.4.1", "", "nginx" },
    { "Apache/2.4.62 (Debian)", "", "apache" },
    { "lighttpd/1.4.69", "", "lighttpd" },
    { "Caddy", "", "caddy" },
    { "nxserve/0.1.0", "", "nxserve" },
    { "AmazonS3", "", "s3" },
    { "AmazonS3", "1.1 0123.cloudfront.net (CloudFront)", "cloudfront" },
    { "cloudflare", "", "cloudflare" },
    { "Apache", "1.1 varnish (Varnish/7.1)", "varnish" },
    { "nginx/1.22.1", "1.1 some-proxy", "nginx" },
    { "a server like nginx", "", "other" },
    { "", "", "other" },
};

START_TEST(test_server)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        ck_assert_str_eq(nx_webserver_id(nx_webserver_detect(answers[i].server, answers[i].via)),
                         answers[i].id);
}
END_TEST

/* A sentence; or what stands before lines. */
static void check_words(const char *words, bool has_lines)
{
    ck_assert_ptr_nonnull(words);
    ck_assert_uint_gt(strlen(words), 10);
    ck_assert_int_eq(words[strlen(words) - 1], has_lines ? ':' : '.');
}

/* As the table has it for each server. */
static void check_remedies(enum nx_trouble trouble)
{
    for (int w = NX_WEBSERVER_OTHER; w <= NX_WEBSERVER_VARNISH; w++) {
        struct nx_remedy remedy = nx_remedy_for((enum nx_webserver)w, trouble);
        check_words(remedy.words, remedy.lines != NULL);
        if (remedy.lines)
            ck_assert_int_eq(remedy.lines[strlen(remedy.lines) - 1], '\n');
        ck_assert(w != NX_WEBSERVER_OTHER || !remedy.lines);
    }
}

START_TEST(test_trouble)
{
    for (int i = 0; i < NX_TROUBLES; i++) {
        enum nx_trouble trouble = (enum nx_trouble)i;
        const char *id = nx_trouble_id(trouble);
        ck_assert_ptr_nonnull(id);
        ck_assert_uint_eq(strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(id));
        for (int other = 0; other < i; other++)
            ck_assert_str_ne(id, nx_trouble_id((enum nx_trouble)other));
        check_words(nx_trouble_cost(trouble), false);
        /* The worst comes first. */
        if (i > 0)
            ck_assert_int_ge(nx_trouble_severity(trouble),
                             nx_trouble_severity((enum nx_trouble)(i - 1)));
        check_remedies(trouble);
    }
}
END_TEST

static const struct {
    const char *list, *name;
    long value;
} directives[] = {
    { "public, max-age=3600", "max-age", 3600 },
    { "max-age=0", "max-age", 0 },
    { "MAX-AGE=5,immutable", "max-age", 5 },
    { "public,immutable", "immutable", 0 },
    { "public , no-cache ", "no-cache", 0 },
    { "s-maxage=7, max-age=\"9\"", "max-age", 9 },
    { "s-maxage=7", "max-age", -1 },
    { "max-ages=7", "max-age", -1 },
    { "no-cached", "no-cache", -1 },
    { "", "no-store", -1 },
    { ", ,,", "no-store", -1 },
    { "max-age", "max-age", 0 },
    { "max-age=soon", "max-age", 0 },
};

START_TEST(test_directive)
{
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++)
        ck_assert_int_eq(nx_webcheck_directive(directives[i].list, directives[i].name),
                         directives[i].value);
}
END_TEST

START_TEST(test_ascii)
{
    char text[] = "a~ \x1b[31m\x7f\xc3\xa4\xff\n";
    ck_assert_str_eq(nx_plain_ascii(text), "a~ ?[31m?????");
}
END_TEST

/* What is asked for, and what the servers that we configure say, are one. */
START_TEST(test_types)
{
    ck_assert_str_eq(nx_media_type_of("a.nxpk")->type, NX_PACKAGE_TYPE);
    ck_assert_str_eq(nx_media_type_of("a.netx")->type, NX_REFERENCE_TYPE);
}
END_TEST

NX_TEST_MAIN("remedy", test_server, test_trouble, test_directive, test_ascii, test_types)
