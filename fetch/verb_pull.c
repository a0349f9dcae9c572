/* SPDX-License-Identifier: MIT */
/* `nxfetch pull`: the whole package into the cache.  Nothing of it runs, so nobody is asked
 * for trust; what a reference pins must hold all the same.
 */
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/session.h"
#include "fetch/verbs.h"

static int pull(struct nx_session *session, struct nx_error *err)
{
    if (nx_trust_check_pins(session->location, session->head, err) < 0 ||
        nx_session_go(session, NX_GO_COLD, err) < 0)
        return -1;
    while (!session->done)
        if (nx_session_poll(session, NULL, 0, -1, err) < 0)
            return err->code == NX_ERR_CANCELLED
                       ? nx_fail(err, NX_ERR_CANCELLED,
                                 "interrupted; what was fetched is kept, the same command goes on")
                       : -1;
    return 0;
}

int nx_verb_pull(const struct nx_options *options, struct nx_error *err)
{
    NX_AUTO_SESSION struct nx_session session = NX_SESSION_INIT;
    if (nx_session_open(&session, options, NX_USE_PULL, NULL, err) < 0)
        return -1;
    if (session.location->path)
        return nx_fail(err, NX_ERR_USAGE, "%s: a package that is here need not be pulled",
                       session.location->text);
    if (pull(&session, err) < 0)
        return -1;
    nx_progress_end();
    char name[512], size[32], digest[NX_DIGEST_HEX], signer[NX_DIGEST_HEX];
    const struct nx_head *head = session.head;
    if (options->json)
        return nx_json_print(
            json_pack("{s:o, s:s, s:I, s:s, s:s?, s:I}", "location",
                      nx_json_text(nx_location_name(session.location, name)), "name",
                      head->manifest->name, "serial", (json_int_t)head->manifest->serial, "digest",
                      nx_digest_hex(&head->manifest_digest, digest), "signer",
                      head->signer ? nx_key_fingerprint(head->signer, signer) : NULL, "size",
                      (json_int_t)nx_manifest_end(head->manifest)),
            err);
    nx_log(NX_LOG_NOTICE, "%s: %s, all in the cache", nx_location_name(session.location, name),
           nx_human_bytes(nx_manifest_end(head->manifest), size));
    return 0;
}
