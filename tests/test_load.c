/* Tests of loading: the same logits whether the weights are read from the file, repacked, or mapped
 * from the image that was kept; images that are cut, damaged, of another model or another version
 * are not used and do no harm; every call that writes one may fail; the plan is the memory. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/os.h"
#include "fault.h"
#include "gguf_make.h"
#include "model/image_int.h"
#include "test_tmp.h"

enum { N_VOCAB = 64, N_IDS = 9 };

/* ---- models ---------------------------------------------------------------------------------- */

typedef struct shape {
    uint32_t width, n_ff, n_layers;
    vg_dtype type;
    bool tied;
} shape;

static const shape small = {256, 512, 2, VG_Q4_0, true};

/* Random codes; scales that are small and not NaN. */
static void add_matrix(gguf_make *g, const shape *s, const char *name, uint64_t n_in,
                       uint64_t n_rows)
{
    uint64_t row = 0, seed = n_rows * 31 + n_in;
    assert_true(vg_dtype_row_bytes(s->type, n_in, &row));
    uint8_t *data = malloc(row * n_rows);
    assert_non_null(data);
    for (size_t i = 0; i < row * n_rows; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)(seed >> 40);
    }
    size_t block = vg_dtype_get(s->type)->bytes;
    for (size_t b = 0; b < row * n_rows; b += block) memcpy(data + b, &(uint16_t){0x1c00}, 2);
    make_tensor(g, name, s->type, 2, (uint64_t[]){n_in, n_rows}, data);
    free(data);
}

static void add_ones(gguf_make *g, const char *name, uint64_t n)
{
    float *ones = malloc(n * sizeof *ones);
    assert_non_null(ones);
    for (uint64_t i = 0; i < n; i++) ones[i] = 1;
    make_tensor(g, name, VG_F32, 1, (uint64_t[]){n}, ones);
    free(ones);
}

