/* SPDX-License-Identifier: MIT */
/* Programs of other packages that have to be installed. */
#ifndef NX_FETCH_PROGRAM_H
#define NX_FETCH_PROGRAM_H

#include <limits.h>

#include "common/error.h"

/* Where name is found in $PATH.  0, or -1 if it is not there. */
int nx_find_program(const char *name, char ret_path[static PATH_MAX]);

/* 0 if name can be found in $PATH, else SYSTEM, naming Debian's package to install. */
int nx_need_program(const char *name, const char *package, struct nx_error *err);

#endif
