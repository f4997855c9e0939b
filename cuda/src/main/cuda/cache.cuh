/*
 * The paged KV cache: layout, storage types, conversions. Shared by append, decode attention and prefill attention.
 *
 * The cache of a layer is an array of blocks, one for each (page, KV head): block (page, head) begins at
 * base + (page * kvHeads + head) * blockBytes.
 *
 *   K, V        rows of D values, one a token, in groups of eight tokens: of each row its first 64 bytes, of each the next 64,
 *               ..., of each what is left (kvRowOffset). A load of a warp, 16 bytes a lane, so takes 512 bytes in one piece, and
 *               a single token can be read without the others
 *   int8 only   float kScale[pageSize], float vScale[pageSize]: a stored x stands for x * scale, the token's largest magnitude
 *               over 127
 *
 * pageSize is 16, 32 or 64, D is one of 64, 80, 96, 128: every row is a multiple of 16 bytes, and so is a block.
 *
 * A storage type X has
 *   BYTES, SCALED               bytes of a stored value; whether a block ends in scales
 *   X::widen(raw)               four stored values (uint2 or uint32_t) -> two packed pairs of the type that is computed with
 *   X::pack(lo, hi)             two floats -> a packed pair of the type that is computed with (bf16 for bf16, f16 for all others)
 *   X::mma(c, a, b0, b1)        c += A * B, mma.m16n8k16 of that type
 *   X::store(pointer, x)        a float -> one stored value (int8: x was divided by the scale before)
 */
#pragma once

#include "launch.cuh"

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

namespace skim {

// ---- layout ----

template <class X>
__host__ __device__ constexpr int kvBlockBytes(int dimensions, int pageSize) {
    return pageSize * (2 * dimensions * X::BYTES + (X::SCALED ? 8 : 0));
}

/** Where a byte of a token's row is in K and in V; bytes of 16 aligned ones stay together. */
__host__ __device__ constexpr int kvRowOffset(int rowBytes, int token, int byte) {
    const int piece = byte / 64, width = rowBytes - 64 * piece < 64 ? rowBytes - 64 * piece : 64;
    return token / 8 * 8 * rowBytes + piece * 512 + token % 8 * width + byte % 64;
}

/** Byte offset of V in a block. */
template <class X>
__host__ __device__ constexpr int kvValueOffset(int dimensions, int pageSize) {
    return pageSize * dimensions * X::BYTES;
}

/** Byte offset of kScale in a block; vScale follows pageSize floats later. */
template <class X>
__host__ __device__ constexpr int kvScaleOffset(int dimensions, int pageSize) {
    return 2 * pageSize * dimensions * X::BYTES;
}

template <class Byte>
__host__ __device__ inline Byte* kvBlock(Byte* base, int page, int kvHeads, int kvHead, int blockBytes) {
    return base + (static_cast<size_t>(page) * kvHeads + kvHead) * blockBytes;
}

// ---- tensor core products ----

__device__ inline void mmaF16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline void mmaBf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** lo in the low half, hi in the high half. */
__device__ inline uint32_t packF16(float lo, float hi) {
    uint32_t packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(hi), "f"(lo));
    return packed;
}

__device__ inline uint32_t packBf16(float lo, float hi) {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(hi), "f"(lo));
    return packed;
}

// ---- storage types ----

/** What f16, fp8 and int8 have in common: they are computed with in f16. */
struct ComputeF16 {
    static __device__ uint32_t pack(float lo, float hi) { return packF16(lo, hi); }
    static __device__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { mmaF16(c, a, b0, b1); }
};

struct KvBf16 {
    static constexpr int BYTES = 2;
    static constexpr bool SCALED = false;
    static __device__ uint32_t pack(float lo, float hi) { return packBf16(lo, hi); }
    static __device__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { mmaBf16(c, a, b0, b1); }
    static __device__ uint2 widen(uint2 raw) { return raw; }
    static __device__ void store(uint8_t* to, float x) { *reinterpret_cast<__nv_bfloat16*>(to) = __float2bfloat16_rn(x); }
};

struct KvF16 : ComputeF16 {
    static constexpr int BYTES = 2;
    static constexpr bool SCALED = false;
    static __device__ uint2 widen(uint2 raw) { return raw; }
    /** Saturates: an infinite key would turn every later token of the sequence into NaN. */
    static __device__ void store(uint8_t* to, float x) {
        *reinterpret_cast<__half*>(to) = __float2half_rn(x > 65504.f ? 65504.f : x < -65504.f ? -65504.f : x);
    }
};

struct KvFp8 : ComputeF16 {   // e4m3, saturating
    static constexpr int BYTES = 1;
    static constexpr bool SCALED = false;

    static __device__ uint2 widen(uint32_t raw) {
        uint2 pairs;
#if __CUDA_ARCH__ >= 890
        asm("{ .reg .b16 l, h; mov.b32 {l, h}, %2; cvt.rn.f16x2.e4m3x2 %0, l; cvt.rn.f16x2.e4m3x2 %1, h; }"
            : "=r"(pairs.x), "=r"(pairs.y) : "r"(raw));
#else
        // Sign, exponent and mantissa moved to their places in f16 are the value times 2^-8 (bias 7 against 15), denormals too.
        const uint32_t lower = __byte_perm(raw, 0, 0x1404);   // a byte to the top of each half
        const uint32_t upper = __byte_perm(raw, 0, 0x3424);
        const __half2 power = __float2half2_rn(256.f);
        pairs.x = (lower & 0x80008000u) | ((lower & 0x7f007f00u) >> 1);
        pairs.y = (upper & 0x80008000u) | ((upper & 0x7f007f00u) >> 1);
        *reinterpret_cast<__half2*>(&pairs.x) = __hmul2(*reinterpret_cast<__half2*>(&pairs.x), power);
        *reinterpret_cast<__half2*>(&pairs.y) = __hmul2(*reinterpret_cast<__half2*>(&pairs.y), power);
#endif
        return pairs;
    }

    static __device__ void store(uint8_t* to, float x) { *to = __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3); }
};

struct KvInt8 : ComputeF16 {   // signed; the value without its scale
    static constexpr int BYTES = 1;
    static constexpr bool SCALED = true;

    static __device__ uint2 widen(uint32_t raw) {
        // A byte u under 0x64 is the f16 number 1024 + u; with u = x + 128 the offset to take away is 1152.
        const uint32_t biased = raw ^ 0x80808080u;
        uint2 pairs = make_uint2(__byte_perm(biased, 0x64646464u, 0x4140), __byte_perm(biased, 0x64646464u, 0x4342));
        const __half2 offset = __float2half2_rn(1152.f);
        *reinterpret_cast<__half2*>(&pairs.x) = __hsub2(*reinterpret_cast<__half2*>(&pairs.x), offset);
        *reinterpret_cast<__half2*>(&pairs.y) = __hsub2(*reinterpret_cast<__half2*>(&pairs.y), offset);
        return pairs;
    }

    static __device__ void store(uint8_t* to, float x) {
        *reinterpret_cast<int8_t*>(to) = static_cast<int8_t>(max(-127, min(127, __float2int_rn(x))));
    }
};

}  // namespace skim
