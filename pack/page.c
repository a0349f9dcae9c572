/* SPDX-License-Identifier: MIT */
#include "pack/page.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/embed.h"
#include "common/plain.h"
#include "common/progress.h"
#include "pack/html.h"

NX_EMBED(page_css, "pack/page.css");

/* Debian's packages that building and running nxfetch takes: those of tests/debian-packages, which a test compares. */
static const char debian_packages[] =
    "gcc make pkg-config libarchive-dev libxml2-dev libcurl4-openssl-dev libzstd-dev libssl-dev "
    "libmagic-dev libfuse3-dev liblmdb-dev libnbd-dev libseccomp-dev libmicrohttpd-dev "
    "libjansson-dev libpng-dev libvirt-dev check git qemu-system-x86 qemu-system-gui qemu-utils "
    "ovmf seabios fuse3 novnc";

/* A heading below the page's own (level 0), or below a machine's (1). */
static void heading(struct nx_html *html, unsigned level, const char *class, const char *words)
{
    static const char *const tags[] = { "h1", "h2", "h3" };
    nx_html_element(html, tags[level], class, words);
}

/* ---- what is a stranger's ---- */

/* Nothing in it may turn the direction of writing or hide something. */
static void name_of(const struct nx_offer *offer, char name[static NX_NAME_MAX + 1])
{
    snprintf(name, NX_NAME_MAX + 1, "%s", offer->head->manifest->name);
    nx_plain(name);
}

/* A paragraph for each of its lines. */
static void description(struct nx_html *html, const struct nx_offer *offer)
{
    char words[NX_DESCRIPTION_MAX + 1];
    snprintf(words, sizeof words, "%s", offer->head->manifest->description);
    for (char *tab = words; (tab = strchr(tab, '\t'));)
        *tab = ' ';
    char *rest = words;
    for (char *line; (line = strtok_r(rest, "\r\n", &rest));)
        if (line[strspn(line, " ")])
            nx_html_element(html, "p", "description", nx_plain(line));
}

/* ---- commands ---- */

static void run_command(struct nx_html *html, const struct nx_offer *offer, unsigned level)
{
    nx_html_begin(html, "div", "terminal");
    nx_html_newline(html);
    heading(html, level, NULL, "In a terminal");
    nx_html_begin_command(html);
    nx_html_text(html, offer->head->signer ? "nxfetch " : "nxfetch --allow-unsigned ");
    nx_html_shell_word(html, offer->address);
    nx_html_end_command(html);
    nx_html_end(html);
    nx_html_newline(html);
}

/* ---- facts ---- */

static void fact(struct nx_html *html, const char *what, const char *value)
{
    nx_html_begin(html, "div", NULL);
    nx_html_begin(html, "dt", NULL);
    nx_html_text(html, what);
    nx_html_end(html);
    nx_html_begin(html, "dd", NULL);
    nx_html_text(html, value);
    nx_html_end(html);
    nx_html_end(html);
    nx_html_newline(html);
}

/* How much of the package a start takes, to be seen at a glance; the words beside it say the same. */
static void share_bar(struct nx_html *html, uint64_t part, uint64_t whole)
{
    double share = whole ? 100.0 * (double)part / (double)whole : 0;
    nx_html_begin(html, "svg", "share");
    nx_html_attr(html, "xmlns", "http://www.w3.org/2000/svg");
    nx_html_attr(html, "viewBox", "0 0 100 2");
    nx_html_attr(html, "preserveAspectRatio", "none");
    nx_html_attr(html, "aria-hidden", "true");
    nx_html_begin(html, "rect", NULL);
    nx_html_attr(html, "width", "100");
    nx_html_attr(html, "height", "2");
    nx_html_end(html);
    nx_html_begin(html, "rect", "part");
    nx_html_attrf(html, "width", "%.2f", share < 1.5 ? 1.5 : share > 100 ? 100 : share);
    nx_html_attr(html, "height", "2");
    nx_html_end(html);
    nx_html_end(html);
    nx_html_newline(html);
}

