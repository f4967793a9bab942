/* Tests of the GGUF reader: what a good file gives, what each kind of bad file is told, split sets,
 * files that are cut, huge, replaced or no files at all, and every allocation and call failing. */
#include <sys/stat.h>

#include "base/os.h"
#include "fault.h"
#include "gguf_make.h"
#include "test_tmp.h"

/* A copy that ends where its bytes end, so that a sanitizer sees a read past the end. */
static void *copy_exact(const void *p, size_t n)
{
    void *copy = NULL;
    assert_int_equal(posix_memalign(&copy, 64, n ? n : 1), 0);
    if (n) memcpy(copy, p, n);
    return copy;
}

static vg_status open_bytes(vg_gguf **g, const void *p, size_t n, vg_err *err)
{
    *g = NULL;
    *err = (vg_err){0};
    return vg_gguf_open_memory(g, p, n, NULL, err);
}

static void make_small(gguf_make *m)
{
    static const char *const words[] = {"a", "", "\xff\0c"};
    static const float weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    make_begin(m);
    make_str(m, "general.architecture", "llama");
    make_u32(m, "general.alignment", 32);
    make_u32(m, "llama.block_count", 2);
    make_f32(m, "eps", 0.5f);
    make_bool(m, "yes", true);
    make_strs(m, "words", words, VG_COUNT(words));
    make_f32s(m, "scores", weights, 3);
    make_tensor(m, "first", VG_F32, 2, (uint64_t[]){4, 2}, weights);
    make_tensor(m, "second", VG_Q4_0, 3, (uint64_t[]){64, 2, 3}, NULL);
    make_tensor(m, "third", VG_F32, 1, (uint64_t[]){8}, weights);
}

/* ---- good files ----------------------------------------------------------------------------- */

static void a_good_file_is_read(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    size_t n;
    for (uint32_t version = 2; version <= 3; version++) {
        make_small(&m);
        m.version = version;
        uint8_t *file = make_end(&m, &n);
        TEST_OK(open_bytes(&g, file, n, &err));
        assert_int_equal(vg_gguf_version(g), version);
        assert_int_equal(vg_gguf_file_bytes(g), n);
        assert_int_equal(vg_gguf_n_parts(g), 1);
        assert_int_equal(vg_gguf_n_kv(g), 7);
        assert_true(vg_str_is(vg_gguf_kv_at(g, 1)->key, "general.alignment"));
        assert_int_equal(vg_gguf_n_tensors(g), 3);
        const vg_gguf_tensor *t = vg_gguf_tensor_find(g, "second");
        assert_ptr_equal(t, vg_gguf_tensor_at(g, 1));
        assert_int_equal(t->n_dims, 3);
        assert_int_equal(t->dim[2], 3);
        assert_int_equal(t->dim[3], 1);
        assert_int_equal(t->n_bytes, 36 * 6);
        t = vg_gguf_tensor_find(g, "third");
        float last;
        memcpy(&last, t->data + 28, 4);
        assert_true(last == 8);
        assert_null(vg_gguf_tensor_find(g, "fourth"));
        assert_null(vg_gguf_find(g, "words.more"));
        const vg_gguf_kv *words = vg_gguf_find(g, "words");
        assert_int_equal(words->n, 3);
        assert_int_equal(words->strs[1].n, 0);
        assert_true(vg_gguf_intact(g));
        vg_gguf_close(g);
        free(file);
    }
}

