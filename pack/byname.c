/* SPDX-License-Identifier: MIT */
/* What keeps a package from being torn: a machine that is off is packed from images that nbd holds a lock on, so that QEMU
 * cannot start on them meanwhile, and their times are compared at the end (original.h).  One that runs is off while it is
 * packed, with its memory in libvirt's managed save: should we be killed, that is where it goes on when it is started.
 */
#include "pack/byname.h"

#include <string.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/log.h"
#include "pack/author.h"
#include "pack/screenshot.h"
#include "pack/suspended.h"

/* ---- looking ---- */

/* Can libvirt save it, and start it again, so that we can read what it has saved? */
static int check_suspendable(const struct nx_virt *virt, const struct nx_virt_domain *domain,
                             enum nx_virt_state state, struct nx_error *err)
{
    bool persistent;
    if (state == NX_VIRT_OTHER)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: neither runs nor is paused: it has crashed, shuts down, or sleeps, and "
                       "could not go on as it is",
                       nx_virt_name(domain));
    if (nx_virt_is_system(virt) && geteuid() != 0)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: its memory would be saved by root, where only root can read it: run "
                       "nxpack as root",
                       nx_virt_name(domain));
    if (nx_virt_is_persistent(domain, &persistent, err) < 0)
        return -1;
    if (!persistent)
        return nx_fail(
            err, NX_ERR_SYSTEM,
            "%s: is a transient domain, which libvirt would forget: virsh define it first",
            nx_virt_name(domain));
    return 0;
}

int nx_byname_examine(const struct nx_virt *virt, const struct nx_virt_domain *domain,
                      enum nx_virt_state *ret_state, struct nx_findings *ret_findings,
                      struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    const char *name = nx_virt_name(domain);
    if (nx_virt_state(domain, ret_state, err) < 0)
        return -1;
    if (*ret_state == NX_VIRT_SAVED) {
        NX_AUTO_FREE char *save = nx_virt_save_path(virt, nx_virt_name(domain));
        return save ? nx_findings_of(save, NULL, ret_findings, err)
                    : nx_fail_errno(err, "%s", name);
    }
    if (nx_virt_xml(domain, !nx_virt_is_active(*ret_state), &xml, err) < 0)
        return -1;
    if (!nx_virt_is_active(*ret_state))
        return nx_findings_of(name, &xml, ret_findings, err);
    struct nx_error why = NX_ERROR_INIT;
    if (nx_findings_of_running(name, &xml, ret_findings, err) < 0)
        return -1;
    if (check_suspendable(virt, domain, *ret_state, &why) < 0)
        nx_findings_add(ret_findings, why.msg);
    return 0;
}

/* ---- a machine that is off ---- */

static int pack_saved(const struct nx_virt *virt, const struct nx_virt_domain *domain,
                      const char *out_path, const struct nx_build_options *options,
                      struct nx_error *err)
{
    NX_AUTO_FREE char *save = nx_virt_save_path(virt, nx_virt_name(domain));
    if (!save)
        return nx_fail_errno(err, "%s", nx_virt_name(domain));
    if (access(save, F_OK) < 0)
        return nx_fail_errno(err, "%s: its managed save should be in %s", nx_virt_name(domain),
                             save);
    return nx_build(save, out_path, options, err);
}

/* The managed save, if there is one and nothing else was asked for; else as it is defined. */
static int pack_off(const struct nx_virt *virt, const struct nx_virt_domain *domain, bool saved,
                    const char *out_path, const struct nx_build_options *options,
                    struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    struct nx_build_options with_xml = *options;
    if (saved && !options->no_memory && !options->memory_path)
        return pack_saved(virt, domain, out_path, options, err);
    if (nx_virt_xml(domain, true, &xml, err) < 0)
        return -1;
    with_xml.xml = &xml;
    return nx_build(nx_virt_name(domain), out_path, &with_xml, err);
}

/* ---- one that runs ---- */

struct suspension {
    struct nx_virt_domain *domain;
    bool paused;          /* it was, and will be */
    bool away;            /* it was saved and does not run again yet */
    struct nx_error lost; /* why it could not go on, if so */
};

