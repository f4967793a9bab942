/* jinja_int.h: what the files of the template interpreter share: values, the syntax tree, scopes,
 * the interpreter's state. The way of a template: jinja_lex (tokens) -> jinja_parse (tree) ->
 * jinja_scope (names to slots) -> jinja_exec (statements) and jinja_eval (expressions).
 *
 *     vg_jval v;
 *     VG_TRY(vg_jval_text(j, &x, &v));
 *     if (!vg_jval_truth(&v)) return VG_JFAIL(j, "'%s' is empty", name);
 *
 * Every value, node and frame lives in the arena of one rendering. Values are immutable but for
 * namespaces, cyclers, joiners, loops and iterators, whose state is an object in the arena. */
#ifndef VG_JINJA_INT_H
#define VG_JINJA_INT_H

#include "base/base.h"
#include "base/json.h"
#include "model/chat.h"

/* ---- limits: what protects the process from a template -------------------------------------- */

enum {
    VG_J_ARENA_BYTES = 64 << 20,   /* memory of one rendering */
    VG_J_SOURCE_BYTES = 1 << 20,   /* length of a template */
    VG_J_STEPS = 4000000,          /* evaluated nodes, and bytes or items looked at / 64 */
    VG_J_OUT_BYTES = 16 << 20,
    VG_J_DEPTH = 1000,             /* evaluations inside one another: nesting and macro calls */
    VG_J_PARSE_DEPTH = 200,        /* parentheses and blocks inside one another */
    VG_J_RANGE_ITEMS = 100000,     /* as jinja2's sandbox has it */
    VG_J_MAX_ARGS = 64
};

/* ---- values --------------------------------------------------------------------------------- */

typedef enum vg_jkind {
    VG_J_MISSING, /* no value at all: an argument not given, a name not set yet */
    VG_J_UNDEF,
    VG_J_NONE,
    VG_J_BOOL,
    VG_J_INT,
    VG_J_FLOAT,
    VG_J_STR,
    VG_J_LIST,
    VG_J_TUPLE,
    VG_J_DICT,
    VG_J_RANGE,
    VG_J_VIEW, /* d.keys(), d.values(), d.items() */
    VG_J_ITER, /* a generator: its items can be taken once */
    VG_J_NS,
    VG_J_MACRO,
    VG_J_FUNC,
    VG_J_LOOP,
    VG_J_CYCLER,
    VG_J_JOINER
} vg_jkind;

typedef struct vg_jval vg_jval;
typedef struct vg_jinja vg_jinja;
typedef struct vg_jnode vg_jnode;

/* Room behind a string that + made: the next + to the same end appends in place, so that a string
 * built piece by piece in a loop costs its length and not its square. */
typedef struct vg_jtail {
    char *data;
    size_t used, room;
} vg_jtail;

typedef struct vg_jlist {
    size_t n;
    vg_jval *item;
    bool group; /* a tuple of groupby, with the names grouper and list */
} vg_jlist;

typedef struct vg_jdict {
    size_t n, cap;
    vg_jval *key, *val;
} vg_jdict;

typedef struct vg_jrange {
    int64_t start, stop, step;
    size_t n;
} vg_jrange;

typedef struct vg_jiter {
    vg_jlist list;
    size_t i; /* the next one */
} vg_jiter;

typedef struct vg_jfunc vg_jfunc;
typedef struct vg_jmacro vg_jmacro;
typedef struct vg_jloop vg_jloop;
typedef struct vg_jcycler vg_jcycler;

struct vg_jval {
    uint8_t kind;
    bool markup; /* STR: marked safe; + then escapes what it is joined with */
    char view;   /* VIEW: 'k', 'v' or 'i'; UNDEF: 'h' where `s` is a whole message, 'u': unsafe */
    uint32_t n;  /* bytes of a STR, or of the name of an UNDEF */
    union {
        int64_t i; /* INT; BOOL as 0 or 1 */
        double f;
        const char *s; /* STR; UNDEF: its name */
        vg_jlist *list;
        vg_jdict *dict; /* DICT, VIEW, NS */
        vg_jrange *range;
        vg_jiter *iter;
        vg_jmacro *macro;
        vg_jfunc *func;
        vg_jloop *loop;
        vg_jcycler *cycler; /* CYCLER, JOINER */
    };
    union {
        vg_jtail *tail;    /* STR made by +, or NULL */
        const char *owner; /* UNDEF: the type it was looked up in, NULL for a variable */
    };
};