static void every_type_is_read(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    size_t n;
    static const uint8_t ff[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const struct {
        const char *key;
        vg_gguf_type type;
        size_t bytes;
        uint64_t u;
        int64_t i;
    } cases[] = {{"u8", VG_GGUF_U8, 1, 255, 255},
                 {"i8", VG_GGUF_I8, 1, UINT64_MAX, -1},
                 {"u16", VG_GGUF_U16, 2, 65535, 65535},
                 {"i16", VG_GGUF_I16, 2, UINT64_MAX, -1},
                 {"u32", VG_GGUF_U32, 4, UINT32_MAX, UINT32_MAX},
                 {"i32", VG_GGUF_I32, 4, UINT64_MAX, -1},
                 {"u64", VG_GGUF_U64, 8, UINT64_MAX, INT64_MAX},
                 {"i64", VG_GGUF_I64, 8, UINT64_MAX, -1}};
    make_begin(&m);
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        char key[16];
        make_value(&m, cases[i].key, cases[i].type, ff, cases[i].bytes);
        snprintf(key, sizeof key, "%s.array", cases[i].key);
        make_array(&m, key, cases[i].type, 1, ff, cases[i].bytes);
    }
    static const double pi = 3.25;
    make_value(&m, "f64", VG_GGUF_F64, &pi, 8);
    make_array(&m, "f64.array", VG_GGUF_F64, 1, &pi, 8);
    make_array(&m, "nan.array", VG_GGUF_F64, 1, ff, 8);
    make_array(&m, "bool.array", VG_GGUF_BOOL, 2, "\0\1", 2);
    uint8_t *file = make_end(&m, &n);
    TEST_OK(open_bytes(&g, file, n, &err));
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        char key[16];
        assert_true(vg_gguf_find(g, cases[i].key)->v.u == cases[i].u);
        snprintf(key, sizeof key, "%s.array", cases[i].key);
        const vg_gguf_kv *kv = vg_gguf_find(g, key);
        assert_true(vg_gguf_item_i64(kv, 0) == cases[i].i);
        assert_string_equal(vg_gguf_type_name(kv->item_type), cases[i].key);
    }
    assert_true(vg_gguf_find(g, "f64")->v.f == pi);
    assert_true(vg_gguf_item_f64(vg_gguf_find(g, "f64.array"), 0) == pi);
    assert_int_equal(vg_gguf_item_i64(vg_gguf_find(g, "f64.array"), 0), 3);
    assert_int_equal(vg_gguf_item_i64(vg_gguf_find(g, "nan.array"), 0), 0);
    assert_true(vg_gguf_item_f64(vg_gguf_find(g, "bool.array"), 1) == 1);
    vg_gguf_close(g);
    free(file);
}

static void getters_check_presence_type_and_range(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    size_t n;
    make_small(&m);
    make_value(&m, "negative", VG_GGUF_I32, "\xff\xff\xff\xff", 4);
    make_value(&m, "large", VG_GGUF_U64, "\0\0\0\0\1\0\0\0", 8);
    make_value(&m, "i64", VG_GGUF_I64, "\7\0\0\0\0\0\0\0", 8);
    make_value(&m, "infinite", VG_GGUF_F32, "\0\0\x80\x7f", 4);
    uint8_t *file = make_end(&m, &n);
    TEST_OK(open_bytes(&g, file, n, &err));
    uint32_t u = 9;
    float f = 9;
    bool b = false;
    vg_str s = VG_STR("default");
    TEST_OK(vg_gguf_u32(g, "llama.block_count", &u, &err));
    assert_int_equal(u, 2);
    TEST_OK(vg_gguf_u32(g, "i64", &u, &err));
    assert_int_equal(u, 7);
    TEST_OK(vg_gguf_opt_u32(g, "absent", &u, &err));
    assert_int_equal(u, 7);
    assert_int_equal(vg_gguf_u32(g, "absent", &u, &err), VG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "absent"));
    assert_int_equal(vg_gguf_u32(g, "negative", &u, &err), VG_E_FORMAT);
    assert_int_equal(vg_gguf_u32(g, "large", &u, &err), VG_E_FORMAT);
    assert_int_equal(vg_gguf_opt_u32(g, "eps", &u, &err), VG_E_FORMAT);
    TEST_OK(vg_gguf_f32(g, "eps", &f, &err));
    assert_true(f == 0.5f);
    assert_int_equal(vg_gguf_f32(g, "infinite", &f, &err), VG_E_FORMAT);
    assert_int_equal(vg_gguf_f32(g, "yes", &f, &err), VG_E_FORMAT);
    TEST_OK(vg_gguf_opt_f32(g, "absent", &f, &err));
    TEST_OK(vg_gguf_bool(g, "yes", &b, &err));
    assert_true(b);
    assert_int_equal(vg_gguf_opt_bool(g, "eps", &b, &err), VG_E_FORMAT);
    TEST_OK(vg_gguf_opt_str(g, "absent", &s, &err));
    assert_true(vg_str_is(s, "default"));
    TEST_OK(vg_gguf_str(g, "general.architecture", &s, &err));
    assert_true(vg_str_is(s, "llama"));
    assert_int_equal(vg_gguf_str(g, "words", &s, &err), VG_E_FORMAT);
    vg_gguf_close(g);
    free(file);
}

