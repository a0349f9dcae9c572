/* SPDX-License-Identifier: MIT */
#include "pack/verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "pack/cli.h"
#include "pack/passphrase.h"

enum { OPT_PASSPHRASE = 256 };

static const struct option long_options[] = {
    { "passphrase", no_argument, NULL, OPT_PASSPHRASE },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

/* "x.pem" -> "x.pub.pem", "x" -> "x.pub.pem"; to be freed. */
static char *public_path(const char *path)
{
    size_t len = strlen(path);
    if (len > 4 && strcmp(path + len - 4, ".pem") == 0)
        len -= 4;
    char *result;
    return asprintf(&result, "%.*s.pub.pem", (int)len, path) < 0 ? NULL : result;
}

static int generate(const char *path, bool protect, struct nx_error *err)
{
    NX_AUTO_FREE char *public = public_path(path);
    if (!public)
        return nx_fail_errno(err, "%s", path);
    /* Writing refuses an existing file too, but then one of the two might be there already. */
    const char *existing = access(path, F_OK) == 0     ? path
                           : access(public, F_OK) == 0 ? public
                                                       : NULL;
    if (existing)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: exists, and a key is never overwritten: choose another name", existing);
    char passphrase[NX_PASSPHRASE_MAX + 1];
    if (protect && nx_ask_new_passphrase(passphrase, path, err) < 0)
        return -1;
    NX_AUTO_KEY struct nx_key *key = NULL;
    int ret = nx_key_generate(&key, err);
    if (ret == 0)
        ret = nx_key_write_private(key, path, protect ? passphrase : NULL, err);
    explicit_bzero(passphrase, sizeof passphrase);
    if (ret < 0)
        return -1;
    if (nx_key_write_public(key, public, err) < 0) {
        unlink(path);
        return -1;
    }
    char text[NX_DIGEST_HEX];
    if (nx_json_wanted())
        return nx_json_print(json_pack("{s:o, s:o, s:s}", "private", nx_json_text(path), "public",
                                       nx_json_text(public), "fingerprint",
                                       nx_key_fingerprint(key, text)),
                             err);
    nx_log(NX_LOG_NOTICE, "%s: keep it secret; give %s to those who are to trust your packages",
           path, public);
    printf("%s\n", nx_key_fingerprint(key, text));
    return nx_flush_stdout(err);
}

int nx_verb_keygen(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    bool protect = false;
    int status;
    for (int c; (c = getopt_long(argc, argv, NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == OPT_PASSPHRASE)
            protect = true;
        else if (nx_cli_option(c, &status))
            return status;
    }
    if (nx_cli_count(argc, 1, 1, "KEY.pem", &err) < 0 || generate(argv[optind], protect, &err) < 0)
        return nx_cli_fail(&err);
    return 0;
}
