/* SPDX-License-Identifier: MIT */
#include "serve/request.h"

#include <string.h>

enum nx_method nx_method_from_name(const char *name)
{
    if (strcmp(name, "GET") == 0)
        return NX_METHOD_GET;
    if (strcmp(name, "HEAD") == 0)
        return NX_METHOD_HEAD;
    if (strcmp(name, "OPTIONS") == 0)
        return NX_METHOD_OPTIONS;
    return NX_METHOD_OTHER;
}
