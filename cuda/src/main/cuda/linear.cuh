/*
 * Products of packed weight matrices (weights.cuh) with few rows of activations: decode steps. Also their unpacking, and
 * embedding.
 *
 * linear_<TYPE>_<NT>: y[n][r] = sum over k of W[r][k] x[n][k] for n < batch <= 8 NT. Bound by reading W once.
 *   mode 0: y float [batch][yStride] = product * outScale + bias    mode 1: the same added to y
 *   mode 2: y half [batch][yStride], rows / 2 columns: silu(gate) * up / 64 of the tiles' 8 gate and 8 up rows
 *
 * Work split. A CTA takes ROW_TILES row tiles (16 rows each) at a time, tile sets blockIdx.x, blockIdx.x + gridDim.x, ...; so
 * any grid is right, and ceil(rows / (16 * ROW_TILES)) gives each set its own CTA. Its 8 warps split k: scale group i (4 units)
 * belongs to warp i % 8. A warp holds STAGES stages of STAGE_UNITS units for each of its tiles in registers, loaded before they
 * are used; weights skip L1 and leave L2 first, as nothing reads them again. Activations come straight from L1/L2 in the order
 * of the fragments: no shared memory. At the end of a set the warps' sums meet in shared memory.
 *
 * A column's result doesn't depend on NT or on the other columns: warps, their units and the final sum have one order in all
 * variants. Columns past the batch repeat its last row and are dropped. Units past the last repeat it with scale 0 (f16:
 * zeros).
 *
 * Launched with programmatic stream serialization (sm_90 on), a kernel fetches its first stages while the previous kernel ends,
 * and waits for that before it touches x or y.
 *
 * x rows need columns rounded up to 64, the pad zero. It must be 16-byte aligned, xStride a multiple of 8.
 */
#pragma once

#include "weights.cuh"

namespace skim {
namespace linear {

using weights::GROUP_UNITS;
using weights::TILE_ROWS;
using weights::UNIT_BYTES;

constexpr int WARPS = 8;
constexpr int THREADS = WARPS * 32;

/** What the fused activation multiplies by, so that halves hold it: the next product's outScale is the inverse. */
constexpr float ACTIVATION_SCALE = 1.0f / 64;

__device__ __forceinline__ void wait_for_previous_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ void let_next_kernel_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ uint64_t read_once_policy() {
    uint64_t policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

__device__ __forceinline__ void load_once(uint32_t (&words)[4], const void* at, uint64_t policy) {
    asm volatile("ld.global.nc.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], %5;"
            : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
            : "l"(at), "l"(policy));
}

__device__ __forceinline__ void load_once(uint32_t (&words)[2], const void* at, uint64_t policy) {
    asm volatile("ld.global.nc.L1::no_allocate.L2::cache_hint.v2.u32 {%0, %1}, [%2], %3;"
            : "=r"(words[0]), "=r"(words[1])
            : "l"(at), "l"(policy));
}

__device__ __forceinline__ void mma_m16n8k16(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
            " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** B registers of up to two steps and 8 columns: 4 or 8 contiguous halves of lane t for row g. */
template <int STEPS>
struct Activations {
    uint32_t words[2 * STEPS];

    __device__ __forceinline__ void load(const __half* at) {
        // In order with the mma (volatile): hoisted by the compiler, all columns' loads would not fit the registers.
        if constexpr (STEPS == 1) {
            asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(words[0]), "=r"(words[1]) : "l"(at));
        } else {
            asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                    : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                    : "l"(at));
        }
    }
};

struct Args {
    const void* units;
    const void* scales;
    int rows;
    int columns;
    const __half* x;
    int xStride;
    int batch;
    const float* bias;
    float outScale;
    int mode;
    void* y;
    int yStride;
};

/** ROW_TILES and STAGE_UNITS (2 or 4), STAGES: see the top. */
template <class T, int NT, int ROW_TILES, int STAGE_UNITS, int STAGES>
struct Product {
    static constexpr int GROUP_STAGES = GROUP_UNITS / STAGE_UNITS;
    static constexpr int SCALE_PLANES = T::PLANES == 0 ? 1 : T::PLANES;  // no array of size 0
    /** Steps whose activations are fetched together. */
    static constexpr int X_STEPS = T::STEPS < 2 ? T::STEPS : 2;
    /** Column tiles that meet in shared memory at a time. */
    static constexpr int MERGED = NT < 2 ? NT : 2;
    static constexpr int MERGED_SUMS = MERGED * 128;

    struct Stage {
        uint32_t units[ROW_TILES][STAGE_UNITS][4];
        uint32_t scales[ROW_TILES][SCALE_PLANES][STAGE_UNITS];
    };

