/* SPDX-License-Identifier: MIT */
#include "common/types.h"

#include <string.h>
#include <strings.h>

const struct nx_media_type nx_media_types[] = {
    { "nxpk", "application/x-vmnetx-package", true },
    { "netx", "application/x-vmnetx-reference+xml", true },
    { "html", "text/html; charset=utf-8", false },
    { "css", "text/css; charset=utf-8", false },
    { "js", "text/javascript; charset=utf-8", false },
    { "txt", "text/plain; charset=utf-8", false },
    { "md", "text/markdown; charset=utf-8", false },
    { "xml", "application/xml", false },
    { "json", "application/json", false },
    { "pem", "application/x-pem-file", false },
    { "svg", "image/svg+xml", false },
    { "png", "image/png", false },
    { "jpg", "image/jpeg", false },
    { "jpeg", "image/jpeg", false },
    { "webp", "image/webp", false },
    { "ico", "image/x-icon", false },
};
const size_t nx_n_media_types = sizeof nx_media_types / sizeof *nx_media_types;

static const struct nx_media_type unknown = { "", "application/octet-stream", false };

const struct nx_media_type *nx_media_type_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(slash ? slash : name, '.');
    if (!dot)
        return &unknown;
    for (size_t i = 0; i < nx_n_media_types; i++)
        if (strcasecmp(dot + 1, nx_media_types[i].extension) == 0)
            return &nx_media_types[i];
    return &unknown;
}