static void start_words(struct nx_html *html, const struct nx_offer *offer)
{
    char size[32], start[32];
    uint64_t bytes = nx_offer_start_bytes(offer);
    bool resumes = offer->head->manifest->suspended;
    nx_html_begin(html, "div", "start");
    nx_html_begin(html, "p", NULL);
    if (bytes) {
        nx_html_textf(html, "%s after fetching ", resumes ? "Resumes" : "Boots");
        nx_html_begin(html, "strong", NULL);
        nx_html_text(html, nx_human_bytes(bytes, start));
        nx_html_end(html);
        nx_html_textf(html, " of %s", nx_human_bytes(offer->size, size));
    } else {
        nx_html_textf(html, "%s at once, and fetches what it reads of ",
                      resumes ? "Resumes" : "Boots");
        nx_html_begin(html, "strong", NULL);
        nx_html_text(html, nx_human_bytes(offer->size, size));
        nx_html_end(html);
    }
    nx_html_end(html);
    if (bytes)
        share_bar(html, bytes, offer->size);
    nx_html_end(html);
    nx_html_newline(html);
}

static void disks_fact(struct nx_html *html, const struct nx_manifest *m)
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
    fact(html, n > 1 ? "Disks" : "Disk", value);
}

static void facts(struct nx_html *html, const struct nx_offer *offer)
{
    const struct nx_manifest *m = offer->head->manifest;
    const struct nx_machine *machine = offer->machine;
    char value[128], size[32];
    nx_html_begin(html, "dl", "facts");
    nx_html_newline(html);
    snprintf(value, sizeof value, "%.60s, %u CPU%s", machine->arch, machine->cpus,
             machine->cpus == 1 ? "" : "s");
    fact(html, "Machine", value);
    fact(html, "Memory", nx_human_bytes(machine->memory, size));
    disks_fact(html, m);
    fact(html, "Firmware", machine->uefi ? "UEFI" : "BIOS");
    fact(html, "Package", nx_human_bytes(offer->size, size));
    snprintf(value, sizeof value, "%.10s", m->created);
    fact(html, "Packed on", value);
    snprintf(value, sizeof value, "%.10s", m->expires);
    if (*value)
        fact(html, "Good until", value);
    nx_html_end(html);
    nx_html_newline(html);
}

/* As nxfetch shows it, with places where a line may end that are not copied. */
static void fingerprint(struct nx_html *html, const struct nx_key *signer)
{
    char hex[NX_DIGEST_HEX];
    nx_key_fingerprint(signer, hex);
    nx_html_begin(html, "p", "fingerprint");
    nx_html_begin(html, "code", NULL);
    for (const char *at = hex; *at; at += strnlen(at, 16)) {
        if (at > hex) {
            nx_html_begin(html, "wbr", NULL);
            nx_html_end_void(html);
        }
        nx_html_textf(html, "%.16s", at);
    }
    nx_html_end(html);
    nx_html_end(html);
    nx_html_newline(html);
}

static void signer(struct nx_html *html, const struct nx_offer *offer, unsigned level)
{
    const struct nx_key *key = offer->head->signer;
    nx_html_begin(html, "div", key ? "signer" : "signer unsigned");
    nx_html_newline(html);
    heading(html, level, NULL, key ? "Signed by" : "Not signed");
    if (key)
        fingerprint(html, key);
    nx_html_element(
        html, "p", "note",
        key ? "nxfetch checks every byte against this signature. It shows the fingerprint "
              "before it runs a machine of somebody whom it does not know yet: compare them."
            : "Nobody vouches for this machine: whoever can change the file can change what "
              "you run. nxfetch refuses it unless it is told otherwise.");
    nx_html_end(html);
    nx_html_newline(html);
}

/* ---- a machine ---- */

static void picture(struct nx_html *html, const struct nx_offer *offer, const char *name)
{
    const struct nx_screenshot *shot = &offer->shot;
    if (!shot->png.len)
        return;
    nx_html_begin(html, "figure", "screen");
    nx_html_begin(html, "img", NULL);
    nx_html_attrf(html, "alt", "The screen of %s after its start", name);
    nx_html_attrf(html, "width", "%u", shot->width);
    nx_html_attrf(html, "height", "%u", shot->height);
    nx_html_png(html, shot->png.data, shot->png.len);
    nx_html_end_void(html);
    nx_html_end(html);
    nx_html_newline(html);
}

static void download(struct nx_html *html, const struct nx_offer *offer, const char *name,
                     bool several)
{
    const char *words = offer->reference ? "Reference (.netx)" : "Download (.nxpk)";
    nx_html_newline(html);
    nx_html_begin(html, "a", "other");
    nx_html_attr(html, "href", offer->download);
    nx_html_attr(html, "download", "");
    if (several)
        nx_html_attrf(html, "aria-label", "%s: %s", words, name);
    nx_html_text(html, words);
    nx_html_end(html);
}

