/* SPDX-License-Identifier: MIT */
/* What the user is known by to servers and proxies, and by which way they are reached.  http.c gives it to each request; a
 * program fills it from its options (weboptions.h).
 *
 * What is secret goes only to the hosts that were asked for, and by no redirect to another one: curl holds that for names,
 * passwords and tokens; cookies go to their own domains, and .netrc has the password of each host.  A certificate is shown
 * to whichever host asks for it, its key to none.
 *
 * All of it is set before the first request and then only read, but for the token, which any thread may replace.
 */
#ifndef NX_COMMON_LOGIN_H
#define NX_COMMON_LOGIN_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bearer.h"
#include "common/buffer.h"
#include "common/error.h"

struct nx_login {
    const char *user; /* for servers whose URL has none, or NULL */
    char *password;   /* owned, as all that is no const */
    long auth;        /* the CURLAUTH_… that may be used */
    char *netrc;      /* a path for curl, or NULL */
    int netrc_fd;     /* what it leads to: a copy in memory, for who may open no files */

    const char *proxy;   /* NULL: as the environment says */
    const char *noproxy; /* likewise */
    const char *proxy_user;
    char *proxy_password;

    struct nx_buffer chain, key; /* the certificate, as PEM, or empty */

    CURLSH *jar;                      /* cookies, for all requests together; NULL: none are kept */
    struct curl_slist *first_cookies; /* that the jar began with */
    pthread_mutex_t jar_lock;         /* curl holds it while it uses the jar */

    long ip_version; /* CURL_IPRESOLVE_… */
    uint64_t rate;   /* bytes/s of all requests together; 0: no limit */
    bool anyhow;     /* send a token by http, too */
    bool may_run;    /* nx_login_renew() may run the command: this process is not confined */
    struct nx_bearer bearer; /* command NULL: there is no token */

    pthread_mutex_t lock;
    char *token;           /* under lock; or NULL */
    unsigned generation;   /* under lock: how many tokens there were */
    uint64_t cookie_bytes; /* under lock: taken into the jar since it was last as it began */
};

/* How a request was made; what of it was refused depends on that. */
struct nx_login_use {
    bool user, netrc, token, certificate, proxy_user;
    bool secure;         /* by https */
    bool proxy;          /* perhaps: one is named somewhere */
    unsigned generation; /* of the token */
};

void nx_login_init(struct nx_login *login);
void nx_login_release(struct nx_login *login);

/* Make easy use it for url.  login may be NULL: then only the environment's proxies are used.  SERVER error, without the
 * URL, if it must not be used there.
 */
int nx_login_apply(struct nx_login *login, CURL *easy, const char *url, const char *ca_file,
                   struct nx_login_use *ret_use, struct nx_error *err);

/* Is url's host this one, by an address of its own or as localhost, so that nobody reads on the way? */
bool nx_login_is_near(const char *url);

/* Would a server that is not who it should be be told something that it should not? */
bool nx_login_has_secrets(const struct nx_login *login);

/* Have this token from now on.  Any thread. */
int nx_login_set_token(struct nx_login *login, const void *token, size_t len, struct nx_error *err);

/* Is the token that was used the one that there is?  Any thread. */
bool nx_login_is_current(struct nx_login *login, const struct nx_login_use *use);

/* Another token than was used, by the user's command, if this process may run it: 0, or -1. */
int nx_login_renew(struct nx_login *login, const struct nx_login_use *use, struct nx_error *err);

/* A Set-Cookie of so many bytes was taken. */
void nx_login_count_cookie(struct nx_login *login, size_t bytes);

/* Schemes of a WWW-Authenticate or Proxy-Authenticate header, as CURLAUTH_…; CURLAUTH_NEGOTIATE stands for all others. */
unsigned long nx_login_scheme(const char *value);

/* What to do about status 401 or 407, where one of these schemes is asked for. */
const char *nx_login_advice(const struct nx_login_use *use, long status, unsigned long schemes);

/* What curl says of a proxy or of a certificate is final, and what to do: the text goes behind curl's.  NULL: it is
 * about something else.
 */
const char *nx_login_remedy(CURL *easy, CURLcode code, const struct nx_login_use *use);

/* What goes behind curl's text if it was a proxy that could not be reached, for its address looks like a server's; else
 * NULL.  The next try may do better.
 */
const char *nx_login_proxy_hint(CURL *easy, CURLcode code, const char *text,
                                const struct nx_login_use *use);

#endif
