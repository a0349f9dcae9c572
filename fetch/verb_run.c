/* SPDX-License-Identifier: MIT */
/* Running a machine, from its location to its end.
 *
 *     open        location, engine, verified head        "connecting"
 *     admit       domain, programs, accelerator, trust, resume or boot: whatever can be
 *                 refused is refused here, before anything large is fetched
 *     assemble    firmware, overlays, images             "memory", "starting"
 *     start       QEMU; when it does not take the saved state, once more, to boot
 *     watch       until the guest, the user, QEMU or the engine ends it, or --until, which may
 *                 want a picture of the screen then
 *     finish      always, in this order: QEMU is asked, the engine ended (so that no read
 *                 can hold QEMU any more), QEMU waited for, everything removed
 *
 * The saved memory never meets a disk that has changed since: each run has new, empty overlays, the guest runs
 * at most once in a run (a rejected state is one that has not run), and QEMU's own reset boots from the disks.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/accel.h"
#include "fetch/cmdline.h"
#include "fetch/demand.h"
#include "fetch/dialog.h"
#include "fetch/display.h"
#include "fetch/forward.h"
#include "fetch/loadable.h"
#include "fetch/picture.h"
#include "fetch/program.h"
#include "fetch/screen.h"
#include "fetch/session.h"
#include "fetch/settle.h"
#include "fetch/status.h"
#include "fetch/verbs.h"
#include "fetch/vm.h"
#include "fetch/vm_confine.h"
#include "fetch/vm_firmware.h"
#include "fetch/vm_images.h"
#include "formats/machine.h"
#include "formats/record.h"

#define QUIT_MS        1500 /* for QEMU to end by itself */
#define QUIT_STUCK_MS  300  /* … when it stands still for a page of memory */
#define SETTLE_MS      100  /* between two looks whether the machine has settled */
#define LOOK_MS        1000 /* between two looks whether QEMU should have answered by now */
#define STILL_AFTER_MS 5000 /* that a read waits for the network, before the guest's clock stops */
#define SUMMARY_MAX    256  /* bytes */
#define START_SECONDS  60   /* that QEMU may take to run, if no read of its waits for the network */
#define SHOT_SECONDS   30   /* that it may take for a picture of the screen, likewise */

struct run {
    const struct nx_options *options;
    struct nx_session session;
    struct nx_machine *machine;
    const char *program; /* QEMU */
    const char *accel;
    bool accel_is_states; /* accel is what the saved state needs, not what is best here */
    bool resume;          /* its saved state is loaded */
    int64_t outage; /* nx_now_ms() since when a read has waited for the network; 0: none does */
    struct nx_display display;
    struct nx_screen screen;
    struct nx_firmware firmware; /* unless the machine has a BIOS */
    char *vars;
    char *picture; /* what QEMU writes a picture of the screen into; NULL: it has none */
    struct shot {
        bool wanted;
        uint64_t id;     /* who has asked for it: nx_control_answer_result() */
        char file[4096]; /* where he wants it */
    } shot;
    struct nx_vm_images images;
    struct nx_vm vm;
};

/* ---- admit ---- */

static int read_machine(struct run *run, struct nx_error *err)
{
    const struct nx_head *head = run->session.head;
    char name[512];
    nx_location_name(run->session.location, name);
    const void *xml = head->domain_xml.data;
    size_t len = head->domain_xml.len;
    if (nx_machine_parse(xml, len, "domain.xml", &run->machine, err) < 0)
        return nx_fail_while(err, "%s", name);
    return nx_vm_images_check(run->machine, head->manifest, name, err);
}

static unsigned cpus_of(const struct run *run)
{
    return run->options->cpus ? run->options->cpus : run->machine->cpus;
}

static uint64_t memory_of(const struct run *run)
{
    return run->options->memory ? run->options->memory : run->machine->memory;
}

/* Whoever the user would let on the network at all. */
static bool is_cut_off(const struct run *run)
{
    return run->options->no_network || (run->session.no_network && !run->options->network);
}

/* What a stranger's machine would get of this host. */
static void summarize(const struct run *run, char text[static SUMMARY_MAX])
{
    char memory[32];
    bool network = run->machine->n_nics > 0 && !run->options->no_network;
    bool resumes = run->session.head->manifest->suspended && !run->options->cold;
    snprintf(text, SUMMARY_MAX, "%s of memory, %u CPU%s, %s; it %s",
             nx_human_bytes(memory_of(run), memory), cpus_of(run), cpus_of(run) == 1 ? "" : "s",
             network ? "the network, as a program of yours" : "no network",
             resumes ? "resumes from its author's saved state" : "boots");
}

