/*
 * Products of packed weight matrices (weights.cuh) with few rows of activations: decode steps. Also their unpacking, and
 * embedding.
 *
 * linear_<TYPE>_<NT>: y[n][r] = sum over k of W[r][k] x[n][k] for n < batch <= 8 NT. Bound by reading W once.
 *   mode 0: y float [batch][yStride] = product * outScale + bias    mode 1: the same added to y
 *   mode 2: y half [batch][yStride], rows / 2 columns: silu(gate) * up / 64 of the tiles' 8 gate and 8 up rows
 *
 * All kernels split k in the same way: scale group i (4 units) belongs to part i % 8, the steps of a part are summed up in their
 * order by the tensor cores, and the parts in theirs. So a column's result depends neither on the kernel nor on the other
 * columns. Columns past the batch repeat its last row and are dropped. Units past the last are zeros or have scale 0.
 *
 * Streams (linear_<TYPE>_1). Each of a CTA's 8 warps takes one part of a tile set, ROW_TILES row tiles (16 rows each), and sets
 * blockIdx.x, blockIdx.x + gridDim.x, ...: any grid is right, as many CTAs as fit the GPU at once, or as there are sets, is best.
 * A warp has a ring of STAGES slots in shared memory, which asynchronous copies fill with groups, over the ends of sets; what is
 * in flight costs no registers, and no warp waits for another before the sums of a set meet. Activations come from L1.
 *
 * Registers (linear_<TYPE>_2 ... 8). Parts and sets as streams have them, but a warp holds STAGES stages of STAGE_UNITS units in
 * registers, loaded before they are used. Weights skip L1 and leave L2 first, as nothing reads them again. Activations come
 * straight from L1/L2. On sm_90a the kernels of warpgroup.cuh take their place.
 *
 * Launched with programmatic stream serialization (sm_90 on), a kernel fetches its first weights while the previous kernel ends,
 * and waits for that before it touches x or y.
 *
 * x rows need columns rounded up to 64, the pad zero. It must be 16-byte aligned, xStride a multiple of 8.
 */
#pragma once

#include "launch.cuh"
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

__device__ __forceinline__ float activation(float gate, float up) {
    return gate / (1 + __expf(-gate)) * up * ACTIVATION_SCALE;
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

__device__ __forceinline__ uint32_t shared_address(const void* at) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

/** 16 bytes to shared memory, asynchronously. */
__device__ __forceinline__ void copy_once(uint32_t to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

__device__ __forceinline__ void clear(uint32_t to) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(0) : "memory");
}

__device__ __forceinline__ uint32_t load_shared_word(uint32_t at) {
    uint32_t word;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(at) : "memory");
    return word;
}

__device__ __forceinline__ uint4 load_shared(uint32_t at) {
    uint4 words;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
            : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
            : "r"(at)
            : "memory");
    return words;
}

/** Brings a sector into L1; 4 of its bytes go to shared memory, as an asynchronous copy needs no register. */
__device__ __forceinline__ void touch(uint32_t to, const void* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}

__device__ __forceinline__ void copies_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/** Waits until at most PENDING of the thread's last commits are under way. */
template <int PENDING>
__device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
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

/** Adds the products of a block of ROW_TILES tiles with 8 NT columns to sums. */
template <class T, int NT, int ROW_TILES>
__device__ __forceinline__ void multiply_block(
        int block,
        const uint32_t (&words)[ROW_TILES][4],
        const __half2 (&scales)[ROW_TILES],
        const __half2 (&minima)[ROW_TILES],
        const uint32_t (&x)[NT][2 * T::BLOCK_STEPS],
        float (&sums)[ROW_TILES][NT][4]) {
    uint32_t a[ROW_TILES][T::BLOCK_STEPS][4];
#pragma unroll
    for (int r = 0; r < ROW_TILES; r++) {
#pragma unroll
        for (int s = 0; s < T::BLOCK_STEPS; s++) {
            T::fragments(words[r], scales[r], minima[r], block * T::BLOCK_STEPS + s, a[r][s]);
        }
    }
#pragma unroll
    for (int n = 0; n < NT; n++) {
#pragma unroll
        for (int s = 0; s < T::BLOCK_STEPS; s++) {
#pragma unroll
            for (int r = 0; r < ROW_TILES; r++) {
                mma_m16n8k16(sums[r][n], a[r][s], x[n][2 * s], x[n][2 * s + 1]);
            }
        }
    }
}

