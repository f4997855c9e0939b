/*
 * Attention of prompt chunks over the paged cache: causal, with an optional sliding window, one softmax pass in registers
 * (flash attention).
 *
 * A launch takes a list of spans. A span is `count` consecutive rows of q (from row firstRow) of one sequence; its row i
 * stands at position firstPosition + i, and position p is slot p of the sequence's page table. The keys and values of the span
 * itself are in the cache already.
 *
 *   kernels  prefill_<bf16|f16|fp8|int8>_<64|80|96|128>
 *   grid     (ceil(largest count * group / 128), kvHeads, spans)
 *   block    128 threads; dynamic shared memory: the device variable prefill_shared_<kv>_<D>
 *
 * Work split. A block does a tile of 128 rows of one KV head. A tile row is a pair (token, query head of the group), heads
 * fastest, so that K and V are read once for the whole group. Each of the 4 warps owns 32 tile rows (two m16 tiles: a B
 * fragment read from shared memory serves two products) and all dimensions: scores, softmax and output of a row never leave
 * its warp. Blocks walk the keys upwards in tiles of 64, aligned to multiples of 64; tiles that no row sees are skipped by the
 * block, those that no row of a warp sees by the warp, and only tiles at an edge (diagonal, window) are masked. The longest
 * tiles of all heads are launched first. A row's result depends on neither the other rows nor on how the prompt was cut into
 * spans, to the bit.
 *
 * Shared memory holds two stages of K [64 tokens][D] and V [64 tokens][D] in the storage type (int8: and kScale[64],
 * vScale[64]), gathered by cp.async; warp w fetches tokens 16w..16w+15 of a tile, which lie in one page. Chunks of 16 bytes
 * are swizzled (see Rows) so that ldmatrix and cp.async meet no bank conflict. Queries of more than 64 dimensions are parked
 * there too, as the fragments of each lane, for want of registers.
 *
 * Fragments of one-byte types. Of K, ldmatrix hands a lane t of a quad the bytes 4t..4t+3 of a row of 16, which widen to the B
 * fragment's k = 2t, 2t+1 and 2t+8, 2t+9: dimensions are permuted within 16 (elementOf), and the queries are loaded in the same
 * order. Of V, transposing, it hands lane (g, t) the dimensions 2g and 2g + 1 of the tokens 2t and 2t + 1: with the bytes in the
 * middle exchanged they widen to fragments of two products, one with the even dimensions of 16, one with the odd ones.
 */
#pragma once

#include "cache.cuh"

namespace skim {

struct PrefillArgs {
    const float* q;              // [rows][qStride], heads * D used
    const uint8_t* cache;        // of the layer
    const int* pageTables;       // [sequences][tableStride]
    const int* firstRow;         // of each span, as are the next three
    const int* count;
    const int* firstPosition;
    const int* sequence;
    half* out;                   // [rows][outStride], heads * D written
    int qStride;
    int outStride;
    int tableStride;
    int pageSize;                // 16, 32 or 64
    int kvHeads;
    int group;                   // query heads of a KV head
    int window;                  // positions that a row sees, its own included; INT_MAX: all
    float scale;                 // of q * k
    float* logSums;              // [rows][kvHeads * group] log2 of the sum of exp(logit); nullable
};

namespace prefill {

constexpr int BLOCK_ROWS = 128;
constexpr int KEYS = 64;             // of a tile
constexpr int WARPS = 4;
constexpr int WARP_ROWS = BLOCK_ROWS / WARPS;
constexpr int ROW_TILES = WARP_ROWS / 16;
constexpr int WARP_KEYS = KEYS / WARPS;
constexpr int STAGES = 2;
constexpr float LOG2E = 1.4426950408889634f;
constexpr float NO_SCORE = -1e30f;   // a row's maximum before its first key: finite, so that masked - maximum is never NaN
constexpr float VALUE_SCALE = 128;   // int8: lifts p * vScale, which is about p * |v| / 127, out of f16's denormals

static_assert(WARP_KEYS == 16, "a warp's keys must lie in one page, and pages are multiples of 16 tokens");

// ---- instructions ----

/**
 * The thread's place, read anew at each call (volatile): the compiler would rather compute what follows from it once, before
 * the loop over the keys, and there are no registers to keep that in.
 */
__device__ inline int laneNumber() {
    int lane;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane & 31;
}

__device__ inline int warpNumber() {
    unsigned thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread / 32;
}

__device__ inline int logarithm2(int powerOfTwo) { return 31 - __clz(powerOfTwo); }

__device__ inline uint32_t sharedAddress(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/** Copies the first `bytes` of 16 and fills the rest with zeros. */
__device__ inline void copyAsync(uint32_t target, const uint8_t* source, int bytes = 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(bytes) : "memory");
}

__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

__device__ inline void awaitCopies() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

__device__ inline uint4 loadMatrices(uint32_t address) {
    uint4 r;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "r"(address) : "memory");
    return r;
}

__device__ inline uint4 loadMatricesTransposed(uint32_t address) {
    uint4 r;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "r"(address) : "memory");
    return r;
}