/* Arguments of a call. */
typedef struct vg_jargs {
    const vg_jval *pos;
    size_t n_pos;
    const vg_str *key; /* [n_key] */
    const vg_jval *val;
    size_t n_key;
} vg_jargs;

enum { VG_J_MAX_PARAMS = 8 };

/* A function of the interpreter: a filter, a test, a method or a global. `params` names the
 * parameters ("width first blank"), "_" one that cannot be named, and `n_min` says how many must be
 * given; what is not given arrives as MISSING. Params "*": the arguments arrive as they are. */
typedef struct vg_jbuiltin {
    const char *name, *params;
    uint8_t n_min;
    vg_status (*call)(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out);
    vg_status (*call_any)(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out);
} vg_jbuiltin;

struct vg_jfunc {
    const vg_jbuiltin *fn;
    vg_jval self; /* of a method, else MISSING */
};

struct vg_jcycler {
    vg_jlist list; /* JOINER: one item, the separator */
    size_t i;
    bool used;
};

/* ---- tree ----------------------------------------------------------------------------------- */

typedef enum vg_jtype {
    VG_JN_CONST, VG_JN_NAME, VG_JN_NSREF, VG_JN_TUPLE, VG_JN_LIST, VG_JN_DICT, VG_JN_PAIR,
    VG_JN_COND, VG_JN_OR, VG_JN_AND, VG_JN_NOT, VG_JN_COMPARE, VG_JN_OPERAND, VG_JN_BINARY,
    VG_JN_CONCAT, VG_JN_NEG, VG_JN_POS, VG_JN_ATTR, VG_JN_ITEM, VG_JN_SLICE, VG_JN_CALL,
    VG_JN_FILTER, VG_JN_TEST, VG_JN_ARG, VG_JN_KEYWORD, VG_JN_STAR, VG_JN_STARSTAR,
    /* statements */
    VG_JN_DATA, VG_JN_OUTPUT, VG_JN_SET, VG_JN_SETBLOCK, VG_JN_FOR, VG_JN_IF, VG_JN_MACRO,
    VG_JN_PARAM, VG_JN_CALLBLOCK, VG_JN_FILTERBLOCK, VG_JN_WITH, VG_JN_SCOPE, VG_JN_AUTOESCAPE,
    VG_JN_BLOCK, VG_JN_BREAK, VG_JN_CONTINUE
} vg_jtype;

/* Operators, as tokens and as nodes. */
typedef enum vg_jop {
    VG_JOP_NONE, VG_JOP_ADD, VG_JOP_SUB, VG_JOP_MUL, VG_JOP_DIV, VG_JOP_FLOORDIV, VG_JOP_MOD,
    VG_JOP_POW, VG_JOP_EQ, VG_JOP_NE, VG_JOP_LT, VG_JOP_LE, VG_JOP_GT, VG_JOP_GE, VG_JOP_IN,
    VG_JOP_NOTIN, VG_JOP_TILDE, VG_JOP_ASSIGN, VG_JOP_DOT, VG_JOP_COLON, VG_JOP_PIPE,
    VG_JOP_COMMA, VG_JOP_SEMICOLON, VG_JOP_LPAREN, VG_JOP_RPAREN, VG_JOP_LBRACKET,
    VG_JOP_RBRACKET, VG_JOP_LBRACE, VG_JOP_RBRACE
} vg_jop;

typedef struct vg_jscope vg_jscope;

