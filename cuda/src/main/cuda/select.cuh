/*
 * Page selection: makes the list of pages that an entry's query group reads of a KV head, from the scores of selection.cuh's
 * ranked pages. Both kernels take SelectionArgs.
 *
 *   select_pages   (stage 1) writes the list from the page table: all visible pages where rank1 is off or the budget has room
 *                  for all of them, else the pages1 best
 *   select_again   (stage 2) shortens the list in place to its pages2 best; leaves it alone where rank2 is off or it is short
 *                  enough
 *
 * Kept are forced pages and the best others; of equal ones the first; in the order of the sequence. Where forced pages fill the
 * budget, one other is kept.
 *
 * Work split: grid = (kvHeads, batch), one CTA for each list; block = selectThreads(most pages of a list). Warps that a shorter
 * list does not need leave at once: it is instructions that take the time. A warp holds consecutive entries, 32 a register, so
 * that loads are coalesced and one scan over the warps' counts gives every kept entry its place. Where to cut is found by a
 * histogram over the scores' distances from the best, in shared memory, and if need be one over the bin of the cut; what falls into
 * the bin is ranked by counting, as few entries are at once. Where that is too much (many equal scores), a radix select over the scores as
 * ordered integers finds the cut, 11 + 11 + 10 bits from the top. Forced pages, the first and the last of a list, take part with the
 * greatest key of all. Nothing depends on the order in which threads run.
 *
 * A list that is cut may have up to SELECT_MAX_PAGES ranked pages.
 */
#pragma once

#include "cache.cuh"
#include "selection.cuh"

namespace skim::sparse {

constexpr int SELECT_MAX_PAGES = 32 * 1024;

/** Threads of a CTA. */
constexpr int selectThreads(int maxPages) { return maxPages <= 4096 ? 512 : 1024; }

constexpr int SELECT_MAX_GROUP = 32;

// ---- scans ----

/** Inclusive, over the lanes of a warp. */
template <class T>
__device__ inline T warpScan(T x) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const T lower = __shfl_up_sync(0xffffffffu, x, step);
        x += lane >= step ? lower : 0;
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

__device__ inline float orderedValue(uint32_t key) { return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key); }

// ---- a list ----

/** A list's candidates: ranked pages with scores. */
struct RankedPages {
    int list;
    int count;              // entries, the page being filled the last
    int pages;              // how many to keep
    int rank;
    int leading, trailing;  // entries that are forced
    VisiblePages visible;
    const int* table;       // stage 1: physical pages of the entries

    __device__ int wanted() const { return max(1, pages - leading - trailing) + leading + trailing; }
    __device__ bool isForced(int entry) const { return entry < leading || entry >= count - trailing; }
};

constexpr int SELECT_BINS = 2048, SELECT_MEMBERS = 128;

struct SelectShared {
    alignas(16) uint32_t bins[SELECT_BINS];         // from the greatest score down
    uint2 members[SELECT_MEMBERS];      // key and entry of what lies in the bin of the cut
    int memberCount;
    uint2 cut;
    BinSearch<uint32_t> search;
    float2 references[SELECT_MAX_GROUP];   // and the head's best score relative to it
    int totals[2][32];
};

constexpr uint32_t FORCED_KEY = ~0u;    // 0: no entry

/** Where keys are in a histogram, from the greatest down: forced ones in bin 0, the others by the distance from the best score. */
struct ScoreBins {
    static constexpr int SHIFT = 16;   // 128 bins an octave of 1 + distance
    float best;

    __device__ uint32_t distance(uint32_t key) const {
        const float score = orderedValue(key), distance = score == score ? fmaxf(0.f, best - score) : INFINITY;
        return __float_as_uint(1.f + distance) - __float_as_uint(1.f);
    }

    __device__ int bin(uint32_t key) const {
        return key == FORCED_KEY ? 0 : 1 + min(SELECT_BINS - 2, static_cast<int>(distance(key) >> SHIFT));
    }

    /** Of a key in a bin that is not the first or the last, where it is in this bin. */
    __device__ int subBin(uint32_t key) const {
        static_assert(SELECT_BINS == 1 << 11, "as many");
        return distance(key) >> (SHIFT - 11) & (SELECT_BINS - 1);
    }
};

