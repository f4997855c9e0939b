/*
 * Page selection: makes the list of pages that an entry's query group reads of a KV head, from the scores of selection.cuh's
 * ranked pages. All kernels take SelectionArgs.
 *
 *   select_pages_<size>   (stage 1) writes the list from the page table: all visible pages where rank1 is off or the budget has
 *                         room for all of them, else the pages1 best; none where the list is reused
 *   select_again_<size>   (stage 2) shortens the list in place to its pages2 best; leaves it alone where rank2 is off or it is
 *                         short enough
 *
 * A list that is cut has at most `size` ranked pages; longer ones may be listed whole. There is a kernel for each size since in a
 * chain of many kernels it is instructions that take the time, those that are fetched for the first time above all. For the same
 * reason what seldom runs stands behind the rest.
 *
 * Kept are forced pages, the first and the last of a list, and the best others; of equal ones the first; in the order of the
 * sequence. Where forced pages fill the budget, one other is kept.
 *
 * Work split: grid = (kvHeads, batch), one CTA for each list; block = selectThreads(size). A warp holds consecutive entries, a lane
 * four of them side by side (one, of the smallest size), whose scores are one load. Entries are counted in bins by their distance
 * from the best score, in shared memory, and in 32 groups of bins, so that each warp finds the bin of the cut by itself; what is in
 * this bin is ranked by comparing each with all. Where that is too much, it is counted again in narrower bins. Nothing depends on
 * the order in which threads run.
 */
#pragma once

#include "cache.cuh"
#include "selection.cuh"

namespace skim::sparse {

/** Sizes that there are kernels of; as CudaSelection has them. */
constexpr int SELECT_SIZES[] = {512, 2048, 4096, 8192, 32768};

/** Threads of a CTA. */
__host__ __device__ constexpr int selectThreads(int size) { return size <= 2048 ? 512 : 1024; }

constexpr int SELECT_MAX_GROUP = 32;

// ---- scans ----

/** Inclusive, over the lanes of a warp. */
template <class T>
__device__ inline T warpScan(T x) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        if constexpr (sizeof(T) == 4) {
            // The shuffle says itself whether there is such a lane.
            asm volatile(
                    "{ .reg .pred p; .reg .u32 lower; shfl.sync.up.b32 lower|p, %0, %1, 0, 0xffffffff; @p add.u32 %0, %0, lower; }"
                    : "+r"(x)
                    : "r"(step));
        } else {
            const T lower = __shfl_up_sync(0xffffffffu, x, step);
            x += lane >= step ? lower : 0;
        }
    }
    return x;
}

/** The sum over the warps before this one, each warp with its own number; `totals` has room for one a warp. */
template <int THREADS>
__device__ inline int sumOfWarpsBefore(int own, int* totals) {
    constexpr int WARPS = THREADS / 32;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (lane == 0) {
        totals[warp] = own;
    }
    __syncthreads();
    return static_cast<int>(__reduce_add_sync(0xffffffffu, lane < WARPS && lane < warp ? totals[lane] : 0));
}

template <class T>
struct BinSearch {
    T totals[32];
    int bin;    // -1: all bins together do not reach the target
    T before;   // sum of the bins before
    T inside;   // the bin's own
};

/**
 * Finds the first bin at which the sum of the bins up to it reaches target(sum of all) > 0; load(own) fills in a thread's bins.
 * All threads call it; they read `search` afterwards, and a barrier must lie between that and the next search.
 */
