/* Tests of packed checkpoints (AWQ, GPTQ): codes and zeros of every width against a plain reading
 * of bits, what is reported of them, and what does not fit together is refused by name. What the
 * reference packages made is compared in test_convert.c, by tools/oracle/packed.py's goldens. */
#include <math.h>
#include <sys/stat.h>

#include "compress/hf_int.h"
#include "test_tmp.h"

static vg_status convert(const char *dir, const char *out, vg_dtype type,
                         vg_convert_report *report, vg_err *err)
{
    vg_convert_opts opts = {.type = type};
    return vg_convert(dir, out, &opts, report, err);
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* Field i of `bits` bits in a stream of bytes, bit by bit. */
static unsigned field(const uint8_t *p, uint64_t i, unsigned bits)
{
    unsigned v = 0;
    for (unsigned b = 0; b < bits; b++) {
        uint64_t at = i * bits + b;
        v |= (unsigned)(p[at / 8] >> at % 8 & 1) << b;
    }
    return v;
}

static void fields_of_every_width(void **state)
{
    VG_UNUSED(state);
    enum { IN = 96, OUT = 64, GROUPS = 3 };
    static const unsigned widths[] = {2, 3, 4, 8};
    uint8_t data[IN * OUT], zeros[GROUPS * OUT], column[IN], code[2 * IN];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * i * 31 + i / 7);
    for (size_t i = 0; i < sizeof zeros; i++) zeros[i] = (uint8_t)(i * 73 + 5);
    for (size_t k = 0; k < VG_COUNT(widths); k++) {
        unsigned bits = widths[k];
        vg_st_tensor codes = {.data = data}, z = {.data = zeros};
        hf_packed p = {.how = {.method = HF_GPTQ, .bits = bits, .group = 32}, .codes = &codes,
                       .zeros = &z, .n_out = OUT, .n_in = IN, .n_groups = GROUPS};
        const uint64_t rows[] = {63, 5};
        hf_packed_codes(&p, rows, 2, code);
        for (size_t r = 0; r < 2; r++) {
            for (uint64_t w = 0; w < IN * bits / 32; w++)
                memcpy(column + 4 * w, data + 4 * (w * OUT + rows[r]), 4);
            for (uint64_t i = 0; i < IN; i++)
                assert_int_equal(code[r * IN + i], field(column, i, bits));
        }
        for (uint64_t g = 0; g < GROUPS; g++)
            for (uint64_t o = 0; o < OUT; o++)
                assert_int_equal(hf_packed_zero(&p, g, o),
                                 field(zeros + g * OUT * bits / 8, o, bits));
    }
}

/* Version 1 subtracts one from a word, so that a zero of 0 borrows from its neighbour; adding it
 * back gives both. */
static void zeros_of_version_1_borrow(void **state)
{
    VG_UNUSED(state);
    static const uint8_t zeros[4] = {0xff, 0x66, 0x66, 0x87}; /* 0x98777810 - 0x11111111 */
    vg_st_tensor z = {.data = zeros};
    hf_packed p = {.how = {.method = HF_GPTQ, .bits = 4, .zeros_less_one = true}, .zeros = &z,
                   .n_out = 8, .n_in = 32, .n_groups = 1};
    static const unsigned want[8] = {0, 1, 8, 7, 7, 7, 8, 9};
    for (uint64_t o = 0; o < 8; o++) assert_int_equal(hf_packed_zero(&p, 0, o), want[o]);
}

