/* sched.h: one model's engine thread. It owns the engine and its sessions, makes one batch a step
 * (tokens of running answers first, then parts of prompts within what a step may take), and puts
 * each token into a bounded ring of the job that it belongs to. It never sees text.
 *
 *     vg_sched *s;
 *     VG_TRY(vg_sched_new(&s, model, &opts, err));
 *     vg_job *job;
 *     VG_TRY(vg_sched_submit(s, &ask, &job, err));
 *     vg_token_out t;
 *     while (vg_job_next(job, &t)) use(&t);
 *     vg_job_free(job);
 *     vg_sched_free(s);
 *
 * Everything here may be called from one other thread, the net thread, which `wake` tells that
 * there is news. A job whose ring is full sleeps and lets the others go on. */
#ifndef VG_SCHED_H
#define VG_SCHED_H

#include "base/base.h"

typedef struct vg_sched vg_sched;
typedef struct vg_job vg_job;

typedef struct vg_sched_opts {
    vg_engine_opts engine;    /* prefixes are shared in any case */
    uint32_t queue_cap;       /* jobs that may wait; 0: 256 */
    void (*wake)(void *user); /* from the engine thread, once a step with news */
    void *user;
} vg_sched_opts;

/* Takes a reference of the model. Errors: those of vg_engine_new, NO_MEMORY, IO where no thread
 * starts. */
VG_NODISCARD vg_status vg_sched_new(vg_sched **out, vg_model *m, const vg_sched_opts *opts,
                                    vg_err *err);
void vg_sched_free(vg_sched *s); /* cancels what runs; its jobs must be freed before */

enum { VG_JOB_MAX_TOP = 20 };

typedef struct vg_job_ask {
    const int32_t *prompt; /* [n_prompt], copied */
    size_t n_prompt;
    vg_sampling sampling;  /* its arrays are copied */
    uint32_t max_tok;      /* 0: until the context is full */
    bool ignore_end;
    vg_grammar *grammar;   /* the answer keeps to it, and ends with it; NULL: it is free */
    bool logprobs;
    uint32_t n_top;        /* at most VG_JOB_MAX_TOP */
    int priority;          /* higher goes first */
    uint64_t key;          /* whose it is: keys share the engine evenly */

    /* Vectors of texts, in place of an answer to a prompt. */
    const vg_tokens *text; /* [n_text], copied; NULL: an answer */
    size_t n_text;
    vg_embed_opts embed;
} vg_job_ask;

/* A token of an answer. One that ends it is told as well, as the last one. */
typedef struct vg_token_out {
    int32_t id;
    float logprob; /* where asked for */
    uint32_t n_top;
    vg_top top[VG_JOB_MAX_TOP];
} vg_token_out;

typedef enum vg_job_end { VG_JOB_RUNS, VG_JOB_END, VG_JOB_LENGTH, VG_JOB_FAILED } vg_job_end;

typedef struct vg_job_facts {
    vg_job_end end;   /* not RUNS: no more tokens than those in the ring; END: the last ended it */
    vg_err err;       /* FAILED */
    bool began;       /* it left the queue */
    size_t n_prompt, n_reused, n_tok;
    double queue_ms, prompt_ms, generate_ms;
} vg_job_facts;

/* Errors: LIMIT when the queue is full (vg_sched_wait_s says when to come again), CONTEXT when the
 * prompt does not fit, USAGE, NO_MEMORY. */
VG_NODISCARD vg_status vg_sched_submit(vg_sched *s, const vg_job_ask *ask, vg_job **out,
                                       vg_err *err);
bool vg_job_next(vg_job *j, vg_token_out *out); /* false: none now */
/* Asked before the last vg_job_next: an end that it tells of has all its tokens in the ring. */
void vg_job_get_facts(vg_job *j, vg_job_facts *out);
/* The vectors of a job that embeds and has come to its end: [n_text, dimensions], the job's own. */
const float *vg_job_vectors(const vg_job *j);
void vg_job_free(vg_job *j); /* NULL is fine; cancels it within one step if it runs */

/* Seconds until a queue that is full has room, as far as one can tell. */
double vg_sched_wait_s(vg_sched *s);

typedef struct vg_sched_stats {
    uint32_t n_waiting, n_running, n_sessions, queue_cap;
    uint32_t step_rows, batch_tok; /* of the last step, and at most */
    double step_ms;                /* the mean of the last ones */
    uint64_t n_steps, n_rows;      /* rows: tokens computed, of prompts and answers */
    uint64_t n_prompt_tok, n_reused_tok, n_answer_tok;
    double prompt_s, answer_s;     /* spent in steps with tokens of prompts, and in the others */
    uint64_t n_done, n_cancelled, n_failed, n_refused;
    uint64_t busy_rows;            /* sum over steps of answers that were running in them */
    vg_page_count pages;
    uint64_t engine_bytes;         /* cache and scratch */
    bool stuck;                    /* the step that runs takes longer than a minute */
} vg_sched_stats;
void vg_sched_get_stats(vg_sched *s, vg_sched_stats *out);
uint32_t vg_sched_ctx_tok(const vg_sched *s);
#endif
