/*
 * Data of whole cache pages that selection reads in place of their keys:
 *   fill_<DATA>_<KV>_<D>    DATA in {bounds, moments, bounds8, moments8, sketch, int4}, KV in {bf16, f16, fp8, int8}, D in {64,
 *                           80, 96, 128}
 *   sketch_mean_<KV>_<D>    the means that sketches are relative to; before fill_sketch
 * The numbers are those of the CPU's PageStatistics, KeySketches and QuantizedKeys.
 *
 * A layer's data of a kind: block (page, KV head) begins at base + (page * kvHeads + kvHead) * bytes. Statistics (bounds to
 * moments8) are of 16 tokens: those of a larger page lie where they would if it were several pages.
 *   bounds   a word for each dimension: the greatest (lower half) and least value (upper half) as bf16, rounded so that they
 *            stay bounds
 *   moments  a word for each dimension: mean and variance as bf16
 *   bounds8, moments8
 *            the same as e4m3 times a power of two that a block's numbers share (means and variances have one each). Dimensions
 *            8 i ... 8 i + 7 are 16 bytes, the greatest values (means) of all, then the least (variances): two words of 4
 *            dimensions that A of score_* takes as they are, and two more. Of D = 80 the last 16 dimensions are 8 bytes for 4 each.
 *            16 tokens have these bytes of all KV heads, so that they are aligned to more than 16, then 16 bytes for each head: the two
 *            scales as float, 0, 0
 *   sketch   one bit a dimension: the sign of R(k - mean), R the fixed rotation below; and for each token a factor as bf16,
 *            |k - mean|^2 / sum |R(k - mean)|. The signs are stored as mma.m16n8k32 of score_sketch takes them: dimensions 4 i
 *            ... 4 i + 3 are nibble unit u = i % UNITS of part t = i / UNITS, where UNITS = dimensions rounded up to 32, over
 *            16. Part t of 16 tokens is a stream of words, unit u of token n being unit n * UNITS + u of it: the bits (s, s +
 *            8, s + 16, s + 24) of word (n * UNITS + u) / 8, s = (n * UNITS + u) % 8. Words 4 j ... 4 j + 3 of the parts 0 ...
 *            3 make 64 bytes, those of j = 0 ... UNITS / 2 - 1 a group of 16 tokens, the groups a page. The factors follow.
 *   int4     see selection.cuh
 *
 * Work list: (row of the page tables, page of that row), in device memory. All layers at once: only pages that are whole by the
 * end of a step need data, so fills go before the next step's graph, on steps that have any. A warp makes a block; grid = (any,
 * layers), block = 32 * FILL_WARPS. Lane l has the dimensions 4 l ... 4 l + 3.
 */
#pragma once

#include "cache.cuh"
#include "selection.cuh"

#include <type_traits>

