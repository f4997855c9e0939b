/*
 * Benchmark of attention in all: what a layer runs between append and the output product, for methods that select, as one chain
 * of kernels launched as the backend launches them. Random keys, their page data made by fill_*; several layers in turn, so that
 * nothing comes from the cache of the one before.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o chain chain.cu
 * Run:   chain [stages] [batch] [seed=NUMBER]    stages: also without the last kernels of a chain; batch: also 8 and 32 sequences
 */
#include "../../main/cuda/attend.cuh"
#include "../../main/cuda/score.cuh"
#include "../../main/cuda/select.cuh"
#include "../../main/cuda/topp.cuh"
#include "harness.cuh"

using namespace harness;
using namespace skim;
using namespace skim::sparse;

namespace {

constexpr int D = 128, PAGE = 16;
constexpr size_t CACHE_OF_GPU = size_t(240) << 20;

struct Shape {
    int heads, kvHeads, tokens, batch;
};

__global__ void fillKeys(__nv_bfloat16* x, size_t n, uint64_t seed) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const uint64_t r = CounterRandom::mix(seed + i * CounterRandom::GAMMA);
        const float sum = (r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48);
        x[i] = __float2bfloat16((sum / 65536.f - 2.f) * 1.732f);   // near enough to normal
    }
}

/** Caches and page data of several layers, and what a step needs. */
class Bench {
public:
    const Shape shape;
    const int group, pages, layers, lists, tableStride;
    const size_t blocks, cacheBytes, boundsBytes, bounds8Bytes, sketchBytesOf, int4Bytes;

private:
    Device<uint8_t> cache, bounds, bounds8, sketches, int4;
    Device<int> table, first, last, counts;
    Device<RowMethod> methods;
    Device<float> q, scores, partials, logits, maxima, thresholds;
    Device<float2> references;
    Device<int> listPages, indices, listCounts, listFirst, listLast, tickets, toppTickets;
    Device<uint64_t> masks;
    Device<half> out;
    int splits, logitParts, selectParts;

public:
    Bench(const Shape& s, uint64_t seed)
        : shape(s), group(s.heads / s.kvHeads), pages((s.tokens + PAGE - 1) / PAGE),
          layers((int)std::max<size_t>(2, std::min<size_t>(32, CACHE_OF_GPU / ((size_t)s.batch * pages * s.kvHeads * 384)))),
          lists(s.batch * s.kvHeads), tableStride(pages + 4), blocks((size_t)s.batch * pages * s.kvHeads),
          cacheBytes(blocks * kvBlockBytes<KvBf16>(D, PAGE)), boundsBytes(blocks * statisticsBytes(D)),
          bounds8Bytes(blocks * statistics8Bytes(D)),
          sketchBytesOf(blocks * sketchBytes(D, PAGE)), int4Bytes(blocks * int4BlockBytes(D, PAGE)), cache(cacheBytes * layers),
          bounds(boundsBytes * layers), bounds8(bounds8Bytes * layers), sketches(sketchBytesOf * layers), int4(int4Bytes * layers),
          table((size_t)s.batch * tableStride), first(std::vector<int>(s.batch, 0)), last(std::vector<int>(s.batch, s.tokens - 3)),
          counts(std::vector<int>(s.batch, pages)), methods(s.batch), q((size_t)s.batch * s.heads * D),
          scores((size_t)lists * group * tableStride), partials((size_t)lists * 300 * decode::attendPartialFloats(D)),
          logits((size_t)lists * group * tableStride * PAGE), maxima((size_t)lists * group * 64), thresholds((size_t)lists * group),
          references((size_t)lists * group * (tableStride / SCORE_CHUNK + 1)), listPages((size_t)lists * tableStride),
          indices((size_t)lists * tableStride), listCounts(lists), listFirst(lists), listLast(lists), tickets(lists),
          toppTickets(lists), masks((size_t)lists * tableStride), out((size_t)s.batch * s.heads * D) {
        Rng rng(seed);
        std::vector<int> order((size_t)s.batch * pages), rows(table.n, 0);
        for (size_t i = 0; i < order.size(); i++) order[i] = (int)i;
        std::shuffle(order.begin(), order.end(), rng.r);
        for (int b = 0; b < s.batch; b++) std::copy_n(order.begin() + (size_t)b * pages, pages, rows.begin() + (size_t)b * tableStride);
        table.put(rows);
        std::vector<float> queries(q.n);
        for (float& x : queries) x = rng.normal();
        q.put(queries);
        tickets.fill(0);
        toppTickets.fill(0);
        fillKeys<<<4096, 256>>>((__nv_bfloat16*)cache.at, cache.n / 2, seed);
        std::vector<int2> work;
        for (int b = 0; b < s.batch; b++)
            for (int p = 0; p < pages; p++) work.push_back(make_int2(b, p));
        Device<int2> dWork(work);
        std::vector<int2> meansOf(s.batch);
        for (int b = 0; b < s.batch; b++) meansOf[b] = make_int2(b, pages - 1);
        Device<int> dCount(std::vector<int>{(int)work.size()});
        Device<int2> dMeansOf(meansOf);
        Device<float> means((size_t)layers * s.batch * s.kvHeads * D);
        const auto fill = [&](void (*kernel)(FillArgs), Device<uint8_t>& data, size_t bytes) {
            kernel<<<dim3(528, layers), 32 * FILL_WARPS>>>({dWork.at, dCount.at, table.at, tableStride, PAGE, s.kvHeads, cache.at,
                    cacheBytes, data.at, bytes, nullptr, D, means.at, dMeansOf.at, s.batch});
            CHECK(cudaDeviceSynchronize());
        };
        fill(fill_bounds_bf16_128, bounds, boundsBytes);
        fill(fill_bounds8_bf16_128, bounds8, bounds8Bytes);
        fill(sketch_mean_bf16_128, sketches, sketchBytesOf);
        fill(fill_sketch_bf16_128, sketches, sketchBytesOf);
        fill(fill_int4_bf16_128, int4, int4Bytes);
        const int tiles = lists == 0 ? 0 : s.kvHeads, sms = multiprocessors();   // per sequence, as the backend reckons
        splits = std::max(2, 2 * sms / tiles);
        logitParts = std::max(1, std::min((s.tokens + 255) / 256, std::min(64, 4 * sms / lists)));
        selectParts = std::max(1, std::min((s.tokens + 4095) / 4096, 16));
    }

