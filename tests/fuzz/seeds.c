/* seeds FOLDER: writes what the fuzzers of gguf, model and vocab start from: small, honest files in
 * FOLDER/gguf, FOLDER/model and FOLDER/vocab. They are in the tree; this program is how they came
 * about. */
#include <stdio.h>
#include <string.h>

#include "gguf_make.h"

enum { WIDTH = 8, N_VOCAB = 6, N_FF = 8 };

static void put_vocab(gguf_make *g, const char *kind)
{
    static const char *const bpe[] = {"<s>", "h", "e", "l", "o", "he"};
    static const char *const spm[] = {"<unk>", "\xe2\x96\x81", "h", "<0x65>", "l", "\xe2\x96\x81h"};
    static const char *const wordpiece[] = {"[UNK]", "[CLS]", "[SEP]", "\xe2\x96\x81he",
                                            "llo",   "o"};
    static const char *const merges[] = {"h e"};
    static const float scores[N_VOCAB] = {0, -1, -2, -3, -4, -1};
    static const int32_t types[N_VOCAB] = {3, 1, 1, 1, 1, 1};
    static const int32_t spm_types[N_VOCAB] = {2, 1, 1, 6, 1, 1};
    bool is_bpe = strcmp(kind, "gpt2") == 0, is_bert = strcmp(kind, "bert") == 0;
    make_str(g, "tokenizer.ggml.model", kind);
    make_strs(g, "tokenizer.ggml.tokens", is_bpe ? bpe : is_bert ? wordpiece : spm, N_VOCAB);
    make_i32s(g, "tokenizer.ggml.token_type", is_bpe || is_bert ? types : spm_types, N_VOCAB);
    if (is_bpe) {
        make_str(g, "tokenizer.ggml.pre", "llama-bpe");
        make_strs(g, "tokenizer.ggml.merges", merges, 1);
    } else {
        make_f32s(g, "tokenizer.ggml.scores", scores, N_VOCAB);
    }
    make_u32(g, "tokenizer.ggml.bos_token_id", 0);
    make_u32(g, "tokenizer.ggml.unknown_token_id", 0);
    make_bool(g, "tokenizer.ggml.add_bos_token", true);
}

static void put(gguf_make *g, const char *name, uint64_t n_in, uint64_t n_rows)
{
    float w[WIDTH * WIDTH];
    for (size_t i = 0; i < VG_COUNT(w); i++) w[i] = (float)(i % 7) / 8 - 0.3f;
    make_tensor(g, name, VG_F32, n_rows ? 2 : 1, (uint64_t[]){n_in, n_rows ? n_rows : 1}, w);
}

static void put_llama(gguf_make *g)
{
    make_str(g, "general.architecture", "llama");
    make_u32(g, "llama.block_count", 1);
    make_u32(g, "llama.embedding_length", WIDTH);
    make_u32(g, "llama.context_length", 64);
    make_u32(g, "llama.feed_forward_length", N_FF);
    make_u32(g, "llama.attention.head_count", 2);
    make_u32(g, "llama.attention.head_count_kv", 1);
    make_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    put(g, "token_embd.weight", WIDTH, N_VOCAB);
    put(g, "output_norm.weight", WIDTH, 0);
    put(g, "blk.0.attn_norm.weight", WIDTH, 0);
    put(g, "blk.0.attn_q.weight", WIDTH, WIDTH);
    put(g, "blk.0.attn_k.weight", WIDTH, WIDTH / 2);
    put(g, "blk.0.attn_v.weight", WIDTH, WIDTH / 2);
    put(g, "blk.0.attn_output.weight", WIDTH, WIDTH);
    put(g, "blk.0.ffn_norm.weight", WIDTH, 0);
    put(g, "blk.0.ffn_gate.weight", WIDTH, N_FF);
    put(g, "blk.0.ffn_up.weight", WIDTH, N_FF);
    put(g, "blk.0.ffn_down.weight", N_FF, WIDTH);
}

static void put_bert(gguf_make *g)
{
    static const char *const norms[] = {"token_embd_norm", "blk.0.attn_output_norm",
                                        "blk.0.layer_output_norm"};
    make_str(g, "general.architecture", "bert");
    make_u32(g, "bert.block_count", 1);
    make_u32(g, "bert.embedding_length", WIDTH);
    make_u32(g, "bert.context_length", WIDTH);
    make_u32(g, "bert.feed_forward_length", N_FF);
    make_u32(g, "bert.attention.head_count", 2);
    make_f32(g, "bert.attention.layer_norm_epsilon", 1e-5f);
    make_bool(g, "bert.attention.causal", false);
    make_u32(g, "bert.pooling_type", 1);
    put(g, "token_embd.weight", WIDTH, N_VOCAB);
    put(g, "position_embd.weight", WIDTH, WIDTH);
    put(g, "token_types.weight", WIDTH, 2);
    for (size_t i = 0; i < VG_COUNT(norms); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.weight", norms[i]);
        put(g, name, WIDTH, 0);
        snprintf(name, sizeof name, "%s.bias", norms[i]);
        put(g, name, WIDTH, 0);
    }
    put(g, "blk.0.attn_q.weight", WIDTH, WIDTH);
    put(g, "blk.0.attn_q.bias", WIDTH, 0);
    put(g, "blk.0.attn_k.weight", WIDTH, WIDTH);
    put(g, "blk.0.attn_v.weight", WIDTH, WIDTH);
    put(g, "blk.0.attn_output.weight", WIDTH, WIDTH);
    put(g, "blk.0.ffn_up.weight", WIDTH, N_FF);
    put(g, "blk.0.ffn_up.bias", N_FF, 0);
    put(g, "blk.0.ffn_down.weight", N_FF, WIDTH);
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"gpt2", "llama", "t5", "bert"};
    gguf_make g;
    char path[4096];
    if (argc != 2) return 2;
    for (size_t i = 0; i < VG_COUNT(kinds); i++) {
        make_begin(&g);
        put_vocab(&g, kinds[i]);
        snprintf(path, sizeof path, "%s/vocab/%s", argv[1], kinds[i]);
        make_end_file(&g, path);
    }
    make_begin(&g);
    put_llama(&g);
    put_vocab(&g, "gpt2");
    snprintf(path, sizeof path, "%s/model/llama", argv[1]);
    make_end_file(&g, path);
    make_begin(&g);
    put_bert(&g);
    put_vocab(&g, "bert");
    snprintf(path, sizeof path, "%s/model/bert", argv[1]);
    make_end_file(&g, path);
    make_begin(&g);
    g.version = 2;
    make_u32(&g, "general.alignment", 64);
    g.align = 64;
    put_vocab(&g, "llama");
    make_tensor(&g, "q", VG_Q4_0, 2, (uint64_t[]){32, 2}, NULL);
    make_tensor(&g, "k", VG_Q4_K, 1, (uint64_t[]){256}, NULL);
    snprintf(path, sizeof path, "%s/gguf/version-2", argv[1]);
    make_end_file(&g, path);
    return 0;
}
