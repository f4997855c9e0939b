/*
 * Scores of pages for selection, see selection.cuh:
 *   score_bounds_<D>, score_moments_<D>   numbers, from statistics of a page's keys
 *   score_bounds8_<D>, score_moments8_<D> the same, from statistics as e4m3
 *   score_sketch_<D>                      shares, from one bit a dimension and token; D = 64 and 128 count bits with tensor cores
 *   score_int4_<C>                        shares, from INT4 keys of C channels: C = D, or label channels rounded up to 16
 *   score_exact_<KV>_<D>, score_random    controls: shares from the keys themselves, numbers that mean nothing
 * KV in {bf16, f16, fp8, int8}, D in {64, 80, 96, 128}, C a multiple of 16 up to 128. Layouts: selection.cuh and pagedata.cuh.
 *
 * All but score_random are products with tensor cores: 16 or 8 pages are the rows of A, up to 8 query heads of a group the columns
 * of B; what a lane needs of a page is contiguous, as the order of k is free. Products are exact but for the accumulation in
 * f32: keys and their data are numbers of the type that is computed with, queries are split into a high and a low part of it
 * (16 bits of a query in bf16, 22 in f16; those of sketches are small integers).
 *   bounds   sum of max(q max, q min) = (max, min) * (q+, q-): k runs over pairs as they are stored. Either q+ or q- is zero.
 *   moments  (mean, variance) * (q, 0), and (mean, variance) * (0, q^2)
 *   bounds8, moments8   likewise in f16: e4m3 widens to it exactly. Means and variances are words of their own, so that no
 *            product is with zeros. A page's scales, which may be outside f16, come last.
 *   shares   A's rows are a token of each of 16 pages. Thus a lane has all tokens of its pages and sums up exponentials by
 *            itself.
 *   sketch   s8: a bit at place s of a byte enters as 2^(s % 4) and meets a query of 4 bits times 2^(3 - s % 4); the sums are
 *            eight times too large. So it takes about one operation to unpack four bits. q * mean, the same for all pages of a
 *            sequence, falls out of shares and is left away. Exponentials are exact; the CPU's are up to 6 % too large here.
 *
 * Work split: grid = (any, kvHeads * ceil(group / 8), batch), block = 32 * WARPS. A CTA takes chunks of scoreChunk() pages in
 * turn, a warp PAGES of it and a slice of their tokens. Where the entry's method ranks otherwise or keeps all pages, CTAs leave
 * at once. Before the previous kernel has ended, page data are loaded at stage 1: fills must be complete before it began; at
 * stage 2 the queries, which no kernel of the selection writes.
 */
#pragma once

#include "cache.cuh"
#include "pagedata.cuh"
#include "selection.cuh"

namespace skim::sparse {

struct ScoreArgs {
    SelectionArgs selection;
    int stage;             // 1: all visible pages, 2: those of the list
    int rank;              // that the kernel is for
    const uint8_t* data;   // of the layer; exact: its cache
    const int* labels;     // int4: [kvHead][C] dimension of a label channel, -1: none; nullable: channels are dimensions
    int dimensions;        // D
};

constexpr float SCORE_NONE = -1e30f;     // a logit of no weight: finite, so that differences are numbers
constexpr float SKETCH_LEAST = 1e-30f;   // what a query is divided by at least
constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

// ---- instructions ----

__device__ inline float powerOf2(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

__device__ inline float logarithm2(float x) {
    float log;
    asm("lg2.approx.f32 %0, %1;" : "=f"(log) : "f"(x));
    return log;
}

__device__ inline void loadWords4(uint32_t* to, const uint8_t* from) {
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "l"(from));
}

/** Counts bits that are set in both: k is 256 bits. */
__device__ inline void mmaBits(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** Volatile, so that the compiler does not keep what is loaded here in registers across a loop. */
__device__ inline uint4 loadShared4(const uint4* from) {
    uint4 x;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(from))));
    return x;
}

__device__ inline void mmaS8(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** value & mask, where it is used: volatile, so that masked copies of registers are not kept across a loop. */
__device__ inline uint32_t masked(uint32_t value, uint32_t mask) {
    uint32_t result;
    asm volatile("and.b32 %0, %1, %2;" : "=r"(result) : "r"(value), "r"(mask));
    return result;
}

/** (value & mask) | bits */
__device__ inline uint32_t maskAndSet(uint32_t value, uint32_t mask, uint32_t bits) {
    uint32_t result;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(value), "r"(mask), "r"(bits));
    return result;
}

// ---- what a warp has in hand ----

/** A CTA's query heads: a tile of a group. */
struct HeadTile {
    const float* q;   // [heads][D]
    float scale;
    int heads;        // 1 ... 8
    int kvHead;
};

/** Logarithms (base 2) of sums of exponentials; 0, 1: row g, columns 2t, 2t+1; 2, 3: row g + 8. */
struct LogSums {
    float most[4] = {SCORE_NONE, SCORE_NONE, SCORE_NONE, SCORE_NONE};
    float sum[4] = {};

    /** Adds the exponentials of four tokens. ONE: only column 0 matters. */
    template <bool ONE>
    __device__ void add(const float (&x)[4][4]) {
#pragma unroll
        for (int i = 0; i < 4; i += ONE ? 2 : 1) {
            const float top = fmaxf(fmaxf(fmaxf(x[0][i], x[1][i]), fmaxf(x[2][i], x[3][i])), most[i]);
            sum[i] = sum[i] * powerOf2(most[i] - top) + (powerOf2(x[0][i] - top) + powerOf2(x[1][i] - top))
                    + (powerOf2(x[2][i] - top) + powerOf2(x[3][i] - top));
            most[i] = top;
        }
    }

    /** To the warp's columns of a chunk's results. */
    template <class Chunk>
    __device__ void put(Chunk& to, int column) const {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            to.put(2 * t + i % 2, column + 8 * (i / 2) + g, most[i], sum[i]);
        }
    }
};

/** The load that follows a score: of the next batch of tokens, perhaps of other pages. */
struct NextLoad {
    const uint8_t* blocks[2];   // of the pages of rows g and g + 8
    int batch;
    bool isThere;
};

// ---- scorers ----
/*
 * A scorer has WARPS, PAGES of a warp (a batch of 16 tokens of each at a time), AT_ONCE chunks that are scored before their results
 * are written, SLICES of a page's batches (0: a warp has one batch of its pages), SHARE, CTAS of an SM, PREPARED bytes of shared
 * memory (KEPT until the end or not),
 *   blockBytes(pageSize): of a page, or of what statistics are of, and
 *   load(next, pageSize, slice)   begins to load a batch
 *   prepare(tile, shared)         takes the queries; all threads of the CTA
 *   score(...)                    of what was loaded; registers are loaded anew as soon as they have been read. HIDDEN: some tokens
 *                                 are, ONE: there is one head
 */

