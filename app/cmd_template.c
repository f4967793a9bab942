/* verge template: prints the prompt that a chat template makes of a conversation, byte for byte, so
 * that it can be compared with what another program sends to the model. The template is that of a
 * model file, or a file of its own, which is told by its name. */
#include <stdio.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/json_print.h"
#include "base/json.h"

typedef struct template_opts {
    bool json, no_generation_prompt;
    const char *tools, *bos, *eos;
    cli_list set;
} template_opts;

static const size_t input_cap = 64 << 20, arena_cap = 1 << 30, template_cap = 1 << 20;

static bool is_template_file(const char *path)
{
    static const char *const ends[] = {".jinja", ".jinja2", ".j2", ".txt"};
    for (size_t i = 0; i < VG_COUNT(ends); i++) {
        size_t n = strlen(path), m = strlen(ends[i]);
        if (n >= m && strcmp(path + n - m, ends[i]) == 0) return true;
    }
    return false;
}

/* Adds a member to the object that is being written. Where a name comes twice, the last counts. */
static void put_name(vg_buf *b, vg_str name)
{
    vg_buf_char(b, b->n ? ',' : '{');
    vg_json_put_str(b, name);
    vg_buf_char(b, ':');
}

static void put_text(vg_buf *b, const char *name, const char *text)
{
    if (!text) return;
    put_name(b, vg_str_from(name));
    vg_json_put_str(b, vg_str_from(text));
}

static const char *source_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static vg_status read_json(vg_arena *a, const char *path, vg_json **out, vg_err *err)
{
    vg_text text = {0};
    VG_TRY(cli_read(path, input_cap, &text, err));
    vg_status st = vg_json_parse(a, text.data, text.n, out, err);
    vg_text_free(&text);
    return st ? vg_err_context(err, st, "%s", source_name(path)) : VG_OK;
}

static vg_status put_chat(vg_arena *a, const char *path, vg_buf *b, vg_err *err)
{
    vg_json *chat = NULL;
    VG_TRY(read_json(a, path, &chat, err));
    put_name(b, VG_STR("add_generation_prompt"));
    vg_buf_text(b, "true");
    if (chat->kind == VG_JSON_ARRAY) {
        put_name(b, VG_STR("messages"));
        vg_json_put(b, chat);
        return VG_OK;
    }
    if (chat->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_FORMAT, "%s: neither an array of messages nor an object with them",
                       source_name(path));
    for (size_t i = 0; i < chat->n; i++) {
        put_name(b, chat->key[i]);
        vg_json_put(b, chat->item[i]);
    }
    return VG_OK;
}

/* --set NAME=JSON */
static vg_status put_set(vg_arena *a, const char *item, vg_buf *b, vg_err *err)
{
    const char *value = strchr(item, '=');
    vg_json *doc = NULL;
    if (!value || value == item)
        return VG_FAIL(err, VG_E_USAGE, "--set wants NAME=JSON, not '%s'", item);
    vg_status st = vg_json_parse(a, value + 1, strlen(value + 1), &doc, err);
    if (st) return vg_err_context(err, st, "--set %s (a text wants double quotes)", item);
    put_name(b, (vg_str){item, (size_t)(value - item)});
    vg_json_put(b, doc);
    return VG_OK;
}

static vg_status make_context(vg_arena *a, const template_opts *o, const char *chat, vg_buf *b,
                              vg_err *err)
{
    vg_json *tools = NULL;
    put_text(b, "bos_token", o->bos);
    put_text(b, "eos_token", o->eos);
    VG_TRY(put_chat(a, chat, b, err));
    if (o->tools) {
        VG_TRY(read_json(a, o->tools, &tools, err));
        put_name(b, VG_STR("tools"));
        vg_json_put(b, tools);
    }
    if (o->no_generation_prompt) {
        put_name(b, VG_STR("add_generation_prompt"));
        vg_buf_text(b, "false");
    }
    for (size_t i = 0; i < o->set.n; i++) VG_TRY(put_set(a, o->set.item[i], b, err));
    vg_buf_char(b, '}');
    return vg_buf_check(b, "the conversation", err);
}

static vg_status render_file(const char *path, const vg_buf *context, vg_text *out, vg_err *err)
{
    vg_text tmpl = {0};
    VG_TRY(cli_read(path, template_cap, &tmpl, err));
    vg_status st = vg_template_render(tmpl.data, tmpl.n, NULL, NULL, context->data, context->n, out,
                                      err);
    vg_text_free(&tmpl);
    return st ? vg_err_context(err, st, "%s", path) : VG_OK;
}

static vg_status render_model(const char *path, const vg_buf *context, vg_text *out, vg_err *err)
{
    vg_model *m = NULL;
    VG_TRY(cli_open_model(path, &(vg_model_opts){.vocab_only = true}, &m, err));
    vg_status st = vg_chat_render(m, context->data, context->n, out, err);
    vg_model_unref(m);
    return st ? vg_err_context(err, st, "%s", path) : VG_OK;
}

static vg_status print_prompt(const template_opts *o, const vg_text *prompt, vg_err *err)
{
    if (o->json) return json_print_text("prompt", (vg_str){prompt->data, prompt->n}, err);
    fwrite(prompt->data, 1, prompt->n, stdout);
    return VG_OK;
}

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    const template_opts *o = opts;
    const char *chat = n_args > 1 ? args[1] : "-";
    if (n_args == 1 && isatty(STDIN_FILENO)) return cli_usage(cmd, "there are no messages");
    vg_err err;
    vg_arena *a = NULL;
    vg_buf context;
    vg_text prompt = {0};
    vg_buf_init(&context, SIZE_MAX / 2);
    vg_status st = vg_arena_new(&a, arena_cap, &err);
    if (!st) st = make_context(a, o, chat, &context, &err);
    if (!st) st = is_template_file(args[0]) ? render_file(args[0], &context, &prompt, &err)
                                            : render_model(args[0], &context, &prompt, &err);
    if (!st) st = print_prompt(o, &prompt, &err);
    vg_text_free(&prompt);
    vg_buf_clear(&context);
    vg_arena_free(a);
    return st ? cli_fail(cmd, &err) : cli_finish(cmd);
}

static const cli_opt opts[] = {
    CLI_TEXT("tools", 't', template_opts, tools, "FILE", "take the list of tools from a JSON file"),
    CLI_LIST("set", 's', template_opts, set, "NAME=JSON",
             "give the template a variable, as in enable_thinking=false"),
    CLI_FLAG("no-generation-prompt", 0, template_opts, no_generation_prompt,
             "do not begin the answer of the assistant"),
    CLI_TEXT("bos", 0, template_opts, bos, "TEXT", "the bos_token [the model's]"),
    CLI_TEXT("eos", 0, template_opts, eos, "TEXT", "the eos_token [the model's]"),
    CLI_FLAG("json", 0, template_opts, json, "print JSON"),
};

const cli_command cmd_template = {
    .name = "template",
    .args = "MODEL|FILE.jinja [MESSAGES.json|-]",
    .min_args = 1,
    .max_args = 2,
    .summary = "print the prompt that a chat template makes",
    .detail = "The template is the one in MODEL, or a file whose name ends in .jinja, .jinja2, .j2 "
              "or .txt. The messages are a JSON array, or an object with messages and whatever "
              "else the template reads, from a file or standard input. The prompt comes out as it "
              "is, without a newline of its own.",
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(template_opts),
    .run = run,
};
