/* SPDX-License-Identifier: MIT */
#include "formats/domain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "formats/domain-reduce.h"
#include "formats/xml.h"

NX_EMBED(nx_domain_rng, "formats/domain.rng");

/* Of elements that extend libvirt's XML, only these say something about the machine. */
#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

#define MAX_PATH_LEN 160

static void release_disk(struct nx_domain_disk *disk)
{
    free(disk->image);
    free(disk->path);
    free(disk->format);
}

void nx_domain_release(struct nx_domain *domain)
{
    free(domain->name);
    free(domain->title);
    free(domain->description);
    nx_buffer_release(&domain->xml);
    for (size_t i = 0; i < domain->n_disks; i++)
        release_disk(&domain->disks[i]);
    free(domain->disks);
    if (domain->nvram)
        release_disk(domain->nvram);
    free(domain->nvram);
    free(domain->notes);
    *domain = (struct nx_domain){ .xml = NX_BUFFER_INIT(NX_XML_MAX) };
}

void nx_reduce_note(struct nx_reducer *reducer, enum nx_domain_verdict verdict,
                    const xmlNode *source, const char *remedy, const char *fmt, ...)
{
    struct nx_domain *domain = reducer->domain;
    if (verdict == NX_DOMAIN_REFUSED)
        reducer->refused = true;
    if (domain->n_notes == NX_DOMAIN_MAX_NOTES)
        return;
    /* Doubling: room runs out when the number of notes is 0 or a power of two. */
    if ((domain->n_notes & (domain->n_notes - 1)) == 0) {
        size_t room = domain->n_notes ? 2 * domain->n_notes : 1;
        struct nx_domain_note *grown = realloc(domain->notes, room * sizeof *grown);
        if (!grown) {
            reducer->no_memory = true;
            return;
        }
        domain->notes = grown;
    }
    struct nx_domain_note *note = &domain->notes[domain->n_notes++];
    *note = (struct nx_domain_note){ .verdict = verdict, .line = (int)xmlGetLineNo(source) };
    va_list args;
    va_start(args, fmt);
    vsnprintf(note->message, sizeof note->message, fmt, args);
    va_end(args);
    snprintf(note->remedy, sizeof note->remedy, "%s", remedy);
}

/* ---- the walk ---------------------------------------------------------------- */

static bool is_listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == 0))
            return true;
    return false;
}

static void copy_attribute(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced,
                           const xmlAttr *attribute)
{
    xmlChar *value = xmlNodeListGetString(source->doc, attribute->children, 1);
    if (!xmlNewProp(reduced, attribute->name, value ? value : (const xmlChar *)""))
        reducer->no_memory = true;
    xmlFree(value);
}

static void reduce_attributes(struct nx_reducer *reducer, const struct nx_reduce_rule *rule,
                              const xmlNode *source, xmlNode *reduced)
{
    for (const xmlAttr *a = source->properties; a; a = a->next) {
        const char *name = (const char *)a->name;
        if (!a->ns && is_listed(rule->keep, name))
            copy_attribute(reducer, source, reduced, a);
        else if (a->ns || !is_listed(rule->skip, name))
            nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source,
                           "remove the attribute if the guest can do without",
                           "<%.60s> has an attribute '%.60s' that packages do not carry",
                           (const char *)source->name, name);
    }
}

static void copy_text(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    NX_AUTO_FREE char *text = nx_xml_text(source);
    xmlNode *node = text ? xmlNewText((const xmlChar *)text) : NULL;
    if (!node || !xmlAddChild(reduced, node)) {
        xmlFreeNode(node);
        reducer->no_memory = true;
    }
}

static void reduce_children(struct nx_reducer *reducer, const xmlNode *source, const char *path,
                            xmlNode *reduced);

static void keep(struct nx_reducer *reducer, const struct nx_reduce_rule *rule,
                 const xmlNode *source, const char *path, xmlNode *parent)
{
    xmlNode *reduced = xmlNewChild(parent, NULL, source->name, NULL);
    if (!reduced) {
        reducer->no_memory = true;
        return;
    }
    reduced->line = source->line; /* so that the schema's complaints name the author's line */
    reduce_attributes(reducer, rule, source, reduced);
    if (is_listed(rule->keep, "#text"))
        copy_text(reducer, source, reduced);
    reduce_children(reducer, source, path, reduced);
    if (rule->finish)
        rule->finish(reducer, source, reduced);
    if (rule->omit_empty && !reduced->properties && !reduced->children) {
        xmlUnlinkNode(reduced);
        xmlFreeNode(reduced);
    }
}

