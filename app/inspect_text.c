/* inspect_text.c: an inspected file for people, the summary first, the long lists behind it, the
 * warnings at the end where they are seen. Whatever comes from the file goes through
 * cli_print_clean, so that it cannot drive a terminal, and is cut to a line. */
#include <inttypes.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/inspect.h"
#include "base/json.h"

enum { TEXT_SHOWN = 100, ITEM_SHOWN = 24, ITEMS_SHOWN = 6, LABEL_WIDTH = 16 };

static void print_cut(vg_str s, size_t most)
{
    size_t n = VG_MIN(s.n, most);
    /* A cut does not split a character. */
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80) n--;
    cli_print_clean(s.p, n);
    if (n < s.n) printf("... (%zu bytes)", s.n);
}

static void print_label(const char *label)
{
    printf("  %-*s ", LABEL_WIDTH, label);
}

/* "1.24 B": as parameters are usually counted. */
static const char *count_text(uint64_t n, char buf[32])
{
    static const char *const unit[] = {"", " k", " M", " B", " T"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 999.5 && u + 1 < VG_COUNT(unit)) {
        v /= 1000;
        u++;
    }
    snprintf(buf, 32, "%.3g%s", v, unit[u]);
    return buf;
}

static void print_bytes(uint64_t n)
{
    char text[32];
    printf("%s", cli_bytes(n, text));
}

static void print_file(const inspect *in)
{
    cli_print_clean(in->path, strlen(in->path));
    putchar('\n');
    print_label("name");
    print_cut(inspect_text(in, "general.name"), TEXT_SHOWN);
    putchar('\n');
    print_label("architecture");
    print_cut(inspect_text(in, "general.architecture"), TEXT_SHOWN);
    if (!in->model) printf(" (this build cannot run the file)");
    putchar('\n');
    print_label("parameters");
    char count[32];
    printf("%s in %zu tensors\n", count_text(in->n_weights, count), vg_gguf_n_tensors(in->gguf));
    print_label("file");
    print_bytes(vg_gguf_file_bytes(in->gguf));
    printf(", GGUF version %u, %u %s\n", vg_gguf_version(in->gguf), vg_gguf_n_parts(in->gguf),
           vg_gguf_n_parts(in->gguf) == 1 ? "file" : "files");
}

static void print_attention(const vg_hparams *hp)
{
    print_label("attention");
    printf("%u heads, %u of keys and values, %u dimensions", hp->n_heads, hp->n_kv_heads,
           hp->dim_k);
    if (hp->dim_v != hp->dim_k) printf(" (values %u)", hp->dim_v);
    if (hp->window_tok) printf(", sliding window of %u tokens", hp->window_tok);
    if (hp->attn_softcap > 0) printf(", scores capped at %g", (double)hp->attn_softcap);
    putchar('\n');
    print_label(hp->flags & A_ENCODER ? "encoder" : "embeddings");
    printf("pooling %s\n", inspect_pooling(hp));
    if (hp->flags & A_POS_TABLE) return;
    print_label("RoPE");
    printf("%u dimensions, base %g", hp->n_rot, (double)hp->rope_base);
    if (hp->flags & A_ROPE_LOCAL) printf(", %g in the window", (double)hp->rope_base_local);
    if (hp->rope_scale > 1) printf(", positions divided by %g", (double)hp->rope_scale);
    if (hp->rope_ctx_orig_tok != hp->ctx_train_tok)
        printf(", extended from %u tokens", hp->rope_ctx_orig_tok);
    putchar('\n');
}

static void print_hparams(const inspect *in)
{
    const vg_hparams *hp = &in->hp;
    if (!in->has_hp) return;
    print_label("layers");
    printf("%u of width %u\n", hp->n_layers, hp->width);
    print_attention(hp);
    print_label("MLP");
    printf("width %u", hp->n_ff);
    if (hp->n_experts) printf(", %u of %u experts", hp->n_experts_used, hp->n_experts);
    putchar('\n');
    print_label("context");
    printf("%u tokens in training\n", hp->ctx_train_tok);
}

static void print_token(const vg_vocab *v, const char *what, int32_t id)
{
    if (id < 0 || (size_t)id >= vg_vocab_size(v)) return;
    printf(", %s %d '", what, id);
    print_cut(vg_vocab_piece(v, id), ITEM_SHOWN);
    putchar('\'');
}

static void print_tokenizer(const inspect *in)
{
    print_label("tokenizer");
    if (in->vocab) {
        printf("%s, %zu tokens", vg_vocab_kind(in->vocab), vg_vocab_size(in->vocab));
        print_token(in->vocab, "BOS", vg_vocab_bos(in->vocab));
        if (vg_vocab_adds_bos(in->vocab)) printf(" before a text");
        print_token(in->vocab, "EOS", vg_vocab_eos(in->vocab));
    } else if (vg_gguf_find(in->gguf, "tokenizer.ggml.model")) {
        print_cut(inspect_text(in, "tokenizer.ggml.model"), TEXT_SHOWN);
        printf(", which this build cannot use");
    } else {
        printf("none");
    }
    putchar('\n');
    print_label("chat template");
    vg_str template = inspect_text(in, "tokenizer.chat_template");
    if (template.n) print_bytes(template.n);
    else printf("none");
    putchar('\n');
}

