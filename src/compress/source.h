/* source.h: the GGUF file that a checkpoint folder is for a while, so that it can be made smaller:
 * OUT.source, beside the file OUT that is made of it.
 *
 *     vg_source s = {.resume = true};
 *     VG_TRY(vg_source_begin(&s, "Qwen3-0.6B", "out.gguf", err));
 *     vg_status st = vg_source_make(&s, err);
 *     if (!st) st = smaller(s.path, "out.gguf", err);
 *     if (st != VG_E_CANCELLED && st != VG_E_IO) vg_source_remove(&s);
 */
#ifndef VG_SOURCE_H
#define VG_SOURCE_H

#include "base/os.h"
#include "compress/convert.h"

typedef struct vg_source {
    bool resume; /* take what a stopped run over the same folder left, all or a part of it */
    void *user;
    bool (*progress)(void *user, uint64_t done, uint64_t total); /* see vg_convert_opts */
    const char *dir;
    char path[VG_PATH_BYTES], journal[VG_PATH_BYTES]; /* OUT.source, OUT.source.journal */
    uint64_t n_bytes; /* of the folder's weights: about what OUT.source takes */
    uint64_t folder;  /* a hash of its files' names, sizes and times */
} vg_source;

/* Whether a path is a folder, which vg_source_begin wants. */
bool vg_source_is_folder(const char *path);

/* Looks at the folder. Errors: IO, LIMIT. */
VG_NODISCARD vg_status vg_source_begin(vg_source *s, const char *dir, const char *out,
                                       vg_err *err);
/* Writes s->path. A run that was stopped or killed goes on with `resume`. Errors: those of
 * vg_convert; FORMAT where there is something to resume of another folder or version. */
VG_NODISCARD vg_status vg_source_make(vg_source *s, vg_err *err);
void vg_source_remove(const vg_source *s); /* all that it wrote */
#endif
