/* The engine thread: takes what was submitted, admits by pages, makes one step after the other, and
 * hands out tokens. Running answers come first in each step, one token each; what the step may take
 * beyond is given to prompts, in the order of vg_job_before. How much that is follows from time: a
 * step may last so long as a few tokens of each that was admitted take, whether it answers already
 * or not, so who reads sees an even flow while others begin. */
#include <pthread.h>

#include "base/os.h"
#include "serve/sched_int.h"

enum {
    DEFAULT_QUEUE_CAP = 256,
    MIN_PART_TOK = 4,     /* of prompts in a step with answers */
    FEW_ANSWERS = 4,      /* of which a step lasts as long as reading the weights does */
    MANY_ROWS = 16,       /* in a step whose time is that of its rows */
    SLOW_STEP_MS = 60000, /* a step of this length says that something is wrong */
    MEAN_STEPS = 32       /* steps that the mean of their times goes back */
};
/* A step with prompts in it, against one of few answers, and against the tokens of all that were
 * admitted. With three tokens for each, a loop of clients whose prompts are twice as long as their
 * answers keeps up, and its steps are all alike (docs/SERVING.md has the measurements). */
static const double STRETCH = 1.4, ROWS_EACH = 3;
static const double MAX_STEP_MS = 400; /* of a step without answers where others wait */
static const double MAX_ALONE_MS = 1000;

struct vg_sched {
    vg_sched_opts opts;
    vg_model *model;
    vg_engine *engine;
    uint32_t ctx_tok, batch_tok, n_sessions, queue_cap, width;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* of what follows, and of the facts of jobs */
    pthread_cond_t news;  /* something changed for the engine thread */
    bool stop, poked;
    vg_job *inbox;        /* the latest first */
    uint32_t n_queued;    /* submitted and not begun */
    vg_sched_stats stats;
    uint64_t step_begin_ns;
    double job_s;         /* the mean time of a job from its begin to its end */

    /* The engine thread's. */
    vg_job *waiting;      /* in any order */
    vg_job **running;     /* [n_sessions] */
    vg_session **list;    /* [n_sessions] of one step */
    vg_drawn *drawn;      /* [n_sessions] */
    vg_job **drawer;      /* [n_sessions] whose they are */
    size_t n_running;
    vg_job *embedding;    /* jobs for vectors that have begun, the first one first */
    uint64_t n_submitted;
    vg_shares shares;
    double row_ms;        /* the mean cost of a token in a step of many */
    double base_ms;       /* the mean time of a step of few answers and nothing else */
    bool told;            /* this round has news for the net thread */
};

static double ms_since(uint64_t begin_ns)
{
    return (double)(vg_os_now_ns() - begin_ns) * 1e-6;
}

static void mean(double *m, double v, double n)
{
    *m = *m > 0 ? *m + (v - *m) / n : v;
}

/* ---- the end of a job ------------------------------------------------------------------------ */

/* The engine thread is done with it. */
static void finish(vg_sched *s, vg_job *j)
{
    bool cancelled = atomic_load(&j->cancelled);
    if (j->session) {
        vg_session_free(j->session);
        j->session = NULL;
    }
    vg_shares_leave(&s->shares, j->ask.key);
    pthread_mutex_lock(&s->lock);
    vg_job_facts *f = &j->facts;
    f->end = j->end;
    f->err = j->err;
    if (!f->began) s->n_queued--;
    if (j->first_ns) f->generate_ms = ms_since(j->first_ns);
    if (f->began && !cancelled) mean(&s->job_s, ms_since(j->begin_ns) * 1e-3, 8);
    if (cancelled) s->stats.n_cancelled++;
    else if (j->end == VG_JOB_FAILED) s->stats.n_failed++;
    else s->stats.n_done++;
    pthread_mutex_unlock(&s->lock);
    vg_job_unref(j);
    s->told = true;
}

static void fail(vg_job *j, const vg_err *err)
{
    j->end = VG_JOB_FAILED;
    j->err = *err;
}

static void sweep_list(vg_sched *s, vg_job **at)
{
    while (*at) {
        vg_job *j = *at;
        if (!j->end && !atomic_load(&j->cancelled)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        finish(s, j);
    }
}

/* Lets go of jobs that ended, and of those that nobody waits for any more. */
static void sweep(vg_sched *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_running; i++) {
        vg_job *j = s->running[i];
        if (j->end || atomic_load(&j->cancelled)) finish(s, j);
        else s->running[n++] = j;
    }
    s->n_running = n;
    sweep_list(s, &s->waiting);
    sweep_list(s, &s->embedding);
}

/* ---- admission ------------------------------------------------------------------------------- */

