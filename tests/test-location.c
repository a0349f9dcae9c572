/* SPDX-License-Identifier: MIT */
#include "fetch/location.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/support/main.h"

START_TEST(contents)
{
    static const struct {
        const char *bytes;
        enum nx_content content;
    } cases[] = {
        { "PK\3\4 more", NX_CONTENT_PACKAGE },
        { "PK\5\6 an empty archive", NX_CONTENT_OTHER },
        { "PK", NX_CONTENT_OTHER },
        { "", NX_CONTENT_OTHER },
        { "<?xml version='1.0'?>", NX_CONTENT_REFERENCE },
        { "\xef\xbb\xbf \r\n\t<image/>", NX_CONTENT_REFERENCE },
        { "  ", NX_CONTENT_OTHER },
        { "QFI\xfb", NX_CONTENT_OTHER },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_int_eq(nx_content_of(cases[i].bytes, strlen(cases[i].bytes)), cases[i].content);
    ck_assert_int_eq(nx_content_of("\0\0<", 3), NX_CONTENT_OTHER);
}
END_TEST

static char dir[] = "/tmp/nxpk-location-XXXXXX";
static char path[64];

static void make_dir(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
}

static void remove_dir(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static int resolve(const char *text, struct nx_location **ret_location, struct nx_error *err)
{
    const struct nx_http_options http = { .tries = 1 };
    return nx_location_resolve(text, &http, true, ret_location, err);
}

/* By content, whatever the name is. */
START_TEST(files)
{
    static const struct {
        const char *bytes;
        const char *message; /* NULL: a package */
    } cases[] = {
        { "PK\3\4 and so on", NULL },
        { "", "neither a package nor a reference" },
        { "#!/bin/sh\n", "neither a package nor a reference" },
        { "<html><body>404</body></html>", "file" },
        { "<truncated", "file" },
    };
    make_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_LOCATION struct nx_location *location = NULL;
        unlink(path);
        nx_assert_ok(nx_write_file(path, 0600, cases[i].bytes, strlen(cases[i].bytes), &err), err);
        if (cases[i].message) {
            nx_assert_fails(resolve(path, &location, &err), err, cases[i].message);
            ck_assert_ptr_null(location);
            continue;
        }
        nx_assert_ok(resolve(path, &location, &err), err);
        ck_assert_str_eq(location->path, path);
        ck_assert_uint_eq(location->n_urls, 0);
        char name[512] = "";
        nx_location_name(location, name);
        ck_assert_str_eq(name, path);
    }
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_LOCATION struct nx_location *location = NULL;
    nx_assert_fails(resolve(dir, &location, &err), err, "not a file");
    remove_dir();
    nx_assert_fails(resolve(path, &location, &err), err, "No such file");
}
END_TEST

START_TEST(reference_file)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_LOCATION struct nx_location *location = NULL;
    char *urls[] = { (char *)"https://a.example/x.nxpk", (char *)"http://b.example/x.nxpk" };
    struct nx_reference reference = { .urls = { urls[0], urls[1] }, .n_urls = 2, .pinned = true };
    memset(&reference.manifest_digest, 7, sizeof reference.manifest_digest);
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_REFERENCE_MAX);
    make_dir();
    nx_assert_ok(nx_reference_write(&reference, &xml, &err), err);
    nx_assert_ok(nx_write_file(path, 0600, xml.data, xml.len, &err), err);
    nx_assert_ok(resolve(path, &location, &err), err);
    remove_dir();
    ck_assert_ptr_null(location->path);
    ck_assert_uint_eq(location->n_urls, 2);
    ck_assert_str_eq(location->urls[0], urls[0]);
    ck_assert_str_eq(location->urls[1], urls[1]);
    ck_assert(location->reference->pinned);
    ck_assert(location->reference_is_local);
    ck_assert(nx_digest_equal(&location->reference->manifest_digest, &reference.manifest_digest));
}
END_TEST

START_TEST(urls)
{
    static const struct {
        const char *text;
        const char *url;     /* NULL: refused */
        const char *message; /* and why */
    } cases[] = {
        { "http://h/x.nxpk", "http://h/x.nxpk", NULL },
        { "https://h/x", "https://h/x", NULL },
        { "vmnetx+https://h/x.nxpk?a=b", "https://h/x.nxpk?a=b", NULL },
        { "vmnetx+http://h/x.nxpk", "http://h/x.nxpk", NULL },
        { "ftp://h/x.nxpk", NULL, "ftp" },
        { "http://h/x.netx", NULL, "--offline needs the reference as a file" },
        { "http://h/x.NETX?v=1#top", NULL, "--offline needs the reference as a file" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err = NX_ERROR_INIT;
        NX_AUTO_LOCATION struct nx_location *location = NULL;
        if (!cases[i].url) {
            nx_assert_fails(resolve(cases[i].text, &location, &err), err, cases[i].message);
            ck_assert_int_eq(err.code, NX_ERR_USAGE);
            continue;
        }
        nx_assert_ok(resolve(cases[i].text, &location, &err), err);
        ck_assert_ptr_null(location->path);
        ck_assert_uint_eq(location->n_urls, 1);
        ck_assert_str_eq(location->urls[0], cases[i].url);
    }
}
END_TEST

/* What messages say of it is for others' eyes, too. */
START_TEST(typed)
{
    static const char *const cases[][2] = {
        { "a@b:c.nxpk", "a@b:c.nxpk" },
        { "http://h/a@b.nxpk?x=1", "http://h/a@b.nxpk?x=1" },
        { "vmnetx+http://h/a.nxpk", "vmnetx+http://h/a.nxpk" },
        { "http://me:secret@h/a.nxpk", "http://h/a.nxpk" },
        { "vmnetx+https://me:secret@h/a.nxpk", "https://h/a.nxpk" },
        { "https://me@h/a.nxpk", "https://h/a.nxpk" },
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(nx_location_typed(cases[i][0], text), cases[i][1]);
}
END_TEST

NX_TEST_MAIN("location", contents, files, reference_file, urls, typed)
