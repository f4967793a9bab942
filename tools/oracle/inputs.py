"""The texts that vocab.py tokenises. Own text throughout; a pair (text, n) is text n times."""
import random

PLAIN = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\t\t x", "a", " a", "a ",
    "  a  b   c    ",
    "Hello world", " Hello, World! ", "HELLO hello HeLLo",
    "The quick brown fox jumps over the lazy dog.",
    "It's I'm you're they've he'll she'd o'clock rock'n'roll 'tis",
    "IT'S I'M YOU'RE THEY'VE HE'LL SHE'D DON'T 'S'T 'sx",
    "it\u2019s \u201cquoted\u201d \u2018text\u2019 \u2014 dash \u2026",
    "0", "12", "123", "1234", "12345678901234567890", "3.14159 1,000,000 -7 +8 1e-9 0x1F",
    "a1b2c3 4d",
    "\u0661\u0662\u0663 \u0967\u0968\u0969 \u00bd \u2167 x\u00b2 \u2460",
    "2026-11-21T11:20:00Z 12:30 50% $9.99 \u20ac5",
    "def f(x):\n    if x > 0:\n\treturn x**2  # square\n    return -x\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * c; }\r\n\r\n}",
    "<div class=\"a\">&amp; <br/></div>", "{\"key\": [1, 2.5, null, true], \"s\": \"a\\nb\"}",
    "SELECT * FROM t WHERE a >= 'x' AND b != \"y\";", "#!/bin/sh\necho \"$HOME\" | sed 's/a/b/g'",
    "https://example.com/path/to?q=a+b&x=%20#frag", "name.surname+tag@mail.example.org",
    "C:\\Users\\me\\file.txt", "!!!???...,,,;;;:::", "((([[[{{{}}}]]])))", "-- --- ---- =====",
    "@#$%^&*_+|~`",
    " !", " !\n", "!\n\n", ".\r\n", "a.\n\nB", "word\n", " \n\n x", "x \n", "x  \n\ny",
    "a\u000bb\u000cc",
    "Grüße aus Köln, École, façade, naïve, Łódź, čeština",
    "Привет, мир! Йогурт ёж",
    "Γειά σου Κόσμε Σς",
    "שלום עולם בְּ",
    "مرحبا بالعالم َُ ﷺ",
    "नमस्ते दुनिया क्ष",
    "สวัสดีชาวโลก",
    "你好，世界！我们在12点见。",
    "こんにちは世界。カタカナ ｶﾅ 吾輩は猫である",
    "안녕하세요 세계 \u1112\u1161\u11ab",
    "mixed中文and日本語and한국어andрус",
    "\U0001F600 \U0001F98A\U0001F98A \U0001F469\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466 "
    "\U0001F1EA\U0001F1FA \U0001F44D\U0001F3FD \u2764\ufe0f \u2603",
    "e\u0301 a\u0308\u0323 \u1e69 s\u0323\u0307 o\u0300\u0301\u0302\u0303 \u00c5 A\u030a \u212b",
    "ﬁne ﬃ ＨＥＬＬＯ \u2121 \u33a1 \u00bc \u2075 \u3392 \u1e9b\u0323",
    "a\u00a0b \u2003c\u3000d\u200be\u2028f\u2029g\u0085h\u202fi \u1680j",
    "\u3000\u3000x", "\u00a0\u00a0x\u00a0", "a\u00ad\u200c\u200d\u2060\ufeffb", "\ufeffstart",
    "null\u0000byte", "\u0000", "bell\u0007 esc\u001b[0m del\u007f", "\u0080\u009f\u00ff",
    "\U00010348 \U0001D400\U0001D7D8 \U00020000 \U000E0041 \U0010FFFF \ufffe \ue000 \ufffd",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "Donaudampfschifffahrtselektrizit\u00e4tenhauptbetriebswerkbauunterbeamtengesellschaft",
    "a" * 101,
    "\u2581a \u2581\u2581 b\u2581", "\u0120hello\u010a \u0120", "##ing ##s [UNK] [PAD]",
    "<unk> <0x41> <0x0A>",
    "ab" * 40, "abcabcabc" * 5, "hahahaha", "                                 33 spaces before",
    "x\n\n\n\n\n\n\n\n\n\n\n\ny", "\t\t\t\t\tx", "  \t \n \t  x",
]
SPECIAL = [
    "<|im_start|>user\nHi<|im_end|>\n", "a<|im_end|>", "<|im_end|> b", "<|im_end|><|im_end|>",
    "<|im_end",
    "<|endoftext|>", "x <|endoftext|> y",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
    "<|reserved_special_token_7|>", "<|startoftranscript|><|en|><|0.00|> text<|2.34|>",
    "<s>a</s> b <unk>", "[CLS] a [SEP] b [MASK]", "[cls]",
]
LONG = [("a", 10000), (" ", 2000), ("\u4e16", 1000), ("ab ", 1000), ("1", 1000), ("\n", 1000)]


def mixtures():
    """Seeded mixtures of character classes, where splitting rules meet each other."""
    rng = random.Random(7)
    pools = [" ", " ", "\n", "\t\r", "abcxyz", "ABCXYZ", "'", "0123456789", ".,!?-_/\\()[]<>|#",
    "\u00e9\u00fc\u00df",
             "\u0430\u0431\u0432", "\u4e16\u754c", "\u3042\u30a2", "\u0301\u0308",
             "\U0001F600\u2764\ufe0f", "\u00a0\u3000"]
    for _ in range(16):
        yield "".join(rng.choice(rng.choice(pools)) * rng.choice([1, 1, 1, 2, 3])
                      for _ in range(40))


def texts():
    return [*PLAIN, *SPECIAL, *mixtures(), *LONG]
