/*
 * Products of packed weight matrices (weights.cuh) with 9 to 64 rows of activations by wgmma: sm_90a.
 *
 * linear_<TYPE>_<NT>_<SHAPE>, NT 2, 4 or 8: arguments, result and its bits are those of linear_<TYPE>_<NT> (linear.cuh). SHAPE is
 * w<W>[p<P>][c<C>], of which those left out are 1; Products.java says which is for what. The device variable
 * linear_<TYPE>_<NT>_<SHAPE>_shared holds the bytes of dynamic shared memory.
 *
 * Weights are operand A, in registers: a warpgroup takes four row tiles, each of its warps one, whose packed order is just what
 * wgmma wants of a warp. Each warp has a ring of STAGES slots in shared memory, which bulk copies of its own fill with scale
 * groups, over the ends of parts and tiles; no other warp reads there, so only the copies are waited for.
 *
 * Activations are operand B, in shared memory, shared by W warpgroups, a set of 64 W rows: a ring of X_STAGES groups, which warps
 * of their own fill. As the k of weights are permuted, those of activations must be: a step's 16 columns are in runs of 4, of
 * which 2 go to either half of k. So these warps take 16 bytes a lane and store words.
 *
 * Shares of k: the 8 parts of linear.cuh are spread over the C blocks of a cluster, and in a block over P columns of W
 * warpgroups, each with activations of its own. With C = 1 a warpgroup multiplies one part after the other and adds up in
 * registers. Otherwise it leaves the sums of each part in shared memory; when all have, each block adds up 1 / C of them.
 *
 * Grid: C = 1: any, blocks walk over the sets. Otherwise C times the number of sets.
 */
#pragma once

#include "hopper.cuh"
#include "linear.cuh"

namespace skim::linear {

/** The shape of a launch: see above. */
template <class T, int NT, int W, int P, int C, int STAGES, int X_STAGES>
struct WarpgroupShape {
    static constexpr int WARPGROUPS = W;
    static constexpr int COLUMNS = P;
    static constexpr int CLUSTER = C;
    static constexpr int SLOTS = STAGES;
    static constexpr int X_SLOTS = X_STAGES;
    static constexpr int CONSUMERS = 4 * W * P;  // warps
    static constexpr int PRODUCERS = P < 4 ? 4 : 8;
    static constexpr int THREADS = (CONSUMERS + PRODUCERS) * 32;
    static constexpr int SET_TILES = 4 * W;

    static constexpr int PARTS = WARPS;
    static constexpr int BLOCK_PARTS = PARTS / C;
    static constexpr int ROUNDS = BLOCK_PARTS / P;  // parts of a warpgroup
    static_assert(ROUNDS * C * P == PARTS && PRODUCERS % P == 0 && (P == 1 || C > 1));
    static_assert(X_STAGES > 1);  // one is freed while the next is multiplied

    static constexpr int GROUP_STEPS = GROUP_UNITS * T::STEPS;
    static constexpr int GROUP_COLUMNS = GROUP_UNITS * T::UNIT;
    static constexpr int GROUP_BYTES = GROUP_UNITS * UNIT_BYTES;
    static constexpr int SCALE_ROWS = T::PLANES * T::BLOCKS;
    static constexpr int SCALE_ROW_BYTES = T::SCALE_ROW * 4;
    static constexpr int SCALE_BYTES = SCALE_ROWS * SCALE_ROW_BYTES;
    static constexpr int SLOT_BYTES = GROUP_BYTES + SCALE_BYTES;
    static constexpr int RING_BYTES = CONSUMERS * STAGES * SLOT_BYTES;

    /** B of half a step: 8 of k for all columns; [column tile][8 columns][8 k] halves. */
    static constexpr int HALF_STEP_BYTES = NT * 128;
    static constexpr int STEP_BYTES = 2 * HALF_STEP_BYTES;
    static constexpr int X_BYTES = GROUP_STEPS * STEP_BYTES;
    static constexpr int X_RING_BYTES = P * X_STAGES * X_BYTES;

