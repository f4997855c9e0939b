/*
 * Matrix products of prefill: y[M][N] = x[M][K] * w[N][K]^T, f16 operands, f32 accumulation. x holds one token a row, w one
 * output a row, both with K contiguous (K a multiple of 64, strides multiples of 8 halves, addresses aligned to 16 bytes).
 *
 * mode 0: y float [M][ldy]  = product * outScale + bias
 * mode 1: y float [M][ldy] += product * outScale + bias
 * mode 2: y half  [M][ldy], y[j] = silu(gate_j) * up_j / 64, j < N / 2. Rows of w come in tiles of 16, 8 gates and then their 8
 *         ups; w (and bias, if any) has ceil(N / 16) * 16 rows, because a last, partial group has its ups past row N.
 * Rows >= M and columns >= N of y (mode 2: N / 2) are not touched; rows past the end of x and w are never read. y is aligned to
 * 8 bytes (mode 2: 4 bytes).
 *
 * Two families, picked by the host:
 *
 * gemm_f16_<BM>x<BN> (any GPU from sm_80): one block for each BM x BN tile of y. cp.async brings slices of 32 columns into a ring
 *   in shared memory, ldmatrix takes fragments from there one step ahead of mma.sync.m16n8k16. Every variant adds the K products
 *   of an output in the same order, so that they give the same bits. Grid = number of tiles.
 *     128x256: 256 threads, 96 KB of dynamic shared memory;  128x128: 128 threads, 48 KB;  64x64: 128 threads, 32 KB.
 *
 * gemm_f16_sm90_* (sm_90a): 384 threads; one warp group brings slices of 64 columns by TMA into a ring of 128-byte-swizzled
 *   tiles, two others multiply by wgmma, 64 tokens each. They take tensor maps (see tensor_map) in place of the addresses and
 *   strides of x and w: for x of at least M rows, for w of N rows (mode 2: ceil(N / 16) * 16). Dynamic shared memory:
 *   gemm::TMA_SHARED bytes.
 *     _256: tiles of 128 x 256; a cluster of two blocks takes two tiles that share their weights, each loads half of these for
 *       both. The blocks walk over the tiles: grid = 2 * min(ceil(M / 256) * ceil(N / 256), SMs / 2).
 *     _128: tiles of 128 x 128. Grid = min(number of tiles, SMs).
 *     _128_split2, _128_split4: for few tokens; a cluster of 2 or 4 blocks shares out the K of a 128 x 128 tile and adds the
 *       parts up through distributed shared memory, in the order of K. Grid = number of tiles * 2 (4).
 *
 * In both families an accumulator fragment is mma's: of a block of 16 rows x 8 columns, lane l (g = l / 4, t = l % 4) holds c0,
 * c1 = (row g, columns 2t, 2t + 1) and c2, c3 = (row g + 8, same columns). A gate and its up so meet in one lane, in neighbouring
 * blocks.
 */
#pragma once

#include "hopper.cuh"
#include "launch.cuh"

#include <cstdint>
#include <cuda_fp16.h>

namespace skim::gemm {

constexpr int MODE_STORE = 0;
constexpr int MODE_ADD = 1;
constexpr int MODE_PAIRED = 2;
constexpr float PAIRED_SCALE = 1.0f / 64;  // keeps silu(gate) * up inside the range of f16

/** What happens to a finished product. */
struct Output {
    const float* bias;
    float scale;
    int mode;
    void* y;
    int ldy;
    int rows;     // M
    int columns;  // N

    /** Rows of w that hold data. */
    __device__ int weightRows() const {
        return mode == MODE_PAIRED ? (columns + 15) / 16 * 16 : columns;
    }

