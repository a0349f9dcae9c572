/* SPDX-License-Identifier: MIT */
#include "pack/verbs.h"

#include <stdio.h>

#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "pack/cli.h"
#include "pack/pipeline.h"
#include "pack/verify.h"

enum { OPT_THREADS = 256 };

static const struct option long_options[] = {
    { "key", required_argument, NULL, 'k' },
    { "threads", required_argument, NULL, OPT_THREADS },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

static int check_signer(const struct nx_reading *reading, const char *key_path,
                        struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *key = NULL;
    if (nx_cli_read_key(key_path, false, &key, err) < 0)
        return -1;
    if (!reading->head->signer)
        return nx_fail(err, NX_ERR_TRUST, "%s: is not signed, let alone by the key of %s",
                       reading->name, key_path);
    char text[NX_DIGEST_HEX];
    if (!nx_key_same_public(key, reading->head->signer))
        return nx_fail(err, NX_ERR_TRUST, "%s: is signed by %s, not by the key of %s",
                       reading->name, nx_key_fingerprint(reading->head->signer, text), key_path);
    return 0;
}

static int verify(const char *path, const char *key_path, unsigned threads, struct nx_error *err)
{
    NX_AUTO_READING struct nx_reading reading = NX_READING_INIT;
    if (nx_reading_open(&reading, path, err) < 0 ||
        (key_path && check_signer(&reading, key_path, err) < 0) ||
        nx_verify(&reading, threads, err) < 0)
        return -1;
    char text[NX_DIGEST_HEX];
    const struct nx_key *signer = reading.head->signer;
    const struct nx_manifest *m = reading.head->manifest;
    uint64_t size =
        nx_manifest_is_cut(m, reading.parts.size) ? nx_manifest_end(m) : reading.parts.size;
    if (nx_json_wanted())
        return nx_json_print(
            json_pack("{s:o, s:b, s:s?, s:I}", "file", nx_json_text(path), "whole", 1, "signer",
                      signer ? nx_key_fingerprint(signer, text) : NULL, "size", (json_int_t)size),
            err);
    if (nx_log_level() < NX_LOG_NOTICE) /* -q: the exit status says it */
        return 0;
    printf("%s: whole, %s%s\n", path, signer ? "signed by " : "not signed",
           signer ? nx_key_fingerprint(signer, text) : "");
    return nx_flush_stdout(err);
}

int nx_verb_verify(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    const char *key_path = NULL;
    unsigned threads = nx_default_threads();
    int status;
    for (int c; (c = getopt_long(argc, argv, "k:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == 'k') {
            key_path = optarg;
        } else if (c == OPT_THREADS) {
            if (nx_cli_threads(optarg, &threads, &err) < 0)
                return nx_cli_fail(&err);
        } else if (nx_cli_option(c, &status)) {
            return status;
        }
    }
    if (nx_cli_count(argc, 1, 1, "PACKAGE", &err) < 0 ||
        verify(argv[optind], key_path, threads, &err) < 0)
        return nx_cli_fail(&err);
    return 0;
}
