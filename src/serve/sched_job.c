/* Jobs: what the net thread asks and the engine thread answers, held by both, and the order in
 * which they are served: by priority, then so that each key gets the same number of tokens
 * (Sheng 2024, "Fairness in serving large language models"), then by arrival. */
#include "serve/sched_int.h"

enum { JOB_CAP_BYTES = 256 << 20 };

/* ---- the job -------------------------------------------------------------------------------- */

/* A copy of an array in the job's arena; n 0: nothing. */
static void *copy(vg_job *j, const void *from, size_t n, size_t size, bool *failed)
{
    if (n == 0) return NULL;
    void *to = vg_arena_array(j->arena, n, size, _Alignof(max_align_t));
    if (to) memcpy(to, from, n * size);
    else *failed = true;
    return to;
}

static vg_status copy_texts(vg_job *j, uint32_t width, vg_err *err)
{
    vg_job_ask *a = &j->ask;
    bool failed = false;
    uint32_t n = a->embed.dimensions ? VG_MIN(a->embed.dimensions, width) : width;
    vg_tokens *text = copy(j, a->text, a->n_text, sizeof *a->text, &failed);
    for (size_t i = 0; i < a->n_text && !failed; i++)
        text[i].id = copy(j, text[i].id, text[i].n, sizeof *text[i].id, &failed);
    j->vector = VG_ARENA_ARRAY(j->arena, float, a->n_text * n);
    a->text = text;
    if (!failed && j->vector) return VG_OK;
    return VG_FAIL_MEMORY(err, a->n_text * n * sizeof(float));
}

static vg_status copy_ask(vg_job *j, vg_err *err)
{
    vg_job_ask *a = &j->ask;
    vg_sampling *o = &a->sampling;
    bool failed = false;
    a->prompt = copy(j, a->prompt, a->n_prompt, sizeof *a->prompt, &failed);
    o->bias = copy(j, o->bias, o->n_bias, sizeof *o->bias, &failed);
    o->dry_breakers = copy(j, o->dry_breakers, o->n_dry_breakers, sizeof *o->dry_breakers, &failed);
    return failed ? VG_FAIL_MEMORY(err, a->n_prompt * sizeof *a->prompt) : VG_OK;
}

vg_status vg_job_new(vg_job **out, const vg_job_ask *ask, uint32_t width, vg_err *err)
{
    vg_job *j = vg_mem_new(sizeof *j);
    if (!j) return VG_FAIL_MEMORY(err, sizeof *j);
    atomic_init(&j->n_refs, 1);
    j->ask = *ask;
    if (ask->grammar) vg_grammar_ref(ask->grammar);
    j->facts.n_prompt = ask->n_prompt;
    vg_status st = vg_arena_new(&j->arena, JOB_CAP_BYTES, err);
    if (!st) st = copy_ask(j, err);
    if (!st && ask->text) st = copy_texts(j, width, err);
    if (st) vg_job_unref(j);
    else *out = j;
    return st;
}

void vg_job_unref(vg_job *j)
{
    if (atomic_fetch_sub(&j->n_refs, 1) > 1) return;
    vg_grammar_unref(j->ask.grammar);
    vg_arena_free(j->arena);
    vg_mem_free(j);
}

bool vg_job_has_room(const vg_job *j)
{
    return atomic_load(&j->written) - atomic_load(&j->read) < VG_RING_TOK;
}

void vg_job_put(vg_job *j, const vg_token_out *t)
{
    unsigned at = atomic_load(&j->written);
    j->ring[at % VG_RING_TOK] = *t;
    atomic_store(&j->written, at + 1);
}

/* ---- shares --------------------------------------------------------------------------------- */

static size_t find(const vg_shares *s, uint64_t key)
{
    size_t i = 0;
    while (i < s->n && s->of[i].key != key) i++;
    return i;
}

/* The least that a key with jobs has had: where others start, so that nobody saves up. */
static uint64_t least(const vg_shares *s)
{
    uint64_t n = UINT64_MAX;
    for (size_t i = 0; i < s->n; i++)
        if (s->of[i].n_jobs > 0) n = VG_MIN(n, s->of[i].n_tok);
    return n == UINT64_MAX ? 0 : n;
}

void vg_shares_enter(vg_shares *s, uint64_t key)
{
    uint64_t floor = least(s);
    size_t i = find(s, key);
    if (i == s->n) { /* a new one, in the place of one without jobs where all are taken */
        for (i = 0; i < s->n && s->n == VG_MAX_SHARES && s->of[i].n_jobs > 0;) i++;
        if (s->n < VG_MAX_SHARES) i = s->n++;
        if (i == VG_MAX_SHARES) return; /* it goes with those of no key */
        s->of[i].key = key;
        s->of[i].n_tok = 0;
        s->of[i].n_jobs = 0;
    }
    if (s->of[i].n_jobs++ == 0) s->of[i].n_tok = VG_MAX(s->of[i].n_tok, floor);
}

void vg_shares_leave(vg_shares *s, uint64_t key)
{
    size_t i = find(s, key);
    if (i < s->n && s->of[i].n_jobs > 0) s->of[i].n_jobs--;
}

void vg_shares_count(vg_shares *s, uint64_t key, uint64_t n_tok)
{
    size_t i = find(s, key);
    if (i < s->n) s->of[i].n_tok += n_tok;
}

bool vg_job_before(const vg_shares *s, const vg_job *a, const vg_job *b)
{
    if (a->ask.priority != b->ask.priority) return a->ask.priority > b->ask.priority;
    size_t i = find(s, a->ask.key), k = find(s, b->ask.key);
    uint64_t x = i < s->n ? s->of[i].n_tok : 0, y = k < s->n ? s->of[k].n_tok : 0;
    if (a->ask.key != b->ask.key && x != y) return x < y;
    return a->number < b->number;
}
