/* SPDX-License-Identifier: MIT */
/* What may be wrong with a web server for us: how bad that is, what it costs, and what mends it on the server that it is.
 * The words that configuration uses are common/policy.h's and common/types.h's, as in the files that nxserve config prints.
 */
#ifndef NX_PACK_REMEDY_H
#define NX_PACK_REMEDY_H

enum nx_severity {
    NX_SEVERITY_ERROR,   /* nxfetch does not work */
    NX_SEVERITY_WARNING, /* it works, but slower, or less safely, or not by a click */
    NX_SEVERITY_NOTE,    /* it works */
};

/* In the order in which they are told. */
enum nx_trouble {
    NX_TROUBLE_TLS,
    NX_TROUBLE_NO_ANSWER,
    NX_TROUBLE_STATUS,
    NX_TROUBLE_REDIRECT_REFUSED,
    NX_TROUBLE_COMPRESSED,
    NX_TROUBLE_NO_RANGES,
    NX_TROUBLE_CONTENT_RANGE,
    NX_TROUBLE_LENGTH,
    NX_TROUBLE_PACKAGE,
    NX_TROUBLE_WRONG_BYTES,
    NX_TROUBLE_SIZE_CHANGES,
    NX_TROUBLE_VOLUME,

    NX_TROUBLE_UNRELIABLE,
    NX_TROUBLE_NO_ETAG,
    NX_TROUBLE_WEAK_ETAG,
    NX_TROUBLE_ETAG_CHANGES,
    NX_TROUBLE_IF_RANGE_REFUSED,
    NX_TROUBLE_IF_RANGE_IGNORED,
    NX_TROUBLE_COMPRESSES,
    NX_TROUBLE_WHOLE,
    NX_TROUBLE_TYPE,
    NX_TROUBLE_NO_CACHE_CONTROL,
    NX_TROUBLE_CACHED_TOO_LONG,
    NX_TROUBLE_REDIRECTS,
    NX_TROUBLE_DOWNGRADE,
    NX_TROUBLE_NO_KEEP_ALIVE,
    NX_TROUBLE_SLOW,
    NX_TROUBLE_CERTIFICATE_ENDS,

    NX_TROUBLE_IF_NONE_MATCH,
    NX_TROUBLE_NO_CORS,
    NX_TROUBLE_NOT_CACHED,
    NX_TROUBLE_ADDRESS,
    NX_TROUBLE_NO_TLS,
    NX_TROUBLE_NO_HTTP2,
    NX_TROUBLES,
};

/* Whose configuration it is. */
enum nx_webserver {
    NX_WEBSERVER_OTHER,
    NX_WEBSERVER_NGINX,
    NX_WEBSERVER_APACHE,
    NX_WEBSERVER_LIGHTTPD,
    NX_WEBSERVER_CADDY,
    NX_WEBSERVER_NXSERVE,
    NX_WEBSERVER_S3,
    NX_WEBSERVER_CLOUDFRONT,
    NX_WEBSERVER_CLOUDFLARE,
    NX_WEBSERVER_VARNISH,
};

/* What mends a trouble. */
struct nx_remedy {
    const char *words; /* where the lines belong; without lines, what to do */
    const char
        *lines; /* configuration, each line with its newline; NULL if words are all there is */
};

const char *nx_severity_name(enum nx_severity severity);

const char *nx_trouble_id(enum nx_trouble trouble); /* "no-ranges": for programs, so it stays */
enum nx_severity nx_trouble_severity(enum nx_trouble trouble);
const char *nx_trouble_cost(enum nx_trouble trouble); /* a sentence */
int nx_trouble_is_of_config(
    enum nx_trouble trouble); /* does what `nxserve config` prints mend it? */

/* Tell the server by its answer's headers Server and Via, either "" if there is none. */
enum nx_webserver nx_webserver_detect(const char *server, const char *via);
const char *nx_webserver_id(enum nx_webserver webserver); /* "nginx" */
const char *
nx_webserver_name(enum nx_webserver webserver); /* "nginx", "Amazon S3"; "the server" for others */

/* Does `nxserve config` print a configuration for it?  Then nx_webserver_id() is what it is called there. */
int nx_webserver_has_config(enum nx_webserver webserver);

struct nx_remedy nx_remedy_for(enum nx_webserver webserver, enum nx_trouble trouble);

#endif
