/* verge.h: run large language models on edge devices. The only public header.
 *
 *     vg_err err;
 *     vg_model *model = NULL;
 *     vg_engine *engine = NULL;
 *     vg_session *session = NULL;
 *     if (vg_model_open(&model, "model.gguf", NULL, &err)) return fail(&err);
 *     if (vg_engine_new(&engine, model, NULL, &err)) return fail(&err);
 *     if (vg_session_new(&session, engine, NULL, &err)) return fail(&err);
 *     if (vg_session_append(session, ids, n_ids, &err)) return fail(&err);
 *     while (vg_session_pending(session) > 0)
 *         if (vg_engine_step(engine, &session, 1, &err)) return fail(&err);
 *     int32_t next;
 *     if (vg_session_sample(session, &next, &err)) return fail(&err);
 *
 * Every function that can fail returns a vg_status, VG_OK being 0, and fills the vg_err given as
 * its last parameter (NULL is allowed). No call ends the process. A model is immutable and may be
 * shared between threads; an engine and its sessions belong to one thread at a time.
 *
 * Exactness: on a CPU the same model file, tokens and options give the same logits bit for bit,
 * whatever the instruction set, the number of threads and the batch (docs/DESIGN.md). */
#ifndef VERGE_H
#define VERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VG_NODISCARD __attribute__((warn_unused_result))
#else
#define VG_NODISCARD
#endif

/* ---- status ---------------------------------------------------------------------------------- */

/* The one list of outcomes: name, HTTP code that a server answers with, sentence. */
#define VG_STATUS_LIST(X)                                                                          \
    X(VG_OK, 200, "done")                                                                          \
    X(VG_E_USAGE, 400, "a parameter is out of its range")                                          \
    X(VG_E_NO_MEMORY, 507, "not enough memory")                                                    \
    X(VG_E_IO, 500, "reading or writing a file failed")                                            \
    X(VG_E_NOT_FOUND, 404, "no such file, model or name")                                          \
    X(VG_E_FORMAT, 422, "the data breaks the rules of its format")                                 \
    X(VG_E_UNSUPPORTED, 501, "valid, but not supported by this build")                             \
    X(VG_E_LIMIT, 413, "larger than a limit that protects this process")                           \
    X(VG_E_CONTEXT, 413, "the context window is full")                                             \
    X(VG_E_NUMERIC, 500, "the computation gave NaN or infinity")                                   \
    X(VG_E_TEMPLATE, 422, "the chat template refused or failed")                                   \
    X(VG_E_CANCELLED, 499, "cancelled by the caller")

#define VG_STATUS_ENUM(name, http, sentence) name,
typedef enum vg_status { VG_STATUS_LIST(VG_STATUS_ENUM) VG_N_STATUS } vg_status;
#undef VG_STATUS_ENUM

/* Why a call failed: the code and one line that says what was tried, on what, what was seen. */
typedef struct vg_err {
    vg_status code;
    char msg[500];
} vg_err;

const char *vg_status_name(vg_status s);     /* "VG_E_FORMAT" */
const char *vg_status_sentence(vg_status s); /* the sentence of the list */
int vg_status_http(vg_status s);             /* the HTTP code of the list */
const char *vg_version(void);                /* "0.1.0" */

/* ---- model ----------------------------------------------------------------------------------- */

typedef struct vg_model vg_model;

typedef struct vg_model_opts {
    bool vocab_only; /* tokenizer, template and metadata only; tensors may be absent */
    bool keep_image; /* keep the repacked weights in PATH.repacked, which the next open maps */
    bool no_repack;  /* read the weights where the file has them: slower, and nothing is copied */
    /* Called now and then while opening, with bytes done and in all. Non-zero cancels. */
    int (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes);
    void *user;
} vg_model_opts;

/* Opens a GGUF file (v2, v3; the first of a split set) and maps it read-only. `opts` may be NULL.
 * Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED, LIMIT, NO_MEMORY, CANCELLED. */
VG_NODISCARD vg_status vg_model_open(vg_model **out, const char *path, const vg_model_opts *opts,
                                     vg_err *err);

/* The same from `n` bytes in memory, which the caller keeps alive and unchanged until the last
 * reference is gone. `data` must be aligned to 64 bytes. */
VG_NODISCARD vg_status vg_model_open_memory(vg_model **out, const void *data, size_t n,
                                            const vg_model_opts *opts, vg_err *err);

