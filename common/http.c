/* SPDX-License-Identifier: MIT */
#include "common/http.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "common/interrupt.h"

#define CONNECT_TIMEOUT 15
#define STALL_TIMEOUT   20
#define TRIES           4
#define REDIRECTS_MAX   5
#define BACKOFF_FIRST   250          /* ms */
#define BACKOFF_MAX     15000        /* ms */
#define RETRY_AFTER_MAX 120          /* s */
#define HEADERS_MAX     (128u << 10) /* bytes of all headers of one request, redirects and all */
#define IGNORED_MAX     (1u << 20)   /* bytes of a redirect's body, which nobody reads */

/* ---- URLs ---- */

static const char vmnetx_prefix[] = "vmnetx+";

static const char *without_prefix(const char *text)
{
    size_t len = sizeof vmnetx_prefix - 1;
    return strncasecmp(text, vmnetx_prefix, len) == 0 ? text + len : text;
}

bool nx_http_is_url(const char *text)
{
    text = without_prefix(text);
    return strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;
}

static inline void nx_auto_curlu(CURLU **u)
{
    curl_url_cleanup(*u);
}

int nx_http_normalize_url(const char *text, char **ret_url, struct nx_error *err)
{
    if (!nx_http_is_url(text))
        return nx_fail(err, NX_ERR_USAGE, "%.200s: not an http:// or https:// URL", text);
    NX_AUTO(curlu) CURLU *u = curl_url();
    char *url = NULL;
    if (!u)
        return nx_fail_errno(err, "URL");
    CURLUcode code = curl_url_set(u, CURLUPART_URL, without_prefix(text), 0);
    if (code == CURLUE_OK)
        code = curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(u, CURLUPART_URL, &url, 0);
    if (code != CURLUE_OK)
        return nx_fail(err, code == CURLUE_OUT_OF_MEMORY ? NX_ERR_SYSTEM : NX_ERR_USAGE,
                       "%.200s: %s", text, curl_url_strerror(code));
    *ret_url = strdup(url);
    curl_free(url);
    return *ret_url ? 0 : nx_fail_errno(err, "URL");
}