/** For column g of the lane: the query's value, or 0 where there is no such head. */
__device__ inline float4 fourOf(const HeadTile& tile, int dimensions, int at) {
    const int head = threadIdx.x % 32 / 4;
    if (head >= tile.heads) {
        return make_float4(0.f, 0.f, 0.f, 0.f);
    }
    const float4 x = *reinterpret_cast<const float4*>(tile.q + head * dimensions + at);
    return make_float4(x.x * tile.scale, x.y * tile.scale, x.z * tile.scale, x.w * tile.scale);
}

template <int D, bool MOMENTS>
struct StatisticsScorer {
    static constexpr int WARPS = 4, PAGES = 16, AT_ONCE = 1, SLICES = 0, PREPARED = 0, PARTS = D / 16;
    static constexpr bool SHARE = false, KEPT = false;
    static constexpr int CTAS = 3;

    uint32_t pairs[2][PARTS][4];              // words 16 p + 4 t ... of rows g and g + 8
    uint32_t high[PARTS][4], low[PARTS][4];   // bounds: (q+, q-), moments: (q, q^2)

    __device__ explicit StatisticsScorer(const ScoreArgs&) {}

    static __device__ int blockBytes(int) { return statisticsBytes(D); }

    __device__ void prepare(const HeadTile& tile, uint8_t*) {
        const int t = threadIdx.x % 4;
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            const float4 four = fourOf(tile, D, 16 * p + 4 * t);
            const float q[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float x = MOMENTS ? q[i] : fmaxf(q[i], 0.f), y = MOMENTS ? q[i] * q[i] : fminf(q[i], 0.f);
                high[p][i] = packBf16(x, y);
                low[p][i] = packBf16(x - __uint_as_float(high[p][i] << 16), y - __uint_as_float(high[p][i] & 0xffff0000u));
            }
        }
    }

    __device__ void loadPart(const NextLoad& next, int p) {
        loadWords4(pairs[0][p], next.blocks[0] + 64 * p + threadIdx.x % 4 * 16);
        loadWords4(pairs[1][p], next.blocks[1] + 64 * p + threadIdx.x % 4 * 16);
    }

    __device__ void load(const NextLoad& next, int, int) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            loadPart(next, p);
        }
    }

    __device__ void score(float (&scores)[4], const NextLoad& next) {
        float first[4] = {}, second[4] = {};
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
#pragma unroll
            for (int i = 0; i < 4; i += 2) {
                const uint32_t a[4] = {pairs[0][p][i], pairs[1][p][i], pairs[0][p][i + 1], pairs[1][p][i + 1]};
                if constexpr (MOMENTS) {
                    constexpr uint32_t LOWER = 0xffffu, UPPER = 0xffff0000u;
                    mmaBf16(first, a, masked(high[p][i], LOWER), masked(high[p][i + 1], LOWER));
                    mmaBf16(second, a, masked(high[p][i], UPPER), masked(high[p][i + 1], UPPER));
                    mmaBf16(first, a, masked(low[p][i], LOWER), masked(low[p][i + 1], LOWER));
                    mmaBf16(second, a, masked(low[p][i], UPPER), masked(low[p][i + 1], UPPER));
                } else {
                    mmaBf16(first, a, high[p][i], high[p][i + 1]);
                    mmaBf16(second, a, low[p][i], low[p][i + 1]);
                }
            }
            if (next.isThere) {
                loadPart(next, p);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            scores[i] = first[i] + (MOMENTS ? sqrtf(fmaxf(second[i], 0.f)) : second[i]);
        }
    }
};

/** The KV head of the CTA. Most groups are one tile: a division takes long. */
__device__ inline int scoredKvHead(const SelectionArgs& s) {
    return s.group <= 8 ? blockIdx.y : blockIdx.y / ((s.group + 7) / 8);
}

/** From statistics in e4m3. A lane's bytes of a part are 8 dimensions, of the last one of D = 80 they are 4. */
template <int D, bool MOMENTS>
struct Statistics8Scorer {
    static constexpr int WARPS = 4, PAGES = 16, AT_ONCE = 1, SLICES = 0, WHOLE = D / 32, PARTS = (D + 31) / 32;
    static constexpr bool SHARE = false;
    static constexpr int CTAS = 4;
    static constexpr int PREPARED = PARTS * 2 * 32 * 16;
    static constexpr bool KEPT = true;
    static_assert(D % 16 == 0, "the last part is a half or whole");

    uint32_t words[2][PARTS][4];       // of rows g and g + 8
    float2 scales[2];
    uint32_t high[PARTS][4][2];        // for a word: q+ or q-, q or q^2
    const uint4* low;                  // of the lane, 32 apart, for two words: registers do not suffice for these too
    int numberOffset, scaleOffset;     // from where a head's block would be if it were in one piece

    __device__ explicit Statistics8Scorer(const ScoreArgs& args) {
        const int kvHead = scoredKvHead(args.selection), block = kvHead * statistics8Bytes(D);
        numberOffset = statistics8Offset(D, kvHead) - block;
        scaleOffset = statistics8ScaleOffset(D, args.selection.kvHeads, kvHead) - block;
    }

    static __device__ int blockBytes(int) { return statistics8Bytes(D); }

    static __device__ constexpr int wordsOf(int part) { return part < WHOLE ? 4 : 2; }

    /** A warp leaves the low parts of one part for all warps. */
    __device__ void prepare(const HeadTile& tile, uint8_t* shared) {
        const int lane = threadIdx.x % 32, t = lane % 4, warp = threadIdx.x / 32;
        uint4* const lows = reinterpret_cast<uint4*>(shared) + lane;
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            const int count = wordsOf(p) / 2;
            uint32_t rest[4][2] = {};
#pragma unroll
            for (int w = 0; w < count; w++) {
                const float4 four = fourOf(tile, D, 32 * p + 4 * (count * t + w));
                const float q[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
                for (int i = 0; i < 4; i += 2) {
                    split(first(q[i]), first(q[i + 1]), high[p][w][i / 2], rest[w][i / 2]);
                    split(second(q[i]), second(q[i + 1]), high[p][count + w][i / 2], rest[count + w][i / 2]);
                }
            }
            if (warp == p) {
                lows[32 * 2 * p] = make_uint4(rest[0][0], rest[0][1], rest[1][0], rest[1][1]);
                lows[32 * (2 * p + 1)] = make_uint4(rest[2][0], rest[2][1], rest[3][0], rest[3][1]);
            }
        }
        static_assert(PARTS <= 4, "as many as warps");
        __syncthreads();
        low = lows;
    }

    static __device__ float first(float q) { return MOMENTS ? q : fmaxf(q, 0.f); }

    static __device__ float second(float q) { return MOMENTS ? fminf(q * q, 65504.f) : fminf(q, 0.f); }

