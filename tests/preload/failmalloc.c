/* SPDX-License-Identifier: MIT */
#include "tests/preload/failmalloc.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sanitizers allocate before they are ready for code of theirs. */
#define UNWATCHED __attribute__((no_sanitize("address", "undefined", "thread")))
#define EXPORTED  UNWATCHED __attribute__((visibility("default")))
#define DEPTH     40 /* frames of a trace */
#define NEAR      12 /* frames in which the asker is found */

struct tally {
    _Atomic uint64_t counted, failed;
};

static struct tally private_tally, *tally = &private_tally;
static _Atomic uint64_t fail_at; /* 0: none */
static bool fail_after, count_own;
static int trace_fd = -1;
/* In a hook: what it calls may allocate.  No dynamic TLS, which would, too. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* ---- who asks ---- */

struct object {
    uintptr_t start, end; /* of its code */
};

static struct object own, libc, library;
static const char *library_name; /* NULL: whoever asks */

static int find_object(struct dl_phdr_info *info, size_t size, void *opaque)
{
    struct object *object = !info->dlpi_name[0] && !own.end                         ? &own
                            : strstr(info->dlpi_name, "/libc.so.")                  ? &libc
                            : library_name && strstr(info->dlpi_name, library_name) ? &library
                                                                                    : NULL;
    for (int i = 0; object && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X))
            *object = (struct object){ info->dlpi_addr + p->p_vaddr,
                                       info->dlpi_addr + p->p_vaddr + p->p_memsz };
    }
    return 0;
}

static void find_objects(void)
{
    void *frame;
    backtrace(&frame, 1); /* loads the unwinder */
    dl_iterate_phdr(find_object, NULL);
}

static bool is_in(const struct object *object, uintptr_t address)
{
    return address >= object->start && address < object->end;
}

static bool look_if_own(uintptr_t asker)
{
    void *frames[NEAR];
    int n = backtrace(frames, NEAR), i = 0;
    while (i < n && (uintptr_t)frames[i] != asker)
        i++;
    while (i < n && is_in(&libc, (uintptr_t)frames[i]))
        i++;
    return i + 1 < n && is_in(&own, (uintptr_t)frames[i]) &&
           (is_in(&own, (uintptr_t)frames[i + 1]) || is_in(&libc, (uintptr_t)frames[i + 1]));
}

/* Is it the program's own code, or libc on its behalf?  A function of ours that a library calls to allocate (xmlMemSetup)
 * is the library.
 */
static bool is_own(uintptr_t asker)
{
    static _Atomic uintptr_t
        known[1024]; /* by a place in our code: it, or its complement if it is a library's */
    if (is_in(&libc, asker))
        return look_if_own(asker);
    if (!is_in(&own, asker))
        return false;
    _Atomic uintptr_t *place = &known[asker % 1021];
    if (*place != asker && *place != ~asker)
        *place = look_if_own(asker) ? asker : ~asker;
    return *place == asker;
}

static bool is_counted(uintptr_t asker)
{
    if (library_name)
        return is_in(&library, asker);
    return !count_own || is_own(asker);
}

static void write_trace(void)
{
    void *frames[DEPTH];
    backtrace_symbols_fd(frames, backtrace(frames, DEPTH), trace_fd);
    (void)!write(trace_fd, "\n", 1);
}

UNWATCHED static bool must_fail(void *asker)
{
    if (!fail_at || inside)
        return false;
    inside = true;
    bool fails = false;
    if (is_counted((uintptr_t)asker)) {
        uint64_t n = ++tally->counted;
        fails = n == fail_at || (fail_after && n > fail_at);
    }
    if (fails) {
        tally->failed++;
        if (trace_fd >= 0)
            write_trace();
        errno = ENOMEM;
    }
    inside = false;
    return fails;
}

/* ---- the control ---- */

void failmalloc_arm(uint64_t n, bool after)
{
    *tally = (struct tally){ 0, 0 };
    fail_after = after;
    fail_at = n;
}

void failmalloc_count_own(bool only)
{
    if (only && !own.end)
        find_objects();
    count_own = only;
}

bool failmalloc_disarm(uint64_t *ret_counted)
{
    fail_at = 0;
    if (ret_counted)
        *ret_counted = tally->counted;
    return tally->failed > 0;
}

static int open_file(const char *variable)
{
    const char *path = getenv(variable);
    return path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600) : -1;
}

static void share_tally(void)
{
    int fd = open_file("NX_FAIL_TALLY");
    if (fd < 0 || ftruncate(fd, sizeof *tally) < 0)
        return;
    void *shared = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED)
        tally = shared;
    close(fd);
}

__attribute__((constructor)) static void start(void)
{
    const char *wanted = getenv("NX_FAIL_ALLOC"), *program = getenv("NX_FAIL_PROGRAM");
    if (!wanted || (program && strcmp(program, program_invocation_short_name) != 0))
        return;
    char *end;
    uint64_t n = strtoull(wanted, &end, 10);
    library_name = getenv("NX_FAIL_OF");
    find_objects();
    share_tally();
    trace_fd = open_file("NX_FAIL_TRACE");
    count_own = getenv("NX_FAIL_OWN") != NULL;
    fail_after = *end == '+';
    fail_at = n;
}

/* ---- the allocator ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* AddressSanitizer's, whose own malloc() this one hides. */
#define WEAK __attribute__((weak))
WEAK void *__interceptor_malloc(size_t size);
WEAK void *__interceptor_calloc(size_t count, size_t size);
WEAK void *__interceptor_realloc(void *old, size_t size);
WEAK void *__interceptor_memalign(size_t alignment, size_t size);

#define BELOW(name) (__interceptor_##name ? __interceptor_##name : __libc_##name)
#define REFUSED     must_fail(__builtin_return_address(0))

EXPORTED void *malloc(size_t size)
{
    return REFUSED ? NULL : BELOW(malloc)(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    return REFUSED ? NULL : BELOW(calloc)(count, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
    return REFUSED ? NULL : BELOW(realloc)(old, size);
}

EXPORTED void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (REFUSED || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return BELOW(realloc)(old, bytes);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    return REFUSED ? NULL : BELOW(memalign)(alignment, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    return REFUSED ? NULL : BELOW(memalign)(alignment, size);
}

EXPORTED int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *p = REFUSED ? NULL : BELOW(memalign)(alignment, size);
    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}

UNWATCHED static char *copy(const char *text, size_t len)
{
    char *p = BELOW(malloc)(len + 1);
    if (!p)
        return NULL;
    memcpy(p, text, len);
    p[len] = 0;
    return p;
}

/* AddressSanitizer's would not ask malloc(). */
#undef strdup
EXPORTED char *strdup(const char *text)
{
    return REFUSED ? NULL : copy(text, strlen(text));
}

#undef strndup
EXPORTED char *strndup(const char *text, size_t max)
{
    return REFUSED ? NULL : copy(text, strnlen(text, max));
}