/* Below an element that we keep, the guest may see it; beside those, it cannot. */
static void reduce_unknown(struct nx_reducer *reducer, const xmlNode *source, const char *path)
{
    if (!strchr(path, '/'))
        nx_reduce_note(reducer, NX_DOMAIN_DROPPED, source, "", "<%.60s> is left out",
                       (const char *)source->name);
    else
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, "remove it if the guest can do without",
                       "<%.60s> (in %.100s) is hardware that packages do not carry",
                       (const char *)source->name, path);
}

static void reduce_element(struct nx_reducer *reducer, const xmlNode *source, const char *path,
                           xmlNode *parent)
{
    const struct nx_reduce_rule *rule = nx_reduce_find(path);
    const char *name = (const char *)source->name;
    if (!rule) {
        reduce_unknown(reducer, source, path);
        return;
    }
    switch (rule->action) {
    case NX_REDUCE_KEEP:
        keep(reducer, rule, source, path, parent);
        break;
    case NX_REDUCE_SKIP:
        break;
    case NX_REDUCE_DROP:
        nx_reduce_note(reducer, NX_DOMAIN_DROPPED, source, "", "<%s> is left out", name);
        break;
    case NX_REDUCE_CHANGE:
        nx_reduce_note(reducer, NX_DOMAIN_CHANGED, source, "", "%s", rule->text);
        break;
    case NX_REDUCE_REFUSE:
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, rule->remedy, "<%s> %s",
                       strncmp(path, "qemu:", 5) == 0 ? path : name, rule->text);
        break;
    }
}

static void reduce_children(struct nx_reducer *reducer, const xmlNode *source, const char *path,
                            xmlNode *reduced)
{
    for (const xmlNode *n = source->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        const char *prefix = "";
        if (n->ns && n->ns->href)
            prefix = strcmp((const char *)n->ns->href, QEMU_NAMESPACE) == 0 ? "qemu:" : "other:";
        char child[MAX_PATH_LEN];
        snprintf(child, sizeof child, "%s%s%s%s", path, *path ? "/" : "", prefix,
                 (const char *)n->name);
        reduce_element(reducer, n, child, reduced);
    }
}

/* ---- the whole document -------------------------------------------------------- */

/* libvirt's file of a running domain wraps it: <domstatus><domain>. */
static const xmlNode *find_domain(const xmlDoc *doc, const char *name, struct nx_error *err)
{
    const xmlNode *root = xmlDocGetRootElement(doc);
    const char *root_name = (const char *)root->name;
    if (strcmp(root_name, "domstatus") == 0)
        root = nx_xml_child(root, "domain");
    else if (strcmp(root_name, "domain") != 0)
        root = NULL;
    if (!root)
        nx_fail(err, NX_ERR_FORMAT,
                "%s: its root element is <%.60s>, not <domain>: give the output of `virsh dumpxml`",
                name, root_name);
    return root;
}

/* <domain type='kvm' id='3'>: only the hypervisors that run on QEMU. */
static void reduce_domain_type(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced)
{
    NX_AUTO_FREE char *type = nx_xml_attr(source, "type");
    if (!type || (strcmp(type, "kvm") != 0 && strcmp(type, "qemu") != 0))
        nx_reduce_note(reducer, NX_DOMAIN_REFUSED, source, "define the machine for QEMU or KVM",
                       "<domain type='%.40s'> is not a machine of QEMU", type ? type : "");
    else if (!xmlNewProp(reduced, (const xmlChar *)"type", (const xmlChar *)type))
        reducer->no_memory = true;
}

/* Second line of defence behind the table and the schema: after all that, no value may look
 * like a path, but for the words that are only shown.
 */
static bool has_path(const xmlNode *node)
{
    const char *name = (const char *)node->name;
    if (node->type == XML_TEXT_NODE)
        return node->content && strchr((const char *)node->content, '/');
    if (strcmp(name, "title") == 0 || strcmp(name, "description") == 0)
        return false;
    for (const xmlAttr *a = node->properties; a; a = a->next)
        for (const xmlNode *n = a->children; n; n = n->next)
            if (has_path(n))
                return true;
    for (const xmlNode *n = node->children; n; n = n->next)
        if (has_path(n))
            return true;
    return false;
}

static char *child_text(const xmlNode *node, const char *name)
{
    const xmlNode *child = nx_xml_child(node, name);
    return child ? nx_xml_text(child) : NULL;
}

