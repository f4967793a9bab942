/* Tests of the safetensors reader: an honest file, and each way in which a header can lie. */
#include "base/os.h"
#include "compress/checkpoint.h"
#include "compress/safetensors.h"
#include "fault.h"
#include "test_tmp.h"

/* A file of a header and n_data bytes; `claimed` 0: the header's own length. */
static uint8_t *make_file(const char *header, uint64_t claimed, size_t n_data, size_t *n)
{
    size_t n_header = strlen(header);
    if (!claimed) claimed = n_header;
    *n = 8 + n_header + n_data;
    uint8_t *p = calloc(1, *n);
    assert_non_null(p);
    for (size_t i = 0; i < 8; i++) p[i] = (uint8_t)(claimed >> (8 * i));
    memcpy(p + 8, header, n_header);
    for (size_t i = 0; i < n_data; i++) p[8 + n_header + i] = (uint8_t)i;
    return p;
}

static vg_status open_header(const char *header, uint64_t claimed, size_t n_data, vg_err *err)
{
    size_t n;
    vg_safetensors *st = NULL;
    uint8_t *p = make_file(header, claimed, n_data, &n);
    *err = (vg_err){0};
    vg_status s = vg_safetensors_open_memory(&st, p, n, err);
    if (!s) vg_safetensors_close(st);
    free(p);
    return s;
}

#define T(dtype, shape, begin, end)                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void a_good_file_is_read(void **state)
{
    VG_UNUSED(state);
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"b\":" T("F32", "[]", "12", "16") ",\"a\":" T(
            "BF16", "[2,3]", "0", "12") ",\"none\":" T("I64", "[0,7]", "12", "12") "}   ";
    vg_err err;
    vg_safetensors *st = NULL;
    size_t n;
    uint8_t *p = make_file(header, 0, 16, &n);
    TEST_OK(vg_safetensors_open_memory(&st, p, n, &err));
    assert_int_equal(vg_safetensors_n(st), 3);
    const vg_st_tensor *a = vg_safetensors_at(st, 0);
    assert_true(vg_str_is(a->name, "a"));
    assert_int_equal(a->dtype, VG_ST_BF16);
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->dim[1], 3);
    assert_int_equal(a->data[1], 1);
    assert_int_equal(vg_safetensors_at(st, 1)->n_bytes, 0);
    assert_int_equal(vg_safetensors_at(st, 2)->n_dims, 0);
    assert_int_equal(vg_safetensors_at(st, 2)->n_bytes, 4);
    vg_safetensors_close(st);
    free(p);
    TEST_OK(open_header("{}", 0, 0, &err));
}

static void lies_are_refused(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *header;
        uint64_t claimed;
        size_t n_data;
        vg_status status;
        const char *says;
    } bad[] = {
        {"{}", 3, 0, VG_E_FORMAT, "header of 3 bytes"},
        {"{}", UINT64_MAX, 0, VG_E_FORMAT, "header of 18446744073709551615"},
        {"{}", 100000001, 0, VG_E_FORMAT, "header of"},
        {" {}", 0, 0, VG_E_FORMAT, "'{'"},
        {"{", 0, 0, VG_E_FORMAT, "JSON"},
        {"{\"a\":1}", 0, 0, VG_E_FORMAT, "no object"},
        {"{\"a\":{}}", 0, 0, VG_E_FORMAT, "no dtype"},
        {"{\"a\":" T("F33", "[1]", "0", "4") "}", 0, 4, VG_E_UNSUPPORTED, "F33"},
        {"{\"a\":" T("F32", "1", "0", "4") "}", 0, 4, VG_E_FORMAT, "no shape"},
        {"{\"a\":" T("F32", "[-1]", "0", "4") "}", 0, 4, VG_E_FORMAT, "a dimension"},
        {"{\"a\":" T("F32", "[1.0]", "0", "4") "}", 0, 4, VG_E_FORMAT, "a dimension"},
        {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 0, 4, VG_E_LIMIT, "9 dim"},
        {"{\"a\":" T("F32", "[4294967296,4294967296]", "0", "4") "}", 0, 4, VG_E_FORMAT,
         "overflows"},
        {"{\"a\":" T("F32", "[2]", "0", "4") "}", 0, 4, VG_E_FORMAT, "takes 8"},
        {"{\"a\":" T("F16", "[2]", "0", "8") "}", 0, 8, VG_E_FORMAT, "takes 4"},
        {"{\"a\":" T("F32", "[1]", "0", "4") "}", 0, 3, VG_E_FORMAT, "is it complete"},
        {"{\"a\":" T("F32", "[1]", "4", "0") "}", 0, 4, VG_E_FORMAT, "data from 4 to 0"},
        {"{\"a\":" T("F32", "[1]", "-4", "0") "}", 0, 4, VG_E_FORMAT, "data offset"},
        {"{\"a\":" T("F32", "[1]", "0", "18446744073709551616") "}", 0, 4, VG_E_FORMAT, "offset"},
        {"{\"a\":" T("F32", "[1]", "4", "8") "}", 0, 8, VG_E_FORMAT, "hole"},
        {"{\"a\":" T("F32", "[1]", "0", "4") "}", 0, 5, VG_E_FORMAT, "1 bytes of data belong"},
        {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[1]", "4", "8") "}", 0, 8,
         VG_E_FORMAT, "inside the one before"},
        {"{\"a\":" T("F32", "[1]", "0", "4") ",\"a\":" T("F32", "[1]", "0", "4") "}", 0, 4,
         VG_E_FORMAT, "twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 0, 4,
         VG_E_FORMAT, "twice"},
        {"{\"\":" T("F32", "[1]", "0", "4") "}", 0, 4, VG_E_LIMIT, "name of 0 bytes"},
    };
    vg_err err;
    vg_safetensors *st = NULL;
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        vg_status s = open_header(bad[i].header, bad[i].claimed, bad[i].n_data, &err);
        if (s != bad[i].status || !strstr(err.msg, bad[i].says))
            fail_msg("case %zu: %s: %s", i, vg_status_name(s), err.msg);
    }
    assert_int_equal(vg_safetensors_open_memory(&st, "1234567", 7, &err), VG_E_FORMAT);
}