namespace skim::sparse {

constexpr int FILL_WARPS = 4;

struct FillArgs {
    const int2* work;           // x: row of pageTables, y: page of the row; sketch: rows that are long enough for a mean
    const int* workCount;
    const int* pageTables;      // [row][tableStride]
    int tableStride;
    int pageSize;
    int kvHeads;
    const uint8_t* cache;       // of the first layer
    size_t cacheLayerBytes;
    uint8_t* data;              // of the first layer
    size_t dataLayerBytes;
    const int* labels;          // int4: [layer][kvHead][channels] dimension of a label channel, -1: none; nullable: all are
    int channels;               // int4: stored ones, a multiple of 16; D without labels
    float* means;               // sketch: [layer][slot][kvHead][D]
    const int2* meansOf;        // sketch: [row] x: slot of its mean, which sequences that share their first page share; y: how many
                                // pages from the first on it is taken of, when that page is filled
    int slots;
};

// ---- layout ----

constexpr int STATISTICS_TOKENS = 16;

__host__ __device__ constexpr int statisticsBytes(int dimensions) { return 4 * dimensions; }

__host__ __device__ constexpr int statistics8Bytes(int dimensions) { return 2 * dimensions + 16; }

/** Where among a KV head's bytes the first or second (which 0, 1) number of a dimension is. */
__host__ __device__ constexpr int statistic8(int dimensions, int dimension, int which) {
    const int whole = dimensions / 32 * 32, rest = dimension - whole;
    return rest < 0 ? dimension / 8 * 16 + 8 * which + dimension % 8 : 2 * whole + rest / 4 * 8 + 4 * which + rest % 4;
}

/** Where a KV head's bytes and its scales begin, from those of all KV heads on. */
__host__ __device__ constexpr int statistics8Offset(int dimensions, int kvHead) { return 2 * dimensions * kvHead; }

__host__ __device__ constexpr int statistics8ScaleOffset(int dimensions, int kvHeads, int kvHead) {
    return 2 * dimensions * kvHeads + 16 * kvHead;
}

/** Nibble units of a token in each of four parts. */
__host__ __device__ constexpr int sketchUnits(int dimensions) { return (dimensions + 31) / 32 * 2; }

__host__ __device__ constexpr int sketchFactorOffset(int dimensions, int pageSize) {
    return pageSize * 2 * sketchUnits(dimensions);
}

__host__ __device__ constexpr int sketchBytes(int dimensions, int pageSize) {
    return sketchFactorOffset(dimensions, pageSize) + 2 * pageSize;
}

// ---- the rotation ----

/** Sign i of the rotation: the bits of Java's SplittableRandom(0x5EED). */
__host__ __device__ constexpr bool isNegative(int i) {
    uint64_t z = 0x5EEDull + static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 33) * 0x62a9d9ed799705f5ull;
    z = (z ^ z >> 28) * 0xcb24d0a5c88c35b3ull;
    return z >> 63 == 0;
}

/** Largest power of two that is not above n. */
__device__ constexpr int highestPower(int n) {
    int power = 1;
    while (2 * power <= n) {
        power *= 2;
    }
    return power;
}

/**
 * Random signs and a Hadamard transform, twice. A size that is no power of two is cut into blocks that are, the second time from
 * the other end. The same operations in the same order as the CPU's Rotation.
 */
template <int D>
struct Rotation {
    /** Signs of both rounds, made by the compiler: a bit a dimension. */
    struct Signs {
        uint32_t words[2][(D + 31) / 32];

        __host__ __device__ constexpr Signs() : words() {
            for (int i = 0; i < 2 * D; i++) {
                words[i / D][i % D / 32] |= (isNegative(i) ? 1u : 0u) << i % D % 32;
            }
        }
    };
    static constexpr int LARGE = highestPower(D);   // D is one or two powers of two
    uint32_t negative = 0;   // bit 4 r + i: dimension i of this lane changes its sign in round r
    int lane;

    __device__ Rotation() : lane(threadIdx.x % 32) {
        constexpr Signs signs;
#pragma unroll
        for (int round = 0; round < 2; round++) {
            uint32_t word = 0;
#pragma unroll
            for (int i = 0; i < (D + 31) / 32; i++) {
                word |= signs.words[round][i] & (lane / 8 == i ? 0xffffffffu : 0u);
            }
            negative |= (word >> 4 * (lane % 8) & 15) << 4 * round;
        }
    }

    __device__ void apply(float (&x)[4]) const {
        constexpr int SMALL = D - LARGE;
        static_assert(SMALL == 0 || highestPower(SMALL) == SMALL, "two blocks at most");
        sign(x, 0);
        transform(x, 4 * lane < LARGE ? 0 : LARGE / 4, 4 * lane < LARGE ? LARGE : SMALL);
        sign(x, 1);
        transform(x, 4 * lane < SMALL ? 0 : SMALL / 4, 4 * lane < SMALL ? SMALL : LARGE);
    }

private:
    __device__ void sign(float (&x)[4], int round) const {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[i] = __uint_as_float(__float_as_uint(x[i]) ^ (negative >> (4 * round + i) << 31));
        }
    }

    /** Of the block of `size` dimensions that begins with those of lane `first`. */
    __device__ void transform(float (&x)[4], int first, int size) const {
        const float a = x[0] + x[1], b = x[0] - x[1], c = x[2] + x[3], d = x[2] - x[3];
        x[0] = a + c;
        x[1] = b + d;
        x[2] = a - c;
        x[3] = b - d;
        const int place = lane - first;
#pragma unroll
        for (int distance = 1; distance < D / 4; distance *= 2) {
            const float sign = place & distance ? -1.f : 1.f;
            if constexpr (LARGE == D) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    x[i] = __fmaf_rn(x[i], sign, __shfl_xor_sync(0xffffffffu, x[i], distance));
                }
            } else {
                const bool active = 4 * distance < size;
                const int partner = active ? first + (place ^ distance) : lane;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float other = __shfl_sync(0xffffffffu, x[i], partner & 31);
                    x[i] = active ? __fmaf_rn(x[i], sign, other) : x[i];
                }
            }
        }
        const float scale = size == 128 ? 0.08838834764831845f : size == 64 ? 0.125f : size == 32 ? 0.17677669529663687f : 0.25f;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[i] = __fmul_rn(x[i], scale);
        }
    }
};

