/* API keys: read from a file of hashes, looked up in constant time, made from the system's random
 * numbers. SHA-256 and the comparison that does not stop at the first difference come from OpenSSL.
 * A key's text is in memory only while its request's head is. A file that others may write to is
 * refused: whoever can add a line can use the server. */
#include "serve/keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/os.h"

enum { MAX_BYTES = 4 << 20, HASH_BYTES = 32 };

struct vg_keys {
    vg_arena *arena;
    vg_key *key; /* [n] */
    size_t n;
};

static bool hash_of(vg_str s, uint8_t out[HASH_BYTES])
{
    unsigned n = 0;
    return EVP_Digest(s.p ? s.p : "", s.n, out, &n, EVP_sha256(), NULL) == 1 && n == HASH_BYTES;
}

/* ---- reading -------------------------------------------------------------------------------- */

static vg_str next_word(vg_str *rest)
{
    while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t')) rest->p++, rest->n--;
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t') n++;
    vg_str word = {rest->p, n};
    *rest = (vg_str){rest->p + n, rest->n - n};
    return word;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Names go into logs and metrics. */
static bool is_name(vg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !(c && strchr("-_.@", c))) return false;
    }
    return s.n > 0 && s.n < VG_KEY_NAME;
}

static const char *read_hash(vg_key *k, vg_str s)
{
    static const vg_str kind = {"sha256:", 7};
    if (!vg_str_starts(s, kind)) return "the hash does not begin with sha256:";
    if (s.n != kind.n + 2 * HASH_BYTES) return "a SHA-256 has 64 hexadecimal digits";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = hex(s.p[kind.n + 2 * i]), low = hex(s.p[kind.n + 2 * i + 1]);
        if (high < 0 || low < 0) return "a SHA-256 has 64 hexadecimal digits";
        k->hash[i] = (uint8_t)(high * 16 + low);
    }
    return NULL;
}

static bool read_number(vg_str s, long long least, long long most, long long *out)
{
    bool minus = s.n && s.p[0] == '-';
    long long v = 0;
    if (minus) s.p++, s.n--;
    if (s.n == 0 || s.n > 10) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = minus ? -v : v;
    return *out >= least && *out <= most;
}

static const char *read_limit(vg_key *k, vg_str word)
{
    static const vg_str priority = {"priority=", 9}, concurrent = {"max-concurrent=", 15},
                        tokens = {"tokens-per-minute=", 18};
    long long v;
    if (vg_str_is(word, "admin")) {
        k->admin = true;
    } else if (vg_str_starts(word, priority)) {
        if (!read_number((vg_str){word.p + 9, word.n - 9}, -100, 100, &v))
            return "priority is a whole number from -100 to 100";
        k->priority = (int32_t)v;
    } else if (vg_str_starts(word, concurrent)) {
        if (!read_number((vg_str){word.p + 15, word.n - 15}, 1, 1000000, &v))
            return "max-concurrent is a whole number from 1 to 1000000";
        k->max_concurrent = (uint32_t)v;
    } else if (vg_str_starts(word, tokens)) {
        if (!read_number((vg_str){word.p + 18, word.n - 18}, 1, 1000000000, &v))
            return "tokens-per-minute is a whole number from 1 to 1000000000";
        k->tokens_per_minute = (uint32_t)v;
    } else {
        return "behind the hash only admin, priority=, max-concurrent= and tokens-per-minute=";
    }
    return NULL;
}

/* NULL, or what is wrong with the line. */
static const char *read_line(vg_keys *keys, vg_str line)
{
    vg_str rest = line, name = next_word(&rest);
    if (name.n == 0 || name.p[0] == '#') return NULL;
    if (keys->n == VG_MAX_KEYS) return "too many keys";
    vg_key *k = &keys->key[keys->n];
    *k = (vg_key){0};
    if (!is_name(name)) return "a key's name has up to 63 letters, digits, '-', '_', '.' and '@'";
    memcpy(k->name, name.p, name.n);
    const char *wrong = read_hash(k, next_word(&rest));
    for (vg_str word; !wrong && (word = next_word(&rest)).n;) wrong = read_limit(k, word);
    for (size_t i = 0; i < keys->n && !wrong; i++) {
        if (strcmp(keys->key[i].name, k->name) == 0) wrong = "a name that another key has already";
        if (memcmp(keys->key[i].hash, k->hash, HASH_BYTES) == 0)
            wrong = "a key that is there twice";
    }
    if (!wrong) keys->n++;
    return wrong;
}