    static __device__ void split(float x, float y, uint32_t& high, uint32_t& low) {
        high = packF16(x, y);
        const float2 there = __half22float2(*reinterpret_cast<const __half2*>(&high));
        low = packF16(x - there.x, y - there.y);
    }

    __device__ void loadPart(const NextLoad& next, int p) {
        const int t = threadIdx.x % 4;
#pragma unroll
        for (int row = 0; row < 2; row++) {
            const uint8_t* from = next.blocks[row] + numberOffset + 64 * p;
            if (p < WHOLE) {
                loadWords4(words[row][p], from + 16 * t);
            } else {
                const uint2 two = __ldg(reinterpret_cast<const uint2*>(from) + t);
                words[row][p][0] = two.x;
                words[row][p][1] = two.y;
            }
        }
    }

    __device__ void loadScales(const NextLoad& next) {
#pragma unroll
        for (int row = 0; row < 2; row++) {
            scales[row] = __ldg(reinterpret_cast<const float2*>(next.blocks[row] + scaleOffset));
        }
    }

    __device__ void load(const NextLoad& next, int, int) {
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            loadPart(next, p);
        }
        loadScales(next);
    }

    __device__ void score(float (&scores)[4], const NextLoad& next) {
        float sums[2][4] = {};
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
#pragma unroll
            for (int two = 0; two < wordsOf(p); two += 2) {
                const uint4 rest = loadShared4(low + 32 * (2 * p + two / 2));
#pragma unroll
                for (int w = two; w < two + 2; w++) {
                    const uint2 upper = KvFp8::widen(words[0][p][w]), lower = KvFp8::widen(words[1][p][w]);
                    const uint32_t a[4] = {upper.x, lower.x, upper.y, lower.y};
                    float(&sum)[4] = sums[w / (wordsOf(p) / 2)];
                    mmaF16(sum, a, high[p][w][0], high[p][w][1]);
                    mmaF16(sum, a, w == two ? rest.x : rest.z, w == two ? rest.y : rest.w);
                }
            }
            if (next.isThere) {
                loadPart(next, p);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float x = sums[1][i] * scales[i / 2].y;
            scores[i] = sums[0][i] * scales[i / 2].x + (MOMENTS ? sqrtf(fmaxf(x, 0.f)) : x);
        }
        if (next.isThere) {
            loadScales(next);
        }
    }
};

/** A query, rotated, in numbers of 4 bits. A warp's: lane l has dimensions 4 l ... 4 l + 3. */
template <int D>
struct SketchQuery {
    int numbers[4] = {};
    float step;
    int sum;   // of all numbers

    /** @param isThere false: numbers of 0 */
    __device__ SketchQuery(const Rotation<D>& rotation, const float* q, float scale, bool isThere) {
        const int lane = threadIdx.x % 32;
        const bool hasLane = 4 * lane < D;
        float x[4] = {};
        if (hasLane && isThere) {
            const float4 four = *reinterpret_cast<const float4*>(q + 4 * lane);
            x[0] = four.x * scale;
            x[1] = four.y * scale;
            x[2] = four.z * scale;
            x[3] = four.w * scale;
        }
        rotation.apply(x);
        float most = hasLane ? fmaxf(fmaxf(fabsf(x[0]), fabsf(x[1])), fmaxf(fabsf(x[2]), fabsf(x[3]))) : 0.f;
        most = fmaxf(__uint_as_float(__reduce_max_sync(0xffffffffu, __float_as_uint(most))), SKETCH_LEAST);
        const float ofStep = __fdiv_rn(7.f, most);
        step = most * (1.f / 7.f);
        sum = 0;
        if (hasLane) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                numbers[i] = roundHalfUp(x[i] * ofStep);
                sum += numbers[i];
            }
        }
        sum = __reduce_add_sync(0xffffffffu, sum);
    }
};

template <int D>
struct SketchScorer {
    static constexpr int WARPS = 4, PAGES = 16, AT_ONCE = 1, SLICES = 0, UNITS = sketchUnits(D);
    static constexpr bool SHARE = true;
    static constexpr int CTAS = 3;
    static constexpr int PREPARED = 8 * (32 * 4 + 8);
    static constexpr bool KEPT = false, HAS_ONE = true;   // code for one head
    static constexpr int PHASES = UNITS == 6 ? 2 : 1;   // a unit's place in a nibble: by the token's parity, or always the same
    static constexpr int BIAS = 0x4b400000;             // as a float 1.5 * 2^23: an integer added to it is added to the float

    uint32_t words[2][UNITS / 2][4];
    uint32_t factors[2][8];
    uint32_t levels[PHASES][UNITS];   // of column g
    int start[2];                     // of columns 2t, 2t + 1
    float step[2];
    const Rotation<D> rotation;

    __device__ explicit SketchScorer(const ScoreArgs&) {}

    static __device__ int blockBytes(int pageSize) { return sketchBytes(D, pageSize); }

