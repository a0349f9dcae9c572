/* SPDX-License-Identifier: MIT */
/* The one way into libxml2: every document is hostile.  No network, no external
 * or internal entities (a DOCTYPE is refused), bounded size and depth; libxml2's own messages
 * become an nx_error with the line, never output.  Schemas are RELAX NG, embedded.
 */
#ifndef NX_FORMATS_XML_H
#define NX_FORMATS_XML_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"

#define NX_XML_MAX (1024 * 1024) /* bytes of a document that we read */

/* Parse len bytes; name (a path or "manifest.xml") goes into messages:
 * "guest.xml:12: Opening and ending tag mismatch".  Free with xmlFreeDoc().
 */
int nx_xml_parse(const void *data, size_t len, const char *name, xmlDoc **ret_doc,
                 struct nx_error *err);

/* One way in which a document does not fit its schema. */
struct nx_xml_complaint {
    int line;
    char text[256]; /* libxml2's words */
};

/* Validate doc against a RELAX NG schema (its text).  The first violation becomes
 * the error: "guest.xml:12: Did not expect element hostdev there".
 */
int nx_xml_validate(xmlDoc *doc, const char *schema, size_t schema_len, const char *name,
                    struct nx_error *err);

/* What a walk over a document came to: ret, or, if memory was short in this thread since nx_xml_parse() or
 * nx_xml_validate() began, -1 and a SYSTEM error.  libxml2 and the functions below give NULL for that as for what is not
 * there, so whoever takes an attribute's absence for an answer ends with this.
 */
int nx_xml_end(int ret, const char *name, struct nx_error *err);

/* Text of an attribute (NULL if absent), owned by the caller, to be freed with free(). */
char *nx_xml_attr(const xmlNode *node, const char *name);

/* The attribute as a decimal number of at most max; FORMAT error naming element,
 * attribute and line if it is absent or anything else.
 */
int nx_xml_attr_u64(const xmlNode *node, const char *name, uint64_t max, uint64_t *ret_value,
                    struct nx_error *err);

/* First child element with this local name (any namespace), or NULL; the next sibling alike. */
xmlNode *nx_xml_child(const xmlNode *node, const char *name);
xmlNode *nx_xml_next(const xmlNode *node, const char *name);

/* All the text below node, white space at both ends removed; to be freed.  NULL without memory. */
char *nx_xml_text(const xmlNode *node);

/* Append text to a document that is being written, with &, <, >, " and ' escaped and
 * what XML 1.0 cannot carry (control characters, bad UTF-8) replaced by U+FFFD.
 */
int nx_xml_escape(struct nx_buffer *buf, const char *text, struct nx_error *err);

static inline void nx_auto_xmldoc(xmlDoc **doc)
{
    xmlFreeDoc(*doc);
}
#define NX_AUTO_XMLDOC NX_AUTO(xmldoc)

#endif
