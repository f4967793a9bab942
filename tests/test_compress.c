/* compress/compress.h: files of the model that ships with the program: what is refused, runs that
 * are stopped at every report and go on to the same bytes, damaged journals and parts, and every
 * allocation and every call of the system failing, after which the output is whole or absent. */
#include <math.h>
#include <unistd.h>

#include "base/os.h"
#include "compress/compress.h"
#include "fault.h"
#include "model/gguf_write.h"
#include "model/model.h"
#include "test_tmp.h"

typedef struct fixture {
    test_tmp tmp;
    char path[1024], part[1040], journal[1040], whole[1024];
    vg_gguf *g;
    vg_err err;
    size_t n_left; /* reports until the run is stopped */
} fixture;

static bool stop(void *user, const vg_compress_now *now)
{
    fixture *f = user;
    assert_true(now->stage && now->done <= now->total);
    if (f->n_left == 0) return true;
    f->n_left--;
    return false;
}

static vg_compress_opts options(fixture *f, bool resume)
{
    return (vg_compress_opts){.mix = vg_mix_find("Q4_0"), .n_threads = 1, .resume = resume,
                              .progress = stop, .user = f};
}

static vg_status compress(fixture *f, const vg_compress_opts *o, const char *path, size_t *resumed)
{
    vg_compress *c = NULL;
    vg_status st = vg_compress_new(&c, f->g, o, &f->err);
    if (!st) st = vg_compress_run(c, path, &f->err);
    if (!st && resumed) *resumed = vg_compress_resumed(c);
    vg_compress_free(c);
    return st;
}

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void check_same(const fixture *f)
{
    size_t n, n_whole;
    char *got = test_read(f->path, &n), *want = test_read(f->whole, &n_whole);
    assert_int_equal(n, n_whole);
    assert_memory_equal(got, want, n);
    free(got);
    free(want);
    assert_false(there(f->part));
    assert_false(there(f->journal));
    remove(f->path);
}

static int begin(void **state)
{
    char model[4096];
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    test_tmp_begin(&f->tmp);
    snprintf(f->path, sizeof f->path, "%.900s/out.gguf", f->tmp.dir);
    snprintf(f->part, sizeof f->part, "%s.part", f->path);
    snprintf(f->journal, sizeof f->journal, "%s.journal", f->path);
    snprintf(f->whole, sizeof f->whole, "%.900s/whole.gguf", f->tmp.dir);
    test_path(model, "../models/default.gguf");
    vg_compress_opts o = options(f, false);
    f->n_left = SIZE_MAX;
    bool ok = !vg_gguf_open(&f->g, model, NULL, &f->err) && !compress(f, &o, f->whole, NULL);
    *state = f;
    return ok ? 0 : -1;
}

static int end(void **state)
{
    fixture *f = *state;
    vg_gguf_close(f->g);
    test_tmp_end(&f->tmp);
    free(f);
    return 0;
}

static void stopped_anywhere_it_goes_on(void **state)
{
    fixture *f = *state;
    bool more = true;
    for (size_t n = 0; more; n += 3) {
        vg_compress_opts o = options(f, false);
        f->n_left = n;
        vg_status st = compress(f, &o, f->path, NULL);
        more = st == VG_E_CANCELLED;
        if (!more) break;
        assert_false(there(f->path));
        assert_true(there(f->part));
        size_t resumed = 0;
        o.resume = true;
        f->n_left = SIZE_MAX;
        vg_err err = f->err;
        TEST_OK(compress(f, &o, f->path, &resumed));
        assert_true(n == 0 || resumed > 0);
        check_same(f);
    }
    check_same(f);
}

static void cut(const char *path, long n)
{
    size_t have;
    char *bytes = test_read(path, &have);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    size_t keep = n < 0 ? have - (size_t)-n : (size_t)n;
    fwrite(bytes, 1, keep, file);
    fclose(file);
    free(bytes);
}

static void stop_after(fixture *f, size_t n)
{
    vg_compress_opts o = options(f, false);
    f->n_left = n;
    assert_int_equal(compress(f, &o, f->path, NULL), VG_E_CANCELLED);
    f->n_left = SIZE_MAX;
}

static void what_does_not_fit_is_not_resumed(void **state)
{
    fixture *f = *state;
    stop_after(f, 20);
    vg_compress_opts o = options(f, true);
    o.mix = vg_mix_find("Q8_0");
    assert_int_equal(compress(f, &o, f->path, NULL), VG_E_FORMAT);
    o = options(f, true);
    assert_int_equal(compress(f, &o, f->path, NULL), VG_OK); /* the part is still there */
    check_same(f);
    stop_after(f, 20);
    cut(f->journal, -1);
    assert_int_equal(compress(f, &o, f->path, NULL), VG_E_FORMAT);
    remove(f->journal);
    assert_int_equal(compress(f, &o, f->path, NULL), VG_OK); /* from the beginning */
    check_same(f);
    stop_after(f, 20);
    cut(f->part, 5000);
    assert_int_equal(compress(f, &o, f->path, NULL), VG_E_FORMAT);
    stop_after(f, 20);
    remove(f->part);
    assert_int_not_equal(compress(f, &o, f->path, NULL), VG_OK);
    o = options(f, false);
    assert_int_equal(compress(f, &o, f->path, NULL), VG_OK);
    check_same(f);
}

