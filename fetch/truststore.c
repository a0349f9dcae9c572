/* SPDX-License-Identifier: MIT */
#include "fetch/truststore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/io.h"
#include "common/userdir.h"

#define VERSION 1

NX_DEFINE_AUTO(json_t *, json, json_decref)

/* ---- the file ---- */

static json_t *section(const struct nx_truststore *store, const char *name)
{
    return json_object_get(store->root, name);
}

static json_t *empty(void)
{
    return json_pack("{s:i, s:{}, s:{}, s:{}}", "version", VERSION, "signers", "urls", "packages");
}

static bool is_fingerprint(const char *text)
{
    struct nx_digest digest;
    return nx_digest_parse(text, &digest, NULL) == 0;
}

static bool signer_is_sound(const json_t *signer)
{
    return json_is_string(json_object_get(signer, "name")) &&
           json_is_string(json_object_get(signer, "since")) &&
           json_is_boolean(json_object_get(signer, "network"));
}

static bool url_is_sound(const json_t *url)
{
    const char *signer = json_string_value(json_object_get(url, "signer"));
    return signer && is_fingerprint(signer) && json_is_string(json_object_get(url, "seen"));
}

static bool package_is_sound(const json_t *package)
{
    const json_t *serial = json_object_get(package, "serial");
    return json_is_integer(serial) && json_integer_value(serial) >= 0 &&
           json_is_string(json_object_get(package, "seen"));
}

static bool is_sound(json_t *root)
{
    const char *key, *name;
    json_t *value, *package;
    if (json_integer_value(json_object_get(root, "version")) != VERSION ||
        !json_is_object(json_object_get(root, "signers")) ||
        !json_is_object(json_object_get(root, "urls")) ||
        !json_is_object(json_object_get(root, "packages")))
        return false;
    json_object_foreach(json_object_get(root, "signers"), key,
                        value) if (!is_fingerprint(key) || !signer_is_sound(value)) return false;
    json_object_foreach(json_object_get(root, "urls"), key,
                        value) if (!url_is_sound(value)) return false;
    json_object_foreach(json_object_get(root, "packages"), key, value)
    {
        if (!is_fingerprint(key) || !json_is_object(value))
            return false;
        json_object_foreach(value, name, package) if (!package_is_sound(package)) return false;
    }
    return true;
}

static int not_understood(const char *path, const char *why, struct nx_error *err)
{
    return nx_fail(err, NX_ERR_SYSTEM,
                   "%s: %s: it says whom you trust, so nothing is run on a guess; repair it, or "
                   "remove it to trust nobody",
                   path, why);
}

static int read_root(const char *path, json_t **ret_root, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(0);
    if (path && access(path, F_OK) == 0) {
        json_error_t why;
        if (nx_read_file(path, NX_TRUSTSTORE_MAX, &text, err) < 0)
            return -1;
        NX_AUTO(json)
        json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
        if (!root || !is_sound(root))
            return not_understood(path, root ? "no trust store of version 1" : why.text, err);
        *ret_root = NX_STEAL(root);
        return 0;
    }
    if (path && errno != ENOENT && errno != ENOTDIR)
        return nx_fail_errno(err, "%s", path);
    *ret_root = empty();
    return *ret_root ? 0 : nx_fail(err, NX_ERR_SYSTEM, "trust store: no memory");
}

int nx_truststore_open(struct nx_truststore *store, struct nx_error *err)
{
    store->path = nx_user_path("XDG_CONFIG_HOME", ".config", "nxpk/trust.json");
    return read_root(store->path, &store->root, err);
}

int nx_truststore_lock(struct nx_truststore *store, struct nx_error *err)
{
    if (!store->path)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "there is no place for a trust store: set $HOME or $XDG_CONFIG_HOME");
    NX_AUTO_FREE char *name = NULL;
    /* The folder is the user's alone: what is seen of packages is nobody else's business. */
    NX_AUTO_FREE char *folder = nx_folder_of(store->path);
    if (!folder)
        return nx_fail_errno(err, "%s", store->path);
    if (nx_make_folders(folder, err) < 0)
        return -1;
    if (asprintf(&name, "%s.lock", store->path) < 0) {
        name = NULL;
        return nx_fail_errno(err, "%s", store->path);
    }
    store->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0 || flock(store->lock_fd, LOCK_EX) < 0)
        return nx_fail_errno(err, "%s", name);
    json_t *root;
    if (read_root(store->path, &root, err) < 0)
        return -1;
    json_decref(store->root);
    store->root = root;
    return 0;
}

static void unlock(struct nx_truststore *store)
{
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    store->lock_fd = -1;
}

int nx_truststore_commit(struct nx_truststore *store, struct nx_error *err)
{
    NX_AUTO_FREE char *text = json_dumps(store->root, JSON_INDENT(2) | JSON_SORT_KEYS);
    int ret = text ? nx_write_file(store->path, 0600, text, strlen(text), err)
                   : nx_fail(err, NX_ERR_SYSTEM, "%s: no memory", store->path);
    unlock(store);
    return ret;
}

