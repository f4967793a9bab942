/* Tests of the way of a checkpoint folder through compress (compress/source.h), and of the folders
 * that tools/synth writes: every shape converts; a run that stops anywhere leaves what another goes
 * on from, to the same bytes; what belongs to another folder is not gone on from. */
#include <sys/stat.h>

#include "compress/source.h"
#include "fault.h"
#include "synth.h"
#include "test_tmp.h"
#include "verge.h"

typedef struct place {
    test_tmp tmp;
    char dir[4096], out[2048];
} place;

static void begin(place *p, const char *shape)
{
    vg_err err;
    const synth_opts opts = {.seed = 1, .tiny = true};
    test_tmp_begin(&p->tmp);
    snprintf(p->dir, sizeof p->dir, "%s", test_tmp_path(&p->tmp, "folder"));
    snprintf(p->out, sizeof p->out, "%s", test_tmp_path(&p->tmp, "out.gguf"));
    TEST_OK(synth_checkpoint(synth_shape_find(shape), VG_BF16, &opts, p->dir, &err));
}

/* The same with a golden checkpoint of a few kilobytes. */
static void begin_small(place *p)
{
    test_tmp_begin(&p->tmp);
    test_path(p->dir, "golden/convert/qwen2");
    snprintf(p->out, sizeof p->out, "%s", test_tmp_path(&p->tmp, "out.gguf"));
}

static bool exists(const char *path, const char *end)
{
    char name[4096];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, end);
    return stat(name, &st) == 0;
}

static void every_shape_converts(void **state)
{
    VG_UNUSED(state);
    size_t n;
    const synth_shape *s = synth_shapes(&n);
    for (size_t i = 0; i < n; i++) {
        place p;
        vg_err err;
        vg_convert_report r;
        vg_model *m = NULL;
        begin(&p, s[i].name);
        const vg_convert_opts opts = {.type = VG_N_DTYPES};
        TEST_OK(vg_convert(p.dir, p.out, &opts, &r, &err));
        assert_int_equal(r.type, VG_BF16);
        TEST_OK(vg_model_open(&m, p.out, NULL, &err));
        vg_model_info info;
        vg_model_get_info(m, &info);
        assert_int_equal(info.n_vocab, 1024);
        assert_string_equal(info.arch, s[i].arch);
        vg_model_unref(m);
        test_tmp_remove(&p.tmp);
    }
}

typedef struct stopper {
    uint64_t at; /* calls that are let through */
} stopper;

static bool stop(void *user, uint64_t done, uint64_t total)
{
    stopper *s = user;
    VG_UNUSED(done);
    VG_UNUSED(total);
    return s->at-- == 0;
}

static vg_status make(const place *p, bool resume, stopper *by, vg_source *s, vg_err *err)
{
    *s = (vg_source){.resume = resume, .user = by, .progress = by ? stop : NULL};
    VG_TRY(vg_source_begin(s, p->dir, p->out, err));
    return vg_source_make(s, err);
}

static void must_equal(const char *path, const char *want, size_t n_want)
{
    size_t n;
    char *have = test_read(path, &n);
    assert_int_equal(n, n_want);
    assert_memory_equal(have, want, n);
    free(have);
}

static void a_stopped_run_goes_on_to_the_same_bytes(void **state)
{
    VG_UNUSED(state);
    place p;
    vg_err err;
    vg_source s;
    size_t n;
    begin_small(&p);
    assert_true(vg_source_is_folder(p.dir));
    TEST_OK(make(&p, false, NULL, &s, &err));
    assert_true(s.n_bytes > 8000 && s.n_bytes < 20000);
    char *whole = test_read(s.path, &n);
    TEST_OK(make(&p, true, &(stopper){0}, &s, &err)); /* it is there: nothing to do */
    vg_source_remove(&s);
    assert_false(exists(p.out, ".source") || exists(p.out, ".source.journal"));
    for (uint64_t at = 0; at < 13; at++) {
        assert_int_equal(make(&p, false, &(stopper){at}, &s, &err), VG_E_CANCELLED);
        assert_true(exists(p.out, ".source.journal") && !exists(p.out, ".source"));
        assert_int_equal(make(&p, true, &(stopper){at}, &s, &err), VG_E_CANCELLED);
        TEST_OK(make(&p, true, NULL, &s, &err));
        must_equal(s.path, whole, n);
        vg_source_remove(&s);
        assert_false(exists(p.out, ".source.part"));
    }
    free(whole);
    test_tmp_end(&p.tmp);
}

static void what_is_of_another_folder_is_left_alone(void **state)
{
    VG_UNUSED(state);
    place p;
    vg_err err;
    vg_source s;
    begin(&p, "SmolLM2-135M");
    assert_int_equal(make(&p, false, &(stopper){5}, &s, &err), VG_E_CANCELLED);
    FILE *f = fopen(test_tmp_path(&p.tmp, "folder/more.json"), "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(make(&p, true, NULL, &s, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "another folder"));
    f = fopen(test_tmp_path(&p.tmp, "out.gguf.source.journal"), "r+");
    assert_non_null(f);
    fputs("vgsourc2", f);
    fclose(f);
    assert_int_equal(make(&p, true, NULL, &s, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "damaged"));
    TEST_OK(make(&p, false, NULL, &s, &err));
    TEST_OK(make(&p, true, NULL, &s, &err));
    test_tmp_remove(&p.tmp);
}

static void every_failure_can_be_gone_on_from(void **state)
{
    VG_UNUSED(state);
    place p;
    vg_err err;
    vg_source s;
    size_t n;
    begin_small(&p);
    TEST_OK(make(&p, false, NULL, &s, &err));
    char *whole = test_read(s.path, &n);
    vg_source_remove(&s);
    bool more = true;
    for (unsigned k = 1; more; k++) {
        fault_arm(FAULT_IO, k);
        vg_status st = make(&p, false, NULL, &s, &err);
        more = fault_disarm();
        if (more && st) assert_false(exists(p.out, ".source"));
        st = make(&p, true, NULL, &s, &err);
        if (st) fail_msg("call %u: %s", k, err.msg);
        must_equal(s.path, whole, n);
        vg_source_remove(&s);
    }
    free(whole);
    test_tmp_end(&p.tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_converts),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bytes),
        cmocka_unit_test(what_is_of_another_folder_is_left_alone),
        cmocka_unit_test(every_failure_can_be_gone_on_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
