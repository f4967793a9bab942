#!/usr/bin/env python3
"""Writes src/model/unicode.inc: Unicode properties as C tables, from the unicodedata2 package.

    pip install unicodedata2==16.0.0
    python3 tools/unicode/make_tables.py > src/model/unicode.inc

The data are the Unicode Consortium's Unicode Character Database, used under the Unicode License v3;
see tools/unicode/LICENCE.md. Version 16.0 because the engine of HF's tokenizers (Oniguruma) and
tiktoken's have that one: characters of later versions are unassigned to them.

Tables: a byte per character in two levels (general category in bits 0..4, white space in bit 5,
a script of Han in bit 6, bit 7 for what
may not stand as it is in the normal form C), combining classes, full canonical decompositions, primary compositions
and lower-case mappings (those of the Python that runs this).
"""
import sys

import unicodedata2 as unicodedata

PAGE = 256
CATEGORIES = ["Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd",
              "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf",
              "Cs", "Co"]
# Property White_Space of PropList.txt; Python's str.isspace() also takes U+001C..U+001F.
SPACES = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F,
          0x205F, 0x3000}
# Script=Han of Scripts.txt, Unicode 16.
HAN = [(0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007),
       (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFA6D),
       (0xFA70, 0xFAD9), (0x16FE2, 0x16FE3), (0x16FF0, 0x16FF1), (0x20000, 0x2A6DF),
       (0x2A700, 0x2B739), (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1), (0x2CEB0, 0x2EBE0),
       (0x2EBF0, 0x2EE5D), (0x2F800, 0x2FA1D), (0x30000, 0x3134A), (0x31350, 0x323AF)]


def rows(values, form="%d", per_line=24):
    for i in range(0, len(values), per_line):
        yield "    " + ", ".join(form % v for v in values[i:i + per_line]) + ","


def table(kind, name, values, form="%d", per_line=24):
    print("%s %s[%d] = {" % (kind, name, len(values)))
    for line in rows(values, form, per_line):
        print(line)
    print("};")


def paged(kind, name, per_char):
    """Writes name_page (which page) and name_of (the pages); a page's number fits a byte."""
    pages, index, seen = [], [], {}
    for start in range(0, 0x110000, PAGE):
        page = tuple(per_char[start:start + PAGE])
        if page not in seen:
            seen[page] = len(pages)
            pages.append(page)
        index.append(seen[page])
    assert len(pages) <= 256
    table(kind, name + "_page", index)
    print("%s %s_of[%d][%d] = {" % (kind, name, len(pages), PAGE))
    for page in pages:
        print("    {")
        for line in rows(list(page)):
            print("    " + line)
        print("    },")
    print("};")


def classes():
    number = {c: i for i, c in enumerate(CATEGORIES)}
    per_char = [number[unicodedata.category(chr(c))] | (0x20 if c in SPACES else 0)
                for c in range(0x110000)]
    for first, last in HAN:
        for c in range(first, last + 1):
            per_char[c] |= 0x40
    seconds = {int(unicodedata.decomposition(chr(c)).split()[1], 16) for c in range(0x110000)
               if is_composite(c)} | {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    for c in range(0x110000):
        if 0xD800 <= c <= 0xDFFF:
            continue
        if (unicodedata.combining(chr(c)) or c in seconds
                or unicodedata.normalize("NFC", chr(c)) != chr(c)):
            per_char[c] |= 0x80
    return per_char


def is_composite(c):
    """Whether the character is made by composing a pair."""
    one = unicodedata.decomposition(chr(c))
    if not one or one[0] == "<" or " " not in one:
        return False
    whole = "".join(chr(int(x, 16)) for x in one.split())
    return unicodedata.normalize("NFC", whole) == chr(c)


def main():
    print("/* Made by tools/unicode/make_tables.py from the Unicode Character Database %s. */"
          % unicodedata.unidata_version)
    paged("const uint8_t", "vg_unicode", classes())
    paged("static const uint8_t", "ccc", [unicodedata.combining(chr(c)) for c in range(0x110000)])

    nfd, pairs, lower = [], [], []
    for c in range(0x110000):
        if 0xAC00 <= c <= 0xD7A3 or 0xD800 <= c <= 0xDFFF:
            continue  # Hangul syllables are computed
        full = [ord(x) for x in unicodedata.normalize("NFD", chr(c))]
        if full != [c]:
            nfd.append((c, full))
        if is_composite(c):
            parts = [int(x, 16) for x in unicodedata.decomposition(chr(c)).split()]
            pairs.append((parts[0], parts[1], c))
        low = chr(c).lower()
        if len(low) == 1 and low != chr(c):
            lower.append((c, ord(low)))
    longest = max(len(f) for _, f in nfd)
    print("enum { NFD_LONGEST = %d };" % longest)
    print("static const int32_t nfd_of[%d][%d] = {" % (len(nfd), longest + 1))
    for c, full in nfd:
        print("    {%s}," % ", ".join("0x%x" % v for v in [c] + full + [0] * (longest - len(full))))
    print("};")
    print("static const int32_t nfc_of[%d][3] = {" % len(pairs))
    for p in sorted(pairs):
        print("    {0x%x, 0x%x, 0x%x}," % p)
    print("};")
    print("static const int32_t lower_of[%d][2] = {" % len(lower))
    for p in lower:
        print("    {0x%x, 0x%x}," % p)
    print("};")


if __name__ == "__main__":
    sys.exit(main())