    __device__ void prepare(const HeadTile& tile, uint8_t* shared) {
        uint32_t(*const numbers)[32] = reinterpret_cast<uint32_t(*)[32]>(shared);   // [head][lane], a signed byte each
        float2* const sums = reinterpret_cast<float2*>(shared + 8 * 32 * 4);       // [head] the numbers' step, and their sum
        const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
        for (int head = threadIdx.x / 32; head < tile.heads; head += WARPS) {
            const SketchQuery<D> query(rotation, tile.q + head * D, tile.scale, true);
            uint32_t bytes = 0;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                bytes |= static_cast<uint32_t>(query.numbers[i] & 0xff) << 8 * i;
            }
            numbers[head][lane] = bytes;
            if (lane == 0) {
                sums[head] = make_float2(query.step, static_cast<float>(query.sum));
            }
        }
        __syncthreads();
#pragma unroll
        for (int n = 0; n < PHASES; n++) {
#pragma unroll
            for (int u = 0; u < UNITS; u++) {
                const int shift = 3 - (n * UNITS + u) % 4;
                const uint32_t bytes = g < tile.heads ? numbers[g][t * UNITS + u] : 0;
                levels[n][u] = bytes << shift & 0x01010101u * (0xffu << shift & 0xffu);
            }
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const float2 sum = 2 * t + h < tile.heads ? sums[2 * t + h] : make_float2(0.f, 0.f);
            start[h] = BIAS - 4 * static_cast<int>(sum.y);
            step[h] = sum.x * (0.25f * LOG2_E);
        }
    }

    __device__ void loadSigns(const NextLoad& next, int j) {
#pragma unroll
        for (int row = 0; row < 2; row++) {
            loadWords4(words[row][j], next.blocks[row] + 32 * UNITS * next.batch + 64 * j + threadIdx.x % 4 * 16);
        }
    }

    /** Of tokens 8 half ... 8 half + 7. */
    __device__ void loadFactors(const NextLoad& next, int pageSize, int half) {
#pragma unroll
        for (int row = 0; row < 2; row++) {
            loadWords4(factors[row] + 4 * half, next.blocks[row] + sketchFactorOffset(D, pageSize) + 32 * next.batch + 16 * half);
        }
    }

    __device__ void load(const NextLoad& next, int pageSize, int) {
#pragma unroll
        for (int j = 0; j < UNITS / 2; j++) {
            loadSigns(next, j);
        }
        loadFactors(next, pageSize, 0);
        loadFactors(next, pageSize, 1);
    }

    /** Bits of a unit in a stream of them, each in its byte. */
    static __device__ uint32_t unit(const uint32_t (&stream)[UNITS / 2][4], int at) {
        const uint32_t word = stream[at / 32][at / 8 % 4];
        return (at % 8 < 4 ? word : word >> 4) & 0x01010101u << at % 4;
    }

    template <bool ONE, bool HIDDEN, class Chunk>
    __device__ void score(Chunk& to, int column, int batch, int hidden, const NextLoad& next, int pageSize) {
        LogSums sums;
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) {
            int c[4][4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                c[i][0] = c[i][2] = start[0];
                c[i][1] = c[i][3] = start[1];
            }
#pragma unroll
            for (int u = 0; u < UNITS; u += 2) {
#pragma unroll
                for (int i = 0; i < 4; i++) {   // products that do not wait for each other
                    const int n = 4 * quarter + i, at = n * UNITS + u;
                    const uint32_t a[4] = {unit(words[0], at), unit(words[1], at),
                                           unit(words[0], at + 1), unit(words[1], at + 1)};
                    mmaS8(c[i], a, levels[n % PHASES][u], levels[n % PHASES][u + 1]);
                }
            }
            float x[4][4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int n = 4 * quarter + i;
#pragma unroll
                for (int row = 0; row < 2; row++) {
                    const uint32_t pair = factors[row][n / 2];
                    const float factor = __uint_as_float(n % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
#pragma unroll
                    for (int h = 0; h < (ONE ? 1 : 2); h++) {
                        x[i][2 * row + h] = (__int_as_float(c[i][2 * row + h]) - 12582912.f) * step[h] * factor;
                    }
                }
                if (HIDDEN && 16 * batch + n < hidden) {
                    x[i][0] = x[i][1] = SCORE_NONE;
                }
            }
            if (next.isThere) {
#pragma unroll
                for (int j = 0; j < UNITS / 2; j++) {
                    if (32 * (j + 1) > 4 * quarter * UNITS && 32 * (j + 1) <= 4 * (quarter + 1) * UNITS) {
                        loadSigns(next, j);
                    }
                }
                if (quarter % 2 == 1) {
                    loadFactors(next, pageSize, quarter / 2);
                }
            }
            sums.add<ONE>(x);
        }
        sums.put(to, column);
    }
};

/**
 * The same by counting bits, where a word of signs belongs to whole tokens (D = 64, 128): the signs are A as they are stored.
 * A's rows are 8 pages; four words of a page are a product's a0 ... a3, so that row g, row g + 8 and the two halves of k are
 * different tokens. B's columns 2 t and 2 t + 1 are two planes of the queries' numbers for what lane t makes of it, its item:
 * another half of k, and another head (D = 128) or the other tokens of the words (D = 64). Two products give it all four
 * planes.
 */
template <int D>
struct SketchBitScorer {
    static_assert(D == 64 || D == 128, "words hold whole tokens");
    static constexpr int WARPS = 8, PAGES = 8, AT_ONCE = 2, SLICES = 0, UNITS = sketchUnits(D);
    static constexpr bool SHARE = true;
    static constexpr int CTAS = 2;
    static constexpr int PREPARED = 8 * (4 * 4 * 4 + 8);
    static constexpr bool KEPT = true, HAS_ONE = false;
    static constexpr int HEADS = D == 128 ? 2 : 1;   // of a product's items
    static constexpr int WORD_TOKENS = 8 / UNITS, WORDS = UNITS / 2;

    uint32_t words[WORDS][4], factors[8];   // of the batch to come
    uint32_t (*planes)[4][4];               // [head][plane] what meets word t of a token
    float2* steps;                          // [head] what levels are multiplied by, and what is added
    int heads;
    const Rotation<D> rotation;

    __device__ explicit SketchBitScorer(const ScoreArgs&) {}

    static __device__ int blockBytes(int pageSize) { return sketchBytes(D, pageSize); }

    /** Of an item: half of k, token within a word, head within a set. */
    static __device__ int half(int item) { return D == 128 ? item % 2 : item / 2; }
    static __device__ int wordToken(int item) { return D == 128 ? 0 : item % 2; }
    static __device__ int setHead(int item) { return D == 128 ? item / 2 : 0; }

    __device__ void prepare(const HeadTile& tile, uint8_t* shared) {
        planes = reinterpret_cast<uint32_t(*)[4][4]>(shared);
        steps = reinterpret_cast<float2*>(shared + 8 * 4 * 4 * 4);
        heads = tile.heads;
        const int lane = threadIdx.x % 32;
        for (int head = threadIdx.x / 32; head < (heads + HEADS - 1) / HEADS * HEADS; head += WARPS) {
            const SketchQuery<D> query(rotation, tile.q + head * D, tile.scale, head < heads);
            const int t = lane % 4;
#pragma unroll
            for (int plane = 0; plane < 4; plane++) {
                uint32_t word = 0;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const uint32_t bits = __ballot_sync(0xffffffffu, query.numbers[i] >> plane & 1);
                    word |= (bits >> UNITS * t & (1u << UNITS) - 1) << 8 * i;
                }
                if (lane / 4 == plane) {
                    planes[head][plane][t] = word;
                }
            }
            if (lane == 0) {
                const float step = LOG2_E * query.step;
                steps[head] = make_float2(2.f * step, -step * static_cast<float>(query.sum));
            }
        }
        __syncthreads();
    }

    __device__ void load(const NextLoad& next, int pageSize, int) {
        const uint8_t* const block = next.blocks[0];
#pragma unroll
        for (int j = 0; j < WORDS; j++) {
            loadWords4(words[j], block + 32 * UNITS * next.batch + 64 * j + threadIdx.x % 4 * 16);
        }
        const uint8_t* const from = block + sketchFactorOffset(D, pageSize) + 32 * next.batch;
        loadWords4(factors, from);
        loadWords4(factors + 4, from + 16);
    }

    /** Factor of the token that the item has in row `row` of the product of four words. */
    __device__ float factor(int item, int j, int row) const {
        if constexpr (D == 128) {   // token 4 j + 2 half + row
            const uint32_t pair = half(item) == 0 ? factors[2 * j] : factors[2 * j + 1];
            return __uint_as_float(row == 0 ? pair << 16 : pair & 0xffff0000u);
        } else {                    // token 2 (4 j + 2 half + row) + token of the word
            const uint32_t pair = half(item) == 0 ? factors[4 * j + row] : factors[4 * j + 2 + row];
            return __uint_as_float(wordToken(item) == 0 ? pair << 16 : pair & 0xffff0000u);
        }
    }

    template <bool ONE, bool HIDDEN, class Chunk>
    __device__ void score(Chunk& to, int column, int batch, int hidden, const NextLoad& next, int pageSize) {
        const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, item = t;
        uint32_t signs[WORDS][4];
        float scales[WORDS][2];
#pragma unroll
        for (int j = 0; j < WORDS; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                signs[j][i] = words[j][i];
            }
#pragma unroll
            for (int row = 0; row < 2; row++) {
                scales[j][row] = factor(item, j, row);
            }
        }
        if (next.isThere) {
            load(next, pageSize, 0);
        }
