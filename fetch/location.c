/* SPDX-License-Identifier: MIT */
#include "fetch/location.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "fetch/apart.h"

#define FIRST_BYTES 64 /* enough to tell a package from a reference */

enum nx_content nx_content_of(const void *data, size_t len)
{
    const uint8_t *at = data, *end = at + len;
    if (len >= 4 && memcmp(at, "PK\3\4", 4) == 0)
        return NX_CONTENT_PACKAGE;
    if (len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) /* UTF-8's byte order mark */
        at += 3;
    while (at < end && strchr(" \t\r\n", *at) && *at)
        at++;
    return at < end && *at == '<' ? NX_CONTENT_REFERENCE : NX_CONTENT_OTHER;
}

/* Does the path of this URL end in suffix? */
static bool url_path_ends(const char *url, const char *suffix)
{
    size_t len = strcspn(url, "?#"), tail = strlen(suffix);
    return len >= tail && strncasecmp(url + len - tail, suffix, tail) == 0;
}

static int adopt_reference(struct nx_location *location, const void *xml, size_t len,
                           const char *name, struct nx_error *err)
{
    if (nx_reference_parse(xml, len, name, &location->reference, err) < 0)
        return -1;
    location->urls = location->reference->urls;
    location->n_urls = location->reference->n_urls;
    return 0;
}

static int fetch_reference(struct nx_location *location, const struct nx_http_options *http,
                           struct nx_error *err)
{
    struct nx_http_request request = { .length = NX_REFERENCE_MAX, .may_be_short = true };
    nx_buffer_init(&request.body, NX_REFERENCE_MAX);
    char name[512];
    nx_http_display_url(location->url, name);
    int ret = nx_http_get_apart(location->url, http, &request, err);
    if (ret == 0 && request.total > NX_REFERENCE_MAX)
        ret = nx_fail(err, NX_ERR_FORMAT, "%s: too large for a reference", name);
    if (ret == 0)
        ret = adopt_reference(location, request.body.data, request.body.len, name, err);
    nx_http_request_release(&request);
    return ret;
}

static int resolve_url(struct nx_location *location, const struct nx_http_options *http,
                       bool offline, struct nx_error *err)
{
    if (nx_http_normalize_url(location->text, &location->url, err) < 0)
        return -1;
    location->urls = &location->url;
    location->n_urls = 1;
    if (!url_path_ends(location->url, ".netx"))
        return 0;
    char typed[512];
    if (offline)
        return nx_fail(err, NX_ERR_USAGE,
                       "%s: --offline needs the reference as a file, or the package's own address",
                       nx_location_typed(location->text, typed));
    return fetch_reference(location, http, err);
}

/* What was meant, perhaps, by the name of a file that is not there. */
static const char *guess(const char *text)
{
    size_t host = strcspn(text, "/");
    bool is_path = text[host] != 0, has_dot = memchr(text, '.', host) != NULL;
    if (is_path && text[0] != '.' && (has_dot || memchr(text, ':', host)))
        return "; an address on the web begins with https:// or http://";
    return is_path || has_dot ? "" : "; nxfetch --help shows the verbs";
}

static int resolve_file(struct nx_location *location, struct nx_error *err)
{
    const char *path = location->text;
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: No such file or directory%s", path, guess(path));
    if (fd < 0 || fstat(fd, &st) < 0)
        return nx_fail_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return nx_fail(err, NX_ERR_FORMAT, "%s: not a file", path);
    char first[FIRST_BYTES];
    ssize_t n = pread(fd, first, sizeof first, 0);
    if (n < 0)
        return nx_fail_errno(err, "%s", path);
    enum nx_content content = nx_content_of(first, (size_t)n);
    if (content == NX_CONTENT_OTHER)
        return nx_fail(err, NX_ERR_FORMAT, "%s: neither a package nor a reference", path);
    if (content == NX_CONTENT_PACKAGE) {
        /* Absolute, as the engine may change its directory. */
        location->path = realpath(path, NULL);
        return location->path ? 0 : nx_fail_errno(err, "%s", path);
    }
    struct nx_buffer xml = NX_BUFFER_INIT(0);
    int ret = nx_read_file(path, NX_REFERENCE_MAX, &xml, err);
    if (ret == 0)
        ret = adopt_reference(location, xml.data, xml.len, path, err);
    location->reference_is_local = true;
    nx_buffer_release(&xml);
    return ret;
}

int nx_location_resolve(const char *text, const struct nx_http_options *http, bool offline,
                        struct nx_location **ret_location, struct nx_error *err)
{
    NX_AUTO_LOCATION struct nx_location *location = calloc(1, sizeof *location);
    if (!location || !(location->text = strdup(text)))
        return nx_fail_errno(err, "%s", text);
    /* "ftp://…" is a mistaken URL (and gets its message) unless there really is such a file. */
    bool url = nx_http_is_url(text) || (strstr(text, "://") && access(text, F_OK) < 0);
    int ret = url ? resolve_url(location, http, offline, err) : resolve_file(location, err);
    if (ret == 0)
        *ret_location = NX_STEAL(location);
    return ret;
}

bool nx_location_retry_as_reference(struct nx_location *location,
                                    const struct nx_http_options *http)
{
    if (!location->url || location->reference)
        return false;
    struct nx_error ignored = NX_ERROR_INIT;
    struct nx_http_request request = { .length = FIRST_BYTES, .may_be_short = true };
    nx_buffer_init(&request.body, FIRST_BYTES);
    bool xml = nx_http_get_apart(location->url, http, &request, &ignored) == 0 &&
               nx_content_of(request.body.data, request.body.len) == NX_CONTENT_REFERENCE;
    nx_http_request_release(&request);
    return xml && fetch_reference(location, http, &ignored) == 0;
}

const char *nx_location_name(const struct nx_location *location, char text[static 512])
{
    if (location->n_urls)
        return nx_http_display_url(location->urls[0], text);
    snprintf(text, 512, "%s", location->path);
    return text;
}

const char *nx_location_typed(const char *text, char typed[static 512])
{
    return nx_http_is_url(text) && nx_http_has_user(text) ? nx_http_display_url(text, typed) : text;
}

void nx_location_free(struct nx_location *location)
{
    if (!location)
        return;
    free(location->text);
    free(location->path);
    free(location->url);
    nx_reference_free(location->reference);
    free(location);
}
