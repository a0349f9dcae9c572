/* SPDX-License-Identifier: MIT */
#include "serve/condition.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void nx_validators_from_stat(const struct stat *st, struct nx_validators *ret_validators)
{
    uint64_t nanoseconds = (uint64_t)st->st_mtim.tv_sec * 1000000000u;
    nanoseconds += (uint64_t)st->st_mtim.tv_nsec;
    snprintf(ret_validators->etag, sizeof ret_validators->etag, "\"%jx-%jx-%jx\"",
             (uintmax_t)st->st_ino, (uintmax_t)st->st_size, (uintmax_t)nanoseconds);
    ret_validators->modified = st->st_mtim.tv_sec;
}

/* Names of days and months are in the C locale: no program of ours calls setlocale(). */
const char *nx_http_date_format(time_t when, char text[static NX_HTTP_DATE_SIZE])
{
    struct tm tm;
    if (!gmtime_r(&when, &tm) ||
        strftime(text, NX_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        strcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT"); /* a year of five digits */
    return text;
}

bool nx_http_date_parse(const char *text, time_t *ret_when)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* what everybody sends */
        "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
        "%a %b %e %H:%M:%S %Y",      /* asctime() */
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = { .tm_isdst = 0 };
        const char *end = strptime(text, forms[i], &tm);
        if (end && *end == '\0') {
            *ret_when = timegm(&tm);
            return true;
        }
    }
    return false;
}

/* Take the next entity tag of a list: its quoted part and whether it is weak.  Anything
 * that is none ends the list.
 */
static bool next_etag(const char **at, const char **ret_tag, size_t *ret_len, bool *ret_weak)
{
    *at += strspn(*at, " \t,");
    *ret_weak = strncmp(*at, "W/", 2) == 0;
    const char *open = *at + (*ret_weak ? 2 : 0);
    if (*open != '"')
        return false;
    const char *close = strchr(open + 1, '"');
    if (!close)
        return false;
    *ret_tag = open;
    *ret_len = (size_t)(close + 1 - open);
    *at = close + 1;
    return true;
}

/* Is etag in the list, or the list "*"?  A weak tag only counts where weak comparison does. */
static bool etag_listed(const char *list, const char *etag, bool weak_counts)
{
    const char *at = list + strspn(list, " \t");
    if (strcmp(at, "*") == 0)
        return true;
    const char *tag;
    size_t len;
    bool weak;
    while (next_etag(&at, &tag, &len, &weak))
        if ((weak_counts || !weak) && len == strlen(etag) && memcmp(tag, etag, len) == 0)
            return true;
    return false;
}

/* Has the file changed after the date that field says?  A field that is no date is no condition. */
static bool modified_since(const char *field, time_t modified, bool if_unreadable)
{
    time_t since;
    return nx_http_date_parse(field, &since) ? modified > since : if_unreadable;
}

unsigned nx_condition_check(const struct nx_request *request,
                            const struct nx_validators *validators)
{
    const char *etag = validators->etag;
    time_t modified = validators->modified;
    if (request->if_match) {
        if (!etag_listed(request->if_match, etag, false))
            return 412;
    } else if (request->if_unmodified_since) {
        if (modified_since(request->if_unmodified_since, modified, false))
            return 412;
    }
    if (request->if_none_match)
        return etag_listed(request->if_none_match, etag, true) ? 304 : 0;
    if (request->if_modified_since)
        return modified_since(request->if_modified_since, modified, true) ? 0 : 304;
    return 0;
}

bool nx_condition_if_range(const struct nx_request *request, const struct nx_validators *validators,
                           time_t now)
{
    if (!request->if_range)
        return true;
    if (strcmp(request->if_range, validators->etag) == 0)
        return true;
    time_t date;
    return nx_http_date_parse(request->if_range, &date) && date == validators->modified &&
           date < now;
}
