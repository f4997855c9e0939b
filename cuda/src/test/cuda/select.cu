/*
 * Test and benchmark of select.cuh and topp.cuh.
 *
 * Checks select_pages_<size> and select_again_<size> against sorting: random scores, many of them equal or nearly so, lists at the
 * sizes' borders beside short ones and longer ones that stay whole, random methods, windows, pages that must be kept, one stage and
 * two. Checks that reuse_pages leaves lists to later steps of longer sequences. Checks topp_logits_<KV>_<D> and topp_tokens against double: logits of stored
 * keys and of their INT4 copies, the share of the mass that is kept, the lists of tokens.
 * Measures the selection of pages, also by kernels of larger sizes and when their instructions are fetched anew, and the two steps of
 * top-p.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o select select.cu
 * Run:   select [test] [bench] [seed=NUMBER]    (both without a word)
 */
#include "../../main/cuda/reuse.cuh"
#include "../../main/cuda/topp.cuh"
#include "harness.cuh"

#include <memory>

using namespace harness;
using namespace harness::storage;
using namespace skim;
using namespace skim::sparse;

static std::mt19937_64 rng;
static int upTo(int n) {
    return (int)(rng() % n);
}
static float normal() {
    static std::normal_distribution<float> d;
    return d(rng);
}

typedef void (*SelectKernel)(const SelectionArgs);
struct SelectKernels {
    int size;
    SelectKernel pages, again;
};
static const SelectKernels selectKernels[] = {{512, select_pages_512, select_again_512}, {2048, select_pages_2048, select_again_2048},
        {4096, select_pages_4096, select_again_4096}, {8192, select_pages_8192, select_again_8192},
        {32768, select_pages_32768, select_again_32768}};
static_assert(sizeof selectKernels / sizeof *selectKernels == sizeof SELECT_SIZES / sizeof *SELECT_SIZES, "all sizes");

// ---- a step's state ----

struct Step {
    int batch, kvHeads, group, ps, tableStride, stride, lists;
    std::vector<RowMethod> methods;
    std::vector<int> first, last, sequences, table;
    Device<RowMethod> dMethods;
    Device<int> dFirst, dLast, dSequences, dTable, pages, indices, counts, lFirst, lLast;
    Device<uint64_t> masks;
    Device<float> logWeights, scores;
    Device<float2> references;
    int chunkStride;
    SelectionArgs args;
    Step(int batch, int kvHeads, int group, int ps, std::vector<RowMethod> m, std::vector<int> f, std::vector<int> l, bool extras,
            int pool)
            : batch(batch), kvHeads(kvHeads), group(group), ps(ps),
              tableStride(((*std::max_element(l.begin(), l.end()) + ps - 1) / ps + 6) & ~3), stride(tableStride + 4),
              lists(batch * kvHeads), methods(m), first(f), last(l), sequences(batch), table((size_t)batch * tableStride),
              dMethods(m), dFirst(f), dLast(l), dSequences(batch), dTable(table.size()), pages((size_t)lists * stride),
              indices((size_t)lists * stride), counts(lists), lFirst(lists), lLast(lists), masks((size_t)lists * stride),
              logWeights((size_t)lists * stride), scores((size_t)lists * group * tableStride),
              references((size_t)lists * group * (tableStride / SCORE_CHUNK_INT4 + 1)), chunkStride(tableStride / SCORE_CHUNK_INT4 + 1) {
        for (int b = 0; b < batch; b++) sequences[b] = batch - 1 - b;
        for (auto& p : table) p = upTo(pool);
        dSequences.put(sequences);
        dTable.put(table);
        memset(&args, 0, sizeof args);
        args.methods = dMethods.at;
        args.first = dFirst.at;
        args.last = dLast.at;
        args.sequences = dSequences.at;
        args.pageTables = dTable.at;
        args.tableStride = tableStride;
        args.pageSize = ps;
        args.kvHeads = kvHeads;
        args.group = group;
        args.lists = {pages.at, indices.at, counts.at, lFirst.at, lLast.at, extras ? masks.at : nullptr,
                extras ? logWeights.at : nullptr, stride};
        args.scores = scores.at;
        args.scoreStride = tableStride;
        args.references = references.at;
        args.referenceStride = chunkStride;
    }
    int firstPage(int b) const { return first[b] / ps; }
    int visible(int b) const { return last[b] <= 0 ? 0 : (last[b] - 1) / ps + 1 - firstPage(b); }
    bool forced(int b, int index) const {
        int slot = index * ps;
        return slot < methods[b].sinks || slot + ps > last[b] - std::max(1, methods[b].recent);
    }
    int physical(int b, int index) const { return table[(size_t)sequences[b] * tableStride + index]; }
};

static RowMethod method(int rank1, int pages1, int rank2, int pages2, float topP, int exact, int sinks, int recent) {
    RowMethod m;
    memset(&m, 0, sizeof m);
    m.rank1 = rank1;
    m.pages1 = pages1;
    m.rank2 = rank2;
    m.pages2 = pages2;
    m.topP = topP;
    m.exactLogits = exact;
    m.sinks = sinks;
    m.recent = recent;
    return m;
}