// ---- numbers ----

/** The greatest bf16 that is not above x. */
__device__ inline uint32_t floorToBf16(float x) {
    const uint32_t bits = __float_as_uint(x), half = bits >> 16;
    return x < 0.f && (bits & 0xffff) != 0 ? half + 1 : half;
}

__device__ inline uint32_t ceilToBf16(float x) { return floorToBf16(-x) ^ 0x8000; }

__device__ inline uint32_t roundToBf16(float x) { return __bfloat16_as_ushort(__float2bfloat16_rn(x)); }

__device__ inline float bf16ToFloat(uint32_t half) { return __uint_as_float(half << 16); }

/** e4m3 as the CPU's Float8 has it. */
namespace float8 {

constexpr uint32_t GREATEST = 0x7e, BIAS = (127 - 7) << 3;

/** The least power of two, but no less than 2^-100, by which `greatest`, not negative, makes 448 or less. */
__device__ inline float scale(float greatest) {
    const int exponent = static_cast<int>((__float_as_uint(greatest) + 0x1fffff) >> 23) - 8;
    return __uint_as_float(static_cast<uint32_t>(max(27, exponent)) << 23);
}

/** 1 / scale */
__device__ inline float reciprocal(float scale) { return __uint_as_float((254u << 23) - __float_as_uint(scale)); }

__device__ inline uint32_t withSign(float x, uint32_t code) { return (x < 0.f ? 0x80u : 0u) | min(GREATEST, code); }

__device__ inline uint32_t round(float x) {
    const uint32_t bits = __float_as_uint(fabsf(x));
    return withSign(x, fabsf(x) < 0x1p-6f ? __float2uint_rn(fabsf(x) * 512.f)
                                          : ((bits + 0x7ffff + (bits >> 20 & 1)) >> 20) - BIAS);
}

__device__ inline uint32_t away(float x) {
    return withSign(x, fabsf(x) < 0x1p-6f ? __float2uint_ru(fabsf(x) * 512.f)
                                          : ((__float_as_uint(fabsf(x)) + 0xfffff) >> 20) - BIAS);
}

__device__ inline uint32_t towardsZero(float x) {
    return withSign(x, fabsf(x) < 0x1p-6f ? __float2uint_rz(fabsf(x) * 512.f) : (__float_as_uint(fabsf(x)) >> 20) - BIAS);
}

/** The least one that is not below x. */
__device__ inline uint32_t ceil(float x) { return x > 0.f ? away(x) : towardsZero(x); }

__device__ inline uint32_t floor(float x) { return x < 0.f ? away(x) : towardsZero(x); }

}  // namespace float8

/** To the nearest integer, ties upwards: Java's Math.round. */
__device__ inline int roundHalfUp(float x) {
    const float floor = floorf(x);
    return static_cast<int>(floor) + (x - floor >= 0.5f ? 1 : 0);
}

template <class T>
__device__ inline T warpTotal(T x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, distance);
    }
    return x;
}

/** The smallest over the warp. */
__device__ inline float warpLeast(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        x = fminf(x, __shfl_xor_sync(0xffffffffu, x, distance));
    }
    return x;
}

/** A packed pair of the type that X is computed with. */
template <class X>
__device__ inline float2 widenPair(uint32_t pair) {
    if constexpr (std::is_same<X, KvBf16>::value) {
        return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
    } else {
        return __half22float2(*reinterpret_cast<const __half2*>(&pair));
    }
}

// ---- one warp's block ----

template <class X, int D>
struct PageKeys {
    const uint8_t* block;
    int pageSize;
    int lane;

