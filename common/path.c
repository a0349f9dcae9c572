/* SPDX-License-Identifier: MIT */
#include "common/path.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo percent-encoding, once.  0 or a status; a slash that was encoded is never a separator
 * for one reader and a letter for another: it is refused.
 */
static unsigned decode(const char *from, char plain[static PATH_MAX])
{
    size_t len = 0;
    for (; *from; from++) {
        int c = (unsigned char)*from;
        if (c == '%') {
            int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0)
                return 400;
            c = high * 16 + low;
            from += 2;
            if (c == '/')
                return 404;
        }
        if (c < 0x20 || c == 0x7f)
            return 400;
        if (len == PATH_MAX - 1)
            return 404;
        plain[len++] = (char)c;
    }
    plain[len] = '\0';
    return 0;
}

unsigned nx_path_from_plain(const char *plain, struct nx_path *ret_path)
{
    if (*plain != '/')
        return 400;
    if (strlen(plain) >= sizeof ret_path->text)
        return 404;
    char *put = ret_path->text;
    for (;;) {
        plain += strspn(plain, "/");
        size_t len = strcspn(plain, "/");
        if (len == 0)
            break;
        if (*plain == '.') /* ".", ".." and hidden files, all in one */
            return 404;
        if (put > ret_path->text)
            *put++ = '/';
        memcpy(put, plain, len);
        put += len;
        plain += len;
    }
    *put = '\0';
    ret_path->slash = plain[-1] == '/';
    return 0;
}

unsigned nx_path_from_url(const char *url, struct nx_path *ret_path)
{
    if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) {
        url = strchr(strchr(url, '/') + 2, '/');
        if (!url)
            url = "/";
    }
    char plain[PATH_MAX];
    unsigned status = decode(url, plain);
    return status ? status : nx_path_from_plain(plain, ret_path);
}

int nx_path_encode(const char *text, struct nx_buffer *out, struct nx_error *err)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        int ret = isalnum(c) || strchr("-._~/", c) ? nx_buffer_add(out, text, 1, err)
                                                   : nx_buffer_printf(out, err, "%%%02X", c);
        if (ret < 0)
            return -1;
    }
    return 0;
}
