/* SPDX-License-Identifier: MIT */
#include "common/weboptions.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/ask.h"
#include "common/clientcert.h"
#include "common/interrupt.h"
#include "common/io.h"
#include "common/log.h"

#define RATE_MIN   1024       /* bytes/s */
#define NETRC_MAX  (1u << 20) /* bytes */
#define COOKIE_MAX (1u << 20)

enum {
    OPT_CA_CERT = NX_WEB_FIRST,
    OPT_PROXY,
    OPT_NOPROXY,
    OPT_PROXY_USER,
    OPT_USER,
    OPT_BASIC,
    OPT_DIGEST,
    OPT_NETRC,
    OPT_NETRC_FILE,
    OPT_BEARER_COMMAND,
    OPT_CERT,
    OPT_KEY,
    OPT_PASS_FILE,
    OPT_COOKIE,
    OPT_LIMIT_RATE,
    OPT_END,
};

static const struct option options[] = {
    { "ca-cert", required_argument, NULL, OPT_CA_CERT },
    { "cacert", required_argument, NULL, OPT_CA_CERT }, /* as curl calls it */
    { "proxy", required_argument, NULL, OPT_PROXY },
    { "noproxy", required_argument, NULL, OPT_NOPROXY },
    { "proxy-user", required_argument, NULL, OPT_PROXY_USER },
    { "user", required_argument, NULL, OPT_USER },
    { "basic", no_argument, NULL, OPT_BASIC },
    { "digest", no_argument, NULL, OPT_DIGEST },
    { "netrc", no_argument, NULL, OPT_NETRC },
    { "netrc-file", required_argument, NULL, OPT_NETRC_FILE },
    { "bearer-command", required_argument, NULL, OPT_BEARER_COMMAND },
    { "cert", required_argument, NULL, OPT_CERT },
    { "key", required_argument, NULL, OPT_KEY },
    { "pass-file", required_argument, NULL, OPT_PASS_FILE },
    { "cookie", required_argument, NULL, OPT_COOKIE },
    { "limit-rate", required_argument, NULL, OPT_LIMIT_RATE },
    { "ipv4", no_argument, NULL, '4' },
    { "ipv6", no_argument, NULL, '6' },
};
_Static_assert(sizeof options / sizeof *options == NX_WEB_COUNT, "NX_WEB_COUNT");

void nx_web_table(struct option *ret_table, const struct option *others, size_t n)
{
    memcpy(ret_table, options, sizeof options);
    memcpy(ret_table + NX_WEB_COUNT, others, n * sizeof *others);
}

bool nx_web_is_option(int value)
{
    return value == '4' || value == '6' || (value >= OPT_CA_CERT && value < OPT_END);
}

void nx_web_init(struct nx_web_options *web)
{
    *web = (struct nx_web_options){ .seen = NULL };
    nx_login_init(&web->login);
}

/* ---- taking them ---------------------------------------------------------- */

/* A name, without its password: everybody on this computer can read what programs were started with. */
static int take_name(const char *option, const char *arg, const char *elsewhere,
                     const char **ret_name, struct nx_error *err)
{
    if (!*arg)
        return nx_fail(err, NX_ERR_USAGE, "--%s: no name", option);
    if (strchr(arg, ':'))
        return nx_fail(err, NX_ERR_USAGE,
                       "--%s takes the name only: others on this computer could read a password "
                       "here; it is asked for, or taken from %s",
                       option, elsewhere);
    *ret_name = arg;
    return 0;
}