    /**
     * The biases of two neighbouring columns, which are inside the matrix or get 0. CHECKED: the caller knows that they are
     * inside.
     */
    template <bool CHECKED>
    __device__ float2 biasOf(int column) const {
        float2 pair = {0, 0};
        if (bias != nullptr) {
            const int left = CHECKED ? 2 : weightRows() - column;
            pair.x = left > 0 ? bias[column] : 0;
            pair.y = left > 1 ? bias[column + 1] : 0;
        }
        return pair;
    }
};

struct TilePosition {
    int row;
    int column;
};

/**
 * Order of the tiles of y: blocks that run together should share rows of x and of w in L2. Bands of `band` tile rows, each walked
 * column by column, so that the weights, usually the larger operand, are read from memory once for each band.
 */
__device__ __forceinline__ TilePosition tile_position(int index, int tileRows, int tileColumns, int band) {
    const int first = index / (band * tileColumns) * band;
    const int height = min(band, tileRows - first);
    const int inBand = index - first * tileColumns;
    return {first + inBand % height, inBand / height};
}

constexpr int BAND_ROWS = 2048;  // tokens in a band of tiles

__device__ __forceinline__ float silu_times(float gate, float up) {
    return __fdividef(gate, 1 + __expf(-gate)) * up;
}

/** Two neighbouring values of a row. WIDE: they are moved as one; else only the first `left` of them exist, maybe none. */
template <bool WIDE>
__device__ __forceinline__ float2 load_pair(const float* from, int left) {
    if constexpr (WIDE) {
        return *reinterpret_cast<const float2*>(from);
    } else {
        return {left > 0 ? from[0] : 0.0f, left > 1 ? from[1] : 0.0f};
    }
}

__device__ __forceinline__ float2 rounded(float2 values, const float*) {
    return values;
}

__device__ __forceinline__ half2 rounded(float2 values, const half*) {
    return __float22half2_rn(values);
}

template <bool WIDE, typename T>
__device__ __forceinline__ void store_pair(T* to, float2 values, int left) {
    const auto stored = rounded(values, to);
    if constexpr (WIDE) {
        *reinterpret_cast<decltype(rounded(values, to))*>(to) = stored;
    } else {
        if (left > 0) {
            to[0] = stored.x;
        }
        if (left > 1) {
            to[1] = stored.y;
        }
    }
}

/** store() for one mode. WIDE: all columns are inside the matrix and pairs of y are aligned. */
template <int MODE, bool WIDE, int BLOCKS>
__device__ __forceinline__ void store_as(const Output& out, const float (&acc)[BLOCKS][4], int row, int column) {
    constexpr int BATCH = 4;  // blocks whose old values are all asked for before the first store: no load may move across one
    static_assert(BLOCKS % BATCH == 0);
    const int inBlock = threadIdx.x % 4 * 2;
    const bool inside[2] = {row < out.rows, row + 8 < out.rows};
    if constexpr (MODE == MODE_PAIRED) {
        half* corner = static_cast<half*>(out.y) + int64_t(row) * out.ldy + column / 2 + inBlock;
#pragma unroll
        for (int block = 0; block < BLOCKS; block += 2) {
            const int at = block * 4;  // in y, from the corner
            const int left = out.columns / 2 - (column / 2 + inBlock + at);
            const float2 gateBias = out.biasOf<WIDE>(column + block * 8 + inBlock);
            const float2 upBias = out.biasOf<WIDE>(column + block * 8 + 8 + inBlock);
#pragma unroll
            for (int lower = 0; lower < 2; lower++) {
                const float* gates = acc[block] + lower * 2;
                const float* ups = acc[block + 1] + lower * 2;
                const float first = silu_times(gates[0] * out.scale + gateBias.x, ups[0] * out.scale + upBias.x);
                const float second = silu_times(gates[1] * out.scale + gateBias.y, ups[1] * out.scale + upBias.y);
                if (inside[lower]) {
                    store_pair<WIDE>(corner + int64_t(lower) * 8 * out.ldy + at,
                            {first * PAIRED_SCALE, second * PAIRED_SCALE}, left);
                }
            }
        }
    } else {
        float* corner = static_cast<float*>(out.y) + int64_t(row) * out.ldy + column + inBlock;
        const int left = out.columns - (column + inBlock);
#pragma unroll
        for (int first = 0; first < BLOCKS; first += BATCH) {
            float2 old[BATCH][2];
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                const int at = (first + i) * 8;
#pragma unroll
                for (int lower = 0; lower < 2; lower++) {
                    old[i][lower] = {0, 0};
                    if (MODE == MODE_ADD && inside[lower]) {
                        old[i][lower] = load_pair<WIDE>(corner + int64_t(lower) * 8 * out.ldy + at, left - at);
                    }
                }
            }
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                const int at = (first + i) * 8;
                const float2 bias = out.biasOf<WIDE>(column + inBlock + at);
#pragma unroll
                for (int lower = 0; lower < 2; lower++) {
                    const float* products = acc[first + i] + lower * 2;
                    const float2 sums = {products[0] * out.scale + bias.x + old[i][lower].x,
                            products[1] * out.scale + bias.y + old[i][lower].y};
                    if (inside[lower]) {
                        store_pair<WIDE>(corner + int64_t(lower) * 8 * out.ldy + at, sums, left - at);
                    }
                }
            }
        }
    }
}