int nx_http_extend_path(const char *url, const char *suffix, char **ret_url, struct nx_error *err)
{
    NX_AUTO(curlu) CURLU *u = curl_url();
    NX_AUTO_FREE char *longer = NULL;
    char *path = NULL, *extended = NULL;
    CURLUcode code = u ? curl_url_set(u, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
    if (code == CURLUE_OK)
        code = curl_url_get(u, CURLUPART_PATH, &path, 0);
    if (code == CURLUE_OK && asprintf(&longer, "%s%s", path, suffix) < 0) {
        longer = NULL;
        code = CURLUE_OUT_OF_MEMORY;
    }
    curl_free(path);
    if (code == CURLUE_OK)
        code = curl_url_set(u, CURLUPART_PATH, longer, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(u, CURLUPART_URL, &extended, 0);
    if (code != CURLUE_OK)
        return nx_fail(err, NX_ERR_SYSTEM, "%.200s: %s", url, curl_url_strerror(code));
    *ret_url = strdup(extended);
    curl_free(extended);
    return *ret_url ? 0 : nx_fail_errno(err, "URL");
}

const char *nx_http_display_url(const char *url, char text[static 512])
{
    NX_AUTO(curlu) CURLU *u = curl_url();
    char *clean = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, without_prefix(url), 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK)
        curl_url_get(u, CURLUPART_URL, &clean, 0);
    snprintf(text, 512, "%s", clean ? clean : "(unreadable URL)");
    curl_free(clean);
    return text;
}

bool nx_http_has_user(const char *url)
{
    NX_AUTO(curlu) CURLU *u = curl_url();
    char *user = NULL, *password = NULL;
    if (!u || curl_url_set(u, CURLUPART_URL, without_prefix(url), 0) != CURLUE_OK)
        return false;
    bool has = curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK ||
               curl_url_get(u, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK;
    curl_free(user);
    curl_free(password);
    return has;
}

/* ---- what the server says ---- */

/* "bytes FIRST-LAST/TOTAL" is what was asked for, or its front if the file is shorter. */
static void read_content_range(struct nx_http_request *request, const char *value)
{
    uint64_t first, last, total;
    int end = 0;
    if (sscanf(value, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64 "%n", &first, &last, &total, &end) !=
            3 ||
        value[end] != 0)
        return;
    uint64_t wanted_last = request->offset + request->length - 1;
    if (request->may_be_short && total > 0 && wanted_last >= total)
        wanted_last = total - 1;
    request->have_range = first == request->offset && last == wanted_last && last < total;
    request->total = total;
}

static void read_header(struct nx_http_request *request, const char *name, const char *value)
{
    if (strcasecmp(name, "content-range") == 0)
        read_content_range(request, value);
    else if (strcasecmp(name, "content-encoding") == 0)
        snprintf(request->content_encoding, sizeof request->content_encoding, "%s", value);
    else if (strcasecmp(name, "etag") == 0 && value[0] == '"' &&
             strlen(value) < sizeof request->etag)
        strcpy(request->etag, value);
    else if (strcasecmp(name, "retry-after") == 0 && isdigit((unsigned char)value[0]))
        request->retry_after = (unsigned)strtoul(value, NULL, 10);
    else if (strcasecmp(name, "www-authenticate") == 0 ||
             strcasecmp(name, "proxy-authenticate") == 0)
        request->schemes |= nx_login_scheme(value);
}

static void forget_answer(struct nx_http_request *request)
{
    request->body.len = request->kept;
    request->taken = 0;
    request->changed = false;
    request->fault = NX_HTTP_NO_FAULT;
    request->status = 0;
    request->have_range = false;
    request->total = 0;
    request->etag[0] = 0;
    request->content_encoding[0] = 0;
    request->retry_after = 0;
    request->schemes = 0;
    request->body_checked = false;
}

static size_t on_header(char *data, size_t size, size_t n, void *opaque)
{
    struct nx_http_request *request = opaque;
    size_t len = size * n;
    char line[1024];
    request->header_bytes += len;
    if (request->header_bytes > HEADERS_MAX) {
        nx_fail(&request->err, NX_ERR_SERVER, "the server's headers do not end");
        return 0;
    }
    if (len > 11 && strncasecmp(data, "Set-Cookie:", 11) == 0)
        nx_login_count_cookie(request->login, len);
    if (len >= sizeof line)
        return len; /* none of those we read */
    memcpy(line, data, len);
    line[len] = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (strncmp(line, "HTTP/", 5) == 0) {
        forget_answer(request); /* of a redirect, or an interim one, before this */
        request->status = strtol(line + strcspn(line, " "), NULL, 10);
        return len;
    }
    char *colon = strchr(line, ':');
    if (!colon)
        return len;
    *colon = 0;
    const char *value = colon + 1;
    read_header(request, line, value + strspn(value, " \t"));
    return len;
}

/* Not every server knows If-Range, and not all ETags can be compared. */
static bool is_another_file(const struct nx_http_request *request)
{
    return request->if_range_etag && request->etag[0] &&
           strcmp(request->etag, request->if_range_etag) != 0;
}

/* What a status and headers mean before a byte of the body is taken. */
static int judge_answer(struct nx_http_request *request, struct nx_error *err)
{
    request->fault = NX_HTTP_BAD_STATUS;
    switch (request->status) {
    case 206:
        request->fault = NX_HTTP_NO_FAULT;
        break;
    case 200:
        request->fault = NX_HTTP_NO_RANGES;
        request->changed = request->if_range_etag != NULL;
        return nx_fail(err, NX_ERR_SERVER,
                       request->if_range_etag
                           ? "the file has changed on the server, or the server ignores ranges"
                           : "the server ignores ranges: it must answer a Range request with 206, "
                             "not 200 (admins: nxserve config prints what to set)");
    case 404:
    case 410:
        return nx_fail(err, NX_ERR_SERVER, "not found (HTTP status %ld)", request->status);
    case 401:
    case 407:
        return nx_fail(err, NX_ERR_SERVER, "access denied (HTTP status %ld): %s", request->status,
                       nx_login_advice(&request->used, request->status, request->schemes));
    case 403:
        return nx_fail(err, NX_ERR_SERVER, "access denied (HTTP status %ld)", request->status);
    case 400:
        return nx_fail(err, NX_ERR_SERVER, "HTTP status %ld%s", request->status,
                       request->used.secure && !request->used.certificate
                           ? "; if the server wants a certificate: --cert FILE, --key FILE"
                           : "");
    case 416:
        return nx_fail(err, NX_ERR_SERVER,
                       "no bytes at offset %" PRIu64
                       " (HTTP status 416): the file there is empty, truncated or another one",
                       request->offset);
    default:
        /* Time-outs, too many requests, and the server's own troubles pass; the rest does not. */
        return nx_fail(err,
                       request->status == 408 || request->status == 429 || request->status >= 500
                           ? NX_ERR_NETWORK
                           : NX_ERR_SERVER,
                       "HTTP status %ld", request->status);
    }
    if (request->content_encoding[0] && strcasecmp(request->content_encoding, "identity") != 0) {
        request->fault = NX_HTTP_COMPRESSED;
        return nx_fail(err, NX_ERR_SERVER,
                       "the server compresses (Content-Encoding: %s): switch that off for packages",
                       request->content_encoding);
    }
    if (!request->have_range) {
        request->fault = NX_HTTP_WRONG_RANGE;
        return nx_fail(err, NX_ERR_SERVER, "the server's Content-Range is not what was asked for");
    }
    if (is_another_file(request)) {
        request->fault = NX_HTTP_CHANGED;
        request->changed = true;
        return nx_fail(err, NX_ERR_SERVER, "the file has changed on the server");
    }
    return 0;
}

/* Bytes of the answer's body so far. */
static uint64_t bytes_so_far(const struct nx_http_request *request)
{
    return request->taken + (request->body.len - request->kept);
}

static size_t on_body(char *data, size_t size, size_t n, void *opaque)
{
    struct nx_http_request *request = opaque;
    size_t len = size * n;
    if (request->err.code != NX_OK)
        return 0; /* it was refused before, while curl was not listening: curl_easy_pause() */
    if (!request->body_checked && judge_answer(request, &request->err) < 0)
        return 0;
    request->body_checked = true;
    if (len > request->length - bytes_so_far(request)) {
        request->fault = NX_HTTP_WRONG_LENGTH;
        nx_fail(&request->err, NX_ERR_SERVER, "the server sends more bytes than were asked for");
        return 0;
    }
    if (nx_buffer_add(&request->body, data, len, &request->err) < 0)
        return 0;
    if (request->arrived)
        request->arrived(request);
    return len;
}

/* The body of a redirect is curl's to skip, however long it is: that is bounded here. */
static int on_progress(void *opaque, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    struct nx_http_request *request = opaque;
    if ((uint64_t)now <= request->length + IGNORED_MAX)
        return nx_interrupted();
    return nx_fail(&request->err, NX_ERR_SERVER, "the server sends more bytes than were asked for");
}

int nx_http_take(struct nx_http_request *request, size_t n, struct nx_buffer *ret_front,
                 struct nx_error *err)
{
    struct nx_buffer rest = NX_BUFFER_INIT(request->body.max);
    if (nx_buffer_add(&rest, request->body.data + n, request->body.len - n, err) < 0)
        return -1;
    *ret_front = request->body;
    ret_front->len = n;
    request->body = rest;
    size_t before = n < request->kept ? n : request->kept;
    request->kept -= before;
    request->taken += n - before;
    return 0;
}

/* ---- one request ---- */

/* Append a header to the list; without memory the list goes. */
static int add_header(struct curl_slist **list, struct nx_error *err, const char *name,
                      const char *value)
{
    char line[1024];
    snprintf(line, sizeof line, "%s%s", name, value);
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more) {
        *list = more;
        return 0;
    }
    curl_slist_free_all(NX_STEAL(*list));
    return nx_fail_errno(err, "HTTP headers");
}

static int set_headers(CURL *easy, struct nx_http_request *request, struct nx_error *err)
{
    struct curl_slist *list = NULL;
    if (add_header(&list, err, "Accept-Encoding: ",
                   request->accept_encoding ? request->accept_encoding : "identity") < 0 ||
        (request->if_range_etag &&
         add_header(&list, err, "If-Range: ", request->if_range_etag) < 0) ||
        (request->field && add_header(&list, err, request->field, "") < 0))
        return -1;
    curl_slist_free_all(request->headers);
    request->headers = list;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    return 0;
}

int nx_http_prepare(CURL *easy, const char *url, const struct nx_http_options *options,
                    struct nx_http_request *request, struct nx_error *err)
{
    forget_answer(request);
    request->err = (struct nx_error)NX_ERROR_INIT;
    request->curl_text[0] = 0;
    request->header_bytes = 0;
    request->login = options->login;
    if (set_headers(easy, request, err) < 0)
        return -1;
    if (nx_login_apply(options->login, easy, url, options->ca_file, &request->used, err) < 0) {
        char name[512];
        return nx_fail_while(err, "%s", nx_http_display_url(url, name));
    }
    char range[64];
    snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, request->offset,
             request->offset + request->length - 1);
    long connect_timeout = options->connect_timeout ? options->connect_timeout : CONNECT_TIMEOUT;
    long stall_timeout = options->stall_timeout ? options->stall_timeout : STALL_TIMEOUT;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_RANGE, range);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "nxpk/" NX_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_timeout);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall_timeout);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, request);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->curl_text);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
    if (options->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    return 0;
}