#pragma unroll 1
        for (int first = 0; first < heads; first += HEADS) {
            const int columnItem = g / 2, columnHead = first + setHead(columnItem), head = first + setHead(item);
            uint32_t b[2][2];   // product, half of k
#pragma unroll
            for (int product = 0; product < 2; product++) {
                const uint32_t word = planes[columnHead][2 * product + g % 2][t] << 4 * wordToken(columnItem);
                b[product][0] = half(columnItem) == 0 ? word : 0;
                b[product][1] = half(columnItem) == 1 ? word : 0;
            }
            const float2 step = steps[head];
            float x[WORDS][2];
#pragma unroll
            for (int j = 0; j < WORDS; j++) {
                int c[2][4];
#pragma unroll
                for (int product = 0; product < 2; product++) {
                    c[product][0] = c[product][1] = c[product][2] = c[product][3] = 0;
                    mmaBits(c[product], signs[j], b[product][0], b[product][1]);
                }
#pragma unroll
                for (int row = 0; row < 2; row++) {
                    const int lower = c[0][2 * row] + 2 * c[0][2 * row + 1];
                    const int upper = c[1][2 * row] - 2 * c[1][2 * row + 1];   // the last plane is the sign's
                    x[j][row] = (static_cast<float>(lower + 4 * upper) * step.x + step.y) * scales[j][row];
                    const int token = WORD_TOKENS * (4 * j + 2 * half(item) + row) + wordToken(item);
                    if (HIDDEN && 16 * batch + token < hidden) {
                        x[j][row] = SCORE_NONE;
                    }
                }
            }
            float most = SCORE_NONE, sum = 0.f;
#pragma unroll
            for (int j = 0; j < WORDS; j++) {
                most = fmaxf(most, fmaxf(x[j][0], x[j][1]));
            }
            // The items that are tokens of the same head.
#pragma unroll
            for (int distance = 1; distance < 4 / HEADS; distance *= 2) {
                most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
            }
#pragma unroll
            for (int j = 0; j < WORDS; j++) {
                sum += powerOf2(x[j][0] - most) + powerOf2(x[j][1] - most);
            }
#pragma unroll
            for (int distance = 1; distance < 4 / HEADS; distance *= 2) {
                sum += __shfl_xor_sync(0xffffffffu, sum, distance);
            }
            if (half(item) == 0 && wordToken(item) == 0) {
                to.put(head, column + g, most, sum);
            }
        }
    }
};

/** C channels in 4 bits: a lane has 32, 16, 8 and 4 neighbours of the 128, 64, 32 and 16 that C is the sum of. */
template <int C>
struct Int4Scorer {
    static constexpr int WARPS = 4, PAGES = 16, AT_ONCE = 1, SLICES = 4;
    static constexpr bool SHARE = true;
    static constexpr int CTAS = C <= 64 ? 8 : 4;
    static constexpr int WORDS = C / 32, HALF = C / 16 % 2, STEPS = 2 * WORDS + HALF;
    static constexpr int PREPARED = STEPS * (32 * 16 + 8 * 4);
    static constexpr bool KEPT = true;

    const int* labels;
    int dimensions;
    uint32_t stored[4][2][WORDS + HALF];   // token, row
    uint32_t pairs[2][4];
    const uint4* operands;                 // of the lane, 32 apart: high and low part of a step's queries
    float querySum[2];                     // of columns 2t, 2t + 1

    __device__ explicit Int4Scorer(const ScoreArgs& args) : labels(args.labels), dimensions(args.dimensions) {}

    static __device__ int blockBytes(int pageSize) { return int4BlockBytes(C, pageSize); }

    /** The channel of a nibble of the lane's word j. */
    static __device__ int channel(int j, int nibble) {
        const int t = threadIdx.x % 4;
        int base = 0, word = 0;
#pragma unroll
        for (int size = 128; size >= 32; size /= 2) {
            if (C & size) {
                if (j < word + size / 32) {
                    return base + t * (size / 4) + (j - word) * 8 + nibble;
                }
                base += size;
                word += size / 32;
            }
        }
        return base + t * 4 + nibble;
    }

