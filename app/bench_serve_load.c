/* The load: which prompt request i of a level has, how long its answer may be, whether it is
 * cancelled, when it arrives. Each is drawn from a sequence of its own that begins at (seed, level,
 * i), so that two servers get the same requests whatever order they answer in, and no level meets
 * prompts that the server has seen in another one. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "app/bench_serve.h"
#include "base/json.h"

enum { LINES_MAX = 1 << 20, ARENA_CAP_BYTES = 1 << 30 };

/* Common short words, which most vocabularies have as one token each. */
static const char words[] =
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city community name president team minute idea kid body information back "
    "parent face others level office door health person art war history party result change "
    "morning reason research girl guy moment air teacher force education foot boy age policy "
    "process music market sense nation plan college interest death experience effect use class "
    "control care field development role effort rate heart drug show leader light voice wife "
    "police mind price report decision son view relationship town road arm difference value "
    "building action season society tax director position player record paper space ground form "
    "event official matter center couple site project activity star table need court oil "
    "situation cost industry figure street image phone data picture practice piece land product "
    "doctor wall patient worker news test movie north love support technology step baby computer "
    "type attention film tree source organization look hair window culture chance brother energy "
    "period course summer plant opportunity term letter condition choice rule south floor";

/* What a sequence is for. */
enum { FOR_PROMPT = 1, FOR_LENGTH, FOR_CANCEL, FOR_ARRIVAL, FOR_SHARED };

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t sequence(const bench_load *l, uint64_t purpose, uint64_t level, uint64_t i)
{
    uint64_t s = l->seed;
    s = next(&s) ^ purpose;
    s = next(&s) ^ level;
    s = next(&s) ^ i;
    return next(&s);
}

/* Evenly from 0 to n - 1; n is small, so that the remainder's bias is nothing. */
static size_t below(uint64_t *state, size_t n)
{
    return (size_t)(next(state) % n);
}

static double unit(uint64_t *state) /* [0, 1) */
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

vg_status bench_range_read(const char *name, const char *text, uint32_t max, bench_range *out,
                           vg_err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long low = strtoul(text, &end, 10), high = low;
    bool good = end != text && *text >= '0' && *text <= '9';
    if (good && *end == '-') {
        const char *second = end + 1;
        high = strtoul(second, &end, 10);
        good = end != second && *second >= '0' && *second <= '9';
    }
    if (!good || *end || errno || low < 1 || high < low || high > max)
        return VG_FAIL(err, VG_E_USAGE, "--%s: '%s' is neither a number nor a range such as 16-128,"
                       " from 1 to %u", name, text, max);
    *out = (bench_range){(uint32_t)low, (uint32_t)high};
    return VG_OK;
}

/* ---- sources -------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Where the words of l->text begin, and where the text ends. */
static vg_status find_words(bench_load *l, vg_err *err)
{
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (size_t i = 0; i < l->text.n; i++) {
            if (is_blank(l->text.p[i]) || (i > 0 && !is_blank(l->text.p[i - 1]))) continue;
            if (pass) l->word_at[n] = i;
            n++;
        }
        if (!pass) l->word_at = VG_ARENA_ARRAY(l->arena, size_t, n + 1);
        if (!l->word_at) return VG_FAIL_MEMORY(err, n * sizeof(size_t));
    }
    l->word_at[n] = l->text.n;
    l->n_words = n;
    return VG_OK;
}

static vg_status read_line(bench_load *l, const char *path, size_t number, vg_str line, vg_err *err)
{
    vg_json *doc;
    vg_status st = vg_json_parse(l->arena, line.p, line.n, &doc, err);
    if (st) return vg_err_context(err, st, "%s, line %zu", path, number);
    const vg_json *prompt = vg_json_get(doc, "prompt"), *max = vg_json_get(doc, "max_tokens");
    if (!prompt || prompt->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_FORMAT, "%s, line %zu: no text \"prompt\"", path, number);
    if (max && (max->kind != VG_JSON_INT || max->integer < 1 || max->integer > UINT32_MAX))
        return VG_FAIL(err, VG_E_FORMAT, "%s, line %zu: \"max_tokens\" is no number of tokens",
                       path, number);
    l->line[l->n_lines++] = (bench_line){prompt->str, max ? (uint32_t)max->integer : 0};
    return VG_OK;
}

