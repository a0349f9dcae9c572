/* SPDX-License-Identifier: MIT */
#include "pack/verify.h"

#include <inttypes.h>

#include "common/progress.h"
#include "formats/devicestate.h"
#include "formats/machine.h"
#include "pack/zipcheck.h"

/* The saved memory is what the machine has; nxfetch would not resume it otherwise. */
static int check_memory(const struct nx_reading *reading, const struct nx_machine *machine,
                        struct nx_error *err)
{
    const struct nx_manifest *m = reading->head->manifest;
    for (unsigned i = 0; i < m->n_images; i++)
        if (m->images[i].role == NX_IMAGE_MEMORY && m->images[i].size != machine->memory)
            return nx_fail(err, NX_ERR_FORMAT,
                           "%s: domain.xml says %" PRIu64 " bytes of memory, but %" PRIu64
                           " were saved",
                           reading->name, machine->memory, m->images[i].size);
    return 0;
}

/* Every image that the domain needs is there. */
static int check_domain(const struct nx_reading *reading, struct nx_error *err)
{
    const struct nx_head *head = reading->head;
    NX_AUTO_MACHINE struct nx_machine *machine = NULL;
    if (nx_machine_parse(head->domain_xml.data, head->domain_xml.len, "domain.xml", &machine, err) <
        0)
        return nx_fail_while(err, "%s", reading->name);
    for (size_t i = 0; i < machine->n_disks; i++) {
        const char *image = machine->disks[i].image;
        if (image && !nx_manifest_image(head->manifest, image))
            return nx_fail(err, NX_ERR_FORMAT, "%s: domain.xml: there is no image '%s'",
                           reading->name, image);
    }
    if (machine->nvram && !nx_manifest_image(head->manifest, machine->nvram))
        return nx_fail(err, NX_ERR_FORMAT, "%s: domain.xml: there is no image '%s'", reading->name,
                       machine->nvram);
    return check_memory(reading, machine, err);
}

static int drop(const void *data, size_t len, void *opaque, struct nx_error *err)
{
    return 0;
}

/* A suspended machine's device state: its digest, and that it can be decompressed. */
static int check_state(const struct nx_reading *reading, struct nx_error *err)
{
    const struct nx_manifest *m = reading->head->manifest;
    NX_AUTO_BUFFER struct nx_buffer state = NX_BUFFER_INIT(0);
    if (!m->suspended)
        return 0;
    if (nx_reading_state(reading, &state, err) < 0)
        return -1;
    if (nx_state_read(state.data, state.len, m->device_state_raw, drop, NULL, err) < 0)
        return nx_fail_while(err, "%s", reading->name);
    return 0;
}

static int check_content(const struct nx_reading *reading, unsigned threads, struct nx_error *err)
{
    const struct nx_manifest *m = reading->head->manifest;
    uint64_t progress = 0;
    nx_progress_start("verifying", nx_reading_total(reading) + nx_manifest_end(m));
    int ret = 0;
    for (unsigned i = 0; ret == 0 && i < m->n_images; i++)
        ret = nx_reading_image(reading, &m->images[i], threads, NULL, NULL, &progress, err);
    if (ret == 0)
        ret = nx_zip_check(reading, &progress, err);
    nx_progress_end();
    return ret;
}

int nx_verify(const struct nx_reading *reading, unsigned threads, struct nx_error *err)
{
    if (check_domain(reading, err) < 0 || check_state(reading, err) < 0)
        return -1;
    return check_content(reading, threads, err);
}