    /** A warp makes a step's operands for all warps. */
    __device__ void prepare(const HeadTile& tile, uint8_t* shared) {
        uint4* const words = reinterpret_cast<uint4*>(shared);
        float(*const stepSums)[8] = reinterpret_cast<float(*)[8]>(shared + STEPS * 32 * 16);
        const int lane = threadIdx.x % 32, head = lane / 4, t = lane % 4;
        const float scale = tile.scale * LOG2_E;
        for (int s = threadIdx.x / 32; s < STEPS; s += WARPS) {
            const bool isHalf = s == 2 * WORDS;
            float q[4], sum = 0.f;   // nibbles (0, 4), (1, 5) or (2, 6), (3, 7); in half a word (0, 2), (1, 3)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int place = channel(s / 2, s % 2 * 2 + i / 2 + i % 2 * (isHalf ? 2 : 4));
                const int d = labels == nullptr ? place : labels[tile.kvHead * C + place];
                q[i] = head < tile.heads && d >= 0 ? tile.q[head * dimensions + d] * scale : 0.f;
                sum += q[i];
            }
            uint32_t high[2], low[2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const float factor = i == 0 ? 1.f : 1.f / 16;   // levels of the second pair come times 16
                const float x = q[2 * i] * factor, y = q[2 * i + 1] * factor;
                high[i] = packF16(x, y);
                const float2 there = __half22float2(*reinterpret_cast<const __half2*>(&high[i]));
                low[i] = packF16(x - there.x, y - there.y);
            }
            words[32 * s + lane] = make_uint4(high[0], high[1], low[0], low[1]);
            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            if (t == 0) {
                stepSums[s][head] = sum;
            }
        }
        __syncthreads();
        operands = words + lane;
        querySum[0] = querySum[1] = 0.f;
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            querySum[0] += stepSums[s][2 * t];
            querySum[1] += stepSums[s][2 * t + 1];
        }
    }

    __device__ void load(const NextLoad& next, int pageSize, int slice) {
        const int t = threadIdx.x % 4, first = 16 * next.batch + 4 * slice;
#pragma unroll
        for (int row = 0; row < 2; row++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const uint8_t* from = next.blocks[row] + (first + i) * (C / 2);
                uint32_t* to = stored[i][row];
                int word = 0;
                if constexpr ((C & 128) != 0) {
                    loadWords4(to, from + 16 * t);
                    word = 4;
                    from += 64;
                }
                if constexpr ((C & 64) != 0) {
                    const uint2 two = __ldg(reinterpret_cast<const uint2*>(from) + t);
                    to[word] = two.x;
                    to[word + 1] = two.y;
                    word += 2;
                    from += 32;
                }
                if constexpr ((C & 32) != 0) {
                    to[word] = __ldg(reinterpret_cast<const uint32_t*>(from) + t);
                    word++;
                    from += 16;
                }
                if constexpr (HALF != 0) {
                    to[word] = __ldg(reinterpret_cast<const uint16_t*>(from) + t);
                }
            }
            loadWords4(pairs[row], next.blocks[row] + int4PairOffset(C, pageSize) + 4 * first);
        }
    }

    /** Two levels as f16; those of the upper nibbles times 16. */
    template <bool UPPER>
    static __device__ uint32_t levelPair(uint32_t word) {
        const uint32_t biased = maskAndSet(word, UPPER ? 0x00f000f0u : 0x000f000fu, 0x64006400u);   // 1024 + level
        const __half2 levels = __hsub2(*reinterpret_cast<const __half2*>(&biased), __float2half2_rn(1024.f));
        return *reinterpret_cast<const uint32_t*>(&levels);
    }

    template <bool ONE, bool HIDDEN>
    __device__ void score(LogSums& sums, int batch, int slice, int hidden, const NextLoad& next, int pageSize) {
        float x[4][4] = {};
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            const uint4 query = loadShared4(operands + 32 * s);
#pragma unroll
            for (int i = 0; i < 4; i++) {   // products that do not wait for each other
                uint32_t word[2];
#pragma unroll
                for (int row = 0; row < 2; row++) {
                    const uint32_t raw = stored[i][row][s / 2];
                    word[row] = s == 2 * WORDS ? (raw & 0xff) | (raw & 0xff00) << 8 : s % 2 == 0 ? raw : raw >> 8;
                }
                const uint32_t a[4] = {levelPair<false>(word[0]), levelPair<false>(word[1]),
                                       levelPair<true>(word[0]), levelPair<true>(word[1])};
                mmaF16(x[i], a, query.x, query.y);
                mmaF16(x[i], a, query.z, query.w);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int c = 0; c < 4; c += ONE ? 2 : 1) {
                const uint32_t pair = pairs[c / 2][i];
                x[i][c] = __uint_as_float(pair << 16) * x[i][c] + __uint_as_float(pair & 0xffff0000u) * querySum[c % 2];
            }
            if (HIDDEN && 16 * batch + 4 * slice + i < hidden) {
                x[i][0] = x[i][1] = SCORE_NONE;
            }
        }
        if (next.isThere) {
            load(next, pageSize, slice);
        }
        sums.add<ONE>(x);
    }
};

/** The keys: a control, simple rather than fast. */
template <class X, int D>
struct ExactScorer {
    static constexpr int WARPS = 16, PAGES = 16, AT_ONCE = 1, SLICES = 4, PREPARED = 0;
    static constexpr bool SHARE = true, KEPT = false;
    static constexpr int CTAS = 1;

    const uint8_t* rows[2];
    uint32_t high[D / 16][2], low[D / 16][2];

    __device__ explicit ExactScorer(const ScoreArgs&) {}

    static __device__ int blockBytes(int pageSize) { return kvBlockBytes<X>(D, pageSize); }

    __device__ void prepare(const HeadTile& tile, uint8_t*) {
#pragma unroll
        for (int s = 0; s < D / 16; s++) {
            const float4 four = fourOf(tile, D, 16 * s + threadIdx.x % 4 * 4);
            const float q[4] = {four.x * LOG2_E, four.y * LOG2_E, four.z * LOG2_E, four.w * LOG2_E};
#pragma unroll
            for (int i = 0; i < 2; i++) {
                high[s][i] = X::pack(q[2 * i], q[2 * i + 1]);
                const float2 there = widenPair<X>(high[s][i]);
                low[s][i] = X::pack(q[2 * i] - there.x, q[2 * i + 1] - there.y);
            }
        }
    }

    __device__ void load(const NextLoad& next, int, int) {
        rows[0] = next.blocks[0];
        rows[1] = next.blocks[1];
    }

    template <bool ONE, bool HIDDEN>
    __device__ void score(LogSums& sums, int batch, int slice, int hidden, const NextLoad& next, int pageSize) {
        using Raw = typename std::conditional<X::BYTES == 2, uint2, uint32_t>::type;
        float x[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int token = 16 * batch + 4 * slice + i;
            float sum[4] = {};
#pragma unroll
            for (int s = 0; s < D / 16; s++) {
                uint2 keys[2];
#pragma unroll
                for (int row = 0; row < 2; row++) {
                    const int dimension = 16 * s + threadIdx.x % 4 * 4;
                    const uint8_t* from = rows[row] + kvRowOffset(D * X::BYTES, token, dimension * X::BYTES);
                    keys[row] = X::widen(*reinterpret_cast<const Raw*>(from));
                }
                const uint32_t a[4] = {keys[0].x, keys[1].x, keys[0].y, keys[1].y};
                X::mma(sum, a, high[s][0], high[s][1]);
                X::mma(sum, a, low[s][0], low[s][1]);
            }
#pragma unroll
            for (int c = 0; c < 4; c++) {
                float scale = 1.f;
                if constexpr (X::SCALED) {
                    scale = reinterpret_cast<const float*>(rows[c / 2] + kvScaleOffset<X>(D, pageSize))[token];
                }
                x[i][c] = sum[c] * scale;
            }
            if (HIDDEN && token < hidden) {
                x[i][0] = x[i][1] = SCORE_NONE;
            }
        }
        if (next.isThere) {
            load(next, pageSize, slice);
        }
        sums.add<ONE>(x);
    }
};

// ---- the walk over pages ----

/** What a CTA ranks. */
struct Ranking {
    int entry, kvHead, list, firstHead, heads;
    int scored;         // entries that have scores
    int hidden;         // first tokens of entry 0 that the window hides
    const int* pages;   // of the entries

