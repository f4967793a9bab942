/* compress.h: what `verge compress` tells at its end: a line a group of tensors, or JSON.
 *
 *     compress_result r = {.c = c, .in_bytes = 1000, .path = "out.gguf", .seconds = 2.5};
 *     VG_TRY(compress_print(&r, false, err));
 */
#ifndef VG_APP_COMPRESS_H
#define VG_APP_COMPRESS_H

#include "compress/compress.h"

typedef struct compress_result {
    const vg_compress *c; /* after its run */
    uint64_t in_bytes;    /* of the input's files */
    const char *path;
    double seconds;
} compress_result;

VG_NODISCARD vg_status compress_print(const compress_result *r, bool json, vg_err *err);
#endif
