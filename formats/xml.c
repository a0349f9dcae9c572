/* SPDX-License-Identifier: MIT */
#include "formats/xml.h"

#include <errno.h>
#include <libxml/chvalid.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/xmlerror.h>
#include <libxml/xmlmemory.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
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

/* ---- memory --------------------------------------------------------------------
 *
 * Where an allocation fails, libxml2's trees lack something, in silence, and its parser and RELAX NG use what
 * they did not get.  So what fails is noted, and these two are left on the spot, with all that they held: a
 * little memory is lost, once, in a process that has none.
 */

static _Thread_local bool was_short_of_memory;
static _Thread_local bool can_leave;
static _Thread_local jmp_buf way_out;

static void *noted(void *p)
{
    if (p)
        return p;
    was_short_of_memory = true;
    if (can_leave)
        longjmp(way_out, 1);
    return NULL;
}

static void *noting_malloc(size_t size)
{
    return noted(malloc(size));
}

static void *noting_realloc(void *old, size_t size)
{
    return noted(realloc(old, size));
}

static char *noting_strdup(const char *text)
{
    return noted(strdup(text));
}

static void start_libxml(void)
{
    xmlMemSetup(free, noting_malloc, noting_realloc, noting_strdup);
    xmlInitParser();
}

static void say_nothing(void *opaque, const char *fmt, ...)
{
}

int nx_xml_end(int ret, const char *name, struct nx_error *err)
{
    if (!was_short_of_memory)
        return ret;
    return nx_fail(err, NX_ERR_SYSTEM, "%s: out of memory", name);
}

/* What libxml2 is asked to do, and what it says meanwhile. */
struct job {
    xmlDoc *doc;
    const void *data; /* a document's bytes, or a schema's */
    size_t len;
    bool good, schema_is_good;
    struct complaint first; /* about the document */
    struct complaint other; /* about the schema */
};

static void leave_libxml(void)
{
    can_leave = false;
    xmlSetStructuredErrorFunc(NULL, NULL);
}

/* Do it; -1 and a SYSTEM error if memory was short. */
static int work(void (*function)(struct job *), struct job *job, const char *name,
                struct nx_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_libxml);
    xmlSetGenericErrorFunc(NULL, say_nothing); /* where it has no context to report to */
    was_short_of_memory = false;
    if (setjmp(way_out) == 0) {
        can_leave = true;
        function(job);
    }
    leave_libxml();
    return nx_xml_end(0, name, err);
}

/* ---- documents ---- */

static int fail_complaint(const struct complaint *c, const char *name, const char *otherwise,
                          struct nx_error *err)
{
    return nx_fail(err, NX_ERR_FORMAT, "%s:%d: %s", name, c->line ? c->line : 1,
                   c->is_set ? c->text : otherwise);
}

static void read_document(struct job *job)
{
    xmlSetStructuredErrorFunc(&job->first, keep_first_structured);
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (!parser)
        return;
    job->doc = xmlCtxtReadMemory(parser, job->data, (int)job->len, NULL, NULL, XML_PARSE_NONET);
    job->good = parser->wellFormed;
    xmlFreeParserCtxt(parser);
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
    struct job job = { .data = data, .len = len };
    if (work(read_document, &job, name, err) < 0)
        return -1;
    NX_AUTO_XMLDOC xmlDoc *doc = job.doc;
    if (!doc || !job.good)
        return fail_complaint(&job.first, name, "not well-formed XML", err);
    if (doc->intSubset || doc->extSubset)
        return nx_fail(err, NX_ERR_FORMAT, "%s: a DOCTYPE is not allowed: remove it", name);
    if (!xmlDocGetRootElement(doc))
        return nx_fail(err, NX_ERR_FORMAT, "%s: no root element", name);
    *ret_doc = NX_STEAL(doc);
    return 0;
}

static xmlRelaxNG *load_schema(struct job *job)
{
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewMemParserCtxt(job->data, (int)job->len);
    if (!parser)
        return NULL;
    xmlRelaxNGSetParserStructuredErrors(parser, keep_first_structured, &job->other);
    xmlRelaxNG *schema = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    return schema;
}

static void validate(struct job *job)
{
    xmlRelaxNG *schema = load_schema(job);
    xmlRelaxNGValidCtxt *context = schema ? xmlRelaxNGNewValidCtxt(schema) : NULL;
    if (context) {
        xmlRelaxNGSetValidStructuredErrors(context, keep_first_structured, &job->first);
        job->good = xmlRelaxNGValidateDoc(context, job->doc) == 0;
        xmlRelaxNGFreeValidCtxt(context);
    }
    job->schema_is_good = schema;
    xmlRelaxNGFree(schema);
}

int nx_xml_validate(xmlDoc *doc, const char *schema, size_t schema_len, const char *name,
                    struct nx_error *err)
{
    struct job job = { .doc = doc, .data = schema, .len = schema_len };
    if (work(validate, &job, name, err) < 0)
        return -1;
    if (!job.schema_is_good)
        return fail_complaint(&job.other, "embedded schema", "cannot be parsed", err);
    return job.good ? 0 : fail_complaint(&job.first, name, "does not fit its schema", err);
}

char *nx_xml_attr(const xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)name);
    if (!value)
        return NULL;
    char *copy = noting_strdup((const char *)value);
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
    char *text = noted(strndup(start, len));
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
