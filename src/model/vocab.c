/* The tokenizer's face: makes a vocabulary, answers what it holds, and leads a text through it:
 * special tokens first, what lies between them to the encoder of the kind, BOS and EOS around it.
 * It knows nothing of how a kind encodes. */
#include "model/vocab_int.h"

vg_status vg_vocab_new(vg_vocab **out, const vg_gguf *g, vg_err *err)
{
    *out = NULL;
    vg_vocab *v = vg_mem_new(sizeof *v);
    if (!v) return VG_FAIL_MEMORY(err, sizeof *v);
    vg_status st = vocab_load(v, g, err);
    if (st) vg_vocab_free(v);
    else *out = v;
    return st;
}

void vg_vocab_free(vg_vocab *v)
{
    if (!v) return;
    vg_arena_free(v->arena);
    vg_mem_free(v);
}

/* ---- encoding ------------------------------------------------------------------------------- */

static vg_status encode_plain(encoder *e, vg_str text)
{
    if (!text.n) return VG_OK;
    e->text_from = e->out.n;
    switch (e->v->kind) {
    case VOCAB_BPE: return vocab_encode_bpe(e, text);
    case VOCAB_SPM: return vocab_encode_spm(e, text);
    case VOCAB_UNIGRAM: return vocab_encode_unigram(e, text);
    default: return vocab_encode_wordpiece(e, text);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static vg_status encode_text(encoder *e, vg_str text, bool control)
{
    const vg_vocab *v = e->v;
    size_t from = 0;
    for (size_t at = 0; at < text.n;) {
        unsigned c = (unsigned char)text.p[at];
        const special_token *s = NULL;
        if (v->special_from[c] != v->special_from[c + 1])
            s = vocab_find_special(v, (vg_str){text.p + at, text.n - at}, control);
        if (!s) {
            at++;
            continue;
        }
        VG_TRY(encode_plain(e, (vg_str){text.p + from, at - from}));
        VG_TRY(encoder_push(e, s->id));
        at += s->text.n;
        while (s->strips && at < text.n && is_blank(text.p[at])) at++;
        from = at;
    }
    return encode_plain(e, (vg_str){text.p + from, text.n - from});
}

static vg_status encode(encoder *e, vg_str text, unsigned flags)
{
    const vg_vocab *v = e->v;
    bool frame = flags & VG_TOK_BOS;
    int32_t last = v->kind == VOCAB_WORDPIECE ? v->sep : v->eos;
    if (frame && v->add_bos && v->bos >= 0) VG_TRY(encoder_push(e, v->bos));
    VG_TRY(encode_text(e, text, flags & VG_TOK_SPECIAL));
    if (frame && v->add_eos && last >= 0) VG_TRY(encoder_push(e, last));
    return VG_OK;
}

vg_status vg_vocab_encode(const vg_vocab *v, vg_str text, unsigned flags, vg_tokens *out,
                          vg_err *err)
{
    *out = (vg_tokens){0};
    if (text.n > VG_VOCAB_TEXT_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "a text of %zu bytes; the limit is %d", text.n,
                       VG_VOCAB_TEXT_MAX);
    encoder e = {.v = v, .err = err};
    vg_buf_init(&e.text, SIZE_MAX / 2);
    vg_buf_init(&e.piece, SIZE_MAX / 2);
    vg_status st = encode(&e, text, flags);
    vg_mem_free(e.sym);
    vg_mem_free(e.step);
    vg_mem_free(e.cache);
    vg_mem_free(e.best);
    vg_buf_clear(&e.text);
    vg_buf_clear(&e.piece);
    if (st) vg_tokens_free(&e.out);
    *out = e.out;
    return st;
}

/* ---- what it holds -------------------------------------------------------------------------- */

size_t vg_vocab_size(const vg_vocab *v)
{
    return v->n;
}

size_t vg_vocab_bytes(const vg_vocab *v)
{
    return sizeof *v + vg_arena_used(v->arena);
}

vg_str vg_vocab_piece(const vg_vocab *v, int32_t id)
{
    return id >= 0 && (size_t)id < v->n ? v->text[id] : (vg_str){"", 0};
}

const char *vg_vocab_kind(const vg_vocab *v)
{
    static const char *const name[] = {[VOCAB_BPE] = "bpe", [VOCAB_SPM] = "spm",
                                       [VOCAB_WORDPIECE] = "wordpiece",
                                       [VOCAB_UNIGRAM] = "unigram"};
    return name[v->kind];
}

bool vg_vocab_is_end(const vg_vocab *v, int32_t id)
{
    return id >= 0 && (size_t)id < v->n && v->end[id];
}

bool vg_vocab_is_control(const vg_vocab *v, int32_t id)
{
    return id >= 0 && (size_t)id < v->n &&
           (v->type[id] == TOKEN_CONTROL || v->type[id] == TOKEN_UNKNOWN);
}

int32_t vg_vocab_bos(const vg_vocab *v)
{
    return v->bos;
}

int32_t vg_vocab_eos(const vg_vocab *v)
{
    return v->eos;
}

bool vg_vocab_adds_bos(const vg_vocab *v)
{
    return v->add_bos && v->bos >= 0;
}
