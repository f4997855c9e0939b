/*
 * Decode attention over lists of cache pages, KV in {bf16, f16, fp8, int8}, D in {64, 80, 96, 128}:
 *
 *   attend_<KV>_<D>          lists of pages
 *   attend_tokens_<KV>_<D>   lists of tokens, too: what top-p leaves
 *   attend_masked_<KV>_<D>   and token masks and log weights
 *
 * The last would do for all lists. But instructions are fetched anew after other kernels have run: code for a further kind of list
 * costs half a microsecond a launch.
 *
 * For each (batch entry, KV head) softmax(q k^T * scale + log weight) v over the visible tokens of a list of pages, for all
 * query heads of the KV head's group. Dense attention lists a sequence's pages; every sparse method hands over its own list.
 *
 * Of a sequence with a gap, whose evicted pages the list leaves out, the slots before it (sinks) are a part of their own, read
 * with queries that stand as if the evicted tokens had never been.
 *
 * Work split
 *   grid = (splits, kvHeads * ceil(group / 8), batch), block = ATTEND_THREADS. A CTA serves up to 8 query heads and one part of
 *   the list; how many parts there are depends on the list's visible length, `splits` and `partTokens` alone. With those two
 *   constants of a model, the same list gives the same bits in any batch. CTAs beyond the last part leave at once. Within a
 *   part the warps take steps of TOKENS tokens in turn, each with its own online softmax; the CTA merges its warps through
 *   shared memory, and the last CTA to arrive (a ticket) merges the parts through `partials`.
 *
 * A step of a warp, TILES tiles of 16 tokens: scores = K * Q^T, out^T += V^T * P^T, by mma.m16n8k16 with 8 query heads as n.
 * Nothing of K and V goes through shared memory. Lane = 4 g + t.
 *   loads       Of the rows g and g + 8 of each tile, in K as in V, lane (g, t) loads 16 bytes of each 64, and 8 or 4 bytes of the
 *               32 or 16 that D may leave over: the order of the dimensions is free.
 *   K           is the A operand of the first product; four values at a time are a lane's part of one mma: k = 2t, 2t+1, 2t+8,
 *               2t+9.
 *   V^T         is the A operand of the second, whose registers hold two tokens of a dimension: movmatrix makes them of 8 tokens'
 *               16-bit units. Where a unit is two values of one byte, lanes then sort them.
 *   P           leaves the first product as C (row = token, column = head) and enters the second as B (k = token, n = head):
 *               movmatrix transposes it, too.
 * The next step's K is loaded when the scores have consumed this one's, and V after the second product: loads are always in
 * flight, without further registers.
 */
#pragma once

#include "cache.cuh"

#include <type_traits>

namespace skim::decode {

/** What an entry sees of a sequence that lost the tokens between its sinks and its window; all zeros: it lost none. */
struct Gap {
    int sinkFirst;     // slots of the list that are sinks: [sinkFirst, sinkLast)
    int sinkLast;
    int windowFirst;   // first slot of the list behind the gap
};

struct AttendArgs {
    const float* q;            // [row][qStride], head h at column h * D
    int qStride;
    const uint8_t* cache;      // of the layer
    int pageSize;              // 16, 32 or 64
    int kvHeads;
    int group;                 // query heads per KV head
    const int* pages;          // [list][pageStride]
    int pageStride;
    int pagesPerHead;          // 0: list = batch entry; 1: list = batch entry * kvHeads + kvHead
    const int* counts;         // [list] entries of the list; entry e holds the list's slots e * pageSize ...
    const int* first;          // [list] visible are the slots [first, last); nullable: 0
    const int* last;           // [list] nullable: all slots of the list
    const uint64_t* masks;     // [list][pageStride] bit i: token i of the entry's page is visible; nullable
    const float* logWeights;   // [list][pageStride] added to the logits of the entry's tokens; nullable
    const int* rowIndex;       // row of q and out for a batch entry; nullable: the same
    half* out;                 // [row][outStride], head h at column h * D
    int outStride;
    float scale;
    float* partials;           // attendPartialFloats(D) for each of batch * gridDim.y * splits; unused where splits is 1
    int* tickets;              // batch * gridDim.y, zero before and after
    int splits;                // most parts of a list, <= gridDim.x
    int partTokens;            // least tokens of a part, as far as splits allows
    const int* sequences;      // [list] row of pages, of masks and of logWeights; nullable: the list itself
    unsigned* tally;           // [batch entry][2] tokens and pages that are read are added, of each KV head; nullable
    const Gap* gaps;           // [batch entry] nullable: none; needs splits > 1
    const float* closedUpQ;    // like q: the queries that sinks are read with
    float* logSums;            // [row][kvHeads * group] log2 of the sum of exp(logit); nullable
    int settled;               // kernels still at work may write the lists and the keys of their slots, but not q (0), or q and the
                               // keys of the last so many slots: what they don't write is fetched before they have ended
    const int* tokens;         // [list][tokenStride] in place of pages: tokens, page * pageSize + token in the page; nullable
    int tokenStride;
    const int* tokenCounts;    // [list] how many; negative: the list is one of pages
};

__device__ inline size_t pageRow(const AttendArgs& args, int list) {
    return args.sequences == nullptr ? list : args.sequences[list];
}

/** A part's result: per head D unnormalised sums, then per head maximum (base 2) and sum of weights. */
__host__ __device__ constexpr int attendPartialFloats(int dimensions) { return 8 * (dimensions + 2); }

// ---- instructions ----

template <int BYTES>
__device__ inline void loadStreaming(uint32_t* to, const uint8_t* from) {
    if constexpr (BYTES == 16) {
        asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "l"(from));
    } else if constexpr (BYTES == 8) {
        asm volatile("ld.global.L1::no_allocate.L2::128B.v2.u32 {%0,%1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "l"(from));
    } else if constexpr (BYTES == 4) {
        asm volatile("ld.global.L1::no_allocate.L2::128B.u32 %0, [%1];" : "=r"(to[0]) : "l"(from));
    } else if constexpr (BYTES == 2) {
        asm volatile("ld.global.L1::no_allocate.L2::128B.u16 %0, [%1];" : "=r"(to[0]) : "l"(from));
    }
}

/** Volatile, so that the compiler does not keep what is loaded here in registers across a loop. */
__device__ inline uint2 loadShared(const uint2* from) {
    uint2 x;
    asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];"
                 : "=r"(x.x), "=r"(x.y) : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(from))) : "memory");
    return x;
}

