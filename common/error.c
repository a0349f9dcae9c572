/* SPDX-License-Identifier: MIT */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/plain.h"

int nx_fail(struct nx_error *err, enum nx_errcode code, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    nx_plain(err->msg);
    return -1;
}

int nx_fail_errno(struct nx_error *err, const char *fmt, ...)
{
    int saved = errno;
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t len = strlen(err->msg);
    char text[128];
    snprintf(err->msg + len, sizeof err->msg - len, ": %s", strerror_r(saved, text, sizeof text));
    err->code = NX_ERR_SYSTEM;
    nx_plain(err->msg);
    return -1;
}

int nx_fail_while(struct nx_error *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char context[sizeof err->msg], old[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    memcpy(old, err->msg, sizeof old);
    /* What does not fit is the end of the innermost message. */
    if (snprintf(err->msg, sizeof err->msg, "%s: %s", context, old) < 0)
        err->msg[0] = 0;
    nx_plain(err->msg);
    return -1;
}

int nx_exit_status(const struct nx_error *err)
{
    return err->code == NX_ERR_USAGE ? 2 : 1;
}
