/* SPDX-License-Identifier: MIT */
/* A package: its head (everything before the index), how a writer plans one, and how
 * it is signed in place.  docs/FORMAT.md, "The file".
 *
 *     mimetype      NX_PACKAGE_TYPE
 *     manifest.xml  formats/manifest.h
 *     manifest.sig  64 bytes: Ed25519 over manifest.xml; zeros if unsigned
 *     signer.pem    113 bytes: the public key; newlines if unsigned
 *     domain.xml    formats/domain.h
 *     device-state  only if suspended
 *     index         formats/index.h
 *     chunks        formats/chunk.h
 */
#ifndef NX_FORMATS_PACKAGE_H
#define NX_FORMATS_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "formats/key.h"
#include "formats/manifest.h"
#include "formats/parts.h"
#include "formats/zip.h"

#define NX_PACKAGE_TYPE "application/x-vmnetx-package"
/* Bytes that a reader asks for first: enough for most heads and the top of their index,
 * and no more than the index that a start may cost at 1 TiB (64 KiB).
 */
#define NX_HEAD_FIRST (64 * 1024)
#define NX_HEAD_MAX   (NX_MANIFEST_MAX + NX_DOMAIN_MAX + 64 * 1024)

struct nx_head {
    struct nx_buffer manifest_xml;    /* the signed bytes */
    struct nx_digest manifest_digest; /* of manifest_xml: what references pin */
    uint8_t signature[NX_SIGNATURE_SIZE];
    struct nx_key *signer; /* NULL if unsigned */
    struct nx_manifest *manifest;
    struct nx_buffer domain_xml; /* its digest is right; not yet validated against the schema */
};

/* Read the head from the package's first len bytes.  In this order: the signature is checked with the
 * key beside it, the manifest's bytes are parsed, domain.xml is checked against the manifest.
 * Whether that key is to be trusted is the caller's question.
 *
 * On success *ret_head is the head, or NULL if more bytes are needed: *ret_need then says
 * how many to come with (at most NX_HEAD_MAX).  If these are all the bytes that there
 * are, the package is truncated: say so.  name goes into messages.
 */
int nx_head_parse(const void *data, size_t len, const char *name, struct nx_head **ret_head,
                  size_t *ret_need, struct nx_error *err);

/* The same from an open file, which must be the whole package, or the head of one that is cut into volumes. */
int nx_head_read(int fd, const char *name, struct nx_head **ret_head, struct nx_error *err);

/* Rebuild a head from its parts as another process sent them; everything is checked again. */
int nx_head_from_parts(const struct nx_buffer *manifest_xml,
                       const uint8_t signature[static NX_SIGNATURE_SIZE],
                       const char signer_pem[static NX_PUBLIC_PEM_SIZE],
                       const struct nx_buffer *domain_xml, const char *name,
                       struct nx_head **ret_head, struct nx_error *err);

/* Write the members before domain.xml again, as the package has them. */
int nx_head_write_front(const struct nx_head *head, struct nx_zip_writer *zip,
                        struct nx_error *err);

/* What signer.pem holds: the signer's key, or newlines. */
int nx_head_signer_pem(const struct nx_head *head, char ret_pem[static NX_PUBLIC_PEM_SIZE + 1],
                       struct nx_error *err);

void nx_head_free(struct nx_head *head);

static inline void nx_auto_head(struct nx_head **head)
{
    nx_head_free(*head);
}
#define NX_AUTO_HEAD NX_AUTO(head)

/* Fill in the manifest's spans (offsets of domain, device state, index and chunks)
 * from their sizes, so that they are right for the package that nx_package_write_head()
 * begins.  The manifest's own length depends on the offsets and they on it; this settles it.  If volumes are wanted
 * (manifest->volumes.size is not 0), where they begin is settled, too.
 */
int nx_package_plan(struct nx_manifest *manifest, struct nx_error *err);

/* Write the members before the device state and the index: mimetype, manifest.xml, manifest.sig and
 * signer.pem (of key; NULL leaves their places empty) and domain.xml.  The caller goes on with nx_zip_begin("index", …)
 * and must find itself at the planned offsets.
 */
int nx_package_write_head(struct nx_zip_writer *zip, const struct nx_manifest *manifest,
                          const void *domain_xml, const struct nx_key *key, struct nx_error *err);

/* Sign a package in place with key, or strip its signature (key NULL): only manifest.sig, signer.pem and their checksums in the
 * file change (of one that is cut: in its head and its last volume).  parts are open read-write, and get settled.  The
 * signature that it has does not matter, nor whether it has a right one: so what a signing that was cut off in the middle
 * has left is put right by the next.
 */
int nx_package_sign(struct nx_parts *parts, const struct nx_key *key, struct nx_error *err);

#endif
