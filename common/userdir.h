/* SPDX-License-Identifier: MIT */
/* Where a user's files stand (XDG Base Directory Specification, version 0.8). */
#ifndef NX_COMMON_USERDIR_H
#define NX_COMMON_USERDIR_H

/* "$variable/tail", or, where that is not set to an absolute path, "$HOME/fallback/tail".  NULL with errno 0 where $HOME is
 * not set to one either, or with ENOMEM.  To be freed.
 */
char *nx_user_path(const char *variable, const char *fallback, const char *tail);

#endif
