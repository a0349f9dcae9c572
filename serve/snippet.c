/* SPDX-License-Identifier: MIT */
/* A template is text with @NAME@ marks.  @TYPES@ becomes a line for each of our media
 * types, in the server's own syntax; the others are the same words everywhere.
 */
#include "serve/snippet.h"

#ifndef NX_DATADIR
#define NX_DATADIR "/usr/local/share/nxpk"
#endif

#include <string.h>

#include "common/embed.h"
#include "common/policy.h"
#include "common/types.h"

NX_EMBED(snippet_nginx, "serve/snippets/nginx.in");
NX_EMBED(snippet_apache, "serve/snippets/apache.in");
NX_EMBED(snippet_lighttpd, "serve/snippets/lighttpd.in");
NX_EMBED(snippet_caddy, "serve/snippets/caddy.in");

struct server {
    const char *name;
    const char *text;
    const char *type_line; /* @TYPE@ and @EXTENSION@ of one media type */
};

static const struct server servers[] = {
    { "nginx", snippet_nginx, "        @TYPE@ @EXTENSION@;\n" },
    { "apache", snippet_apache, "    AddType @TYPE@ .@EXTENSION@\n" },
    { "lighttpd", snippet_lighttpd, "    \".@EXTENSION@\" => \"@TYPE@\",\n" },
    { "caddy", snippet_caddy,
      "    @nxpk_@EXTENSION@ path *.@EXTENSION@\n"
      "    header @nxpk_@EXTENSION@ Content-Type @TYPE@\n" },
};

static const struct {
    const char *mark;
    const char *text;
} words[] = {
    { "REVALIDATE", NX_CACHE_REVALIDATE },
    { "IMMUTABLE", NX_CACHE_IMMUTABLE },
    { "EXPOSE", NX_CORS_EXPOSE },
    { "METHODS", NX_CORS_METHODS },
    { "ALLOW", NX_CORS_ALLOW },
    { "MAX_AGE", NX_CORS_MAX_AGE },
    { "DATADIR", NX_DATADIR },
};

/* What a template is expanded with. */
struct expansion {
    const struct server *server;
    const struct nx_media_type *type; /* while a type_line is expanded */
    struct nx_buffer *out;
    struct nx_error *err;
};

static int expand(const struct expansion *with, const char *text);

static int add(const struct expansion *with, const char *text)
{
    return nx_buffer_add(with->out, text, strlen(text), with->err);
}

/* What a package's volumes have behind that; quantifiers in braces would need quotes in some servers. */
#define VOLUME_PATTERN "(\\.[0-9][0-9][0-9])?"

/* "nxpk(\.[0-9][0-9][0-9])?|netx" */
static int add_extensions(const struct expansion *with)
{
    bool first = true;
    for (size_t i = 0; i < nx_n_media_types; i++) {
        if (!nx_media_types[i].ours)
            continue;
        if ((!first && add(with, "|") < 0) || add(with, nx_media_types[i].extension) < 0 ||
            (nx_media_types[i].has_volumes && add(with, VOLUME_PATTERN) < 0))
            return -1;
        first = false;
    }
    return 0;
}

static int add_versioned_pattern(const struct expansion *with)
{
    const char *gap = strstr(NX_VERSIONED_PATTERN, "%s");
    size_t before = (size_t)(gap - NX_VERSIONED_PATTERN);
    if (nx_buffer_add(with->out, NX_VERSIONED_PATTERN, before, with->err) < 0)
        return -1;
    return add_extensions(with) < 0 ? -1 : add(with, gap + 2);
}

static int add_types(const struct expansion *with)
{
    for (size_t i = 0; i < nx_n_media_types; i++) {
        struct expansion line = *with;
        line.type = &nx_media_types[i];
        if (line.type->ours && expand(&line, with->server->type_line) < 0)
            return -1;
    }
    return 0;
}

static bool is_mark(const char *mark, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(mark, name, len) == 0;
}

/* Add what the len letters at mark stand for.  *ret_known is false when they are no mark. */
static int add_mark(const struct expansion *with, const char *mark, size_t len, bool *ret_known)
{
    *ret_known = true;
    if (is_mark(mark, len, "TYPES"))
        return add_types(with);
    if (is_mark(mark, len, "EXTENSIONS"))
        return add_extensions(with);
    if (is_mark(mark, len, "VERSIONED"))
        return add_versioned_pattern(with);
    if (with->type && is_mark(mark, len, "TYPE"))
        return add(with, with->type->type);
    if (with->type && is_mark(mark, len, "EXTENSION"))
        return add(with, with->type->extension);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_mark(mark, len, words[i].mark))
            return add(with, words[i].text);
    *ret_known = false;
    return 0;
}

/* An @ that opens no mark stands for itself: Caddy's matchers are named that way. */
static int expand(const struct expansion *with, const char *text)
{
    while (*text) {
        size_t plain = strcspn(text, "@");
        if (nx_buffer_add(with->out, text, plain, with->err) < 0)
            return -1;
        text += plain;
        if (!*text)
            break;
        size_t len = strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        bool known = false;
        if (text[1 + len] == '@' && add_mark(with, text + 1, len, &known) < 0)
            return -1;
        if (!known && add(with, "@") < 0)
            return -1;
        text += known ? len + 2 : 1;
    }
    return 0;
}

int nx_snippet_write(const char *server, struct nx_buffer *out, struct nx_error *err)
{
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct expansion with = { .server = &servers[i], .out = out, .err = err };
        if (strcmp(server, servers[i].name) == 0)
            return expand(&with, servers[i].text);
    }
    return nx_fail(err, NX_ERR_USAGE,
                   "no configuration for '%s': there is one for nginx, apache, lighttpd, caddy",
                   server);
}