static vg_status read_lines(vg_keys *k, const char *name, vg_str text, vg_err *err)
{
    size_t n_lines = 1;
    uint32_t line = 0;
    for (size_t i = 0; i < text.n; i++) n_lines += text.p[i] == '\n';
    k->key = VG_ARENA_ARRAY(k->arena, vg_key, VG_MIN(n_lines, (size_t)VG_MAX_KEYS));
    if (!k->key) return VG_FAIL_MEMORY(err, n_lines * sizeof(vg_key));
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n, gone = n + (end != NULL);
        if (n && text.p[n - 1] == '\r') n--;
        line++;
        const char *wrong = read_line(k, (vg_str){text.p, n});
        if (wrong) return VG_FAIL(err, VG_E_FORMAT, "%s:%u: %s", name, line, wrong);
        text = (vg_str){text.p + gone, text.n - gone};
    }
    return VG_OK;
}

vg_status vg_keys_parse(vg_keys **out, const char *name, vg_str text, vg_err *err)
{
    vg_arena *a = NULL;
    if (text.n > MAX_BYTES) return VG_FAIL(err, VG_E_LIMIT, "%s: over %d bytes", name, MAX_BYTES);
    VG_TRY(vg_arena_new(&a, (size_t)VG_MAX_KEYS * sizeof(vg_key) + 65536, err));
    vg_keys *k = VG_ARENA_NEW(a, vg_keys);
    vg_status st = k ? VG_OK : VG_FAIL_MEMORY(err, sizeof *k);
    if (!st) {
        k->arena = a;
        st = read_lines(k, name, text, err);
    }
    if (st) vg_arena_free(a);
    else *out = k;
    return st;
}

vg_status vg_keys_load(vg_keys **out, const char *path, vg_err *err)
{
    vg_file f;
    struct stat st;
    VG_TRY(vg_file_map(&f, path, err));
    vg_status code = VG_OK;
    if (fstat(f.fd, &st)) code = VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        code = VG_FAIL(err, VG_E_USAGE,
                       "%s: others may write to it, so they could add a key; "
                       "chmod go-w",
                       path);
    vg_str text = {(const char *)f.data, (size_t)VG_MIN(f.n, (uint64_t)MAX_BYTES + 1)};
    if (!code) code = vg_keys_parse(out, path, text, err);
    vg_file_unmap(&f);
    return code;
}

void vg_keys_free(vg_keys *k)
{
    if (k) vg_arena_free(k->arena);
}

size_t vg_keys_count(const vg_keys *k)
{
    return k->n;
}

const vg_key *vg_keys_at(const vg_keys *k, size_t i)
{
    assert(i < k->n);
    return &k->key[i];
}

const vg_key *vg_keys_find(const vg_keys *k, vg_str secret)
{
    uint8_t hash[HASH_BYTES];
    const vg_key *found = NULL;
    if (!hash_of(secret, hash)) return NULL;
    for (size_t i = 0; i < k->n; i++)
        if (CRYPTO_memcmp(k->key[i].hash, hash, HASH_BYTES) == 0) found = &k->key[i];
    return found;
}

/* ---- making --------------------------------------------------------------------------------- */

vg_status vg_key_make(const char *name, char secret[VG_KEY_SECRET], char line[VG_KEY_LINE],
                      vg_err *err)
{
    uint8_t bits[HASH_BYTES], hash[HASH_BYTES];
    if (!is_name(vg_str_from(name)))
        return VG_FAIL(err, VG_E_USAGE,
                       "a key's name has up to 63 letters, digits, '-', '_', '.' and '@'");
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        return VG_FAIL(err, VG_E_IO, "getrandom: %s", strerror(errno));
    /* Letters and digits alone: a double click takes all of it. 43 of 62 are 256 bits. */
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = (size_t)snprintf(secret, VG_KEY_SECRET, "vg-");
    for (size_t i = 0; i < 43; i++) {
        unsigned rest = 0; /* the number of 256 bits, divided by 62 */
        for (size_t j = 0; j < HASH_BYTES; j++) {
            unsigned v = rest << 8 | bits[j];
            bits[j] = (uint8_t)(v / 62);
            rest = v % 62;
        }
        secret[n++] = digits[rest];
    }
    secret[n] = '\0';
    if (!hash_of((vg_str){secret, n}, hash)) return VG_FAIL(err, VG_E_IO, "SHA-256 failed");
    size_t at = (size_t)snprintf(line, VG_KEY_LINE, "%s sha256:", name);
    for (size_t i = 0; i < HASH_BYTES; i++)
        at += (size_t)snprintf(line + at, VG_KEY_LINE - at, "%02x", hash[i]);
    return VG_OK;
}
