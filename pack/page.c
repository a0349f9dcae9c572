/* SPDX-License-Identifier: MIT */
#include "pack/page.h"

#include <inttypes.h>
#include <libxml/xmlwriter.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/embed.h"
#include "common/io.h"
#include "common/log.h"
#include "common/plain.h"
#include "common/progress.h"
#include "formats/xml.h"

NX_EMBED(page_css, "pack/page.css");

/* Debian's packages that building and running nxfetch takes: those of tests/debian-packages, which a test compares. */
static const char debian_packages[] =
    "gcc make pkg-config libarchive-dev libxml2-dev libcurl4-openssl-dev libzstd-dev libssl-dev "
    "libmagic-dev libfuse3-dev liblmdb-dev libnbd-dev libseccomp-dev libmicrohttpd-dev "
    "libjansson-dev libpng-dev check git qemu-system-x86 qemu-system-gui qemu-utils ovmf seabios "
    "fuse3";

struct page {
    xmlTextWriter *writer;
    bool failed; /* memory was short */
    bool several;
};

/* ---- elements ---- */

static void did(struct page *p, int ret)
{
    p->failed |= ret < 0;
}

static void attr(struct page *p, const char *name, const char *value)
{
    did(p, xmlTextWriterWriteAttribute(p->writer, (const xmlChar *)name, (const xmlChar *)value));
}

__attribute__((format(printf, 3, 4))) static void attrf(struct page *p, const char *name,
                                                        const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    did(p, xmlTextWriterWriteVFormatAttribute(p->writer, (const xmlChar *)name, fmt, ap));
    va_end(ap);
}

/* class may be NULL */
static void begin(struct page *p, const char *tag, const char *class)
{
    did(p, xmlTextWriterStartElement(p->writer, (const xmlChar *)tag));
    if (class)
        attr(p, "class", class);
}

static void end(struct page *p)
{
    did(p, xmlTextWriterFullEndElement(p->writer));
}

/* The end of an element that HTML gives no content. */
static void end_void(struct page *p)
{
    did(p, xmlTextWriterEndElement(p->writer));
}

static void newline(struct page *p)
{
    did(p, xmlTextWriterWriteRaw(p->writer, (const xmlChar *)"\n"));
}

static void text(struct page *p, const char *words)
{
    did(p, xmlTextWriterWriteString(p->writer, (const xmlChar *)words));
}

__attribute__((format(printf, 2, 3))) static void textf(struct page *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    did(p, xmlTextWriterWriteVFormatString(p->writer, fmt, ap));
    va_end(ap);
}

static void element(struct page *p, const char *tag, const char *class, const char *words)
{
    begin(p, tag, class);
    text(p, words);
    end(p);
    newline(p);
}

/* A heading below the page's own (level 0), or below a machine's (1). */
static void heading(struct page *p, unsigned level, const char *class, const char *words)
{
    static const char *const tags[] = { "h1", "h2", "h3" };
    element(p, tags[level], class, words);
}

/* ---- what is a stranger's ---- */

/* Nothing in it may turn the direction of writing or hide something. */
static void name_of(const struct nx_offer *offer, char name[static NX_NAME_MAX + 1])
{
    snprintf(name, NX_NAME_MAX + 1, "%s", offer->head->manifest->name);
    nx_plain(name);
}

/* A paragraph for each of its lines. */
static void description(struct page *p, const struct nx_offer *offer)
{
    char words[NX_DESCRIPTION_MAX + 1];
    snprintf(words, sizeof words, "%s", offer->head->manifest->description);
    char *rest = words;
    for (char *line; (line = strtok_r(rest, "\r\n", &rest));)
        if (line[strspn(line, " \t")])
            element(p, "p", "description", nx_plain(line));
}

/* ---- commands ---- */

/* A word of a command for a shell, as it is to be pasted; it is ASCII without white space (offer.h). */
static void shell_word(struct page *p, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/._%+,@=-";
    if (word[strspn(word, plain)] == 0) {
        text(p, word);
        return;
    }
    text(p, "'");
    for (const char *at = word; *at; at += *at == '\'') {
        size_t n = strcspn(at, "'");
        textf(p, "%.*s%s", (int)n, at, at[n] ? "'\\''" : "");
        at += n;
    }
    text(p, "'");
}

static void begin_command(struct page *p)
{
    begin(p, "pre", NULL);
    begin(p, "code", NULL);
}

static void end_command(struct page *p)
{
    end(p);
    end(p);
    newline(p);
}

static void run_command(struct page *p, const struct nx_offer *offer, unsigned level)
{
    begin(p, "div", "terminal");
    newline(p);
    heading(p, level, NULL, "In a terminal");
    begin_command(p);
    text(p, offer->head->signer ? "nxfetch " : "nxfetch --allow-unsigned ");
    shell_word(p, offer->address);
    end_command(p);
    end(p);
    newline(p);
}