static void large_vocabularies_are_read(void **state)
{
    VG_UNUSED(state);
    enum { N = 200000 };
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    size_t n;
    char (*text)[8] = calloc(N, sizeof *text);
    const char **word = calloc(N, sizeof *word);
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "%d", i);
        word[i] = text[i];
    }
    make_begin(&m);
    make_strs(&m, "tokens", word, N);
    uint8_t *file = make_end(&m, &n);
    TEST_OK(open_bytes(&g, file, n, &err));
    const vg_gguf_kv *kv = vg_gguf_find(g, "tokens");
    for (int i = 0; i < N; i += 997) assert_true(vg_str_is(kv->strs[i], text[i]));
    vg_gguf_close(g);
    free(file);
    free(text);
    free(word);
}

/* ---- bad files: one change to a good one, and what the error must say ------------------------ */

static void raw(gguf_make *m, const void *p, size_t n)
{
    vg_buf_add(&m->kv, p, n);
    m->n_kv++;
}

static void long_key(gguf_make *m)
{
    raw(m, "\0\0\1\0\0\0\0\0", 8);
    for (int i = 0; i < 65536; i++) vg_buf_char(&m->kv, 'k');
    vg_buf_add(&m->kv, "\7\0\0\0\1", 5);
}

/* general.alignment as the only key. */
static void set_align(gguf_make *m, vg_gguf_type type, uint64_t a)
{
    vg_buf_clear(&m->kv);
    m->n_kv = 0;
    make_value(m, "general.alignment", type, &a, type == VG_GGUF_U32 ? 4 : 8);
}

static void set_dims(make_info *t, uint64_t a, uint64_t b)
{
    t->dim[0] = a;
    t->dim[1] = b;
}