void nx_truststore_release(struct nx_truststore *store)
{
    unlock(store);
    json_decref(store->root);
    free(store->path);
    *store = (struct nx_truststore)NX_TRUSTSTORE_INIT;
}

/* ---- entries ---- */

static int put(json_t *object, const char *key, json_t *value, struct nx_error *err)
{
    return json_object_set_new(object, key, value) == 0
               ? 0
               : nx_fail(err, NX_ERR_SYSTEM, "trust store: no memory, or '%s' is no UTF-8", key);
}

static const char *seen_of(const json_t *entry)
{
    const char *seen = json_string_value(json_object_get(entry, "seen"));
    return seen ? seen : "";
}

/* Make room for one more: what was seen longest ago goes. */
static void drop_oldest(json_t *object)
{
    const char *key, *oldest = NULL, *seen = NULL;
    json_t *value;
    if (json_object_size(object) < NX_TRUSTSTORE_SEEN_MAX)
        return;
    json_object_foreach(object, key, value) if (!oldest || strcmp(seen_of(value), seen) < 0)
    {
        oldest = key;
        seen = seen_of(value);
    }
    json_object_del(object, oldest);
}

static const char *now(char text[static NX_UTC_SIZE])
{
    return nx_utc(time(NULL), text);
}

bool nx_truststore_signer(const struct nx_truststore *store, const char *fingerprint,
                          struct nx_trusted *ret_trusted)
{
    const json_t *signer = json_object_get(section(store, "signers"), fingerprint);
    if (!signer)
        return false;
    *ret_trusted = (struct nx_trusted){
        .name = json_string_value(json_object_get(signer, "name")),
        .since = json_string_value(json_object_get(signer, "since")),
        .no_network = json_is_false(json_object_get(signer, "network")),
    };
    return true;
}

int nx_truststore_add_signer(struct nx_truststore *store, const char *fingerprint,
                             const struct nx_trusted *trusted, struct nx_error *err)
{
    char time[NX_UTC_SIZE];
    return put(section(store, "signers"), fingerprint,
               json_pack("{s:s, s:s, s:b}", "name", trusted->name, "since",
                         trusted->since ? trusted->since : now(time), "network",
                         !trusted->no_network),
               err);
}

bool nx_truststore_remove_signer(struct nx_truststore *store, const char *fingerprint)
{
    const char *url;
    json_t *seen;
    void *next;
    bool found = json_object_del(section(store, "signers"), fingerprint) == 0;
    found = json_object_del(section(store, "packages"), fingerprint) == 0 || found;
    json_object_foreach_safe(
        section(store, "urls"), next, url,
        seen) if (strcmp(json_string_value(json_object_get(seen, "signer")), fingerprint) == 0)
        found = json_object_del(section(store, "urls"), url) == 0 || found;
    return found;
}

const char *nx_truststore_url(const struct nx_truststore *store, const char *url)
{
    return json_string_value(
        json_object_get(json_object_get(section(store, "urls"), url), "signer"));
}

int nx_truststore_note_url(struct nx_truststore *store, const char *url, const char *fingerprint,
                           struct nx_error *err)
{
    char time[NX_UTC_SIZE];
    drop_oldest(section(store, "urls"));
    return put(section(store, "urls"), url,
               json_pack("{s:s, s:s}", "signer", fingerprint, "seen", now(time)), err);
}

bool nx_truststore_forget_url(struct nx_truststore *store, const char *url)
{
    return json_object_del(section(store, "urls"), url) == 0;
}

uint64_t nx_truststore_serial(const struct nx_truststore *store, const char *fingerprint,
                              const char *name)
{
    const json_t *package = json_object_get(nx_truststore_packages(store, fingerprint), name);
    return (uint64_t)json_integer_value(json_object_get(package, "serial"));
}

int nx_truststore_note_serial(struct nx_truststore *store, const char *fingerprint,
                              const char *name, uint64_t serial, struct nx_error *err)
{
    char time[NX_UTC_SIZE];
    uint64_t before = nx_truststore_serial(store, fingerprint, name);
    if (!nx_truststore_packages(store, fingerprint) &&
        put(section(store, "packages"), fingerprint, json_object(), err) < 0)
        return -1;
    json_t *packages = nx_truststore_packages(store, fingerprint);
    drop_oldest(packages);
    return put(packages, name,
               json_pack("{s:I, s:s}", "serial", (json_int_t)(serial > before ? serial : before),
                         "seen", now(time)),
               err);
}

json_t *nx_truststore_signers(const struct nx_truststore *store)
{
    return section(store, "signers");
}

json_t *nx_truststore_urls(const struct nx_truststore *store)
{
    return section(store, "urls");
}

json_t *nx_truststore_packages(const struct nx_truststore *store, const char *fingerprint)
{
    return json_object_get(section(store, "packages"), fingerprint);
}
