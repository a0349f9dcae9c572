/* SPDX-License-Identifier: MIT */
/* The second, small server that tells a monitoring system the figures, on an address and port of its own: the public
 * never sees them, and they can be had when all connections of the first one are taken.
 */
#ifndef NX_SERVE_SCRAPE_H
#define NX_SERVE_SCRAPE_H

#include <stdint.h>

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/error.h"

struct nx_scrape;

/* Writes the figures into out, whose maximum is NX_METRICS_BYTES_MAX.  Called by the scrape's own thread. */
typedef int nx_scrape_write(void *cls, struct nx_buffer *out, struct nx_error *err);

/* Answer GET /metrics on address and port (0: one that the kernel chooses) with what write gives.  Stop it with
 * nx_scrape_stop() before what cls points to goes away.
 */
int nx_scrape_start(const char *address, uint16_t port, nx_scrape_write *write, void *cls,
                    struct nx_scrape **ret_scrape, struct nx_error *err);

uint16_t nx_scrape_port(const struct nx_scrape *scrape);

/* NULL is fine. */
void nx_scrape_stop(struct nx_scrape *scrape);

NX_DEFINE_AUTO(struct nx_scrape *, scrape, nx_scrape_stop)
#define NX_AUTO_SCRAPE NX_AUTO(scrape) /* nx_scrape_stop() at the end of scope */

#endif