static size_t answer_room(const vg_sched *s, const vg_job *j)
{
    size_t room = s->ctx_tok - j->ask.n_prompt;
    return j->ask.max_tok ? VG_MIN(room, (size_t)j->ask.max_tok) : room;
}

/* LIMIT: not now. */
static vg_status begin_session(vg_sched *s, vg_job *j, vg_err *err)
{
    vg_session_opts o = {.sampling = j->ask.sampling,
                         .reserve_tok = (uint32_t)(j->ask.n_prompt + answer_room(s, j))};
    VG_TRY(vg_session_new(&j->session, s->engine, &o, err));
    if (j->ask.grammar) VG_TRY(vg_session_constrain(j->session, j->ask.grammar, err));
    return vg_session_sync(j->session, j->ask.prompt, j->ask.n_prompt, NULL, err);
}

static vg_status begin(vg_sched *s, vg_job *j, vg_err *err)
{
    if (!j->ask.text) VG_TRY(begin_session(s, j, err));
    j->begin_ns = vg_os_now_ns();
    pthread_mutex_lock(&s->lock);
    j->facts.began = true;
    j->facts.queue_ms = (double)(j->begin_ns - j->submit_ns) * 1e-6;
    s->n_queued--;
    pthread_mutex_unlock(&s->lock);
    return VG_OK;
}

static void append(vg_job **list, vg_job *j)
{
    while (*list) list = &(*list)->next;
    j->next = NULL;
    *list = j;
}

/* The best of those that wait goes first, and where it does not fit, nobody overtakes it. */
static void admit(vg_sched *s)
{
    while (s->waiting && s->n_running < s->n_sessions) {
        vg_job **best = &s->waiting;
        for (vg_job **at = best; *at; at = &(*at)->next)
            if (vg_job_before(&s->shares, *at, *best)) best = at;
        vg_job *j = *best;
        vg_err err;
        vg_status st = begin(s, j, &err);
        if (st == VG_E_LIMIT && s->n_running > 0) return;
        *best = j->next;
        if (st) { /* it has no session, and must not come into a step */
            fail(j, &err);
            finish(s, j);
        } else if (j->ask.text) {
            append(&s->embedding, j);
        } else {
            s->running[s->n_running++] = j;
        }
    }
}

/* ---- one step -------------------------------------------------------------------------------- */

static bool is_answering(const vg_job *j)
{
    return j->first_ns > 0;
}

/* How many tokens of prompts go into a step with n_answers running answers. */
static uint32_t prompt_share(const vg_sched *s, size_t n_answers)
{
    if (s->row_ms <= 0) return s->batch_tok; /* the first step of all */
    bool alone = n_answers == 0 && s->n_running == 1 && !s->waiting;
    double ms = alone ? MAX_ALONE_MS : MAX_STEP_MS;
    double even_ms = VG_MAX(STRETCH * s->base_ms, ROWS_EACH * (double)s->n_running * s->row_ms);
    if (n_answers > 0) ms = VG_MIN(ms, even_ms);
    double rows = ms / s->row_ms - (double)n_answers;
    return rows < MIN_PART_TOK ? MIN_PART_TOK : (uint32_t)VG_MIN(rows, (double)s->batch_tok);
}

/* Sorts jobs with prompts to compute behind those that answer; the list of sessions for a step. */
static size_t compose(vg_sched *s, size_t *n_answers)
{
    size_t n = 0;
    for (size_t i = 1; i < s->n_running; i++) /* few, and nearly in order */
        for (size_t k = i; k > 0 && vg_job_before(&s->shares, s->running[k], s->running[k - 1]);
             k--) {
            vg_job *j = s->running[k];
            s->running[k] = s->running[k - 1];
            s->running[k - 1] = j;
        }
    for (size_t i = 0; i < s->n_running; i++)
        if (is_answering(s->running[i]) && vg_job_has_room(s->running[i]))
            s->list[n++] = s->running[i]->session;
    *n_answers = n;
    for (size_t i = 0; i < s->n_running; i++)
        if (!is_answering(s->running[i])) s->list[n++] = s->running[i]->session;
    return n;
}

/* A step failed: each session alone, to find whose fault it is; the others go on. */
static void step_one_by_one(vg_sched *s)
{
    for (size_t i = 0; i < s->n_running; i++) {
        vg_job *j = s->running[i];
        vg_err err;
        if (!j->end && vg_engine_step(s->engine, &j->session, 1, &err)) fail(j, &err);
    }
}

