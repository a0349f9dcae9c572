/* SPDX-License-Identifier: MIT */
/* What programs print for programs, with --json: one object on stdout, indented, whatever came of it.  If it failed it is
 *     {"error": {"code": "trust", "message": "…"}}
 * beside the line on stderr, and the exit status says so, too.  Whether --json was given is noted once, by main.
 */
#ifndef NX_COMMON_JSON_H
#define NX_COMMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Is --json among the arguments?  First thing in main, so that mistakes behind or before it are told as JSON, too. */
void nx_json_note(int argc, char **argv);

/* getopt_long() has found it, perhaps as --js. */
void nx_json_want(void);

bool nx_json_wanted(void);

/* Print object, and free it.  NULL is what jansson gives without memory, or for text that is no UTF-8: an error. */
int nx_json_print(json_t *object, struct nx_error *err);

/* If --json was noted, print err as JSON; what cannot be printed is lost, for there is the line on stderr. */
void nx_json_print_failure(const struct nx_error *err);

/* The same for an option that getopt_long() has complained of itself. */
void nx_json_print_misuse(void);

/* text as a string; if it is no UTF-8, with a ? for each byte that is not ASCII.  At most an error's message long then. */
json_t *nx_json_text(const char *text);

static inline json_t *nx_json_number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

#endif