static void actions(struct nx_html *html, const struct nx_offer *offer, const char *name,
                    bool several)
{
    nx_html_begin(html, "p", "actions");
    nx_html_begin(html, "a", "run");
    nx_html_attr(html, "href", offer->run);
    if (several)
        nx_html_attrf(html, "aria-label", "Run %s", name);
    nx_html_text(html, "Run");
    nx_html_end(html);
    if (offer->reference || !offer->cut)
        download(html, offer, name, several);
    nx_html_newline(html);
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_begin(html, "p", "note");
    nx_html_text(html, "Nothing happens? ");
    nx_html_begin(html, "a", NULL);
    nx_html_attr(html, "href", "#install");
    nx_html_text(html, "Install nxfetch");
    nx_html_end(html);
    nx_html_text(html, " first, or use the command.");
    nx_html_end(html);
    nx_html_newline(html);
}

/* number counts from 1. */
static void machine(struct nx_html *html, const struct nx_offer *offer, size_t number, bool several)
{
    char name[NX_NAME_MAX + 1];
    unsigned level = several ? 1 : 0;
    name_of(offer, name);
    nx_html_begin(html, "article", offer->shot.png.len ? "machine" : "machine no-screen");
    nx_html_attrf(html, "id", "machine-%zu", number);
    nx_html_attrf(html, "aria-labelledby", "name-%zu", number);
    nx_html_newline(html);
    picture(html, offer, name);
    nx_html_begin(html, "div", "about");
    nx_html_newline(html);
    nx_html_begin(html, level ? "h2" : "h1", NULL);
    nx_html_attrf(html, "id", "name-%zu", number);
    nx_html_text(html, name);
    nx_html_end(html);
    nx_html_newline(html);
    description(html, offer);
    start_words(html, offer);
    actions(html, offer, name, several);
    facts(html, offer);
    nx_html_end(html);
    nx_html_newline(html);
    run_command(html, offer, level + 1);
    signer(html, offer, level + 1);
    nx_html_end(html);
    nx_html_newline(html);
}

/* ---- the page ---- */

static void install(struct nx_html *html, const char *url)
{
    nx_html_begin(html, "section", "install");
    nx_html_attr(html, "id", "install");
    nx_html_attr(html, "aria-labelledby", "install-heading");
    nx_html_newline(html);
    nx_html_begin(html, "h2", NULL);
    nx_html_attr(html, "id", "install-heading");
    nx_html_text(html, "Install nxfetch");
    nx_html_end(html);
    nx_html_newline(html);
    size_t len = url ? strlen(url) : 0;
    bool git = len > 4 && strcmp(url + len - 4, ".git") == 0;
    nx_html_begin(html, "p", NULL);
    nx_html_text(
        html,
        "nxfetch runs machines from where they are. It needs no root rights and leaves nothing "
        "of a machine behind. On Debian 12 or newer, build it from the source of nxpk");
    if (url) {
        nx_html_text(html, ", which is at ");
        nx_html_begin(html, "a", NULL);
        nx_html_attr(html, "href", url);
        nx_html_text(html, url);
        nx_html_end(html);
    }
    nx_html_text(html, git ? ":" : "; in its folder:");
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_begin_command(html);
    if (git) {
        nx_html_text(html, "git clone ");
        nx_html_shell_word(html, url);
        nx_html_text(html, " nxpk && cd nxpk\n");
    }
    nx_html_textf(html, "sudo apt-get install %s\n", debian_packages);
    nx_html_text(html, "make && sudo make install");
    nx_html_end_command(html);
    nx_html_element(
        html, "p", "note",
        "Then click Run, or paste a machine's command into a terminal: the window that opens "
        "is the machine. What you do in it is forgotten at its end.");
    nx_html_end(html);
    nx_html_newline(html);
}

/* Links to the machines, where there are several. */
static void contents(struct nx_html *html, const struct nx_offer *offers, size_t n)
{
    char name[NX_NAME_MAX + 1];
    nx_html_begin(html, "nav", NULL);
    nx_html_attr(html, "aria-label", "Machines");
    nx_html_newline(html);
    nx_html_begin(html, "ul", NULL);
    nx_html_newline(html);
    for (size_t i = 0; i < n; i++) {
        name_of(&offers[i], name);
        nx_html_begin(html, "li", NULL);
        nx_html_begin(html, "a", NULL);
        nx_html_attrf(html, "href", "#machine-%zu", i + 1);
        nx_html_text(html, name);
        nx_html_end(html);
        nx_html_end(html);
        nx_html_newline(html);
    }
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_end(html);
    nx_html_newline(html);
}

