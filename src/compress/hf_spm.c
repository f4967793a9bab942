/* hf_spm.c: reads a SentencePiece model (tokenizer.model), a protocol buffer message, field by
 * field: pieces with score and type, the kind of model, and what is done to text before it. Fields
 * that are not known are stepped over, as the format wants it; a length that lies ends the reading.
 * Format: sentencepiece_model.proto of the SentencePiece project; protobuf's encoding page. */
#include "compress/hf_int.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { UNIGRAM = 1, BPE = 2 };                    /* TrainerSpec.ModelType */
enum { MODEL_TYPE = 3, SUFFIX = 24 };             /* TrainerSpec */
enum { CHARSMAP = 2, ADD_SPACE = 3, MERGE_SPACES = 4, ESCAPE_SPACES = 5 }; /* NormalizerSpec */
enum { NORMAL = 1, BYTE = 6 };                    /* SentencePiece.Type, and GGUF's token types */

typedef struct field {
    uint64_t number, value; /* VARINT, FIXED32, FIXED64 */
    unsigned wire;
    vg_str bytes;           /* BYTES */
} field;

static bool take_varint(vg_str *s, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && s->n > 0; shift += 7) {
        uint8_t b = (uint8_t)*s->p;
        s->p++;
        s->n--;
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) return true;
    }
    return false;
}

static bool take_fixed(vg_str *s, size_t n, uint64_t *out)
{
    if (s->n < n) return false;
    *out = 0;
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)(uint8_t)s->p[i] << (8 * i);
    s->p += n;
    s->n -= n;
    return true;
}

/* The next field of a message; false where the bytes are none. */
static bool take_field(vg_str *s, field *f)
{
    uint64_t tag, n;
    if (!take_varint(s, &tag)) return false;
    *f = (field){.number = tag >> 3, .wire = (unsigned)(tag & 7)};
    switch (f->wire) {
    case VARINT: return take_varint(s, &f->value);
    case FIXED32: return take_fixed(s, 4, &f->value);
    case FIXED64: return take_fixed(s, 8, &f->value);
    case BYTES: break;
    default: return false;
    }
    if (!take_varint(s, &n) || n > s->n) return false;
    f->bytes = (vg_str){s->p, (size_t)n};
    s->p += n;
    s->n -= (size_t)n;
    return true;
}

static bool read_piece(vg_str s, vg_str *text, float *score, int32_t *type)
{
    field f;
    *text = (vg_str){"", 0};
    *score = 0;
    *type = NORMAL;
    while (s.n > 0) {
        if (!take_field(&s, &f)) return false;
        if (f.number == 1 && f.wire == BYTES) *text = f.bytes;
        if (f.number == 3 && f.wire == VARINT && f.value >= NORMAL && f.value <= BYTE)
            *type = (int32_t)f.value;
        if (f.number != 2 || f.wire != FIXED32) continue;
        uint32_t bits = (uint32_t)f.value;
        memcpy(score, &bits, sizeof bits);
    }
    return vg_utf8_valid(text->p, text->n) == text->n;
}

/* Whether the number of field `number` is not zero; `def` where the message lacks it. */
static bool read_flag(vg_str s, uint64_t number, uint64_t def, uint64_t *out)
{
    field f;
    *out = def;
    while (s.n > 0) {
        if (!take_field(&s, &f)) return false;
        if (f.number == number && f.wire == VARINT) *out = f.value;
    }
    return true;
}

static bool read_bytes(vg_str s, uint64_t number, vg_str *out)
{
    field f;
    while (s.n > 0) {
        if (!take_field(&s, &f)) return false;
        if (f.number == number && f.wire == BYTES) *out = f.bytes;
    }
    return true;
}

static bool read_all(vg_str s, hf_vocab *v, hf_spm *out)
{
    field f;
    uint64_t kind = UNIGRAM, add_space = 1, merge_spaces = 1, suffix = 0, escape = 1;
    *out = (hf_spm){0};
    while (s.n > 0) {
        if (!take_field(&s, &f)) return false;
        if (f.wire != BYTES) continue;
        if (f.number == 1) {
            vg_str text;
            float score;
            int32_t type;
            if (!read_piece(f.bytes, &text, &score, &type)) return false;
            size_t i = out->n++;
            if (!v || i >= v->n) continue;
            v->text[i] = text;
            v->score[i] = score;
            v->type[i] = type;
        } else if (f.number == 2) {
            if (!read_flag(f.bytes, MODEL_TYPE, UNIGRAM, &kind)) return false;
            if (!read_flag(f.bytes, SUFFIX, 0, &suffix)) return false;
        } else if (f.number == 3) {
            if (!read_bytes(f.bytes, CHARSMAP, &out->charsmap)) return false;
            if (!read_flag(f.bytes, ADD_SPACE, 1, &add_space)) return false;
            if (!read_flag(f.bytes, MERGE_SPACES, 1, &merge_spaces)) return false;
            if (!read_flag(f.bytes, ESCAPE_SPACES, 1, &escape)) return false;
        }
    }
    out->kind_is_bpe = kind == BPE;
    out->known = (kind == BPE || kind == UNIGRAM) && !suffix && escape;
    out->add_space = add_space != 0;
    out->merge_spaces = merge_spaces != 0;
    return out->n > 0;
}

vg_status hf_spm_read(vg_str bytes, hf_vocab *v, hf_spm *out, vg_err *err)
{
    if (!read_all(bytes, v, out))
        return VG_FAIL(err, VG_E_FORMAT, "tokenizer.model is no SentencePiece model");
    if (out->known) return VG_OK;
    return VG_FAIL(err, VG_E_UNSUPPORTED, "tokenizer.model is a SentencePiece model of words or "
                   "characters, or puts spaces behind words; BPE and Unigram are supported");
}
