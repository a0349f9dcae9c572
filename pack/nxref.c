/* SPDX-License-Identifier: MIT */
/* nxref: write a reference to a published package, with what it holds and who signed it. */
#include <stdio.h>
#include <string.h>

#include "common/embed.h"
#include "common/io.h"
#include "common/log.h"
#include "formats/domain.h"
#include "formats/reference.h"
#include "pack/cli.h"
#include "pack/remote.h"

NX_EMBED(help_text, "pack/nxref.help");

enum { OPT_CA_CERT = 256 };

static const struct option long_options[] = {
    { "key", required_argument, NULL, 'k' },
    { "ca-cert", required_argument, NULL, OPT_CA_CERT },
    NX_CLI_LONG,
};

static int check_signer(const struct nx_head *head, const struct nx_key *key, const char *url,
                        struct nx_error *err)
{
    char is[NX_DIGEST_HEX], should[NX_DIGEST_HEX];
    if (!head->signer)
        return nx_fail(err, NX_ERR_TRUST, "%s: is not signed: nxpack sign -k KEY signs it", url);
    if (!nx_key_same_public(head->signer, key))
        return nx_fail(err, NX_ERR_TRUST, "%s: is signed by %s, not by %s", url,
                       nx_key_fingerprint(head->signer, is), nx_key_fingerprint(key, should));
    return 0;
}

/* Pin what the first URL has; a mirror must have the same. */
static int pin(struct nx_reference *reference, struct nx_head *head, const char *url,
               struct nx_error *err)
{
    if (!reference->pinned) {
        reference->pinned = true;
        reference->manifest_digest = head->manifest_digest;
        reference->signer = NX_STEAL(head->signer);
        return 0;
    }
    if (!nx_digest_equal(&reference->manifest_digest, &head->manifest_digest))
        return nx_fail(err, NX_ERR_FORMAT, "%s: is not the package at %s: upload that one here too",
                       url, reference->urls[0]);
    if (!reference->signer != !head->signer ||
        (head->signer && !nx_key_same_public(reference->signer, head->signer)))
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: is signed otherwise than the package at %s: upload that one here too",
                       url, reference->urls[0]);
    return 0;
}

/* Read the package at the reference's last URL. */
static int check_url(struct nx_reference *reference, const char *url, const struct nx_key *key,
                     const struct nx_http_options *http, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = NULL;
    uint64_t size;
    if (nx_remote_head(url, http, &head, &size, err) < 0)
        return -1;
    if (nx_domain_validate(head->domain_xml.data, head->domain_xml.len, "domain.xml", err) < 0)
        return nx_fail_while(err, "%s", url);
    if (key && check_signer(head, key, url, err) < 0)
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

static int write_reference(const struct nx_reference *reference, const char *path,
                           struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(NX_REFERENCE_MAX);
    if (nx_reference_write(reference, &xml, err) < 0 ||
        nx_write_file(path, 0644, xml.data, xml.len, err) < 0)
        return -1;
    char text[NX_DIGEST_HEX];
    if (reference->signer)
        nx_log(NX_LOG_NOTICE, "%s: pins the package and its signer %s", path,
               nx_key_fingerprint(reference->signer, text));
    else
        nx_log(NX_LOG_NOTICE, "%s: pins the package, which is not signed", path);
    return 0;
}

static int run(char **urls, int n_urls, const char *path, const char *key_path,
               const struct nx_http_options *http, struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *key = NULL;
    if (key_path && nx_cli_read_key(key_path, false, &key, err) < 0)
        return -1;
    NX_AUTO_REFERENCE struct nx_reference *reference = calloc(1, sizeof *reference);
    if (!reference)
        return nx_fail_errno(err, "%s", path);
    if (fill(reference, urls, n_urls, key, http, err) < 0)
        return -1;
    return write_reference(reference, path, err);
}

int main(int argc, char **argv)
{
    nx_cli_start("nxref", help_text);
    struct nx_error err = NX_ERROR_INIT;
    struct nx_http_options http = { 0 };
    const char *key_path = NULL;
    int status;
    for (int c; (c = getopt_long(argc, argv, "k:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == 'k')
            key_path = optarg;
        else if (c == OPT_CA_CERT)
            http.ca_file = optarg;
        else if (nx_cli_option(c, &status))
            return status;
    }
    if (nx_cli_count(argc, 2, NX_MIRRORS_MAX + 1, "URL, mirrors and REFERENCE.netx", &err) < 0)
        return nx_cli_fail(&err);
    int n_urls = argc - optind - 1;
    if (nx_http_is_url(argv[argc - 1]))
        nx_fail(&err, NX_ERR_USAGE, "the last argument is a URL, not the file to write");
    else if (run(argv + optind, n_urls, argv[argc - 1], key_path, &http, &err) == 0)
        return 0;
    return nx_cli_fail(&err);
}
