/* calib_file.c: how far a calibration is, PATH.calib beside the output: the residual stream before
 * a layer, as a GGUF file of one tensor. It is written anew each time, whole or not at all, and
 * holds for one input, text, number of tokens and version, which a hash tells. */
#include <stdio.h>

#include "compress/calib_int.h"
#include "model/gguf_write.h"

static vg_status state_path(const char *path, char out[VG_PATH_BYTES], vg_err *err)
{
    int n = snprintf(out, VG_PATH_BYTES, "%s.calib", path);
    return n > 0 && n < VG_PATH_BYTES ? VG_OK
                                      : VG_FAIL(err, VG_E_LIMIT, "a path of %d bytes", n);
}

static uint64_t run_hash(const calib *k)
{
    const uint64_t facts[] = {compress_input_hash(k->c), vg_hash(k->tok, k->n_tok * sizeof *k->tok),
                              k->n_tok, k->seq_tok};
    return vg_hash(facts, sizeof facts);
}

vg_status calib_keep(calib *k, vg_err *err)
{
    char path[VG_PATH_BYTES];
    vg_gguf_writer *w = NULL;
    uint64_t hash = run_hash(k), begin = vg_os_now_ns();
    const uint64_t dim[] = {k->model->hp.width, k->n_tok};
    VG_TRY(state_path(k->path, path, err));
    VG_TRY(vg_gguf_begin(&w, path, err));
    vg_gguf_put_str(w, "general.type", VG_STR("calibration"));
    vg_gguf_put_u32(w, "run.low", (uint32_t)hash);
    vg_gguf_put_u32(w, "run.high", (uint32_t)(hash >> 32));
    vg_gguf_put_u32(w, "layers", k->n_done);
    vg_gguf_add_tensor(w, VG_STR("stream"), VG_F32, 2, dim);
    vg_status st = vg_gguf_write(w, k->x, k->x_bytes, err);
    if (st) vg_gguf_abandon(w);
    else st = vg_gguf_end(w, err);
    k->kept_ns = vg_os_now_ns();
    k->keeping_ns = k->kept_ns - begin;
    return st;
}

static vg_status read_all(calib *k, vg_gguf *g, vg_err *err)
{
    uint32_t low = 0, high = 0, n_done = 0;
    VG_TRY(vg_gguf_u32(g, "run.low", &low, err));
    VG_TRY(vg_gguf_u32(g, "run.high", &high, err));
    VG_TRY(vg_gguf_u32(g, "layers", &n_done, err));
    const vg_gguf_tensor *t = vg_gguf_tensor_find(g, "stream");
    if (((uint64_t)high << 32 | low) != run_hash(k))
        return VG_FAIL(err, VG_E_FORMAT, "it belongs to a run with another input, text or version");
    if (!t || t->type != VG_F32 || t->n_bytes != k->x_bytes || n_done > k->model->hp.n_layers)
        return VG_FAIL(err, VG_E_FORMAT, "it is damaged");
    memcpy(k->x, t->data, k->x_bytes);
    if (!vg_gguf_intact(g)) return VG_FAIL(err, VG_E_IO, "it was cut short");
    k->n_done = n_done;
    return VG_OK;
}

vg_status state_read(calib *k, vg_err *err)
{
    char path[VG_PATH_BYTES];
    vg_gguf *g = NULL;
    VG_TRY(state_path(k->path, path, err));
    vg_status st = vg_gguf_open(&g, path, NULL, err);
    if (st == VG_E_NOT_FOUND) return st;
    if (!st) st = read_all(k, g, err);
    vg_gguf_close(g);
    if (st) vg_err_context(err, st, "%s (remove it, or run without --resume)", path);
    return st;
}

void calib_remove(const char *path)
{
    char name[VG_PATH_BYTES];
    if (!state_path(path, name, NULL)) remove(name);
}
