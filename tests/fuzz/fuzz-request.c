/* SPDX-License-Identifier: MIT */
/* A request to nxserve, one field a line: path, Range, If-Range, If-Match, If-None-Match,
 * If-Modified-Since, If-Unmodified-Since.  An empty line is a field that is not there.
 */
#include "serve/request.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/site.h"
#include "tests/fuzz/fuzz.h"

#define FILE_SIZE 5000

static char folder[] = "/tmp/nxpk-fuzz.XXXXXX";

static void remove_folder(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/sub/a.nxpk", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/sub", folder);
    rmdir(path);
    rmdir(folder);
}

static int make_folder(void)
{
    char path[64];
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
    snprintf(path, sizeof path, "%s/sub", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/sub/a.nxpk", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, FILE_SIZE) < 0)
        abort();
    close(fd);
    return open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
}

/* The body is what its head promises, and of the file. */
static void check_answer(const struct nx_answer *answer)
{
    char buf[4096];
    uint64_t sum = 0;
    for (size_t i = 0; i < answer->n_segments; i++) {
        const struct nx_segment *s = &answer->segments[i];
        if (s->length && (s->offset > FILE_SIZE || s->length > FILE_SIZE - s->offset))
            abort();
        sum += s->text_length + s->length;
    }
    for (size_t i = 0; i < answer->n_headers; i++)
        if (strpbrk(answer->headers[i].value, "\r\n"))
            abort();
    if (sum != answer->length)
        abort();
    for (uint64_t at = 0; at < sum;) {
        ssize_t n = nx_answer_read(answer, at, buf, sizeof buf);
        if (n <= 0)
            abort();
        at += (uint64_t)n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int root = -1;
    struct nx_error err;
    char *fields[7] = { NULL };
    char *text = strndup((const char *)data, size), *rest = text;
    if (root < 0)
        root = make_folder();
    if (!text)
        return 0;
    for (size_t i = 0; rest && i < sizeof fields / sizeof *fields; i++) {
        char *line = strsep(&rest, "\n");
        fields[i] = *line ? line : NULL;
    }
    const struct nx_request request = { NX_METHOD_GET, fields[1], fields[2], fields[3],
                                        fields[4],     fields[5], fields[6] };
    NX_AUTO_ANSWER struct nx_answer answer = NX_ANSWER_INIT;
    if (nx_site_answer(root, &request, fields[0] ? fields[0] : "", &answer, &err) < 0)
        abort();
    check_answer(&answer);
    free(text);
    return 0;
}
