/* SPDX-License-Identifier: MIT */
/* nxpack's verbs, and nxref's (check), one file each: verb-NAME.c.  Each gets its own arguments, the verb in the place of the
 * program's name, and returns the exit status.
 */
#ifndef NX_PACK_VERBS_H
#define NX_PACK_VERBS_H

#include "common/error.h"

int nx_verb_keygen(int argc, char **argv);
int nx_verb_sign(int argc, char **argv);
int nx_verb_info(int argc, char **argv);
int nx_verb_verify(int argc, char **argv);
int nx_verb_unpack(int argc, char **argv);
int nx_verb_validate(int argc, char **argv);
int nx_verb_train(int argc, char **argv);
int nx_verb_check(int argc, char **argv);
int nx_verb_create(int argc, char **argv);
int nx_verb_list(int argc, char **argv);

/* With --json, what those print who have made a package: the same as nxpack info --json of it. */
int nx_tell_package(const char *path, struct nx_error *err);

#endif
