/* SPDX-License-Identifier: MIT */
/* nxref: write a reference to a published package, with what it holds and who signed it; or a page that offers packages;
 * or check their web server.
 */
#include <stdio.h>
#include <string.h>

#include "common/embed.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "formats/domain.h"
#include "formats/reference.h"
#include "pack/cli.h"
#include "pack/offer.h"
#include "pack/page.h"
#include "pack/remote.h"
#include "pack/verbs.h"

NX_EMBED(help_text, "pack/nxref.help");

enum {
    OPT_HTML = 256,
    OPT_BASE,
    OPT_TITLE,
    OPT_INSTALL_FROM,
};

static const struct option long_options[] = {
    { "key", required_argument, NULL, 'k' },
    { "html", required_argument, NULL, OPT_HTML },
    { "base", required_argument, NULL, OPT_BASE },
    { "title", required_argument, NULL, OPT_TITLE },
    { "install-from", required_argument, NULL, OPT_INSTALL_FROM },
    NX_CLI_JSON,
    NX_CLI_LONG,
};
#define N_OPTIONS (sizeof long_options / sizeof *long_options)

/* Pin what the first URL has; a mirror must have the same. */
static int pin(struct nx_reference *reference, struct nx_head *head, const char *url,
               struct nx_error *err)
{
    char name[512], first[512];
    if (!reference->pinned) {
        reference->pinned = true;
        reference->manifest_digest = head->manifest_digest;
        reference->signer = NX_STEAL(head->signer);
        return 0;
    }
    if (!nx_digest_equal(&reference->manifest_digest, &head->manifest_digest))
        return nx_fail(err, NX_ERR_FORMAT, "%s: is not the package at %s: upload that one here too",
                       nx_http_display_url(url, name),
                       nx_http_display_url(reference->urls[0], first));
    if (!reference->signer != !head->signer ||
        (head->signer && !nx_key_same_public(reference->signer, head->signer)))
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: is signed otherwise than the package at %s: upload that one here too",
                       nx_http_display_url(url, name),
                       nx_http_display_url(reference->urls[0], first));
    return 0;
}

/* Read the package at the reference's last URL. */
static int check_url(struct nx_reference *reference, const char *url, const struct nx_key *key,
                     const struct nx_http_options *http, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = NULL;
    uint64_t size;
    char name[512];
    nx_http_display_url(url, name);
    if (nx_http_has_user(url))
        nx_log(NX_LOG_WARNING,
               "%s: the reference has its user name and password in it, for whoever reads it; "
               "--user or "
               "--netrc keep them out",
               name);
    if (nx_remote_head(url, http, &head, &size, err) < 0)
        return -1;
    if (nx_domain_validate(head->domain_xml.data, head->domain_xml.len, "domain.xml", err) < 0)
        return nx_fail_while(err, "%s", name);
    if (key && nx_head_check_signer(head, key, name, err) < 0)
        return -1;
    if (nx_manifest_is_cut(head->manifest, size) &&
        nx_remote_check_volumes(url, http, &head->manifest->volumes, err) < 0)
        return -1;
    return pin(reference, head, url, err);
}

static int fill(struct nx_reference *reference, char **urls, int n_urls, const struct nx_key *key,
                const struct nx_http_options *http, struct nx_error *err)
{
    if (n_urls > NX_MIRRORS_MAX)
        return nx_fail(err, NX_ERR_USAGE, "%d URLs; a reference has at most %d", n_urls,
                       NX_MIRRORS_MAX);
    for (int i = 0; i < n_urls; i++)
        if (nx_http_normalize_url(urls[i], &reference->urls[reference->n_urls], err) < 0)
            return -1;
        else
            reference->n_urls++;
    for (unsigned i = 0; i < reference->n_urls; i++)
        if (check_url(reference, reference->urls[i], key, http, err) < 0)
            return -1;
    return 0;
}

static json_t *reference_json(const struct nx_reference *reference, const char *path)
{
    char digest[NX_DIGEST_HEX], signer[NX_DIGEST_HEX];
    json_t *urls = json_array();
    for (unsigned i = 0; i < reference->n_urls; i++)
        json_array_append_new(urls, nx_json_text(reference->urls[i]));
    return json_pack("{s:o, s:s, s:s?, s:o}", "reference", nx_json_text(path), "manifest",
                     nx_digest_hex(&reference->manifest_digest, digest), "signer",
                     reference->signer ? nx_key_fingerprint(reference->signer, signer) : NULL,
                     "urls", urls);
}

static int write_reference(const struct nx_reference *reference, const char *path,
                           struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_REFERENCE_MAX);
    if (nx_reference_write(reference, &xml, err) < 0 ||
        nx_write_file(path, 0644, xml.data, xml.len, err) < 0)
        return -1;
    char text[NX_DIGEST_HEX];
    if (nx_json_wanted())
        return nx_json_print(reference_json(reference, path), err);
    if (reference->signer)
        nx_log(NX_LOG_NOTICE, "%s: pins the package and its signer %s", path,
               nx_key_fingerprint(reference->signer, text));
    else
        nx_log(NX_LOG_NOTICE, "%s: pins the package, which is not signed", path);
    return 0;
}

