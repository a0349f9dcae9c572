/* SPDX-License-Identifier: MIT */
/* HTML as it is written, element by element, by libxml2: every name, word and address that comes in is escaped.  It is
 * well-formed XML too.  That memory was short is noted, and told by nx_html_save(); until then nothing need be asked.
 */
#ifndef NX_PACK_HTML_H
#define NX_PACK_HTML_H

#include <libxml/xmlwriter.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct nx_html {
    xmlBuffer *buffer;
    xmlTextWriter *writer;
    bool failed; /* memory was short */
};

/* Begin with the document type. */
void nx_html_open(struct nx_html *html);
/* Write what there is to the file path, whole or not at all. */
int nx_html_save(struct nx_html *html, const char *path, struct nx_error *err);
void nx_html_release(struct nx_html *html);

/* class may be NULL.  Attributes come before what is in the element. */
void nx_html_begin(struct nx_html *html, const char *tag, const char *class);
void nx_html_attr(struct nx_html *html, const char *name, const char *value);
void nx_html_attrf(struct nx_html *html, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void nx_html_text(struct nx_html *html, const char *words);
void nx_html_textf(struct nx_html *html, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void nx_html_end(struct nx_html *html);
/* The end of an element that HTML gives no content: <img>, <meta> … */
void nx_html_end_void(struct nx_html *html);

/* An element of nothing but words, and a newline. */
void nx_html_element(struct nx_html *html, const char *tag, const char *class, const char *words);

/* A newline, for who reads the source. */
void nx_html_newline(struct nx_html *html);

/* Unescaped: for our own words only. */
void nx_html_raw(struct nx_html *html, const char *words);

/* The attribute src as a data: URL of a PNG picture. */
void nx_html_png(struct nx_html *html, const void *png, size_t len);

/* A command to be copied.  A word in it is ASCII without white space; it is quoted for a shell where that takes it. */
void nx_html_begin_command(struct nx_html *html);
void nx_html_shell_word(struct nx_html *html, const char *word);
void nx_html_end_command(struct nx_html *html);

static inline void nx_auto_html(struct nx_html *html)
{
    nx_html_release(html);
}
#define NX_AUTO_HTML NX_AUTO(html)

#endif
