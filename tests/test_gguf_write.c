/* Tests of the GGUF writer: what it writes reads back, keys of another file with changes, what it
 * refuses, pieces of any size, and every allocation and every call of the system failing. */
#include <sys/resource.h>
#include <signal.h>

#include "base/os.h"
#include "fault.h"
#include "gguf_make.h"
#include "model/gguf_write.h"
#include "test_tmp.h"

static const float eight[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void put_keys(vg_gguf_writer *w)
{
    const vg_str words[] = {VG_STR("a"), VG_STR(""), {"\xff\0c", 3}};
    vg_gguf_put_str(w, "general.architecture", VG_STR("llama"));
    vg_gguf_put_u32(w, "count", UINT32_MAX);
    vg_gguf_put_f32(w, "eps", -0.5f);
    vg_gguf_put_bool(w, "yes", true);
    vg_gguf_put_strs(w, "words", words, VG_COUNT(words));
    vg_gguf_put_f32s(w, "scores", eight, 3);
    vg_gguf_put_i32s(w, "types", (int32_t[]){-1, 0, INT32_MAX}, 3);
    vg_gguf_put_i32s(w, "none", NULL, 0);
}

static void add_tensors(vg_gguf_writer *w)
{
    vg_gguf_add_tensor(w, VG_STR("first"), VG_F32, 2, (uint64_t[]){4, 2});
    vg_gguf_add_tensor(w, VG_STR("odd"), VG_F16, 1, (uint64_t[]){5});
    vg_gguf_add_tensor(w, VG_STR("third"), VG_Q4_0, 3, (uint64_t[]){64, 2, 3});
}

enum { DATA_BYTES = 32 + 10 + 36 * 6 };

/* Writes the whole file in pieces of `piece` bytes. */
static vg_status write_file(const char *path, size_t piece, vg_err *err)
{
    uint8_t data[DATA_BYTES];
    vg_gguf_writer *w = NULL;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    memcpy(data, eight, sizeof eight);
    VG_TRY(vg_gguf_begin(&w, path, err));
    put_keys(w);
    add_tensors(w);
    vg_status st = VG_OK;
    for (size_t at = 0; !st && at < sizeof data; at += piece)
        st = vg_gguf_write(w, data + at, VG_MIN(piece, sizeof data - at), err);
    if (st) {
        vg_gguf_abandon(w);
        return st;
    }
    return vg_gguf_end(w, err);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void what_is_written_reads_back(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    test_tmp tmp;
    vg_gguf *g = NULL;
    size_t n_first = 0;
    char *first = NULL;
    test_tmp_begin(&tmp);
    const char *path = test_tmp_path(&tmp, "out.gguf");
    for (size_t piece = 1; piece <= DATA_BYTES + 1; piece += 43) {
        TEST_OK(write_file(path, piece, &err));
        TEST_OK(vg_gguf_open(&g, path, NULL, &err));
        assert_int_equal(vg_gguf_version(g), 3);
        assert_int_equal(vg_gguf_n_kv(g), 8);
        assert_int_equal(vg_gguf_find(g, "count")->v.u, UINT32_MAX);
        assert_true(vg_gguf_find(g, "eps")->v.f == -0.5);
        assert_int_equal(vg_gguf_find(g, "yes")->v.u, 1);
        const vg_gguf_kv *words = vg_gguf_find(g, "words");
        assert_int_equal(words->n, 3);
        assert_int_equal(words->strs[1].n, 0);
        assert_true(vg_str_eq(words->strs[2], (vg_str){"\xff\0c", 3}));
        assert_true(vg_gguf_item_f64(vg_gguf_find(g, "scores"), 2) == 3);
        assert_int_equal(vg_gguf_item_i64(vg_gguf_find(g, "types"), 0), -1);
        assert_int_equal(vg_gguf_find(g, "none")->n, 0);
        assert_int_equal(vg_gguf_n_tensors(g), 3);
        assert_memory_equal(vg_gguf_tensor_find(g, "first")->data, eight, sizeof eight);
        const vg_gguf_tensor *odd = vg_gguf_tensor_find(g, "odd");
        for (size_t i = 0; i < 10; i++) assert_int_equal(odd->data[i], (uint8_t)((32 + i) * 7));
        const vg_gguf_tensor *third = vg_gguf_tensor_find(g, "third");
        assert_int_equal(third->dim[2], 3);
        assert_int_equal(third->data[215], (uint8_t)((DATA_BYTES - 1) * 7));
        vg_gguf_close(g);
        size_t n;
        char *bytes = test_read(path, &n);
        assert_int_equal(n % 32, 0);
        if (first) {
            assert_int_equal(n, n_first);
            assert_memory_equal(bytes, first, n);
            free(bytes);
        } else {
            first = bytes;
            n_first = n;
        }
    }
    free(first);
    test_tmp_end(&tmp);
}

/* Every type of the format goes through; overrides win; how the source was split does not. */
static void keys_are_copied_with_changes(void **state)
{
    VG_UNUSED(state);
    static const char *const words[] = {"x", "yz"};
    vg_err err;
    test_tmp tmp;
    vg_gguf *from = NULL, *to = NULL;
    vg_gguf_writer *w = NULL;
    gguf_make m;
    size_t n;
    make_begin(&m);
    make_str(&m, "general.architecture", "llama");
    make_u32(&m, "general.alignment", 64);
    make_u32(&m, "split.count", 1);
    make_u32(&m, "general.file_type", 1);
    const uint8_t bytes[16] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1, 1};
    for (uint32_t t = VG_GGUF_U8; t < VG_GGUF_N_TYPES; t++) {
        static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
        if (t == VG_GGUF_STRING || t == VG_GGUF_ARRAY) continue;
        const uint8_t *value = t == VG_GGUF_BOOL || t == VG_GGUF_F32 || t == VG_GGUF_F64
                                   ? bytes + 8 : bytes;
        make_value(&m, vg_gguf_type_name(t), t, value, size[t]);
        char key[32];
        snprintf(key, sizeof key, "array.%s", vg_gguf_type_name(t));
        make_array(&m, key, t, 1, value, size[t]);
    }
    make_strs(&m, "words", words, 2);
    m.align = 64;
    uint8_t *file = make_end(&m, &n);
    TEST_OK(vg_gguf_open_memory(&from, file, n, NULL, &err));

    test_tmp_begin(&tmp);
    const char *path = test_tmp_path(&tmp, "out.gguf");
    TEST_OK(vg_gguf_begin(&w, path, &err));
    vg_gguf_put_u32(w, "general.file_type", 2);
    vg_gguf_put_all(w, from);
    vg_gguf_put_u32(w, "general.file_type", 3);
    TEST_OK(vg_gguf_end(w, &err));
    TEST_OK(vg_gguf_open(&to, path, NULL, &err));
    assert_int_equal(vg_gguf_n_kv(to), vg_gguf_n_kv(from) - 2);
    assert_int_equal(vg_gguf_find(to, "general.file_type")->v.u, 2);
    assert_null(vg_gguf_find(to, "split.count"));
    for (size_t i = 4; i < vg_gguf_n_kv(from); i++) {
        const vg_gguf_kv *a = vg_gguf_kv_at(from, i);
        char key[32];
        snprintf(key, sizeof key, "%.*s", (int)a->key.n, a->key.p);
        const vg_gguf_kv *b = vg_gguf_find(to, key);
        assert_non_null(b);
        assert_int_equal(a->type, b->type);
        if (a->type != VG_GGUF_ARRAY) assert_int_equal(a->v.u, b->v.u);
        else if (a->item_type == VG_GGUF_STRING) assert_true(vg_str_eq(a->strs[1], b->strs[1]));
        else assert_int_equal(vg_gguf_item_i64(a, 0), vg_gguf_item_i64(b, 0));
    }
    vg_gguf_close(to);
    vg_gguf_close(from);
    free(file);
    test_tmp_end(&tmp);
}

static void what_cannot_be_written_is_told(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *name;
        uint32_t type, n_dims;
        uint64_t dim[4];
        vg_status status;
    } bad[] = {
        {"", VG_F32, 1, {1}, VG_E_LIMIT},
        {"0123456789012345678901234567890123456789012345678901234567890123", VG_F32, 1, {1},
         VG_E_LIMIT},
        {"half a block", VG_Q4_0, 1, {48}, VG_E_FORMAT},
        {"nothing", VG_F32, 2, {4, 0}, VG_E_FORMAT},
        {"vast", VG_F32, 3, {1ull << 40, 1ull << 40, 1}, VG_E_FORMAT},
        {"first", VG_F32, 1, {4}, VG_E_FORMAT},
    };
    vg_err err;
    test_tmp tmp;
    vg_gguf_writer *w = NULL;
    test_tmp_begin(&tmp);
    const char *path = test_tmp_path(&tmp, "out.gguf");
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        TEST_OK(vg_gguf_begin(&w, path, &err));
        add_tensors(w);
        vg_gguf_add_tensor(w, vg_str_from(bad[i].name), bad[i].type, bad[i].n_dims, bad[i].dim);
        assert_int_equal(vg_gguf_write(w, eight, sizeof eight, &err), bad[i].status);
        assert_non_null(strstr(err.msg, bad[i].name));
        vg_gguf_abandon(w);
        assert_false(exists(path));
    }
    vg_gguf_abandon(NULL);
    assert_int_equal(vg_gguf_begin(&w, test_tmp_path(&tmp, "no/where.gguf"), &err), VG_E_IO);
    test_tmp_end(&tmp);
}

