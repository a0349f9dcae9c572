/* SPDX-License-Identifier: MIT */
#include "common/login.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define COOKIES_MAX \
    (256u << 10) /* bytes that servers may add to the jar; then it is as it was at first */

void nx_login_init(struct nx_login *login)
{
    *login = (struct nx_login){ .auth = CURLAUTH_BASIC | CURLAUTH_DIGEST,
                                .netrc_fd = -1,
                                .ip_version = CURL_IPRESOLVE_WHATEVER,
                                .bearer = NX_BEARER_INIT };
    nx_buffer_init(&login->chain, 1 << 20);
    nx_buffer_init(&login->key, 1 << 20);
    pthread_mutex_init(&login->lock, NULL);
    pthread_mutex_init(&login->jar_lock, NULL);
}

static void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(NX_STEAL(*secret));
}

void nx_login_release(struct nx_login *login)
{
    wipe(&login->password);
    wipe(&login->proxy_password);
    wipe(&login->token);
    free(NX_STEAL(login->netrc));
    if (login->netrc_fd >= 0)
        close(nx_steal_fd(&login->netrc_fd));
    if (login->key.data)
        explicit_bzero(login->key.data, login->key.cap);
    nx_buffer_release(&login->key);
    nx_buffer_release(&login->chain);
    curl_share_cleanup(NX_STEAL(login->jar));
    curl_slist_free_all(NX_STEAL(login->first_cookies));
    nx_bearer_release(&login->bearer);
    pthread_mutex_destroy(&login->lock);
    pthread_mutex_destroy(&login->jar_lock);
}

/* ---- where to ------------------------------------------------------------- */

struct target {
    bool secure, loopback, has_user;
};

/* A name that only begins like one of these addresses is anybody's. */
static bool is_loopback(const char *host)
{
    uint8_t address[4];
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, address) == 1 && address[0] == 127);
}

static struct target target_of(const char *url)
{
    struct target target = { 0 };
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        target.secure = strcasecmp(scheme, "https") == 0;
        target.loopback = is_loopback(host);
        target.has_user = curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(u);
    return target;
}

bool nx_login_is_near(const char *url)
{
    return target_of(url).loopback;
}

/* ---- the token ------------------------------------------------------------ */

int nx_login_set_token(struct nx_login *login, const void *token, size_t len, struct nx_error *err)
{
    char *copy = strndup(token, len);
    if (!copy)
        return nx_fail_errno(err, "token");
    pthread_mutex_lock(&login->lock);
    char *old = login->token;
    login->token = copy;
    login->generation++;
    pthread_mutex_unlock(&login->lock);
    wipe(&old);
    return 0;
}

bool nx_login_is_current(struct nx_login *login, const struct nx_login_use *use)
{
    pthread_mutex_lock(&login->lock);
    bool current = login->generation == use->generation;
    pthread_mutex_unlock(&login->lock);
    return current;
}

int nx_login_renew(struct nx_login *login, const struct nx_login_use *use, struct nx_error *err)
{
    if (!login || !use->token || !login->may_run)
        return -1;
    if (!nx_login_is_current(login, use))
        return 0;
    int ret = nx_bearer_run(&login->bearer, err);
    if (ret == 0)
        ret = nx_login_set_token(login, login->bearer.output.data, login->bearer.output.len, err);
    nx_bearer_wipe(&login->bearer);
    return ret;
}

static int apply_token(struct nx_login *login, CURL *easy, const struct target *target,
                       struct nx_login_use *use, struct nx_error *err)
{
    if (!target->secure && !target->loopback && !login->anyhow)
        return nx_fail(err, NX_ERR_SERVER,
                       "the token of --bearer-command goes by https only, where nobody reads it on "
                       "the way; --insecure sends it all the same");
    pthread_mutex_lock(&login->lock);
    curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, login->token); /* curl's copy */
    use->generation = login->generation;
    use->token = login->token != NULL;
    pthread_mutex_unlock(&login->lock);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    return 0;
}

/* ---- names and passwords -------------------------------------------------- */