/* Name, status, what the error says, what is done to the good file. */
#define BAD_FILES(X)                                                                               \
    X(magic, VG_E_FORMAT, "begins with 'GGML'", memcpy(m->magic, "GGML", 4))                       \
    X(version_0, VG_E_UNSUPPORTED, "version 0", m->version = 0)                                    \
    X(version_1, VG_E_UNSUPPORTED, "version 1", m->version = 1)                                    \
    X(version_4, VG_E_UNSUPPORTED, "version 4", m->version = 4)                                    \
    X(endian, VG_E_UNSUPPORTED, "big-endian", m->version = 3u << 24)                               \
    X(n_tensors, VG_E_LIMIT, "number of tensors is 18446744073709551615",                          \
      m->n_tensors = UINT64_MAX)                                                                   \
    X(n_tensors_far, VG_E_FORMAT, "1000000 tensors take at least", m->n_tensors = 1000000)         \
    X(n_kv, VG_E_LIMIT, "number of keys is 18446744073709551615", m->n_kv = UINT64_MAX)            \
    X(n_kv_far, VG_E_FORMAT, "60000 keys", m->n_kv = 60000)                                        \
    X(n_kv_more, VG_E_FORMAT, "byte", m->n_kv++)                                                   \
    X(n_kv_less, VG_E_FORMAT, "byte", m->n_kv--)                                                   \
    X(key_length, VG_E_FORMAT, "a key has a length of 9223372036854775808",                        \
      raw(m, "\0\0\0\0\0\0\0\x80xx", 10))                                                          \
    X(key_long, VG_E_LIMIT, "65535 are allowed", long_key(m))                                      \
    X(key_empty, VG_E_FORMAT, "a key is empty", raw(m, "\0\0\0\0\0\0\0\0\7\0\0\0\1", 13))          \
    X(key_twice, VG_E_FORMAT, "the key 'eps' stands there twice", make_u32(m, "eps", 1))           \
    X(string, VG_E_FORMAT, "'s': a string has a length of 72057594037927936",                      \
      make_value(m, "s", VG_GGUF_STRING, "\0\0\0\0\0\0\0\1", 8))                                   \
    X(type, VG_E_FORMAT, "'t': the type is 13", make_value(m, "t", (vg_gguf_type)13, "", 0))       \
    X(item_type, VG_E_FORMAT, "'t': an array's type is 99",                                        \
      make_array(m, "t", (vg_gguf_type)99, 1, "", 0))                                              \
    X(array_wraps, VG_E_FORMAT, "'a': an array of 2305843009213693953 f64",                        \
      make_array(m, "a", VG_GGUF_F64, (UINT64_MAX >> 3) + 2, "12345678", 8))                       \
    X(array_count, VG_E_FORMAT, "'a': an array of 18446744073709551615 u8",                        \
      make_array(m, "a", VG_GGUF_U8, UINT64_MAX, "1", 1))                                          \
    X(string_count, VG_E_FORMAT, "'a': an array of 2305843009213693951 str",                       \
      make_array(m, "a", VG_GGUF_STRING, UINT64_MAX / 8, "", 0))                                   \
    X(nested, VG_E_UNSUPPORTED, "'a': an array of arrays",                                         \
      make_array(m, "a", VG_GGUF_ARRAY, 1, "", 0))                                                 \
    X(bool, VG_E_FORMAT, "'b': a bool is 2", make_value(m, "b", VG_GGUF_BOOL, "\2", 1))            \
    X(bools, VG_E_FORMAT, "'b': a bool is 255",                                                    \
      make_array(m, "b", VG_GGUF_BOOL, 3, "\0\1\xff", 3))                                          \
    X(align_0, VG_E_FORMAT, "general.alignment is 0, a power of two",                              \
      set_align(m, VG_GGUF_U32, 0))                                                                \
    X(align_4, VG_E_FORMAT, "general.alignment is 4, a power of two",                              \
      set_align(m, VG_GGUF_U32, 4))                                                                \
    X(align_13, VG_E_FORMAT, "general.alignment is 13, a power of two",                            \
      set_align(m, VG_GGUF_U32, 13))                                                               \
    X(align_24, VG_E_FORMAT, "general.alignment is 24, a power of two",                            \
      set_align(m, VG_GGUF_U32, 24))                                                               \
    X(align_2g, VG_E_FORMAT, "general.alignment is 2147483648",                                    \
      set_align(m, VG_GGUF_U32, 1u << 31))                                                         \
    X(align_type, VG_E_FORMAT, "general.alignment has the type u64",                               \
      set_align(m, VG_GGUF_U64, 32))                                                               \
    X(align_large, VG_E_FORMAT, "'second': offset 32 is no multiple",                              \
      set_align(m, VG_GGUF_U32, 1 << 16))                                                          \
    X(tensor_name, VG_E_FORMAT, "a tensor's name is empty", m->tensor[1].name[0] = '\0')           \
    X(tensor_twice, VG_E_FORMAT, "the tensor 'first' stands there twice",                          \
      memcpy(m->tensor[1].name, "first", 6))                                                       \
    X(dims_0, VG_E_FORMAT, "'second': 0 dimensions", m->tensor[1].n_dims = 0)                      \
    X(dims_5, VG_E_FORMAT, "'second': 5 dimensions", m->tensor[1].n_dims = 5)                      \
    X(dims_4g, VG_E_FORMAT, "'third': 4294967295 dimensions", m->tensor[2].n_dims = UINT32_MAX)    \
    X(dim_0, VG_E_FORMAT, "'second': dimension 1 is 0", m->tensor[1].dim[1] = 0)                   \
    X(dim_negative, VG_E_FORMAT, "'second': dimension 0 is -32",                                   \
      m->tensor[1].dim[0] = (uint64_t)-32)                                                         \
    X(product, VG_E_FORMAT, "'second': the dimensions up to 1 overflow",                           \
      m->tensor[1].dim[1] = (uint64_t)1 << 60)                                                     \
    X(bytes, VG_E_FORMAT, "'first': the size in bytes",                                            \
      set_dims(&m->tensor[0], (uint64_t)1 << 31, (uint64_t)1 << 31))                               \
    X(row, VG_E_FORMAT, "'second': a row of 63 weights, Q4_0 needs a multiple of 32",              \
      m->tensor[1].dim[0] = 63)                                                                    \
    X(dtype, VG_E_UNSUPPORTED, "'second': tensor type 16 (IQ2_XXS) is not",                        \
      m->tensor[1].type = 16)                                                                      \
    X(dtype_max, VG_E_UNSUPPORTED, "tensor type 4294967295 (unknown)",                             \
      m->tensor[1].type = UINT32_MAX)                                                              \
    X(offset_odd, VG_E_FORMAT, "'second': offset 36 is no multiple", m->tensor[1].offset += 4)     \
    X(offset_past, VG_E_FORMAT, "tensor 'third': 32 bytes at offset", m->tensor[2].offset += 32)   \
    X(offset_wraps, VG_E_FORMAT, "offset 18446744073709551584",                                    \
      m->tensor[2].offset = UINT64_MAX - 31)                                                       \
    X(overlap, VG_E_FORMAT, "overlap", m->tensor[1].offset = 0)                                    \
    X(overlap_tail, VG_E_FORMAT, "tensors 'second' and 'third' overlap", m->tensor[2].offset -= 32)