/* ---- facts ---- */

static void fact(struct page *p, const char *what, const char *value)
{
    begin(p, "div", NULL);
    begin(p, "dt", NULL);
    text(p, what);
    end(p);
    begin(p, "dd", NULL);
    text(p, value);
    end(p);
    end(p);
    newline(p);
}

/* How much of the package a start takes, to be seen at a glance; the words beside it say the same. */
static void share_bar(struct page *p, uint64_t part, uint64_t whole)
{
    double share = whole ? 100.0 * (double)part / (double)whole : 0;
    begin(p, "svg", "share");
    attr(p, "xmlns", "http://www.w3.org/2000/svg");
    attr(p, "viewBox", "0 0 100 2");
    attr(p, "preserveAspectRatio", "none");
    attr(p, "aria-hidden", "true");
    begin(p, "rect", NULL);
    attr(p, "width", "100");
    attr(p, "height", "2");
    end(p);
    begin(p, "rect", "part");
    attrf(p, "width", "%.2f", share < 1.5 ? 1.5 : share > 100 ? 100 : share);
    attr(p, "height", "2");
    end(p);
    end(p);
    newline(p);
}

static void start_words(struct page *p, const struct nx_offer *offer)
{
    char size[32], start[32];
    uint64_t bytes = nx_offer_start_bytes(offer);
    bool resumes = offer->head->manifest->suspended;
    begin(p, "div", "start");
    begin(p, "p", NULL);
    if (bytes) {
        textf(p, "%s after fetching ", resumes ? "Resumes" : "Boots");
        begin(p, "strong", NULL);
        text(p, nx_human_bytes(bytes, start));
        end(p);
        textf(p, " of %s", nx_human_bytes(offer->size, size));
    } else {
        textf(p, "%s at once, and fetches what it reads of ", resumes ? "Resumes" : "Boots");
        begin(p, "strong", NULL);
        text(p, nx_human_bytes(offer->size, size));
        end(p);
    }
    end(p);
    if (bytes)
        share_bar(p, bytes, offer->size);
    end(p);
    newline(p);
}

static void disks_fact(struct page *p, const struct nx_manifest *m)
{
    char value[64], size[32];
    uint64_t bytes = 0;
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_images; i++)
        if (m->images[i].role == NX_IMAGE_DISK) {
            n++;
            bytes += m->images[i].size; /* of 64 at most, each of 64 TiB at most */
        }
    snprintf(value, sizeof value, n > 1 ? "%s on %u" : "%s", nx_human_bytes(bytes, size), n);
    fact(p, n > 1 ? "Disks" : "Disk", value);
}

static void facts(struct page *p, const struct nx_offer *offer)
{
    const struct nx_manifest *m = offer->head->manifest;
    const struct nx_machine *machine = offer->machine;
    char value[128], size[32];
    begin(p, "dl", "facts");
    newline(p);
    snprintf(value, sizeof value, "%.60s, %u CPU%s", machine->arch, machine->cpus,
             machine->cpus == 1 ? "" : "s");
    fact(p, "Machine", value);
    fact(p, "Memory", nx_human_bytes(machine->memory, size));
    disks_fact(p, m);
    fact(p, "Firmware", machine->uefi ? "UEFI" : "BIOS");
    fact(p, "Package", nx_human_bytes(offer->size, size));
    snprintf(value, sizeof value, "%.10s", m->created);
    fact(p, "Packed on", value);
    snprintf(value, sizeof value, "%.10s", m->expires);
    if (*value)
        fact(p, "Good until", value);
    end(p);
    newline(p);
}

/* As nxfetch shows it, with places where a line may end that are not copied. */
static void fingerprint(struct page *p, const struct nx_key *signer)
{
    char hex[NX_DIGEST_HEX];
    nx_key_fingerprint(signer, hex);
    begin(p, "p", "fingerprint");
    begin(p, "code", NULL);
    for (const char *at = hex; *at; at += strnlen(at, 16)) {
        if (at > hex) {
            begin(p, "wbr", NULL);
            end_void(p);
        }
        textf(p, "%.16s", at);
    }
    end(p);
    end(p);
    newline(p);
}

static void signer(struct page *p, const struct nx_offer *offer, unsigned level)
{
    const struct nx_key *key = offer->head->signer;
    begin(p, "div", key ? "signer" : "signer unsigned");
    newline(p);
    heading(p, level, NULL, key ? "Signed by" : "Not signed");
    if (key)
        fingerprint(p, key);
    element(p, "p", "note",
            key ? "nxfetch checks every byte against this signature. It shows the fingerprint "
                  "before it runs a machine of somebody whom it does not know yet: compare them."
                : "Nobody vouches for this machine: whoever can change the file can change what "
                  "you run. nxfetch refuses it unless it is told otherwise.");
    end(p);
    newline(p);
}