    __device__ bool hasLane() const { return 4 * lane < D; }

    /** Dimensions `dimension` ... + 3 of a token's key, in lanes that have any. */
    __device__ float4 at(int token, int dimension) const {
        using Raw = typename std::conditional<X::BYTES == 2, uint2, uint32_t>::type;
        const Raw raw = *reinterpret_cast<const Raw*>(block + kvRowOffset(D * X::BYTES, token, dimension * X::BYTES));
        const uint2 pairs = X::widen(raw);
        const float2 a = widenPair<X>(pairs.x), b = widenPair<X>(pairs.y);
        const float s = scale(token);
        if constexpr (X::SCALED) {   // products of their own: an fma with what follows would be other numbers than the CPU's
            return make_float4(__fmul_rn(a.x, s), __fmul_rn(a.y, s), __fmul_rn(b.x, s), __fmul_rn(b.y, s));
        }
        return make_float4(a.x, a.y, b.x, b.y);
    }

    __device__ float one(int token, int dimension) const {
        const float4 four = at(token, dimension / 4 * 4);
        return dimension % 4 < 2 ? dimension % 2 ? four.y : four.x : dimension % 2 ? four.w : four.z;
    }

    __device__ float scale(int token) const {
        return X::SCALED ? reinterpret_cast<const float*>(block + kvScaleOffset<X>(D, pageSize))[token] : 1.f;
    }
};

/** What a warp fills. */
struct FillItem {
    int page;       // physical
    int index;      // of the page table's row
    int row;
    int kvHead;
    int layer;
};

template <class X, int D>
__device__ inline PageKeys<X, D> pageKeys(const FillArgs& args, const FillItem& item, int page) {
    const uint8_t* layer = args.cache + item.layer * args.cacheLayerBytes;
    const int bytes = kvBlockBytes<X>(D, args.pageSize);
    return {kvBlock(layer, page, args.kvHeads, item.kvHead, bytes), args.pageSize, static_cast<int>(threadIdx.x % 32)};
}

/** Calls fill(item) for each warp's share of the work. */
template <class Fill>
__device__ void forEachBlock(const FillArgs& args, Fill fill) {
    waitForPreviousKernel();
    letNextKernelStart();
    const int blocks = *args.workCount * args.kvHeads;
    for (int i = blockIdx.x * FILL_WARPS + threadIdx.x / 32; i < blocks; i += gridDim.x * FILL_WARPS) {
        const int2 work = args.work[i / args.kvHeads];
        const int page = args.pageTables[static_cast<size_t>(work.x) * args.tableStride + work.y];
        fill(FillItem{page, work.y, work.x, i % args.kvHeads, static_cast<int>(blockIdx.y)});
    }
}

__device__ inline uint8_t* dataBlock(const FillArgs& args, const FillItem& item, int bytes) {
    return kvBlock(args.data + item.layer * args.dataLayerBytes, item.page, args.kvHeads, item.kvHead, bytes);
}

/** What statistics are of: keys of a page from `first` on. Its page is the one that dataBlock() takes. */
struct StatisticsItem {
    FillItem item;
    int first;

    __device__ StatisticsItem(const FillArgs& args, const FillItem& of, int part) : item(of), first(part * STATISTICS_TOKENS) {
        item.page = of.page * (args.pageSize / STATISTICS_TOKENS) + part;
    }
};

/** The four dimensions of a lane. */
struct Bounds {
    static constexpr bool OUTWARD = true;

    template <class X, int D>
    static __device__ void gather(const PageKeys<X, D>& keys, int first, float (&greatest)[4], float (&least)[4]) {
        float4 most = keys.at(first, 4 * keys.lane), low = most;
#pragma unroll 8
        for (int token = 1; token < STATISTICS_TOKENS; token++) {
            const float4 key = keys.at(first + token, 4 * keys.lane);
            most = make_float4(fmaxf(most.x, key.x), fmaxf(most.y, key.y), fmaxf(most.z, key.z), fmaxf(most.w, key.w));
            low = make_float4(fminf(low.x, key.x), fminf(low.y, key.y), fminf(low.z, key.z), fminf(low.w, key.w));
        }
        greatest[0] = most.x, greatest[1] = most.y, greatest[2] = most.z, greatest[3] = most.w;
        least[0] = low.x, least[1] = low.y, least[2] = low.z, least[3] = low.w;
    }

