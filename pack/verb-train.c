/* SPDX-License-Identifier: MIT */
#include "pack/verbs.h"

#include <stdio.h>
#include <sys/stat.h>

#include "common/interrupt.h"
#include "pack/cli.h"
#include "pack/cut.h"
#include "pack/reader.h"
#include "pack/train.h"

enum {
    OPT_FROM = 256,
    OPT_SECONDS,
    OPT_SCREENSHOT,
    OPT_UNSIGNED,
};

static const struct option long_options[] = {
    { "key", required_argument, NULL, 'k' },
    { "from", required_argument, NULL, OPT_FROM },
    { "seconds", required_argument, NULL, OPT_SECONDS },
    { "screenshot", no_argument, NULL, OPT_SCREENSHOT },
    { "unsigned", no_argument, NULL, OPT_UNSIGNED },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

struct training {
    const char *key_path;
    const char *from; /* a record; NULL: run the machine */
    uint64_t seconds;
    bool screenshot;
    bool drop_signature;
    uint64_t volume_size; /* of the package as it stands there; 0: it is one file, and stays one */
};

static int check_screen(const struct nx_buffer *xml, const char *path, struct nx_error *err)
{
    NX_AUTO_MACHINE struct nx_machine *machine = NULL;
    if (nx_machine_parse(xml->data, xml->len, "domain.xml", &machine, err) < 0)
        return nx_fail_while(err, "%s", path);
    return nx_screenshot_check_machine(machine, path, err);
}

/* What it is now, and what can be refused before the machine runs. */
static int look_at(struct training *t, const char *path, struct nx_error *err)
{
    NX_AUTO_READING struct nx_reading reading = NX_READING_INIT;
    if (nx_reading_open(&reading, path, err) < 0)
        return -1;
    if (reading.head->signer && !t->key_path && !t->drop_signature)
        return nx_fail(err, NX_ERR_USAGE,
                       "%s: is signed, and would not be after training: give the key with -k, or "
                       "--unsigned",
                       path);
    t->volume_size = reading.parts.volumes.size;
    return t->screenshot ? check_screen(&reading.head->domain_xml, path, err) : 0;
}

/* A package that others may not read stays so. */
static int keep_mode(const char *path, const struct nx_newfile *out, struct nx_error *err)
{
    struct stat st;
    return stat(path, &st) == 0 && fchmod(out->fd, st.st_mode & 07777) == 0
               ? 0
               : nx_fail_errno(err, "%s", path);
}

static int train(struct training *t, const char *path, struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *key = NULL;
    NX_AUTO_RECORD struct nx_record *record = NULL;
    NX_AUTO_NEWFILE struct nx_newfile out = NX_NEWFILE_INIT;
    NX_AUTO_SCREENSHOT struct nx_screenshot shot = NX_SCREENSHOT_INIT;
    if ((t->key_path && nx_cli_read_key(t->key_path, true, &key, err) < 0) ||
        look_at(t, path, err) < 0 || nx_newfile_open(&out, path, 0600, err) < 0)
        return -1;
    int ret = t->from ? nx_train_read(t->from, path, &record, err)
                      : nx_train_run(path, (unsigned)t->seconds, &record,
                                     t->screenshot ? &shot : NULL, err);
    if (ret < 0 || nx_train_layout(path, record, key, t->volume_size, &out, err) < 0 ||
        nx_check_interrupt(err) < 0)
        return -1;
    unsigned ignored;
    if (keep_mode(path, &out, err) < 0 || nx_cut_commit(&out, &ignored, err) < 0)
        return -1;
    return t->screenshot ? nx_screenshot_write(&shot, path, err) : 0;
}

/* 0, or -1 after a mistake. */
static int take_option(struct training *t, int c, struct nx_error *err)
{
    switch (c) {
    case 'k':
        t->key_path = optarg;
        return 0;
    case OPT_FROM:
        t->from = optarg;
        return 0;
    case OPT_SCREENSHOT:
        t->screenshot = true;
        return 0;
    case OPT_UNSIGNED:
        t->drop_signature = true;
        return 0;
    default:
        return nx_cli_number("--seconds", optarg, 1, NX_TRAIN_SECONDS_MAX, &t->seconds, err);
    }
}

int nx_verb_train(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    struct training t = { 0 };
    int status;
    for (int c; (c = getopt_long(argc, argv, "k:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == 'k' || (c >= OPT_FROM && c <= OPT_UNSIGNED)) {
            if (take_option(&t, c, &err) < 0)
                return nx_cli_fail(&err);
        } else if (nx_cli_option(c, &status)) {
            return status;
        }
    }
    if (t.from && t.seconds)
        nx_fail(&err, NX_ERR_USAGE, "--from and --seconds exclude each other");
    else if (t.from && t.screenshot)
        nx_fail(&err, NX_ERR_USAGE,
                "--from and --screenshot exclude each other: the machine does not run");
    else if (t.key_path && t.drop_signature)
        nx_fail(&err, NX_ERR_USAGE, "--key and --unsigned exclude each other");
    else if (nx_cli_count(argc, 1, 1, "PACKAGE", &err) == 0 && train(&t, argv[optind], &err) == 0 &&
             nx_tell_package(argv[optind], &err) == 0)
        return 0;
    return nx_cli_fail(&err);
}
