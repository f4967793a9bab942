#!/usr/bin/env python3
"""Writes tests/golden/vocab/pretok.json: how HF tokenizers' regular expressions cut texts.

    python3 tools/vocab/pretok.py > tests/golden/vocab/pretok.json

One list of texts (fixed ones, and random ones over characters at which the expressions differ), and
for each kind of pre-tokenizer the lengths of the pieces in characters. The expressions are facts of
the models' tokenizer.json files. Where llama.cpp adapts an expression to its engine, the original
counts.
"""
import json
import random
import sys
import unicodedata

from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split

CONTR = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
PUNCT = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def chat(digits, words=WORD, contractions=CONTR + "|", punct=PUNCT, spaces=SPACES):
    return f"{contractions}{words}|{digits}|{punct}|{spaces}"


def cased(suffix, digits, tail=r"[\r\n/]*", upper=UPPER, lower=LOWER, first=""):
    lead = r"[^\r\n\p{L}\p{N}]?"
    return (rf"{first}{lead}{upper}*{lower}+{suffix}|{lead}{upper}+{lower}*{suffix}|{digits}"
            rf"| ?[^\s\p{{L}}\p{{N}}]+{tail}|{SPACES}")


DS_WORDS = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
            r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+")
HAN_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
DEEPSEEK3 = [r"\p{N}{1,3}", HAN_KANA,
             DS_WORDS + r"| ?[\p{P}\p{S}]+[\r\n]*|" + SPACES]
DEEPSEEK_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
GROUPS = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"

KINDS = {
    "gpt-2": [GPT2],
    "starcoder": [r"\p{N}", GPT2],
    "llama-bpe": [chat(r"\p{N}{1,3}")],
    "qwen2": [chat(r"\p{N}")],
    "minicpm5": [r"\p{N}{1,3}", chat(r"\p{N}+")],
    "ufakzeka": [chat(r"\p{N}", contractions="")],
    "qwen35": [chat(r"\p{N}", r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
                    punct=r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*")],
    "jais-2": [chat(r"\p{N}{1,3}", spaces=r"\s*[\r\n]+|" + "|".join(
        rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4)) + r"|\s{1,2}(?!\S)|\s{1}")],
    "seed-coder": [chat(r"\p{N}{1}", punct=r" ?[^\s\p{L}\p{N}\r\n]+")],
    "exaone-moe": [chat(r"\p{N}", r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
                        punct=r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
                        spaces=r"\s*[\r\n]|\s+(?!\S)|\s+")],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
                   r"|\s*[\r\n]|\s+(?!\S)|\s+"],
    "gpt-4o": [cased(CONTR + "?", r"\p{N}{1,3}")],
    "tekken": [cased("", r"\p{N}")],
    "kimi-k2": [cased(CONTR + "?", r"\p{N}{1,3}", r"[\r\n]*",
                      r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]",
                      r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Han}]+|")],
    "youtu": ["[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b"
              "\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + HAN_KANA,
              cased(CONTR + "?", r"\p{N}")],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", cased(CONTR + "?", r"\p{N}{1,3}")],
    "deepseek-v3": DEEPSEEK3,
    "spark2_5": [r"\p{N}{1,3}", HAN_KANA,
                 DS_WORDS + r"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"],
    "afmoe": [GROUPS, "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f"
              "\u2f00-\u2fdf\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f"
              "\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+", DEEPSEEK3[2]],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_ASIAN, r"\p{N}"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "laguna": [r"[^\n]+|[\n]+", chat(r"\p{N}")],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "chameleon": [r"[\t\n]|    |  ", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
}

