/* SPDX-License-Identifier: MIT */
#include "pack/pages.h"

#include <string.h>
#include <sys/uio.h>

#include "common/io.h"
#include "formats/migration.h"
#include "pack/spool.h"

#define PAGE      NX_MIGRATION_PAGE
#define FILLED    (UINT64_C(1) << 63) /* the page is filled with the byte below it */
#define GAP_MAX   64  /* bytes between two pages that are rather read than jumped over */
#define GROUP_MAX 256 /* pages read at once */

struct nx_pages {
    uint64_t size;
    uint64_t *
        where; /* of each page: 0 if it is all zero, FILLED, or 1 more than its offset in the file */
    int fd;
    uint64_t start;
    const char *name;
    struct nx_spool spool; /* open where start is 0 */
};

int nx_pages_new(uint64_t size, int fd, uint64_t start, const char *name, const char *beside,
                 struct nx_pages **ret_pages, struct nx_error *err)
{
    NX_AUTO_PAGES struct nx_pages *p = calloc(1, sizeof *p);
    if (!p)
        return nx_fail_errno(err, "%s", name);
    p->size = size;
    p->fd = fd;
    p->start = start;
    p->name = name;
    p->spool = (struct nx_spool)NX_SPOOL_INIT;
    p->where = calloc(size / PAGE, sizeof *p->where);
    if (!p->where)
        return nx_fail_errno(err, "%s", name);
    if (start == 0 && nx_spool_open(&p->spool, beside, err) < 0)
        return -1;
    *ret_pages = NX_STEAL(p);
    return 0;
}

void nx_pages_free(struct nx_pages *pages)
{
    if (!pages)
        return;
    nx_spool_release(&pages->spool);
    free(pages->where);
    free(pages);
}

int nx_pages_add(struct nx_pages *pages, uint64_t offset, const void *data, uint64_t at,
                 struct nx_error *err)
{
    uint64_t *where = &pages->where[offset / PAGE];
    if (!data) {
        *where = 0;
        return 0;
    }
    if (at == NX_MIGRATION_FILLED) {
        *where = FILLED | *(const uint8_t *)data;
        return 0;
    }
    *where = 1 + (pages->start ? pages->start + at : pages->spool.size);
    return pages->start ? 0 : nx_spool_add(&pages->spool, data, PAGE, err);
}

/* ---- as a source ---- */

static int next_data(void *opaque, uint64_t offset, struct nx_span *ret_run, struct nx_error *err)
{
    const struct nx_pages *p = opaque;
    uint64_t n = p->size / PAGE, first = (offset + PAGE - 1) / PAGE;
    if (offset % PAGE && p->where[offset / PAGE])
        first = offset / PAGE;
    while (first < n && !p->where[first])
        first++;
    uint64_t end = first;
    while (end < n && p->where[end])
        end++;
    uint64_t from = first * PAGE > offset ? first * PAGE : offset;
    *ret_run =
        end > first ? (struct nx_span){ from, end * PAGE - from } : (struct nx_span){ offset, 0 };
    return 0;
}

/* How many pages from the first, which stands in the file, follow each other there with small gaps. */
static size_t group(const uint64_t *where, size_t n)
{
    size_t count = 1;
    if (n > GROUP_MAX)
        n = GROUP_MAX;
    while (count < n && !(where[count] & FILLED) && where[count] >= where[count - 1] + PAGE &&
           where[count] <= where[count - 1] + PAGE + GAP_MAX)
        count++;
    return count;
}

/* Such a group, with what stands between its pages. */
static int read_group(const struct nx_pages *p, const uint64_t *where, size_t count, uint8_t *buf,
                      struct nx_error *err)
{
    uint8_t between[GAP_MAX];
    struct iovec parts[2 * GROUP_MAX];
    int n = 0;
    int fd = p->start ? p->fd : p->spool.fd;
    const char *name = p->start ? p->name : p->spool.name;
    size_t total = (size_t)(where[count - 1] - where[0]) + PAGE;
    for (size_t i = 0; i < count; i++) {
        parts[n++] = (struct iovec){ buf + i * PAGE, PAGE };
        if (i + 1 < count && where[i + 1] > where[i] + PAGE)
            parts[n++] = (struct iovec){ between, (size_t)(where[i + 1] - where[i]) - PAGE };
    }
    if (preadv(fd, parts, n, (off_t)(where[0] - 1)) == (ssize_t)total)
        return 0;
    /* Interrupted, or worse: one by one. */
    for (size_t i = 0; i < count; i++)
        if (nx_pread_full(fd, buf + i * PAGE, PAGE, where[i] - 1, name, err) < 0)
            return -1;
    return 0;
}

static int read_pages(void *opaque, void *buf, size_t len, uint64_t offset, struct nx_error *err)
{
    const struct nx_pages *p = opaque;
    const uint64_t *where = p->where + offset / PAGE;
    size_t count;
    for (size_t i = 0, n = len / PAGE; i < n; i += count) {
        uint8_t *to = (uint8_t *)buf + i * PAGE;
        count = 1;
        if (where[i] == 0) {
            memset(to, 0, PAGE);
        } else if (where[i] & FILLED) {
            memset(to, (int)(where[i] & 0xff), PAGE);
        } else {
            count = group(where + i, n - i);
            if (read_group(p, where + i, count, to, err) < 0)
                return -1;
        }
    }
    return 0;
}

int nx_pages_open(struct nx_pages *pages, struct nx_source **ret_source, struct nx_error *err)
{
    static const struct nx_source_ops ops = { next_data, read_pages };
    if (!pages->start && nx_spool_flush(&pages->spool, err) < 0)
        return -1;
    return nx_source_new(&ops, pages, pages->size, ret_source, err);
}