// Random scores with their references, for counts[l] ranked entries, of a stage.
static void makeScores(const Step& s, const std::vector<int>& counts, int stage, int kind, std::vector<float>& scores,
        std::vector<float2>& refs) {
    scores.assign(s.scores.n, NAN);
    refs.assign(s.references.n, make_float2(NAN, NAN));
    for (int l = 0; l < s.lists; l++)
        for (int g = 0; g < s.group; g++) {
            size_t row = (size_t)l * s.group + g;
            for (int e = 0; e + 1 < counts[l]; e++) {
                float x = normal() * 3 + g;
                if (kind == 1) x = floorf(x);           // many ties
                if (kind == 2) x = 1.5f;                // nothing but ties
                if (kind == 3) x = expf(3 * normal());  // peaked
                if (kind == 4 && upTo(3) == 0) x = -INFINITY;
                if (kind == 5) x = 1 + x * 1e-4f;       // near each other
                if (kind == 6) x = upTo(3) ? 1.5f : 1.5f + upTo(9) * 1e-6f;
                scores[row * s.tableStride + e] = x;
            }
            const RowMethod& method = s.methods[l / s.kvHeads];
            const int chunk = scoreChunk(stage == 1 ? method.rank1 : method.rank2, s.ps);
            for (int c = 0; c * chunk + 1 < counts[l]; c++) {
                float m = -INFINITY, sum = 0;
                int end = std::min(counts[l] - 1, (c + 1) * chunk);
                for (int e = c * chunk; e < end; e++) m = std::max(m, scores[row * s.tableStride + e]);
                for (int e = c * chunk; e < end; e++) sum += m == -INFINITY ? 0 : expf(scores[row * s.tableStride + e] - m);
                refs[row * s.chunkStride + c] = make_float2(m, sum);
            }
        }
}

struct Lists {
    std::vector<int> pages, indices, counts, first, last;
    std::vector<uint64_t> masks;
    std::vector<float> weights;
};
static Lists fetch(const Step& s) {
    return {s.pages.get(), s.indices.get(), s.counts.get(), s.lFirst.get(), s.lLast.get(), s.masks.get(), s.logWeights.get()};
}

// Expected entries of a stage: `in` are the table indices of the ranked entries. Returns a description of what is wrong.
static std::string checkStage(const Step& s, int l, const std::vector<int>& in, int rank, int pages,
        const std::vector<float>& scores, const Lists& out, bool extras) {
    int b = l / s.kvHeads, n = in.size();
    char text[200];
    size_t at = (size_t)l * s.stride;
    int count = out.counts[l];
    std::vector<int> got(out.indices.begin() + at, out.indices.begin() + at + std::max(0, std::min(count, s.stride)));
    std::vector<int> want;
    if (n == 0) return count == 0 && out.last[l] == 0 && out.first[l] == 0 ? "" : "absent entry";
    if (rank == RANK_NONE || pages >= n)
        want = in;
    else {
        std::vector<double> best(n, -INFINITY);
        std::vector<float> bestF(n, -INFINITY);
        for (int g = 0; g < s.group; g++) {
            const float* x = &scores[((size_t)l * s.group + g) * s.tableStride];
            float m = -INFINITY;
            double sum = 0;
            for (int e = 0; e < n - 1; e++) m = std::max(m, x[e]);
            for (int e = 0; e < n - 1; e++) sum += exp((double)x[e] - m);
            double ref = isShare(rank) ? m + log(sum) : m;
            for (int e = 0; e < n - 1; e++) {
                best[e] = std::max(best[e], x[e] - ref);
                bestF[e] = std::max(bestF[e], x[e] - m);
            }
        }
        std::vector<int> order;
        int f = 0;
        for (int e = 0; e < n; e++)
            if (s.forced(b, in[e]))
                f++;
            else
                order.push_back(e);
        int wanted = std::max(1, pages - f);
        if (wanted >= (int)order.size())
            want = in;
        else if (!isShare(rank)) {
            std::stable_sort(order.begin(), order.end(), [&](int a, int c) { return bestF[a] > bestF[c]; });
            std::vector<char> keep(n, 0);
            for (int i = 0; i < wanted; i++) keep[order[i]] = 1;
            for (int e = 0; e < n; e++)
                if (keep[e] || s.forced(b, in[e])) want.push_back(in[e]);
        } else {
            if (count != wanted + f) {
                snprintf(text, 200, "count %d want %d", count, wanted + f);
                return text;
            }
            double least = INFINITY, greatest = -INFINITY;
            size_t j = 0;
            for (int e = 0; e < n; e++) {
                bool kept = j < got.size() && got[j] == in[e];
                if (kept) {
                    j++;
                    want.push_back(in[e]);
                }
                if (s.forced(b, in[e])) {
                    if (!kept) return "forced page missing";
                } else if (kept)
                    least = std::min(least, best[e]);
                else
                    greatest = std::max(greatest, best[e]);
            }
            if (!(least >= greatest - 2e-5 - 1e-6 * fabs(greatest))) {
                snprintf(text, 200, "kept %g dropped %g", least, greatest);
                return text;
            }
        }
    }
    if (got != want) {
        snprintf(text, 200, "list of %d, want %zu of %d", count, want.size(), n);
        return text;
    }
    for (int i = 0; i < count; i++) {
        if (out.pages[at + i] != s.physical(b, got[i])) return "physical page";
        if (extras && (out.masks[at + i] != ~0ull || out.weights[at + i] != 0)) return "mask or weight";
    }
    if (out.first[l] != (got[0] == s.firstPage(b) ? s.first[b] % s.ps : 0)) return "first";
    if (out.last[l] != (count - 1) * s.ps + (s.last[b] - 1) % s.ps + 1) return "last";
    return "";
}