__device__ inline float exp2Fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ inline float quadMax(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

__device__ inline float quadSum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

// ---- shared memory ----

/**
 * Rows of CHUNKS 16-byte chunks. Eight rows, one below the other, begin in only 8 / P different groups of banks, P being the
 * power of two (up to 8) in CHUNKS; exchanging chunks within groups of P by the bits of the row number that don't tell those
 * apart makes them eight.
 */
template <int CHUNKS>
struct Rows {
    static constexpr int BYTES = CHUNKS * 16;
    static constexpr int P = CHUNKS % 8 == 0 ? 8 : CHUNKS % 4 == 0 ? 4 : CHUNKS % 2 == 0 ? 2 : 1;

    static __device__ int offset(int row, int chunk) { return row * BYTES + (chunk ^ (row / (8 / P) % P)) * 16; }

    /** The address `chunks` further in a row, where the chunk's number and `chunks` have no bit in common. */
    static __device__ uint32_t advance(uint32_t address, int chunks) {
        return (address ^ chunks % P * 16) + chunks / P * P * 16;
    }
};

template <class X, int D>
struct Stage {
    using TokenRows = Rows<D * X::BYTES / 16>;   // of K and of V
    static constexpr int VALUES = KEYS * D * X::BYTES;
    static constexpr int KEY_SCALES = 2 * VALUES;
    static constexpr int VALUE_SCALES = KEY_SCALES + KEYS * 4;
    static constexpr int BYTES = KEY_SCALES + (X::SCALED ? 2 * KEYS * 4 : 0);
};

/**
 * Whether the fragments of the queries stay in registers; beside 64 score and 80 or more output registers there is no room for
 * them.
 */
template <int D>
constexpr bool QUERIES_IN_REGISTERS = D == 64;

template <int D>
constexpr int QUERY_BYTES = QUERIES_IN_REGISTERS<D> ? 0 : BLOCK_ROWS * D * 2;

/** What the threads of a block have in common and need once in a tile. In shared memory, for want of registers. */
struct alignas(128) Common {
    const int* pages;       // of the sequence
    const uint8_t* blocks;  // of the KV head: the one in page 0
    int kvHead;
    int row;                // the block's first tile row
    int begin;              // slots that a row of the block sees
    int end;
    int positions[BLOCK_ROWS];   // of the rows; rows beyond the span have the last one's, or -1 if the whole warp is beyond it
};

template <class X, int D>
constexpr int SHARED_BYTES = sizeof(Common) + QUERY_BYTES<D> + STAGES * Stage<X, D>::BYTES;

/** The dimension of a k of the first product, both counted within 16. */
template <class X>
__device__ constexpr int elementOf(int k) {
    return X::BYTES == 2 ? k : k % 8 / 2 * 4 + k / 8 * 2 + k % 2;
}

// ---- the parts of a tile's work ----

constexpr int NO_PAGE = -1;

/** The page of the 16 tokens that this warp fetches of the tile at `first`, if a row of the block sees one of them. */
__device__ inline int pageOf(const Common& common, int first, int pageSize) {
    const int slot = first + warpNumber() * WARP_KEYS;
    return slot < common.end && slot + WARP_KEYS > common.begin ? common.pages[slot >> logarithm2(pageSize)] : NO_PAGE;
}

/** Bytes to copy of a chunk of which the first `known` elements are there. */
__device__ inline int chunkBytes(int known, int elementBytes) { return min(max(known, 0) * elementBytes, 16); }

/**
 * Starts the copies of the warp's 16 tokens of the tile at `first`. Slots that no row sees may hold anything: their scores are
 * masked, but 0 * v must be 0, so values from `end` on become zero. Of 16 tokens without a page nothing is read.
 */
template <class X, int D>
__device__ inline void fetch(const PrefillArgs& args, const Common& common, int page, int first, uint32_t stage) {
    const int lane = laneNumber();
    const int key = warpNumber() * WARP_KEYS;
    const int pageSize = args.pageSize;
    const int token = (first + key) & (pageSize - 1);   // in its page
    const int known = page == NO_PAGE ? 0 : common.end - first - key;
    const int blockBytes = kvBlockBytes<X>(D, pageSize);
    const uint8_t* block = common.blocks + static_cast<size_t>(max(page, 0)) * (args.kvHeads * blockBytes);

    // Eight neighbouring lanes copy to the same chunk of eight rows: no bank conflict.
    using Target = typename Stage<X, D>::TokenRows;
    constexpr int CHUNKS = Target::BYTES / 16;
    const uint8_t* source = block + kvRowOffset(Target::BYTES, token + lane % 8, 0) + lane / 8 * 16;
    const uint32_t target = stage + Target::offset(key + lane % 8, lane / 8);
    const int valueOffset = kvValueOffset<X>(D, pageSize);
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk += 4) {
        if (CHUNKS - chunk >= 4 || lane / 8 < CHUNKS - chunk) {
#pragma unroll
            for (int row = 0; row < 16; row += 8) {
                // Of a row's last piece tokens lie closer to each other.
                const int narrower = CHUNKS - chunk >= 4 ? 0 : lane % 8 * (4 - CHUNKS + chunk) * 16;
                const uint8_t* from = source + row * Target::BYTES + chunk / 4 * 512 - narrower;
                const uint32_t to = Target::advance(target, chunk) + row * Target::BYTES;
                if (page != NO_PAGE) {
                    copyAsync(to, from);
                }
                copyAsync(to + Stage<X, D>::VALUES, from + valueOffset, row + lane % 8 < known ? 16 : 0);
            }
        }
    }
    if (X::SCALED && lane < 8) {
        const int chunk = lane % 4;
        const uint8_t* source = block + kvScaleOffset<X>(D, pageSize) + (lane / 4 * pageSize + token) * 4 + chunk * 16;
        const uint32_t target = stage + (lane < 4 ? Stage<X, D>::KEY_SCALES : Stage<X, D>::VALUE_SCALES) + key * 4 + chunk * 16;
        copyAsync(target, source, chunkBytes(known - chunk * 4, 4));
    }
}

