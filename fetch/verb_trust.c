/* SPDX-License-Identifier: MIT */
/* `nxfetch trust list|show|add|remove|import`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/http.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/plain.h"
#include "fetch/location.h"
#include "fetch/trust.h"
#include "fetch/truststore.h"
#include "fetch/verbs.h"

#define IMPORT_MAX (4u << 20)        /* bytes of a list */
#define PREFIX_MIN 8                 /* letters of a fingerprint that may stand for it */
#define NAME_SHOWN (NX_NAME_MAX + 1) /* bytes */

static const char pem_begin[] = "-----BEGIN PUBLIC KEY-----";

NX_DEFINE_AUTO(json_t *, json, json_decref)

/* A name that is an author's, or comes from a file. */
static const char *plain_name(const char *name, char text[static NAME_SHOWN])
{
    snprintf(text, NAME_SHOWN, "%s", name);
    return nx_plain(text);
}

/* ---- whom is meant ---- */

/* The only signer in the store whose fingerprint begins so, or NULL. */
static const char *by_prefix(const struct nx_truststore *store, const char *prefix)
{
    const char *fingerprint, *found = NULL;
    json_t *signer;
    if (strlen(prefix) < PREFIX_MIN)
        return NULL;
    json_object_foreach(nx_truststore_signers(store), fingerprint, signer)
    {
        if (strncmp(fingerprint, prefix, strlen(prefix)) != 0)
            continue;
        if (found)
            return NULL;
        found = fingerprint;
    }
    return found;
}

/* A key's file, its fingerprint, or the beginning of one that is in the store. */
static int find_signer(const struct nx_truststore *store, const char *text,
                       char ret_fingerprint[static NX_DIGEST_HEX], struct nx_error *err)
{
    struct nx_trust_policy one = { 0 };
    const char *known = by_prefix(store, text);
    if (known) {
        snprintf(ret_fingerprint, NX_DIGEST_HEX, "%s", known);
        return 0;
    }
    if (nx_trust_add(&one, text, err) < 0)
        return access(text, F_OK) == 0 || errno != ENOENT
                   ? -1
                   : nx_fail(err, NX_ERR_TRUST,
                             "%s: neither a file with a key, nor a fingerprint, nor the first %d "
                             "letters of just one that is known here (nxfetch trust list)",
                             text, PREFIX_MIN);
    nx_digest_hex(&one.signers[0], ret_fingerprint);
    return 0;
}

/* ---- list, show ---- */

static json_t *signer_json(const struct nx_truststore *store, const char *fingerprint)
{
    struct nx_trusted trusted;
    if (!nx_truststore_signer(store, fingerprint, &trusted))
        return json_pack("{s:s, s:b}", "fingerprint", fingerprint, "trusted", 0);
    return json_pack("{s:s, s:b, s:s, s:s, s:b}", "fingerprint", fingerprint, "trusted", 1, "name",
                     trusted.name, "since", trusted.since, "network", !trusted.no_network);
}

static void print_signer(const struct nx_truststore *store, const char *fingerprint)
{
    struct nx_trusted trusted;
    char name[NAME_SHOWN];
    if (!nx_truststore_signer(store, fingerprint, &trusted)) {
        printf("%s  not trusted\n", fingerprint);
        return;
    }
    printf("%s  since %.10s%s  %s\n", fingerprint, trusted.since,
           trusted.no_network ? ", without network" : "", plain_name(trusted.name, name));
}

static int list(const struct nx_options *options, const struct nx_truststore *store,
                struct nx_error *err)
{
    const char *fingerprint;
    json_t *signer, *signers = json_array();
    json_object_foreach(nx_truststore_signers(store), fingerprint, signer)
    {
        if (options->json)
            json_array_append_new(signers, signer_json(store, fingerprint));
        else
            print_signer(store, fingerprint);
    }
    if (options->json)
        return nx_json_print(json_pack("{s:o}", "signers", signers), err);
    if (json_object_size(nx_truststore_signers(store)) == 0)
        nx_log(NX_LOG_NOTICE, "nobody is trusted yet; nxfetch trust add KEY does it");
    json_decref(signers);
    return 0;
}

/* Where the signer's packages were met. */
static json_t *urls_of(const struct nx_truststore *store, const char *fingerprint)
{
    const char *url;
    json_t *seen, *urls = json_array();
    json_object_foreach(nx_truststore_urls(store), url,
                        seen) if (strcmp(nx_truststore_url(store, url), fingerprint) == 0)
        json_array_append_new(urls, json_string(url));
    return urls;
}