static void testSelect(const SelectKernels& kernels, int cases) {
    int bad = 0, checked = 0;
    const int size = kernels.size;
    const std::string name = "select, " + std::to_string(size);
    for (int c = 0; c < cases; c++) {
        static const int groups[] = {1, 2, 4, 8, 5, 12, 3};
        const int limits[] = {size, size - 1, size / 2 + 1, size / 2, 5, 33, 129, size / 4 * 3, 1 + upTo(size), size};
        int batch = 1 + upTo(6), kvHeads = 1 + upTo(3), group = groups[c % 7], ps = 16 << upTo(3), limit = limits[c % 10];
        bool extras = upTo(2);
        std::vector<RowMethod> m;
        std::vector<int> first, last;
        for (int b = 0; b < batch; b++) {
            const bool whole = b == 4;
            int n = b == 0 ? limit : b == 1 ? 1 + upTo(std::min(limit, 40)) : whole ? size + upTo(size) : 1 + upTo(limit);
            int skip = b != 0 && upTo(3) == 0 ? upTo(n * ps) : 0;
            last.push_back(upTo(4) ? std::max(1, n * ps - upTo(ps)) : n * ps);
            first.push_back(std::min(skip, last.back() - 1));
            if (b == 3) last.back() = first.back() = 0;
            static const int ranks[] = {RANK_NONE, RANK_BOUNDS, RANK_SKETCH, RANK_MOMENTS, RANK_EXACT, RANK_RANDOM};
            int seen = (last.back() + ps - 1) / ps - first.back() / ps;
            int budget = upTo(4) == 0 ? upTo(10) : upTo(3) == 0 ? seen - 1 - upTo(3) : 1 + upTo(std::max(1, seen));
            if (b == 0 && c % 10 == 9) budget = seen - 1;   // stage 2, too, has the longest list
            int second = upTo(2) && !whole ? RANK_INT4 : RANK_NONE;
            m.push_back(method(ranks[b == 0 ? 1 + upTo(2) : whole ? 0 : upTo(6)], budget, second, 1 + upTo(std::max(1, budget)), 1, 0,
                    upTo(100), upTo(200)));
        }
        Step s(batch, kvHeads, group, ps, m, first, last, extras, 100000);
        std::vector<float> scores;
        std::vector<float2> refs;
        std::vector<int> counts(s.lists);
        int kind = upTo(7);
        for (int l = 0; l < s.lists; l++) counts[l] = s.visible(l / kvHeads);
        makeScores(s, counts, 1, kind, scores, refs);
        s.scores.put(scores);
        s.references.put(refs);
        kernels.pages<<<dim3(kvHeads, batch), selectThreads(size)>>>(s.args);
        CHECK(cudaGetLastError());
        CHECK(cudaDeviceSynchronize());
        Lists a = fetch(s);
        for (int l = 0; l < s.lists; l++) {
            int b = l / kvHeads;
            std::vector<int> in;
            for (int e = 0; e < s.visible(b); e++) in.push_back(s.firstPage(b) + e);
            std::string wrong = checkStage(s, l, in, m[b].rank1, m[b].pages1, scores, a, extras);
            checked++;
            if (!wrong.empty() && bad++ < 8)
                printf("FAIL %s stage 1 case %d list %d group %d pages %zu rank %d keep %d kind %d: %s\n", name.c_str(), c, l, group,
                        in.size(), m[b].rank1, m[b].pages1, kind, wrong.c_str());
        }
        if (bad) break;
        makeScores(s, a.counts, 2, kind, scores, refs);
        s.scores.put(scores);
        s.references.put(refs);
        kernels.again<<<dim3(kvHeads, batch), selectThreads(size)>>>(s.args);
        CHECK(cudaGetLastError());
        CHECK(cudaDeviceSynchronize());
        Lists d = fetch(s);
        for (int l = 0; l < s.lists; l++) {
            int b = l / kvHeads;
            size_t at = (size_t)l * s.stride;
            std::vector<int> in(a.indices.begin() + at, a.indices.begin() + at + a.counts[l]);
            std::string wrong = checkStage(s, l, in, m[b].rank2, m[b].pages2, scores, d, extras);
            checked++;
            if (!wrong.empty() && bad++ < 8)
                printf("FAIL %s stage 2 case %d list %d group %d listed %zu rank %d keep %d kind %d: %s\n", name.c_str(), c, l, group,
                        in.size(), m[b].rank2, m[b].pages2, kind, wrong.c_str());
        }
    }
    printf("%s %s: %d lists in %d cases\n", bad ? "FAIL" : "ok  ", name.c_str(), checked, cases);
    failures += bad;
}

// ---- reuse ----