/** A fragments of the queries of a warp's rows, times the softmax's scale: in registers, or each lane's own in shared memory. */
template <class X, int D>
class Queries {
public:
    /** `row` is the warp's first tile row; rows from `rows` are zero. */
    __device__ Queries(const PrefillArgs& args, uint8_t* shared, int kvHead, int row, int rows)
        : shared_(shared) {
        const int lane = laneNumber(), g = lane / 4, t = lane % 4;
        uint4* const own = parked();
        const float factor = args.scale * LOG2E;
        const float* q = args.q + static_cast<size_t>(args.firstRow[blockIdx.z]) * args.qStride + kvHead * args.group * D;
#pragma unroll
        for (int m = 0; m < ROW_TILES; m++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int r = row + m * 16 + half * 8 + g;
                const float* from = q + static_cast<size_t>(r / args.group) * args.qStride + r % args.group * D;
#pragma unroll
                for (int s = 0; s < STEPS; s++) {
#pragma unroll
                    for (int pair = 0; pair < 2; pair++) {
                        const int dimension = s * 16 + elementOf<X>(pair * 8 + t * 2);
                        const float2 x = r < rows ? *reinterpret_cast<const float2*>(from + dimension) : make_float2(0, 0);
                        const uint32_t packed = X::pack(x.x * factor, x.y * factor);
                        if constexpr (QUERIES_IN_REGISTERS<D>) {
                            fragments_[m][s][pair * 2 + half] = packed;
                        } else {
                            reinterpret_cast<uint32_t*>(own + (m * STEPS + s) * 32)[pair * 2 + half] = packed;
                        }
                    }
                }
            }
        }
    }

    /** Where this lane's parked fragments are: 32 apart. */
    __device__ uint4* parked() const {
        return reinterpret_cast<uint4*>(shared_) + warpNumber() * (ROW_TILES * STEPS * 32) + laneNumber();
    }

    __device__ void load(uint32_t (&a)[4], const uint4* parked, int m, int step) const {
        if constexpr (QUERIES_IN_REGISTERS<D>) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                a[i] = fragments_[m][step][i];
            }
        } else {
            const uint4 x = parked[(m * STEPS + step) * 32];
            a[0] = x.x, a[1] = x.y, a[2] = x.z, a[3] = x.w;
        }
    }

