/* SPDX-License-Identifier: MIT */
#include "fetch/cmdline.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "fetch/cmdline-builder.h"

#define MIB (UINT64_C(1) << 20)

const char *nx_cmdline_program(const struct nx_machine *machine)
{
    return strcmp(machine->arch, "i686") == 0 ? "qemu-system-i386" : "qemu-system-x86_64";
}

static void add(struct nx_cmdline *c, const char *option, const char *value)
{
    nx_args_add(c->args, option);
    if (value)
        nx_args_add(c->args, value);
}

static const struct nx_timer *find_timer(const struct nx_machine *m, const char *name)
{
    for (size_t i = 0; i < m->n_timers; i++)
        if (strcmp(m->timers[i].name, name) == 0)
            return &m->timers[i];
    return NULL;
}

static uint64_t memory_bytes(const struct nx_cmdline *c)
{
    uint64_t bytes = c->options->memory ? c->options->memory : c->machine->memory;
    return bytes & ~(MIB - 1);
}

/* ---- board and memory ------------------------------------------------------------ */

static const char *machine_switch(enum nx_switch value, const char *on, const char *off)
{
    return value == NX_ON ? on : value == NX_OFF ? off : "";
}

/* graphics=off: the BIOS talks on the first serial port. */
static void add_machine(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    const struct nx_timer *hpet = find_timer(m, "hpet");
    /* Secure Boot's variables are out of the guest's reach only in system management mode. */
    enum nx_switch smm = m->secure_boot == NX_ON ? NX_ON : m->smm;
    nx_args_add(c->args, "-machine");
    nx_args_addf(c->args, "%s,usb=off%s%s,dump-guest-core=off,memory-backend=pc.ram%s%s%s%s",
                 m->machine, machine_switch(m->vmport, ",vmport=on", ",vmport=off"),
                 machine_switch(smm, ",smm=on", ",smm=off"),
                 m->uefi ? ",pflash0=libvirt-pflash0-format,pflash1=libvirt-pflash1-format" : "",
                 m->acpi ? "" : ",acpi=off", hpet && hpet->present == NX_OFF ? ",hpet=off" : "",
                 m->bios_useserial == NX_ON ? ",graphics=off" : "");
    add(c, "-accel", c->options->accel);
}

/* A file is mapped privately, so that no write of the guest reaches it; and the block keeps the name
 * that it has in saved states.
 */
static void add_memory(struct nx_cmdline *c)
{
    uint64_t bytes = memory_bytes(c);
    json_t *backend = json_object();
    nx_args_add(c->args, "-m");
    nx_args_addf(c->args, "%" PRIu64, bytes / MIB);
    nx_prop_text(c, backend, "qom-type",
                 c->options->memory_path ? "memory-backend-file" : "memory-backend-ram");
    nx_prop_text(c, backend, "id", "pc.ram");
    if (c->options->memory_path) {
        nx_prop_text(c, backend, "mem-path", c->options->memory_path);
        nx_prop_bool(c, backend, "share", false);
        nx_prop_bool(c, backend, "x-use-canonical-path-for-ramblock-id", false);
    }
    nx_prop_uint(c, backend, "size", bytes);
    nx_cmdline_json(c, "-object", backend);
    add(c, "-overcommit", "mem-lock=off");
}

static void add_smp(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    const struct nx_cpu *cpu = &m->cpu;
    unsigned n = c->options->cpus ? c->options->cpus : m->cpus;
    unsigned max = c->options->cpus ? c->options->cpus : m->max_cpus;
    char maxcpus[32] = "", dies[32] = "";
    if (n != max)
        snprintf(maxcpus, sizeof maxcpus, ",maxcpus=%u", max);
    nx_args_add(c->args, "-smp");
    if (!cpu->sockets || c->options->cpus) {
        nx_args_addf(c->args, "%u%s,sockets=%u,cores=1,threads=1", n, maxcpus, max);
        return;
    }
    if (cpu->dies)
        snprintf(dies, sizeof dies, ",dies=%u", cpu->dies);
    nx_args_addf(c->args, "%u%s,sockets=%u%s,cores=%u,threads=%u", n, maxcpus, cpu->sockets, dies,
                 cpu->cores, cpu->threads);
}