/** A cut as (key, entry): kept are greater keys, and equal ones up to the entry. */
__device__ inline bool isKept(uint32_t key, int entry, uint2 cut) {
    return key > cut.x || (key == cut.x && entry <= static_cast<int>(cut.y));
}

__device__ inline float warpMaximum(float x) { return orderedValue(__reduce_max_sync(0xffffffffu, orderedKey(x))); }

/**
 * What scores of a head are relative to, and the greatest of them relative to it. They are so to the greatest, or to the logarithm of
 * the sum of exponentials. By a warp.
 */
__device__ inline float2 headReference(const float2* chunks, int count, bool share) {
    constexpr int OWN = 4;
    const int lane = threadIdx.x % 32;
    float top = -INFINITY, sum = 0.f;
    for (int from = 0; from < count; from += 32 * OWN) {
        float2 own[OWN];
        float maximum = top;
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const int c = from + 32 * i + lane;
            own[i] = c < count ? __ldcg(chunks + c) : make_float2(-INFINITY, 0.f);
        }
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            maximum = fmaxf(maximum, own[i].x);
        }
        maximum = warpMaximum(maximum);
        if (share && maximum > -INFINITY) {
            sum *= __expf(top - maximum);
#pragma unroll
            for (int i = 0; i < OWN; i++) {
                sum += own[i].x == -INFINITY ? 0.f : own[i].y * __expf(own[i].x - maximum);
            }
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

/** Entries that this thread holds: item i is entry from + 32 * i, if 32 * i is below left. */
struct Held {
    int from;
    int left;

    __device__ Held(int count, int threads) {
        const int items = (count + threads - 1) / threads;
        const int warpFrom = static_cast<int>(threadIdx.x / 32) * items * 32, lane = threadIdx.x % 32;
        from = warpFrom + lane;
        left = min(count, warpFrom + items * 32) - from;
    }

    __device__ int entry(int item) const { return from + 32 * item; }
    __device__ bool has(int item) const { return 32 * item < left; }
};

/** The cut that keeps `wanted` entries, fewer than there are, by radix select. */
template <int THREADS, int ITEMS>
__device__ uint2 radixCut(SelectShared& shared, const uint32_t (&keys)[ITEMS], const Held& held, uint32_t wanted) {
    BinSearch<uint32_t>& search = shared.search;
    uint32_t prefix = 0, missing = wanted;
    for (int shift = 21;;) {
        const int bits = shift == 0 ? 10 : 11;
        __syncthreads();
        for (int bin = threadIdx.x; bin < SELECT_BINS; bin += THREADS) {
            shared.bins[bin] = 0;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            if (keys[i] != 0 && static_cast<uint32_t>(static_cast<uint64_t>(keys[i]) >> (shift + bits)) == prefix) {
                atomicAdd(&shared.bins[(1 << bits) - 1 - (keys[i] >> shift & ((1 << bits) - 1))], 1u);
            }
        }
        __syncthreads();
        findCount<THREADS, SELECT_BINS>(search, shared.bins, missing);
        prefix = prefix << bits | ((1 << bits) - 1 - search.bin);
        missing -= search.before;
        if (missing == search.inside) {
            return make_uint2(max(1u, prefix << shift), 0x7fffffff);
        }
        if (shift == 0) {
            break;
        }
        shift = max(0, shift - 11);
    }
    // Of those that equal the last that is kept, the first `missing`.
    const int lane = threadIdx.x % 32;
    int own = 0;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        own += __popc(__ballot_sync(0xffffffffu, keys[i] == prefix));
    }
    int before = sumOfWarpsBefore<THREADS>(own, shared.totals[0]);
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        const uint32_t equal = __ballot_sync(0xffffffffu, keys[i] == prefix);
        if (keys[i] == prefix && before + __popc(equal & ((1u << lane) - 1)) + 1 == static_cast<int>(missing)) {
            shared.cut = make_uint2(prefix, held.entry(i));
        }
        before += __popc(equal);
    }
    __syncthreads();
    return shared.cut;
}

