/* SPDX-License-Identifier: MIT */
#include "common/plain.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Unicode characters from first to last, which are equally long in UTF-8. */
static const struct {
    const char *first, *last;
} unfit[] = {
    { "\x01", "\x1f" },
    { "\x7f", "\x7f" },
    { "\xc2\x80", "\xc2\x9f" },         /* C1: U+0080 to U+009F */
    { "\xd8\x9c", "\xd8\x9c" },         /* Arabic letter mark */
    { "\xe2\x80\x8b", "\xe2\x80\x8f" }, /* zero width, direction: U+200B to U+200F */
    { "\xe2\x80\xa8", "\xe2\x80\xae" }, /* separators, embeddings, overrides: U+2028 to U+202E */
    { "\xe2\x81\xa0", "\xe2\x81\xaf" }, /* joiners, isolates: U+2060 to U+206F */
    { "\xef\xbb\xbf", "\xef\xbb\xbf" }, /* U+FEFF */
};

/* Bytes of the unfit character that the text opens with; 0 if it opens with none. */
static size_t unfit_bytes(const char *text)
{
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        size_t len = strlen(unfit[i].first);
        if (strnlen(text, len) == len && memcmp(text, unfit[i].first, len) >= 0 &&
            memcmp(text, unfit[i].last, len) <= 0)
            return len;
    }
    return 0;
}

char *nx_plain(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        size_t len = unfit_bytes(from);
        *to++ = len ? '?' : *from;
        from += len ? len : 1;
    }
    *to = 0;
    return text;
}

char *nx_plain_ascii(char *text)
{
    for (char *c = text; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    return text;
}