    static __device__ uint32_t pair(float most, float least) { return ceilToBf16(most) | floorToBf16(least) << 16; }
};

struct Moments {
    static constexpr bool OUTWARD = false;

    template <class X, int D>
    static __device__ void gather(const PageKeys<X, D>& keys, int first, float (&means)[4], float (&variances)[4]) {
        double sum[4] = {}, squares[4] = {};
#pragma unroll 4
        for (int token = 0; token < STATISTICS_TOKENS; token++) {
            const float4 key = keys.at(first + token, 4 * keys.lane);
            const float x[4] = {key.x, key.y, key.z, key.w};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                sum[i] += x[i];
                squares[i] += static_cast<double>(x[i]) * x[i];
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const double mean = sum[i] / STATISTICS_TOKENS;
            means[i] = static_cast<float>(mean);
            variances[i] = static_cast<float>(fmax(0., squares[i] / STATISTICS_TOKENS - mean * mean));
        }
    }

    static __device__ uint32_t pair(float mean, float variance) { return roundToBf16(mean) | roundToBf16(variance) << 16; }
};

/** Bounds or moments as bf16. */
template <class Statistics>
struct Pairs {
    template <class X, int D>
    static __device__ void fill(const FillArgs& args, const FillItem& item) {
        const PageKeys<X, D> keys = pageKeys<X, D>(args, item, item.page);
        if (!keys.hasLane()) {
            return;
        }
        for (int part = 0; part < args.pageSize / STATISTICS_TOKENS; part++) {
            const StatisticsItem of(args, item, part);
            float a[4], b[4];
            Statistics::gather(keys, of.first, a, b);
            reinterpret_cast<uint4*>(dataBlock(args, of.item, statisticsBytes(D)))[keys.lane] =
                    make_uint4(Statistics::pair(a[0], b[0]), Statistics::pair(a[1], b[1]), Statistics::pair(a[2], b[2]),
                            Statistics::pair(a[3], b[3]));
        }
    }
};

/** Bounds or moments as e4m3. */
template <class Statistics>
struct Pairs8 {
    template <class X, int D>
    static __device__ void fill(const FillArgs& args, const FillItem& item) {
        const PageKeys<X, D> keys = pageKeys<X, D>(args, item, item.page);
        for (int part = 0; part < args.pageSize / STATISTICS_TOKENS; part++) {
            fillPart(args, StatisticsItem(args, item, part), keys);
        }
    }

    template <class X, int D>
    static __device__ void fillPart(const FillArgs& args, const StatisticsItem& of, const PageKeys<X, D>& keys) {
        float a[4] = {}, b[4] = {};
        if (keys.hasLane()) {
            Statistics::gather(keys, of.first, a, b);
        }
        float most = greatest(a), mostOther = greatest(b);
        if (Statistics::OUTWARD) {
            most = mostOther = fmaxf(most, mostOther);
        }
        const float scale = float8::scale(most), otherScale = float8::scale(mostOther);
        const float factor = float8::reciprocal(scale), otherFactor = float8::reciprocal(otherScale);
        uint32_t words[2] = {};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float x = a[i] * factor, y = b[i] * otherFactor;
            words[0] |= (Statistics::OUTWARD ? float8::ceil(x) : float8::round(x)) << 8 * i;
            words[1] |= (Statistics::OUTWARD ? float8::floor(y) : float8::round(y)) << 8 * i;
        }
        FillItem all = of.item;
        all.kvHead = 0;
        uint8_t* const heads = dataBlock(args, all, statistics8Bytes(D));
        if (keys.hasLane()) {
            uint8_t* const numbers = heads + statistics8Offset(D, of.item.kvHead);
            *reinterpret_cast<uint32_t*>(numbers + statistic8(D, 4 * keys.lane, 0)) = words[0];
            *reinterpret_cast<uint32_t*>(numbers + statistic8(D, 4 * keys.lane, 1)) = words[1];
        }
        if (keys.lane == 0) {
            *reinterpret_cast<float4*>(heads + statistics8ScaleOffset(D, args.kvHeads, of.item.kvHead)) =
                    make_float4(scale, otherScale, 0.f, 0.f);
        }
    }

    /** Magnitude of all lanes' numbers. */
    static __device__ float greatest(const float (&x)[4]) {
        const float most = fmaxf(fmaxf(fabsf(x[0]), fabsf(x[1])), fmaxf(fabsf(x[2]), fabsf(x[3])));
        return __uint_as_float(__reduce_max_sync(0xffffffffu, __float_as_uint(most)));
    }
};

