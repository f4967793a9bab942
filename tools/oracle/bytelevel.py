"""The characters that byte-level vocabularies (GPT-2 and later) write bytes as."""
import functools


@functools.cache
def byte_symbols():
    """Character of each byte: itself where it prints, else the next from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(spare)) for b in range(256)]


def to_symbols(data):
    symbols = byte_symbols()
    return "".join(symbols[b] for b in data)


def to_bytes(text):
    """The bytes that a token of such a vocabulary stands for."""
    bytes_of = {c: b for b, c in enumerate(byte_symbols())}
    return bytes(bytes_of[c] for c in text)
