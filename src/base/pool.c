/* The worker pool: n - 1 threads that sleep on a condition until there is work, and the caller, who
 * works too. Parts are taken from one shared counter, so a thread that is late costs little; which
 * thread takes which part is not fixed, so the parts' results may not depend on it. The token path
 * uses it many times a step and never allocates here. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"

typedef struct vg_worker {
    vg_pool *pool;
    pthread_t thread;
    uint32_t index; /* 1..n_threads - 1; 0 is the caller */
} vg_worker;

struct vg_pool {
    vg_worker *worker; /* [n_threads - 1] */
    uint32_t n_threads, n_started;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    uint64_t round;   /* counts calls of run; guarded by lock */
    uint32_t working; /* workers inside the current round; guarded by lock */
    bool stop;
    vg_part_fn *fn;
    void *arg;
    uint32_t n_parts;
    atomic_uint next;
};

static void take_parts(vg_pool *p, uint32_t thread)
{
    for (;;) {
        uint32_t part = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (part >= p->n_parts) return;
        p->fn(p->arg, part, thread);
    }
}

static void *work(void *arg)
{
    const vg_worker *w = arg;
    vg_pool *p = w->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->round == seen) pthread_cond_wait(&p->start, &p->lock);
        if (p->stop) break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        take_parts(p, w->index);
        pthread_mutex_lock(&p->lock);
        if (--p->working == 0) pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

vg_status vg_pool_new(vg_pool **out, uint32_t n_threads, vg_err *err)
{
    assert(n_threads >= 1);
    vg_pool *p = vg_mem_new(sizeof *p);
    if (!p) return VG_FAIL_MEMORY(err, sizeof *p);
    p->n_threads = n_threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    p->worker = vg_mem_new(n_threads * sizeof *p->worker);
    if (!p->worker) {
        vg_pool_free(p);
        return VG_FAIL_MEMORY(err, n_threads * sizeof *p->worker);
    }
    while (p->n_started + 1 < n_threads) {
        vg_worker *w = &p->worker[p->n_started];
        w->pool = p;
        w->index = p->n_started + 1;
        int failed = pthread_create(&w->thread, NULL, work, w);
        if (failed) {
            vg_pool_free(p);
            return VG_FAIL(err, VG_E_NO_MEMORY, "starting thread %u of %u: error %d",
                           p->n_started + 1, n_threads - 1, failed);
        }
        p->n_started++;
    }
    *out = p;
    return VG_OK;
}

void vg_pool_free(vg_pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++) pthread_join(p->worker[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->start);
    pthread_cond_destroy(&p->done);
    vg_mem_free(p->worker);
    vg_mem_free(p);
}

uint32_t vg_pool_threads(const vg_pool *p)
{
    return p->n_threads;
}

void vg_pool_run(vg_pool *p, uint32_t n_parts, vg_part_fn *fn, void *arg)
{
    p->fn = fn;
    p->arg = arg;
    p->n_parts = n_parts;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    if (p->n_started == 0 || n_parts <= 1) {
        take_parts(p, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->round++;
    p->working = p->n_started;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    take_parts(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->working > 0) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