/* Bytes of memory that programs can have without swapping; 0 if unknown. */
static uint64_t available_memory(void)
{
    NX_AUTO_FILE FILE *file = fopen("/proc/meminfo", "re");
    NX_AUTO_FREE char *line = NULL;
    size_t size = 0;
    uint64_t kib;
    while (file && getline(&line, &size, file) > 0)
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            return kib * 1024;
    return 0;
}

static void warn_of_memory(const struct run *run)
{
    uint64_t available = available_memory(), wanted = memory_of(run);
    char has[32], wants[32];
    if (available && wanted > available)
        nx_log(NX_LOG_WARNING,
               "the machine's memory is %s, and %s are free here; --memory gives it less",
               nx_human_bytes(wanted, wants), nx_human_bytes(available, has));
}

/* QEMU removes whatever stands where it is to listen, even a file: allow that for sockets only. */
static int check_serial(const struct nx_serial *serial, struct nx_error *err)
{
    struct stat st;
    if (serial->kind == NX_SERIAL_UNIX && lstat(serial->path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return nx_fail(err, NX_ERR_SYSTEM, "--serial: %s: is there already, and is no socket",
                       serial->path);
    return 0;
}

static const struct nx_image *memory_image(const struct run *run)
{
    const struct nx_manifest *manifest = run->session.head->manifest;
    for (unsigned i = 0; i < manifest->n_images; i++)
        if (manifest->images[i].role == NX_IMAGE_MEMORY)
            return &manifest->images[i];
    return NULL;
}

/* The machine cannot be resumed: boot it, and say why; or fail, if the user wants that. */
static int go_cold(struct run *run, const char *why, struct nx_error *err)
{
    run->resume = false;
    if (run->options->no_cold)
        return nx_fail(err, NX_ERR_SYSTEM, "the machine cannot be resumed: %s", why);
    nx_dialog_tell("booting the machine instead of resuming it: %s", why);
    return run->accel_is_states ? nx_accel_choose(run->options->accel, &run->accel, err) : 0;
}

/* An emulated machine's state wants an emulator, even where KVM works. */
static int choose_accel(struct run *run, struct nx_error *err)
{
    if (run->resume && run->options->accel == NX_ACCEL_AUTO && !run->machine->kvm) {
        run->accel = "tcg";
        run->accel_is_states = true;
        return 0;
    }
    return nx_accel_choose(run->options->accel, &run->accel, err);
}

/* Resume or boot?  Foretold before anything large is fetched. */
static int decide(struct run *run, struct nx_error *err)
{
    const struct nx_options *options = run->options;
    struct nx_error why = NX_ERROR_INIT;
    bool suspended = run->session.head->manifest->suspended;
    if (options->no_cold && !suspended)
        return nx_fail(err, NX_ERR_USAGE,
                       "--no-cold: the package has no saved memory: it can only be booted");
    run->resume = suspended && !options->cold;
    if (choose_accel(run, err) < 0)
        return -1;
    if (!run->resume)
        return 0;
    if (options->memory || options->cpus)
        return go_cold(run, "--memory and --cpus change it", err);
    if (!run->session.head->signer && !run->session.location->path)
        return go_cold(run, "it is not signed, and a stranger's saved state is not loaded", err);
    const struct nx_image *memory = memory_image(run);
    if (!memory || memory->size != run->machine->memory)
        return go_cold(run, "its saved memory has another size than its domain says", err);
    if (nx_loadable_check(run->machine, run->program, run->accel, &why) < 0) {
        if (why.code != NX_ERR_FORMAT) { /* QEMU will tell */
            nx_log(NX_LOG_INFO, "%s", why.msg);
            return 0;
        }
        return go_cold(run, why.msg, err);
    }
    return 0;
}

/* The machine's name, made printable; name is where it is kept. */
static const char *plain_name(const struct run *run, struct nx_error *name)
{
    nx_fail(name, NX_OK, "%s", run->session.head->manifest->name);
    return name->msg;
}

static int admit(struct run *run, struct nx_error *err)
{
    char summary[SUMMARY_MAX];
    if (read_machine(run, err) < 0)
        return -1;
    if (run->options->screenshot_file && !nx_machine_has_screen(run->machine))
        return nx_fail(err, NX_ERR_USAGE, "--screenshot: the machine has no screen");
    if (run->options->in_browser && !nx_machine_has_screen(run->machine))
        return nx_fail(err, NX_ERR_USAGE,
                       "--web: the machine has no screen; its serial port is --serial=stdio");
    run->program = nx_cmdline_program(run->machine);
    if (nx_need_program(run->program, "qemu-system-x86", err) < 0 ||
        nx_need_program("qemu-img", "qemu-utils", err) < 0 ||
        check_serial(&run->options->serial, err) < 0)
        return -1;
    const struct nx_image *nvram =
        run->machine->nvram ? nx_manifest_image(run->session.head->manifest, run->machine->nvram)
                            : NULL;
    if (run->machine->uefi &&
        nx_firmware_find(run->machine, nvram ? nvram->size : 0, &run->firmware, err) < 0)
        return -1;
    summarize(run, summary);
    if (nx_session_trust(&run->session, summary, err) < 0)
        return -1;
    if (decide(run, err) < 0)
        return -1;
    warn_of_memory(run);
    nx_display_choose(run->options, run->program, &run->display);
    struct nx_error name = NX_ERROR_INIT;
    return nx_screen_open(&run->screen, run->options, plain_name(run, &name), err);
}

/* ---- assemble ---- */

/* A copy that may wait for the network.  It has a thread to itself, so that Ctrl-C is heard meanwhile. */
struct copying {
    const char *from, *to;
    int done_fd; /* eventfd */
    int ret;
    struct nx_error err;
};

static void *copying_thread(void *opaque)
{
    struct copying *copying = opaque;
    copying->ret = nx_firmware_copy_vars(copying->from, copying->to, &copying->err);
    eventfd_write(copying->done_fd, 1);
    return NULL;
}

static int copy_watched(struct run *run, const char *from, const char *to, struct nx_error *err)
{
    NX_AUTO_FD int done_fd = eventfd(0, EFD_CLOEXEC);
    struct copying copying = { .from = from, .to = to, .done_fd = done_fd };
    struct pollfd fd = { .fd = done_fd, .events = POLLIN };
    pthread_t thread;
    if (done_fd < 0)
        return nx_fail_errno(err, "UEFI variables");
    int rc = pthread_create(&thread, NULL, copying_thread, &copying);
    if (rc != 0)
        return nx_fail(err, NX_ERR_SYSTEM, "UEFI variables: %s", strerror(rc));
    int ret = 0;
    while (ret == 0 && !fd.revents)
        ret = nx_session_poll(&run->session, &fd, 1, -1, err);
    if (ret < 0)
        nx_session_stop_engine(&run->session); /* so that its read ends */
    pthread_join(thread, NULL);
    if (ret == 0 && copying.ret < 0)
        *err = copying.err;
    return ret < 0 ? ret : copying.ret;
}

/* This run's own copy of the UEFI variables: the author's, else fresh ones. */
static int copy_vars(struct run *run, struct nx_error *err)
{
    NX_AUTO_FREE char *from = run->machine->nvram
                                  ? nx_session_image_path(&run->session, run->machine->nvram)
                                  : strdup(run->firmware.vars);
    run->vars = nx_instance_path(&run->session.instance, "vars.fd");
    if (!from || !run->vars)
        return nx_fail_errno(err, "UEFI variables");
    return copy_watched(run, from, run->vars, err);
}

static int assemble(struct run *run, struct nx_error *err)
{
    if (nx_vm_images_make(&run->session, run->machine, &run->images, err) < 0 ||
        nx_session_go(&run->session, run->resume ? NX_GO_RESUME : NX_GO_COLD, err) < 0)
        return -1;
    if (run->resume && run->session.no_state.msg[0] &&
        go_cold(run, run->session.no_state.msg, err) < 0)
        return -1;
    if (nx_machine_has_screen(run->machine) &&
        nx_picture_open(&run->session.instance, &run->picture, err) < 0)
        return -1;
    return run->machine->uefi ? copy_vars(run, err) : 0;
}

/* ---- start ---- */

static void pass_note(void *opaque, const char *text)
{
    (void)opaque;
    nx_log(NX_LOG_NOTICE, "%s", text);
}

/* Sound goes where the desktop's does, if there is one. */
static const char *audio_of(const struct run *run)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    NX_AUTO_FREE char *socket = NULL;
    if (!run->display.window || run->machine->n_sounds == 0 || !runtime ||
        asprintf(&socket, "%s/pulse/native", runtime) < 0) {
        socket = NULL;
        return NULL;
    }
    return access(socket, W_OK) == 0 ? "pa" : NULL;
}

/* --until=settled types something in the end, if --serial has not given the port to somebody else. */
static bool types_itself(const struct run *run)
{
    return run->options->until_settled && run->options->serial.kind == NX_SERIAL_NULL &&
           nx_cmdline_has_terminal(run->machine);
}

static int build_command(struct run *run, struct nx_args *ret_args, struct nx_error *err)
{
    NX_AUTO_FREE char *memory =
        run->resume ? nx_session_image_path(&run->session, memory_image(run)->name) : NULL;
    if (run->resume && !memory)
        return nx_fail_errno(err, "memory");
    const struct nx_options *options = run->options;
    struct nx_error title = NX_ERROR_INIT;
    struct nx_cmdline_forward forwards[NX_FORWARDS_MAX];
    for (unsigned i = 0; i < options->n_forwards; i++)
        forwards[i] =
            (struct nx_cmdline_forward){ .udp = options->forwards[i].udp,
                                         .host_address = options->forwards[i].host_address,
                                         .host_port = options->forwards[i].host_port,
                                         .guest_port = options->forwards[i].guest_port };
    struct nx_cmdline_options command = {
        .qemu = run->program,
        .accel = run->accel,
        .images = run->images.images,
        .n_images = run->images.n_images,
        .firmware_code = run->firmware.code,
        .firmware_vars = run->vars,
        .qmp_fd = run->vm.listen_fd,
        .title = plain_name(run, &title),
        .fullscreen = options->fullscreen && run->display.window,
        .display = run->display.qemu,
        .vnc = run->screen.vnc[0] ? run->screen.vnc : NULL,
        .audio = audio_of(run),
        .memory_path = memory,
        .incoming = run->resume ? "defer" : NULL,
        .serial = types_itself(run) ? NX_SERIAL_FD : options->serial.kind,
        .serial_fd = run->vm.serial_fds[0],
        .serial_path = options->serial.path,
        .new_genid = true,
        .new_macs = !options->keep_mac,
        .no_network = is_cut_off(run),
        .forwards = forwards,
        .n_forwards = options->n_forwards,
        .memory = options->memory,
        .cpus = options->cpus,
        .no_sandbox = run->display.runs_helper,
        .note = pass_note,
    };
    return nx_cmdline_build(run->machine, &command, ret_args, err);
}

static void log_command(const struct nx_args *args)
{
    for (size_t i = 0; i < args->argc; i++)
        nx_log(NX_LOG_DEBUG, "QEMU argument %zu: %s", i, args->argv[i]);
}

/* Drivers of IDE, SATA, SCSI and USB disks take silence for a broken disk, after 30 seconds in Linux; virtio's do not.  A
 * kernel that waits for its own memory takes that for a processor that hangs, after 20 seconds.
 */
static bool is_impatient(const struct run *run)
{
    const struct nx_machine *machine = run->machine;
    for (size_t i = 0; i < machine->n_disks; i++)
        if (machine->disks[i].image && machine->disks[i].bus != NX_BUS_VIRTIO)
            return true;
    return run->resume;
}

/* A patient machine goes on with what is here; so do all, for a moment. */
static bool must_stand_still(struct run *run)
{
    if (!run->session.waits)
        run->outage = 0;
    else if (!run->outage)
        run->outage = nx_now_ms();
    return run->outage && is_impatient(run) && nx_now_ms() - run->outage >= STILL_AFTER_MS;
}

/* How long to wait for something to happen; -1: for ever. */
static int wait_ms(const struct run *run)
{
    if (!run->vm.running || !run->vm.screen.up || (run->outage && !run->vm.stands))
        return LOOK_MS;
    if (run->vm.no_space)
        return nx_vm_retry_in(&run->vm);
    return run->options->until_settled || run->options->until_seconds ? SETTLE_MS : -1;
}

/* ---- what somebody asks for by nxfetch screenshot and nxfetch power ---- */

/* The picture is there, or will not be. */
static void settle_shot(struct run *run)
{
    struct nx_error err = NX_ERROR_INIT;
    int ret = -1;
    if (!run->shot.wanted || (run->vm.picture == NX_VM_PICTURE_ASKED && run->vm.qmp))
        return;
    if (run->vm.picture == NX_VM_PICTURE_TAKEN)
        ret = nx_picture_save(run->picture, run->shot.file, &err);
    else if (run->vm.picture == NX_VM_PICTURE_REFUSED)
        err = run->vm.no_picture;
    else
        nx_fail(&err, NX_ERR_SYSTEM, "the machine has ended");
    run->vm.picture = NX_VM_PICTURE_NONE;
    run->shot.wanted = false;
    nx_control_answer_result(run->session.control, run->shot.id, ret, &err);
}

static int begin_shot(struct run *run, const struct nx_control_request *request,
                      struct nx_error *err)
{
    if (!run->picture)
        return nx_fail(err, NX_ERR_SYSTEM, "the machine has no screen");
    if (!run->vm.running || !run->vm.qmp)
        return nx_fail(err, NX_ERR_SYSTEM, "the machine does not run");
    if (run->vm.picture == NX_VM_PICTURE_ASKED)
        return nx_fail(err, NX_ERR_SYSTEM, "another picture is being taken: try again");
    if (nx_vm_take_picture(&run->vm, run->picture, err) < 0)
        return -1;
    run->shot.wanted = true;
    run->shot.id = request->id;
    strcpy(run->shot.file, request->file);
    return 1;
}

static int take_request(void *opaque, const struct nx_control_request *request,
                        struct nx_error *err)
{
    struct run *run = opaque;
    switch (request->what) {
    case NX_ASK_SCREENSHOT:
        return begin_shot(run, request, err);
    case NX_ASK_POWER_OFF:
        return nx_vm_power_off(&run->vm, err);
    case NX_ASK_RESET:
        return nx_vm_reset(&run->vm, err);
    default:
        return nx_fail(err, NX_ERR_USAGE, "a machine cannot be asked for that");
    }
}

/* One round of waiting, for QEMU and everything else. */
static int attend(struct run *run, struct nx_error *err)
{
    struct pollfd fds[NX_VM_POLL_FDS];
    nx_vm_poll_fds(&run->vm, fds);
    if (nx_session_poll(&run->session, fds, NX_VM_POLL_FDS, wait_ms(run), err) < 0)
        return -1;
    if (nx_vm_handle(&run->vm, fds, err) < 0 ||
        nx_vm_stand_still(&run->vm, must_stand_still(run), err) < 0)
        return -1;
    settle_shot(run);
    return nx_vm_retry_writes(&run->vm, err);
}

/* Until the guest runs.  A QEMU that says nothing may wait for the network, or hang. */
static int await_guest(struct run *run, struct nx_error *err)
{
    int64_t since = nx_now_ms();
    while (!(run->vm.running && run->vm.screen.up) && !run->vm.exited) {
        if (attend(run, err) < 0)
            return -1;
        if (run->session.waits || run->session.stats.waiting)
            since = nx_now_ms();
        if (nx_now_ms() - since >= START_SECONDS * INT64_C(1000))
            return nx_fail(err, NX_ERR_SYSTEM,
                           "QEMU does not answer since %d s; -v -v shows how it is called",
                           START_SECONDS);
    }
    /* Its window was closed, or somebody has ended it, while it loaded the state. */
    return run->vm.running
               ? 0
               : nx_fail(err, NX_ERR_CANCELLED, "QEMU was ended before the machine ran");
}

/* That this host cannot confine QEMU so far is no reason not to run it. */
static void confine(struct run *run)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_vm_files files = { .program = run->program,
                                       .instance = &run->session.instance,
                                       .images_dir = run->session.images_dir,
                                       .vars = run->vars,
                                       .picture = run->picture,
                                       .firmware = &run->firmware,
                                       .serial = &run->options->serial,
                                       .display = &run->display };
    run->vm.no_unix_sockets = !run->display.window && run->options->serial.kind != NX_SERIAL_UNIX;
    if (nx_vm_confine(&files, &run->vm.confinement, &err) < 0)
        nx_log(NX_LOG_NOTICE, "%s: so QEMU could read your files if its guest broke out of it",
               err.msg);
}