/**
 * Stores a lane's share of 16 rows x BLOCKS * 8 columns: `row` is that of c0, `column` the first of block 0 (a multiple of 16).
 */
template <int BLOCKS>
__device__ __forceinline__ void store(const Output& out, const float (&acc)[BLOCKS][4], int row, int column) {
    const bool wide = column + BLOCKS * 8 <= out.columns && out.ldy % 2 == 0;
    if (out.mode == MODE_STORE) {
        wide ? store_as<MODE_STORE, true>(out, acc, row, column) : store_as<MODE_STORE, false>(out, acc, row, column);
    } else if (out.mode == MODE_ADD) {
        wide ? store_as<MODE_ADD, true>(out, acc, row, column) : store_as<MODE_ADD, false>(out, acc, row, column);
    } else {
        wide ? store_as<MODE_PAIRED, true>(out, acc, row, column) : store_as<MODE_PAIRED, false>(out, acc, row, column);
    }
}

// ---- mma.sync -----------------------------------------------------------------------------------------------------------------

// A stage of the ring holds 32 columns: 64 bytes of a row, four chunks of 16. Chunk c of row r is at place c ^ (r / 2 % 4), so
// that the eight rows of an ldmatrix are in different banks.
constexpr int SLICE = 32;
constexpr int SLICE_BYTES = SLICE * 2;

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void copy_chunk(uint32_t to, const half* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
}

__device__ __forceinline__ void commit_copies() {
    asm volatile("cp.async.commit_group;");
}

template <int PENDING>
__device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], uint32_t from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
}

__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <int BM, int BN, int WARPS_M, int WARPS_N, int STAGES>
struct MmaTile {
    static constexpr int THREADS = WARPS_M * WARPS_N * 32;
    static constexpr int STAGE_BYTES = (BM + BN) * SLICE_BYTES;
    static constexpr int SHARED = STAGES * STAGE_BYTES;
    static constexpr int WARP_M = BM / WARPS_M;
    static constexpr int WARP_N = BN / WARPS_N;
    static constexpr int COPY_ROWS = THREADS / 4;  // rows that the threads copy together, a chunk each
    static constexpr int X_COPIES = BM / COPY_ROWS;
    static constexpr int W_COPIES = BN / COPY_ROWS;
    static_assert(BM % COPY_ROWS == 0 && BN % COPY_ROWS == 0 && COPY_ROWS % 8 == 0 && WARP_M % 16 == 0 && WARP_N % 32 == 0);

    struct Fragments {
        uint32_t x[WARP_M / 16][4];
        uint32_t w[WARP_N / 16][4];  // two blocks of 8 columns each: b0, b1 of the first, b0, b1 of the second
    };

    static __device__ __forceinline__ void load(Fragments& to, uint32_t x, uint32_t w, int chunkBits) {
#pragma unroll
        for (int i = 0; i < WARP_M / 16; i++) {
            load_matrices(to.x[i], (x ^ chunkBits) + i * 16 * SLICE_BYTES);
        }
#pragma unroll
        for (int i = 0; i < WARP_N / 16; i++) {
            load_matrices(to.w[i], (w ^ chunkBits) + i * 16 * SLICE_BYTES);
        }
    }

    static __device__ __forceinline__ void multiply(float (&acc)[WARP_M / 16][WARP_N / 8][4], const Fragments& from) {
#pragma unroll
        for (int i = 0; i < WARP_M / 16; i++) {
#pragma unroll
            for (int j = 0; j < WARP_N / 8; j++) {
                gemm::multiply(acc[i][j], from.x[i], from.w[j / 2][j % 2 * 2], from.w[j / 2][j % 2 * 2 + 1]);
            }
        }
    }

