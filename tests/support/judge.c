/* SPDX-License-Identifier: MIT */
#include "tests/support/judge.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "fetch/channel.h"
#include "pack/verify.h"
#include "tests/support/main.h"

#define TIME_MAX 30 /* seconds for one judgement; SIGALRM then ends the test */

static char scratch[] = "/tmp/nxpk-judge.XXXXXX";
static char package_path[64], export_dir[64];

void judge_setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    snprintf(package_path, sizeof(package_path), "%s/test.nxpk", scratch);
    snprintf(export_dir, sizeof(export_dir), "%s/export", scratch);
    ck_assert_int_eq(mkdir(export_dir, 0700), 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void judge_teardown(void)
{
    nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    strcpy(scratch + strlen(scratch) - 6, "XXXXXX");
}

const char *judge_file(const struct nx_buffer *package)
{
    struct nx_error err = NX_ERROR_INIT;
    NX_AUTO_FD int fd = open(package_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    nx_assert_ok(nx_pwrite_full(fd, package->data, package->len, 0, package_path, &err), err);
    return package_path;
}

int judge_verify(const char *path, struct nx_error *err)
{
    NX_AUTO_READING struct nx_reading reading = NX_READING_INIT;
    *err = (struct nx_error)NX_ERROR_INIT;
    alarm(TIME_MAX);
    int ret = nx_reading_open(&reading, path, err);
    if (ret == 0)
        ret = nx_verify(&reading, 1, err);
    alarm(0);
    if (ret < 0)
        ck_assert_msg(strncmp(err->msg, path, strlen(path)) == 0, "says \"%s\"", err->msg);
    return ret;
}

/* 0: the images can be read; -1: the engine says why not.  *ret_state: it has the device state. */
static int listen_to(const struct nx_engine *engine, bool *ret_state, struct nx_error *err)
{
    static const uint8_t how = NX_GO_RESUME;
    NX_AUTO_BUFFER struct nx_buffer payload = NX_BUFFER_INIT(NX_CHANNEL_MAX);
    *ret_state = true;
    for (int type = 0;;) {
        struct nx_error broken = NX_ERROR_INIT;
        nx_assert_ok(nx_channel_receive(engine->channel, NULL, &type, &payload, &broken), broken);
        ck_assert_msg(type != 0, "the engine has died");
        if (type == NX_MSG_HEAD) {
            nx_channel_send(engine->channel, NX_MSG_GO, &how, sizeof(how), NULL);
            nx_channel_send(engine->channel, NX_MSG_STARTED, NULL, 0, NULL);
        } else if (type == NX_MSG_NO_STATE) {
            *ret_state = false;
        } else if (type == NX_MSG_READY) {
            return 0;
        } else if (type == NX_MSG_FAILED) {
            memcpy(err, payload.data, sizeof(*err));
            return -1;
        }
    }
}

static void check_content(int fd, const void *data, size_t size, const char *what)
{
    struct nx_error err = NX_ERROR_INIT;
    struct stat st;
    NX_AUTO_FREE uint8_t *have = malloc(size);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_msg((uint64_t)st.st_size == size, "%s has %jd bytes", what, (intmax_t)st.st_size);
    nx_assert_ok(nx_pread_full(fd, have, size, 0, what, &err), err);
    ck_assert_msg(memcmp(have, data, size) == 0, "%s has wrong bytes", what);
}

static void check_exported(const struct test_image *image)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", export_dir, image->name);
    NX_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    check_content(fd, image->data, image->size, image->name);
}

int judge_read(struct nx_engine_config *config, const struct test_image *images, unsigned n,
               struct nx_error *err)
{
    struct nx_engine engine;
    bool has_state;
    *err = (struct nx_error)NX_ERROR_INIT;
    NX_AUTO_FD int state = open(scratch, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ck_assert_int_ge(state, 0);
    config->fuse_fd = config->record_fd = -1;
    config->state_fd = state;
    config->no_fuse_fetch_all = true;
    config->export_dir = export_dir;
    alarm(TIME_MAX);
    nx_assert_ok(nx_engine_start(config, &engine, err), *err);
    int ret = listen_to(&engine, &has_state, err);
    nx_engine_stop(&engine, 5000);
    alarm(0);
    const char *name = config->path ? config->path : config->urls[0];
    if (ret < 0)
        ck_assert_msg(strstr(err->msg, name), "the engine says \"%s\"", err->msg);
    if (ret == 0 && has_state)
        check_content(state, test_device_state, strlen(test_device_state) + 1, "device state");
    for (unsigned i = 0; ret == 0 && i < n; i++)
        if (has_state || images[i].role != NX_IMAGE_MEMORY) /* it is for resuming */
            check_exported(&images[i]);
    return ret;
}
