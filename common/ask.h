/* SPDX-License-Identifier: MIT */
/* Secrets from the terminal, without echo; never from stdin or the command line. */
#ifndef NX_COMMON_ASK_H
#define NX_COMMON_ASK_H

#include <stddef.h>

#define NX_SECRET_MAX 1024 /* bytes of a password or passphrase */

/* Show question and ": ", and take a line of at most size bytes into buf, without a NUL; their number, or -1 (no
 * terminal, interrupted, too long).  The caller wipes buf when he is done with it.
 */
int nx_ask_secret(const char *question, char *buf, size_t size);

#endif
