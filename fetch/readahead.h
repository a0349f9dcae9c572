/* SPDX-License-Identifier: MIT */
/* Guessing what an image's reader will ask for next.  A reader that has gone forward for so many bytes
 * without a break is taken to go on for as many more, up to a maximum: so that at most
 * half of what is fetched can be for nothing, and random reads cost no byte.  It is asked for
 * in pieces of at least half of that, so that a stream does not become a request for each chunk.  A
 * guest reads several files at a time, so a few streams are followed at once.
 */
#ifndef NX_FETCH_READAHEAD_H
#define NX_FETCH_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

#define NX_READAHEAD_STREAMS 8
#define NX_READAHEAD_MAX     (1u << 20)   /* bytes ahead of the reader */
#define NX_READAHEAD_GAP     (64u << 10)  /* a jump forward over no more than this is no break */
#define NX_READAHEAD_LEAST   (128u << 10) /* bytes in sequence before anything is guessed */

struct nx_readahead {
    struct nx_stream {
        uint64_t start; /* where the stream began */
        uint64_t end;   /* the byte after its last read */
        uint64_t ahead; /* the byte after what was last said to be worth fetching */
        uint64_t used;  /* clock of its last read; 0: free */
        bool missing;   /* some of it had to be fetched: a reader of what is here needs no guess */
    } streams[NX_READAHEAD_STREAMS];
    uint64_t clock;
};

/* A read of len bytes at offset, of which some were missing and have to be fetched, or none: how many bytes behind it are worth fetching now.  One thread at a time;
 * a struct of zeros is a fresh one.
 */
uint64_t nx_readahead_note(struct nx_readahead *readahead, uint64_t offset, uint64_t len,
                           bool missing);

#endif
