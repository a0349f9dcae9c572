/* SPDX-License-Identifier: MIT */
/* Cleanup that belongs to the variable (gcc and clang's cleanup attribute). */
#ifndef NX_COMMON_CLEANUP_H
#define NX_COMMON_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Define nx_auto_NAME, a cleanup function that calls release(*variable). */
#define NX_DEFINE_AUTO(type, name, release)    \
    static inline void nx_auto_##name(type *p) \
    {                                          \
        release(*p);                           \
    }
#define NX_AUTO(name) __attribute__((cleanup(nx_auto_##name), unused))

static inline void nx_auto_free(void *p)
{
    free(*(void **)p);
}
static inline void nx_auto_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void nx_auto_file(FILE **f)
{
    if (*f)
        fclose(*f);
}
static inline void nx_auto_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}

#define NX_AUTO_FREE NX_AUTO(free) /* free() at the end of scope */
#define NX_AUTO_FD   NX_AUTO(fd)   /* close() at the end of scope, unless negative */
#define NX_AUTO_FILE NX_AUTO(file) /* fclose() at the end of scope */
#define NX_AUTO_DIR  NX_AUTO(dir)  /* closedir() at the end of scope */

/* The pointer's value; the variable becomes NULL, so its cleanup does nothing. */
#define NX_STEAL(p)                     \
    ({                                  \
        __typeof__(p) nx_stolen_ = (p); \
        (p) = NULL;                     \
        nx_stolen_;                     \
    })

/* The descriptor's value; *fd becomes -1. */
static inline int nx_steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

#endif
