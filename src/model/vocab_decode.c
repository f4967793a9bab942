/* Ids to text, one token at a time: a token gives bytes, bytes collect until they are whole UTF-8
 * characters. What can never become one comes out as U+FFFD, one for each maximal part of a broken
 * sequence (Unicode 16.0, section 3.9, table 3-7; what browsers and Python do). */
#include "model/vocab_int.h"

/* The length of the character, or of the maximal part of one, that s begins with. *cut: the end of
 * s came before it was complete; *ok: it is whole. */
static size_t next_part(const unsigned char *s, size_t n, bool *ok, bool *cut)
{
    *ok = s[0] < 0x80;
    *cut = false;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 1;
    size_t need = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    unsigned low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < need; i++) {
        if (i == n) {
            *cut = true;
            return i;
        }
        if (s[i] < low || s[i] > high) return i;
        low = 0x80;
        high = 0xBF;
    }
    *ok = true;
    return need;
}

/* What a token's text is, with U+2581 as a space; `out` holds VG_DECODE_MAX. */
static size_t unescape(vg_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        bool space = s.n - i >= 3 && memcmp(s.p + i, VOCAB_SPACE, 3) == 0;
        out[n++] = space ? ' ' : s.p[i];
        i += space ? 3 : 1;
    }
    return n;
}

static size_t wordpiece_text(const vg_vocab *v, vg_str s, char *out)
{
    if (!v->hashes) return unescape(s, out);
    if (vg_str_starts(s, VG_STR("##"))) {
        memcpy(out, s.p + 2, s.n - 2);
        return s.n - 2;
    }
    out[0] = ' ';
    memcpy(out + 1, s.p, s.n);
    return s.n + 1;
}

/* The bytes of a token that is no control token. */
static size_t token_bytes(const vg_vocab *v, bool begun, int32_t id, char *out)
{
    vg_str key = v->key[id];
    size_t n;
    if (v->type[id] == TOKEN_BYTE) {
        out[0] = (char)vocab_byte_value(v->text[id]);
        return 1;
    }
    if (v->kind == VOCAB_WORDPIECE) n = wordpiece_text(v, key, out);
    else if (v->raw) n = unescape(key, out);
    else {
        memcpy(out, key.p, key.n);
        return key.n;
    }
    bool strip = !begun && n && out[0] == ' ' && (v->space_prefix || v->kind == VOCAB_WORDPIECE);
    if (strip) memmove(out, out + 1, --n);
    return n;
}

size_t vg_vocab_text(const vg_vocab *v, int32_t id, char *out)
{
    uint8_t type = v->type[id];
    bool is_text = type != TOKEN_CONTROL && type != TOKEN_UNKNOWN && type != TOKEN_UNUSED;
    return is_text ? token_bytes(v, true, id, out) : 0;
}

/* Adds whole characters to buf, keeps a sequence that may still become one. */
static size_t assemble(vg_decoder *d, const char *in, size_t n_in, char *buf)
{
    unsigned char s[VG_DECODE_MAX + sizeof d->held];
    size_t n = d->n_held, at = 0, out = 0;
    memcpy(s, d->held, n);
    memcpy(s + n, in, n_in);
    n += n_in;
    d->n_held = 0;
    while (at < n) {
        bool ok, cut;
        size_t len = next_part(s + at, n - at, &ok, &cut);
        if (cut) {
            memcpy(d->held, s + at, len);
            d->n_held = (uint8_t)len;
        } else if (ok) {
            memcpy(buf + out, s + at, len);
            out += len;
        } else {
            memcpy(buf + out, "\xEF\xBF\xBD", 3);
            out += 3;
        }
        at += len;
    }
    return out;
}

bool vocab_decodes_within(vg_str s)
{
    size_t out = 3, at = 0; /* what was held may come out as one U+FFFD */
    while (at < s.n) {
        bool ok, cut;
        size_t len = next_part((const unsigned char *)s.p + at, s.n - at, &ok, &cut);
        out += ok ? len : 3;
        at += len;
    }
    return out + 1 <= VG_DECODE_MAX;
}

static vg_status check_room(size_t cap, vg_err *err)
{
    if (cap >= VG_DECODE_MAX) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "a buffer of %zu bytes; at least %d are needed", cap,
                   VG_DECODE_MAX);
}

static vg_status check_id(const vg_vocab *v, int32_t id, vg_err *err)
{
    if (id >= 0 && (size_t)id < v->n) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "token %d; the vocabulary has %zu", id, v->n);
}

vg_status vg_vocab_token_bytes(const vg_vocab *v, int32_t id, char *buf, size_t cap, size_t *n,
                               vg_err *err)
{
    *n = 0;
    VG_TRY(check_room(cap, err));
    VG_TRY(check_id(v, id, err));
    if (v->type[id] != TOKEN_CONTROL && v->type[id] != TOKEN_UNKNOWN) {
        *n = token_bytes(v, true, id, buf);
        return VG_OK;
    }
    *n = VG_MIN(v->text[id].n, cap);
    memcpy(buf, v->text[id].p, *n);
    return VG_OK;
}

vg_status vg_vocab_decode(const vg_vocab *v, vg_decoder *d, int32_t id, char *buf, size_t cap,
                          size_t *n, vg_err *err)
{
    *n = 0;
    VG_TRY(check_room(cap, err));
    if (d->n_held > 3) return VG_FAIL(err, VG_E_USAGE, "the decoder was not zeroed");
    if (id == -1) {
        if (d->n_held) memcpy(buf, "\xEF\xBF\xBD", *n = 3);
        d->n_held = 0;
        return VG_OK;
    }
    VG_TRY(check_id(v, id, err));
    char bytes[VG_DECODE_MAX];
    if (v->type[id] == TOKEN_CONTROL || v->type[id] == TOKEN_UNKNOWN) {
        if (d->special) *n = assemble(d, v->text[id].p, v->text[id].n, buf);
        return VG_OK;
    }
    size_t n_bytes = token_bytes(v, d->begun, id, bytes);
    d->begun = true;
    *n = assemble(d, bytes, n_bytes, buf);
    return VG_OK;
}
