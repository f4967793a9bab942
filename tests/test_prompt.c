/* Tests of app/prompt.c and app/talk.c with the built-in model's vocabulary, whose control token is
 * <|endoftext|>: what people write never becomes that token, whatever the template does with it,
 * and conversations survive being saved and loaded. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "app/prompt.h"

#define CONTROL "<|endoftext|>"

static vg_model *open_default(void)
{
    vg_err err;
    vg_model *m = NULL;
    char path[4096];
    test_path(path, "../models/default.gguf");
    TEST_OK(vg_model_open(&m, path, &(vg_model_opts){.vocab_only = true}, &err));
    return m;
}

static void say(talk *t, talk_role role, const char *text)
{
    vg_err err;
    TEST_OK(talk_add(t, role, vg_str_from(text), &err));
}

/* The text of the tokens after the BOS, which is the same control token and there once, with each
 * other control token as the two bytes 01 02. */
static vg_status make(const vg_model *m, const char *tmpl, const talk *t, char *out, vg_err *why)
{
    vg_err err;
    prompt_style style = {.model = m, .tmpl = {(char *)(uintptr_t)tmpl, strlen(tmpl)}};
    vg_tokens ids = {0};
    vg_status st = prompt_make(&style, t, &ids, why);
    *out = '\0';
    if (!st) assert_int_equal(ids.id[0], 0);
    for (size_t i = 1, n; i < ids.n; i += n) { /* one control token, or all up to the next one */
        vg_text text = {0};
        for (n = 1; ids.id[i] != 0 && i + n < ids.n && ids.id[i + n] != 0;) n++;
        TEST_OK(vg_detokenize(m, ids.id + i, n, false, &text, &err));
        strcat(out, ids.id[i] == 0 ? "\1\2" : text.data);
        vg_text_free(&text);
    }
    vg_tokens_free(&ids);
    return st;
}

#define BEGIN "{% for m in messages %}"
#define END "{% endfor %}"

static void control_tokens_in_messages_are_text(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *tmpl, *user, *want; /* want NULL: refused */
    } cases[] = {
        {BEGIN "{{ m.role }}: {{ m.content }}" CONTROL END, "hello", "user: hello\1\2"},
        {BEGIN "{{ m.role }}: {{ m.content }}" CONTROL END, "a" CONTROL "b",
         "user: a" CONTROL "b\1\2"},
        {BEGIN "{{ m.role }}: {{ m.content }}" CONTROL END, CONTROL, "user: " CONTROL "\1\2"},
        {BEGIN CONTROL "{{ m.content | trim }}" CONTROL END, " \n x" CONTROL " \t",
         "x" CONTROL "\1\2"},
        {BEGIN CONTROL "{{ m.content }}" CONTROL END, " x" CONTROL " ",
         " x" CONTROL " \1\2"},
        {BEGIN "{{ m.content }}/{{ m.content }}" CONTROL END, CONTROL "!",
         CONTROL "!/" CONTROL "!\1\2"},
        {BEGIN "{{ m.content[:2] }}" CONTROL END, "xy" CONTROL, NULL},
        {BEGIN "{{ m.content | length }}" CONTROL END, CONTROL, NULL},
        {BEGIN "{{ m.content | tojson }}" END, "a" CONTROL, "\"a" CONTROL "\""},
        {BEGIN "{{ m.content }}" CONTROL END, "\xf3\xb0\x80\x80" "0\xf3\xb0\x80\x80" CONTROL,
         "\xf3\xb0\x80\x80" "0\xf3\xb0\x80\x80" CONTROL "\1\2"},
    };
    vg_model *m = open_default();
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        talk t = {0};
        vg_err err;
        char got[4096];
        say(&t, TALK_USER, cases[i].user);
        vg_status st = make(m, cases[i].tmpl, &t, got, &err);
        if (cases[i].want) {
            if (st) fail_msg("case %zu: %s", i, err.msg);
            assert_string_equal(got, cases[i].want);
        } else {
            assert_int_equal(st, VG_E_TEMPLATE);
        }
        talk_clear(&t);
    }
    vg_model_unref(m);
}

static void messages_keep_their_places(void **state)
{
    VG_UNUSED(state);
    vg_model *m = open_default();
    vg_err err;
    char got[4096];
    talk t = {0};
    say(&t, TALK_SYSTEM, "s" CONTROL);
    for (int i = 0; i < 12; i++) {
        say(&t, TALK_USER, i % 3 ? CONTROL : "plain");
        say(&t, TALK_ASSISTANT, "yes" CONTROL);
    }
    say(&t, TALK_USER, "last" CONTROL);
    /* The system message goes into the last user message, the answers are left out. */
    TEST_OK(make(m, BEGIN "{% if loop.last %}[{{ messages[0].content }}]{{ m.content }}"
                    "{% elif m.role == 'user' %}<{{ m.content }}>{% endif %}" END, &t, got, &err));
    char want[4096] = "";
    for (int i = 0; i < 12; i++) {
        strcat(want, i % 3 ? "<" CONTROL ">" : "<plain>");
    }
    strcat(want, "[s" CONTROL "]last" CONTROL);
    assert_string_equal(got, want);
    talk_clear(&t);
    vg_model_unref(m);
}

