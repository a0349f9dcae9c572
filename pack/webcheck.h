/* SPDX-License-Identifier: MIT */
/* What a web server does wrong for us: it is asked as nxfetch asks, and as browsers and caches on the way do, some
 * twenty times, for little more than the package's first 64 KiB.  remedy.h says what each trouble means.
 */
#ifndef NX_PACK_WEBCHECK_H
#define NX_PACK_WEBCHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http.h"
#include "pack/prober.h"
#include "pack/remedy.h"

/* What is to be checked. */
struct nx_webcheck_options {
    struct nx_http_options http;
    unsigned timeout; /* of each question, in seconds; 0: NX_PROBER_TIMEOUT */
    const char *addresses[NX_PROBER_ADDRESSES];
    unsigned n_addresses; /* ask these instead of what the host's name says; 0: do as it says */
};

/* What was found.  All text is printable ASCII. */
struct nx_webcheck {
    char url[512];               /* as given, without a password */
    char final_url[512];         /* where redirects have led to; "" before an answer */
    char server[NX_FIELD_MAX];   /* its header */
    enum nx_webserver webserver; /* told by that */
    enum nx_webserver
        redirector; /* whose answer the first redirect was; webserver if there was none */
    bool answered;  /* the fields below are set */
    bool http2;
    unsigned redirects;
    bool have_package;
    uint64_t size;                /* of the file; if have_package */
    unsigned first_byte_us;       /* median of small ranges; 0: not measured */
    unsigned round_trip_us;       /* least of the TCP connections; 0: not measured */
    unsigned questions;           /* that were asked */
    char found[NX_TROUBLES][512]; /* what exactly; "" if there is no such trouble */
};

/* Check the server at url (normalized).  0: *ret_check says what is wrong, which may be that it does not answer; -1: the
 * host has no memory, or the user has interrupted.
 */
int nx_webcheck_run(const char *url, const struct nx_webcheck_options *options,
                    struct nx_webcheck *ret_check, struct nx_error *err);

/* What mends a trouble that was found, on the server whose matter it is. */
struct nx_remedy nx_webcheck_remedy(const struct nx_webcheck *check, enum nx_trouble trouble);

/* How many troubles of this severity were found. */
unsigned nx_webcheck_count(const struct nx_webcheck *check, enum nx_severity severity);

#endif