/* ---- a machine ---- */

static void picture(struct page *p, const struct nx_offer *offer, const char *name)
{
    const struct nx_screenshot *shot = &offer->shot;
    if (!shot->png.len)
        return;
    /* EVP_EncodeBlock() takes an int; pictures are smaller (screenshot.h). */
    size_t len = (shot->png.len + 2) / 3 * 4;
    NX_AUTO_FREE char *base64 = malloc(len + 1);
    p->failed |= !base64;
    if (!base64)
        return;
    EVP_EncodeBlock((unsigned char *)base64, shot->png.data, (int)shot->png.len);
    begin(p, "figure", "screen");
    begin(p, "img", NULL);
    attrf(p, "alt", "The screen of %s after its start", name);
    attrf(p, "width", "%u", shot->width);
    attrf(p, "height", "%u", shot->height);
    did(p, xmlTextWriterStartAttribute(p->writer, (const xmlChar *)"src"));
    text(p, "data:image/png;base64,");
    text(p, base64);
    did(p, xmlTextWriterEndAttribute(p->writer));
    end_void(p);
    end(p);
    newline(p);
}

static void actions(struct page *p, const struct nx_offer *offer, const char *name)
{
    const char *words = offer->reference ? "Reference (.netx)" : "Download (.nxpk)";
    begin(p, "p", "actions");
    begin(p, "a", "run");
    attr(p, "href", offer->run);
    if (p->several)
        attrf(p, "aria-label", "Run %s", name);
    text(p, "Run");
    end(p);
    newline(p);
    begin(p, "a", "other");
    attr(p, "href", offer->download);
    attr(p, "download", "");
    if (p->several)
        attrf(p, "aria-label", "%s: %s", words, name);
    text(p, words);
    end(p);
    newline(p);
    end(p);
    newline(p);
    begin(p, "p", "note");
    text(p, "Nothing happens? ");
    begin(p, "a", NULL);
    attr(p, "href", "#install");
    text(p, "Install nxfetch");
    end(p);
    text(p, " first, or use the command.");
    end(p);
    newline(p);
}

static void machine(struct page *p, const struct nx_offer *offer, size_t number)
{
    char name[NX_NAME_MAX + 1];
    unsigned level = p->several ? 1 : 0;
    name_of(offer, name);
    begin(p, "article", offer->shot.png.len ? "machine" : "machine no-screen");
    attrf(p, "id", "machine-%zu", number);
    attrf(p, "aria-labelledby", "name-%zu", number);
    newline(p);
    picture(p, offer, name);
    begin(p, "div", "about");
    newline(p);
    begin(p, level ? "h2" : "h1", NULL);
    attrf(p, "id", "name-%zu", number);
    text(p, name);
    end(p);
    newline(p);
    description(p, offer);
    start_words(p, offer);
    actions(p, offer, name);
    facts(p, offer);
    end(p);
    newline(p);
    run_command(p, offer, level + 1);
    signer(p, offer, level + 1);
    end(p);
    newline(p);
}

/* ---- the page ---- */

static void install(struct page *p, const char *url)
{
    begin(p, "section", "install");
    attr(p, "id", "install");
    attr(p, "aria-labelledby", "install-heading");
    newline(p);
    begin(p, "h2", NULL);
    attr(p, "id", "install-heading");
    text(p, "Install nxfetch");
    end(p);
    newline(p);
    size_t len = url ? strlen(url) : 0;
    bool git = len > 4 && strcmp(url + len - 4, ".git") == 0;
    begin(p, "p", NULL);
    text(p, "nxfetch runs machines from where they are. It needs no root rights and leaves nothing "
            "of a machine behind. On Debian 12 or newer, build it from the source of nxpk");
    if (url) {
        text(p, ", which is at ");
        begin(p, "a", NULL);
        attr(p, "href", url);
        text(p, url);
        end(p);
    }
    text(p, git ? ":" : "; in its folder:");
    end(p);
    newline(p);
    begin_command(p);
    if (git) {
        text(p, "git clone ");
        shell_word(p, url);
        text(p, " nxpk && cd nxpk\n");
    }
    textf(p, "sudo apt-get install %s\n", debian_packages);
    text(p, "make && sudo make install");
    end_command(p);
    element(p, "p", "note",
            "Then click Run, or paste a machine's command into a terminal: the window that opens "
            "is the machine. What you do in it is forgotten at its end.");
    end(p);
    newline(p);
}