/* What the step did to each job, and the tokens that it computed. */
static size_t account(vg_sched *s, size_t *n_prompt_rows)
{
    size_t n_rows = 0;
    *n_prompt_rows = 0;
    for (size_t i = 0; i < s->n_running; i++) {
        vg_job *j = s->running[i];
        size_t n = vg_session_computed(j->session) - j->n_computed;
        n_rows += n;
        if (!is_answering(j)) *n_prompt_rows += n;
        vg_shares_count(&s->shares, j->ask.key, n);
        j->n_computed += n;
    }
    return n_rows;
}

static void measure(vg_sched *s, double ms, size_t n_rows, size_t n_prompt_rows, size_t n_answers)
{
    if (n_rows >= MANY_ROWS) mean(&s->row_ms, ms / (double)n_rows, MEAN_STEPS);
    if (n_prompt_rows == 0 && n_answers <= FEW_ANSWERS) mean(&s->base_ms, ms, MEAN_STEPS);
    pthread_mutex_lock(&s->lock);
    vg_sched_stats *t = &s->stats;
    t->step_rows = (uint32_t)n_rows;
    mean(&t->step_ms, ms, MEAN_STEPS);
    t->n_steps++;
    t->n_rows += n_rows;
    t->busy_rows += n_answers;
    t->n_prompt_tok += n_prompt_rows;
    if (n_prompt_rows > 0) t->prompt_s += ms * 1e-3;
    else t->answer_s += ms * 1e-3;
    s->step_begin_ns = 0;
    vg_engine_get_pages(s->engine, &t->pages);
    pthread_mutex_unlock(&s->lock);
}

static void begin_answer(vg_sched *s, vg_job *j)
{
    j->first_ns = vg_os_now_ns();
    j->facts.prompt_ms = (double)(j->first_ns - j->begin_ns) * 1e-6;
    j->facts.n_reused = j->ask.n_prompt - VG_MIN(j->n_computed, j->ask.n_prompt);
    s->stats.n_reused_tok += j->facts.n_reused;
}

/* One token of a job into its ring. */
static void hand_out(vg_sched *s, vg_job *j, const vg_drawn *d)
{
    if (d->status) {
        j->end = VG_JOB_FAILED;
        return;
    }
    vg_token_out t = {.id = d->id, .logprob = d->logprob, .n_top = d->n_top};
    memcpy(t.top, j->top, d->n_top * sizeof *t.top);
    vg_job_put(j, &t);
    size_t n = ++j->facts.n_tok; /* read under the lock, written by this thread alone */
    bool may_end = !j->ask.ignore_end || j->ask.grammar;
    if (may_end && vg_token_is_end(s->model, d->id)) j->end = VG_JOB_END;
    else if (n >= answer_room(s, j)) j->end = VG_JOB_LENGTH;
}

/* Draws a token for each job whose logits are there. */
static void sample(vg_sched *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_running; i++) {
        vg_job *j = s->running[i];
        if (j->end || !vg_session_logits(j->session)) continue;
        s->drawer[n] = j;
        s->drawn[n++] = (vg_drawn){.session = j->session, .want_logprob = j->ask.logprobs,
                                   .n_top = j->ask.n_top, .top = j->top, .err = &j->err};
    }
    if (n == 0) return;
    vg_engine_sample(s->engine, s->drawn, n);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        vg_job *j = s->drawer[i];
        if (!is_answering(j)) begin_answer(s, j);
        hand_out(s, j, &s->drawn[i]);
    }
    s->stats.n_answer_tok += n;
    pthread_mutex_unlock(&s->lock);
    s->told = true;
}

