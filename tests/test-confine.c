/* SPDX-License-Identifier: MIT */
#include "fetch/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fetch/engine_confine.h"
#include "tests/support/main.h"

static char base[] = "/tmp/nxpk-confine-XXXXXX";
static char path[256];

static const char *in_base(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static void make_file(const char *name)
{
    int fd = open(in_base(name), O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(write(fd, "secret", 6), 6);
    close(fd);
}

static void make_base(void)
{
    static const char *const folders[] = { "cache", "home", "read", "write", "fill", "listen" };
    ck_assert_ptr_nonnull(mkdtemp(base));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        ck_assert_int_eq(mkdir(in_base(folders[i]), 0700), 0);
    static const char *const files[] = { "home/file", "read/file", "write/file", "fill/file",
                                         "package" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        make_file(files[i]);
}

static void drop_base(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", base);
    ck_assert_int_eq(system(command), 0);
}

/* What is tried in a confined child; it answers with errno, or 0. */
typedef int try_fn(const char *name);

static int answer(int result)
{
    return result < 0 ? errno : 0;
}

static int try_read(const char *name)
{
    return answer(open(in_base(name), O_RDONLY));
}

static int try_write(const char *name)
{
    return answer(open(in_base(name), O_WRONLY));
}

static int try_make(const char *name)
{
    return answer(open(in_base(name), O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int try_remove(const char *name)
{
    return answer(unlink(in_base(name)));
}

static int try_list(const char *name)
{
    return answer(open(in_base(name), O_RDONLY | O_DIRECTORY));
}

static int try_run(const char *name)
{
    execl(name, name, (char *)NULL);
    return errno;
}

static int try_absolute(const char *name)
{
    return answer(open(name, O_RDONLY));
}

static int try_signal(const char *name)
{
    return answer(kill(getppid(), 0));
}

static int try_trace(const char *name)
{
    return answer((int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int try_family(const char *name)
{
    return answer(socket(atoi(name), SOCK_STREAM, 0));
}

static int try_core(const char *name)
{
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_max == 0 ? 0 : 1;
}

/* As root, so that nothing but the confinement can refuse. */
static void check(const char *what, void (*confine)(void), try_fn *try, const char *name,
                  int wanted)
{
    pid_t pid = fork();
    if (pid == 0) {
        confine();
        _exit(try(name));
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == wanted,
                  "%s %s: status 0x%x, wanted errno %d (%s)", what, name, (unsigned)status, wanted,
                  strerror(wanted));
}

static void confine_rules(void)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_confinement c = NX_CONFINEMENT_INIT;
    if (nx_confine_new(&c, &err) < 0 ||
        nx_confine_allow(&c, in_base("read"), NX_MAY_READ, &err) < 0 ||
        nx_confine_allow(&c, in_base("write"), NX_MAY_WRITE, &err) < 0 ||
        nx_confine_allow(&c, in_base("fill"), NX_MAY_FILL, &err) < 0 ||
        nx_confine_allow(&c, in_base("listen"), NX_MAY_LISTEN, &err) < 0 ||
        nx_confine_allow(&c, in_base("package"), NX_MAY_READ, &err) < 0 ||
        nx_confine_allow(&c, in_base("nothing"), NX_MAY_READ, &err) < 0 ||
        nx_confine_allow(&c, "/usr", NX_MAY_RUN, &err) < 0 || nx_confine_enter(&c) < 0)
        _exit(200);
}

static bool has_landlock(void)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_confinement c = NX_CONFINEMENT_INIT;
    bool has = nx_confine_new(&c, &err) == 0;
    nx_confine_release(&c);
    if (!has)
        printf("not tested: %s\n", err.msg);
    return has;
}

struct attempt {
    const char *what;
    try_fn *try;
    const char *name;
    int wanted; /* errno, or 0 */
};

static void check_all(void (*confine)(void), const struct attempt *cases, size_t n)
{
    if (!has_landlock())
        return;
    make_base();
    for (size_t i = 0; i < n; i++)
        check(cases[i].what, confine, cases[i].try, cases[i].name, cases[i].wanted);
    drop_base();
}

START_TEST(rules)
{
    static const struct attempt cases[] = {
        { "read", try_read, "read/file", 0 },
        { "list", try_list, "read", 0 },
        { "write", try_write, "read/file", EACCES },
        { "make", try_make, "read/new", EACCES },
        { "read", try_read, "package", 0 },
        { "write", try_write, "package", EACCES },
        { "write", try_write, "write/file", 0 },
        { "make", try_make, "write/new", EACCES },
        { "remove", try_remove, "write/file", EACCES },
        { "make", try_make, "fill/new", 0 },
        { "remove", try_remove, "fill/file", 0 },
        { "read", try_read, "home/file", EACCES },
        { "list", try_list, "home", EACCES },
        { "remove", try_remove, "home/file", EACCES },
        { "make", try_make, "listen/file", EACCES },
        { "list", try_list, "listen", EACCES },
        { "read", try_absolute, "/etc/passwd", EACCES },
        { "read", try_absolute, "/proc/1/environ", EACCES },
        { "run", try_run, "/bin/true", 0 },
        { "run", try_run, "/etc/profile", EACCES },
    };
    check_all(confine_rules, cases, sizeof cases / sizeof cases[0]);
}
END_TEST

static void confine_engine(void)
{
    char cache[256], package[256];
    struct nx_error err = NX_ERROR_INIT;
    strcpy(cache, in_base("cache/new/folder"));
    strcpy(package, in_base("package"));
    const struct nx_engine_config config = { .path = package, .cache_dir = cache };
    if (nx_engine_confine(&config, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        _exit(200);
    }
}

/* What the engine, should it be taken over, can still do. */
START_TEST(engine)
{
    static const struct attempt cases[] = {
        { "read", try_read, "package", 0 },
        { "write", try_write, "package", EACCES },
        { "make", try_make, "cache/new/folder/x", 0 },
        { "make", try_make, "cache/x", EACCES },
        { "read", try_read, "home/file", EACCES },
        { "make", try_make, "home/x", EACCES },
        { "read", try_absolute, "/etc/passwd", EACCES },
        { "read", try_absolute, "/proc/self/environ", EACCES },
        { "read", try_absolute, "/etc/hosts", 0 },
        { "run", try_run, "/bin/true", EPERM },
        { "trace", try_trace, "", EPERM },
        { "socket of family", try_family, "1", 0 },
        { "socket of family", try_family, "2", 0 },
        { "socket of family", try_family, "10", 0 },
        { "socket of family", try_family, "17" /* packets */, EAFNOSUPPORT },
        { "socket of family", try_family, "40" /* vsock */, EAFNOSUPPORT },
        { "socket of family", try_family, "3" /* AX.25 */, EAFNOSUPPORT },
        { "core", try_core, "", 0 },
    };
    check_all(confine_engine, cases, sizeof cases / sizeof cases[0]);
}
END_TEST

/* Others get no signals of it, where the kernel can do that (ABI 6, Linux 6.12). */
START_TEST(signals)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_confinement c = NX_CONFINEMENT_INIT;
    if (!has_landlock())
        return;
    make_base();
    nx_assert_ok(nx_confine_new(&c, &err), err);
    int wanted = c.abi >= 6 ? EPERM : 0;
    nx_confine_release(&c);
    check("signal", confine_engine, try_signal, "", wanted);
    drop_base();
}
END_TEST

NX_TEST_MAIN("confine", rules, engine, signals)