template <int THREADS, int BINS, class T, class Load, class Target>
__device__ inline void findBin(BinSearch<T>& search, const Load& load, const Target& target) {
    constexpr int WARPS = THREADS / 32, OWN = BINS / THREADS;
    static_assert(BINS % THREADS == 0 && WARPS <= 32, "each thread has its bins");
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    T own[OWN], sum = 0;
    load(own);
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        sum += own[i];
    }
    const T upTo = warpScan(sum);
    if (lane == 31) {
        search.totals[warp] = upTo;
    }
    if (threadIdx.x == 0) {
        search.bin = -1;
    }
    __syncthreads();
    const T total = lane < WARPS ? search.totals[lane] : T{0};
    T warpsBefore, all;
    if constexpr (sizeof(T) == 4) {
        warpsBefore = __reduce_add_sync(0xffffffffu, lane < warp ? total : T{0});
        all = __reduce_add_sync(0xffffffffu, total);
    } else {
        const T warpsUpTo = warpScan(total);
        warpsBefore = __shfl_sync(0xffffffffu, warpsUpTo, max(0, warp - 1));
        warpsBefore = warp == 0 ? T{0} : warpsBefore;
        all = __shfl_sync(0xffffffffu, warpsUpTo, 31);
    }
    const T wanted = target(all);
    T before = warpsBefore + upTo - sum;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        if (before < wanted && wanted <= before + own[i]) {
            search.bin = threadIdx.x * OWN + i;
            search.before = before;
            search.inside = own[i];
        }
        before += own[i];
    }
    __syncthreads();
}

/** The first bin, of counts or integer weights, at which the sum of the bins up to it reaches `wanted` > 0. */
template <int THREADS, int BINS>
__device__ inline void findCount(BinSearch<uint32_t>& search, const uint32_t* bins, uint32_t wanted) {
    constexpr int OWN = BINS / THREADS;
    const auto load = [&](uint32_t (&own)[OWN]) {
        if constexpr (OWN % 4 == 0) {
#pragma unroll
            for (int i = 0; i < OWN; i += 4) {
                const uint4 four = *reinterpret_cast<const uint4*>(bins + threadIdx.x * OWN + i);
                own[i] = four.x;
                own[i + 1] = four.y;
                own[i + 2] = four.z;
                own[i + 3] = four.w;
            }
        } else {
#pragma unroll
            for (int i = 0; i < OWN; i++) {
                own[i] = bins[threadIdx.x * OWN + i];
            }
        }
    };
    findBin<THREADS, BINS>(search, load, [&](uint32_t) { return wanted; });
}

/** Orders as the floats do; NaN is the least. Neither 0 nor the greatest integer, which stand for something else here. */
__device__ inline uint32_t orderedKey(float x) {
    const uint32_t bits = __float_as_uint(x);
    const uint32_t key = bits >> 31 ? ~bits : bits | 0x80000000u;
    return x == x ? key : 1u;
}

/** The same where there is no NaN. */
__device__ inline uint32_t scoreKey(float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits ^ (static_cast<uint32_t>(static_cast<int>(bits) >> 31) | 0x80000000u);
}

__device__ inline float orderedValue(uint32_t key) { return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key); }

// ---- a list ----

__device__ inline float warpMaximum(float x) { return orderedValue(__reduce_max_sync(0xffffffffu, orderedKey(x))); }

/**
 * What scores of a head are relative to, and the greatest of them relative to it. They are so to the greatest, or to the logarithm of
 * the sum of exponentials. By a warp; MOST: chunks that there may be.
 */
template <int MOST>
__device__ inline float2 headReference(const float2* chunks, int count, bool share) {
    constexpr int OWN = MOST < 128 ? (MOST + 31) / 32 : 4;
    const int lane = threadIdx.x % 32;
    float top = -INFINITY, sum = 0.f;
    for (int from = 0; from < (MOST > 32 * OWN ? count : 1); from += 32 * OWN) {
        float2 own[OWN];
        float maximum = top;
        const bool more = OWN > 1 && count - from > 32;   // than the first of each lane
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const int c = from + 32 * i + lane;
            own[i] = make_float2(-INFINITY, 0.f);
            if ((i == 0 || more) && c < count) {
                own[i] = __ldcg(chunks + c);
            }
        }
        const auto each = [&](const auto& body) {
            body(own[0]);
            if (more) {
#pragma unroll
                for (int i = 1; i < OWN; i++) {
                    body(own[i]);
                }
            }
        };
        each([&](float2 chunk) { maximum = fmaxf(maximum, chunk.x); });
        maximum = orderedValue(__reduce_max_sync(0xffffffffu, scoreKey(maximum)));
        if (share && maximum > -INFINITY) {
            if (MOST > 32 * OWN) {
                sum *= __expf(top - maximum);
            }
            each([&](float2 chunk) { sum += chunk.x == -INFINITY ? 0.f : chunk.y * __expf(chunk.x - maximum); });
        }
        top = maximum;
    }
    if (!share || top == -INFINITY) {
        return make_float2(top, 0.f);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    sum = logf(sum);
    return make_float2(top + sum, -sum);
}