#define BAD_FUNCTION(name, status, says, change)                                                   \
    static void bad_##name(gguf_make *m)                                                           \
    {                                                                                              \
        change;                                                                                    \
    }
BAD_FILES(BAD_FUNCTION)

#define BAD_ROW(name, status, says, change) {#name, bad_##name, status, says},
static const struct {
    const char *name;
    void (*change)(gguf_make *m);
    vg_status status;
    const char *says;
} bad_files[] = {BAD_FILES(BAD_ROW)};

static void bad_files_are_refused_precisely(void **state)
{
    VG_UNUSED(state);
    for (size_t i = 0; i < VG_COUNT(bad_files); i++) {
        vg_err err;
        vg_gguf *g = NULL;
        gguf_make m;
        size_t n;
        make_small(&m);
        bad_files[i].change(&m);
        uint8_t *file = make_end(&m, &n);
        void *exact = copy_exact(file, n);
        vg_status st = open_bytes(&g, exact, n, &err);
        if (st != bad_files[i].status || err.code != st || !strstr(err.msg, bad_files[i].says))
            fail_msg("%s: %s: %s", bad_files[i].name, vg_status_name(st), err.msg);
        assert_null(g);
        free(exact);
        free(file);
    }
}

static void other_formats_are_told_apart(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *bytes, *says;
    } cases[] = {{"", "magic number takes 4 bytes, the file ends at byte 0"},
                 {"GGUF", "the version takes 4 bytes, the file ends at byte 4"},
                 {"FUGG\0\0\0\3", "big-endian"},
                 {"version https://git-lfs.github.com/spec/v1", "Git LFS"},
                 {"PK\3\4....", "ZIP"},
                 {"\x1b[2J....", "begins with '?[2J'"}};
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        vg_err err;
        vg_gguf *g = NULL;
        size_t n = strlen(cases[i].bytes);
        void *exact = copy_exact(cases[i].bytes, n);
        assert_int_equal(open_bytes(&g, exact, n, &err), VG_E_FORMAT);
        if (!strstr(err.msg, cases[i].says)) fail_msg("%s", err.msg);
        free(exact);
    }
    vg_err err;
    vg_gguf *g = NULL;
    char *odd = copy_exact("GGUF....", 8);
    assert_int_equal(vg_gguf_open_memory(&g, odd + 1, 7, NULL, &err), VG_E_USAGE);
    assert_int_equal(vg_gguf_open_memory(&g, NULL, 0, NULL, &err), VG_E_USAGE);
    free(odd);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    VG_UNUSED(state);
    gguf_make m;
    size_t n;
    make_small(&m);
    uint8_t *file = make_end(&m, &n);
    for (size_t cut = 0; cut < n; cut++) {
        vg_err err;
        vg_gguf *g = NULL;
        void *exact = copy_exact(file, cut);
        assert_int_equal(open_bytes(&g, exact, cut, &err), VG_E_FORMAT);
        assert_non_null(strstr(err.msg, "byte"));
        free(exact);
    }
    free(file);
}

/* Every byte of the header becomes a few other values; what comes of it is open, the sanitizers
 * and the return are what is tested. */
static void damaged_headers_do_no_harm(void **state)
{
    VG_UNUSED(state);
    gguf_make m;
    size_t n;
    make_small(&m);
    size_t n_data = m.data.n;
    uint8_t *file = make_end(&m, &n);
    for (size_t i = 0; i < n - n_data; i++) {
        static const uint8_t flips[] = {0x01, 0x02, 0x80, 0xff, 0x7f};
        for (size_t k = 0; k < VG_COUNT(flips); k++) {
            vg_err err;
            vg_gguf *g = NULL;
            file[i] ^= flips[k];
            vg_status st = open_bytes(&g, file, n, &err);
            if (!st) vg_gguf_close(g);
            else assert_true(err.msg[0] != '\0');
            file[i] ^= flips[k];
        }
    }
    free(file);
}

static int cancel_at(void *user, uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    return --*(int *)user == 0;
}

