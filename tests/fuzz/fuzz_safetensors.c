/* The safetensors reader: what opens has its tensors inside the bytes, one after the other. */
#include "compress/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_safetensors *st = NULL;
    if (vg_safetensors_open_memory(&st, data, n, &err)) return 0;
    const uint8_t *end = data + n;
    for (size_t i = vg_safetensors_n(st); i-- > 0;) {
        const vg_st_tensor *t = vg_safetensors_at(st, i);
        if (t->data < data || t->data + t->n_bytes != end) abort();
        end = t->data;
    }
    vg_safetensors_close(st);
    return 0;
}