static void print_seen(const struct nx_truststore *store, const char *fingerprint,
                       const json_t *urls)
{
    const char *package;
    json_t *seen, *url;
    size_t i;
    char name[NAME_SHOWN];
    json_object_foreach(nx_truststore_packages(store, fingerprint), package, seen)
        printf("  has run here: %s, version %" PRIu64 "\n", plain_name(package, name),
               nx_truststore_serial(store, fingerprint, package));
    json_array_foreach(urls, i, url) printf("  from: %s\n", json_string_value(url));
}

static int show(const struct nx_options *options, const struct nx_truststore *store,
                struct nx_error *err)
{
    char found[NX_DIGEST_HEX];
    const char *fingerprint = nx_truststore_url(store, options->signer);
    if (!fingerprint && nx_http_is_url(options->signer))
        return nx_fail(err, NX_ERR_TRUST, "%s: nothing has run from there", options->signer);
    if (!fingerprint && find_signer(store, options->signer, found, err) < 0)
        return -1;
    fingerprint = fingerprint ? fingerprint : found;
    NX_AUTO(json) json_t *urls = urls_of(store, fingerprint);
    json_t *packages = nx_truststore_packages(store, fingerprint);
    if (options->json) {
        json_t *signer = signer_json(store, fingerprint);
        json_object_set(signer, "urls", urls);
        json_object_set_new(signer, "packages", packages ? json_incref(packages) : json_object());
        return nx_json_print(signer, err);
    }
    print_signer(store, fingerprint);
    print_seen(store, fingerprint, urls);
    return 0;
}

/* ---- add, remove ---- */

/* What is changed, and of whom that is told when it is in the file. */
struct change {
    struct nx_truststore *store;
    json_t *signers; /* fingerprints */
    const char *url; /* forgotten, or NULL */
};

static void note(struct change *change, const char *fingerprint)
{
    json_array_append_new(change->signers, json_string(fingerprint));
}

static int add(const struct nx_options *options, struct change *change, struct nx_error *err)
{
    char fingerprint[NX_DIGEST_HEX];
    const struct nx_trusted trusted = { .name = options->name ? options->name : "",
                                        .no_network = options->no_network };
    if (strlen(trusted.name) > NX_NAME_MAX)
        return nx_fail(err, NX_ERR_USAGE, "--name: longer than %d bytes", NX_NAME_MAX);
    if (find_signer(change->store, options->signer, fingerprint, err) < 0 ||
        nx_truststore_add_signer(change->store, fingerprint, &trusted, err) < 0)
        return -1;
    note(change, fingerprint);
    return 0;
}

static int forget(const struct nx_options *options, struct change *change, struct nx_error *err)
{
    char fingerprint[NX_DIGEST_HEX];
    if (nx_truststore_forget_url(change->store, options->signer)) {
        change->url = options->signer;
        return 0;
    }
    if (nx_http_is_url(options->signer))
        return nx_fail(err, NX_ERR_TRUST, "%s: nothing has run from there", options->signer);
    if (find_signer(change->store, options->signer, fingerprint, err) < 0)
        return -1;
    if (!nx_truststore_remove_signer(change->store, fingerprint))
        return nx_fail(err, NX_ERR_TRUST, "%s: is not known here", fingerprint);
    note(change, fingerprint);
    return 0;
}

/* ---- import ---- */

static int add_key(struct change *change, const struct nx_key *key, const char *name,
                   struct nx_error *err)
{
    char fingerprint[NX_DIGEST_HEX];
    const struct nx_trusted trusted = { .name = name };
    nx_key_fingerprint(key, fingerprint);
    struct nx_trusted before;
    if (!nx_truststore_signer(change->store, fingerprint, &before) &&
        nx_truststore_add_signer(change->store, fingerprint, &trusted, err) < 0)
        return -1;
    note(change, fingerprint);
    return 0;
}

static int import_keys(struct change *change, const struct nx_buffer *file, const char *path,
                       struct nx_error *err)
{
    const char *end = (const char *)file->data + file->len;
    const char *at = (const char *)file->data;
    while ((at = memmem(at, (size_t)(end - at), pem_begin, strlen(pem_begin)))) {
        NX_AUTO_KEY struct nx_key *key = NULL;
        size_t len =
            (size_t)(end - at) < NX_PUBLIC_PEM_SIZE ? (size_t)(end - at) : NX_PUBLIC_PEM_SIZE;
        if (nx_key_from_public_pem(at, len, &key, err) < 0)
            return nx_fail_while(err, "%s: the key at its byte %zu", path,
                                 (size_t)(at - (const char *)file->data));
        if (add_key(change, key, "", err) < 0)
            return -1;
        at += len;
    }
    return 0;
}

static int import_reference(struct change *change, const struct nx_buffer *file, const char *path,
                            struct nx_error *err)
{
    NX_AUTO_REFERENCE struct nx_reference *reference = NULL;
    if (nx_reference_parse(file->data, file->len, path, &reference, err) < 0)
        return -1;
    if (!reference->signer)
        return nx_fail(err, NX_ERR_FORMAT, "%s: names no signer", path);
    return add_key(change, reference->signer, "", err);
}