/* It has its disks back: as soon as they were read, or when all is over. */
static void resume(void *opaque)
{
    struct suspension *s = opaque;
    if (!s->away)
        return;
    s->away = false;
    int ret = nx_virt_start(s->domain, &s->lost);
    nx_interrupt_hold(false);
    if (ret == 0)
        nx_log(NX_LOG_NOTICE, "%s: %s", nx_virt_name(s->domain),
               s->paused ? "is there again, paused as before" : "runs on");
    else /* at once: the rest may take an hour */
        nx_log(NX_LOG_ERROR, "%s: does not run on: %s", nx_virt_name(s->domain), s->lost.msg);
}

/* All that can be known before the machine is disturbed. */
static int check_running(const struct nx_virt *virt, const struct nx_virt_domain *domain,
                         enum nx_virt_state state, const char *out_path,
                         const struct nx_build_options *options, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer xml = NX_BUFFER_INIT(0);
    NX_AUTO_AUTHOR struct nx_author author = { 0 };
    NX_AUTO_NEWFILE struct nx_newfile out = NX_NEWFILE_INIT;
    const char *name = nx_virt_name(domain);
    if (check_suspendable(virt, domain, state, err) < 0)
        return -1;
    if (nx_virt_xml(domain, false, &xml, err) < 0 ||
        nx_author_parse(&author, xml.data, xml.len, name, err) < 0 ||
        nx_suspended_check_xml(&xml, name, author.machine, err) < 0 ||
        (options->screenshot && nx_screenshot_check_machine(author.machine, name, err) < 0) ||
        nx_author_open_images(&author, name, true, err) < 0)
        return -1;
    return nx_newfile_open(&out, out_path, 0644, err); /* can it be written? */
}

/* What the packing came to, and whether the machine goes on. */
static int conclude(const struct suspension *s, int ret, struct nx_error *err)
{
    if (s->lost.code == NX_OK)
        return ret;
    if (ret < 0)
        nx_log(NX_LOG_ERROR, "%s", err->msg);
    *err = s->lost;
    return nx_fail_while(err,
                         "%s%s does not run on; its managed save is kept (virsh start goes on "
                         "from there)",
                         ret < 0 ? "" : "it is packed, but ", nx_virt_name(s->domain));
}

static int pack_running(struct nx_virt *virt, struct nx_virt_domain *domain,
                        enum nx_virt_state state, const char *out_path,
                        const struct nx_build_options *options, struct nx_error *err)
{
    struct suspension s = { .domain = domain, .paused = state == NX_VIRT_PAUSED };
    struct nx_build_options resuming = *options;
    resuming.images_read = resume;
    resuming.opaque = &s;
    if (check_running(virt, domain, state, out_path, options, err) < 0)
        return -1;
    nx_interrupt_hold(true); /* until it runs again */
    int ret = nx_virt_save(domain, err);
    if (ret == 0) {
        s.away = true;
        ret = nx_check_interrupt(err);
        if (ret == 0)
            ret = pack_saved(virt, domain, out_path, &resuming, err);
        resume(&s);
    }
    nx_interrupt_hold(false);
    return conclude(&s, ret, err);
}

/* ---- all ---- */

static int pack_domain(struct nx_virt *virt, struct nx_virt_domain *domain, const char *out_path,
                       bool suspend, const struct nx_build_options *options, struct nx_error *err)
{
    enum nx_virt_state state;
    if (nx_virt_state(domain, &state, err) < 0)
        return -1;
    if (!nx_virt_is_active(state))
        return pack_off(virt, domain, state == NX_VIRT_SAVED, out_path, options, err);
    if (!suspend)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "%s: is %s: shut it down first, or have it saved, packed and resumed by "
                       "--suspend",
                       nx_virt_name(domain),
                       state == NX_VIRT_OTHER ? "not off" : nx_virt_state_name(state));
    if (options->no_memory || options->memory_path)
        return nx_fail(err, NX_ERR_USAGE, "--suspend packs the memory of %s: leave %s away",
                       nx_virt_name(domain), options->no_memory ? "--no-memory" : "--memory");
    return pack_running(virt, domain, state, out_path, options, err);
}

int nx_byname_pack(const char *uri, const char *name, const char *out_path, bool suspend,
                   const struct nx_build_options *options, struct nx_error *err)
{
    NX_AUTO_VIRT struct nx_virt *virt = NULL;
    NX_AUTO_VIRT_DOMAIN struct nx_virt_domain *domain = NULL;
    if (nx_virt_open(uri, &virt, err) < 0 || nx_virt_find(virt, name, &domain, err) < 0)
        return -1;
    return pack_domain(virt, domain, out_path, suspend, options, err);
}