    /** Sums of a block: [part][tile][column tile][lane] float4. Those of the last round take the place of both rings. */
    static constexpr int FRAGMENTS = SET_TILES * NT;
    static constexpr int ROUND_SUM_BYTES = C > 1 ? P * FRAGMENTS * 512 : 0;
    static constexpr int KEPT_BYTES = (ROUNDS - 1) * ROUND_SUM_BYTES;
    /** What a warp adds up. */
    static constexpr int WARP_FRAGMENTS = (FRAGMENTS + CONSUMERS * C - 1) / (CONSUMERS * C);

    static constexpr int BARRIER_BYTES = (CONSUMERS * STAGES + 2 * P * X_STAGES) * 8;
    static constexpr int RINGS_BYTES = RING_BYTES + X_RING_BYTES;
    static constexpr int BARRIERS_AT = KEPT_BYTES + (RINGS_BYTES > ROUND_SUM_BYTES ? RINGS_BYTES : ROUND_SUM_BYTES);
    static constexpr int SHARED_BYTES = BARRIERS_AT + BARRIER_BYTES;

    /** Registers a thread: at the start, and after the producers gave some to the others. */
    static constexpr int REGISTERS = 65536 / THREADS / 8 * 8;
    static constexpr bool MOVES_REGISTERS = REGISTERS < 128;
    static constexpr int PRODUCER_REGISTERS = 64;
    static constexpr int CONSUMER_REGISTERS =
            (REGISTERS * THREADS - PRODUCER_REGISTERS * PRODUCERS * 32) / (CONSUMERS * 32) / 8 * 8;
};

template <class T, int W>
constexpr int KERNEL_STAGES = T::UNIT == 64 && W == 4 ? 2 : 3;

template <class T, int NT, int W, int P, int C>
constexpr int KERNEL_X_STAGES = T::UNIT == 16 ? 4 : T::UNIT == 64 && (W * C > 4 || NT * P > 8) ? 2 : 3;

/** Of linear_<TYPE>_<NT>_<SHAPE>. */
template <class T, int NT, int W, int P, int C>
using KernelShape = WarpgroupShape<T, NT, W, P, C, KERNEL_STAGES<T, W>, KERNEL_X_STAGES<T, NT, W, P, C>>;

#if SKIM_SM90A

// wgmma takes each accumulator as an operand of its own: these write out the lists.
#define SKIM_ACC_1(i) "+f"(acc[i][0]), "+f"(acc[i][1]), "+f"(acc[i][2]), "+f"(acc[i][3])
#define SKIM_ACC_2(i) SKIM_ACC_1(i), SKIM_ACC_1(i + 1)
#define SKIM_ACC_4(i) SKIM_ACC_2(i), SKIM_ACC_2(i + 2)
#define SKIM_REGISTERS_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define SKIM_REGISTERS_16 SKIM_REGISTERS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define SKIM_REGISTERS_32 \
    SKIM_REGISTERS_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SKIM_A "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])

/** acc += a, 16 rows of each warp, * 8 NT columns of b; 16 of k. */
__device__ __forceinline__ void multiply_step(float (&acc)[2][4], const uint32_t (&a)[4], uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {" SKIM_REGISTERS_8
                 "}, {%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
            : SKIM_ACC_2(0) : SKIM_A, "l"(b));
}

__device__ __forceinline__ void multiply_step(float (&acc)[4][4], const uint32_t (&a)[4], uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {" SKIM_REGISTERS_16
                 "}, {%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
            : SKIM_ACC_4(0) : SKIM_A, "l"(b));
}

__device__ __forceinline__ void multiply_step(float (&acc)[8][4], const uint32_t (&a)[4], uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" SKIM_REGISTERS_32
                 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
            : SKIM_ACC_4(0), SKIM_ACC_4(4) : SKIM_A, "l"(b));
}

#undef SKIM_ACC_1
#undef SKIM_ACC_2
#undef SKIM_ACC_4
#undef SKIM_REGISTERS_8
#undef SKIM_REGISTERS_16
#undef SKIM_REGISTERS_32
#undef SKIM_A

