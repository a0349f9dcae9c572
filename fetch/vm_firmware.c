/* SPDX-License-Identifier: MIT */
#include "fetch/vm_firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buffer.h"
#include "common/io.h"

#define DESCRIPTOR_MAX 65536
#define VARS_MAX       (16 * 1024 * 1024)

/* What the machine needs of a firmware. */
struct need {
    const char *arch; /* QEMU's name */
    char machine[64]; /* a versioned name, as descriptors have patterns for these */
    bool secure_boot;
    uint64_t vars_size;
};

static bool list_has(const json_t *list, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (json_string_value(item) &&
                                          strcmp(json_string_value(item), text) == 0) return true;
    return false;
}

static bool target_fits(const json_t *descriptor, const struct need *need)
{
    size_t i, k;
    json_t *target, *pattern;
    json_array_foreach(json_object_get(descriptor, "targets"), i, target)
    {
        const char *arch = json_string_value(json_object_get(target, "architecture"));
        if (!arch || strcmp(arch, need->arch) != 0)
            continue;
        json_array_foreach(json_object_get(target, "machines"), k,
                           pattern) if (json_string_value(pattern) &&
                                        fnmatch(json_string_value(pattern), need->machine, 0) ==
                                            0) return true;
    }
    return false;
}

/* Firmware for secure boot runs parts of itself in SMM; a machine without secure boot may lack that. */
static bool features_fit(const json_t *descriptor, const struct need *need)
{
    const json_t *features = json_object_get(descriptor, "features");
    if (need->secure_boot)
        return list_has(features, "secure-boot");
    return !list_has(features, "requires-smm") && !list_has(features, "enrolled-keys");
}

/* Are both files there, and do the package's variables fit the template? */
static bool files_fit(const char *code, const char *vars, const struct need *need)
{
    struct stat st;
    return code && vars && access(code, R_OK) == 0 && stat(vars, &st) == 0 && st.st_size > 0 &&
           st.st_size <= VARS_MAX && (!need->vars_size || (uint64_t)st.st_size == need->vars_size);
}

static int take(struct nx_firmware *firmware, const char *code, const char *vars)
{
    firmware->code = strdup(code);
    firmware->vars = strdup(vars);
    if (firmware->code && firmware->vars)
        return 0;
    nx_firmware_release(firmware);
    return -1;
}

static int try_descriptor(const json_t *descriptor, const struct need *need,
                          struct nx_firmware *firmware)
{
    const char *device, *code, *code_format, *vars, *vars_format;
    if (json_unpack((json_t *)descriptor, "{s:{s:s, s:{s:s, s:s}, s:{s:s, s:s}}}", "mapping",
                    "device", &device, "executable", "filename", &code, "format", &code_format,
                    "nvram-template", "filename", &vars, "format", &vars_format) < 0)
        return -1;
    bool fits = strcmp(device, "flash") == 0 && strcmp(code_format, "raw") == 0 &&
                strcmp(vars_format, "raw") == 0 &&
                list_has(json_object_get(descriptor, "interface-types"), "uefi") &&
                target_fits(descriptor, need) && features_fit(descriptor, need) &&
                files_fit(code, vars, need);
    return fits ? take(firmware, code, vars) : -1;
}

static int only_json(const struct dirent *entry)
{
    return fnmatch("*.json", entry->d_name, FNM_PERIOD) == 0;
}

/* The first descriptor in the folder that fits, in the order of their names (that is their priority). */
static int search_dir(const char *dir, const struct need *need, struct nx_firmware *firmware)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, only_json, alphasort), found = -1;
    for (int i = 0; i < n; i++) {
        NX_AUTO_BUFFER struct nx_buffer text = NX_BUFFER_INIT(DESCRIPTOR_MAX);
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (found < 0 && nx_read_file(path, DESCRIPTOR_MAX, &text, NULL) == 0) {
            json_t *descriptor = json_loadb((const char *)text.data, text.len, 0, NULL);
            found = try_descriptor(descriptor, need, firmware);
            json_decref(descriptor);
        }
        free(entries[i]);
    }
    free(entries);
    return found;
}

/* Where distributions keep it that have no descriptors, or broken ones. */
static int search_known(const struct need *need, struct nx_firmware *firmware)
{
    static const struct {
        const char *arch;
        bool secure_boot;
        const char *code, *vars;
    } known[] = {
        { "x86_64", false, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
        { "x86_64", false, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
        { "x86_64", true, "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
          "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" },
        { "x86_64", false, "/usr/share/edk2/ovmf/OVMF_CODE.fd",
          "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
        { "x86_64", false, "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
          "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
        { "x86_64", false, "/usr/share/qemu/ovmf-x86_64-code.bin",
          "/usr/share/qemu/ovmf-x86_64-vars.bin" },
        { "i386", false, "/usr/share/OVMF/OVMF32_CODE_4M.fd", "/usr/share/OVMF/OVMF32_VARS_4M.fd" },
        { "i386", true, "/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd",
          "/usr/share/OVMF/OVMF32_VARS_4M.fd" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].arch, need->arch) == 0 && known[i].secure_boot == need->secure_boot &&
            files_fit(known[i].code, known[i].vars, need))
            return take(firmware, known[i].code, known[i].vars);
    return -1;
}

int nx_firmware_find(const struct nx_machine *machine, uint64_t vars_size,
                     struct nx_firmware *ret_firmware, struct nx_error *err)
{
    struct need need = { .arch = strcmp(machine->arch, "i686") == 0 ? "i386" : "x86_64",
                         .secure_boot = machine->secure_boot == NX_ON,
                         .vars_size = vars_size };
    bool alias = strchr(machine->machine, '-') == NULL;
    snprintf(need.machine, sizeof need.machine, "%s",
             !alias         ? machine->machine
             : machine->q35 ? "pc-q35-0.0"
                            : "pc-i440fx-0.0");
    if (search_dir("/etc/qemu/firmware", &need, ret_firmware) == 0 ||
        search_dir("/usr/share/qemu/firmware", &need, ret_firmware) == 0 ||
        search_known(&need, ret_firmware) == 0)
        return 0;
    const char *package = strcmp(need.arch, "i386") == 0 ? "ovmf-ia32" : "ovmf";
    if (vars_size)
        return nx_fail(err, NX_ERR_SYSTEM,
                       "no UEFI firmware here whose variables take %llu bytes, as the package's "
                       "do; install the package %s",
                       (unsigned long long)vars_size, package);
    return nx_fail(err, NX_ERR_SYSTEM, "no UEFI firmware%s here; install the package %s",
                   need.secure_boot ? " with secure boot" : "", package);
}

int nx_firmware_copy_vars(const char *from, const char *to, struct nx_error *err)
{
    NX_AUTO_BUFFER struct nx_buffer vars = NX_BUFFER_INIT(VARS_MAX);
    if (nx_read_file(from, VARS_MAX, &vars, err) < 0)
        return nx_fail_while(err, "UEFI variables");
    NX_AUTO_FD int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return nx_fail_errno(err, "%s", to);
    return nx_write_full(fd, vars.data, vars.len, to, err);
}

void nx_firmware_release(struct nx_firmware *firmware)
{
    free(firmware->code);
    free(firmware->vars);
    *firmware = (struct nx_firmware){ NULL, NULL };
}
