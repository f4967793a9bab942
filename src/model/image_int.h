/* image_int.h: the repacked weights of a model, kept in a file beside it, so that the next start
 * maps them and copies nothing.
 *
 *     image_head wanted;
 *     image_want(&wanted, &r, m);
 *     if (!image_open(&file, path, &wanted, &found, err)) repack_bind(&r, file.data + IMAGE_DATA);
 *
 * The file is one head, zeros up to IMAGE_DATA, and the block of repack_list. There is nothing in
 * it to be believed: where each matrix lies follows from the model, and the head of an image that
 * belongs to it is known in advance. */
#ifndef VG_IMAGE_INT_H
#define VG_IMAGE_INT_H

#include "model/load_int.h"

enum { IMAGE_DATA = 4096, IMAGE_HASH_BYTES = 1 << 20 };

typedef struct image_head { /* as it stands in the file, little endian */
    char magic[8];
    uint64_t layout;     /* hash of what vg_interleave makes of a pattern, for each type in it */
    uint64_t matrices;   /* hash of the list of matrices */
    uint64_t n_bytes;    /* of the block */
    uint64_t model_bytes;
    uint64_t identity;   /* hash of size, times and inode of the model's files */
    uint64_t content;    /* hash of the model's bytes */
    uint64_t data;       /* hash of the block */
    uint64_t head;       /* hash of all fields above */
} image_head;

/* The head of m's image, but for content and data. */
void image_want(image_head *want, const repack *r, const vg_model *m);
/* Maps the image at `path`, if it is whole and made of a model like the wanted one, in the layout
 * of this build. *found gets its head; whether its identity or content is the model's is for the
 * caller to compare. Errors: NOT_FOUND, IO, FORMAT. */
VG_NODISCARD vg_status image_open(vg_file *f, const char *path, const image_head *want,
                                  image_head *found, vg_err *err);
/* Checks a head of n bytes: FORMAT says what is wrong with it. */
VG_NODISCARD vg_status image_check_head(const void *p, size_t n, const image_head *want,
                                        image_head *found, vg_err *err);
/* Sets the hash of the head, once the other fields are set. */
void image_seal(image_head *h);

/* The hash of bytes that are hashed in pieces of IMAGE_HASH_BYTES, on any thread. */
uint64_t image_hash_pieces(const uint64_t *piece, size_t n);
#endif
