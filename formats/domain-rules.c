/* SPDX-License-Identifier: MIT */
#include "formats/domain-reduce.h"

#include <string.h>

/* clang-format off */
#define KEEP(p, keep_, skip_)           { .path = p, .action = NX_REDUCE_KEEP, .keep = keep_, .skip = skip_ }
#define KEEP_SOME(p, keep_, skip_)      { .path = p, .action = NX_REDUCE_KEEP, .keep = keep_, .skip = skip_, .omit_empty = true }
#define KEEP_AND(p, keep_, skip_, fn)   { .path = p, .action = NX_REDUCE_KEEP, .keep = keep_, .skip = skip_, .finish = fn }
#define SKIP(p)                         { .path = p, .action = NX_REDUCE_SKIP }
#define DROP(p)                         { .path = p, .action = NX_REDUCE_DROP }
#define CHANGE(p, text_)                { .path = p, .action = NX_REDUCE_CHANGE, .text = text_ }
#define REFUSE(p, text_, remedy_)       { .path = p, .action = NX_REDUCE_REFUSE, .text = text_, .remedy = remedy_ }

#define ADDRESS   "type domain bus slot function multifunction controller target unit port iobase irq"
#define REMOVE_IT "remove it from the machine, then pack again"
#define HOST_ONLY "hands a part of this host to the guest"
#define NO_BLOB   "is a file of this host that a package has no place for"