/** Scores or numbers of entries side by side. */
template <int SIDE, class T>
__device__ inline void loadSide(const T* from, T* to) {
    if constexpr (SIDE == 1) {
        to[0] = __ldcg(from);
    } else {
        static_assert(SIDE == 4 && sizeof(T) == 4, "16 bytes");
        const int4 four = __ldcg(reinterpret_cast<const int4*>(from));
        memcpy(to, &four, sizeof four);
    }
}

/** The entries of a list that this thread holds: item i is entry(i), if that is below end. */
template <int SIZE>
struct Held {
    static constexpr int THREADS = selectThreads(SIZE), ITEMS = SIZE / THREADS;
    static constexpr int SIDE = ITEMS < 4 ? 1 : 4;   // items that are entries side by side
    static constexpr int ROWS = ITEMS / SIDE, ROW = 32 * SIDE;
    static constexpr int UNROLL = ITEMS < 8 ? ITEMS : 8;   // items that registers have room for
    int warpFrom, from, end;

    __device__ explicit Held(int count) {
        // Of shorter lists all warps have a part.
        const int rows = ROWS == 1 ? 1 : (count + THREADS * SIDE - 1) / (THREADS * SIDE);
        warpFrom = static_cast<int>(threadIdx.x / 32) * rows * ROW;
        from = warpFrom + static_cast<int>(threadIdx.x % 32) * SIDE;
        end = ROWS == 1 ? count : min(count, warpFrom + rows * ROW);
    }

    __device__ int entry(int item) const { return from + item / SIDE * ROW + item % SIDE; }
    __device__ bool has(int item) const { return entry(item) < end; }
};

constexpr int SELECT_GROUPS = 32, SELECT_MEMBERS = 128;

template <int SIZE>
struct SelectShared {
    static constexpr int BINS = SIZE <= 2048 ? 1024 : 4096;   // enough that few entries share one

    alignas(16) uint32_t bins[BINS + 4];    // from the greatest score down; then what does not count
    uint32_t groups[SELECT_GROUPS + 1];     // of as many neighbouring bins
    uint32_t memberCount;
    uint32_t least, greatest;               // keys, when it is counted again
    uint64_t members[SELECT_MEMBERS];       // ranks of what is in the bin of the cut
    uint64_t cut;
    float2 references[SELECT_MAX_GROUP];    // and the head's best score relative to it
    int totals[32];

    __device__ void clear() {
        constexpr int THREADS = selectThreads(SIZE);
#pragma unroll
        for (int i = 0; i < BINS / THREADS; i++) {
            bins[i * THREADS + threadIdx.x] = 0;
        }
        if (threadIdx.x < SELECT_GROUPS) {
            groups[threadIdx.x] = 0;
        }
    }

    __device__ void count(uint32_t bin) {
        atomicAdd(&bins[bin], 1u);
        atomicAdd(&groups[bin / (BINS / SELECT_GROUPS)], 1u);
    }
};

/** The bin of the cut: how many of those inside it are kept. */
struct FoundBin {
    int bin;
    uint32_t wanted, inside;

    /** By a warp whose lanes have a count each as `inside`: the lane up to which the counts reach `wanted`. */
    __device__ int findLane() {
        const uint32_t own = inside, upTo = warpScan(own);
        const int found = __popc(__ballot_sync(0xffffffffu, upTo < wanted));
        wanted -= __shfl_sync(0xffffffffu, upTo - own, found);
        inside = __shfl_sync(0xffffffffu, own, found);
        return found;
    }

