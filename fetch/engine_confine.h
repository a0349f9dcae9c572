/* SPDX-License-Identifier: MIT */
#ifndef NX_FETCH_ENGINE_CONFINE_H
#define NX_FETCH_ENGINE_CONFINE_H

#include "fetch/engine.h"

/* The engine handles whatever strangers send: leave it the network, the cache, the folder for whole images, the package's
 * file, and what resolving names and TLS read; no programs, no other files, and no system calls that it has no
 * use for.  Call it in the engine, before it has threads.  A kernel that cannot do part of it is an error that the caller may
 * overlook: the rest is done.
 */
int nx_engine_confine(const struct nx_engine_config *config, struct nx_error *err);

#endif