// Lists that go to slots in a step and come from them in another, in which the sequences have grown by some tokens; beside them an
// entry that does neither, which reads everything where the kernel is to list that.
static void testReuse(int cases) {
    int bad = 0, checked = 0;
    for (int c = 0; c < cases; c++) {
        int batch = 2 + upTo(5), kvHeads = 1 + upTo(3), ps = 16 << upTo(3), most = c % 3 == 0 ? 3000 : 60, grown = 1 + upTo(3 * ps);
        bool extras = upTo(2), listsOthers = upTo(2);
        std::vector<RowMethod> m;
        std::vector<int> first, last;
        for (int b = 0; b < batch; b++) {
            last.push_back(1 + upTo(most * ps));
            first.push_back(upTo(2) ? upTo(last.back()) : 0);
            m.push_back(method(RANK_BOUNDS, 1, RANK_NONE, 0, 1, 0, 0, 0));
            m[b].kept = b == 0 ? 0 : (b + c) % batch + 1;
        }
        Step before(batch, kvHeads, 1, ps, m, first, last, extras, 100000);
        std::vector<int> indices(before.indices.n, -1), counts(before.lists);
        std::vector<std::vector<int>> kept(before.lists);
        for (int l = 0; l < before.lists; l++) {
            int b = l / kvHeads, n = before.visible(b);
            for (int e = 0; e < n; e++)
                if (e == n - 1 || upTo(3) == 0) kept[l].push_back(before.firstPage(b) + e);
            counts[l] = kept[l].size();
            std::copy(kept[l].begin(), kept[l].end(), indices.begin() + (size_t)l * before.stride);
        }
        before.indices.put(indices);
        before.counts.put(counts);
        for (int b = 0; b < batch; b++) {
            // The window leaves no page.
            first[b] = std::min(first[b] + upTo(grown), first[b] / ps * ps + ps - 1);
            last[b] += grown;
            m[b].kept = -m[b].kept;
            m[b].rank1 = b == 0 ? RANK_NONE : RANK_REUSED;
        }
        Step after(batch, kvHeads, 1, ps, m, first, last, extras, 100000);
        const int stride = after.tableStride;
        Device<int> storedCounts(batch * kvHeads), stored((size_t)batch * kvHeads * stride);
        for (Step* s : {&before, &after}) {
            ReuseArgs args{s->args, storedCounts.at, stored.at, stride, listsOthers};
            reuse_pages<<<dim3(kvHeads, batch), REUSE_THREADS>>>(args);
            CHECK(cudaGetLastError());
            CHECK(cudaDeviceSynchronize());
        }
        Lists out = fetch(after);
        for (int l = 0; l < after.lists; l++) {
            int b = l / kvHeads;
            if (b == 0 && !listsOthers) continue;
            std::vector<int> want = b == 0 ? std::vector<int>{} : kept[l];
            for (int index = b == 0 ? after.firstPage(b) : want.back() + 1; index <= (last[b] - 1) / ps; index++) want.push_back(index);
            std::string wrong = checkStage(after, l, want, RANK_NONE, 0, {}, out, extras);
            checked++;
            if (!wrong.empty() && bad++ < 8) printf("FAIL reuse, case %d list %d pages %zu: %s\n", c, l, want.size(), wrong.c_str());
        }
    }
    printf("%s reuse: %d lists in %d cases\n", bad ? "FAIL" : "ok  ", checked, cases);
    failures += bad;
}

// ---- top-p ----

typedef void (*LogitKernel)(const ToppArgs);
static LogitKernel logitKernel(int kv, int D) {
    static const LogitKernel all[4][4] = {{topp_logits_bf16_64, topp_logits_bf16_80, topp_logits_bf16_96, topp_logits_bf16_128},
            {topp_logits_f16_64, topp_logits_f16_80, topp_logits_f16_96, topp_logits_f16_128},
            {topp_logits_fp8_64, topp_logits_fp8_80, topp_logits_fp8_96, topp_logits_fp8_128},
            {topp_logits_int8_64, topp_logits_int8_80, topp_logits_int8_96, topp_logits_int8_128}};
    return all[kv][sizeIndex(D)];
}

static float bf16(uint16_t bits) {
    uint32_t x = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &x, 4);
    return f;
}
static uint16_t toBf16(float x) {
    uint32_t b;
    memcpy(&b, &x, 4);
    return b >> 16;
}

// What a list of tokens holds as slots of the list, given its entries' pages, each once.
static std::string slotsOf(const int* codes, int count, const std::vector<int>& pages, int ps, std::vector<int>& slots) {
    slots.clear();
    size_t e = 0;
    for (int i = 0; i < count; i++) {
        while (e < pages.size() && pages[e] != codes[i] / ps) e++;
        int slot = (int)e * ps + codes[i] % ps;
        if (e == pages.size() || codes[i] < 0 || (i > 0 && slot <= slots.back())) return "order of tokens";
        slots.push_back(slot);
    }
    return "";
}

