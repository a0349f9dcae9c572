/* SPDX-License-Identifier: MIT */
/* Giving a package that is written its name: in one file, or cut into volumes as its manifest says. */
#ifndef NX_PACK_CUT_H
#define NX_PACK_CUT_H

#include "common/error.h"
#include "common/io.h"

/* Commit out, which holds a whole package.  *ret_volumes is how many it was cut into; 0: it is one file.
 *
 * Volumes get their names before the head gets its own, and a package of the same name that is cut as well goes first:
 * so there is never a head beside volumes of another package.  The volumes of the old one that are left go too.  On
 * failure nothing new is left, and the old package either is as it was or, if it was cut, may be gone: the message says
 * so.  The disk needs room for one volume more than the package.
 */
int nx_cut_commit(struct nx_newfile *out, unsigned *ret_volumes, struct nx_error *err);

#endif
