/* SPDX-License-Identifier: MIT */
#include "common/kvm.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

#define DEVICE  "/dev/kvm"
#define CPUINFO "/proc/cpuinfo"

/* Is word, as a whole, in a line like "flags : fpu vme vmx"? */
static bool has_word(const char *line, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = line; (at = strstr(at, word)); at += len)
        if (at > line && isspace((unsigned char)at[-1]) &&
            (at[len] == 0 || isspace((unsigned char)at[len])))
            return true;
    return false;
}

static bool has_virtualization(FILE *cpuinfo)
{
    NX_AUTO_FREE char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, cpuinfo) > 0)
        if (strncmp(line, "flags", 5) == 0)
            return has_word(line, "vmx") || has_word(line, "svm");
    return false;
}

int nx_kvm_check(struct nx_error *err)
{
    NX_AUTO_FD int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return nx_fail_errno(err, "%s", DEVICE);
    NX_AUTO_FILE FILE *file = fopen(CPUINFO, "re");
    if (!file)
        return nx_fail_errno(err, "%s", CPUINFO);
    if (!has_virtualization(file))
        return nx_fail(err, NX_ERR_SYSTEM, "the processor shows neither vmx nor svm");
    return 0;
}
