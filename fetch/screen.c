/* SPDX-License-Identifier: MIT */
#include "fetch/screen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/embed.h"
#include "common/io.h"
#include "common/log.h"
#include "common/process.h"
#include "fetch/display.h"
#include "fetch/program.h"

#define PASSWORD_FILE_MAX 4096
#define DISPLAYS          59635 /* QEMU tries ports from 5900 on for what it is told to close at once */

NX_EMBED(nx_screen_html, "fetch/screen/screen.html");
NX_EMBED(nx_screen_css, "fetch/screen/screen.css");
NX_EMBED(nx_screen_js, "fetch/screen/screen.js");

/* ---- the password ---- */

/* None that look alike, for it may have to be typed. */
static int make_up(char password[static NX_VNC_PASSWORD_MAX + 1], struct nx_error *err)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    size_t len = 0;
    while (len < NX_VNC_PASSWORD_MAX) {
        unsigned char byte;
        if (RAND_bytes(&byte, 1) != 1)
            return nx_fail(err, NX_ERR_SYSTEM, "OpenSSL gives no random numbers");
        byte &= 63; /* each letter is as likely as the others */
        if (byte < sizeof letters - 1)
            password[len++] = letters[byte];
    }
    password[len] = 0;
    return 0;
}

/* The first line of a file. */
static int read_password(const char *path, char password[static NX_VNC_PASSWORD_MAX + 1],
                         struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(0);
    if (nx_read_file(path, PASSWORD_FILE_MAX, &text, err) < 0)
        return nx_fail_while(err, "--vnc-password-file");
    const char *line = (const char *)text.data;
    size_t len = text.len ? strcspn(line, "\r\n") : 0;
    int ret = 0;
    if (len == 0)
        ret = nx_fail(err, NX_ERR_USAGE, "--vnc-password-file: %s: its first line is empty", path);
    else if (len > NX_VNC_PASSWORD_MAX)
        ret = nx_fail(err, NX_ERR_USAGE,
                      "--vnc-password-file: %s: a password of %zu letters: VNC would look at the "
                      "first %d only; give one of at most that many",
                      path, len, NX_VNC_PASSWORD_MAX);
    for (size_t i = 0; ret == 0 && i < len; i++)
        if (line[i] < 0x20 || line[i] > 0x7e)
            ret = nx_fail(err, NX_ERR_USAGE,
                          "--vnc-password-file: %s: letters that not every keyboard has", path);
    if (ret == 0) {
        memcpy(password, line, len);
        password[len] = 0;
    }
    if (text.data)
        OPENSSL_cleanse(text.data, text.len);
    return ret;
}

static int choose_password(struct nx_screen *screen, struct nx_error *err)
{
    const struct nx_options *options = screen->options;
    if (options->no_password)
        return 0;
    if (options->vnc_password_file)
        return read_password(options->vnc_password_file, screen->password, err);
    screen->made_up = true;
    return make_up(screen->password, err);
}

/* ---- the web server ---- */

static int tell_session(void *opaque, struct nx_buffer *body, struct nx_error *err)
{
    const struct nx_screen *screen = opaque;
    return nx_buffer_add(body, screen->session, strlen(screen->session), err);
}

