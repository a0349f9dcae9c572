/* SPDX-License-Identifier: MIT */
/* The head of a package, on a web server or in a file, and who signed it. */
#ifndef NX_PACK_REMOTE_H
#define NX_PACK_REMOTE_H

#include "common/http.h"
#include "formats/package.h"

/* Fetch and check the head of the package at url (normalized); *ret_size is the file's, which is the head's alone if the
 * package is cut into volumes (nx_manifest_is_cut()).
 */
int nx_remote_head(const char *url, const struct nx_http_options *options,
                   struct nx_head **ret_head, uint64_t *ret_size, struct nx_error *err);

/* The head in what a request for the file's first bytes has brought.  *ret_head is NULL if it takes *ret_need bytes.
 * FORMAT error if it is none, or if the file ends before the package does.
 */
int nx_remote_parse(const struct nx_http_request *request, const char *name,
                    struct nx_head **ret_head, size_t *ret_need, struct nx_error *err);

/* Read and check that of the package in a file. */
int nx_local_head(const char *path, struct nx_head **ret_head, uint64_t *ret_size,
                  struct nx_error *err);

/* TRUST error if not key has signed the package; name is for the message. */
int nx_head_check_signer(const struct nx_head *head, const struct nx_key *key, const char *name,
                         struct nx_error *err);
/* Are the volumes of a package that is cut beside its head at url, each with the size that it must have?  A request for
 * each; the message names the first that is missing or wrong.
 */
int nx_remote_check_volumes(const char *url, const struct nx_http_options *options,
                            const struct nx_volumes *volumes, struct nx_error *err);

#endif
