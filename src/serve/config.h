/* config.h: a settings file: `key = value` lines under [sections].
 *
 *     vg_config cfg;
 *     VG_TRY(vg_config_load(&cfg, arena, "/etc/verge/serve.conf", err));
 *     for (size_t i = 0; i < cfg.n; i++)
 *         if (!known(cfg.item[i].key))
 *             return vg_config_fail(&cfg, &cfg.item[i], err, "no such setting");
 *
 * One setting a line. `#` or `;` begins a comment at the start of a line, ` #` behind a value. A
 * value in double quotes keeps blanks and signs; \" \\ \n \t stand for themselves there. A key that
 * is there again in its section is marked, and for the caller to refuse or to add up. Which keys
 * exist is the caller's business. Bounded: 1 MiB, 4096 settings. */
#ifndef VG_SERVE_CONFIG_H
#define VG_SERVE_CONFIG_H

#include "base/base.h"

typedef struct vg_config_item {
    vg_str section; /* empty before the first [section] */
    vg_str key, value;
    uint32_t line; /* from 1 */
    bool again;    /* the section has the key already */
} vg_config_item;

typedef struct vg_config {
    const char *name;     /* of the file */
    vg_config_item *item; /* [n] */
    size_t n;
} vg_config;

/* Strings live in the arena. Errors: NOT_FOUND, IO, LIMIT, FORMAT with "FILE:LINE: ". */
VG_NODISCARD vg_status vg_config_load(vg_config *c, vg_arena *a, const char *path, vg_err *err);
VG_NODISCARD vg_status vg_config_parse(vg_config *c, vg_arena *a, const char *name, vg_str text,
                                       vg_err *err);
/* An error about one setting: FORMAT, "FILE:LINE: key: why". */
VG_NODISCARD vg_status vg_config_fail(const vg_config *c, const vg_config_item *item, vg_err *err,
                                      const char *why);

#endif