private:
    static constexpr int STEPS = D / 16;

    uint8_t* shared_;
    uint32_t fragments_[QUERIES_IN_REGISTERS<D> ? ROW_TILES : 1][QUERIES_IN_REGISTERS<D> ? STEPS : 1][4];
};

/** s = Q K^T for a tile of keys. */
template <class X, int D>
__device__ inline void multiplyKeys(float (&s)[ROW_TILES][KEYS / 8][4], const Queries<X, D>& queries, uint32_t stage) {
    using Source = typename Stage<X, D>::TokenRows;
    const int lane = laneNumber();
    // Four matrices at a time: 16 keys x 16 dimensions of two bytes, 32 keys x 16 dimensions of one byte.
    const int offset = X::BYTES == 2 ? Source::offset(lane / 16 * 8 + lane % 8, lane / 8 % 2) : Source::offset(lane, 0);
    const uint4* parked = queries.parked();
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
        const uint32_t address = Source::advance(stage + offset, step * X::BYTES);
        uint32_t a[ROW_TILES][4];
#pragma unroll
        for (int m = 0; m < ROW_TILES; m++) {
            queries.load(a[m], parked, m, step);
        }
        if constexpr (X::BYTES == 2) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n += 2) {
                const uint4 b = loadMatrices(address + n * 8 * Source::BYTES);
#pragma unroll
                for (int m = 0; m < ROW_TILES; m++) {
                    X::mma(s[m][n], a[m], b.x, b.y);
                    X::mma(s[m][n + 1], a[m], b.z, b.w);
                }
            }
        } else {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n += 4) {
                const uint4 four = loadMatrices(address + n * 8 * Source::BYTES);
                const uint32_t raw[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const uint2 b = X::widen(raw[j]);
#pragma unroll
                    for (int m = 0; m < ROW_TILES; m++) {
                        X::mma(s[m][n + j], a[m], b.x, b.y);
                    }
                }
            }
        }
    }
}

