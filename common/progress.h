/* SPDX-License-Identifier: MIT */
/* The progress line of a long work: what, how much of how much, rate, time left.
 * On a terminal it is one line on stderr, redrawn at most ten times a second
 * and cleared at the end, without colours or escape sequences (so NO_COLOR
 * changes nothing).  Where it cannot be redrawn (no terminal, TERM=dumb) it is
 * a line of its own after ten seconds, and then now and then.  With
 * --progress-fd=N a JSON object a line goes to that descriptor, and none of
 * those lines to stderr:
 *     {"what":"packing","done":1048576,"total":2097152,"rate":524288.0}
 * with bytes and bytes a second.  Safe from several threads.
 */
#ifndef NX_COMMON_PROGRESS_H
#define NX_COMMON_PROGRESS_H

#include <stdint.h>

/* Send progress to fd as JSON lines; -1 for none.  Call before the first start. */
void nx_progress_set_fd(int fd);

/* No line on the terminal (-q). */
void nx_progress_set_quiet(int quiet);

/* Have progress told to tell as well: as often as it is drawn, and at each start; under a lock, so it must not call back. */
void nx_progress_set_listener(void (*tell)(const char *what, uint64_t done, uint64_t total));

/* Begin to show what ("packing disk0"); total bytes, 0 if unknown.  One at a time. */
void nx_progress_start(const char *what, uint64_t total);

/* Bytes done so far, counted from the start.  Cheap: draws only when a line is due. */
void nx_progress_update(uint64_t done);

/* The total has become known or has changed. */
void nx_progress_set_total(uint64_t total);

/* Draw the last state and end; without a start it does nothing. */
void nx_progress_end(void);

/* Clear the line on the terminal; the next update draws it again.  For log.c. */
void nx_progress_clear(void);

/* "1.5 MiB" of a number of bytes, into text; returns text. */
const char *nx_human_bytes(uint64_t bytes, char text[static 32]);

#endif
