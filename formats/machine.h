/* SPDX-License-Identifier: MIT */
/* The machine that a reduced domain XML (domain.h) describes, as structs.
 *
 * XML that libvirt wrote says everything.  What XML written by hand leaves out is
 * filled in here: the controllers that the machine type has by itself or that the
 * devices need, drive addresses from the disks' names, PCI slots.  So two runs, and two
 * versions of QEMU, give the guest the same machine.
 */
#ifndef NX_FORMATS_MACHINE_H
#define NX_FORMATS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "formats/domain.h"

/* What may be said, or left to QEMU. */
enum nx_switch {
    NX_UNSAID,
    NX_ON,
    NX_OFF,
};

enum nx_address_type {
    NX_ADDRESS_NONE, /* the device needs none, or QEMU chooses */
    NX_ADDRESS_PCI,
    NX_ADDRESS_DRIVE,
    NX_ADDRESS_USB,
    NX_ADDRESS_VIRTIO_SERIAL,
    NX_ADDRESS_ISA,
};

struct nx_address {
    enum nx_address_type type;
    unsigned controller; /* drive, virtio-serial: index of the controller */
    unsigned bus;        /* pci, drive, usb, virtio-serial */
    unsigned slot;       /* pci */
    unsigned function;   /* pci */
    enum nx_switch multifunction;
    unsigned target; /* drive */
    unsigned unit;   /* drive */
    char port[24];   /* usb: "1" or "1.2"; virtio-serial: "1"; "": QEMU chooses */
    unsigned iobase; /* isa; 0 if not said */
    unsigned irq;    /* isa; 0 if not said */
};

enum nx_disk_bus {
    NX_BUS_IDE,
    NX_BUS_SATA,
    NX_BUS_SCSI,
    NX_BUS_VIRTIO,
    NX_BUS_USB,
    NX_BUS_FDC,
};

struct nx_disk {
    char *image; /* name in the package; NULL: an empty drive */
    char *dev;   /* "vda": libvirt's name for it */
    enum nx_disk_bus bus;
    enum nx_disk_device device;
    bool readonly;
    bool tray_open;
    bool removable; /* usb only */
    char *serial;   /* or NULL, as are the next three */
    char *wwn;
    char *vendor;
    char *product;
    char *model;         /* virtio: "virtio", "virtio-transitional" …; NULL if not said */
    unsigned boot_order; /* 0: none */
    unsigned rotation_rate;
    unsigned logical_block_size, physical_block_size; /* 0: QEMU's */
    unsigned queues;                                  /* virtio; 0 if not said */
    enum nx_switch event_idx, packed;                 /* virtio */
    struct nx_address address;
};

enum nx_controller_type {
    NX_CONTROLLER_PCI,
    NX_CONTROLLER_IDE,
    NX_CONTROLLER_SATA,
    NX_CONTROLLER_SCSI,
    NX_CONTROLLER_USB,
    NX_CONTROLLER_VIRTIO_SERIAL,
    NX_CONTROLLER_FDC,
};

struct nx_controller {
    enum nx_controller_type type;
    unsigned index;
    char *model; /* "pcie-root-port", "virtio-scsi", "ich9-ehci1" …; NULL: the type's default */
    char *model_name; /* pci: the QEMU device ("pcie-root-port", "ioh3420"), or NULL */
    unsigned ports;   /* usb (xhci), virtio-serial; 0 if not said */
    unsigned vectors; /* virtio-serial; 0 if not said */
    unsigned queues;  /* virtio-scsi; 0 if not said */
    unsigned chassis; /* pcie-root-port; with chassis_nr (pci-bridge) 0 if not said */
    unsigned chassis_nr;
    unsigned port; /* pcie-root-port */
    bool has_port;
    enum nx_switch hotplug;
    unsigned start_port; /* usb companion (uhci): its first port on the ehci */
    bool is_companion;
    bool builtin; /* part of the machine type: it needs no argument */
    struct nx_address address;
};

struct nx_nic {
    char mac[18]; /* "" if not said */
    char *model;  /* "virtio", "e1000", "rtl8139" … */
    unsigned boot_order;
    unsigned mtu;    /* 0 if not said */
    unsigned queues; /* informative: user-mode networking has one */
    enum nx_switch rom_bar;
    bool link_down;
    struct nx_address address;
};

enum nx_chardev_kind {
    NX_CHARDEV_SERIAL,
    NX_CHARDEV_PARALLEL,
    NX_CHARDEV_CONSOLE, /* virtio; a console of a serial port is that port */
    NX_CHARDEV_CHANNEL, /* virtio-serial */
    NX_CHARDEV_REDIR,   /* USB redirection with nobody at the other end */
};

struct nx_chardev {
    enum nx_chardev_kind kind;
    char *target;    /* serial: "isa-serial", "usb-serial", "pci-serial"; else NULL */
    char *name;      /* channel: "org.qemu.guest_agent.0" */
    unsigned number; /* among its kind, from 0: libvirt's "serial0" */
    unsigned port;
    struct nx_address address;
};

struct nx_input {
    char *type; /* "tablet", "mouse", "keyboard" */
    char *bus;  /* "usb", "ps2", "virtio" */
    char *model;
    struct nx_address address;
};

struct nx_sound {
    char *model;   /* "ich6", "ich9", "ac97", "es1370", "sb16", "usb" */
    char **codecs; /* "duplex", "micro", "output" */
    size_t n_codecs;
    struct nx_address address;
};

struct nx_video {
    char *model; /* "vga", "cirrus", "qxl", "virtio", "bochs", "ramfb"; "none" */
    bool primary;
    unsigned vram, ram, vgamem, vram64; /* KiB; 0 if not said */
    unsigned heads;
    unsigned x, y; /* resolution, 0 if not said */
    struct nx_address address;
};