/* False: nothing could be computed. */
static bool step(vg_sched *s)
{
    size_t n_answers, n_prompt_rows, n = compose(s, &n_answers);
    if (n == 0) return false;
    uint32_t most = (uint32_t)n_answers;
    if (n > n_answers) most += prompt_share(s, n_answers);
    vg_engine_set_limits(s->engine, &(vg_limits){.step_tok = most});
    uint64_t begin_ns = vg_os_now_ns();
    pthread_mutex_lock(&s->lock);
    s->step_begin_ns = begin_ns;
    pthread_mutex_unlock(&s->lock);
    vg_err err;
    if (vg_engine_step(s->engine, s->list, n, &err)) step_one_by_one(s);
    size_t n_rows = account(s, &n_prompt_rows);
    measure(s, ms_since(begin_ns), n_rows, n_prompt_rows, n_answers);
    sample(s);
    return true;
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* One step's worth of texts of the first job that wants vectors. False: there is none. */
static bool embed(vg_sched *s)
{
    vg_job *j = s->embedding;
    if (!j) return false;
    const vg_job_ask *a = &j->ask;
    size_t first = j->n_embedded, n = 0, n_tok = 0;
    while (first + n < a->n_text && (n == 0 || n_tok + a->text[first + n].n <= s->batch_tok))
        n_tok += a->text[first + n++].n;
    uint32_t width = a->embed.dimensions ? a->embed.dimensions : s->width;
    uint64_t begin_ns = vg_os_now_ns();
    vg_err err;
    vg_status st = vg_engine_embed(s->engine, a->text + first, n, &a->embed,
                                   j->vector + first * width, &err);
    if (st == VG_E_LIMIT && s->n_running > 0) return false; /* when an answer has ended */
    if (st) fail(j, &err);
    j->n_embedded += n;
    if (!st && j->n_embedded == a->n_text) j->end = VG_JOB_END;
    vg_shares_count(&s->shares, a->key, n_tok);
    pthread_mutex_lock(&s->lock);
    j->facts.prompt_ms += ms_since(begin_ns);
    s->stats.n_prompt_tok += n_tok;
    s->stats.n_rows += n_tok;
    s->stats.n_steps++;
    s->stats.prompt_s += ms_since(begin_ns) * 1e-3;
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void take_inbox(vg_sched *s)
{
    vg_job *first = NULL;
    for (vg_job *j = s->inbox, *next; j; j = next) { /* the oldest first */
        next = j->next;
        j->next = first;
        first = j;
    }
    s->inbox = NULL;
    for (vg_job *j = first, *next; j; j = next) {
        next = j->next;
        j->number = s->n_submitted++;
        vg_shares_enter(&s->shares, j->ask.key);
        j->next = s->waiting;
        s->waiting = j;
    }
}

static void *run(void *arg)
{
    vg_sched *s = arg;
    bool busy = true;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->stop && !s->poked && !busy) pthread_cond_wait(&s->news, &s->lock);
        s->poked = false;
        bool stop = s->stop;
        take_inbox(s);
        pthread_mutex_unlock(&s->lock);
        if (stop) break;
        s->told = false;
        sweep(s);
        admit(s);
        busy = step(s);
        if (embed(s)) busy = true;
        sweep(s);
        pthread_mutex_lock(&s->lock);
        s->stats.n_running = (uint32_t)s->n_running;
        vg_engine_get_pages(s->engine, &s->stats.pages);
        pthread_mutex_unlock(&s->lock);
        if (s->told && s->opts.wake) s->opts.wake(s->opts.user);
    }
    for (vg_job *j = s->waiting; j; j = j->next) atomic_store(&j->cancelled, true);
    for (vg_job *j = s->embedding; j; j = j->next) atomic_store(&j->cancelled, true);
    for (size_t i = 0; i < s->n_running; i++) atomic_store(&s->running[i]->cancelled, true);
    sweep(s);
    return NULL;
}

static void poke(vg_sched *s)
{
    pthread_mutex_lock(&s->lock);
    s->poked = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
}

/* ---- from outside ---------------------------------------------------------------------------- */

static vg_status build(vg_sched *s, vg_err *err)
{
    vg_plan plan;
    s->opts.engine.share_prefix = true;
    VG_TRY(vg_plan_make(s->model, &s->opts.engine, &plan, err));
    VG_TRY(vg_engine_new(&s->engine, s->model, &s->opts.engine, err));
    vg_model_info info;
    vg_model_get_info(s->model, &info);
    s->width = info.width;
    s->ctx_tok = plan.ctx_tok;
    s->batch_tok = s->opts.engine.batch_tok ? s->opts.engine.batch_tok : VG_DEFAULT_BATCH_TOK;
    s->n_sessions = VG_MAX(s->opts.engine.n_sessions, 1u);
    s->queue_cap = s->opts.queue_cap ? s->opts.queue_cap : DEFAULT_QUEUE_CAP;
    s->running = vg_mem_new(s->n_sessions * sizeof *s->running);
    s->list = vg_mem_new(s->n_sessions * sizeof *s->list);
    s->drawn = vg_mem_new(s->n_sessions * sizeof *s->drawn);
    s->drawer = vg_mem_new(s->n_sessions * sizeof *s->drawer);
    if (!s->running || !s->list || !s->drawn || !s->drawer)
        return VG_FAIL_MEMORY(err, s->n_sessions * sizeof *s->drawn);
    s->stats.n_sessions = s->n_sessions;
    s->stats.queue_cap = s->queue_cap;
    s->stats.batch_tok = s->batch_tok;
    s->stats.engine_bytes = plan.kv_bytes + plan.scratch_bytes;
    vg_engine_get_pages(s->engine, &s->stats.pages);
    int e = pthread_create(&s->thread, NULL, run, s);
    if (e) return VG_FAIL(err, VG_E_IO, "no thread for the engine: %s", strerror(e));
    s->started = true;
    return VG_OK;
}

