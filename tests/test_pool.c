/* Tests of pool.c: every part once, whatever sleeps or wakes meanwhile, and nobody awake in an idle
 * pool. No test measures time: a lost wake-up shows as a test that never ends. */
#include <sched.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "test.h"

enum { N_PARTS = 1000, PATIENCE = 100000000 };

typedef struct mark_job {
    int hits[N_PARTS];
    uint32_t n_threads;
    atomic_bool strange; /* a thread number out of its range */
} mark_job;

static void mark(void *arg, uint32_t part, uint32_t thread)
{
    mark_job *j = arg;
    if (thread >= j->n_threads) j->strange = true;
    j->hits[part]++;
}

static void each_part_runs_once(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    for (uint32_t n = 1; n <= 9; n++) {
        vg_pool *p = NULL;
        TEST_OK(vg_pool_new(&p, n, n % 2, &err));
        assert_int_equal(vg_pool_threads(p), n);
        mark_job j = {.n_threads = n};
        for (int round = 0; round < 20; round++) vg_pool_run(p, N_PARTS, mark, &j);
        for (int i = 0; i < N_PARTS; i++) assert_int_equal(j.hits[i], 20);
        assert_false(j.strange);
        vg_pool_run(p, 0, mark, &j);
        vg_pool_run(p, 1, mark, &j);
        assert_int_equal(j.hits[0], 21);
        vg_pool_free(p);
    }
}

/* Runs of all sizes, close to each other and apart, so that workers are caught at each point of
 * their way to sleep. The sums are plain numbers: a run that ended too early is a data race. */
static void runs_follow_each_other(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    for (uint32_t n = 2; n <= 5; n++) {
        vg_pool *p = NULL;
        TEST_OK(vg_pool_new(&p, n, false, &err));
        mark_job j = {.n_threads = n};
        int expected[N_PARTS] = {0};
        uint32_t random = n;
        for (int round = 0; round < 20000; round++) {
            random = random * 1664525 + 1013904223;
            uint32_t n_parts = random >> 24 & 7, pause = random >> 16 & 63;
            vg_pool_run(p, n_parts, mark, &j);
            for (uint32_t i = 0; i < n_parts; i++)
                if (j.hits[i] != ++expected[i]) fail_msg("part %u of round %d", i, round);
            for (uint32_t i = 0; pause < 8 && i < pause * 4; i++) sched_yield();
        }
        assert_false(j.strange);
        vg_pool_free(p);
    }
}

static void wait_until_idle(const vg_pool *p)
{
    for (long i = 0; vg_pool_asleep(p) + 1 < vg_pool_threads(p); i++) {
        if (i == PATIENCE) fail_msg("%u workers sleep", vg_pool_asleep(p));
        sched_yield();
    }
}

typedef struct meeting {
    atomic_uint n_there;
    uint32_t n_invited;
} meeting;

/* Ends when as many threads as were invited are in it at once. */
static void meet(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(part);
    VG_UNUSED(thread);
    meeting *m = arg;
    atomic_fetch_add(&m->n_there, 1);
    while (atomic_load(&m->n_there) < m->n_invited) sched_yield();
}

static void idle_workers_sleep_and_all_wake(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    for (uint32_t n = 1; n <= 6; n++) {
        vg_pool *p = NULL;
        TEST_OK(vg_pool_new(&p, n, false, &err));
        for (int round = 0; round < 50; round++) {
            wait_until_idle(p);
            meeting m = {.n_invited = n};
            vg_pool_run(p, n, meet, &m);
            assert_int_equal(m.n_there, n);
        }
        wait_until_idle(p);
        vg_pool_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_runs_once),
        cmocka_unit_test(runs_follow_each_other),
        cmocka_unit_test(idle_workers_sleep_and_all_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
