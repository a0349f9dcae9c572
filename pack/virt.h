/* SPDX-License-Identifier: MIT */
/* libvirt, as far as an author needs it: domains by their names, on this computer.
 *
 * The library is loaded when it is first wanted (dlopen), so that nxpack starts as fast as before, and works on files
 * where there is no libvirt at all.
 */
#ifndef NX_PACK_VIRT_H
#define NX_PACK_VIRT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"

#define NX_VIRT_URI_DEFAULT "qemu:///session" /* where LIBVIRT_DEFAULT_URI says nothing else */

struct nx_virt;        /* a connection */
struct nx_virt_domain; /* a domain of one, which must outlive it */

enum nx_virt_state {
    NX_VIRT_OFF,
    NX_VIRT_SAVED, /* off, with a managed save */
    NX_VIRT_RUNNING,
    NX_VIRT_PAUSED,
    NX_VIRT_OTHER, /* it has crashed, is being shut down, or sleeps */
};

/* "running", for people and programs. */
const char *nx_virt_state_name(enum nx_virt_state state);

/* Is there a process of the machine's? */
bool nx_virt_is_active(enum nx_virt_state state);

/* Connect to uri (NULL: the default).  SYSTEM if libvirt is not there or does not answer; USAGE if the URI is that of
 * something else than QEMU on this computer, for the disks are to be read and written here.
 */
int nx_virt_open(const char *uri, struct nx_virt **ret_virt, struct nx_error *err);
void nx_virt_close(struct nx_virt *virt);

/* The URI that it is connected to. */
const char *nx_virt_uri(const struct nx_virt *virt);

/* Is it the system's libvirt, whose files are root's, and not the user's own? */
bool nx_virt_is_system(const struct nx_virt *virt);

/* The folder that virt-manager keeps the disks of this connection in; to be freed. */
char *nx_virt_image_folder(const struct nx_virt *virt);

/* ---- domains ---- */

/* SYSTEM if there is none of that name. */
int nx_virt_find(struct nx_virt *virt, const char *name, struct nx_virt_domain **ret_domain,
                 struct nx_error *err);

/* Is the name taken? */
int nx_virt_has(struct nx_virt *virt, const char *name, bool *ret_taken, struct nx_error *err);

/* All of them, in the order of their names: an array to be freed with nx_virt_free_all(). */
int nx_virt_all(struct nx_virt *virt, struct nx_virt_domain ***ret_domains, size_t *ret_n,
                struct nx_error *err);
void nx_virt_free_all(struct nx_virt_domain **domains, size_t n);

void nx_virt_domain_free(struct nx_virt_domain *domain);

const char *nx_virt_name(const struct nx_virt_domain *domain);
const char *nx_virt_uuid(const struct nx_virt_domain *domain);

/* Is its definition kept when it goes off? */
int nx_virt_is_persistent(const struct nx_virt_domain *domain, bool *ret_persistent,
                          struct nx_error *err);

int nx_virt_state(const struct nx_virt_domain *domain, enum nx_virt_state *ret_state,
                  struct nx_error *err);

/* Its XML: of the running machine, or (inactive) as it will be started next.  ret_xml is empty, and to be released. */
int nx_virt_xml(const struct nx_virt_domain *domain, bool inactive, struct nx_buffer *ret_xml,
                struct nx_error *err);

/* Where its managed save stands, or will stand; to be freed.  NULL without memory. */
char *nx_virt_save_path(const struct nx_virt *virt, const char *name);

/* Save it in libvirt's own place (managed save), which ends it.  It shows progress.  On failure, also when a signal
 * interrupts it (CANCELLED), the machine goes on as before.
 */
int nx_virt_save(struct nx_virt_domain *domain, struct nx_error *err);

/* Start it; it goes on where it was saved, and the managed save is gone then. */
int nx_virt_start(struct nx_virt_domain *domain, struct nx_error *err);

/* A new domain from XML, which libvirt checks against its schema.  A name that is taken is an error. */
int nx_virt_define(struct nx_virt *virt, const char *xml, struct nx_virt_domain **ret_domain,
                   struct nx_error *err);

/* Forget a domain that is off, with its UEFI variables. */
int nx_virt_undefine(struct nx_virt_domain *domain, struct nx_error *err);

NX_DEFINE_AUTO(struct nx_virt *, virt, nx_virt_close)
NX_DEFINE_AUTO(struct nx_virt_domain *, virt_domain, nx_virt_domain_free)
#define NX_AUTO_VIRT        NX_AUTO(virt)        /* nx_virt_close() at the end of scope */
#define NX_AUTO_VIRT_DOMAIN NX_AUTO(virt_domain) /* nx_virt_domain_free() at the end of scope */

#endif
