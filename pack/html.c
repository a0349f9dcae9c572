/* SPDX-License-Identifier: MIT */
#include "pack/html.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "formats/xml.h"

static void did(struct nx_html *html, int ret)
{
    html->failed |= ret < 0;
}

void nx_html_open(struct nx_html *html)
{
    html->buffer = xmlBufferCreate();
    html->writer = html->buffer ? xmlNewTextWriterMemory(html->buffer, 0) : NULL;
    html->failed = !html->writer;
    did(html, xmlTextWriterWriteDTD(html->writer, (const xmlChar *)"html", NULL, NULL, NULL));
    nx_html_newline(html);
}

int nx_html_save(struct nx_html *html, const char *path, struct nx_error *err)
{
    did(html, xmlTextWriterFlush(html->writer));
    if (html->failed)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: no memory for the page", path);
    if (nx_xml_end(0, path, err) < 0)
        return -1;
    return nx_write_file(path, 0644, xmlBufferContent(html->buffer),
                         (size_t)xmlBufferLength(html->buffer), err);
}

void nx_html_release(struct nx_html *html)
{
    xmlFreeTextWriter(html->writer);
    xmlBufferFree(html->buffer);
    *html = (struct nx_html){ 0 };
}

void nx_html_attr(struct nx_html *html, const char *name, const char *value)
{
    did(html,
        xmlTextWriterWriteAttribute(html->writer, (const xmlChar *)name, (const xmlChar *)value));
}

void nx_html_attrf(struct nx_html *html, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    did(html, xmlTextWriterWriteVFormatAttribute(html->writer, (const xmlChar *)name, fmt, ap));
    va_end(ap);
}

void nx_html_begin(struct nx_html *html, const char *tag, const char *class)
{
    did(html, xmlTextWriterStartElement(html->writer, (const xmlChar *)tag));
    if (class)
        nx_html_attr(html, "class", class);
}

void nx_html_end(struct nx_html *html)
{
    did(html, xmlTextWriterFullEndElement(html->writer));
}

void nx_html_end_void(struct nx_html *html)
{
    did(html, xmlTextWriterEndElement(html->writer));
}

void nx_html_raw(struct nx_html *html, const char *words)
{
    did(html, xmlTextWriterWriteRaw(html->writer, (const xmlChar *)words));
}

void nx_html_newline(struct nx_html *html)
{
    nx_html_raw(html, "\n");
}

void nx_html_text(struct nx_html *html, const char *words)
{
    did(html, xmlTextWriterWriteString(html->writer, (const xmlChar *)words));
}

void nx_html_textf(struct nx_html *html, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    did(html, xmlTextWriterWriteVFormatString(html->writer, fmt, ap));
    va_end(ap);
}

void nx_html_element(struct nx_html *html, const char *tag, const char *class, const char *words)
{
    nx_html_begin(html, tag, class);
    nx_html_text(html, words);
    nx_html_end(html);
    nx_html_newline(html);
}

void nx_html_png(struct nx_html *html, const void *png, size_t len)
{
    NX_AUTO_FREE char *base64 = malloc((len + 2) / 3 * 4 + 1);
    if (!base64) {
        html->failed = true;
        return;
    }
    EVP_EncodeBlock((unsigned char *)base64, png, (int)len);
    did(html, xmlTextWriterStartAttribute(html->writer, (const xmlChar *)"src"));
    nx_html_text(html, "data:image/png;base64,");
    nx_html_text(html, base64);
    did(html, xmlTextWriterEndAttribute(html->writer));
}

/* ---- commands ---- */

void nx_html_shell_word(struct nx_html *html, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/._%+,@=-";
    if (word[strspn(word, plain)] == 0) {
        nx_html_text(html, word);
        return;
    }
    nx_html_text(html, "'");
    for (const char *at = word; *at; at += *at == '\'') {
        size_t n = strcspn(at, "'");
        nx_html_textf(html, "%.*s%s", (int)n, at, at[n] ? "'\\''" : "");
        at += n;
    }
    nx_html_text(html, "'");
}

void nx_html_begin_command(struct nx_html *html)
{
    nx_html_begin(html, "pre", NULL);
    nx_html_begin(html, "code", NULL);
}

void nx_html_end_command(struct nx_html *html)
{
    nx_html_end(html);
    nx_html_end(html);
    nx_html_newline(html);
}
