/* SPDX-License-Identifier: MIT */
/* The head of a package on a web server. */
#ifndef NX_PACK_REMOTE_H
#define NX_PACK_REMOTE_H

#include "common/http.h"
#include "formats/package.h"

/* Fetch and check the head of the package at url (normalized); *ret_size is the file's, which is the head's alone if the
 * package is cut into volumes (nx_manifest_is_cut()).
 */
int nx_remote_head(const char *url, const struct nx_http_options *options,
                   struct nx_head **ret_head, uint64_t *ret_size, struct nx_error *err);

/* Are the volumes of a package that is cut beside its head at url, each with the size that it must have?  A request for
 * each; the message names the first that is missing or wrong.
 */
int nx_remote_check_volumes(const char *url, const struct nx_http_options *options,
                            const struct nx_volumes *volumes, struct nx_error *err);

#endif