/* Links to the machines, where there are several. */
static void contents(struct page *p, const struct nx_offer *offers, size_t n)
{
    char name[NX_NAME_MAX + 1];
    begin(p, "nav", NULL);
    attr(p, "aria-label", "Machines");
    newline(p);
    begin(p, "ul", NULL);
    newline(p);
    for (size_t i = 0; i < n; i++) {
        name_of(&offers[i], name);
        begin(p, "li", NULL);
        begin(p, "a", NULL);
        attrf(p, "href", "#machine-%zu", i + 1);
        text(p, name);
        end(p);
        end(p);
        newline(p);
    }
    end(p);
    newline(p);
    end(p);
    newline(p);
}

static void meta(struct page *p, const char *key, const char *name, const char *content)
{
    begin(p, "meta", NULL);
    attr(p, key, name);
    attr(p, "content", content);
    end_void(p);
    newline(p);
}

/* Only this very style, and only pictures that are in the page. */
static void policy(struct page *p, const char *css)
{
    struct nx_digest digest;
    char base64[64], content[256];
    nx_digest_of(css, strlen(css), &digest);
    EVP_EncodeBlock((unsigned char *)base64, digest.bytes, sizeof digest.bytes);
    snprintf(content, sizeof content,
             "default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; "
             "form-action 'none'",
             base64);
    meta(p, "http-equiv", "Content-Security-Policy", content);
}

static void head(struct page *p, const char *title)
{
    begin(p, "head", NULL);
    newline(p);
    begin(p, "meta", NULL);
    attr(p, "charset", "utf-8");
    end_void(p);
    newline(p);
    policy(p, page_css);
    meta(p, "name", "viewport", "width=device-width, initial-scale=1");
    meta(p, "name", "color-scheme", "light dark");
    meta(p, "name", "generator", "nxref " NX_VERSION);
    element(p, "title", NULL, title);
    /* Raw, since HTML unescapes nothing in it; it is ours, and has neither "<" nor "&". */
    begin(p, "style", NULL);
    did(p, xmlTextWriterWriteRaw(p->writer, (const xmlChar *)page_css));
    end(p);
    newline(p);
    end(p);
    newline(p);
}

static void body(struct page *p, const struct nx_offer *offers, size_t n, const char *title,
                 const struct nx_page_options *options)
{
    begin(p, "body", p->several ? "several" : "single");
    newline(p);
    begin(p, "header", NULL);
    newline(p);
    if (p->several)
        heading(p, 0, NULL, title);
    element(p, "p", "lead",
            p->several ? "Virtual machines that run from the web: each is there before a fraction "
                         "of it has been downloaded."
                       : "A virtual machine that runs from the web: it is there before a fraction "
                         "of it has been downloaded.");
    if (p->several)
        contents(p, offers, n);
    end(p);
    newline(p);
    begin(p, "main", NULL);
    newline(p);
    for (size_t i = 0; i < n; i++)
        machine(p, &offers[i], i + 1);
    install(p, options->install);
    end(p);
    newline(p);
    begin(p, "footer", NULL);
    element(p, "p", NULL, "This page was written by nxref, a part of nxpk. It has no scripts.");
    end(p);
    newline(p);
    end(p);
    newline(p);
}

static void html(struct page *p, const struct nx_offer *offers, size_t n,
                 const struct nx_page_options *options)
{
    char title[NX_NAME_MAX + 1];
    if (options->title || n > 1)
        snprintf(title, sizeof title, "%s", options->title ? options->title : "Virtual machines");
    else
        name_of(&offers[0], title);
    nx_plain(title);
    did(p, xmlTextWriterWriteDTD(p->writer, (const xmlChar *)"html", NULL, NULL, NULL));
    newline(p);
    begin(p, "html", NULL);
    attr(p, "xmlns", "http://www.w3.org/1999/xhtml");
    attr(p, "lang", "en");
    attr(p, "xml:lang", "en");
    newline(p);
    head(p, title);
    body(p, offers, n, title, options);
    end(p);
    newline(p);
    did(p, xmlTextWriterFlush(p->writer));
}

int nx_page_write(const char *path, const struct nx_offer *offers, size_t n,
                  const struct nx_page_options *options, struct nx_error *err)
{
    const char *given = options->title;
    if (given && (strlen(given) > NX_NAME_MAX || !xmlCheckUTF8((const xmlChar *)given)))
        return nx_fail(err, NX_ERR_USAGE, "the title is not UTF-8 of at most %d bytes",
                       NX_NAME_MAX);
    xmlBuffer *buffer = xmlBufferCreate();
    xmlTextWriter *writer = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
    struct page p = { .writer = writer, .failed = !writer, .several = n > 1 };
    if (writer)
        html(&p, offers, n, options);
    xmlFreeTextWriter(writer);
    int ret = p.failed ? nx_fail(err, NX_ERR_SYSTEM, "%s: no memory for the page", path)
                       : nx_xml_end(0, path, err);
    if (ret == 0)
        ret = nx_write_file(path, 0644, xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer),
                            err);
    xmlBufferFree(buffer);
    return ret;
}
