/* SPDX-License-Identifier: MIT */
/* nxpack: pack a domain, or do one of the verbs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/embed.h"
#include "formats/chunk.h"
#include "formats/manifest.h"
#include "pack/build.h"
#include "pack/byname.h"
#include "pack/cli.h"
#include "pack/pipeline.h"
#include "pack/train.h"
#include "pack/verbs.h"
#include "pack/virt.h"

NX_EMBED(help_text, "pack/nxpack.help");

/* A first argument that is exactly one of these is a verb; a file of that name is ./verify. */
static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    { "keygen", nx_verb_keygen }, { "sign", nx_verb_sign },     { "info", nx_verb_info },
    { "verify", nx_verb_verify }, { "unpack", nx_verb_unpack }, { "validate", nx_verb_validate },
    { "train", nx_verb_train },   { "create", nx_verb_create }, { "list", nx_verb_list },
};

enum {
    OPT_SUSPEND = 256,
    OPT_DESCRIPTION,
    OPT_SERIAL,
    OPT_EXPIRES,
    OPT_LEVEL,
    OPT_CHUNK_SIZE,
    OPT_MEMORY,
    OPT_NO_MEMORY,
    OPT_MEMORY_CHUNK_SIZE,
    OPT_IGNORE_TIMES,
    OPT_TRAIN,
    OPT_NO_TRAIN,
    OPT_SCREENSHOT,
    OPT_VOLUME_SIZE,
    OPT_THREADS,
};

static const struct option long_options[] = {
    { "connect", required_argument, NULL, 'c' },
    { "suspend", no_argument, NULL, OPT_SUSPEND },
    { "key", required_argument, NULL, 'k' },
    { "name", required_argument, NULL, 'n' },
    { "description", required_argument, NULL, OPT_DESCRIPTION },
    { "serial", required_argument, NULL, OPT_SERIAL },
    { "expires", required_argument, NULL, OPT_EXPIRES },
    { "level", required_argument, NULL, OPT_LEVEL },
    { "chunk-size", required_argument, NULL, OPT_CHUNK_SIZE },
    { "memory", required_argument, NULL, OPT_MEMORY },
    { "no-memory", no_argument, NULL, OPT_NO_MEMORY },
    { "memory-chunk-size", required_argument, NULL, OPT_MEMORY_CHUNK_SIZE },
    { "ignore-times", no_argument, NULL, OPT_IGNORE_TIMES },
    { "train", optional_argument, NULL, OPT_TRAIN },
    { "no-train", no_argument, NULL, OPT_NO_TRAIN },
    { "screenshot", no_argument, NULL, OPT_SCREENSHOT },
    { "volume-size", required_argument, NULL, OPT_VOLUME_SIZE },
    { "threads", required_argument, NULL, OPT_THREADS },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

struct arguments {
    struct nx_build_options build;
    const char *key_path;
    const char *uri; /* of libvirt, whose domain is meant by its name */
    bool suspend;
};

static int set_chunk_size(const char *option, const char *text, uint32_t *ret_size,
                          struct nx_error *err)
{
    uint64_t size;
    if (nx_cli_size(option, text, NX_CHUNK_SIZE_MIN, NX_CHUNK_SIZE_MAX, &size, err) < 0)
        return -1;
    if (size & (size - 1))
        return nx_fail(err, NX_ERR_USAGE, "%s %s: not a power of two", option, text);
    *ret_size = (uint32_t)size;
    return 0;
}

/* A day, to its end, or a second; UTC. */
static int set_expires(const char *text, time_t *ret_time, struct nx_error *err)
{
    struct tm tm = { .tm_hour = 23, .tm_min = 59, .tm_sec = 59 };
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && *end)
        end = strptime(end, "T%H:%M:%SZ", &tm);
    time_t time = end && !*end ? timegm(&tm) : 0;
    if (time <= 0 || tm.tm_year > 9999 - 1900)
        return nx_fail(err, NX_ERR_USAGE,
                       "--expires %s: not a date like 2027-12-31 or 2027-12-31T12:00:00Z", text);
    *ret_time = time;
    return 0;
}

static int set_level(const char *text, int *ret_level, struct nx_error *err)
{
    uint64_t level;
    if (nx_cli_number("--level", text, NX_LEVEL_MIN, NX_LEVEL_MAX, &level, err) < 0)
        return -1;
    *ret_level = (int)level;
    return 0;
}

static int set_train(struct nx_build_options *build, const char *seconds, struct nx_error *err)
{
    uint64_t value = 0;
    build->train = NX_TRAIN_ALWAYS;
    if (seconds && nx_cli_number("--train", seconds, 1, NX_TRAIN_SECONDS_MAX, &value, err) < 0)
        return -1;
    build->train_seconds = (unsigned)value;
    return 0;
}