static void every_failure_is_told(void **state)
{
    fixture *f = *state;
    for (int kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        bool more = true;
        for (unsigned n = 1; more; n++) {
            vg_compress_opts o = options(f, false);
            f->n_left = SIZE_MAX;
            fault_arm((fault_kind)kind, n);
            vg_status st = compress(f, &o, f->path, NULL);
            more = fault_disarm();
            /* A journal that cannot be written or a page that cannot be had may not matter. */
            if (st) assert_false(there(f->path));
            else check_same(f);
            remove(f->part);
            remove(f->journal);
        }
    }
}

static void a_hole_is_named(void **state)
{
    fixture *f = *state;
    char path[1040];
    float x[64 * 4] = {0};
    vg_gguf_writer *w = NULL;
    vg_gguf *g = NULL, *before = f->g;
    vg_err err;
    x[2 * 64 + 7] = (float)NAN;
    snprintf(path, sizeof path, "%.900s/hole.gguf", f->tmp.dir);
    TEST_OK(vg_gguf_begin(&w, path, &err));
    vg_gguf_put_str(w, "general.architecture", VG_STR("llama"));
    vg_gguf_add_tensor(w, VG_STR("blk.0.ffn_up.weight"), VG_F32, 2, (uint64_t[]){64, 4});
    TEST_OK(vg_gguf_write(w, x, sizeof x, &err));
    TEST_OK(vg_gguf_end(w, &err));
    TEST_OK(vg_gguf_open(&g, path, NULL, &err));
    f->g = g;
    vg_compress_opts o = options(f, false);
    f->n_left = SIZE_MAX;
    assert_int_equal(compress(f, &o, f->path, NULL), VG_E_NUMERIC);
    assert_non_null(strstr(f->err.msg, "blk.0.ffn_up.weight"));
    assert_non_null(strstr(f->err.msg, "row 2, column 7"));
    assert_false(there(f->path) || there(f->part) || there(f->journal));
    f->g = before;
    vg_gguf_close(g);
}

static void a_size_is_kept(void **state)
{
    fixture *f = *state;
    for (uint64_t size = 1800000; size < 5000000; size += 700000) {
        vg_compress_opts o = options(f, false);
        o.size_bytes = size;
        f->n_left = SIZE_MAX;
        assert_int_equal(compress(f, &o, f->path, NULL), VG_OK);
        vg_file file;
        vg_err err;
        TEST_OK(vg_file_map(&file, f->path, &err));
        assert_true(file.n <= size);
        vg_file_unmap(&file);
    }
    remove(f->path);
}

static vg_kv_type written_kv(fixture *f, vg_gguf *from, vg_kv_type kv, const char *path)
{
    vg_compress_opts o = options(f, false);
    vg_gguf *g = NULL, *before = f->g;
    vg_err err;
    o.kv = kv;
    f->g = from;
    f->n_left = SIZE_MAX;
    assert_int_equal(compress(f, &o, path, NULL), VG_OK);
    f->g = before;
    TEST_OK(vg_gguf_open(&g, path, NULL, &err));
    assert_true(vg_kv_type_read(g, &kv));
    vg_gguf_close(g);
    return kv;
}

static void the_cache_is_recorded(void **state)
{
    fixture *f = *state;
    vg_gguf *g = NULL;
    vg_err err;
    assert_int_equal(written_kv(f, f->g, VG_KV_AUTO, f->path), VG_KV_Q8);
    assert_int_equal(written_kv(f, f->g, VG_KV_F16, f->path), VG_KV_F16);
    TEST_OK(vg_gguf_open(&g, f->path, NULL, &err)); /* an input that prefers something */
    assert_int_equal(written_kv(f, g, VG_KV_AUTO, f->whole), VG_KV_F16);
    assert_int_equal(written_kv(f, g, VG_KV_F32, f->whole), VG_KV_F32);
    vg_gguf_close(g);
    stop_after(f, 20);
    vg_compress_opts o = options(f, true);
    o.kv = VG_KV_F32;
    assert_int_equal(compress(f, &o, f->path, NULL), VG_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stopped_anywhere_it_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_resumed, begin, end),
        cmocka_unit_test_setup_teardown(every_failure_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_hole_is_named, begin, end),
        cmocka_unit_test_setup_teardown(the_cache_is_recorded, begin, end),
        cmocka_unit_test_setup_teardown(a_size_is_kept, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