struct arguments {
    const char *key_path;
    struct nx_web_options *web;
    const char *html; /* write a page there; NULL: write a reference */
    const char *base;
    const char *title;
    const char *install;
};

/* ---- a reference ---- */

static int make_reference(const struct arguments *args, const struct nx_key *key, char **operands,
                          int n, struct nx_error *err)
{
    const char *path = operands[n - 1];
    if (nx_http_is_url(path))
        return nx_fail(err, NX_ERR_USAGE, "the last argument is a URL, not the file to write");
    NX_AUTO_REFERENCE struct nx_reference *reference = calloc(1, sizeof *reference);
    if (!reference)
        return nx_fail_errno(err, "%s", path);
    if (fill(reference, operands, n - 1, key, &args->web->http, err) < 0)
        return -1;
    return write_reference(reference, path, err);
}

/* ---- a page ---- */

static int read_offers(const struct arguments *args, const struct nx_key *key, char **names, int n,
                       struct nx_offer *offers, struct nx_error *err)
{
    NX_AUTO_FREE char *base = NULL;
    if (args->base && nx_offer_url(args->base, &base, err) < 0)
        return nx_fail_while(err, "--base");
    const struct nx_offer_options options = { .key = key, .base = base, .http = args->web->http };
    for (int i = 0; i < n; i++)
        if (nx_offer_read(names[i], &options, &offers[i], err) < 0)
            return -1;
    return 0;
}

static int write_page(const struct arguments *args, const struct nx_offer *offers, int n,
                      struct nx_error *err)
{
    NX_AUTO_FREE char *install = NULL;
    if (args->install && nx_offer_url(args->install, &install, err) < 0)
        return nx_fail_while(err, "--install-from");
    const struct nx_page_options options = { .title = args->title, .install = install };
    if (nx_page_write(args->html, offers, (size_t)n, &options, err) < 0)
        return -1;
    if (nx_json_wanted())
        return nx_json_print(
            json_pack("{s:o, s:i}", "page", nx_json_text(args->html), "machines", n), err);
    nx_log(NX_LOG_NOTICE, "%s: offers %d machine%s", args->html, n, n == 1 ? "" : "s");
    return 0;
}

static int make_page(const struct arguments *args, const struct nx_key *key, char **names, int n,
                     struct nx_error *err)
{
    NX_AUTO_FREE struct nx_offer *offers = calloc((size_t)n, sizeof *offers);
    if (!offers)
        return nx_fail_errno(err, "%s", args->html);
    int ret = read_offers(args, key, names, n, offers, err);
    if (ret == 0)
        ret = write_page(args, offers, n, err);
    for (int i = 0; i < n; i++)
        nx_offer_release(&offers[i]);
    return ret;
}

/* ---- the command line ---- */

static void take_option(struct arguments *args, int c)
{
    switch (c) {
    case 'k':
        args->key_path = optarg;
        break;
    case OPT_HTML:
        args->html = optarg;
        break;
    case OPT_BASE:
        args->base = optarg;
        break;
    case OPT_TITLE:
        args->title = optarg;
        break;
    default:
        args->install = optarg;
    }
}

static int check_count(const struct arguments *args, int argc, struct nx_error *err)
{
    if (args->html)
        return nx_cli_count(argc, 1, NX_PAGE_OFFERS_MAX, "packages or references, for the page",
                            err);
    if (args->base || args->title || args->install)
        return nx_fail(err, NX_ERR_USAGE, "--base, --title and --install-from are for --html");
    return nx_cli_count(argc, 2, NX_MIRRORS_MAX + 1, "URL, mirrors and REFERENCE.netx", err);
}

static int run(const struct arguments *args, char **operands, int n, struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *key = NULL;
    if (nx_web_settle(args->web, operands[0], true, err) < 0)
        return -1;
    if (args->key_path && nx_cli_read_key(args->key_path, false, &key, err) < 0)
        return -1;
    return args->html ? make_page(args, key, operands, n, err)
                      : make_reference(args, key, operands, n, err);
}

static int reference_main(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_WEB struct nx_web_options web;
    struct arguments args = { .web = &web };
    int status;
    nx_web_init(&web);
    for (int c; (c = nx_cli_web_option(argc, argv, "k:" NX_WEB_SHORT NX_CLI_SHORT, long_options,
                                       N_OPTIONS, &web, &status)) != -1;) {
        if (c == 'k' || (c >= OPT_HTML && c <= OPT_INSTALL_FROM))
            take_option(&args, c);
        else if (c == 0 || nx_cli_option(c, &status))
            return status;
    }
    if (check_count(&args, argc, &err) < 0 || run(&args, argv + optind, argc - optind, &err) < 0)
        return nx_cli_fail(&err);
    return 0;
}

int main(int argc, char **argv)
{
    nx_cli_start("nxref", help_text, argc, argv);
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return nx_verb_check(argc - 1, argv + 1);
    return reference_main(argc, argv);
}