/** The cut that keeps `wanted` of the members: each is compared with all. */
template <int THREADS>
__device__ uint2 compareMembers(SelectShared& shared, int members, int wanted) {
    constexpr int LANES = THREADS / SELECT_MEMBERS;   // that share a member
    const int member = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    if (threadIdx.x / 32 * (32 / LANES) < members) {
        const uint2 own = shared.members[min(member, members - 1)];
        int before = 0;
#pragma unroll 4
        for (int i = lane; i < members; i += LANES) {
            const uint2 other = shared.members[i];
            before += other.x > own.x || (other.x == own.x && other.y < own.y);
        }
#pragma unroll
        for (int step = 1; step < LANES; step *= 2) {
            before += __shfl_xor_sync(0xffffffffu, before, step);
        }
        if (member < members && before == wanted - 1) {
            shared.cut = own;
        }
    }
    __syncthreads();
    return shared.cut;
}

/** The cut that keeps `wanted` entries, fewer than there are; their histogram is there. */
template <int THREADS, int ITEMS>
__device__ uint2 findCut(SelectShared& shared, const ScoreBins& bins, const uint32_t (&keys)[ITEMS], const Held& held,
                         uint32_t wanted) {
    BinSearch<uint32_t>& search = shared.search;
    findCount<THREADS, SELECT_BINS>(search, shared.bins, wanted);
    const int bin = search.bin;
    int members = search.inside, missing = wanted - search.before, subBin = -1;
    if (members > SELECT_MEMBERS && bin > 0 && bin < SELECT_BINS - 1) {
        __syncthreads();
        for (int b = threadIdx.x; b < SELECT_BINS; b += THREADS) {
            shared.bins[b] = 0;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            if (keys[i] != 0 && bins.bin(keys[i]) == bin) {
                atomicAdd(&shared.bins[bins.subBin(keys[i])], 1u);
            }
        }
        __syncthreads();
        findCount<THREADS, SELECT_BINS>(search, shared.bins, missing);
        subBin = search.bin;
        members = search.inside;
        missing -= search.before;
    }
    if (members > SELECT_MEMBERS) {
        return radixCut<THREADS, ITEMS>(shared, keys, held, wanted);
    }
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        if (keys[i] != 0 && bins.bin(keys[i]) == bin && (subBin < 0 || bins.subBin(keys[i]) == subBin)) {
            shared.members[atomicAdd(&shared.memberCount, 1)] = make_uint2(keys[i], held.entry(i));
        }
    }
    __syncthreads();
    return compareMembers<THREADS>(shared, members, missing);
}

/**
 * Cuts a list of up to THREADS * ITEMS entries. HEADS: heads whose scores are loaded at a time. LISTED: stage 2.
 */
template <int THREADS, int ITEMS, int HEADS, bool LISTED>
__device__ void selectList(const SelectionArgs& args, const RankedPages& ranked, SelectShared& shared) {
    constexpr bool EARLY = ITEMS <= 8;              // whether registers hold pages beside the scores
    constexpr int BLOCK = ITEMS > 16 ? 4 : ITEMS;   // items whose scores are loaded at a time
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, pageSize = args.pageSize;
    const Held held(ranked.count, THREADS);
    const size_t at = static_cast<size_t>(ranked.list) * args.lists.stride;
    const int* const fromPages = LISTED ? args.lists.pages + at : ranked.table;
    const int* const fromIndices = args.lists.indices + at;
    const float* const scores = args.scores + static_cast<size_t>(ranked.list) * args.group * args.scoreStride;

    // Loads first: scores of the first heads, pages, references.
    const int scored = min(held.left, ranked.count - 1 - held.from);   // the last has none
    float x[HEADS][BLOCK];
    const auto load = [&](int block, int head) {
        const float* row = scores + static_cast<size_t>(head) * args.scoreStride + held.entry(block * BLOCK);
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            if (head + h < args.group) {
#pragma unroll
                for (int i = 0; i < BLOCK; i++) {
                    x[h][i] = 32 * (block * BLOCK + i) < scored ? __ldcg(row + 32 * i) : -INFINITY;
                }
                row += args.scoreStride;
            }
        }
    };
    int pages[ITEMS], indices[LISTED && EARLY ? ITEMS : 1];
    const auto loadPages = [&] {
        if constexpr (EARLY) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++) {
                pages[i] = held.has(i) ? fromPages[held.entry(i)] : 0;
                if constexpr (LISTED) {
                    indices[i] = held.has(i) ? fromIndices[held.entry(i)] : 0;
                }
            }
        }
    };
