/* SPDX-License-Identifier: MIT */
#include "serve/range.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* One range as it was written, before anything is known of the file. */
struct spec {
    bool suffix;    /* "-N": the last N bytes */
    uint64_t first; /* of "-N": N */
    uint64_t last;  /* inclusive; UINT64_MAX when open */
};

static void skip_space(const char **at)
{
    *at += strspn(*at, " \t");
}

/* Digits into *ret_value.  A number beyond 64 bits is past the end of any file, and
 * UINT64_MAX says the same.
 */
static bool read_number(const char **at, uint64_t *ret_value)
{
    if (!isdigit((unsigned char)**at))
        return false;
    uint64_t value = 0;
    for (; isdigit((unsigned char)**at); (*at)++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            value = UINT64_MAX; /* and it overflows again with every digit */
    *ret_value = value;
    return true;
}

static bool read_spec(const char **at, struct spec *ret_spec)
{
    struct spec spec = { .last = UINT64_MAX };
    spec.suffix = !read_number(at, &spec.first);
    if (**at != '-')
        return false;
    (*at)++;
    bool has_last = read_number(at, spec.suffix ? &spec.first : &spec.last);
    if (spec.suffix ? !has_last : spec.last < spec.first)
        return false;
    *ret_spec = spec;
    return true;
}

/* The bytes of the file that spec means; false if there are none. */
static bool resolve(const struct spec *spec, uint64_t size, struct nx_range *ret_range)
{
    if (spec->suffix) {
        uint64_t length = spec->first < size ? spec->first : size;
        *ret_range = (struct nx_range){ size - length, length };
        return length > 0;
    }
    if (spec->first >= size)
        return false;
    uint64_t last = spec->last < size ? spec->last : size - 1;
    *ret_range = (struct nx_range){ spec->first, last - spec->first + 1 };
    return true;
}

static bool touch(const struct nx_range *a, const struct nx_range *b)
{
    return a->first <= b->first + b->length && b->first <= a->first + a->length;
}

static struct nx_range unite(const struct nx_range *a, const struct nx_range *b)
{
    uint64_t first = a->first < b->first ? a->first : b->first;
    uint64_t a_end = a->first + a->length, b_end = b->first + b->length;
    return (struct nx_range){ first, (a_end > b_end ? a_end : b_end) - first };
}

/* Add range; what it touches becomes one with it, at the place of the first of them.  The
 * ranges that are there do not touch each other, and a union of two that touch has no gap:
 * so what the union touches, one of the two touched, and a single pass finds all.
 */
static void add_range(struct nx_ranges *ranges, struct nx_range range)
{
    size_t kept = 0, place = SIZE_MAX;
    for (size_t i = 0; i < ranges->n; i++) {
        if (!touch(&ranges->at[i], &range)) {
            ranges->at[kept++] = ranges->at[i];
            continue;
        }
        range = unite(&ranges->at[i], &range);
        if (place == SIZE_MAX)
            place = kept++;
    }
    if (place == SIZE_MAX)
        place = kept++;
    ranges->at[place] = range;
    ranges->n = kept;
}

enum nx_range_verdict nx_ranges_parse(const char *value, uint64_t size,
                                      struct nx_ranges *ret_ranges)
{
    static const char unit[] = "bytes=";
    if (strncasecmp(value, unit, strlen(unit)) != 0)
        return NX_RANGE_IGNORE;
    struct nx_ranges ranges = { .n = 0 };
    size_t asked = 0;
    const char *at = value + strlen(unit);
    for (;;) {
        struct spec spec;
        struct nx_range range;
        skip_space(&at);
        if (*at != ',' && *at != '\0') { /* empty elements of a list mean nothing (5.6.1) */
            if (!read_spec(&at, &spec))
                return NX_RANGE_IGNORE;
            /* "bytes=-5" of an empty file is satisfiable, by all of it: no bytes, for which
             * there is no Content-Range.  So it is a 200. */
            if (size == 0 && spec.suffix && spec.first > 0)
                return NX_RANGE_IGNORE;
            if (++asked <= NX_RANGES_MAX && resolve(&spec, size, &range))
                add_range(&ranges, range);
            skip_space(&at);
        }
        if (*at == '\0')
            break;
        if (*at++ != ',')
            return NX_RANGE_IGNORE;
    }
    if (asked == 0)
        return NX_RANGE_IGNORE;
    if (asked > NX_RANGES_MAX || ranges.n == 0)
        return NX_RANGE_UNSATISFIABLE;
    *ret_ranges = ranges;
    return NX_RANGE_SATISFIABLE;
}
