/* The worker pool: n - 1 threads and the caller, who works too. Parts are taken from one shared
 * counter, so which thread runs which part is not fixed and the parts' results may not depend on
 * it. A run ends when its parts are done, not when every worker has looked: a worker that the
 * system has put aside delays a run by the part that it holds, or not at all.
 *
 * The token path runs some hundred pieces of work a token, a few microseconds apart, and waking a
 * thread takes longer than that. So whoever waits looks at the counter for SPIN_NS and only then
 * sleeps on a condition: between two pieces of work nobody sleeps, and an idle pool uses no
 * processor. It never spins where threads have no processor of their own, and never allocates
 * after it is made. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "base/pool.h"

enum {
    SPIN_NS = 50000,     /* about what a sleep and a wake-up cost together */
    SPIN_LOOKS = 32,     /* between two looks at the clock */
    SPIN_ROUNDS = 4096,  /* bounds a spin whose clock stands still */
    CACHE_LINE = 64,
    MAX_PINNED = 256
};

typedef struct vg_worker {
    vg_pool *pool;
    pthread_t thread;
    uint32_t index; /* 1..n_threads - 1; 0 is the caller */
    bool pin;
    uint32_t cpu;   /* read when pin */
} vg_worker;

/* fn, arg and n_parts are written while no part is open, and read by who holds a part. */
struct vg_pool {
    vg_worker *worker; /* [n_threads - 1] */
    uint32_t n_threads, n_started;
    bool spin;
    vg_part_fn *fn;
    void *arg;
    uint32_t n_parts;
    char apart_1[CACHE_LINE]; /* what all threads write lies in cache lines of its own */
    atomic_int left;          /* parts that nobody took yet; late takers bring it below 0 */
    char apart_2[CACHE_LINE];
    atomic_uint open;         /* parts that are not done yet */
    char apart_3[CACHE_LINE];
    atomic_uint asleep;       /* workers in wait_for_parts, changed under lock */
    atomic_bool caller_asleep;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    bool stop; /* guarded by lock */
};

/* Takes parts until none is left. Whoever got one may read what the run is about: the caller cannot
 * begin another run before this thread has reported its parts. */
static void take_parts(vg_pool *p, uint32_t thread)
{
    uint32_t n = 0;
    while (atomic_load_explicit(&p->left, memory_order_relaxed) > 0) {
        int left = atomic_fetch_sub_explicit(&p->left, 1, memory_order_acquire);
        if (left <= 0) break;
        p->fn(p->arg, p->n_parts - (uint32_t)left, thread);
        n++;
    }
    /* Sequentially consistent, as are the caller's two: either the caller sees that nothing is
     * open, or this thread sees that it sleeps. */
    if (n == 0 || atomic_fetch_sub(&p->open, n) != n || !atomic_load(&p->caller_asleep)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
}

static bool has_parts(vg_pool *p)
{
    return atomic_load(&p->left) > 0;
}

static bool is_done(vg_pool *p)
{
    return atomic_load(&p->open) == 0;
}

/* Looks for `what` for a short time; false when it did not come. */
static bool spin_for(vg_pool *p, bool (*what)(vg_pool *p))
{
    if (what(p)) return true;
    if (!p->spin) return false;
    uint64_t begin = vg_os_now_ns();
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            vg_os_relax();
            if (what(p)) return true;
        }
        if (vg_os_now_ns() - begin > SPIN_NS) break;
    }
    return false;
}

/* False when the pool ends. A worker counts itself before its last look at the parts, and the
 * caller counts sleepers after it put parts there: one of the two sees the other. */
static bool wait_for_parts(vg_pool *p)
{
    if (spin_for(p, has_parts)) return true;
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1);
    while (!p->stop && !has_parts(p)) pthread_cond_wait(&p->start, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    bool stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return !stop;
}

static void wait_for_end(vg_pool *p)
{
    if (spin_for(p, is_done)) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_asleep, true);
    while (!is_done(p)) pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_asleep, false);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
    const vg_worker *w = arg;
    if (w->pin) vg_os_pin(w->cpu);
    while (wait_for_parts(w->pool)) take_parts(w->pool, w->index);
    return NULL;
}

static vg_status start_workers(vg_pool *p, bool pin, vg_err *err)
{
    uint32_t cpu[MAX_PINNED];
    uint32_t n_cpu = pin ? vg_os_fast_cpus(cpu, MAX_PINNED) : 0;
    while (p->n_started + 1 < p->n_threads) {
        vg_worker *w = &p->worker[p->n_started];
        w->pool = p;
        w->index = p->n_started + 1;
        w->pin = w->index < n_cpu;
        if (w->pin) w->cpu = cpu[w->index];
        int failed = pthread_create(&w->thread, NULL, work, w);
        if (failed)
            return VG_FAIL(err, VG_E_NO_MEMORY, "starting thread %u of %u: error %d", w->index,
                           p->n_threads - 1, failed);
        p->n_started++;
    }
    return VG_OK;
}

vg_status vg_pool_new(vg_pool **out, uint32_t n_threads, bool pin, vg_err *err)
{
    assert(n_threads >= 1);
    vg_pool *p = vg_mem_new(sizeof *p);
    if (!p) return VG_FAIL_MEMORY(err, sizeof *p);
    p->n_threads = n_threads;
    p->spin = n_threads <= vg_os_cpus();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    size_t bytes = n_threads * sizeof *p->worker;
    p->worker = vg_mem_new(bytes);
    vg_status st = p->worker ? start_workers(p, pin, err) : VG_FAIL_MEMORY(err, bytes);
    if (st) vg_pool_free(p);
    else *out = p;
    return st;
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

uint32_t vg_pool_asleep(const vg_pool *p)
{
    return atomic_load(&p->asleep);
}

void vg_pool_run(vg_pool *p, uint32_t n_parts, vg_part_fn *fn, void *arg)
{
    assert(n_parts <= INT32_MAX);
    if (p->n_started == 0 || n_parts <= 1) {
        for (uint32_t i = 0; i < n_parts; i++) fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n_parts = n_parts;
    atomic_store(&p->open, n_parts);
    atomic_store(&p->left, (int)n_parts);
    if (atomic_load(&p->asleep) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->start);
        pthread_mutex_unlock(&p->lock);
    }
    take_parts(p, 0);
    wait_for_end(p);
}
