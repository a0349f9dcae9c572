/* SPDX-License-Identifier: MIT */
/* The memory of a suspended machine: libvirt's save file, found, checked, and split into
 * an image to be packed like a disk and the device state.
 */
#ifndef NX_PACK_SUSPENDED_H
#define NX_PACK_SUSPENDED_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "formats/machine.h"
#include "pack/original.h"
#include "pack/source.h"

struct nx_suspended;

/* Does the file open with a save file's magic?  So it may stand where a domain XML is asked for. */
bool nx_suspended_is_save(const char *path);

/* The managed save that belongs to a domain's XML file: where libvirt keeps it, seen from where libvirt keeps the XML,
 * whatever links lead there.  *ret_path (to be freed) is NULL if there is none.
 *
 *     DIR/NAME.xml                    →  DIR/save/NAME.save      (qemu:///session, or a copy of its folder)
 *     /etc/libvirt/qemu/NAME.xml      →  /var/lib/libvirt/qemu/save/NAME.save
 */
int nx_suspended_find(const char *xml_path, const char *domain_name, char **ret_path,
                      struct nx_error *err);

/* Open a save file and read its XML.  path must outlive it. */
int nx_suspended_open(const char *path, struct nx_suspended **ret_suspended, struct nx_error *err);
void nx_suspended_free(struct nx_suspended *suspended);

/* The domain XML in it, to be used instead of the author's: it has the live addresses. */
const struct nx_buffer *nx_suspended_xml(const struct nx_suspended *suspended);

/* Can the state of this machine (reduced from that XML) be loaded on another host?  FORMAT with what to change in
 * the domain if not.
 */
int nx_suspended_check_machine(const struct nx_suspended *suspended,
                               const struct nx_machine *machine, struct nx_error *err);

/* The same before it is suspended: xml is the running domain's, and machine is reduced from it. */
int nx_suspended_check_xml(const struct nx_buffer *xml, const char *name,
                           const struct nx_machine *machine, struct nx_error *err);

/* Nothing may have written to a disk after the save: FORMAT if a file of its chain is newer. */
int nx_suspended_check_disk(const struct nx_suspended *suspended, const struct nx_original *disk,
                            struct nx_error *err);

/* Split it: note where the memory's pages are (pages.h), and take the device state into memory.  It shows
 * progress, in bytes of the save file.  beside: the output's path.
 */
int nx_suspended_split(struct nx_suspended *suspended, const struct nx_machine *machine,
                       const char *beside, int level, struct nx_error *err);

/* After the split. */
uint64_t nx_suspended_memory_size(const struct nx_suspended *suspended);
int nx_suspended_open_memory(struct nx_suspended *suspended, struct nx_source **ret_source,
                             struct nx_error *err);
/* The memory was read, and its source is freed: give its room back.  SYSTEM if somebody has written to the save file. */
int nx_suspended_drop_memory(struct nx_suspended *suspended, struct nx_error *err);
const struct nx_buffer *nx_suspended_state(const struct nx_suspended *suspended); /* stored */
uint64_t nx_suspended_state_raw(const struct nx_suspended *suspended);

NX_DEFINE_AUTO(struct nx_suspended *, suspended, nx_suspended_free)
#define NX_AUTO_SUSPENDED NX_AUTO(suspended) /* nx_suspended_free() at the end of scope */

#endif