/** Contiguous bytes (a multiple of 16), counted by a barrier. */
__device__ __forceinline__ void load_bulk(uint32_t to, const void* from, int bytes, uint32_t barrier, uint64_t policy) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;"
            ::"r"(to), "l"(from), "r"(bytes), "r"(barrier), "l"(policy) : "memory");
}

__device__ __forceinline__ void store_shared(uint32_t to, float4 four) {
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to), "f"(four.x), "f"(four.y), "f"(four.z), "f"(four.w)
            : "memory");
}

__device__ __forceinline__ void store_shared(uint32_t to, uint32_t word) {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(word) : "memory");
}

__device__ __forceinline__ void store_shared(uint32_t to, uint32_t first, uint32_t second) {
    asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(to), "r"(first), "r"(second) : "memory");
}

template <class T, int NT, class SHAPE>
struct Warpgroups : SHAPE {
    using S = SHAPE;
    static constexpr int W = S::WARPGROUPS;
    static constexpr int P = S::COLUMNS;
    static constexpr int C = S::CLUSTER;
    static constexpr int STAGES = S::SLOTS;
    static constexpr int X_STAGES = S::X_SLOTS;

    /** A place in a ring, and the parity of the phase that its barriers are in. */
    template <int LENGTH>
    struct Cursor {
        int stage = 0;
        int parity = 0;

        __device__ __forceinline__ void next() {
            if (++stage == LENGTH) {
                stage = 0;
                parity ^= 1;
            }
        }
    };

