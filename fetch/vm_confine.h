/* SPDX-License-Identifier: MIT */
#ifndef NX_FETCH_VM_CONFINE_H
#define NX_FETCH_VM_CONFINE_H

#include "fetch/confine.h"
#include "fetch/display.h"
#include "fetch/instance.h"
#include "fetch/values.h"
#include "fetch/vm_firmware.h"

/* What a machine's QEMU needs of the files of this host, beside what all programs do. */
struct nx_vm_files {
    const char *program; /* as it is looked up in $PATH */
    const struct nx_instance *instance;
    const char *images_dir;
    const char *vars;    /* UEFI variables of this run, or NULL */
    const char *picture; /* the file for a picture of the screen, or NULL */
    const struct nx_firmware *firmware;
    const struct nx_serial *serial;
    const struct nx_display *display;
};

/* The rules for QEMU: its run's files, the mount, its own read-only files and the libraries', the devices for emulation, and
 * what a window needs to be drawn; not the user's files.  Makes the file of --serial, and removes an old socket
 * there, as QEMU could not.  A QEMU that starts a viewer of its own is not confined: ret_confinement is empty then.
 */
int nx_vm_confine(const struct nx_vm_files *files, struct nx_confinement *ret_confinement,
                  struct nx_error *err);

#endif