/* A header that unfolds to more memory than it is worth. */
static void a_json_bomb_ends(void **state)
{
    VG_UNUSED(state);
    enum { N = 12 << 20 };
    vg_err err;
    char *header = malloc(N + 1);
    assert_non_null(header);
    memcpy(header, "{\"a\":[", 6);
    for (size_t i = 6; i + 3 < N; i += 2) memcpy(header + i, "0,", 2);
    memcpy(header + N - 4, "0]} ", 5);
    assert_int_not_equal(open_header(header, 0, 0, &err), VG_OK);
    memset(header + 5, '[', N - 5);
    assert_int_not_equal(open_header(header, 0, 0, &err), VG_OK);
    free(header);
}

static void put_model(test_tmp *tmp, const char *name)
{
    size_t n;
    uint8_t *p = make_file("{\"a\":" T("F32", "[1]", "0", "4") "}", 0, 4, &n);
    FILE *f = fopen(test_tmp_path(tmp, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
    free(p);
}

static vg_status open_folder(const test_tmp *tmp, vg_err *err)
{
    vg_checkpoint *c = NULL;
    *err = (vg_err){0};
    vg_status st = vg_checkpoint_open(&c, tmp->dir, err);
    if (!st) vg_checkpoint_close(c);
    return st;
}

static void folders_keep_to_themselves(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *index, *says;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"../a.safetensors\"}}", "no name"},
        {"{\"weight_map\":{\"a\":\"/etc/a.safetensors\"}}", "no name"},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", "no name"},
        {"{\"weight_map\":{\"a\":\"a.bin\"}}", "no name"},
        {"{\"weight_map\":{\"a\":1}}", "no name"},
        {"{\"weight_map\":{}}", "no weight_map"},
        {"{\"weight_map\":{\"a\":\"a.safetensors\",\"a\":\"b.safetensors\"}}", "twice"},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}", "missing"},
        {"{\"weight_map\":{\"b\":\"a.safetensors\"}}", "not in a.safetensors"},
        {"{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"b.safetensors\"}}", "two files have"},
        {"{\"weight_map\":{\"a\":\"link.safetensors\"}}", "outside the folder"},
        {"[]", "no JSON object"},
    };
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    assert_int_equal(open_folder(&tmp, &err), VG_E_NOT_FOUND);
    test_tmp_put(&tmp, "/config.json", "{}");
    assert_int_equal(open_folder(&tmp, &err), VG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "model.safetensors"));
    put_model(&tmp, "a.safetensors");
    put_model(&tmp, "b.safetensors");
    char target[4096];
    snprintf(target, sizeof target, "%s/a.safetensors", tmp.dir);
    assert_int_equal(symlink(target, test_tmp_path(&tmp, "link.safetensors")), 0);
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        test_tmp_put(&tmp, "/model.safetensors.index.json", bad[i].index);
        vg_status st = open_folder(&tmp, &err);
        if (!st || !strstr(err.msg, bad[i].says)) fail_msg("case %zu: %s", i, err.msg);
    }
    test_tmp_put(&tmp, "/model.safetensors.index.json",
                 "{\"weight_map\":{\"a\":\"a.safetensors\"}}");
    TEST_OK(open_folder(&tmp, &err));
    /* A link inside the folder, and one as the Hugging Face cache makes it. */
    assert_int_equal(symlink("a.safetensors", test_tmp_path(&tmp, "model.safetensors")), 0);
    TEST_OK(open_folder(&tmp, &err));
    unlink(test_tmp_path(&tmp, "model.safetensors"));
    assert_int_equal(symlink("../../blobs/0123456789abcdef0123456789abcdef01234567",
                             test_tmp_path(&tmp, "model.safetensors")), 0);
    assert_int_equal(open_folder(&tmp, &err), VG_E_NOT_FOUND); /* allowed, but it dangles */
    test_tmp_end(&tmp);
}

static void every_failure_is_told(void **state)
{
    VG_UNUSED(state);
    char path[4096];
    vg_err err;
    test_path(path, "golden/convert/qwen2");
    for (fault_kind kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        bool more = true;
        for (unsigned n = 1; more; n++) {
            vg_checkpoint *c = NULL;
            fault_arm(kind, n);
            vg_status st = vg_checkpoint_open(&c, path, &err);
            more = fault_disarm();
            if (!st) vg_checkpoint_close(c);
            else if (!more) fail_msg("%s", err.msg);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read), cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(a_json_bomb_ends), cmocka_unit_test(folders_keep_to_themselves),
        cmocka_unit_test(every_failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