/* Models are counted: open gives one reference, engines hold their own. unref(NULL) is fine. */
vg_model *vg_model_ref(vg_model *m);
void vg_model_unref(vg_model *m);

/* How the vectors of a text's tokens become one. AUTO: as the file says (ARCH.pooling_type), else
 * MEAN of encoders and LAST of other models. */
typedef enum vg_pooling { VG_POOL_AUTO, VG_POOL_MEAN, VG_POOL_CLS, VG_POOL_LAST } vg_pooling;

typedef struct vg_model_info {
    const char *name, *arch;  /* live as long as the model */
    const char *weights;      /* the type of most weights, "Q4_0"; "" where it is not known */
    uint64_t file_bytes;      /* of all parts */
    uint64_t n_params;        /* elements of all tensors */
    uint32_t n_layers, n_vocab, width, ctx_train_tok;
    int32_t bos, eos;         /* token ids, -1 where the model names none */
    bool add_bos;             /* the model wants its BOS before a text */
    bool has_template;        /* a chat template is in the metadata */
    const char *chat_template; /* [n_chat_template] bytes, not NUL-terminated */
    size_t n_chat_template;
    bool is_encoder;          /* it gives embeddings and cannot write: vg_engine_embed alone */
    vg_pooling pooling;       /* what AUTO is; AUTO: a file that ranks pairs of texts */
    const char *note;         /* what opening did otherwise than asked, a sentence; or NULL */
} vg_model_info;

void vg_model_get_info(const vg_model *m, vg_model_info *out);

/* ---- text and tokens ------------------------------------------------------------------------- */

/* A string that the library made; free it with vg_text_free. NUL-terminated, n excludes the NUL. */
typedef struct vg_text {
    char *data;
    size_t n;
} vg_text;
void vg_text_free(vg_text *t);

/* Token ids that the library made; free with vg_tokens_free. */
typedef struct vg_tokens {
    int32_t *id;
    size_t n;
} vg_tokens;
void vg_tokens_free(vg_tokens *t);

enum {
    VG_TOK_SPECIAL = 1, /* "<|im_end|>" in the text is the control token; default: plain text */
    VG_TOK_BOS = 2      /* add BOS and EOS as the model asks; default: the text's tokens alone */
};

/* UTF-8 text (invalid bytes are allowed and survive where the vocabulary has bytes) to ids. */
VG_NODISCARD vg_status vg_tokenize(const vg_model *m, const char *text, size_t n, unsigned flags,
                                   vg_tokens *out, vg_err *err);

/* Ids to bytes, all at once. `special`: control tokens are printed by name, else left out. */
VG_NODISCARD vg_status vg_detokenize(const vg_model *m, const int32_t *id, size_t n, bool special,
                                     vg_text *out, vg_err *err);

/* A streaming decoder: one token in, whole UTF-8 characters out; the rest waits in `held`. Zero it
 * before the first call. Bytes that can never become a character come out as U+FFFD. */
typedef struct vg_decoder {
    unsigned char held[8];
    uint8_t n_held;
    bool begun, special;
} vg_decoder;
enum { VG_DECODE_MAX = 1024 }; /* enough for `buf` below, in bytes */

/* Writes what token `id` completes to buf[cap] (cap >= VG_DECODE_MAX) and its length to *n. `id` -1
 * ends the stream: what is still held comes out as U+FFFD. Errors: USAGE for an id out of range. */
VG_NODISCARD vg_status vg_decode(const vg_model *m, vg_decoder *d, int32_t id, char *buf,
                                 size_t cap, size_t *n, vg_err *err);

/* The bytes of one token in the middle of a text, perhaps half a character, in buf[cap] (cap >=
 * VG_DECODE_MAX); of a control token its name. Errors: USAGE for an id out of range. */
VG_NODISCARD vg_status vg_token_bytes(const vg_model *m, int32_t id, char *buf, size_t cap,
                                      size_t *n, vg_err *err);

/* True for tokens that end an answer: EOS, end of turn, end of message. */
bool vg_token_is_end(const vg_model *m, int32_t id);

/* ---- chat ------------------------------------------------------------------------------------ */

/* Renders a conversation with the model's chat template. `json` is the template's context as
 * transformers names it: {"messages":[...], "tools":[...], "add_generation_prompt":true, ...}; a
 * bare array is taken as messages with add_generation_prompt. Errors: FORMAT (the JSON), TEMPLATE
 * (the template raised, is broken, or passed its step limit), NOT_FOUND (the model has none). */
