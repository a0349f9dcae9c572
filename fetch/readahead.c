/* SPDX-License-Identifier: MIT */
#include "fetch/readahead.h"

static struct nx_stream *find_stream(struct nx_readahead *readahead, uint64_t offset)
{
    struct nx_stream *oldest = &readahead->streams[0];
    for (int i = 0; i < NX_READAHEAD_STREAMS; i++) {
        struct nx_stream *stream = &readahead->streams[i];
        if (stream->used && offset >= stream->end && offset - stream->end <= NX_READAHEAD_GAP)
            return stream;
        if (stream->used < oldest->used)
            oldest = stream;
    }
    oldest->start = offset;
    oldest->ahead = 0;
    oldest->missing = false;
    return oldest;
}

uint64_t nx_readahead_note(struct nx_readahead *readahead, uint64_t offset, uint64_t len,
                           bool missing)
{
    struct nx_stream *stream = find_stream(readahead, offset);
    stream->end = offset + len;
    stream->used = ++readahead->clock;
    stream->missing |= missing;
    uint64_t run = stream->end - stream->start;
    if (!stream->missing || run < NX_READAHEAD_LEAST ||
        run == len) /* a single large read is no sequence */
        return 0;
    uint64_t window = run < NX_READAHEAD_MAX ? run : NX_READAHEAD_MAX;
    if (stream->ahead > stream->end && stream->ahead - stream->end > window / 2)
        return 0;
    stream->ahead = stream->end + window;
    return window;
}