/* One node. What its fields hold, by type:
 *   CONST value; NAME name, slot, hops; NSREF name (the variable), value (the attribute);
 *   TUPLE, LIST, CONCAT list of items; DICT list of PAIR a: b; COND b if a else c;
 *   OR, AND, BINARY a op b; NOT, NEG, POS a; COMPARE a, list of OPERAND op a; ATTR a.name;
 *   ITEM a[b]; SLICE a:b:c; CALL a(list); FILTER a|name(list); TEST a is name(list);
 *   ARG a; KEYWORD name=a; STAR *a; STARSTAR **a;
 *   DATA value; OUTPUT list; SET a = b; SETBLOCK a, filter b, body; FOR a in b if c, body, other;
 *   IF a, body, other; MACRO name, list of PARAM name=a, body; CALLBLOCK like MACRO, call a;
 *   FILTERBLOCK filter a, body; WITH list of PAIR, body; SCOPE, AUTOESCAPE a, BLOCK name: body.
 * A FILTER whose a is NULL filters the text of the block around it. */
struct vg_jnode {
    uint8_t type, op;
    bool flag;  /* FOR: recursive; BLOCK: scoped; NAME: it stores; SET: has an NSREF */
    bool uses_caller, uses_kwargs, uses_varargs; /* MACRO, CALLBLOCK */
    uint16_t hops; /* NAME, NSREF: how many frames out */
    uint32_t slot; /* and which slot there; MACRO: its name's; FOR: that of `loop` */
    uint32_t line;
    vg_jnode *a, *b, *c, *list, *body, *other, *next;
    vg_str name;
    vg_jval value;
    vg_jscope *scope, *test_scope, *else_scope;
    const vg_jbuiltin *fn; /* FILTER, TEST: NULL where there is none of this name */
};

/* ---- scopes --------------------------------------------------------------------------------- */

typedef enum vg_jload {
    VG_JL_NONE,      /* the name is not of this scope */
    VG_JL_PARAM,     /* set by whoever enters the scope */
    VG_JL_RESOLVE,   /* taken from the context on entry */
    VG_JL_ALIAS,     /* copied from an outer scope on entry */
    VG_JL_UNDEFINED  /* not set on entry */
} vg_jload;

typedef struct vg_jsym {
    vg_str name;
    uint8_t load;
    bool stored;
    uint16_t hops; /* ALIAS: how many frames out from the parent, and which slot there */
    uint32_t from;
} vg_jsym;

struct vg_jscope {
    vg_jscope *parent;
    vg_jsym *sym; /* one slot a symbol */
    size_t n, cap;
    bool is_loop;
};

typedef struct vg_jframe {
    struct vg_jframe *parent;
    const vg_jscope *scope;
    vg_jval *slot;
} vg_jframe;

struct vg_jmacro {
    const vg_jnode *node; /* MACRO or CALLBLOCK */
    vg_jframe *frame;     /* where it was defined */
};

/* Walks over the items of a value. */
typedef struct vg_jcursor {
    vg_jval src;
    size_t i;
} vg_jcursor;

struct vg_jloop {
    vg_jcursor cursor;
    const vg_jnode *node;
    vg_jframe *outer, *test; /* test: NULL where there is no condition */
    int64_t index0, length;  /* length -1: not known yet */
    vg_jval before, current, after; /* after: MISSING until looked ahead */
    vg_jval changed;
    int64_t depth0;
};

/* ---- the interpreter ------------------------------------------------------------------------ */

struct vg_jinja {
    vg_arena *arena;
    vg_err *err;
    vg_buf out; /* captures are its end, cut off again */
    uint64_t work_left, max_steps; /* work in 64ths of a step */
    unsigned depth;
    uint32_t line; /* of the statement that runs */
    const vg_jdict *context;
    vg_jframe *root;
    int64_t now;
};

/* TEMPLATE with the line before the message. */
vg_status vg_jfail(vg_jinja *j, const char *fmt, ...) VG_PRINTF(2, 3);
#define VG_JFAIL(j, ...) vg_jfail((j), __VA_ARGS__)
vg_status vg_jfail_memory(vg_jinja *j);
vg_status vg_jfail_memory_for(vg_jinja *j, size_t bytes);
/* Work done, in steps; TEMPLATE when the limit is passed. */
VG_NODISCARD vg_status vg_jcharge(vg_jinja *j, uint64_t steps);
VG_NODISCARD vg_status vg_jcharge_bytes(vg_jinja *j, size_t bytes);
/* Around whatever may recurse. */
VG_NODISCARD vg_status vg_jenter(vg_jinja *j);
void vg_jleave(vg_jinja *j);