/** Transposes an 8 x 8 matrix of 16-bit values: lane (g, t) has (g, 2t) and (g, 2t+1). */
__device__ inline uint32_t transpose8x8(uint32_t pair) {
    uint32_t transposed;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
    return transposed;
}

__device__ inline float exp2Fast(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

/** Over the lanes of equal t. */
__device__ inline float maxOverRows(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 4));
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 8));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 16));
}

__device__ inline float sumOverRows(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 4);
    x += __shfl_xor_sync(0xffffffffu, x, 8);
    return x + __shfl_xor_sync(0xffffffffu, x, 16);
}

// ---- softmax states ----

constexpr float ATTEND_NO_SCORE = -1e30f;   // the maximum over no tokens: finite, so that differences of maxima are numbers

/** Four dimensions of a head's unfinished softmax. */
struct SoftmaxSum {
    float maximum = ATTEND_NO_SCORE;
    float weight = 0.f;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);

    __device__ void add(float otherMaximum, float otherWeight, float4 other) {
        const float top = fmaxf(maximum, otherMaximum);
        const float a = exp2Fast(maximum - top), b = exp2Fast(otherMaximum - top);
        maximum = top;
        weight = weight * a + otherWeight * b;
        sum.x = sum.x * a + other.x * b;
        sum.y = sum.y * a + other.y * b;
        sum.z = sum.z * a + other.z * b;
        sum.w = sum.w * a + other.w * b;
    }

    /** Of all exponentials, base 2. */
    __device__ float logSum() const { return maximum + log2f(weight); }

    /** A list without visible tokens yields zeros; NaN stays NaN. */
    __device__ void finish(half* to) const {
        const float inverse = weight == 0.f ? 0.f : 1.f / weight;
        const uint32_t lower = packF16(sum.x * inverse, sum.y * inverse), upper = packF16(sum.z * inverse, sum.w * inverse);
        *reinterpret_cast<uint2*>(to) = make_uint2(lower, upper);
    }
};

// ---- one warp's walk over its steps ----

/** What a list is one of; or what lists of a kernel are: also what stands before that. */
enum class Listed { PAGES, TOKENS, MASKED_PAGES };   // masked: masks or log weights may be there

template <class X, int D, int TILES, Listed LISTED>
struct AttendWalk {
    static constexpr bool MASKED = LISTED == Listed::MASKED_PAGES, BY_TOKEN = LISTED == Listed::TOKENS;
    static constexpr int TOKENS = 16 * TILES;                     // of a step; a tile lies in one page
    static constexpr int ROW_BYTES = D * X::BYTES;
    static constexpr int CHUNKS = ROW_BYTES / 64;                 // 16-byte loads of a row
    static constexpr int TAIL = ROW_BYTES % 64 / 4;               // bytes of the last, shorter load
    static constexpr int WORDS = ROW_BYTES / 16;                  // that a lane holds of a row
    static constexpr float P_FACTOR = X::SCALED ? 1024.f : 1.f;   // keeps p * vScale in the range of f16
    static_assert(D % 16 == 0);

