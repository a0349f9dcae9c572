/* SPDX-License-Identifier: MIT */
#include "formats/xml.h"

#include <errno.h>
#include <libxml/chvalid.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/xmlerror.h>
#include <limits.h>
#include <string.h>

/* libxml2 reports through a callback; the first error is the one that explains. */
struct complaint {
    int line;
    bool is_set;
    char text[512];
};

static void keep_first(void *opaque, const xmlError *error)
{
    struct complaint *c = opaque;
    if (!error || error->level < XML_ERR_ERROR || !error->message)
        return;
    if (c->is_set) { /* RELAX NG's first words may lack the line, which the next ones have */
        if (!c->line)
            c->line = error->line;
        return;
    }
    c->is_set = true;
    c->line = error->line;
    snprintf(c->text, sizeof c->text, "%s", error->message);
    c->text[strcspn(c->text, "\n")] = 0;
}

/* libxml2 before 2.12 hands over the error without const. */
static void keep_first_structured(void *opaque, xmlErrorPtr error)
{
    keep_first(opaque, error);
}

static int fail_complaint(const struct complaint *c, const char *name, const char *otherwise,
                          struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT, "%s:%d: %s", name, c->line ? c->line : 1,
                   c->is_set ? c->text : otherwise);
}

int nx_xml_parse(const void *data, size_t len, const char *name, xmlDoc **ret_doc,
                 struct nx_error *err)
{
    if (len == 0)
        return nx_fail(err, NX_ERR_FORMAT, "%s: empty, no XML document", name);
    if (len > NX_XML_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: larger than %d bytes", name, NX_XML_MAX);
    if (memchr(data, 0, len))
        return nx_fail(err, NX_ERR_FORMAT, "%s: a NUL byte: not XML in UTF-8", name);
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (!parser)
        return nx_fail_errno(err, "%s: XML parser", name);
    struct complaint first = { 0 };
    xmlSetStructuredErrorFunc(&first, keep_first_structured);
    xmlDoc *doc = xmlCtxtReadMemory(parser, data, (int)len, NULL, NULL, XML_PARSE_NONET);
    xmlSetStructuredErrorFunc(NULL, NULL);
    bool well_formed = parser->wellFormed;
    xmlFreeParserCtxt(parser);
    NX_AUTO_XMLDOC xmlDoc *owned = doc;
    if (!doc || !well_formed)
        return fail_complaint(&first, name, "not well-formed XML", err);
    if (doc->intSubset || doc->extSubset)
        return nx_fail(err, NX_ERR_FORMAT, "%s: a DOCTYPE is not allowed: remove it", name);
    if (!xmlDocGetRootElement(doc))
        return nx_fail(err, NX_ERR_FORMAT, "%s: no root element", name);
    *ret_doc = NX_STEAL(owned);
    return 0;
}

static xmlRelaxNG *load_schema(const char *schema, size_t len, struct nx_error *err)
{
    struct complaint first = { 0 };
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewMemParserCtxt(schema, (int)len);
    if (!parser) {
        nx_fail_errno(err, "schema");
        return NULL;
    }
    xmlRelaxNGSetParserStructuredErrors(parser, keep_first_structured, &first);
    xmlRelaxNG *parsed = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    if (!parsed)
        fail_complaint(&first, "embedded schema", "cannot be parsed", err);
    return parsed;
}

int nx_xml_validate(xmlDoc *doc, const char *schema, size_t schema_len, const char *name,
                    struct nx_error *err)
{
    xmlRelaxNG *parsed = load_schema(schema, schema_len, err);
    if (!parsed)
        return -1;
    struct complaint first = { 0 };
    int ret = -1;
    xmlRelaxNGValidCtxt *valid = xmlRelaxNGNewValidCtxt(parsed);
    if (!valid) {
        nx_fail_errno(err, "%s: schema", name);
    } else {
        xmlRelaxNGSetValidStructuredErrors(valid, keep_first_structured, &first);
        ret = xmlRelaxNGValidateDoc(valid, doc);
        if (ret != 0)
            ret = fail_complaint(&first, name, "does not fit its schema", err);
        xmlRelaxNGFreeValidCtxt(valid);
    }
    xmlRelaxNGFree(parsed);
    return ret;
}

char *nx_xml_attr(const xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)name);
    if (!value)
        return NULL;
    char *copy = strdup((const char *)value);
    xmlFree(value);
    return copy;
}

int nx_xml_attr_u64(const xmlNode *node, const char *name, uint64_t max, uint64_t *ret_value,
                    struct nx_error *err)
{
    NX_AUTO_FREE char *text = nx_xml_attr(node, name);
    if (!text)
        return nx_fail(err, NX_ERR_FORMAT, "line %ld: <%s> has no %s", xmlGetLineNo(node),
                       (const char *)node->name, name);
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value > max)
        return nx_fail(err, NX_ERR_FORMAT, "line %ld: <%s %s=\"%.40s\">: not a number up to %llu",
                       xmlGetLineNo(node), (const char *)node->name, name, text,
                       (unsigned long long)max);
    *ret_value = value;
    return 0;
}

static xmlNode *from(xmlNode *node, const char *name)
{
    while (node && (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, name) != 0))
        node = node->next;
    return node;
}

xmlNode *nx_xml_child(const xmlNode *node, const char *name)
{
    return from(node->children, name);
}

xmlNode *nx_xml_next(const xmlNode *node, const char *name)
{
    return from(node->next, name);
}

char *nx_xml_text(const xmlNode *node)
{
    xmlChar *content = xmlNodeGetContent(node);
    if (!content)
        return NULL;
    const char *start = (const char *)content;
    start += strspn(start, " \t\r\n");
    size_t len = strlen(start);
    while (len && strchr(" \t\r\n", start[len - 1]))
        len--;
    char *text = strndup(start, len);
    xmlFree(content);
    return text;
}

static int escape_char(struct nx_buffer *buf, const char *at, int len, struct nx_error *err)
{
    switch (*at) {
    case '&':
        return nx_buffer_add(buf, "&amp;", 5, err);
    case '<':
        return nx_buffer_add(buf, "&lt;", 4, err);
    case '>':
        return nx_buffer_add(buf, "&gt;", 4, err);
    case '"':
        return nx_buffer_add(buf, "&quot;", 6, err);
    case '\'':
        return nx_buffer_add(buf, "&apos;", 6, err);
    default:
        return nx_buffer_add(buf, at, (size_t)len, err);
    }
}

int nx_xml_escape(struct nx_buffer *buf, const char *text, struct nx_error *err)
{
    for (const char *at = text; *at;) {
        int len = (int)strnlen(at, 4);
        int code = xmlGetUTF8Char((const unsigned char *)at, &len);
        bool usable = code >= 0 && xmlIsCharQ(code);
        if (!usable && code < 0)
            len = 1;
        int ret = usable ? escape_char(buf, at, len, err)
                         : nx_buffer_add(buf, "\xef\xbf\xbd", 3, err); /* U+FFFD */
        if (ret < 0)
            return -1;
        at += len;
    }
    return 0;
}
