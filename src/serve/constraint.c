/* An answer's form as a grammar. A call is written in the words of the model's own template, so
 * that the model says what it was taught and parts.c reads it as it reads any other call. Text
 * before a call, and reasoning, are all that does not hold the words that end them: an automaton
 * over their letters (Knuth, Morris, Pratt 1977), one rule for each state. */
#include <stdio.h>

#include "serve/constraint.h"

/* ---- the words of calls ---------------------------------------------------------------------- */

/* section (call NAME args ARGUMENTS end (between call ..)) close */
typedef struct call_words {
    const char *sign; /* what a template of this form has in it */
    const char *section, *call, *args, *end, *between, *close;
} call_words;

#define HARMONY "<|message|>" /* gpt-oss */
#define OBJECT "{\"name\": \"", "\", \"arguments\": ", "}"
static const call_words words[] = {
    {HARMONY, "", "<|channel|>commentary to=functions.", " <|constrain|>json<|message|>",
     "<|call|>", "<|start|>assistant", ""},
    {"<function=", "", "<tool_call>\n<function=", ">\n", "\n</function>\n</tool_call>", "\n", ""},
    {"<tool_call>", "", "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>",
     "\n", ""},
    {"<|/tool|>", "<|tool_call|>[", OBJECT, ", ", "]<|/tool_call|>"},
    {"<|tool_call|>", "<|tool_call|>[", OBJECT, ", ", "]"},
    {"<|tool_list_start|>", "<|tool_call_start|>[", OBJECT, ", ", "]<|tool_call_end|>"},
    {"[ARGS]", "", "[TOOL_CALLS]", "[ARGS]", "", "", ""},
    {"[TOOL_CALLS]", "[TOOL_CALLS][", OBJECT, ", ", "]"},
    {"<｜tool▁call▁begin｜>", "<｜tool▁calls▁begin｜>",
     "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜>", "\n",
     "<｜tool▁calls▁end｜>"},
    {"<|tool_call_begin|>", "<|tool_calls_section_begin|>", "<|tool_call_begin|>functions.",
     ":0<|tool_call_argument_begin|>", "<|tool_call_end|>", "", "<|tool_calls_section_end|>"},
    {"<|START_ACTION|>", "<|START_ACTION|>[", "{\"tool_call_id\": \"0\", \"tool_name\": \"",
     "\", \"parameters\": ", "}", ", ", "]<|END_ACTION|>"},
    {"\"parameters\": ", "", "{\"name\": \"", "\", \"parameters\": ", "}", "\n", ""},
    {"", "", OBJECT, "\n", ""},
};

enum { MORE_CALLS = 7, MAX_MARK = 64 };

static bool has(vg_str tmpl, const char *what)
{
    size_t n = strlen(what);
    return !n || (tmpl.n >= n && memmem(tmpl.p, tmpl.n, what, n));
}

static const call_words *words_of(vg_str tmpl)
{
    const call_words *w = words;
    while (!has(tmpl, w->sign)) w++;
    return w;
}

/* ---- writing GBNF ---------------------------------------------------------------------------- */

static void put_some(vg_buf *out, const char *s, size_t n)
{
    vg_buf_text(out, " \"");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\') vg_buf_char(out, '\\');
        if (s[i] == '\n') vg_buf_text(out, "\\n");
        else vg_buf_char(out, s[i]);
    }
    vg_buf_char(out, '"');
}

static void put_text(vg_buf *out, const char *s)
{
    put_some(out, s, strlen(s));
}

static size_t letters_of(const char *s, size_t bytes, int32_t *cp)
{
    size_t n = 0, at = 0;
    while (at < bytes && n < MAX_MARK) at += vg_utf8_next(s + at, bytes - at, &cp[n++]);
    return n;
}

/* How many letters of the mark stand at the end of its first `state` ones and `c`. */
static size_t next_state(const int32_t *mark, size_t state, int32_t c)
{
    for (size_t n = state + 1; n > 0; n--) {
        bool same = mark[n - 1] == c;
        for (size_t i = 0; same && i + 1 < n; i++) same = mark[i] == mark[state + 1 - n + i];
        if (same) return n;
    }
    return 0;
}

/* Rules NAME-0 ..: text up to the first `mark`, which the rule `then` follows. `may_end`: or all of
 * the text, with no mark in it. */
