/* sched_int.h: what the files of the scheduler share: the job as both threads see it, and the order
 * in which jobs are served.
 *
 *     vg_shares_count(&shares, job->ask.key, n_rows);
 *     if (vg_job_has_room(job)) vg_job_put(job, &token);
 */
#ifndef VG_SCHED_INT_H
#define VG_SCHED_INT_H

#include <stdatomic.h>

#include "serve/sched.h"

enum { VG_RING_TOK = 64, VG_MAX_SHARES = 256 };

struct vg_job {
    atomic_uint n_refs;      /* the net thread's and the engine thread's */
    atomic_bool cancelled;
    vg_sched *sched;
    vg_arena *arena;
    vg_job_ask ask;          /* its arrays in the arena */
    vg_job_facts facts;      /* under the scheduler's lock */

    /* One writer, the engine thread, and one reader: positions that only grow. */
    vg_token_out ring[VG_RING_TOK];
    atomic_uint written, read;

    /* The engine thread's. */
    vg_session *session;
    vg_top top[VG_JOB_MAX_TOP];
    float *vector;           /* of a job that embeds, [n_text, dimensions] in the arena */
    size_t n_embedded;       /* texts that have theirs */
    vg_job *next;
    uint64_t number;         /* in the order of arrival */
    uint64_t submit_ns, begin_ns, first_ns;
    size_t n_computed;       /* tokens that steps computed for it */
    vg_job_end end;
    vg_err err;
};

/* How many tokens each key has had. Keys that come back start level with those that are there. */
typedef struct vg_shares {
    struct {
        uint64_t key, n_tok;
        uint32_t n_jobs;
    } of[VG_MAX_SHARES];
    size_t n;
} vg_shares;

void vg_shares_enter(vg_shares *s, uint64_t key);
void vg_shares_leave(vg_shares *s, uint64_t key);
void vg_shares_count(vg_shares *s, uint64_t key, uint64_t n_tok);

/* Whether a goes before b: the higher priority, then the key that had less, then who came first. */
bool vg_job_before(const vg_shares *s, const vg_job *a, const vg_job *b);

/* `width`: floats of a vector. */
VG_NODISCARD vg_status vg_job_new(vg_job **out, const vg_job_ask *ask, uint32_t width, vg_err *err);
void vg_job_unref(vg_job *j);
bool vg_job_has_room(const vg_job *j);
void vg_job_put(vg_job *j, const vg_token_out *t); /* there is room */
#endif
