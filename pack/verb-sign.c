/* SPDX-License-Identifier: MIT */
#include "pack/verbs.h"

#include <fcntl.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "formats/package.h"
#include "pack/cli.h"

enum { OPT_REMOVE = 256 };

static const struct option long_options[] = {
    { "key", required_argument, NULL, 'k' },
    { "remove", no_argument, NULL, OPT_REMOVE },
    NX_CLI_JSON,
    NX_CLI_LONG,
};

static int sign(const char *path, const char *key_path, struct nx_error *err)
{
    NX_AUTO_KEY struct nx_key *key = NULL;
    if (key_path && nx_cli_read_key(key_path, true, &key, err) < 0)
        return -1;
    NX_AUTO_PARTS struct nx_parts parts = NX_PARTS_INIT;
    if (nx_parts_open(&parts, path, O_RDWR, err) < 0 || nx_package_sign(&parts, key, err) < 0)
        return -1;
    char text[NX_DIGEST_HEX];
    if (nx_json_wanted())
        return nx_json_print(json_pack("{s:o, s:s?}", "file", nx_json_text(path), "signer",
                                       key ? nx_key_fingerprint(key, text) : NULL),
                             err);
    if (key)
        nx_log(NX_LOG_NOTICE, "%s: signed by %s", path, nx_key_fingerprint(key, text));
    else
        nx_log(NX_LOG_NOTICE, "%s: not signed any more", path);
    return 0;
}

int nx_verb_sign(int argc, char **argv)
{
    struct nx_error err = NX_ERROR_INIT;
    const char *key_path = NULL;
    bool remove = false;
    int status;
    for (int c; (c = getopt_long(argc, argv, "k:" NX_CLI_SHORT, long_options, NULL)) != -1;) {
        if (c == 'k')
            key_path = optarg;
        else if (c == OPT_REMOVE)
            remove = true;
        else if (nx_cli_option(c, &status))
            return status;
    }
    if (!key_path == !remove)
        nx_fail(&err, NX_ERR_USAGE, "sign: either -k KEY.pem or --remove is needed");
    else if (nx_cli_count(argc, 1, 1, "PACKAGE", &err) == 0 &&
             sign(argv[optind], remove ? NULL : key_path, &err) == 0)
        return 0;
    return nx_cli_fail(&err);
}