    const Args& args;
    const uint32_t shared;
    /** By a shuffle, so that the compiler knows it for the same in all lanes. */
    const int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0);
    const int lane = threadIdx.x % 32;
    const int unitCount = T::units(args.columns);
    const int groups = T::groups(unitCount);
    const int tiles = (args.rows + TILE_ROWS - 1) / TILE_ROWS;
    const int sets = (tiles + S::SET_TILES - 1) / S::SET_TILES;
    const int rank = blockIdx.x % C;
    const int firstSet = blockIdx.x / C;
    const int setsOn = gridDim.x / C;
    /** Of the warpgroups that multiply, or for which activations are fetched, of those that share them. */
    const int column = warp < S::CONSUMERS ? warp / (4 * W) : (warp - S::CONSUMERS) % P;

    const uint32_t ring = shared + S::KEPT_BYTES;
    const uint32_t xRing = ring + S::RING_BYTES + column * (X_STAGES * S::X_BYTES);
    const uint32_t slotBarriers = shared + S::BARRIERS_AT;
    const uint32_t xBarriers = slotBarriers + S::CONSUMERS * STAGES * 8;
    const uint32_t xFull = xBarriers + column * (2 * X_STAGES * 8);
    const uint32_t xEmpty = xFull + X_STAGES * 8;

    __device__ __forceinline__ int part(int round) const {
        return rank * S::BLOCK_PARTS + round * P + column;
    }

    // ---- activations

    /** Producers that share the work for a column of warpgroups, and of these, which this warp is. */
    static constexpr int SHARERS = S::PRODUCERS / P;
    const int sharer = (warp - S::CONSUMERS) / P;

    // 16 bytes a lane are a piece: 32 columns of 8 rows. A producer takes every ROWS_ON'th 8 rows, every COLUMNS_ON'th 32 columns.
    static constexpr int ROWS_ON = SHARERS < NT ? SHARERS : NT;
    static constexpr int COLUMNS_ON = SHARERS / ROWS_ON;
    static constexpr int ROW_PIECES = NT / ROWS_ON;
    static constexpr int COLUMN_PIECES = S::GROUP_COLUMNS / 32 / COLUMNS_ON;
    static constexpr int PIECES = ROW_PIECES * COLUMN_PIECES;
    static constexpr int AT_ONCE = PIECES < 8 || !S::MOVES_REGISTERS ? PIECES : 8;
    static_assert(PIECES * SHARERS == NT * S::GROUP_COLUMNS / 32 && PIECES % AT_ONCE == 0);

    /** Of the lane's part of a producer's first piece. */
    __device__ __forceinline__ int first_column() const {
        return sharer / ROWS_ON * 32 + (T::RUN == 8 ? lane % 4 * 8 : lane / 16 * 16 + lane % 2 * 8);
    }

    /** Loads pieces from {@code first} on; {@code left} columns from the group's first on are not past the end. */
    template <bool WHOLE>
    __device__ __forceinline__ void load_pieces(
            int first, const __half* const (&rows)[ROW_PIECES], int offset, int left, uint4 (&words)[AT_ONCE]) const {
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            const int from = (first + i) / ROW_PIECES * (COLUMNS_ON * 32);
            words[i] = make_uint4(0, 0, 0, 0);
            if (WHOLE || from + first_column() < left) {
                words[i] = *reinterpret_cast<const uint4*>(rows[(first + i) % ROW_PIECES] + offset + from);
            }
        }
    }

    /** {@code at} is where the lane's words of the producer's first piece go. */
    __device__ __forceinline__ void store_pieces(int first, uint32_t at, const uint4 (&words)[AT_ONCE]) const {
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            const int piece = first + i;
            const uint32_t to =
                    at + piece / ROW_PIECES * (COLUMNS_ON * 2 * S::STEP_BYTES) + piece % ROW_PIECES * (ROWS_ON * 128);
            if constexpr (T::RUN == 8) {  // of two steps
                store_shared(to, words[i].x);
                store_shared(to + S::HALF_STEP_BYTES, words[i].y);
                store_shared(to + 2 * S::HALF_STEP_BYTES, words[i].z);
                store_shared(to + 3 * S::HALF_STEP_BYTES, words[i].w);
            } else {  // of one, for two t
                store_shared(to, words[i].x, words[i].z);
                store_shared(to + S::HALF_STEP_BYTES, words[i].y, words[i].w);
            }
        }
    }

    __device__ __forceinline__ void produce() const {
        const int row = sharer % ROWS_ON * 8 + (T::RUN == 8 ? lane / 4 : lane / 2 % 8);
        const uint32_t place = sharer / ROWS_ON * (2 * S::STEP_BYTES) + sharer % ROWS_ON * 128
                + (T::RUN == 8 ? lane * 4 : lane / 16 * S::STEP_BYTES + lane % 16 * 8);
        const __half* rows[ROW_PIECES];
#pragma unroll
        for (int i = 0; i < ROW_PIECES; i++) {
            rows[i] = args.x + min(row + i * ROWS_ON * 8, args.batch - 1) * args.xStride + first_column();
        }
        waitForPreviousKernel();
        Cursor<X_STAGES> at;
        for (int set = firstSet; set < sets; set += setsOn) {
#pragma unroll 1
            for (int round = 0; round < S::ROUNDS; round++) {
#pragma unroll 1
                for (int group = part(round); group < groups; group += S::PARTS) {
                    const int offset = group * S::GROUP_COLUMNS;
                    const int left = args.columns - offset;
#pragma unroll
                    for (int first = 0; first < PIECES; first += AT_ONCE) {
                        uint4 words[AT_ONCE];
                        if (left >= S::GROUP_COLUMNS) {
                            load_pieces<true>(first, rows, offset, left, words);
                        } else {
                            load_pieces<false>(first, rows, offset, left, words);
                        }
                        if (first == 0) {
                            hopper::barrier_wait(xEmpty + at.stage * 8, at.parity ^ 1);
                        }
                        store_pieces(first, xRing + at.stage * S::X_BYTES + place, words);
                    }
                    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
                    __syncwarp();
                    if (lane == 0) {
                        hopper::barrier_arrive(xFull + at.stage * 8);
                    }
                    at.next();
                }
            }
        }
        if constexpr (C > 1) {  // with the others' of exchange()
            hopper::cluster_sync();
            hopper::cluster_sync();
        }
    }

    // ---- weights

    /** What a warp fetches next. */
    struct Fetch {
        int set;
        int round;
        int group;
        const char* units;
        const char* scales;
    };

    /** Goes on to the next part that has a group. */
    __device__ __forceinline__ void settle(Fetch& at) const {
        while (at.group >= groups && at.set < sets) {
            if (++at.round == S::ROUNDS) {
                at.round = 0;
                at.set += setsOn;
            }
            at.group = part(at.round);
        }
        const int64_t from = min(tile(at.set), tiles - 1);
        at.units = static_cast<const char*>(args.units) + (from * unitCount + at.group * GROUP_UNITS) * UNIT_BYTES;
        at.scales = static_cast<const char*>(args.scales) + (from * groups + at.group) * S::SCALE_BYTES;
    }

    __device__ __forceinline__ int tile(int set) const {
        return set * S::SET_TILES + warp % S::SET_TILES;
    }

    __device__ __forceinline__ void fetch(Fetch& at, uint32_t slot, uint32_t barrier, uint64_t policy) const {
        if (at.set < sets) {
            if (lane == 0) {
                const int bytes = min(unitCount - at.group * GROUP_UNITS, GROUP_UNITS) * UNIT_BYTES;
                hopper::barrier_expect(barrier, bytes + S::SCALE_BYTES);
                load_bulk(slot, at.units, bytes, barrier, policy);
                if constexpr (T::PLANES > 0) {
                    load_bulk(slot + S::GROUP_BYTES, at.scales, S::SCALE_BYTES, barrier, policy);
                }
            }
            at.group += S::PARTS;
            at.units += S::PARTS * S::GROUP_BYTES;
            at.scales += S::PARTS * S::SCALE_BYTES;
            if (at.group >= groups) {
                settle(at);
            }
        }
    }

    /** Multiplies the group in a slot; tells `freed`, unless 0, when the products before have read their activations. */
    __device__ __forceinline__ void multiply(uint32_t slot, uint32_t stage, int units, uint32_t freed, float (&acc)[NT][4]) const {
        constexpr int BATCH = 2;  // steps between waits: one batch is decoded while the one before is multiplied
        constexpr uint64_t LAYOUT = static_cast<uint64_t>(S::HALF_STEP_BYTES >> 4) << 16 | static_cast<uint64_t>(128 >> 4) << 32;
        const uint64_t b = LAYOUT | (stage & 0x3ffff) >> 4;  // above, in a cluster, is the block's number
        uint4 scales[S::SCALE_ROWS > 0 ? S::SCALE_ROWS : 1];  // of 4 units
#pragma unroll
        for (int i = 0; i < S::SCALE_ROWS; i++) {
            scales[i] = load_shared(slot + S::GROUP_BYTES + i * S::SCALE_ROW_BYTES + lane / 4 * 16);
        }
        uint4 next = load_shared(slot + lane * 16);
        uint32_t words[4];
        uint32_t fragments[2][BATCH][4];
#pragma unroll
        for (int first = 0; first < S::GROUP_STEPS; first += BATCH) {
            uint32_t(&a)[BATCH][4] = fragments[first / BATCH % 2];
#pragma unroll
            for (int s = 0; s < BATCH; s++) {
                const int unit = (first + s) / T::STEPS;
                const int step = (first + s) % T::STEPS;
                if (step == 0) {
                    const bool pad = T::PLANES == 0 && unit >= units;  // elsewhere its scales are 0
                    words[0] = pad ? 0 : next.x;
                    words[1] = pad ? 0 : next.y;
                    words[2] = pad ? 0 : next.z;
                    words[3] = pad ? 0 : next.w;
                    if (unit + 1 < GROUP_UNITS) {
                        next = load_shared(slot + (unit + 1) * UNIT_BYTES + lane * 16);
                    }
                }
                const int block = step / T::BLOCK_STEPS;
                T::fragments(words, scale(scales[T::PLANES > 0 ? block : 0], unit),
                        scale(scales[T::PLANES > 1 ? T::BLOCKS + block : 0], unit), step, a[s]);
            }
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
            for (int s = 0; s < BATCH; s++) {
                multiply_step(acc, a[s], b + (first + s) * (S::STEP_BYTES >> 4));
            }
            asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
            hopper::wait_products<1>();
            if (first == 0 && freed != 0 && lane == 0) {
                hopper::barrier_arrive(freed);
            }
        }
    }

    static __device__ __forceinline__ __half2 scale(const uint4& scales, int unit) {
        return weights::half2_of(unit == 0 ? scales.x : unit == 1 ? scales.y : unit == 2 ? scales.z : scales.w);
    }

    __device__ __forceinline__ void consume() const {
        const uint32_t slots = ring + warp * (STAGES * S::SLOT_BYTES);
        const uint32_t full = slotBarriers + warp * (STAGES * 8);
        if (lane == 0) {
            for (int i = 0; i < STAGES; i++) {
                hopper::barrier_init(full + i * 8, 1);
            }
            asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        }
        __syncwarp();
        const uint64_t policy = read_once_policy();
        Fetch fetched = {firstSet, 0, part(0), nullptr, nullptr};
        settle(fetched);
#pragma unroll 1
        for (int i = 0; i < STAGES; i++) {
            fetch(fetched, slots + i * S::SLOT_BYTES, full + i * 8, policy);
        }
        __syncthreads();  // the one of run()
        waitForPreviousKernel();
        Cursor<STAGES> at;
        Cursor<X_STAGES> xAt;
        for (int set = firstSet; set < sets; set += setsOn) {
            float4 addends[S::WARP_FRAGMENTS];
            if constexpr (C > 1) {  // fetched long before use
#pragma unroll
                for (int i = 0; i < S::WARP_FRAGMENTS; i++) {
                    if (fragment(i) < S::FRAGMENTS) {
                        addends[i] = addends_of(set * S::SET_TILES + fragment(i) / NT, fragment(i) % NT);
                    }
                }
            }
            float total[C > 1 ? 1 : NT][4] = {};
#pragma unroll 1
            for (int round = 0; round < S::ROUNDS; round++) {
                float acc[NT][4] = {};
                hopper::pin(acc);
                uint32_t freed = 0;
#pragma unroll 1
                for (int group = part(round); group < groups; group += S::PARTS) {
                    hopper::barrier_wait(full + at.stage * 8, at.parity);
                    hopper::barrier_wait(xFull + xAt.stage * 8, xAt.parity);
                    const uint32_t slot = slots + at.stage * S::SLOT_BYTES;
                    multiply(slot, xRing + xAt.stage * S::X_BYTES, unitCount - group * GROUP_UNITS, freed, acc);
                    freed = xEmpty + xAt.stage * 8;
                    __syncwarp();
                    fetch(fetched, slot, full + at.stage * 8, policy);
                    at.next();
                    xAt.next();
                }
                hopper::wait_products<0>();
                hopper::pin(acc);
                if (freed != 0 && lane == 0) {
                    hopper::barrier_arrive(freed);
                }
                if constexpr (C > 1) {
                    if (round == S::ROUNDS - 1) {
                        consumers_meet();  // none reads the rings any more
                    }
                    const uint32_t to =
                            shared + ((round * P + column) * S::FRAGMENTS + warp % S::SET_TILES * NT) * 512 + lane * 16;
#pragma unroll
                    for (int n = 0; n < NT; n++) {
                        store_shared(to + n * 512, make_float4(acc[n][0], acc[n][1], acc[n][2], acc[n][3]));
                    }
                } else {
#pragma unroll
                    for (int n = 0; n < NT; n++) {
#pragma unroll
                        for (int k = 0; k < 4; k++) {
                            total[n][k] += acc[n][k];
                        }
                    }
                }
            }
            if constexpr (C > 1) {
                exchange(set, addends);
                return;
            } else {
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    write(tile(set), n, make_float4(total[n][0], total[n][1], total[n][2], total[n][3]), addends_of(tile(set), n));
                }
            }
        }
    }

    __device__ __forceinline__ void consumers_meet() const {
        asm volatile("bar.sync 1, %0;" ::"n"(S::CONSUMERS * 32) : "memory");
    }

    /** The i-th of the set's fragments that this warp adds up; not below FRAGMENTS: none. */
    __device__ __forceinline__ int fragment(int i) const {
        return (i * S::CONSUMERS + warp) * C + rank;
    }

    /** Adds up the parts of this block's share of a set. */
    __device__ __forceinline__ void exchange(int set, const float4 (&addends)[S::WARP_FRAGMENTS]) const {
        hopper::cluster_sync();
        float4 totals[S::WARP_FRAGMENTS];
#pragma unroll
        for (int i = 0; i < S::WARP_FRAGMENTS; i++) {
            totals[i] = make_float4(0, 0, 0, 0);
            if (fragment(i) < S::FRAGMENTS) {
                float4 parts[S::PARTS];
#pragma unroll
                for (int p = 0; p < S::PARTS; p++) {
                    const uint32_t from = shared + (p % S::BLOCK_PARTS * S::FRAGMENTS + fragment(i)) * 512 + lane * 16;
                    parts[p] = hopper::load_remote(hopper::address_in(from, p / S::BLOCK_PARTS));
                }
#pragma unroll
                for (int p = 0; p < S::PARTS; p++) {
                    totals[i].x += parts[p].x;
                    totals[i].y += parts[p].y;
                    totals[i].z += parts[p].z;
                    totals[i].w += parts[p].w;
                }
            }
        }
        hopper::cluster_arrive();  // before the results are on their way: it waits for what the thread wrote
#pragma unroll
        for (int i = 0; i < S::WARP_FRAGMENTS; i++) {
            if (fragment(i) < S::FRAGMENTS) {
                write(set * S::SET_TILES + fragment(i) / NT, fragment(i) % NT, totals[i], addends[i]);
            }
        }
        hopper::cluster_wait();  // others may still read here
    }

    // ---- results

    /** Bias and, in mode 1, y, for the lane's four sums of a row tile and column tile, in the order of mma's C. */
    __device__ __forceinline__ float4 addends_of(int tile, int n) const {
        const int row = tile * TILE_ROWS + lane / 4;
        const int column = n * 8 + lane % 4 * 2;
        return make_float4(
                addend(row, column), addend(row, column + 1), addend(row + 8, column), addend(row + 8, column + 1));
    }

    __device__ __forceinline__ float addend(int row, int column) const {
        float addend = 0;
        if (row < args.rows && column < args.batch) {
            addend = args.bias != nullptr ? args.bias[row] : 0;
            if (args.mode == 1) {
                addend += static_cast<const float*>(args.y)[static_cast<size_t>(column) * args.yStride + row];
            }
        }
        return addend;
    }

    __device__ __forceinline__ void write(int tile, int n, float4 sums, float4 addends) const {
        const int row = tile * TILE_ROWS + lane / 4;
        const int column = n * 8 + lane % 4 * 2;
        const float scale = args.outScale;
        const float4 values = make_float4(fmaf(sums.x, scale, addends.x), fmaf(sums.y, scale, addends.y),
                fmaf(sums.z, scale, addends.z), fmaf(sums.w, scale, addends.w));
        if (args.mode == 2) {
            write_pair(row, column, values.x, values.z);
            write_pair(row, column + 1, values.y, values.w);
        } else {
            write_one(row, column, values.x);
            write_one(row, column + 1, values.y);
            write_one(row + 8, column, values.z);
            write_one(row + 8, column + 1, values.w);
        }
    }

    __device__ __forceinline__ void write_one(int row, int column, float value) const {
        if (row < args.rows && column < args.batch) {
            static_cast<float*>(args.y)[static_cast<size_t>(column) * args.yStride + row] = value;
        }
    }

    /** Of a gate's row and its up's. */
    __device__ __forceinline__ void write_pair(int row, int column, float gate, float up) const {
        const int pair = row / TILE_ROWS * 8 + row % TILE_ROWS;
        if (pair < args.rows / 2 && column < args.batch) {
            static_cast<__half*>(args.y)[static_cast<size_t>(column) * args.yStride + pair] =
                    __float2half_rn(activation(gate, up));
        }
    }

    __device__ __forceinline__ void run() const {
        letNextKernelStart();
        if (warp >= S::CONSUMERS) {
            if constexpr (S::MOVES_REGISTERS) {
                asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(S::PRODUCER_REGISTERS));
            }
            if (warp == S::CONSUMERS && lane == 0) {
                for (int i = 0; i < 2 * P * X_STAGES; i++) {
                    const bool filled = i / X_STAGES % 2 == 0;
                    hopper::barrier_init(xBarriers + i * 8, filled ? S::PRODUCERS / P : 4 * W);
                }
                asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
            }
            __syncthreads();  // the one of consume()
            produce();
        } else {
            if constexpr (S::MOVES_REGISTERS) {
                asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(S::CONSUMER_REGISTERS));
            }
            consume();
        }
    }
};