static void testTopp(int cases) {
    int bad = 0;
    double worst = 0, worstMass = 0;
    long kept = 0, all = 0;
    static const int dims[] = {64, 80, 96, 128}, groups[] = {1, 4, 8, 12, 3, 7};
    for (int c = 0; c < cases && !bad; c++) {
        // Some lists are longer than the bits of tokens that a block holds.
        bool huge = c % 21 == 20;
        int D = dims[c % 4], kv = c / 4 % 4, group = groups[huge ? c / 21 % 2 : c % 6], ps = 16 << upTo(3),
            batch = huge ? 1 : 1 + upTo(4), kvHeads = huge ? 1 : 1 + upTo(3);
        int limit = (huge ? TOPP_WORDS * 32 + 1 + upTo(TOPP_WORDS * 32) : c % 5 == 4 ? 20000 : c % 5 == 3 ? 9000 : 1500) / ps,
            pool = 60;
        float sharpness = c % 3 == 0 ? 0.01f : c % 3 == 1 ? 1.f : 4.f;
        if (c % 11 == 10) sharpness = 0;
        std::vector<RowMethod> m;
        std::vector<int> first, last;
        for (int b = 0; b < batch; b++) {
            int n = b == 0 ? limit : 1 + upTo(limit);
            last.push_back(upTo(4) ? std::max(1, n * ps - upTo(ps)) : n * ps);
            first.push_back(upTo(3) == 0 && !huge ? upTo(last.back()) : 0);
            if (b == 3) last.back() = first.back() = 0;
            static const float ps_[] = {0.5f, 0.9f, 0.95f, 0.999f, 0.05f};
            int seen = (last.back() + ps - 1) / ps - first.back() / ps;
            m.push_back(method(upTo(2) && !huge ? RANK_BOUNDS : RANK_NONE, 1 + upTo(std::max(1, seen)), 0, 0,
                    b == 1 ? 1.f : ps_[upTo(5)], upTo(4) == 0, upTo(3) ? upTo(40) : 0, upTo(3) ? upTo(200) : 0));
        }
        Step s(batch, kvHeads, group, ps, m, first, last, true, pool);
        std::vector<float> scores;
        std::vector<float2> refs;
        std::vector<int> counts(s.lists);
        for (int l = 0; l < s.lists; l++) counts[l] = s.visible(l / kvHeads);
        makeScores(s, counts, 1, 0, scores, refs);
        s.scores.put(scores);
        s.references.put(refs);
        // Keys: INT4 blocks and cache are independent random data.
        size_t i4 = int4BlockBytes(D, ps), block = blockBytes(kv, D, ps), blocks = (size_t)pool * kvHeads;
        std::vector<uint8_t> int4(blocks * i4), cache(blocks * block);
        for (size_t i = 0; i + 8 <= int4.size(); i += 8) {
            uint64_t r = rng();
            memcpy(&int4[i], &r, 8);
        }
        for (size_t k = 0; k < blocks; k++)
            for (int t = 0; t < ps; t++) {
                uint16_t pair[2] = {toBf16(0.05f + 0.3f * upTo(1000) / 1000), toBf16(-1.5f * upTo(1000) / 1000)};
                memcpy(&int4[k * i4 + int4PairOffset(D, ps) + 4 * t], pair, 4);
            }
        for (size_t k = 0; k < blocks; k++) {
            uint8_t* p = &cache[k * block];
            for (int i = 0; i < 2 * ps * D; i++) {
                if (kv == BF16) {
                    uint16_t x = toBf16(normal());
                    memcpy(p + 2 * i, &x, 2);
                } else if (kv == F16) {
                    __half x = __float2half(normal());
                    memcpy(p + 2 * i, &x, 2);
                } else {
                    uint8_t x = rng();
                    if (kv == FP8) x = (x & 0x80) | (0x18 + (x & 0x1f));
                    p[i] = x;
                }
            }
            if (kv == INT8)
                for (int i = 0; i < 2 * ps; i++) {
                    float x = 0.005f + 0.01f * upTo(100) / 100;
                    memcpy(p + 2 * ps * D + 4 * i, &x, 4);
                }
        }
        std::vector<float> q((size_t)batch * kvHeads * group * D);
        for (auto& x : q) x = normal() * sharpness;
        Device<uint8_t> dInt4(int4), dCache(cache);
        Device<float> dQ(q);
        s.args.q = dQ.at;
        s.args.qStride = kvHeads * group * D;
        s.args.scale = (float)(1 / sqrt((double)D));
        int logitStride = toppLogitStride(s.stride * ps), parts = 1 + upTo(12);
        size_t rows = (size_t)s.lists * group;
        Device<float> logits(rows * logitStride), maxima(rows * parts);
        Device<int> headTokens(rows * s.stride * ps), headCounts(rows), counted(s.lists), tickets(std::vector<int>(s.lists, 0));
        Device<int> apart((size_t)s.lists * s.stride * ps);
        ToppArgs args{s.args, dInt4.at, dCache.at, logits.at, logitStride, maxima.at, parts, apart.at, s.stride * ps, counted.at,
                tickets.at};
        if (upTo(2)) {   // in the rows of the first heads
            args.tokens = reinterpret_cast<int*>(logits.at);
            args.tokenStride = group * logitStride;
        }
        auto tokensOf = [&] {
            CHECK(cudaDeviceSynchronize());
            std::vector<int> x((size_t)s.lists * args.tokenStride);
            CHECK(cudaMemcpy(x.data(), args.tokens, x.size() * sizeof(int), cudaMemcpyDeviceToHost));
            return x;
        };
        dim3 logitGrid(parts, kvHeads * ((group + 7) / 8), batch), tokenGrid(kvHeads * group, batch);
        select_pages_2048<<<dim3(kvHeads, batch), selectThreads(2048)>>>(s.args);
        CHECK(cudaDeviceSynchronize());
        Lists a = fetch(s);
        logitKernel(kv, D)<<<logitGrid, TOPP_LOGIT_THREADS>>>(args);
        CHECK(cudaGetLastError());
        CHECK(cudaDeviceSynchronize());
        std::vector<float> gl = logits.get();
        // What a single head keeps: the same logits as those of lists without groups. Pages that are there but once tell the slots.
        std::vector<int> names(s.stride), rowPages, rowFirst;
        for (int e = 0; e < s.stride; e++) names[e] = 3 * e + 1 + c % 3;
        for (size_t r = 0; r < rows; r++) {
            rowPages.insert(rowPages.end(), names.begin(), names.end());
            rowFirst.push_back(a.first[r / group]);
        }
        Device<int> dRowPages(rowPages), dRowFirst(rowFirst);
        ToppArgs single = args, named = args;
        single.common.kvHeads = kvHeads * group;
        single.common.group = 1;
        single.common.lists.pages = named.common.lists.pages = dRowPages.at;
        single.common.lists.first = dRowFirst.at;
        single.tokens = headTokens.at;
        single.tokenStride = s.stride * ps;
        single.tokenCounts = headCounts.at;
        topp_tokens<<<tokenGrid, TOPP_THREADS>>>(single);
        CHECK(cudaGetLastError());
        std::vector<int> ht = headTokens.get(), hc = headCounts.get();
        topp_tokens<<<tokenGrid, TOPP_THREADS>>>(named);
        CHECK(cudaGetLastError());
        std::vector<int> gt = tokensOf(), gc = counted.get();
        // Once more as the backend launches it.
        counted.fill(0xCD);
        cudaStream_t stream;
        CHECK(cudaStreamCreate(&stream));
        launchEarly(select_pages_2048, dim3(kvHeads, batch), selectThreads(2048), stream, s.args);
        launchEarly(logitKernel(kv, D), logitGrid, TOPP_LOGIT_THREADS, stream, args);
        launchEarly(topp_tokens, tokenGrid, TOPP_THREADS, stream, args);
        std::vector<int> early = tokensOf(), earlyCounts = counted.get();
        CHECK(cudaStreamDestroy(stream));
        Lists d = fetch(s);
        for (int t : tickets.get())
            if (t != 0) {
                bad++;
                printf("FAIL ticket %d\n", t);
            }
        if (earlyCounts != gc) {
            bad++;
            printf("FAIL counts of tokens differ between launches\n");
        }
        for (int l = 0; l < s.lists && bad < 8; l++) {
            int b = l / kvHeads, h = l % kvHeads, n = a.counts[l], tokens = n * ps;
            size_t at = (size_t)l * s.stride;
            auto fail = [&](const char* what, double x = 0, double y = 0) {
                if (bad++ < 8)
                    printf("FAIL top-p case %d D %d kv %d group %d page %d list %d of %d pages p %g exact %d: %s %g %g\n", c, D,
                            kv, group, ps, l, n, m[b].topP, m[b].exactLogits, what, x, y);
            };
            auto same = [&](const auto& x, const auto& y) { return std::equal(x.begin() + at, x.begin() + at + n, y.begin() + at); };
            if (d.counts[l] != n || d.first[l] != a.first[l] || d.last[l] != a.last[l] || !same(d.pages, a.pages) ||
                    !same(d.indices, a.indices) || !same(d.masks, a.masks))
                fail("list changed");
            if (m[b].topP >= 1 || n == 0) {
                int want = m[b].topP >= 1 ? -1 : 0;
                if (gc[l] != want) fail("count", gc[l], want);
                for (int g = 0; g < group; g++)
                    if (hc[l * group + g] != want) fail("count of a head", hc[l * group + g], want);
                continue;
            }
            std::vector<char> forced(tokens), seen(tokens), united(tokens, 0);
            for (int i = 0; i < tokens; i++) {
                int slot = a.indices[at + i / ps] * ps + i % ps;   // of the sequence
                seen[i] = slot >= first[b] && slot < last[b];
                forced[i] = seen[i] && (slot < m[b].sinks || slot >= std::min(last[b] - m[b].recent, (last[b] - 1) / ps * ps));
            }
            std::vector<int> slots;
            for (int g = 0; g < group; g++) {
                const float* x = &gl[((size_t)l * group + g) * logitStride];
                double err = 0, norm = 0;
                const float* qq = &q[((size_t)b * kvHeads * group + h * group + g) * D];
                double max = -INFINITY, total = 0;
                for (int i = 0; i < tokens; i++) {
                    if (!seen[i]) {
                        if (x[i] != -INFINITY) fail("unseen token has a logit", x[i]);
                        continue;
                    }
                    max = std::max(max, (double)x[i]);
                    size_t k = (size_t)a.pages[at + i / ps] * kvHeads + h;
                    int t = i % ps;
                    double dot = 0;
                    if (m[b].exactLogits || i / ps == n - 1) {
                        const uint8_t* p = &cache[k * block];
                        for (int e = 0; e < D; e++)
                            dot += qq[e] * decodeValue(kv, p + kvRowOffset(D * bytesOf(kv), t, e * bytesOf(kv)));
                        if (kv == INT8) {
                            float sc;
                            memcpy(&sc, p + 2 * ps * D + 4 * t, 4);
                            dot *= sc;
                        }
                    } else {
                        const uint8_t* p = &int4[k * i4];
                        uint16_t pair[2];
                        memcpy(pair, p + int4PairOffset(D, ps) + 4 * t, 4);
                        for (int e = 0; e < D; e++) {
                            int level = p[t * D / 2 + e / 2] >> (e % 2 * 4) & 15;
                            dot += qq[e] * ((double)bf16(pair[0]) * level + bf16(pair[1]));
                        }
                    }
                    dot /= sqrt((double)D);
                    double delta = x[i] - dot;
                    err += delta * delta;
                    norm += dot * dot;
                    if (!(delta == delta)) fail("NaN");
                }
                double rel = norm == 0 ? sqrt(err) : sqrt(err / norm);
                worst = std::max(worst, rel);
                if (!(rel < 3e-6)) fail("logits", rel);
                std::string wrong = slotsOf(&ht[((size_t)l * group + g) * s.stride * ps], std::min(hc[l * group + g], tokens), names,
                        ps, slots);
                if (!wrong.empty()) fail(wrong.c_str());
                std::vector<char> got(tokens, 0);
                for (int i : slots) got[i] = united[i] = 1;
                // The threshold is above what was dropped, and no greater than the least of what was kept though it needn't be.
                double keptLeast = INFINITY, droppedMost = -INFINITY;
                bool drops = false;
                for (int i = 0; i < tokens; i++) {
                    if (got[i] && !seen[i]) fail("unseen token", i);
                    if (!got[i] && forced[i]) fail("forced token is missing", i);
                    if (got[i] && !forced[i]) keptLeast = std::min(keptLeast, (double)x[i]);
                    if (seen[i] && !got[i]) {
                        drops = true;
                        droppedMost = std::max(droppedMost, (double)x[i]);
                    }
                }
                double from = 0, above = 0, p = m[b].topP;
                for (int i = 0; i < tokens; i++)
                    if (seen[i]) {
                        double w = exp((double)x[i] - max);
                        total += w;
                        if (!drops || x[i] > droppedMost) from += w;
                        if (x[i] > keptLeast) above += w;
                    }
                if (drops && !(droppedMost < keptLeast)) fail("dropped and kept", droppedMost, keptLeast);
                worstMass = std::max(worstMass, std::max(p - from / total, above / total - p));
                if (!(from >= p * total - 1e-5 * total)) fail("kept too little", from / total, p);
                if (!(above < p * total + 1e-5 * total)) fail("kept too much", above / total, p);
            }
            std::vector<int> want;
            for (int i = 0; i < tokens; i++)
                if (united[i]) want.push_back(i);
            std::string wrong = slotsOf(&gt[(size_t)l * args.tokenStride], std::max(0, std::min(gc[l], tokens)), names, ps, slots);
            if (!wrong.empty()) fail(wrong.c_str());
            if (gc[l] != (int)want.size()) fail("count of tokens", gc[l], want.size());
            if (slots != want) fail("tokens of the group", slots.size(), want.size());
            for (size_t i = 0; i < want.size(); i++)
                if (early[(size_t)l * args.tokenStride + i] != a.pages[at + want[i] / ps] * ps + want[i] % ps) {
                    fail("token", i, want[i]);
                    break;
                }
            kept += want.size();
            all += tokens;
        }
    }
    printf("%s top-p: %d cases, logits' rel. error <= %.1e, mass off by <= %.1e, %ld of %ld tokens kept\n", bad ? "FAIL" : "ok  ",
            cases, worst, worstMass, kept, all);
    failures += bad;
}

