/* SPDX-License-Identifier: MIT */
#include "formats/machine.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "formats/domain.h"
#include "formats/machine-parse.h"
#include "formats/xml.h"

/* ---- values ------------------------------------------------------------------ */

char *nx_parse_string(struct nx_machine_parser *p, const xmlNode *node, const char *name)
{
    char *value = nx_xml_attr(node, name);
    if (!value && xmlHasProp(node, (const xmlChar *)name))
        p->no_memory = true;
    return value;
}

unsigned nx_parse_uint(const xmlNode *node, const char *name, unsigned dflt)
{
    NX_AUTO_FREE char *text = nx_xml_attr(node, name);
    if (!text)
        return dflt;
    bool hex = strncmp(text, "0x", 2) == 0; /* and "010" is ten */
    return (unsigned)strtoul(text, NULL, hex ? 16 : 10);
}

bool nx_parse_is(const xmlNode *node, const char *name, const char *value)
{
    NX_AUTO_FREE char *text = nx_xml_attr(node, name);
    return text && strcmp(text, value) == 0;
}

enum nx_switch nx_parse_switch(const xmlNode *node, const char *name)
{
    if (nx_parse_is(node, name, "on") || nx_parse_is(node, name, "yes"))
        return NX_ON;
    return xmlHasProp(node, (const xmlChar *)name) ? NX_OFF : NX_UNSAID;
}

char *nx_parse_text(struct nx_machine_parser *p, const xmlNode *node)
{
    char *text = nx_xml_text(node);
    if (!text)
        p->no_memory = true;
    return text;
}

char *nx_parse_child_text(struct nx_machine_parser *p, const xmlNode *node, const char *child)
{
    const xmlNode *found = nx_xml_child(node, child);
    return found ? nx_parse_text(p, found) : NULL;
}

void *nx_parse_append(struct nx_machine_parser *p, void **array, size_t *count, size_t size)
{
    void *grown = reallocarray(*array, *count + 1, size);
    if (!grown) {
        p->no_memory = true;
        return NULL;
    }
    *array = grown;
    void *added = (char *)grown + *count * size;
    memset(added, 0, size);
    (*count)++;
    return added;
}

/* ---- the sections before <devices> --------------------------------------------- */

/* libvirt: KiB if no unit is said; KB is 1000, k and KiB are 1024. */
static uint64_t unit_size(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t size;
    } units[] = {
        { "b", 1 },
        { "bytes", 1 },
        { "KB", 1000 },
        { "MB", 1000 * 1000 },
        { "GB", 1000 * 1000 * 1000 },
        { "TB", UINT64_C(1000) * 1000 * 1000 * 1000 },
        { "M", UINT64_C(1) << 20 },
        { "MiB", UINT64_C(1) << 20 },
        { "G", UINT64_C(1) << 30 },
        { "GiB", UINT64_C(1) << 30 },
        { "T", UINT64_C(1) << 40 },
        { "TiB", UINT64_C(1) << 40 },
    };
    for (size_t i = 0; unit && i < sizeof units / sizeof *units; i++)
        if (strcmp(units[i].name, unit) == 0)
            return units[i].size;
    return 1024;
}

/* The element's text as a number; the schema bounds its length. */
static uint64_t parse_count(struct nx_machine_parser *p, const xmlNode *node)
{
    NX_AUTO_FREE char *text = nx_parse_text(p, node);
    return text ? strtoull(text, NULL, 10) : 0;
}

#define MIN_MEMORY (UINT64_C(1) << 20)
#define MAX_MEMORY (UINT64_C(16) << 40)

static int parse_memory(struct nx_machine_parser *p, const xmlNode *root, struct nx_error *err)
{
    const xmlNode *node = nx_xml_child(root, "memory");
    NX_AUTO_FREE char *unit = nx_xml_attr(node, "unit");
    uint64_t bytes;
    if (__builtin_mul_overflow(parse_count(p, node), unit_size(unit), &bytes) ||
        bytes < MIN_MEMORY || bytes > MAX_MEMORY)
        return nx_fail(err, NX_ERR_FORMAT, "%s:%ld: <memory> is not between 1 MiB and 16 TiB",
                       p->name, xmlGetLineNo(node));
    /* QEMU wants whole pages; libvirt rounds up to MiB. */
    p->machine->memory = (bytes + MIN_MEMORY - 1) & ~(MIN_MEMORY - 1);
    return 0;
}