static void opening_can_be_cancelled(void **state)
{
    VG_UNUSED(state);
    gguf_make m;
    size_t n;
    make_small(&m);
    uint8_t *file = make_end(&m, &n);
    for (int at = 1; at <= 3; at++) {
        vg_err err;
        vg_gguf *g = NULL;
        int left = at;
        vg_model_opts opts = {.progress = cancel_at, .user = &left};
        vg_status st = vg_gguf_open_memory(&g, file, n, &opts, &err);
        assert_int_equal(st, at <= 2 ? VG_E_CANCELLED : VG_OK);
        if (!st) vg_gguf_close(g);
    }
    free(file);
}

/* For its metadata only, a file may lack its data and have tensors of unknown types. */
static void metadata_alone_can_be_read(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    size_t n;
    make_small(&m);
    m.tensor[1].type = 36;
    m.data.n = 0;
    uint8_t *file = make_end(&m, &n);
    vg_model_opts opts = {.vocab_only = true};
    TEST_OK(vg_gguf_open_memory(&g, file, n, &opts, &err));
    const vg_gguf_tensor *t = vg_gguf_tensor_find(g, "second");
    assert_null(t->data);
    assert_int_equal(t->n_bytes, 0);
    assert_int_equal(vg_gguf_tensor_find(g, "first")->n_bytes, 32);
    vg_gguf_close(g);
    free(file);
}

/* ---- split sets ----------------------------------------------------------------------------- */

enum { N_PARTS = 3 };

static void make_split(gguf_make *m, uint32_t no, uint32_t count, uint32_t n_tensors)
{
    uint16_t no16 = (uint16_t)no, count16 = (uint16_t)count;
    if (no == 0) make_str(m, "general.architecture", "llama");
    make_value(m, "split.no", VG_GGUF_U16, &no16, 2);
    make_value(m, "split.count", VG_GGUF_U16, &count16, 2);
    make_value(m, "split.tensors.count", VG_GGUF_I32, &n_tensors, 4);
}

static const char *part_path(test_tmp *tmp, uint32_t no)
{
    char name[64];
    snprintf(name, sizeof name, "m-%05u-of-%05u.gguf", no + 1, (unsigned)N_PARTS);
    return test_tmp_path(tmp, name);
}

/* Part `no` with one tensor "t<name>" of 8 floats, each `no`. */
static void write_part(test_tmp *tmp, uint32_t no, uint32_t says_no, uint32_t n_tensors, int name)
{
    gguf_make m;
    float v[8];
    char tensor[16];
    for (int i = 0; i < 8; i++) v[i] = (float)no;
    make_begin(&m);
    make_split(&m, says_no, N_PARTS, n_tensors);
    snprintf(tensor, sizeof tensor, "t%d", name);
    make_tensor(&m, tensor, VG_F32, 1, (uint64_t[]){8}, v);
    make_end_file(&m, part_path(tmp, no));
}

static void write_set(test_tmp *tmp)
{
    for (uint32_t i = 0; i < N_PARTS; i++) write_part(tmp, i, i, N_PARTS, (int)i);
}

static void a_split_set_is_one_model(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    write_set(&tmp);
    TEST_OK(vg_gguf_open(&g, part_path(&tmp, 0), NULL, &err));
    assert_int_equal(vg_gguf_n_tensors(g), N_PARTS);
    assert_int_equal(vg_gguf_n_parts(g), N_PARTS);
    for (uint32_t i = 0; i < N_PARTS; i++) {
        float first;
        const vg_gguf_tensor *t = vg_gguf_tensor_at(g, i);
        memcpy(&first, t->data, 4);
        assert_true(first == (float)i);
        assert_int_equal(t->part, i);
    }
    assert_true(vg_gguf_intact(g));
    vg_gguf_close(g);
    for (int at = 1; at <= 5; at++) {
        int left = at;
        vg_model_opts opts = {.progress = cancel_at, .user = &left};
        vg_status st = vg_gguf_open(&g, part_path(&tmp, 0), &opts, &err);
        assert_int_equal(st, at <= 4 ? VG_E_CANCELLED : VG_OK);
        if (!st) vg_gguf_close(g);
    }
    test_tmp_end(&tmp);
}

static void refuse(test_tmp *tmp, uint32_t part, vg_status status, const char *says)
{
    vg_err err;
    vg_gguf *g = NULL;
    vg_status st = vg_gguf_open(&g, part_path(tmp, part), NULL, &err);
    if (st != status || !strstr(err.msg, says)) fail_msg("%s: %s", vg_status_name(st), err.msg);
}

