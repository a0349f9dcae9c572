/* SPDX-License-Identifier: MIT */
#include "pack/prober.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/interrupt.h"
#include "common/plain.h"

#define TRIES 3

int nx_prober_start(struct nx_prober *prober, struct nx_error *err)
{
    prober->easy = curl_easy_init();
    if (!prober->easy)
        return nx_fail(err, NX_ERR_SYSTEM, "curl cannot start: too little memory");
    if (!prober->timeout)
        prober->timeout = NX_PROBER_TIMEOUT;
    prober->deadline = nx_now_ms() + (int64_t)prober->timeout * 1000 * NX_PROBER_QUESTIONS;
    return 0;
}

void nx_prober_release(struct nx_prober *prober)
{
    curl_easy_cleanup(prober->easy);
    prober->easy = NULL;
}

void nx_reply_release(struct nx_reply *reply)
{
    nx_http_request_release(&reply->http);
    free(reply->final_url);
    reply->final_url = NULL;
}

/* ---- addresses ----------------------------------------------------------------- */

/* The host and port of a URL, to be freed. */
static bool split_url(const char *url, char **ret_host, char **ret_port)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    *ret_host = host && port ? strdup(host) : NULL;
    *ret_port = host && port ? strdup(port) : NULL;
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return *ret_host && *ret_port;
}

static void add_address(struct nx_addresses *addresses, const char *text)
{
    for (unsigned i = 0; i < addresses->n; i++)
        if (strcmp(addresses->text[i], text) == 0)
            return;
    if (addresses->n < NX_PROBER_ADDRESSES)
        snprintf(addresses->text[addresses->n++], sizeof addresses->text[0], "%s", text);
}

static void resolve(const char *host, struct nx_addresses *ret_addresses)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        char text[sizeof ret_addresses->text[0]];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            add_address(ret_addresses, text);
    }
    freeaddrinfo(list);
}

void nx_prober_addresses(const struct nx_prober *prober, const char *url,
                         struct nx_addresses *ret_addresses)
{
    NX_AUTO_FREE char *host = NULL;
    NX_AUTO_FREE char *port = NULL;
    *ret_addresses = (struct nx_addresses){ .n = 0 };
    for (unsigned i = 0; i < prober->n_addresses; i++)
        add_address(ret_addresses, prober->addresses[i]);
    if (prober->n_addresses == 0 && split_url(url, &host, &port))
        resolve(host, ret_addresses);
}

/* What curl takes for CURLOPT_RESOLVE: the host is at these addresses.  *ret_list is to be freed; NULL if there is
 * nothing to say.
 */
static int resolve_to(const char *url, const char *const *addresses, unsigned n,
                      struct curl_slist **ret_list, struct nx_error *err)
{
    NX_AUTO_FREE char *host = NULL;
    NX_AUTO_FREE char *port = NULL;
    *ret_list = NULL;
    if (n == 0)
        return 0;
    if (!split_url(url, &host, &port))
        return nx_fail(err, NX_ERR_SYSTEM, "%.200s: no host to be found in it", url);
    NX_AUTO_BUFFER struct nx_buffer line = NX_BUFFER_INIT(4096);
    if (nx_buffer_printf(&line, err, "%s:%s:", host, port) < 0)
        return -1;
    for (unsigned i = 0; i < n; i++) {
        bool v6 = strchr(addresses[i], ':');
        if (nx_buffer_printf(&line, err, "%s%s%s%s", i ? "," : "", v6 ? "[" : "", addresses[i],
                             v6 ? "]" : "") < 0)
            return -1;
    }
    *ret_list = curl_slist_append(NULL, (const char *)line.data);
    return *ret_list ? 0 : nx_fail_errno(err, "addresses");
}

/* ---- one try --------------------------------------------------------------------- */

static bool has_scheme(const char *value, const char *scheme)
{
    return strncasecmp(value, scheme, strlen(scheme)) == 0;
}

/* Did a redirect lead from https to http?  One without a scheme stays where it is. */
static bool was_downgraded(CURL *easy, const char *url, unsigned redirects)
{
    bool secure = has_scheme(url, "https://");
    for (unsigned i = 0; i < redirects; i++) {
        struct curl_header *location;
        if (curl_easy_header(easy, "Location", 0, CURLH_HEADER, (int)i, &location) != CURLHE_OK)
            continue;
        if (secure && has_scheme(location->value, "http://"))
            return true;
        secure = secure || has_scheme(location->value, "https://");
    }
    return false;
}

static int64_t certificate_end(CURL *easy)
{
    static const char name[] = "Expire date:";
    struct curl_certinfo *info = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info ||
        info->num_of_certs < 1)
        return 0;
    for (const struct curl_slist *line = info->certinfo[0]; line; line = line->next)
        if (strncmp(line->data, name, sizeof name - 1) == 0) {
            time_t end = curl_getdate(line->data + sizeof name - 1, NULL);
            return end > 0 ? end : 0;
        }
    return 0;
}

static unsigned microseconds(CURL *easy, CURLINFO from, CURLINFO to)
{
    curl_off_t a = 0, b = 0;
    curl_easy_getinfo(easy, from, &a);
    curl_easy_getinfo(easy, to, &b);
    return b > a && b - a < INT32_MAX ? (unsigned)(b - a) : 0;
}