static int parse_cpu_count(struct nx_machine_parser *p, const xmlNode *root, struct nx_error *err)
{
    struct nx_machine *m = p->machine;
    const xmlNode *node = nx_xml_child(root, "vcpu");
    m->max_cpus = (unsigned)parse_count(p, node);
    m->cpus = nx_parse_uint(node, "current", m->max_cpus);
    if (m->cpus > m->max_cpus)
        return nx_fail(err, NX_ERR_FORMAT, "%s:%ld: <vcpu current='%u'> is more than all %u",
                       p->name, xmlGetLineNo(node), m->cpus, m->max_cpus);
    return 0;
}

static char boot_letter(const xmlNode *boot)
{
    return nx_parse_is(boot, "dev", "hd")      ? 'c'
           : nx_parse_is(boot, "dev", "cdrom") ? 'd'
           : nx_parse_is(boot, "dev", "fd")    ? 'a'
                                               : 'n';
}

static void parse_boot(struct nx_machine *m, const xmlNode *os)
{
    size_t n = 0;
    for (const xmlNode *b = nx_xml_child(os, "boot"); b; b = nx_xml_next(b, "boot"))
        if (!strchr(m->boot, boot_letter(b)) && n + 1 < sizeof m->boot)
            m->boot[n++] = boot_letter(b);
    const xmlNode *menu = nx_xml_child(os, "bootmenu");
    if (menu) {
        m->boot_menu = nx_parse_switch(menu, "enable");
        m->boot_menu_timeout = nx_parse_uint(menu, "timeout", 0);
    }
    m->reboot_timeout = -2;
    const xmlNode *bios = nx_xml_child(os, "bios");
    if (bios) {
        m->bios_useserial = nx_parse_switch(bios, "useserial");
        if (nx_parse_is(bios, "rebootTimeout", "-1"))
            m->reboot_timeout = -1;
        else if (xmlHasProp(bios, (const xmlChar *)"rebootTimeout"))
            m->reboot_timeout = (int)nx_parse_uint(bios, "rebootTimeout", 0);
    }
}

static char *string_or(struct nx_machine_parser *p, char *value, const char *dflt)
{
    if (!value && !p->no_memory) {
        value = strdup(dflt);
        p->no_memory = !value;
    }
    return value;
}

static void parse_os(struct nx_machine_parser *p, const xmlNode *os)
{
    struct nx_machine *m = p->machine;
    const xmlNode *type = nx_xml_child(os, "type");
    m->arch = string_or(p, nx_parse_string(p, type, "arch"), "x86_64");
    m->machine = string_or(p, nx_parse_string(p, type, "machine"), "pc");
    m->q35 = m->machine && (strcmp(m->machine, "q35") == 0 ||
                            strncmp(m->machine, "pc-q35-", strlen("pc-q35-")) == 0);
    m->uefi = nx_parse_is(os, "firmware", "efi");
    const xmlNode *loader = nx_xml_child(os, "loader");
    const xmlNode *nvram = nx_xml_child(os, "nvram");
    if (m->uefi && loader)
        m->secure_boot = nx_parse_switch(loader, "secure");
    if (m->uefi && nvram)
        m->nvram = nx_parse_string(p, nvram, "image");
    parse_boot(m, os);
}

static enum nx_switch feature_state(const xmlNode *features, const char *name)
{
    const xmlNode *node = nx_xml_child(features, name);
    if (!node)
        return NX_UNSAID;
    enum nx_switch state = nx_parse_switch(node, "state");
    return state == NX_UNSAID ? NX_ON : state;
}

static void parse_hyperv(struct nx_machine_parser *p, const xmlNode *hyperv)
{
    struct nx_machine *m = p->machine;
    if (nx_parse_is(hyperv, "mode", "passthrough"))
        m->hyperv_passthrough = NX_ON;
    for (const xmlNode *n = hyperv->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        struct nx_hyperv_feature *f = NX_PARSE_APPEND(p, m->hyperv, m->n_hyperv);
        if (!f)
            return;
        f->name = string_or(p, NULL, (const char *)n->name);
        f->state = nx_parse_switch(n, "state");
        f->retries = nx_parse_uint(n, "retries", 0);
        f->value = nx_parse_string(p, n, "value");
        f->direct = feature_state(n, "direct") == NX_ON;
    }
}