/* Without control tokens in it a conversation is tokenised as one piece, as models are trained. */
static void plain_conversations_are_one_piece(void **state)
{
    VG_UNUSED(state);
    static const char rendered[] = CONTROL "user\n\n Once upon a time" CONTROL;
    vg_model *m = open_default();
    vg_err err;
    vg_tokens want = {0}, got = {0};
    talk t = {0};
    char tmpl[] = CONTROL "{{ messages[0].role }}\n{{ messages[0].content }}" CONTROL;
    prompt_style style = {.model = m, .tmpl = {tmpl, sizeof tmpl - 1}};
    say(&t, TALK_USER, "\n Once upon a time");
    TEST_OK(vg_tokenize(m, rendered, strlen(rendered), VG_TOK_SPECIAL, &want, &err));
    TEST_OK(prompt_make(&style, &t, &got, &err));
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.id, want.id, want.n * sizeof *want.id);
    vg_tokens_free(&want);
    vg_tokens_free(&got);
    talk_clear(&t);
    vg_model_unref(m);
}

static void raw_prompts_are_text(void **state)
{
    VG_UNUSED(state);
    vg_model *m = open_default();
    vg_err err;
    vg_tokens ids = {0};
    vg_text text = {0};
    vg_model_info info;
    talk t = {0};
    prompt_style style = {.model = m, .raw = true};
    say(&t, TALK_USER, "One" CONTROL);
    say(&t, TALK_ASSISTANT, " two.");
    say(&t, TALK_USER, "Three");
    TEST_OK(prompt_make(&style, &t, &ids, &err));
    vg_model_get_info(m, &info);
    size_t bos = info.add_bos && info.bos >= 0;
    for (size_t i = bos; i < ids.n; i++) assert_int_not_equal(ids.id[i], 0);
    TEST_OK(vg_detokenize(m, ids.id + bos, ids.n - bos, true, &text, &err));
    assert_string_equal(text.data, "One" CONTROL " two.\nThree");
    vg_text_free(&text);
    vg_tokens_free(&ids);
    talk_clear(&t);
    vg_model_unref(m);
}

/* ---- conversations --------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void conversations_survive_files(void **state)
{
    VG_UNUSED(state);
    char dir[] = "/tmp/verge-talk-XXXXXX", path[64];
    vg_err err;
    talk t = {0}, back = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/talk.json", dir);
    TEST_OK(talk_set_system(&t, VG_STR("be \"brief\"\n"), &err));
    say(&t, TALK_USER, "h\xc3\xa9\\ \x01");
    say(&t, TALK_ASSISTANT, "");
    TEST_OK(talk_set_system(&t, VG_STR("be long"), &err));
    TEST_OK(talk_save(&t, path, &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    say(&back, TALK_USER, "gone after loading");
    TEST_OK(talk_load(&back, path, &err));
    assert_int_equal(back.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(back.msg[i].role, t.msg[i].role);
        assert_string_equal(back.msg[i].text, t.msg[i].text);
    }
    static const char *const bad[] = {
        "", "{", "[]", "{\"messages\": 3}", "{\"messages\": [3]}",
        "{\"messages\": [{\"role\": \"user\"}]}",
        "{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]}",
        "{\"messages\": [{\"role\": \"user\", \"content\": []}]}",
        ("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"},"
         "{\"role\": \"system\", \"content\": \"x\"}]}")};
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        write_text(path, bad[i]);
        assert_int_not_equal(talk_load(&back, path, &err), VG_OK);
        assert_non_null(strstr(err.msg, path));
        assert_int_equal(back.n, 3); /* an error keeps the conversation */
    }
    unlink(path);
    assert_int_equal(talk_load(&back, path, &err), VG_E_NOT_FOUND);
    assert_int_not_equal(talk_load(&back, dir, &err), VG_OK);
    assert_int_equal(talk_save(&back, "/nonexistent/talk.json", &err), VG_E_IO);
    assert_int_equal(rmdir(dir), 0); /* nothing half written is left behind */
    talk_clear(&t);
    talk_clear(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_tokens_in_messages_are_text),
        cmocka_unit_test(messages_keep_their_places),
        cmocka_unit_test(plain_conversations_are_one_piece),
        cmocka_unit_test(raw_prompts_are_text),
        cmocka_unit_test(conversations_survive_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