    /** The bin up to which there are `wanted` entries; by each warp. */
    template <int SIZE>
    static __device__ FoundBin of(const SelectShared<SIZE>& shared, uint32_t wanted) {
        constexpr int IN_GROUP = SelectShared<SIZE>::BINS / SELECT_GROUPS, OWN = IN_GROUP / 32;
        static_assert(OWN == 1 || OWN == 4, "bins of a lane");
        const int lane = threadIdx.x % 32;
        FoundBin found{0, wanted, shared.groups[lane]};
        const int firstBin = found.findLane() * IN_GROUP;
        if constexpr (OWN == 1) {
            found.inside = shared.bins[firstBin + lane];
            found.bin = firstBin + found.findLane();
        } else {
            const uint4* bins = reinterpret_cast<const uint4*>(shared.bins + firstBin);
            const uint4 own = bins[lane];
            found.inside = own.x + own.y + own.z + own.w;
            const int owner = found.findLane();
            const uint4 four = bins[owner];
            found.bin = firstBin + OWN * owner;
            found.inside = four.x;
            for (const uint32_t next : {four.y, four.z, four.w}) {
                if (found.wanted > found.inside) {
                    found.wanted -= found.inside;
                    found.inside = next;
                    found.bin++;
                }
            }
        }
        return found;
    }
};

/** For the items whose bits are set, few as a rule: a loop is less to fetch. */
template <int SIZE, class Body>
__device__ inline void forItems(uint32_t bits, const Body& body) {
    if constexpr (Held<SIZE>::ITEMS == 1) {
        if (bits & 1) {
            body(0);
        }
    } else {
        for (; bits != 0; bits &= bits - 1) {
            body(__ffs(bits) - 1);
        }
    }
}

/** An item that is not known when it is compiled: registers have no index. */
template <int SIZE, class T>
__device__ inline T pick(const T* items, int item) {
    if constexpr (Held<SIZE>::ITEMS > Held<SIZE>::UNROLL) {
        return items[item];
    }
    T picked = items[0];
#pragma unroll
    for (int i = 1; i < Held<SIZE>::UNROLL; i++) {
        picked = item == i ? items[i] : picked;
    }
    return picked;
}

/** The scores of a thread's items. */
template <int SIZE>
struct ItemScores {
    float best[Held<SIZE>::ITEMS];

    __device__ uint32_t key(int item) const { return scoreKey(best[item]); }
    __device__ uint32_t keyAt(int item) const { return scoreKey(pick<SIZE>(best, item)); }
};

/** What is known of a thread's items, bit i: item i is better than what is in the bin, is in it. */
struct ItemBits {
    uint32_t kept, inside;
    FoundBin found;
};

