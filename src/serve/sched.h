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
    vg_engine_opts engine;
    uint32_t queue_cap;       /* jobs that may wait; 0: 256 */
    void (*wake)(void *user); /* from the engine thread, once a step with news */
    void *user;
} vg_sched_opts;

/* Takes a reference of the model. Errors: those of vg_engine_new, IO where no thread starts. */
VG_NODISCARD vg_status vg_sched_new(vg_sched **out, vg_model *m, const vg_sched_opts *opts,
                                    vg_err *err);
void vg_sched_free(vg_sched *s); /* cancels what runs; its jobs must be freed before */

typedef struct vg_job_ask {
    const int32_t *prompt; /* [n_prompt], copied */
    size_t n_prompt;
    vg_sampling sampling;  /* its arrays are copied */
    uint32_t max_tok;      /* 0: until the context is full */
    bool ignore_end;
    bool logprobs;
    uint32_t n_top;        /* at most VG_MAX_TOP */
    int priority;          /* higher goes first */
    uint64_t key;          /* whose it is: keys share the engine evenly */
} vg_job_ask;

typedef struct vg_token_out {
    int32_t id;
    float logprob; /* where asked for */
    uint32_t n_top;
    struct {
        int32_t id;
        float logprob;
    } top[20];
} vg_token_out;

typedef enum vg_job_end { VG_JOB_RUNS, VG_JOB_END, VG_JOB_LENGTH, VG_JOB_FAILED } vg_job_end;

typedef struct vg_job_facts {
    vg_job_end end;   /* not RUNS: no token comes after those in the ring */
    vg_err err;       /* FAILED */
    bool began;       /* it left the queue */
    size_t n_prompt, n_reused, n_tok;
    double queue_ms, prompt_ms, generate_ms;
} vg_job_facts;

/* Errors: LIMIT when the queue is full (vg_sched_wait_s says when to come again), CONTEXT when the
 * prompt does not fit, USAGE. */
VG_NODISCARD vg_status vg_sched_submit(vg_sched *s, const vg_job_ask *ask, vg_job **out,
                                       vg_err *err);
bool vg_job_next(vg_job *j, vg_token_out *out); /* false: none now */
void vg_job_facts_get(vg_job *j, vg_job_facts *out);
void vg_job_free(vg_job *j); /* cancels it within one step if it runs */
double vg_sched_wait_s(vg_sched *s);
#endif
