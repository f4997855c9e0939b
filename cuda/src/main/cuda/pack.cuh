/*
 * pack_<gguf>: tensors as GGUF stores them (rows of ggml blocks) to the layout of weights.cuh.
 *
 *   F32, F16, BF16 -> f16    Q8_0 -> q8    Q6_K -> q8s16    Q4_0 -> q4    Q4_1, Q4_K -> q4m
 *
 * raw holds stored rows firstRow ... firstRow + rows - 1 of a tensor. Row r becomes matrix row rowOffset + r, or, with pairing
 * 1, which interleaves 8 rows of the gate with 8 rows of the up projection in each tile, row r / 8 * 16 + r % 8 + rowOffset (0:
 * gate, 8: up).
 *
 * A thread makes one lane's 16 bytes of one unit: it reads what is there, puts in the rows that this call brings (one or both
 * of its two) and writes it back. So a tile may be filled by several calls, one after the other; the target is zero before the
 * first. Any grid and block will do (a multiple of 32 threads).
 */
#pragma once

#include "launch.cuh"
#include "weights.cuh"

#include <cuda_bf16.h>

namespace skim {
namespace pack {

using weights::TILE_ROWS;

/** A block's scale and what is added after scaling. */
struct Scale {
    float scale;
    float minimum;
};

__device__ __forceinline__ uint32_t read16(const uint8_t* at) {
    return at[0] | static_cast<uint32_t>(at[1]) << 8;
}

__device__ __forceinline__ float read_half(const uint8_t* at) {
    return __half2float(__ushort_as_half(static_cast<unsigned short>(read16(at))));
}

/*
 * Sources. bits(row, column): what is stored for a column; scale(row, column): the scale of the block around it. BLOCK
 * elements are BYTES bytes.
 */

struct FromF32 {
    using Target = weights::F16;
    static constexpr int BLOCK = 1;
    static constexpr int BYTES = 4;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        const uint8_t* at = row + static_cast<size_t>(column) * 4;
        return __half_as_ushort(__float2half_rn(__uint_as_float(read16(at) | read16(at + 2) << 16)));
    }
};

struct FromF16 {
    using Target = weights::F16;
    static constexpr int BLOCK = 1;
    static constexpr int BYTES = 2;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        return read16(row + static_cast<size_t>(column) * 2);
    }
};

struct FromBf16 {
    using Target = weights::F16;
    static constexpr int BLOCK = 1;
    static constexpr int BYTES = 2;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        return __half_as_ushort(__float2half_rn(__uint_as_float(read16(row + static_cast<size_t>(column) * 2) << 16)));
    }
};

/** d, 32 signed bytes. */
struct FromQ8_0 {
    using Target = weights::Q8;
    static constexpr int BLOCK = 32;
    static constexpr int BYTES = 34;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        return row[column / 32 * BYTES + 2 + column % 32] ^ 0x80;
    }

    static __device__ __forceinline__ Scale scale(const uint8_t* row, int column) {
        return {read_half(row + column / 32 * BYTES), 0};
    }
};

/** 128 bytes of low halves, 64 bytes of upper 2 bits, 16 signed scales, d. See Quantization.readQ6_K. */
struct FromQ6_K {
    using Target = weights::Q8S16;
    static constexpr int BLOCK = 256;
    static constexpr int BYTES = 210;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        const uint8_t* block = row + column / 256 * BYTES;
        int e = column % 256;
        int i = e % 32;
        int low = block[e / 128 * 64 + e / 32 % 2 * 32 + i] >> e / 64 % 2 * 4 & 0xf;
        int high = block[128 + e / 128 * 32 + i] >> e / 32 % 4 * 2 & 3;
        return (low | high << 4) - 32 + 128;
    }

    static __device__ __forceinline__ Scale scale(const uint8_t* row, int column) {
        const uint8_t* block = row + column / 256 * BYTES;
        return {read_half(block + 208) * static_cast<int8_t>(block[192 + column % 256 / 16]), 0};
    }
};

/** Nibble of a block of 32: elements 0 ... 15 in the low halves, 16 ... 31 in the high ones. */
__device__ __forceinline__ uint32_t nibble(const uint8_t* values, int element) {
    return values[element % 16] >> element / 16 * 4 & 0xf;
}

/** d, 16 bytes. */
struct FromQ4_0 {
    using Target = weights::Q4;
    static constexpr int BLOCK = 32;
    static constexpr int BYTES = 18;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        return nibble(row + column / 32 * BYTES + 2, column % 32);
    }

    static __device__ __forceinline__ Scale scale(const uint8_t* row, int column) {
        return {read_half(row + column / 32 * BYTES), 0};
    }
};

/** d, m, 16 bytes. */
struct FromQ4_1 {
    using Target = weights::Q4M;
    static constexpr int BLOCK = 32;
    static constexpr int BYTES = 20;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        return nibble(row + column / 32 * BYTES + 4, column % 32);
    }

    static __device__ __forceinline__ Scale scale(const uint8_t* row, int column) {
        const uint8_t* block = row + column / 32 * BYTES;
        return {read_half(block), read_half(block + 2)};
    }
};

/** d, m, 12 bytes with 8 scales and 8 minima of 6 bits, 128 bytes of which groups 2p, 2p + 1 of 32 share 32p ... */
struct FromQ4_K {
    using Target = weights::Q4M;
    static constexpr int BLOCK = 256;
    static constexpr int BYTES = 144;