VG_NODISCARD vg_status vg_chat_render(const vg_model *m, const char *json, size_t n, vg_text *out,
                                      vg_err *err);

/* The same with a template of the caller's. `bos` and `eos` are the strings it sees. */
VG_NODISCARD vg_status vg_template_render(const char *tmpl, size_t n_tmpl, const char *bos,
                                          const char *eos, const char *json, size_t n_json,
                                          vg_text *out, vg_err *err);

/* ---- engine ---------------------------------------------------------------------------------- */

typedef struct vg_engine vg_engine;
typedef struct vg_session vg_session;

/* AUTO: the type that the model's file prefers (its key verge.kv_type), else 8-bit. */
typedef enum vg_kv_type { VG_KV_AUTO, VG_KV_Q8, VG_KV_F16, VG_KV_F32 } vg_kv_type;

enum { VG_DEFAULT_BATCH_TOK = 256 };
typedef struct vg_engine_opts { /* zero is every option's default */
    uint32_t n_threads;  /* 0: one for each fast core that this process may use */
    bool pin;            /* tie the threads that the engine starts to fast cores; not the caller */
    uint32_t ctx_tok;    /* tokens of one session; 0: what the model was trained on, at most 4096 */
    uint32_t n_sessions; /* how many sessions may be open at once; 0: 1 */
    uint32_t batch_tok;  /* tokens of one step; 0: VG_DEFAULT_BATCH_TOK */
    uint32_t logit_rows; /* rows of logits that are held at once; 0: one for each session */
    uint64_t kv_tok;     /* tokens that the cache holds of all sessions together, at least one
                          * context; 0: all contexts in full */
    bool share_prefix;   /* sessions take over what others computed of the same beginning */
    vg_kv_type kv;       /* 0: as the model prefers, else 8-bit */
    const char *isa;     /* "c", "avx2", "neon"; NULL: the best this CPU has */
} vg_engine_opts;

typedef struct vg_plan { /* bytes; what an engine takes before it is made */
    uint64_t mapped_bytes;   /* weights read from mapped files: shared, clean, droppable */
    uint64_t repacked_bytes; /* weights copied into the kernels' layout, this process's own */
    uint64_t kv_bytes, scratch_bytes, vocab_bytes; /* vocab: and the file's metadata */
    uint64_t total_bytes;
    uint32_t ctx_tok, page_tok, n_pages;
    vg_kv_type kv; /* never AUTO */
} vg_plan;

VG_NODISCARD vg_status vg_plan_make(const vg_model *m, const vg_engine_opts *opts, vg_plan *out,
                                    vg_err *err);

VG_NODISCARD vg_status vg_engine_new(vg_engine **out, vg_model *m, const vg_engine_opts *opts,
                                     vg_err *err);
void vg_engine_free(vg_engine *e); /* its sessions must be gone */
const char *vg_engine_isa(const vg_engine *e);

/* Each kernel that the engine uses was run once, when it was made, against the plain C one. */
typedef struct vg_health {
    const char *isa;
    uint32_t n_checked, n_failed; /* kernels; plain C does the work of those that failed */
    char failed[200];             /* their names */
} vg_health;
void vg_engine_health(const vg_engine *e, vg_health *out);

uint32_t vg_engine_threads(const vg_engine *e);

/* Pages of the cache, page_tok positions of one timeline each (vg_plan). */
typedef struct vg_page_count {
    uint32_t n_pages;
    uint32_t n_held; /* by open sessions; those that several share count once */
    uint32_t n_idle; /* kept for whoever begins in the same way, until room is needed */
    uint32_t n_promised; /* reserved by open sessions, not in use yet */
    uint64_t n_evicted;  /* idle pages that had to go */
} vg_page_count;
void vg_engine_get_pages(const vg_engine *e, vg_page_count *out);

typedef struct vg_limits {
    uint32_t step_tok; /* tokens of one step; 0, or more than that: batch_tok */
} vg_limits;
void vg_engine_set_limits(vg_engine *e, const vg_limits *limits);

/* Computes up to step_tok pending tokens of the given sessions, in the order of the list, as one
 * batch. A session with nothing pending is left alone, and so is, where prefixes are shared, one
 * that needs what another one computes in this step. Errors: NUMERIC, LIMIT (see reserve_tok), IO
 * (the mapped file shrank); the sessions then stand where they stood before the step. */