static void types_hold_what_they_can(void **state)
{
    VG_UNUSED(state);
    hf_packed p = {.how = {.bits = 4}, .n_in = 64, .whole_blocks = true, .low = -8, .high = 7};
    assert_int_equal(hf_packed_type(&p), VG_Q4_0);
    p.low = -9;
    assert_int_equal(hf_packed_type(&p), VG_Q4_1);
    p.how.bits = 8;
    p.low = -128;
    p.high = 127;
    assert_int_equal(hf_packed_type(&p), VG_Q8_0);
    assert_true(hf_packed_fits(&p, VG_Q8_0));
    p.high = 128;
    assert_int_equal(hf_packed_type(&p), VG_Q8_0);
    assert_false(hf_packed_fits(&p, VG_Q8_0));
    p.whole_blocks = false;
    p.n_in = 40;
    assert_int_equal(hf_packed_type(&p), VG_N_DTYPES);
    assert_int_equal(hf_packed_join(VG_Q4_0, VG_Q4_1), VG_Q4_1);
    assert_int_equal(hf_packed_join(VG_Q8_0, VG_Q4_1), VG_Q8_0);
    assert_int_equal(hf_packed_join(VG_Q8_0, VG_N_DTYPES), VG_N_DTYPES);
}

/* ---- whole checkpoints --------------------------------------------------------------------- */

static void the_report_tells_types_and_errors(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *name, *from;
        vg_dtype asked, type;
        bool anew;
        double least, most;
    } cases[] = {
        {"packed-gptq", "GPTQ 4-bit, 32", VG_N_DTYPES, VG_Q4_0, false, 0, 0},
        {"packed-awq", "AWQ 4-bit, 32", VG_N_DTYPES, VG_Q4_1, false, 1e-5, 1e-3},
        {"packed-zeros", "GPTQ 4-bit, 32", VG_N_DTYPES, VG_Q4_1, false, 1e-5, 1e-3},
        {"packed-compressed", "compressed 4-bit, 32", VG_N_DTYPES, VG_Q4_1, false, 1e-5, 1e-3},
        {"packed-order", "GPTQ 4-bit, 32", VG_N_DTYPES, VG_Q8_0, true, 1e-3, 1e-2},
        {"packed-zeros", "GPTQ 4-bit, 32", VG_F32, VG_F32, true, 0, 0},
        {"packed-zeros", "GPTQ 4-bit, 32", VG_F16, VG_F16, true, 1e-6, 1e-3},
    };
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        char dir[4096], name[64];
        vg_convert_report r;
        snprintf(name, sizeof name, "golden/convert/%s", cases[i].name);
        test_path(dir, name);
        TEST_OK(convert(dir, test_tmp_path(&tmp, "out.gguf"), cases[i].asked, &r, &err));
        assert_int_equal(r.n_groups, 7);
        assert_int_equal(r.type, cases[i].type);
        for (size_t k = 0; k < r.n_groups; k++) {
            assert_string_equal(r.group[k].from, cases[i].from);
            assert_int_equal(r.group[k].type, cases[i].type);
            assert_int_equal(r.group[k].anew, cases[i].anew);
            assert_true(r.group[k].error >= cases[i].least && r.group[k].error <= cases[i].most);
        }
    }
    test_tmp_end(&tmp);
}

static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json"};

/* Copies a golden with one text replaced; in model.safetensors by one as long. */
static void copy_with(test_tmp *tmp, const char *golden, size_t which, const char *from,
                      const char *to)
{
    for (size_t i = 0; i < VG_COUNT(files); i++) {
        char path[4096], name[128];
        size_t n, skip = 0;
        snprintf(name, sizeof name, "golden/convert/%s/%s", golden, files[i]);
        test_path(path, name);
        char *text = test_read(path, &n), *at = text;
        FILE *f = fopen(test_tmp_path(tmp, files[i]), "wb");
        assert_non_null(f);
        if (i == which && from) {
            at = memmem(text, n, from, strlen(from));
            if (!at) fail_msg("%s has no %s", files[i], from);
            fwrite(text, 1, (size_t)(at - text), f);
            fputs(to, f);
            skip = strlen(from);
        }
        fwrite(at + skip, 1, n - (size_t)(at - text) - skip, f);
        fclose(f);
        free(text);
    }
}

/* Writes n bytes over the first ones of a tensor. */
static void poke(test_tmp *tmp, const char *tensor, const void *p, size_t n)
{
    vg_err err;
    vg_safetensors *st;
    size_t i = 0, n_file;
    const char *path = test_tmp_path(tmp, files[1]);
    char *bytes = test_read(path, &n_file);
    TEST_OK(vg_safetensors_open_memory(&st, bytes, n_file, &err));
    while (!vg_str_is(vg_safetensors_at(st, i)->name, tensor)) i++;
    memcpy(bytes + (vg_safetensors_at(st, i)->data - (const uint8_t *)bytes), p, n);
    vg_safetensors_close(st);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(bytes, 1, n_file, f);
    fclose(f);
    free(bytes);
}

