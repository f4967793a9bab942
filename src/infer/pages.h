/* pages.h: the pages of the KV cache, and which of them hold what. A page of keys and values
 * depends only on the tokens of its timeline up to its end, so full pages form a radix tree over
 * tokens, whose nodes any session may read: a prompt that begins as an earlier one did takes over
 * its pages. Pages that no session holds stay in the tree until room is needed.
 *
 *     uint32_t page = vg_pages_find(p, VG_NO_PAGE, tok, n_tok, &n_same);
 *     if (page != VG_NO_PAGE && n_same == VG_TILE) vg_pages_hold(p, page);
 *     vg_pages_drop(p, page);
 */
#ifndef VG_PAGES_H
#define VG_PAGES_H

#include "kern/kern.h"

#define VG_NO_PAGE UINT32_MAX

typedef struct vg_page {
    uint32_t n_held;               /* by how many sessions */
    uint32_t n_tok;                /* of the node's tokens; 0: not in the tree */
    uint32_t parent, child;        /* in the tree; the first child */
    uint32_t next, previous;       /* its siblings; of a free page: the next free one */
    uint32_t older, newer;         /* among those in the tree that no session holds */
} vg_page;

typedef struct vg_pages {
    vg_page *page;  /* [n_pages + 1], the last one is the root */
    int32_t *tok;   /* [n_pages, VG_TILE] of the nodes */
    uint8_t *data;  /* [n_pages, page_bytes] */
    size_t page_bytes;
    uint32_t n_pages, n_free, n_idle; /* idle: in the tree, and no session holds it */
    uint32_t first_free, oldest, newest;
    uint64_t n_evicted;
} vg_pages;

/* Bytes besides the pages themselves. */
#define VG_PAGES_BYTES(n_pages)                                                                    \
    (((uint64_t)(n_pages) + 1) * sizeof(vg_page) + (uint64_t)(n_pages) * VG_TILE * sizeof(int32_t))

/* The arrays are the caller's; all pages are free afterwards. */
void vg_pages_init(vg_pages *p);

/* A page for one session alone, the idle one that was used longest ago where none is free.
 * VG_NO_PAGE: all are held. */
uint32_t vg_pages_take(vg_pages *p);
void vg_pages_hold(vg_pages *p, uint32_t page);
void vg_pages_drop(vg_pages *p, uint32_t page);

/* The page after `parent` (VG_NO_PAGE: the first of a timeline) that shares most of tok[0..n) from
 * its beginning, *n_same tokens. VG_NO_PAGE: none shares any. */
uint32_t vg_pages_find(const vg_pages *p, uint32_t parent, const int32_t *tok, size_t n,
                       size_t *n_same);

/* Puts a page that one session holds into the tree after `parent`, with its 1 to VG_TILE computed
 * tokens. Where the tree has a page of the same tokens, that one is held in its place, and
 * returned. Nobody may write to a page of the tree. */
uint32_t vg_pages_share(vg_pages *p, uint32_t parent, uint32_t page, const int32_t *tok, size_t n);

/* Takes an idle page without children out of the tree, for the caller alone to write to. */
bool vg_pages_claim(vg_pages *p, uint32_t page);
#endif