/* One of a list's, as signer_json() makes them.  Who is trusted already stays as he is. */
static int import_signer(struct change *change, const json_t *signer, const char *path,
                         struct nx_error *err)
{
    const char *fingerprint = json_string_value(json_object_get(signer, "fingerprint"));
    const char *name = json_string_value(json_object_get(signer, "name"));
    struct nx_trusted trusted = { .name = name ? name : "",
                                  .no_network = json_is_false(json_object_get(signer, "network")) };
    struct nx_trusted before;
    struct nx_digest digest;
    if (!fingerprint || nx_digest_parse(fingerprint, &digest, NULL) < 0 ||
        strlen(trusted.name) > NX_NAME_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: an entry has no fingerprint, or a strange name",
                       path);
    if (!nx_truststore_signer(change->store, fingerprint, &before) &&
        nx_truststore_add_signer(change->store, fingerprint, &trusted, err) < 0)
        return -1;
    note(change, fingerprint);
    return 0;
}

static int import_list(struct change *change, const struct nx_buffer *file, const char *path,
                       struct nx_error *err)
{
    json_error_t why;
    json_t *signer;
    size_t i;
    NX_AUTO(json)
    json_t *root = json_loadb((const char *)file->data, file->len, JSON_REJECT_DUPLICATES, &why);
    const json_t *signers = json_object_get(root, "signers");
    if (!root)
        return nx_fail(err, NX_ERR_FORMAT, "%s:%d: %s", path, why.line, why.text);
    if (!json_is_array(signers))
        return nx_fail(err, NX_ERR_FORMAT, "%s: not what nxfetch trust list --json writes", path);
    json_array_foreach(signers, i,
                       signer) if (import_signer(change, signer, path, err) < 0) return -1;
    return 0;
}

static int import(const struct nx_options *options, struct change *change, struct nx_error *err)
{
    const char *path = options->signer;
    NX_AUTO_BUFFER struct nx_buffer file = NX_BUFFER_INIT(0);
    if (nx_read_file(path, IMPORT_MAX, &file, err) < 0)
        return -1;
    if (nx_content_of(file.data, file.len) == NX_CONTENT_REFERENCE)
        return import_reference(change, &file, path, err);
    if (memmem(file.data, file.len, pem_begin, strlen(pem_begin)))
        return import_keys(change, &file, path, err);
    return import_list(change, &file, path, err);
}

/* ---- all of them ---- */

static int tell(const struct nx_options *options, const struct change *change, struct nx_error *err)
{
    json_t *fingerprint, *signers = json_array();
    size_t i;
    json_array_foreach(change->signers, i, fingerprint)
    {
        const char *text = json_string_value(fingerprint);
        if (options->json)
            json_array_append_new(signers, signer_json(change->store, text));
        else if (options->verb == NX_VERB_TRUST_REMOVE)
            nx_log(NX_LOG_NOTICE, "%s: trusted no more", text);
        else
            print_signer(change->store, text);
    }
    if (options->json)
        return nx_json_print(json_pack("{s:o, s:o?}", "signers", signers, "forgotten",
                                       change->url ? nx_json_text(change->url) : NULL),
                             err);
    json_decref(signers);
    if (change->url)
        nx_log(NX_LOG_NOTICE, "%s: forgotten who has signed it", change->url);
    return 0;
}

static int change(const struct nx_options *options, struct nx_truststore *store,
                  struct nx_error *err)
{
    if (nx_truststore_lock(store, err) < 0)
        return -1;
    NX_AUTO(json) json_t *signers = json_array();
    struct change change = { store, signers, NULL };
    int ret = options->verb == NX_VERB_TRUST_ADD      ? add(options, &change, err)
              : options->verb == NX_VERB_TRUST_REMOVE ? forget(options, &change, err)
                                                      : import(options, &change, err);
    return ret < 0 || nx_truststore_commit(store, err) < 0 ? -1 : tell(options, &change, err);
}

int nx_verb_trust(const struct nx_options *options, struct nx_error *err)
{
    NX_AUTO_TRUSTSTORE struct nx_truststore store = NX_TRUSTSTORE_INIT;
    if (nx_truststore_open(&store, err) < 0)
        return -1;
    int ret = options->verb == NX_VERB_TRUST_LIST   ? list(options, &store, err)
              : options->verb == NX_VERB_TRUST_SHOW ? show(options, &store, err)
                                                    : change(options, &store, err);
    if (ret == 0 && fflush(stdout) != 0)
        return nx_fail_errno(err, "standard output");
    return ret;
}