    static __device__ __forceinline__ void run(const half* x, int ldx, const half* w, int ldw, int k, const Output& out) {
        extern __shared__ __align__(1024) uint8_t gemmShared[];
        const int lane = threadIdx.x % 32;
        const int warpRow = threadIdx.x / 32 % WARPS_M * WARP_M;
        const int warpColumn = threadIdx.x / 32 / WARPS_M * WARP_N;
        const TilePosition tile =
                tile_position(blockIdx.x, (out.rows + BM - 1) / BM, (out.columns + BN - 1) / BN, BAND_ROWS / BM);
        const int row0 = tile.row * BM;
        const int column0 = tile.column * BN;

        // Copies: a thread brings one chunk of every COPY_ROWS-th row. Rows past the end repeat the last one: their products are
        // not stored.
        const int copyRow = threadIdx.x / 4;
        const int copyChunk = threadIdx.x % 4;
        const uint32_t ring = shared_address(gemmShared);
        const uint32_t copyTo = ring + copyRow * SLICE_BYTES + ((copyChunk ^ (copyRow / 2 % 4)) << 4);
        const half* xFrom = x + int64_t(row0) * ldx + copyChunk * 8;
        const half* wFrom = w + int64_t(column0) * ldw + copyChunk * 8;
        uint32_t xOffset[X_COPIES];
        uint32_t wOffset[W_COPIES];
#pragma unroll
        for (int i = 0; i < X_COPIES; i++) {
            xOffset[i] = uint32_t(min(copyRow + i * COPY_ROWS, out.rows - 1 - row0)) * ldx;
        }
#pragma unroll
        for (int i = 0; i < W_COPIES; i++) {
            wOffset[i] = uint32_t(min(copyRow + i * COPY_ROWS, out.weightRows() - 1 - column0)) * ldw;
        }
        const int slices = k / SLICE;
        auto copy = [&](int slice) {
            if (slice < slices) {
                const uint32_t to = copyTo + slice % STAGES * STAGE_BYTES;
#pragma unroll
                for (int i = 0; i < X_COPIES; i++) {
                    copy_chunk(to + i * COPY_ROWS * SLICE_BYTES, xFrom + xOffset[i] + slice * SLICE);
                }
#pragma unroll
                for (int i = 0; i < W_COPIES; i++) {
                    copy_chunk(to + (BM + i * COPY_ROWS) * SLICE_BYTES, wFrom + wOffset[i] + slice * SLICE);
                }
            }
            commit_copies();  // also where nothing is left to copy, so that the count of groups keeps naming a slice
        };

        // Fragments: the four matrices of an ldmatrix are (rows 0-7, 8-15) x (columns 0-7, 8-15), for x rows first, for w columns
        // first.
        const int swizzle = lane % 8 / 2;
        const int xRow = warpRow + lane % 16;
        const int wRow = warpColumn + lane / 16 * 8 + lane % 8;
        const uint32_t xAt = xRow * SLICE_BYTES + ((lane / 16 ^ swizzle) << 4);
        const uint32_t wAt = (BM + wRow) * SLICE_BYTES + ((lane / 8 % 2 ^ swizzle) << 4);
        Fragments even;
        Fragments odd;
        float acc[WARP_M / 16][WARP_N / 8][4] = {};

#pragma unroll
        for (int slice = 0; slice < STAGES - 1; slice++) {
            copy(slice);
        }
        wait_copies<STAGES - 2>();
        __syncthreads();
        load(even, ring + xAt, ring + wAt, 0);
        for (int slice = 0; slice < slices; slice++) {
            const uint32_t here = ring + slice % STAGES * STAGE_BYTES;
            load(odd, here + xAt, here + wAt, 2 << 4);
            copy(slice + STAGES - 1);  // over slice - 1, which all warps finished reading before the last barrier
            multiply(acc, even);
            wait_copies<STAGES - 2>();
            __syncthreads();
            const uint32_t next = ring + (slice + 1) % STAGES * STAGE_BYTES;
            load(even, next + xAt, next + wAt, 0);  // after the last slice these are stale, and not used
            multiply(acc, odd);
        }
#pragma unroll
        for (int i = 0; i < WARP_M / 16; i++) {
            store<WARP_N / 8>(out, acc[i], row0 + warpRow + i * 16 + lane / 4, column0 + warpColumn);
        }
    }
};

