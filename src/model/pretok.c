/* Pre-tokenizers without a regular-expression engine. What real tokenizers use comes down to about
 * a dozen kinds of alternative ("an optional lead, a run of a class, an optional tail", "white
 * space up to its last newline", ...). A stage is a list of alternatives, tried in order at each
 * position as a regular expression would; text that none matches is a piece of its own. A name of
 * tokenizer.ggml.pre is a row: up to six stages, each cutting the pieces of the one before.
 * The rows are facts of the models' tokenizer.json files, as llama.cpp's table of names gives them.
 * Each alternative ends where the greedy, backtracking match would: the reasons are beside them.
 * Long runs are measured once, so that time stays linear in the text. */
#include "model/pretok.h"

#include "model/unicode.h"

typedef struct range {
    int32_t from, to;
} range;

#include "model/pretok.inc"

typedef enum kind {
    END,         /* of the list */
    RUN,         /* lead? class{min,max} tail* */
    CONTRACTION, /* 's|'t|'re|'ve|'m|'ll|'d */
    CAPITALIZED, /* lead? [Lu Lt Lm Lo M]*[Ll Lm Lo M]+ tail? */
    CAPITALS,    /* lead? [Lu Lt Lm Lo M]+[Ll Lm Lo M]* tail? */
    SPACED,      /* lead? (L M* ( L M*)*)+ */
    ASCII_WORD,  /* [!-/:-@[-`{-~][A-Za-z]+ */
    NEWLINE,     /* \s*[\r\n]+ */
    SPACE_END,   /* \s+(?!\S) */
    LINE_END,    /* \s+$ */
    SPACE_POWER, /* \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1} */
    INDENT,      /* [\t\n]|    |  */
    DIGIT_GROUP, /* digits, cut into threes from the right */
    DIGIT_SPLIT  /* (?=(\d{3})+(?!\d)): text up to the next place of such a cut */
} kind;

typedef enum lead {
    NO_LEAD,
    LEAD_BLANK, /* " ?" */
    LEAD_SPACE, /* \s? */
    LEAD_OTHER, /* [^\r\n\p{L}\p{N}]? */
    LEAD_PLAIN  /* [^\r\n\p{L}\p{P}\p{S}]? */
} lead;

typedef enum tail {
    NO_TAIL,
    TAIL_LINES,       /* [\r\n]* */
    TAIL_LINES_SLASH, /* [\r\n/]* */
    TAIL_LINE_SLASH,  /* [\r\n/]? */
    TAIL_CONTRACTION  /* (?i:'s|'t|'re|'ve|'m|'ll|'d)? */
} tail;

typedef struct rule {
    kind kind;
    lead lead;
    tail tail;
    unsigned min, max; /* characters of a RUN; max 0: any number */
    uint32_t set;      /* classes of characters, */
    const range *also; /* and ranges of them */
    size_t n_also;
    bool negate;   /* all but these */
    bool any_case; /* CONTRACTION */
    bool no_han;   /* CAPITALS: Han characters do not count as letters */
    bool at_edge;  /* DIGIT_GROUP: only where no word character follows the digits */
} rule;

enum { IGNORE_MERGES = 1, ADD_BOS = 2, RAW = 4, NFC = 8 };

struct vg_pretok {
    const char *name;
    const rule *stage[VG_PRETOK_STAGES];
    unsigned flags;
};

/* ---- the alternatives of real tokenizers ---------------------------------------------------- */

#define RANGES(r) .also = (r), .n_also = VG_COUNT(r)
#define WORD_CLASSES (VG_UC_L | VG_UC_N | VG_UC_SPACE)
#define CONTRACTIONS {.kind = CONTRACTION, .any_case = true}
#define WORD {.kind = RUN, .lead = LEAD_OTHER, .set = VG_UC_L}
#define DIGITS(most) {.kind = RUN, .set = VG_UC_N, .max = (most)}
#define PUNCT(t) {.kind = RUN, .lead = LEAD_BLANK, .tail = (t), .set = WORD_CLASSES, .negate = true}
#define LINES {.kind = NEWLINE}
#define SPACES {.kind = SPACE_END}, {.kind = RUN, .set = VG_UC_SPACE}
#define CASED(t, han)                                                                              \
    {.kind = CAPITALIZED, .lead = LEAD_OTHER, .tail = (t), .no_han = (han)},                       \
        {.kind = CAPITALS, .lead = LEAD_OTHER, .tail = (t), .no_han = (han)}
