/* SPDX-License-Identifier: MIT */
/* What nxfetch can do: one function a verb.  0, or -1 with err for main to print. */
#ifndef NX_FETCH_VERBS_H
#define NX_FETCH_VERBS_H

#include "common/error.h"
#include "fetch/options.h"

int nx_verb_run(const struct nx_options *options, struct nx_error *err);
int nx_verb_info(const struct nx_options *options, struct nx_error *err);
int nx_verb_pull(const struct nx_options *options, struct nx_error *err);
int nx_verb_mount(const struct nx_options *options, struct nx_error *err);
int nx_verb_status(const struct nx_options *options, struct nx_error *err);
int nx_verb_screenshot(const struct nx_options *options, struct nx_error *err);
int nx_verb_power(const struct nx_options *options, struct nx_error *err);
int nx_verb_trust(const struct nx_options *options, struct nx_error *err); /* all five */
int nx_verb_cache(const struct nx_options *options, struct nx_error *err); /* all four */

#endif