/* Start QEMU, and wait until the guest runs. */
static int start_once(struct run *run, struct nx_error *err)
{
    NX_AUTO_FREE char *socket = nx_instance_path(&run->session.instance, "qmp");
    NX_AUTO_ARGS struct nx_args args = { 0 };
    if (!socket)
        return nx_fail_errno(err, "QMP");
    if (nx_vm_listen(&run->vm, socket, err) < 0 ||
        (types_itself(run) && nx_vm_open_serial(&run->vm, err) < 0) ||
        build_command(run, &args, err) < 0)
        return -1;
    log_command(&args);
    confine(run);
    if (run->resume && lseek(run->session.state_fd, 0, SEEK_SET) < 0)
        return nx_fail_errno(err, "device state");
    run->vm.incoming_fd = run->resume ? run->session.state_fd : -1;
    run->vm.screen = nx_screen_wish(&run->screen);
    if (nx_vm_start(&run->vm, &args, run->options->serial.kind == NX_SERIAL_STDIO, err) < 0)
        return -1;
    if (await_guest(run, err) == 0)
        return 0;
    if (run->vm.exited && !run->resume && run->display.chosen && run->display.window)
        nx_fail_while(err, "with a window (--display none does without)");
    return -1;
}

/* Has QEMU not taken the state?  Then the guest has not run, and nothing has changed. */
static bool is_rejected(const struct run *run, const struct nx_error *err)
{
    return run->resume && !run->vm.running && (run->vm.exited || run->vm.refused) &&
           err->code != NX_ERR_CANCELLED;
}