#define STOP {.kind = END}

static const range ascii_digits[] = {{'0', '9'}};
static const range newline[] = {{'\n', '\n'}};
static const range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}};
static const range symbols_of_default[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                           {'|', '|'}, {'~', '~'}};
static const range ascii_symbols[] = {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};
static const range bloom_breaks[] = {{'!', '!'}, {'(', ')'}, {',', ','}, {'.', '.'}, {'?', '?'},
                                     {'|', '|'}, {0x60C, 0x60C}, {0x6D4, 0x6D4}, {0x964, 0x964},
                                     {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C}};
static const range deepseek_punct[] = {{'!', '/'}, {':', '~'}, {0x2018, 0x201F},
                                       {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
static const range deepseek_asian[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const range han_kana[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
static const range hangul[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
static const range wide_punct[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D},
                                   {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
                                   {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
static const range bopomofo[] = {{0x3105, 0x312F}};
static const range afmoe_asian[] = {{0xE00, 0xEFF}, {0x1000, 0x109F}, {0x1100, 0x11FF},
                                    {0x1780, 0x17FF}, {0x2F00, 0x2FDF}, {0x3040, 0x30FF},
                                    {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA9E0, 0xA9FF},
                                    {0xAA60, 0xAA7F}, {0xAC00, 0xD7AF}, {0xF900, 0xFAFF},
                                    {0xFF65, 0xFF9F}};

static const rule gpt2[] = {{.kind = CONTRACTION},
                            {.kind = RUN, .lead = LEAD_BLANK, .set = VG_UC_L},
                            {.kind = RUN, .lead = LEAD_BLANK, .set = VG_UC_N},
                            PUNCT(NO_TAIL), SPACES, STOP};
static const rule llama3[] = {CONTRACTIONS, WORD,   DIGITS(3), PUNCT(TAIL_LINES),
                              LINES,        SPACES, STOP};
static const rule qwen2[] = {CONTRACTIONS, WORD,   DIGITS(1), PUNCT(TAIL_LINES),
                             LINES,        SPACES, STOP};
static const rule minicpm[] = {CONTRACTIONS, WORD,  DIGITS(0), PUNCT(TAIL_LINES),
                               LINES,        SPACES, STOP};
static const rule turkish[] = {WORD, DIGITS(1), PUNCT(TAIL_LINES), LINES, SPACES, STOP};
static const rule qwen35[] = {CONTRACTIONS,
                              {.kind = RUN, .lead = LEAD_OTHER, .set = VG_UC_L | VG_UC_M},
                              DIGITS(1),
                              {.kind = RUN, .lead = LEAD_BLANK, .tail = TAIL_LINES, .negate = true,
                               .set = WORD_CLASSES | VG_UC_M},
                              LINES, SPACES, STOP};
static const rule jais2[] = {CONTRACTIONS, WORD,  DIGITS(3), PUNCT(TAIL_LINES),
                             LINES,        {.kind = SPACE_POWER}, STOP};
static const rule seed_coder[] = {CONTRACTIONS, WORD,   DIGITS(1), PUNCT(NO_TAIL),
                                  LINES,        SPACES, STOP};
static const rule exaone_moe[] = {CONTRACTIONS, {.kind = SPACED, .lead = LEAD_OTHER}, DIGITS(1),
                                  PUNCT(TAIL_LINE_SLASH), LINES, SPACES, STOP};
static const rule gpt4o[] = {CASED(TAIL_CONTRACTION, false), DIGITS(3),
                             PUNCT(TAIL_LINES_SLASH), LINES, SPACES, STOP};
static const rule gpt4o_digit[] = {CASED(TAIL_CONTRACTION, false), DIGITS(1),
                                   PUNCT(TAIL_LINES_SLASH), LINES, SPACES, STOP};
static const rule tekken[] = {CASED(NO_TAIL, false), DIGITS(1),
                              PUNCT(TAIL_LINES_SLASH), LINES, SPACES, STOP};
static const rule kimi[] = {{.kind = RUN, .set = VG_UC_HAN},
                            CASED(TAIL_CONTRACTION, true), DIGITS(3),
                            PUNCT(TAIL_LINES), LINES, SPACES, STOP};
#define DEEPSEEK_WORDS                                                                             \
    {.kind = ASCII_WORD}, {.kind = RUN, .lead = LEAD_PLAIN, .set = VG_UC_L | VG_UC_M}
static const rule deepseek3[] = {DEEPSEEK_WORDS,
                                 {.kind = RUN, .lead = LEAD_BLANK, .tail = TAIL_LINES,
                                  .set = VG_UC_P | VG_UC_S},
                                 LINES, SPACES, STOP};
static const rule spark[] = {DEEPSEEK_WORDS,
                             {.kind = RUN, .lead = LEAD_BLANK, .set = VG_UC_P | VG_UC_S},
                             {.kind = RUN, RANGES(line_ends), .max = 1}, SPACES, STOP};
static const rule bloom[] = {{.kind = RUN, .lead = LEAD_BLANK, .set = VG_UC_SPACE, .negate = true,
                              RANGES(bloom_breaks)}, STOP};

static const rule each_digit[] = {DIGITS(1), STOP};
static const rule three_digits[] = {DIGITS(3), STOP};
static const rule all_digits[] = {DIGITS(0), STOP};
static const rule ascii_three[] = {{.kind = RUN, RANGES(ascii_digits), .min = 3, .max = 3}, STOP};
static const rule digit_groups[] = {{.kind = DIGIT_GROUP, .set = VG_UC_N}, STOP};
static const rule decimal_groups[] = {{.kind = DIGIT_SPLIT}, STOP};
static const rule edge_groups[] = {{.kind = DIGIT_GROUP, .set = VG_UC_ND, .at_edge = true}, STOP};
static const rule each_line[] = {{.kind = RUN, RANGES(newline), .negate = true},
                                 {.kind = RUN, RANGES(newline)}, STOP};
static const rule each_line_end[] = {{.kind = RUN, RANGES(line_ends), .max = 1}, STOP};
static const rule default_punct[] = {{.kind = RUN, .set = VG_UC_P, RANGES(symbols_of_default)},
                                     STOP};
static const rule falcon_punct[] = {{.kind = RUN, .set = VG_UC_P, RANGES(ascii_symbols)}, STOP};
static const rule each_punct[] = {{.kind = RUN, .set = VG_UC_P, RANGES(ascii_symbols), .max = 1},
                                  STOP};
static const rule letters_of_deepseek[] = {{.kind = RUN, .lead = LEAD_SPACE,
                                            RANGES(deepseek_letters)}, STOP};
static const rule punct_of_deepseek[] = {{.kind = RUN, .lead = LEAD_SPACE, RANGES(deepseek_punct)},
                                         STOP};
static const rule letters_of_coder[] = {{.kind = RUN, .lead = LEAD_SPACE, .set = VG_UC_L}, STOP};
static const rule punct_of_coder[] = {{.kind = RUN, .lead = LEAD_SPACE, .set = VG_UC_P}, STOP};
static const rule asian_of_deepseek[] = {{.kind = RUN, RANGES(deepseek_asian)}, STOP};
static const rule line_end[] = {{.kind = LINE_END}, STOP};
static const rule each_han_kana[] = {{.kind = RUN, RANGES(han_kana)}, STOP};
static const rule asian_of_afmoe[] = {{.kind = RUN, RANGES(afmoe_asian)}, STOP};
static const rule asian_of_youtu[] = {{.kind = RUN, RANGES(hangul)},
                                      {.kind = RUN, RANGES(wide_punct)},
                                      {.kind = RUN, RANGES(bopomofo)},
                                      {.kind = RUN, RANGES(han_kana)}, STOP};
static const rule indents[] = {{.kind = INDENT}, STOP};

#define DEEPSEEK3 {three_digits, each_han_kana, deepseek3}
#define DEFAULT {default_punct, gpt2, all_digits, ascii_three}

static const vg_pretok pretoks[] = {
    {"", DEFAULT, 0},
    {"default", DEFAULT, 0},
    {"a.x-4.0", {gpt2}, 0},
    {"afmoe", {digit_groups, asian_of_afmoe, deepseek3}, 0},
    {"bailingmoe", {qwen2}, 0},
    {"bailingmoe2", {qwen2}, 0},
    {"bloom", {bloom}, 0},
    {"chameleon", {indents, each_digit, each_punct, gpt2}, ADD_BOS},
    {"chatglm-bpe", {llama3}, 0},
    {"codeshell", {each_digit, gpt2}, 0},
    {"cohere2moe", {edge_groups, gpt4o}, 0},
    {"command-r", {each_digit, gpt2}, NFC},
    {"dbrx", {llama3}, 0},
    {"deepseek-coder", {each_line_end, letters_of_coder, punct_of_coder, asian_of_deepseek,
                        each_digit}, 0},
    {"deepseek-llm", {each_line_end, letters_of_deepseek, punct_of_deepseek, line_end,
                      asian_of_deepseek, all_digits}, 0},
    {"deepseek-r1-qwen", {qwen2}, 0},
    {"deepseek-v3", DEEPSEEK3, 0},
    {"exaone", {each_digit, gpt2}, 0},
    {"exaone-moe", {exaone_moe}, 0},
    {"exaone4", {gpt2}, 0},
    {"f2llmv2", {qwen2}, 0},
    {"falcon", {falcon_punct, gpt2, all_digits, ascii_three}, 0},
    {"falcon-h1", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"falcon3", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"gemma4", {NULL}, RAW | ADD_BOS},
    {"gigachat", {gpt2}, 0},
    {"glm4", {llama3}, IGNORE_MERGES},
    {"glm5", {llama3}, IGNORE_MERGES},
    {"gpt-2", {gpt2}, 0},
    {"gpt-4o", {gpt4o}, 0},
    {"gpt3-finnish", {bloom}, 0},
    {"granite-docling", {gpt2}, 0},
    {"granite-embed-multi-311m", {NULL}, RAW | ADD_BOS},
    {"granite-embed-multi-97m", {gpt4o}, IGNORE_MERGES},
    {"grok-2", {qwen2}, 0},
    {"hunyuan", {qwen2}, 0},
    {"hunyuan-dense", DEEPSEEK3, 0},
    {"hy_v4", DEEPSEEK3, 0},
    {"jais", {gpt2}, 0},
    {"jais-2", {jais2}, 0},
    {"jina-de", {gpt2}, 0},
    {"jina-es", {gpt2}, 0},
    {"jina-v1-en", {gpt2}, 0},
    {"jina-v2-code", {gpt2}, 0},
    {"jina-v2-de", {gpt2}, 0},
    {"jina-v2-es", {gpt2}, 0},
    {"jina-v5-nano", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"joyai-llm", DEEPSEEK3, 0},
    {"kanana2", {gpt4o}, 0},
    {"kimi-k2", {kimi}, 0},
    {"kormo", {qwen2}, 0},
    {"laguna", {each_line, qwen2}, 0},
    {"lfm2", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"llada-moe", {qwen2}, 0},
    {"llama-bpe", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama-v3", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama3", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"llama4", {gpt4o}, 0},
    {"megrez", {qwen2}, 0},
    {"mellum", {gpt2}, 0},
    {"mellum2", {each_digit, gpt2}, 0},
    {"midm-2.0", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"minerva-7b", {each_digit, gpt2}, 0},
    {"minicpm5", {three_digits, minicpm}, IGNORE_MERGES},
    {"minimax-m2", {gpt4o}, 0},
    {"modern-bert", {gpt2}, 0},
    {"mpt", {gpt2}, NFC},
    {"olmo", {gpt2}, NFC},
    {"phi-2", {gpt2}, 0},
    {"pixtral", {llama3}, IGNORE_MERGES | ADD_BOS},
    {"poro-chat", {bloom}, 0},
    {"qwen2", {qwen2}, NFC},
    {"qwen35", {qwen35}, NFC},
    {"refact", {each_digit, gpt2}, 0},
    {"roberta-bpe", {gpt2}, 0},
    {"sarvam-moe", {NULL}, RAW},
    {"seed-coder", {seed_coder}, 0},
    {"smaug-bpe", {llama3}, 0},
    {"smollm", {each_digit, gpt2}, 0},
    {"solar-open", {qwen2}, 0},
    {"spark2_5", {three_digits, each_han_kana, spark}, 0},
    {"stablelm2", {qwen2}, NFC},
    {"starcoder", {each_digit, gpt2}, 0},
    {"superbpe", {all_digits, decimal_groups}, 0},
    {"talkie", {gpt4o}, 0},
    {"tekken", {tekken}, IGNORE_MERGES | ADD_BOS},
    {"tiny_aya", {edge_groups, gpt4o}, 0},
    {"trillion", {gpt2}, 0},
    {"ufakzeka", {turkish}, 0},
    {"viking", {bloom, each_digit}, 0},
    {"youtu", {asian_of_youtu, gpt4o_digit}, IGNORE_MERGES},
};

/* ---- matching ------------------------------------------------------------------------------- */

typedef struct letter {
    int32_t cp;     /* -1: a byte that is no character, or the end */
    uint32_t class;
    size_t n; /* 0: the end */
} letter;

static inline letter look(const char *s, size_t at, size_t end)
{
    letter c = {.cp = -1};
    if (at >= end) return c;
    unsigned char byte = (unsigned char)s[at];
    c.cp = byte;
    c.n = byte < 0x80 ? 1 : vg_utf8_next(s + at, end - at, &c.cp);
    c.class = vg_unicode_class(c.cp);
    return c;
}

static bool in_ranges(const rule *r, int32_t cp)
{
    size_t lo = 0, hi = r->n_also;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > r->also[mid].to) lo = mid + 1;
        else hi = mid;
    }
    return lo < r->n_also && cp >= r->also[lo].from;
}

static bool in_class(const rule *r, letter c)
{
    if (!c.n) return false;
    bool in = (c.class & r->set) != 0 || (r->n_also && in_ranges(r, c.cp));
    return in != r->negate;
}

static bool is_line_end(letter c)
{
    return c.cp == '\r' || c.cp == '\n';
}

static bool is_lead(lead which, letter c)
{
    switch (which) {
    case LEAD_BLANK: return c.cp == ' ';
    case LEAD_SPACE: return (c.class & VG_UC_SPACE) != 0;
    case LEAD_OTHER: return c.n && !is_line_end(c) && !(c.class & (VG_UC_L | VG_UC_N));
    case LEAD_PLAIN:
        return c.n && !is_line_end(c) && !(c.class & (VG_UC_L | VG_UC_P | VG_UC_S));
    default: return false;
    }
}

/* U+017F folds to s, so that (?i) takes it for one. */
static int32_t fold(letter c)
{
    if (c.cp == 0x17F) return 's';
    return c.cp >= 'A' && c.cp <= 'Z' ? c.cp + ('a' - 'A') : c.cp;
}

/* The end of a contraction that begins at `at`, or `at`. */
static size_t match_contraction(const char *s, size_t at, size_t end, bool any_case)
{
    if (at >= end || s[at] != '\'') return at;
    letter a = look(s, at + 1, end), b = look(s, at + 1 + a.n, end);
    int32_t x = any_case ? fold(a) : a.cp, y = any_case ? fold(b) : b.cp;
    if (x == 's' || x == 't' || x == 'm' || x == 'd') return at + 1 + a.n;
    if ((x == 'r' && y == 'e') || (x == 'v' && y == 'e') || (x == 'l' && y == 'l'))
        return at + 1 + a.n + b.n;
    return at;
}

static size_t match_tail(tail which, const char *s, size_t at, size_t end)
{
    if (which == NO_TAIL) return at;
    if (which == TAIL_CONTRACTION) return match_contraction(s, at, end, true);
    bool slash = which != TAIL_LINES;
    while (at < end && (s[at] == '\r' || s[at] == '\n' || (slash && s[at] == '/'))) {
        at++;
        if (which == TAIL_LINE_SLASH) break;
    }
    return at;
}

static size_t match_body(const rule *r, const char *s, size_t at, size_t end)
{
    size_t to = at;
    unsigned n = 0;
    while (!r->max || n < r->max) {
        letter c = look(s, to, end);
        if (!in_class(r, c)) break;
        to += c.n;
        n++;
    }
    if (!n || n < r->min) return at;
    return match_tail(r->tail, s, to, end);
}

/* Upper-case letters, then lower-case ones; letters without case and marks count as both. A greedy
 * `upper*` takes the whole run; `lower+` then goes on after it, or, where nothing lower follows,
 * backs off to the last character of the run that counts as lower, which ends the match. */
static size_t match_cased(const rule *r, const char *s, size_t at, size_t end)
{
    const uint32_t both = VG_UC_LM | VG_UC_LO | VG_UC_M;
    size_t to = at, last_both = at;
    letter c;
    for (;; to += c.n) {
        c = look(s, to, end);
        if (!(c.class & (VG_UC_LU | VG_UC_LT | both)) || !c.n) break;
        if (r->no_han && c.class & VG_UC_HAN) break;
        if (c.class & both) last_both = to + c.n;
    }
    size_t upper = to;
    for (;; to += c.n) {
        c = look(s, to, end);
        if (!(c.class & (VG_UC_LL | both)) || !c.n || (r->no_han && c.class & VG_UC_HAN)) break;
    }
    if (r->kind == CAPITALS && upper == at) return at;
    if (r->kind == CAPITALIZED && to == upper) to = last_both;
    return to > at ? match_tail(r->tail, s, to, end) : at;
}

static size_t match_spaced(const char *s, size_t at, size_t end)
{
    size_t to = at;
    for (;;) {
        letter c = look(s, to, end);
        size_t blank = c.cp == ' ' && to > at ? 1 : 0;
        if (blank) c = look(s, to + 1, end);
        if (!(c.class & VG_UC_L) || !c.n) return to;
        to += blank + c.n;
        while (c = look(s, to, end), c.n && c.class & VG_UC_M) to += c.n;
    }
}

static size_t match_ascii_word(const char *s, size_t at, size_t end)
{
    letter c = look(s, at, end);
    if (c.cp < '!' || c.cp > '~' || c.class & (VG_UC_L | VG_UC_N)) return at;
    size_t to = at + 1;
    while (to < end && ((s[to] >= 'A' && s[to] <= 'Z') || (s[to] >= 'a' && s[to] <= 'z'))) to++;
    return to > at + 1 ? to : at;
}

/* The end of the run of `class` around `at`, measured once however often it is asked for. */
static size_t run_end(vg_pretok_span *span, const char *s, size_t at, uint32_t class)
{
    if (at >= span->run_from && at < span->run_to) return span->run_to;
    size_t to = at, n = 0;
    letter c;
    for (; c = look(s, to, span->end), c.n && c.class & class; n++) to += c.n;
    *span = (vg_pretok_span){span->at, span->end, at, to, n};
    return to;
}

/* `\s*` takes the run of white space and backs off to its last line end. */
static size_t match_newline(const char *s, size_t at, size_t end)
{
    size_t last = at;
    letter c;
    for (size_t to = at; c = look(s, to, end), c.n && c.class & VG_UC_SPACE; to += c.n)
        if (is_line_end(c)) last = to + 1;
    return last;
}

/* `\s+(?!\S)` takes the run, less its last character where text follows. */
static size_t match_space_end(const char *s, size_t at, size_t end)
{
    size_t to = at, before = at;
    letter c;
    for (; c = look(s, to, end), c.n && c.class & VG_UC_SPACE; to += c.n) before = to;
    return to == end ? to : before;
}

static size_t match_space_power(const char *s, size_t at, size_t end)
{
    static const unsigned size[] = {512, 256, 128, 64, 32, 16, 8, 4, 2, 1};
    size_t after[514] = {at}; /* where the n-th character ends */
    unsigned n = 0;
    letter c;
    while (n < 513 && (c = look(s, after[n], end), c.n && c.class & VG_UC_SPACE)) {
        after[n + 1] = after[n] + c.n;
        n++;
    }
    for (size_t i = 0; i < VG_COUNT(size); i++)
        if (n > size[i] || (n == size[i] && after[n] == end)) return after[size[i]];
    return n ? after[1] : at;
}

static size_t match_indent(const char *s, size_t at, size_t end)
{
    if (s[at] == '\t' || s[at] == '\n') return at + 1;
    size_t n = 0;
    while (n < 4 && at + n < end && s[at + n] == ' ') n++;
    return at + (n == 4 ? 4 : n >= 2 ? 2 : 0);
}

/* Groups are cut from the left while the count of what remains is carried along. */
static size_t match_digit_group(const rule *r, vg_pretok_span *span, const char *s, size_t at)
{
    size_t to = run_end(span, s, at, r->set);
    if (to == at) return at;
    const uint32_t word = VG_UC_L | VG_UC_M | VG_UC_N | VG_UC_PC;
    if (r->at_edge && look(s, to, span->end).class & word) return at;
    size_t take = span->run_n % 3 ? span->run_n % 3 : 3;
    span->run_n -= take;
    while (take--) at += look(s, at, to).n;
    span->run_from = at;
    return at;
}

static size_t match_digit_split(vg_pretok_span *span, const char *s, size_t at)
{
    size_t to = at;
    letter c;
    while (c = look(s, to, span->end), c.n) {
        size_t run = c.class & VG_UC_ND ? run_end(span, s, to, VG_UC_ND) : to;
        size_t n = run > to ? span->run_n : 0, take = n % 3 ? n % 3 : VG_MIN(n, (size_t)3);
        if (n && n % 3 == 0 && to > at) return to;
        if (!n) to += c.n;
        span->run_n -= take;
        for (size_t i = 0; i < take; i++) to += look(s, to, run).n;
        if (n) span->run_from = to;
        if (n > take) return to;
    }
    return to;
}

static size_t match_rule(const rule *r, vg_pretok_span *span, const char *s, size_t at)
{
    size_t end = span->end;
    switch (r->kind) {
    case CONTRACTION: return match_contraction(s, at, end, r->any_case);
    case ASCII_WORD: return match_ascii_word(s, at, end);
    case NEWLINE: return match_newline(s, at, end);
    case SPACE_END: return match_space_end(s, at, end);
    case SPACE_POWER: return match_space_power(s, at, end);
    case INDENT: return match_indent(s, at, end);
    case DIGIT_GROUP: return match_digit_group(r, span, s, at);
    case DIGIT_SPLIT: return match_digit_split(span, s, at);
    case LINE_END: return run_end(span, s, at, VG_UC_SPACE) == end ? end : at;
    default: break;
    }
    letter first = look(s, at, end);
    for (int with = r->lead && is_lead(r->lead, first); with >= 0; with--) {
        size_t from = with ? at + first.n : at;
        size_t to = r->kind == RUN      ? match_body(r, s, from, end)
                    : r->kind == SPACED ? match_spaced(s, from, end)
                                        : match_cased(r, s, from, end);
        if (to > from) return to;
    }
    return at;
}

static size_t match_stage(const rule *r, vg_pretok_span *span, const char *s, size_t at)
{
    for (; r->kind != END; r++) {
        size_t to = match_rule(r, span, s, at);
        if (to > at) return to;
    }
    return at;
}

/* The end of the piece at the start of the span: a match, or the text up to the next one. */
static size_t cut(const rule *stage, vg_pretok_span *span, const char *s)
{
    size_t to = match_stage(stage, span, s, span->at);
    if (to > span->at) return to;
    for (to = span->at; to < span->end; to += look(s, to, span->end).n)
        if (to > span->at && match_stage(stage, span, s, to) > to) break;
    return to;
}

/* ---- outside -------------------------------------------------------------------------------- */

const vg_pretok *vg_pretok_find(vg_str name)
{
    for (size_t i = 0; i < VG_COUNT(pretoks); i++)
        if (vg_str_is(name, pretoks[i].name)) return &pretoks[i];
    return NULL;
}

bool vg_pretok_ignores_merges(const vg_pretok *p)
{
    return p->flags & IGNORE_MERGES;
}

bool vg_pretok_adds_bos(const vg_pretok *p)
{
    return p->flags & ADD_BOS;
}

bool vg_pretok_is_raw(const vg_pretok *p)
{
    return p->flags & RAW;
}

bool vg_pretok_wants_nfc(const vg_pretok *p)
{
    return p->flags & NFC;
}

void vg_pretok_begin(vg_pretok_iter *it, const vg_pretok *p, vg_str text)
{
    *it = (vg_pretok_iter){.pretok = p, .text = text.p};
    it->span[0].end = text.n;
}

bool vg_pretok_next(vg_pretok_iter *it, vg_str *word)
{
    for (;;) {
        vg_pretok_span *span = &it->span[it->depth];
        if (span->at == span->end) {
            if (it->depth == 0) return false;
            it->depth--;
            continue;
        }
        const rule *stage = it->pretok->stage[it->depth];
        size_t from = span->at, to = stage ? cut(stage, span, it->text) : span->end;
        span->at = to;
        if (it->depth + 1 == VG_PRETOK_STAGES || !it->pretok->stage[it->depth + 1]) {
            *word = (vg_str){it->text + from, to - from};
            return true;
        }
        it->span[++it->depth] = (vg_pretok_span){.at = from, .end = to};
    }
}
