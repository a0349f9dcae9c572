/* SPDX-License-Identifier: MIT */
/* `nxfetch mount`: the images as files, for any tool, until Ctrl-C or umount. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/progress.h"
#include "fetch/mounted.h"
#include "fetch/session.h"
#include "fetch/verbs.h"

static json_t *images_json(const struct nx_session *session)
{
    const struct nx_manifest *manifest = session->head->manifest;
    json_t *images = json_array();
    for (unsigned i = 0; i < manifest->n_images; i++) {
        const struct nx_image *image = &manifest->images[i];
        NX_AUTO_FREE char *file = nx_session_image_path(session, image->name);
        json_array_append_new(images, json_pack("{s:s, s:o, s:o}", "name", image->name, "file",
                                                file ? nx_json_text(file) : NULL, "size",
                                                nx_json_number(image->size)));
    }
    return images;
}

/* What scripts wait for: the line, or JSON. */
static int announce(const struct nx_session *session, struct nx_error *err)
{
    char line[8192];
    int fd = session->options->ready_fd;
    if (session->options->json &&
        nx_json_print(json_pack("{s:i, s:o, s:o}", "pid", (int)getpid(), "mounted",
                                nx_json_text(session->images_dir), "images", images_json(session)),
                      err) < 0)
        return -1;
    if (fd < 0 && session->options->json)
        return 0;
    int len = snprintf(line, sizeof line, "mounted %s\n", session->images_dir);
    if (len >= (int)sizeof line)
        len = (int)sizeof line - 1;
    if (nx_write_full(fd >= 0 ? fd : STDOUT_FILENO, line, (size_t)len, "--ready-fd", err) < 0)
        return -1;
    for (unsigned i = 0; i < session->head->manifest->n_images; i++) {
        char size[32];
        nx_log(NX_LOG_INFO, "%s/%s: %s", session->images_dir,
               session->head->manifest->images[i].name,
               nx_human_bytes(session->head->manifest->images[i].size, size));
    }
    if (isatty(STDERR_FILENO))
        nx_log(NX_LOG_NOTICE, "Ctrl-C, or umount %s, ends it", session->images_dir);
    return 0;
}

/* Until a signal comes, or somebody unmounts it: the kernel raises POLLPRI whenever mounts change. */
static int serve(struct nx_session *session, struct nx_error *err)
{
    NX_AUTO_FD int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (mounts < 0)
        return nx_fail_errno(err, "/proc/self/mountinfo");
    while (nx_is_mounted(session->images_dir)) {
        struct pollfd fd = { .fd = mounts, .events = POLLPRI };
        if (nx_session_poll(session, &fd, 1, -1, err) == 0)
            continue;
        bool wanted = err->code == NX_ERR_CANCELLED || !nx_is_mounted(session->images_dir);
        return wanted ? 0 : -1;
    }
    return 0;
}

int nx_verb_mount(const struct nx_options *options, struct nx_error *err)
{
    NX_AUTO_SESSION struct nx_session session = NX_SESSION_INIT;
    if (nx_session_open(&session, options, NX_USE_IMAGES, options->mount_dir, err) < 0 ||
        nx_session_trust(&session, "nothing: its disks become files here", err) < 0 ||
        nx_session_go(&session, NX_GO_COLD, err) < 0)
        return -1;
    nx_progress_end();
    nx_session_set_state(&session, "running");
    if (announce(&session, err) < 0)
        return -1;
    if (nx_session_tell(&session, NX_MSG_STARTED, err) < 0)
        return -1;
    return serve(&session, err);
}