/** o += P V for a tile of keys; p has the A fragments of its four steps of 16 keys. */
template <class X, int D>
__device__ inline void multiplyValues(float (&o)[ROW_TILES][D / 8][4], const uint32_t (&p)[ROW_TILES][KEYS / 16][4],
                                      uint32_t stage) {
    using Source = typename Stage<X, D>::TokenRows;
    const int lane = laneNumber();
    // Four matrices of 8 tokens x 16 bytes at a time: 16 tokens x 2 chunks of two bytes, 32 tokens x 1 chunk of one byte.
    const int offset = X::BYTES == 2 ? Source::offset(lane % 16, lane / 16) : Source::offset(lane, 0);
    const uint32_t base = stage + Stage<X, D>::VALUES + offset;
#pragma unroll
    for (int step = 0; step < KEYS / 16; step += 2 / X::BYTES) {
#pragma unroll
        for (int n = 0; n < D / 8; n += 2) {   // two tiles are 16 dimensions
            const uint4 four = loadMatricesTransposed(Source::advance(base, n * X::BYTES / 2) + step * 16 * Source::BYTES);
            if constexpr (X::BYTES == 2) {
#pragma unroll
                for (int m = 0; m < ROW_TILES; m++) {
                    X::mma(o[m][n], p[m][step], four.x, four.y);
                    X::mma(o[m][n + 1], p[m][step], four.z, four.w);
                }
            } else {
                const uint32_t raw[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const uint2 lower = X::widen(__byte_perm(raw[2 * j], 0, 0x3120));
                    const uint2 upper = X::widen(__byte_perm(raw[2 * j + 1], 0, 0x3120));
#pragma unroll
                    for (int m = 0; m < ROW_TILES; m++) {
                        X::mma(o[m][n], p[m][step + j], lower.x, upper.x);
                        X::mma(o[m][n + 1], p[m][step + j], lower.y, upper.y);
                    }
                }
            }
        }
    }
}

/** Sets the scores of keys that a row doesn't see to minus infinity; `positions` are those of the warp's rows. */
template <class X>
__device__ inline void mask(float (&s)[ROW_TILES][KEYS / 8][4], const int* positions, int window, int firstKey) {
    const int lane = laneNumber(), g = lane / 4, t = lane % 4;
#pragma unroll
    for (int m = 0; m < ROW_TILES; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int position = positions[m * 16 + half * 8 + g];
            const int last = position - firstKey;
            const int first = max(position - window + 1, 0) - firstKey;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int key = n * 8 + t * 2 + i;
                    if (key > last || key < first) {
                        s[m][n][half * 2 + i] = -INFINITY;
                    }
                }
            }
        }
    }
}

/** Multiplies the columns of scores by a scale for each key. */
template <class X>
__device__ inline void scaleColumns(float (&s)[ROW_TILES][KEYS / 8][4], const float* scales, float factor) {
    const int t = laneNumber() % 4;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
        const float2 scale = *reinterpret_cast<const float2*>(scales + n * 8 + t * 2);
#pragma unroll
        for (int m = 0; m < ROW_TILES; m++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[m][n][i] *= (i % 2 ? scale.y : scale.x) * factor;
            }
        }
    }
}

/** Running maximum of a lane's rows (g and g + 8 of each row tile), and this lane's share of their sums. */
struct Softmax {
    float maximum[ROW_TILES][2];
    float sum[ROW_TILES][2];

    __device__ Softmax() {
#pragma unroll
        for (int i = 0; i < ROW_TILES * 2; i++) {
            maximum[i / 2][i % 2] = NO_SCORE;
            sum[i / 2][i % 2] = 0;
        }
    }

    /** Turns scores (in units of log 2) into weights relative to the maximum so far; rescales sums and output where it rose. */
    template <int N>
    __device__ void update(float (&s)[ROW_TILES][KEYS / 8][4], float (&o)[ROW_TILES][N][4]) {
#pragma unroll
        for (int m = 0; m < ROW_TILES; m++) {
            float correction[2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float highest = maximum[m][half];
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
                    highest = fmaxf(highest, fmaxf(s[m][n][half * 2], s[m][n][half * 2 + 1]));
                }
                highest = quadMax(highest);
                correction[half] = exp2Fast(maximum[m][half] - highest);
                maximum[m][half] = highest;
                float added = 0;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                    for (int i = half * 2; i < half * 2 + 2; i++) {
                        s[m][n][i] = exp2Fast(s[m][n][i] - highest);
                        added += s[m][n][i];
                    }
                }
                sum[m][half] = sum[m][half] * correction[half] + added;
            }
            if (__any_sync(~0u, correction[0] != 1 || correction[1] != 1)) {   // rare after the first tiles
#pragma unroll
                for (int n = 0; n < N; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        o[m][n][i] *= correction[i / 2];
                    }
                }
            }
        }
    }
};

