/* Vocabularies as large as the real ones, without anybody's words: random words, of which every
 * part is a token until there are enough. So each token is made of shorter ones, as byte-level BPE
 * wants its merges, and tokens and merges have about the lengths and numbers of a real vocabulary:
 * loading one takes as long. A text in English is split into short tokens, which is fine. */
#include "synth.h"

enum {
    WORD_MIN = 9, WORD_MAX = 19, /* letters: tokens are 6.5 letters long on average, as Llama 3's */
    N_BYTES = 256,
    N_SPECIAL_MIN = 16,
    SPACE = '_' /* stands for the sign of a space until a token is written */
};

static const struct {
    const char *model, *pre, *space;
    uint32_t n_plain, n_merges; /* of the published vocabulary; what follows n_plain is special */
    bool add_bos, space_prefix;
} kinds[SYNTH_N_VOCABS] = {
    [SYNTH_SMOL] = {"gpt2", "smollm", "\xc4\xa0", 49135, 48900, false, false},
    [SYNTH_LLAMA3] = {"gpt2", "llama-bpe", "\xc4\xa0", 128000, 280147, true, false},
    [SYNTH_QWEN2] = {"gpt2", "qwen2", "\xc4\xa0", 151643, 151387, false, false},
    [SYNTH_GRANITE] = {"gpt2", "refact", "\xc4\xa0", 49135, 48891, false, false},
    [SYNTH_SPM] = {"llama", "default", "\xe2\x96\x81", 0, 0, true, true},
    [SYNTH_SPM_PLAIN] = {"llama", "default", "\xe2\x96\x81", 0, 0, true, false},
};

typedef struct words {
    vg_arena *arena;
    vg_str *token;  /* [n_tokens] parts of words */
    uint32_t n_tokens, n_wanted;
    uint32_t *slot; /* [n_slots] the token's number + 1; open addressing */
    uint32_t n_slots; /* a power of two */
    vg_buf text;      /* of the string that is being made */
    bool full;        /* no memory for a string */
} words;

typedef struct strings {
    vg_str *s; /* [cap] */
    size_t n, cap;
} strings;

static uint64_t hash_of(vg_str s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

/* The slot of s, or the empty one where it would be. */
static uint32_t *slot_of(const words *w, vg_str s)
{
    uint32_t i = (uint32_t)hash_of(s) & (w->n_slots - 1);
    while (w->slot[i] && !vg_str_eq(w->token[w->slot[i] - 1], s)) i = (i + 1) & (w->n_slots - 1);
    return &w->slot[i];
}

static void add_token(words *w, vg_str s)
{
    uint32_t *slot = slot_of(w, s);
    if (*slot || w->n_tokens == w->n_wanted) return;
    w->token[w->n_tokens] = s;
    *slot = ++w->n_tokens;
}

/* A word of random letters, the frequent ones of English more often; half begin with a space. */
static vg_str random_word(vg_arena *a, uint64_t number)
{
    static const char letters[] = "etaoinshrdlucmfwypvbgkqjxz";
    uint64_t r = synth_random(UINT64_C(0x766f636162), number);
    size_t n = WORD_MIN + r % (WORD_MAX - WORD_MIN + 1);
    char *p = vg_arena_alloc(a, n, 1);
    for (size_t i = 0; p && i < n; i++) {
        r = synth_random(r, i);
        p[i] = letters[VG_MIN(r % 26, (r >> 32) % 26)];
    }
    if (p && r >> 63) p[0] = SPACE;
    return (vg_str){p, p ? n : 0};
}

/* Fills w->token with n_wanted parts of words of min_letters or more, shorter parts of a word
 * first. */
static vg_status make_words(words *w, size_t min_letters, vg_err *err)
{
    w->n_slots = 1024;
    while (w->n_slots < w->n_wanted * 2) w->n_slots *= 2;
    w->token = VG_ARENA_ARRAY(w->arena, vg_str, w->n_wanted);
    w->slot = VG_ARENA_ARRAY(w->arena, uint32_t, w->n_slots);
    if (!w->token || !w->slot) return VG_FAIL_MEMORY(err, w->n_wanted * sizeof *w->token);
    for (uint64_t i = 0; w->n_tokens < w->n_wanted; i++) {
        vg_str word = random_word(w->arena, i);
        if (!word.p) return VG_FAIL_MEMORY(err, WORD_MAX);
        for (size_t n = min_letters; n <= word.n; n++)
            for (size_t at = 0; at + n <= word.n; at++) add_token(w, (vg_str){word.p + at, n});
    }
    return VG_OK;
}

/* The token's letters, the sign of a space for SPACE. */
static void spell(vg_buf *b, vg_str s, const char *space)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == SPACE) vg_buf_text(b, space);
        else vg_buf_char(b, s.p[i]);
    }
}