    /** False: nothing to do. Of stage 2 `hidden` is known when the list is there. */
    __device__ bool begin(const ScoreArgs& args) {
        const SelectionArgs& s = args.selection;
        entry = blockIdx.z;
        kvHead = scoredKvHead(s);
        firstHead = 8 * (blockIdx.y - kvHead * ((s.group + 7) / 8));
        heads = min(8, s.group - firstHead);
        list = entry * s.kvHeads + kvHead;
        // All loads at once: each would cost a trip to memory.
        const RowMethod& method = s.methods[entry];
        const int rank = args.stage == 1 ? method.rank1 : method.rank2, kept = args.stage == 1 ? method.pages1 : method.pages2;
        const VisiblePages visible(s, entry);
        hidden = visible.first - visible.firstPage * s.pageSize;
        int ranked;
        if (args.stage == 1) {
            ranked = visible.count;
            pages = pageTable(s, entry) + visible.firstPage;
        } else {
            ranked = visible.listedPages(method, s.pageSize);
            pages = s.lists.pages + static_cast<size_t>(list) * s.lists.stride;
        }
        scored = ranked - 1;
        return rank == args.rank && visible.count > 0 && kept < ranked
                && static_cast<int>(blockIdx.x) < scoreChunks(scored, scoreChunk(rank, s.pageSize));
    }

    __device__ float* scores(const SelectionArgs& s, int head) const {
        return s.scores + (static_cast<size_t>(list) * s.group + firstHead + head) * s.scoreStride;
    }

    __device__ float2* references(const SelectionArgs& s, int head) const {
        return s.references + (static_cast<size_t>(list) * s.group + firstHead + head) * s.referenceStride;
    }
};

/** Results of a chunk between the warps that made them and those that write them: head, column; a slice of the pages after another. */
template <int COLUMNS, bool SHARE>
struct ChunkScores {
    static constexpr int STRIDE = COLUMNS + 4;   // columns 2t of the rows g are in different banks
    float most[8][STRIDE];
    float sum[SHARE ? 8 : 1][STRIDE];

    __device__ void put(int head, int column, float x, float weight) {
        most[head][column] = x;
        if constexpr (SHARE) {
            sum[head][column] = weight;
        }
    }

    /**
     * The score of a page of `pages`: of numbers the greatest of its slices, of shares their sum, base 2. Where the number of
     * slices is not known the loops are not unrolled: fetching more code costs more than running it.
     */
    template <int SLICES>
    __device__ float get(int head, int page, int pages, int slices) const {
        const int count = SLICES == 0 ? slices : SLICES;
        float top = most[head][page];
#pragma unroll(SLICES == 0 ? 1 : SLICES)
        for (int i = 1; i < count; i++) {
            top = fmaxf(top, most[head][i * pages + page]);
        }
        if constexpr (SHARE) {
            float total = 0.f;
#pragma unroll(SLICES == 0 ? 1 : SLICES)
            for (int i = 0; i < count; i++) {
                total += sum[head][i * pages + page] * powerOf2(most[head][i * pages + page] - top);
            }
            top += logarithm2(total);
        }
        return top;
    }
};

/** A chunk's scores of a head, of `pages` pages, and its reference. A warp; lane l has pages l and, where MOST > 32, l + 32. */
template <int MOST, bool SHARE>
__device__ inline void writeScores(const Ranking& ranking, const SelectionArgs& args, int head, int chunk, int pages,
                                   float (&x)[(MOST + 31) / 32]) {
    const int lane = threadIdx.x % 32, first = chunk * pages + lane;
    float* const scores = ranking.scores(args, head);
    float most = -INFINITY, sum = 0.f;
#pragma unroll
    for (int i = 0; i < (MOST + 31) / 32; i++) {
        if (first + 32 * i < ranking.scored && lane + 32 * i < pages) {
            scores[first + 32 * i] = SHARE ? x[i] * LN_2 : x[i];
            most = fmaxf(most, x[i]);
        } else {
            x[i] = -INFINITY;
        }
    }
    most = -warpLeast(-most);
    if constexpr (SHARE) {
#pragma unroll
        for (float& score : x) {
            sum += powerOf2(score - most);
        }
        sum = warpTotal(sum);
    }
    if (lane == 0) {
        ranking.references(args, head)[chunk] = make_float2(SHARE ? most * LN_2 : most, sum);
    }
}

