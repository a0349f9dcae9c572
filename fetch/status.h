/* SPDX-License-Identifier: MIT */
/* What a running nxfetch says of itself (control.h, "status"): what --stats writes, and
 *
 *     pid, verb (run, pull, mount), name, location, description, started ("2026-11-26T19:58:37Z"), seconds
 *     state       as of --stats, but "starting" once it is known what runs, "waiting" while a read waits for the network, and
 *                 "fetching" for a pull
 *     rate        bytes a second that come now
 *     here        how much of all that is stored is here, 0 to 1; null while nothing is known
 *     hit_rate    of what was read, how much was here in time, 0 to 1; null while nothing was read
 *     surveyed    whether all is known that can be: until then, more may be here than `here` says
 *
 * the last three of each image, too, with its role and chunk_size, and, if it was asked for, its map:
 *
 *     map.unit    chunks that one unit stands for
 *     map.units   how many units are empty, absent, cached, ahead, read, awaited (mapmessage.h)
 *     map.cells   how many cells there are
 *     map.runs    [length, absent, cached, ahead, read, awaited], shares in 255ths, or just [length] of what is empty
 */
#ifndef NX_FETCH_STATUS_H
#define NX_FETCH_STATUS_H

#include <jansson.h>

#include "fetch/session.h"

/* map is NX_MSG_MAP's payload, checked, or NULL: not asked for, or there is no engine.  cells: whether the map's are wanted. NULL without memory. */
json_t *nx_status_json(const struct nx_session *session, const struct nx_buffer *map, bool cells);

#endif
