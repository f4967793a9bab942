/* parts_int.h: what the files of parts share: the forms of calls, and the splitter's state.
 *
 *     if (vg_parts_name_ok(p, name)) vg_parts_begin(p, name);
 *     else vg_parts_give_up(p);
 */
#ifndef VG_PARTS_INT_H
#define VG_PARTS_INT_H

#include "serve/parts.h"

enum {
    VG_PARTS_HEAD_MAX = 512, /* bytes of a name with what stands around it */
    VG_PARTS_MARK_MAX = 64   /* of any marker */
};

/* What may stand behind the words that begin a call. */
typedef enum vg_call_body {
    VG_BODY_JSON,     /* {"name": .., "arguments": {..}}, or an array of these, or NAME {..} */
    VG_BODY_FUNCTION, /* NAME> and then {..} or <parameter=KEY>VALUE</parameter> */
    VG_BODY_PYTHON,   /* [name(key=literal, ..), ..] */
    VG_BODY_BARE,     /* {"name": .., "arguments": {..}} with nothing before it */
    VG_BODY_HEAD,     /* harmony: a head, which <|message|> ends */
    VG_BODY_NONE      /* harmony: the end of a message */
} vg_call_body;

typedef struct vg_call_form {
    const char *open, *close;
    const char *sign; /* what a template of this form has in it; NULL: `open` */
    vg_call_body body;
    const char *skip[3]; /* what else may stand around calls and means nothing */
    bool control;        /* the markers are control tokens in the vocabularies that have them */
} vg_call_form;

typedef enum vg_parts_state {
    VG_PARTS_START,     /* nothing but blanks so far */
    VG_PARTS_TEXT,
    VG_PARTS_REASONING,
    VG_PARTS_BODY,      /* behind the words that begin a call */
    VG_PARTS_OBJECT,    /* in {"name": .. */
    VG_PARTS_NAME,      /* in NAME {..} */
    VG_PARTS_FUNCTION,  /* in NAME>.. */
    VG_PARTS_ARGS,      /* in arguments, which go out as they come */
    VG_PARTS_REST,      /* of the object that the arguments stood in */
    VG_PARTS_PARAMS,    /* between <parameter=..> or <arg_key>.. */
    VG_PARTS_PYTHON,
    VG_PARTS_MESSAGE,   /* harmony: in a message's head */
    VG_PARTS_TAIL,      /* behind a call */
    VG_PARTS_PASS       /* no memory: all that comes is text */
} vg_parts_state;

/* A JSON value read byte by byte, strings and brackets alone. */
typedef struct vg_scan {
    size_t depth;
    bool in_str, escaped, scalar;
} vg_scan;

struct vg_parts {
    vg_parts_opts opts;
    vg_arena *arena;
    uint32_t forms;         /* bits: those that this template may bring */
    const char *reason_end; /* what ends the reasoning that is open */
    char *raw;              /* [cap] what has not been told yet: raw[head..n) */
    size_t head, n, cap;
    size_t at;              /* of that, what the present state has read */
    size_t mark;            /* of that, blanks before the words that began a call, and these */
    vg_parts_state state;
    bool ended, drop_blanks;
    const vg_call_form *form;
    bool in_array, begun;   /* begun: the present call was told */
    size_t n_calls;
    bool harmony;
    /* OBJECT */
    enum { VG_OBJ_KEY, VG_OBJ_IN_KEY, VG_OBJ_COLON, VG_OBJ_VALUE, VG_OBJ_IN_VALUE } obj;
    size_t open;            /* braces of objects around the arguments: {"function": { makes 2 */
    vg_scan scan;
    size_t key_from, key_to, value_from, args_from, args_to;
    vg_str name;
    /* PARAMS */
    bool any_param;
};

/* What has not been told yet. */
vg_str vg_parts_rest(const vg_parts *p);
void vg_parts_tell(vg_parts *p, vg_news news, size_t n); /* the first n bytes of it */
void vg_parts_drop(vg_parts *p, size_t n);                /* as it is, untold */
/* Position of `what` in s from `from` on; SIZE_MAX: nowhere. */
size_t vg_parts_find(vg_str s, size_t from, const char *what);
/* 1: `what` stands at s[at]; -1: it may once more has come; 0: no. */
int vg_parts_stands(const vg_parts *p, vg_str s, size_t at, const char *what);

/* The call is there: from here on what comes belongs to it. */
void vg_parts_begin(vg_parts *p, vg_str name);
void vg_parts_args(vg_parts *p, vg_str text);
void vg_parts_finish(vg_parts *p); /* it is complete; behind it */
void vg_parts_give_up(vg_parts *p); /* no call: its first words are text */
bool vg_parts_name_ok(const vg_parts *p, vg_str name);
const vg_json *vg_parts_tool(const vg_parts *p, vg_str name); /* {name, parameters}; NULL */

/* Steps of the states: false where more has to come. */
bool vg_parts_step_object(vg_parts *p);
bool vg_parts_step_args(vg_parts *p);
bool vg_parts_step_rest(vg_parts *p);
bool vg_parts_step_params(vg_parts *p);
bool vg_parts_step_python(vg_parts *p);

/* One more byte of a JSON value; true when the value ended, *inside: with this byte. */
bool vg_scan_byte(vg_scan *s, char c, bool *inside);
#endif
