/* SPDX-License-Identifier: MIT */
#include "fetch/cmdline.h"

#include <jansson.h>
#include <stdio.h>

#include "tests/support/main.h"

#define HEAD(attrs, rest)                                                                      \
    "<domain type='kvm'><name>m,x</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><os" attrs \
    "><type machine='q35'>hvm</type>" rest "</os>"
#define DISK                                                                                  \
    "<disk type='file' device='disk'><source image='disk0'/><target dev='vda' bus='virtio'/>" \
    "</disk>"
#define CDROM                                                                                \
    "<disk type='file' device='cdrom'><source image='disk1'/><target dev='sda' bus='sata'/>" \
    "</disk>"
#define NIC     "<interface type='user'><model type='virtio'/></interface>"
#define SERIAL  "<serial type='null'/>"
#define BODY(x) "<devices>" DISK x "</devices></domain>"
#define WITH(x) HEAD("", "") BODY(x)

static const struct nx_cmdline_image images[] = {
    { "disk0", "/run/a,b/disk0", "/tmp/o\"0.qcow2" },
    { "disk1", "/run/disk1", NULL },
};

static struct nx_cmdline_options options(void)
{
    struct nx_cmdline_options o = NX_CMDLINE_DEFAULTS;
    o.images = images;
    o.n_images = 2;
    return o;
}

static int build(const char *xml, const struct nx_cmdline_options *o, struct nx_args *args,
                 struct nx_error *err)
{
    NX_AUTO_MACHINE struct nx_machine *machine = NULL;
    nx_assert_ok(nx_machine_parse(xml, strlen(xml), "m.xml", &machine, err), *err);
    return nx_cmdline_build(machine, o, args, err);
}

/* The value after the nth option of that name, or NULL. */
static const char *value(const struct nx_args *args, const char *option, size_t nth)
{
    for (size_t i = 0; i + 1 < args->argc; i++)
        if (strcmp(args->argv[i], option) == 0 && nth-- == 0)
            return args->argv[i + 1];
    return NULL;
}

/* The JSON value of an option whose key has this text; to be released. */
static json_t *json_with(const struct nx_args *args, const char *option, const char *key,
                         const char *text)
{
    for (size_t i = 0; value(args, option, i); i++) {
        json_t *json = json_loads(value(args, option, i), 0, NULL);
        const char *found = json_string_value(json_object_get(json, key));
        if (found && strcmp(found, text) == 0)
            return json;
        json_decref(json);
    }
    ck_abort_msg("no %s with %s \"%s\"", option, key, text);
}

static void assert_text(json_t *json, const char *key, const char *wanted)
{
    const char *got = json_string_value(json_object_get(json, key));
    ck_assert_msg(got && strcmp(got, wanted) == 0, "%s is %s, not %s", key, got ? got : "absent",
                  wanted);
}

/* mac NULL: one that was made up. */
static void assert_mac_and_genid(const struct nx_args *args, const char *mac, const char *genid)
{
    json_t *nic = json_with(args, "-device", "id", "net0");
    json_t *id = json_with(args, "-device", "id", "vmgenid0");
    const char *found = json_string_value(json_object_get(nic, "mac"));
    assert_text(id, "guid", genid);
    ck_assert_ptr_nonnull(found);
    if (mac)
        ck_assert_str_eq(found, mac);
    else
        ck_assert_msg(strncmp(found, "52:54:00:", 9) == 0 && strlen(found) == 17 &&
                          strcmp(found, "52:54:00:01:02:03") != 0,
                      "%s", found);
    json_decref(nic);
    json_decref(id);
}