#pragma unroll
    for (int i = 0; i < SELECT_BINS / THREADS; i++) {
        shared.bins[i * THREADS + threadIdx.x] = 0;
    }
    if (threadIdx.x == 0) {
        shared.memberCount = 0;
    }
    if (!LISTED) {
        loadPages();
    }
    waitForPreviousKernel();
    letNextKernelStart();
    load(0, 0);
    if (LISTED) {
        loadPages();
    }
    for (int head = warp; head < args.group; head += THREADS / 32) {
        const float2* chunks = args.references + (static_cast<size_t>(ranked.list) * args.group + head) * args.referenceStride;
        const float2 reference = headReference(chunks, scoreChunks(ranked.count - 1, scoreChunk(ranked.rank)), isShare(ranked.rank));
        if (lane == 0) {
            shared.references[head] = reference;
        }
    }
    __syncthreads();

    // A page counts as much as it does to the head that it means most to.
    float best[ITEMS];
#pragma unroll
    for (int block = 0; block < ITEMS / BLOCK; block++) {
#pragma unroll
        for (int i = 0; i < BLOCK; i++) {
            best[block * BLOCK + i] = -INFINITY;
        }
        if (block > 0) {
            load(block, 0);
        }
        for (int head = 0;;) {
#pragma unroll
            for (int h = 0; h < HEADS; h++) {
                if (head + h < args.group) {
                    const float reference = shared.references[head + h].x;
#pragma unroll
                    for (int i = 0; i < BLOCK; i++) {
                        best[block * BLOCK + i] = fmaxf(best[block * BLOCK + i], x[h][i] - reference);
                    }
                }
            }
            head += HEADS;
            if (head >= args.group) {
                break;
            }
            load(block, head);
        }
    }
    uint32_t keys[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        keys[i] = !held.has(i) ? 0 : ranked.isForced(held.entry(i)) ? FORCED_KEY : orderedKey(best[i]);
    }
    const int wanted = ranked.wanted();
    uint2 cut = make_uint2(1, 0x7fffffff);
    if (wanted < ranked.count) {
        if (ranked.count <= SELECT_MEMBERS) {
            if (held.has(0)) {
                shared.members[held.entry(0)] = make_uint2(keys[0], held.entry(0));
            }
            __syncthreads();
            cut = compareMembers<THREADS>(shared, ranked.count, wanted);
        } else {
            ScoreBins bins{shared.references[0].y};
            for (int head = 1; head < args.group; head++) {
                bins.best = fmaxf(bins.best, shared.references[head].y);
            }
#pragma unroll
            for (int i = 0; i < ITEMS; i++) {
                if (keys[i] != 0) {
                    atomicAdd(&shared.bins[bins.bin(keys[i])], 1u);
                }
            }
            __syncthreads();
            cut = findCut<THREADS, ITEMS>(shared, bins, keys, held, wanted);
        }
    }

    // Places.
    const uint32_t lanesBefore = (1u << lane) - 1;
    uint32_t kept = 0;   // bit i: item i
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        kept |= static_cast<uint32_t>(isKept(keys[i], held.entry(i), cut)) << i;
    }
    int own = 0;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        own += __popc(__ballot_sync(0xffffffffu, kept >> i & 1));
    }
    const int firstPlace = sumOfWarpsBefore<THREADS>(own, shared.totals[1]);
    const auto forKept = [&](const auto& body) {
        int place = firstPlace;
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            const uint32_t those = __ballot_sync(0xffffffffu, kept >> i & 1);
            if (kept >> i & 1) {
                body(i, place + __popc(those & lanesBefore));
            }
            place += __popc(those);
        }
    };
    // In stage 2 what is written is what was read: all of it must have been read before.
    if constexpr (EARLY) {
        forKept([&](int i, int to) { args.lists.pages[at + to] = pages[i]; });
    } else {
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            pages[i] = kept >> i & 1 ? fromPages[held.entry(i)] : 0;
        }
        __syncthreads();
        forKept([&](int i, int to) { args.lists.pages[at + to] = pages[i]; });
        if constexpr (LISTED) {
#pragma unroll
            for (int i = 0; i < ITEMS; i++) {
                pages[i] = kept >> i & 1 ? fromIndices[held.entry(i)] : 0;
            }
            __syncthreads();
        }
    }
    forKept([&](int i, int to) {
        int index = ranked.visible.firstPage + held.entry(i);
        if constexpr (LISTED) {
            index = EARLY ? indices[EARLY ? i : 0] : pages[i];
        }
        args.lists.indices[at + to] = index;
        if (!LISTED && args.lists.masks != nullptr) {
            args.lists.masks[at + to] = ~uint64_t{0};
        }
        if (!LISTED && args.lists.logWeights != nullptr) {
            args.lists.logWeights[at + to] = 0.f;
        }
        if (to == 0) {
            args.lists.first[ranked.list] = ranked.visible.firstListSlot(index, pageSize);
        }
    });
    if (threadIdx.x == 0) {
        const int listed = min(wanted, ranked.count);
        args.lists.counts[ranked.list] = listed;
        args.lists.last[ranked.list] = ranked.visible.lastListSlot(listed, pageSize);
    }
}