// ---- times ----

static constexpr int LAUNCHES = 40;

__global__ void nothing() {}

// By kernels of the lists' size and of larger ones: warm, after the kernel before has let it start (PDL), and cold.
static void benchSelect() {
    printf("an empty kernel: %.2f us\n", timeGraph(LAUNCHES, [](cudaStream_t s, int) { nothing<<<1, 32, 0, s>>>(); }));
    printf("select_pages_<size>, 2048 tokens kept, us a launch in a graph\n");
    printf("heads  pages batch   size | product  +PDL   cold | share   cold | whole\n");
    static const int shapes[][2] = {{32, 1}, {8, 4}}, pages[] = {512, 2048, 8192}, batches[] = {1, 8, 32};
    for (auto& h : shapes)
        for (int n : pages)
            for (int batch : batches) {
                if ((long)n * batch > 8192 * 8) continue;
                std::vector<int> first(batch, 0), last(batch, n * 16 - 3);
                auto step = [&](int rank) {
                    return std::make_unique<Step>(batch, h[0], h[1], 16,
                            std::vector<RowMethod>(batch, method(rank, 128, 0, 0, 1, 0, 4, 16)), first, last, false, n * batch);
                };
                std::vector<float> scores;
                std::vector<float2> refs;
                const auto a = step(RANK_BOUNDS), b = step(RANK_SKETCH), z = step(RANK_NONE);
                makeScores(*a, std::vector<int>(a->lists, n), 1, 0, scores, refs);
                for (Step* s : {a.get(), b.get()}) {
                    s->scores.put(scores);
                    s->references.put(refs);
                }
                dim3 grid(h[0], batch);
                for (const SelectKernels& kernels : selectKernels) {
                    if (kernels.size < n || (batch > 1 && kernels.size >= 4 * n)) continue;
                    const int threads = selectThreads(kernels.size);
                    const auto launch = [&](const Step& step) {
                        return [&, threads](cudaStream_t s, int) { kernels.pages<<<grid, threads, 0, s>>>(step.args); };
                    };
                    const double early = timeGraph(LAUNCHES, [&](cudaStream_t s, int) {
                        launchEarly(kernels.pages, grid, threads, s, a->args);
                    });
                    printf("%2d/%-2d  %5d %5d  %5d | %7.2f %5.2f %6.2f |", h[0] * h[1], h[0], n, batch, kernels.size,
                            timeGraph(LAUNCHES, launch(*a)), early, timeCold(LAUNCHES, launch(*a)));
                    printf(" %5.2f %6.2f | %.2f\n", timeGraph(LAUNCHES, launch(*b)), timeCold(LAUNCHES, launch(*b)),
                            timeGraph(LAUNCHES, launch(*z)));
                }
            }
}

