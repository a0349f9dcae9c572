/* SPDX-License-Identifier: MIT */
/* What nxpk makes of a package that somebody has altered or forged: a refusal that says why, or the right bytes.
 * Anything else - a crash, a hang, a wrong byte - fails the test.
 */
#ifndef NX_TESTS_JUDGE_H
#define NX_TESTS_JUDGE_H

#include "fetch/engine.h"
#include "tests/support/package.h"

/* Who is used to judge: a scratch folder, made and removed. */
void judge_setup(void);
void judge_teardown(void);

/* The package, as a file in the scratch folder, until the next one.  Returns its path. */
const char *judge_file(const struct nx_buffer *package);

/* nxpack verify: 0, or -1 and why, in words that begin with path. */
int judge_verify(const char *path, struct nx_error *err);

/* An engine reads the device state and all images of the package at config's path or URL, as nxfetch without FUSE
 * does: 0, and they are the n images and test_device_state (or the state was refused); -1 and why, in words that name the path or URL.
 */
int judge_read(struct nx_engine_config *config, const struct test_image *images, unsigned n,
               struct nx_error *err);

#endif
