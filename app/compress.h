/* compress.h: the parts of `verge compress`: what it decides for a target, and what it tells at its
 * end: a line a group of tensors, or JSON.
 *
 *     compress_target target = {0};
 *     VG_TRY(compress_target_decide(&target, &wish, "in.gguf", &opts, err));
 *     compress_result r = {.c = c, .target = &target, .path = "out.gguf", .seconds = 2.5};
 *     VG_TRY(compress_print(&r, false, err));
 */
#ifndef VG_APP_COMPRESS_H
#define VG_APP_COMPRESS_H

#include "app/plan_model.h"
#include "compress/compress.h"

typedef struct compress_use { /* what a file is compressed for; no target: nothing in particular */
    const char *target, *targets;
    int64_t ctx, users;
    const char *kv;
} compress_use;

typedef struct compress_target { /* what was decided */
    const char *name; /* NULL: no target */
    plan_use use;
    plan_advice advice;
    double room_bytes, planned_bytes;
} compress_target;

/* Decides by what `verge plan` advises for the model at `path`: sets the mix or the size, and the
 * cache, and says on stderr what and why. Errors: USAGE (no such target), LIMIT (it fits in no
 * type; the message says what would be needed), those of plan_model_read. */
VG_NODISCARD vg_status compress_target_decide(compress_target *out, const compress_use *use,
                                              const char *path, vg_compress_opts *opts,
                                              vg_err *err);

typedef struct compress_result {
    const vg_compress *c; /* after its run */
    const compress_target *target;
    uint64_t in_bytes;    /* of the input's files */
    const char *path;
    double seconds;
} compress_result;

VG_NODISCARD vg_status compress_print(const compress_result *r, bool json, vg_err *err);
#endif
