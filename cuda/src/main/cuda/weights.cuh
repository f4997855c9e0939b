/*
 * How weight matrices lie on the device, and their decoding to operands of mma.m16n8k16. Packing, products, unpacking and
 * embedding share what is here.
 *
 * A matrix [rows][columns] is cut into row tiles of 16 rows and units of UNIT columns, both padded with zeros. A unit of a tile
 * is 512 bytes, 16 for each lane of a warp; unit u of tile i is at byte (i * units + u) * 512, units = ceil(columns / UNIT).
 * Weights are the A operand (16 x 16, row-major), so lane l, with g = l / 4 and t = l % 4, holds values of rows g and g + 8.
 *
 * The order of k inside a unit is permuted, the same for weights and activations, so that what a lane needs of the activations
 * is contiguous and a step stays in one block, the columns of a row that share a scale. A unit is BLOCKS blocks, a block some
 * steps: columns 4 steps t + 4s + {0, 1, 2, 3} of the block are lane t's k = 2t, 2t+1, 2t+8, 2t+9 of the block's step s. With c
 * the first of them and A registers a0 = (row g; c, c+1), a1 = (row g+8; c, c+1), a2 = (row g; c+2, c+3), a3 = (row g+8; c+2,
 * c+3), the 16 bytes are
 *
 *   f16      1 block of 1 step     8 halves a0 a1 a2 a3
 *   q8       1 block of 2 steps    8 bytes a0 a1 a2 a3 for each step, unsigned (value + 128)
 *   q8s16    2 blocks of 1 step    the same
 *   q4, q4m  2 blocks of 2 steps   two words a step, the first block in the low nibbles, the second in the high ones; the first
 *                                  word's bytes are row g's c, row g+8's c, row g's c+1, row g+8's c+1, the second's the same
 *                                  for c+2 and c+3. So a mask gives both halves of a register, and a row owns whole bytes
 *
 * Scales are halves, one a row and block: w = scale * (stored - 128) for q8 (block of 32 columns) and q8s16 (16), scale *
 * (stored - 8) for q4 (32), scale * stored + minimum for q4m (32). Scales of 4 units, a scale group, lie together, so that a
 * lane fetches them with wide loads:
 *
 *   half2 (row g, row g+8)  scales[tile][ceil(units / 4)][plane: scale, minimum][block of the unit][g][unit % 4]
 *
 * Units that pad a group have scale and minimum 0.
 */
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace skim {
namespace weights {

constexpr int TILE_ROWS = 16;
constexpr int UNIT_BYTES = 512;
constexpr int GROUP_UNITS = 4;

__device__ __forceinline__ uint32_t bits(__half2 value) {
    return *reinterpret_cast<uint32_t*>(&value);
}

__device__ __forceinline__ __half2 half2_of(uint32_t value) {
    return *reinterpret_cast<__half2*>(&value);
}

/** Both halves {@code constant}, given by its bits. */
__device__ __forceinline__ __half2 both(uint32_t constant) {
    return half2_of(constant << 16 | constant);
}

/** (value & mask) | 0x6400 in each half, as one instruction: left to itself the compiler makes two, both with an immediate. */
template <uint32_t MASK>
__device__ __forceinline__ __half2 masked_magic(uint32_t value) {
    uint32_t result;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(value), "n"(MASK), "r"(0x64006400));
    return half2_of(result);
}

/** Layout of a type: STEPS mma steps in a unit, in BLOCKS blocks; PLANES numbers (scale, minimum) for a row of a block. */
template <int UNIT_, int STEPS_, int BLOCKS_, int PLANES_>
struct Layout {
    static constexpr int UNIT = UNIT_;
    static constexpr int STEPS = STEPS_;
    static constexpr int BLOCKS = BLOCKS_;
    static constexpr int PLANES = PLANES_;
    static constexpr int BLOCK_STEPS = STEPS / BLOCKS;
    static constexpr int BLOCK_COLUMNS = UNIT / BLOCKS;
    /** Columns of a lane: in a unit, and side by side in a block. */
    static constexpr int LANE_COLUMNS = UNIT / 4;
    static constexpr int RUN = BLOCK_COLUMNS / 4;

    static __device__ __forceinline__ int units(int columns) {
        return (columns + UNIT - 1) / UNIT;
    }

    static __device__ __forceinline__ int groups(int units) {
        return (units + GROUP_UNITS - 1) / GROUP_UNITS;
    }

    /** Column, in the unit, of a lane's element 0 ... LANE_COLUMNS - 1. */
    static __device__ __forceinline__ int column(int lane, int element) {
        return element / RUN * BLOCK_COLUMNS + lane % 4 * RUN + element % RUN;
    }

    /** half2 of a group, plane and block: 8 lanes g, 4 units each. */
    static constexpr int SCALE_ROW = 8 * GROUP_UNITS;

    /** Index (in half2) of one lane's scale of one unit and block. */
    static __device__ __forceinline__ size_t scale_index(int tile, int units, int unit, int plane, int block, int lane) {
        const int row = ((tile * groups(units) + unit / GROUP_UNITS) * PLANES + plane) * BLOCKS + block;
        return static_cast<size_t>(row) * SCALE_ROW + lane / 4 * GROUP_UNITS + unit % GROUP_UNITS;
    }
};

/*
 * Decoding: fragments() makes the A registers of one step from a lane's 16 bytes. Integers become halves by bits: 0x6400 | v is
 * 1024 + v, so one exact subtraction gives the integer, and only the product with the scale rounds.
 */

struct F16 : Layout<16, 1, 1, 0> {
    static __device__ __forceinline__ void fragments(
            const uint32_t (&words)[4], __half2 /*scale*/, __half2 /*minimum*/, int /*step*/, uint32_t (&a)[4]) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            a[i] = words[i];
        }
    }
};