static int take_proxy(struct nx_web_options *web, const char *arg, struct nx_error *err)
{
    static const char *const schemes[] = {
        "http", "https", "socks4", "socks4a", "socks5", "socks5h"
    };
    size_t len = strcspn(arg, ":"), i = 0;
    bool has_scheme = strncmp(arg + len, "://", 3) == 0;
    while (has_scheme && i < 6 && (strncasecmp(arg, schemes[i], len) != 0 || schemes[i][len] != 0))
        i++;
    if (i == 6)
        return nx_fail(err, NX_ERR_USAGE,
                       "--proxy: not an http, https, socks4, socks4a, socks5 or socks5h URL");
    if (strchr(arg, '@'))
        return nx_fail(err, NX_ERR_USAGE,
                       "--proxy: others on this computer could read a password here: use "
                       "--proxy-user NAME, or the variables http_proxy and https_proxy");
    web->login.proxy = arg;
    return 0;
}

/* "500K" bytes/s; as curl has it. */
static int take_rate(struct nx_web_options *web, const char *arg, struct nx_error *err)
{
    static const char units[] = "KMG";
    size_t digits = strspn(arg, "0123456789");
    uint64_t rate = digits && digits < 16 ? strtoull(arg, NULL, 10) : 0;
    const char *unit = arg[digits] ? strchr(units, toupper((unsigned char)arg[digits])) : NULL;
    if (unit && __builtin_mul_overflow(rate, UINT64_C(1024) << 10 * (unit - units), &rate))
        rate = 0;
    if (!digits || (arg[digits] && (!unit || arg[digits + 1])) || rate < RATE_MIN ||
        rate > INT64_MAX / 2)
        return nx_fail(err, NX_ERR_USAGE,
                       "--limit-rate: '%s' is not a number of bytes a second, 1K or more, with K, "
                       "M or G behind it",
                       arg);
    web->login.rate = rate;
    return 0;
}

static int take_command(struct nx_web_options *web, const char *arg, struct nx_error *err)
{
    if (!arg[strspn(arg, " \t")])
        return nx_fail(err, NX_ERR_USAGE, "--bearer-command: no command");
    web->login.bearer.command = arg;
    return 0;
}

static const char *name_of(int value)
{
    size_t i = 0;
    while (options[i].val != value)
        i++;
    return options[i].name;
}

/* Those whose value only needs to be kept. */
static void keep(struct nx_web_options *web, int value, const char *arg)
{
    const char **place = value == OPT_CA_CERT      ? &web->http.ca_file
                         : value == OPT_NOPROXY    ? &web->login.noproxy
                         : value == OPT_NETRC_FILE ? &web->netrc_file
                         : value == OPT_CERT       ? &web->cert
                         : value == OPT_KEY        ? &web->key
                         : value == OPT_PASS_FILE  ? &web->pass_file
                                                   : &web->cookie;
    *place = arg;
}

int nx_web_take(struct nx_web_options *web, int value, const char *arg, struct nx_error *err)
{
    web->seen = name_of(value);
    switch (value) {
    case OPT_PROXY:
        return take_proxy(web, arg, err);
    case OPT_PROXY_USER:
        return take_name("proxy-user", arg, "http_proxy and https_proxy", &web->login.proxy_user,
                         err);
    case OPT_USER:
        return take_name("user", arg, "~/.netrc by --netrc", &web->login.user, err);
    case OPT_BEARER_COMMAND:
        return take_command(web, arg, err);
    case OPT_LIMIT_RATE:
        return take_rate(web, arg, err);
    case OPT_BASIC:
        web->basic = true;
        return 0;
    case OPT_DIGEST:
        web->digest = true;
        return 0;
    case OPT_NETRC:
        web->netrc = true;
        return 0;
    case '4':
    case '6':
        web->login.ip_version = value == '4' ? CURL_IPRESOLVE_V4 : CURL_IPRESOLVE_V6;
        return 0;
    default:
        keep(web, value, arg);
        return 0;
    }
}

/* ---- settling ------------------------------------------------------------- */