    uint32_t keys[TILES][2][WORDS];        // rows g and g + 8 of each tile
    uint32_t values[TILES][2][WORDS];
    float keyScales[X::SCALED ? TILES : 1][2];
    float valueScales[X::SCALED ? TILES : 1][2];
    float out[D / 16][4];                  // (dimension(i, 0) | dimension(i, 1); head 2t | 2t + 1): 0 1 | 2 3
    float maximum[2], weight[2];           // of heads 2t, 2t + 1; weight is this lane's share
    int places[TILES][BY_TOKEN ? 2 : 1];   // of the step whose loads come next: pages, or tokens of rows g and g + 8
    const uint8_t* rows[TILES][BY_TOKEN ? 2 : 1];   // what the lane loads of row g, and of g + 8: of K, later of V

    const uint8_t* cache;
    const int* list;                       // of pages, or of tokens
    const uint64_t* masks;
    const float* logWeights;
    uint64_t mask[MASKED ? TILES : 1];
    float logWeight[MASKED ? TILES : 1];
    int kvHeads, kvHead, pageSize, pageShift, lastEntry, first, last, g, t;

    /** @param skipped entries of the list before that of slot 0 */
    __device__ AttendWalk(const AttendArgs& args, int listNumber, int kvHead, int first, int last, int skipped = 0)
        : cache(args.cache), kvHeads(args.kvHeads), kvHead(kvHead), pageSize(args.pageSize),
          pageShift(args.pageSize == 64 ? 6 : args.pageSize == 32 ? 5 : 4), first(first), last(last), g(threadIdx.x % 32 / 4),
          t(threadIdx.x % 4) {
        if constexpr (BY_TOKEN) {
            list = args.tokens + static_cast<size_t>(listNumber) * args.tokenStride;
        } else {
            const size_t at = pageRow(args, listNumber) * args.pageStride + skipped;
            list = args.pages + at;
            lastEntry = args.counts[listNumber] - 1 - skipped;
            if constexpr (MASKED) {
                masks = args.masks == nullptr ? nullptr : args.masks + at;
                logWeights = args.logWeights == nullptr ? nullptr : args.logWeights + at;
            }
        }
        maximum[0] = maximum[1] = ATTEND_NO_SCORE;
        weight[0] = weight[1] = 0.f;
        for (auto& tile : out) {
            tile[0] = tile[1] = tile[2] = tile[3] = 0.f;
        }
    }

    /** The B operands of the first product (head g, four dimensions of each mma), by the CTA's warps together. */
    static __device__ void stageQuery(uint2 (&query)[D / 16][32], const float* q, int heads, float scale, int warp, int warps) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        constexpr int WIDE = 16 / X::BYTES;   // values of a 16-byte load
        for (int s = warp; s < D / 16; s += warps) {
            const int d = s * 4 < CHUNKS * WIDE ? s * 4 / WIDE * 4 * WIDE + t * WIDE + s * 4 % WIDE
                                                : CHUNKS * 4 * WIDE + t * (TAIL / X::BYTES) + (s * 4 - CHUNKS * WIDE);
            float4 x = make_float4(0.f, 0.f, 0.f, 0.f);
            if (g < heads) {
                x = *reinterpret_cast<const float4*>(q + g * D + d);
            }
            query[s][4 * g + t] = make_uint2(X::pack(x.x * scale, x.y * scale), X::pack(x.z * scale, x.w * scale));
        }
    }

    /** The first dimension of row g (upper: g + 8) of tile i of the second product. */
    static __device__ int dimension(int i, bool upper, int g) {
        const int word = X::BYTES == 2 ? 2 * i + upper : i, column = word < 4 * CHUNKS ? 16 : TAIL;   // bytes of a lane
        const int bytes = word / 4 * 64 + g / 2 * column + word % 4 * 4;
        return X::BYTES == 2 ? bytes / 2 + g % 2 : bytes + g % 2 * 2 + upper;
    }

    __device__ int entryOf(int step, int tile) const { return min((step * TOKENS + 16 * tile) >> pageShift, lastEntry); }

    /** What loads need to know of a step. */
    __device__ void loadPlaces(int step) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            if constexpr (BY_TOKEN) {   // of slots past the list its last token, which is seen
                const int slot = step * TOKENS + 16 * j + g;
                places[j][0] = list[min(slot, last - 1)];
                places[j][1] = list[min(slot + 8, last - 1)];
            } else {
                places[j][0] = list[entryOf(step, j)];
            }
        }
    }

    /** The block of row g (h = 0) or g + 8 of tile j, and its token there. */
    __device__ const uint8_t* block(int j, int h) const {
        const int page = BY_TOKEN ? places[j][h] >> pageShift : places[j][0];
        return kvBlock(cache, page, kvHeads, kvHead, kvBlockBytes<X>(D, pageSize));
    }

    __device__ int token(int step, int j, int h) const {
        return (BY_TOKEN ? places[j][h] : step * TOKENS + 16 * j + g + 8 * h) & (pageSize - 1);
    }

    /** The lane's words of the rows. */
    __device__ void load(uint32_t (&words)[TILES][2][WORDS]) const {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const uint8_t* from = BY_TOKEN ? rows[j][h] : rows[j][0] + h * 8 * ROW_BYTES;
#pragma unroll
                for (int c = 0; c < CHUNKS; c++) {
                    loadStreaming<16>(&words[j][h][4 * c], from + 512 * c);
                }
                if constexpr (TAIL > 0) {
                    // Its pieces are narrower, of a token and of a lane.
                    const int place = BY_TOKEN ? places[j][h] % 8 * 4 + t : threadIdx.x % 32;
                    loadStreaming<TAIL>(&words[j][h][4 * CHUNKS], from + 512 * CHUNKS - (16 - TAIL) * place);
                }
            }
        }
    }

    __device__ void loadScales(float (&scales)[X::SCALED ? TILES : 1][2], int step, int offset) const {
        if constexpr (X::SCALED) {
#pragma unroll
            for (int j = 0; j < TILES; j++) {
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    const uint8_t* from = block(j, h) + kvScaleOffset<X>(D, pageSize);
                    scales[j][h] = reinterpret_cast<const float*>(from)[offset + token(step, j, h)];
                }
            }
        }
    }

    __device__ void loadKeys(int step) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