/** Divides the output by the sums and writes it. */
template <class X, int D>
__device__ inline void store(const PrefillArgs& args, const Common& common, const float (&o)[ROW_TILES][D / 8][4],
                             const Softmax& softmax) {
    const int lane = laneNumber(), g = lane / 4, t = lane % 4;
    const int rows = args.count[blockIdx.z] * args.group;
    const size_t firstRow = args.firstRow[blockIdx.z];
#pragma unroll
    for (int m = 0; m < ROW_TILES; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float sum = quadSum(softmax.sum[m][half]);
            const int r = common.row + warpNumber() * WARP_ROWS + m * 16 + half * 8 + g;
            if (r < rows) {
                const float inverse = 1 / (X::SCALED ? sum * VALUE_SCALE : sum);
                const int head = common.kvHead * args.group + r % args.group;
                if (args.logSums != nullptr && t == 0) {
                    args.logSums[(firstRow + r / args.group) * (args.kvHeads * args.group) + head] =
                        softmax.maximum[m][half] + log2f(sum);
                }
                __half* to = args.out + (firstRow + r / args.group) * args.outStride + head * D;
#pragma unroll
                for (int n = 0; n < D / 8; n += 2) {
                    const float* a = &o[m][n][half * 2];
                    const float* b = &o[m][n + 1][half * 2];
                    if constexpr (X::BYTES == 2) {
                        *reinterpret_cast<uint32_t*>(to + n * 8 + t * 2) = packF16(a[0] * inverse, a[1] * inverse);
                        *reinterpret_cast<uint32_t*>(to + n * 8 + 8 + t * 2) = packF16(b[0] * inverse, b[1] * inverse);
                    } else {   // even and odd dimensions
                        *reinterpret_cast<uint2*>(to + n * 8 + t * 4) =
                            make_uint2(packF16(a[0] * inverse, b[0] * inverse), packF16(a[1] * inverse, b[1] * inverse));
                    }
                }
            }
        }
    }
}

