/* Tests of the engine thread: 32 jobs at once answer byte for byte what each answers alone; a full
 * ring puts only its own job to sleep; what does not fit waits; cancelled jobs free their pages. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault.h"
#include "golden.h"
#include "serve/sched_int.h"

enum { N_VOCAB = 160, CTX = 512, N_JOBS = 32, ANSWER = 40 };

typedef struct rig {
    vg_model *m;
    vg_sched *s;
    int news; /* an eventfd */
} rig;

static void wake(void *user)
{
    uint64_t one = 1;
    rig *r = user;
    assert_int_equal(write(r->news, &one, sizeof one), sizeof one);
}

static void await(rig *r)
{
    uint64_t n;
    struct pollfd p = {.fd = r->news, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(read(r->news, &n, sizeof n), sizeof n);
}

static void begin(rig *r, uint32_t n_sessions, uint32_t queue_cap)
{
    vg_err err;
    *r = (rig){.m = golden_model("llama"), .news = eventfd(0, EFD_CLOEXEC)};
    vg_sched_opts o = {.engine = {.n_threads = 2, .ctx_tok = CTX, .n_sessions = n_sessions,
                                  .batch_tok = 64, .kv_tok = 3 * CTX},
                       .queue_cap = queue_cap, .wake = wake, .user = r};
    TEST_OK(vg_sched_new(&r->s, r->m, &o, &err));
}

static void end(rig *r)
{
    vg_sched_free(r->s);
    vg_model_unref(r->m);
    close(r->news);
}

typedef struct answer {
    int32_t id[CTX];
    size_t n;
    vg_job_facts facts;
} answer;

static vg_job_ask ask_of(size_t i, int32_t *prompt)
{
    size_t n = 20 + 7 * (i % 11);
    for (size_t k = 0; k < n; k++) prompt[k] = (int32_t)((k < 64 ? k * 31 : k * 7 + i) % N_VOCAB);
    return (vg_job_ask){.prompt = prompt, .n_prompt = n, .max_tok = ANSWER, .ignore_end = true,
                        .sampling = {.temp = i % 3 ? 1.0f : 0, .seed = i, .top_k = i % 4 ? 0 : 20,
                                     .repeat_penalty = i % 5 ? 1.0f : 1.2f},
                        .key = i % 3};
}

/* Takes what is there; true when the job is at its end. */
static bool drain(vg_job *j, answer *a)
{
    vg_token_out t;
    vg_job_get_facts(j, &a->facts);
    while (vg_job_next(j, &t)) a->id[a->n++] = t.id;
    return a->facts.end != VG_JOB_RUNS;
}

static void finish_all(rig *r, vg_job **job, answer *a, size_t n)
{
    for (size_t left = n; left > 0;) {
        left = 0;
        for (size_t i = 0; i < n; i++)
            if (job[i] && !drain(job[i], &a[i])) left++;
        if (left > 0) await(r);
    }
}

static void test_crowd_as_alone(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t prompt[CTX];
    answer *alone = calloc(N_JOBS, sizeof *alone), *crowd = calloc(N_JOBS, sizeof *crowd);
    vg_job *job[N_JOBS];
    begin(&r, 1, 4);
    for (size_t i = 0; i < N_JOBS; i++) {
        vg_job_ask ask = ask_of(i, prompt);
        TEST_OK(vg_sched_submit(r.s, &ask, &job[0], &err));
        finish_all(&r, job, &alone[i], 1);
        assert_int_equal(alone[i].n, ANSWER);
        assert_int_equal(alone[i].facts.end, VG_JOB_LENGTH);
        vg_job_free(job[0]);
    }
    end(&r);
    begin(&r, 16, N_JOBS);
    for (size_t i = 0; i < N_JOBS; i++) {
        vg_job_ask ask = ask_of(i, prompt);
        TEST_OK(vg_sched_submit(r.s, &ask, &job[i], &err));
    }
    finish_all(&r, job, crowd, N_JOBS);
    size_t n_reused = 0;
    for (size_t i = 0; i < N_JOBS; i++) {
        assert_int_equal(crowd[i].n, ANSWER);
        assert_memory_equal(crowd[i].id, alone[i].id, ANSWER * sizeof(int32_t));
        n_reused += crowd[i].facts.n_reused;
        vg_job_free(job[i]);
    }
    assert_true(n_reused > 0); /* they begin alike */
    vg_sched_stats t;
    vg_sched_get_stats(r.s, &t);
    assert_int_equal(t.n_done, N_JOBS);
    assert_int_equal(t.n_answer_tok, N_JOBS * ANSWER);
    assert_int_equal(t.n_reused_tok, n_reused);
    free(alone);
    free(crowd);
    end(&r);
}

/* Who does not read sleeps with a full ring, and the others finish; then it goes on. */
static void test_slow_reader(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t prompt[CTX];
    answer *fast = calloc(5, sizeof *fast), *slow = &fast[4];
    vg_job *sleeper, *job[4];
    begin(&r, 8, 16);
    vg_job_ask ask = ask_of(1, prompt);
    ask.max_tok = VG_RING_TOK + 30;
    TEST_OK(vg_sched_submit(r.s, &ask, &sleeper, &err));
    for (size_t i = 0; i < 4; i++) {
        ask = ask_of(i + 2, prompt);
        ask.max_tok = 2 * VG_RING_TOK;
        TEST_OK(vg_sched_submit(r.s, &ask, &job[i], &err));
    }
    finish_all(&r, job, fast, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(fast[i].n, 2 * VG_RING_TOK);
        vg_job_free(job[i]);
    }
    vg_job_facts f;
    do vg_job_get_facts(sleeper, &f);
    while (f.n_tok < VG_RING_TOK && (await(&r), true));
    assert_int_equal(f.end, VG_JOB_RUNS);
    finish_all(&r, &sleeper, slow, 1);
    assert_int_equal(slow->n, VG_RING_TOK + 30);
    free(fast);
    vg_job_free(sleeper);
    end(&r);
}

static void test_refuses(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t prompt[CTX] = {0};
    vg_job *job[3], *more = NULL;
    begin(&r, 1, 2);
    vg_job_ask ask = {.prompt = prompt, .n_prompt = CTX};
    assert_int_equal(vg_sched_submit(r.s, &ask, &more, &err), VG_E_CONTEXT);
    assert_non_null(strstr(err.msg, "512"));
    ask.n_prompt = 0;
    assert_int_equal(vg_sched_submit(r.s, &ask, &more, &err), VG_E_USAGE);
    ask = (vg_job_ask){.prompt = prompt, .n_prompt = 9, .ignore_end = true};
    /* One runs until its ring is full and sleeps, two wait, and the queue is full. */
    TEST_OK(vg_sched_submit(r.s, &ask, &job[0], &err));
    vg_job_facts f;
    do {
        await(&r);
        vg_job_get_facts(job[0], &f);
    } while (f.n_tok < VG_RING_TOK);
    TEST_OK(vg_sched_submit(r.s, &ask, &job[1], &err));
    TEST_OK(vg_sched_submit(r.s, &ask, &job[2], &err));
    assert_int_equal(vg_sched_submit(r.s, &ask, &more, &err), VG_E_LIMIT);
    assert_true(vg_sched_wait_s(r.s) >= 1);
    vg_job_get_facts(job[2], &f);
    assert_false(f.began);
    /* A bad token is that job's own failure. */
    vg_job_free(job[0]);
    vg_job_free(job[1]);
    vg_job_free(job[2]);
    prompt[3] = N_VOCAB;
    do await(&r);
    while (vg_sched_submit(r.s, &ask, &job[0], &err) == VG_E_LIMIT);
    do {
        await(&r);
        vg_job_get_facts(job[0], &f);
    } while (!f.end);
    assert_int_equal(f.end, VG_JOB_FAILED);
    assert_non_null(strstr(f.err.msg, "160"));
    vg_job_free(job[0]);
    end(&r);
}

/* Jobs that come and go at random leave nothing behind. */
static void test_cancels(void **state)
{
    VG_UNUSED(state);
    rig r;
    vg_err err;
    int32_t prompt[CTX];
    answer *a = calloc(N_JOBS, sizeof *a);
    vg_job *job[N_JOBS] = {0};
    uint32_t random = 1;
    begin(&r, 8, N_JOBS);
    for (size_t round = 0; round < 400; round++) {
        random = random * 1664525 + 1013904223;
        size_t i = random >> 20 & (N_JOBS - 1);
        if (!job[i]) {
            vg_job_ask ask = ask_of(i, prompt);
            if (vg_sched_submit(r.s, &ask, &job[i], &err)) continue;
            a[i].n = 0;
        } else if (drain(job[i], &a[i]) || random >> 10 & 1) {
            vg_job_free(job[i]);
            job[i] = NULL;
        }
    }
    for (size_t i = 0; i < N_JOBS; i++) vg_job_free(job[i]);
    free(a);
    vg_sched_stats t;
    do {
        vg_sched_get_stats(r.s, &t);
        if (t.n_running || t.n_waiting || t.pages.n_held) await(&r);
    } while (t.n_running || t.n_waiting || t.pages.n_held);
    assert_int_equal(t.pages.n_promised, 0);
    end(&r);
}

/* Two keys, one with many jobs: the other one's job does not wait for all of them. */
static void test_shares(void **state)
{
    VG_UNUSED(state);
    vg_shares s = {0};
    vg_job a = {.number = 1, .ask.key = 7}, b = {.number = 2, .ask.key = 8};
    vg_shares_enter(&s, 7);
    vg_shares_count(&s, 7, 100);
    vg_shares_enter(&s, 8); /* starts level */
    assert_true(vg_job_before(&s, &a, &b));
    vg_shares_count(&s, 7, 10);
    assert_true(vg_job_before(&s, &b, &a));
    vg_shares_count(&s, 8, 11);
    assert_true(vg_job_before(&s, &a, &b));
    b.ask.priority = 1;
    assert_true(vg_job_before(&s, &b, &a));
    for (uint64_t k = 0; k < 2 * VG_MAX_SHARES; k++) {
        vg_shares_enter(&s, 1000 + k);
        vg_shares_count(&s, 1000 + k, k);
        vg_shares_leave(&s, 1000 + k);
    }
    assert_true(s.n <= VG_MAX_SHARES);
}

/* Each allocation that fails is an error, and nothing is left of what was begun. */
static void test_no_memory(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    int32_t id[3] = {1, 2, 3};
    vg_bias bias = {1, 1};
    vg_tokens text = {id, 3};
    vg_model *m = golden_model("llama");
    vg_sched_opts o = {.engine = {.n_threads = 1, .ctx_tok = 64}};
    vg_job_ask ask = {.prompt = id, .n_prompt = 3, .text = &text, .n_text = 1,
                      .sampling = {.bias = &bias, .n_bias = 1, .dry_breakers = id,
                                   .n_dry_breakers = 3}};
    bool more = true;
    for (unsigned n = 1; more; n++) {
        vg_sched *s = NULL;
        fault_arm(FAULT_ALLOC, n);
        vg_status st = vg_sched_new(&s, m, &o, &err);
        more = fault_disarm();
        if (more) assert_int_equal(st, VG_E_NO_MEMORY);
        else assert_int_equal(st, VG_OK);
        vg_sched_free(s);
    }
    more = true;
    for (unsigned n = 1; more; n++) {
        vg_job *j = NULL;
        fault_arm(FAULT_ALLOC, n);
        vg_status st = vg_job_new(&j, &ask, 8, &err);
        more = fault_disarm();
        if (more) assert_int_equal(st, VG_E_NO_MEMORY);
        else vg_job_unref(j);
    }
    vg_model_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd_as_alone), cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_refuses),        cmocka_unit_test(test_cancels),
        cmocka_unit_test(test_shares),         cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