static int look(CURL *easy, const char *url, struct nx_reply *reply, struct nx_error *err)
{
    long redirects = 0, version = 0, connections = 0;
    const char *final = NULL;
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &final);
    reply->redirects = (unsigned)redirects;
    reply->downgraded = was_downgraded(easy, url, reply->redirects);
    reply->http2 = version >= CURL_HTTP_VERSION_2_0;
    reply->connections = (unsigned)connections;
    reply->round_trip_us =
        connections > 0 ? microseconds(easy, CURLINFO_NAMELOOKUP_TIME_T, CURLINFO_CONNECT_TIME_T)
                        : 0;
    reply->first_byte_us =
        microseconds(easy, CURLINFO_PRETRANSFER_TIME_T, CURLINFO_STARTTRANSFER_TIME_T);
    reply->certificate_end = certificate_end(easy);
    reply->bad_certificate = reply->code == CURLE_PEER_FAILED_VERIFICATION;
    free(reply->final_url);
    reply->final_url = strdup(final ? final : url);
    return reply->final_url ? 0 : nx_fail_errno(err, "%.200s", url);
}

/* Ask on this handle, and look at what comes. */
static int ask_on(CURL *easy, struct nx_prober *prober, const char *url,
                  const struct nx_question *question, struct curl_slist *resolved, int64_t left_ms,
                  struct nx_reply *reply, struct nx_error *err)
{
    struct nx_http_request *http = &reply->http;
    http->offset = question->offset;
    http->length = question->length ? question->length : 1;
    http->may_be_short = question->may_be_short;
    http->if_range_etag = question->if_range;
    http->accept_encoding = question->accept_encoding;
    http->field = question->field;
    http->body.max = http->length;
    curl_easy_reset(easy);
    if (nx_http_prepare(easy, url, &prober->options, http, err) < 0)
        return -1;
    if (!question->length)
        curl_easy_setopt(easy, CURLOPT_RANGE, NULL);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, resolved);
    curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    reply->code = curl_easy_perform(easy);
    if (nx_check_interrupt(err) < 0)
        return -1;
    reply->verdict = (struct nx_error)NX_ERROR_INIT;
    nx_http_judge(easy, reply->code, http, &reply->verdict);
    /* No callback has refused anything: curl could not keep a header for want of memory. */
    bool lost = reply->code == CURLE_WRITE_ERROR && http->err.code == NX_OK;
    if (lost || reply->verdict.code == NX_ERR_SYSTEM)
        return nx_fail(err, NX_ERR_SYSTEM, "%s",
                       lost ? "curl has too little memory" : reply->verdict.msg);
    return look(easy, url, reply, err);
}

static int try_once(struct nx_prober *prober, const char *url, const struct nx_question *question,
                    int64_t left_ms, struct nx_reply *reply, struct nx_error *err)
{
    const char *const *addresses = question->address ? &question->address : prober->addresses;
    unsigned n = question->address ? 1 : prober->n_addresses;
    struct curl_slist *resolved;
    if (resolve_to(url, addresses, n, &resolved, err) < 0)
        return -1;
    /* What curl has been told of one address it would remember for the next question. */
    CURL *easy = question->address ? curl_easy_init() : prober->easy;
    int r = easy ? ask_on(easy, prober, url, question, resolved, left_ms, reply, err)
                 : nx_fail(err, NX_ERR_SYSTEM, "curl cannot start: too little memory");
    if (question->address)
        curl_easy_cleanup(easy);
    curl_slist_free_all(resolved);
    return r;
}

/* ---- questions ------------------------------------------------------------------- */

int nx_prober_ask(struct nx_prober *prober, const char *url, const struct nx_question *question,
                  struct nx_reply *ret_reply, struct nx_error *err)
{
    int64_t end = nx_now_ms() + (int64_t)prober->timeout * 1000;
    if (end > prober->deadline)
        end = prober->deadline;
    *ret_reply = (struct nx_reply){ .verdict = NX_ERROR_INIT };
    prober->asked++;
    for (unsigned n = 1;; n++) {
        int64_t left = end - nx_now_ms();
        if (left <= 0) {
            if (n == 1)
                nx_fail(&ret_reply->verdict, NX_ERR_NETWORK,
                        "no time is left: all answers together took too long");
            return 0;
        }
        if (try_once(prober, url, question, left, ret_reply, err) < 0) {
            nx_reply_release(ret_reply);
            return -1;
        }
        if (ret_reply->verdict.code != NX_ERR_NETWORK) {
            prober->repeated += n > 1;
            return 0;
        }
        unsigned wait = nx_http_backoff_ms(n, ret_reply->http.retry_after);
        if (n == TRIES || nx_now_ms() + wait >= end)
            return 0;
        if (prober->repeated == 0)
            prober->why_repeated = ret_reply->verdict;
        nanosleep(&(struct timespec){ wait / 1000, (long)(wait % 1000) * 1000000 }, NULL);
        if (nx_check_interrupt(err) < 0) {
            nx_reply_release(ret_reply);
            return -1;
        }
    }
}

/* Of which of a chain of redirects' answers, as curl counts them: 0 is the first, -1 the last. */
static const char *field_of(const struct nx_prober *prober, const char *name, int answer,
                            char text[static NX_FIELD_MAX])
{
    struct curl_header *header;
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0;
         len < NX_FIELD_MAX - 1 &&
         curl_easy_header(prober->easy, name, i, CURLH_HEADER, answer, &header) == CURLHE_OK;
         i++) {
        int n = snprintf(text + len, NX_FIELD_MAX - len, "%s%s", i ? ", " : "", header->value);
        len += n > 0 ? (size_t)n : 0;
    }
    return nx_plain_ascii(text);
}

const char *nx_prober_field(const struct nx_prober *prober, const char *name,
                            char text[static NX_FIELD_MAX])
{
    return field_of(prober, name, -1, text);
}

const char *nx_prober_first_field(const struct nx_prober *prober, const char *name,
                                  char text[static NX_FIELD_MAX])
{
    return field_of(prober, name, 0, text);
}