static int write_result(struct nx_domain *domain, xmlDoc *doc, const char *name,
                        struct nx_error *err)
{
    if (has_path(xmlDocGetRootElement(doc)))
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: a host path would remain: look for names with a slash in them", name);
    if (nx_xml_validate(doc, nx_domain_rng, (size_t)(nx_domain_rng_end - nx_domain_rng), name,
                        err) < 0)
        return -1;
    xmlChar *text = NULL;
    int len = 0;
    xmlDocDumpFormatMemoryEnc(doc, &text, &len, "UTF-8", 1);
    int ret = nx_xml_end(0, name, err);
    if (ret == 0)
        ret = nx_buffer_printf(&domain->xml, err, "%s", (const char *)text);
    xmlFree(text);
    return ret;
}

/* The schema's complaint ("NAME:12: text") as a note like the others. */
static void note_complaint(struct nx_reducer *reducer, const char *name, const struct nx_error *err)
{
    xmlNode at = { .type = XML_ELEMENT_NODE };
    const char *text = err->msg;
    size_t len = strlen(name);
    int line, end = 0;
    if (strncmp(text, name, len) == 0 && sscanf(text + len, ":%d: %n", &line, &end) == 1 && end) {
        at.line = (unsigned short)line;
        text += len + (size_t)end;
    }
    nx_reduce_note(reducer, NX_DOMAIN_REFUSED, &at,
                   "a package cannot have this hardware, or this value of it: change or remove it",
                   "%s", text);
}

static int fail_first_refusal(const struct nx_domain *domain, const char *name,
                              struct nx_error *err)
{
    for (size_t i = 0; i < domain->n_notes; i++) {
        const struct nx_domain_note *note = &domain->notes[i];
        if (note->verdict == NX_DOMAIN_REFUSED)
            return nx_fail(err, NX_ERR_FORMAT, "%s:%d: %s%s%s", name, note->line, note->message,
                           *note->remedy ? ": " : "", note->remedy);
    }
    return nx_fail(err, NX_ERR_FORMAT, "%s: cannot be packed", name);
}

static int reduce_document(struct nx_reducer *reducer, const xmlNode *source, const char *name,
                           struct nx_error *err)
{
    struct nx_domain *domain = reducer->domain;
    NX_AUTO_XMLDOC xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *root = doc ? xmlNewDocNode(doc, NULL, (const xmlChar *)"domain", NULL) : NULL;
    if (!root)
        return nx_fail_errno(err, "%s", name);
    xmlDocSetRootElement(doc, root);
    root->line = source->line;
    reduce_domain_type(reducer, source, root);
    reduce_children(reducer, source, "", root);
    if (!reducer->no_memory) {
        domain->name = child_text(source, "name");
        domain->title = child_text(source, "title");
        domain->description = child_text(source, "description");
    }
    if (reducer->no_memory)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: out of memory", name);
    if (nx_xml_end(0, name, err) < 0)
        return -1;
    if (reducer->refused)
        return fail_first_refusal(domain, name, err);
    struct nx_error complaint = NX_ERROR_INIT;
    if (write_result(domain, doc, name, &complaint) == 0)
        return 0;
    if (complaint.code == NX_ERR_SYSTEM)
        return nx_fail(err, NX_ERR_SYSTEM, "%s", complaint.msg);
    note_complaint(reducer, name, &complaint);
    return fail_first_refusal(domain, name, err);
}

int nx_domain_reduce(const void *data, size_t len, const char *name, struct nx_domain *ret_domain,
                     struct nx_error *err)
{
    *ret_domain = (struct nx_domain){ .xml = NX_BUFFER_INIT(NX_XML_MAX) };
    struct nx_reducer reducer = { .domain = ret_domain };
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    if (nx_xml_parse(data, len, name, &doc, err) < 0)
        return -1;
    ret_domain->disks = calloc(NX_DOMAIN_MAX_DISKS, sizeof *ret_domain->disks);
    if (!ret_domain->disks)
        return nx_fail_errno(err, "%s", name);
    const xmlNode *source = find_domain(doc, name, err);
    return source ? reduce_document(&reducer, source, name, err) : -1;
}

int nx_domain_validate(const void *xml, size_t len, const char *name, struct nx_error *err)
{
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    if (nx_xml_parse(xml, len, name, &doc, err) < 0)
        return -1;
    return nx_xml_validate(doc, nx_domain_rng, (size_t)(nx_domain_rng_end - nx_domain_rng), name,
                           err);
}