static vg_status read_lines(bench_load *l, const char *path, vg_err *err)
{
    vg_str rest = {l->source.data, l->source.n};
    size_t n = 1, number = 0;
    for (size_t i = 0; i < rest.n; i++) n += rest.p[i] == '\n';
    if (n > LINES_MAX) return VG_FAIL(err, VG_E_LIMIT, "%s: more than %d lines", path, LINES_MAX);
    l->line = VG_ARENA_ARRAY(l->arena, bench_line, n);
    if (!l->line) return VG_FAIL_MEMORY(err, n * sizeof *l->line);
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        vg_str line = {rest.p, end ? (size_t)(end - rest.p) : rest.n};
        size_t taken = line.n + (end != NULL);
        rest = (vg_str){rest.p + taken, rest.n - taken};
        number++;
        while (line.n && is_blank(line.p[line.n - 1])) line.n--;
        if (line.n) VG_TRY(read_line(l, path, number, line, err));
    }
    if (l->n_lines == 0) return VG_FAIL(err, VG_E_FORMAT, "%s has no prompts", path);
    return VG_OK;
}

vg_status bench_load_open(bench_load *l, const bench_serve_opts *o, vg_err *err)
{
    const char *path = o->prompts ? o->prompts : o->text;
    l->seed = (uint64_t)o->seed;
    l->shared_words = (uint32_t)o->shared;
    l->cancel = o->cancel;
    VG_TRY(vg_arena_new(&l->arena, ARENA_CAP_BYTES, err));
    if (o->prompts) VG_TRY(read_lines(l, path, err));
    l->text = o->text ? (vg_str){l->source.data, l->source.n} : (vg_str){words, sizeof words - 1};
    VG_TRY(find_words(l, err));
    if (l->n_words == 0) return VG_FAIL(err, VG_E_FORMAT, "%s has no words", path);
    return VG_OK;
}

void bench_load_close(bench_load *l)
{
    vg_text_free(&l->source);
    vg_arena_free(l->arena);
    l->arena = NULL;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void put_word(const bench_load *l, size_t i, vg_buf *out)
{
    size_t at = l->word_at[i], end = l->word_at[i + 1];
    while (end > at && is_blank(l->text.p[end - 1])) end--;
    if (out->n) vg_buf_char(out, ' ');
    vg_buf_add(out, l->text.p + at, end - at);
}

/* Words in a row from a text of the user's, any words from the list. */
static void put_words(const bench_load *l, uint64_t state, size_t n, vg_buf *out)
{
    bool in_a_row = l->text.p != words;
    size_t first = below(&state, l->n_words);
    for (size_t i = 0; i < n; i++)
        put_word(l, in_a_row ? (first + i) % l->n_words : below(&state, l->n_words), out);
}

static uint32_t draw(uint64_t *state, bench_range r)
{
    return r.min + (uint32_t)below(state, (size_t)(r.max - r.min) + 1);
}

void bench_load_request(const bench_load *l, uint64_t level, uint64_t i, bench_request *out,
                        vg_buf *prompt)
{
    uint64_t length = sequence(l, FOR_LENGTH, level, i), end = sequence(l, FOR_CANCEL, level, i);
    uint32_t n_words = draw(&length, l->words);
    out->max_tok = draw(&length, l->tokens);
    vg_buf_reset(prompt);
    if (l->n_lines > 0) {
        const bench_line *line = &l->line[i % l->n_lines];
        vg_buf_str(prompt, line->prompt);
        if (line->max_tok) out->max_tok = line->max_tok;
    } else {
        put_words(l, sequence(l, FOR_PROMPT, level, i), n_words, prompt);
    }
    bool cancelled = unit(&end) < l->cancel;
    out->cancel_at = cancelled ? (uint32_t)below(&end, out->max_tok) : UINT32_MAX;
}

void bench_load_shared(const bench_load *l, vg_buf *out)
{
    vg_buf_reset(out);
    put_words(l, sequence(l, FOR_SHARED, 0, 0), l->shared_words, out);
}

double bench_load_gap(const bench_load *l, uint64_t level, uint64_t i, double rate)
{
    uint64_t s = sequence(l, FOR_ARRIVAL, level, i);
    return -log1p(-unit(&s)) / rate;
}