struct Int4 {
    template <class X, int D>
    static __device__ void fill(const FillArgs& args, const FillItem& item) {
        const PageKeys<X, D> keys = pageKeys<X, D>(args, item, item.page);
        const int channels = args.channels, lane = keys.lane;
        uint8_t* const block = dataBlock(args, item, int4BlockBytes(channels, args.pageSize));
        int dimensions[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int channel = 4 * lane + i;
            dimensions[i] = channel >= channels ? -1 : args.labels == nullptr ? channel
                    : args.labels[(item.layer * args.kvHeads + item.kvHead) * channels + channel];
        }
        for (int token = 0; token < args.pageSize; token++) {
            float key[4] = {}, least = INFINITY, most = -INFINITY;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (dimensions[i] >= 0) {
                    key[i] = keys.one(token, dimensions[i]);
                    least = fminf(least, key[i]);
                    most = fmaxf(most, key[i]);
                }
            }
            least = warpLeast(least);
            most = -warpLeast(-most);
            // Levels are relative to scale and minimum as they are stored, which are rounded so that they span all keys.
            const uint32_t storedLeast = floorToBf16(least);
            least = bf16ToFloat(storedLeast);
            const uint32_t storedScale = ceilToBf16(__fdiv_rn(fmaxf(__fsub_rn(most, least), 1e-9f), 15.f));
            const float scale = bf16ToFloat(storedScale);
            uint32_t levels = 0;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (dimensions[i] >= 0) {
                    const int level = roundHalfUp(__fdiv_rn(__fsub_rn(key[i], least), scale));
                    levels |= static_cast<uint32_t>(max(0, min(15, level))) << 4 * i;
                }
            }
            if (4 * lane < channels) {
                reinterpret_cast<uint16_t*>(block + token * channels / 2)[lane] = static_cast<uint16_t>(levels);
            }
            if (lane == 0) {
                reinterpret_cast<uint32_t*>(block + int4PairOffset(channels, args.pageSize))[token] =
                        storedScale | storedLeast << 16;
            }
        }
    }
};

__device__ inline float* sketchMean(const FillArgs& args, const FillItem& item, int dimensions) {
    const size_t slot = static_cast<size_t>(item.layer) * args.slots + args.meansOf[item.row].x;
    return args.means + (slot * args.kvHeads + item.kvHead) * dimensions;
}

/** The mean of a sequence's first keys, made along with its first page. */
struct SketchMean {
    template <class X, int D>
    static __device__ void fill(const FillArgs& args, const FillItem& item) {
        const int lane = threadIdx.x % 32;
        if (item.index != 0 || 4 * lane >= D) {
            return;
        }
        const int* pages = args.pageTables + static_cast<size_t>(item.row) * args.tableStride;
        const int count = args.meansOf[item.row].y;
        float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
        for (int p = 0; p < count; p++) {
            const PageKeys<X, D> keys = pageKeys<X, D>(args, item, pages[p]);
#pragma unroll 8
            for (int token = 0; token < args.pageSize; token++) {
                const float4 key = keys.at(token, 4 * lane);
                sum = make_float4(sum.x + key.x, sum.y + key.y, sum.z + key.z, sum.w + key.w);
            }
        }
        const float tokens = static_cast<float>(count * args.pageSize);
        reinterpret_cast<float4*>(sketchMean(args, item, D))[lane] = make_float4(
                __fdiv_rn(sum.x, tokens), __fdiv_rn(sum.y, tokens), __fdiv_rn(sum.z, tokens), __fdiv_rn(sum.w, tokens));
    }
};