START_TEST(disks_are_never_probed)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_options o = options();
    nx_assert_ok(build(WITH(CDROM), &o, &args, &err), err);
    json_t *overlay = json_with(&args, "-blockdev", "node-name", "libvirt-2-format");
    assert_text(overlay, "driver", "qcow2");
    assert_text(overlay, "file", "libvirt-2-storage");
    assert_text(overlay, "backing", "nxpk-2-format");
    json_t *storage = json_with(&args, "-blockdev", "node-name", "libvirt-2-storage");
    assert_text(storage, "filename", "/tmp/o\"0.qcow2");
    json_t *base = json_with(&args, "-blockdev", "node-name", "nxpk-2-format");
    assert_text(base, "driver", "raw");
    ck_assert(json_is_true(json_object_get(base, "read-only")));
    json_t *file = json_with(&args, "-blockdev", "node-name", "nxpk-2-storage");
    assert_text(file, "filename", "/run/a,b/disk0");
    ck_assert(json_is_true(json_object_get(file, "read-only")));
    json_t *disk = json_with(&args, "-device", "drive", "libvirt-2-format");
    assert_text(disk, "driver", "virtio-blk-pci");
    assert_text(disk, "id", "virtio-disk0");
    json_t *cdrom = json_with(&args, "-blockdev", "node-name", "libvirt-1-format");
    assert_text(cdrom, "driver", "raw");
    ck_assert(json_is_true(json_object_get(cdrom, "read-only")));
    json_t *all[] = { overlay, storage, base, file, disk, cdrom };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    ck_assert_ptr_null(value(&args, "-drive", 0));
}
END_TEST

START_TEST(commas_are_doubled)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_options o = options();
    o.qmp_path = "/run/x,y/qmp";
    o.serial = NX_SERIAL_UNIX;
    o.serial_path = "/s,t";
    nx_assert_ok(build(WITH(SERIAL), &o, &args, &err), err);
    ck_assert_str_eq(value(&args, "-name", 0), "guest=m,,x,debug-threads=on");
    NX_AUTO_ARGS struct nx_args titled = { 0 };
    o.title = "One, two";
    nx_assert_ok(build(WITH(SERIAL), &o, &titled, &err), err);
    ck_assert_str_eq(value(&titled, "-name", 0), "guest=One,, two,debug-threads=on");
    ck_assert_str_eq(value(&args, "-chardev", 0),
                     "socket,id=charmonitor,path=/run/x,,y/qmp,server=on,wait=off");
    ck_assert_str_eq(value(&args, "-chardev", 1),
                     "socket,id=charserial0,path=/s,,t,server=on,wait=off");
}
END_TEST

START_TEST(only_the_first_serial_port_leads_somewhere)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_options o = options();
    o.serial = NX_SERIAL_STDIO;
    nx_assert_ok(build(WITH(SERIAL "<channel type='null'><target type='virtio' name='c'/></channel>"
                                   "<console type='null'><target type='virtio'/></console>"),
                       &o, &args, &err),
                 err);
    ck_assert_str_eq(value(&args, "-chardev", 0), "stdio,id=charserial0,signal=off");
    ck_assert_str_eq(value(&args, "-chardev", 1), "null,id=charchannel0");
    ck_assert_str_eq(value(&args, "-chardev", 2), "null,id=charconsole0");
}
END_TEST

/* Of what its clones would share, what QEMU can make up. */
START_TEST(clones)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args own = { 0 }, made_up = { 0 }, resumed = { 0 };
    struct nx_cmdline_options o = options();
    const char *xml = "<domain type='kvm'><name>m</name><genid>3e10286e-c5eb-47b3-a2e1-0b18d09cf129"
                      "</genid><memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type machine='q35'>"
                      "hvm</type></os>" BODY("<interface type='user'><mac "
                                             "address='52:54:00:01:02:03'/></interface>");
    nx_assert_ok(build(xml, &o, &own, &err), err);
    assert_mac_and_genid(&own, "52:54:00:01:02:03", "3e10286e-c5eb-47b3-a2e1-0b18d09cf129");
    o.new_genid = o.new_macs = true;
    nx_assert_ok(build(xml, &o, &made_up, &err), err);
    assert_mac_and_genid(&made_up, NULL, "auto");
    o.incoming = "defer";
    nx_assert_ok(build(xml, &o, &resumed, &err), err);
    assert_mac_and_genid(&resumed, "52:54:00:01:02:03", "auto");
}
END_TEST

