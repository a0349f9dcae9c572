/* SPDX-License-Identifier: MIT */
#include "pack/offer.h"

#include <errno.h>
#include <fcntl.h>
#include <libxml/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "formats/reference.h"
#include "pack/remote.h"

/* Where something stands that is offered: a URL, or a file with the URL that it will have. */
struct place {
    const char *name; /* as it was given */
    char *url;        /* NULL: it is only a file */
    bool local;       /* name is a file */
};

/* ---- addresses ---- */

/* Encode whatever is no character of a URL (RFC 3986, section 2); "%" stays what it is. */
static char *encode(const char *text, const char *fit)
{
    return (char *)xmlURIEscapeStr((const xmlChar *)text, (const xmlChar *)fit);
}

/* A page is for everybody: nobody's password is to be on it. */
int nx_offer_url(const char *text, char **ret_url, struct nx_error *err)
{
    NX_AUTO_FREE char *url = NULL;
    if (nx_http_normalize_url(text, &url, err) < 0)
        return -1;
    if (nx_http_has_user(url)) {
        char name[512];
        return nx_fail(err, NX_ERR_USAGE,
                       "%s: this address has a user name or password in it, which everybody could "
                       "read on the page",
                       nx_http_display_url(url, name));
    }
    *ret_url = encode(url, ":/?#[]@!$&'()*+,;=%");
    return *ret_url ? 0 : nx_fail_errno(err, "URL");
}

static char *file_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return encode(slash ? slash + 1 : path, "");
}

/* What the file will be called on the web: in the folder base, or beside the page. */
static char *published(const char *path, const char *base)
{
    NX_AUTO_FREE char *file = file_part(path);
    char *url;
    if (!file || asprintf(&url, "%s%s%s", base ? base : "./",
                          base && base[strlen(base) - 1] != '/' ? "/" : "", file) < 0)
        return NULL;
    return url;
}

static int set_addresses(struct nx_offer *offer, const struct place *place, const char *package,
                         const char *base, struct nx_error *err)
{
    offer->address = strdup(place->url ? place->url : package);
    offer->download = place->url ? strdup(place->url) : published(place->name, base);
    if (!place->url)
        offer->run = offer->download ? strdup(offer->download) : NULL;
    else if (asprintf(&offer->run, "vmnetx+%s", place->url) < 0)
        offer->run = NULL;
    return offer->address && offer->download && offer->run ? 0 : nx_fail_errno(err, "page");
}

/* ---- packages ---- */

static int check_head(struct nx_offer *offer, const struct nx_key *key, const char *name,
                      struct nx_error *err)
{
    const struct nx_buffer *xml = &offer->head->domain_xml;
    const struct nx_manifest *manifest = offer->head->manifest;
    offer->cut = nx_manifest_is_cut(manifest, offer->size);
    if (offer->cut)
        offer->size = nx_manifest_end(manifest);
    if (key && nx_head_check_signer(offer->head, key, name, err) < 0)
        return -1;
    if (nx_machine_parse(xml->data, xml->len, "domain.xml", &offer->machine, err) < 0)
        return nx_fail_while(err, "%s", name);
    return 0;
}

static int check_pins(const struct nx_head *head, const struct nx_reference *reference,
                      const char *name, const char *url, struct nx_error *err)
{
    if (reference->pinned && !nx_digest_equal(&reference->manifest_digest, &head->manifest_digest))
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: was made for another package than that at %s: "
                       "make it anew",
                       name, url);
    if (reference->signer)
        return nx_head_check_signer(head, reference->signer, url, err);
    return 0;
}

/* The package that the reference names, from the first of its URLs that works. */
static int read_referenced(const struct nx_reference *reference, const struct place *place,
                           const struct nx_offer_options *options, struct nx_offer *offer,
                           char **ret_package, struct nx_error *err)
{
    for (unsigned i = 0; i < reference->n_urls; i++) {
        NX_AUTO_FREE char *url = NULL;
        if (nx_offer_url(reference->urls[i], &url, err) < 0)
            return nx_fail_while(err, "%s", place->name);
        if (nx_remote_head(url, &options->http, &offer->head, &offer->size, err) < 0)
            continue;
        *ret_package = NX_STEAL(url);
        return check_pins(offer->head, reference, place->name, *ret_package, err);
    }
    return nx_fail_while(err, "%s", place->name);
}

/* ---- pictures ---- */

static int read_file(const char *path, struct nx_screenshot *shot, struct nx_error *err)
{
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (nx_read_file(path, NX_SCREENSHOT_MAX, &shot->png, err) < 0)
        return -1;
    return nx_screenshot_check(shot, path, err);
}

static int fetch(const char *url, const struct nx_http_options *http, struct nx_screenshot *shot,
                 struct nx_error *err)
{
    struct nx_http_request request = { .length = NX_SCREENSHOT_MAX, .may_be_short = true };
    nx_buffer_init(&request.body, NX_SCREENSHOT_MAX);
    int ret = nx_http_get(url, http, &request, err);
    if (ret == 0 && request.total > NX_SCREENSHOT_MAX)
        ret = nx_fail(err, NX_ERR_FORMAT, "%s: larger than %d MiB: no screenshot", url,
                      NX_SCREENSHOT_MAX >> 20);
    if (ret == 0) {
        shot->png = request.body;
        nx_buffer_init(&request.body, 0);
        ret = nx_screenshot_check(shot, url, err);
    }
    nx_http_request_release(&request);
    return ret;
}