static void put_until(vg_buf *out, const char *name, vg_str mark, const char *then, bool may_end)
{
    int32_t cp[MAX_MARK];
    size_t n = letters_of(mark.p, mark.n, cp);
    for (size_t state = 0; state < n; state++) {
        vg_buf_fmt(out, "%s-%zu ::= [^", name, state);
        for (size_t i = 0; i < n; i++) vg_buf_fmt(out, "\\u%04x", (unsigned)cp[i]);
        vg_buf_fmt(out, "] %s-0", name);
        for (size_t i = 0; i < n; i++) {
            bool seen = false;
            for (size_t k = 0; k < i; k++) seen = seen || cp[k] == cp[i];
            if (seen) continue;
            size_t to = next_state(cp, state, cp[i]);
            vg_buf_fmt(out, " | [\\u%04x] ", (unsigned)cp[i]);
            if (to == n) vg_buf_text(out, then);
            else vg_buf_fmt(out, "%s-%zu", name, to);
        }
        vg_buf_text(out, may_end ? " | \"\"\n" : "\n");
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Parameters that are listed and nothing else: then no others are made up. */
static bool is_plain(const vg_json *schema)
{
    static const char *const others[] = {"additionalProperties", "unevaluatedProperties",
                                         "patternProperties", "propertyNames", "minProperties",
                                         "$ref", "allOf", "anyOf", "oneOf", "not", "if"};
    for (size_t i = 0; i < VG_COUNT(others); i++)
        if (vg_json_get(schema, others[i])) return false;
    return vg_json_get(schema, "properties") != NULL;
}

static vg_status put_schema(vg_buf *out, const vg_json *tool, vg_err *err)
{
    const vg_json *p = vg_json_get(tool, "parameters"), *type = vg_json_get(p, "type");
    vg_buf_text(out, " %json ");
    if (!p || p->kind != VG_JSON_OBJECT) {
        vg_buf_text(out, "{\"type\": \"object\"}");
        return VG_OK;
    }
    if (type && (type->kind != VG_JSON_STRING || !vg_str_is(type->str, "object"))) {
        const vg_json *name = vg_json_get(tool, "name");
        return VG_FAIL(err, VG_E_USAGE, "tools: the parameters of %.*s must be of type object",
                       VG_STR_ARG(name->str));
    }
    vg_buf_text(out, "{\"type\": \"object\"");
    for (size_t i = 0; i < p->n; i++) {
        if (vg_str_is(p->key[i], "type")) continue;
        vg_buf_char(out, ',');
        vg_json_put_str(out, p->key[i]);
        vg_buf_char(out, ':');
        vg_json_put(out, p->item[i]);
    }
    if (is_plain(p)) vg_buf_text(out, ", \"additionalProperties\": false");
    vg_buf_char(out, '}');
    return VG_OK;
}

/* The words that say that calls begin, up to the end of the first tag; empty: there is no tag. */
static vg_str mark_of(const call_words *w)
{
    const char *s = *w->section ? w->section : w->call;
    return s[0] == '{' ? (vg_str){s, 0} : (vg_str){s, strcspn(s, ">]") + 1};
}

/* The rules "name", what stands behind w->call; "call"; "rest", all calls without their mark; and
 * "calls". */
static vg_status put_calls(const vg_request *r, const call_words *w, vg_buf *out, vg_err *err)
{
    vg_buf_text(out, "name ::= (");
    size_t n = 0;
    for (size_t i = 0; i < r->tools->n; i++) {
        const vg_json *f = vg_json_get(r->tools->item[i], "function");
        const vg_json *name = vg_json_get(f, "name");
        if (!name || name->kind != VG_JSON_STRING) continue;
        if (r->tool_name.n && !vg_str_eq(name->str, r->tool_name)) continue;
        char text[160];
        snprintf(text, sizeof text, "%.*s", VG_STR_ARG(name->str));
        vg_buf_text(out, n++ ? " |" : "");
        put_text(out, text);
        put_text(out, w->args);
        VG_TRY(put_schema(out, f, err));
    }
    vg_buf_text(out, ")");
    put_text(out, w->end);
    vg_buf_text(out, "\ncall ::=");
    put_text(out, w->call);
    vg_str mark = mark_of(w);
    vg_buf_text(out, " name\nrest ::=");
    put_text(out, mark.p + mark.n);
    vg_buf_text(out, *w->section ? " call" : " name");
    if (!r->one_tool) {
        vg_buf_text(out, " (");
        put_text(out, w->between);
        vg_buf_fmt(out, " call){0,%d}", MORE_CALLS);
    }
    put_text(out, w->close);
    vg_buf_text(out, "\ncalls ::=");
    put_some(out, mark.p, mark.n);
    vg_buf_text(out, " rest\n");
    return VG_OK;
}

static bool any_strict(const vg_request *r)
{
    for (size_t i = 0; i < r->tools->n; i++) {
        const vg_json *f = vg_json_get(r->tools->item[i], "function");
        const vg_json *strict = vg_json_get(f, "strict");
        if (strict && strict->kind == VG_JSON_BOOL && strict->boolean) return true;
    }
    return false;
}

/* Text, and calls at its end: whatever begins as a call has to be one. Without a mark, an answer is
 * a call where it begins as one. */
static void put_text_or_calls(const call_words *w, vg_buf *out)
{
    vg_str mark = mark_of(w);
    if (mark.n) vg_buf_text(out, "answer ::= text-0\n");
    else vg_buf_text(out, "answer ::= calls | ([^ \\t\\r\\n{\\[] .*)?\n");
    if (mark.n) put_until(out, "text", mark, "rest", true);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void put_json(const vg_request *r, vg_str tmpl, vg_buf *out)
{
    vg_buf_text(out, "json ::=");
    if (r->ask == VG_ASK_CHAT && has(tmpl, HARMONY)) put_text(out, "<|channel|>final<|message|>");
    vg_buf_text(out, " %json ");
    if (r->form == VG_FORM_SCHEMA) vg_json_put(out, r->schema);
    else vg_buf_text(out, "{\"type\": \"object\"}");
    vg_buf_char(out, '\n');
}

/* The rule "root": the answer, after reasoning where the model may begin with some. */
static void put_root(vg_str tmpl, bool in_reasoning, vg_buf *out)
{
    static const char *const marks[][2] = {{"<think>", "</think>"}, {"[THINK]", "[/THINK]"},
                                           {"<|START_THINKING|>", "<|END_THINKING|>"},
                                           {"<|channel|>analysis<|message|>", "<|end|>"}};
    size_t i = 0;
    bool harmony = has(tmpl, HARMONY);
    while (i < 3 && !has(tmpl, marks[i][0]) && !has(tmpl, marks[i][1])) i++;
    if (harmony) i = 3;
    else if (i == 3 && in_reasoning) i = 0;
    if (i == 3 && !harmony) {
        vg_buf_text(out, "root ::= answer\n");
        return;
    }
    vg_buf_text(out, "root ::= ");
    if (!in_reasoning) vg_buf_text(out, "answer |");
    if (!in_reasoning) put_text(out, marks[i][0]);
    vg_buf_text(out, " think-0\nthought ::=");
    if (harmony) put_text(out, "<|start|>assistant");
    else vg_buf_text(out, " \"\\n\"{0,2}");
    vg_buf_text(out, " answer\n");
    put_until(out, "think", vg_str_from(marks[i][1]), "thought", false);
}

vg_status vg_constraint(const vg_request *r, vg_str tmpl, bool in_reasoning, vg_buf *out,
                        vg_err *err)
{
    if (r->form == VG_FORM_GBNF) {
        vg_buf_str(out, r->gbnf);
        return vg_buf_check(out, "a grammar", err);
    }
    bool chat = r->ask == VG_ASK_CHAT, json = r->form != VG_FORM_FREE;
    bool tools = chat && r->tools && r->tools->n && r->tool_choice != VG_TOOLS_NONE;
    bool must = tools && r->tool_choice == VG_TOOLS_REQUIRED;
    if (!json && !must && !(tools && any_strict(r))) return VG_OK;
    const call_words *w = words_of(tmpl);
    if (chat && !r->keep_reasoning && !r->continue_last) put_root(tmpl, in_reasoning, out);
    else vg_buf_text(out, "root ::= answer\n");
    if (tools) VG_TRY(put_calls(r, w, out, err));
    if (json && !must) put_json(r, tmpl, out);
    if (must) vg_buf_text(out, "answer ::= calls\n");
    else if (json) vg_buf_text(out, tools ? "answer ::= json | calls\n" : "answer ::= json\n");
    else put_text_or_calls(w, out);
    return vg_buf_check(out, "the grammar of the tools", err);
}