/* One of packing's own options. */
static int take_option(struct arguments *args, int c, struct nx_error *err)
{
    switch (c) {
    case 'c':
        args->uri = optarg;
        return 0;
    case OPT_SUSPEND:
        args->suspend = true;
        return 0;
    case 'k':
        args->key_path = optarg;
        return 0;
    case 'n':
        args->build.name = optarg;
        return 0;
    case OPT_DESCRIPTION:
        args->build.description = optarg;
        return 0;
    case OPT_SERIAL:
        return nx_cli_number("--serial", optarg, 1, NX_PACKAGE_MAX - 1, &args->build.serial, err);
    case OPT_EXPIRES:
        return set_expires(optarg, &args->build.expires, err);
    case OPT_LEVEL:
        return set_level(optarg, &args->build.level, err);
    case OPT_CHUNK_SIZE:
        return set_chunk_size("--chunk-size", optarg, &args->build.chunk_size, err);
    case OPT_MEMORY:
        args->build.memory_path = optarg;
        return 0;
    case OPT_NO_MEMORY:
        args->build.no_memory = true;
        return 0;
    case OPT_MEMORY_CHUNK_SIZE:
        return set_chunk_size("--memory-chunk-size", optarg, &args->build.memory_chunk_size, err);
    case OPT_IGNORE_TIMES:
        args->build.ignore_times = true;
        return 0;
    case OPT_TRAIN:
        return set_train(&args->build, optarg, err);
    case OPT_NO_TRAIN:
        args->build.train = NX_TRAIN_NEVER;
        return 0;
    case OPT_SCREENSHOT:
        args->build.screenshot = true;
        return 0;
    case OPT_VOLUME_SIZE:
        return nx_cli_size("--volume-size", optarg, NX_VOLUME_SIZE_MIN, NX_VOLUME_SIZE_MAX,
                           &args->build.volume_size, err);
    default:
        return nx_cli_threads(optarg, &args->build.threads, err);
    }
}

/* Somebody who gives a domain's name alone is told how it is meant. */
static int check_file(const char *path, struct nx_error *err)
{
    if (strchr(path, '/') || access(path, F_OK) == 0 || errno != ENOENT)
        return 0;
    return nx_fail(err, NX_ERR_SYSTEM,
                   "%s: No such file or directory; if it is a domain's name, say --connect=%s",
                   path, NX_VIRT_URI_DEFAULT);
}

static int pack(struct arguments *args, char **operands, struct nx_error *err)
{
    if (args->build.memory_path && args->build.no_memory)
        return nx_fail(err, NX_ERR_USAGE, "--memory and --no-memory exclude each other");
    if (args->build.screenshot && args->build.train == NX_TRAIN_NEVER)
        return nx_fail(
            err, NX_ERR_USAGE,
            "--screenshot and --no-train exclude each other: it is taken while training");
    if (args->build.screenshot)
        args->build.train = NX_TRAIN_ALWAYS;
    NX_AUTO_KEY struct nx_key *key = NULL;
    if (args->key_path && nx_cli_read_key(args->key_path, true, &key, err) < 0)
        return -1;
    args->build.key = key;
    if (args->uri || args->suspend)
        return nx_byname_pack(args->uri, operands[0], operands[1], args->suspend, &args->build,
                              err);
    if (check_file(operands[0], err) < 0)
        return -1;
    return nx_build(operands[0], operands[1], &args->build, err);
}

static int pack_main(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    struct arguments args = { .build = { .level = NX_LEVEL_DEFAULT,
                                         .threads = nx_default_threads(),
                                         .chunk_size = NX_DISK_CHUNK_DEFAULT,
                                         .memory_chunk_size = NX_MEMORY_CHUNK_DEFAULT } };
    int status;
    for (int c; (c = getopt_long(argc, argv, "c:k:n:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == 'c' || c == 'k' || c == 'n' || (c >= OPT_SUSPEND && c <= OPT_THREADS)) {
            if (take_option(&args, c, &err) < 0)
                return nx_cli_fail(&err);
        } else if (nx_cli_option(c, &status)) {
            return status;
        }
    }
    if (nx_cli_count(argc, 2, 2,
                     args.uri || args.suspend ? "NAME and PACKAGE" : "DOMAIN.XML and PACKAGE",
                     &err) < 0 ||
        pack(&args, argv + optind, &err) < 0 || nx_tell_package(argv[optind + 1], &err) < 0)
        return nx_cli_fail(&err);
    return 0;
}

int main(int argc, char **argv)
{
    nx_cli_start("nxpack", help_text, argc, argv);
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return pack_main(argc, argv);
}
