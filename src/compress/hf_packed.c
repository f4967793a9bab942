/* hf_packed.c: matrices of packed integers: what the configuration says of them, their pieces in
 * the checkpoint, and the numbers inside. What the configuration says must be what the shapes say;
 * nothing is guessed. The layouts are those of AutoAWQ ("gemm"), of AutoGPTQ and gptqmodel ("gptq",
 * "gptq_v2") and of llm-compressor ("pack-quantized"): words of 32 bits, the lowest field first.
 *   AWQ:  codes [in, out / 8], zeros [groups, out / 8], each word 8 outputs in the order 0, 2, 4,
 *         6, 1, 3, 5, 7
 *   GPTQ: codes [in * bits / 32, out], a column of words being a stream of fields; zeros [groups,
 *         out * bits / 32], a row of words being one; the group of each column in g_idx
 *   compressed-tensors: codes [out, in * bits / 32], rows of words; zeros [out * bits / 32, groups]
 * Scales are [groups, out], of compressed-tensors [out, groups]. */
#include "compress/hf_packed_int.h"

#include <stdio.h>
#include <strings.h>

#include "compress/hf_int.h"

typedef unsigned long long ull; /* for printf */

enum { BLOCK = 32, WORD_BITS = 32, AWQ_FIELDS = 8 };

/* What the pieces' names end in. */
static const struct {
    const char *say, *codes, *zeros, *scales, *order;
} names[] = {
    [HF_AWQ] = {"AWQ", "qweight", "qzeros", "scales", NULL},
    [HF_GPTQ] = {"GPTQ", "qweight", "qzeros", "scales", "g_idx"},
    [HF_COMPRESSED] = {"compressed", "weight_packed", "weight_zero_point", "weight_scale",
                       "weight_g_idx"},
};

/* ---- configuration ------------------------------------------------------------------------- */

static vg_status read_group(const vg_json *j, const char *key, uint64_t *out, vg_err *err)
{
    const vg_json *v = hf_get(j, key);
    if (!v) return VG_OK;
    bool all = v->kind == VG_JSON_INT && v->integer == -1;
    if (v->kind != VG_JSON_INT || v->integer < -1 || v->integer == 0 || v->integer > INT32_MAX)
        return VG_FAIL(err, VG_E_FORMAT, "%s is neither -1 nor a number of columns", key);
    *out = all ? 0 : (uint64_t)v->integer;
    return VG_OK;
}