/** A lane's activations of a block of 8 columns of the batch: RUN halves. */
template <class T>
__device__ __forceinline__ void load_x(uint32_t (&words)[2 * T::BLOCK_STEPS], const __half* at) {
    Activations<T::BLOCK_STEPS> part;
    part.load(at);
#pragma unroll
    for (int j = 0; j < 2 * T::BLOCK_STEPS; j++) {
        words[j] = part.words[j];
    }
}

/** A lane's 16 bytes of a unit of some tiles, from shared memory. */
template <int ROW_TILES>
__device__ __forceinline__ void load_units(uint32_t (&words)[ROW_TILES][4], uint32_t at, int tileBytes) {
#pragma unroll
    for (int r = 0; r < ROW_TILES; r++) {
        const uint4 four = load_shared(at + r * tileBytes);
        words[r][0] = four.x;
        words[r][1] = four.y;
        words[r][2] = four.z;
        words[r][3] = four.w;
    }
}

/** And its scales of a block, {@code at} those of the first block and plane. */
template <class T, int ROW_TILES>
__device__ __forceinline__ void load_scales(
        __half2 (&scales)[ROW_TILES], __half2 (&minima)[ROW_TILES], int block, uint32_t at, int tileBytes) {
    constexpr int ROW_BYTES = T::SCALE_ROW * static_cast<int>(sizeof(__half2));
#pragma unroll
    for (int r = 0; r < ROW_TILES; r++) {
        const uint32_t from = at + r * tileBytes + block * ROW_BYTES;
        scales[r] = weights::half2_of(T::PLANES > 0 ? load_shared_word(from) : 0);
        minima[r] = weights::half2_of(T::PLANES > 1 ? load_shared_word(from + T::BLOCKS * ROW_BYTES) : 0);
    }
}

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

/** See "Registers" at the top; STAGE_UNITS is 2 or 4. */
template <class T, int NT, int ROW_TILES, int STAGE_UNITS, int STAGES>
struct Product {
    static constexpr int GROUP_STAGES = GROUP_UNITS / STAGE_UNITS;
    static constexpr int SCALE_ROWS = T::PLANES == 0 ? 1 : T::PLANES * T::BLOCKS;  // no array of size 0
    /** Column tiles that meet in shared memory at a time. */
    static constexpr int MERGED = NT < 2 ? NT : 2;
    static constexpr int MERGED_SUMS = MERGED * 128;

