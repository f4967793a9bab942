/* The cache's pages. Nodes are numbered by their page, so that nothing is allocated: siblings are a
 * list, and so are the pages that are free and those that are idle. A session drops its pages from
 * the last to the first, and who holds a page holds all before it; so among idle pages a child is
 * always older than its parent, and the oldest one never has children. */
#include "infer/pages.h"

void vg_pages_init(vg_pages *p)
{
    for (uint32_t i = 0; i <= p->n_pages; i++)
        p->page[i] = (vg_page){.parent = VG_NO_PAGE, .child = VG_NO_PAGE, .previous = VG_NO_PAGE,
                               .next = i + 1 < p->n_pages ? i + 1 : VG_NO_PAGE,
                               .older = VG_NO_PAGE, .newer = VG_NO_PAGE};
    p->first_free = p->n_pages ? 0 : VG_NO_PAGE;
    p->n_free = p->n_pages;
    p->n_idle = 0;
    p->oldest = p->newest = VG_NO_PAGE;
    p->n_evicted = 0;
}

static vg_page *node_of(const vg_pages *p, uint32_t page)
{
    return &p->page[page == VG_NO_PAGE ? p->n_pages : page];
}

/* ---- idle pages ----------------------------------------------------------------------------- */

static void make_idle(vg_pages *p, uint32_t i)
{
    p->page[i].older = p->newest;
    p->page[i].newer = VG_NO_PAGE;
    if (p->newest != VG_NO_PAGE) p->page[p->newest].newer = i;
    else p->oldest = i;
    p->newest = i;
    p->n_idle++;
}

static void leave_idle(vg_pages *p, uint32_t i)
{
    vg_page *g = &p->page[i];
    if (g->older != VG_NO_PAGE) p->page[g->older].newer = g->newer;
    else p->oldest = g->newer;
    if (g->newer != VG_NO_PAGE) p->page[g->newer].older = g->older;
    else p->newest = g->older;
    p->n_idle--;
}

static void leave_tree(vg_pages *p, uint32_t i)
{
    vg_page *g = &p->page[i];
    assert(g->child == VG_NO_PAGE);
    if (g->previous != VG_NO_PAGE) p->page[g->previous].next = g->next;
    else node_of(p, g->parent)->child = g->next;
    if (g->next != VG_NO_PAGE) p->page[g->next].previous = g->previous;
    g->n_tok = 0;
    g->parent = g->next = g->previous = VG_NO_PAGE;
}

static void make_free(vg_pages *p, uint32_t i)
{
    p->page[i].next = p->first_free;
    p->first_free = i;
    p->n_free++;
}

/* ---- from outside ---------------------------------------------------------------------------- */

uint32_t vg_pages_take(vg_pages *p)
{
    uint32_t i = p->first_free;
    if (i != VG_NO_PAGE) {
        p->first_free = p->page[i].next;
        p->n_free--;
    } else {
        i = p->oldest;
        if (i == VG_NO_PAGE) return VG_NO_PAGE;
        leave_idle(p, i);
        leave_tree(p, i);
        p->n_evicted++;
    }
    p->page[i].next = VG_NO_PAGE;
    p->page[i].n_held = 1;
    return i;
}

void vg_pages_hold(vg_pages *p, uint32_t page)
{
    vg_page *g = &p->page[page];
    if (g->n_held++ == 0) leave_idle(p, page);
}

void vg_pages_drop(vg_pages *p, uint32_t page)
{
    vg_page *g = &p->page[page];
    assert(g->n_held > 0);
    if (--g->n_held > 0) return;
    if (g->n_tok > 0) make_idle(p, page);
    else make_free(p, page);
}

uint32_t vg_pages_find(const vg_pages *p, uint32_t parent, const int32_t *tok, size_t n,
                       size_t *n_same)
{
    uint32_t best = VG_NO_PAGE;
    *n_same = 0;
    for (uint32_t i = node_of(p, parent)->child; i != VG_NO_PAGE; i = p->page[i].next) {
        const int32_t *have = p->tok + (size_t)i * VG_TILE;
        size_t same = 0, most = VG_MIN(n, (size_t)p->page[i].n_tok);
        while (same < most && have[same] == tok[same]) same++;
        if (same <= *n_same) continue;
        best = i;
        *n_same = same;
        if (same == VG_TILE) break;
    }
    return best;
}

uint32_t vg_pages_share(vg_pages *p, uint32_t parent, uint32_t page, const int32_t *tok, size_t n)
{
    size_t n_same;
    uint32_t twin = vg_pages_find(p, parent, tok, n, &n_same);
    if (twin != VG_NO_PAGE && n_same == n) { /* the same tokens gave the same keys and values */
        vg_pages_hold(p, twin);
        vg_pages_drop(p, page);
        return twin;
    }
    vg_page *g = &p->page[page], *up = node_of(p, parent);
    memcpy(p->tok + (size_t)page * VG_TILE, tok, n * sizeof *tok);
    g->n_tok = (uint32_t)n;
    g->parent = parent;
    g->previous = VG_NO_PAGE;
    g->next = up->child;
    if (up->child != VG_NO_PAGE) p->page[up->child].previous = page;
    up->child = page;
    return page;
}

bool vg_pages_claim(vg_pages *p, uint32_t page)
{
    vg_page *g = &p->page[page];
    if (g->n_held > 0 || g->child != VG_NO_PAGE) return false;
    leave_idle(p, page);
    leave_tree(p, page);
    g->n_held = 1;
    return true;
}
