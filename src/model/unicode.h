/* unicode.h: the properties of characters that tokenizers ask for.
 *
 *     if (vg_unicode_class(cp) & VG_UC_L) in_a_word();
 *
 * A class is a set of bits: one for the general category, VG_UC_SPACE for the property White_Space
 * and VG_UC_HAN for the script. Code points outside Unicode, and -1 for a byte that is no
 * character, are of the class VG_UC_CN alone. */
#ifndef VG_UNICODE_H
#define VG_UNICODE_H

#include "base/base.h"

enum {
    VG_UC_CN = 1 << 0,
    VG_UC_LU = 1 << 1,
    VG_UC_LL = 1 << 2,
    VG_UC_LT = 1 << 3,
    VG_UC_LM = 1 << 4,
    VG_UC_LO = 1 << 5,
    VG_UC_L = VG_UC_LU | VG_UC_LL | VG_UC_LT | VG_UC_LM | VG_UC_LO,
    VG_UC_MN = 1 << 6,
    VG_UC_M = VG_UC_MN | 1 << 7 | 1 << 8,
    VG_UC_ND = 1 << 9,
    VG_UC_N = VG_UC_ND | 1 << 10 | 1 << 11,
    VG_UC_PC = 1 << 12,
    VG_UC_P = VG_UC_PC | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 18,
    VG_UC_S = 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22,
    VG_UC_Z = 1 << 23 | 1 << 24 | 1 << 25,
    VG_UC_CC = 1 << 26,
    VG_UC_CF = 1 << 27,
    VG_UC_CO = 1 << 29,
    VG_UC_SPACE = 1 << 30
};
#define VG_UC_HAN (1u << 31)

/* Two levels of pages, here so that the lookup, made for every character of a text, is inlined. */
enum { VG_UNICODE_PAGE = 256, VG_UNICODE_LAST = 0x10FFFF };
extern const uint8_t vg_unicode_page[(VG_UNICODE_LAST + 1) / VG_UNICODE_PAGE];
extern const uint8_t vg_unicode_of[][VG_UNICODE_PAGE]; /* category, space << 5, Han << 6 */

static inline uint32_t vg_unicode_class(int32_t cp)
{
    if (cp < 0 || cp > VG_UNICODE_LAST) return VG_UC_CN;
    uint32_t c = vg_unicode_of[vg_unicode_page[cp / VG_UNICODE_PAGE]][cp % VG_UNICODE_PAGE];
    return UINT32_C(1) << (c & 31) | (c & 0x60) << 25;
}

enum { VG_UNICODE_NFD_MAX = 4 };
/* The full canonical decomposition of one character; returns how many, 1 for itself. */
size_t vg_unicode_nfd(int32_t cp, int32_t out[VG_UNICODE_NFD_MAX]);
/* The lower case of one character, without regard to its neighbours; 1 or 2 characters. */
size_t vg_unicode_lower(int32_t cp, int32_t out[2]);

/* Bytes at the start of s that are in the normal form C whatever follows the last of them; s.n says
 * that nothing needs to be done. */
size_t vg_unicode_nfc_prefix(vg_str s);
/* Appends the normal form C of s to `out`; bytes that are no UTF-8 are kept. See vg_buf_check. */
void vg_unicode_nfc(vg_str s, vg_buf *out);
#endif