    struct Stage {
        uint32_t units[ROW_TILES][STAGE_UNITS][4];
        uint32_t scales[ROW_TILES][SCALE_ROWS][STAGE_UNITS];
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
    const __half2* const laneScales = static_cast<const __half2*>(args.scales) + lane / 4 * GROUP_UNITS;

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
                for (int i = 0; i < SCALE_ROWS; i++) {
                    const int64_t at = static_cast<int64_t>((tile * groups + group(step)) * SCALE_ROWS + i) * T::SCALE_ROW;
                    load_once(stage.scales[r][i], laneScales + at + step % GROUP_STAGES * STAGE_UNITS, policy);
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
            uint32_t words[ROW_TILES][4];
#pragma unroll
            for (int r = 0; r < ROW_TILES; r++) {
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    words[r][k] = pad ? 0 : stage.units[r][i][k];
                }
            }
#pragma unroll
            for (int block = 0; block < T::BLOCKS; block++) {
                __half2 scales[ROW_TILES];
                __half2 minima[ROW_TILES];
#pragma unroll
                for (int r = 0; r < ROW_TILES; r++) {
                    scales[r] = weights::half2_of(stage.scales[r][block][i]);
                    minima[r] = weights::half2_of(stage.scales[r][T::PLANES > 1 ? T::BLOCKS + block : 0][i]);
                }
                uint32_t x[NT][2 * T::BLOCK_STEPS];
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    load_x<T>(x[n], args.x + (xOffsets[n] + unit * T::UNIT + block * T::BLOCK_COLUMNS));
                }
                multiply_block<T, NT, ROW_TILES>(block, words, scales, minima, x, sums);
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
                    const float value = fmaf(total, args.outScale, addend);
                    if (args.mode != 2) {
                        if (inside) {
                            *y = value;
                        }
                    } else {
                        const float up = __shfl_down_sync(0xffffffff, value, 8);
                        const int pair = (set * ROW_TILES + r) * 8 + row;
                        if (row < 8 && pair < args.rows / 2 && n < args.batch) {
                            __half* out = static_cast<__half*>(args.y) + static_cast<size_t>(n) * args.yStride;
                            out[pair] = __float2half_rn(activation(value, up));
                        }
                    }
                }
            }
        }
    }

    __device__ __forceinline__ void run(float (&partial)[WARPS][MERGED_SUMS]) const {
        Stage stages[STAGES];
        letNextKernelStart();
        if (blockIdx.x < sets) {
#pragma unroll
            for (int s = 0; s < STAGES; s++) {
                load(stages[s], blockIdx.x, s);
            }
        }
        waitForPreviousKernel();

        int xOffsets[NT];
#pragma unroll
        for (int n = 0; n < NT; n++) {
            xOffsets[n] = min(n * 8 + lane / 4, args.batch - 1) * args.xStride + lane % 4 * T::RUN;
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

/** Few columns, see "Streams" at the top. */
template <class T, int NT, int ROW_TILES, int STAGES, int UNROLL>
struct Stream {
    static constexpr int GROUP_BYTES = GROUP_UNITS * UNIT_BYTES;
    static constexpr int SCALE_ROWS = T::PLANES * T::BLOCKS;
    static constexpr int SCALE_ROW_BYTES = T::SCALE_ROW * static_cast<int>(sizeof(__half2));
    static constexpr int SCALE_BYTES = SCALE_ROWS * SCALE_ROW_BYTES;
    /** A warp's ring: STAGES slots, each a scale group of ROW_TILES tiles, its units and then its scales. */
    static constexpr int TILE_BYTES = GROUP_BYTES + SCALE_BYTES;
    static constexpr int SLOT_BYTES = ROW_TILES * TILE_BYTES;
    static constexpr int RING_BYTES = STAGES * SLOT_BYTES;
    static constexpr int SUMS = ROW_TILES * NT * 128;
    static constexpr int THREAD_SUMS = (SUMS + THREADS - 1) / THREADS;
    static constexpr int PARTIAL_BYTES = 2 * WARPS * SUMS * static_cast<int>(sizeof(float));
    /** Without scales to apply, warps would soon wait for activations: worth bringing them into L1 before. */
    static constexpr bool TOUCHES = T::PLANES == 0;
    static constexpr int TOUCHED_BYTES = TOUCHES ? THREADS * 4 : 0;
    static constexpr int SHARED_BYTES = WARPS * RING_BYTES + PARTIAL_BYTES + TOUCHED_BYTES;
    static constexpr int GROUP_COLUMNS = GROUP_UNITS * T::UNIT;
    /** Halves of a sector, the piece that caches fetch. */
    static constexpr int SECTOR = 16;

    const Args& args;
    char* const shared;
    /** By a shuffle, so that the compiler knows it for the same in all lanes. */
    const int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0);
    const int lane = threadIdx.x % 32;
    const int unitCount = T::units(args.columns);
    const int groups = T::groups(unitCount);
    const int tiles = (args.rows + TILE_ROWS - 1) / TILE_ROWS;
    const int sets = (tiles + ROW_TILES - 1) / ROW_TILES;
    /** The lane's place in the first slot and after the last. */
    const uint32_t firstSlot = shared_address(shared + PARTIAL_BYTES + warp * RING_BYTES) + lane * 16;
    const uint32_t endOfSlots = firstSlot + RING_BYTES;

    /** What is fetched next (nothing: from the last set on), where the lane's share of it is, and where it goes. */
    int fetchSet = blockIdx.x;
    int fetchGroup = warp;
    const char* fetchUnits = static_cast<const char*>(args.units) + lane * 16
            + (static_cast<int64_t>(blockIdx.x) * ROW_TILES * unitCount + warp * GROUP_UNITS) * UNIT_BYTES;
    const char* fetchScales = static_cast<const char*>(args.scales) + lane * 16
            + (static_cast<int64_t>(blockIdx.x) * ROW_TILES * groups + warp) * SCALE_BYTES;
    uint32_t fetchSlot = firstSlot;

    const char* xOf[NT];

    __device__ __forceinline__ void fetch() {
        if (fetchSet < sets) {
#pragma unroll
            for (int r = 0; r < ROW_TILES; r++) {
                const bool inside = r == 0 || fetchSet * ROW_TILES + r < tiles;  // else the set's first tile again
                const uint32_t to = fetchSlot + r * TILE_BYTES;
                const char* from = fetchUnits + (inside ? r * static_cast<int64_t>(unitCount) * UNIT_BYTES : 0);
                if ((fetchGroup + 1) * GROUP_UNITS <= unitCount) {
#pragma unroll
                    for (int i = 0; i < GROUP_UNITS; i++) {
                        copy_once(to + i * UNIT_BYTES, from + i * UNIT_BYTES);
                    }
                } else {
#pragma unroll 1
                    for (int i = 0; i < GROUP_UNITS; i++) {
                        if (fetchGroup * GROUP_UNITS + i < unitCount) {
                            copy_once(to + i * UNIT_BYTES, from + i * UNIT_BYTES);
                        } else {
                            clear(to + i * UNIT_BYTES);
                        }
                    }
                }
                if (lane * 16 < SCALE_BYTES) {
                    copy_once(to + GROUP_BYTES, fetchScales + (inside ? r * static_cast<int64_t>(groups) * SCALE_BYTES : 0));
                }
            }
            fetchGroup += WARPS;
            fetchUnits += WARPS * GROUP_BYTES;
            fetchScales += WARPS * SCALE_BYTES;
            if (fetchGroup >= groups) {
                const int64_t tilesOn = static_cast<int64_t>(gridDim.x) * ROW_TILES;
                fetchSet += gridDim.x;
                fetchUnits += (tilesOn * unitCount - (fetchGroup - warp) * GROUP_UNITS) * UNIT_BYTES;
                fetchScales += (tilesOn * groups - (fetchGroup - warp)) * SCALE_BYTES;
                fetchGroup = warp;
            }
        }
        copies_commit();  // an empty one, too: copies are counted
        fetchSlot += SLOT_BYTES;
        if (fetchSlot == endOfSlots) {
            fetchSlot = firstSlot;
        }
    }

    /** Once a CTA: later tiles find the activations in L1. */
    __device__ __forceinline__ void touch_x(int group) const {
        constexpr int SECTORS = GROUP_COLUMNS / SECTOR;
        const char* dropped = shared + PARTIAL_BYTES + WARPS * RING_BYTES + threadIdx.x * 4;
        for (int i = lane; i < SECTORS * args.batch; i += 32) {
            const int column = group * GROUP_COLUMNS + i % SECTORS * SECTOR;
            if (column < args.columns) {
                touch(shared_address(dropped), args.x + (i / SECTORS * args.xStride + column));
            }
        }
    }

    /** Multiplies the group in a slot. */
    __device__ __forceinline__ void multiply(uint32_t slot, int group, float (&sums)[ROW_TILES][NT][4]) const {
        const uint32_t scalesAt = slot - lane * 16 + lane / 4 * 16 + GROUP_BYTES;
        const int last = unitCount - 1 - group * GROUP_UNITS;
#pragma unroll UNROLL
        for (int i = 0; i < GROUP_UNITS; i++) {
            uint32_t words[ROW_TILES][4];
            load_units(words, slot + i * UNIT_BYTES, TILE_BYTES);
            const uint32_t unit = group * GROUP_UNITS + min(i, last);
#pragma unroll
            for (int block = 0; block < T::BLOCKS; block++) {
                uint32_t x[NT][2 * T::BLOCK_STEPS];
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    const char* at = xOf[n] + static_cast<uint64_t>(unit) * (T::UNIT * sizeof(__half));
                    load_x<T>(x[n], reinterpret_cast<const __half*>(at) + block * T::BLOCK_COLUMNS);
                }
                __half2 scales[ROW_TILES];
                __half2 minima[ROW_TILES];
                load_scales<T>(scales, minima, block, scalesAt + i * static_cast<int>(sizeof(__half2)), TILE_BYTES);
                multiply_block<T, NT, ROW_TILES>(block, words, scales, minima, x, sums);
            }
        }
    }

    /** Of the i-th sum of this thread: the row in the set, the column, and where mma's C has it. */
    __device__ __forceinline__ void place(int i, int& row, int& column, int& at) const {
        const int sum = i * THREADS + threadIdx.x;
        const int tile = sum / (NT * 128);
        const int tileRow = sum % TILE_ROWS;
        row = tile * TILE_ROWS + tileRow;
        column = sum / TILE_ROWS % (NT * 8);
        at = (tile * NT + column / 8) * 128 + (tileRow % 8 * 4 + column % 8 / 2) * 4 + tileRow / 8 * 2 + column % 2;
    }

    __device__ __forceinline__ void run() {
        letNextKernelStart();
        if (warp >= groups) {
            fetchSet = sets;
        }
#pragma unroll 1
        for (int s = 0; s < STAGES - 1; s++) {
            fetch();
        }
        waitForPreviousKernel();
        if (TOUCHES) {
            for (int group = warp; group < min(groups, STAGES * WARPS); group += WARPS) {
                touch_x(group);
            }
        }
#pragma unroll
        for (int n = 0; n < NT; n++) {
            xOf[n] = reinterpret_cast<const char*>(
                    args.x + (min(n * 8 + lane / 4, args.batch - 1) * args.xStride + lane % 4 * T::RUN));
        }
        float* const partial = reinterpret_cast<float*>(shared);
        int flip = 0;
        uint32_t slot = firstSlot;
        for (int set = blockIdx.x; set < sets; set += gridDim.x) {
            float addends[THREAD_SUMS];  // fetched long before use
#pragma unroll
            for (int i = 0; i < THREAD_SUMS; i++) {
                int row, column, at;
                place(i, row, column, at);
                row += set * ROW_TILES * TILE_ROWS;
                const bool inside = (SUMS % THREADS == 0 || threadIdx.x < SUMS) && row < args.rows && column < args.batch;
                addends[i] = inside && args.bias != nullptr ? args.bias[row] : 0;
                if (inside && args.mode == 1) {
                    addends[i] += static_cast<float*>(args.y)[static_cast<size_t>(column) * args.yStride + row];
                }
            }
            float sums[ROW_TILES][NT][4] = {};
            for (int group = warp; group < groups; group += WARPS) {
                copies_wait<STAGES - 2>();
                __syncwarp();
                if (TOUCHES && set == blockIdx.x && group + STAGES * WARPS < groups) {
                    touch_x(group + STAGES * WARPS);
                }
                fetch();
                multiply(slot, group, sums);
                slot = slot == endOfSlots - SLOT_BYTES ? firstSlot : slot + SLOT_BYTES;
            }
            float* mine = partial + flip + warp * SUMS;
#pragma unroll
            for (int r = 0; r < ROW_TILES; r++) {
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    const float(&sum)[4] = sums[r][n];
                    *reinterpret_cast<float4*>(mine + (r * NT + n) * 128 + lane * 4) =
                            make_float4(sum[0], sum[1], sum[2], sum[3]);
                }
            }
            __syncthreads();
#pragma unroll
            for (int i = 0; i < THREAD_SUMS; i++) {
                if (SUMS % THREADS == 0 || threadIdx.x < SUMS) {
                    int row, column, at;
                    place(i, row, column, at);
                    float total = 0;
#pragma unroll
                    for (int w = 0; w < WARPS; w++) {
                        total += partial[flip + w * SUMS + at];
                    }
                    write(set * ROW_TILES * TILE_ROWS + row, column, fmaf(total, args.outScale, addends[i]));
                }
            }
            flip ^= WARPS * SUMS;  // the other half: threads may still sum up
        }
        copies_wait<0>();
    }

    /** All lanes of a warp together, with 16 rows each half. */
    __device__ __forceinline__ void write(int row, int column, float value) const {
        if (args.mode != 2) {
            if (row < args.rows && column < args.batch) {
                static_cast<float*>(args.y)[static_cast<size_t>(column) * args.yStride + row] = value;
            }
        } else {
            const float up = __shfl_down_sync(0xffffffff, value, 8);
            const int pair = row / TILE_ROWS * 8 + row % TILE_ROWS;
            if (row % TILE_ROWS < 8 && pair < args.rows / 2 && column < args.batch) {
                static_cast<__half*>(args.y)[static_cast<size_t>(column) * args.yStride + pair] =
                        __float2half_rn(activation(value, up));
            }
        }
    }
};

