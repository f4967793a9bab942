#!/usr/bin/env python3
"""Make one clean corpus, its train/held-out split and a BPE vocabulary.

Input are two samples of TinyStories (CDLA-Sharing-1.0): one in mixed case
with stories separated by <|endoftext|>, one lower-cased without separators.
They overlap.  The steps:

  1. normalise both (mojibake, typographic quotes, white space);
  2. split the lower-cased file into stories;
  3. drop what the mixed-case file already has, and duplicates;
  4. restore capitals in what is left (the truecaser is measured on the
     mixed-case file, with its last fifth kept out of what it learns from);
  5. cut off the last part as held-out text and drop every training story
     that nearly repeats a held-out one (shared 12-word shingles);
  6. note each story's names and nouns, for the requests made in train.py;
  7. train a byte-level BPE vocabulary on the training part alone.

Output folder: train.jsonl, heldout.jsonl (one story a line: text, heroes,
nouns), tokenizer.json, report.json.
"""
import argparse
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

EOT = "<|endoftext|>"
SHINGLE = 12

# ---------------------------------------------------------------- clean-up

# UTF-8 read as Windows-1252 and then lower-cased; longest first.
MOJIBAKE = [("â€œ", '"'), ("â€™", "'"), ("â€˜", "'"), ("â€¦", "..."),
            ("â€“", " - "), ("â€”", " - "), ("â€\x9d", '"'), ("â€", '"'),
            ("ã±", "ñ"), ("ã©", "é"), ("ã¡", "á"), ("ã³", "ó")]
PLAIN = {"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "«": '"',
         "»": '"', "–": " - ", "—": " - ", "\u00a0": " ", "\u200b": ""}


def normalise(text):
    """ASCII quotes and dashes, no mojibake, Unix line ends."""
    for bad, good in MOJIBAKE:
        text = text.replace(bad, good)
    for bad, good in PLAIN.items():
        text = text.replace(bad, good)
    return text.replace("\r\n", "\n")


