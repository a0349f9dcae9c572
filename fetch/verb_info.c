/* SPDX-License-Identifier: MIT */
/* `nxfetch info`: what a package is, from its verified head alone.  Names and descriptions
 * are a stranger's: what a terminal could take for a command is replaced.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/json.h"
#include "common/plain.h"
#include "common/progress.h"
#include "fetch/session.h"
#include "fetch/verbs.h"
#include "formats/machine.h"

static void print_text(const char *label, const char *text)
{
    char plain[NX_DESCRIPTION_MAX + 1];
    snprintf(plain, sizeof plain, "%s", text);
    for (char *newline = plain; (newline = strchr(newline, '\n'));)
        *newline = ' ';
    printf("%-13s%s\n", label, nx_plain(plain));
}

static void print_machine(const struct nx_machine *machine)
{
    char memory[32];
    printf("%-13s%s, %s, %u CPU%s, %s of memory, %zu network card%s%s\n",
           "machine:", machine->machine, machine->arch, machine->cpus,
           machine->cpus == 1 ? "" : "s", nx_human_bytes(machine->memory, memory), machine->n_nics,
           machine->n_nics == 1 ? "" : "s", machine->uefi ? ", UEFI" : "");
}

static void print_start(const struct nx_manifest *manifest)
{
    char bytes[32];
    uint64_t boot = manifest->boot_index + manifest->boot_chunks + manifest->device_state.size;
    printf("%-13s%s; ", "start:", manifest->suspended ? "resumes" : "boots");
    if (manifest->boot_chunks)
        printf("a boot set of %s\n", nx_human_bytes(boot, bytes));
    else
        printf("no boot set\n");
}

static void print_images(const struct nx_manifest *manifest)
{
    for (unsigned i = 0; i < manifest->n_images; i++) {
        const struct nx_image *image = &manifest->images[i];
        char size[32], chunk[32];
        printf("%-13s%s, %s, %" PRIu64 " chunks of %s\n", i == 0 ? "images:" : "", image->name,
               nx_human_bytes(image->size, size), image->chunks,
               nx_human_bytes(image->chunk_size, chunk));
    }
}

static void print_volumes(const struct nx_volumes *volumes)
{
    char head[32], size[32];
    if (volumes->count)
        printf("%-13s%u of %s, behind a head of %s\n", "volumes:", volumes->count,
               nx_human_bytes(volumes->size, size), nx_human_bytes(volumes->head, head));
}

static void print_info(const struct nx_head *head, const struct nx_machine *machine)
{
    const struct nx_manifest *manifest = head->manifest;
    char hex[NX_DIGEST_HEX], size[32];
    print_text("name:", manifest->name);
    if (manifest->description[0])
        print_text("description:", manifest->description);
    print_text("created:", manifest->created);
    if (manifest->expires[0])
        print_text("expires:", manifest->expires);
    print_text("by:", manifest->generator);
    printf("%-13s%" PRIu64 "\n", "serial:", manifest->serial);
    print_text("signer:", head->signer ? nx_key_fingerprint(head->signer, hex) : "none");
    print_text("digest:", nx_digest_hex(&head->manifest_digest, hex));
    print_text("size:", nx_human_bytes(nx_manifest_end(manifest), size));
    print_volumes(&manifest->volumes);
    print_machine(machine);
    print_start(manifest);
    print_images(manifest);
}

static json_t *image_json(const struct nx_image *image)
{
    char hex[NX_DIGEST_HEX];
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "name", image->name, "role",
                     nx_image_role_name(image->role), "size", (json_int_t)image->size, "chunk_size",
                     (json_int_t)image->chunk_size, "chunks", (json_int_t)image->chunks, "content",
                     nx_digest_hex(&image->content, hex));
}

static json_t *info_json(const struct nx_session *session, const struct nx_machine *machine)
{
    const struct nx_head *head = session->head;
    const struct nx_manifest *manifest = head->manifest;
    char name[512], digest[NX_DIGEST_HEX], signer[NX_DIGEST_HEX];
    json_t *images = json_array();
    for (unsigned i = 0; i < manifest->n_images; i++)
        json_array_append_new(images, image_json(&manifest->images[i]));
    json_t *hardware =
        json_pack("{s:s, s:s, s:i, s:I, s:b, s:i}", "type", machine->machine, "arch", machine->arch,
                  "cpus", (int)machine->cpus, "memory", (json_int_t)machine->memory, "uefi",
                  machine->uefi, "network_cards", (int)machine->n_nics);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s?, s:s, s:I, s:s, s:s?, s:I, s:i, s:b, s:I, s:o, s:o}", "location",
        nx_location_name(session->location, name), "name", manifest->name, "description",
        manifest->description, "created", manifest->created, "expires",
        manifest->expires[0] ? manifest->expires : NULL, "generator", manifest->generator, "serial",
        (json_int_t)manifest->serial, "digest", nx_digest_hex(&head->manifest_digest, digest),
        "signer", head->signer ? nx_key_fingerprint(head->signer, signer) : NULL, "size",
        (json_int_t)nx_manifest_end(manifest), "volumes", (int)manifest->volumes.count, "suspended",
        manifest->suspended, "boot_set", (json_int_t)(manifest->boot_index + manifest->boot_chunks),
        "machine", hardware, "images", images);
}

int nx_verb_info(const struct nx_options *options, struct nx_error *err)
{
    NX_AUTO_SESSION struct nx_session session = NX_SESSION_INIT;
    NX_AUTO_MACHINE struct nx_machine *machine = NULL;
    char typed[512];
    if (nx_session_open(&session, options, NX_USE_HEAD, NULL, err) < 0 ||
        nx_trust_check_pins(session.location, session.head, err) < 0)
        return -1;
    if (nx_machine_parse(session.head->domain_xml.data, session.head->domain_xml.len, "domain.xml",
                         &machine, err) < 0)
        return nx_fail_while(err, "%s", nx_location_typed(session.location->text, typed));
    if (options->json)
        return nx_json_print(info_json(&session, machine), err);
    print_info(session.head, machine);
    return nx_flush_stdout(err);
}
