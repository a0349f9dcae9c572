/* SPDX-License-Identifier: MIT */
/* Which file?  The root is NXSERVE_ROOT, or else DOCUMENT_ROOT.  PATH_TRANSLATED is the file that
 * the server found for the URL; it is served if it lies below the root.  An explicit NXSERVE_ROOT
 * may also be quite another place, where the server would not look: then PATH_INFO counts from there.
 */
#include "serve/cgi.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/interrupt.h"
#include "common/io.h"
#include "common/types.h"
#include "serve/answer.h"
#include "common/beneath.h"
#include "common/path.h"

#define COPY_BUFFER_SIZE (256 * 1024)

/* The variable's value; NULL if it is missing or empty, which mean the same (section 4.1). */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool nx_cgi_is_request(void)
{
    return variable("GATEWAY_INTERFACE") != NULL;
}

static struct nx_request request_from_environment(void)
{
    const char *method = variable("REQUEST_METHOD");
    return (struct nx_request){
        .method = nx_method_from_name(method ? method : ""),
        .range = variable("HTTP_RANGE"),
        .if_range = variable("HTTP_IF_RANGE"),
        .if_match = variable("HTTP_IF_MATCH"),
        .if_none_match = variable("HTTP_IF_NONE_MATCH"),
        .if_modified_since = variable("HTTP_IF_MODIFIED_SINCE"),
        .if_unmodified_since = variable("HTTP_IF_UNMODIFIED_SINCE"),
    };
}

/* What of path lies below root, with its slash; NULL if it does not.  Only a comparison of
 * texts: that nothing leads out again is for nx_beneath_open() to see to.
 */
static const char *below(const char *path, const char *root)
{
    size_t len = strlen(root);
    while (len > 0 && root[len - 1] == '/')
        len--;
    return strncmp(path, root, len) == 0 && path[len] == '/' ? path + len : NULL;
}

/* The root, and the path from there; NULL if the request names none. */
static const char *find_path(const char **ret_root)
{
    const char *own_root = variable("NXSERVE_ROOT");
    *ret_root = own_root ? own_root : variable("DOCUMENT_ROOT");
    const char *translated = variable("PATH_TRANSLATED");
    const char *path = *ret_root && translated ? below(translated, *ret_root) : NULL;
    return path || !own_root ? path : variable("PATH_INFO");
}

/* Read and drop what the client sent along; servers take a program that does not for a broken one. */
static void drain_input(void)
{
    char buf[4096];
    ssize_t n;
    do
        n = read(STDIN_FILENO, buf, sizeof buf);
    while (n > 0 || (n < 0 && errno == EINTR && !nx_interrupted()));
}

static int make_answer(struct nx_answer *answer, struct nx_error *err)
{
    struct nx_request request = request_from_environment();
    if (request.method == NX_METHOD_OPTIONS)
        return nx_answer_options(answer, err);
    if (request.method == NX_METHOD_OTHER) {
        drain_input();
        return nx_answer_status(answer, 405, err);
    }
    const char *root;
    const char *plain = find_path(&root);
    struct nx_path path;
    unsigned status = plain ? nx_path_from_plain(plain, &path) : 404;
    if (status == 0 && (path.slash || !nx_media_type_of(path.text)->ours))
        status = 404;
    if (status)
        return nx_answer_status(answer, status, err);
    NX_AUTO_FD int root_fd = -1;
    if (nx_beneath_open_root(root, &root_fd, err) < 0)
        return nx_answer_status(answer, 500, err);
    NX_AUTO_FD int fd = nx_beneath_open(root_fd, path.text);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return nx_answer_status(answer, nx_status_of_errno(errno), err);
    if (!S_ISREG(st.st_mode))
        return nx_answer_status(answer, 404, err);
    return nx_answer_file(answer, &request, nx_steal_fd(&fd), &st, path.text, err);
}

static int send_head(const struct nx_answer *answer, int out_fd, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer head = NX_BUFFER_INIT(65536);
    if (nx_buffer_printf(&head, err, "Status: %u %s\r\n", answer->status,
                         nx_status_text(answer->status)) < 0)
        return -1;
    for (size_t i = 0; i < answer->n_headers; i++)
        if (nx_buffer_printf(&head, err, "%s: %s\r\n", answer->headers[i].name,
                             answer->headers[i].value) < 0)
            return -1;
    if (answer->status != 204 &&
        nx_buffer_printf(&head, err, "Content-Length: %ju\r\n", (uintmax_t)answer->length) < 0)
        return -1;
    if (nx_buffer_printf(&head, err, "\r\n") < 0)
        return -1;
    return nx_write_full(out_fd, head.data, head.len, "the web server", err);
}

static int send_body(const struct nx_answer *answer, int out_fd, struct nx_error *err)
{
    NX_AUTO_FREE char *buf = malloc(COPY_BUFFER_SIZE);
    if (!buf)
        return nx_fail_errno(err, "copy buffer");
    for (uint64_t sent = 0; sent < answer->length;) {
        ssize_t n = nx_answer_read(answer, sent, buf, COPY_BUFFER_SIZE);
        if (n < 0)
            return nx_fail_errno(err, "reading the package");
        if (nx_write_full(out_fd, buf, (size_t)n, "the web server", err) < 0)
            return -1;
        sent += (uint64_t)n;
    }
    return 0;
}

int nx_cgi_run(int out_fd, struct nx_error *err)
{
    NX_AUTO_ANSWER struct nx_answer answer = NX_ANSWER_INIT;
    if (make_answer(&answer, err) < 0)
        return -1;
    if (send_head(&answer, out_fd, err) < 0)
        return -1;
    const char *method = variable("REQUEST_METHOD");
    bool head = method && nx_method_from_name(method) == NX_METHOD_HEAD;
    if (head || answer.status == 304)
        return 0;
    return send_body(&answer, out_fd, err);
}