    SelectionArgs selection(bool masked) {
        return {methods.at, first.at, last.at, nullptr, table.at, tableStride, PAGE, shape.kvHeads, group, 0, q.at,
                shape.heads * D, nullptr, 0.08838835f,
                {listPages.at, indices.at, listCounts.at, listFirst.at, listLast.at, masked ? masks.at : nullptr, nullptr,
                        tableStride},
                scores.at, tableStride, references.at, tableStride / SCORE_CHUNK + 1};
    }

    void score(cudaStream_t stream, void (*kernel)(ScoreArgs), int rank, int stage, const uint8_t* data, bool sliced, bool masked) {
        const int ofProcessor = sliced ? 1 : rank == RANK_BOUNDS8 ? 3 : 4;   // as CudaSelection has it
        const int blocks = std::max(1, std::min(scoreChunks(pages), ofProcessor * multiprocessors() / lists));
        launchEarly(kernel, dim3(blocks, shape.kvHeads, shape.batch), sliced ? 512 : 128, stream,
                ScoreArgs{selection(masked), stage, rank, data, nullptr, D});
    }

    void select(cudaStream_t stream, void (*kernel)(SelectionArgs), bool masked) {
        launchEarly(kernel, dim3(shape.kvHeads, shape.batch), selectThreads(tableStride), stream, selection(masked));
    }

    void attend(cudaStream_t stream, int layer, bool listed, bool masked) {
        decode::AttendArgs a{};
        a.q = q.at;
        a.qStride = shape.heads * D;
        a.cache = cache.at + layer * cacheBytes;
        a.pageSize = PAGE;
        a.kvHeads = shape.kvHeads;
        a.group = group;
        a.pages = listed ? listPages.at : table.at;
        a.pageStride = tableStride;
        a.pagesPerHead = listed;
        a.counts = listed ? listCounts.at : counts.at;
        a.first = listed ? listFirst.at : first.at;
        a.last = listed ? listLast.at : last.at;
        a.masks = masked ? masks.at : nullptr;
        a.out = out.at;
        a.outStride = shape.heads * D;
        a.scale = 0.08838835f;
        a.partials = partials.at;
        a.tickets = tickets.at;
        a.splits = splits;
        a.partTokens = 128;
        a.settled = listed ? 0 : 1;
        launchEarly(decode::attend_bf16_128, dim3(splits, shape.kvHeads, shape.batch), decode::ATTEND_THREADS, stream, a);
    }

