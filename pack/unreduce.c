/* SPDX-License-Identifier: MIT */
#include "pack/unreduce.h"

#include <string.h>

#include "common/cleanup.h"
#include "formats/xml.h"

struct making {
    const struct nx_unpacked *images;
    unsigned n_images;
    struct nx_error *err;
};

static const struct nx_unpacked *find_image(const struct making *m, const xmlNode *node)
{
    NX_AUTO_FREE char *name = nx_xml_attr(node, "image");
    for (unsigned i = 0; name && i < m->n_images; i++)
        if (strcmp(m->images[i].image, name) == 0)
            return &m->images[i];
    nx_fail(m->err, NX_ERR_FORMAT, "domain.xml: there is no image '%s'", name ? name : "");
    return NULL;
}

/* libxml2's answers without memory */
static int no_memory(struct making *m)
{
    return nx_fail(m->err, NX_ERR_SYSTEM, "domain.xml: out of memory");
}

static int set(struct making *m, xmlNode *node, const char *name, const char *value)
{
    return xmlSetProp(node, BAD_CAST name, BAD_CAST value) ? 0 : no_memory(m);
}

static int fill_disk(struct making *m, xmlNode *disk)
{
    xmlNode *source = nx_xml_child(disk, "source");
    if (!source) /* an empty drive */
        return 0;
    const struct nx_unpacked *image = find_image(m, source);
    if (!image)
        return -1;
    xmlUnsetProp(source, BAD_CAST "image");
    xmlNode *driver = nx_xml_child(disk, "driver");
    if (!driver)
        driver = xmlNewChild(disk, NULL, BAD_CAST "driver", NULL);
    if (!driver)
        return no_memory(m);
    if (set(m, source, "file", image->path) < 0 || set(m, driver, "name", "qemu") < 0)
        return -1;
    return set(m, driver, "type", image->format);
}

static int fill_nvram(struct making *m, xmlNode *nvram)
{
    const struct nx_unpacked *image = find_image(m, nvram);
    if (!image)
        return -1;
    xmlUnsetProp(nvram, BAD_CAST "image");
    xmlNodeAddContent(nvram, BAD_CAST image->path); /* unlike xmlNodeSetContent(), as it is */
    return 0;
}

/* The other end of a serial port or channel: what libvirt uses by itself. */
static int fill_chardev(struct making *m, xmlNode *device)
{
    static const struct {
        const char *element, *type;
    } chardevs[] = {
        { "serial", "pty" },   { "parallel", "pty" },      { "console", "pty" },
        { "channel", "unix" }, { "redirdev", "spicevmc" },
    };
    NX_AUTO_FREE char *type = nx_xml_attr(device, "type");
    for (size_t i = 0; i < sizeof chardevs / sizeof chardevs[0]; i++)
        if (strcmp((const char *)device->name, chardevs[i].element) == 0 &&
            (!type || strcmp(type, "null") == 0))
            return set(m, device, "type", chardevs[i].type);
    return 0;
}

/* A package says nothing of how its machine is shown, so it would be shown nowhere. */
static int add_graphics(struct making *m, xmlNode *devices)
{
    if (!nx_xml_child(devices, "video") || nx_xml_child(devices, "graphics"))
        return 0;
    xmlNode *graphics = xmlNewChild(devices, NULL, BAD_CAST "graphics", NULL);
    if (!graphics)
        return no_memory(m);
    return set(m, graphics, "type", "vnc") < 0 ? -1 : set(m, graphics, "autoport", "yes");
}

/* Without the blanks between elements libxml2 indents what was added like the rest. */
static void drop_blanks(xmlNode *node)
{
    for (xmlNode *child = node->children, *next; child; child = next) {
        next = child->next;
        if (xmlIsBlankNode(child)) {
            xmlUnlinkNode(child);
            xmlFreeNode(child);
        } else {
            drop_blanks(child);
        }
    }
}

static int fill(struct making *m, xmlNode *root)
{
    xmlNode *os = nx_xml_child(root, "os");
    xmlNode *nvram = os ? nx_xml_child(os, "nvram") : NULL;
    if (nvram && fill_nvram(m, nvram) < 0)
        return -1;
    xmlNode *devices = nx_xml_child(root, "devices");
    for (xmlNode *device = devices ? devices->children : NULL; device; device = device->next) {
        if (device->type != XML_ELEMENT_NODE)
            continue;
        bool is_disk = strcmp((const char *)device->name, "disk") == 0;
        if ((is_disk ? fill_disk(m, device) : fill_chardev(m, device)) < 0)
            return -1;
    }
    return devices ? add_graphics(m, devices) : 0;
}

int nx_domain_unreduce(const struct nx_buffer *xml, const struct nx_unpacked *images,
                       unsigned n_images, struct nx_buffer *ret_xml, struct nx_error *err)
{
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    if (nx_xml_parse(xml->data, xml->len, "domain.xml", &doc, err) < 0)
        return -1;
    struct making making = { images, n_images, err };
    if (nx_xml_end(fill(&making, xmlDocGetRootElement(doc)), "domain.xml", err) < 0)
        return -1;
    drop_blanks(xmlDocGetRootElement(doc));
    xmlChar *text = NULL;
    int len = 0;
    xmlDocDumpFormatMemoryEnc(doc, &text, &len, "UTF-8", 1);
    int ret = nx_xml_end(0, "domain.xml", err);
    if (ret == 0)
        ret = nx_buffer_add(ret_xml, text, (size_t)len, err);
    xmlFree(text);
    return ret;
}
