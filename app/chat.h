/* chat.h: a conversation with a person at a terminal.
 *
 *     chat_setup s = {.maker = &maker, .style = style, .plan = plan, .seed = 1};
 *     return chat_run(cmd, &s);
 */
#ifndef VG_CHAT_APP_H
#define VG_CHAT_APP_H

#include "app/answer.h"
#include "app/prompt.h"

typedef struct chat_setup {
    const answer_maker *maker;
    prompt_style style;
    vg_plan plan;
    uint64_t seed;
    const char *system; /* NULL: none */
    bool history;       /* lines are kept between runs */
    bool shift;         /* a conversation that outgrows the context loses its oldest messages */
    bool quiet;
} chat_setup;

int chat_run(const cli_command *cmd, const chat_setup *s); /* the exit status */
#endif