static vg_status strings_new(words *w, strings *list, size_t cap, vg_err *err)
{
    *list = (strings){.s = VG_ARENA_ARRAY(w->arena, vg_str, cap), .cap = cap};
    return list->s ? VG_OK : VG_FAIL_MEMORY(err, cap * sizeof *list->s);
}

/* w->text is the list's next string. */
static void take_text(words *w, strings *list)
{
    assert(list->n < list->cap);
    vg_str s = {w->text.data, w->text.n};
    s.p = vg_arena_text(w->arena, s);
    w->full |= !s.p || w->text.failed;
    list->s[list->n++] = s;
    vg_buf_reset(&w->text);
}

static bool is_token(const words *w, vg_str s)
{
    return s.n == 1 || *slot_of(w, s);
}

/* One merge a token, and then as many of its other splits as bring the number to n_merges. */
static void make_merges(words *w, const char *space, uint64_t n_merges, strings *out)
{
    for (uint32_t i = 0; i < w->n_tokens; i++) {
        vg_str t = w->token[i];
        uint64_t due = n_merges * (i + 1) / w->n_tokens, first = hash_of(t) % (t.n - 1);
        for (size_t k = 0; k + 1 < t.n && out->n < due; k++) {
            size_t cut = 1 + (first + k) % (t.n - 1);
            vg_str left = {t.p, cut}, right = {t.p + cut, t.n - cut};
            if (!is_token(w, left) || !is_token(w, right)) continue;
            spell(&w->text, left, space);
            vg_buf_char(&w->text, ' ');
            spell(&w->text, right, space);
            take_text(w, out);
        }
    }
}

static void make_tokens(words *w, const char *space, strings *out)
{
    for (uint32_t i = 0; i < w->n_tokens; i++) {
        spell(&w->text, w->token[i], space);
        take_text(w, out);
    }
}

/* What a vocabulary has for each token. */
typedef struct lists {
    strings token, merge;
    int32_t *type;
    float *score;
} lists;

static vg_status lists_new(words *w, lists *l, uint32_t n, uint64_t n_merges, vg_err *err)
{
    VG_TRY(strings_new(w, &l->token, n, err));
    VG_TRY(strings_new(w, &l->merge, (size_t)n_merges, err));
    l->type = VG_ARENA_ARRAY(w->arena, int32_t, n);
    l->score = VG_ARENA_ARRAY(w->arena, float, n);
    return l->type && l->score ? VG_OK : VG_FAIL_MEMORY(err, n * sizeof *l->score);
}

/* Byte-level BPE: the alphabet of bytes (GPT-2's: a byte that prints stands for itself, the others
 * for U+0100 and up), the words, the special tokens. */
