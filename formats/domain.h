/* SPDX-License-Identifier: MIT */
/* From the domain XML that people have to the one that travels in a package.
 *
 * The *reduced* form is libvirt's domain XML with only the hardware that the guest
 * sees, at its addresses, and nothing of the host: no path, bridge, socket, device,
 * label or pinning.  It differs from libvirt's in one attribute: where a disk or the
 * UEFI variables had a host path, there is the name of an image of the package:
 *
 *     <disk type='file' device='disk'>          <os firmware='efi'>
 *       <source image='disk0'/>                    <nvram image='nvram'/>
 *       <target dev='vda' bus='virtio'/>         </os>
 *     </disk>
 *
 * formats/domain.rng is its definition, made to be read.
 */
#ifndef NX_FORMATS_DOMAIN_H
#define NX_FORMATS_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

#define NX_DOMAIN_MAX_DISKS 64
#define NX_DOMAIN_MAX_NOTES 1000

/* The image that holds the UEFI variables, if the author's machine has some. */
#define NX_DOMAIN_NVRAM_IMAGE "nvram"

/* What became of one thing in the author's XML. */
enum nx_domain_verdict {
    NX_DOMAIN_REFUSED, /* it cannot travel and cannot be left out: the domain cannot be packed */
    NX_DOMAIN_CHANGED, /* the guest keeps its hardware, with something else behind it */
    NX_DOMAIN_DROPPED, /* left out; the guest cannot tell */
};

struct nx_domain_note {
    enum nx_domain_verdict verdict;
    int line;          /* in the author's XML */
    char message[256]; /* "<hostdev> hands a device of this host to the guest" */
    char remedy[160];  /* what to do about a refusal; "" otherwise */
};

enum nx_disk_device {
    NX_DISK_DISK,
    NX_DISK_CDROM,
    NX_DISK_FLOPPY,
};

/* Where an image of the package comes from. */
struct nx_domain_disk {
    char *image;  /* "disk0", "disk1" … in document order; NULL for an empty drive */
    char *path;   /* on the author's host, as written (it may be relative); NULL if empty */
    char *format; /* libvirt's driver type ("raw", "qcow2" …); NULL if it is not said: raw */
    enum nx_disk_device device;
    bool readonly;
    bool block; /* path is a block device */
    int line;
};

struct nx_domain {
    char *name;           /* <name>; NULL if absent */
    char *title;          /* <title> or NULL */
    char *description;    /* <description> or NULL */
    struct nx_buffer xml; /* the reduced form; a NUL follows it that does not count */
    struct nx_domain_disk *disks;
    size_t n_disks;
    struct nx_domain_disk *nvram; /* UEFI variables, or NULL: a fresh template will do */
    struct nx_domain_note *notes; /* in document order */
    size_t n_notes;
};

/* Reduce what people really have: libvirt's own file with its leading comment, the
 * output of `virsh dumpxml` of a defined or running domain, or libvirt's <domstatus>
 * file of a running one.  name (the file's) goes into messages.
 *
 * 0: *ret_domain is complete, its xml fits the schema and names no host path.
 * -1 with FORMAT: it cannot be packed.  err is the first refusal, with its line and
 * remedy; *ret_domain then has no xml, but all notes that could be made, so that they
 * can be shown together.  Release it in both cases.
 */
int nx_domain_reduce(const void *data, size_t len, const char *name, struct nx_domain *ret_domain,
                     struct nx_error *err);

void nx_domain_release(struct nx_domain *domain);

/* Does this reduced domain XML fit the schema?  It is hostile: at fetching it is the
 * package's, signed by somebody whom the user may trust little.
 */
int nx_domain_validate(const void *xml, size_t len, const char *name, struct nx_error *err);

static inline void nx_auto_domain(struct nx_domain *domain)
{
    nx_domain_release(domain);
}
#define NX_AUTO_DOMAIN NX_AUTO(domain) /* nx_domain_release() at the end of scope */

#endif
