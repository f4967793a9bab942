/* Tokenizers: the input is a GGUF file of which the last bytes, as many as its last byte says, are
 * also the text. Whatever vocabulary loads encodes and decodes. */
#include "fuzz.h"
#include "model/vocab.h"

static void decode(const vg_vocab *v, const vg_tokens *ids)
{
    vg_err err;
    vg_decoder d = {.special = true};
    for (size_t i = 0; i <= ids->n; i++) {
        char text[VG_DECODE_MAX];
        size_t n;
        int32_t id = i < ids->n ? ids->id[i] : -1;
        if (vg_vocab_decode(v, &d, id, text, sizeof text, &n, &err)) return;
        if (vg_utf8_valid(text, n) != n) abort(); /* whole characters only, always */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_gguf *g = NULL;
    vg_vocab *v = NULL;
    const vg_model_opts opts = {.vocab_only = true};
    uint8_t *file = fuzz_aligned(data, n);
    if (vg_gguf_open_memory(&g, file, n, &opts, &err) == VG_OK &&
        vg_vocab_new(&v, g, &err) == VG_OK) {
        vg_tokens ids = {0};
        size_t n_text = VG_MIN((size_t)data[n - 1], n);
        vg_str text = {(const char *)data + n - n_text, n_text};
        if (vg_vocab_encode(v, text, VG_TOK_BOS | VG_TOK_SPECIAL, &ids, &err) == VG_OK)
            decode(v, &ids);
        vg_tokens_free(&ids);
        vg_vocab_free(v);
    }
    if (g) vg_gguf_close(g);
    free(file);
    return 0;
}
