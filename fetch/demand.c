/* SPDX-License-Identifier: MIT */
#include "fetch/demand.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"

static uint64_t of_thread(const char *folder, const char *tid)
{
    char path[128];
    uint64_t ran = 0, waited = 0; /* ns */
    snprintf(path, sizeof path, "%.64s/%.32s/schedstat", folder, tid);
    NX_AUTO_FILE FILE *file = fopen(path, "re");
    return file && fscanf(file, "%" SCNu64 " %" SCNu64, &ran, &waited) == 2 ? ran + waited : 0;
}

int64_t nx_demand_ms(pid_t pid)
{
    char folder[64];
    uint64_t ns = 0;
    snprintf(folder, sizeof folder, "/proc/%d/task", (int)pid);
    NX_AUTO_DIR DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (isdigit((unsigned char)entry->d_name[0]))
            ns += of_thread(folder, entry->d_name);
    return (int64_t)(ns / 1000000);
}