template <class X, int D>
__device__ inline void attend(const PrefillArgs& args) {
    extern __shared__ __align__(128) uint8_t prefillShared[];
    Common& common = *reinterpret_cast<Common*>(prefillShared);
    uint8_t* const parked = prefillShared + sizeof(Common);
    uint8_t* const stages = parked + QUERY_BYTES<D>;
    const auto stageOf = [&](int key) { return stages + key / KEYS % STAGES * Stage<X, D>::BYTES; };

    // Blocks start in the order of their number: number them from the last tiles, which see the most keys, of all heads.
    const int number = blockIdx.x + gridDim.x * blockIdx.y;
    const int kvHead = number % args.kvHeads;
    const int blockRow = (gridDim.x - 1 - number / args.kvHeads) * BLOCK_ROWS;
    const int row = blockRow + threadIdx.x / 32 * WARP_ROWS;
    const int span = blockIdx.z;
    const int rows = args.count[span] * args.group;
    if (blockRow >= rows) {
        return;
    }
    const auto position = [&](int r) { return args.firstPosition[span] + r / args.group; };
    const int begin = max(0, position(blockRow) - args.window + 1);

    common.positions[threadIdx.x] = row < rows ? position(min(blockRow + static_cast<int>(threadIdx.x), rows - 1)) : -1;
    if (threadIdx.x == 0) {
        common.pages = args.pageTables + static_cast<size_t>(args.sequence[span]) * args.tableStride;
        common.blocks = args.cache + static_cast<size_t>(kvHead) * kvBlockBytes<X>(D, args.pageSize);
        common.kvHead = kvHead;
        common.row = blockRow;
        common.begin = begin;
        common.end = position(min(blockRow + BLOCK_ROWS, rows) - 1) + 1;
    }
    __syncthreads();
    int key = begin & ~(KEYS - 1);
    fetch<X, D>(args, common, pageOf(common, key, args.pageSize), key, sharedAddress(stageOf(key)));
    commitCopies();
    int page = pageOf(common, key + KEYS, args.pageSize);   // ahead of its use, for it comes from global memory

    const Queries<X, D> queries(args, parked, kvHead, row, rows);
    float o[ROW_TILES][D / 8][4] = {};
    Softmax softmax;
    for (; key < common.end; key += KEYS) {
        awaitCopies();
        __syncthreads();   // all copies of this tile are there, and all warps are done with the other stage
        if (key + KEYS < common.end) {
            fetch<X, D>(args, common, page, key + KEYS, sharedAddress(stageOf(key + KEYS)));
            commitCopies();
            page = pageOf(common, key + 2 * KEYS, args.pageSize);
        }
        const int* positions = common.positions + warpNumber() * WARP_ROWS;
        const int first = positions[0], last = positions[WARP_ROWS - 1];
        if (key > last || key + KEYS - 1 <= first - args.window) {   // no row of the warp sees a key of the tile
            continue;
        }
        const uint8_t* stage = stageOf(key);
        float s[ROW_TILES][KEYS / 8][4] = {};
        multiplyKeys<X, D>(s, queries, sharedAddress(stage));
        if constexpr (X::SCALED) {
            scaleColumns<X>(s, reinterpret_cast<const float*>(stage + Stage<X, D>::KEY_SCALES), 1);
        }
        if (key + KEYS - 1 > first || key <= last - args.window) {   // a row does not see them all
            mask<X>(s, positions, args.window, key);
        }
        softmax.update(s, o);
        if constexpr (X::SCALED) {
            scaleColumns<X>(s, reinterpret_cast<const float*>(stage + Stage<X, D>::VALUE_SCALES), VALUE_SCALE);
        }
        uint32_t p[ROW_TILES][KEYS / 16][4];
#pragma unroll
        for (int m = 0; m < ROW_TILES; m++) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
                p[m][n / 2][n % 2 * 2] = X::pack(s[m][n][0], s[m][n][1]);
                p[m][n / 2][n % 2 * 2 + 1] = X::pack(s[m][n][2], s[m][n][3]);
            }
        }
        multiplyValues<X, D>(o, p, sharedAddress(stage));
    }
    store<X, D>(args, common, o, softmax);
}

}  // namespace prefill
}  // namespace skim

#define SKIM_PREFILL(KV, X, D)                                                                          \
    extern "C" {                                                                                        \
    __device__ int prefill_shared_##KV##_##D = skim::prefill::SHARED_BYTES<skim::X, D>;                 \
    __global__ void __launch_bounds__(skim::prefill::WARPS * 32, 2)                                     \
        prefill_##KV##_##D(const __grid_constant__ skim::PrefillArgs args) {                            \
        skim::waitForPreviousKernel();                                                                  \
        skim::prefill::attend<skim::X, D>(args);                                                        \
    }                                                                                                   \
    }
#define SKIM_PREFILL_ALL(KV, X) SKIM_PREFILL(KV, X, 64) SKIM_PREFILL(KV, X, 80) SKIM_PREFILL(KV, X, 96) SKIM_PREFILL(KV, X, 128)

SKIM_PREFILL_ALL(bf16, KvBf16)
SKIM_PREFILL_ALL(f16, KvF16)
SKIM_PREFILL_ALL(fp8, KvFp8)
SKIM_PREFILL_ALL(int8, KvInt8)

#undef SKIM_PREFILL_ALL
#undef SKIM_PREFILL
