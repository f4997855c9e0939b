/*
 * Page selections that serve several tokens of a sequence, in place of scores and selections of their own:
 *
 *   reuse_pages   (after stages 1 and 2) where RowMethod::kept says so, copies the list to a slot, or makes the list from what a
 *                 token before left in its slot: those pages, and the ones that were begun since.
 *
 * Work split: grid = (kvHeads, batch), one CTA for each list, block = REUSE_THREADS.
 */
#pragma once

#include "select.cuh"

namespace skim::sparse {

constexpr int REUSE_THREADS = 256;

struct ReuseArgs {
    SelectionArgs selection;
    int* counts;       // [slot][kvHead] pages, of the layer
    int* indices;      // [slot][kvHead][stride] their places in the page table
    int stride;
    int listsOthers;   // whether the lists of other entries, which read everything, are still to be made
};

/** The list of a slot's pages and newer ones. They are loaded before the previous kernel has ended: an earlier step wrote them. */
__device__ inline void listKept(const SelectionArgs& args, int entry, int list, const int* kept, int keptCount) {
    constexpr int SIDE = 4;
    const VisiblePages visible(args, entry);
    const int* const table = pageTable(args, entry);
    const int oldest = kept[0], newest = kept[keptCount - 1];
    const int count = keptCount + visible.firstPage + visible.count - 1 - newest;
    const PageLists& lists = args.lists;
    const size_t at = static_cast<size_t>(list) * lists.stride;
    for (int from = 0; from < count; from += SIDE * REUSE_THREADS) {
        int indices[SIDE], pages[SIDE];
#pragma unroll
        for (int i = 0; i < SIDE; i++) {
            const int e = from + i * REUSE_THREADS + threadIdx.x;
            indices[i] = e < keptCount ? kept[e] : newest + e - keptCount + 1;
            pages[i] = e < count ? table[indices[i]] : 0;
        }
        if (from == 0) {
            waitForPreviousKernel();
            letNextKernelStart();
        }
#pragma unroll
        for (int i = 0; i < SIDE; i++) {
            const int e = from + i * REUSE_THREADS + threadIdx.x;
            if (e < count) {
                lists.pages[at + e] = pages[i];
                lists.indices[at + e] = indices[i];
            }
        }
    }
    readWhole(lists, at, count);
    if (threadIdx.x == 0) {
        lists.counts[list] = count;
        lists.first[list] = visible.firstListSlot(oldest, args.pageSize);
        lists.last[list] = visible.lastListSlot(count, args.pageSize);
    }
}

extern "C" __global__ void __launch_bounds__(REUSE_THREADS) reuse_pages(const __grid_constant__ ReuseArgs args) {
    const SelectionArgs& selection = args.selection;
    const int entry = blockIdx.y, list = entry * selection.kvHeads + blockIdx.x, kept = selection.methods[entry].kept;
    const size_t slot = static_cast<size_t>(abs(kept) - 1) * selection.kvHeads + blockIdx.x;
    int* const indices = args.indices + slot * args.stride;
    if (kept < 0) {
        listKept(selection, entry, list, indices, args.counts[slot]);
        return;
    }
    waitForPreviousKernel();
    letNextKernelStart();
    if (kept > 0) {
        const int count = selection.lists.counts[list];
        const int* const listed = selection.lists.indices + static_cast<size_t>(list) * selection.lists.stride;
        for (int e = threadIdx.x; e < count; e += REUSE_THREADS) {
            indices[e] = listed[e];
        }
        if (threadIdx.x == 0) {
            args.counts[slot] = count;
        }
    } else if (args.listsOthers) {
        listAll(selection, entry, list);
    }
}

}  // namespace skim::sparse
