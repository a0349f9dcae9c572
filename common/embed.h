/* SPDX-License-Identifier: MIT */
/* A file of the source tree as bytes of the program.  The Makefile names the
 * file as a dependency of the object that embeds it (module.mk, "_EMBEDS").
 */
#ifndef NX_COMMON_EMBED_H
#define NX_COMMON_EMBED_H

/* Define `extern const char name[]`, the file's bytes and a NUL, and name_end at that NUL.
 * path is relative to the source tree.  Use it once a name, at file scope.
 */
#define NX_EMBED(name, path)                                                 \
    __asm__(".pushsection .rodata\n" #name ":\n.incbin \"" path "\"\n" #name \
            "_end:\n.byte 0\n.popsection\n");                                \
    extern const char name[] __attribute__((visibility("hidden")));          \
    extern const char name##_end[] __attribute__((visibility("hidden")))

#endif