static vg_status put_bpe(synth_vocab kind, uint32_t n, words *w, vg_gguf_writer *out, vg_err *err)
{
    uint32_t n_plain = kinds[kind].n_plain;
    uint32_t n_special = n >= n_plain + N_SPECIAL_MIN ? n - n_plain : N_SPECIAL_MIN;
    w->n_wanted = n - n_special - N_BYTES;
    uint64_t n_merges = (uint64_t)kinds[kind].n_merges * w->n_wanted / (n_plain - N_BYTES);
    n_merges = VG_MAX(n_merges, w->n_wanted);
    lists l;
    VG_TRY(make_words(w, 2, err));
    VG_TRY(lists_new(w, &l, n, n_merges, err));
    for (int32_t byte = 0, other = 0x100; byte < N_BYTES; byte++) {
        bool prints = (byte >= 33 && byte < 127) || (byte >= 161 && byte != 173);
        vg_buf_cp(&w->text, prints ? byte : other++);
        take_text(w, &l.token);
    }
    make_tokens(w, kinds[kind].space, &l.token);
    for (uint32_t i = 0; i < n_special; i++) {
        vg_buf_fmt(&w->text, i == 0 ? "<|begin|>" : i == 1 ? "<|end|>" : "<|special_%u|>", i);
        take_text(w, &l.token);
    }
    for (uint32_t i = 0; i < n; i++) l.type[i] = i + n_special < n ? 1 : 3;
    make_merges(w, kinds[kind].space, n_merges, &l.merge);
    vg_gguf_put_strs(out, "tokenizer.ggml.tokens", l.token.s, l.token.n);
    vg_gguf_put_i32s(out, "tokenizer.ggml.token_type", l.type, n);
    vg_gguf_put_strs(out, "tokenizer.ggml.merges", l.merge.s, l.merge.n);
    vg_gguf_put_u32(out, "tokenizer.ggml.bos_token_id", n - n_special);
    vg_gguf_put_u32(out, "tokenizer.ggml.eos_token_id", n - n_special + 1);
    return VG_OK;
}

/* SentencePiece: unknown, begin, end, the bytes, the words with falling scores. */
static vg_status put_spm(synth_vocab kind, uint32_t n, words *w, vg_gguf_writer *out, vg_err *err)
{
    enum { N_FRONT = 3 };
    static const char *const front[N_FRONT] = {"<unk>", "<s>", "</s>"};
    w->n_wanted = n - N_FRONT - N_BYTES;
    lists l;
    VG_TRY(make_words(w, 1, err));
    VG_TRY(lists_new(w, &l, n, 0, err));
    for (unsigned i = 0; i < N_FRONT + N_BYTES; i++) {
        if (i < N_FRONT) vg_buf_text(&w->text, front[i]);
        else vg_buf_fmt(&w->text, "<0x%02X>", i - N_FRONT);
        take_text(w, &l.token);
    }
    make_tokens(w, kinds[kind].space, &l.token);
    for (uint32_t i = 0; i < n; i++) {
        l.score[i] = i < N_FRONT + N_BYTES ? 0 : -(float)(i - N_FRONT - N_BYTES);
        l.type[i] = i == 0 ? 2 : i < N_FRONT ? 3 : i < N_FRONT + N_BYTES ? 6 : 1;
    }
    vg_gguf_put_strs(out, "tokenizer.ggml.tokens", l.token.s, l.token.n);
    vg_gguf_put_f32s(out, "tokenizer.ggml.scores", l.score, n);
    vg_gguf_put_i32s(out, "tokenizer.ggml.token_type", l.type, n);
    vg_gguf_put_u32(out, "tokenizer.ggml.bos_token_id", 1);
    vg_gguf_put_u32(out, "tokenizer.ggml.eos_token_id", 2);
    vg_gguf_put_u32(out, "tokenizer.ggml.unknown_token_id", 0);
    vg_gguf_put_bool(out, "tokenizer.ggml.add_space_prefix", kinds[kind].space_prefix);
    return VG_OK;
}

vg_status synth_vocab_put(synth_vocab kind, uint32_t n, vg_gguf_writer *out, vg_err *err)
{
    enum { N_MIN = 600, ARENA_BYTES = 128 << 20, TEXT_BYTES = 4096 };
    if (n < N_MIN) return VG_FAIL(err, VG_E_LIMIT, "a vocabulary of %u tokens; min %d", n, N_MIN);
    words w = {0};
    VG_TRY(vg_arena_new(&w.arena, ARENA_BYTES, err));
    vg_buf_init(&w.text, TEXT_BYTES);
    vg_gguf_put_str(out, "tokenizer.ggml.model", vg_str_from(kinds[kind].model));
    vg_gguf_put_str(out, "tokenizer.ggml.pre", vg_str_from(kinds[kind].pre));
    vg_status st = kinds[kind].n_plain ? put_bpe(kind, n, &w, out, err)
                                       : put_spm(kind, n, &w, out, err);
    vg_gguf_put_bool(out, "tokenizer.ggml.add_bos_token", kinds[kind].add_bos);
    if (!st && w.full) st = VG_FAIL_MEMORY(err, ARENA_BYTES);
    vg_buf_clear(&w.text);
    vg_arena_free(w.arena);
    return st;
}
