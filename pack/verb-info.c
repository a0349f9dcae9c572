/* SPDX-License-Identifier: MIT */
/* What a package says of itself in its head.  Everything in it may be a stranger's. */
#include "pack/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/http.h"
#include "common/io.h"
#include "common/json.h"
#include "common/plain.h"
#include "common/progress.h"
#include "formats/machine.h"
#include "pack/cli.h"
#include "pack/remote.h"

static const struct option long_options[] = {
    NX_CLI_JSON,
    NX_CLI_LONG,
};
#define N_OPTIONS (sizeof long_options / sizeof *long_options)

struct info {
    struct nx_head *head;
    struct nx_machine *machine;
    uint64_t first; /* bytes of the package's file, or of its head */
    uint64_t size;  /* of all of it; without what is behind its chunks, if it is cut */
};

static int read_remote(const char *location, struct nx_web_options *web, struct info *info,
                       struct nx_error *err)
{
    NX_AUTO_FREE char *url = NULL;
    if (nx_http_normalize_url(location, &url, err) < 0 || nx_web_settle(web, url, true, err) < 0)
        return -1;
    return nx_remote_head(url, &web->http, &info->head, &info->first, err);
}

static int read_info(const char *location, struct nx_web_options *web, struct info *info,
                     struct nx_error *err)
{
    int ret = nx_http_is_url(location) ? read_remote(location, web, info, err)
                                       : nx_local_head(location, &info->head, &info->first, err);
    if (ret < 0)
        return -1;
    const struct nx_manifest *m = info->head->manifest;
    info->size = nx_manifest_is_cut(m, info->first) ? nx_manifest_end(m) : info->first;
    const struct nx_buffer *xml = &info->head->domain_xml;
    if (nx_machine_parse(xml->data, xml->len, "domain.xml", &info->machine, err) < 0)
        return nx_fail_while(err, "%s", location);
    return 0;
}

/* ---- for people ---- */

static void print_line(const char *label, const char *text)
{
    char plain[NX_DESCRIPTION_MAX + 1];
    snprintf(plain, sizeof plain, "%s", text);
    printf("%-13s%s\n", label, nx_plain(plain));
}

static void print_machine(const struct nx_machine *machine)
{
    char text[256], memory[32];
    snprintf(text, sizeof text, "%s, %s, %s memory, %u CPU%s, %s", machine->arch, machine->machine,
             nx_human_bytes(machine->memory, memory), machine->cpus, machine->cpus == 1 ? "" : "s",
             machine->uefi ? "UEFI" : "BIOS");
    print_line("Machine:", text);
}

static void print_image(const struct nx_image *image)
{
    char label[48], text[256], size[32], chunk[32];
    snprintf(label, sizeof label, "%s:", image->name);
    snprintf(text, sizeof text, "%s %s, %" PRIu64 " of %" PRIu64 " chunks of %s hold data",
             nx_image_role_name(image->role), nx_human_bytes(image->size, size), image->chunks,
             nx_image_chunk_count(image), nx_human_bytes(image->chunk_size, chunk));
    print_line(label, text);
}

static void print_state(const struct nx_manifest *m)
{
    char text[256], state[32], chunks[32], index[32];
    snprintf(text, sizeof text, "suspended, with a device state of %s",
             nx_human_bytes(m->device_state.size, state));
    print_line("State:", m->suspended ? text : "switched off");
    if (!m->boot_chunks)
        print_line("Boot set:", "none (nxpack train makes one)");
    else {
        snprintf(text, sizeof text, "%s of chunks, %s of index",
                 nx_human_bytes(m->boot_chunks, chunks), nx_human_bytes(m->boot_index, index));
        print_line("Boot set:", text);
    }
}