static int start(struct run *run, struct nx_error *err)
{
    char why[256], reason[sizeof err->msg];
    int ret = start_once(run, err);
    if (ret == 0 || !is_rejected(run, err))
        return ret;
    snprintf(reason, sizeof reason, "QEMU does not take the saved state: %.512s",
             run->vm.refused ? err->msg : nx_vm_rejection(&run->vm, why));
    nx_vm_stop(&run->vm, QUIT_MS);
    nx_vm_reap(&run->vm);
    if (go_cold(run, reason, err) < 0)
        return -1;
    return start_once(run, err);
}

/* ---- watch ---- */

/* Is this run over by --until?  Pokes the machine when it is to be. */
static bool is_over(struct run *run, struct nx_settle *settle)
{
    const struct nx_options *options = run->options;
    int64_t now = nx_now_ms();
    if (options->until_seconds)
        return now - settle->start >= options->until_seconds * INT64_C(1000);
    if (!options->until_settled)
        return false;
    switch (nx_settle_step(settle, now, run->session.stats.touched, nx_demand_ms(run->vm.pid))) {
    case NX_SETTLE_POKE:
        nx_vm_poke(&run->vm, NULL);
        return false;
    case NX_SETTLE_DONE:
        return true;
    case NX_SETTLE_WAIT:
        break;
    }
    return false;
}