#endif

template <class T, int NT, class SHAPE>
__device__ __forceinline__ void warpgroups(const Args& args) {
#if SKIM_SM90A
    extern __shared__ __align__(16) char shared[];
    Warpgroups<T, NT, SHAPE>{{}, args, shared_address(shared)}.run();
#endif
}

}  // namespace skim::linear

#if SKIM_SM90A

#define SKIM_CLUSTER_1
#define SKIM_CLUSTER_2 __cluster_dims__(2)
#define SKIM_CLUSTER_4 __cluster_dims__(4)

#define SKIM_WARPGROUPS(NAME, TYPE, NT, SHAPE, W, P, C)                                                                       \
    extern "C" {                                                                                                              \
    __device__ int linear_##NAME##_##NT##_##SHAPE##_shared =                                                                  \
            skim::linear::KernelShape<skim::weights::TYPE, NT, W, P, C>::SHARED_BYTES;                                        \
    __global__ void SKIM_CLUSTER_##C                                                                                          \
            __launch_bounds__(skim::linear::KernelShape<skim::weights::TYPE, NT, W, P, C>::THREADS, 1)                        \
            linear_##NAME##_##NT##_##SHAPE(SKIM_LINEAR_ARGUMENTS) {                                                           \
        skim::linear::warpgroups<skim::weights::TYPE, NT, skim::linear::KernelShape<skim::weights::TYPE, NT, W, P, C>>(       \
                {units, scales, rows, columns, x, xStride, batch, bias, outScale, mode, y, yStride});                         \
    }                                                                                                                         \
    }

