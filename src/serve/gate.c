/* The gate: which requests come in, as whom, within which limits; and the log's line when one has
 * gone. Whose a request is follows from its headers each time: nothing is remembered of it but how
 * many answers a key has under way, and its tokens of this minute. */
#include <stdio.h>
#include <time.h>

#include "serve/serve_int.h"

enum { MINUTE_S = 60 };

static vg_access_verdict judge(const vg_server *s, const vg_exchange *x)
{
    const vg_route *r = vg_route_find(x);
    vg_access_kind kind = r && r->admin ? VG_ACCESS_ADMIN : VG_ACCESS_API;
    if (vg_page_has(vg_exchange_path(x)) || (r && r->open)) kind = VG_ACCESS_PUBLIC;
    vg_access_ask ask = vg_access_ask_of(x, kind);
    return vg_access_check(&s->opts.access, &ask);
}

static vg_share *share_of(vg_server *s, const vg_key *key)
{
    return key && s->share ? &s->share[key - vg_keys_at(s->opts.access.keys, 0)] : NULL;
}

bool vg_gate_refuses(vg_server *s, vg_exchange *x)
{
    vg_access_verdict v = judge(s, x);
    if (vg_access_answer(x, &v)) return true;
    if (v.code) vg_reply_error(x, v.code, v.why);
    return v.code != 0;
}

/* Seconds until a key that had its tokens of this minute gets new ones; 0: it has some left. */
static int64_t wait_s(vg_share *h, const vg_key *key)
{
    int64_t now = time(NULL);
    if (now - h->minute_s >= MINUTE_S) {
        h->minute_s = now;
        h->n_tok = 0;
    }
    if (key->tokens_per_minute == 0 || h->n_tok < key->tokens_per_minute) return 0;
    return h->minute_s + MINUTE_S - now;
}

bool vg_gate_admits(vg_server *s, vg_exchange *x, vg_client *out)
{
    vg_access_verdict v = judge(s, x);
    *out = (vg_client){0};
    if (!v.key) return true;
    vg_share *h = share_of(s, v.key);
    out->key = (uint64_t)(v.key - vg_keys_at(s->opts.access.keys, 0)) + 1;
    out->priority = v.key->priority;
    int64_t wait = wait_s(h, v.key);
    bool crowded = v.key->max_concurrent > 0 && h->n_running >= v.key->max_concurrent;
    if (wait == 0 && !crowded) return true;
    char why[200], after[32];
    int n = snprintf(after, sizeof after, "%lld", (long long)VG_MAX(wait, (int64_t)1));
    if (crowded)
        snprintf(why, sizeof why, "the key has %u requests under way, as many as it may",
                 h->n_running);
    else
        snprintf(why, sizeof why, "the key has had its %u tokens of this minute",
                 v.key->tokens_per_minute);
    vg_exchange_header(x, "Retry-After", (vg_str){after, (size_t)n});
    vg_reply_error(x, 429, why);
    return false;
}

void vg_gate_count(vg_server *s, uint64_t key, int n_running, size_t n_tok)
{
    if (key == 0 || !s->share) return;
    vg_share *h = &s->share[key - 1];
    h->n_running = (uint32_t)((int64_t)h->n_running + n_running);
    h->n_tok += n_tok;
}

void vg_gate_log(vg_server *s, const vg_exchange *x, int64_t n_in, int64_t n_out)
{
    if (!s->opts.log) return;
    vg_access_verdict v = judge(s, x);
    vg_log_exchange(s->opts.log, x, v.key ? v.key->name : NULL, n_in, n_out);
}

void vg_gate_refused(void *server, const char *address, int code, const char *why)
{
    vg_server *s = server;
    if (!s->opts.log) return;
    vg_log_begin(s->opts.log, VG_HTTP_INFO, "refused");
    vg_log_text(s->opts.log, "address", address);
    if (code) vg_log_int(s->opts.log, "status", code);
    vg_log_text(s->opts.log, "why", why);
    vg_log_end(s->opts.log);
}

void vg_gate_say(void *server, vg_http_level level, const char *text)
{
    vg_server *s = server;
    if (!s->opts.log) return;
    vg_log_begin(s->opts.log, level, text);
    vg_log_end(s->opts.log);
}
