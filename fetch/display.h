/* SPDX-License-Identifier: MIT */
/* Where the user sees the machine: a window where there is a desktop, else how to reach it. */
#ifndef NX_FETCH_DISPLAY_H
#define NX_FETCH_DISPLAY_H

#include <stdbool.h>

#include "fetch/options.h"

struct nx_display {
    const char *qemu; /* -display's value */
    const char *vnc;  /* -vnc's value, or NULL */
    bool chosen;      /* by us: if it fails, the user can choose another */
    bool window;
    bool runs_helper; /* QEMU starts a program for it, which its sandbox would forbid */
};

/* Is there one for windows? */
bool nx_display_has_desktop(void);

/* program: QEMU, which is asked whether it was built with windows. */
void nx_display_choose(const struct nx_options *options, const char *program,
                       struct nx_display *ret_display);

/* Tell how to reach a machine that runs now. */
void nx_display_announce(const struct nx_options *options, const struct nx_display *display,
                         const char *name);

#endif