/** Narrows the bin of the cut until it has few members: bins are equal ranges of the ranks of those inside it. Seldom needed. */
template <int SIZE>
__device__ __noinline__ ItemBits narrowBin(SelectShared<SIZE>& shared, Held<SIZE> held, ItemScores<SIZE> scores, ItemBits bits) {
    constexpr int ITEMS = Held<SIZE>::ITEMS, UNROLL = Held<SIZE>::UNROLL, BINS = SelectShared<SIZE>::BINS, ENTRY_BITS = 15;
    static_assert(SIZE <= 1 << ENTRY_BITS, "entries");
    do {
        __syncthreads();
        shared.clear();
        if (threadIdx.x == 0) {
            shared.least = ~0u;
            shared.greatest = 0;
        }
        __syncthreads();
        uint32_t least = ~0u, greatest = 0;
#pragma unroll UNROLL
        for (int i = 0; i < ITEMS; i++) {
            if (bits.inside >> i & 1) {
                least = min(least, scores.key(i));
                greatest = max(greatest, scores.key(i));
            }
        }
        least = __reduce_min_sync(0xffffffffu, least);
        greatest = __reduce_max_sync(0xffffffffu, greatest);
        if (threadIdx.x % 32 == 0) {
            atomicMin(&shared.least, least);
            atomicMax(&shared.greatest, greatest);
        }
        __syncthreads();
        const uint64_t top = (static_cast<uint64_t>(shared.greatest) + 1 << ENTRY_BITS) - 1;
        const uint64_t range = top - (static_cast<uint64_t>(shared.least) << ENTRY_BITS);
        const int shift = max(0, 64 - __clzll(range) - (BINS == 1024 ? 10 : 12));
        const auto bin = [&](int i) {
            const uint64_t last = (1 << ENTRY_BITS) - 1 - held.entry(i);
            return static_cast<int>(top - (static_cast<uint64_t>(scores.key(i)) << ENTRY_BITS | last) >> shift);
        };
#pragma unroll UNROLL
        for (int i = 0; i < ITEMS; i++) {
            if (bits.inside >> i & 1) {
                shared.count(bin(i));
            }
        }
        __syncthreads();
        bits.found = FoundBin::of(shared, bits.found.wanted);
#pragma unroll UNROLL
        for (int i = 0; i < ITEMS; i++) {
            if (bits.inside >> i & 1) {
                bits.kept |= bin(i) < bits.found.bin ? 1u << i : 0;
                bits.inside &= bin(i) == bits.found.bin ? ~0u : ~(1u << i);
            }
        }
    } while (bits.found.inside > SELECT_MEMBERS);
    return bits;
}

/** Ranks of entries, the greater the better: their keys, and of equal ones the first. */
__device__ inline uint64_t entryRank(uint32_t key, int entry) {
    return static_cast<uint64_t>(key) << 32 | ~static_cast<uint32_t>(entry);
}

/** Says of the first pages of a list that they are read whole. */
__device__ inline void readWhole(const PageLists& lists, size_t at, int count) {
    if (lists.masks == nullptr && lists.logWeights == nullptr) {
        return;
    }
    for (int e = threadIdx.x; e < count; e += blockDim.x) {
        if (lists.masks != nullptr) {
            lists.masks[at + e] = ~uint64_t{0};
        }
        if (lists.logWeights != nullptr) {
            lists.logWeights[at + e] = 0.f;
        }
    }
}

/**
 * Cuts a list to `listed` of its `ranked` entries, of which the first `leading` and the last `trailing` are forced. LISTED: stage 2; in
 * stage 1 the entries are those of `table`.
 */
