/* SPDX-License-Identifier: MIT */
/* powercut SEED LIVE SHADOW: the folder LIVE becomes what a power cut may leave of it.  SHADOW is what was safe
 * (tests/preload/disk.c).  SEED 0: that, and nothing else.  Otherwise each page, and the length, of what was written
 * since then has come to the disk or has not, and so have names that were new or had gone.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE    4096
#define UNNAMED ".unnamed"

static bool strict;

/* The disk's whim: has this come to it? */
static bool came(void)
{
    return !strict && (random() & 1);
}

static uint8_t *read_file(const char *path, size_t *ret_size)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    *ret_size = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0)
        err(1, "%s", path);
    uint8_t *data = calloc(1, (size_t)st.st_size + PAGE);
    for (ssize_t n; data && (n = read(fd, data + *ret_size, (size_t)st.st_size - *ret_size)) > 0;)
        *ret_size += (size_t)n;
    close(fd);
    return data;
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        err(1, "%s", path);
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, data + at, size - at);
        if (n < 0)
            err(1, "%s", path);
        at += (size_t)n;
    }
    close(fd);
}

/* The file's new content: what was safe, with what came of what is there now. */
static void cut_file(const char *live, const char *safe)
{
    size_t now_size, safe_size;
    uint8_t *now = read_file(live, &now_size), *was = read_file(safe, &safe_size);
    size_t size = came() ? now_size : safe_size;
    uint8_t *left = calloc(1, (now_size > safe_size ? now_size : safe_size) + PAGE);
    if (!left)
        err(1, "%s", live);
    if (was)
        memcpy(left, was, safe_size);
    for (size_t at = 0; now && at < size; at += PAGE)
        if (at < now_size && came())
            memcpy(left + at, now + at, now_size - at < PAGE ? now_size - at : PAGE);
    write_file(live, left, size);
    free(now);
    free(was);
    free(left);
}

static void join(char path[static PATH_MAX], const char *dir, const char *name, const char *ending)
{
    if (snprintf(path, PATH_MAX, "%s/%s%s", dir, name, ending) >= PATH_MAX)
        errx(1, "%s/%s: too long", dir, name);
}

static void cut_folder(const char *live, const char *shadow);

static void cut_live(const char *live, const char *shadow, const struct dirent *entry)
{
    char here[PATH_MAX], safe[PATH_MAX];
    join(here, live, entry->d_name, "");
    join(safe, shadow, entry->d_name, "");
    if (entry->d_type == DT_DIR) {
        cut_folder(here, safe);
        return;
    }
    if (access(safe, F_OK) == 0 || came()) {
        if (access(safe, F_OK) < 0)
            join(safe, shadow, entry->d_name, UNNAMED);
        cut_file(here, safe);
    } else if (unlink(here) < 0) {
        err(1, "%s", here);
    }
}

/* A name that had gone comes back, if its going was not safe. */
static void cut_gone(const char *live, const char *shadow, const struct dirent *entry)
{
    char here[PATH_MAX], safe[PATH_MAX];
    join(here, live, entry->d_name, "");
    join(safe, shadow, entry->d_name, "");
    if (entry->d_type == DT_REG && !strstr(entry->d_name, UNNAMED) &&
        !strstr(entry->d_name, ".copy-") && access(here, F_OK) < 0 && !came())
        cut_file(here, safe);
}

static void for_each(const char *folder, const char *live, const char *shadow,
                     void (*cut)(const char *, const char *, const struct dirent *))
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.')
            cut(live, shadow, entries[i]);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static void cut_folder(const char *live, const char *shadow)
{
    for_each(live, live, shadow, cut_live);
    for_each(shadow, live, shadow, cut_gone);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        errx(2, "usage: powercut SEED LIVE SHADOW");
    strict = atoi(argv[1]) == 0;
    srandom((unsigned)atoi(argv[1]));
    cut_folder(argv[2], argv[3]);
    return 0;
}