static int apply_user(struct nx_login *login, CURL *easy, const struct target *target,
                      struct nx_login_use *use, struct nx_error *err)
{
    bool given = login->user && !target->has_user;
    bool token = login->bearer.command && !target->has_user;
    use->user = given || target->has_user;
    use->netrc = login->netrc && !use->user && !token;
    curl_easy_setopt(easy, CURLOPT_USERNAME, given ? login->user : NULL);
    curl_easy_setopt(easy, CURLOPT_PASSWORD, given ? login->password : NULL);
    curl_easy_setopt(easy, CURLOPT_NETRC,
                     use->netrc ? (long)CURL_NETRC_OPTIONAL : (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NETRC_FILE, login->netrc);
    if (token)
        return apply_token(login, easy, target, use, err);
    curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, NULL);
    /* Who writes a password into a URL has it sent at once, as ever. */
    bool at_once = target->has_user && (login->auth & CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, at_once ? (long)CURLAUTH_BASIC : login->auth);
    return 0;
}

static bool names_proxy(const struct nx_login *login)
{
    static const char *const variables[] = { "http_proxy", "https_proxy", "HTTPS_PROXY",
                                             "all_proxy", "ALL_PROXY" };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            return true;
    return login && login->proxy;
}

static void apply_proxy(const struct nx_login *login, CURL *easy, const char *ca_file,
                        struct nx_login_use *use)
{
    use->proxy_user = login->proxy_user != NULL;
    if (login->proxy)
        curl_easy_setopt(easy, CURLOPT_PROXY, login->proxy);
    if (login->noproxy)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, login->noproxy);
    if (login->proxy_user) {
        curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, login->proxy_user);
        curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, login->proxy_password);
    }
    curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST));
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, ca_file);
}

/* ---- certificate and cookies ---------------------------------------------- */

static void apply_certificate(struct nx_login *login, CURL *easy, struct nx_login_use *use)
{
    struct curl_blob chain = { login->chain.data, login->chain.len, CURL_BLOB_NOCOPY };
    struct curl_blob key = { login->key.data, login->key.len, CURL_BLOB_NOCOPY };
    use->certificate = login->chain.len > 0;
    if (!use->certificate)
        return;
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &chain);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
}

void nx_login_count_cookie(struct nx_login *login, size_t bytes)
{
    if (!login)
        return;
    pthread_mutex_lock(&login->lock);
    login->cookie_bytes += bytes;
    pthread_mutex_unlock(&login->lock);
}

/* A server may set cookies without end: then the jar is to be as it was at first. */
static bool is_jar_full(struct nx_login *login)
{
    pthread_mutex_lock(&login->lock);
    bool full = login->cookie_bytes > COOKIES_MAX;
    if (full)
        login->cookie_bytes = 0;
    pthread_mutex_unlock(&login->lock);
    return full;
}

static void apply_cookies(struct nx_login *login, CURL *easy)
{
    if (!login->jar)
        return;
    /* In this order: the handle was perhaps used before, and curl would add to its list of files. */
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, NULL);
    curl_easy_setopt(easy, CURLOPT_SHARE, NULL);
    curl_easy_setopt(easy, CURLOPT_SHARE, login->jar);
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    if (!is_jar_full(login))
        return;
    curl_easy_setopt(easy, CURLOPT_COOKIELIST, "ALL");
    for (struct curl_slist *line = login->first_cookies; line; line = line->next)
        curl_easy_setopt(easy, CURLOPT_COOKIELIST, line->data);
}

int nx_login_apply(struct nx_login *login, CURL *easy, const char *url, const char *ca_file,
                   struct nx_login_use *ret_use, struct nx_error *err)
{
    const struct target target = target_of(url);
    *ret_use = (struct nx_login_use){ .secure = target.secure,
                                      .user = target.has_user,
                                      .proxy = names_proxy(login) };
    if (!login)
        return 0;
    apply_proxy(login, easy, ca_file, ret_use);
    apply_certificate(login, easy, ret_use);
    apply_cookies(login, easy);
    curl_easy_setopt(easy, CURLOPT_IPRESOLVE, login->ip_version);
    return apply_user(login, easy, &target, ret_use, err);
}

bool nx_login_has_secrets(const struct nx_login *login)
{
    return login && (login->user || login->netrc || login->bearer.command || login->first_cookies);
}

