/* SPDX-License-Identifier: MIT */
/* The member device-state: one zstd frame of a size that is known before. */
#include "formats/devicestate.h"

#include "tests/support/main.h"

struct got {
    uint8_t bytes[200000];
    size_t len, limit;
};

static int take(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    struct got *got = opaque;
    ck_assert_uint_le(got->len + len, got->limit);
    memcpy(got->bytes + got->len, data, len);
    got->len += len;
    return 0;
}

static struct got got;
static uint8_t raw[150000];

static struct nx_buffer stored_state(void)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_STATE_WRITER struct nx_state_writer *writer = NULL;
    struct nx_buffer stored;
    uint64_t size;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i * i >> 9);
    nx_assert_ok(nx_state_writer_new(3, &writer, &err), err);
    for (size_t at = 0, n = 1; at < sizeof raw; at += n, n = n * 2 + 1) {
        n = n < sizeof raw - at ? n : sizeof raw - at;
        nx_assert_ok(nx_state_writer_add(writer, raw + at, n, &err), err);
    }
    nx_assert_ok(nx_state_writer_finish(writer, &stored, &size, &err), err);
    ck_assert_uint_eq(size, sizeof raw);
    return stored;
}

static int read_state(const void *data, size_t len, uint64_t size, struct nx_error *err)
{
    got.len = 0;
    got.limit = size;
    return nx_state_read(data, len, size, take, &got, err);
}

START_TEST(goes_round)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_buffer stored = stored_state();
    ck_assert_uint_lt(stored.len, sizeof raw);
    nx_assert_ok(read_state(stored.data, stored.len, sizeof raw, &err), err);
    ck_assert_uint_eq(got.len, sizeof raw);
    ck_assert_mem_eq(got.bytes, raw, sizeof raw);
    nx_buffer_release(&stored);
}
END_TEST

/* Never a byte more than was announced, whatever the frame holds. */
START_TEST(refuses_what_is_not_one)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_buffer stored = stored_state();
    nx_assert_fails(read_state(stored.data, stored.len, sizeof raw - 1, &err), err, "larger than");
    nx_assert_fails(read_state(stored.data, stored.len, 1, &err), err, "larger than");
    nx_assert_fails(read_state(stored.data, stored.len, sizeof raw + 1, &err), err, "smaller than");
    for (size_t len = 0; len < stored.len; len += 97)
        nx_assert_fails(read_state(stored.data, len, sizeof raw, &err), err, "device state: ");
    nx_assert_ok(nx_buffer_add(&stored, "x", 1, &err), err);
    nx_assert_fails(read_state(stored.data, stored.len, sizeof raw, &err), err, "bytes follow");
    stored.data[0] ^= 1;
    nx_assert_fails(read_state(stored.data, stored.len, sizeof raw, &err), err, "Unknown frame");
    /* A frame that may be skipped holds nothing. */
    static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4 };
    nx_assert_fails(read_state(skippable, sizeof skippable, 4, &err), err, "smaller than");
    /* A window of 1 GiB would take as much memory. */
    static const uint8_t window[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00 };
    nx_assert_fails(read_state(window, sizeof window, 4, &err), err, "memory");
    nx_buffer_release(&stored);
}
END_TEST

NX_TEST_MAIN("devicestate", goes_round, refuses_what_is_not_one)