using Mma128x256 = MmaTile<128, 256, 2, 4, 4>;
using Mma128x128 = MmaTile<128, 128, 2, 2, 3>;
using Mma64x64 = MmaTile<64, 64, 2, 2, 4>;

// ---- wgmma --------------------------------------------------------------------------------------------------------------------

/** The driver's CUtensorMap. */
struct alignas(64) TensorMap {
    uint64_t words[16];
};

constexpr int TMA_COLUMNS = 64;                           // of a box: 128 bytes, the width of the swizzle
constexpr int TMA_ROWS = 128;                             // of a box
constexpr int BOX_BYTES = TMA_ROWS * TMA_COLUMNS * 2;
constexpr int TMA_THREADS = 384;                          // a warp group that loads, two that multiply
constexpr int TMA_CONSUMERS = 256;
constexpr int TMA_RING = 12 * BOX_BYTES;                  // 4 stages of 3 boxes (128 x 256) or 6 stages of 2 (128 x 128)
constexpr int TMA_SHARED = 1024 + TMA_RING + 2 * 6 * 8;   // room to align the ring, the ring, a full and an empty barrier a stage

#if SKIM_SM90A

using namespace hopper;

__device__ __forceinline__ void load_box(uint32_t to, const TensorMap* map, int column, int row, uint32_t barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
            ::"r"(to), "l"(map), "r"(barrier), "r"(column), "r"(row) : "memory");
}

/** The same for all blocks of the cluster in `mask`: to the same place in each, counted by the same barrier in each. */
__device__ __forceinline__ void load_box(uint32_t to, const TensorMap* map, int column, int row, uint32_t barrier,
        uint16_t mask) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                 "[%0], [%1, {%3, %4}], [%2], %5;"
            ::"r"(to), "l"(map), "r"(barrier), "r"(column), "r"(row), "h"(mask) : "memory");
}

/**
 * Describes a tile of 64-column rows to wgmma: K contiguous, 128-byte swizzle, 1024 bytes from one group of 8 rows to the next.
 */
__device__ __forceinline__ uint64_t tile_descriptor(uint32_t address) {
    return (address & 0x3FFFF) >> 4 | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

// wgmma takes each accumulator as an operand of its own: these write out the lists.
#define SKIM_ACC_1(a, i) "+f"((a)[i][0]), "+f"((a)[i][1]), "+f"((a)[i][2]), "+f"((a)[i][3])
#define SKIM_ACC_4(a, i) SKIM_ACC_1(a, i), SKIM_ACC_1(a, i + 1), SKIM_ACC_1(a, i + 2), SKIM_ACC_1(a, i + 3)
#define SKIM_ACC_16(a, i) SKIM_ACC_4(a, i), SKIM_ACC_4(a, i + 4), SKIM_ACC_4(a, i + 8), SKIM_ACC_4(a, i + 12)
#define SKIM_REGISTERS_0_63 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
    "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, " \
    "%43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SKIM_REGISTERS_64_127 \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, " \
    "%85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, " \
    "%105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, " \
    "%122, %123, %124, %125, %126, %127"

/** acc += 64 rows of x * BN rows of w, 16 columns of each. */
__device__ __forceinline__ void multiply(float (&acc)[16][4], uint64_t x, uint64_t w) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" SKIM_REGISTERS_0_63 "}, %64, %65, 1, 1, 1, 0, 0;"
            : SKIM_ACC_16(acc, 0) : "l"(x), "l"(w));
}

__device__ __forceinline__ void multiply(float (&acc)[32][4], uint64_t x, uint64_t w) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {" SKIM_REGISTERS_0_63 ", " SKIM_REGISTERS_64_127
                 "}, %128, %129, 1, 1, 1, 0, 0;"
            : SKIM_ACC_16(acc, 0), SKIM_ACC_16(acc, 16) : "l"(x), "l"(w));
}

