/* talk.h: a conversation: who said what, in memory and as a JSON file.
 *
 *     talk t = {0};
 *     VG_TRY(talk_add(&t, TALK_USER, VG_STR("Hello"), err));
 *     VG_TRY(talk_save(&t, "hello.json", err));
 *     talk_clear(&t);
 */
#ifndef VG_TALK_H
#define VG_TALK_H

#include "base/base.h"

typedef enum talk_role { TALK_SYSTEM, TALK_USER, TALK_ASSISTANT } talk_role;

typedef struct talk_message {
    talk_role role;
    char *text;
    size_t n;
} talk_message;

typedef struct talk {
    talk_message *msg;
    size_t n, room;
} talk;

extern const char *const talk_role_names[]; /* "system", "user", "assistant" */

VG_NODISCARD vg_status talk_add(talk *t, talk_role role, vg_str text, vg_err *err);
void talk_cut(talk *t, size_t n); /* keeps the first n messages */
void talk_clear(talk *t);

/* The system message stands first, if there is one. */
const talk_message *talk_system(const talk *t);
VG_NODISCARD vg_status talk_set_system(talk *t, vg_str text, vg_err *err);
void talk_drop(talk *t, size_t i); /* one message */

/* The file is {"messages": [{"role": ..., "content": ...}, ...]}, written whole or not at all.
 * Loading replaces the conversation, or leaves it as it was. Errors: IO, NOT_FOUND, FORMAT,
 * LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status talk_save(const talk *t, const char *path, vg_err *err);
VG_NODISCARD vg_status talk_load(talk *t, const char *path, vg_err *err);
#endif