#pragma unroll
            for (int h = 0; h < (BY_TOKEN ? 2 : 1); h++) {
                rows[j][h] = block(j, h) + kvRowOffset(ROW_BYTES, token(step, j, h), 16 * t);
            }
        }
        load(keys);
        loadScales(keyScales, step, 0);
        if constexpr (MASKED) {
#pragma unroll
            for (int j = 0; j < TILES; j++) {
                const int entry = entryOf(step, j);
                mask[j] = masks == nullptr ? ~0ull : masks[entry];
                logWeight[j] = logWeights == nullptr ? 0.f : logWeights[entry] * 1.4426950408889634f;
            }
        }
    }

    /** Of the step whose keys were loaded last. */
    __device__ void loadValues(int step) {
        for (auto& tile : rows) {
            for (auto& row : tile) {
                row += kvValueOffset<X>(D, pageSize);
            }
        }
        load(values);
        loadScales(valueScales, step, pageSize);
    }

    /** Which tokens of a tile are visible, a bit each. */
    __device__ uint32_t visible(int step, int j) const {
        const int slot = step * TOKENS + 16 * j;
        const int from = max(0, min(16, first - slot)), to = max(0, min(16, last - slot));
        const uint32_t range = ((1u << to) - 1) & ~((1u << from) - 1);
        return MASKED ? range & static_cast<uint32_t>(mask[j] >> (slot & (pageSize - 1))) : range;
    }

    static __device__ uint2 widen(const uint32_t* words) {
        if constexpr (X::BYTES == 2) {
            return X::widen(make_uint2(words[0], words[1]));
        } else {
            return X::widen(words[0]);
        }
    }

    /** Rows g and g + 8, four values each, as an A operand. */
    static __device__ void operandA(uint32_t (&a)[4], const uint32_t* row, const uint32_t* rowPlus8) {
        const uint2 lower = widen(row), upper = widen(rowPlus8);
        a[0] = lower.x;
        a[1] = upper.x;
        a[2] = lower.y;
        a[3] = upper.y;
    }

    __device__ void score(float (&scores)[TILES][4], const uint2 (&query)[D / 16][32], int step, bool edge) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            scores[j][0] = scores[j][1] = scores[j][2] = scores[j][3] = 0.f;
        }
#pragma unroll
        for (int s = 0; s < D / 16; s++) {
            const uint2 b = loadShared(&query[s][4 * g + t]);
#pragma unroll
            for (int j = 0; j < TILES; j++) {
                uint32_t a[4];
                operandA(a, &keys[j][0][s * X::BYTES], &keys[j][1][s * X::BYTES]);
                X::mma(scores[j], a, b.x, b.y);
            }
        }
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            if constexpr (X::SCALED) {
                scores[j][0] *= keyScales[j][0];
                scores[j][1] *= keyScales[j][0];
                scores[j][2] *= keyScales[j][1];
                scores[j][3] *= keyScales[j][1];
            }
            if (MASKED || edge) {
                const uint32_t bits = visible(step, j) >> g;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const bool seen = bits >> (i / 2 * 8) & 1;
                    scores[j][i] = seen ? (MASKED ? scores[j][i] + logWeight[j] : scores[j][i]) : -INFINITY;
                }
            }
        }
    }

    /** Scores to the B operands of the second product; the sums follow the new maximum. */
    __device__ void soften(float (&scores)[TILES][4], uint32_t (&p)[TILES][2]) {
        float top[2] = {maximum[0], maximum[1]};
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            top[0] = fmaxf(top[0], fmaxf(scores[j][0], scores[j][2]));
            top[1] = fmaxf(top[1], fmaxf(scores[j][1], scores[j][3]));
        }
        top[0] = maxOverRows(top[0]);
        top[1] = maxOverRows(top[1]);
        if (__any_sync(0xffffffffu, top[0] > maximum[0] || top[1] > maximum[1])) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const float factor = exp2Fast(maximum[h] - top[h]);
                maximum[h] = top[h];
                weight[h] *= factor;