template <int SIZE, bool LISTED>
__device__ __forceinline__ void cutList(const SelectionArgs& args, const VisiblePages& visible, const int* table, int list, int rank,
                                        int ranked, int listed, int leading, int trailing, SelectShared<SIZE>& shared) {
    using Items = Held<SIZE>;
    constexpr int THREADS = Items::THREADS, WARPS = THREADS / 32, ITEMS = Items::ITEMS, SIDE = Items::SIDE;
    constexpr int BINS = SelectShared<SIZE>::BINS, UNROLL = Items::UNROLL, BLOCK = UNROLL;
    constexpr bool EARLY = ITEMS < (LISTED ? 8 : 16);        // whether registers hold pages beside the scores
    constexpr int HEADS = ITEMS != 8 ? 4 : LISTED ? 1 : 2;   // whose scores of a block are loaded at a time
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, pageSize = args.pageSize;
    const Items held(ranked);
    const size_t at = static_cast<size_t>(list) * args.lists.stride;
    int* const listPages = args.lists.pages + at;
    int* const listIndices = args.lists.indices + at;

    // Loads first. What the kernel before the last one wrote is there, see launch.cuh.
    int pages[ITEMS], indices[LISTED && EARLY ? ITEMS : 1];
    const int firstIndex = LISTED ? __ldcg(listIndices) : visible.firstPage;
    // Beyond the last entry of a row all load the same: nothing depends on it.
    const auto side = [&](int item) { return min(held.entry(item), (ranked - 1) & ~(SIDE - 1)); };
    if constexpr (EARLY) {
#pragma unroll
        for (int i = 0; i < ITEMS; i += LISTED ? SIDE : 1) {
            if constexpr (LISTED) {
                loadSide<SIDE>(listPages + side(i), pages + i);
                loadSide<SIDE>(listIndices + side(i), indices + i);
            } else {
                pages[i] = held.has(i) ? table[held.entry(i)] : 0;
            }
        }
    }
    shared.clear();
    if (threadIdx.x == 0) {
        shared.memberCount = 0;
    }
    waitForPreviousKernel();
    letNextKernelStart();
    const uint32_t firstRow = list * args.group, scoreStride = args.scoreStride, referenceStride = args.referenceStride;
    float x[HEADS][BLOCK];
    const auto load = [&](int block, int head) {
#pragma unroll
        for (int i = 0; i < BLOCK; i += SIDE) {
            const float* from = args.scores + side(block * BLOCK + i) + static_cast<uint64_t>(firstRow + head) * scoreStride;
#pragma unroll
            for (int h = 0; h < HEADS; h++, from += scoreStride) {
                if (h == 0 || head + h < args.group) {
                    loadSide<SIDE>(from, x[h] + i);
                }
            }
        }
    };
    load(0, 0);
    for (int head = warp; head < args.group; head += WARPS) {
        const float2* chunks = args.references + static_cast<uint64_t>(firstRow + head) * referenceStride;
        const float2 reference =
                headReference<SIZE / SCORE_CHUNK_INT4>(chunks, scoreChunks(ranked - 1, scoreChunk(rank, args.pageSize)), isShare(rank));
        if (lane == 0) {
            shared.references[head] = reference;
        }
    }
    __syncthreads();

    if (threadIdx.x == 0) {
        args.lists.counts[list] = listed;
        args.lists.first[list] = visible.firstListSlot(firstIndex, pageSize);   // if it is kept
        args.lists.last[list] = visible.lastListSlot(listed, pageSize);
    }
    // A page counts as much as it does to the head that it means most to.
    ItemScores<SIZE> own;
    float greatest = -INFINITY;
#pragma unroll 1
    for (int block = 0; block < ITEMS / BLOCK; block++) {
#pragma unroll
        for (int i = 0; i < BLOCK; i++) {
            own.best[block * BLOCK + i] = -INFINITY;
        }
        if (block > 0) {
            load(block, 0);
        }
#pragma unroll 1
        for (int head = 0;;) {
#pragma unroll
            for (int h = 0; h < HEADS; h++) {
                if (h == 0 || head + h < args.group) {
                    const float2 reference = shared.references[head + h];
                    greatest = fmaxf(greatest, reference.y);
#pragma unroll
                    for (int i = 0; i < BLOCK; i++) {
                        own.best[block * BLOCK + i] = fmaxf(own.best[block * BLOCK + i], x[h][i] - reference.x);
                    }
                }
            }
            head += HEADS;
            if (__builtin_expect(head >= args.group, true)) {
                break;
            }
            load(block, head);
        }
    }

    // Bins are an octave's equal parts of 1 + distance from the best score: -1 of a forced entry, BINS of none.
    constexpr int SHIFT = 23 - (BINS == 1024 ? 6 : 8);
    constexpr uint32_t ONE = 0x3f800000;
    const float near = 1.f + greatest, far = __uint_as_float(ONE + (BINS - 1 << SHIFT));
    const uint32_t candidates = max(0, min(held.end, ranked - trailing) - leading);
    const auto isCandidate = [&](int i) { return static_cast<uint32_t>(held.entry(i) - leading) < candidates; };
    const auto scoreBin = [&](int i) {
        return static_cast<int>(__float_as_uint(fminf(fmaxf(near - own.best[i], 1.f), far)) >> SHIFT) - static_cast<int>(ONE >> SHIFT);
    };
    const auto anyBin = [&](int i) { return isCandidate(i) ? scoreBin(i) : held.has(i) ? -1 : BINS; };
    int bins[EARLY ? ITEMS : 1];
#pragma unroll UNROLL
    for (int i = 0; i < ITEMS; i++) {
        if constexpr (EARLY) {
            bins[i] = anyBin(i);
        }
        shared.count(min(static_cast<uint32_t>(EARLY ? bins[EARLY ? i : 0] : anyBin(i)), static_cast<uint32_t>(BINS)));
    }
    __syncthreads();
    ItemBits bits{0, 0, FoundBin::of(shared, listed - leading - trailing)};
#pragma unroll UNROLL
    for (int i = 0; i < ITEMS; i++) {
        const int bin = EARLY ? bins[EARLY ? i : 0] : anyBin(i);
        bits.kept |= bin < bits.found.bin ? 1u << i : 0;
        bits.inside |= bin == bits.found.bin ? 1u << i : 0;
    }
    if (__builtin_expect(bits.found.inside > SELECT_MEMBERS, false)) {
        bits = narrowBin(shared, held, own, bits);
    }

    // Where to cut.
    forItems<SIZE>(bits.inside, [&](int i) {
        shared.members[atomicAdd(&shared.memberCount, 1u)] = entryRank(own.keyAt(i), held.entry(i));
    });
    const int total = __reduce_add_sync(0xffffffffu, __popc(bits.kept));
    if (lane == 0) {
        shared.totals[warp] = total;
    }
    __syncthreads();
    const int members = bits.found.inside;
    for (int m = warp; m < members; m += WARPS) {
        const uint64_t one = shared.members[m];
        uint32_t better = 0;
        int i = lane;
        do {
            better += __popc(__ballot_sync(0xffffffffu, i < members && shared.members[i] > one));
            i += 32;
        } while (i - lane < members);
        if (lane == 0 && better + 1 == bits.found.wanted) {
            shared.cut = one;
        }
    }
    int place = __reduce_add_sync(0xffffffffu, lane < warp ? shared.totals[lane] : 0);   // of the warp's first
    __syncthreads();
    const uint64_t cut = shared.cut;
    int member = lane;
    do {
        const uint64_t one = member < members ? shared.members[member] : 0;
        const bool isBefore = static_cast<uint32_t>(one) > ~static_cast<uint32_t>(held.warpFrom);
        place += __popc(__ballot_sync(0xffffffffu, one >= cut && isBefore));
        member += 32;
    } while (member - lane < members);
    forItems<SIZE>(bits.inside, [&](int i) {
        bits.kept |= entryRank(own.keyAt(i), held.entry(i)) >= cut ? 1u << i : 0;
    });

    const auto forKept = [&](const auto& body) {
        int rowPlace = place;
#pragma unroll UNROLL / SIDE
        for (int row = 0; row < Items::ROWS; row++) {
            const uint32_t those = bits.kept >> row * SIDE & ((1 << SIDE) - 1);
            int to;
            if constexpr (SIDE == 1) {
                to = rowPlace + __popc(__ballot_sync(0xffffffffu, those) & ((1u << lane) - 1));
            } else {
                const int upTo = warpScan(__popc(those));
                to = rowPlace + upTo - __popc(those);
                if (row + 1 < Items::ROWS) {
                    rowPlace += __shfl_sync(0xffffffffu, upTo, 31);
                }
            }
            forItems<SIZE>(those, [&](int i) { body(row * SIDE + i, to++); });
        }
    };
    if constexpr (EARLY) {
        forKept([&](int i, int to) {
            listPages[to] = pick<SIZE>(pages, i);
            if constexpr (LISTED) {
                listIndices[to] = pick<SIZE>(indices, i);
            } else {
                listIndices[to] = visible.firstPage + held.entry(i);
            }
        });
    } else {
        // In stage 2 what is written is what was read: all of it must have been read before.
        const auto move = [&](const int* from, int* to) {
#pragma unroll UNROLL
            for (int i = 0; i < ITEMS; i++) {
                pages[i] = bits.kept >> i & 1 ? from[held.entry(i)] : 0;
            }
            __syncthreads();
            forKept([&](int i, int place) { to[place] = pick<SIZE>(pages, i); });
        };
        move(LISTED ? listPages : table, listPages);
        if constexpr (LISTED) {
            move(listIndices, listIndices);
        } else {
            forKept([&](int i, int to) { listIndices[to] = visible.firstPage + held.entry(i); });
        }
    }
    if (threadIdx.x == 0 && !(bits.kept & 1)) {
        args.lists.first[list] = 0;
    }
    if constexpr (!LISTED) {
        readWhole(args.lists, at, listed);
    }
}

