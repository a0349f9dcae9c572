/* SPDX-License-Identifier: MIT */
/* The options by which all programs that read from the web are told of proxies and logins: one table, with curl's names
 * where curl has them.  Their text stands in each program's .help, the same in all (tests/44-logins.sh holds that), and
 * their prose in nxfetch(1).
 */
#ifndef NX_COMMON_WEBOPTIONS_H
#define NX_COMMON_WEBOPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "common/error.h"
#include "common/http.h"

#define NX_WEB_FIRST 2000 /* getopt's values of the options begin here; -4 and -6 are characters */
#define NX_WEB_SHORT "46"
#define NX_WEB_COUNT 18 /* options */

struct nx_web_options {
    struct nx_http_options http; /* to be used after nx_web_settle(); login is &login then */
    struct nx_login login;
    bool basic, digest, netrc;
    const char *netrc_file, *cert, *key, *pass_file, *cookie; /* argv's */
    const char *seen; /* the name of one that was given, or NULL */
};

/* getopt_long()'s table of them and, behind them, n others (of which the last is its end): NX_WEB_COUNT + n entries. */
void nx_web_table(struct option *ret_table, const struct option *others, size_t n);

/* Is this value of getopt's one of them? */
bool nx_web_is_option(int value);

void nx_web_init(struct nx_web_options *web);

/* Take one of them; arg must stay.  USAGE error. */
int nx_web_take(struct nx_web_options *web, int value, const char *arg, struct nx_error *err);

/* After the last of them: refuse what does not go together, read the files, ask for passwords on the terminal, and have the
 * command make the first token, all for location, which is for messages.  Call it in one thread, before anything is
 * confined.  may_run: this process fetches itself, and may run the command again when the token has expired.
 */
int nx_web_settle(struct nx_web_options *web, const char *location, bool may_run,
                  struct nx_error *err);

void nx_web_release(struct nx_web_options *web);

static inline void nx_auto_web(struct nx_web_options *web)
{
    nx_web_release(web);
}
#define NX_AUTO_WEB NX_AUTO(web)

#endif