    void topp(cudaStream_t stream, int layer, int stages) {
        const ToppArgs a{selection(true), int4.at + layer * int4Bytes, cache.at + layer * cacheBytes, logits.at, tableStride * PAGE,
                maxima.at, logitParts, thresholds.at, toppTickets.at};
        launchEarly(topp_logits_bf16_128, dim3(logitParts, shape.kvHeads, shape.batch), TOPP_LOGIT_THREADS, stream, a);
        if (stages > 1) launchEarly(topp_threshold, dim3(shape.heads, shape.batch), TOPP_THREADS, stream, a);
        if (stages > 2) launchEarly(topp_select, dim3(selectParts, shape.kvHeads, shape.batch), TOPP_SELECT_THREADS, stream, a);
    }

    enum Kind { DENSE, QUEST, QUEST8, SKETCH, TWILIGHT };

    /** Of the first `kernels` of a chain. */
    double time(Kind kind, int budget, int kernels) {
        RowMethod m{};
        m.pages1 = m.pages2 = INT32_MAX;
        m.topP = kind == TWILIGHT ? 0.95f : 1;
        m.sinks = 4;
        m.recent = 64;
        if (kind == SKETCH) {
            m.rank1 = RANK_SKETCH;
            m.pages1 = std::max(budget / PAGE * 2, (pages + 7) / 8);
            m.rank2 = RANK_INT4;
            m.pages2 = budget / PAGE;
        } else if (kind != DENSE) {
            m.rank1 = kind == QUEST8 ? RANK_BOUNDS8 : RANK_BOUNDS;
            m.pages1 = budget / PAGE;
        }
        methods.put(std::vector<RowMethod>(shape.batch, m));
        const int launches = std::max(layers, 16);
        return timeGraph(launches, [&](cudaStream_t s, int i) {
            const int layer = i % layers;
            const bool masked = kind == TWILIGHT;
            int left = kernels;
            if (kind != DENSE) {
                const bool sketch = kind == SKETCH;
                if (left-- > 0)
                    kind == QUEST8 ? score(s, score_bounds8_128, RANK_BOUNDS8, 1, bounds8.at + layer * bounds8Bytes, false, masked)
                    : sketch ? score(s, score_sketch_128, RANK_SKETCH, 1, sketches.at + layer * sketchBytesOf, false, masked)
                           : score(s, score_bounds_128, RANK_BOUNDS, 1, bounds.at + layer * boundsBytes, false, masked);
                if (left-- > 0) select(s, select_pages, masked);
                if (sketch) {
                    if (left-- > 0) score(s, score_int4_128, RANK_INT4, 2, int4.at + layer * int4Bytes, true, masked);
                    if (left-- > 0) select(s, select_again, masked);
                }
                if (masked) {
                    if (left > 0) topp(s, layer, std::min(left, 3));
                    left -= 3;
                }
            }
            if (left-- > 0) attend(s, layer, kind != DENSE, masked);
        });
    }
};

}  // namespace

int main(int count, char** values) {
    const CommandLine line(count, values, {"stages", "batch"}, 42);
    std::vector<Shape> shapes;
    for (int kvHeads : {8, 32})
        for (int tokens : {8192, 32768, 131072}) shapes.push_back({32, kvHeads, tokens, 1});
    if (line.has("batch"))
        for (int kvHeads : {8, 32})
            for (int batch : {8, 32}) shapes.push_back({32, kvHeads, 16384, batch});
    printf("attention in all, bf16, D 128, page 16, us\n");
    for (const Shape& s : shapes) {
        Bench bench(s, line.seed);
        const double dense = bench.time(Bench::DENSE, 0, 1);
        printf("%2d/%-2d %4dK b%-2d  dense %7.1f", s.heads, s.kvHeads, s.tokens / 1024, s.batch, dense);
        const struct {
            const char* name;
            Bench::Kind kind;
            int budget, kernels;
        } methods[] = {{"quest:2048", Bench::QUEST, 2048, 3}, {"quest fp8:2048", Bench::QUEST8, 2048, 3},
                {"sketch:1024", Bench::SKETCH, 1024, 5}, {"twilight on quest:8192", Bench::TWILIGHT, 8192, 6}};
        for (const auto& m : methods) {
            printf(" | %s %6.1f", m.name, bench.time(m.kind, m.budget, m.kernels));
            if (line.has("stages")) {
                printf(" (");
                for (int k = 1; k < m.kernels; k++) printf("%s%.1f", k > 1 ? " " : "", bench.time(m.kind, m.budget, k));
                printf(")");
            }
        }
        printf("\n");
    }
    return 0;
}
