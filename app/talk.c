/* Conversations. Saving writes a new file beside the old one and renames it, so a full disk never
 * costs what was saved before; loading builds a second conversation and swaps it in at the end.
 * What a message may hold is decided elsewhere: here it is bytes. */
#include "app/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/os.h"

enum { FILE_CAP_BYTES = 64 << 20, TREE_CAP_BYTES = 512 << 20, MAX_MESSAGES = 100000 };

const char *const talk_role_names[] = {"system", "user", "assistant"};

vg_status talk_add(talk *t, talk_role role, vg_str text, vg_err *err)
{
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 16;
        talk_message *msg = vg_mem_grow(t->msg, t->room * sizeof *msg, room * sizeof *msg);
        if (!msg) return VG_FAIL_MEMORY(err, room * sizeof *msg);
        t->msg = msg;
        t->room = room;
    }
    char *copy = vg_mem_new(text.n + 1);
    if (!copy) return VG_FAIL_MEMORY(err, text.n);
    if (text.n) memcpy(copy, text.p, text.n);
    t->msg[t->n++] = (talk_message){role, copy, text.n};
    return VG_OK;
}

void talk_cut(talk *t, size_t n)
{
    while (t->n > n) vg_mem_free(t->msg[--t->n].text);
}

void talk_clear(talk *t)
{
    talk_cut(t, 0);
    vg_mem_free(t->msg);
    *t = (talk){0};
}

void talk_drop(talk *t, size_t i)
{
    vg_mem_free(t->msg[i].text);
    t->n--;
    memmove(t->msg + i, t->msg + i + 1, (t->n - i) * sizeof *t->msg);
}

const talk_message *talk_system(const talk *t)
{
    return t->n > 0 && t->msg[0].role == TALK_SYSTEM ? &t->msg[0] : NULL;
}

vg_status talk_set_system(talk *t, vg_str text, vg_err *err)
{
    VG_TRY(talk_add(t, TALK_SYSTEM, text, err));
    talk_message added = t->msg[--t->n];
    if (talk_system(t)) {
        vg_mem_free(t->msg[0].text);
    } else {
        memmove(t->msg + 1, t->msg, t->n * sizeof *t->msg);
        t->n++;
    }
    t->msg[0] = added;
    return VG_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static vg_status write_all(int fd, const vg_buf *b, const char *path, vg_err *err)
{
    for (size_t at = 0; at < b->n;) {
        ssize_t n = write(fd, b->data + at, b->n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
        at += (size_t)n;
    }
    if (fsync(fd)) return VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    return VG_OK;
}

static vg_status write_file(const vg_buf *b, const char *path, vg_err *err)
{
    char temp[4096];
    int len = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof temp)
        return VG_FAIL(err, VG_E_IO, "the path of the file is too long");
    int fd = mkstemp(temp); /* readable by its owner alone, as a conversation should be */
    if (fd < 0) return VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    vg_status st = write_all(fd, b, path, err);
    if (close(fd) && !st) st = VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    if (!st && rename(temp, path)) st = VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    if (st) unlink(temp);
    return st;
}

vg_status talk_save(const talk *t, const char *path, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, FILE_CAP_BYTES);
    vg_buf_text(&b, "{\"messages\": [");
    for (size_t i = 0; i < t->n; i++) {
        vg_buf_fmt(&b, "%s\n  {\"role\": \"%s\", \"content\": ", i ? "," : "",
                   talk_role_names[t->msg[i].role]);
        vg_json_put_str(&b, (vg_str){t->msg[i].text, t->msg[i].n});
        vg_buf_char(&b, '}');
    }
    vg_buf_text(&b, "\n]}\n");
    vg_status st = vg_buf_check(&b, "the conversation", err);
    if (!st) st = write_file(&b, path, err);
    vg_buf_clear(&b);
    return st;
}

static vg_status read_message(talk *t, size_t i, const vg_json *m, vg_err *err)
{
    const vg_json *role = vg_json_get(m, "role"), *content = vg_json_get(m, "content");
    if (!role || role->kind != VG_JSON_STRING || !content || content->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_FORMAT, "message %zu needs a role and a content, both text",
                       i + 1);
    for (talk_role r = TALK_SYSTEM; r <= TALK_ASSISTANT; r++) {
        if (!vg_str_is(role->str, talk_role_names[r])) continue;
        if (r == TALK_SYSTEM && i > 0)
            return VG_FAIL(err, VG_E_FORMAT, "message %zu: a system message only stands first",
                           i + 1);
        return talk_add(t, r, content->str, err);
    }
    return VG_FAIL(err, VG_E_FORMAT, "message %zu: the role '%.*s' is none of system, user, "
                   "assistant", i + 1, VG_STR_ARG(role->str));
}

static vg_status read_messages(talk *t, const vg_json *doc, vg_err *err)
{
    const vg_json *list = vg_json_get(doc, "messages");
    if (!list || list->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_FORMAT, "there is no list \"messages\" in it");
    if (list->n > MAX_MESSAGES)
        return VG_FAIL(err, VG_E_LIMIT, "more than %d messages", MAX_MESSAGES);
    for (size_t i = 0; i < list->n; i++) VG_TRY(read_message(t, i, list->item[i], err));
    return VG_OK;
}

vg_status talk_load(talk *t, const char *path, vg_err *err)
{
    vg_file f;
    VG_TRY(vg_file_map(&f, path, err));
    vg_arena *a = NULL;
    vg_json *doc = NULL;
    talk fresh = {0};
    vg_status st = VG_OK;
    if (f.n > FILE_CAP_BYTES)
        st = VG_FAIL(err, VG_E_LIMIT, "larger than %d MiB", FILE_CAP_BYTES >> 20);
    if (!st) st = vg_arena_new(&a, TREE_CAP_BYTES, err);
    if (!st) st = vg_json_parse(a, (const char *)f.data, (size_t)f.n, &doc, err);
    if (!st) st = read_messages(&fresh, doc, err);
    if (st) {
        talk_clear(&fresh);
        st = vg_err_context(err, st, "%s", path);
    } else {
        talk_clear(t);
        *t = fresh;
    }
    vg_arena_free(a);
    vg_file_unmap(&f);
    return st;
}