    const Args& args;
    /** By a shuffle, so that the compiler knows it for the same in all lanes. */
    const int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0);
    const int lane = threadIdx.x % 32;
    const int unitCount = T::units(args.columns);
    const int groups = T::groups(unitCount);
    const int tiles = (args.rows + TILE_ROWS - 1) / TILE_ROWS;
    const int sets = (tiles + ROW_TILES - 1) / ROW_TILES;
    /** Stages of a warp and set, some empty: the same for all warps and a multiple of STAGES. */
    const int steps = ((groups + WARPS - 1) / WARPS * GROUP_STAGES + STAGES - 1) / STAGES * STAGES;
    const uint64_t policy = read_once_policy();
    const char* const laneUnits = static_cast<const char*>(args.units) + lane * 16;
    const __half2* const laneScales = static_cast<const __half2*>(args.scales) + T::lane_scale(lane);

    __device__ __forceinline__ int group(int step) const {
        return step / GROUP_STAGES * WARPS + warp;
    }

    __device__ __forceinline__ int first_unit(int step) const {
        return group(step) * GROUP_UNITS + step % GROUP_STAGES * STAGE_UNITS;
    }

    __device__ __forceinline__ void load(Stage& stage, int set, int step) const {
        if (group(step) >= groups) {
            return;
        }
#pragma unroll
        for (int r = 0; r < ROW_TILES; r++) {
            const int tile = min(set * ROW_TILES + r, tiles - 1);
#pragma unroll
            for (int i = 0; i < STAGE_UNITS; i++) {
                const int unit = min(first_unit(step) + i, unitCount - 1);
                load_once(stage.units[r][i], laneUnits + static_cast<int64_t>(tile * unitCount + unit) * UNIT_BYTES, policy);
            }
            if constexpr (T::PLANES > 0) {
#pragma unroll
                for (int plane = 0; plane < T::PLANES; plane++) {
                    const int64_t at = T::scale_row(tile, groups, group(step), plane) * T::SCALE_ROW;
                    load_once(stage.scales[r][plane], laneScales + at + step % GROUP_STAGES * STAGE_UNITS, policy);
                }
            }
        }
    }

    __device__ __forceinline__ void multiply(
            const Stage& stage, int step, const int (&xOffsets)[NT], float (&sums)[ROW_TILES][NT][4]) const {
        if (group(step) >= groups) {
            return;
        }
#pragma unroll
        for (int i = 0; i < STAGE_UNITS; i++) {
            const int unit = min(first_unit(step) + i, unitCount - 1);
            const bool pad = T::PLANES == 0 && first_unit(step) + i >= unitCount;  // scale groups hold zeros there
#pragma unroll
            for (int first = 0; first < T::STEPS; first += X_STEPS) {
                uint32_t a[ROW_TILES][X_STEPS][4];
#pragma unroll
                for (int r = 0; r < ROW_TILES; r++) {
                    const __half2 scale = weights::half2_of(T::PLANES > 0 ? stage.scales[r][0][i] : 0);
                    const __half2 minimum = weights::half2_of(T::PLANES > 1 ? stage.scales[r][SCALE_PLANES - 1][i] : 0);
#pragma unroll
                    for (int s = 0; s < X_STEPS; s++) {
                        T::fragments(stage.units[r][i], scale, minimum, first + s, a[r][s]);
#pragma unroll
                        for (int k = 0; k < 4; k++) {
                            a[r][s][k] = pad ? 0 : a[r][s][k];
                        }
                    }
                }
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    Activations<X_STEPS> b;
                    b.load(args.x + (xOffsets[n] + unit * T::UNIT + first * 4));
#pragma unroll
                    for (int s = 0; s < X_STEPS; s++) {
#pragma unroll
                        for (int r = 0; r < ROW_TILES; r++) {
                            mma_m16n8k16(sums[r][n], a[r][s], b.words[2 * s], b.words[2 * s + 1]);
                        }
                    }
                }
            }
        }
    }

