/* The GGUF reader: whatever opens is walked to its last byte, because what the reader promises is
 * that everything it hands out lies inside the file. */
#include "fuzz.h"
#include "model/gguf.h"

static uint64_t walk_kv(const vg_gguf_kv *kv)
{
    uint64_t sum = kv->key.n ? (uint8_t)kv->key.p[kv->key.n - 1] : 0;
    if (kv->type == VG_GGUF_STRING && kv->str.n) sum += (uint8_t)kv->str.p[kv->str.n - 1];
    if (kv->type != VG_GGUF_ARRAY || kv->n == 0) return sum;
    if (kv->item_type != VG_GGUF_STRING) {
        double last = vg_gguf_item_f64(kv, kv->n - 1);
        return sum + (uint64_t)vg_gguf_item_i64(kv, kv->n - 1) + (last > 0);
    }
    for (uint64_t i = 0; i < kv->n; i++)
        if (kv->strs[i].n) sum += (uint8_t)kv->strs[i].p[kv->strs[i].n - 1];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_gguf *g = NULL;
    uint8_t *file = fuzz_aligned(data, n);
    uint64_t sum = 0;
    if (vg_gguf_open_memory(&g, file, n, NULL, &err) == VG_OK) {
        for (size_t i = 0; i < vg_gguf_n_kv(g); i++) sum += walk_kv(vg_gguf_kv_at(g, i));
        for (size_t i = 0; i < vg_gguf_n_tensors(g); i++) {
            const vg_gguf_tensor *t = vg_gguf_tensor_at(g, i);
            sum += t->data[0] + t->data[t->n_bytes - 1];
        }
        vg_gguf_close(g);
    }
    free(file);
    volatile uint64_t sink = sum; /* so that the reads stay */
    VG_UNUSED(sink);
    return 0;
}
