/* SPDX-License-Identifier: MIT */
#include "pack/webcheck-state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/policy.h"

#define CERTIFICATE_S (14 * 24 * 3600) /* one that expires so soon is told */

static void look_at_etag(struct nx_webcheck_state *s, const struct nx_reply *reply)
{
    char raw[NX_FIELD_MAX];
    nx_prober_field(&s->prober, "ETag", raw);
    memcpy(s->etag, reply->http.etag, sizeof s->etag);
    s->if_range = s->etag[0];
    if (s->etag[0])
        return;
    if (!raw[0])
        nx_webcheck_found(s, NX_TROUBLE_NO_ETAG, "the answer has no ETag");
    else if (strncmp(raw, "W/", 2) == 0)
        nx_webcheck_found(s, NX_TROUBLE_WEAK_ETAG, "the ETag is weak: %s", raw);
    else
        nx_webcheck_found(s, NX_TROUBLE_NO_ETAG,
                          "the ETag is none, for it is not in quotes or too long: %s", raw);
}

static void look_at_type(struct nx_webcheck_state *s)
{
    char type[NX_FIELD_MAX];
    nx_prober_field(&s->prober, "Content-Type", type);
    size_t len = strcspn(type, "; \t");
    if (len != strlen(NX_PACKAGE_TYPE) || strncasecmp(type, NX_PACKAGE_TYPE, len) != 0)
        nx_webcheck_found(s, NX_TROUBLE_TYPE, "Content-Type: %s, not " NX_PACKAGE_TYPE,
                          nx_or_none(type));
}

long nx_webcheck_directive(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; *at; at += strcspn(at, ","), at += strspn(at, ", \t"))
        if (strncasecmp(at, name, len) == 0 && strchr("=, \t", at[len]))
            return at[len] == '=' ? strtol(at + len + 1 + (at[len + 1] == '"'), NULL, 10) : 0;
    return -1;
}

/* The last part of the URL's path. */
static void name_of(const char *url, char name[static 256])
{
    const char *end = url + strcspn(url, "?#");
    const char *start = end;
    while (start > url && start[-1] != '/')
        start--;
    snprintf(name, 256, "%.*s", end - start < 255 ? (int)(end - start) : 255, start);
}

/* What caches on the way may do: policy.h. */
static void look_at_caching(struct nx_webcheck_state *s)
{
    char control[NX_FIELD_MAX], expires[NX_FIELD_MAX], name[256];
    nx_prober_field(&s->prober, "Cache-Control", control);
    nx_prober_field(&s->prober, "Expires", expires);
    name_of(s->final_url, name);
    if (nx_webcheck_directive(control, "no-store") >= 0 ||
        nx_webcheck_directive(control, "private") >= 0) {
        nx_webcheck_found(s, NX_TROUBLE_NOT_CACHED, "Cache-Control: %s", control);
        return;
    }
    if (nx_name_is_versioned(name) || nx_webcheck_directive(control, "no-cache") >= 0)
        return;
    long shared = nx_webcheck_directive(control, "s-maxage"),
         age = nx_webcheck_directive(control, "max-age");
    if (shared > 0 || age > 0 || nx_webcheck_directive(control, "immutable") >= 0)
        nx_webcheck_found(s, NX_TROUBLE_CACHED_TOO_LONG,
                          "Cache-Control: %s, for a name that may come to mean "
                          "another package",
                          control);
    else if (shared == 0 || age == 0)
        return;
    else if (expires[0] && curl_getdate(expires, NULL) > time(NULL))
        nx_webcheck_found(s, NX_TROUBLE_CACHED_TOO_LONG,
                          "Expires: %s, for a name that may come to mean another package", expires);
    else if (!expires[0])
        nx_webcheck_found(s, NX_TROUBLE_NO_CACHE_CONTROL,
                          control[0] ? "Cache-Control: %s, which says nothing of how long"
                                     : "the answer has no Cache-Control%s",
                          control);
}

static void look_at_way(struct nx_webcheck_state *s, const struct nx_reply *reply)
{
    struct nx_webcheck *check = s->check;
    check->redirects = reply->redirects;
    check->http2 = reply->http2;
    if (reply->redirects > 0)
        nx_webcheck_found(s, NX_TROUBLE_REDIRECTS, "%u redirect%s: the package is at %s",
                          reply->redirects, reply->redirects == 1 ? "" : "s", check->final_url);
    if (reply->downgraded)
        nx_webcheck_found(s, NX_TROUBLE_DOWNGRADE, "a redirect leads from https to http");
    if (!s->secure)
        nx_webcheck_found(s, NX_TROUBLE_NO_TLS, "it is served by http, not https");
    else if (!reply->http2)
        nx_webcheck_found(s, NX_TROUBLE_NO_HTTP2, "the server does not offer HTTP/2");
    int64_t left = reply->certificate_end - time(NULL);
    if (reply->certificate_end && left > 0 && left < CERTIFICATE_S)
        nx_webcheck_found(s, NX_TROUBLE_CERTIFICATE_ENDS, "the certificate expires in %d hours",
                          (int)(left / 3600));
}

void nx_webcheck_headers(struct nx_webcheck_state *s, const struct nx_reply *reply)
{
    look_at_way(s, reply);
    look_at_etag(s, reply);
    look_at_type(s);
    look_at_caching(s);
}