static void meta(struct nx_html *html, const char *key, const char *name, const char *content)
{
    nx_html_begin(html, "meta", NULL);
    nx_html_attr(html, key, name);
    nx_html_attr(html, "content", content);
    nx_html_end_void(html);
    nx_html_newline(html);
}

/* Only this very style, and only pictures that are in the page. */
static void policy(struct nx_html *html, const char *css)
{
    struct nx_digest digest;
    char base64[64], content[256];
    nx_digest_of(css, strlen(css), &digest);
    EVP_EncodeBlock((unsigned char *)base64, digest.bytes, sizeof digest.bytes);
    snprintf(content, sizeof content,
             "default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; "
             "form-action 'none'",
             base64);
    meta(html, "http-equiv", "Content-Security-Policy", content);
}

static void head(struct nx_html *html, const char *title)
{
    nx_html_begin(html, "head", NULL);
    nx_html_newline(html);
    nx_html_begin(html, "meta", NULL);
    nx_html_attr(html, "charset", "utf-8");
    nx_html_end_void(html);
    nx_html_newline(html);
    policy(html, page_css);
    meta(html, "name", "viewport", "width=device-width, initial-scale=1");
    meta(html, "name", "color-scheme", "light dark");
    meta(html, "name", "generator", "nxref " NX_VERSION);
    nx_html_element(html, "title", NULL, title);
    /* Raw, since HTML unescapes nothing in it; it is ours, and has neither "<" nor "&". */
    nx_html_begin(html, "style", NULL);
    nx_html_raw(html, page_css);
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_end(html);
    nx_html_newline(html);
}

static void body(struct nx_html *html, const struct nx_offer *offers, size_t n, const char *title,
                 const struct nx_page_options *options)
{
    bool several = n > 1;
    nx_html_begin(html, "body", several ? "several" : "single");
    nx_html_newline(html);
    nx_html_begin(html, "header", NULL);
    nx_html_newline(html);
    if (several)
        heading(html, 0, NULL, title);
    nx_html_element(html, "p", "lead",
                    several ? "Virtual machines that run from the web: each is there when only a "
                              "fraction of it has been downloaded."
                            : "A virtual machine that runs from the web: it is there when only a "
                              "fraction of it has been downloaded.");
    if (several)
        contents(html, offers, n);
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_begin(html, "main", NULL);
    nx_html_newline(html);
    for (size_t i = 0; i < n; i++)
        machine(html, &offers[i], i + 1, several);
    install(html, options->install);
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_begin(html, "footer", NULL);
    nx_html_element(html, "p", NULL,
                    "This page was written by nxref, a part of nxpk. It has no scripts.");
    nx_html_end(html);
    nx_html_newline(html);
    nx_html_end(html);
    nx_html_newline(html);
}

static void document(struct nx_html *html, const struct nx_offer *offers, size_t n,
                     const struct nx_page_options *options)
{
    char title[NX_NAME_MAX + 1];
    if (options->title || n > 1)
        snprintf(title, sizeof title, "%s", options->title ? options->title : "Virtual machines");
    else
        name_of(&offers[0], title);
    nx_plain(title);
    nx_html_begin(html, "html", NULL);
    nx_html_attr(html, "xmlns", "http://www.w3.org/1999/xhtml");
    nx_html_attr(html, "lang", "en");
    nx_html_attr(html, "xml:lang", "en");
    nx_html_newline(html);
    head(html, title);
    body(html, offers, n, title, options);
    nx_html_end(html);
    nx_html_newline(html);
}

int nx_page_write(const char *path, const struct nx_offer *offers, size_t n,
                  const struct nx_page_options *options, struct nx_error *err)
{
    const char *given = options->title;
    if (given && (strlen(given) > NX_NAME_MAX || !xmlCheckUTF8((const xmlChar *)given)))
        return nx_fail(err, NX_ERR_USAGE, "the title is not UTF-8 of at most %d bytes",
                       NX_NAME_MAX);
    NX_AUTO_HTML struct nx_html html = { 0 };
    nx_html_open(&html);
    document(&html, offers, n, options);
    return nx_html_save(&html, path, err);
}
