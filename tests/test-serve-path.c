/* SPDX-License-Identifier: MIT */
/* URLs to paths, paths to open files, and names to types: nothing may lead outside. */
#include "common/path.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/policy.h"
#include "common/types.h"
#include "common/beneath.h"
#include "tests/support/main.h"

static const struct {
    const char *url;
    unsigned status;
    const char *path; /* "a" or "a/" */
} urls[] = {
    { "/", 0, "/" },
    { "/a.nxpk", 0, "a.nxpk" },
    { "/a/b/c", 0, "a/b/c" },
    { "/a/b/", 0, "a/b/" },
    { "//a///b//", 0, "a/b/" },
    { "/a%20b%C3%A9", 0, "a b\xc3\xa9" },
    { "/%61", 0, "a" },
    { "/a%2Enxpk", 0, "a.nxpk" },
    { "/%2561", 0, "%61" },
    { "/a\\..\\b", 0, "a\\..\\b" },
    { "/a..b/c...", 0, "a..b/c..." },
    { "http://host/a", 0, "a" },
    { "HTTPS://host:1/a/b", 0, "a/b" },
    { "http://host", 0, "/" },
    { "", 400, NULL },
    { "a", 400, NULL },
    { "*", 400, NULL },
    { "ftp://host/a", 400, NULL },
    { "/%", 400, NULL },
    { "/%4", 400, NULL },
    { "/%zz", 400, NULL },
    { "/%4g", 400, NULL },
    { "/a%00.nxpk", 400, NULL },
    { "/a%0d%0aX: y", 400, NULL },
    { "/a%7f", 400, NULL },
    { "/a%2fb", 404, NULL },
    { "/..%2Fb", 404, NULL },
    { "/..", 404, NULL },
    { "/../etc/passwd", 404, NULL },
    { "/a/../b", 404, NULL },
    { "/a/./b", 404, NULL },
    { "/%2e%2e/b", 404, NULL },
    { "/.%2e", 404, NULL },
    { "/.hidden", 404, NULL },
    { "/a/.git/config", 404, NULL },
};

START_TEST(test_url)
{
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct nx_path path;
        unsigned status = nx_path_from_url(urls[i].url, &path);
        ck_assert_msg(status == urls[i].status, "%s: wanted %u, got %u", urls[i].url,
                      urls[i].status, status);
        if (status)
            continue;
        char got[PATH_MAX + 1];
        snprintf(got, sizeof got, "%s%s", path.text, path.slash ? "/" : "");
        ck_assert_str_eq(got, urls[i].path);
    }
}
END_TEST

START_TEST(test_long_url)
{
    static char url[3 * PATH_MAX];
    struct nx_path path;
    memset(url, 'a', PATH_MAX - 1);
    url[0] = '/';
    ck_assert_uint_eq(nx_path_from_url(url, &path), 0);
    ck_assert_uint_eq(strlen(path.text), PATH_MAX - 2);
    memset(url + 1, 'a', sizeof url - 2);
    ck_assert_uint_eq(nx_path_from_url(url, &path), 404);
}
END_TEST

START_TEST(test_encode)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_BUFFER struct nx_buffer out = NX_BUFFER_INIT(1000);
    ck_assert_int_eq(nx_path_encode("a b/c%\"<\xc3\xa9~", &out, &err), 0);
    ck_assert_int_eq(nx_buffer_printf(&out, &err, "%s", ""), 0);
    ck_assert_str_eq((const char *)out.data, "a%20b/c%25%22%3C%C3%A9~");
}
END_TEST

/* ---- opening ----------------------------------------------------------------- */

static char base[] = "/tmp/nxpk-test-beneath.XXXXXX";
static int root_fd;