static void parse_features(struct nx_machine_parser *p, const xmlNode *features)
{
    struct nx_machine *m = p->machine;
    const xmlNode *apic = nx_xml_child(features, "apic");
    m->acpi = nx_xml_child(features, "acpi");
    m->apic = apic;
    m->pae = nx_xml_child(features, "pae");
    m->apic_eoi = apic ? nx_parse_switch(apic, "eoi") : NX_UNSAID;
    m->pmu = feature_state(features, "pmu");
    m->vmport = feature_state(features, "vmport");
    m->smm = feature_state(features, "smm");
    m->pvspinlock = feature_state(features, "pvspinlock");
    const xmlNode *kvm = nx_xml_child(features, "kvm");
    if (kvm) {
        m->kvm_hidden = feature_state(kvm, "hidden");
        m->kvm_pv_ipi = feature_state(kvm, "pv-ipi");
    }
    const xmlNode *hyperv = nx_xml_child(features, "hyperv");
    if (hyperv)
        parse_hyperv(p, hyperv);
}

static enum nx_cpu_mode cpu_mode(const xmlNode *cpu)
{
    if (nx_parse_is(cpu, "mode", "host-passthrough"))
        return NX_CPU_HOST_PASSTHROUGH;
    if (nx_parse_is(cpu, "mode", "host-model"))
        return NX_CPU_HOST_MODEL;
    if (nx_parse_is(cpu, "mode", "maximum"))
        return NX_CPU_MAXIMUM;
    return nx_xml_child(cpu, "model") ? NX_CPU_CUSTOM : NX_CPU_DEFAULT;
}

static void parse_cpu_features(struct nx_machine_parser *p, const xmlNode *cpu)
{
    struct nx_cpu *c = &p->machine->cpu;
    for (const xmlNode *n = nx_xml_child(cpu, "feature"); n; n = nx_xml_next(n, "feature")) {
        struct nx_cpu_feature *f = NX_PARSE_APPEND(p, c->features, c->n_features);
        if (!f)
            return;
        f->name = nx_parse_string(p, n, "name");
        f->policy = string_or(p, nx_parse_string(p, n, "policy"), "require");
    }
}

static int parse_topology(struct nx_machine_parser *p, const xmlNode *node, struct nx_error *err)
{
    struct nx_cpu *c = &p->machine->cpu;
    c->sockets = nx_parse_uint(node, "sockets", 1);
    c->dies = nx_parse_uint(node, "dies", 0);
    c->cores = nx_parse_uint(node, "cores", 1);
    c->threads = nx_parse_uint(node, "threads", 1);
    /* Each is at most 1024, so that the product fits. */
    uint64_t all = (uint64_t)c->sockets * (c->dies ? c->dies : 1) * c->cores * c->threads;
    if (all != p->machine->max_cpus)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s:%ld: <topology> makes %llu CPUs, but <vcpu> says %u: make them equal",
                       p->name, xmlGetLineNo(node), (unsigned long long)all, p->machine->max_cpus);
    return 0;
}

static int parse_cpu(struct nx_machine_parser *p, const xmlNode *cpu, struct nx_error *err)
{
    struct nx_cpu *c = &p->machine->cpu;
    const xmlNode *model = nx_xml_child(cpu, "model");
    const xmlNode *topology = nx_xml_child(cpu, "topology");
    const xmlNode *cache = nx_xml_child(cpu, "cache");
    c->mode = cpu_mode(cpu);
    if (model) {
        c->model = nx_parse_text(p, model);
        c->model_vendor_id = nx_parse_string(p, model, "vendor_id");
        if (c->mode == NX_CPU_CUSTOM && c->model && !*c->model)
            return nx_fail(err, NX_ERR_FORMAT, "%s:%ld: the CPU's <model> is empty", p->name,
                           xmlGetLineNo(model));
    }
    c->migratable = nx_parse_switch(cpu, "migratable");
    c->cache_mode = cache ? nx_parse_string(p, cache, "mode") : NULL;
    parse_cpu_features(p, cpu);
    return topology ? parse_topology(p, topology, err) : 0;
}

