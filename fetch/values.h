/* SPDX-License-Identifier: MIT */
/* Values of nxfetch's options, from text.  Every failure is a USAGE error that names
 * the option, what it got and what it takes.
 */
#ifndef NX_FETCH_VALUES_H
#define NX_FETCH_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "fetch/cmdline.h"

/* A port of this host that leads to one of the guest. */
struct nx_forward {
    bool udp;
    char host_address[16]; /* IPv4; loopback if nothing was said */
    unsigned host_port;
    unsigned guest_port;
};

/* Where the guest's first serial port goes. */
struct nx_serial {
    enum nx_cmdline_serial kind;
    const char *path; /* within the option's text; NULL for stdio and null */
};

/* A decimal number from min to max. */
int nx_parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
                    uint64_t *ret_value, struct nx_error *err);

/* "512M", "2GiB", "1.5G" … : bytes.  A unit is required: people disagree on what a bare number means. */
int nx_parse_size(const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *ret_bytes, struct nx_error *err);

/* "[tcp:|udp:][ADDRESS:]HOST:GUEST" */
int nx_parse_forward(const char *text, struct nx_forward *ret_forward, struct nx_error *err);

/* "stdio", "unix:PATH" or a file's name. */
int nx_parse_serial(const char *text, struct nx_serial *ret_serial, struct nx_error *err);

/* "[ADDRESS:]N" becomes QEMU's "ADDRESS:N", with loopback if no address was said. */
int nx_parse_vnc(const char *text, char ret_vnc[static 80], struct nx_error *err);

#endif