/* The run is over, but not by --until: well, unless a picture was to be taken then. */
static int no_picture(const struct run *run, struct nx_error *err)
{
    return run->options->screenshot_file
               ? nx_fail(err, NX_ERR_CANCELLED, "ended before --until: no screenshot")
               : 0;
}

/* QEMU draws it between two steps of the guest, so it may have to wait for the network first. */
static int take_picture(struct run *run, struct nx_error *err)
{
    int64_t since = nx_now_ms();
    while (run->vm.picture != NX_VM_PICTURE_TAKEN || run->shot.wanted) {
        /* One that was asked for by nxfetch screenshot goes first. */
        if (run->vm.picture == NX_VM_PICTURE_NONE &&
            nx_vm_take_picture(&run->vm, run->picture, err) < 0)
            return -1;
        if (!run->shot.wanted && run->vm.picture == NX_VM_PICTURE_REFUSED)
            return nx_fail(err, run->vm.no_picture.code, "%s", run->vm.no_picture.msg);
        if (run->vm.exited)
            return no_picture(run, err);
        if (attend(run, err) < 0)
            return -1;
        if (run->session.waits)
            since = nx_now_ms();
        if (nx_now_ms() - since >= SHOT_SECONDS * INT64_C(1000))
            return nx_fail(err, NX_ERR_SYSTEM, "QEMU gives no picture of the screen since %d s",
                           SHOT_SECONDS);
    }
    return nx_picture_save(run->picture, run->options->screenshot_file, err);
}