static void parse_clock(struct nx_machine_parser *p, const xmlNode *clock)
{
    struct nx_machine *m = p->machine;
    NX_AUTO_FREE char *adjustment = nx_parse_string(p, clock, "adjustment");
    m->clock_offset = nx_parse_string(p, clock, "offset");
    m->clock_adjustment = adjustment ? strtoll(adjustment, NULL, 10) : 0;
    m->clock_basis_localtime = nx_parse_is(clock, "basis", "localtime");
    m->clock_start = nx_parse_uint(clock, "start", 0);
    for (const xmlNode *n = nx_xml_child(clock, "timer"); n; n = nx_xml_next(n, "timer")) {
        struct nx_timer *t = NX_PARSE_APPEND(p, m->timers, m->n_timers);
        if (!t)
            return;
        NX_AUTO_FREE char *frequency = nx_parse_string(p, n, "frequency");
        t->name = nx_parse_string(p, n, "name");
        t->present = nx_parse_switch(n, "present");
        t->tickpolicy = nx_parse_string(p, n, "tickpolicy");
        t->track = nx_parse_string(p, n, "track");
        t->frequency = frequency ? strtoull(frequency, NULL, 10) : 0;
    }
}

static void parse_power(struct nx_machine_parser *p, const xmlNode *root)
{
    struct nx_machine *m = p->machine;
    m->on_poweroff = nx_parse_child_text(p, root, "on_poweroff");
    m->on_reboot = nx_parse_child_text(p, root, "on_reboot");
    const xmlNode *pm = nx_xml_child(root, "pm");
    const xmlNode *mem = pm ? nx_xml_child(pm, "suspend-to-mem") : NULL;
    const xmlNode *disk = pm ? nx_xml_child(pm, "suspend-to-disk") : NULL;
    m->suspend_to_mem = mem ? nx_parse_switch(mem, "enabled") : NX_UNSAID;
    m->suspend_to_disk = disk ? nx_parse_switch(disk, "enabled") : NX_UNSAID;
}

static void parse_identity(struct nx_machine_parser *p, const xmlNode *root)
{
    struct nx_machine *m = p->machine;
    m->kvm = nx_parse_is(root, "type", "kvm");
    m->name = nx_parse_child_text(p, root, "name");
    m->title = nx_parse_child_text(p, root, "title");
    m->description = nx_parse_child_text(p, root, "description");
    m->uuid = nx_parse_child_text(p, root, "uuid");
    m->genid = nx_parse_child_text(p, root, "genid");
    if (m->genid && !*m->genid) {
        free(m->genid);
        m->genid = string_or(p, NULL, "auto");
    }
}

static int parse_machine(struct nx_machine_parser *p, const xmlNode *root, struct nx_error *err)
{
    const xmlNode *features = nx_xml_child(root, "features");
    const xmlNode *cpu = nx_xml_child(root, "cpu");
    const xmlNode *clock = nx_xml_child(root, "clock");
    parse_identity(p, root);
    if (parse_memory(p, root, err) < 0 || parse_cpu_count(p, root, err) < 0)
        return -1;
    parse_os(p, nx_xml_child(root, "os"));
    if (features)
        parse_features(p, features);
    if (cpu && parse_cpu(p, cpu, err) < 0)
        return -1;
    if (clock)
        parse_clock(p, clock);
    parse_power(p, root);
    if (nx_parse_devices(p, nx_xml_child(root, "devices"), err) < 0)
        return -1;
    if (p->no_memory)
        return nx_fail(err, NX_ERR_SYSTEM, "%s: out of memory", p->name);
    if (nx_xml_end(0, p->name, err) < 0)
        return -1;
    return nx_machine_complete(p, err);
}

