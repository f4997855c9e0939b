/*
 * What the kernels of sparse attention share: how a step's entries select, the lists of pages they make, and the scores between
 * them. A step decodes one token for each of its batch entries; an entry has a list for each KV head, list = entry * kvHeads +
 * kvHead. All of it runs within one graph: grids are fixed, what varies is read from device memory.
 *
 *   score   rank 1: scores of the pages of the page table that the entry sees; rank 2: of those on the list
 *   select  keeps the best, those that are forced among them
 *   reuse   instead of both: the pages that a token before ranked highest, and newer ones
 *   top-p   lists the fewest tokens that hold a share p
 *   sample  adds a weighted sample of what is left out
 *   attend  attend.cuh
 *
 * An entry sees the slots [first, last) of its sequence, thus the pages first / pageSize to (last - 1) / pageSize of its page
 * table. The last of them is being filled: it has no page data, hence no score, and is always read. A stage that ranks has
 * "ranked pages": rank 1 the visible ones, entry e = page first / pageSize + e of the table; rank 2 the list's. Entries 0 to
 * ranked - 2 have scores.
 *
 *   scores      [list][group head][scoreStride]      of entry e
 *   references  [list][group head][referenceStride]  of each chunk of scoreChunk() entries, as far as they have scores: x the
 *               greatest score; y = sum of exp(score - x) where scores are shares
 * A page counts as much as it does to the head of the group that it means most to: max over the heads of score - reference(head),
 * where reference = the greatest score of all entries, or, if scores are shares (logarithms of a page's sum of exponentials),
 * log of the sum of exp(score) over all entries.
 */
#pragma once

#include <cstdint>

namespace skim::sparse {

// ---- methods ----

/** Written by the host for each step. */
struct alignas(16) RowMethod {
    int rank1;        // Rank of all visible pages
    int pages1;       // how many are kept, forced ones and the page being filled included; no fewer than there are: all
    int rank2;        // Rank of what is left
    int pages2;
    float topP;       // >= 1: none
    int exactLogits;  // of top-p: from the keys themselves, not from INT4 keys
    int sinks;        // first tokens that are always read
    int recent;       // last tokens that are always read
    float epsilon;    // of the sample; 0: no sample
    float z;          // quantile of the normal distribution at 1 - delta / 2
    float pilot;      // share of the rest
    int verify;       // Verify
    uint64_t seed;
    int step;         // position of the token, for random numbers
    int kept;         // k > 0: the list goes to slot k - 1 for the tokens after this one; k < 0: comes from slot -k - 1, rank1 being REUSED
};
static_assert(sizeof(RowMethod) == 64, "as Java writes it");

enum Rank {
    RANK_NONE = 0, RANK_BOUNDS, RANK_MOMENTS, RANK_SKETCH, RANK_INT4, RANK_LABELS, RANK_EXACT, RANK_RANDOM, RANK_BOUNDS8,
    RANK_MOMENTS8,
    RANK_REUSED   // by a token before: pages1 is the exact number
};

enum Verify { VERIFY_DENOMINATOR = 0, VERIFY_NUMERATOR, VERIFY_BOTH };

/** Whether scores are logarithms of sums of exponentials, or else just numbers. */
__host__ __device__ constexpr bool isShare(int rank) {
    return rank == RANK_SKETCH || rank == RANK_INT4 || rank == RANK_LABELS || rank == RANK_EXACT;
}

// ---- lists ----

/** Lists as attention reads them. Entry e of a list covers the list's slots e * pageSize .... */
struct PageLists {
    int* pages;         // [list][stride] physical pages in the order of the sequence
    int* indices;       // [list][stride] their places in the page table
    int* counts;        // [list]
    int* first;         // [list] visible are the list's slots [first, last) ...
    int* last;          // [list]
    uint64_t* masks;    // [list][stride] ... and of them the tokens of these masks; nullable: all
    float* logWeights;  // [list][stride] added to the logits of an entry's tokens; nullable: 0
    int stride;         // a multiple of 4, as scoreStride is
};

/** What all kernels of selection are given. */
struct SelectionArgs {
    const RowMethod* methods;  // [entry]
    const int* first;          // [entry] first slot of the sequence that the token sees; nullable: 0
    const int* last;           // [entry] one past the last, the token's own; 0: there is no such entry
    const int* sequences;      // [entry] row of pageTables; nullable: the same
    const int* pageTables;     // [sequence][tableStride]
    int tableStride;
    int pageSize;              // 16, 32 or 64
    int kvHeads;
    int group;                 // query heads per KV head
    int layer;                 // of the model, for random numbers
    const float* q;            // [row][qStride], head h at column h * D; not scaled
    int qStride;
    const int* rowIndex;       // [entry] row of q; nullable: the same
    float scale;               // of logits: 1 / sqrt(D)
    PageLists lists;
    float* scores;
    int scoreStride;
    float2* references;
    int referenceStride;
};

constexpr int SCORE_CHUNK = 64, SCORE_CHUNK_INT4 = 16;

/** Entries that have a reference together: as many as the warps that score them have at a time. */
__host__ __device__ constexpr int scoreChunk(int rank, int pageSize) {
    return rank == RANK_INT4 || rank == RANK_LABELS ? SCORE_CHUNK_INT4
            : rank == RANK_EXACT || rank == RANK_RANDOM || pageSize == 16 ? SCORE_CHUNK
            : pageSize == 32 ? SCORE_CHUNK / 2 : SCORE_CHUNK / 4;
}

/** @param chunk SCORE_CHUNK, a half or a quarter of it: divisions are by constants */
__host__ __device__ constexpr int scoreChunks(int scored, int chunk) {
    const int quarters = (scored + chunk - 1) / (SCORE_CHUNK / 4);
    return chunk == SCORE_CHUNK ? quarters / 4 : chunk == SCORE_CHUNK / 2 ? quarters / 2 : quarters;
}

/** The binary logarithm of a page's tokens: a shift takes fewer instructions than a division. */
__device__ inline int pageShift(int pageSize) { return 31 - __clz(pageSize); }

/** The pages of its table that an entry sees. */
struct VisiblePages {
    int first;      // slot
    int last;       // slot, one past the last
    int firstPage;
    int count;      // 0: there is no such entry

