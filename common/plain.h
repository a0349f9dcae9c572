/* SPDX-License-Identifier: MIT */
#ifndef NX_COMMON_PLAIN_H
#define NX_COMMON_PLAIN_H

/* Make a stranger's text fit for one line of a terminal, in place: control characters, those of Unicode's C1 block too,
 * and what turns the direction of writing or cannot be seen, become '?', so that no text can pose as
 * another one.  text is UTF-8, perhaps cut short.  Returns text.
 */
char *nx_plain(char *text);

/* The same for text in whatever encoding, such as a web server's header: all that is not printable ASCII becomes '?'. */
char *nx_plain_ascii(char *text);

#endif