    /** Adds up the warps' sums of a set and writes y. */
    __device__ __forceinline__ void finish(
            int set, const float (&sums)[ROW_TILES][NT][4], float (&partial)[WARPS][MERGED_SUMS], bool& partialUsed) const {
        // Thread: a row of the tile, a column of the merged column tiles. Where lane and register of that sum is: see mma's C.
        const int row = threadIdx.x % TILE_ROWS;
        const int column = threadIdx.x / TILE_ROWS;
        const int at = column / 8 * 128 + (row % 8 * 4 + column % 8 / 2) * 4 + row / 8 * 2 + column % 2;
        const bool summing = threadIdx.x < MERGED_SUMS;
#pragma unroll
        for (int r = 0; r < ROW_TILES; r++) {
            const int matrixRow = (set * ROW_TILES + r) * TILE_ROWS + row;
#pragma unroll
            for (int first = 0; first < NT; first += MERGED) {
                const int n = first * 8 + column;
                const bool inside = summing && matrixRow < args.rows && n < args.batch;
                float* y = static_cast<float*>(args.y) + static_cast<size_t>(n) * args.yStride + matrixRow;
                float addend = 0;  // fetched before the barrier
                if (inside && args.bias != nullptr) {
                    addend = args.bias[matrixRow];
                }
                if (inside && args.mode == 1) {
                    addend += *y;
                }
                if (partialUsed) {
                    __syncthreads();
                }
                partialUsed = true;
#pragma unroll
                for (int m = 0; m < MERGED; m++) {
                    const float(&sum)[4] = sums[r][first + m];
                    *reinterpret_cast<float4*>(&partial[warp][m * 128 + lane * 4]) = make_float4(sum[0], sum[1], sum[2], sum[3]);
                }
                __syncthreads();
                if (summing) {
                    float total = 0;
#pragma unroll
                    for (int w = 0; w < WARPS; w++) {
                        total += partial[w][at];
                    }
                    const float value = total * args.outScale + addend;
                    if (args.mode != 2) {
                        if (inside) {
                            *y = value;
                        }
                    } else {
                        const float up = __shfl_down_sync(0xffffffff, value, 8);
                        const int pair = (set * ROW_TILES + r) * 8 + row;
                        if (row < 8 && pair < args.rows / 2 && n < args.batch) {
                            const float activated = value / (1 + __expf(-value)) * up;
                            __half* out = static_cast<__half*>(args.y) + static_cast<size_t>(n) * args.yStride;
                            out[pair] = __float2half_rn(activated * ACTIVATION_SCALE);
                        }
                    }
                }
            }
        }
    }

    __device__ __forceinline__ void run(float (&partial)[WARPS][MERGED_SUMS]) const {
        Stage stages[STAGES];
        let_next_kernel_start();
        if (blockIdx.x < sets) {
#pragma unroll
            for (int s = 0; s < STAGES; s++) {
                load(stages[s], blockIdx.x, s);
            }
        }
        wait_for_previous_kernel();

        int xOffsets[NT];
#pragma unroll
        for (int n = 0; n < NT; n++) {
            xOffsets[n] = min(n * 8 + lane / 4, args.batch - 1) * args.xStride + lane % 4 * T::LANE_COLUMNS;
        }
        bool partialUsed = false;
        for (int set = blockIdx.x; set < sets; set += gridDim.x) {
            float sums[ROW_TILES][NT][4] = {};
            for (int step = 0; step < steps; step += STAGES) {
#pragma unroll
                for (int s = 0; s < STAGES; s++) {
                    multiply(stages[s], step + s, xOffsets, sums);
                    int nextSet = set;
                    int next = step + s + STAGES;
                    if (next >= steps) {
                        nextSet += gridDim.x;
                        next -= steps;
                    }
                    if (nextSet < sets) {
                        load(stages[s], nextSet, next);
                    }
                }
            }
            finish(set, sums, partial, partialUsed);
        }
    }
};

template <class T, int NT, int ROW_TILES, int STAGE_UNITS, int STAGES>
__device__ __forceinline__ void run(const Args& args) {
    using P = Product<T, NT, ROW_TILES, STAGE_UNITS, STAGES>;
    __shared__ __align__(16) float partial[WARPS][P::MERGED_SUMS];
    P{args}.run(partial);
}

/** W as halves, row-major: out [rows][outStride], columns up to the next multiple of 64 written, the pad with zeros. Any grid. */
template <class T>
__device__ __forceinline__ void unpack(
        const void* units, const void* scales, int rows, int columns, __half* out, int outStride) {
    const int unitCount = T::units(columns);
    const int outUnits = (columns + 63) / 64 * (64 / T::UNIT);
    const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const int64_t total = static_cast<int64_t>(tiles) * outUnits * 32;
    wait_for_previous_kernel();
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
            i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        const int lane = static_cast<int>(i % 32);
        const int unit = static_cast<int>(i / 32 % outUnits);
        const int tile = static_cast<int>(i / 32 / outUnits);
        uint32_t values[2][T::LANE_COLUMNS / 2] = {};
        if (unit < unitCount) {
            const weights::LaneUnit<T> source(units, scales, tile, unitCount, unit, lane);
#pragma unroll
            for (int s = 0; s < T::STEPS; s++) {
                uint32_t a[4];
                T::fragments(source.words, source.scale, source.minimum, s, a);
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    values[k % 2][2 * s + k / 2] = a[k];
                }
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = tile * TILE_ROWS + half * 8 + lane / 4;
            if (row < rows) {
                __half* to = out + static_cast<size_t>(row) * outStride + unit * T::UNIT + lane % 4 * T::LANE_COLUMNS;
                if constexpr (T::LANE_COLUMNS == 4) {
                    *reinterpret_cast<uint2*>(to) = make_uint2(values[half][0], values[half][1]);
                } else {
#pragma unroll
                    for (int k = 0; k < T::LANE_COLUMNS / 2; k += 4) {
                        *reinterpret_cast<uint4*>(to + 2 * k) = make_uint4(
                                values[half][k], values[half][k + 1], values[half][k + 2], values[half][k + 3]);
                    }
                }
            }
        }
    }
}