static void benchTopp(int D, int pool, std::vector<std::pair<int, int>> shapes, std::vector<int> tokenCounts,
        std::vector<int> batches) {
    const int ps = 16;
    printf("top-p 0.95 on bf16, D %d, us: logits (floor of INT4 bytes), tokens | both; kept tokens a list\n", D);
    const LogitKernel logitsOf = logitKernel(BF16, D);
    for (auto& h : shapes) {
        const int kvHeads = h.first, group = h.second;
        size_t i4 = int4BlockBytes(D, ps), block = (size_t)ps * D * 4;
        std::vector<uint8_t> bytes((size_t)pool * kvHeads * i4);
        for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
            uint64_t r = rng();
            memcpy(&bytes[i], &r, 8);
        }
        for (size_t k = 0; k < (size_t)pool * kvHeads; k++)
            for (int t = 0; t < ps; t++) {
                uint16_t pair[2] = {toBf16(0.2f), toBf16(-1.5f)};
                memcpy(&bytes[k * i4 + int4PairOffset(D, ps) + 4 * t], pair, 4);
            }
        Device<uint8_t> int4(bytes), cache((size_t)pool * kvHeads * block);
        CHECK(cudaMemset(cache.at, 0x3c, cache.n));
        for (int tokens : tokenCounts)
            for (int batch : batches) {
                if ((long)tokens * batch > 8192 * 16) continue;
                const int copies = 4;
                std::vector<float> q((size_t)batch * kvHeads * group * D);
                for (auto& x : q) x = normal() * 2.5f;
                Device<float> dQ(q);
                std::vector<Step*> steps;
                std::vector<ToppArgs> args;
                // As CudaSelection has it.
                int lists = batch * kvHeads;
                int parts = std::max(1, std::min({64, 4 * multiprocessors() / lists, (tokens + 255) / 256}));
                int logitStride = toppLogitStride(tokens + 64);
                Device<float> logits((size_t)lists * group * logitStride), maxima((size_t)lists * group * parts * 2);
                Device<int> counts(lists), apart((size_t)lists * tokens), tickets(std::vector<int>(lists, 0));
                for (int i = 0; i < copies; i++) {
                    Step* s = new Step(batch, kvHeads, group, ps,
                            std::vector<RowMethod>(batch, method(0, 0, 0, 0, 0.95f, 0, 4, 16)), std::vector<int>(batch, 0),
                            std::vector<int>(batch, tokens - 3), false, pool);
                    s->args.q = dQ.at;
                    s->args.qStride = kvHeads * group * D;
                    s->args.scale = (float)(1 / sqrt((double)D));
                    select_pages_8192<<<dim3(kvHeads, batch), selectThreads(8192)>>>(s->args);
                    CHECK(cudaDeviceSynchronize());
                    steps.push_back(s);
                    args.push_back({s->args, int4.at, cache.at, logits.at, logitStride, maxima.at, parts,
                            reinterpret_cast<int*>(logits.at), group * logitStride, counts.at, tickets.at});
                }
                auto l = [&](cudaStream_t s, int i, int parts) {
                    ToppArgs a = args[i % copies];
                    a.logitParts = parts;
                    logitsOf<<<dim3(parts, kvHeads * ((group + 7) / 8), batch), TOPP_LOGIT_THREADS, 0, s>>>(a);
                };
                dim3 tokenGrid(kvHeads * group, batch);
                double tl = timeGraph(LAUNCHES, [&](cudaStream_t s, int i) { l(s, i, parts); });
                double half = timeGraph(LAUNCHES, [&](cudaStream_t s, int i) { l(s, i, std::max(1, parts / 2)); });
                double twice = timeGraph(LAUNCHES, [&](cudaStream_t s, int i) { l(s, i, 2 * parts); });
                l(nullptr, 0, parts);
                CHECK(cudaDeviceSynchronize());
                double tt = timeGraph(LAUNCHES, [&](cudaStream_t s, int i) {
                    ToppArgs a = args[i % copies];
                    a.tokens = apart.at;   // the logits are needed again
                    a.tokenStride = tokens;
                    topp_tokens<<<tokenGrid, TOPP_THREADS, 0, s>>>(a);
                });
                double ta = timeGraph(LAUNCHES, [&](cudaStream_t s, int i) {
                    l(s, i, parts);
                    topp_tokens<<<tokenGrid, TOPP_THREADS, 0, s>>>(args[i % copies]);
                });
                double tp = timeGraph(LAUNCHES, [&](cudaStream_t s, int i) {
                    const ToppArgs& a = args[i % copies];
                    launchEarly(logitsOf, dim3(parts, kvHeads * ((group + 7) / 8), batch), TOPP_LOGIT_THREADS, s, a);
                    launchEarly(topp_tokens, tokenGrid, TOPP_THREADS, s, a);
                });
                long kept = 0;
                for (int count : counts.get()) kept += count;
                printf("%2d/%-2d %6d tokens batch %2d | %7.2f (%.1f) %7.2f | %7.2f (PDL %.2f) | logits with half, twice of "
                       "%d parts %.2f %.2f | %ld\n",
                        kvHeads * group, kvHeads, tokens, batch, tl, floorUs((double)tokens * lists * (D / 2 + 4)), tt, ta, tp,
                        parts, half, twice, kept / lists);
                for (Step* s : steps) delete s;
            }
    }
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench"}, 42);
    rng.seed(line.seed);
    if (line.wants("test")) {
        for (const SelectKernels& kernels : selectKernels) testSelect(kernels, kernels.size > 8192 ? 40 : 100);
        testReuse(100);
        testTopp(63);
    }
    if (line.wants("bench")) {
        benchSelect();
        benchTopp(128, 8192, {{32, 1}, {8, 4}}, {2048, 8192, 32768}, {1, 8});
        benchTopp(64, 16384, {{32, 1}, {8, 4}}, {4096}, {1, 32});
    }
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
