/* SPDX-License-Identifier: MIT */
#include "fetch/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VNC_DISPLAY_MAX 59635 /* its TCP port is 5900 more */

/* Digits only: strtoull() would take signs, spaces and wrap around. */
static int parse_digits(const char *text, size_t len, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (len == 0)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return -1;
    }
    if (value > max)
        return -1;
    *ret_value = value;
    return 0;
}

int nx_parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
                    uint64_t *ret_value, struct nx_error *err)
{
    uint64_t value;
    if (parse_digits(text, strlen(text), max, &value) < 0 || value < min)
        return nx_fail(err, NX_ERR_USAGE, "--%s: '%s' is not a number from %llu to %llu", option,
                       text, (unsigned long long)min, (unsigned long long)max);
    *ret_value = value;
    return 0;
}

/* An option's name has its hyphens in messages; the words of a verb have none. */
static const char *hyphens(const char *option)
{
    return strchr(option, ' ') ? "" : "--";
}

/* The factor of "K", "MiB", "GB" …, or 0. */
static double unit_factor(const char *unit)
{
    static const char letters[] = "KMGT";
    const char *letter = unit[0] ? strchr(letters, toupper((unsigned char)unit[0])) : NULL;
    if (!letter || (unit[1] && strcasecmp(unit + 1, "iB") != 0 && strcasecmp(unit + 1, "B") != 0))
        return 0;
    return (double)(UINT64_C(1024) << (10 * (letter - letters)));
}

int nx_parse_size(const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *ret_bytes, struct nx_error *err)
{
    size_t number = strspn(text, "0123456789.");
    double factor = unit_factor(text + number);
    char *end = NULL;
    double value = number && isdigit((unsigned char)text[0]) ? strtod(text, &end) : -1;
    if (factor == 0 || end != text + number)
        return nx_fail(err, NX_ERR_USAGE,
                       "%s%s: '%s' is not a size: a number and one of K, M, G, T, as in 512M",
                       hyphens(option), option, text);
    double bytes = value * factor;
    if (bytes < (double)min || bytes > (double)max)
        return nx_fail(err, NX_ERR_USAGE, "%s%s: '%s' is too %s", hyphens(option), option, text,
                       bytes < (double)min ? "small" : "large");
    *ret_bytes = (uint64_t)bytes;
    return 0;
}

static bool take_prefix(const char **text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(*text, prefix, len) != 0)
        return false;
    *text += len;
    return true;
}

/* The IPv4 address before the colon, copied out and checked. */
static int take_address(const char **text, const char *colon, char ret_address[static 16])
{
    size_t len = (size_t)(colon - *text);
    struct in_addr ignored;
    char address[16];
    if (len >= sizeof address)
        return -1;
    memcpy(address, *text, len);
    address[len] = 0;
    if (inet_pton(AF_INET, address, &ignored) != 1)
        return -1;
    memcpy(ret_address, address, len + 1);
    *text = colon + 1;
    return 0;
}

int nx_parse_forward(const char *text, struct nx_forward *ret_forward, struct nx_error *err)
{
    struct nx_forward forward = { .host_address = "127.0.0.1" };
    const char *at = text;
    if (take_prefix(&at, "udp:"))
        forward.udp = true;
    else
        take_prefix(&at, "tcp:");
    const char *guest = strrchr(at, ':');
    const char *host = guest ? memchr(at, ':', (size_t)(guest - at)) : NULL;
    if (host && take_address(&at, host, forward.host_address) < 0)
        return nx_fail(err, NX_ERR_USAGE, "--forward: '%s': '%.*s' is not an IPv4 address", text,
                       (int)(host - at), at);
    uint64_t host_port = 0, guest_port = 0;
    if (!guest || parse_digits(at, (size_t)(guest - at), 65535, &host_port) < 0 ||
        parse_digits(guest + 1, strlen(guest + 1), 65535, &guest_port) < 0 || host_port == 0 ||
        guest_port == 0)
        return nx_fail(err, NX_ERR_USAGE,
                       "--forward: '%s' is not [tcp:|udp:][ADDRESS:]HOST-PORT:GUEST-PORT", text);
    forward.host_port = (unsigned)host_port;
    forward.guest_port = (unsigned)guest_port;
    *ret_forward = forward;
    return 0;
}

int nx_parse_serial(const char *text, struct nx_serial *ret_serial, struct nx_error *err)
{
    const char *path = text;
    bool is_unix = take_prefix(&path, "unix:");
    if (*path == 0)
        return nx_fail(err, NX_ERR_USAGE, "--serial: '%s' is not stdio, a file or unix:PATH", text);
    if (strcmp(text, "stdio") == 0)
        *ret_serial = (struct nx_serial){ NX_SERIAL_STDIO, NULL };
    else
        *ret_serial = (struct nx_serial){ is_unix ? NX_SERIAL_UNIX : NX_SERIAL_FILE, path };
    return 0;
}

int nx_parse_vnc(const char *text, char ret_vnc[static 80], struct nx_error *err)
{
    const char *colon = strrchr(text, ':');
    const char *number = colon ? colon + 1 : text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t display;
    /* A comma would begin an option of QEMU's. */
    if (parse_digits(number, strlen(number), VNC_DISPLAY_MAX, &display) < 0 || len > 64 ||
        memchr(text, ',', len))
        return nx_fail(err, NX_ERR_USAGE, "--vnc: '%s' is not [ADDRESS:]N, as in :1", text);
    snprintf(ret_vnc, 80, "%.*s:%u", len ? (int)len : 9, len ? text : "127.0.0.1",
             (unsigned)display);
    return 0;
}
