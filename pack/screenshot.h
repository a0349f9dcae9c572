/* SPDX-License-Identifier: MIT */
/* A picture of a machine's screen, PNG, beside its package: guest.png beside guest.nxpk.  It is for people who look at a page,
 * so it is not in the package, where every start would fetch it, and nothing relies on it: nxfetch never reads it.
 */
#ifndef NX_PACK_SCREENSHOT_H
#define NX_PACK_SCREENSHOT_H

#include "common/buffer.h"
#include "common/error.h"
#include "formats/machine.h"

#define NX_SCREENSHOT_MAX  (4 * 1024 * 1024) /* bytes */
#define NX_SCREENSHOT_SIDE 8192              /* pixels */

struct nx_screenshot {
    struct nx_buffer png; /* empty: there is none */
    unsigned width, height;
};
#define NX_SCREENSHOT_INIT                       \
    {                                            \
        .png = NX_BUFFER_INIT(NX_SCREENSHOT_MAX) \
    }

/* The name beside that of a package or a reference, which may be a URL's path: its ending is replaced.  To be freed; NULL
 * without memory.
 */
char *nx_screenshot_path(const char *package);

/* Decode what png holds, to its last pixel, and set width and height: so it is a whole PNG file of a sane size.  name is for
 * the message.
 */
int nx_screenshot_check(struct nx_screenshot *shot, const char *name, struct nx_error *err);

/* Is there a screen to take a picture of?  A USAGE error if not. */
int nx_screenshot_check_machine(const struct nx_machine *machine, const char *name,
                                struct nx_error *err);

/* Write it beside the package, which is there already, for those who may read that, and tell it. */
int nx_screenshot_write(const struct nx_screenshot *shot, const char *package,
                        struct nx_error *err);

void nx_screenshot_release(struct nx_screenshot *shot);

static inline void nx_auto_screenshot(struct nx_screenshot *shot)
{
    nx_screenshot_release(shot);
}
#define NX_AUTO_SCREENSHOT NX_AUTO(screenshot)

#endif
