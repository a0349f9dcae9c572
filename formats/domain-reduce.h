/* SPDX-License-Identifier: MIT */
/* Inside of domain.c: how each element of libvirt's XML is treated.
 *
 * domain-rules.c is a table with a line for each element that is known, domain.c walks
 * the author's document along it, and domain-special.c has the few elements for which
 * a line of a table does not do.  Nothing gets into the reduced document unless the
 * table names it: an element or attribute that nobody thought of is refused where the
 * guest could see it, and left out elsewhere.
 */
#ifndef NX_FORMATS_DOMAIN_REDUCE_H
#define NX_FORMATS_DOMAIN_REDUCE_H

#include <libxml/tree.h>
#include <stdbool.h>

#include "formats/domain.h"

struct nx_reducer {
    struct nx_domain *domain;
    size_t n_images;
    bool refused;   /* at least one note says so */
    bool no_memory; /* sticky */
};

enum nx_reduce_action {
    NX_REDUCE_KEEP,   /* copy the element with its known attributes, and look at its children */
    NX_REDUCE_SKIP,   /* leave it out without a word: everybody has it, nobody misses it */
    NX_REDUCE_DROP,   /* leave it out and say so */
    NX_REDUCE_CHANGE, /* leave it out and say what comes instead (text) */
    NX_REDUCE_REFUSE, /* say why (text) and what to do (remedy) */
};

struct nx_reduce_rule {
    const char *path; /* below <domain>: "devices/disk/target" */
    enum nx_reduce_action action;
    const char *keep; /* KEEP: attributes to copy, "#text" for the text, apart by spaces */
    const char *skip; /* KEEP: attributes to leave out; all others are refused */
    bool omit_empty;  /* KEEP: no element if nothing of it is left */
    const char *text;
    const char *remedy;
    /* KEEP: called when the element was copied, to set right what a table cannot. */
    void (*finish)(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
};

/* The rule for a path, or NULL if the element is unknown. */
const struct nx_reduce_rule *nx_reduce_find(const char *path);

/* Add a note about an element of the author's document. */
void nx_reduce_note(struct nx_reducer *reducer, enum nx_domain_verdict verdict,
                    const xmlNode *source, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* domain-special.c: the functions that the table names. */
void nx_reduce_finish_os(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
void nx_reduce_finish_clock(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
void nx_reduce_finish_disk(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
void nx_reduce_finish_interface(struct nx_reducer *reducer, const xmlNode *source,
                                xmlNode *reduced);
void nx_reduce_finish_chardev(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
void nx_reduce_finish_redirdev(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
void nx_reduce_finish_input(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);
void nx_reduce_finish_rng(struct nx_reducer *reducer, const xmlNode *source, xmlNode *reduced);

#endif
