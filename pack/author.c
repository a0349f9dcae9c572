/* SPDX-License-Identifier: MIT */
#include "pack/author.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/io.h"
#include "formats/savefile.h"
#include "formats/xml.h"

int nx_author_parse(struct nx_author *author, const void *xml, size_t len, const char *name,
                    struct nx_error *err)
{
    *author = (struct nx_author){ 0 };
    if (nx_domain_reduce(xml, len, name, &author->domain, err) < 0)
        return -1;
    /* What a schema cannot say, such as a disk on a bus that it cannot be on, is better said
     * here than to the user. */
    const struct nx_buffer *reduced = &author->domain.xml;
    if (nx_machine_parse(reduced->data, reduced->len, "its hardware", &author->machine, err) < 0)
        return nx_fail_while(err, "%s", name);
    return 0;
}

/* The domain XML in a save file of libvirt's. */
static int read_saved(int fd, const char *path, struct nx_author *author, struct nx_error *err)
{
    NX_AUTO_SAVEFILE struct nx_savefile *save = NULL;
    if (nx_savefile_open(fd, path, &save, err) < 0)
        return -1;
    const struct nx_buffer *xml = nx_savefile_xml(save);
    return nx_author_parse(author, xml->data, xml->len, path, err);
}

int nx_author_read(struct nx_author *author, const char *xml_path, struct nx_error *err)
{
    *author = (struct nx_author){ 0 };
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    NX_AUTO_FD int fd = open(xml_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && nx_savefile_detect(fd))
        return read_saved(fd, xml_path, author, err);
    if (nx_read_file(xml_path, NX_XML_MAX, &xml, err) < 0)
        return -1;
    return nx_author_parse(author, xml.data, xml.len, xml_path, err);
}

const struct nx_domain_disk *nx_author_disk(const struct nx_author *author, unsigned i)
{
    const struct nx_domain *domain = &author->domain;
    for (size_t d = 0; d < domain->n_disks; d++)
        if (domain->disks[d].image && i-- == 0)
            return &domain->disks[d];
    return i == 0 ? domain->nvram : NULL;
}

static unsigned count_images(const struct nx_author *author)
{
    unsigned n = 0;
    while (nx_author_disk(author, n))
        n++;
    return n;
}

int nx_author_open_images(struct nx_author *author, const char *xml_path, bool in_use,
                          struct nx_error *err)
{
    unsigned count = count_images(author);
    if (count > NX_IMAGES_MAX)
        return nx_fail(err, NX_ERR_FORMAT, "%s: %u images, a package has at most %d", xml_path,
                       count, NX_IMAGES_MAX);
    author->images = calloc(count + 1, sizeof *author->images);
    if (!author->images)
        return nx_fail_errno(err, "%s", xml_path);
    const struct nx_domain_disk *disk;
    for (unsigned i = 0; (disk = nx_author_disk(author, i)); i++) {
        struct nx_author_image *image = &author->images[i];
        image->name = disk->image;
        image->role = disk == author->domain.nvram ? NX_IMAGE_NVRAM : NX_IMAGE_DISK;
        if (nx_original_open(&image->original, disk, xml_path, in_use, err) < 0)
            return -1;
        author->n_images++;
    }
    return 0;
}

void nx_author_release(struct nx_author *author)
{
    for (unsigned i = 0; i < author->n_images; i++)
        nx_original_release(&author->images[i].original);
    free(author->images);
    nx_machine_free(author->machine);
    nx_domain_release(&author->domain);
    *author = (struct nx_author){ 0 };
}