static void a_broken_split_set_is_refused(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    write_set(&tmp);
    refuse(&tmp, 1, VG_E_FORMAT, "part 2 of a set of 3 files; open ");
    refuse(&tmp, 1, VG_E_FORMAT, "m-00001-of-00003.gguf");
    write_part(&tmp, 2, 1, N_PARTS, 2);
    refuse(&tmp, 0, VG_E_FORMAT, "says to be part 2 of 3, part 3 of 3 is expected");
    write_part(&tmp, 2, 2, N_PARTS, 0);
    refuse(&tmp, 0, VG_E_FORMAT, "the tensor 't0' stands there twice");
    write_part(&tmp, 2, 2, N_PARTS, 2);
    write_part(&tmp, 0, 0, 7, 0);
    refuse(&tmp, 0, VG_E_FORMAT, "split.tensors.count is 7, the files have 3");
    write_part(&tmp, 0, 9, N_PARTS, 0);
    refuse(&tmp, 0, VG_E_FORMAT, "split.no is 9 in a set of 3");
    write_part(&tmp, 0, 0, N_PARTS, 0);
    remove(part_path(&tmp, 2));
    refuse(&tmp, 0, VG_E_NOT_FOUND, "m-00003-of-00003.gguf");
    vg_model_opts opts = {.vocab_only = true};
    TEST_OK(vg_gguf_open(&g, part_path(&tmp, 0), &opts, &err));
    assert_int_equal(vg_gguf_n_tensors(g), 1);
    vg_gguf_close(g);
    gguf_make m;
    make_begin(&m);
    make_split(&m, 0, N_PARTS, N_PARTS);
    make_end_file(&m, test_tmp_path(&tmp, "renamed.gguf"));
    assert_int_equal(vg_gguf_open(&g, tmp.path, NULL, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "does not end in -00001-of-00003.gguf"));
    make_split(&m, 0, 60000, 1);
    make_end_file(&m, test_tmp_path(&tmp, "many.gguf"));
    assert_int_equal(vg_gguf_open(&g, tmp.path, NULL, &err), VG_E_LIMIT);
    size_t n;
    make_split(&m, 0, 2, 1);
    uint8_t *file = make_end(&m, &n);
    assert_int_equal(open_bytes(&g, file, n, &err), VG_E_UNSUPPORTED);
    free(file);
    test_tmp_end(&tmp);
}

/* ---- files as the system has them ----------------------------------------------------------- */

