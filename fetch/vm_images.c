/* SPDX-License-Identifier: MIT */
#include "fetch/vm_images.h"

#include <stdlib.h>
#include <string.h>

#include "common/process.h"

int nx_vm_images_check(const struct nx_machine *machine, const struct nx_manifest *manifest,
                       const char *name, struct nx_error *err)
{
    if (machine->n_disks > NX_DOMAIN_MAX_DISKS)
        return nx_fail(err, NX_ERR_FORMAT, "%s: more than %d disks", name, NX_DOMAIN_MAX_DISKS);
    for (size_t i = 0; i < machine->n_disks; i++) {
        const char *image = machine->disks[i].image;
        if (image && !nx_manifest_image(manifest, image))
            return nx_fail(err, NX_ERR_FORMAT, "%s: its disk %s names an image that is not in it",
                           name, machine->disks[i].dev);
    }
    if (machine->nvram && !nx_manifest_image(manifest, machine->nvram))
        return nx_fail(err, NX_ERR_FORMAT, "%s: its UEFI variables are not in it", name);
    return 0;
}

/* -u: do not open the backing file, as its size is known and QEMU is told on its command line
 * what stands behind the overlay.  qcow2 counts in sectors.
 */
static int create_overlay(const char *overlay, const char *backing, uint64_t size,
                          struct nx_error *err)
{
    NX_AUTO_ARGS struct nx_args args = { 0 };
    const char *const words[] = { "qemu-img", "create", "-q",  "-u", "-f",
                                  "qcow2",    "-F",     "raw", "-b", backing };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        nx_args_add(&args, words[i]);
    nx_args_add(&args, overlay);
    nx_args_addf(&args, "%llu", (unsigned long long)((size + 511) / 512 * 512));
    if (nx_run(&args, NULL, err) < 0)
        return nx_fail_while(err, "overlay for the machine's writes");
    return 0;
}

static int add_image(struct nx_session *session, const struct nx_disk *disk,
                     struct nx_vm_images *images, struct nx_error *err)
{
    struct nx_cmdline_image *image = &images->images[images->n_images++];
    *image = (struct nx_cmdline_image){ .image = disk->image };
    image->path = nx_session_image_path(session, disk->image);
    if (!image->path)
        return nx_fail_errno(err, "%s", disk->image);
    if (disk->readonly)
        return 0;
    char *overlay;
    if (nx_instance_overlay(&session->instance, disk->image, &overlay, err) < 0)
        return -1;
    image->overlay = overlay;
    return create_overlay(overlay, image->path,
                          nx_manifest_image(session->head->manifest, disk->image)->size, err);
}

int nx_vm_images_make(struct nx_session *session, const struct nx_machine *machine,
                      struct nx_vm_images *ret_images, struct nx_error *err)
{
    ret_images->n_images = 0;
    for (size_t i = 0; i < machine->n_disks; i++)
        if (machine->disks[i].image && add_image(session, &machine->disks[i], ret_images, err) < 0)
            return -1;
    return 0;
}

void nx_vm_images_release(struct nx_vm_images *images)
{
    for (size_t i = 0; i < images->n_images; i++) {
        free((char *)images->images[i].path);
        free((char *)images->images[i].overlay);
    }
    images->n_images = 0;
}