/* What curl itself says: the wire may do better next time; a certificate or a URL will not. */
static enum nx_errcode classify_curl(CURLcode code)
{
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_LOGIN_DENIED:
    case CURLE_WRITE_ERROR:
        return NX_ERR_SERVER;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        return NX_ERR_SYSTEM;
    default:
        return NX_ERR_NETWORK;
    }
}

/* What to do about a certificate that is not believed: ours is the choice of authorities, all else is the admin's. */
static const char *certificate_remedy(CURL *easy)
{
    long result = 0;
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
    switch (result) {
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED: /* OpenSSL has nothing against it, but curl has: the name */
        return "; the certificate is for another host: use the name that it has";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "; the server's admin must renew it, unless the clock of this host is wrong";
    default:
        return "; --ca-cert FILE names another authority";
    }
}

int nx_http_judge(CURL *easy, CURLcode code, struct nx_http_request *request, struct nx_error *err)
{
    if (request->err.code != NX_OK) { /* a callback has stopped the transfer, and said why */
        if (err)
            *err = request->err;
        return -1;
    }
    if (code == CURLE_PARTIAL_FILE)
        request->fault = NX_HTTP_WRONG_LENGTH;
    const char *remedy = nx_login_remedy(easy, code, &request->used);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        remedy = certificate_remedy(easy);
    const char *hint = nx_login_proxy_hint(easy, code, request->curl_text, &request->used);
    if (code != CURLE_OK)
        return nx_fail(err, remedy ? NX_ERR_SERVER : classify_curl(code), "%s%s",
                       request->curl_text[0] ? request->curl_text : curl_easy_strerror(code),
                       remedy ? remedy
                       : hint ? hint
                              : "");
    if (judge_answer(request, err) < 0)
        return -1;
    uint64_t want = request->length;
    if (request->may_be_short && request->total - request->offset < want)
        want = request->total - request->offset;
    uint64_t got = bytes_so_far(request);
    if (got != want) {
        request->fault = NX_HTTP_WRONG_LENGTH;
        return nx_fail(err, NX_ERR_NETWORK, "got %" PRIu64 " of %" PRIu64 " bytes", got, want);
    }
    return 0;
}

