/* SPDX-License-Identifier: MIT */
#include "formats/reference.h"

#include <string.h>

#include "common/embed.h"
#include "formats/xml.h"

#define NAMESPACE      "http://olivearchive.org/xmlns/vmnetx/reference"
#define NXPK_NAMESPACE "urn:nxpk:reference"

NX_EMBED(reference_rng, "formats/reference.rng");

/* VMNetX's "vmnetx+http://h/x" is "http://h/x". */
static int add_url(struct nx_reference *reference, const char *text, struct nx_error *err)
{
    static const char prefix[] = "vmnetx+";
    if (reference->n_urls == NX_MIRRORS_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "more than %d URLs", NX_MIRRORS_MAX);
    text += strspn(text, " \t\r\n");
    if (strncmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    char *url = strndup(text, strcspn(text, " \t\r\n"));
    if (!url)
        return nx_fail_errno(err, "URL");
    reference->urls[reference->n_urls++] = url;
    return 0;
}

static int read_urls(const xmlNode *root, struct nx_reference *reference, struct nx_error *err)
{
    NX_AUTO_FREE char *attr = nx_xml_attr(root, "url");
    if (attr)
        return add_url(reference, attr, err);
    for (const xmlNode *node = nx_xml_child(root, "url"); node; node = nx_xml_next(node, "url")) {
        NX_AUTO_FREE char *text = nx_xml_text(node);
        if (!text)
            return nx_fail_errno(err, "URL");
        if (add_url(reference, text, err) < 0)
            return -1;
    }
    return 0;
}

static int read_pins(const xmlNode *root, struct nx_reference *reference, struct nx_error *err)
{
    const xmlNode *manifest = nx_xml_child(root, "manifest");
    if (manifest) {
        NX_AUTO_FREE char *hex = nx_xml_attr(manifest, "sha256");
        if (!hex)
            return nx_fail_errno(err, "manifest digest");
        if (nx_digest_parse(hex, &reference->manifest_digest, err) < 0)
            return -1;
        reference->pinned = true;
    }
    const xmlNode *signer = nx_xml_child(root, "signer");
    if (!signer)
        return 0;
    NX_AUTO_FREE char *text = nx_xml_text(signer);
    char pem[NX_PUBLIC_PEM_SIZE + 1];
    if (!text || snprintf(pem, sizeof pem, "%s\n", text) != NX_PUBLIC_PEM_SIZE)
        return nx_fail(err, NX_ERR_FORMAT, "<signer> is not an Ed25519 public key in PEM");
    if (nx_key_from_public_pem(pem, NX_PUBLIC_PEM_SIZE, &reference->signer, err) < 0)
        return nx_fail_while(err, "<signer>");
    return 0;
}

int nx_reference_parse(const void *xml, size_t len, const char *name,
                       struct nx_reference **ret_reference, struct nx_error *err)
{
    if (len > NX_REFERENCE_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: larger than %d bytes: no reference", name,
                       NX_REFERENCE_MAX);
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    if (nx_xml_parse(xml, len, name, &doc, err) < 0 ||
        nx_xml_validate(doc, reference_rng, (size_t)(reference_rng_end - reference_rng), name,
                        err) < 0)
        return -1;
    NX_AUTO_REFERENCE struct nx_reference *reference = calloc(1, sizeof *reference);
    if (!reference)
        return nx_fail_errno(err, "%s", name);
    const xmlNode *root = xmlDocGetRootElement(doc);
    int ret = read_urls(root, reference, err);
    if (ret == 0)
        ret = read_pins(root, reference, err);
    if (nx_xml_end(ret, "reading", err) < 0)
        return nx_fail_while(err, "%s", name);
    *ret_reference = NX_STEAL(reference);
    return 0;
}

int nx_reference_write(const struct nx_reference *reference, struct nx_buffer *buf,
                       struct nx_error *err)
{
    if (nx_buffer_printf(buf, err,
                         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                         "<reference xmlns=\"" NAMESPACE "\" xmlns:nx=\"" NXPK_NAMESPACE
                         "\">\n") < 0)
        return -1;
    for (unsigned i = 0; i < reference->n_urls; i++)
        if (nx_buffer_printf(buf, err, "  <url>") < 0 ||
            nx_xml_escape(buf, reference->urls[i], err) < 0 ||
            nx_buffer_printf(buf, err, "</url>\n") < 0)
            return -1;
    char hex[NX_DIGEST_HEX], pem[NX_PUBLIC_PEM_SIZE + 1];
    if (reference->pinned && nx_buffer_printf(buf, err, "  <nx:manifest sha256=\"%s\"/>\n",
                                              nx_digest_hex(&reference->manifest_digest, hex)) < 0)
        return -1;
    if (reference->signer &&
        (nx_key_public_pem(reference->signer, pem, err) < 0 ||
         nx_buffer_printf(buf, err, "  <nx:signer>\n%s  </nx:signer>\n", pem) < 0))
        return -1;
    return nx_buffer_printf(buf, err, "</reference>\n");
}

void nx_reference_free(struct nx_reference *reference)
{
    if (!reference)
        return;
    for (unsigned i = 0; i < reference->n_urls; i++)
        free(reference->urls[i]);
    nx_key_free(reference->signer);
    free(reference);
}