#pragma unroll
                for (int i = 0; i < D / 16; i++) {
                    out[i][h] *= factor;
                    out[i][h + 2] *= factor;
                }
            }
        }
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            float x[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                x[i] = exp2Fast(scores[j][i] - maximum[i % 2]);
                weight[i % 2] += x[i];
                if constexpr (X::SCALED) {   // an unseen token's scale may be anything
                    x[i] = x[i] == 0.f ? 0.f : x[i] * (valueScales[j][i / 2] * P_FACTOR);
                }
            }
            p[j][0] = transpose8x8(X::pack(x[0], x[1]));
            p[j][1] = transpose8x8(X::pack(x[2], x[3]));
        }
    }

    /** What lies in the cache at unseen tokens may be NaN, and 0 * NaN is NaN: V becomes 0 there. */
    __device__ void clearUnseen(int step) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            const uint32_t bits = visible(step, j);
            if (__any_sync(0xffffffffu, bits != 0xffff)) {   // the vote keeps it a branch
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    const uint32_t keep = bits >> (g + 8 * h) & 1 ? ~0u : 0u;
#pragma unroll
                    for (int w = 0; w < WORDS; w++) {
                        values[j][h][w] &= keep;
                    }
                }
            }
        }
    }

    /** Rows g (x) and g + 8 (y) of tile i of V^T, of the tokens 8 h ... 8 h + 7 of tile j. */
    __device__ uint2 operandV(int j, int h, int i) const {
        if constexpr (X::BYTES == 2) {
            return make_uint2(transpose8x8(values[j][h][2 * i]), transpose8x8(values[j][h][2 * i + 1]));
        } else {
            return X::widen(__byte_perm(transpose8x8(values[j][h][i]), 0, 0x3120));
        }
    }

    __device__ void accumulate(const uint32_t (&p)[TILES][2]) {
#pragma unroll
        for (int j = 0; j < TILES; j++) {
#pragma unroll
            for (int i = 0; i < D / 16; i++) {
                const uint2 lower = operandV(j, 0, i), upper = operandV(j, 1, i);
                const uint32_t a[4] = {lower.x, lower.y, upper.x, upper.y};
                X::mma(out[i], a, p[j][0], p[j][1]);
            }
        }
    }

    /** Issues the loads of the first step. */
    __device__ void start(int begin, int end, int stride) {
        if (begin < end) {
            loadPlaces(begin);
            loadKeys(begin);
            loadValues(begin);
            loadPlaces(begin + stride);
        }
    }

    /** Steps begin, begin + stride, ... before end. */
    __device__ void walk(const uint2 (&query)[D / 16][32], int begin, int end, int stride) {
        for (int step = begin; step < end; step += stride) {
            const bool edge = step * TOKENS < first || (step + 1) * TOKENS > last;
            const int next = step + stride;
            float scores[TILES][4];
            uint32_t p[TILES][2];
            if (!BY_TOKEN && (MASKED || edge)) {
                clearUnseen(step);
            }
            score(scores, query, step, edge);
            if (next < end) {
                loadKeys(next);
            }
            soften(scores, p);
            accumulate(p);
            if (next < end) {
                loadValues(next);
                loadPlaces(next + stride);
            }
        }
        weight[0] = sumOverRows(weight[0]);
        weight[1] = sumOverRows(weight[1]);
    }
};

// ---- a CTA ----

/** What the CTA's warps hand to each other. */
template <int D, int WARPS>
struct AttendShared {
    alignas(16) float sums[WARPS][8][D];
    float2 weights[WARPS][8];   // maximum, sum of weights
    uint2 query[D / 16][32];    // B operands, see AttendWalk
    int ticket;

    /** Where a dimension of a head's sum is: numbers change places so that the stores of fragments are free of bank conflicts. */
    __device__ float& sum(int warp, int head, int d) { return sums[warp][head][d ^ head / 2 * 2]; }