/* It may well not be there; then the page has none. */
static void fetch_if_there(const char *package, const struct nx_http_options *http,
                           struct nx_screenshot *shot)
{
    struct nx_error why = NX_ERROR_INIT;
    NX_AUTO_FREE char *url = nx_screenshot_path(package);
    if (!url || strchr(url, '?') || fetch(url, http, shot, &why) == 0)
        return;
    nx_log(why.code == NX_ERR_SERVER ? NX_LOG_INFO : NX_LOG_WARNING, "no screenshot: %s", why.msg);
    nx_screenshot_release(shot);
}

/* Beside what was named, and if that is a reference, beside the package. */
static int find_picture(struct nx_offer *offer, const struct place *place, const char *package,
                        const struct nx_offer_options *options, struct nx_error *err)
{
    NX_AUTO_FREE char *path = nx_screenshot_path(place->name);
    if (!path)
        return nx_fail_errno(err, "%s", place->name);
    if (place->local && read_file(path, &offer->shot, err) < 0)
        return -1;
    if (!place->local && !offer->shot.png.len)
        fetch_if_there(place->url, &options->http, &offer->shot);
    if (package && !offer->shot.png.len)
        fetch_if_there(package, &options->http, &offer->shot);
    return 0;
}

/* ---- what was named ---- */

static int read_reference(const void *xml, size_t len, const struct place *place,
                          const struct nx_offer_options *options, struct nx_offer *offer,
                          struct nx_error *err)
{
    NX_AUTO_REFERENCE struct nx_reference *reference = NULL;
    NX_AUTO_FREE char *package = NULL;
    offer->reference = true;
    if (nx_reference_parse(xml, len, place->name, &reference, err) < 0 ||
        read_referenced(reference, place, options, offer, &package, err) < 0 ||
        check_head(offer, options->key, package, err) < 0 ||
        set_addresses(offer, place, package, options->base, err) < 0)
        return -1;
    return find_picture(offer, place, package, options, err);
}

static int read_package(const struct place *place, const struct nx_offer_options *options,
                        struct nx_offer *offer, struct nx_error *err)
{
    int ret = place->local
                  ? nx_local_head(place->name, &offer->head, &offer->size, err)
                  : nx_remote_head(place->url, &options->http, &offer->head, &offer->size, err);
    if (ret < 0 || check_head(offer, options->key, place->name, err) < 0 ||
        set_addresses(offer, place, NULL, options->base, err) < 0)
        return -1;
    return find_picture(offer, place, NULL, options, err);
}

/* By its content, as nxfetch tells it: a ZIP archive; else it must be a reference. */
static int is_package(const char *path, bool *ret_package, struct nx_error *err)
{
    char first[4];
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : pread(fd, first, sizeof first, 0);
    if (n < 0)
        return nx_fail_errno(err, "%s", path);
    *ret_package = n == sizeof first && memcmp(first, "PK\3\4", sizeof first) == 0;
    return 0;
}

static int read_url(struct place *place, const struct nx_offer_options *options,
                    struct nx_offer *offer, struct nx_error *err)
{
    if (nx_offer_url(place->name, &place->url, err) < 0)
        return -1;
    size_t len = strcspn(place->url, "?#");
    if (len < 5 || strncasecmp(place->url + len - 5, ".netx", 5) != 0)
        return read_package(place, options, offer, err);
    struct nx_http_request request = { .length = NX_REFERENCE_MAX, .may_be_short = true };
    nx_buffer_init(&request.body, NX_REFERENCE_MAX);
    int ret = nx_http_get(place->url, &options->http, &request, err);
    if (ret == 0)
        ret = request.total > NX_REFERENCE_MAX
                  ? nx_fail(err, NX_ERR_FORMAT, "%s: too large for a reference", place->url)
                  : read_reference(request.body.data, request.body.len, place, options, offer, err);
    nx_http_request_release(&request);
    return ret;
}

static int read_local(struct place *place, const struct nx_offer_options *options,
                      struct nx_offer *offer, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    bool package = false;
    place->local = true;
    if (is_package(place->name, &package, err) < 0)
        return -1;
    if (options->base && !(place->url = published(place->name, options->base)))
        return nx_fail_errno(err, "%s", place->name);
    if (package && !place->url)
        return nx_fail(err, NX_ERR_USAGE,
                       "%s: is a file here: say with --base at which address it will be published",
                       place->name);
    if (package)
        return read_package(place, options, offer, err);
    if (nx_read_file(place->name, NX_REFERENCE_MAX, &xml, err) < 0)
        return -1;
    return read_reference(xml.data, xml.len, place, options, offer, err);
}

int nx_offer_read(const char *name, const struct nx_offer_options *options,
                  struct nx_offer *ret_offer, struct nx_error *err)
{
    struct place place = { .name = name };
    ret_offer->shot = (struct nx_screenshot)NX_SCREENSHOT_INIT;
    bool is_url = nx_http_is_url(name) || (strstr(name, "://") && access(name, F_OK) < 0);
    int ret = is_url ? read_url(&place, options, ret_offer, err)
                     : read_local(&place, options, ret_offer, err);
    free(place.url);
    return ret;
}

void nx_offer_release(struct nx_offer *offer)
{
    nx_head_free(offer->head);
    nx_machine_free(offer->machine);
    free(offer->address);
    free(offer->run);
    free(offer->download);
    nx_screenshot_release(&offer->shot);
}

uint64_t nx_offer_start_bytes(const struct nx_offer *offer)
{
    const struct nx_manifest *m = offer->head->manifest;
    return m->boot_chunks ? m->index.offset + m->boot_index + m->boot_chunks : 0;
}