struct Sketch {
    template <class X, int D>
    static __device__ void fill(const FillArgs& args, const FillItem& item) {
        constexpr int UNITS = sketchUnits(D), WORDS = 8 * UNITS;   // words of 16 tokens
        __shared__ uint32_t shared[FILL_WARPS][WORDS];
        uint32_t* const words = shared[threadIdx.x / 32];
        const PageKeys<X, D> keys = pageKeys<X, D>(args, item, item.page);
        const Rotation<D> rotation;
        const int lane = keys.lane, part = lane / UNITS, unit = lane % UNITS;
        float4 mean = make_float4(0.f, 0.f, 0.f, 0.f);
        if (keys.hasLane()) {
            mean = reinterpret_cast<const float4*>(sketchMean(args, item, D))[lane];
        }
        uint8_t* const block = dataBlock(args, item, sketchBytes(D, args.pageSize));
        uint16_t* const factors = reinterpret_cast<uint16_t*>(block + sketchFactorOffset(D, args.pageSize));
        for (int group = 0; group < args.pageSize / 16; group++) {
            __syncwarp();
            for (int i = lane; i < WORDS; i += 32) {
                words[i] = 0;
            }
            __syncwarp();
            for (int n = 0; n < 16; n++) {
                float x[4] = {};
                double squares = 0., sum = 0.;
                if (keys.hasLane()) {
                    const float4 key = keys.at(16 * group + n, 4 * lane);
                    x[0] = __fsub_rn(key.x, mean.x);
                    x[1] = __fsub_rn(key.y, mean.y);
                    x[2] = __fsub_rn(key.z, mean.z);
                    x[3] = __fsub_rn(key.w, mean.w);
                }
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    squares += __fmul_rn(x[i], x[i]);
                }
                rotation.apply(x);
                if (keys.hasLane()) {
                    const int at = n * UNITS + unit;
                    uint32_t bits = 0;
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        sum += fabsf(x[i]);
                        bits |= (x[i] >= 0.f ? 1u : 0u) << (at % 8 + 8 * i);
                    }
                    const int word = at / 8;
                    atomicOr(&words[word / 4 * 16 + part * 4 + word % 4], bits);
                }
                squares = warpTotal(squares);
                sum = warpTotal(sum);
                if (lane == 0) {
                    const float factor = sum == 0. ? 0.f : static_cast<float>(squares / sum);
                    factors[16 * group + n] = static_cast<uint16_t>(roundToBf16(factor));
                }
            }
            __syncwarp();
            for (int i = lane; i < WORDS; i += 32) {
                reinterpret_cast<uint32_t*>(block)[group * WORDS + i] = words[i];
            }
        }
    }
};

// ---- kernels ----

#define SKIM_FILL(name, Data, kv, X, D)                                                                          \
    extern "C" __global__ void __launch_bounds__(32 * FILL_WARPS)                                                \
    name##_##kv##_##D(const __grid_constant__ FillArgs args) {                                                   \
        forEachBlock(args, [&](const FillItem& item) { Data::template fill<X, D>(args, item); });                \
    }
#define SKIM_FILL_SIZES(name, Data, kv, X) \
    SKIM_FILL(name, Data, kv, X, 64)       \
    SKIM_FILL(name, Data, kv, X, 80)       \
    SKIM_FILL(name, Data, kv, X, 96)       \
    SKIM_FILL(name, Data, kv, X, 128)
#define SKIM_FILL_ALL(name, Data)                \
    SKIM_FILL_SIZES(name, Data, bf16, KvBf16)    \
    SKIM_FILL_SIZES(name, Data, f16, KvF16)      \
    SKIM_FILL_SIZES(name, Data, fp8, KvFp8)      \
    SKIM_FILL_SIZES(name, Data, int8, KvInt8)

SKIM_FILL_ALL(fill_bounds, Pairs<Bounds>)
SKIM_FILL_ALL(fill_moments, Pairs<Moments>)
SKIM_FILL_ALL(fill_bounds8, Pairs8<Bounds>)
SKIM_FILL_ALL(fill_moments8, Pairs8<Moments>)
SKIM_FILL_ALL(fill_int4, Int4)
SKIM_FILL_ALL(fill_sketch, Sketch)
SKIM_FILL_ALL(sketch_mean, SketchMean)

#undef SKIM_FILL_ALL
#undef SKIM_FILL_SIZES
#undef SKIM_FILL

}  // namespace skim::sparse
