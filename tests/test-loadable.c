/* SPDX-License-Identifier: MIT */
/* What a real QEMU, emulating, says of machines before they are resumed; and that a QEMU that is none cannot hold us.
 * Also the filter that keeps QEMU's memory from being read in huge pages.
 */
#include "fetch/loadable.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fetch/vm_calls.h"
#include "tests/support/main.h"

static struct nx_cpu_feature feature;

static struct nx_machine machine_of(const char *type, const char *model, const char *with)
{
    struct nx_machine m = { .arch = (char *)"x86_64",
                            .machine = (char *)type,
                            .cpus = 1,
                            .max_cpus = 1,
                            .memory = 64 << 20 };
    m.cpu.mode = NX_CPU_CUSTOM;
    m.cpu.model = (char *)model;
    feature = (struct nx_cpu_feature){ (char *)with, (char *)"require" };
    m.cpu.features = &feature;
    m.cpu.n_features = with != NULL;
    return m;
}

static bool has_qemu(void)
{
    return access("/usr/bin/qemu-system-x86_64", X_OK) == 0;
}

START_TEST(asks_qemu)
{
    static const struct {
        const char *type, *model, *with, *says;
    } cases[] = {
        { "pc-i440fx-7.2", "qemu64", NULL, NULL },
        { "pc-q35-7.2", "qemu64", "pni", NULL },
        { "pc-i440fx-2.0", "kvm64", NULL, NULL },
        { "pc-i440fx-99.1", "qemu64", NULL, "does not know the machine type pc-i440fx-99.1" },
        { "pc-q35-7.2", "Nonesuch", NULL, "does not know the processor Nonesuch" },
        { "pc-q35-7.2", "Haswell", NULL, "its processor Haswell has" },
        { "pc-q35-7.2", "qemu64", "avx512f", "avx512f" },
    };
    for (size_t i = 0; has_qemu() && i < sizeof cases / sizeof cases[0]; i++) {
        struct nx_error err = NX_ERROR_INIT;
        struct nx_machine m = machine_of(cases[i].type, cases[i].model, cases[i].with);
        int r = nx_loadable_check(&m, "qemu-system-x86_64", "tcg", &err);
        if (!cases[i].says) {
            nx_assert_ok(r, err);
            continue;
        }
        nx_assert_fails(r, err, cases[i].says);
        ck_assert_int_eq(err.code, NX_ERR_FORMAT);
    }
    struct nx_error err = NX_ERROR_INIT;
    struct nx_machine m = machine_of("pc-q35-7.2", "qemu64", NULL);
    m.cpus = m.max_cpus = 1000;
    if (has_qemu())
        nx_assert_fails(nx_loadable_check(&m, "qemu-system-x86_64", "tcg", &err), err,
                        "it has 1000 processors");
}
END_TEST

START_TEST(accelerators_differ)
{
    struct nx_error err = NX_ERROR_INIT;
    struct nx_machine m = machine_of("pc-q35-7.2", "qemu64", NULL);
    nx_assert_fails(nx_loadable_check(&m, "false", "kvm", &err), err, "saved by an emulator");
    m.kvm = true;
    nx_assert_fails(nx_loadable_check(&m, "false", "tcg", &err), err, "saved under KVM");
    ck_assert_int_eq(err.code, NX_ERR_FORMAT);
}
END_TEST

static const char *script(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/test-loadable-%d", (int)getpid());
    FILE *file = fopen(path, "we");
    fprintf(file, "#!/bin/sh\n%s\n", text);
    fclose(file);
    chmod(path, 0755);
    return path;
}

/* What cannot be found out is no "no". */
START_TEST(strange_qemus)
{
    static const struct {
        const char *text, *says;
        enum nx_errcode code;
    } cases[] = {
        { "exit 3", "does not say why", NX_ERR_SYSTEM },
        { "echo nonsense >&2; exit 1", "does not say why", NX_ERR_SYSTEM },
        { "yes 'qemu-system-x86_64: unable to find CPU model' | head -c 1000000 >&2; exit 1",
          "does not know the processor", NX_ERR_FORMAT },
        { "kill -9 $$", "does not say why", NX_ERR_SYSTEM },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nx_error err = NX_ERROR_INIT;
        struct nx_machine m = machine_of("pc-q35-7.2", "qemu64", NULL);
        nx_assert_fails(nx_loadable_check(&m, script(cases[i].text), "tcg", &err), err,
                        cases[i].says);
        ck_assert_int_eq(err.code, cases[i].code);
    }
    struct nx_error err = NX_ERROR_INIT;
    struct nx_machine m = machine_of("pc-q35-7.2", "qemu64", NULL);
    nx_assert_ok(nx_loadable_check(&m, script("read a; read b; exit 0"), "tcg", &err), err);
    nx_assert_fails(nx_loadable_check(&m, "/nonexistent/qemu", "tcg", &err), err, "/nonexistent");
    unlink(script(""));
}
END_TEST

/* In a child: huge pages and Unix sockets are refused, other advice and sockets are not. */
START_TEST(refuses_huge_pages)
{
    ck_assert_int_eq(nx_vm_calls_prepare(true, true), 0);
    pid_t pid = fork();
    if (pid == 0) {
        void *memory =
            mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (nx_vm_calls_refuse() < 0 || memory == MAP_FAILED)
            _exit(2);
        bool refused = madvise(memory, 4 << 20, MADV_HUGEPAGE) < 0 && errno == EINVAL;
        bool no_socket = socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT &&
                         socket(AF_INET, SOCK_STREAM, 0) >= 0;
        bool others = madvise(memory, 4 << 20, MADV_DONTNEED) == 0 &&
                      madvise(memory, 4 << 20, MADV_NOHUGEPAGE) == 0;
        _exit(refused && others && no_socket ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

NX_TEST_MAIN("loadable", asks_qemu, accelerators_differ, strange_qemus, refuses_huge_pages)