    /** Four dimensions, d a multiple of 4. */
    __device__ float4 four(int warp, int head, int d) {
        const float4 x = *reinterpret_cast<const float4*>(&sums[warp][head][d ^ (head / 2 * 2 & 4)]);
        return head / 2 % 2 == 0 ? x : make_float4(x.z, x.w, x.x, x.y);
    }
};

/**
 * Walks this warp's steps and leaves its result in shared memory. Where queries were not settled, it waits for the previous kernel
 * and stages them.
 */
template <class X, int D, int TILES, int WARPS, Listed LISTED>
__device__ void attendWarp(const AttendArgs& args, AttendShared<D, WARPS>& shared, const float* q, int heads, int list,
                           int kvHead, int first, int last, int begin, int end, int skipped = 0) {
    AttendWalk<X, D, TILES, LISTED> warp(args, list, kvHead, first, last, skipped);
    const int w = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);   // tells the compiler that it is uniform
    if (args.settled > 0 && (begin + w + 1) * warp.TOKENS > last - args.settled) {
        waitForPreviousKernel();
    }
    warp.start(begin + w, end, WARPS);
    if (args.settled > 0) {
        waitForPreviousKernel();
        warp.stageQuery(shared.query, q, heads, args.scale * 1.4426950408889634f, w, WARPS);
    }
    __syncthreads();
    warp.walk(shared.query, begin + w, end, WARPS);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const int head = 2 * warp.t + h;
        if (head < heads) {
            if (warp.g == 0) {
                shared.weights[w][head] = make_float2(warp.maximum[h], warp.weight[h]);
            }
#pragma unroll
            for (int i = 0; i < D / 16; i++) {
                shared.sum(w, head, warp.dimension(i, false, warp.g)) = warp.out[i][h] * (1.f / warp.P_FACTOR);
                shared.sum(w, head, warp.dimension(i, true, warp.g)) = warp.out[i][h + 2] * (1.f / warp.P_FACTOR);
            }
        }
    }
}

/**
 * The last CTA's merge of all parts. A thread takes four dimensions of a head (a column), and where there are fewer columns than
 * threads, a slice of the parts of a column; the loads of several parts are in flight at a time.
 */
template <int D, int WARPS>
__device__ void attendMerge(const float* partials, int parts, int heads, half* out, float* logSums,
                            AttendShared<D, WARPS>& shared) {
    constexpr int THREADS = 32 * WARPS, AHEAD = 16;
    const int columns = heads * (D / 4);
    const int slices = max(1, THREADS / columns);
    SoftmaxSum* const states = reinterpret_cast<SoftmaxSum*>(&shared.sums);
    static_assert(sizeof(SoftmaxSum) * (THREADS > 2 * D ? THREADS : 2 * D) <= sizeof(shared.sums), "states fit");
    for (int item = threadIdx.x; item < columns * slices; item += THREADS) {
        const int head = item % columns / (D / 4), d = item % columns % (D / 4) * 4;
        SoftmaxSum state;
        for (int part = item / columns; part < parts; part += AHEAD * slices) {
            float2 weights[AHEAD];
            float4 sums[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                weights[i] = make_float2(ATTEND_NO_SCORE, 0.f);
                sums[i] = make_float4(0.f, 0.f, 0.f, 0.f);
                if (part + i * slices < parts) {
                    const float* from = partials + static_cast<size_t>(part + i * slices) * attendPartialFloats(D);
                    weights[i] = __ldcg(reinterpret_cast<const float2*>(from + 8 * D) + head);
                    sums[i] = __ldcg(reinterpret_cast<const float4*>(from + head * D + d));
                }
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                state.add(weights[i].x, weights[i].y, sums[i]);
            }
        }
        states[item] = state;
    }
    __syncthreads();
    for (int column = threadIdx.x; column < columns; column += THREADS) {
        SoftmaxSum state = states[column];
        for (int slice = 1; slice < slices; slice++) {
            const SoftmaxSum& other = states[slice * columns + column];
            state.add(other.maximum, other.weight, other.sum);
        }
        state.finish(out + column * 4);
        if (logSums != nullptr && column % (D / 4) == 0) {
            logSums[column / (D / 4)] = state.logSum();
        }
    }
}

/** Counts the tokens of a list, and their pages: the pages follow each other. */
template <int THREADS>
__device__ void tallyTokens(const AttendArgs& args, unsigned* to, int list, int count) {
    const int* tokens = args.tokens + static_cast<size_t>(list) * args.tokenStride;
    unsigned pages = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        pages += i == 0 || tokens[i] / args.pageSize != tokens[i - 1] / args.pageSize;
    }
    if (pages > 0) {
        atomicAdd(to + 1, pages);
    }
    if (threadIdx.x == 0) {
        atomicAdd(to, count);
    }
}