static void print_plan(const inspect *in)
{
    if (!in->has_plan) return;
    const vg_plan *p = &in->plan;
    bool own = !in->opts->kv && in->model->kv != VG_KV_AUTO;
    printf("\nMemory at %u tokens, %s cache%s\n", p->ctx_tok, cli_kv_word(p->kv),
           own ? ", as the file prefers" : "");
    const struct {
        const char *label;
        uint64_t bytes;
        const char *note;
    } rows[] = {{"mapped", p->mapped_bytes, " of weights in the file: shared and droppable"},
                {"repacked", p->repacked_bytes, " of weights; --no-repack leaves them mapped"},
                {"KV cache", p->kv_bytes, ""},
                {"scratch", p->scratch_bytes, ""},
                {"vocabulary", p->vocab_bytes, ""},
                {"program", CLI_PROGRAM_BYTES, ""},
                {"total", p->total_bytes + CLI_PROGRAM_BYTES, ""}};
    for (size_t i = 0; i < VG_COUNT(rows); i++) {
        print_label(rows[i].label);
        print_bytes(rows[i].bytes);
        puts(rows[i].note);
    }
}

static void print_types(const inspect *in)
{
    if (in->n_types == 0) return;
    printf("\nTypes\n  %-12s %8s %10s %10s %7s %12s\n", "type", "tensors", "weights", "bytes",
           "share", "bits/weight");
    for (size_t i = 0; i < in->n_types; i++) {
        const inspect_type *t = &in->type[i];
        char name[24], count[32], bytes[32];
        printf("  %-12s %8" PRIu64 " %10s %10s %6.1f%% %12.3g\n", inspect_type_name(t->type, name),
               t->n_tensors, count_text(t->n_weights, count), cli_bytes(t->n_bytes, bytes),
               in->n_bytes ? 100.0 * (double)t->n_bytes / (double)in->n_bytes : 0,
               8.0 * (double)t->n_bytes / (double)t->n_weights);
    }
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* A float that was widened prints no more digits than it has. */
static void print_number(vg_gguf_type type, double v)
{
    char text[VG_DOUBLE_TEXT];
    vg_double_put(v, text);
    if (type == VG_GGUF_F32) printf("%.7g", v);
    else printf("%s", text);
}

static bool is_float(vg_gguf_type t)
{
    return t == VG_GGUF_F32 || t == VG_GGUF_F64;
}

static void print_array(const vg_gguf_kv *kv)
{
    printf("%" PRIu64 " x %s: ", kv->n, vg_gguf_type_name(kv->item_type));
    for (uint64_t i = 0; i < VG_MIN(kv->n, (uint64_t)ITEMS_SHOWN); i++) {
        if (i) printf(", ");
        if (kv->strs) print_cut(kv->strs[i], ITEM_SHOWN);
        else if (is_float(kv->item_type)) print_number(kv->item_type, vg_gguf_item_f64(kv, i));
        else printf("%" PRId64, vg_gguf_item_i64(kv, i));
    }
    if (kv->n > ITEMS_SHOWN) printf(", ...");
}

static void print_value(const vg_gguf_kv *kv)
{
    switch (kv->type) {
    case VG_GGUF_STRING: print_cut(kv->str, TEXT_SHOWN); break;
    case VG_GGUF_ARRAY: print_array(kv); break;
    case VG_GGUF_BOOL: printf("%s", kv->v.u ? "true" : "false"); break;
    case VG_GGUF_F32:
    case VG_GGUF_F64: print_number(kv->type, kv->v.f); break;
    case VG_GGUF_I8:
    case VG_GGUF_I16:
    case VG_GGUF_I32:
    case VG_GGUF_I64: printf("%" PRId64, kv->v.i); break;
    default: printf("%" PRIu64, kv->v.u); break;
    }
    putchar('\n');
}

static void print_metadata(const inspect *in)
{
    printf("\nMetadata (%zu keys)\n", vg_gguf_n_kv(in->gguf));
    for (size_t i = 0; i < vg_gguf_n_kv(in->gguf); i++) {
        const vg_gguf_kv *kv = vg_gguf_kv_at(in->gguf, i);
        printf("  ");
        print_cut(kv->key, TEXT_SHOWN);
        printf(" = ");
        print_value(kv);
    }
}

static void print_tensors(const inspect *in)
{
    printf("\nTensors (%zu)\n", vg_gguf_n_tensors(in->gguf));
    for (size_t i = 0; i < vg_gguf_n_tensors(in->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(in->gguf, i);
        char name[24];
        printf("  ");
        print_cut(t->name, TEXT_SHOWN);
        printf("  %s [%" PRIu64, inspect_type_name(t->type, name), t->dim[0]);
        for (uint32_t d = 1; d < t->n_dims; d++) printf(", %" PRIu64, t->dim[d]);
        printf("]  ");
        print_bytes(t->n_bytes);
        if (vg_gguf_n_parts(in->gguf) > 1) printf("  part %u", t->part + 1);
        putchar('\n');
    }
}

void inspect_print_text(const inspect *in)
{
    print_file(in);
    print_hparams(in);
    print_tokenizer(in);
    print_plan(in);
    print_types(in);
    print_metadata(in);
    if (in->opts->tensors) print_tensors(in);
    if (in->n_warnings) printf("\nWarnings\n");
    for (size_t i = 0; i < VG_MIN(in->n_warnings, (size_t)INSPECT_MAX_WARNINGS); i++)
        printf("  %s\n", in->warning[i]);
    if (in->n_warnings > INSPECT_MAX_WARNINGS)
        printf("  and %zu more\n", in->n_warnings - INSPECT_MAX_WARNINGS);
    if (in->opts->check && in->n_bad == 0) printf("\nAll weights are finite.\n");
}