/* jinja_parse.c, jinja_lex.c, jinja_scope.c */
typedef enum vg_jtok {
    VG_JT_EOF, VG_JT_DATA, VG_JT_VAR_BEGIN, VG_JT_VAR_END, VG_JT_BLOCK_BEGIN, VG_JT_BLOCK_END,
    VG_JT_NAME, VG_JT_STRING, VG_JT_INT, VG_JT_FLOAT, VG_JT_OP
} vg_jtok;
typedef struct vg_jtoken {
    uint8_t type, op;
    uint32_t line;
    vg_str text; /* DATA, NAME, STRING (unescaped), numbers as written */
    int64_t i;
    double f;
} vg_jtoken;
/* All tokens of a template, the last one EOF. */
VG_NODISCARD vg_status vg_jlex(vg_jinja *j, vg_str source, vg_jtoken **out);
VG_NODISCARD vg_status vg_jparse(vg_jinja *j, vg_str source, vg_jnode **out);
/* Gives every name its slot; *root is the template's own scope. */
VG_NODISCARD vg_status vg_jscope_resolve(vg_jinja *j, vg_jnode *body, vg_jscope **root);
const char *vg_jop_text(unsigned op);

/* jinja_exec.c, jinja_eval.c */
VG_NODISCARD vg_status vg_jexec(vg_jinja *j, const vg_jnode *body, const vg_jscope *root);
VG_NODISCARD vg_status vg_jeval(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out);
/* A filter on a value already there. */
VG_NODISCARD vg_status vg_jeval_filter(vg_jinja *j, const vg_jnode *n, vg_jframe *f,
                                       const vg_jval *in, vg_jval *out);
VG_NODISCARD vg_status vg_jeval_call(vg_jinja *j, const vg_jnode *n, vg_jframe *f,
                                     const vg_jval *caller, vg_jval *out);
VG_NODISCARD vg_status vg_jmacro_call(vg_jinja *j, const vg_jmacro *m, const vg_jargs *args,
                                      vg_jval *out);
VG_NODISCARD vg_status vg_jloop_attr(vg_jinja *j, const vg_jval *loop, vg_str name, vg_jval *out);
VG_NODISCARD vg_status vg_jloop_recurse(vg_jinja *j, vg_jloop *loop, const vg_jval *items,
                                        vg_jval *out);
vg_jval *vg_jframe_slot(vg_jframe *f, unsigned hops, uint32_t slot);
/* A name of the context or a global; MISSING where there is neither. */
VG_NODISCARD vg_status vg_jcontext_get(vg_jinja *j, vg_str name, vg_jval *out);

/* jinja_call.c */
VG_NODISCARD vg_status vg_jcall(vg_jinja *j, const vg_jval *callee, const vg_jargs *args,
                                vg_jval *out);
VG_NODISCARD vg_status vg_jbuiltin_call(vg_jinja *j, const vg_jbuiltin *fn, const vg_jval *self,
                                        const vg_jargs *args, vg_jval *out);
/* By name, in a table that ends with a NULL name. */
const vg_jbuiltin *vg_jbuiltin_find(const vg_jbuiltin *table, vg_str name);
const vg_jbuiltin *vg_jfilter_find(vg_str name);
const vg_jbuiltin *vg_jtest_find(vg_str name);
const vg_jbuiltin *vg_jmethod_find(const vg_jval *self, vg_str name);
extern const vg_jbuiltin vg_jglobals[], vg_jtests[], vg_jstr_methods[], vg_jdict_methods[];
extern const vg_jbuiltin vg_jlist_methods[], vg_jfilters_text[], vg_jfilters_seq[];
extern const vg_jbuiltin vg_jnumber_methods[], vg_jloop_methods[], vg_jcycler_methods[];

/* ---- jinja_value.c: making and asking values ------------------------------------------------- */

