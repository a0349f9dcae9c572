/* SPDX-License-Identifier: MIT */
#include "serve/listing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/progress.h"
#include "formats/xml.h"
#include "common/path.h"

struct names {
    char *at[NX_LISTING_ENTRIES_MAX];
    size_t n;
    bool cut; /* there are more */
};

static void free_names(struct names *names)
{
    for (size_t i = 0; names && i < names->n; i++)
        free(names->at[i]);
    free(names);
}
NX_DEFINE_AUTO(struct names *, names, free_names)

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(int dir_fd, struct names *names, struct nx_error *err)
{
    /* A descriptor of its own: fdopendir() takes it over, and reading moves its offset. */
    NX_AUTO_FD int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    NX_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return nx_fail_errno(err, "listing");
    nx_steal_fd(&fd);
    for (struct dirent *entry; (entry = readdir(dir)) && !names->cut;) {
        if (entry->d_name[0] == '.')
            continue;
        names->cut = names->n == NX_LISTING_ENTRIES_MAX;
        if (names->cut)
            break;
        names->at[names->n] = strdup(entry->d_name);
        if (!names->at[names->n])
            return nx_fail_errno(err, "listing");
        names->n++;
    }
    qsort(names->at, names->n, sizeof *names->at, compare_names);
    return 0;
}

/* A line for a regular file or a folder; nothing else can be asked for, and links are left
 * out, since they may lead where nothing is served.
 */
static int write_entry(int dir_fd, const char *name, struct nx_buffer *out, struct nx_error *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* gone meanwhile */
    bool folder = S_ISDIR(st.st_mode);
    if (!folder && !S_ISREG(st.st_mode))
        return 0;
    const char *slash = folder ? "/" : "";
    char size[32] = "";
    if (!folder)
        nx_human_bytes((uint64_t)st.st_size, size);
    if (nx_buffer_printf(out, err, "<li><a href=\"./") < 0 || nx_path_encode(name, out, err) < 0 ||
        nx_buffer_printf(out, err, "%s\">", slash) < 0 || nx_xml_escape(out, name, err) < 0)
        return -1;
    return nx_buffer_printf(out, err, "%s</a> %s</li>\n", slash, size);
}

int nx_listing_write(int dir_fd, const char *path, struct nx_buffer *out, struct nx_error *err)
{
    NX_AUTO(names) struct names *names = calloc(1, sizeof *names);
    if (!names)
        return nx_fail_errno(err, "listing");
    if (read_names(dir_fd, names, err) < 0)
        return -1;
    if (nx_buffer_printf(out, err, "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>/") < 0 ||
        nx_xml_escape(out, path, err) < 0 || nx_buffer_printf(out, err, "</title>\n<h1>/") < 0 ||
        nx_xml_escape(out, path, err) < 0 || nx_buffer_printf(out, err, "</h1>\n<ul>\n") < 0)
        return -1;
    if (*path && nx_buffer_printf(out, err, "<li><a href=\"../\">../</a></li>\n") < 0)
        return -1;
    for (size_t i = 0; i < names->n; i++)
        if (write_entry(dir_fd, names->at[i], out, err) < 0)
            return -1;
    return nx_buffer_printf(out, err, "</ul>\n%s",
                            names->cut ? "<p>There are more files than fit here.</p>\n" : "");
}
