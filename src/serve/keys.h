/* keys.h: API keys. The server keeps only their hashes; a key is shown once, when it is made.
 *
 *     vg_keys *keys = NULL;
 *     VG_TRY(vg_keys_load(&keys, "/etc/verge/keys", err));
 *     const vg_key *key = vg_keys_find(keys, secret); // NULL: unknown
 *     if (key && key->admin) use(key->name);
 *     vg_keys_free(keys);
 *
 * A line of the file:
 *
 *   NAME sha256:HEX [admin] [priority=N] [max-concurrent=N] [tokens-per-minute=N]
 *
 * Empty lines and those that begin with # are passed over. A key has 256 random bits, so a plain
 * hash is as good as a slow one and costs a request nothing. Immutable once loaded. */
#ifndef VG_SERVE_KEYS_H
#define VG_SERVE_KEYS_H

#include "base/base.h"

enum { VG_KEY_NAME = 64, VG_KEY_SECRET = 64, VG_KEY_LINE = 256, VG_MAX_KEYS = 10000 };

typedef struct vg_key {
    char name[VG_KEY_NAME];
    uint8_t hash[32];
    bool admin;                 /* may load and unload models, see slots */
    int32_t priority;           /* -100..100; higher goes first; 0 where none is said */
    uint32_t max_concurrent;    /* requests at a time; 0: no limit of its own */
    uint32_t tokens_per_minute; /* 0: no limit */
} vg_key;

typedef struct vg_keys vg_keys;

/* Errors: NOT_FOUND, IO, LIMIT, FORMAT with "FILE:LINE: ", USAGE (others may write to the file). */
VG_NODISCARD vg_status vg_keys_load(vg_keys **out, const char *path, vg_err *err);
VG_NODISCARD vg_status vg_keys_parse(vg_keys **out, const char *name, vg_str text, vg_err *err);
void vg_keys_free(vg_keys *k); /* NULL is fine */
size_t vg_keys_count(const vg_keys *k);
const vg_key *vg_keys_at(const vg_keys *k, size_t i);

/* Takes the same time whichever key it is, or none. */
const vg_key *vg_keys_find(const vg_keys *k, vg_str secret);

/* A new key, and the line for the file. Errors: USAGE (the name), IO (no random numbers). */
VG_NODISCARD vg_status vg_key_make(const char *name, char secret[VG_KEY_SECRET],
                                   char line[VG_KEY_LINE], vg_err *err);

#endif