/** Counts what a list lets attention read. */
template <int THREADS, bool MASKED>
__device__ void tally(const AttendArgs& args, unsigned* to, int list, int first, int last) {
    const int firstEntry = first / args.pageSize, end = (last + args.pageSize - 1) / args.pageSize;
    if (!MASKED || args.masks == nullptr) {
        if (threadIdx.x == 0 && last > first) {
            atomicAdd(to, last - first);
            atomicAdd(to + 1, end - firstEntry);
        }
        return;
    }
    const uint64_t* masks = args.masks + pageRow(args, list) * args.pageStride;
    const uint64_t whole = ~uint64_t{0} >> (64 - args.pageSize);
    unsigned tokens = 0, pages = 0;
    for (int e = firstEntry + threadIdx.x; e < end; e += THREADS) {
        const int slot = e * args.pageSize;
        uint64_t visible = masks[e] & whole;
        if (slot < first) {
            visible &= ~uint64_t{0} << (first - slot);
        }
        if (slot + args.pageSize > last) {
            visible &= ~uint64_t{0} >> (64 - (last - slot));
        }
        tokens += __popcll(visible);
        pages += visible != 0;
    }
    if (tokens > 0) {
        atomicAdd(to, tokens);
        atomicAdd(to + 1, pages);
    }
}

/** Counts a list of two ranges of slots, which may share a page. */
template <int THREADS, bool MASKED>
__device__ void tally(const AttendArgs& args, unsigned* to, int list, int first, int last, const Gap& gap) {
    tally<THREADS, MASKED>(args, to, list, first, last);
    if (gap.sinkLast > gap.sinkFirst) {
        tally<THREADS, MASKED>(args, to, list, gap.sinkFirst, gap.sinkLast);
        if (threadIdx.x == 0 && (gap.sinkLast - 1) / args.pageSize == first / args.pageSize) {
            atomicSub(to + 1, 1);
        }
    }
}

/** LISTED: up to which kind lists may be. */
template <class X, int D, int TILES, int WARPS, Listed LISTED>
__device__ void attend(const AttendArgs& args) {
    __shared__ AttendShared<D, WARPS> shared;
    constexpr int THREADS = 32 * WARPS, TOKENS = 16 * TILES;
    const int part = blockIdx.x, entry = blockIdx.z, result = entry * gridDim.y + blockIdx.y;
    const int tiles = (args.group + 7) / 8, kvHead = blockIdx.y / tiles, firstHead = blockIdx.y % tiles * 8;
    const int heads = min(8, args.group - firstHead);
    const int list = args.pagesPerHead ? entry * args.kvHeads + kvHead : entry;
    const int row = args.rowIndex == nullptr ? entry : args.rowIndex[entry];
    const Gap gap = args.gaps == nullptr ? Gap{0, 0, 0} : args.gaps[entry];
    const int sinkParts = gap.sinkLast > gap.sinkFirst ? 1 : 0;   // the first part
    const size_t column = static_cast<size_t>(kvHead * args.group + firstHead) * D;
    const float* q = (part < sinkParts ? args.closedUpQ : args.q) + static_cast<size_t>(row) * args.qStride + column;
    if (args.settled == 0) {   // queries are: the kernel before made the list
        const float scale = args.scale * 1.4426950408889634f;
        AttendWalk<X, D, TILES, Listed::PAGES>::stageQuery(shared.query, q, heads, scale, threadIdx.x / 32, WARPS);
        waitForPreviousKernel();
    } else {
        letNextKernelStart();
    }
    constexpr bool BY_TOKEN = LISTED >= Listed::TOKENS, MASKED = LISTED == Listed::MASKED_PAGES;
    const int tokens = !BY_TOKEN || args.tokens == nullptr ? -1 : args.tokenCounts[list];
    int first = args.first == nullptr ? 0 : args.first[list];
    int last = args.counts[list] * args.pageSize;
    last = args.last == nullptr ? last : min(last, args.last[list]);
    first = max(first, gap.windowFirst);
    if (BY_TOKEN && tokens >= 0) {
        first = 0;
        last = tokens;
    }

    if (args.tally != nullptr && part == 0 && firstHead == 0) {
        if (BY_TOKEN && tokens >= 0) {
            tallyTokens<THREADS>(args, args.tally + 2 * entry, list, tokens);
        } else {
            tally<THREADS, MASKED>(args, args.tally + 2 * entry, list, first, last, gap);
        }
    }
    // Steps count from the first page that is seen, so that a list that begins with it gives the same bits.
    int skipped = first / args.pageSize;
    first -= skipped * args.pageSize;
    last -= skipped * args.pageSize;
    int firstStep = first / TOKENS, steps = max(0, (last + TOKENS - 1) / TOKENS - firstStep);
    const int parts = sinkParts
            + max(1, min(min(args.splits, static_cast<int>(gridDim.x)) - sinkParts,
                         (steps * TOKENS + args.partTokens - 1) / args.partTokens));
    if (part >= parts) {
        waitForPreviousKernel();
        return;
    }
    int index = part - sinkParts, count = parts - sinkParts;
    if (index < 0) {
        skipped = 0;
        first = gap.sinkFirst;
        last = gap.sinkLast;
        firstStep = first / TOKENS;
        steps = (last + TOKENS - 1) / TOKENS - firstStep;
        index = 0;
        count = 1;
    }
    const int begin = firstStep + static_cast<int>(static_cast<int64_t>(steps) * index / count);
    const int end = firstStep + static_cast<int>(static_cast<int64_t>(steps) * (index + 1) / count);

    float* logSums = args.logSums == nullptr ? nullptr
            : args.logSums + static_cast<size_t>(row) * args.kvHeads * args.group + kvHead * args.group + firstHead;
    half* out = args.out + static_cast<size_t>(row) * args.outStride + column;
    const auto walk = [&](auto kind) {
        // A kernel has no code for what does not occur.
        constexpr Listed KIND = decltype(kind)::value <= LISTED ? decltype(kind)::value : Listed::PAGES;
        attendWarp<X, D, TILES, WARPS, KIND>(args, shared, q, heads, list, kvHead, first, last, begin, end, skipped);
    };
    if (BY_TOKEN && tokens >= 0) {
        walk(std::integral_constant<Listed, Listed::TOKENS>());
    } else if (MASKED && (args.masks != nullptr || args.logWeights != nullptr)) {
        walk(std::integral_constant<Listed, Listed::MASKED_PAGES>());
    } else {
        walk(std::integral_constant<Listed, Listed::PAGES>());
    }
    __syncthreads();
    letNextKernelStart();

    float* partials = args.partials + static_cast<size_t>(result) * args.splits * attendPartialFloats(D);
    for (int item = threadIdx.x; item < heads * (D / 4); item += THREADS) {
        const int head = item / (D / 4), d = item % (D / 4) * 4;
        SoftmaxSum state;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            const float2 weights = shared.weights[w][head];
            state.add(weights.x, weights.y, shared.four(w, head, d));
        }
        if (parts == 1) {
            state.finish(out + item * 4);
            if (logSums != nullptr && d == 0) {
                logSums[head] = state.logSum();
            }
        } else {
            float* to = partials + part * attendPartialFloats(D);
            *reinterpret_cast<float4*>(to + head * D + d) = state.sum;
            if (d == 0) {
                reinterpret_cast<float2*>(to + 8 * D)[head] = make_float2(state.maximum, state.weight);
            }
        }
    }
    if (parts == 1 || !isLast(&args.tickets[result], parts, shared.ticket)) {
        return;
    }
    attendMerge(partials, parts, heads, out, logSums, shared);
}