static void must_fail(test_tmp *tmp, size_t i, const char *says)
{
    vg_err err;
    vg_convert_report r;
    struct stat info;
    char out[2048];
    snprintf(out, sizeof out, "%s", test_tmp_path(tmp, "out.gguf"));
    vg_status st = convert(tmp->dir, out, VG_N_DTYPES, &r, &err);
    if (!st || !strstr(err.msg, says)) fail_msg("case %zu: %s", i, st ? err.msg : "no error");
    assert_int_not_equal(stat(out, &info), 0);
}

static const struct {
    const char *golden;
    size_t file;
    const char *from, *to, *says;
} bad[] = {
    {"packed-gptq", 0, "\"quant_method\": \"gptq\"", "\"quant_method\": \"hqq\"", "'hqq'"},
    {"packed-gptq", 0, "\"quant_method\": \"gptq\"", "\"quant_method\": 4", "quant_method"},
    {"packed-gptq", 0, "\"bits\": 4", "\"bits\": 8", "in 8 bits"},
    {"packed-gptq", 0, "\"bits\": 4", "\"bits\": 5", "GPTQ of 5 bits"},
    {"packed-gptq", 0, "\"bits\": 4", "\"bits\": -4", "bits is no"},
    {"packed-gptq", 0, "\"bits\": 4", "\"bits\": \"4\"", "bits is no"},
    {"packed-gptq", 0, "\"group_size\": 32", "\"group_size\": 0", "group_size is neither"},
    {"packed-gptq", 0, "\"group_size\": 32", "\"group_size\": -2", "group_size is neither"},
    {"packed-gptq", 0, "\"group_size\": 32", "\"group_size\": 1e9", "group_size is neither"},
    {"packed-gptq", 0, "\"group_size\": 32", "\"group_size\": -1", "1 groups"},
    {"packed-gptq", 0, "\"group_size\": 32", "\"group_size\": 16", "4 groups"},
    {"packed-gptq", 0, "\"checkpoint_format\": \"gptq\"", "\"checkpoint_format\": \"marlin\"",
     "'marlin'"},
    {"packed-gptq", 0, "\"desc_act\": false", "\"desc_act\": 1", "desc_act"},
    {"packed-gptq", 1, ".qzeros\"", ".qzorro\"", "qzeros is missing"},
    {"packed-gptq", 1, ".scales\"", ".scalex\"", "scales is missing"},
    {"packed-gptq", 1, ".qweight\"", ".qweighx\"", "weight is missing"},
    {"packed-order", 1, ".g_idx\"", ".h_idx\"", "g_idx is missing"},
    {"packed-gptq", 1, ".g_idx\"", ".h_idx\"", "h_idx is none"},
    {"packed-gptq", 1, "\"I32\",\"shape\":[8,64]", "\"U32\",\"shape\":[8,64]", "of U32"},
    {"packed-gptq", 1, "\"I32\",\"shape\":[8,64]", "\"I32\",\"shape\":[64,8]", "not [8, 64]"},
    {"packed-gptq", 1, "\"I32\",\"shape\":[2,8]", "\"I32\",\"shape\":[8,2]", "not [2, 8]"},
    {"packed-gptq", 1, "\"F16\",\"shape\":[2,64]", "\"I16\",\"shape\":[2,64]", "of I16"},
    {"packed-gptq", 1, "\"I32\",\"shape\":[64]", "\"F32\",\"shape\":[64]", "of F32"},
    {"packed-compressed", 0, "\"format\": \"pack-quantized\",\n    \"global", "\"format\": "
     "\"float-quantized\",\n    \"global", "'float-quantized'"},
    {"packed-compressed", 0, "\"transform_config\": {}", "\"transform_config\": {\"a\": 1}",
     "transform_config"},
    {"packed-compressed", 1, ".weight_scale\"", ".weight_scalx\"", "weight_scale is missing"},
    {"packed-compressed", 1, "\"shape\":[64,8]", "\"shape\":[8,64]", "not [64, 8]"},
    {"packed-compressed", 1, "\"shape\":[8,2]", "\"shape\":[2,8]", "not [8, 2]"},
    {"packed-awq", 0, "\"bits\": 4", "\"bits\": 8", "AWQ of 8 bits"},
    {"packed-awq", 0, "\"group_size\": 32", "\"group_size\": 48", "no whole groups of 48"},
    {"packed-awq", 0, "\"version\": \"gemm\"", "\"version\": \"gemv\"", "'gemv'"},
    {"packed-awq", 0, "\"num_attention_heads\": 4", "\"num_attention_heads\": 8", "[64, 8]"},
    {"packed-awq", 1, "\"I32\",\"shape\":[64,8]", "\"I32\",\"shape\":[8,64]", "not [64, 8]"},
};

