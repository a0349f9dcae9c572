/* SPDX-License-Identifier: MIT */
/* machine-argv [-k] [-l|-p|-r] [-s SERIAL_FILE] DOMAIN.XML DIR [QMP-SOCKET]: print QEMU's command line for
 * a domain as libvirt keeps it, one argument a line, the way of nxpack and nxfetch in one:
 * reduced, validated, parsed, built.  Images are expected as DIR/disk0.img, their overlays
 * as DIR/disk0.qcow2, UEFI variables as DIR/vars.fd; -l lists the images instead, one a line:
 * name, kind ("disk", "cdrom", "floppy", "uefi"), "rw" or "ro".  -k: for KVM.  -r prints the reduced domain instead, and -p
 * takes one that was reduced.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "fetch/cmdline.h"
#include "formats/domain.h"
#include "formats/xml.h"

struct paths {
    char path[NX_DOMAIN_MAX_DISKS][256];
    char overlay[NX_DOMAIN_MAX_DISKS][256];
    char vars[256];
};

enum as {
    AS_LIBVIRT,  /* libvirt's XML: reduced, then parsed */
    AS_PACKAGED, /* as nxfetch finds it in a package: parsed */
    AS_REDUCED,  /* libvirt's: print what is packed */
};

static int load_machine(const char *path, enum as as, struct nx_machine **ret_machine,
                        struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(NX_XML_MAX);
    NX_AUTO_DOMAIN struct nx_domain domain = { 0 };
    if (nx_read_file(path, NX_XML_MAX, &text, err) < 0)
        return -1;
    if (as == AS_PACKAGED)
        return nx_machine_parse(text.data, text.len, path, ret_machine, err);
    if (nx_domain_reduce(text.data, text.len, path, &domain, err) < 0)
        return -1;
    if (as == AS_REDUCED)
        fwrite(domain.xml.data, 1, domain.xml.len, stdout);
    return nx_machine_parse(domain.xml.data, domain.xml.len, "reduced", ret_machine, err);
}

static void list_images(const struct nx_machine *machine)
{
    static const char *const kinds[] = { "disk", "cdrom", "floppy" };
    for (size_t i = 0; i < machine->n_disks; i++)
        if (machine->disks[i].image)
            printf("%s %s %s\n", machine->disks[i].image, kinds[machine->disks[i].device],
                   machine->disks[i].readonly ? "ro" : "rw");
    if (machine->uefi)
        printf("vars uefi rw\n");
}

static size_t name_images(const struct nx_machine *machine, const char *dir, struct paths *paths,
                          struct nx_cmdline_image *images)
{
    size_t n = 0;
    for (size_t i = 0; i < machine->n_disks && n < NX_DOMAIN_MAX_DISKS; i++) {
        if (!machine->disks[i].image)
            continue;
        snprintf(paths->path[n], sizeof paths->path[n], "%s/%s.img", dir, machine->disks[i].image);
        snprintf(paths->overlay[n], sizeof paths->overlay[n], "%s/%s.qcow2", dir,
                 machine->disks[i].image);
        images[n].image = machine->disks[i].image;
        images[n].path = paths->path[n];
        images[n].overlay = machine->disks[i].readonly ? NULL : paths->overlay[n];
        n++;
    }
    snprintf(paths->vars, sizeof paths->vars, "%s/vars.fd", dir);
    return n;
}

static int print_argv(const struct nx_machine *machine, struct nx_cmdline_options *options,
                      const char *dir, struct nx_error *err)
{
    static struct paths paths;
    struct nx_cmdline_image images[NX_DOMAIN_MAX_DISKS];
    NX_AUTO_ARGS struct nx_args args = { 0 };
    options->images = images;
    options->n_images = name_images(machine, dir, &paths, images);
    options->firmware_code = machine->secure_boot == NX_ON
                                 ? "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
                                 : "/usr/share/OVMF/OVMF_CODE_4M.fd";
    options->firmware_vars = paths.vars;
    options->paused = true;
    if (nx_cmdline_build(machine, options, &args, err) < 0)
        return -1;
    for (size_t i = 0; i < args.argc; i++)
        puts(args.argv[i]);
    return 0;
}

int main(int argc, char **argv)
{
    struct nx_cmdline_options options = NX_CMDLINE_DEFAULTS;
    struct nx_error err = NX_ERROR_INIT;
    bool list = false;
    enum as as = AS_LIBVIRT;
    int opt;
    nx_log_set_program("machine-argv");
    while ((opt = getopt(argc, argv, "klprs:")) != -1) {
        if (opt == 'k')
            options.accel = "kvm";
        else if (opt == 'l')
            list = true;
        else if (opt == 'p')
            as = AS_PACKAGED;
        else if (opt == 'r')
            as = AS_REDUCED;
        else if (opt == 's') {
            options.serial = NX_SERIAL_FILE;
            options.serial_path = optarg;
        } else
            return 2;
    }
    if (argc - optind < (list || as == AS_REDUCED ? 1 : 2))
        return 2;
    NX_AUTO_MACHINE struct nx_machine *machine = NULL;
    if (load_machine(argv[optind], as, &machine, &err) < 0)
        return nx_log_failure(&err);
    if (as == AS_REDUCED)
        return 0;
    if (list) {
        list_images(machine);
        return 0;
    }
    options.qmp_path = argc - optind > 2 ? argv[optind + 2] : NULL;
    if (print_argv(machine, &options, argv[optind + 1], &err) < 0)
        return nx_log_failure(&err);
    return 0;
}