    static __device__ __forceinline__ uint32_t bits(const uint8_t* row, int column) {
        int e = column % 256;
        return row[column / 256 * BYTES + 16 + e / 64 * 32 + e % 32] >> e / 32 % 2 * 4 & 0xf;
    }

    static __device__ __forceinline__ Scale scale(const uint8_t* row, int column) {
        const uint8_t* block = row + column / 256 * BYTES;
        const uint8_t* packed = block + 4;
        int group = column % 256 / 32;
        int scale;
        int minimum;
        if (group < 4) {
            scale = packed[group] & 0x3f;
            minimum = packed[group + 4] & 0x3f;
        } else {
            scale = (packed[group + 4] & 0xf) | (packed[group - 4] >> 6) << 4;
            minimum = packed[group + 4] >> 4 | (packed[group] >> 6) << 4;
        }
        return {read_half(block) * scale, -(read_half(block + 2) * minimum)};
    }
};

/** Bit of a lane's 128 where {@code element} (0 ... UNIT/4 - 1) of its row g (half 0) or g + 8 (half 1) is stored. */
template <class T>
__device__ __forceinline__ int bit_position(int element, int half) {
    int step = element / 4;
    int pair = element / 2 % 2;  // 0: a0 or a1, 1: a2 or a3
    int odd = element % 2;
    if (T::UNIT == 16) {
        return (pair * 2 + half) * 32 + odd * 16;
    }
    if (T::UNIT == 32) {
        return step * 64 + (pair * 2 + half) * 16 + odd * 8;
    }
    return (step % 2 * 2 + pair) * 32 + odd * 16 + half * 8 + step / 2 * 4;
}

template <class Source>
__device__ __forceinline__ void run(
        const uint8_t* raw, int firstRow, int rows, int columns, int pairing, int rowOffset, void* units, void* scales) {
    using T = typename Source::Target;
    constexpr uint32_t FIELD_BITS = 64 / T::LANE_COLUMNS;
    constexpr uint32_t FIELD = (1u << FIELD_BITS) - 1;
    const size_t rowBytes = static_cast<size_t>(columns) / Source::BLOCK * Source::BYTES;
    const int unitCount = T::units(columns);
    const int firstTile = (rowOffset + (pairing ? firstRow / 8 * 16 : firstRow)) / TILE_ROWS;
    const int lastRow = firstRow + rows - 1;
    const int lastTile = (rowOffset + (pairing ? lastRow / 8 * 16 : lastRow)) / TILE_ROWS;
    const int64_t total = static_cast<int64_t>(lastTile - firstTile + 1) * unitCount * 32;

    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
            i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        const int lane = static_cast<int>(i % 32);
        const int unit = static_cast<int>(i / 32 % unitCount);
        const int tile = firstTile + static_cast<int>(i / 32 / unitCount);
        const int firstColumn = unit * T::UNIT;
        uint4* target = static_cast<uint4*>(units) + (static_cast<size_t>(tile) * unitCount + unit) * 32 + lane;
        const uint4 before = *target;
        uint32_t words[4] = {before.x, before.y, before.z, before.w};
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = tile * TILE_ROWS + half * 8 + lane / 4 - rowOffset;
            bool inside = row >= 0;
            if (pairing) {
                inside = inside && row % 16 < 8;
                row = row / 16 * 8 + row % 16;
            }
            row -= firstRow;
            if (!inside || row < 0 || row >= rows) {
                continue;
            }
            const uint8_t* source = raw + row * rowBytes;
#pragma unroll
            for (int e = 0; e < T::LANE_COLUMNS; e++) {
                const int column = firstColumn + T::column(lane, e);
                if (column < columns) {
                    const int position = bit_position<T>(e, half);
                    const uint32_t value = Source::bits(source, column);
                    words[position / 32] = (words[position / 32] & ~(FIELD << position % 32)) | value << position % 32;
                }
            }
            if constexpr (T::PLANES > 0) {
                // Lane t < BLOCKS writes what its row has for block t.
                const int block = lane % 4;
                const int column = firstColumn + block * T::BLOCK_COLUMNS;
                if (block < T::BLOCKS && column < columns) {
                    const Scale scale = Source::scale(source, column);
                    __half* entries = static_cast<__half*>(scales) + half;
                    entries[T::scale_index(tile, unitCount, unit, 0, block, lane) * 2] = __float2half_rn(scale.scale);
                    if constexpr (T::PLANES > 1) {
                        entries[T::scale_index(tile, unitCount, unit, 1, block, lane) * 2] = __float2half_rn(scale.minimum);
                    }
                }
            }
        }
        *target = make_uint4(words[0], words[1], words[2], words[3]);
    }
}

}  // namespace pack
}  // namespace skim

#define SKIM_PACK(NAME, SOURCE)                                                                                          \
    extern "C" __global__ void __launch_bounds__(256) pack_##NAME(const uint8_t* raw, int firstRow, int rows,            \
            int columns, int pairing, int rowOffset, void* units, void* scales) {                                        \
        skim::waitForPreviousKernel();                                                                                   \
        skim::pack::run<skim::pack::SOURCE>(raw, firstRow, rows, columns, pairing, rowOffset, units, scales);            \
    }

SKIM_PACK(f32, FromF32)
SKIM_PACK(f16, FromF16)
SKIM_PACK(bf16, FromBf16)
SKIM_PACK(q8_0, FromQ8_0)
SKIM_PACK(q6_k, FromQ6_K)
SKIM_PACK(q4_0, FromQ4_0)
SKIM_PACK(q4_1, FromQ4_1)
SKIM_PACK(q4_k, FromQ4_K)

#undef SKIM_PACK