/* ---- what was refused ------------------------------------------------------ */

unsigned long nx_login_scheme(const char *value)
{
    static const struct {
        const char *name;
        unsigned long scheme;
    } schemes[] = { { "Basic", CURLAUTH_BASIC },
                    { "Digest", CURLAUTH_DIGEST },
                    { "Bearer", CURLAUTH_BEARER } };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i].name);
        if (strncasecmp(value, schemes[i].name, len) == 0 && (!value[len] || value[len] == ' '))
            return schemes[i].scheme;
    }
    return CURLAUTH_NEGOTIATE;
}

const char *nx_login_advice(const struct nx_login_use *use, long status, unsigned long schemes)
{
    if (status == 407)
        return use->proxy_user
                   ? "the proxy does not take this user name and password"
                   : "the proxy wants a user name and password: --proxy-user NAME asks for it, or "
                     "write them into http_proxy and https_proxy";
    if (use->token)
        return "the server does not take the token of --bearer-command";
    if (use->user)
        return schemes == CURLAUTH_BEARER
                   ? "the server wants a token, no password: --bearer-command CMD gives one"
                   : "the server does not take this user name and password";
    if (use->netrc)
        return "the server wants a user name and password, and takes none of .netrc for this host";
    if (schemes == CURLAUTH_BEARER)
        return "the server wants a token: --bearer-command CMD gives one";
    if (schemes && !(schemes & (CURLAUTH_BASIC | CURLAUTH_DIGEST)))
        return "the server wants a way to log in that is not known here";
    return "the server wants a user name and password: --user NAME asks for it, --netrc takes "
           "them from ~/.netrc";
}

static const char *proxy_remedy(CURL *easy, const struct nx_login_use *use)
{
    long why = 0;
    curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &why);
    switch (why) {
    case CURLPX_NO_AUTH:
    case CURLPX_USER_REJECTED:
    case CURLPX_IDENTD_DIFFER:
        break;
    default:
        return NULL;
    }
    return use->proxy_user ? "; the proxy does not take this user name and password"
                           : "; --proxy-user NAME asks for a password for the proxy";
}

const char *nx_login_remedy(CURL *easy, CURLcode code, const struct nx_login_use *use)
{
    long status = 0;
    if (code == CURLE_SSL_CLIENTCERT)
        return use->certificate ? "; the server does not take this certificate"
                                : "; --cert FILE and --key FILE name one";
    if (code == CURLE_PROXY)
        return proxy_remedy(easy, use);
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (code == CURLE_OK || status < 400 || status >= 500)
        return NULL;
    if (status == 407)
        return use->proxy_user ? "; the proxy does not take this user name and password"
                               : "; --proxy-user NAME asks for a password for the proxy";
    return "; the proxy does not let this through: --noproxy HOST goes without it";
}

/* Whether curl could not connect to the host of a URL, by its own words. */
static bool failed_at_host(const char *text, const char *url)
{
    bool same = true; /* as far as is known */
    char *host = NULL, *port = NULL, expected[512];
    CURLU *u = curl_url();
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        size_t len = strlen(host), bracket = host[0] == '['; /* of IPv6 */
        bool dot = len > 0 && host[len - 1] == '.';
        snprintf(expected, sizeof expected, "%.*s port %s ", (int)(len - 2 * bracket - dot),
                 host + bracket, port);
        same = strncasecmp(text, expected, strlen(expected)) == 0;
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return same;
}

const char *nx_login_proxy_hint(CURL *easy, CURLcode code, const char *text,
                                const struct nx_login_use *use)
{
    static const char before[] = "Failed to connect to ";
    char *url = NULL;
    if (!use->proxy || (code != CURLE_COULDNT_CONNECT && code != CURLE_OPERATION_TIMEDOUT) ||
        strncmp(text, before, strlen(before)) != 0 ||
        curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url) != CURLE_OK || !url ||
        failed_at_host(text + strlen(before), url))
        return NULL;
    return "; that is the proxy, by --proxy or the variables http_proxy, https_proxy and "
           "all_proxy: --noproxy HOST goes without it";
}