template <class T, int NT, int ROW_TILES, int STAGES, int UNROLL>
__device__ __forceinline__ void stream(const Args& args) {
    extern __shared__ __align__(16) char shared[];
    Stream<T, NT, ROW_TILES, STAGES, UNROLL>{args, shared}.run();
}

/** W as halves, row-major: out [rows][outStride], columns up to the next multiple of 64 written, the pad with zeros. Any grid. */
template <class T>
__device__ __forceinline__ void unpack(
        const void* units, const void* scales, int rows, int columns, __half* out, int outStride) {
    const int unitCount = T::units(columns);
    const int outUnits = (columns + 63) / 64 * (64 / T::UNIT);
    const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const int64_t total = static_cast<int64_t>(tiles) * outUnits * 32;
    waitForPreviousKernel();
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
            i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        const int lane = static_cast<int>(i % 32);
        const int unit = static_cast<int>(i / 32 % outUnits);
        const int tile = static_cast<int>(i / 32 / outUnits);
        weights::LaneUnit<T> values;
        if (unit < unitCount) {
            values.read(units, scales, tile, unitCount, unit, lane);
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = tile * TILE_ROWS + half * 8 + lane / 4;
            if (row < rows) {
                __half* to = out + static_cast<size_t>(row) * outStride + unit * T::UNIT;
#pragma unroll
                for (int k = 0; k < T::LANE_COLUMNS; k += T::RUN) {
                    const uint32_t(&pairs)[T::LANE_COLUMNS / 2] = values.pairs[half];
                    if constexpr (T::RUN == 4) {
                        *reinterpret_cast<uint2*>(to + T::column(lane, k)) = make_uint2(pairs[k / 2], pairs[k / 2 + 1]);
                    } else {
                        *reinterpret_cast<uint4*>(to + T::column(lane, k)) =
                                make_uint4(pairs[k / 2], pairs[k / 2 + 1], pairs[k / 2 + 2], pairs[k / 2 + 3]);
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
    waitForPreviousKernel();
    letNextKernelStart();
    for (int r = blockIdx.x; r < rows; r += gridDim.x) {
        const int token = tokens[r];
        for (int i = threadIdx.x; i < unitCount * 4; i += blockDim.x) {
            const int lane = token % 8 * 4 + i % 4;
            const int half = token / 8 % 2;
            float* to = out + static_cast<size_t>(r) * columns;
            weights::LaneUnit<T> source;
            if (token >= 0) {
                source.read(units, scales, token / TILE_ROWS, unitCount, i / 4, lane);
            }
#pragma unroll
            for (int k = 0; k < T::LANE_COLUMNS; k++) {
                const int column = i / 4 * T::UNIT + T::column(lane, k);
                const float2 two = __half22float2(weights::half2_of(half == 0 ? source.pairs[0][k / 2] : source.pairs[1][k / 2]));
                if (column < columns) {
                    to[column] = k % 2 == 0 ? two.x : two.y;
                }
            }
        }
    }
}

}  // namespace linear
}  // namespace skim

#define SKIM_LINEAR_ARGUMENTS                                                                                                 \
    const void *units, const void *scales, int rows, int columns, const __half *x, int xStride, int batch, const float *bias, \
            float outScale, int mode, void *y, int yStride

#define SKIM_LINEAR(NAME, CTAS, RUN)                                                                                          \
    extern "C" __global__ void __launch_bounds__(skim::linear::THREADS, CTAS)                                                 \
            linear_##NAME(SKIM_LINEAR_ARGUMENTS) {                                                                            \
        RUN({units, scales, rows, columns, x, xStride, batch, bias, outScale, mode, y, yStride});                             \
    }

#define SKIM_STREAM(NAME, TYPE, ROW_TILES, STAGES, UNROLL, CTAS)                                                              \
    SKIM_LINEAR(NAME##_1, CTAS, (skim::linear::stream<skim::weights::TYPE, 1, ROW_TILES, STAGES, UNROLL>))

#define SKIM_PRODUCT(NAME, TYPE, NT, ROW_TILES, STAGE_UNITS, STAGES, CTAS)                                                    \
    SKIM_LINEAR(NAME##_##NT, CTAS, (skim::linear::run<skim::weights::TYPE, NT, ROW_TILES, STAGE_UNITS, STAGES>))

#define SKIM_WEIGHT_TYPE(NAME, TYPE)                                                                                          \
    SKIM_PRODUCT(NAME, TYPE, 2, 1, 2, 3, 2)                                                                                   \
    SKIM_PRODUCT(NAME, TYPE, 4, 2, 2, 2, 1)                                                                                   \
    SKIM_PRODUCT(NAME, TYPE, 8, 2, 2, 2, 1)                                                                                   \
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

SKIM_STREAM(f16, F16, 1, 3, 4, 3)
SKIM_STREAM(q8, Q8, 1, 2, 4, 4)
SKIM_STREAM(q8s16, Q8S16, 1, 2, 4, 4)
SKIM_STREAM(q4, Q4, 1, 2, 2, 4)
SKIM_STREAM(q4m, Q4M, 1, 3, 2, 3)

#undef SKIM_WEIGHT_TYPE
#undef SKIM_STREAM
#undef SKIM_PRODUCT
#undef SKIM_LINEAR