    __device__ VisiblePages(const SelectionArgs& args, int entry) {
        last = args.last[entry];
        first = args.first == nullptr ? 0 : args.first[entry];
        firstPage = first >> pageShift(args.pageSize);
        count = last <= 0 ? 0 : (last - 1 >> pageShift(args.pageSize)) + 1 - firstPage;
    }

    /** First and end of the visible slots of a list: its first entry is page `index` of the table, its last the current. */
    __device__ int firstListSlot(int index, int pageSize) const { return index == firstPage ? first - firstPage * pageSize : 0; }
    __device__ int lastListSlot(int listed, int pageSize) const { return (listed - 1) * pageSize + (last - 1 & pageSize - 1) + 1; }

    /** The first and the last so many pages are read whatever their scores: sinks' and recent tokens', the page being filled. */
    __device__ int leadingForced(const RowMethod& method, int pageSize) const {
        return min(count, max(0, (method.sinks + pageSize - 1 >> pageShift(pageSize)) - firstPage));
    }
    __device__ int trailingForced(const RowMethod& method, int pageSize) const {
        const int recent = max(0, last - max(1, method.recent)) >> pageShift(pageSize);
        return max(0, firstPage + count - max(firstPage + leadingForced(method, pageSize), recent));
    }

    /** How many of `from` pages a stage keeps that may keep `pages`: forced ones, and one other at least. */
    static __device__ int keptPages(int rank, int pages, int from, int forced) {
        return rank == RANK_NONE || pages >= from ? from : min(from, max(1, pages - forced) + forced);
    }
    __device__ int keptPages(const RowMethod& method, int rank, int pages, int from, int pageSize) const {
        if (rank == RANK_NONE || pages >= from) {
            return from;
        }
        return keptPages(rank, pages, from, leadingForced(method, pageSize) + trailingForced(method, pageSize));
    }

    /** Entries of the list that stage 1 makes. */
    __device__ int listedPages(const RowMethod& method, int pageSize) const {
        return keptPages(method, method.rank1, method.pages1, count, pageSize);
    }

    /** Entries that stage 2 leaves. */
    __device__ int listedAgain(const RowMethod& method, int pageSize) const {
        return keptPages(method, method.rank2, method.pages2, listedPages(method, pageSize), pageSize);
    }

    /** The tokens of page `index` of the table that are there and within the window. */
    __device__ uint64_t visibleTokens(int index, int pageSize) const;
};

__device__ inline const int* pageTable(const SelectionArgs& args, int entry) {
    const int sequence = args.sequences == nullptr ? entry : args.sequences[entry];
    return args.pageTables + static_cast<size_t>(sequence) * args.tableStride;
}

/** The entry's query heads of a KV head, [group][D]. */
__device__ inline const float* queries(const SelectionArgs& args, int entry, int kvHead, int dimensions) {
    const int row = args.rowIndex == nullptr ? entry : args.rowIndex[entry];
    return args.q + static_cast<size_t>(row) * args.qStride + static_cast<size_t>(kvHead) * args.group * dimensions;
}

/** The mask of tokens [from, end) of a page. */
__device__ inline uint64_t tokenRange(int from, int end) {
    return from >= end ? 0 : ~uint64_t{0} >> (64 - (end - from)) << from;
}

__device__ inline uint64_t VisiblePages::visibleTokens(int index, int pageSize) const {
    const int slot = index * pageSize;
    return tokenRange(max(0, first - slot), min(pageSize, last - slot));
}

// ---- page data ----

/*
 * Data of whole pages, one array a layer: block (page, KV head) begins at base + (page * kvHeads + kvHead) * bytes.
 *   INT4    levels [pageSize][channels / 2]: nibble c (from the lowest bits of byte c / 2) is the level of channel c; then a word
 *           for each token: scale (lower half) and minimum (upper half) as bf16; key = scale * level + minimum.
 *           `channels` is D, or for label channels their number rounded up to 16 (padded with level 0).
 * For the others see pagedata.cuh.
 */
__host__ __device__ constexpr int int4BlockBytes(int channels, int pageSize) { return pageSize * (channels / 2 + 4); }

__host__ __device__ constexpr int int4PairOffset(int channels, int pageSize) { return pageSize * channels / 2; }

// ---- random numbers ----

/** Counter-based: a hash of key and counter (SplitMix64's finaliser), the numbers of the CPU's CounterRandom. */
struct CounterRandom {
    static constexpr uint64_t GAMMA = 0x9E3779B97F4A7C15ull;
    uint64_t key;

    __device__ CounterRandom(uint64_t seed, int step, int layer, int kvHead) {
        key = mix(seed + GAMMA);
        key = mix(key ^ static_cast<uint64_t>(static_cast<int64_t>(step)) * GAMMA);
        key = mix(key ^ (static_cast<uint64_t>(layer) << 32 | static_cast<uint32_t>(kvHead)) * GAMMA);
    }

    /** The counter's number in [0, bound). */
    __device__ int nextBelow(uint64_t counter, int bound) const {
        return static_cast<int>((mix(key + counter * GAMMA) >> 32) * bound >> 32);
    }

    static __device__ uint64_t mix(uint64_t z) {
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 27) * 0x94D049BB133111EBull;
        return z ^ z >> 31;
    }
};

}  // namespace skim::sparse