vg_jval vg_jval_none(void);
vg_jval vg_jval_bool(bool b);
vg_jval vg_jval_int(int64_t i);
vg_jval vg_jval_float(double f);
vg_jval vg_jval_str(vg_str s); /* not copied */
vg_jval vg_jval_undef(vg_str name);
vg_jval vg_jval_undef_in(const vg_jval *owner, vg_str name);
vg_jval vg_jval_hint(const char *message); /* undefined, for a reason told in words */
vg_str vg_jval_chars(const vg_jval *v);    /* of a STR */
bool vg_jval_is_number(const vg_jval *v);  /* int, float, bool */
bool vg_jval_is_int(const vg_jval *v);     /* int, bool */
double vg_jval_double(const vg_jval *v);
const char *vg_jval_type(const vg_jval *v); /* "int", "str", as Python names it */
bool vg_jval_truth(const vg_jval *v);
bool vg_jval_callable(const vg_jval *v);
/* Fails where an undefined value is used. */
VG_NODISCARD vg_status vg_jval_defined(vg_jinja *j, const vg_jval *v);
vg_status vg_jfail_undefined(vg_jinja *j, const vg_jval *v);

VG_NODISCARD vg_status vg_jlist_make(vg_jinja *j, vg_jkind kind, size_t n, vg_jval *out);
VG_NODISCARD vg_status vg_jdict_make(vg_jinja *j, size_t cap, vg_jval *out);
VG_NODISCARD vg_status vg_jdict_set(vg_jinja *j, vg_jdict *d, const vg_jval *key,
                                    const vg_jval *val);
/* *out MISSING where the key is not there. */
VG_NODISCARD vg_status vg_jdict_get(vg_jinja *j, const vg_jdict *d, const vg_jval *key,
                                    vg_jval *out);
const vg_jval *vg_jdict_find(const vg_jdict *d, vg_str key);
VG_NODISCARD vg_status vg_jiter_make(vg_jinja *j, const vg_jval *list, vg_jval *out);
VG_NODISCARD vg_status vg_jval_from_json(vg_jinja *j, const vg_json *json, vg_jval *out);
/* Copies bytes into the arena. */
VG_NODISCARD vg_status vg_jstr_copy(vg_jinja *j, vg_str s, vg_jval *out);
/* Room for n bytes; *out is the string over them, filled by the caller. */
VG_NODISCARD vg_status vg_jstr_room(vg_jinja *j, size_t n, char **room, vg_jval *out);
VG_NODISCARD vg_status vg_jstr_concat(vg_jinja *j, const vg_jval *a, const vg_jval *b,
                                      vg_jval *out);
/* What was written to j->out since `from`, cut off and made a string. */
VG_NODISCARD vg_status vg_jstr_capture(vg_jinja *j, size_t from, vg_jval *out);

VG_NODISCARD vg_status vg_jcursor_open(vg_jinja *j, const vg_jval *v, vg_jcursor *c);
/* *out is MISSING at the end. */
VG_NODISCARD vg_status vg_jcursor_next(vg_jinja *j, vg_jcursor *c, vg_jval *out);
/* Python's len(). */
VG_NODISCARD vg_status vg_jval_len(vg_jinja *j, const vg_jval *v, size_t *n);
bool vg_jval_has_len(const vg_jval *v);
/* Python's list(). */
VG_NODISCARD vg_status vg_jval_list(vg_jinja *j, const vg_jval *v, vg_jkind kind, vg_jval *out);
VG_NODISCARD vg_status vg_jval_hashable(vg_jinja *j, const vg_jval *v);

/* ---- jinja_ops.c: operators -------------------------------------------------------------------*/

VG_NODISCARD vg_status vg_jval_eq(vg_jinja *j, const vg_jval *a, const vg_jval *b, bool *out);
/* *order < 0, 0, > 0; `op` names the operator in an error. */
VG_NODISCARD vg_status vg_jval_order(vg_jinja *j, const vg_jval *a, const vg_jval *b,
                                     const char *op, int *order);
VG_NODISCARD vg_status vg_jval_compare(vg_jinja *j, vg_jop op, const vg_jval *a, const vg_jval *b,
                                       bool *out);