/* A file that may not grow so far: the error names the file and the bytes, what was there stays. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    test_tmp tmp;
    struct rlimit old, low;
    test_tmp_begin(&tmp);
    test_tmp_put(&tmp, "/out.gguf", "old");
    const char *path = test_tmp_path(&tmp, "out.gguf");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = (struct rlimit){256, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    vg_status st = write_file(path, DATA_BYTES, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(st, VG_E_IO);
    assert_non_null(strstr(err.msg, "out.gguf"));
    assert_non_null(strstr(err.msg, "bytes"));
    size_t n;
    char *bytes = test_read(path, &n);
    assert_string_equal(bytes, "old");
    free(bytes);
    test_tmp_end(&tmp); /* would fail, were the half file still there under another name */
}

static void every_failure_leaves_nothing(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    const char *path = test_tmp_path(&tmp, "out.gguf");
    for (fault_kind kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        bool more = true;
        for (unsigned n = 1; more; n++) {
            fault_arm(kind, n);
            vg_status st = write_file(path, 100, &err);
            more = fault_disarm();
            if (st) {
                assert_true(err.msg[0]);
                assert_false(exists(path));
            }
            char part[4096];
            snprintf(part, sizeof part, "%s.part", path);
            assert_false(exists(part));
            if (!st) remove(path);
        }
    }
    test_tmp_end(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(keys_are_copied_with_changes),
        cmocka_unit_test(what_cannot_be_written_is_told),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(every_failure_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
