/* SPDX-License-Identifier: MIT */
/* Records of what a machine touched: written and read again, and what is not one. */
#include "formats/record.h"

#include <stdio.h>

#include "tests/support/main.h"

#define HEX   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define IMAGE "{\"name\":\"disk0\",\"content\":\"" HEX "\",\"chunk-size\":65536}"
#define RECORD(images, touched) \
    "{\"nxpk-record\":1,\"images\":[" images "],\"touched\":[" touched "]}"

static struct nx_manifest *manifest_of(const char *name)
{
    struct nx_manifest *m = calloc(1, sizeof *m);
    m->n_images = 1;
    strcpy(m->images[0].name, name);
    m->images[0].size = 65536 * 10 - 1;
    m->images[0].chunk_size = 65536;
    ck_assert_int_eq(nx_digest_parse(HEX, &m->images[0].content, NULL), 0);
    return m;
}

START_TEST(goes_round)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_record *record, *again;
    NX_AUTO_BUFFER struct nx_buffer json = NX_BUFFER_INIT(NX_RECORD_MAX);
    struct nx_manifest *m = manifest_of("disk0");
    nx_assert_ok(nx_record_new(m, &record, &err), err);
    for (uint32_t i = 0; i < 5000; i++)
        nx_assert_ok(nx_record_add(record, &(struct nx_touch){ i * 3, 0, i % 10 }, &err), err);
    nx_assert_ok(nx_record_write(record, &json, &err), err);
    nx_assert_ok(nx_record_parse(json.data, json.len, "r", &again, &err), err);
    ck_assert_uint_eq(again->count, 5000);
    ck_assert_mem_eq(again->touches, record->touches, 5000 * sizeof *record->touches);
    nx_assert_ok(nx_record_check(again, m, "r", &err), err);
    nx_record_free(record);
    nx_record_free(again);
    free(m);
}
END_TEST

static const struct {
    const char *json, *says;
} bad[] = {
    { "", "not a record of nxfetch: line" },
    { "[]", "not an object of" },
    { "{}", "not an object of" },
    { RECORD(IMAGE, "") "x", "not a record of nxfetch: line 1" },
    { "{\"nxpk-record\":2,\"images\":[" IMAGE "],\"touched\":[]}", "its version is not 1" },
    { "{\"nxpk-record\":1,\"images\":[" IMAGE "],\"touched\":[],\"more\":1}", "not an object of" },
    { "{\"nxpk-record\":1,\"nxpk-record\":1,\"images\":[" IMAGE "],\"touched\":[]}", "duplicate" },
    { RECORD("", ""), "is not a list of 1 to 64" },
    { RECORD("1", ""), "without exactly name" },
    { RECORD("{\"name\":\"a\",\"content\":\"" HEX "\"}", ""), "without exactly name" },
    { RECORD("{\"name\":\"\",\"content\":\"" HEX "\",\"chunk-size\":65536}", ""), "image's name" },
    { RECORD("{\"name\":\"an-image-name-that-is-far-too-long-for-one\",\"content\":\"" HEX
             "\",\"chunk-size\":65536}",
             ""),
      "image's name" },
    { RECORD("{\"name\":\"a\",\"content\":\"12\",\"chunk-size\":65536}", ""), "content digest" },
    { RECORD("{\"name\":\"a\",\"content\":\"" HEX "\",\"chunk-size\":1}", ""), "chunk-size" },
    { RECORD("{\"name\":\"a\",\"content\":\"" HEX "\",\"chunk-size\":\"x\"}", ""), "chunk-size" },
    { RECORD(IMAGE, "1"), "not three numbers" },
    { RECORD(IMAGE, "[1,0]"), "not three numbers" },
    { RECORD(IMAGE, "[1,0,-1]"), "not three numbers" },
    { RECORD(IMAGE, "[1,0,1.5]"), "not three numbers" },
    { RECORD(IMAGE, "[1,1,0]"), "an image that is not there" },
    { RECORD(IMAGE, "[4294967296,0,0]"), "an image that is not there" },
};

START_TEST(refuses_others)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct nx_error err = NX_ERROR_INIT;
        struct nx_record *record;
        nx_assert_fails(nx_record_parse(bad[i].json, strlen(bad[i].json), "r.json", &record, &err),
                        err, bad[i].says);
        ck_assert_msg(strncmp(err.msg, "r.json: ", 8) == 0, "%s", err.msg);
    }
}
END_TEST

START_TEST(belongs_to_its_package)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_record *record;
    static const char json[] = RECORD(IMAGE, "[0,0,9]");
    struct nx_manifest *m = manifest_of("disk0");
    nx_assert_ok(nx_record_parse(json, sizeof json - 1, "r", &record, &err), err);
    nx_assert_ok(nx_record_check(record, m, "r", &err), err);
    m->images[0].size = 65536 * 9;
    nx_assert_fails(nx_record_check(record, m, "r", &err), err, "behind the end of disk0");
    m->images[0].chunk_size = 4096;
    nx_assert_fails(nx_record_check(record, m, "r", &err), err, "another content");
    strcpy(m->images[0].name, "disk1");
    nx_assert_fails(nx_record_check(record, m, "r", &err), err, "other names");
    m->n_images = 0;
    nx_assert_fails(nx_record_check(record, m, "r", &err), err, "another number of images");
    nx_record_free(record);
    free(m);
}
END_TEST

NX_TEST_MAIN("record", goes_round, refuses_others, belongs_to_its_package)