static const struct nx_reduce_rule rules[] = {
    /* Who it is, how large it is. */
    KEEP("name", "#text", ""),
    KEEP("uuid", "#text", ""),
    KEEP("genid", "#text", ""),
    KEEP("title", "#text", ""),
    KEEP("description", "#text", ""),
    KEEP("memory", "#text unit", "dumpCore"),
    KEEP("currentMemory", "#text unit", ""),
    KEEP("vcpu", "#text current", "placement cpuset"),
    SKIP("metadata"),
    SKIP("seclabel"),
    SKIP("resource"),
    SKIP("vcpus"), /* which CPUs are plugged in: the first ones, as many as vcpu's "current" */
    REFUSE("maxMemory", "lets memory be plugged in later, which a packaged machine cannot", "remove <maxMemory> and set <memory> to what the guest needs"),
    REFUSE("launchSecurity", "needs this host's encrypted memory", REMOVE_IT),
    REFUSE("sysinfo", "puts SMBIOS strings of the author's choice into the firmware, which packages do not carry yet", "remove <sysinfo> and <smbios mode='sysinfo'>"),
    REFUSE("bootloader", "runs a boot loader of this host", "let the guest boot from its disk"),
    REFUSE("qemu:commandline", "gives QEMU arguments that a package cannot carry", REMOVE_IT),
    REFUSE("qemu:override", "changes QEMU's devices in ways that a package cannot carry", REMOVE_IT),

    /* Firmware and booting. */
    KEEP_AND("os", "firmware", "", nx_reduce_finish_os),
    KEEP("os/type", "#text arch machine", ""),
    SKIP("os/firmware"), /* these three: nx_reduce_finish_os() */
    SKIP("os/loader"),
    SKIP("os/nvram"),
    KEEP("os/boot", "dev", ""),
    KEEP("os/bootmenu", "enable timeout", ""),
    KEEP_SOME("os/bios", "useserial rebootTimeout", ""),
    SKIP("os/smbios"), /* "emulate" is the default; "host" and "sysinfo": nx_reduce_finish_os() */
    REFUSE("os/kernel", "boots a kernel that is outside of the disks", "install the kernel and a boot loader in the guest's disk"),
    REFUSE("os/initrd", "boots with an initrd that is outside of the disks", "install it in the guest's disk"),
    REFUSE("os/cmdline", "belongs to a kernel that is outside of the disks", "let the guest's boot loader say it"),
    REFUSE("os/dtb", NO_BLOB, REMOVE_IT),
    REFUSE("os/acpi", NO_BLOB, REMOVE_IT),
    REFUSE("os/init", "starts a container, not a machine", "only machines of type 'hvm' can be packed"),

    /* Features. */
    KEEP("features", "", ""),
    KEEP("features/acpi", "", ""),
    KEEP("features/apic", "eoi", ""),
    KEEP("features/pae", "", ""),
    SKIP("features/hap"), /* QEMU has no such choice */
    KEEP("features/pmu", "state", ""),
    KEEP("features/vmport", "state", ""),
    KEEP("features/smm", "state", ""),
    KEEP("features/pvspinlock", "state", ""),
    SKIP("features/ioapic"), /* who emulates it */
    SKIP("features/privnet"),
    SKIP("features/msrs"),
    KEEP_SOME("features/kvm", "", ""),
    KEEP("features/kvm/hidden", "state", ""),
    KEEP("features/kvm/pv-ipi", "state", ""),
    DROP("features/kvm/hint-dedicated"),
    DROP("features/kvm/poll-control"),
    SKIP("features/kvm/dirty-ring"),
    KEEP("features/hyperv", "mode", ""),
    KEEP("features/hyperv/relaxed", "state", ""),
    KEEP("features/hyperv/vapic", "state", ""),
    KEEP("features/hyperv/spinlocks", "state retries", ""),
    KEEP("features/hyperv/vpindex", "state", ""),
    KEEP("features/hyperv/runtime", "state", ""),
    KEEP("features/hyperv/synic", "state", ""),
    KEEP("features/hyperv/stimer", "state", ""),
    KEEP("features/hyperv/stimer/direct", "state", ""),
    KEEP("features/hyperv/reset", "state", ""),
    KEEP("features/hyperv/vendor_id", "state value", ""),
    KEEP("features/hyperv/frequencies", "state", ""),
    KEEP("features/hyperv/reenlightenment", "state", ""),
    KEEP("features/hyperv/tlbflush", "state", ""),
    KEEP("features/hyperv/ipi", "state", ""),
    KEEP("features/hyperv/evmcs", "state", ""),
    KEEP("features/hyperv/avic", "state", ""),

    /* The processor. */
    KEEP("cpu", "mode match migratable", "check"),
    KEEP("cpu/model", "#text fallback vendor_id", ""),
    SKIP("cpu/vendor"), /* a condition on the host, not a property of the guest's CPU */
    KEEP("cpu/topology", "sockets dies clusters cores threads", ""),
    KEEP("cpu/cache", "level mode", ""),
    KEEP("cpu/feature", "policy name", ""),
    REFUSE("cpu/numa", "gives the guest NUMA nodes, which packages do not carry yet", "remove <numa>"),

    /* Time and power. */
    KEEP_AND("clock", "offset adjustment basis start", "timezone", nx_reduce_finish_clock),
    KEEP("clock/timer", "name present tickpolicy track frequency", "mode"),
    DROP("clock/timer/catchup"),
    KEEP("on_poweroff", "#text", ""),
    KEEP("on_reboot", "#text", ""),
    SKIP("on_crash"), /* it stays as it is until nxfetch ends */
    SKIP("on_lockfailure"),
    KEEP_SOME("pm", "", ""),
    KEEP("pm/suspend-to-mem", "enabled", ""),
    KEEP("pm/suspend-to-disk", "enabled", ""),

    /* Devices. */
    KEEP("devices", "", ""),
    SKIP("devices/emulator"),

    KEEP_AND("devices/disk", "device model", "type snapshot rawio sgio", nx_reduce_finish_disk),
    KEEP_SOME("devices/disk/driver", "queues event_idx packed",
              "name type cache io error_policy rerror_policy discard detect_zeroes discard_no_unref "
              "copy_on_read ioeventfd iothread"),
    SKIP("devices/disk/driver/metadata_cache"),
    SKIP("devices/disk/driver/iothreads"),
    SKIP("devices/disk/source"), /* nx_reduce_finish_disk() */
    SKIP("devices/disk/backingStore"),
    REFUSE("devices/disk/mirror", "shows that the disk is being copied by a block job", "wait until the job has ended (virsh blockjob), then pack again"),
    REFUSE("devices/disk/encryption", "is an encrypted image, whose key a package cannot carry", "convert the disk to a plain image (qemu-img convert)"),
    REFUSE("devices/disk/auth", "needs a password to reach the disk", "copy the disk into a local image"),
    SKIP("devices/disk/iotune"),
    SKIP("devices/disk/shareable"),
    SKIP("devices/disk/transient"), /* the writes of every run are thrown away anyway */
    SKIP("devices/disk/privateData"),
    KEEP("devices/disk/target", "dev bus tray removable rotation_rate", ""),
    KEEP("devices/disk/readonly", "", ""),
    KEEP("devices/disk/serial", "#text", ""),
    KEEP("devices/disk/wwn", "#text", ""),
    KEEP("devices/disk/vendor", "#text", ""),
    KEEP("devices/disk/product", "#text", ""),
    KEEP_SOME("devices/disk/blockio", "logical_block_size physical_block_size", "discard_granularity"),
    KEEP("devices/disk/boot", "order", "loadparm"),

    KEEP("devices/controller", "type index model ports vectors", ""),
    KEEP("devices/controller/model", "name", ""),
    KEEP_SOME("devices/controller/target", "chassis chassisNr port hotplug", ""),
    KEEP("devices/controller/master", "startport", ""),
    KEEP_SOME("devices/controller/driver", "queues", "iothread ioeventfd"),

    KEEP_AND("devices/interface", "", "type managed trustGuestRxFilters", nx_reduce_finish_interface),
    KEEP("devices/interface/mac", "address", "type check"),
    KEEP("devices/interface/model", "type", ""),
    KEEP_SOME("devices/interface/driver", "queues",
              "name txmode ioeventfd event_idx rx_queue_size tx_queue_size rss rss_hash_report"),
    SKIP("devices/interface/driver/host"),
    KEEP("devices/interface/link", "state", ""),
    KEEP("devices/interface/mtu", "size", ""),
    KEEP_SOME("devices/interface/rom", "bar", "enabled"),
    KEEP("devices/interface/boot", "order", "loadparm"),
    SKIP("devices/interface/source"), /* from here on: the other end of the cable */
    SKIP("devices/interface/target"),
    SKIP("devices/interface/script"),
    SKIP("devices/interface/downscript"),
    SKIP("devices/interface/bandwidth"),
    SKIP("devices/interface/vlan"),
    SKIP("devices/interface/virtualport"),
    SKIP("devices/interface/filterref"),
    SKIP("devices/interface/backend"),
    SKIP("devices/interface/tune"),
    SKIP("devices/interface/guest"),
    SKIP("devices/interface/ip"),
    SKIP("devices/interface/route"),
    SKIP("devices/interface/coalesce"),
    SKIP("devices/interface/port"),
    CHANGE("devices/interface/portForward", "port forwards are the user's choice: nxfetch --forward"),

#define CHARDEV(name)                                                                              \
    KEEP_AND("devices/" name, "", "type tty", nx_reduce_finish_chardev),                           \
    SKIP("devices/" name "/source"), SKIP("devices/" name "/protocol"),                            \
    SKIP("devices/" name "/log")
    CHARDEV("serial"),
    KEEP("devices/serial/target", "type port", ""),
    KEEP("devices/serial/target/model", "name", ""),
    CHARDEV("parallel"),
    KEEP_SOME("devices/parallel/target", "port", "type"),
    CHARDEV("console"),
    KEEP("devices/console/target", "type port", ""),
    CHARDEV("channel"),
    KEEP("devices/channel/target", "type name", "state"),

    KEEP_AND("devices/redirdev", "bus", "type", nx_reduce_finish_redirdev),
    KEEP("devices/redirdev/boot", "order", "loadparm"),
    SKIP("devices/redirdev/source"),
    SKIP("devices/redirdev/protocol"),
    SKIP("devices/redirfilter"),

    KEEP_AND("devices/input", "type bus model", "", nx_reduce_finish_input),
    SKIP("devices/input/source"),
    SKIP("devices/graphics"), /* nxfetch opens its own window */
    SKIP("devices/audio"),    /* and speaker */
    KEEP("devices/sound", "model", "multichannel streams"),
    KEEP("devices/sound/codec", "type", ""),
    SKIP("devices/sound/audio"),
    KEEP("devices/video", "", ""),
    SKIP("devices/video/driver"),
    KEEP("devices/video/model", "type vram ram vgamem vram64 heads primary", "blob"),
    KEEP("devices/video/model/resolution", "x y", ""),
    CHANGE("devices/video/model/acceleration", "the video card has no 3D acceleration"),

    KEEP("devices/memballoon", "model autodeflate freePageReporting", ""),
    SKIP("devices/memballoon/stats"),
    KEEP_AND("devices/rng", "model", "", nx_reduce_finish_rng),
    KEEP("devices/rng/rate", "bytes period", ""),
    SKIP("devices/rng/backend"),
    KEEP("devices/watchdog", "model action", ""),
    KEEP("devices/panic", "model", ""),
    KEEP("devices/hub", "type", ""),

    REFUSE("devices/hostdev", HOST_ONLY, REMOVE_IT),
    REFUSE("devices/filesystem", "shares a directory of this host with the guest", "copy what the guest needs into its disk and remove it"),
    REFUSE("devices/shmem", "shares memory of this host with the guest", REMOVE_IT),
    REFUSE("devices/smartcard", HOST_ONLY, REMOVE_IT),
    REFUSE("devices/tpm", "keeps keys on this host, which packages do not carry yet", "remove the TPM from the machine, if its disk is not encrypted with it"),
    REFUSE("devices/memory", "is a memory module (nvdimm, dimm), which packages do not carry yet", "remove it and set <memory> to what the guest needs"),
    REFUSE("devices/iommu", "is hardware that packages do not carry yet", REMOVE_IT),
    REFUSE("devices/vsock", "is a connection to this host's kernel", REMOVE_IT),
    REFUSE("devices/crypto", "is hardware that packages do not carry yet", REMOVE_IT),
    REFUSE("devices/lease", "is a lock of this host", REMOVE_IT),
    REFUSE("devices/nvram", "is not hardware of a PC", REMOVE_IT),
};
/* clang-format on */

/* What any device may have. */
static const struct nx_reduce_rule any_device[] = {
    KEEP("address", ADDRESS, "reg cssid ssid devno"),
    SKIP("alias"),
    SKIP("seclabel"),
};

static const struct nx_reduce_rule *find_for_any_device(const char *path)
{
    const char *device = strchr(path, '/');
    const char *child = device ? strchr(device + 1, '/') : NULL;
    if (!child || strncmp(path, "devices/", strlen("devices/")) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof any_device / sizeof *any_device; i++)
        if (strcmp(any_device[i].path, child + 1) == 0)
            return &any_device[i];
    return NULL;
}

const struct nx_reduce_rule *nx_reduce_find(const char *path)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].path, path) == 0)
            return &rules[i];
    return find_for_any_device(path);
}