static void tensors_beyond_4_gib_are_found(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    const uint64_t rows = 1100, cols = 1 << 20, large = rows * cols * 4;
    make_begin(&m);
    make_info *t = make_tensor(&m, "large", VG_F32, 2, (uint64_t[]){8, 1}, NULL);
    t->dim[0] = cols;
    t->dim[1] = rows;
    make_tensor(&m, "after", VG_F32, 1, (uint64_t[]){8}, NULL)->offset = large;
    m.data.n = 0;
    const char *path = test_tmp_path(&tmp, "sparse.gguf");
    make_end_file(&m, path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    off_t begin = (st.st_size + 31) / 32 * 32, size = begin + (off_t)large + 32;
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    /* A file system without holes, or a small one, cannot have this file. */
    if (ftruncate(fileno(f), size)) {
        fclose(f);
        test_tmp_end(&tmp);
        skip();
    }
    float v = 42, got;
    assert_int_equal(pwrite(fileno(f), &v, 4, size - 4), 4);
    TEST_OK(vg_gguf_open(&g, path, NULL, &err));
    memcpy(&got, vg_gguf_tensor_find(g, "after")->data + 28, 4);
    assert_true(got == v);
    assert_int_equal(vg_gguf_tensor_find(g, "large")->data[large - 1], 0);
    vg_gguf_close(g);
    assert_int_equal(ftruncate(fileno(f), size - 1), 0);
    assert_int_equal(vg_gguf_open(&g, path, NULL, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "is it complete?"));
    fclose(f);
    test_tmp_end(&tmp);
}

/* A file of holes claims more empty strings than the table of them may take. */
static void holes_cannot_fill_memory(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL;
    gguf_make m;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    make_begin(&m);
    make_array(&m, "a", VG_GGUF_STRING, (1 << 23) + 1, "", 0);
    const char *path = test_tmp_path(&tmp, "holes.gguf");
    make_end_file(&m, path);
    assert_int_equal(truncate(path, 1 << 27), 0);
    assert_int_equal(vg_gguf_open(&g, path, NULL, &err), VG_E_LIMIT);
    assert_non_null(strstr(err.msg, "8388609 strings"));
    make_array(&m, "a", VG_GGUF_U8, (1 << 26) + 1, "", 0);
    make_end_file(&m, path);
    assert_int_equal(truncate(path, 1 << 27), 0);
    assert_int_equal(vg_gguf_open(&g, path, NULL, &err), VG_E_LIMIT);
    test_tmp_end(&tmp);
}

static void a_file_that_shrinks_reads_as_zeros(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_gguf *g = NULL, *other = NULL;
    gguf_make m;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    enum { N = 1 << 16 };
    float *ones = malloc(N * sizeof *ones);
    for (int i = 0; i < N; i++) ones[i] = 1;
    make_begin(&m);
    make_tensor(&m, "t", VG_F32, 1, (uint64_t[]){N}, ones);
    const char *path = test_tmp_path(&tmp, "m.gguf");
    make_end_file(&m, path);
    vg_file_guard();
    vg_file_guard();
    TEST_OK(vg_gguf_open(&g, path, NULL, &err));
    TEST_OK(vg_gguf_open(&other, path, NULL, &err));
    assert_true(vg_gguf_intact(g));
    assert_int_equal(truncate(path, 20000), 0);
    assert_false(vg_gguf_intact(g));
    const vg_gguf_tensor *t = vg_gguf_tensor_at(g, 0);
    size_t zeros = 0;
    for (size_t i = 0; i < t->n_bytes; i += sizeof(float)) {
        float v;
        memcpy(&v, t->data + i, sizeof v);
        zeros += v == 0;
    }
    assert_true(zeros > N - 20000 / 4 && zeros < N);
    assert_false(vg_gguf_intact(g));
    vg_gguf_close(g);
    /* The other mapping of the same file is still to be given its zeros. */
    assert_int_equal(vg_gguf_tensor_at(other, 0)->data[N * 4 - 1], 0);
    vg_gguf_close(other);
    free(ones);
    test_tmp_end(&tmp);
}

static void real_vocabularies_are_read(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {"bert-bge", "deepseek-llm", "gpt-2", "llama-spm", "phi-3"};
    size_t seen = 0;
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char name[64], path[4096];
        vg_err err;
        vg_gguf *g = NULL;
        snprintf(name, sizeof name, "vocab/ggml-vocab-%s.gguf", names[i]);
        if (!test_data_path(path, name)) continue;
        TEST_OK(vg_gguf_open(&g, path, NULL, &err));
        assert_true(vg_gguf_find(g, "tokenizer.ggml.tokens")->n > 10000);
        vg_gguf_close(g);
        seen++;
    }
    if (!seen) skip();
}

/* ---- everything that can fail, failing ------------------------------------------------------ */

static void every_failure_is_an_error(void **state)
{
    VG_UNUSED(state);
    test_tmp tmp;
    test_tmp_begin(&tmp);
    write_set(&tmp);
    for (int kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        unsigned n = 1;
        for (;; n++) {
            vg_err err = {0};
            vg_gguf *g = NULL;
            const char *path = part_path(&tmp, 0);
            fault_arm((fault_kind)kind, n);
            vg_status st = vg_gguf_open(&g, path, NULL, &err);
            bool hit = fault_disarm();
            if (!hit) {
                TEST_OK(st);
                vg_gguf_close(g);
                break;
            }
            assert_null(g);
            assert_true(st == VG_E_NO_MEMORY || (kind == FAULT_IO && st == VG_E_IO));
            assert_int_equal(err.code, st);
            assert_true(err.msg[0] != '\0');
        }
        assert_true(n > 3);
    }
    test_tmp_end(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(getters_check_presence_type_and_range),
        cmocka_unit_test(large_vocabularies_are_read),
        cmocka_unit_test(bad_files_are_refused_precisely),
        cmocka_unit_test(other_formats_are_told_apart),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(damaged_headers_do_no_harm),
        cmocka_unit_test(opening_can_be_cancelled),
        cmocka_unit_test(metadata_alone_can_be_read),
        cmocka_unit_test(a_split_set_is_one_model),
        cmocka_unit_test(a_broken_split_set_is_refused),
        cmocka_unit_test(tensors_beyond_4_gib_are_found),
        cmocka_unit_test(holes_cannot_fill_memory),
        cmocka_unit_test(a_file_that_shrinks_reads_as_zeros),
        cmocka_unit_test(real_vocabularies_are_read),
        cmocka_unit_test(every_failure_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