static int watch(struct run *run, struct nx_error *err)
{
    struct nx_settle settle;
    nx_settle_init(&settle, run->resume, nx_now_ms());
    run->session.resumed = run->resume;
    nx_progress_end();
    if (nx_session_tell(&run->session, NX_MSG_STARTED, err) < 0)
        return -1;
    nx_session_set_state(&run->session, "running");
    /* QEMU has them open; without names nothing can leave them behind, not even our being killed. */
    nx_instance_remove_overlays(&run->session.instance);
    nx_dialog_hide_progress(); /* the machine's own window is there */
    struct nx_error name = NX_ERROR_INIT;
    nx_display_announce(run->options, &run->display, plain_name(run, &name));
    nx_screen_announce(&run->screen, run->vm.screen.port, &run->session.instance);
    while (!run->vm.exited && !is_over(run, &settle)) {
        if (attend(run, err) == 0)
            continue;
        if (err->code != NX_ERR_CANCELLED)
            return -1;
        return no_picture(run, err); /* the user may end a running machine */
    }
    return run->options->screenshot_file ? take_picture(run, err) : 0;
}

/* ---- finish ---- */

/* The engine has written it, now that it has ended; an engine that was killed has not. */
static int save_record(const struct run *run, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer json = NX_BUFFER_INIT(NX_RECORD_MAX);
    NX_AUTO_RECORD struct nx_record *record = NULL;
    const char *path = run->options->record_file;
    struct stat st;
    if (fstat(run->session.record_fd, &st) < 0 ||
        nx_buffer_reserve(&json, (size_t)st.st_size, err) < 0)
        return nx_fail_while(err, "%s", path);
    json.len = (size_t)st.st_size;
    if (nx_pread_full(run->session.record_fd, json.data, json.len, 0, path, err) < 0 ||
        nx_record_parse(json.data, json.len, path, &record, err) < 0 ||
        nx_write_file(path, 0644, json.data, json.len, err) < 0)
        return -1;
    nx_log(NX_LOG_NOTICE, "%s: what the machine used: %zu chunks", path, record->count);
    return 0;
}

