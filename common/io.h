/* SPDX-License-Identifier: MIT */
/* Whole reads and writes, and files that appear whole or not at all. */
#ifndef NX_COMMON_IO_H
#define NX_COMMON_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buffer.h"
#include "common/error.h"

/* Read exactly n bytes at offset.  name is for the message.  FORMAT error
 * ("ends at N, wanted n bytes at offset") if the file is shorter.
 */
int nx_pread_full(int fd, void *buf, size_t n, uint64_t offset, const char *name,
                  struct nx_error *err);
int nx_pwrite_full(int fd, const void *buf, size_t n, uint64_t offset, const char *name,
                   struct nx_error *err);
int nx_write_full(int fd, const void *buf, size_t n, const char *name, struct nx_error *err);

/* First thing in main(): a standard descriptor that is closed must not become that of a file we open.  What is written to
 * or read from it fails, as before.
 */
void nx_reserve_stdio(void);

/* Have what was printed reach its file: a full disk or a broken pipe is an error. */
int nx_flush_stdout(struct nx_error *err);

/* The whole of a file, of at most max bytes, into *ret_buf (to be released by
 * the caller); a NUL byte follows the data that does not count in its len.
 */
int nx_read_file(const char *path, size_t max, struct nx_buffer *ret_buf, struct nx_error *err);

/* The folder that path stands in; to be freed.  NULL without memory. */
char *nx_folder_of(const char *path);

/* Make a folder, of mode 0700, with those above it; nothing if it is there. */
int nx_make_folders(const char *path, struct nx_error *err);

/* A file that is being written under a temporary name beside its own. */
struct nx_newfile {
    int fd;     /* open for reading and writing; -1 when there is none */
    char *path; /* the name it will have */
    char *temp; /* the name it has; NULL once it was committed */
};
#define NX_NEWFILE_INIT \
    {                   \
        -1, NULL, NULL  \
    }

/* Create the temporary file with mode (subject to umask).  It fails at once if
 * the directory cannot be written.
 */
int nx_newfile_open(struct nx_newfile *file, const char *path, mode_t mode, struct nx_error *err);

/* fsync, rename over path, fsync the directory.  On failure path is as it was. */
int nx_newfile_commit(struct nx_newfile *file, struct nx_error *err);

/* Have what was renamed or removed in the folder of path reach the disk. */
int nx_sync_folder(const char *path, struct nx_error *err);

/* Remove what was not committed and close. */
void nx_newfile_release(struct nx_newfile *file);

static inline void nx_auto_newfile(struct nx_newfile *file)
{
    nx_newfile_release(file);
}
#define NX_AUTO_NEWFILE NX_AUTO(newfile) /* nx_newfile_release() at the end of scope */

/* Write a small file whole: open, write, commit. */
int nx_write_file(const char *path, mode_t mode, const void *data, size_t len,
                  struct nx_error *err);

#endif
