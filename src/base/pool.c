/* The worker pool: n - 1 threads that sleep on a condition until there is work, and the caller, who
 * works too. Parts are taken from one shared counter, so a thread that is late costs little; which
 * thread takes which part is not fixed, so the parts' results may not depend on it. The token path
 * uses it many times a step and never allocates here. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"

struct vg_pool {
    pthread_t *thread; /* [n_threads - 1] */
    uint32_t n_threads, n_started;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    uint64_t round;   /* counts calls of run; guarded by lock */
    uint32_t working; /* workers inside the current round; guarded by lock */
    bool stop;
    void (*fn)(void *arg, uint32_t part);
    void *arg;
    uint32_t n_parts;
    atomic_uint next;
};

static void take_parts(vg_pool *p)
{
    for (;;) {
        uint32_t part = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (part >= p->n_parts) return;
        p->fn(p->arg, part);
    }
}

static void *worker(void *arg)
{
    vg_pool *p = arg;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->round == seen) pthread_cond_wait(&p->work, &p->lock);
        if (p->stop) break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        take_parts(p);
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
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    p->thread = vg_mem_new(n_threads * sizeof *p->thread);
    if (!p->thread) {
        vg_pool_free(p);
        return VG_FAIL_MEMORY(err, n_threads * sizeof *p->thread);
    }
    while (p->n_started + 1 < n_threads) {
        int failed = pthread_create(&p->thread[p->n_started], NULL, worker, p);
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
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++) pthread_join(p->thread[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    vg_mem_free(p->thread);
    vg_mem_free(p);
}

uint32_t vg_pool_threads(const vg_pool *p)
{
    return p->n_threads;
}

void vg_pool_run(vg_pool *p, uint32_t n_parts, void (*fn)(void *arg, uint32_t part), void *arg)
{
    p->fn = fn;
    p->arg = arg;
    p->n_parts = n_parts;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    if (p->n_started == 0 || n_parts <= 1) {
        take_parts(p);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->round++;
    p->working = p->n_started;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    take_parts(p);
    pthread_mutex_lock(&p->lock);
    while (p->working > 0) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
