/* A model's text told apart: reasoning between marks, calls behind the words that begin them, and
 * the rest. A small machine over what has come and was not told yet: each state looks at it, tells
 * what is certain, and leaves what more text could change. Which marks count, the chat template
 * tells, because a model writes what its template taught it.
 *
 * It never refuses: what does not continue as a call would is text. */
#include <stdlib.h>

#include "serve/parts_int.h"

#define PYTHON_TAG "<|python_tag|>" /* Llama 3.1, which also writes bare objects */

/* Formats: the chat templates of these models. Bare objects are Llama 3's form, and the one that
 * tools.c asks for where a template has no tools. The order is that of preference at one place. */
static const vg_call_form forms[] = {
    /* Hermes, Qwen, GLM 4.5 */
    {"<tool_call>", "</tool_call>", NULL, VG_BODY_JSON, {"</function>"}, false},
    /* Qwen3-Coder, where it leaves the words above out; Llama 3.1 */
    {"<function=", "</function>", NULL, VG_BODY_FUNCTION, {"</tool_call>"}, false},
    /* Granite 3; Phi-4-mini, whose template shows tools alone; LFM2, the same */
    {"<|tool_call|>", "<|/tool_call|>", NULL, VG_BODY_JSON, {0}, true},
    {"<|tool_call|>", "<|/tool_call|>", "<|/tool|>", VG_BODY_JSON, {0}, true},
    {"<|tool_call_start|>", "<|tool_call_end|>", "<|tool_list_start|>", VG_BODY_PYTHON, {0}, true},
    /* Mistral */
    {"[TOOL_CALLS]", "", NULL, VG_BODY_JSON, {0}, true},
    {PYTHON_TAG, "", NULL, VG_BODY_JSON, {";"}, true},
    /* DeepSeek */
    {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", NULL, VG_BODY_JSON,
     {"<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "```"}, true},
    {"<｜tool▁call▁begin｜>", "<｜tool▁calls▁end｜>", NULL, VG_BODY_JSON,
     {"<｜tool▁call▁end｜>", "```"}, true},
    /* Kimi K2 */
    {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", NULL, VG_BODY_JSON,
     {"<|tool_call_begin|>", "<|tool_call_end|>"}, true},
    {"<|tool_call_begin|>", "<|tool_calls_section_end|>", NULL, VG_BODY_JSON,
     {"<|tool_call_end|>"}, true},
    /* Command R7B */
    {"<|START_ACTION|>", "<|END_ACTION|>", NULL, VG_BODY_JSON, {0}, true},
    /* gpt-oss */
    {"<|channel|>", "", NULL, VG_BODY_HEAD, {0}, true},
    {"<|start|>", "", NULL, VG_BODY_HEAD, {0}, true},
    {"<|end|>", "", NULL, VG_BODY_NONE, {0}, true},
    {"<|return|>", "", NULL, VG_BODY_NONE, {0}, true},
    {"<|call|>", "", NULL, VG_BODY_NONE, {0}, true},
};
static const vg_call_form bare = {"", "", NULL, VG_BODY_BARE, {";", ","}, false};
enum { BARE = 1 << 30 }; /* a bit of vg_parts.forms */

static const struct {
    const char *open, *close;
    bool control;
} reasons[] = {
    {"<think>", "</think>", false}, /* Qwen 3, DeepSeek R1, SmolLM 3 and most others */
    {"[THINK]", "[/THINK]", true},  /* Magistral */
    {"<|START_THINKING|>", "<|END_THINKING|>", true}, /* Command R7B */
    {"<seed:think>", "</seed:think>", false}, /* Seed-OSS */
};
#define HARMONY_ANALYSIS_END "<|end|>"

/* Blanks that are held back at most: they are dropped before a call and at the end of reasoning. */
enum { MAX_BLANKS = 16 };

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t blanks(vg_str s, size_t from)
{
    size_t n = 0;
    while (from + n < s.n && blank(s.p[from + n])) n++;
    return n;
}

size_t vg_parts_find(vg_str s, size_t from, const char *what)
{
    if (from >= s.n) return SIZE_MAX;
    const char *hit = memmem(s.p + from, s.n - from, what, strlen(what));
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

int vg_parts_stands(const vg_parts *p, vg_str s, size_t at, const char *what)
{
    size_t n = strlen(what), there = s.n - at;
    if (there >= n) return memcmp(s.p + at, what, n) == 0;
    return !p->ended && memcmp(s.p + at, what, there) == 0 ? -1 : 0;
}

vg_str vg_parts_rest(const vg_parts *p)
{
    return (vg_str){p->raw + p->head, p->n - p->head};
}

void vg_parts_drop(vg_parts *p, size_t n)
{
    p->head += n;
    p->at -= VG_MIN(p->at, n);
}

void vg_parts_tell(vg_parts *p, vg_news news, size_t n)
{
    if (n) p->opts.put(p->opts.user, news, (vg_str){p->raw + p->head, n});
    vg_parts_drop(p, n);
}

/* ---- calls ----------------------------------------------------------------------------------- */

const vg_json *vg_parts_tool(const vg_parts *p, vg_str name)
{
    const vg_json *tools = p->opts.tools;
    for (size_t i = 0; tools && i < tools->n; i++) {
        const vg_json *f = vg_json_get(tools->item[i], "function");
        const vg_json *is = f ? vg_json_get(f, "name") : NULL;
        if (is && is->kind == VG_JSON_STRING && vg_str_eq(is->str, name)) return f;
    }
    return NULL;
}

/* What has no words before it has to name a tool that there is: any JSON could stand there. */
bool vg_parts_name_ok(const vg_parts *p, vg_str name)
{
    if (!name.n || name.n > 128 || p->n_calls == VG_MAX_CALLS) return false;
    return p->form->body != VG_BODY_BARE || vg_parts_tool(p, name);
}

void vg_parts_begin(vg_parts *p, vg_str name)
{
    char *copy = vg_arena_text(p->arena, name);
    p->name = (vg_str){copy, copy ? name.n : 0};
    p->begun = true;
    p->n_calls++;
    p->opts.put(p->opts.user, VG_NEWS_CALL_BEGIN, name);
}

void vg_parts_args(vg_parts *p, vg_str text)
{
    if (text.n) p->opts.put(p->opts.user, VG_NEWS_CALL_ARGS, text);
}

void vg_parts_finish(vg_parts *p)
{
    p->opts.put(p->opts.user, VG_NEWS_CALL_END, (vg_str){0});
    p->state = VG_PARTS_TAIL;
}

/* Between two calls of an array nothing holds the words that began it any more: mark is 0, and one
 * byte goes out so that the machine moves on. */
void vg_parts_give_up(vg_parts *p)
{
    size_t n = VG_MAX(p->mark, (size_t)1);
    vg_parts_tell(p, VG_NEWS_TEXT, VG_MIN(n, p->n - p->head));
    p->in_array = false;
    p->at = 0;
    p->state = VG_PARTS_TEXT;
}

static void enter(vg_parts *p, const vg_call_form *form, size_t mark)
{
    p->form = form;
    p->mark = p->at = mark;
    p->in_array = p->begun = false;
    switch (form->body) {
    case VG_BODY_FUNCTION:
        p->state = VG_PARTS_FUNCTION;
        break;
    case VG_BODY_PYTHON:
        p->state = VG_PARTS_PYTHON;
        break;
    case VG_BODY_HEAD:
        p->state = VG_PARTS_MESSAGE;
        break;
    case VG_BODY_NONE:
        vg_parts_drop(p, mark);
        p->state = VG_PARTS_START;
        break;
    default:
        p->state = VG_PARTS_BODY;
    }
}

static void enter_object(vg_parts *p)
{
    p->state = VG_PARTS_OBJECT;
    p->obj = VG_OBJ_KEY;
    p->begun = false;
    p->open = 1;
    p->name = (vg_str){0};
    p->args_from = p->args_to = 0;
    p->at++;
}

static bool step_body(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    p->at += blanks(s, p->at);
    if (p->at - p->mark > VG_PARTS_HEAD_MAX) return vg_parts_give_up(p), true;
    if (p->at == s.n) {
        if (p->ended) vg_parts_give_up(p);
        return p->ended;
    }
    for (size_t i = 0; i < VG_COUNT(p->form->skip); i++) {
        int there = p->form->skip[i] ? vg_parts_stands(p, s, p->at, p->form->skip[i]) : 0;
        if (there < 0) return false;
        if (there) return p->at += strlen(p->form->skip[i]), true;
    }
    char c = s.p[p->at];
    if (c == '{') {
        enter_object(p);
    } else if (c == '[' && !p->in_array) {
        p->in_array = true;
        p->at++;
    } else if (p->in_array || p->form->body == VG_BODY_BARE) {
        vg_parts_give_up(p);
    } else {
        int there = vg_parts_stands(p, s, p->at, "<function=");
        if (there < 0) return false;
        if (there) p->at += strlen("<function=");
        p->state = there ? VG_PARTS_FUNCTION : VG_PARTS_NAME;
        p->key_from = p->at;
    }
    return true;
}

/* "functions.now:0<|..", "now[ARGS]", "function<sep>now\n```json\n": the name in it. */
static vg_str clean_name(vg_str s)
{
    static const char *const before[] = {"function<｜tool▁sep｜>", "functions."};
    for (size_t i = 0; i < VG_COUNT(before); i++) {
        size_t at = vg_parts_find(s, 0, before[i]);
        if (at == SIZE_MAX) continue;
        at += strlen(before[i]);
        s = (vg_str){s.p + at, s.n - at};
    }
    size_t n = blanks(s, 0);
    s = (vg_str){s.p + n, s.n - n};
    for (n = 0; n < s.n; n++)
        if (blank(s.p[n]) || strchr("[<{(:>", s.p[n])) break;
    return (vg_str){s.p, n};
}

/* Goes on with a call whose name ends at `end` and whose arguments, or what holds them, stand at
 * `args`. */
static bool named(vg_parts *p, size_t end, size_t args, vg_parts_state next)
{
    vg_str s = vg_parts_rest(p);
    vg_str name = clean_name((vg_str){s.p + p->key_from, end - p->key_from});
    if (!vg_parts_name_ok(p, name)) return vg_parts_give_up(p), true;
    vg_parts_begin(p, name);
    vg_parts_drop(p, args);
    p->at = 0;
    p->open = 0;
    p->scan = (vg_scan){0};
    p->any_param = false;
    p->state = next;
    return true;
}

static bool step_name(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    for (; p->at < s.n; p->at++) {
        if (p->at - p->key_from > VG_PARTS_HEAD_MAX) return vg_parts_give_up(p), true;
        if (s.p[p->at] == '{') return named(p, p->at, p->at, VG_PARTS_ARGS);
        if (s.p[p->at] != '<' || !*p->form->close) continue;
        int there = vg_parts_stands(p, s, p->at, "<arg_key>");
        int ends = vg_parts_stands(p, s, p->at, p->form->close);
        if (there > 0 || ends > 0) return named(p, p->at, p->at, VG_PARTS_PARAMS);
        if (there < 0 || ends < 0) return false;
    }
    if (p->ended) vg_parts_give_up(p);
    return p->ended;
}

static bool step_function(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    size_t end = vg_parts_find(s, p->key_from, ">");
    if (end == SIZE_MAX) {
        bool over = p->ended || s.n - p->key_from > VG_PARTS_HEAD_MAX;
        if (over) vg_parts_give_up(p);
        return over;
    }
    size_t at = end + 1 + blanks(s, end + 1);
    if (at == s.n && !p->ended && at - end < VG_PARTS_HEAD_MAX) return false;
    bool json = at < s.n && s.p[at] == '{';
    return named(p, end, at, json ? VG_PARTS_ARGS : VG_PARTS_PARAMS);
}

/* <|channel|>commentary to=functions.now <|constrain|>json<|message|> */
static bool step_message(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    size_t end = vg_parts_find(s, p->mark, "<|message|>");
    if (end == SIZE_MAX) {
        bool over = p->ended || s.n - p->mark > VG_PARTS_HEAD_MAX;
        if (over) vg_parts_give_up(p);
        return over;
    }
    vg_str head = {s.p, end};
    size_t behind = end + strlen("<|message|>"), to = vg_parts_find(head, 0, "to=functions.");
    p->key_from = to;
    p->at = 0;
    if (to != SIZE_MAX && p->opts.tools) {
        size_t args = behind + blanks(s, behind);
        if (args == s.n) return p->ended ? vg_parts_give_up(p), true : false;
        if (s.p[args] == '{') return named(p, end, args, VG_PARTS_ARGS);
    }
    bool analysis = vg_parts_find(head, 0, "analysis") != SIZE_MAX;
    if (analysis && p->opts.keep_reasoning) vg_parts_tell(p, VG_NEWS_TEXT, behind);
    else vg_parts_drop(p, behind);
    p->reason_end = HARMONY_ANALYSIS_END;
    p->drop_blanks = true;
    p->state = analysis ? VG_PARTS_REASONING : VG_PARTS_START;
    return true;
}

/* Behind a call: another one, what closes the section, or text. */
static bool step_tail(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    size_t n = blanks(s, 0);
    vg_parts_drop(p, n);
    s = vg_parts_rest(p);
    if (!s.n) return false;
    p->mark = p->at = 0;
    if (p->in_array && (s.p[0] == ',' || s.p[0] == ']')) {
        p->in_array = s.p[0] == ',';
        vg_parts_drop(p, 1);
        if (p->in_array) p->state = VG_PARTS_BODY;
        return true;
    }
    const char *words[] = {p->form->close, p->form->skip[0], p->form->skip[1], p->form->skip[2]};
    bool maybe = false;
    for (size_t i = 0; i < VG_COUNT(words); i++) {
        int there = words[i] && *words[i] ? vg_parts_stands(p, s, 0, words[i]) : 0;
        /* What opens one call of a section leads to the next call. */
        bool opens = there > 0 && strstr(words[i], "begin");
        if (opens) p->state = VG_PARTS_BODY;
        if (opens) p->at = p->mark = strlen(words[i]);
        else if (there > 0) vg_parts_drop(p, strlen(words[i]));
        if (there > 0) return true;
        maybe = maybe || there < 0;
    }
    if (maybe) return false;
    bool another = !*p->form->close && s.p[0] == '{';
    p->state = another ? VG_PARTS_BODY : VG_PARTS_TEXT;
    return true;
}

/* ---- text and reasoning ---------------------------------------------------------------------- */

/* The form whose first words stand at s[i]; *maybe where one could begin there. */
static const vg_call_form *form_at(const vg_parts *p, vg_str s, size_t i, bool *maybe)
{
    for (size_t f = 0; f < VG_COUNT(forms); f++) {
        if (!(p->forms >> f & 1) || forms[f].open[0] != s.p[i]) continue;
        int there = vg_parts_stands(p, s, i, forms[f].open);
        if (there > 0) return &forms[f];
        if (there < 0) *maybe = true;
    }
    return NULL;
}

static bool step_text(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    size_t sure = 0; /* what is text whatever comes */
    for (size_t i = 0; i < s.n; i++) {
        bool maybe = false;
        const vg_call_form *form = form_at(p, s, i, &maybe);
        if (form) {
            vg_parts_tell(p, VG_NEWS_TEXT, sure);
            enter(p, form, i - sure + strlen(form->open));
            p->key_from = p->mark;
            return true;
        }
        if (maybe) break;
        if (!p->forms || !blank(s.p[i]) || i - sure >= MAX_BLANKS) sure = i + 1;
    }
    vg_parts_tell(p, VG_NEWS_TEXT, p->ended ? s.n : sure);
    return false;
}

static bool step_start(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    size_t n = blanks(s, 0);
    if (p->drop_blanks) vg_parts_drop(p, n);
    s = vg_parts_rest(p);
    n = p->drop_blanks ? 0 : n;
    bool maybe = n == s.n && !p->ended && n < MAX_BLANKS;
    for (size_t r = 0; r < VG_COUNT(reasons) && n < s.n; r++) {
        int there = vg_parts_stands(p, s, n, reasons[r].open);
        if (there < 0) maybe = true;
        if (there <= 0) continue;
        n += strlen(reasons[r].open);
        if (p->opts.keep_reasoning) vg_parts_tell(p, VG_NEWS_TEXT, n);
        else vg_parts_drop(p, n);
        p->reason_end = reasons[r].close;
        p->drop_blanks = true;
        p->state = VG_PARTS_REASONING;
        return true;
    }
    if (maybe) return false;
    p->state = VG_PARTS_TEXT;
    p->drop_blanks = false;
    if (p->forms & BARE && n < s.n && (s.p[n] == '{' || s.p[n] == '[')) enter(p, &bare, n);
    return true;
}

static bool step_reasoning(vg_parts *p)
{
    bool keep = p->opts.keep_reasoning;
    vg_news news = keep ? VG_NEWS_TEXT : VG_NEWS_REASONING;
    vg_str s = vg_parts_rest(p);
    if (p->drop_blanks && !keep) vg_parts_drop(p, blanks(s, 0));
    s = vg_parts_rest(p);
    if (s.n) p->drop_blanks = false;
    size_t sure = 0;
    for (size_t i = 0; i < s.n; i++) {
        int there = s.p[i] == *p->reason_end ? vg_parts_stands(p, s, i, p->reason_end) : 0;
        if (there > 0) {
            size_t end = i + strlen(p->reason_end);
            vg_parts_tell(p, news, keep ? end : sure);
            if (!keep) vg_parts_drop(p, end - sure);
            p->drop_blanks = !keep;
            p->state = VG_PARTS_START;
            return true;
        }
        if (there < 0) break;
        if (!blank(s.p[i]) || i - sure >= MAX_BLANKS) sure = i + 1;
    }
    vg_parts_tell(p, news, p->ended && keep ? s.n : sure);
    if (p->ended) vg_parts_drop(p, p->n - p->head); /* blanks */
    return false;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static bool step(vg_parts *p)
{
    switch (p->state) {
    case VG_PARTS_START: return step_start(p);
    case VG_PARTS_TEXT: return step_text(p);
    case VG_PARTS_REASONING: return step_reasoning(p);
    case VG_PARTS_BODY: return step_body(p);
    case VG_PARTS_OBJECT: return vg_parts_step_object(p);
    case VG_PARTS_NAME: return step_name(p);
    case VG_PARTS_FUNCTION: return step_function(p);
    case VG_PARTS_ARGS: return vg_parts_step_args(p);
    case VG_PARTS_REST: return vg_parts_step_rest(p);
    case VG_PARTS_PARAMS: return vg_parts_step_params(p);
    case VG_PARTS_PYTHON: return vg_parts_step_python(p);
    case VG_PARTS_MESSAGE: return step_message(p);
    case VG_PARTS_TAIL: return step_tail(p);
    case VG_PARTS_PASS: break;
    }
    vg_parts_tell(p, VG_NEWS_TEXT, p->n - p->head);
    return false;
}

/* Room for n more bytes behind what is held. */
static bool make_room(vg_parts *p, size_t n)
{
    if (p->head) memmove(p->raw, p->raw + p->head, p->n - p->head);
    p->n -= p->head;
    p->head = 0;
    size_t need, cap;
    if (!vg_add(p->n, n, &need)) return false;
    if (need <= p->cap) return true;
    if (!vg_mul(need, 2, &cap)) return false;
    char *raw = vg_arena_alloc(p->arena, cap, 1);
    if (!raw) return false;
    memcpy(raw, p->raw, p->n);
    p->raw = raw;
    p->cap = cap;
    return true;
}

void vg_parts_feed(vg_parts *p, vg_str text)
{
    while (text.n) {
        /* In pieces, so that what is held does not grow with what is fed at once. */
        size_t n = VG_MIN(text.n, (size_t)4096);
        if (!make_room(p, n)) {
            vg_parts_tell(p, VG_NEWS_TEXT, p->n - p->head);
            p->opts.put(p->opts.user, VG_NEWS_TEXT, text);
            p->state = VG_PARTS_PASS;
            return;
        }
        memcpy(p->raw + p->n, text.p, n);
        p->n += n;
        text = (vg_str){text.p + n, text.n - n};
        while (step(p)) {}
    }
}

void vg_parts_end(vg_parts *p)
{
    p->ended = true;
    while (step(p)) {}
}

/* ---- what the template tells ----------------------------------------------------------------- */

static bool has(vg_str tmpl, const char *what)
{
    return vg_parts_find(tmpl, 0, what) != SIZE_MAX;
}

static bool is_harmony(vg_str tmpl)
{
    return has(tmpl, "<|channel|>") && has(tmpl, "<|message|>");
}

static uint32_t forms_of(vg_str tmpl, bool tools)
{
    uint32_t bits = 0;
    bool any = false;
    for (size_t f = 0; f < VG_COUNT(forms); f++) {
        bool harmony = forms[f].body == VG_BODY_HEAD || forms[f].body == VG_BODY_NONE;
        const char *sign = forms[f].sign ? forms[f].sign : forms[f].open;
        bool there = harmony ? is_harmony(tmpl) : tools && has(tmpl, sign);
        if (there) bits |= 1u << f;
        any = any || (there && strcmp(sign, PYTHON_TAG) != 0);
    }
    return tools && !any ? bits | 1u | BARE : bits;
}

bool vg_parts_by_name(vg_str tmpl)
{
    uint32_t bits = forms_of(tmpl, true);
    for (size_t f = 0; f < VG_COUNT(forms); f++)
        if (bits >> f & 1 && forms[f].control) return true;
    for (size_t r = 0; r < VG_COUNT(reasons); r++)
        if (reasons[r].control && has(tmpl, reasons[r].open)) return true;
    return false;
}

static const char *open_reason(vg_str prompt)
{
    while (prompt.n && blank(prompt.p[prompt.n - 1])) prompt.n--;
    for (size_t r = 0; r < VG_COUNT(reasons); r++) {
        size_t n = strlen(reasons[r].open);
        if (prompt.n >= n && !memcmp(prompt.p + prompt.n - n, reasons[r].open, n))
            return reasons[r].close;
    }
    return NULL;
}

bool vg_parts_in_reasoning(vg_str prompt)
{
    return open_reason(prompt) != NULL;
}

vg_status vg_parts_new(vg_parts **out, vg_arena *a, const vg_parts_opts *opts, vg_err *err)
{
    vg_parts *p = VG_ARENA_NEW(a, vg_parts);
    enum { ROOM = 512 };
    char *raw = vg_arena_alloc(a, ROOM, 1);
    if (!p || !raw) return VG_FAIL_MEMORY(err, sizeof *p + ROOM);
    *p = (vg_parts){.opts = *opts, .arena = a, .raw = raw, .cap = ROOM,
                    .forms = forms_of(opts->tmpl, opts->tools && opts->tools->n)};
    p->reason_end = reasons[0].close;
    if (opts->in_reasoning) {
        for (size_t r = 1; r < VG_COUNT(reasons); r++)
            if (!has(opts->tmpl, reasons[0].open) && has(opts->tmpl, reasons[r].open))
                p->reason_end = reasons[r].close;
        p->state = VG_PARTS_REASONING;
        p->drop_blanks = true;
    }
    *out = p;
    return VG_OK;
}
