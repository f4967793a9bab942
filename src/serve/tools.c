/* Tools in words, for templates that have no place for them. The model is asked for an object with
 * the tool's name and arguments and nothing around it, which parts.c reads; earlier calls and their
 * answers are worded the same way, and what a tool answered is said by the user, since such
 * templates know no other role. */
#include "base/json_out.h"
#include "serve/constraint.h"
#include "serve/messages.h"

static bool has(vg_str tmpl, const char *what)
{
    return tmpl.n && memmem(tmpl.p, tmpl.n, what, strlen(what));
}

static void put_call(vg_buf *b, const vg_json *name, const vg_json *args)
{
    if (b->n) vg_buf_char(b, '\n');
    vg_buf_text(b, "{\"name\": ");
    vg_json_put(b, name);
    vg_buf_text(b, ", \"arguments\": ");
    vg_json_put(b, args);
    vg_buf_char(b, '}');
}

static void put_tools(vg_buf *b, const vg_json *tools)
{
    vg_buf_text(b, "You can call these tools:\n");
    for (size_t i = 0; i < tools->n; i++) {
        vg_json_put(b, vg_json_get(tools->item[i], "function"));
        vg_buf_char(b, '\n');
    }
    vg_buf_text(b, "To call one, answer with nothing but {\"name\": its name, \"arguments\": an "
                   "object of its arguments}, one line for each call.");
}

static vg_str text_of(const vg_json *message, const char *key)
{
    const vg_json *v = vg_json_get(message, key);
    return v && v->kind == VG_JSON_STRING ? v->str : VG_STR("");
}

/* What a message says in words alone. */
static void put_words(vg_buf *b, const vg_json *message)
{
    const vg_json *calls = vg_json_get(message, "tool_calls");
    vg_str content = text_of(message, "content"), name = text_of(message, "name");
    bool tool = vg_str_is(text_of(message, "role"), "tool");
    if (tool) vg_buf_fmt(b, "%.*s answered: ", VG_STR_ARG(name));
    vg_buf_str(b, content);
    for (size_t i = 0; calls && i < calls->n; i++) {
        const vg_json *f = vg_json_get(calls->item[i], "function");
        const vg_json *n = vg_json_get(f, "name"), *args = vg_json_get(f, "arguments");
        if (n && args) put_call(b, n, args);
    }
}

typedef struct teacher {
    vg_talk talk;
    vg_buf text;       /* of the message that is open */
    const char *role;  /* NULL: none is */
} teacher;

static void close_message(teacher *t)
{
    if (!t->role) return;
    char *p = vg_arena_text(t->talk.make.arena, (vg_str){t->text.n ? t->text.data : "", t->text.n});
    if (!p || t->text.failed) t->talk.make.failed = true;
    else vg_talk_add(&t->talk, t->role, (vg_str){p, t->text.n});
    t->role = NULL;
    vg_buf_reset(&t->text);
}

/* Words of the same role one after the other are one message: some templates insist on turns. */
static void say(teacher *t, const char *role)
{
    if (t->role && !strcmp(t->role, role)) {
        vg_buf_char(&t->text, '\n');
        return;
    }
    close_message(t);
    t->role = role;
}

static void teach(teacher *t, const vg_request *r, bool systems)
{
    const vg_json *m = r->messages;
    bool told = false;
    for (size_t i = 0; i < m->n; i++) {
        vg_str role = text_of(m->item[i], "role");
        bool system = vg_str_is(role, "system");
        const char *as = system ? "system" : vg_str_is(role, "assistant") ? "assistant" : "user";
        if (!told && systems && !system) {
            say(t, "system");
            put_tools(&t->text, r->tools);
            told = true;
        }
        say(t, as);
        if (!told && !systems && !strcmp(as, "user")) {
            put_tools(&t->text, r->tools);
            vg_buf_text(&t->text, "\n\n");
            told = true;
        }
        put_words(&t->text, m->item[i]);
    }
    close_message(t);
}

vg_status vg_tools_teach(vg_request *r, vg_str tmpl, vg_err *err)
{
    bool tools = r->tools && r->tools->n && r->tool_choice != VG_TOOLS_NONE;
    if (r->ask != VG_ASK_CHAT || !tools || has(tmpl, "tools")) return VG_OK;
    teacher t = {0};
    VG_TRY(vg_talk_begin(&t.talk, r, 2 * r->messages->n + 1, err));
    vg_buf_init(&t.text, SIZE_MAX / 2);
    teach(&t, r, !has(tmpl, "System role not supported"));
    vg_buf_clear(&t.text);
    return vg_talk_end(&t.talk, err);
}