template <int BLOCKS_>
struct Bytes : Layout<32, 2, BLOCKS_, 1> {
    static __device__ __forceinline__ void fragments(
            const uint32_t (&words)[4], __half2 scale, __half2 /*minimum*/, int step, uint32_t (&a)[4]) {
        const __half2 low = __low2half2(scale);
        const __half2 high = __high2half2(scale);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t word = words[2 * step + i];
            a[2 * i] = bits(__hmul2(integers(word, 0x4140), low));
            a[2 * i + 1] = bits(__hmul2(integers(word, 0x4342), high));
        }
    }

private:
    /** Two stored bytes minus 128; the selector puts 0x64 over each. */
    static __device__ __forceinline__ __half2 integers(uint32_t word, uint32_t selector) {
        return __hsub2(half2_of(__byte_perm(word, 0x64646464, selector)), both(0x6480));
    }
};

struct Q8 : Bytes<1> {};
struct Q8S16 : Bytes<2> {};

template <bool MINIMUM>
struct Nibbles : Layout<64, 4, 2, MINIMUM ? 2 : 1> {
    static __device__ __forceinline__ void fragments(
            const uint32_t (&words)[4], __half2 scale, __half2 minimum, int step, uint32_t (&a)[4]) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint32_t word = words[step % 2 * 2 + i];
            const __half2 row = step < 2 ? lower(word) : upper(word);
            const __half2 row8 = step < 2 ? lower(word >> 8) : upper(word >> 8);
            a[2 * i] = bits(scaled(row, __low2half2(scale), __low2half2(minimum)));
            a[2 * i + 1] = bits(scaled(row8, __high2half2(scale), __high2half2(minimum)));
        }
    }

private:
    /** The low nibbles of bytes 0 and 2, less 8 unless there are minima. */
    static __device__ __forceinline__ __half2 lower(uint32_t word) {
        return __hsub2(masked_magic<0x000f000f>(word), both(MINIMUM ? 0x6400 : 0x6408));
    }

    /** The high nibbles, likewise: the bits are 1024 + 16 v, so (1024 + 16 v) / 16 - 64 is v. */
    static __device__ __forceinline__ __half2 upper(uint32_t word) {
        return __hfma2(masked_magic<0x00f000f0>(word), both(0x2c00), both(MINIMUM ? 0xd400 : 0xd480));
    }

    static __device__ __forceinline__ __half2 scaled(__half2 value, __half2 scale, __half2 minimum) {
        return MINIMUM ? __hfma2(value, scale, minimum) : __hmul2(value, scale);
    }
};

struct Q4 : Nibbles<false> {};
struct Q4M : Nibbles<true> {};

/** One lane's share of a unit as halves, zeros until read, plainly: for kernels that touch each unit once. */
template <class T>
struct LaneUnit {
    /** Pairs of the lane's columns, in the order of T::column, of rows g and g + 8. */
    uint32_t pairs[2][T::LANE_COLUMNS / 2] = {};

    __device__ __forceinline__ void read(const void* units, const void* scales, int tile, int count, int unit, int lane) {
        const uint4 raw = static_cast<const uint4*>(units)[(static_cast<size_t>(tile) * count + unit) * 32 + lane];
        const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
        const __half2* numbers = static_cast<const __half2*>(scales);
#pragma unroll
        for (int block = 0; block < T::BLOCKS; block++) {
            __half2 scale = half2_of(0);
            __half2 minimum = half2_of(0);
            if constexpr (T::PLANES > 0) {
                scale = numbers[T::scale_index(tile, count, unit, 0, block, lane)];
            }
            if constexpr (T::PLANES > 1) {
                minimum = numbers[T::scale_index(tile, count, unit, 1, block, lane)];
            }
#pragma unroll
            for (int s = block * T::BLOCK_STEPS; s < (block + 1) * T::BLOCK_STEPS; s++) {
                uint32_t a[4];
                T::fragments(words, scale, minimum, s, a);
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    pairs[k % 2][2 * s + k / 2] = a[k];
                }
            }
        }
    }
};

}  // namespace weights
}  // namespace skim