/* Devices of which there is at most one, or which have nothing but a model. */
struct nx_simple_device {
    char *model;
    char *action;    /* watchdog: "reset", "poweroff", "shutdown", "pause", "none" … */
    unsigned period; /* rng: ms */
    unsigned bytes;  /* rng: at most so many a period; 0: no limit */
    enum nx_switch autodeflate, free_page_reporting; /* balloon */
    struct nx_address address;
};

struct nx_cpu_feature {
    char *name;
    char *policy; /* "force", "require", "optional", "disable", "forbid" */
};

enum nx_cpu_mode {
    NX_CPU_DEFAULT, /* nothing was said */
    NX_CPU_CUSTOM,
    NX_CPU_HOST_PASSTHROUGH,
    NX_CPU_HOST_MODEL,
    NX_CPU_MAXIMUM,
};

struct nx_cpu {
    enum nx_cpu_mode mode;
    char *model;           /* custom only */
    char *model_vendor_id; /* "AuthenticAMD", or NULL */
    enum nx_switch migratable;
    struct nx_cpu_feature *features;
    size_t n_features;
    unsigned sockets, dies, cores, threads; /* 0: not said */
    char *cache_mode;                       /* "emulate", "passthrough", "disable" or NULL */
};

struct nx_timer {
    char *name; /* "rtc", "pit", "hpet", "tsc", "kvmclock", "hypervclock" */
    enum nx_switch present;
    char *tickpolicy; /* or NULL */
    char *track;
    uint64_t frequency; /* tsc: Hz; 0 if not said */
};

/* One Hyper-V enlightenment, by libvirt's name ("relaxed", "spinlocks"). */
struct nx_hyperv_feature {
    char *name;
    enum nx_switch state;
    unsigned retries; /* spinlocks */
    char *value;      /* vendor_id */
    bool direct;      /* stimer */
};

struct nx_machine {
    char *name;
    char *title;       /* or NULL */
    char *description; /* or NULL */
    char *uuid;        /* or NULL */
    char *genid; /* vmgenid: UUID, "auto" if it is to be made up, or NULL for no such device */

    bool kvm;      /* the author ran it under KVM */
    char *arch;    /* "x86_64" or "i686" */
    char *machine; /* "pc", "q35", "pc-i440fx-7.2" … */
    bool q35;

    bool uefi;
    enum nx_switch secure_boot;
    char *nvram; /* image with the author's UEFI variables, or NULL.  A machine that never ran
                  * has none yet: if the package lacks the image, a fresh template will do. */

    uint64_t memory;   /* bytes */
    unsigned cpus;     /* at the start */
    unsigned max_cpus; /* at least cpus */
    struct nx_cpu cpu;

    char *clock_offset;       /* "utc", "localtime", "variable", "absolute"; NULL: utc */
    int64_t clock_adjustment; /* variable: seconds from its basis */
    bool clock_basis_localtime;
    uint64_t clock_start; /* absolute: seconds since 1970 */
    struct nx_timer *timers;
    size_t n_timers;

    bool acpi, apic, pae;
    enum nx_switch pmu, vmport, smm, kvm_hidden, pvspinlock, apic_eoi, kvm_pv_ipi;
    enum nx_switch hyperv_passthrough;
    struct nx_hyperv_feature *hyperv;
    size_t n_hyperv;

    enum nx_switch suspend_to_mem, suspend_to_disk;
    char *on_poweroff, *on_reboot; /* or NULL */

    char
        boot[8]; /* boot devices as letters of -boot order: c disk, d CD-ROM, a floppy, n network */
    enum nx_switch boot_menu;
    unsigned boot_menu_timeout; /* ms, 0 if not said */
    enum nx_switch bios_useserial;
    int reboot_timeout; /* ms; -2 if not said */

    struct nx_disk *disks;
    size_t n_disks;
    struct nx_controller *controllers;
    size_t n_controllers;
    struct nx_nic *nics;
    size_t n_nics;
    struct nx_chardev *chardevs;
    size_t n_chardevs;
    struct nx_input *inputs;
    size_t n_inputs;
    struct nx_sound *sounds;
    size_t n_sounds;
    struct nx_video *videos;
    size_t n_videos;
    struct nx_simple_device *rngs;
    size_t n_rngs;
    struct nx_simple_device *watchdogs;
    size_t n_watchdogs;
    struct nx_simple_device *balloons; /* at most one; model "none" for none */
    size_t n_balloons;
    struct nx_simple_device *panics;
    size_t n_panics;
    struct nx_simple_device *hubs; /* USB hubs */
    size_t n_hubs;
};

/* The machine that reduced domain XML describes.  It is validated first, so every
 * value is of its type.  *ret_machine is to be freed with nx_machine_free().
 */
int nx_machine_parse(const void *xml, size_t len, const char *name, struct nx_machine **ret_machine,
                     struct nx_error *err);

void nx_machine_free(struct nx_machine *machine);

/* Is it one of QEMU's own machine types with its version ("pc-q35-7.2")?  Only those are the same everywhere. */
bool nx_machine_is_versioned(const char *type);

/* Number of disks that have an image. */
size_t nx_machine_images(const struct nx_machine *machine);

/* Has it a graphics card? */
bool nx_machine_has_screen(const struct nx_machine *machine);

NX_DEFINE_AUTO(struct nx_machine *, machine, nx_machine_free)
#define NX_AUTO_MACHINE NX_AUTO(machine) /* nx_machine_free() at the end of scope */

#endif