/* To QEMU's WebSocket. */
static int dial(void *opaque)
{
    struct nx_screen *screen = opaque;
    struct sockaddr_in to = { .sin_family = AF_INET };
    to.sin_port = htons((uint16_t)atomic_load(&screen->port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    NX_AUTO_FD int fd =
        to.sin_port ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0 || (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS))
        return -1;
    return nx_steal_fd(&fd);
}

/* The folder of the package novnc, among those where desktops look for such. */
static int find_novnc(char folder[static PATH_MAX], struct nx_error *err)
{
    const char *dirs = getenv("XDG_DATA_DIRS");
    if (!dirs || !*dirs)
        dirs = "/usr/local/share:/usr/share";
    while (*dirs) {
        char file[PATH_MAX];
        int len = (int)strcspn(dirs, ":");
        if (dirs[0] == '/' &&
            snprintf(file, sizeof file, "%.*s/novnc/core/rfb.js", len, dirs) < PATH_MAX &&
            access(file, R_OK) == 0) {
            snprintf(folder, PATH_MAX, "%.*s/novnc", len, dirs);
            return 0;
        }
        dirs += len + (dirs[len] == ':');
    }
    return nx_fail(err, NX_ERR_SYSTEM,
                   "--web: noVNC is missing, which shows a machine's screen in a browser: install "
                   "it (apt install novnc)");
}

static int start_web(struct nx_screen *screen, const char *name, struct nx_error *err)
{
    char novnc[PATH_MAX];
    if (find_novnc(novnc, err) < 0)
        return -1;
    json_t *session = json_pack("{s:s, s:s?}", "name", name, "password",
                                screen->password[0] ? screen->password : NULL);
    screen->session = session ? json_dumps(session, JSON_COMPACT) : NULL;
    json_decref(session);
    if (!screen->session)
        return nx_fail(err, NX_ERR_SYSTEM, "--web: no memory, or a name that is not UTF-8");
    const struct nx_web_route routes[] = {
        { .path = "/", .type = "text/html; charset=utf-8", .text = nx_screen_html },
        { .path = "/screen.css", .type = "text/css; charset=utf-8", .text = nx_screen_css },
        { .path = "/screen.js", .type = "text/javascript; charset=utf-8", .text = nx_screen_js },
        { .path = "/session.json",
          .type = "application/json",
          .answer = tell_session,
          .opaque = screen },
        { .path = "/websocket", .dial = dial, .opaque = screen },
        { .path = "/novnc/", .folder = novnc },
    };
    return nx_webserver_start("web", &screen->options->web_address, routes,
                              sizeof routes / sizeof *routes, &screen->web, err);
}

/* ---- open, announce, close ---- */

static bool is_loopback(const char *vnc)
{
    return strncmp(vnc, "127.", 4) == 0 || strncmp(vnc, "localhost:", 10) == 0 ||
           strncmp(vnc, "[::1]:", 6) == 0 || strncmp(vnc, "::1:", 4) == 0;
}

static void warn(const struct nx_screen *screen)
{
    const struct nx_options *options = screen->options;
    if (options->vnc[0] && options->no_password)
        nx_log(NX_LOG_WARNING,
               "--no-password: whoever reaches %s sees the machine's screen and types into it",
               options->vnc);
    else if (options->vnc[0] && !is_loopback(options->vnc))
        nx_log(NX_LOG_WARNING, "VNC is not encrypted: who is on the way to %s can watch it",
               options->vnc);
    if (screen->web && !nx_webserver_is_loopback(screen->web))
        nx_log(NX_LOG_WARNING,
               "--web: HTTP is not encrypted: who is on the way to %s can watch it; ssh -L to "
               "a port of 127.0.0.1, or a proxy with TLS, is better",
               options->web_address.host);
}

int nx_screen_open(struct nx_screen *screen, const struct nx_options *options, const char *name,
                   struct nx_error *err)
{
    screen->options = options;
    if (!options->vnc[0] && !options->in_browser)
        return 0;
    if (choose_password(screen, err) < 0 ||
        (options->in_browser && start_web(screen, name, err) < 0))
        return -1;
    char any[32];
    snprintf(any, sizeof any, "127.0.0.1:0,to=%d", DISPLAYS);
    snprintf(screen->vnc, sizeof screen->vnc, "%s,power-control=on%s%s",
             options->vnc[0] ? options->vnc : any, screen->password[0] ? ",password=on" : "",
             options->in_browser ? ",websocket=127.0.0.1:0" : "");
    warn(screen);
    return 0;
}

struct nx_vm_screen nx_screen_wish(const struct nx_screen *screen)
{
    return (struct nx_vm_screen){ .password = screen->password[0] ? screen->password : NULL,
                                  .websocket = screen->web != NULL,
                                  .hidden = screen->web && !screen->options->vnc[0] };
}

/* A browser that xdg-open becomes goes on when we end. */
static int outlive_us(void *opaque)
{
    return prctl(PR_SET_PDEATHSIG, 0);
}

/* Not the URL on a command line, where other users would read it: a file that leads to it, in our own folder. */
static int open_browser(const struct nx_screen *screen, const struct nx_instance *instance,
                        struct nx_error *err)
{
    char page[1024];
    pid_t ignored;
    NX_AUTO_FREE char *path = nx_instance_path(instance, "screen.html");
    if (!path)
        return nx_fail_errno(err, "screen.html");
    snprintf(page, sizeof page,
             "<!DOCTYPE html><meta charset=\"utf-8\"><title>nxfetch</title>\n"
             "<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n",
             nx_webserver_url(screen->web));
    if (nx_write_file(path, 0600, page, strlen(page), err) < 0)
        return -1;
    NX_AUTO_ARGS struct nx_args args = { 0 };
    nx_args_add(&args, "xdg-open");
    nx_args_add(&args, path);
    NX_AUTO_FD int null = open("/dev/null", O_WRONLY | O_CLOEXEC); /* browsers talk a lot */
    struct nx_spawn_options options = NX_SPAWN_DEFAULTS;
    options.stderr_fd = null;
    options.new_session = true;
    options.before_exec = outlive_us;
    return nx_spawn(&args, &options, &ignored, err);
}

void nx_screen_announce(struct nx_screen *screen, uint16_t port, const struct nx_instance *instance)
{
    struct nx_error err = NX_ERROR_INIT;
    const struct nx_options *options = screen->options;
    if (options->vnc[0])
        nx_log(NX_LOG_NOTICE, "its screen: vncviewer %s%s%s", options->vnc,
               screen->made_up        ? ", with the password "
               : options->no_password ? ", without a password"
                                      : ", with your password",
               screen->made_up ? screen->password : "");
    if (!screen->web)
        return;
    atomic_store(&screen->port, port);
    nx_log(NX_LOG_NOTICE, "its screen, for whoever has this address: %s",
           nx_webserver_url(screen->web));
    if (nx_has_desktop() && !options->no_browser && open_browser(screen, instance, &err) < 0)
        nx_log(NX_LOG_NOTICE, "no browser is opened: %s", err.msg);
}

void nx_screen_close(struct nx_screen *screen)
{
    nx_webserver_stop(screen->web);
    free(screen->session);
    OPENSSL_cleanse(screen->password, sizeof screen->password);
    screen->web = NULL;
    screen->session = NULL;
}