static int ask_password(const char *option, const char *user, const char *whom,
                        const char *elsewhere, char **ret_password, struct nx_error *err)
{
    char question[1024], secret[NX_SECRET_MAX + 1];
    snprintf(question, sizeof question, "Password of %s for %s", user, whom);
    int len = nx_ask_secret(question, secret, NX_SECRET_MAX);
    if (len < 0 && nx_check_interrupt(err) < 0)
        return -1;
    if (len < 0)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "--%s: the password can only be given on a terminal, or taken from %s",
                       option, elsewhere);
    secret[len] = 0;
    *ret_password = strdup(secret);
    explicit_bzero(secret, sizeof secret);
    return *ret_password ? 0 : nx_fail_errno(err, "--%s", option);
}

static int ask_passwords(struct nx_web_options *web, const char *location, struct nx_error *err)
{
    struct nx_login *login = &web->login;
    char name[512];
    if (nx_http_is_url(location))
        nx_http_display_url(location, name);
    else
        snprintf(name, sizeof name, "%s", location);
    if (login->user &&
        ask_password("user", login->user, name, "~/.netrc by --netrc", &login->password, err) < 0)
        return -1;
    return login->proxy_user
               ? ask_password("proxy-user", login->proxy_user, "the proxy",
                              "http_proxy and https_proxy", &login->proxy_password, err)
               : 0;
}

/* curl takes a path only, at each request: that of a copy in memory. */
static int read_netrc(struct nx_web_options *web, struct nx_error *err)
{
    struct nx_login *login = &web->login;
    NX_AUTO_FREE char *path = NULL;
    const char *home = getenv("HOME");
    if (!web->netrc && !web->netrc_file)
        return 0;
    if (!web->netrc_file && (!home || asprintf(&path, "%s/.netrc", home) < 0))
        return nx_fail(err, NX_ERR_SYSTEM, "--netrc: there is no $HOME to look for .netrc in");
    struct nx_buffer text = NX_BUFFER_INIT(0);
    const char *file = web->netrc_file ? web->netrc_file : path;
    if (nx_read_file(file, NETRC_MAX, &text, err) < 0)
        return nx_fail_while(err, web->netrc_file ? "--netrc-file" : "--netrc");
    login->netrc_fd = memfd_create("nxpk-netrc", MFD_CLOEXEC);
    int ret = login->netrc_fd < 0 ? nx_fail_errno(err, "--netrc: file in memory")
                                  : nx_write_full(login->netrc_fd, text.data, text.len, file, err);
    explicit_bzero(text.data, text.cap);
    nx_buffer_release(&text);
    if (ret == 0 && asprintf(&login->netrc, "/proc/self/fd/%d", login->netrc_fd) < 0) {
        login->netrc = NULL;
        ret = nx_fail_errno(err, "--netrc");
    }
    return ret;
}

static void lock_jar(CURL *easy, curl_lock_data data, curl_lock_access access, void *opaque)
{
    struct nx_login *login = opaque;
    (void)easy, (void)data, (void)access;
    pthread_mutex_lock(&login->jar_lock);
}

static void unlock_jar(CURL *easy, curl_lock_data data, void *opaque)
{
    struct nx_login *login = opaque;
    (void)easy, (void)data;
    pthread_mutex_unlock(&login->jar_lock);
}

/* What the file has, and what servers set: for this run only.  curl says nothing of files that it cannot read. */
static int fill_jar(struct nx_web_options *web, CURL *easy, struct nx_error *err)
{
    struct nx_login *login = &web->login;
    struct nx_buffer text = NX_BUFFER_INIT(0);
    login->jar = curl_share_init();
    if (!easy || !login->jar)
        return nx_fail(err, NX_ERR_SYSTEM, "--cookie: no memory");
    curl_share_setopt(login->jar, CURLSHOPT_LOCKFUNC, lock_jar);
    curl_share_setopt(login->jar, CURLSHOPT_UNLOCKFUNC, unlock_jar);
    curl_share_setopt(login->jar, CURLSHOPT_USERDATA, login);
    curl_share_setopt(login->jar, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    if (!*web->cookie)
        return 0;
    if (nx_read_file(web->cookie, COOKIE_MAX, &text, err) < 0)
        return nx_fail_while(err, "--cookie");
    nx_buffer_release(&text);
    curl_easy_setopt(easy, CURLOPT_SHARE, login->jar);
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, web->cookie);
    curl_easy_setopt(easy, CURLOPT_COOKIELIST, "RELOAD");
    curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &login->first_cookies);
    return login->first_cookies ? 0
                                : nx_fail(err, NX_ERR_FORMAT,
                                          "--cookie: %s: no cookies in it that have not expired "
                                          "(Netscape's format)",
                                          web->cookie);
}