/** The list of all visible pages. */
__device__ __noinline__ void listAll(const SelectionArgs& args, int entry, int list) {
    const VisiblePages visible(args, entry);
    const int* const table = pageTable(args, entry) + visible.firstPage;
    const PageLists& lists = args.lists;
    const size_t at = static_cast<size_t>(list) * lists.stride;
#pragma unroll 4
    for (int e = threadIdx.x; e < visible.count; e += blockDim.x) {
        lists.pages[at + e] = table[e];
        lists.indices[at + e] = visible.firstPage + e;
    }
    readWhole(lists, at, visible.count);
    if (threadIdx.x == 0) {
        const bool any = visible.count > 0;
        lists.counts[list] = visible.count;
        lists.first[list] = any ? visible.firstListSlot(visible.firstPage, args.pageSize) : 0;
        lists.last[list] = any ? visible.lastListSlot(visible.count, args.pageSize) : 0;
    }
}

template <int SIZE, bool LISTED>
__device__ __forceinline__ void selectPages(const SelectionArgs& args) {
    __shared__ SelectShared<SIZE> shared;
    const int entry = blockIdx.y, list = entry * args.kvHeads + blockIdx.x;
    const RowMethod& method = args.methods[entry];
    const VisiblePages visible(args, entry);
    const int leading = visible.leadingForced(method, args.pageSize), trailing = visible.trailingForced(method, args.pageSize);
    const int ofFirst = VisiblePages::keptPages(method.rank1, method.pages1, visible.count, leading + trailing);
    const int ranked = LISTED ? ofFirst : visible.count;
    const int listed = LISTED ? VisiblePages::keptPages(method.rank2, method.pages2, ofFirst, leading + trailing) : ofFirst;
    const int* table = nullptr;
    if constexpr (!LISTED) {
        table = pageTable(args, entry) + visible.firstPage;
        asm volatile("" ::"l"(table));   // what it takes is loaded with the rest
    }
    const bool reused = !LISTED && method.rank1 == RANK_REUSED;
    if (__builtin_expect(listed >= ranked || reused, false)) {
        waitForPreviousKernel();
        letNextKernelStart();
        if (!LISTED && !reused) {
            listAll(args, entry, list);
        }
        return;
    }
    cutList<SIZE, LISTED>(args, visible, table, list, LISTED ? method.rank2 : method.rank1, ranked, listed, leading, trailing, shared);
}

#define SELECT_KERNELS(SIZE)                                                                                             \
    extern "C" __global__ void __launch_bounds__(selectThreads(SIZE), 1)                                                 \
            select_pages_##SIZE(const __grid_constant__ SelectionArgs args) {                                            \
        selectPages<SIZE, false>(args);                                                                                  \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(selectThreads(SIZE), 1)                                                 \
            select_again_##SIZE(const __grid_constant__ SelectionArgs args) {                                            \
        selectPages<SIZE, true>(args);                                                                                   \
    }

SELECT_KERNELS(512)
SELECT_KERNELS(2048)
SELECT_KERNELS(4096)
SELECT_KERNELS(8192)
SELECT_KERNELS(32768)

#undef SELECT_KERNELS

}  // namespace skim::sparse