START_TEST(network)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args open = { 0 }, cut = { 0 };
    struct nx_cmdline_forward forwards[] = { { false, NULL, 2222, 22 },
                                             { true, "0.0.0.0", 53, 5353 } };
    struct nx_cmdline_options o = options();
    o.forwards = forwards;
    o.n_forwards = 2;
    nx_assert_ok(build(WITH(NIC NIC), &o, &open, &err), err);
    ck_assert_str_eq(value(&open, "-netdev", 0),
                     "{\"type\":\"user\",\"hostfwd\":[{\"str\":\"tcp:127.0.0.1:2222-:22\"},"
                     "{\"str\":\"udp:0.0.0.0:53-:5353\"}],\"id\":\"hostnet0\"}");
    ck_assert_str_eq(value(&open, "-netdev", 1), "{\"type\":\"user\",\"id\":\"hostnet1\"}");
    o = options();
    o.no_network = true;
    nx_assert_ok(build(WITH(NIC), &o, &cut, &err), err);
    ck_assert_str_eq(value(&cut, "-netdev", 0),
                     "{\"type\":\"hubport\",\"hubid\":0,\"id\":\"hostnet0\"}");
}
END_TEST

static void collect(void *opaque, const char *text)
{
    strncat(opaque, text, 1000);
}

#define HYPERV                                                                  \
    HEAD("", "")                                                                \
    "<features><acpi/><apic/><hyperv><relaxed state='on'/></hyperv></features>" \
    "<cpu mode='host-passthrough' migratable='on'><feature policy='disable' "   \
    "name='svm'/></cpu>" BODY("")

START_TEST(the_accelerator_decides_about_the_cpu)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args tcg = { 0 }, kvm = { 0 };
    char notes[4096] = "";
    struct nx_cmdline_options o = options();
    o.note = collect;
    o.note_opaque = notes;
    nx_assert_ok(build(HYPERV, &o, &tcg, &err), err);
    ck_assert_str_eq(value(&tcg, "-cpu", 0), "max,migratable=on,svm=off");
    ck_assert(strstr(notes, "most capable") && strstr(notes, "Hyper-V"));
    notes[0] = 0;
    o.accel = "kvm";
    nx_assert_ok(build(HYPERV, &o, &kvm, &err), err);
    ck_assert_str_eq(value(&kvm, "-cpu", 0), "host,migratable=on,svm=off,hv-relaxed=on");
    ck_assert_str_eq(value(&kvm, "-accel", 0), "kvm");
    ck_assert_str_eq(notes, "");
}
END_TEST

START_TEST(overrides)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args plain = { 0 }, larger = { 0 };
    struct nx_cmdline_options o = options();
    nx_assert_ok(build(WITH(""), &o, &plain, &err), err);
    ck_assert_str_eq(value(&plain, "-m", 0), "64");
    ck_assert_str_eq(value(&plain, "-smp", 0), "2,sockets=2,cores=1,threads=1");
    ck_assert_str_eq(value(&plain, "-display", 0), "none");
    ck_assert(strstr(value(&plain, "-sandbox", 0), "spawn=deny"));
    o.memory = (UINT64_C(100) << 20) + 5;
    o.cpus = 3;
    o.display = "spice-app";
    o.vnc = ":1";
    nx_assert_ok(build(WITH(""), &o, &larger, &err), err);
    ck_assert_str_eq(value(&larger, "-m", 0), "100");
    ck_assert(strstr(value(&larger, "-object", 0), "\"size\":104857600"));
    ck_assert_str_eq(value(&larger, "-smp", 0), "3,sockets=3,cores=1,threads=1");
    ck_assert_str_eq(value(&larger, "-vnc", 0), ":1");
    ck_assert(strstr(value(&larger, "-sandbox", 0), "spawn=allow"));
}
END_TEST

START_TEST(memory_from_a_file)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_options o = options();
    o.memory_path = "/run/memory";
    o.incoming = "defer";
    nx_assert_ok(build(WITH(""), &o, &args, &err), err);
    json_t *ram = json_with(&args, "-object", "id", "pc.ram");
    assert_text(ram, "qom-type", "memory-backend-file");
    assert_text(ram, "mem-path", "/run/memory");
    ck_assert(json_is_false(json_object_get(ram, "share")));
    ck_assert(json_is_false(json_object_get(ram, "x-use-canonical-path-for-ramblock-id")));
    json_decref(ram);
    ck_assert_str_eq(value(&args, "-incoming", 0), "defer");
}
END_TEST

