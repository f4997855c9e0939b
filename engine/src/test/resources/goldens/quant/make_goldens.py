"""Blocks of ggml's quantised types and what the Python package gguf makes of them.

    pip install gguf && python make_goldens.py
"""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import GGML_QUANT_SIZES, dequantize, quantize

HERE = Path(__file__).parent
ELEMENTS = 1024
# Where the float16 values (scale, then minimum) of a block lie; all other bytes may be anything.
HALVES = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
    Type.IQ4_NL: [0], Type.IQ4_XS: [0],
}  # fmt: skip


def blocks(kind: Type, rng: np.random.Generator) -> np.ndarray:
    """[blocks][bytes]: random, with scales of either sign, one zero and one subnormal."""
    size, width = GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (ELEMENTS // size, width), dtype=np.uint8)
    for offset in HALVES[kind]:
        scales = rng.choice([-1, 1], len(data)) * np.exp2(rng.uniform(-12, -3, len(data)))
        scales[-1] = 0
        scales[-2] = 291 * 2.0**-24
        data[:, offset : offset + 2] = scales.astype("<f2").view(np.uint8).reshape(-1, 2)
    return data


def main() -> None:
    rng = np.random.default_rng(20261124)
    for kind in HALVES:
        data = blocks(kind, rng)
        values = dequantize(data, kind).astype("<f4").ravel()
        assert np.isfinite(values).all() and len(values) == ELEMENTS
        (HERE / f"{kind.name}.bin").write_bytes(data.tobytes())
        (HERE / f"{kind.name}.f32").write_bytes(values.tobytes())

    floats = rng.normal(0, 1, (ELEMENTS // 32, 32)) * np.exp2(rng.uniform(-8, 4, (ELEMENTS // 32, 1)))
    floats[3] = 0
    floats[4, 7] = -floats[4].max() * 4  # the extreme of a block decides the sign of Q4_0's scale
    floats = floats.astype("<f4")
    (HERE / "floats.f32").write_bytes(floats.tobytes())
    for kind in (Type.Q8_0, Type.Q4_0):
        (HERE / f"floats.{kind.name}.bin").write_bytes(quantize(floats, kind).tobytes())


if __name__ == "__main__":
    main()
