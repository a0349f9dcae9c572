/* SPDX-License-Identifier: MIT */
#include "fetch/accel.h"

#include <stdbool.h>
#include <string.h>

#include "common/kvm.h"
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

int nx_accel_choose(enum nx_accel wanted, const char **ret_name, struct nx_error *err)
{
    struct nx_error why = NX_ERROR_INIT;
    bool kvm = wanted != NX_ACCEL_TCG && nx_kvm_check(&why) == 0;
    if (wanted == NX_ACCEL_KVM && !kvm)
        return nx_fail(err, NX_ERR_SYSTEM, "KVM cannot be used: %s; --accel tcg emulates instead",
                       why.msg);
    if (wanted == NX_ACCEL_AUTO && !kvm)
        nx_log(NX_LOG_NOTICE, "KVM cannot be used (%s): the machine is emulated, which is slower",
               why.msg);
    *ret_name = kvm ? "kvm" : "tcg";
    return 0;
}