FIXED = [
    "Hello, y'all! How are you \U0001f601 ?\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e",
    "I'VE been, I've; we'LL 'tis HE'S don\u2019t 's's 'S'\u017f O'Re",
    "def f(x):\n    if x == 1:\r\n\t\treturn  {\n}\n\n\n  # end\n \n",
    "1 12 123 1234 12345 123456 1234567 1,234.50 3.14 \u0663\u0664\u0665\u0666 \u00bd\u00b2 12a 1234a 12_",
    "camelCase PascalCase XMLHttpRequest ABCdef \u01c5\u02b0A\u00aab \u1d43\u1d44 \u4e2dA\u6587b",
    "e\u0301a\u0308 \u0915\u094d\u0937 \u0e01\u0e33 \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \u0301x \u0301",
    "   leading    runs \t\t of   space\u00a0\u3000 \u2003x   ",
    "path/to//file.txt /\n//\r\n!!/?\n..\n...end",
    "\u4eca\u65e5\u306f\u3001\u4e16\u754c\uff01\u30c6\u30b9\u30c8\u3105\u3106\u3107\u201c\u5f15\u7528\u201d\u2026\u2014",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u1019\u103c\u1014\u103a\u1019\u102c \u1797\u17b6\u179f\u17b6 \uf900\ufaff",
    "a b c  d e\u0301 f\n g", "$100+<tag>=~|^`code`@#%&*_-[x]{y}\\",
    " " * 600 + "x" + " " * 515 + "\n" + " " * 7, "\r\n\r\n \r \n a\r",
    "\u00ad\u200b\u200d\ufeff\u2028\u2029\u0085x\u001c\u001f\u0000y",
    "\ue000\U000e0041\U0010fffd\ufffe\U00020000\U0001f468\u200d\U0001f469",
    "", " ", "\n", "'", "a", "\u0301", "1",
]
ALPHABET = ("abzABZ\u00e9\u00c9\u01c5\u02b0\u00aa\u017f\u4e2d\u6587\u3042\u30a2\uac00\u3131\u3105\u0e01"
            "\u0301\u0903\u20dd0123459\u0663\u00bd\u2160''\"!.,/-_$+<|^`@(\u2026\u3002\uff0c\u201c\u0964"
            "    \t\n\r\u00a0\u3000\u2028\u0085\u200b\U0001f601\u0378\ue000srtvmlded"
            "\u2581\uff5e\uff21\u10d0\u13a0\u0561")


def texts():
    rng = random.Random(1)
    out = list(FIXED)
    for n in (2, 3, 4, 6, 9, 14, 40):
        for _ in range(60):
            out.append("".join(rng.choice(ALPHABET) for _ in range(n)))
    for _ in range(60):  # long runs of few characters
        out.append("".join(rng.choice(rng.sample(ALPHABET, 3)) * rng.randint(1, 7)
                           for _ in range(8)))
    return out


def forms():
    """Texts and their normal form C, by Python."""
    rng, out = random.Random(4), []
    pool = ("aeoEA\u00e9\u0301\u0308\u0323\u0327\u0345\u0302\u0300\u1ea5\u212b\u2126\u0958\u09c7\u09be"
            "\u1100\u1161\u11a8\uac00\ud4db\uac01\u0f71\u0f72\u0f74\u05b7\u05b0\u0344\u0340\u2adc\ufb1d"
            "\U0001d15e\U0001d16e\U000110a5\U000110ba x")
    for n in (1, 2, 3, 4, 6, 10) * 40:
        s = "".join(rng.choice(pool) for _ in range(n))
        out.append([s, unicodedata.normalize("NFC", s)])
    out += [[chr(c), unicodedata.normalize("NFC", chr(c))] for c in (0x37E, 0x1F71, 0x2FA1D, 0xFB4E)]
    return out


def main():
    all_texts, cuts = texts(), {}
    for name, stages in KINDS.items():
        p = Sequence([Split(Regex(s), "isolated") for s in stages])
        cuts[name] = [[len(piece) for piece, _ in p.pre_tokenize_str(t)] for t in all_texts]
    print("{\"nfc\": " + json.dumps(forms()) + ",\n\"texts\": " + json.dumps(all_texts)
          + ",\n\"cuts\": {")
    print(",\n".join(json.dumps(k) + ": " + json.dumps(v, separators=(",", ":"))
                     for k, v in cuts.items()))
    print("}}")


if __name__ == "__main__":
    sys.exit(main())