VG_NODISCARD vg_status vg_jval_in(vg_jinja *j, const vg_jval *item, const vg_jval *in, bool *out);
VG_NODISCARD vg_status vg_jval_binary(vg_jinja *j, vg_jop op, const vg_jval *a, const vg_jval *b,
                                      vg_jval *out);
VG_NODISCARD vg_status vg_jval_negate(vg_jinja *j, const vg_jval *a, bool minus, vg_jval *out);
VG_NODISCARD vg_status vg_jval_attr(vg_jinja *j, const vg_jval *v, vg_str name, vg_jval *out);
VG_NODISCARD vg_status vg_jval_item(vg_jinja *j, const vg_jval *v, const vg_jval *key,
                                    vg_jval *out);
/* bound[3]: start, stop, step, each an int or none. */
VG_NODISCARD vg_status vg_jval_slice(vg_jinja *j, const vg_jval *v, const vg_jval *bound,
                                     vg_jval *out);

/* ---- jinja_print.c -------------------------------------------------------------------------- */

/* Appends str(v) or repr(v) to j->out. */
VG_NODISCARD vg_status vg_jval_print(vg_jinja *j, const vg_jval *v);
VG_NODISCARD vg_status vg_jval_repr(vg_jinja *j, const vg_jval *v);
VG_NODISCARD vg_status vg_jout_check(vg_jinja *j);
/* str(v) as a value; a string is itself, with its mark. */
VG_NODISCARD vg_status vg_jval_text(vg_jinja *j, const vg_jval *v, vg_jval *out);
/* The same, or an error that names `what`, where v must be a string or an int. */
VG_NODISCARD vg_status vg_jval_want_str(vg_jinja *j, const vg_jval *v, const char *what,
                                        vg_str *out);
VG_NODISCARD vg_status vg_jval_want_int(vg_jinja *j, const vg_jval *v, const char *what,
                                        int64_t *out);
VG_NODISCARD vg_status vg_jval_escape(vg_jinja *j, const vg_jval *v, vg_jval *out);
typedef struct vg_jdump {
    bool ascii, sorted, lines; /* lines: one item a line, indented by `indent` */
    vg_str indent, comma, colon;
} vg_jdump;
VG_NODISCARD vg_status vg_jval_dump(vg_jinja *j, const vg_jval *v, const vg_jdump *how);

/* ---- jinja_format.c ------------------------------------------------------------------------- */

VG_NODISCARD vg_status vg_jformat_percent(vg_jinja *j, const vg_jval *fmt, const vg_jval *arg,
                                          vg_jval *out);
VG_NODISCARD vg_status vg_jformat_braces(vg_jinja *j, vg_str fmt, const vg_jargs *args,
                                         vg_jval *out);

/* ---- jinja_text.c: characters --------------------------------------------------------------- */

bool vg_jcp_space(int32_t cp);
bool vg_jcp_alpha(int32_t cp);
bool vg_jcp_digit(int32_t cp);   /* decimal */
bool vg_jcp_numeric(int32_t cp); /* fractions and Roman numerals too */
bool vg_jcp_upper(int32_t cp);
bool vg_jcp_lower(int32_t cp);
bool vg_jcp_printable(int32_t cp);
int32_t vg_jcp_to_upper(int32_t cp);
/* Appends a character in upper or lower case, which may be more than one. */
void vg_jcp_put(vg_buf *b, int32_t cp, bool upper);
size_t vg_jtext_count(vg_str s);            /* characters */
size_t vg_jtext_offset(vg_str s, size_t i); /* byte where character i begins, at most s.n */
vg_str vg_jtext_strip(vg_str s, bool left, bool right);
/* The first place of `what` in s from byte `from` on; SIZE_MAX where there is none. */
VG_NODISCARD vg_status vg_jtext_find(vg_jinja *j, vg_str s, vg_str what, size_t from,
                                     size_t *at);
VG_NODISCARD vg_status vg_jtext_rfind(vg_jinja *j, vg_str s, vg_str what, size_t *at);

#endif