/** out[i] = row tokens[i] of W, zeros for a negative token. gridDim.x = rows. */
template <class T>
__device__ __forceinline__ void embed(
        const void* units, const void* scales, int columns, const int* tokens, int rows, float* out) {
    const int unitCount = T::units(columns);
    wait_for_previous_kernel();
    for (int r = blockIdx.x; r < rows; r += gridDim.x) {
        const int token = tokens[r];
        for (int i = threadIdx.x; i < unitCount * 4; i += blockDim.x) {
            const int lane = token % 8 * 4 + i % 4;
            const int half = token / 8 % 2;
            const int column = i / 4 * T::UNIT + i % 4 * T::LANE_COLUMNS;
            float* to = out + static_cast<size_t>(r) * columns + column;
            if (token < 0) {
                for (int k = 0; k < T::LANE_COLUMNS && column + k < columns; k++) {
                    to[k] = 0;
                }
                continue;
            }
            const weights::LaneUnit<T> source(units, scales, token / TILE_ROWS, unitCount, i / 4, lane);
#pragma unroll
            for (int s = 0; s < T::STEPS; s++) {
                uint32_t a[4];
                T::fragments(source.words, source.scale, source.minimum, s, a);
#pragma unroll
                for (int pair = 0; pair < 2; pair++) {
                    const float2 two = __half22float2(weights::half2_of(half == 0 ? a[2 * pair] : a[2 * pair + 1]));
                    const int k = 4 * s + 2 * pair;
                    if (column + k < columns) {
                        to[k] = two.x;
                    }
                    if (column + k + 1 < columns) {
                        to[k + 1] = two.y;
                    }
                }
            }
        }
    }
}

}  // namespace linear
}  // namespace skim

#define SKIM_LINEAR(NAME, TYPE, NT, ROW_TILES, STAGE_UNITS, STAGES, CTAS)                                                     \
    extern "C" __global__ void __launch_bounds__(skim::linear::THREADS, CTAS) linear_##NAME##_##NT(                           \
            const void* units, const void* scales, int rows, int columns, const __half* x, int xStride, int batch,            \
            const float* bias, float outScale, int mode, void* y, int yStride) {                                              \
        skim::linear::run<skim::weights::TYPE, NT, ROW_TILES, STAGE_UNITS, STAGES>(                                           \
                {units, scales, rows, columns, x, xStride, batch, bias, outScale, mode, y, yStride});                         \
    }

/* More columns want more rows a CTA: x comes from L2 once for each tile set. Rows of a set: 16, 16, 32, 32 for NT 1, 2, 4, 8. */
#define SKIM_WEIGHT_TYPE(NAME, TYPE)                                                                                          \
    SKIM_LINEAR(NAME, TYPE, 1, 1, 2, 3, 3)                                                                                    \
    SKIM_LINEAR(NAME, TYPE, 2, 1, 2, 3, 2)                                                                                    \
    SKIM_LINEAR(NAME, TYPE, 4, 2, 2, 2, 1)                                                                                    \
    SKIM_LINEAR(NAME, TYPE, 8, 2, 2, 2, 1)                                                                                    \
    extern "C" __global__ void __launch_bounds__(256) unpack_##NAME(                                                          \
            const void* units, const void* scales, int rows, int columns, __half* out, int outStride) {                       \
        skim::linear::unpack<skim::weights::TYPE>(units, scales, rows, columns, out, outStride);                              \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) embed_##NAME(                                                           \
            const void* units, const void* scales, int columns, const int* tokens, int rows, float* out) {                    \
        skim::linear::embed<skim::weights::TYPE>(units, scales, columns, tokens, rows, out);                                  \
    }

SKIM_WEIGHT_TYPE(f16, F16)
SKIM_WEIGHT_TYPE(q8, Q8)
SKIM_WEIGHT_TYPE(q8s16, Q8S16)
SKIM_WEIGHT_TYPE(q4, Q4)
SKIM_WEIGHT_TYPE(q4m, Q4M)

#undef SKIM_WEIGHT_TYPE
#undef SKIM_LINEAR