static void print_text(const struct info *info)
{
    const struct nx_manifest *m = info->head->manifest;
    char text[256], hex[NX_DIGEST_HEX], size[32], index[32], chunks[32];
    print_line("Name:", m->name);
    if (*m->description)
        print_line("Description:", m->description);
    snprintf(text, sizeof text, "%" PRIu64 ", created %s by %s", m->serial, m->created,
             m->generator);
    print_line("Serial:", text);
    if (*m->expires)
        print_line("Expires:", m->expires);
    print_line("Signed by:",
               info->head->signer ? nx_key_fingerprint(info->head->signer, hex) : "nobody");
    print_line("Manifest:", nx_digest_hex(&info->head->manifest_digest, hex));
    print_machine(info->machine);
    print_state(m);
    for (unsigned i = 0; i < m->n_images; i++)
        print_image(&m->images[i]);
    snprintf(text, sizeof text, "%s: chunks %s, index %s", nx_human_bytes(info->size, size),
             nx_human_bytes(m->chunks.size, chunks), nx_human_bytes(m->index.size, index));
    print_line("Package:", text);
    if (nx_manifest_is_cut(m, info->first)) {
        snprintf(text, sizeof text, "%u of %s, beside a head of %s", m->volumes.count,
                 nx_human_bytes(m->volumes.size, size), nx_human_bytes(m->volumes.head, index));
        print_line("Volumes:", text);
    }
}

/* ---- for programs: nxpack(1), "JSON" ---- */

static json_t *images_json(const struct nx_manifest *m)
{
    json_t *images = json_array();
    char hex[NX_DIGEST_HEX];
    for (unsigned i = 0; i < m->n_images; i++) {
        const struct nx_image *image = &m->images[i];
        json_array_append_new(
            images, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "name", image->name, "role",
                              nx_image_role_name(image->role), "size", (json_int_t)image->size,
                              "chunk-size", (json_int_t)image->chunk_size, "chunks",
                              (json_int_t)image->chunks, "all-chunks",
                              (json_int_t)nx_image_chunk_count(image), "content",
                              nx_digest_hex(&image->content, hex)));
    }
    return images;
}

static json_t *machine_json(const struct nx_machine *machine)
{
    return json_pack("{s:s, s:s, s:I, s:i, s:s}", "arch", machine->arch, "machine",
                     machine->machine, "memory", (json_int_t)machine->memory, "cpus",
                     (int)machine->cpus, "firmware", machine->uefi ? "uefi" : "bios");
}

static json_t *info_json(const struct info *info)
{
    const struct nx_manifest *m = info->head->manifest;
    const struct nx_key *signer = info->head->signer;
    char digest[NX_DIGEST_HEX], fingerprint[NX_DIGEST_HEX];
    bool cut = nx_manifest_is_cut(m, info->first);
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:s, s:I, s:s?, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, "
        "s:o, "
        "s:o}",
        "name", m->name, "description", m->description, "created", m->created, "expires",
        *m->expires ? m->expires : NULL, "generator", m->generator, "serial", (json_int_t)m->serial,
        "signer", signer ? nx_key_fingerprint(signer, fingerprint) : NULL, "manifest",
        nx_digest_hex(&info->head->manifest_digest, digest), "suspended", (int)m->suspended,
        "device-state-size", m->suspended ? (json_int_t)m->device_state.size : (json_int_t)0,
        "boot-index-size", (json_int_t)m->boot_index, "boot-chunks-size",
        (json_int_t)m->boot_chunks, "size", (json_int_t)info->size, "index-size",
        (json_int_t)m->index.size, "chunks-size", (json_int_t)m->chunks.size, "volumes",
        cut ? (int)m->volumes.count : 0, "volume-size",
        cut ? (json_int_t)m->volumes.size : (json_int_t)0, "machine", machine_json(info->machine),
        "images", images_json(m));
}

/* web may be NULL for what is here. */
static int show(const char *location, struct nx_web_options *web, struct nx_error *err)
{
    struct info info = { 0 };
    int ret = read_info(location, web, &info, err);
    if (ret == 0 && nx_json_wanted())
        ret = nx_json_print(info_json(&info), err);
    else if (ret == 0)
        print_text(&info);
    nx_head_free(info.head);
    nx_machine_free(info.machine);
    return ret < 0 ? -1 : nx_flush_stdout(err);
}

int nx_tell_package(const char *path, struct nx_error *err)
{
    return nx_json_wanted() ? show(path, NULL, err) : 0;
}

int nx_verb_info(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_WEB struct nx_web_options web;
    int status;
    nx_web_init(&web);
    for (int c; (c = nx_cli_web_option(argc, argv, NX_WEB_SHORT NX_CLI_SHORT, long_options,
                                       N_OPTIONS, &web, &status)) != -1;) {
        if (c == 0 || nx_cli_option(c, &status))
            return status;
    }
    if (nx_cli_count(argc, 1, 1, "PACKAGE or URL", &err) < 0 || show(argv[optind], &web, &err) < 0)
        return nx_cli_fail(&err);
    return 0;
}