vg_status vg_sched_new(vg_sched **out, vg_model *m, const vg_sched_opts *opts, vg_err *err)
{
    vg_sched *s = vg_mem_new(sizeof *s);
    if (!s) return VG_FAIL_MEMORY(err, sizeof *s);
    s->opts = *opts;
    s->model = vg_model_ref(m);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->news, NULL);
    vg_status st = build(s, err);
    if (st) vg_sched_free(s);
    else *out = s;
    return st;
}

void vg_sched_free(vg_sched *s)
{
    if (!s) return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->news);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    vg_engine_free(s->engine);
    vg_model_unref(s->model);
    vg_mem_free(s->running);
    vg_mem_free(s->list);
    vg_mem_free(s->drawn);
    vg_mem_free(s->drawer);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    vg_mem_free(s);
}

static vg_status check_ask(const vg_sched *s, const vg_job_ask *ask, vg_err *err)
{
    if (ask->text && ask->n_text == 0) return VG_FAIL(err, VG_E_USAGE, "there is no text to embed");
    if (ask->text && ask->embed.dimensions > s->width)
        return VG_FAIL(err, VG_E_USAGE, "%u dimensions of a vector of %u", ask->embed.dimensions,
                       s->width);
    if (ask->text) return VG_OK;
    if (ask->n_prompt == 0)
        return VG_FAIL(err, VG_E_USAGE, "the prompt is empty: it has not one token");
    if (ask->n_prompt >= s->ctx_tok)
        return VG_FAIL(err, VG_E_CONTEXT,
                       "the prompt has %zu tokens, and the context %u, one of them for the answer",
                       ask->n_prompt, s->ctx_tok);
    return VG_OK;
}

vg_status vg_sched_submit(vg_sched *s, const vg_job_ask *ask, vg_job **out, vg_err *err)
{
    VG_TRY(check_ask(s, ask, err));
    vg_job *j = NULL;
    VG_TRY(vg_job_new(&j, ask, s->width, err));
    j->sched = s;
    j->ask.n_top = VG_MIN(j->ask.n_top, (uint32_t)VG_JOB_MAX_TOP);
    j->submit_ns = vg_os_now_ns();
    atomic_fetch_add(&j->n_refs, 1);
    pthread_mutex_lock(&s->lock);
    bool full = s->n_queued >= s->queue_cap;
    if (full) {
        s->stats.n_refused++;
    } else {
        j->next = s->inbox;
        s->inbox = j;
        s->n_queued++;
        s->poked = true;
        pthread_cond_signal(&s->news);
    }
    pthread_mutex_unlock(&s->lock);
    if (!full) {
        *out = j;
        return VG_OK;
    }
    vg_job_unref(j);
    vg_job_unref(j);
    return VG_FAIL(err, VG_E_LIMIT, "%u requests wait already: the queue is full", s->queue_cap);
}

bool vg_job_next(vg_job *j, vg_token_out *out)
{
    unsigned at = atomic_load(&j->read);
    if (at == atomic_load(&j->written)) return false;
    bool was_full = !vg_job_has_room(j);
    *out = j->ring[at % VG_RING_TOK];
    atomic_store(&j->read, at + 1);
    if (was_full) poke(j->sched);
    return true;
}

void vg_job_get_facts(vg_job *j, vg_job_facts *out)
{
    pthread_mutex_lock(&j->sched->lock);
    *out = j->facts;
    pthread_mutex_unlock(&j->sched->lock);
}

const float *vg_job_vectors(const vg_job *j)
{
    return j->vector;
}

void vg_job_free(vg_job *j)
{
    if (!j) return;
    atomic_store(&j->cancelled, true);
    poke(j->sched);
    vg_job_unref(j);
}

void vg_sched_get_stats(vg_sched *s, vg_sched_stats *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    out->n_waiting = s->n_queued;
    out->stuck = s->step_begin_ns > 0 && ms_since(s->step_begin_ns) > SLOW_STEP_MS;
    pthread_mutex_unlock(&s->lock);
}

double vg_sched_wait_s(vg_sched *s)
{
    pthread_mutex_lock(&s->lock);
    double n_rounds = (double)s->n_queued / (double)s->n_sessions;
    double wait = s->job_s * VG_MAX(n_rounds, 1 / (double)s->n_sessions);
    pthread_mutex_unlock(&s->lock);
    return VG_MIN(VG_MAX(wait, 1), 600);
}

uint32_t vg_sched_ctx_tok(const vg_sched *s)
{
    return s->ctx_tok;
}