bool nx_machine_is_versioned(const char *type)
{
    regex_t regex;
    if (regcomp(&regex, "^pc-(i440fx|q35)-[0-9]+\\.[0-9]+$", REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool fits = regexec(&regex, type, 0, NULL, 0) == 0;
    regfree(&regex);
    return fits;
}

int nx_machine_parse(const void *xml, size_t len, const char *name, struct nx_machine **ret_machine,
                     struct nx_error *err)
{
    NX_AUTO_XMLDOC xmlDoc *doc = NULL;
    if (nx_domain_validate(xml, len, name, err) < 0 || nx_xml_parse(xml, len, name, &doc, err) < 0)
        return -1;
    NX_AUTO_MACHINE struct nx_machine *machine = calloc(1, sizeof *machine);
    if (!machine)
        return nx_fail_errno(err, "%s", name);
    struct nx_machine_parser p = { .machine = machine, .name = name };
    int ret = parse_machine(&p, xmlDocGetRootElement(doc), err);
    if (nx_xml_end(ret, name, err) < 0)
        return -1;
    *ret_machine = NX_STEAL(machine);
    return 0;
}

size_t nx_machine_images(const struct nx_machine *machine)
{
    size_t n = 0;
    for (size_t i = 0; i < machine->n_disks; i++)
        n += machine->disks[i].image != NULL;
    return n;
}

bool nx_machine_has_screen(const struct nx_machine *machine)
{
    for (size_t i = 0; i < machine->n_videos; i++)
        if (machine->videos[i].model && strcmp(machine->videos[i].model, "none") != 0)
            return true;
    return false;
}

/* ---- the end of it ------------------------------------------------------------- */

static void free_disks(struct nx_machine *m)
{
    for (size_t i = 0; i < m->n_disks; i++) {
        struct nx_disk *d = &m->disks[i];
        free(d->image);
        free(d->dev);
        free(d->serial);
        free(d->wwn);
        free(d->vendor);
        free(d->product);
        free(d->model);
    }
    free(m->disks);
}

static void free_sounds(struct nx_machine *m)
{
    for (size_t i = 0; i < m->n_sounds; i++) {
        for (size_t j = 0; j < m->sounds[i].n_codecs; j++)
            free(m->sounds[i].codecs[j]);
        free(m->sounds[i].codecs);
        free(m->sounds[i].model);
    }
    free(m->sounds);
}

static void free_simple(struct nx_simple_device *devices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(devices[i].model);
        free(devices[i].action);
    }
    free(devices);
}

static void free_devices(struct nx_machine *m)
{
    free_disks(m);
    free_sounds(m);
    for (size_t i = 0; i < m->n_controllers; i++) {
        free(m->controllers[i].model);
        free(m->controllers[i].model_name);
    }
    free(m->controllers);
    for (size_t i = 0; i < m->n_nics; i++)
        free(m->nics[i].model);
    free(m->nics);
    for (size_t i = 0; i < m->n_chardevs; i++) {
        free(m->chardevs[i].target);
        free(m->chardevs[i].name);
    }
    free(m->chardevs);
    for (size_t i = 0; i < m->n_inputs; i++) {
        free(m->inputs[i].type);
        free(m->inputs[i].bus);
        free(m->inputs[i].model);
    }
    free(m->inputs);
    for (size_t i = 0; i < m->n_videos; i++)
        free(m->videos[i].model);
    free(m->videos);
    free_simple(m->rngs, m->n_rngs);
    free_simple(m->watchdogs, m->n_watchdogs);
    free_simple(m->balloons, m->n_balloons);
    free_simple(m->panics, m->n_panics);
    free_simple(m->hubs, m->n_hubs);
}

static void free_features(struct nx_machine *m)
{
    for (size_t i = 0; i < m->cpu.n_features; i++) {
        free(m->cpu.features[i].name);
        free(m->cpu.features[i].policy);
    }
    free(m->cpu.features);
    free(m->cpu.model);
    free(m->cpu.model_vendor_id);
    free(m->cpu.cache_mode);
    for (size_t i = 0; i < m->n_hyperv; i++) {
        free(m->hyperv[i].name);
        free(m->hyperv[i].value);
    }
    free(m->hyperv);
    for (size_t i = 0; i < m->n_timers; i++) {
        free(m->timers[i].name);
        free(m->timers[i].tickpolicy);
        free(m->timers[i].track);
    }
    free(m->timers);
}

void nx_machine_free(struct nx_machine *machine)
{
    if (!machine)
        return;
    free_devices(machine);
    free_features(machine);
    char *strings[] = { machine->name,      machine->title,      machine->description,
                        machine->uuid,      machine->genid,      machine->arch,
                        machine->machine,   machine->nvram,      machine->clock_offset,
                        machine->on_reboot, machine->on_poweroff };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    free(machine);
}