VG_NODISCARD vg_status vg_engine_step(vg_engine *e, vg_session *const *s, size_t n_s, vg_err *err);

/* ---- embeddings: a vector for each text ------------------------------------------------------ */

typedef struct vg_embed_opts { /* zero is every option's default */
    vg_pooling pooling;
    uint32_t dimensions; /* only the first of each vector (Kusupati 2022); 0: all of width */
    bool raw;            /* as it comes, not scaled to a length of 1 */
} vg_embed_opts;

/* Writes the vector of each text to out [n_text, dimensions]: of what an encoder's last layer
 * gives, or any other model's last norm. Texts are tokens with what the model wants around them
 * (VG_TOK_BOS) and share steps of batch_tok, which changes no bit. Sessions stay as they are; a
 * model that has a KV cache takes pages of it that are free and gives them back. After an error out
 * holds nothing of worth. Errors: USAGE (no tokens, dimensions), CONTEXT (a text is longer than the
 * engine's context), LIMIT (too few pages are free), UNSUPPORTED, NUMERIC, IO. */
VG_NODISCARD vg_status vg_engine_embed(vg_engine *e, const vg_tokens *text, size_t n_text,
                                       const vg_embed_opts *opts, float *out, vg_err *err);

/* ---- session: one timeline of tokens --------------------------------------------------------- */

typedef struct vg_bias {
    int32_t id;
    float add;
} vg_bias;

/* Samplers run in this order: bias, penalties, DRY, then greedy if temp <= 0 was asked, else
 * mirostat, or top-k, typical, top-p, min-p, temperature, draw. Zero leaves a sampler out. */
typedef struct vg_sampling {
    float temp;              /* 0: greedy */
    uint32_t top_k;          /* 0: all */
    float top_p;             /* 0 or 1: all (Holtzman 2019) */
    float min_p;             /* share of the best token's probability (Nguyen 2024) */
    float typical_p;         /* 0 or 1: all (Meister 2022) */
    float repeat_penalty;    /* 0 or 1: none; divides positive logits (Keskar 2019) */
    float presence_penalty, frequency_penalty; /* subtracted, as OpenAI documents them */
    uint32_t penalty_last_n; /* how many past tokens count; 0: 64 */
    float dry_multiplier, dry_base; /* DRY: multiplier * base^(match - allowed); base 0: 1.75 */
    uint32_t dry_allowed, dry_last_n; /* 0: 2 tokens; 0: the whole timeline */
    const int32_t *dry_breakers; /* a match does not cross these ids */
    size_t n_dry_breakers;
    float mirostat_tau, mirostat_eta; /* mirostat 2 (Basu 2020); tau 0: off; eta 0: 0.1 */
    const vg_bias *bias;     /* added to logits; -INFINITY forbids */
    size_t n_bias;
    uint64_t seed;           /* the same seed gives the same tokens */
} vg_sampling;

typedef struct vg_session_opts {
    vg_sampling sampling; /* its arrays are copied */
    bool shift;           /* a full context drops its oldest tokens and goes on, else CONTEXT */
    uint32_t keep_tok;    /* tokens at the front that a shift never drops */
    uint32_t reserve_tok; /* the timeline's length at most, for which pages are set aside, so that a
                           * session that was opened finishes; 0: the context */
} vg_session_opts;

/* Errors: LIMIT when as many sessions are open as the engine has, or too few pages are left;
 * UNSUPPORTED by an encoder. */
VG_NODISCARD vg_status vg_session_new(vg_session **out, vg_engine *e, const vg_session_opts *opts,
                                      vg_err *err);
void vg_session_free(vg_session *s);

/* Adds tokens to the end of the timeline; steps compute them. Errors: USAGE, CONTEXT. */
VG_NODISCARD vg_status vg_session_append(vg_session *s, const int32_t *id, size_t n, vg_err *err);

/* Makes the timeline exactly id[0..n): the longest common prefix stays computed, what follows is
 * dropped, the rest is pending. *kept, if not NULL, gets the tokens that need no computing. */
VG_NODISCARD vg_status vg_session_sync(vg_session *s, const int32_t *id, size_t n, size_t *kept,
                                       vg_err *err);

size_t vg_session_length(const vg_session *s);  /* tokens of the timeline, pending ones included */
size_t vg_session_pending(const vg_session *s); /* tokens not yet computed */
size_t vg_session_computed(const vg_session *s); /* tokens that steps have computed for it so far */
const int32_t *vg_session_tokens(const vg_session *s); /* [length] */
size_t vg_session_shifts(const vg_session *s);  /* how often a full context dropped tokens */