/** The list of all visible pages. */
__device__ inline void listAll(const SelectionArgs& args, int list, const VisiblePages& visible, const int* table) {
    const PageLists& lists = args.lists;
    const size_t at = static_cast<size_t>(list) * lists.stride;
#pragma unroll 4
    for (int e = threadIdx.x; e < visible.count; e += blockDim.x) {
        lists.pages[at + e] = table[e];
        lists.indices[at + e] = visible.firstPage + e;
        if (lists.masks != nullptr) {
            lists.masks[at + e] = ~uint64_t{0};
        }
        if (lists.logWeights != nullptr) {
            lists.logWeights[at + e] = 0.f;
        }
    }
    if (threadIdx.x == 0) {
        const bool any = visible.count > 0;
        lists.counts[list] = visible.count;
        lists.first[list] = any ? visible.firstListSlot(visible.firstPage, args.pageSize) : 0;
        lists.last[list] = any ? visible.lastListSlot(visible.count, args.pageSize) : 0;
    }
}

/** THREADS, ITEMS, HEADS: of lists of up to THREADS * ITEMS entries, as selectList takes them. */
template <int THREADS, int ITEMS, int HEADS, bool LISTED>
__device__ void selectBy(const SelectionArgs& args, const RankedPages& ranked, SelectShared& shared) {
    if (threadIdx.x < THREADS) {   // barriers do not wait for threads that have left
        selectList<THREADS, ITEMS, HEADS, LISTED>(args, ranked, shared);
    }
}

template <bool LISTED>
__device__ void selectPages(const SelectionArgs& args) {
    __shared__ SelectShared shared;
    const int entry = blockIdx.y, list = entry * args.kvHeads + blockIdx.x;
    const RowMethod& method = args.methods[entry];
    const VisiblePages visible(args, entry);
    const int rank = LISTED ? method.rank2 : method.rank1, pages = LISTED ? method.pages2 : method.pages1;
    const int count = LISTED ? visible.listedPages(method, args.pageSize) : visible.count;
    const int leading = visible.leadingForced(method, args.pageSize), trailing = visible.trailingForced(method, args.pageSize);
    const int* table = pageTable(args, entry) + visible.firstPage;
    if (rank == RANK_NONE || pages >= count || count <= 1) {
        waitForPreviousKernel();
        letNextKernelStart();
        if (!LISTED) {
            listAll(args, list, visible, table);
        }
        return;
    }
    const RankedPages ranked{list, count, pages, rank, leading, trailing, visible, table};
    if (count <= 512) {
        selectBy<512, 1, 4, LISTED>(args, ranked, shared);
    } else if (count <= 2048) {
        selectBy<512, 4, 2, LISTED>(args, ranked, shared);
    } else if (count <= 4096) {
        selectBy<512, 8, 1, LISTED>(args, ranked, shared);
    } else if (count <= 8192) {
        selectBy<1024, 8, 1, LISTED>(args, ranked, shared);
    } else {
        selectBy<1024, 32, 1, LISTED>(args, ranked, shared);
    }
}

extern "C" __global__ void __launch_bounds__(1024, 1) select_pages(const __grid_constant__ SelectionArgs args) {
    selectPages<false>(args);
}

extern "C" __global__ void __launch_bounds__(1024, 1) select_again(const __grid_constant__ SelectionArgs args) {
    selectPages<true>(args);
}

}  // namespace skim::sparse
