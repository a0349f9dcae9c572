/* SPDX-License-Identifier: MIT */
/* nxpack's verbs, and nxref's (check), one file each: verb-NAME.c.  Each gets its own arguments, the verb in the place of the
 * program's name, and returns the exit status.
 */
#ifndef NX_PACK_VERBS_H
#define NX_PACK_VERBS_H

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

#endif