int nx_http_finish(CURL *easy, const char *url, CURLcode code, struct nx_http_request *request,
                   struct nx_error *err)
{
    if (nx_http_judge(easy, code, request, err) == 0)
        return 0;
    char text[512];
    return nx_fail_while(err, "%s", nx_http_display_url(url, text));
}

void nx_http_request_release(struct nx_http_request *request)
{
    nx_buffer_release(&request->body);
    curl_slist_free_all(NX_STEAL(request->headers));
}

/* ---- one request, waited for ---- */

unsigned nx_http_backoff_ms(unsigned n, unsigned retry_after)
{
    unsigned ms = n > 6 ? BACKOFF_MAX : BACKOFF_FIRST << (n ? n - 1 : 0);
    if (ms > BACKOFF_MAX)
        ms = BACKOFF_MAX;
    unsigned random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) == sizeof random)
        ms += random % (ms / 4 + 1);
    unsigned least = (retry_after < RETRY_AFTER_MAX ? retry_after : RETRY_AFTER_MAX) * 1000;
    return ms < least ? least : ms;
}

static void wait_ms(unsigned ms)
{
    struct timespec left = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&left, NULL); /* a signal ends it early, and the caller looks */
}

static inline void nx_auto_easy(CURL **easy)
{
    curl_easy_cleanup(*easy);
}

int nx_http_get(const char *url, const struct nx_http_options *options,
                struct nx_http_request *request, struct nx_error *err)
{
    NX_AUTO(easy) CURL *easy = curl_easy_init();
    char name[512];
    if (!easy)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: curl cannot start", nx_http_display_url(url, name));
    unsigned tries = options->tries ? options->tries : TRIES;
    bool renewed = false;
    for (unsigned n = 1;; n++) {
        struct nx_error failure = NX_ERROR_INIT;
        if (nx_http_prepare(easy, url, options, request, err) < 0)
            return -1;
        if (options->login)
            curl_easy_setopt(easy, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)options->login->rate);
        CURLcode code = curl_easy_perform(easy);
        if (nx_check_interrupt(err) < 0)
            return -1;
        if (nx_http_finish(easy, url, code, request, &failure) == 0)
            return 0;
        if (request->status == 401 && !renewed &&
            nx_login_renew(options->login, &request->used, NULL) == 0) {
            renewed = true;
            continue;
        }
        if (failure.code != NX_ERR_NETWORK || n == tries) {
            if (err)
                *err = failure;
            return -1;
        }
        wait_ms(nx_http_backoff_ms(n, request->retry_after));
        if (nx_check_interrupt(err) < 0)
            return -1;
    }
}
