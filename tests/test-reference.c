/* SPDX-License-Identifier: MIT */
#include "formats/reference.h"

#include "tests/support/main.h"

#define HEAD "<reference xmlns=\"http://olivearchive.org/xmlns/vmnetx/reference\""

static int parse(const char *text, struct nx_reference **ret, struct nx_error *err)
{
    return nx_reference_parse(text, strlen(text), "x.netx", ret, err);
}

START_TEST(round_trip)
{
    struct nx_error err;
    struct nx_reference reference = {
        .urls = { (char *)"http://h/a?x=1&y=2", (char *)"https://m/a" }, .n_urls = 2, .pinned = true
    };
    nx_digest_of("x", 1, &reference.manifest_digest);
    NX_AUTO_KEY struct nx_key *key = NULL;
    nx_assert_ok(nx_key_generate(&key, &err), err);
    reference.signer = key;
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_REFERENCE_MAX);
    nx_assert_ok(nx_reference_write(&reference, &xml, &err), err);
    NX_AUTO_REFERENCE struct nx_reference *back = NULL;
    nx_assert_ok(nx_reference_parse(xml.data, xml.len, "x.netx", &back, &err), err);
    ck_assert_uint_eq(back->n_urls, 2);
    ck_assert_str_eq(back->urls[0], reference.urls[0]);
    ck_assert_str_eq(back->urls[1], reference.urls[1]);
    ck_assert(back->pinned && nx_digest_equal(&back->manifest_digest, &reference.manifest_digest));
    ck_assert(nx_key_same_public(back->signer, key));
}
END_TEST

START_TEST(vmnetx)
{
    struct nx_error err;
    NX_AUTO_REFERENCE struct nx_reference *attr = NULL;
    NX_AUTO_REFERENCE struct nx_reference *element = NULL;
    nx_assert_ok(parse(HEAD " url=\"vmnetx+https://h/x.nxpk\"/>", &attr, &err), err);
    ck_assert_str_eq(attr->urls[0], "https://h/x.nxpk");
    ck_assert(!attr->pinned && !attr->signer);
    nx_assert_ok(parse(HEAD ">\n <url>\n http://h/x.nxpk </url></reference>", &element, &err), err);
    ck_assert_str_eq(element->urls[0], "http://h/x.nxpk");
}
END_TEST

START_TEST(refused)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "x.netx: empty" },
        { "<html/>", "x.netx:1: " },
        { HEAD "/>", "x.netx:1: " },
        { HEAD "><url>file:///etc/passwd</url></reference>", "x.netx:1: " },
        { HEAD "><url>ftp://h/x</url></reference>", "x.netx:1: " },
        { HEAD "><url>http://h/x y</url></reference>", "x.netx:1: " },
        { HEAD "><url>http://h/x</url>", "x.netx:1: " },
        { "<!DOCTYPE r [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>" HEAD
          "><url>http://h/&e;</url></reference>",
          "DOCTYPE is not allowed" },
        { HEAD "><url>http://h/x</url><manifest xmlns=\"urn:nxpk:reference\" "
               "sha256=\"abc\"/></reference>",
          "x.netx:1: " },
        { HEAD
          "><url>http://h/x</url><signer xmlns=\"urn:nxpk:reference\">key</signer></reference>",
          "<signer> is not an Ed25519 public key" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nx_error err;
        NX_AUTO_REFERENCE struct nx_reference *reference = NULL;
        nx_assert_fails(parse(cases[i].text, &reference, &err), err, cases[i].message);
    }
    struct nx_error err;
    NX_AUTO_BUFFER struct nx_buffer many = NX_BUFFER_INIT(NX_REFERENCE_MAX);
    nx_buffer_printf(&many, &err, HEAD ">");
    for (int i = 0; i <= NX_MIRRORS_MAX; i++)
        nx_buffer_printf(&many, &err, "<url>http://h/%d</url>", i);
    nx_buffer_printf(&many, &err, "</reference>");
    NX_AUTO_REFERENCE struct nx_reference *reference = NULL;
    nx_assert_fails(nx_reference_parse(many.data, many.len, "x.netx", &reference, &err), err,
                    "more than 16 URLs");
}
END_TEST

NX_TEST_MAIN("reference", round_trip, vmnetx, refused)