static int read_cookies(struct nx_web_options *web, struct nx_error *err)
{
    if (!web->cookie)
        return 0;
    CURL *easy = curl_easy_init();
    int ret = fill_jar(web, easy, err);
    curl_easy_cleanup(easy);
    return ret;
}

static int make_token(struct nx_login *login, struct nx_error *err)
{
    struct nx_bearer *bearer = &login->bearer;
    if (!bearer->command)
        return 0;
    int ret = nx_bearer_run(bearer, err);
    if (ret == 0)
        ret = nx_login_set_token(login, bearer->output.data, bearer->output.len, err);
    nx_bearer_wipe(bearer);
    return ret;
}

static int check_fitting(struct nx_web_options *web, struct nx_error *err)
{
    bool netrc = web->netrc || web->netrc_file;
    if (web->login.bearer.command && (web->login.user || netrc))
        return nx_fail(err, NX_ERR_USAGE,
                       "--bearer-command excludes --user and --netrc: one of them logs in");
    if (web->login.user && netrc)
        return nx_fail(err, NX_ERR_USAGE, "--user and --netrc exclude each other");
    if (web->basic && web->digest)
        return nx_fail(err, NX_ERR_USAGE, "--basic and --digest exclude each other");
    if (web->key && !web->cert)
        return nx_fail(err, NX_ERR_USAGE, "--key needs --cert");
    if (web->pass_file && !web->cert)
        return nx_fail(err, NX_ERR_USAGE, "--pass-file needs --cert");
    return 0;
}

static void warn(const struct nx_web_options *web, const char *location)
{
    const struct nx_login *login = &web->login;
    NX_AUTO_FREE char *url = NULL;
    if (nx_http_is_url(location) && nx_http_normalize_url(location, &url, NULL) < 0)
        return;
    bool readable = url && strncasecmp(url, "http:", 5) == 0 && !nx_login_is_near(url);
    if (web->http.insecure && (nx_login_has_secrets(login) || nx_http_has_user(location)))
        nx_log(NX_LOG_WARNING, "--insecure: whoever answers in the server's place learns what "
                               "you log in with");
    else if (readable && (login->user || login->netrc) && !web->digest)
        nx_log(NX_LOG_WARNING, "the password can be read on the way, for this is not https; "
                               "--digest hides it, if the server can do that");
}

int nx_web_settle(struct nx_web_options *web, const char *location, bool may_run,
                  struct nx_error *err)
{
    struct nx_login *login = &web->login;
    const struct rlimit none = { 0, 0 };
    login->may_run = may_run;
    login->anyhow = web->http.insecure;
    if (web->basic || web->digest)
        login->auth = web->basic ? CURLAUTH_BASIC : CURLAUTH_DIGEST;
    web->http.login = login;
    if (check_fitting(web, err) < 0)
        return -1;
    if (login->proxy_user || web->cert || nx_login_has_secrets(login) || web->netrc ||
        web->netrc_file)
        setrlimit(RLIMIT_CORE, &none); /* a core would hold it all */
    if (read_netrc(web, err) < 0 || read_cookies(web, err) < 0)
        return -1;
    warn(web, location);
    if ((web->cert && nx_clientcert_read(web->cert, web->key, web->pass_file, &login->chain,
                                         &login->key, err) < 0) ||
        ask_passwords(web, location, err) < 0)
        return -1;
    return make_token(login, err);
}

void nx_web_release(struct nx_web_options *web)
{
    nx_login_release(&web->login);
}
