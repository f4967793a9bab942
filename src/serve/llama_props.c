/* llama-server's small routes, the answering half: tokens, texts, and what the server says of
 * itself. Its "slots" are sessions here: any request may use any of them, so a slot is a place in
 * the batch and keeps nothing between two requests. */
#include "serve/llama_int.h"

void vg_llama_tokens(const int32_t *id, const vg_str *piece, size_t n, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "tokens", '[');
    for (size_t i = 0; i < n; i++) {
        if (!piece) {
            vg_json_int(out, NULL, id[i]);
            continue;
        }
        vg_json_begin(out, NULL, '{');
        vg_json_int(out, "id", id[i]);
        if (vg_utf8_valid(piece[i].p, piece[i].n) == piece[i].n) {
            vg_json_str(out, "piece", piece[i]);
        } else { /* half a character has no text: its bytes */
            vg_json_begin(out, "piece", '[');
            for (size_t k = 0; k < piece[i].n; k++)
                vg_json_count(out, NULL, (unsigned char)piece[i].p[k]);
            vg_json_end(out, ']');
        }
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    vg_json_end(out, '}');
}

static void put_one(const char *key, vg_str text, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_str(out, key, text);
    vg_json_end(out, '}');
}

void vg_llama_content(vg_str text, vg_buf *out)
{
    put_one("content", text, out);
}

void vg_llama_prompt(vg_str text, vg_buf *out)
{
    put_one("prompt", text, out);
}

void vg_llama_put_props(const vg_llama_props *p, vg_buf *out)
{
    vg_llama_fields f;
    vg_request r = {.n = 1};
    vg_llama_defaults(&r, &f);
    r.sampling = f.s;
    r.sampling.top_k = (uint32_t)f.top_k;
    r.sampling.penalty_last_n = (uint32_t)f.repeat_last_n;
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "default_generation_settings", '{');
    vg_llama_settings(&r, "params", out);
    vg_json_count(out, "n_ctx", p->ctx_tok);
    vg_json_end(out, '}');
    vg_json_count(out, "total_slots", p->n_slots);
    vg_json_str(out, "model_alias", p->model);
    vg_json_str(out, "model_path", p->path);
    vg_json_begin(out, "modalities", '{');
    vg_json_bool(out, "vision", false);
    vg_json_bool(out, "audio", false);
    vg_json_end(out, '}');
    vg_json_bool(out, "endpoint_slots", true);
    vg_json_bool(out, "endpoint_props", false);
    vg_json_bool(out, "endpoint_metrics", true);
    vg_json_str(out, "chat_template", p->tmpl);
    vg_json_str(out, "bos_token", p->bos);
    vg_json_str(out, "eos_token", p->eos);
    vg_json_key(out, "build_info");
    vg_buf_fmt(out, "\"verge %s\"", vg_version());
    vg_json_bool(out, "is_sleeping", false);
    vg_json_end(out, '}');
}

void vg_llama_put_slots(const vg_llama_slot *s, size_t n, vg_buf *out)
{
    vg_json_begin(out, NULL, '[');
    for (size_t i = 0; i < n; i++) {
        vg_json_begin(out, NULL, '{');
        vg_json_count(out, "id", i);
        vg_json_count(out, "n_ctx", s[i].ctx_tok);
        vg_json_bool(out, "speculative", false);
        vg_json_bool(out, "is_processing", s[i].busy);
        vg_json_count(out, "n_prompt_tokens", s[i].n_prompt);
        vg_json_count(out, "n_prompt_tokens_cache", s[i].n_reused);
        vg_json_begin(out, "next_token", '[');
        vg_json_begin(out, NULL, '{');
        vg_json_bool(out, "has_next_token", s[i].busy);
        vg_json_int(out, "n_remain", s[i].n_left);
        vg_json_count(out, "n_decoded", s[i].n_tok);
        vg_json_end(out, '}');
        vg_json_end(out, ']');
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

void vg_llama_put_health(bool ready, vg_buf *out)
{
    if (ready) {
        vg_buf_text(out, "{\"status\": \"ok\"}");
        return;
    }
    vg_err e = {VG_E_LIMIT, "Loading model"};
    vg_llama_error(&e, 503, out);
}