#undef SKIM_ACC_1
#undef SKIM_ACC_4
#undef SKIM_ACC_16
#undef SKIM_REGISTERS_0_63
#undef SKIM_REGISTERS_64_127

/**
 * Tiles of 128 x BN; SHARING blocks of a cluster share the weights of neighbouring tiles, or SPLIT blocks the columns of one
 * tile.
 */
template <int BN, int SHARING, int SPLIT>
struct TmaTile {
    static constexpr int BM = TMA_ROWS;
    static constexpr int CLUSTER = SHARING * SPLIT;
    static constexpr int STAGE_BYTES = (BM + BN) * TMA_COLUMNS * 2;
    static constexpr int STAGES = TMA_RING / STAGE_BYTES;
    static constexpr int BLOCKS = BN / 8;
    static_assert(BN / SHARING == TMA_ROWS && (SHARING == 1 || SPLIT == 1), "a block loads one box of weights a stage");

    /** A place in the ring, and the parity of the phase that its barriers are in. */
    struct Cursor {
        int stage = 0;
        int parity = 0;

        __device__ __forceinline__ void next() {
            if (++stage == STAGES) {
                stage = 0;
                parity ^= 1;
            }
        }
    };

    /** The work of a block: the tiles of its cluster, and of each the slices [firstSlice, lastSlice) of 64 columns. */
    struct Work {
        int rank, cluster, clusters, tileRows, tileColumns, firstSlice, lastSlice;

        __device__ Work(int k, const Output& out)
            : rank(CLUSTER == 1 ? 0 : cluster_rank()), cluster(blockIdx.x / CLUSTER), clusters(gridDim.x / CLUSTER),
              tileRows((out.rows + BM * SHARING - 1) / (BM * SHARING)), tileColumns((out.columns + BN - 1) / BN),
              firstSlice(SPLIT == 1 ? 0 : k / TMA_COLUMNS * rank / SPLIT),
              lastSlice(SPLIT == 1 ? k / TMA_COLUMNS : k / TMA_COLUMNS * (rank + 1) / SPLIT) {}

        __device__ int tiles() const { return tileRows * tileColumns; }

        __device__ TilePosition corner(int tile) const {
            const TilePosition at = tile_position(tile, tileRows, tileColumns, BAND_ROWS / (BM * SHARING));
            return {(at.row * SHARING + (SHARING == 1 ? 0 : rank)) * BM, at.column * BN};
        }
    };

    static __device__ __forceinline__ void produce(const TensorMap* x, const TensorMap* w, const Work& work, uint32_t ring,
            uint32_t full, uint32_t empty) {
        Cursor at;
        for (int tile = work.cluster; tile < work.tiles(); tile += work.clusters) {
            if (threadIdx.x == 0) {
                const TilePosition corner = work.corner(tile);
                for (int slice = work.firstSlice; slice < work.lastSlice; slice++, at.next()) {
                    const uint32_t stage = ring + at.stage * STAGE_BYTES;
                    const uint32_t barrier = full + at.stage * 8;
                    barrier_wait(empty + at.stage * 8, at.parity ^ 1);
                    barrier_expect(barrier, STAGE_BYTES);
                    load_box(stage, x, slice * TMA_COLUMNS, corner.row, barrier);
                    if constexpr (SHARING == 1) {
                        load_box(stage + BOX_BYTES, w, slice * TMA_COLUMNS, corner.column, barrier);
                    } else {
                        load_box(stage + (1 + work.rank) * BOX_BYTES, w, slice * TMA_COLUMNS,
                                corner.column + work.rank * TMA_ROWS, barrier, (1 << SHARING) - 1);
                    }
                }
            }
            __syncwarp();
            if constexpr (SPLIT > 1) {
                cluster_sync();  // the two of consume()
                cluster_sync();
            }
        }
    }

