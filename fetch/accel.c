/* SPDX-License-Identifier: MIT */
#include "fetch/accel.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

int nx_accel_parse(const char *text, enum nx_accel *ret_accel, struct nx_error *err)
{
    static const char *const names[] = { "auto", "kvm", "tcg" };
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_accel = (enum nx_accel)i;
            return 0;
        }
    }
    return nx_fail(err, NX_ERR_USAGE, "--accel: '%s' is not auto, kvm or tcg", text);
}

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

int nx_accel_check_kvm(const char *device, const char *cpuinfo, struct nx_error *err)
{
    NX_AUTO_FD int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return nx_fail_errno(err, "%s", device);
    NX_AUTO_FILE FILE *file = fopen(cpuinfo, "re");
    if (!file)
        return nx_fail_errno(err, "%s", cpuinfo);
    if (!has_virtualization(file))
        return nx_fail(err, NX_ERR_SYSTEM, "the processor shows neither vmx nor svm");
    return 0;
}

int nx_accel_choose(enum nx_accel wanted, const char **ret_name, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    bool kvm = wanted != NX_ACCEL_TCG && nx_accel_check_kvm("/dev/kvm", "/proc/cpuinfo", &why) == 0;
    if (wanted == NX_ACCEL_KVM && !kvm)
        return nx_fail(err, NX_ERR_SYSTEM, "KVM cannot be used: %s; --accel tcg emulates instead",
                       why.msg);
    if (wanted == NX_ACCEL_AUTO && !kvm)
        nx_log(NX_LOG_NOTICE, "KVM cannot be used (%s): the machine is emulated, which is slower",
               why.msg);
    *ret_name = kvm ? "kvm" : "tcg";
    return 0;
}
