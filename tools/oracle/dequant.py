#!/usr/bin/env python3
"""Golden values of dequantisation, one file per weight format.

    dequant.py OUT_DIR

Each file holds random blocks and the float32 values that the gguf package's own
numpy code gives for them. The codes are uniform random bytes. The scales are
drawn apart, so that every result is finite: zero, minus zero, f16 subnormals,
both signs and all magnitudes up to a limit appear.

File, little endian: "VGDQ", u32 version 1, u32 ggml type, u32 n elements,
u32 n raw bytes, the raw bytes, n float32.
"""
import argparse
import pathlib
import struct

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# Byte offsets of the f16 scales inside a block.
F16_SCALES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ4_NL: [0], T.IQ4_XS: [0],
}
TYPES = [T.F32, T.F16, T.BF16, *F16_SCALES, T.MXFP4]

# First the cases that random numbers would miss: 0, -0, the smallest and the largest
# subnormal, the smallest normal number of each sign, 1, -1, the largest f16.
F16_EDGES = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400,
                      0x3C00, 0xBC00, 0x7BFF, 0xFBFF], np.uint16)


def finite_f16(rng, n, first=0):
    """n finite f16 bit patterns: the edges from index `first` on, then random ones."""
    bits = (rng.integers(0, 0x7C00, n) | rng.integers(0, 2, n) << 15).astype(np.uint16)
    edges = np.roll(F16_EDGES, -first)[:n]
    bits[:len(edges)] = edges
    return bits


def finite_wide(rng, n, mantissa_bits):
    """n finite bit patterns with 8 exponent bits (float32: 23 mantissa bits, bfloat16: 7)."""
    exponent = rng.integers(0, 255, n).astype(np.uint64)
    mantissa = rng.integers(0, 1 << mantissa_bits, n).astype(np.uint64)
    sign = rng.integers(0, 2, n).astype(np.uint64)
    bits = sign << (mantissa_bits + 8) | exponent << mantissa_bits | mantissa
    top = 1 << (mantissa_bits + 8)
    low = 1 << mantissa_bits
    bits[:8] = [0, top, 1, top | 1, low - 1, low, 255 * low - 1, top | (255 * low - 1)]
    return bits


def raw_blocks(rng, kind):
    """Random raw bytes of a tensor of the given type, [blocks, bytes per block]."""
    block, size = GGML_QUANT_SIZES[kind]
    n = 8192 // block if block == 256 else 4096 // block
    if kind == T.F32:
        return finite_wide(rng, n, 23).astype("<u4").view(np.uint8).reshape(n, 4)
    if kind == T.BF16:
        return finite_wide(rng, n, 7).astype("<u2").view(np.uint8).reshape(n, 2)
    if kind == T.F16:
        return finite_f16(rng, n).astype("<u2").view(np.uint8).reshape(n, 2)
    raw = rng.integers(0, 256, (n, size)).astype(np.uint8)
    if kind == T.MXFP4:
        # The scale is 2^(e-127); above 250 a code of 6 overflows float32.
        raw[:, 0] = rng.integers(0, 251, n)
        raw[:6, 0] = [0, 1, 2, 127, 128, 250]
    for i, at in enumerate(F16_SCALES.get(kind, [])):
        raw[:, at:at + 2] = finite_f16(rng, n, 5 * i).astype("<u2").view(np.uint8).reshape(n, 2)
    return raw


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for kind in TYPES:
        raw = raw_blocks(np.random.default_rng(1000 + int(kind)), kind)
        if kind in (T.F32, T.F16):
            values = raw.reshape(-1).view("<f4" if kind == T.F32 else "<f2").astype("<f4")
        else:
            with np.errstate(all="ignore"):
                values = dequantize(raw.reshape(1, -1), kind).reshape(-1).astype("<f4")
        assert np.isfinite(values).all(), kind
        head = struct.pack("<4s4I", b"VGDQ", 1, int(kind), values.size, raw.size)
        (out / f"{kind.name}.bin").write_bytes(head + raw.tobytes() + values.tobytes())
        print(f"{kind.name:7} type {int(kind):2} elements {values.size} "
              f"range {values.min():.3g} .. {values.max():.3g}")


if __name__ == "__main__":
    main()
