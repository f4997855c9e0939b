/*
 * How weight matrices lie on the device, and their decoding to operands of mma.m16n8k16. Packing, products, unpacking and
 * embedding share what is here.
 *
 * A matrix [rows][columns] is cut into row tiles of 16 rows and units of UNIT columns, both padded with zeros. A unit of a tile
 * is 512 bytes, 16 for each lane of a warp; unit u of tile i is at byte (i * units + u) * 512, units = ceil(columns / UNIT).
 * Weights are the A operand (16 x 16, row-major), so lane l, with g = l / 4 and t = l % 4, holds values of rows g and g + 8.
 *
 * The order of k inside a unit is permuted, the same for weights and activations, so that what a lane needs of the activations
 * is contiguous: columns t * UNIT/4 + 4s + {0, 1, 2, 3} of the unit are lane t's k = 2t, 2t+1, 2t+8, 2t+9 of mma step s. With c
 * = 4s and A registers a0 = (row g; c, c+1), a1 = (row g+8; c, c+1), a2 = (row g; c+2, c+3), a3 = (row g+8; c+2, c+3), the 16
 * bytes are
 *
 *   f16          one step:    8 halves a0 a1 a2 a3
 *   q8, q8s16    two steps:   8 bytes a0 a1 a2 a3 each, unsigned (value + 128)
 *   q4, q4m      four steps:  a word each; byte 0 holds row g's c and (high nibble) c+2, byte 1 the same of row g+8,
 *                             byte 2 row g's c+1 and c+3, byte 3 the same of row g+8. So a mask gives both halves of a
 *                             register, and a row owns whole bytes
 *
 * Scales are halves, one a row and block: w = scale * (stored - 128) for q8 (block of 32 columns) and q8s16 (16), scale *
 * (stored - 8) for q4 (32), scale * stored + minimum for q4m (32). A lane's columns of a unit lie in one block: block t / 2 of
 * the unit where it has two. Scales of 4 units, a scale group, lie together, so that a lane fetches them with wide loads:
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

/** Layout of a type: BLOCKS scales of each row in a unit, PLANES numbers (scale, minimum) for each. */
template <int UNIT_, int STEPS_, int BLOCKS_, int PLANES_>
struct Layout {
    static constexpr int UNIT = UNIT_;
    static constexpr int STEPS = STEPS_;
    static constexpr int BLOCKS = BLOCKS_;
    static constexpr int PLANES = PLANES_;
    static constexpr int LANE_COLUMNS = UNIT / 4;

    static __device__ __forceinline__ int units(int columns) {
        return (columns + UNIT - 1) / UNIT;
    }

    static __device__ __forceinline__ int groups(int units) {
        return (units + GROUP_UNITS - 1) / GROUP_UNITS;
    }

    /** Scales come in rows of one block: 8 lanes g, 4 units each. Number of the row of a group and plane, for the first block. */
    static __device__ __forceinline__ int scale_row(int tile, int groups, int group, int plane) {
        return ((tile * groups + group) * PLANES + plane) * BLOCKS;
    }

    /** half2 in such a row. */
    static constexpr int SCALE_ROW = 8 * GROUP_UNITS;

    /** Where a lane's scales are (in half2) from the start of that row: in its block's row, at its g; the units follow. */
    static __device__ __forceinline__ int lane_scale(int lane) {
        return (BLOCKS == 2 ? lane % 4 / 2 * SCALE_ROW : 0) + lane / 4 * GROUP_UNITS;
    }

    /** Index (in half2) of one lane's scale of one unit. */
    static __device__ __forceinline__ size_t scale_index(int tile, int units, int unit, int plane, int lane) {
        int row = scale_row(tile, groups(units), unit / GROUP_UNITS, plane);
        return static_cast<size_t>(row) * SCALE_ROW + lane_scale(lane) + unit % GROUP_UNITS;
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
        uint32_t word = words[step];
        a[0] = bits(scaled(lower(word), __low2half2(scale), __low2half2(minimum)));
        a[2] = bits(scaled(upper(word), __low2half2(scale), __low2half2(minimum)));
        word >>= 8;
        a[1] = bits(scaled(lower(word), __high2half2(scale), __high2half2(minimum)));
        a[3] = bits(scaled(upper(word), __high2half2(scale), __high2half2(minimum)));
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

/** One lane's share of a unit, with its scales, read plainly: for kernels that touch each unit once. */
template <class T>
struct LaneUnit {
    uint32_t words[4];
    __half2 scale = half2_of(0);
    __half2 minimum = half2_of(0);

    __device__ __forceinline__ LaneUnit(const void* units, const void* scales, int tile, int count, int unit, int lane) {
        const uint4 raw = static_cast<const uint4*>(units)[(static_cast<size_t>(tile) * count + unit) * 32 + lane];
        words[0] = raw.x;
        words[1] = raw.y;
        words[2] = raw.z;
        words[3] = raw.w;
        if constexpr (T::PLANES > 0) {
            scale = static_cast<const __half2*>(scales)[T::scale_index(tile, count, unit, 0, lane)];
        }
        if constexpr (T::PLANES > 1) {
            minimum = static_cast<const __half2*>(scales)[T::scale_index(tile, count, unit, 1, lane)];
        }
    }
};

}  // namespace weights
}  // namespace skim