static void add_identity(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    if (m->uuid)
        add(c, "-uuid", m->uuid);
    if (m->genid) {
        json_t *props = nx_cmdline_device(c, "vmgenid");
        nx_prop_text(c, props, "guid", c->options->new_genid ? "auto" : m->genid);
        nx_prop_text(c, props, "id", "vmgenid0");
        nx_cmdline_json(c, "-device", props);
    }
}

/* ---- monitor --------------------------------------------------------------------- */

static void add_monitor(struct nx_cmdline *c)
{
    const struct nx_cmdline_options *o = c->options;
    if (!o->qmp_path && o->qmp_fd < 0)
        return;
    NX_AUTO_FREE char *path = o->qmp_path ? nx_cmdline_escape(c, o->qmp_path) : NULL;
    nx_args_add(c->args, "-chardev");
    if (path)
        nx_args_addf(c->args, "socket,id=charmonitor,path=%s,server=on,wait=off", path);
    else
        nx_args_addf(c->args, "socket,id=charmonitor,fd=%d,server=on,wait=off", o->qmp_fd);
    add(c, "-mon", "chardev=charmonitor,id=monitor,mode=control");
}

/* ---- time ------------------------------------------------------------------------ */

/* The moment as QEMU's base=, in UTC, or in local time. */
static void format_moment(time_t moment, bool local, char text[static 32])
{
    struct tm tm = { 0 };
    if (local)
        localtime_r(&moment, &tm);
    else
        gmtime_r(&moment, &tm);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
}

/* Seconds of adjustment beyond this (30 years) are a forgery or a mistake. */
#define MAX_ADJUSTMENT (INT64_C(30) * 366 * 86400)

static void clock_base(const struct nx_machine *m, char text[static 32])
{
    int64_t adjustment = m->clock_adjustment;
    if (adjustment > MAX_ADJUSTMENT || adjustment < -MAX_ADJUSTMENT)
        adjustment = 0;
    if (!m->clock_offset || strcmp(m->clock_offset, "utc") == 0)
        strcpy(text, "utc");
    else if (strcmp(m->clock_offset, "localtime") == 0)
        strcpy(text, "localtime");
    else if (strcmp(m->clock_offset, "absolute") == 0)
        format_moment((time_t)m->clock_start, false, text);
    else
        format_moment(time(NULL) + (time_t)adjustment, m->clock_basis_localtime, text);
}

static void add_clock(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    const struct nx_timer *rtc = find_timer(m, "rtc");
    const struct nx_timer *pit = find_timer(m, "pit");
    char base[32];
    clock_base(m, base);
    const char *track = rtc && rtc->track ? rtc->track : "";
    nx_args_add(c->args, "-rtc");
    nx_args_addf(
        c->args, "base=%s%s%s", base,
        strcmp(track, "guest") == 0  ? ",clock=vm"
        : strcmp(track, "wall") == 0 ? ",clock=host"
                                     : "",
        rtc && rtc->tickpolicy && strcmp(rtc->tickpolicy, "catchup") == 0 ? ",driftfix=slew" : "");
    if (pit && pit->tickpolicy &&
        (strcmp(pit->tickpolicy, "delay") == 0 || strcmp(pit->tickpolicy, "discard") == 0)) {
        nx_args_add(c->args, "-global");
        nx_args_addf(c->args, "kvm-pit.lost_tick_policy=%s", pit->tickpolicy);
    }
}

/* ---- power and booting ------------------------------------------------------------- */

static void add_power(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    const char *chip = m->q35 ? "ICH9-LPC" : "PIIX4_PM";
    if (m->on_reboot && strcmp(m->on_reboot, "destroy") == 0)
        add(c, "-no-reboot", NULL);
    if (m->suspend_to_mem != NX_UNSAID) {
        nx_args_add(c->args, "-global");
        nx_args_addf(c->args, "%s.disable_s3=%d", chip, m->suspend_to_mem == NX_OFF);
    }
    if (m->suspend_to_disk != NX_UNSAID) {
        nx_args_add(c->args, "-global");
        nx_args_addf(c->args, "%s.disable_s4=%d", chip, m->suspend_to_disk == NX_OFF);
    }
}