#define SKIM_COLUMN_TILES(NAME, TYPE, NT)                                                                                     \
    SKIM_WARPGROUPS(NAME, TYPE, NT, w1p2c2, 1, 2, 2)                                                                          \
    SKIM_WARPGROUPS(NAME, TYPE, NT, w4c4, 4, 1, 4)                                                                            \
    SKIM_WARPGROUPS(NAME, TYPE, NT, w3, 3, 1, 1)                                                                              \
    SKIM_WARPGROUPS(NAME, TYPE, NT, w4, 4, 1, 1)

// With 64 rows the sums of w3c2 do not fit.
#define SKIM_WEIGHT_TYPE(NAME, TYPE)                                                                                          \
    SKIM_COLUMN_TILES(NAME, TYPE, 2)                                                                                          \
    SKIM_COLUMN_TILES(NAME, TYPE, 4)                                                                                          \
    SKIM_COLUMN_TILES(NAME, TYPE, 8)                                                                                          \
    SKIM_WARPGROUPS(NAME, TYPE, 2, w3c2, 3, 1, 2)                                                                             \
    SKIM_WARPGROUPS(NAME, TYPE, 4, w3c2, 3, 1, 2)

SKIM_WEIGHT_TYPE(f16, F16)
SKIM_WEIGHT_TYPE(q8, Q8)
SKIM_WEIGHT_TYPE(q8s16, Q8S16)
SKIM_WEIGHT_TYPE(q4, Q4)
SKIM_WEIGHT_TYPE(q4m, Q4M)

#undef SKIM_WEIGHT_TYPE
#undef SKIM_COLUMN_TILES
#undef SKIM_WARPGROUPS
#undef SKIM_CLUSTER_1
#undef SKIM_CLUSTER_2
#undef SKIM_CLUSTER_4
#endif

#undef SKIM_LINEAR_ARGUMENTS
