/* SPDX-License-Identifier: MIT */
#include "common/types.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

const struct nx_media_type nx_media_types[] = {
    { "nxpk", "application/x-vmnetx-package", true, true },
    { "netx", "application/x-vmnetx-reference+xml", true, false },
    { "html", "text/html; charset=utf-8", false, false },
    { "css", "text/css; charset=utf-8", false, false },
    { "js", "text/javascript; charset=utf-8", false, false },
    { "txt", "text/plain; charset=utf-8", false, false },
    { "md", "text/markdown; charset=utf-8", false, false },
    { "xml", "application/xml", false, false },
    { "json", "application/json", false, false },
    { "pem", "application/x-pem-file", false, false },
    { "svg", "image/svg+xml", false, false },
    { "png", "image/png", false, false },
    { "jpg", "image/jpeg", false, false },
    { "jpeg", "image/jpeg", false, false },
    { "webp", "image/webp", false, false },
    { "ico", "image/x-icon", false, false },
};
const size_t nx_n_media_types = sizeof nx_media_types / sizeof *nx_media_types;

static const struct nx_media_type unknown = { "", "application/octet-stream", false, false };
static const struct nx_media_type volume = { "", "application/octet-stream", true, false };

/* Of the len bytes of name: where the last extension's dot is; NULL: there is none.  The dot of a hidden file is none. */
static const char *last_dot(const char *name, size_t len)
{
    const char *dot = memrchr(name, '.', len);
    if (!dot || memchr(dot, '/', len - (size_t)(dot - name)))
        return NULL;
    return dot > name && dot[-1] != '/' ? dot : NULL;
}

static const struct nx_media_type *find(const char *extension, size_t len)
{
    for (size_t i = 0; i < nx_n_media_types; i++)
        if (strlen(nx_media_types[i].extension) == len &&
            strncasecmp(extension, nx_media_types[i].extension, len) == 0)
            return &nx_media_types[i];
    return &unknown;
}

static const struct nx_media_type *look_up(const char *name, size_t *ret_stem)
{
    size_t len = strlen(name);
    const char *dot = last_dot(name, len);
    *ret_stem = dot ? (size_t)(dot - name) : len;
    if (!dot)
        return &unknown;
    if (strlen(dot) == 4 && isdigit((unsigned char)dot[1]) && isdigit((unsigned char)dot[2]) &&
        isdigit((unsigned char)dot[3])) {
        const char *before = last_dot(name, *ret_stem);
        if (before && find(before + 1, (size_t)(dot - before) - 1)->has_volumes) {
            *ret_stem = (size_t)(before - name);
            return &volume;
        }
    }
    return find(dot + 1, strlen(dot + 1));
}

const struct nx_media_type *nx_media_type_of(const char *name)
{
    size_t ignored;
    return look_up(name, &ignored);
}

size_t nx_name_stem(const char *name)
{
    size_t stem;
    look_up(name, &stem);
    return stem;
}