static void make_model(const shape *s, const char *path)
{
    gguf_make g;
    make_begin(&g);
    make_str(&g, "general.architecture", "llama");
    make_u32(&g, "llama.block_count", s->n_layers);
    make_u32(&g, "llama.embedding_length", s->width);
    make_u32(&g, "llama.context_length", 4096);
    make_u32(&g, "llama.feed_forward_length", s->n_ff);
    make_u32(&g, "llama.attention.head_count", 4);
    make_f32(&g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_matrix(&g, s, "token_embd.weight", s->width, N_VOCAB);
    add_ones(&g, "output_norm.weight", s->width);
    if (!s->tied) add_matrix(&g, s, "output.weight", s->width, N_VOCAB);
    for (uint32_t i = 0; i < s->n_layers; i++) {
        const struct {
            const char *name;
            uint32_t n_in, n_rows;
        } all[] = {{"attn_q", s->width, s->width},   {"attn_k", s->width, s->width},
                   {"attn_v", s->width, s->width},   {"attn_output", s->width, s->width},
                   {"ffn_gate", s->width, s->n_ff},  {"ffn_up", s->width, s->n_ff},
                   {"ffn_down", s->n_ff, s->width},  {"attn_norm", s->width, 0},
                   {"ffn_norm", s->width, 0}};
        for (size_t k = 0; k < VG_COUNT(all); k++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%u.%s.weight", i, all[k].name);
            if (all[k].n_rows) add_matrix(&g, s, name, all[k].n_in, all[k].n_rows);
            else add_ones(&g, name, all[k].n_in);
        }
    }
    make_end_file(&g, path);
}

/* ---- what a test looks at ------------------------------------------------------------------ */

typedef struct outcome {
    float logits[N_VOCAB];
    vg_plan plan;
    char note[1024];
} outcome;

static vg_status compute(const char *path, const vg_model_opts *opts, outcome *out, vg_err *err)
{
    const int32_t ids[N_IDS] = {1, 9, 63, 4, 4, 31, 17, 2, 50};
    const vg_engine_opts e_opts = {.n_threads = 2, .ctx_tok = 64, .batch_tok = 16};
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    vg_model_info info = {0};
    memset(out, 0, sizeof *out);
    vg_status st = vg_model_open(&m, path, opts, err);
    if (!st) vg_model_get_info(m, &info);
    if (!st && info.note) snprintf(out->note, sizeof out->note, "%s", info.note);
    if (!st) st = vg_plan_make(m, &e_opts, &out->plan, err);
    if (!st) st = vg_engine_new(&e, m, &e_opts, err);
    if (!st) st = vg_session_new(&s, e, NULL, err);
    if (!st) st = vg_session_append(s, ids, N_IDS, err);
    while (!st && vg_session_pending(s) > 0) st = vg_engine_step(e, &s, 1, err);
    if (!st) memcpy(out->logits, vg_session_logits(s), sizeof out->logits);
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    return st;
}

/* A folder with a small model, and what it computes from the file as it is. */
typedef struct fixture {
    test_tmp tmp;
    char model[2048], image[2100], part[2110];
    outcome plain;
} fixture;

static void begin(fixture *f)
{
    vg_err err;
    const vg_model_opts as_it_is = {.no_repack = true};
    test_tmp_begin(&f->tmp);
    snprintf(f->model, sizeof f->model, "%s", test_tmp_path(&f->tmp, "m.gguf"));
    snprintf(f->image, sizeof f->image, "%s.repacked", f->model);
    snprintf(f->part, sizeof f->part, "%s.part", f->image);
    make_model(&small, f->model);
    TEST_OK(compute(f->model, &as_it_is, &f->plain, &err));
    assert_int_equal(f->plain.plan.repacked_bytes, 0);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Opens the model: right logits; whether they came from the image; what the note says. */
static void check(const fixture *f, bool keep, bool from_image, const char *says)
{
    vg_err err;
    outcome o;
    const vg_model_opts opts = {.keep_image = keep};
    TEST_OK(compute(f->model, &opts, &o, &err));
    assert_memory_equal(o.logits, f->plain.logits, sizeof o.logits);
    if ((o.plan.repacked_bytes == 0) != from_image)
        fail_msg("from_image is not %d, the note is '%s'", from_image, o.note);
    if (says ? !strstr(o.note, says) : o.note[0] != '\0')
        fail_msg("the note is '%s', expected '%s'", o.note, says ? says : "");
    assert_false(exists(f->part));
}

static void overwrite(const char *path, long at, const void *p, size_t n)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void touch(const char *path)
{
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void an_image_gives_the_same_logits(void **state)
{
    VG_UNUSED(state);
    fixture f;
    begin(&f);
    check(&f, false, false, NULL);
    assert_false(exists(f.image));
    check(&f, true, false, NULL);
    assert_true(exists(f.image));
    check(&f, false, true, NULL);
    check(&f, true, true, NULL);
    vg_err err;
    outcome o;
    const vg_model_opts as_it_is = {.no_repack = true, .keep_image = true};
    TEST_OK(compute(f.model, &as_it_is, &o, &err));
    assert_memory_equal(&o.plan, &f.plain.plan, sizeof o.plan);
    test_tmp_end(&f.tmp);
}

/* A model that was copied or touched keeps its image: compared by content once, and then the image
 * knows it again. A model that was changed does not. */
static void an_image_follows_its_model(void **state)
{
    VG_UNUSED(state);
    fixture f;
    size_t n;
    begin(&f);
    check(&f, true, false, NULL);
    char *before = test_read(f.image, &n);
    touch(f.model);
    check(&f, false, true, NULL);
    char *after = test_read(f.image, &n);
    assert_memory_not_equal(before, after, sizeof(image_head));
    assert_memory_equal(before + IMAGE_DATA, after + IMAGE_DATA, n - IMAGE_DATA);
    free(before);
    free(after);
    check(&f, false, true, NULL);
    overwrite(f.model, -4, &(float){2}, 4); /* a gain of the last norm */
    vg_err err;
    outcome o;
    TEST_OK(compute(f.model, NULL, &o, &err));
    assert_non_null(strstr(o.note, "m.gguf.repacked is not used: it was made of another model"));
    const vg_model_opts as_it_is = {.no_repack = true};
    TEST_OK(compute(f.model, &as_it_is, &f.plain, &err));
    check(&f, true, false, NULL);
    check(&f, false, true, NULL);
    test_tmp_end(&f.tmp);
}

static void damaged_images_are_not_used(void **state)
{
    VG_UNUSED(state);
    fixture f;
    size_t n;
    begin(&f);
    check(&f, true, false, NULL);
    char *image = test_read(f.image, &n);
    for (size_t i = 0; i < sizeof(image_head); i++) {
        overwrite(f.image, (long)i, &(char){(char)(image[i] ^ 0x40)}, 1);
        check(&f, false, false, i < 8 ? "holds no repacked weights" : "its head is damaged");
        overwrite(f.image, (long)i, &image[i], 1);
    }
    check(&f, false, true, NULL);
    const size_t cuts[] = {0, 1, sizeof(image_head) - 1, sizeof(image_head), IMAGE_DATA, n - 1};
    for (size_t i = VG_COUNT(cuts); i-- > 0;) {
        assert_int_equal(truncate(f.image, (off_t)cuts[i]), 0);
        check(&f, false, false, cuts[i] ? "bytes" : "the file is empty");
    }
    /* Weights are looked at when the model's identity is another one, and by vg_image_verify. */
    overwrite(f.image, 0, image, n);
    overwrite(f.image, IMAGE_DATA + 77, "x", 1);
    vg_err err;
    vg_model *m = NULL;
    const vg_model_opts as_it_is = {.no_repack = true};
    TEST_OK(vg_model_open(&m, f.model, &as_it_is, &err));
    assert_int_equal(vg_image_verify(m, f.model, &err), VG_E_FORMAT);
    assert_non_null(strstr(err.msg, "damaged"));
    overwrite(f.image, 0, image, n);
    TEST_OK(vg_image_verify(m, f.model, &err));
    overwrite(f.image, IMAGE_DATA + 77, "x", 1);
    touch(f.model);
    check(&f, false, false, "its weights are damaged");
    assert_int_equal(unlink(f.image), 0);
    assert_int_equal(vg_image_verify(m, f.model, &err), VG_E_NOT_FOUND);
    vg_model_unref(m);
    /* Not even a file. */
    assert_int_equal(mkdir(f.image, 0700), 0);
    check(&f, false, false, "is a directory");
    check(&f, true, false, "could not be kept");
    free(image);
    test_tmp_end(&f.tmp);
}

/* A head that is whole, but of another layout or list of matrices. */
static void images_of_others_are_not_used(void **state)
{
    VG_UNUSED(state);
    fixture f;
    size_t n;
    begin(&f);
    check(&f, true, false, NULL);
    image_head good;
    char *image = test_read(f.image, &n);
    memcpy(&good, image, sizeof good);
    free(image);
    image_head bad[4] = {good, good, good, good};
    const char *const says[] = {"another version", "another model", "another model",
                                "another model"};
    bad[0].layout++;
    bad[1].matrices++;
    bad[2].n_bytes += 64;
    bad[3].model_bytes--;
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        image_seal(&bad[i]);
        overwrite(f.image, 0, &bad[i], sizeof bad[i]);
        check(&f, false, false, says[i]);
    }
    overwrite(f.image, 0, &good, sizeof good);
    check(&f, false, true, NULL);
    test_tmp_end(&f.tmp);
}

static void an_image_that_cannot_be_written_is_done_without(void **state)
{
    VG_UNUSED(state);
    fixture f;
    vg_err err;
    begin(&f);
    vg_new_file other;
    TEST_OK(vg_new_file_begin(&other, f.image, &err));
    TEST_OK(vg_new_file_put(&other, "half", 4, &err));
    const vg_model_opts keep = {.keep_image = true};
    outcome o;
    TEST_OK(compute(f.model, &keep, &o, &err));
    assert_non_null(strstr(o.note, "could not be kept"));
    assert_non_null(strstr(o.note, "another process is writing it"));
    vg_new_file_abandon(&other);
    assert_false(exists(f.image));
    /* What a crash left is taken over. */
    FILE *left = fopen(f.part, "wb");
    assert_non_null(left);
    fputs("left by a crash", left);
    fclose(left);
    check(&f, true, false, NULL);
    check(&f, false, true, NULL);
    test_tmp_end(&f.tmp);
}

/* Whichever call fails: an error, or the right logits; and an image is whole or not there. */
static void every_failure_leaves_a_whole_image_or_none(void **state)
{
    VG_UNUSED(state);
    fixture f;
    begin(&f);
    for (fault_kind kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        for (unsigned n = 1;; n++) {
            vg_err err = {0};
            outcome o;
            const vg_model_opts keep = {.keep_image = true};
            unlink(f.image);
            fault_arm(kind, n);
            vg_status st = compute(f.model, &keep, &o, &err);
            if (!fault_disarm()) break;
            if (st) assert_true(err.code == st && err.msg[0] != '\0');
            else assert_memory_equal(o.logits, f.plain.logits, sizeof o.logits);
            assert_false(exists(f.part));
            check(&f, false, exists(f.image), NULL);
        }
    }
    check(&f, false, true, NULL); /* the last one was kept */
    for (unsigned n = 1;; n++) { /* the same while one is read, of a model that was touched */
        vg_err err = {0};
        outcome o;
        touch(f.model);
        fault_arm(FAULT_IO, n);
        vg_status st = compute(f.model, NULL, &o, &err);
        if (!fault_disarm()) break;
        if (!st) assert_memory_equal(o.logits, f.plain.logits, sizeof o.logits);
        check(&f, false, true, NULL);
    }
    test_tmp_end(&f.tmp);
}

typedef struct watch {
    int calls_left;
    uint64_t done, total;
} watch;

static int count_down(void *user, uint64_t done, uint64_t total)
{
    watch *w = user;
    assert_true(done <= total && done >= w->done && total >= w->total);
    w->done = done;
    w->total = total;
    return w->calls_left-- <= 0;
}

static void opening_can_be_cancelled_anywhere(void **state)
{
    VG_UNUSED(state);
    fixture f;
    begin(&f);
    for (int calls = 0;; calls++) {
        vg_err err;
        outcome o;
        watch w = {.calls_left = calls};
        const vg_model_opts opts = {.keep_image = true, .progress = count_down, .user = &w};
        unlink(f.image);
        vg_status st = compute(f.model, &opts, &o, &err);
        assert_false(exists(f.part));
        if (st == VG_OK) {
            assert_true(calls > 3);
            assert_int_equal(w.done, w.total);
            break;
        }
        assert_int_equal(st, VG_E_CANCELLED);
    }
    check(&f, false, true, NULL);
    test_tmp_end(&f.tmp);
}

/* ---- the plan is the memory ---------------------------------------------------------------- */

static const char *const modes[] = {"repacked", "as-it-is", "keep", "image"};
enum { CTX_TOK = 512, BATCH_TOK = 128 };

/* In a process of its own: fills a context and prints the plan's total and the peak. */
static int measure(const char *path, const char *mode)
{
    vg_err err;
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    vg_plan plan;
    int32_t ids[CTX_TOK - 1];
    const vg_model_opts opts = {.no_repack = !strcmp(mode, "as-it-is"),
                                .keep_image = !strcmp(mode, "keep")};
    const vg_engine_opts e_opts = {.n_threads = 2, .ctx_tok = CTX_TOK, .batch_tok = BATCH_TOK};
    for (int i = 0; i < CTX_TOK - 1; i++) ids[i] = i * 7 % N_VOCAB;
    bool ok = !vg_model_open(&m, path, &opts, &err) && !vg_plan_make(m, &e_opts, &plan, &err) &&
              !vg_engine_new(&e, m, &e_opts, &err) && !vg_session_new(&s, e, NULL, &err) &&
              !vg_session_append(s, ids, CTX_TOK - 1, &err);
    while (ok && vg_session_pending(s) > 0) ok = !vg_engine_step(e, &s, 1, &err);
    if (ok)
        printf("%llu %llu %llu\n", (unsigned long long)plan.total_bytes,
               (unsigned long long)plan.repacked_bytes,
               (unsigned long long)vg_os_peak_rss_bytes());
    else printf("0 0 0 %s\n", err.msg);
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    return ok ? 0 : 1;
}

static void the_plan_is_the_memory(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__has_feature)
    skip(); /* a sanitiser's memory would be counted */
#endif
    const shape large = {1024, 3072, 8, VG_Q8_0, false}; /* 112 MB */
    test_tmp tmp;
    char model[2048], command[8192], line[1024];
    test_tmp_begin(&tmp);
    snprintf(model, sizeof model, "%s", test_tmp_path(&tmp, "large.gguf"));
    make_model(&large, model);
    for (size_t i = 0; i < VG_COUNT(modes); i++) {
        /* An allocator that fills what it gives would touch what nobody uses. */
        snprintf(command, sizeof command, "MALLOC_PERTURB_= '%s' measure '%s' %s",
                 (const char *)*state, model, modes[i]);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        assert_non_null(fgets(line, sizeof line, f));
        assert_int_equal(pclose(f), 0);
        unsigned long long total = 0, repacked = 0, peak = 0;
        assert_int_equal(sscanf(line, "%llu %llu %llu", &total, &repacked, &peak), 3);
        assert_int_equal(repacked > 0, vg_interleaves(large.type) && i != 1 && i != 3);
        /* The program itself takes two or three megabytes. */
        if (peak < total - total / 20 || peak > total + total / 20)
            fail_msg("%s: planned %llu, took %llu bytes", modes[i], total, peak);
    }
    test_tmp_end(&tmp);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "measure") == 0) return measure(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_gives_the_same_logits),
        cmocka_unit_test(an_image_follows_its_model),
        cmocka_unit_test(damaged_images_are_not_used),
        cmocka_unit_test(images_of_others_are_not_used),
        cmocka_unit_test(an_image_that_cannot_be_written_is_done_without),
        cmocka_unit_test(every_failure_leaves_a_whole_image_or_none),
        cmocka_unit_test(opening_can_be_cancelled_anywhere),
        cmocka_unit_test_prestate(the_plan_is_the_memory, argv[0]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