static void what_does_not_fit_together_is_refused(void **state)
{
    VG_UNUSED(state);
    test_tmp tmp;
    test_tmp_begin(&tmp);
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        copy_with(&tmp, bad[i].golden, bad[i].file, bad[i].from, bad[i].to);
        must_fail(&tmp, i, bad[i].says);
    }
    test_tmp_end(&tmp);
}

static void numbers_out_of_range_are_refused(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *tensor;
        uint32_t value;
        const char *says;
    } pokes[] = {
        {"model.layers.0.mlp.up_proj.g_idx", 2, "column 0 into group 2 of 2"},
        {"model.layers.0.mlp.up_proj.g_idx", UINT32_MAX, "column 0 into group -1 of 2"},
        {"model.layers.0.mlp.up_proj.scales", 0x7e007e00, "the scale nan"},
        {"model.layers.0.mlp.up_proj.scales", 0x7c007c00, "the scale inf"},
    };
    test_tmp tmp;
    test_tmp_begin(&tmp);
    for (size_t i = 0; i < VG_COUNT(pokes); i++) {
        copy_with(&tmp, "packed-gptq", 0, NULL, NULL);
        poke(&tmp, pokes[i].tensor, &pokes[i].value, 4);
        must_fail(&tmp, i, pokes[i].says);
    }
    test_tmp_end(&tmp);
}

/* As the first tools wrote them: no quantization_config, a file beside it. */
static void old_files_say_it_too(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_convert_report r;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    char out[2048];
    snprintf(out, sizeof out, "%s", test_tmp_path(&tmp, "out.gguf"));
    copy_with(&tmp, "packed-gptq", 0, "\"quantization_config\"", "\"x\"");
    must_fail(&tmp, 0, "weight is missing");
    FILE *f = fopen(test_tmp_path(&tmp, "quantize_config.json"), "wb");
    assert_non_null(f);
    fputs("{\"bits\": 4, \"group_size\": 32, \"desc_act\": false, \"sym\": true}", f);
    fclose(f);
    TEST_OK(convert(tmp.dir, out, VG_N_DTYPES, &r, &err));
    assert_int_equal(r.type, VG_Q4_0);
    assert_int_equal(remove(test_tmp_path(&tmp, "quantize_config.json")), 0);
    copy_with(&tmp, "packed-awq", 0, "\"quantization_config\"", "\"x\"");
    f = fopen(test_tmp_path(&tmp, "quant_config.json"), "wb");
    assert_non_null(f);
    fputs("{\"zero_point\": true, \"q_group_size\": 32, \"w_bit\": 4, \"version\": \"GEMM\"}", f);
    fclose(f);
    TEST_OK(convert(tmp.dir, out, VG_N_DTYPES, &r, &err));
    assert_int_equal(r.type, VG_Q4_1);
    test_tmp_end(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_every_width),
        cmocka_unit_test(zeros_of_version_1_borrow),
        cmocka_unit_test(types_hold_what_they_can),
        cmocka_unit_test(the_report_tells_types_and_errors),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(old_files_say_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
