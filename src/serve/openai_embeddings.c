/* OpenAI's embeddings, /v1/embeddings: a vector for each input, as numbers or as base64 of 32-bit
 * floats with the lowest byte first, which is what the official client asks for. There is no stream
 * of them. */
#include <stdio.h>

#include "serve/openai_int.h"

static vg_status read_encoding(void *request, const vg_json *v, vg_err *err)
{
    static const char *const words[] = {"float", "base64"};
    size_t i = 0;
    VG_TRY(vg_one_of(v, words, VG_COUNT(words), &i, err));
    ((vg_request *)request)->base64 = i == 1;
    return VG_OK;
}

static const vg_field fields[] = {
    {"input", VG_FIELD_OTHER, .read = vg_fields_prompts},
    {"model", VG_FIELD_TEXT, VG_IN(model)},
    {"dimensions", VG_FIELD_COUNT, VG_IN(n_dimensions), .min = 1, .max = INT32_MAX},
    {"encoding_format", VG_FIELD_OTHER, .read = read_encoding},
    {"user", VG_NO_EFFECT},
};

static vg_status parse(vg_request *r, const char *route, const vg_json *body, vg_err *err)
{
    r->ask = VG_ASK_EMBED;
    r->route = vg_str_from(route);
    r->body = body;
    r->n = 1;
    VG_TRY(vg_fields_read(body, "", fields, VG_COUNT(fields), r, err));
    if (!r->prompt) return VG_FAIL(err, VG_E_USAGE, "input: is missing");
    for (size_t i = 0; i < r->n_prompts; i++) {
        const vg_prompt *p = &r->prompt[i];
        if (!p->n || (p->n == 1 && !p->piece->id && !p->piece->text.n))
            return VG_FAIL(err, VG_E_USAGE, "input: the %zu. one is empty", i + 1);
    }
    return VG_OK;
}

/* RFC 4648. */
static void put_base64(const float *v, size_t n, vg_buf *out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    size_t n_bits = 0, n_out = 0;
    vg_buf_char(out, '"');
    for (size_t i = 0; i < n * 4; i++) {
        uint32_t word;
        memcpy(&word, &v[i / 4], 4);
        bits = bits << 8 | (word >> 8 * (i % 4) & 255);
        for (n_bits += 8; n_bits >= 6; n_bits -= 6, n_out++)
            vg_buf_char(out, digit[bits >> (n_bits - 6) & 63]);
    }
    if (n_bits) vg_buf_char(out, digit[bits << (6 - n_bits) & 63]), n_out++;
    for (; n_out % 4; n_out++) vg_buf_char(out, '=');
    vg_buf_char(out, '"');
}

static void whole(vg_reply *r, vg_buf *out)
{
    size_t n_tok = 0;
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "object", "list");
    vg_json_begin(out, "data", '[');
    for (size_t i = 0; i < r->n_choices; i++) {
        const float *v = r->vector + i * r->width;
        n_tok += r->choice[i].n_prompt;
        vg_json_begin(out, NULL, '{');
        vg_json_text(out, "object", "embedding");
        vg_json_count(out, "index", i);
        if (r->request->base64) {
            vg_json_key(out, "embedding");
            put_base64(v, r->width, out);
        } else {
            vg_json_begin(out, "embedding", '[');
            for (size_t k = 0; k < r->width; k++) vg_json_real(out, NULL, (double)v[k]);
            vg_json_end(out, ']');
        }
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    vg_json_str(out, "model", r->model);
    vg_json_begin(out, "usage", '{');
    vg_json_count(out, "prompt_tokens", n_tok);
    vg_json_count(out, "total_tokens", n_tok);
    vg_json_end(out, '}');
    vg_json_end(out, '}');
}

const vg_dialect vg_openai_embeddings = {
    .name = "openai-embeddings",
    .parse = parse,
    .whole = whole,
    .error = vg_openai_error,
};