// ---- kernels ----

template <class X>
constexpr int ATTEND_TILES = 2 / X::BYTES;

constexpr int ATTEND_WARPS = 6, ATTEND_THREADS = 32 * ATTEND_WARPS, ATTEND_CTAS = 2;

/** How the kernels walk plain pages. */
template <class X, int D>
using PageWalk = AttendWalk<X, D, ATTEND_TILES<X>, Listed::PAGES>;

#define SKIM_ATTEND(name, X, D, LISTED)                                                 \
    extern "C" __global__ void __launch_bounds__(ATTEND_THREADS, ATTEND_CTAS)           \
    attend_##name##_##D(const __grid_constant__ AttendArgs args) {                      \
        attend<X, D, ATTEND_TILES<X>, ATTEND_WARPS, Listed::LISTED>(args);              \
    }
#define SKIM_ATTEND_SIZES(name, X, LISTED) \
    SKIM_ATTEND(name, X, 64, LISTED)       \
    SKIM_ATTEND(name, X, 80, LISTED)       \
    SKIM_ATTEND(name, X, 96, LISTED)       \
    SKIM_ATTEND(name, X, 128, LISTED)
#define SKIM_ATTEND_ALL(name, X)                            \
    SKIM_ATTEND_SIZES(name, X, PAGES)                       \
    SKIM_ATTEND_SIZES(tokens_##name, X, TOKENS)             \
    SKIM_ATTEND_SIZES(masked_##name, X, MASKED_PAGES)

SKIM_ATTEND_ALL(bf16, KvBf16)
SKIM_ATTEND_ALL(f16, KvF16)
SKIM_ATTEND_ALL(fp8, KvFp8)
SKIM_ATTEND_ALL(int8, KvInt8)

#undef SKIM_ATTEND_ALL
#undef SKIM_ATTEND_SIZES
#undef SKIM_ATTEND

}  // namespace skim::decode