/* Logits [n_vocab] after the last token, NULL while tokens are pending. Valid until the session's
 * next call. */
const float *vg_session_logits(const vg_session *s);

/* From now on a step hands the logits [n_vocab] after each position from `from_tok` on that it
 * computes to fn, in order, from the step's thread; they are gone when fn returns, which may not
 * use the engine. A step that fails may have handed over some. fn NULL: no more. More logit_rows
 * make it fast. */
typedef void vg_logits_fn(void *user, size_t pos, const float *logits);
void vg_session_watch(vg_session *s, size_t from_tok, vg_logits_fn *fn, void *user);

/* Draws the next token and appends it, which makes it pending. Errors: USAGE while tokens are
 * pending, CONTEXT when the window is full and shift is off, NUMERIC. */
VG_NODISCARD vg_status vg_session_sample(vg_session *s, int32_t *id, vg_err *err);

typedef struct vg_top {
    int32_t id;
    float logprob; /* ln of the probability before any sampler */
} vg_top;

/* The same for many sessions of an engine at once, each listed once, on its threads. */
typedef struct vg_drawn {
    vg_session *session;
    bool want_logprob;
    uint32_t n_top; /* the most probable tokens, best first, go to top[n_top] */
    vg_top *top;
    vg_status status; /* what follows is set by vg_engine_sample; the id where this is VG_OK */
    int32_t id;
    float logprob;    /* of the id, where wanted or n_top > 0 */
    vg_err *err;      /* the caller's, NULL: none */
} vg_drawn;
void vg_engine_sample(vg_engine *e, vg_drawn *d, size_t n);

/* Replaces the sampling options; the random state starts anew from the seed. */
VG_NODISCARD vg_status vg_session_set_sampling(vg_session *s, const vg_sampling *opts, vg_err *err);

/* ---- constrained output: docs/GRAMMAR.md ----------------------------------------------------- */

/* What a text may be. Counted; shared by sessions on any threads (its automaton has a lock). */
typedef struct vg_grammar vg_grammar;

/* GBNF text, or a JSON Schema ({} for any value, {"type":"object"} for any object), compiled for
 * the tokens of `m`, of which it holds a reference; m NULL: for texts alone. Errors: FORMAT with
 * the place, UNSUPPORTED (a keyword that cannot be kept exactly, with its JSON pointer), LIMIT. */
VG_NODISCARD vg_status vg_grammar_new_gbnf(vg_grammar **out, vg_model *m, const char *text,
                                           size_t n, vg_err *err);
VG_NODISCARD vg_status vg_grammar_new_schema(vg_grammar **out, vg_model *m, const char *json,
                                             size_t n, vg_err *err);
vg_grammar *vg_grammar_ref(vg_grammar *g);
void vg_grammar_unref(vg_grammar *g);

/* Whether the whole text fits the grammar. Errors: LIMIT (too ambiguous), NO_MEMORY. */
VG_NODISCARD vg_status vg_grammar_matches(vg_grammar *g, const char *text, size_t n, bool *matches,
                                          vg_err *err);

/* A text on its way through a grammar, byte by byte. What was refused cannot be taken back. */
typedef struct vg_matcher vg_matcher;
VG_NODISCARD vg_status vg_matcher_new(vg_matcher **out, vg_grammar *g, vg_err *err);
void vg_matcher_free(vg_matcher *m);
VG_NODISCARD vg_status vg_matcher_accept(vg_matcher *m, const char *text, size_t n, bool *ok,
                                         vg_err *err);
bool vg_matcher_may_end(const vg_matcher *m); /* what was accepted is a whole text */

/* From now on vg_session_sample draws, before all samplers but the bias, only tokens that keep what
 * it draws within the grammar, and an end token only where the text may end; appended tokens do not
 * count. Texts are as in mid-answer: vg_decoder.begun is true. NULL: free again. Errors: USAGE (the
 * grammar of another model), NO_MEMORY; of vg_session_sample then LIMIT too, UNSUPPORTED (no token
 * goes on) and NOT_FOUND (no token ends). */
VG_NODISCARD vg_status vg_session_constrain(vg_session *s, vg_grammar *g, vg_err *err);

#ifdef __cplusplus
}
#endif
#endif