static void add_boot(struct nx_cmdline *c)
{
    const struct nx_machine *m = c->machine;
    char reboot[40] = "", splash[40] = "";
    if (m->reboot_timeout != -2)
        snprintf(reboot, sizeof reboot, "reboot-timeout=%d,", m->reboot_timeout);
    if (m->boot_menu == NX_ON && m->boot_menu_timeout)
        snprintf(splash, sizeof splash, "splash-time=%u,", m->boot_menu_timeout);
    nx_args_add(c->args, "-boot");
    nx_args_addf(c->args, "%s%s%sstrict=on", machine_switch(m->boot_menu, "menu=on,", "menu=off,"),
                 reboot, splash);
}

/* spice-app starts the viewer itself, so it may start programs; nothing else may. */
static void add_sandbox(struct nx_cmdline *c)
{
    const char *display = c->options->display;
    bool spawns = display && strncmp(display, "spice-app", strlen("spice-app")) == 0;
    if (c->options->no_sandbox)
        return;
    nx_args_add(c->args, "-sandbox");
    nx_args_addf(c->args, "on,obsolete=deny,elevateprivileges=deny,spawn=%s,resourcecontrol=deny",
                 spawns ? "allow" : "deny");
}

/* ---- all of it --------------------------------------------------------------------- */

static int add_board(struct nx_cmdline *c, struct nx_error *err)
{
    NX_AUTO_FREE char *name =
        nx_cmdline_escape(c, c->options->title ? c->options->title : c->machine->name);
    nx_args_add(c->args, c->options->qemu ? c->options->qemu : nx_cmdline_program(c->machine));
    nx_args_add(c->args, "-name");
    nx_args_addf(c->args, "guest=%s,debug-threads=on", name ? name : "");
    if (c->options->paused)
        add(c, "-S", NULL);
    if (nx_cmdline_firmware(c, err) < 0)
        return -1;
    add_machine(c);
    nx_cmdline_cpu(c, false);
    if (c->machine->secure_boot == NX_ON)
        add(c, "-global", "driver=cfi.pflash01,property=secure,value=on");
    add_memory(c);
    add_smp(c);
    add_identity(c);
    add(c, "-no-user-config", NULL);
    add(c, "-nodefaults", NULL);
    add_monitor(c);
    add_clock(c);
    add_power(c);
    add_boot(c);
    return 0;
}

static int add_devices(struct nx_cmdline *c, struct nx_error *err)
{
    nx_cmdline_controllers(c);
    nx_cmdline_hubs(c);
    if (nx_cmdline_disks(c, err) < 0 || nx_cmdline_network(c, err) < 0 ||
        nx_cmdline_chardevs(c, err) < 0)
        return -1;
    nx_cmdline_inputs(c);
    nx_cmdline_displays(c);
    nx_cmdline_rest(c);
    return 0;
}

int nx_cmdline_board(const struct nx_machine *machine, const char *qemu, const char *accel,
                     struct nx_args *ret_args, struct nx_error *err)
{
    const struct nx_cmdline_options options = { .accel = accel, .qmp_fd = -1 };
    struct nx_cmdline c = { .machine = machine, .options = &options, .args = ret_args };
    add(&c, qemu, NULL);
    nx_args_add(ret_args, "-machine");
    nx_args_addf(ret_args, "%s,usb=off", machine->machine);
    add(&c, "-accel", accel);
    nx_cmdline_cpu(&c, true);
    add_smp(&c);
    static const char *const rest[] = {
        "-no-user-config", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"
    };
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        nx_args_add(ret_args, rest[i]);
    add_sandbox(&c);
    if (c.failed || ret_args->failed)
        return nx_fail(err, NX_ERR_SYSTEM, "QEMU's command line: out of memory");
    return 0;
}

int nx_cmdline_build(const struct nx_machine *machine, const struct nx_cmdline_options *options,
                     struct nx_args *ret_args, struct nx_error *err)
{
    struct nx_cmdline c = { .machine = machine, .options = options, .args = ret_args };
    if (options->memory && options->memory < MIB)
        return nx_fail(err, NX_ERR_USAGE, "--memory: less than 1 MiB");
    if (add_board(&c, err) < 0 || add_devices(&c, err) < 0)
        return -1;
    if (options->incoming)
        add(&c, "-incoming", options->incoming);
    add_sandbox(&c);
    add(&c, "-msg", "timestamp=on");
    if (c.failed || ret_args->failed)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "QEMU's command line: out of memory, or a path that is not UTF-8");
    return 0;
}