    static __device__ __forceinline__ void consume(const Output& out, const Work& work, uint32_t ring, uint32_t full,
            uint32_t empty) {
        const int thread = threadIdx.x - (TMA_THREADS - TMA_CONSUMERS);
        const int lane = threadIdx.x % 32;
        const int warpGroup = thread / 128;
        const int rowInTile = thread / 32 * 16 + lane / 4;
        // A stage is free when all warps that read it have said so: those of this block and of those it shares its weights with.
        auto release = [&](int stage) {
            if (lane < SHARING) {
                barrier_arrive(empty + stage * 8, SPLIT == 1 ? lane : work.rank);
            }
        };
        Cursor at;
        for (int tile = work.cluster; tile < work.tiles(); tile += work.clusters) {
            float acc[BLOCKS][4] = {};
            int previous = -1;
            for (int slice = work.firstSlice; slice < work.lastSlice; slice++, at.next()) {
                barrier_wait(full + at.stage * 8, at.parity);
                const uint32_t stage = ring + at.stage * STAGE_BYTES;
                const uint64_t x = tile_descriptor(stage + warpGroup * 64 * TMA_COLUMNS * 2);
                const uint64_t w = tile_descriptor(stage + BOX_BYTES);
                pin(acc);
                asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
                for (int step = 0; step < TMA_COLUMNS / 16; step++) {
                    multiply(acc, x + step * 2, w + step * 2);  // 16 columns are 32 bytes, in units of 16
                }
                asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
                pin(acc);
                wait_products<1>();
                if (previous >= 0) {
                    release(previous);
                }
                previous = at.stage;
            }
            wait_products<0>();
            pin(acc);
            if (previous >= 0) {
                release(previous);
            }
            const TilePosition corner = work.corner(tile);
            if constexpr (SPLIT == 1) {
                store<BLOCKS>(out, acc, corner.row + rowInTile, corner.column);
            } else {
                addUp(out, acc, corner.row + rowInTile, corner.column, work.rank, ring + thread * 16);
            }
        }
    }

    /**
     * Puts the parts of a tile into shared memory, over the ring; each block then adds up and stores its share of the column
     * blocks.
     */
    static __device__ __forceinline__ void addUp(const Output& out, const float (&acc)[BLOCKS][4], int row, int column, int rank,
            uint32_t parts) {
        constexpr int SHARE = BLOCKS / SPLIT;
        asm volatile("bar.sync 1, %0;" ::"n"(TMA_CONSUMERS) : "memory");  // the ring is read to its end
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(parts + block * TMA_CONSUMERS * 16), "f"(acc[block][0]),
                    "f"(acc[block][1]), "f"(acc[block][2]), "f"(acc[block][3]) : "memory");
        }
        cluster_sync();
        float sums[SHARE][4] = {};
#pragma unroll
        for (int from = 0; from < SPLIT; from++) {
            const uint32_t remote = address_in(parts + rank * SHARE * TMA_CONSUMERS * 16, from);
#pragma unroll
            for (int block = 0; block < SHARE; block++) {
                const float4 part = load_remote(remote + block * TMA_CONSUMERS * 16);
                sums[block][0] += part.x;
                sums[block][1] += part.y;
                sums[block][2] += part.z;
                sums[block][3] += part.w;
            }
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // TMA may write here next
        cluster_sync();
        store<SHARE>(out, sums, row, column + rank * SHARE * 8);
    }

    static __device__ __forceinline__ void run(const TensorMap* x, const TensorMap* w, int k, const Output& out) {
        extern __shared__ __align__(1024) uint8_t gemmShared[];
        const uint32_t ring = (shared_address(gemmShared) + 1023) & ~1023u;  // the swizzle follows the address
        const uint32_t full = ring + TMA_RING;
        const uint32_t empty = full + STAGES * 8;
        if (threadIdx.x == 0) {
            for (int stage = 0; stage < STAGES; stage++) {
                barrier_init(full + stage * 8, 1);
                barrier_init(empty + stage * 8, TMA_CONSUMERS / 32 * SHARING);
            }
            asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        }
        __syncthreads();
        if constexpr (CLUSTER > 1) {
            cluster_sync();
        }
        const Work work(k, out);
        if (threadIdx.x < TMA_THREADS - TMA_CONSUMERS) {
            asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
            produce(x, w, work, ring, full, empty);
        } else {
            asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
            consume(out, work, ring, full, empty);
        }
        if constexpr (CLUSTER > 1) {
            cluster_sync();  // no block may leave while others write to its shared memory
        }
    }
};