def tidy(story):
    """One line a paragraph, single spaces, no empty lines."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in story.split("\n"))
    return "\n".join(line for line in lines if line)


def usable(story):
    """Whole stories only: long enough, a finished last sentence, plain text."""
    return (len(story) >= 200 and story[-1] in ".!?\"'"
            and not re.search(r"[^\x20-\x7e\néñáóí]", story))


OPENER = re.compile(
    r"(once|one (day|time|sunny|morning|night|evening|afternoon|hot|cold|rainy|"
    r"special|summer|winter)|there (was|were|once|lived)|it was|a long time|"
    r"long ago|in a (small|little|big|far)|today|every day|two |three )")
HERO = re.compile(r"[a-z]+( and [a-z]+)? (was|were|is|are|had|has|liked?|loved?|"
                  r"lived?|wanted|went) ")


def split_lower(text):
    """Stories of the lower-cased file.

    There, an empty line parts paragraphs and a bare line end parts stories,
    but a few stories also use bare line ends between their paragraphs.  Such
    a block goes to the story before it unless it opens like a story.
    """
    stories = []
    for block in re.split(r"(?<!\n)\n(?!\n)", text):
        block = tidy(block)
        if not block:
            continue
        opens = OPENER.match(block) or (len(block) > 350 and HERO.match(block))
        long = len(block) > 500 and block[0] != '"'
        if stories and not (opens or long):
            stories[-1] += "\n" + block
        else:
            stories.append(block)
    return stories


# ------------------------------------------------------------- duplicates

def words_of(story):
    return re.findall(r"[a-z0-9]+", story.lower())


def shingles(story):
    words = words_of(story)
    return {" ".join(words[i:i + SHINGLE])
            for i in range(len(words) - SHINGLE + 1)}


def without_duplicates(stories, known=()):
    """Drop stories of which a fifth of the shingles were seen before."""
    seen = set()
    for story in known:
        seen |= shingles(story)
    kept = []
    for story in stories:
        own = shingles(story)
        if own and len(own & seen) < 0.2 * len(own):
            kept.append(story)
        seen |= own
    return kept


# -------------------------------------------------------------- truecasing

SAID = set("said asked replied shouted cried answered exclaimed called whispered "
           "yelled says asks laughed giggled smiled screamed added begged "
           "thought wondered continued responded agreed".split())
TOKEN = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*|[^A-Za-z]+")


class Truecaser:
    """Capitals for lower-cased stories, from counts over mixed-case ones."""

    def __init__(self, stories):
        self.unigram = defaultdict(Counter)   # word -> spellings inside sentences
        self.before = defaultdict(Counter)    # (word before, word)
        self.after = defaultdict(Counter)     # (word, word after)
        for story in stories:
            for prev, word, nxt, starts in self._walk(story):
                if not starts:
                    low = word.lower()
                    self.unigram[low][word] += 1
                    self.before[prev, low][word] += 1
                    self.after[low, nxt][word] += 1

    @staticmethod
    def _walk(story):
        """(word before, word, word after, whether it starts a sentence)."""
        tokens = TOKEN.findall(story)
        quotes = 0
        gap = "\n"
        words = [t for t in tokens if t[0].isalpha()]
        number = -1
        prev = ""
        for token in tokens:
            if not token[0].isalpha():
                gap = token
                quotes += token.count('"')
                if "\n" in token:
                    quotes = token.rsplit("\n", 1)[1].count('"')
                continue
            number += 1
            follow = [w.lower() for w in words[number + 1:number + 4]]
            head = [token.lower()] + follow[:2]
            open_quote = gap.endswith('"') and quotes % 2 == 1
            if gap.strip() == "." and prev in ("mr", "mrs", "ms", "dr"):
                starts = False
            elif "\n" in gap or open_quote:
                starts = True
            elif re.search(r'[?!]"', gap) and "." not in gap:
                starts = not SAID & set(head)
            elif re.search(r"[.?!]", gap):
                starts = "..." not in gap or gap.rstrip().endswith('"')
            else:
                starts = number == 0
            yield prev, token, (follow or [""])[0], starts
            prev, gap = token.lower(), ""

    def spelling(self, prev, low, nxt, names):
        """The likeliest spelling of a word inside a sentence: how often it was
        seen so at all, then after the word before and before the word after."""
        if low == "i" or low.startswith("i'"):
            return "I" + low[1:]
        if low in names and prev not in ("a", "an", "the"):
            return low.capitalize()
        base = self.unigram.get(low)
        if not base:
            return low
        spellings = {w: n for w, n in base.items() if not w.isupper() or len(w) == 1}
        total = sum(spellings.values())
        if not total:
            return low

        def score(w):
            s = (spellings[w] + 0.1) / (total + 0.2)
            for table, key in ((self.before, (prev, low)), (self.after, (low, nxt))):
                seen = table.get(key, {})
                s *= (seen.get(w, 0) + s) / (sum(seen.values()) + 1)
            return s
        return max(spellings, key=score)

    def story_names(self, story):
        """Names the story introduces itself: "named x", "x and y were ..."."""
        low = story.lower()
        found = set(re.findall(r"\b(?:named|name is|name was) ([a-z]+)", low))
        found |= {w for w in re.findall(r"\b(?:is|was|were|dog|cat|girl|boy|friend|bird|"
                                        r"rabbit|bear|fish|friends) called ([a-z]+)", low)}
        for a, b in re.findall(r"\bnamed ([a-z]+) and ([a-z]+)", low):
            found |= {a, b}
        for w, n in Counter(words_of(story)).items():
            # an unknown word that acts: "zara smiled", "zara and ..."
            if n > 1 and w not in self.unigram and len(w) > 2 and re.search(
                    r"(?:^|[.!?,] |\n|\")%s (?:was|and|said|had|went|saw|loved|smiled|"
                    r"asked|wanted|looked|felt|ran|liked)\b" % re.escape(w), low):
                found.add(w)
        usual = {w for w in found if sum(n for s, n in self.unigram.get(w, {}).items()
                                         if s.islower()) > 60}
        return {w for w in found - usual if len(w) > 1}

    def __call__(self, story):
        names = self.story_names(story)
        out = []
        walked = self._walk(story)
        for token in TOKEN.findall(story):
            if token[0].isalpha():
                prev, word, nxt, starts = next(walked)
                word = self.spelling(prev, word.lower(), nxt, names)
                token = word[0].upper() + word[1:] if starts else word
            out.append(token)
        return "".join(out)


def truecase_errors(stories):
    """Learn from the first four fifths, measure on the last."""
    cut = len(stories) * 4 // 5
    caser = Truecaser(stories[:cut])
    wrong = Counter()
    words = 0
    spoilt = 0
    for story in stories[cut:]:
        want = re.findall(r"[A-Za-z']+", story)
        got = re.findall(r"[A-Za-z']+", caser(story.lower()))
        bad = [(w, g) for w, g in zip(want, got) if w != g]
        words += len(want)
        wrong.update(bad)
        spoilt += bool(bad)
    return {"words": words, "wrong": sum(wrong.values()),
            "error_rate": sum(wrong.values()) / words,
            "stories_without_error": 1 - spoilt / (len(stories) - cut),
            "commonest": [f"{w} as {g}: {n}" for (w, g), n in wrong.most_common(12)]}


# ---------------------------------------------------------- names and nouns

DETERMINER = r"(?:a|an|the|his|her|their|my|your|some|this|that)"
STOP = set("""one day time way lot day's other others same end thing things it something
 everyone everything first next best most top side front back bit while idea fun rest
 morning night kind whole middle place home moment last right left new big little small
 good bad happy sad year years old world name all time times both two three much more
 now then so too very again inside outside mess turn ground""".split())


def noun_list(stories):
    """Words that mostly stand where a noun stands (after a determiner)."""
    total, hits = Counter(), Counter()
    pattern = re.compile(
        r"\b%s (?:[a-z]+ )?([a-z]{3,})(?=[.,!?]| (?:and|was|is|were|had|to|in|on|that|with|"
        r"who|of|at|for|from|said|could|would|named|called)\b)" % DETERMINER)
    for story in stories:
        total.update(re.findall(r"\b[a-z]{3,}\b", story))
        hits.update(pattern.findall(story))
    return {w for w, n in hits.items()
            if n >= 4 and n > 0.3 * total[w] and w not in STOP}


def describe(story, nouns, names):
    """Heroes ("a girl named Lily") and nouns of a story, by first mention."""
    heroes = [[k, n] for k, n in re.findall(
        r"\b((?:a|an) (?:[a-z]+ )?[a-z]+) (?:named|called) ([A-Z][a-z]+)\b", story)]
    known = {n for _, n in heroes}
    extra = []
    for w in re.findall(r"(?<=[a-z,] )([A-Z][a-z]+)\b", story):
        if w in names and w not in known and w not in extra:
            extra.append(w)
    counts = Counter(re.findall(r"\b[a-z]{3,}\b", story))
    first = []
    for w in re.findall(r"\b%s (?:[a-z]+ )?([a-z]{3,})\b" % DETERMINER, story):
        if w in nouns and w not in first:
            first.append(w)
    first.sort(key=lambda w: -min(counts[w], 4))
    return {"text": story, "heroes": heroes + [["", n] for n in extra[:2]],
            "nouns": first[:6]}


def name_list(stories):
    """Capitalised inside sentences and hardly ever written small."""
    big, small = Counter(), Counter()
    for story in stories:
        big.update(re.findall(r"(?<=[a-z,] )([A-Z][a-z]+)\b", story))
        small.update(re.findall(r"\b[a-z]+\b", story))
    drop = {"I", "Mom", "Dad", "Mommy", "Daddy", "Mum", "Yes", "No", "Christmas", "Mr", "Mrs"}
    return {w for w, n in big.items()
            if n >= 3 and small[w.lower()] < 0.2 * n and w not in drop}


# -------------------------------------------------------------- vocabulary

def train_bpe(stories, size):
    """GPT-2's byte-level BPE: all 256 bytes are in it, nothing is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(stories, trainers.BpeTrainer(
        vocab_size=size, special_tokens=[EOT], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--mixed", type=Path, required=True, help="mixed-case sample")
    ap.add_argument("--lower", type=Path, required=True, help="lower-cased sample")
    ap.add_argument("--out", type=Path, required=True, help="output folder")
    ap.add_argument("--vocab", type=int, default=3072)
    ap.add_argument("--heldout", type=float, default=0.08, help="share of the text")
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    raw = normalise(args.mixed.read_text(encoding="utf-8")).split(EOT)
    mixed = [s for s in map(tidy, raw) if usable(s)]
    mixed = without_duplicates(mixed)
    lower = split_lower(normalise(args.lower.read_text(encoding="utf-8")))
    rest = without_duplicates([s for s in lower if usable(s)], known=map(tidy, raw))
    errors = truecase_errors(mixed)
    caser = Truecaser(mixed)
    corpus = mixed + [caser(s) for s in rest]

    budget = args.heldout * sum(map(len, corpus))
    cut = len(corpus)
    while budget > 0:
        cut -= 1
        budget -= len(corpus[cut])
    heldout = corpus[cut:]
    # A shingle that three or more held-out stories share is a formula of the
    # genre ("once upon a time there was a little girl named lily who loved").
    spread = Counter(s for story in heldout for s in shingles(story))
    unseen = {s for s, n in spread.items() if n < 3}
    train, dropped = [], 0
    for story in corpus[:cut]:
        if len(shingles(story) & unseen) > 2:
            dropped += 1
        else:
            train.append(story)
    leak = set().union(*map(shingles, train))
    worst = max(len(shingles(s) & leak) / len(shingles(s)) for s in heldout)

    nouns, names = noun_list(train), name_list(train)
    for name, stories in (("train", train), ("heldout", heldout)):
        with open(args.out / f"{name}.jsonl", "w", encoding="utf-8") as f:
            for story in stories:
                f.write(json.dumps(describe(story, nouns, names), ensure_ascii=False) + "\n")
    tokenizer = train_bpe(train, args.vocab)
    tokenizer.save(str(args.out / "tokenizer.json"))

    report = {"mixed_stories": len(mixed), "lower_stories": len(lower),
              "lower_kept": len(rest), "truecaser": errors,
              "train_dropped_as_near_duplicates": dropped,
              "largest_share_of_shingles_of_a_heldout_story_in_training": worst,
              "nouns": len(nouns), "names": len(names), "vocab": tokenizer.get_vocab_size()}
    for name, stories in (("train", train), ("heldout", heldout)):
        report[name] = {"stories": len(stories),
                        "bytes": sum(len(s.encode()) for s in stories),
                        "tokens": sum(len(e.ids) + 1 for e in tokenizer.encode_batch(stories))}
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