START_TEST(uefi)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_options o = options();
    o.firmware_code = "/code";
    o.firmware_vars = "/vars";
    nx_assert_ok(build(HEAD(" firmware='efi'", "<loader secure='yes'/>") BODY(""), &o, &args, &err),
                 err);
    ck_assert(strstr(value(&args, "-machine", 0), ",smm=on"));
    ck_assert(strstr(value(&args, "-machine", 0), ",pflash1=libvirt-pflash1-format"));
    json_t *code = json_with(&args, "-blockdev", "node-name", "libvirt-pflash0-format");
    json_t *vars = json_with(&args, "-blockdev", "node-name", "libvirt-pflash1-format");
    ck_assert(json_is_true(json_object_get(code, "read-only")));
    ck_assert(json_is_false(json_object_get(vars, "read-only")));
    json_decref(code);
    json_decref(vars);
}
END_TEST

START_TEST(boot_order)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args classes = { 0 }, orders = { 0 };
    struct nx_cmdline_options o = options();
    nx_assert_ok(build(HEAD("", "<boot dev='cdrom'/><boot dev='network'/>") BODY(CDROM NIC), &o,
                       &classes, &err),
                 err);
    json_t *disk = json_with(&classes, "-device", "id", "virtio-disk0");
    json_t *cdrom = json_with(&classes, "-device", "id", "sata0-0-0");
    json_t *nic = json_with(&classes, "-device", "id", "net0");
    ck_assert_ptr_null(json_object_get(disk, "bootindex"));
    ck_assert_int_eq(json_integer_value(json_object_get(cdrom, "bootindex")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(nic, "bootindex")), 2);
    json_decref(disk);
    json_decref(cdrom);
    json_decref(nic);
    nx_assert_ok(build(WITH("<interface type='user'><model type='e1000'/><boot order='7'/>"
                            "</interface>"),
                       &o, &orders, &err),
                 err);
    nic = json_with(&orders, "-device", "id", "net0");
    disk = json_with(&orders, "-device", "id", "virtio-disk0");
    ck_assert_int_eq(json_integer_value(json_object_get(nic, "bootindex")), 7);
    ck_assert_ptr_null(json_object_get(disk, "bootindex"));
    json_decref(disk);
    json_decref(nic);
}
END_TEST

START_TEST(what_does_not_fit)
{
    struct nx_error err;
    struct nx_cmdline_forward forward = { false, NULL, 2222, 22 };
    struct nx_cmdline_options none = options(), no_overlay = options(), net = options(),
                              cut = options(), serial = options(), small = options();
    struct nx_cmdline_image bare = { "disk0", "/d", NULL };
    none.n_images = 0;
    no_overlay.images = &bare;
    no_overlay.n_images = 1;
    net.forwards = cut.forwards = &forward;
    net.n_forwards = cut.n_forwards = 1;
    cut.no_network = true;
    serial.serial = NX_SERIAL_STDIO;
    small.memory = 1000;
    const struct {
        const char *xml;
        const struct nx_cmdline_options *options;
        const char *message;
    } cases[] = {
        { WITH(""), &none, "disk vda: the package has no image called disk0" },
        { WITH(""), &no_overlay, "disk0 has no overlay" },
        { WITH(""), &net, "--forward: the machine has no network card" },
        { WITH(NIC), &cut, "--forward: there is no network" },
        { WITH(""), &serial, "--serial: the machine has no serial port" },
        { WITH(""), &small, "--memory: less than" },
        { HEAD(" firmware='efi'", "") BODY(""), &none, "install the package ovmf" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NX_AUTO_ARGS struct nx_args args = { 0 };
        nx_assert_fails(build(cases[i].xml, cases[i].options, &args, &err), err, cases[i].message);
    }
}
END_TEST

START_TEST(paths_that_json_cannot_say)
{
    struct nx_error err;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    struct nx_cmdline_image image = { "disk0", "/\xff\xfe", "/o" };
    struct nx_cmdline_options o = options();
    o.images = &image;
    o.n_images = 1;
    nx_assert_fails(build(WITH(""), &o, &args, &err), err, "not UTF-8");
}
END_TEST

NX_TEST_MAIN("cmdline", disks_are_never_probed, commas_are_doubled,
             only_the_first_serial_port_leads_somewhere, network, clones,
             the_accelerator_decides_about_the_cpu, overrides, memory_from_a_file, uefi, boot_order,
             what_does_not_fit, paths_that_json_cannot_say)
