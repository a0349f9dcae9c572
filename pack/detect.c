/* SPDX-License-Identifier: MIT */
#include "pack/detect.h"

#include <magic.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/cleanup.h"

#define HEAD_SIZE 4096

static const struct format {
    const char *name;
    const char *magic; /* how libmagic's words for it begin; NULL: it has none */
    bool has_backing;
} formats[] = {
    { "raw", NULL, false },
    { "qcow2", "QEMU QCOW Image (v3)", true },
    { "qcow2", "QEMU QCOW Image (v2)", true },
    { "qcow2", "QEMU QCOW2 Image", true },
    { "qcow", "QEMU QCOW Image (v1)", true },
    { "qed", "QEMU QED Image", true },
    { "vmdk", "VMware4 disk image", true },
    { "vmdk", "VMware3", true },
    { "vdi", "VirtualBox Disk Image", false },
    { "vhdx", NULL, false },
    { "vpc", "Microsoft Disk Image, Virtual Server or Virtual PC", false },
    { "parallels", NULL, false },
};
#define N_FORMATS (sizeof formats / sizeof formats[0])

static const struct format *find(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const char *nx_image_format(const char *name)
{
    const struct format *format = find(strcmp(name, "vhd") == 0 ? "vpc" : name);
    return format ? format->name : NULL;
}

bool nx_image_format_has_backing(const char *format)
{
    const struct format *found = find(format);
    return found && found->has_backing;
}

NX_DEFINE_AUTO(magic_t, magic, magic_close)

static int describe(const void *head, size_t len, char *ret_text, size_t size, struct nx_error *err)
{
    NX_AUTO(magic) magic_t magic = magic_open(MAGIC_RAW);
    if (!magic)
        return nx_fail_errno(err, "libmagic");
    if (magic_load(magic, NULL) < 0)
        return nx_fail(err, NX_ERR_SYSTEM, "libmagic: %s", magic_error(magic));
    const char *text = magic_buffer(magic, head, len);
    if (!text)
        return nx_fail(err, NX_ERR_SYSTEM, "libmagic: %s", magic_error(magic));
    snprintf(ret_text, size, "%s", text);
    return 0;
}

/* Marks at the start of a file that libmagic does not know, or looks for far behind it. */
static const struct {
    const char *mark, *format;
} marks[] = {
    { "# Disk DescriptorFile", "vmdk" },
    { "vhdxfile", "vhdx" },
    { "WithoutFreeSpace", "parallels" },
    { "WithouFreSpacExt", "parallels" },
};

static const char *detect_ourselves(int fd, const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t n = strlen(marks[i].mark);
        if (len >= n && memcmp(head, marks[i].mark, n) == 0)
            return marks[i].format;
    }
    /* A fixed VHD is a raw image with a footer. */
    char footer[8];
    off_t end = lseek(fd, 0, SEEK_END);
    if (end >= 512 && pread(fd, footer, sizeof footer, end - 512) == sizeof footer &&
        memcmp(footer, "conectix", sizeof footer) == 0)
        return "vpc";
    return NULL;
}

static int detect(int fd, const char **ret_format, struct nx_error *err)
{
    uint8_t head[HEAD_SIZE];
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return nx_fail_errno(err, "reading its head");
    *ret_format = detect_ourselves(fd, head, (size_t)n);
    if (*ret_format || n == 0)
        return 0;
    char text[256];
    if (describe(head, (size_t)n, text, sizeof text, err) < 0)
        return -1;
    for (size_t i = 0; i < N_FORMATS && !*ret_format; i++)
        if (formats[i].magic && strncmp(text, formats[i].magic, strlen(formats[i].magic)) == 0)
            *ret_format = formats[i].name;
    return 0;
}

int nx_image_check_format(int fd, const char *name, const char *format, struct nx_error *err)
{
    const char *found;
    if (detect(fd, &found, err) < 0)
        return nx_fail_while(err, "%s", name);
    const char *really = found ? found : "raw";
    if (strcmp(really, format) == 0)
        return 0;
    if (found)
        return nx_fail(err, NX_ERR_FORMAT,
                       "%s: is said to be %s, but looks like %s: say <driver type='%s'/> if it is "
                       "one",
                       name, format, found, found);
    return nx_fail(err, NX_ERR_FORMAT,
                   "%s: is said to be %s, but is not: correct its <driver type='%s'/>", name,
                   format, format);
}
