/* SPDX-License-Identifier: MIT */
/* A package's images as their readers see them: any bytes at any offset.  Any thread. */
#ifndef NX_FETCH_IMAGES_H
#define NX_FETCH_IMAGES_H

#include <stdint.h>

#include "fetch/blobs.h"
#include "fetch/recorder.h"
#include "fetch/tree.h"
#include "formats/manifest.h"

struct nx_images;

/* The arguments must outlive it. */
int nx_images_new(const struct nx_manifest *manifest, struct nx_blobs *blobs,
                  struct nx_report *report, struct nx_images **ret_images, struct nx_error *err);
void nx_images_free(struct nx_images *images);

/* Note what is read from now on; recorder must outlive the images.  Before the first read. */
void nx_images_set_recorder(struct nx_images *images, struct nx_recorder *recorder);

/* Note in map what is read from now on, and what that had to wait for; it must outlive the images.  Before the first read. */
void nx_images_set_map(struct nx_images *images, struct nx_chunkmap *map);

/* A missing chunk of a disk brings its neighbours from now on: for who does not count bytes, or has a boot set, after
 * which little is missing.  Before the first read.
 */
void nx_images_set_generous(struct nx_images *images);

/* Have the root of every image's index, so that a package that cannot be read says so at once. */
int nx_images_open_roots(struct nx_images *images, struct nx_error *err);

/* Read exactly len bytes, which lie within the image; waits for the network as long as it takes
 * (transport.h, nx_transport_set_patient()).
 */
int nx_images_read(struct nx_images *images, unsigned image, uint64_t offset, void *buf, size_t len,
                   struct nx_error *err);

const struct nx_tree *nx_images_tree(const struct nx_images *images);

NX_DEFINE_AUTO(struct nx_images *, images, nx_images_free)
#define NX_AUTO_IMAGES NX_AUTO(images)

#endif
