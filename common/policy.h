/* SPDX-License-Identifier: MIT */
/* What a web server should say about a package besides its bytes: how long it may
 * be cached and who may read it.  nxserve says it, the configuration snippets
 * make other servers say the same words, and nxref check looks whether a server does.
 *
 * Caching.  A package may be replaced under its URL: that is how authors publish a new
 * version.  A cache that believed "immutable" would go on mixing ranges of the old file with
 * ranges of the new one.  So the rule is "store it, but ask each time": with a strong
 * ETag the asking costs one 304.  Only a name that ends in a digest, as in
 * debian-0123456789abcdef.nxpk, cannot come to mean other bytes, and may be kept for ever.
 *
 * CORS.  A package is public to whoever can reach the server; a page of another site may
 * show it, so any origin may read it, ranges included.  Credentials are never asked for.
 */
#ifndef NX_COMMON_POLICY_H
#define NX_COMMON_POLICY_H

#include <stdbool.h>

#define NX_CACHE_REVALIDATE "public, no-cache"
#define NX_CACHE_IMMUTABLE  "public, max-age=31536000, immutable"

#define NX_CORS_EXPOSE  "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified"
#define NX_CORS_METHODS "GET, HEAD, OPTIONS"
#define NX_CORS_ALLOW \
    "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since"
#define NX_CORS_MAX_AGE "86400"

#define NX_DIGEST_DIGITS 16 /* hexadecimal digits that make the end of a name a digest */

/* The same rule as a regular expression (POSIX and PCRE; to be matched in any case),
 * with the extensions to be filled in: "%s" becomes "nxpk|netx", with what volumes have behind it.
 */
#define NX_VERSIONED_PATTERN "[-._][0-9a-f]{16,}\\.(%s)$"

/* Is name one of our types, with a digest in front of its extension? */
bool nx_name_is_versioned(const char *name);

/* The value of Cache-Control for name. */
const char *nx_cache_control(const char *name);

#endif