template <class Scorer>
__device__ void scorePages(const ScoreArgs& args) {
    constexpr int WARPS = Scorer::WARPS, PAGES = Scorer::PAGES, COLUMNS = PAGES * WARPS;
    constexpr int WARPS_SHIFT = WARPS == 4 ? 2 : WARPS == 8 ? 3 : 4;
    static_assert(1 << WARPS_SHIFT == WARPS, "4, 8 or 16");
    constexpr bool ONE_BATCH = Scorer::SLICES == 0;
    constexpr int MOST = ONE_BATCH ? COLUMNS : COLUMNS / Scorer::SLICES;   // pages of a chunk
    using Chunk = ChunkScores<COLUMNS, Scorer::SHARE>;
    constexpr int AT_ONCE = Scorer::AT_ONCE, RESULTS = 2 * AT_ONCE * sizeof(Chunk);
    constexpr int PREPARED = Scorer::PREPARED, AT = Scorer::KEPT ? PREPARED : 0;
    __shared__ __align__(16) uint8_t shared[AT + RESULTS > PREPARED ? AT + RESULTS : PREPARED];
    Chunk* const results = reinterpret_cast<Chunk*>(shared + AT);

    const SelectionArgs& s = args.selection;
    Ranking ranking;
    if (!ranking.begin(args)) {
        waitForPreviousKernel();   // whoever waits for this kernel also relies on those before it
        return;
    }
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x / 32;
    const int sliceShift = ONE_BATCH ? pageShift(s.pageSize) - 4 : 2, slices = 1 << sliceShift;
    static_assert(ONE_BATCH || Scorer::SLICES == 4, "the shift");
    const int tileShift = WARPS_SHIFT - sliceShift, tile = warp & (1 << tileShift) - 1, slice = warp >> tileShift;
    const int chunkPages = PAGES << tileShift, chunks = scoreChunks(ranking.scored, chunkPages), stride = gridDim.x;
    const int batches = s.pageSize / 16;
    const int bytes = Scorer::blockBytes(s.pageSize);
    const size_t allHeads = static_cast<size_t>(s.kvHeads) * bytes, pageBytes = Scorer::SHARE ? allHeads : allHeads << sliceShift;
    const uint8_t* const data =
            args.data + static_cast<size_t>(ranking.kvHead) * bytes + (Scorer::SHARE ? 0 : slice * allHeads);

    int pages[PAGES / 8];   // of the chunk after the one whose blocks are being loaded
    const auto loadPages = [&](int chunk) {
#pragma unroll
        for (int row = 0; row < PAGES / 8; row++) {
            pages[row] = __ldcg(&ranking.pages[min(chunk * chunkPages + PAGES * tile + 8 * row + g, ranking.scored - 1)]);
        }
    };
    NextLoad next;
    const auto nextChunk = [&](int chunk) {
#pragma unroll
        for (int row = 0; row < PAGES / 8; row++) {
            next.blocks[row] = data + pages[row] * pageBytes;
        }
        next.batch = ONE_BATCH ? slice : 0;
        next.isThere = chunk < chunks;
        loadPages(chunk + stride);
    };

    Scorer scorer(args);
    const float* q = queries(s, ranking.entry, ranking.kvHead, args.dimensions) + ranking.firstHead * args.dimensions;
    const HeadTile heads{q, s.scale, ranking.heads, ranking.kvHead};
    if (args.stage == 2) {
        scorer.prepare(heads, shared);
        waitForPreviousKernel();
        letNextKernelStart();
        ranking.hidden = s.lists.first[ranking.list];
    }
    int chunk = blockIdx.x;
    loadPages(chunk);
    nextChunk(chunk);
    scorer.load(next, s.pageSize, slice);
    if (args.stage == 1) {
        waitForPreviousKernel();
        letNextKernelStart();
        scorer.prepare(heads, shared);
    }
    if (PREPARED > 0 && !Scorer::KEPT) {
        __syncthreads();   // the results take its place
    }
    const auto scoreInto = [&](Chunk& result) {
        const int column = PAGES * warp;
        const bool hides = chunk == 0 && tile == 0 && ranking.hidden > 0;
        const int hidden = g == 0 ? ranking.hidden : 0;   // of entry 0, a row g
        if constexpr (!Scorer::SHARE) {
            float scores[4];
            nextChunk(chunk + stride);
            scorer.score(scores, next);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                result.put(2 * t + i % 2, column + 8 * (i / 2) + g, scores[i], 0.f);
            }
        } else if constexpr (ONE_BATCH) {
            nextChunk(chunk + stride);
            if (hides) {
                scorer.template score<false, true>(result, column, slice, hidden, next, s.pageSize);
            } else if (Scorer::HAS_ONE && ranking.heads == 1) {
                scorer.template score<Scorer::HAS_ONE, false>(result, column, slice, 0, next, s.pageSize);
            } else {
                scorer.template score<false, false>(result, column, slice, 0, next, s.pageSize);
            }
        } else {
            LogSums sums;
            for (int batch = 0; batch < batches; batch++) {
                if (batch + 1 == batches) {
                    nextChunk(chunk + stride);
                } else {
                    next.batch = batch + 1;
                }
                if (hides) {
                    scorer.template score<false, true>(sums, batch, slice, hidden, next, s.pageSize);
                } else if (ranking.heads == 1) {
                    scorer.template score<true, false>(sums, batch, slice, 0, next, s.pageSize);
                } else {
                    scorer.template score<false, false>(sums, batch, slice, 0, next, s.pageSize);
                }
            }
            sums.put(result, column);
        }
    };
    for (int turn = 0; chunk < chunks; turn ^= 1) {
        Chunk* const result = results + AT_ONCE * turn;
        const int first = chunk;
        int scored = 0;
#pragma unroll 1
        for (; scored < AT_ONCE && chunk < chunks; scored++, chunk += stride) {
            scoreInto(result[scored]);
        }
        __syncthreads();
        for (int i = warp; i < scored * ranking.heads; i += WARPS) {
            const int which = AT_ONCE > 1 && i >= ranking.heads ? 1 : 0, head = i - which * ranking.heads;
            float x[(MOST + 31) / 32];
#pragma unroll
            for (int part = 0; part < (MOST + 31) / 32; part++) {
                const int page = min(lane + 32 * part, chunkPages - 1);
                x[part] = result[which].template get<Scorer::SLICES>(head, page, chunkPages, slices);
            }
            writeScores<MOST, Scorer::SHARE>(ranking, s, head, first + which * stride, chunkPages, x);
        }
    }
}

/** The numbers of the CPU's RandomScorer. */
__device__ inline void scoreRandom(const ScoreArgs& args) {
    waitForPreviousKernel();
    letNextKernelStart();
    Ranking ranking;
    if (!ranking.begin(args)) {
        return;
    }
    const SelectionArgs& s = args.selection;
    const RowMethod& method = s.methods[ranking.entry];
    const CounterRandom random(~method.seed, method.step, s.layer, ranking.kvHead);   // apart from those of a sample
    const int lane = threadIdx.x % 32;
    for (int chunk = blockIdx.x; chunk < scoreChunks(ranking.scored, SCORE_CHUNK); chunk += gridDim.x) {
        for (int head = threadIdx.x / 32; head < ranking.heads; head += blockDim.x / 32) {
            float x[2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                x[i] = static_cast<float>(random.nextBelow(chunk * SCORE_CHUNK + lane + 32 * i, 1 << 24));
            }
            writeScores<SCORE_CHUNK, false>(ranking, s, head, chunk, SCORE_CHUNK, x);
        }
    }
}

// ---- kernels ----

#define SKIM_SCORE(name, ...)                                                                            \
    extern "C" __global__ void __launch_bounds__(32 * __VA_ARGS__::WARPS, __VA_ARGS__::CTAS)                                 \
    score_##name(const __grid_constant__ ScoreArgs args) {                                               \
        scorePages<__VA_ARGS__>(args);                                                                   \
    }
#define SKIM_SCORE_SIZE(D)                                \
    SKIM_SCORE(bounds_##D, StatisticsScorer<D, false>)    \
    SKIM_SCORE(moments_##D, StatisticsScorer<D, true>)    \
    SKIM_SCORE(bounds8_##D, Statistics8Scorer<D, false>)  \
    SKIM_SCORE(moments8_##D, Statistics8Scorer<D, true>)  \
    SKIM_SCORE(exact_bf16_##D, ExactScorer<KvBf16, D>)    \
    SKIM_SCORE(exact_f16_##D, ExactScorer<KvF16, D>)      \
    SKIM_SCORE(exact_fp8_##D, ExactScorer<KvFp8, D>)      \
    SKIM_SCORE(exact_int8_##D, ExactScorer<KvInt8, D>)
#define SKIM_SCORE_INT4(C) SKIM_SCORE(int4_##C, Int4Scorer<C>)

SKIM_SCORE(sketch_64, SketchBitScorer<64>)
SKIM_SCORE(sketch_80, SketchScorer<80>)
SKIM_SCORE(sketch_96, SketchScorer<96>)
SKIM_SCORE(sketch_128, SketchBitScorer<128>)
SKIM_SCORE_SIZE(64)
SKIM_SCORE_SIZE(80)
SKIM_SCORE_SIZE(96)
SKIM_SCORE_SIZE(128)
SKIM_SCORE_INT4(16)
SKIM_SCORE_INT4(32)
SKIM_SCORE_INT4(48)
SKIM_SCORE_INT4(64)
SKIM_SCORE_INT4(80)
SKIM_SCORE_INT4(96)
SKIM_SCORE_INT4(112)
SKIM_SCORE_INT4(128)

extern "C" __global__ void __launch_bounds__(128) score_random(const __grid_constant__ ScoreArgs args) { scoreRandom(args); }

#undef SKIM_SCORE_INT4
#undef SKIM_SCORE_SIZE
#undef SKIM_SCORE

}  // namespace skim::sparse
