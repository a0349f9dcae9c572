/* SPDX-License-Identifier: MIT */
#include "serve/site.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/beneath.h"
#include "serve/listing.h"
#include "common/path.h"

/* "/vms" -> "/vms/", so that the page's relative links work.  It is built from the cleaned
 * path, so that it cannot become "//other.host/".
 */
static int answer_redirect(struct nx_answer *answer, const char *path, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer location = NX_BUFFER_INIT(4 * PATH_MAX);
    if (nx_buffer_printf(&location, err, "/") < 0 || nx_path_encode(path, &location, err) < 0 ||
        nx_buffer_printf(&location, err, "/") < 0)
        return -1;
    if (nx_answer_header(answer, err, "Location", "%s", (const char *)location.data) < 0)
        return -1;
    return nx_answer_status(answer, 301, err);
}

static int answer_directory(struct nx_answer *answer, const struct nx_request *request, int dir_fd,
                            const struct nx_path *path, struct nx_error *err)
{
    if (!path->slash)
        return answer_redirect(answer, path->text, err);
    NX_AUTO_FD int index = nx_beneath_open(dir_fd, "index.html");
    struct stat st;
    if (index >= 0 && fstat(index, &st) == 0 && S_ISREG(st.st_mode))
        return nx_answer_file(answer, request, nx_steal_fd(&index), &st, "index.html", err);
    NX_AUTO_BUFFER struct nx_buffer html = NX_BUFFER_INIT(NX_LISTING_BYTES_MAX);
    if (nx_listing_write(dir_fd, path->text, &html, err) < 0)
        return -1;
    return nx_answer_html(answer, &html, err);
}

int nx_site_answer(int root_fd, const struct nx_request *request, const char *url,
                   struct nx_answer *ret_answer, struct nx_error *err)
{
    if (request->method == NX_METHOD_OPTIONS)
        return nx_answer_options(ret_answer, err);
    if (request->method == NX_METHOD_OTHER)
        return nx_answer_status(ret_answer, 405, err);
    struct nx_path path;
    unsigned status = nx_path_from_url(url, &path);
    if (status)
        return nx_answer_status(ret_answer, status, err);
    NX_AUTO_FD int fd = nx_beneath_open(root_fd, path.text);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return nx_answer_status(ret_answer, nx_status_of_errno(errno), err);
    if (S_ISDIR(st.st_mode))
        return answer_directory(ret_answer, request, fd, &path, err);
    if (!S_ISREG(st.st_mode) || path.slash)
        return nx_answer_status(ret_answer, 404, err);
    return nx_answer_file(ret_answer, request, nx_steal_fd(&fd), &st, path.text, err);
}