#endif

}  // namespace skim::gemm

#define SKIM_GEMM(NAME, TILE) \
    extern "C" __global__ void __launch_bounds__(skim::gemm::TILE::THREADS) NAME(const half* x, int ldx, const half* w, int ldw, \
            int M, int N, int K, const float* bias, float outScale, int mode, void* y, int ldy) { \
        skim::waitForPreviousKernel(); \
        skim::gemm::TILE::run(x, ldx, w, ldw, K, {bias, outScale, mode, y, ldy, M, N}); \
    }

SKIM_GEMM(gemm_f16_128x256, Mma128x256)
SKIM_GEMM(gemm_f16_128x128, Mma128x128)
SKIM_GEMM(gemm_f16_64x64, Mma64x64)
#undef SKIM_GEMM

#if SKIM_SM90A

#define SKIM_GEMM(NAME, BN, SHARING, SPLIT) \
    extern "C" __global__ void __cluster_dims__(SHARING * SPLIT) __launch_bounds__(skim::gemm::TMA_THREADS, 1) NAME( \
            const __grid_constant__ skim::gemm::TensorMap x, const __grid_constant__ skim::gemm::TensorMap w, \
            int M, int N, int K, const float* bias, float outScale, int mode, void* y, int ldy) { \
        skim::waitForPreviousKernel(); \
        skim::gemm::TmaTile<BN, SHARING, SPLIT>::run(&x, &w, K, {bias, outScale, mode, y, ldy, M, N}); \
    }

SKIM_GEMM(gemm_f16_sm90_256, 256, 2, 1)
SKIM_GEMM(gemm_f16_sm90_128, 128, 1, 1)
SKIM_GEMM(gemm_f16_sm90_128_split2, 128, 1, 2)
SKIM_GEMM(gemm_f16_sm90_128_split4, 128, 1, 4)

/**
 * Writes the tensor map of a matrix of halves [rows][columns] with `stride` halves from row to row: what cuTensorMapEncodeTiled
 * would make for boxes of 128 rows x 64 columns with the 128-byte swizzle and zeros outside, for hosts that can't call it. One
 * thread; `map` is 128 bytes of device memory, aligned to 64, which the host reads back once for each matrix and passes by value.
 * `rows` may be the capacity of a buffer.
 */
extern "C" __global__ void tensor_map(const half* matrix, int rows, int columns, int stride, void* map) {
    skim::waitForPreviousKernel();
    for (int i = 0; i < 16; i++) {
        static_cast<uint64_t*>(map)[i] = 0;
    }
    __threadfence();
    // The fields are those of a map of two dimensions; those that only later dimensions use stay zero.
    const uint64_t to = __cvta_generic_to_global(map);
#define SKIM_FIELD(FIELD, TYPE, VALUE, ...) \
    asm volatile("tensormap.replace.tile." FIELD ".global.b1024." TYPE " [%0], " VALUE ";" ::"l"(to), ##__VA_ARGS__ : "memory")
    SKIM_FIELD("global_address", "b64", "%1", "l"(matrix));
    SKIM_FIELD("rank", "b32", "1");  // dimensions - 1
    SKIM_FIELD("box_dim", "b32", "0, %1", "r"(skim::gemm::TMA_COLUMNS));
    SKIM_FIELD("box_dim", "b32", "1, %1", "r"(skim::gemm::TMA_ROWS));
    SKIM_FIELD("global_dim", "b32", "0, %1", "r"(columns));
    SKIM_FIELD("global_dim", "b32", "1, %1", "r"(rows));
    SKIM_FIELD("global_stride", "b64", "0, %1", "l"(int64_t(stride) * 2));
    SKIM_FIELD("element_stride", "b32", "0, %1", "r"(1));
    SKIM_FIELD("element_stride", "b32", "1, %1", "r"(1));
    SKIM_FIELD("elemtype", "b32", "6");           // f16
    SKIM_FIELD("interleave_layout", "b32", "0");  // none
    SKIM_FIELD("swizzle_mode", "b32", "3");       // 128 bytes
    SKIM_FIELD("fill_mode", "b32", "0");          // zeros
#undef SKIM_FIELD
}

#undef SKIM_GEMM
#endif