static bool is(vg_str s, const char *name)
{
    return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

static vg_status read_awq(hf_packing *p, const vg_json *j, vg_err *err)
{
    vg_str version = VG_STR("gemm");
    VG_TRY(hf_str(j, "checkpoint_format", &version, err));
    VG_TRY(hf_str(j, "version", &version, err));
    VG_TRY(hf_u32(j, "w_bit", 1, 32, &p->bits, err));
    VG_TRY(read_group(j, "q_group_size", &p->group, err));
    if (!is(version, "gemm"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "AWQ in the layout '%.*s' is not supported (gemm is)",
                       VG_STR_ARG(version));
    if (p->bits != 4)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "AWQ of %u bits is not supported (4 are)", p->bits);
    return VG_OK;
}

static vg_status read_gptq(hf_packing *p, const vg_json *j, vg_err *err)
{
    vg_str format = VG_STR("gptq");
    bool marlin = false;
    VG_TRY(hf_str(j, "format", &format, err));
    VG_TRY(hf_str(j, "checkpoint_format", &format, err));
    VG_TRY(hf_bool(j, "is_marlin_format", &marlin, err));
    if (marlin) format = VG_STR("marlin");
    p->zeros_less_one = is(format, "gptq");
    if (!p->zeros_less_one && !is(format, "gptq_v2"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "GPTQ in the layout '%.*s' is not supported (gptq and"
                       " gptq_v2 are)", VG_STR_ARG(format));
    if (p->bits != 2 && p->bits != 3 && p->bits != 4 && p->bits != 8)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "GPTQ of %u bits is not supported (2, 3, 4 and 8 "
                       "are)", p->bits);
    return hf_bool(j, "desc_act", &p->ordered, err);
}

/* Each group of modules has settings of its own, which the shapes tell as well. */
static vg_status read_compressed(hf_packing *p, const vg_json *j, vg_err *err)
{
    vg_str format = VG_STR("?"), sparse = VG_STR("dense");
    const vg_json *turns = hf_get(j, "transform_config");
    VG_TRY(hf_str(j, "format", &format, err));
    VG_TRY(hf_str(hf_get(j, "sparsity_config"), "format", &sparse, err));
    if (!is(sparse, "dense"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "compressed-tensors with the sparsity '%.*s' is not "
                       "supported", VG_STR_ARG(sparse));
    if (turns && turns->n)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "compressed-tensors with a transform_config is not "
                       "supported");
    if (!is(format, "pack-quantized"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "compressed-tensors in the format '%.*s' is not "
                       "supported (pack-quantized is)", VG_STR_ARG(format));
    p->differs = true;
    return VG_OK;
}

static vg_status read_method(hf_packing *p, const vg_json *j, vg_str method, vg_err *err)
{
    if (j->kind != VG_JSON_OBJECT) return VG_FAIL(err, VG_E_FORMAT, "no JSON object");
    VG_TRY(hf_str(j, "quant_method", &method, err));
    p->bits = 4;
    p->group = 128;
    p->method = is(method, "awq")                  ? HF_AWQ
                : is(method, "gptq")               ? HF_GPTQ
                : is(method, "compressed-tensors") ? HF_COMPRESSED
                                                   : HF_PLAIN;
    if (p->method == HF_PLAIN)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "the checkpoint is quantised by '%.*s', which is not "
                       "supported (awq, gptq and compressed-tensors are); convert the original "
                       "weights", VG_STR_ARG(method));
    if (p->method == HF_COMPRESSED) return read_compressed(p, j, err);
    VG_TRY(hf_u32(j, "bits", 1, 32, &p->bits, err));
    VG_TRY(read_group(j, "group_size", &p->group, err));
    const vg_json *dynamic = hf_get(j, "dynamic");
    p->differs = dynamic && dynamic->n > 0;
    return p->method == HF_AWQ ? read_awq(p, j, err) : read_gptq(p, j, err);
}

/* The first tools of each method wrote a file of their own. */
vg_status hf_packing_read(hf_packing *out, const vg_checkpoint *c, vg_arena *a, vg_err *err)
{
    static const struct {
        const char *file, *method;
    } old[] = {{"quantize_config.json", "gptq"}, {"quant_config.json", "awq"}};
    const char *file = "config.json", *key = ": quantization_config";
    const vg_json *j = hf_get(vg_checkpoint_config(c), "quantization_config");
    vg_str method = VG_STR("?");
    *out = (hf_packing){0};
    for (size_t i = 0; !j && i < VG_COUNT(old); i++) {
        VG_TRY(vg_checkpoint_json(c, a, old[i].file, &j, err));
        file = old[i].file;
        key = "";
        method = vg_str_from(old[i].method);
    }
    if (!j) return VG_OK;
    vg_status st = read_method(out, j, method, err);
    return st ? vg_err_context(err, st, "%s%s", file, key) : VG_OK;
}

/* ---- pieces -------------------------------------------------------------------------------- */

typedef struct search {
    const vg_checkpoint *c;
    const hf_packed *p;
    vg_err *err;
} search;

static const vg_st_tensor *piece_of(const search *s, const char *end)
{
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s.%s", VG_STR_ARG(s->p->name), end);
    return vg_checkpoint_find(s->c, (vg_str){name, (size_t)n});
}

static vg_status need(const search *s, const char *end, const vg_st_tensor **out)
{
    *out = piece_of(s, end);
    if (*out) return VG_OK;
    return VG_FAIL(s->err, VG_E_FORMAT, "tensor %.*s.%s is missing, though its %s is there",
                   VG_STR_ARG(s->p->name), end, names[s->p->how.method].codes);
}

static vg_status check_words(const search *s, const vg_st_tensor *t)
{
    if (t->dtype == VG_ST_I32) return VG_OK;
    return VG_FAIL(s->err, VG_E_UNSUPPORTED, "tensor %.*s is of %s; packed numbers must be of I32",
                   VG_STR_ARG(t->name), vg_st_dtype_name(t->dtype));
}

static vg_status check_shape(const search *s, const vg_st_tensor *t, uint64_t rows, uint64_t cols)
{
    if (t->n_dims == 2 && t->dim[0] == rows && t->dim[1] == cols) return VG_OK;
    char seen[VG_ST_MAX_DIMS * 24] = "";
    for (uint32_t i = 0, n = 0; i < t->n_dims; i++)
        n += (uint32_t)snprintf(seen + n, sizeof seen - n, "%s%llu", i ? ", " : "",
                                (ull)t->dim[i]);
    const hf_packed *p = s->p;
    return VG_FAIL(s->err, VG_E_FORMAT, "tensor %.*s has the shape [%s], not [%llu, %llu]: %llu "
                   "rows of %llu in %u bits, %llu groups", VG_STR_ARG(t->name), seen, (ull)rows,
                   (ull)cols, (ull)p->n_out, (ull)p->n_in, p->how.bits, (ull)p->n_groups);
}

/* Where single matrices may differ from the configuration, their shapes tell. */
static void read_own(hf_packed *p)
{
    static const uint32_t known[] = {2, 3, 4, 8};
    bool compressed = p->how.method == HF_COMPRESSED;
    bool looks = p->how.method != HF_AWQ && p->codes->n_dims == 2;
    for (size_t i = 0; looks && i < VG_COUNT(known); i++) {
        bool straddles = compressed && WORD_BITS % known[i];
        if (!straddles && p->codes->dim[compressed] <= p->n_in &&
            p->codes->dim[compressed] * WORD_BITS == p->n_in * known[i])
            p->how.bits = known[i];
    }
    uint64_t n = p->scales->n_dims == 2 ? p->scales->dim[compressed] : 0;
    if (n) p->how.group = (p->n_in + n - 1) / n;
}

/* Of rows, columns and groups; the words run along the other side in each method. */
static vg_status check_shapes(const search *s, const hf_packed *p)
{
    uint64_t bits = p->how.bits, in_words = p->n_in * bits / WORD_BITS;
    uint64_t out_words = p->n_out * bits / WORD_BITS;
    if (p->how.method == HF_COMPRESSED) {
        VG_TRY(check_shape(s, p->codes, p->n_out, in_words));
        if (p->zeros) VG_TRY(check_shape(s, p->zeros, out_words, p->n_groups));
        return check_shape(s, p->scales, p->n_out, p->n_groups);
    }
    bool awq = p->how.method == HF_AWQ;
    VG_TRY(check_shape(s, p->codes, awq ? p->n_in : in_words, awq ? out_words : p->n_out));
    VG_TRY(check_shape(s, p->zeros, p->n_groups, out_words));
    return check_shape(s, p->scales, p->n_groups, p->n_out);
}

static vg_status check_pieces(const search *s, hf_packed *p)
{
    if (p->how.differs) read_own(p);
    uint64_t bits = p->how.bits, group = p->how.group ? p->how.group : p->n_in;
    bool awq = p->how.method == HF_AWQ;
    uint64_t packed = awq ? p->n_out : p->n_in; /* the side of the codes that words run along */
    p->n_groups = (p->n_in + group - 1) / group;
    if (awq && p->n_in % group)
        return VG_FAIL(s->err, VG_E_FORMAT, "%.*s: rows of %llu are no whole groups of %llu",
                       VG_STR_ARG(p->name), (ull)p->n_in, (ull)group);
    if (packed * bits % WORD_BITS || (p->zeros && p->n_out * bits % WORD_BITS))
        return VG_FAIL(s->err, VG_E_FORMAT, "%.*s: %llu rows of %llu in %llu bits fill no whole "
                       "words", VG_STR_ARG(p->name), (ull)p->n_out, (ull)p->n_in, (ull)bits);
    VG_TRY(check_words(s, p->codes));
    if (p->zeros) VG_TRY(check_words(s, p->zeros));
    VG_TRY(check_shapes(s, p));
    vg_st_dtype type = p->scales->dtype;
    if (type == VG_ST_F16 || type == VG_ST_BF16 || type == VG_ST_F32) return VG_OK;
    return VG_FAIL(s->err, VG_E_UNSUPPORTED, "tensor %.*s is of %s; F16, BF16 and F32 are "
                   "supported", VG_STR_ARG(p->scales->name), vg_st_dtype_name(type));
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Every group of the list must be there. */
static vg_status check_order(const search *s, hf_packed *p)
{
    const vg_st_tensor *t = p->order;
    if (!t) return VG_OK;
    VG_TRY(check_words(s, t));
    if (t->n_dims != 1 || t->dim[0] != p->n_in)
        return VG_FAIL(s->err, VG_E_FORMAT, "tensor %.*s has no group for each of %llu columns",
                       VG_STR_ARG(t->name), (ull)p->n_in);
    for (uint64_t i = 0; i < p->n_in; i++) {
        uint32_t g = get_u32(t->data + 4 * i);
        if (g >= p->n_groups)
            return VG_FAIL(s->err, VG_E_FORMAT, "tensor %.*s puts column %llu into group %d of "
                           "%llu", VG_STR_ARG(t->name), (ull)i, (int)g, (ull)p->n_groups);
    }
    return VG_OK;
}

/* What decides on the type: where groups begin, and how far zeros reach. */
static void look_inside(hf_packed *p)
{
    unsigned least = UINT32_MAX, most = 0;
    for (uint64_t g = 0; g < p->n_groups; g++)
        for (uint64_t row = 0; row < p->n_out; row++) {
            unsigned z = hf_packed_zero(p, g, row);
            least = VG_MIN(least, z);
            most = VG_MAX(most, z);
        }
    p->low = -(int)most;
    p->high = (1 << p->how.bits) - 1 - (int)least;
    p->whole_blocks = p->n_in % BLOCK == 0;
    for (uint64_t i = 0; p->whole_blocks && i < p->n_in; i++)
        p->whole_blocks = hf_packed_group(p, i) == hf_packed_group(p, i / BLOCK * BLOCK);
}

vg_status hf_packed_find(const hf_packed **out, const hf_packing *how, const vg_checkpoint *c,
                         vg_str name, uint64_t n_out, uint64_t n_in, vg_arena *a, vg_err *err)
{
    *out = NULL;
    if (how->method == HF_PLAIN) return VG_OK;
    hf_packed *p = VG_ARENA_NEW(a, hf_packed);
    char *copy = vg_arena_text(a, name);
    if (!p || !copy) return VG_FAIL_MEMORY(err, sizeof *p + name.n);
    *p = (hf_packed){.name = {copy, name.n}, .how = *how, .n_out = n_out, .n_in = n_in};
    search s = {c, p, err};
    p->codes = piece_of(&s, names[how->method].codes);
    if (!p->codes) return VG_OK;
    VG_TRY(need(&s, names[how->method].scales, &p->scales));
    if (how->method == HF_COMPRESSED) {
        p->zeros = piece_of(&s, names[how->method].zeros);
        p->shape = piece_of(&s, "weight_shape");
    } else {
        VG_TRY(need(&s, names[how->method].zeros, &p->zeros));
    }
    if (how->ordered) VG_TRY(need(&s, names[how->method].order, &p->order));
    else if (names[how->method].order) p->order = piece_of(&s, names[how->method].order);
    VG_TRY(check_pieces(&s, p));
    VG_TRY(check_order(&s, p));
    look_inside(p);
    *out = p;
    return VG_OK;
}

size_t hf_packed_pieces(const hf_packed *p, const vg_st_tensor *piece[HF_PACKED_PIECES])
{
    size_t n = 0;
    piece[n++] = p->codes;
    piece[n++] = p->scales;
    if (p->zeros) piece[n++] = p->zeros;
    if (p->order) piece[n++] = p->order;
    if (p->shape) piece[n++] = p->shape;
    return n;
}

void hf_packed_say(const hf_packed *p, char out[32])
{
    snprintf(out, 32, "%s %u-bit, %llu", names[p->how.method].say, p->how.bits,
             (ull)(p->how.group ? p->how.group : p->n_in));
}

/* ---- types --------------------------------------------------------------------------------- */

/* The smallest first. Q4_1's minimum is -zero * scale, rounded to F16; the others are exact. */
static const vg_dtype exact_types[] = {VG_Q4_0, VG_Q4_1, VG_Q8_0};

bool hf_packed_fits(const hf_packed *p, vg_dtype type)
{
    if (!p->whole_blocks) return false;
    switch (type) {
    case VG_Q4_0: return p->low >= -8 && p->high <= 7;
    case VG_Q4_1: return p->how.bits <= 4;
    case VG_Q8_0: return p->low >= -128 && p->high <= 127;
    default: return false;
    }
}

vg_dtype hf_packed_type(const hf_packed *p)
{
    for (size_t i = 0; i < VG_COUNT(exact_types); i++)
        if (hf_packed_fits(p, exact_types[i])) return exact_types[i];
    return p->n_in % BLOCK ? VG_N_DTYPES : VG_Q8_0;
}

vg_dtype hf_packed_join(vg_dtype a, vg_dtype b)
{
    for (size_t i = VG_COUNT(exact_types); i-- > 0;)
        if (a != VG_N_DTYPES && b != VG_N_DTYPES && (a == exact_types[i] || b == exact_types[i]))
            return exact_types[i];
    return VG_N_DTYPES;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* Where output `row` lies in its word, of AWQ. */
static unsigned awq_shift(uint64_t row)
{
    static const uint8_t place[AWQ_FIELDS] = {0, 4, 1, 5, 2, 6, 3, 7};
    return 4u * place[row % AWQ_FIELDS];
}

uint64_t hf_packed_group(const hf_packed *p, uint64_t col)
{
    if (p->order) return get_u32(p->order->data + 4 * col);
    return p->how.group ? col / p->how.group : 0;
}

float hf_packed_scale(const hf_packed *p, uint64_t group, uint64_t row)
{
    float scale;
    size_t size = vg_st_dtype_bytes(p->scales->dtype);
    uint64_t at = p->how.method == HF_COMPRESSED ? row * p->n_groups + group
                                                 : group * p->n_out + row;
    hf_to_float(p->scales->dtype, p->scales->data + at * size, &scale, 1);
    return scale;
}

/* Version 1 of GPTQ takes one from each field of a word at once, with the borrow: so adding it back
 * to the word gives what was there (gptqmodel's convert_gptq_v1_to_v2_format). Fields of 3 bits
 * cross words, and are added to one by one. */
unsigned hf_packed_zero(const hf_packed *p, uint64_t group, uint64_t row)
{
    unsigned bits = p->how.bits, mask = (1u << bits) - 1;
    uint64_t row_words = p->n_out * bits / WORD_BITS;
    if (!p->zeros) return 1u << (bits - 1);
    if (p->how.method == HF_COMPRESSED)
        return get_u32(p->zeros->data + 4 * (row * bits / WORD_BITS * p->n_groups + group)) >>
                   row * bits % WORD_BITS & mask;
    const uint8_t *words = p->zeros->data + 4 * group * row_words;
    if (p->how.method == HF_AWQ)
        return get_u32(words + row / AWQ_FIELDS * 4) >> awq_shift(row) & mask;
    uint64_t at = row * bits / WORD_BITS, held = get_u32(words + 4 * at);
    bool crosses = row * bits % WORD_BITS + bits > WORD_BITS;
    if (p->how.zeros_less_one && bits != 3) held = (uint32_t)held + UINT32_MAX / mask;
    if (crosses) held |= (uint64_t)get_u32(words + 4 * at + 4) << WORD_BITS;
    unsigned zero = (unsigned)(held >> row * bits % WORD_BITS) & mask;
    return p->how.zeros_less_one && bits == 3 ? (zero + 1) & mask : zero;
}

static void awq_codes(const hf_packed *p, const uint64_t *src, size_t n_rows, uint8_t *out)
{
    uint64_t words = p->n_out / AWQ_FIELDS;
    for (uint64_t col = 0; col < p->n_in; col++) {
        const uint8_t *line = p->codes->data + 4 * col * words;
        for (size_t i = 0; i < n_rows; i++)
            out[i * p->n_in + col] =
                get_u32(line + src[i] / AWQ_FIELDS * 4) >> awq_shift(src[i]) & 15;
    }
}

/* 32 fields fill `bits` words, which follow each other down a column, or in a row. */
static void stream_codes(const hf_packed *p, const uint64_t *src, size_t n_rows, uint8_t *out)
{
    unsigned bits = p->how.bits, mask = (1u << bits) - 1;
    bool in_row = p->how.method == HF_COMPRESSED;
    uint64_t step = in_row ? 1 : p->n_out, row_step = in_row ? p->n_in * bits / WORD_BITS : 1;
    for (uint64_t col = 0; col < p->n_in; col += WORD_BITS) {
        const uint8_t *line = p->codes->data + 4 * (col / WORD_BITS * bits) * step;
        uint64_t n = VG_MIN(p->n_in - col, (uint64_t)WORD_BITS);
        for (size_t i = 0; i < n_rows; i++) {
            const uint8_t *word = line + 4 * src[i] * row_step;
            uint64_t held = 0;
            unsigned n_held = 0;
            for (uint64_t k = 0; k < n; k++) {
                if (n_held < bits) {
                    held |= (uint64_t)get_u32(word) << n_held;
                    n_held += WORD_BITS;
                    word += 4 * step;
                }
                out[i * p->n_in + col + k] = (uint8_t)(held & mask);
                held >>= bits;
                n_held -= bits;
            }
        }
    }
}

void hf_packed_codes(const hf_packed *p, const uint64_t *src, size_t n_rows, uint8_t *out)
{
    if (p->how.method == HF_AWQ) awq_codes(p, src, n_rows, out);
    else stream_codes(p, src, n_rows, out);
}
