/* SPDX-License-Identifier: MIT */
/* A machine to begin with: an empty disk and hardware that can travel, in libvirt. */
#include "pack/verbs.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "formats/machine.h"
#include "pack/cli.h"
#include "pack/newdomain.h"

enum {
    OPT_MEMORY = 256,
    OPT_DISK,
    OPT_CPUS,
    OPT_CDROM,
    OPT_ARCH,
    OPT_MACHINE,
    OPT_UEFI,
    OPT_DIR,
};

static const struct option long_options[] = {
    { "connect", required_argument, NULL, 'c' },
    { "memory", required_argument, NULL, OPT_MEMORY },
    { "disk", required_argument, NULL, OPT_DISK },
    { "cpus", required_argument, NULL, OPT_CPUS },
    { "cdrom", required_argument, NULL, OPT_CDROM },
    { "arch", required_argument, NULL, OPT_ARCH },
    { "machine", required_argument, NULL, OPT_MACHINE },
    { "uefi", no_argument, NULL, OPT_UEFI },
    { "dir", required_argument, NULL, OPT_DIR },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

struct arguments {
    struct nx_newdomain want;
    const char *uri;
};

/* A size whose limits are better said with a unit: "2048" is bytes, and hardly meant. */
static int set_size(const char *option, const char *text, uint64_t min, uint64_t max,
                    uint64_t *ret_size, struct nx_error *err)
{
    char least[32], most[32];
    uint64_t size;
    if (nx_cli_size(option, text, min, max, &size, err) == 0 && size % (1 << 20) == 0) {
        *ret_size = size;
        return 0;
    }
    return nx_fail(err, NX_ERR_USAGE,
                   "%s %s: not a size such as 2G or 512M, of whole MiB, from %s to %s", option,
                   text, nx_human_bytes(min, least), nx_human_bytes(max, most));
}

static int set_arch(const char *text, const char **ret_arch, struct nx_error *err)
{
    if (strcmp(text, "x86_64") != 0 && strcmp(text, "i686") != 0)
        return nx_fail(err, NX_ERR_USAGE, "--arch %s: packages are for x86_64 or i686", text);
    *ret_arch = text;
    return 0;
}

static int set_machine(const char *text, const char **ret_machine, struct nx_error *err)
{
    if (strcmp(text, "pc") != 0 && strcmp(text, "q35") != 0 && !nx_machine_is_versioned(text))
        return nx_fail(err, NX_ERR_USAGE,
                       "--machine %s: not q35 or pc, or one of these with a version, such as "
                       "pc-q35-7.2 or pc-i440fx-7.2",
                       text);
    *ret_machine = text;
    return 0;
}

static int take_option(struct arguments *args, int c, struct nx_error *err)
{
    struct nx_newdomain *want = &args->want;
    uint64_t cpus;
    switch (c) {
    case 'c':
        args->uri = optarg;
        return 0;
    case OPT_MEMORY:
        return set_size("--memory", optarg, NX_NEWDOMAIN_MEMORY_MIN, NX_NEWDOMAIN_MEMORY_MAX,
                        &want->memory, err);
    case OPT_DISK:
        return set_size("--disk", optarg, NX_NEWDOMAIN_DISK_MIN, NX_NEWDOMAIN_DISK_MAX, &want->disk,
                        err);
    case OPT_CPUS:
        if (nx_cli_number("--cpus", optarg, 1, NX_NEWDOMAIN_CPUS_MAX, &cpus, err) < 0)
            return -1;
        want->cpus = (unsigned)cpus;
        return 0;
    case OPT_CDROM:
        want->cdrom = optarg;
        return 0;
    case OPT_ARCH:
        return set_arch(optarg, &want->arch, err);
    case OPT_MACHINE:
        return set_machine(optarg, &want->machine, err);
    case OPT_UEFI:
        want->uefi = true;
        return 0;
    default:
        want->folder = optarg;
        return 0;
    }
}

static int create(struct arguments *args, struct nx_error *err)
{
    NX_AUTO_FREE char *disk = NULL;
    char size[32];
    if (!args->want.memory || !args->want.disk)
        return nx_fail(err, NX_ERR_USAGE, "%s is wanted",
                       args->want.memory ? "--disk" : "--memory");
    if (nx_newdomain_create(args->uri, &args->want, &disk, err) < 0)
        return -1;
    if (nx_json_wanted())
        return nx_json_print(json_pack("{s:o, s:o, s:o}", "domain", nx_json_text(args->want.name),
                                       "disk", nx_json_text(disk), "size",
                                       nx_json_number(args->want.disk)),
                             err);
    nx_log(NX_LOG_NOTICE,
           "%s: defined, with an empty disk of %s, %s: start it by virt-manager or virsh",
           args->want.name, nx_human_bytes(args->want.disk, size), disk);
    return 0;
}

int nx_verb_create(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    struct arguments args = { .want = { .cpus = 2, .arch = "x86_64", .machine = "q35" } };
    int status;
    for (int c; (c = getopt_long(argc, argv, "c:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == 'c' || (c >= OPT_MEMORY && c <= OPT_DIR)) {
            if (take_option(&args, c, &err) < 0)
                return nx_cli_fail(&err);
        } else if (nx_cli_option(c, &status)) {
            return status;
        }
    }
    if (nx_cli_count(argc, 1, 1, "NAME", &err) < 0)
        return nx_cli_fail(&err);
    args.want.name = argv[optind];
    return create(&args, &err) < 0 ? nx_cli_fail(&err) : 0;
}
