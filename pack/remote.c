/* SPDX-License-Identifier: MIT */
#include "pack/remote.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

static int fetch(const char *url, const struct nx_http_options *options, size_t len,
                 struct nx_http_request *request, struct nx_error *err)
{
    *request = (struct nx_http_request){ .offset = 0, .length = len, .may_be_short = true };
    nx_buffer_init(&request->body, len);
    return nx_http_get(url, options, request, err);
}

int nx_remote_parse(const struct nx_http_request *request, const char *name,
                    struct nx_head **ret_head, size_t *ret_need, struct nx_error *err)
{
    NX_AUTO_HEAD struct nx_head *head = NULL;
    size_t got = request->body.len;
    uint64_t total = request->total;
    if (nx_head_parse(request->body.data, got, name, &head, ret_need, err) < 0)
        return -1;
    if (!head && got < request->length)
        return nx_fail(err, NX_ERR_FORMAT, "%s: truncated: it ends within the package's head",
                       name);
    uint64_t least = head ? nx_manifest_least(head->manifest, total) : 0;
    if (total < least)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: truncated: %" PRIu64 " bytes of at least %" PRIu64 ": upload it again",
                       name, total, least);
    *ret_head = NX_STEAL(head);
    return 0;
}

int nx_remote_head(const char *url, const struct nx_http_options *options,
                   struct nx_head **ret_head, uint64_t *ret_size, struct nx_error *err)
{
    char name[512];
    nx_http_display_url(url, name);
    for (size_t want = NX_HEAD_FIRST;;) {
        struct nx_http_request request;
        NX_AUTO_HEAD struct nx_head *head = NULL;
        size_t need = 0;
        int ret = fetch(url, options, want, &request, err);
        if (ret == 0)
            ret = nx_remote_parse(&request, name, &head, &need, err);
        uint64_t total = request.total;
        nx_http_request_release(&request);
        if (ret < 0)
            return -1;
        if (head) {
            *ret_head = NX_STEAL(head);
            *ret_size = total;
            return 0;
        }
        want = need;
    }
}

int nx_local_head(const char *path, struct nx_head **ret_head, uint64_t *ret_size,
                  struct nx_error *err)
{
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return nx_fail_errno(err, "%s", path);
    *ret_size = (uint64_t)st.st_size;
    return nx_head_read(fd, path, ret_head, err);
}

int nx_head_check_signer(const struct nx_head *head, const struct nx_key *key, const char *name,
                         struct nx_error *err)
{
    char is[NX_DIGEST_HEX], should[NX_DIGEST_HEX];
    if (!head->signer)
        return nx_fail(err, NX_ERR_TRUST, "%s: is not signed: nxpack sign -k KEY signs it", name);
    if (!nx_key_same_public(head->signer, key))
        return nx_fail(err, NX_ERR_TRUST, "%s: is signed by %s, not by %s", name,
                       nx_key_fingerprint(head->signer, is), nx_key_fingerprint(key, should));
    return 0;
}

/* Its first byte is enough: the answer says how many there are. */
static int measure(const char *url, const struct nx_http_options *options, uint64_t *ret_size,
                   struct nx_error *err)
{
    struct nx_http_request request;
    int ret = fetch(url, options, 1, &request, err);
    *ret_size = request.total;
    nx_http_request_release(&request);
    return ret;
}

static int check_volume(const char *url, const struct nx_http_options *options,
                        const struct nx_volumes *volumes, unsigned number, struct nx_error *err)
{
    uint64_t least, most, size;
    nx_volumes_bounds(volumes, number, &least, &most);
    if (measure(url, options, &size, err) < 0)
        return nx_fail_while(err, "volume %u of %u", number, volumes->count);
    if (size >= least && size <= most)
        return 0;
    char name[512];
    return nx_fail(
        err, NX_ERR_FORMAT, "%s: %s: %" PRIu64 " bytes, must have %" PRIu64 "%s: upload it again",
        nx_http_display_url(url, name), size < least ? "truncated" : "a volume of another package",
        size, least, least < most ? " or some more" : "");
}

int nx_remote_check_volumes(const char *url, const struct nx_http_options *options,
                            const struct nx_volumes *volumes, struct nx_error *err)
{
    char suffix[NX_VOLUME_SUFFIX];
    for (unsigned i = 1; i <= volumes->count; i++) {
        NX_AUTO_FREE char *volume = NULL;
        if (nx_http_extend_path(url, nx_volume_suffix(i, suffix), &volume, err) < 0 ||
            check_volume(volume, options, volumes, i, err) < 0)
            return -1;
    }
    return 0;
}