static void finish(struct run *run)
{
    struct stat st;
    const struct nx_serial *serial = &run->options->serial;
    bool started = run->vm.pid > 0 || run->vm.exited;
    nx_screen_close(&run->screen);
    nx_vm_stop(&run->vm, run->session.waits ? QUIT_STUCK_MS : QUIT_MS);
    nx_session_stop_engine(&run->session);
    nx_vm_reap(&run->vm);
    if (started && serial->kind == NX_SERIAL_UNIX && lstat(serial->path, &st) == 0 &&
        S_ISSOCK(st.st_mode))
        unlink(serial->path); /* a killed QEMU leaves it */
    if (started && serial->kind == NX_SERIAL_STDIO && isatty(STDOUT_FILENO))
        putchar('\n'); /* the guest has left the cursor somewhere in a line */
    nx_vm_images_release(&run->images);
    nx_firmware_release(&run->firmware);
    nx_machine_free(run->machine);
    free(run->vars);
    free(run->picture);
    nx_session_close(&run->session);
}

int nx_verb_run(const struct nx_options *options, struct nx_error *err)
{
    struct run run = { .options = options, .session = NX_SESSION_INIT, .vm = NX_VM_INIT };
    run.session.ask = take_request;
    run.session.ask_opaque = &run;
    nx_dialog_show_progress();
    int ret = nx_forwards_probe(options->forwards, options->n_forwards, err);
    if (ret == 0)
        ret = nx_session_open(&run.session, options, NX_USE_IMAGES, NULL, err);
    if (ret == 0)
        ret = admit(&run, err);
    if (ret == 0)
        ret = assemble(&run, err);
    if (ret == 0)
        ret = start(&run, err);
    if (ret == 0)
        ret = watch(&run, err);
    bool ran = ret == 0;
    if (ret == 0 && (options->record_file || options->json)) { /* all has been counted then */
        nx_vm_stop(&run.vm, run.session.waits ? QUIT_STUCK_MS : QUIT_MS);
        nx_session_stop_engine(&run.session);
    }
    if (ret == 0 && options->record_file)
        ret = save_record(&run, err);
    if (ret == 0 && options->json)
        ret = nx_json_print(nx_status_json(&run.session, NULL, false), err);
    if (ret < 0 && !ran &&
        nx_session_interrupted(&run.session)) /* it also reaches the programs that we run */
        nx_fail(err, NX_ERR_CANCELLED, "interrupted");
    finish(&run);
    return ret;
}
