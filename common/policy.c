/* SPDX-License-Identifier: MIT */
#include "common/policy.h"

#include <ctype.h>
#include <string.h>

#include "common/types.h"

bool nx_name_is_versioned(const char *name)
{
    if (!nx_media_type_of(name)->ours)
        return false;
    const char *end = name + nx_name_stem(name);
    const char *digest = end;
    while (digest > name && isxdigit((unsigned char)digest[-1]))
        digest--;
    return end - digest >= NX_DIGEST_DIGITS && digest > name && strchr("-._", digest[-1]);
}

const char *nx_cache_control(const char *name)
{
    return nx_name_is_versioned(name) ? NX_CACHE_IMMUTABLE : NX_CACHE_REVALIDATE;
}