static void create(int dir, const char *name)
{
    int fd = openat(dir, name, O_CREAT | O_WRONLY, 0644);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void set_up(void)
{
    strcpy(base + strlen(base) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    int dir = open(base, O_RDONLY | O_DIRECTORY);
    create(dir, "secret");
    ck_assert_int_eq(mkdirat(dir, "root", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "root/sub", 0755), 0);
    create(dir, "root/file");
    create(dir, "root/sub/file");
    ck_assert_int_eq(mkfifoat(dir, "root/fifo", 0644), 0);
    ck_assert_int_eq(symlinkat("sub/file", dir, "root/link-inside"), 0);
    ck_assert_int_eq(symlinkat("../secret", dir, "root/link-outside"), 0);
    ck_assert_int_eq(symlinkat("/etc/passwd", dir, "root/link-absolute"), 0);
    ck_assert_int_eq(symlinkat("..", dir, "root/link-up"), 0);
    ck_assert_int_eq(symlinkat("sub", dir, "root/link-dir"), 0);
    ck_assert_int_eq(symlinkat("loop", dir, "root/loop"), 0);
    close(dir);
    char root[sizeof base + 8];
    snprintf(root, sizeof root, "%s/root", base);
    struct nx_error err = NX_ERROR_INIT;
    ck_assert_int_eq(nx_beneath_open_root(root, &root_fd, &err), 0);
}

static void tear_down(void)
{
    char command[128];
    close(root_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    ck_assert_int_eq(system(command), 0);
}

static const struct {
    const char *path;
    bool opens;               /* with openat2 */
    bool opens_without_links; /* without */
} files[] = {
    { "file", true, true },
    { "sub/file", true, true },
    { "", true, true },
    { "sub", true, true },
    { "fifo", true, true }, /* and does not wait for a writer */
    { "link-inside", true, false },
    { "link-dir/file", true, false },
    { "link-outside", false, false },
    { "link-absolute", false, false },
    { "link-up/secret", false, false },
    { "link-up/root/file", false, false },
    { "loop", false, false },
    { "missing", false, false },
    { "file/more", false, false },
    { "sub/missing/more", false, false },
};

START_TEST(test_open)
{
    set_up();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int with = nx_beneath_open(root_fd, files[i].path);
        int without = nx_beneath_open_without_links(root_fd, files[i].path);
        ck_assert_msg((with >= 0) == files[i].opens, "%s: %d", files[i].path, with);
        ck_assert_msg((without >= 0) == files[i].opens_without_links, "%s: %d", files[i].path,
                      without);
        if (with >= 0)
            close(with);
        if (without >= 0)
            close(without);
    }
    tear_down();
}
END_TEST

START_TEST(test_open_long)
{
    set_up();
    char name[600];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(nx_beneath_open_without_links(root_fd, name), -1);
    ck_assert_int_eq(errno, ENAMETOOLONG);
    tear_down();
}
END_TEST

/* ---- types and caching ----------------------------------------------------------- */

static const struct {
    const char *name;
    const char *type;
    bool versioned;
} names[] = {
    { "a.nxpk", "application/x-vmnetx-package", false },
    { "vms/A.NXPK", "application/x-vmnetx-package", false },
    { "a.netx", "application/x-vmnetx-reference+xml", false },
    { "a.html", "text/html; charset=utf-8", false },
    { "a.nxpk.txt", "text/plain; charset=utf-8", false },
    { "vms.nxpk/README", "application/octet-stream", false },
    { "a", "application/octet-stream", false },
    { "", "application/octet-stream", false },
    { "a.", "application/octet-stream", false },
    { "a-0123456789abcdef.nxpk", "application/x-vmnetx-package", true },
    { "a_0123456789ABCDEF0.nxpk", "application/x-vmnetx-package", true },
    { "a.0123456789abcdef.netx", "application/x-vmnetx-reference+xml", true },
    { "a-0123456789abcde.nxpk", "application/x-vmnetx-package", false },
    { "a-20261231235959.nxpk", "application/x-vmnetx-package", false },
    { "0123456789abcdef.nxpk", "application/x-vmnetx-package", false },
    { "x/0123456789abcdef.nxpk", "application/x-vmnetx-package", false },
    { "ag0123456789abcdef.nxpk", "application/x-vmnetx-package", false },
    { "a-0123456789abcdef-.nxpk", "application/x-vmnetx-package", false },
    { "a-0123456789abcdef.iso", "application/octet-stream", false },
    { "a.nxpk.001", "application/octet-stream", false },
    { "x/a-0123456789abcdef.NXPK.999", "application/octet-stream", true },
    { "a-0123456789abcdef.nxpk.01", "application/octet-stream", false },
    { "a-0123456789abcdef.nxpk.0001", "application/octet-stream", false },
    { "a-0123456789abcdef.nxpk.00a", "application/octet-stream", false },
    { "a-0123456789abcdef.netx.001", "application/octet-stream", false },
    { "a-0123456789abcdef.001", "application/octet-stream", false },
    { "a-0123456789abcdef.nxpk/.001", "application/octet-stream", false },
    { ".001", "application/octet-stream", false },
};

START_TEST(test_name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_str_eq(nx_media_type_of(names[i].name)->type, names[i].type);
        bool ours = strstr(names[i].type, "vmnetx") != NULL;
        const char *dot = strrchr(names[i].name, '.');
        if (dot && strcmp(dot, ".999") == 0) /* the CGI serves volumes */
            ours = true;
        if (dot && strcmp(dot, ".001") == 0)
            ours = strstr(names[i].name, ".nxpk.001") != NULL;
        ck_assert_msg(nx_media_type_of(names[i].name)->ours == ours, "%s", names[i].name);
        ck_assert_msg(nx_name_is_versioned(names[i].name) == names[i].versioned, "%s",
                      names[i].name);
        ck_assert_str_eq(nx_cache_control(names[i].name),
                         names[i].versioned ? NX_CACHE_IMMUTABLE : NX_CACHE_REVALIDATE);
    }
}
END_TEST

NX_TEST_MAIN("serve-path", test_url, test_long_url, test_encode, test_open, test_open_long,
             test_name)
