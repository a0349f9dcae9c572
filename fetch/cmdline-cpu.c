/* SPDX-License-Identifier: MIT */
/* -cpu: the model, its features, and what the hypervisor shows of itself. */
#include "fetch/cmdline-builder.h"

#include <inttypes.h>
#include <string.h>

#include "common/buffer.h"

#define MAX_CPU_ARGUMENT 65536

struct cpu_text {
    struct nx_cmdline *c;
    struct nx_buffer buf;
};

#define PUT(t, ...)                                             \
    do {                                                        \
        if (nx_buffer_printf(&(t)->buf, NULL, __VA_ARGS__) < 0) \
            (t)->c->failed = true;                              \
    } while (0)

static bool is_kvm(const struct nx_cmdline *c)
{
    return strcmp(c->options->accel, "kvm") == 0;
}

/* "The author's own CPU" can only be had under KVM, and then it is the user's own.  TCG's nearest
 * thing is "max": all that it can emulate, since software made for a recent CPU was installed.
 */
static void put_model(struct cpu_text *t)
{
    const struct nx_machine *m = t->c->machine;
    switch (m->cpu.mode) {
    case NX_CPU_CUSTOM:
        PUT(t, "%s", m->cpu.model);
        break;
    case NX_CPU_HOST_PASSTHROUGH:
    case NX_CPU_HOST_MODEL:
        PUT(t, "%s", is_kvm(t->c) ? "host" : "max");
        if (!is_kvm(t->c))
            nx_cmdline_note(t->c, "the machine wants its host's CPU; without KVM it gets "
                                  "QEMU's most capable one instead");
        break;
    case NX_CPU_MAXIMUM:
        PUT(t, "max");
        break;
    case NX_CPU_DEFAULT:
        PUT(t, "%s", strcmp(m->arch, "i686") == 0 ? "qemu32" : "qemu64");
        break;
    }
    if (m->cpu.mode == NX_CPU_HOST_PASSTHROUGH && m->cpu.migratable != NX_UNSAID)
        PUT(t, ",migratable=%s", m->cpu.migratable == NX_ON ? "on" : "off");
    if (m->cpu.model_vendor_id)
        PUT(t, ",vendor=%s", m->cpu.model_vendor_id);
}

/* A feature by QEMU's name: with dashes, and spelt right. */
static void put_feature_name(struct cpu_text *t, const char *name)
{
    if (strcmp(name, "pclmuldq") == 0)
        name = "pclmulqdq";
    PUT(t, ",");
    for (; *name; name++)
        PUT(t, "%c", *name == '_' ? '-' : *name);
}

/* Features that the guest's kernel switches on, not the CPU's maker. */
static bool is_set_by_guest(const char *name)
{
    return strcmp(name, "osxsave") == 0 || strcmp(name, "ospke") == 0;
}

static void put_features(struct cpu_text *t)
{
    const struct nx_cpu *cpu = &t->c->machine->cpu;
    for (size_t i = 0; i < cpu->n_features; i++) {
        const struct nx_cpu_feature *f = &cpu->features[i];
        bool off = strcmp(f->policy, "disable") == 0 || strcmp(f->policy, "forbid") == 0;
        if (is_set_by_guest(f->name))
            continue;
        put_feature_name(t, f->name);
        PUT(t, "=%s", off ? "off" : "on");
    }
}

static void put_timers(struct cpu_text *t)
{
    const struct nx_machine *m = t->c->machine;
    for (size_t i = 0; i < m->n_timers; i++) {
        const struct nx_timer *timer = &m->timers[i];
        const char *state = timer->present == NX_OFF ? "off" : "on";
        if (strcmp(timer->name, "tsc") == 0 && timer->frequency)
            PUT(t, ",tsc-frequency=%" PRIu64, timer->frequency);
        if (!is_kvm(t->c) || timer->present == NX_UNSAID)
            continue;
        if (strcmp(timer->name, "kvmclock") == 0)
            PUT(t, ",kvmclock=%s", state);
        else if (strcmp(timer->name, "hypervclock") == 0)
            PUT(t, ",hv-time=%s", state);
    }
}

static void put_kvm_switch(struct cpu_text *t, const char *name, enum nx_switch value)
{
    if (value != NX_UNSAID)
        PUT(t, ",%s=%s", name, value == NX_ON ? "on" : "off");
}

static void put_hyperv(struct cpu_text *t)
{
    const struct nx_machine *m = t->c->machine;
    if (m->hyperv_passthrough == NX_ON)
        PUT(t, ",hv-passthrough=on");
    for (size_t i = 0; i < m->n_hyperv; i++) {
        const struct nx_hyperv_feature *f = &m->hyperv[i];
        if (f->state != NX_ON)
            continue;
        if (strcmp(f->name, "spinlocks") == 0)
            PUT(t, ",hv-spinlocks=0x%x", f->retries ? f->retries : 4095);
        else if (strcmp(f->name, "vendor_id") == 0)
            PUT(t, ",hv-vendor-id=%s", f->value ? f->value : "");
        else
            PUT(t, ",hv-%s=on", f->name);
        if (f->direct)
            PUT(t, ",hv-stimer-direct=on");
    }
    for (size_t i = 0; i < m->n_panics; i++)
        if (m->panics[i].model && strcmp(m->panics[i].model, "hyperv") == 0)
            PUT(t, ",hv-crash=on");
}

/* What a hypervisor offers its guest; TCG is none, and offers nothing. */
static void put_paravirtualization(struct cpu_text *t)
{
    const struct nx_machine *m = t->c->machine;
    if (!is_kvm(t->c)) {
        if (m->n_hyperv || m->hyperv_passthrough == NX_ON)
            nx_cmdline_note(t->c, "the machine's Hyper-V features need KVM: the guest has to do "
                                  "without");
        return;
    }
    put_kvm_switch(t, "kvm-pv-eoi", m->apic_eoi);
    put_kvm_switch(t, "kvm-pv-unhalt", m->pvspinlock);
    put_kvm_switch(t, "kvm-pv-ipi", m->kvm_pv_ipi);
    put_hyperv(t);
    if (m->kvm_hidden == NX_ON)
        PUT(t, ",kvm=off");
}

static void put_cache(struct cpu_text *t)
{
    const char *mode = t->c->machine->cpu.cache_mode;
    if (!mode)
        return;
    if (strcmp(mode, "emulate") == 0)
        PUT(t, ",l3-cache=on");
    else if (strcmp(mode, "disable") == 0)
        PUT(t, ",l3-cache=off");
    else if (is_kvm(t->c))
        PUT(t, ",host-cache-info=on,l3-cache=off");
}

void nx_cmdline_cpu(struct nx_cmdline *c, bool enforce)
{
    struct cpu_text t = { .c = c, .buf = NX_BUFFER_INIT(MAX_CPU_ARGUMENT) };
    put_model(&t);
    put_features(&t);
    put_timers(&t);
    put_paravirtualization(&t);
    put_kvm_switch(&t, "pmu", c->machine->pmu);
    put_cache(&t);
    if (enforce)
        PUT(&t, ",enforce=on");
    nx_args_add(c->args, "-cpu");
    nx_args_add(c->args, t.buf.data ? (const char *)t.buf.data : "");
    nx_buffer_release(&t.buf);
}
