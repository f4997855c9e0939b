/*
 * Benchmark of attention in all: what a layer runs between append and the output product, for methods that select, as one chain
 * of kernels launched as the backend launches them. Page data made by fill_*; several layers in turn, so that nothing comes from
 * the cache of the one before.
 *
 * Keys are random, hence flat: top-p keeps nearly all of them. With keys=FILE they are a trained model's, together with its
 * queries, as KeyCapture of the engine's tests writes them, and it is printed as well how many tokens a method reads and which
 * share of the attention these have, so that methods can be compared at equal quality.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread [-DPAGE_SIZE=32] -o chain chain.cu
 * Run:   chain [stages] [batch] [keys=FILE] [seed=NUMBER]
 *        stages: also without the last kernels of a chain; batch: also 8 and 32 sequences
 */
#include "../../main/cuda/attend.cuh"
#include "../../main/cuda/score.cuh"
#include "../../main/cuda/select.cuh"
#include "../../main/cuda/topp.cuh"
#include "harness.cuh"

#include <memory>

using namespace harness;
using namespace skim;
using namespace skim::sparse;

namespace {

#ifndef PAGE_SIZE
#define PAGE_SIZE 16
#endif
constexpr int PAGE = PAGE_SIZE;
constexpr int CHECK_THREADS = 256;
constexpr size_t CACHE_OF_GPU = size_t(240) << 20;

struct Shape {
    int heads, kvHeads, tokens, batch, D;
};

/** The kernels of a head size. */
struct Kernels {
    void (*fillBounds)(FillArgs);
    void (*fillBounds8)(FillArgs);
    void (*fillMoments8)(FillArgs);
    void (*sketchMean)(FillArgs);
    void (*fillSketch)(FillArgs);
    void (*fillInt4)(FillArgs);
    void (*scoreBounds)(ScoreArgs);
    void (*scoreBounds8)(ScoreArgs);
    void (*scoreMoments8)(ScoreArgs);
    void (*scoreSketch)(ScoreArgs);
    void (*scoreInt4)(ScoreArgs);
    void (*toppLogits)(ToppArgs);
    void (*attend)(decode::AttendArgs);
    void (*attendTokens)(decode::AttendArgs);

    static Kernels of(int D);
};

#define KERNELS(D)                                                                                                           \
    Kernels {                                                                                                                \
        fill_bounds_bf16_##D, fill_bounds8_bf16_##D, fill_moments8_bf16_##D, sketch_mean_bf16_##D, fill_sketch_bf16_##D,     \
                fill_int4_bf16_##D, score_bounds_##D, score_bounds8_##D, score_moments8_##D, score_sketch_##D,               \
                score_int4_##D, topp_logits_bf16_##D, decode::attend_bf16_##D, decode::attend_tokens_bf16_##D                \
    }

Kernels Kernels::of(int D) {
    return D == 64 ? KERNELS(64) : KERNELS(128);
}

/** What was captured of a trained model; KeyCapture.java says how it is stored. */
struct Capture {
    int firstLayer, layers, heads, kvHeads, D, tokens, queries, group;
    std::vector<float> q;         // [query][layer][head][D], of the tokens tokens - queries ...
    std::vector<uint16_t> keys;   // [layer][kvHead][token][D], bf16

    explicit Capture(const std::string& path) {
        FILE* file = fopen(path.c_str(), "rb");
        char magic[8];
        int version = 0;
        bool good = file != nullptr && fread(magic, 8, 1, file) == 1 && memcmp(magic, "SKIMKEYS", 8) == 0;
        for (int* field : {&version, &firstLayer, &layers, &heads, &kvHeads, &D, &tokens, &queries})
            good = good && fread(field, 4, 1, file) == 1;
        good = good && version == 1 && (D == 64 || D == 128) && queries >= 1 && queries <= EDGE && tokens > 2 * EDGE;
        if (good) {
            group = heads / kvHeads;
            q.resize((size_t)queries * layers * heads * D);
            keys.resize((size_t)layers * kvHeads * tokens * D);
            good = fread(q.data(), 4, q.size(), file) == q.size() && fread(keys.data(), 2, keys.size(), file) == keys.size();
        }
        if (file != nullptr) fclose(file);
        if (!good) {
            fprintf(stderr, "%s: no captured keys of 64 or 128 dimensions\n", path.c_str());
            exit(2);
        }
    }

    /** First and last tokens, sinks and neighbours of a query, that a sequence has once. */
    static constexpr int EDGE = 64;

    /** Where a KV head of a shape and the first query head of its group come from. */
    struct Source {
        int layer, kvHead, head;   // head: within the KV head's group
    };

    /** The heads of all layers side by side: groups as they are, or, where each query head has keys of its own, single heads. */
    Source source(const Shape& s, int kvHead) const {
        const bool single = s.heads == s.kvHeads;
        const int all = layers * (single ? heads : kvHeads), i = (int)((long)kvHead * all / s.kvHeads);
        return single ? Source{i / heads, i % heads / group, i % group} : Source{i / kvHeads, i % kvHeads, 0};
    }

    /** Query g of a shape's KV head in a step; a group that is larger than the model's has queries twice. */
    const float* query(const Shape& s, int kvHead, int g, int step) const {
        const Source from = source(s, kvHead);
        const int head = from.kvHead * group + (from.head + g) % group;
        return q.data() + (((size_t)step * layers + from.layer) * heads + head) * D;
    }
};

/**
 * The captured token that stands at a place of a sequence of another length, and how often it was there before, counted from the
 * end. A shorter sequence lacks what follows the first tokens; in a longer one what is between its first and last tokens comes
 * again and again, so that the attention on a fact is divided among its repeats.
 */
__host__ __device__ inline int2 capturedToken(int place, int length, int captured) {
    constexpr int EDGE = Capture::EDGE;
    if (place < EDGE) return make_int2(place, 0);
    const int back = length - 1 - place, body = captured - 2 * EDGE;
    if (back < EDGE) return make_int2(captured - 1 - back, 0);
    return make_int2(captured - EDGE - 1 - (back - EDGE) % body, (back - EDGE) / body);
}

__global__ void fillKeys(__nv_bfloat16* x, size_t n, uint64_t seed) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const uint64_t r = CounterRandom::mix(seed + i * CounterRandom::GAMMA);
        const float sum = (r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48);
        x[i] = __float2bfloat16((sum / 65536.f - 2.f) * 1.732f);   // near enough to normal
    }
}

/**
 * Writes captured keys over those in the cache. Repeats of a token differ by up to 1/128 from it, so that no pages are equal.
 * grid = (pages, kvHeads, layers * batch)
 */
__global__ void tileKeys(uint8_t* cache, size_t layerBytes, const int* table, int tableStride, int batch, int length, int D,
                         const __nv_bfloat16* keys, const Capture::Source* sources, int capturedKvHeads, int captured,
                         uint64_t seed) {
    const int entry = blockIdx.z % batch, layer = blockIdx.z / batch, kvHeads = gridDim.y;
    const Capture::Source from = sources[blockIdx.y];
    uint8_t* block = kvBlock(cache + layer * layerBytes, table[(size_t)entry * tableStride + blockIdx.x], kvHeads, blockIdx.y,
            kvBlockBytes<KvBf16>(D, PAGE));
    for (int i = threadIdx.x; i < PAGE * D; i += blockDim.x) {
        const int place = blockIdx.x * PAGE + i / D;
        if (place >= length) return;
        const int2 token = capturedToken(place, length, captured);
        const size_t row = ((size_t)from.layer * capturedKvHeads + from.kvHead) * captured + token.x;
        float key = __bfloat162float(keys[row * D + i % D]);
        if (token.y > 0) {
            const uint64_t element = (((uint64_t)blockIdx.z * kvHeads + blockIdx.y) * gridDim.x + blockIdx.x) * PAGE * D + i;
            key *= 1 + ((CounterRandom::mix(seed + element * CounterRandom::GAMMA) >> 40) / 16777216.f - .5f) / 64;
        }
        *reinterpret_cast<__nv_bfloat16*>(block + kvRowOffset(2 * D, i / D, i % D * 2)) = __float2bfloat16(key);
    }
}

/**
 * The logarithm of the sum of exp(logit) of a query over slots [first, last) of a list of pages, or of one of tokens (page * PAGE +
 * offset) if `listed` is not null, and how many these are; by a block.
 */
__device__ float logSum(const float* q, const uint8_t* cache, const int* pages, const int* listed, int first, int last,
                        int kvHeads, int kvHead, int D, float scale, int& tokens) {
    __shared__ float maxima[CHECK_THREADS], sums[CHECK_THREADS];
    __shared__ int counts[CHECK_THREADS];
    float maximum = -INFINITY, sum = 0;
    int count = 0;
    for (int slot = first + threadIdx.x; slot < last; slot += CHECK_THREADS) {
        const int token = listed != nullptr ? listed[slot] : pages[slot / PAGE] * PAGE + slot % PAGE;
        const uint8_t* block = kvBlock(cache, token / PAGE, kvHeads, kvHead, kvBlockBytes<KvBf16>(D, PAGE));
        float logit = 0;
        for (int d = 0; d < D; d++)
            logit += q[d] * __bfloat162float(*reinterpret_cast<const __nv_bfloat16*>(block + kvRowOffset(2 * D, token % PAGE, 2 * d)));
        logit *= scale;
        const float before = maximum;
        maximum = fmaxf(maximum, logit);
        sum = sum * expf(before - maximum) + expf(logit - maximum);
        count++;
    }
    maxima[threadIdx.x] = maximum;
    sums[threadIdx.x] = sum;
    counts[threadIdx.x] = count;
    __syncthreads();
    float all = -INFINITY, total = 0;
    tokens = 0;
    for (int i = 0; i < CHECK_THREADS; i++) all = fmaxf(all, maxima[i]);
    for (int i = 0; i < CHECK_THREADS; i++) {
        if (counts[i] > 0) total += sums[i] * expf(maxima[i] - all);
        tokens += counts[i];
    }
    __syncthreads();
    return all + logf(total);
}

/**
 * Which share of its attention each query head has on what its KV head's list keeps, and how many tokens these are. `kept` are the
 * lists of tokens, nullable: whole pages.
 */
__global__ void keptMass(SelectionArgs s, const uint8_t* cache, bool listed, const int* kept, int keptStride, const int* keptCounts,
                         int D, float* mass, int* tokens) {
    const int head = blockIdx.x, entry = blockIdx.y, kvHead = head / s.group, list = entry * s.kvHeads + kvHead;
    const float* q = s.q + (size_t)entry * s.qStride + head * D;
    const size_t row = (size_t)list * s.lists.stride;
    int count;
    const float whole = logSum(q, cache, s.pageTables + (size_t)entry * s.tableStride, nullptr, s.first[entry], s.last[entry],
            s.kvHeads, kvHead, D, s.scale, count);
    const float part = !listed ? whole
            : kept != nullptr
            ? logSum(q, cache, nullptr, kept + (size_t)list * keptStride, 0, keptCounts[list], s.kvHeads, kvHead, D, s.scale, count)
            : logSum(q, cache, s.lists.pages + row, nullptr, s.lists.first[list], s.lists.last[list], s.kvHeads, kvHead, D, s.scale,
                    count);
    if (threadIdx.x == 0) {
        mass[entry * gridDim.x + head] = expf(part - whole);
        tokens[entry * gridDim.x + head] = count;
    }
}

/** SKETCH: signs, then 4-bit keys; SIGNS: these alone. */
enum Kind { DENSE, QUEST, QUEST8, MOMENTS8, SKETCH, SIGNS };

struct Method {
    const char* name;
    Kind kind;
    double budget;   // tokens, or a share of them
    bool prunes;     // by top-p

    int kernels() const { return (kind == DENSE ? 1 : kind == SKETCH ? 5 : 3) + (prunes ? 2 : 0); }

    RowMethod of(int visible) const {
        RowMethod m{};
        m.pages1 = m.pages2 = INT32_MAX;
        m.topP = prunes ? 0.95f : 1;
        m.sinks = 4;
        m.recent = 64;
        const int pages = (visible - 1) / PAGE + 1;
        const int tokens = budget > 1 ? (int)budget : (int)ceil(budget * visible);
        const int kept = std::min(pages, (tokens + PAGE - 1) / PAGE);
        if (kind == SKETCH) {
            m.rank1 = RANK_SKETCH;
            m.pages1 = std::max((int)ceil(0.125 * pages), kept);
            m.rank2 = RANK_INT4;
            m.pages2 = kept;
        } else if (kind != DENSE) {
            static const int ranks[] = {0, RANK_BOUNDS, RANK_BOUNDS8, RANK_MOMENTS8, 0, RANK_SKETCH};
            m.rank1 = ranks[kind];
            m.pages1 = kept;
        }
        return m;
    }
};

/** Caches and page data of several layers, and what a step needs. */
class Bench {
public:
    const Shape shape;
    const Capture* const capture;   // nullptr: random keys
    const Kernels kernels;
    const int D, group, pages, layers, lists, tableStride;
    const size_t blocks, cacheBytes, boundsBytes, bounds8Bytes, sketchBytesOf, int4Bytes;

private:
    Device<uint8_t> cache, bounds, bounds8, moments8, sketches, int4;
    std::vector<int> visible;   // tokens that an entry sees
    Device<int> table, first, last, counts;
    Device<RowMethod> methods;
    Device<float> q, scores, partials, logits, maxima;
    Device<float2> references;
    Device<int> listPages, indices, listCounts, listFirst, listLast, tickets, tokenCounts, toppTickets;
    Device<half> out;
    const int logitStride, tokenStride;
    const int partTokens = shape.kvHeads < 32 ? 192 : 384;   // as CudaAttention has it
    int splits, listParts, logitParts, mostRanked2;

public:
    Bench(const Shape& s, uint64_t seed, const Capture* capture)
        : shape(s), capture(capture), kernels(Kernels::of(s.D)), D(s.D), group(s.heads / s.kvHeads),
          pages((s.tokens + PAGE - 1) / PAGE),
          layers((int)std::max<size_t>(2, std::min<size_t>(32, CACHE_OF_GPU / ((size_t)s.batch * pages * s.kvHeads * 3 * D)))),
          lists(s.batch * s.kvHeads), tableStride(pages + 7 & ~3), blocks((size_t)s.batch * pages * s.kvHeads),
          cacheBytes(blocks * kvBlockBytes<KvBf16>(D, PAGE)), boundsBytes(blocks * PAGE / STATISTICS_TOKENS * statisticsBytes(D)),
          bounds8Bytes(blocks * PAGE / STATISTICS_TOKENS * statistics8Bytes(D)),
          sketchBytesOf(blocks * sketchBytes(D, PAGE)), int4Bytes(blocks * int4BlockBytes(D, PAGE)), cache(cacheBytes * layers),
          bounds(boundsBytes * layers), bounds8(bounds8Bytes * layers), moments8(bounds8Bytes * layers), sketches(sketchBytesOf * layers), int4(int4Bytes * layers),
          visible(s.batch, s.tokens - 3), table((size_t)s.batch * tableStride), first(std::vector<int>(s.batch, 0)), last(visible),
          counts(std::vector<int>(s.batch, pages)), methods(s.batch), q((size_t)s.batch * s.heads * D),
          scores((size_t)lists * group * tableStride), partials((size_t)lists * 300 * decode::attendPartialFloats(D)),
          logits((size_t)lists * group * toppLogitStride(tableStride * PAGE)), maxima((size_t)lists * group * 64),
          references((size_t)lists * group * (tableStride / SCORE_CHUNK_INT4 + 1)), listPages((size_t)lists * tableStride),
          indices((size_t)lists * tableStride), listCounts(lists), listFirst(lists), listLast(lists), tickets(lists),
          tokenCounts(lists), toppTickets(lists), out((size_t)s.batch * s.heads * D), logitStride(toppLogitStride(tableStride * PAGE)),
          tokenStride(group * logitStride) {
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
        if (capture != nullptr) {
            std::vector<Capture::Source> sources;
            for (int h = 0; h < s.kvHeads; h++) sources.push_back(capture->source(s, h));
            Device<Capture::Source> dSources(sources);
            Device<uint16_t> keys(capture->keys);
            tileKeys<<<dim3(pages, s.kvHeads, layers * s.batch), 256>>>(cache.at, cacheBytes, table.at, tableStride, s.batch,
                    s.tokens - 3, D, (const __nv_bfloat16*)keys.at, dSources.at, capture->kvHeads, capture->tokens, seed);
            CHECK(cudaDeviceSynchronize());
        }
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
        fill(kernels.fillBounds, bounds, boundsBytes);
        fill(kernels.fillBounds8, bounds8, bounds8Bytes);
        fill(kernels.fillMoments8, moments8, bounds8Bytes);
        fill(kernels.sketchMean, sketches, sketchBytesOf);
        fill(kernels.fillSketch, sketches, sketchBytesOf);
        fill(kernels.fillInt4, int4, int4Bytes);
        const int tiles = lists == 0 ? 0 : s.kvHeads, sms = multiprocessors();   // per sequence, as the backend reckons
        splits = std::max(2, 2 * sms / tiles);
        logitParts = std::max(1, std::min((s.tokens + 255) / 256, std::min(64, 4 * sms / lists)));
    }

    float scale() const { return 1 / sqrtf((float)D); }

    /** Rounds in which the entries have other captured queries. */
    int rounds() const { return capture == nullptr ? 1 : std::max(1, std::min(8, capture->queries / shape.batch)); }

    /** Gives each entry the queries of a captured step; it sees the tokens up to its own. */
    void begin(int round) {
        if (capture == nullptr) return;
        std::vector<float> queries;
        for (int b = 0; b < shape.batch; b++) {
            const int step = (round * capture->queries / rounds() + b) % capture->queries;
            visible[b] = shape.tokens - 3 - (capture->queries - 1 - step);
            for (int h = 0; h < shape.heads; h++) {
                const float* query = capture->query(shape, h / group, h % group, step);
                queries.insert(queries.end(), query, query + D);
            }
        }
        q.put(queries);
        last.put(visible);
    }

    SelectionArgs selection() {
        return {methods.at, first.at, last.at, nullptr, table.at, tableStride, PAGE, shape.kvHeads, group, 0, q.at,
                shape.heads * D, nullptr, scale(),
                {listPages.at, indices.at, listCounts.at, listFirst.at, listLast.at, nullptr, nullptr, tableStride},
                scores.at, tableStride, references.at, tableStride / SCORE_CHUNK_INT4 + 1};
    }

    void score(cudaStream_t stream, void (*kernel)(ScoreArgs), int rank, int stage, const uint8_t* data) {
        const int threads = rank == RANK_SKETCH ? 256 : 128;   // as CudaSelection has it
        const int ofProcessor = rank == RANK_SKETCH ? 2 : rank == RANK_BOUNDS8 || rank == RANK_MOMENTS8 ? 3 : 4;
        const int blocks = std::max(1, std::min(scoreChunks(pages, scoreChunk(rank, PAGE)), ofProcessor * multiprocessors() / lists));
        launchEarly(kernel, dim3(blocks, shape.kvHeads, shape.batch), threads, stream,
                ScoreArgs{selection(), stage, rank, data, nullptr, D});
    }

    /** By the kernel of the least size for lists of `most` pages. */
    void select(cudaStream_t stream, bool again, int most) {
        static constexpr struct {
            int size;
            void (*pages)(SelectionArgs), (*again)(SelectionArgs);
        } kernels[] = {{512, select_pages_512, select_again_512}, {2048, select_pages_2048, select_again_2048},
                {4096, select_pages_4096, select_again_4096}, {8192, select_pages_8192, select_again_8192},
                {32768, select_pages_32768, select_again_32768}};
        const auto* kernel = kernels;
        while (kernel->size < most) kernel++;
        launchEarly(again ? kernel->again : kernel->pages, dim3(shape.kvHeads, shape.batch), selectThreads(kernel->size), stream,
                selection());
    }

    /** The lists of tokens, which are where the logits of their first heads were. */
    int* keptTokens() { return reinterpret_cast<int*>(logits.at); }

    void attend(cudaStream_t stream, int layer, bool listed, bool pruned) {
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
        a.out = out.at;
        a.outStride = shape.heads * D;
        a.scale = scale();
        a.partials = partials.at;
        a.tickets = tickets.at;
        a.splits = splits;
        a.partTokens = partTokens;
        a.settled = listed ? 0 : 1;
        if (pruned) {
            a.tokens = keptTokens();
            a.tokenStride = tokenStride;
            a.tokenCounts = tokenCounts.at;
        }
        launchEarly(pruned ? kernels.attendTokens : kernels.attend, dim3(listed ? listParts : splits, shape.kvHeads, shape.batch), decode::ATTEND_THREADS, stream, a);
    }

    void topp(cudaStream_t stream, int layer, int stages) {
        const ToppArgs a{selection(), int4.at + layer * int4Bytes, cache.at + layer * cacheBytes, logits.at, logitStride, maxima.at,
                logitParts, keptTokens(), tokenStride, tokenCounts.at, toppTickets.at};
        launchEarly(kernels.toppLogits, dim3(logitParts, shape.kvHeads, shape.batch), TOPP_LOGIT_THREADS, stream, a);
        if (stages > 1) launchEarly(topp_tokens, dim3(shape.heads, shape.batch), TOPP_THREADS, stream, a);
    }

    /** The first `count` kernels of a chain. */
    void launch(cudaStream_t s, int layer, const Method& m, int count) {
        if (m.kind != DENSE) {
            const bool sketch = m.kind == SKETCH;
            if (count-- > 0)
                m.kind == QUEST8 ? score(s, kernels.scoreBounds8, RANK_BOUNDS8, 1, bounds8.at + layer * bounds8Bytes)
                : m.kind == MOMENTS8
                        ? score(s, kernels.scoreMoments8, RANK_MOMENTS8, 1, moments8.at + layer * bounds8Bytes)
                : sketch || m.kind == SIGNS ? score(s, kernels.scoreSketch, RANK_SKETCH, 1, sketches.at + layer * sketchBytesOf)
                         : score(s, kernels.scoreBounds, RANK_BOUNDS, 1, bounds.at + layer * boundsBytes);
            if (count-- > 0) select(s, false, pages);
            if (sketch) {
                if (count-- > 0) score(s, kernels.scoreInt4, RANK_INT4, 2, int4.at + layer * int4Bytes);
                if (count-- > 0) select(s, true, mostRanked2);
            }
            if (m.prunes) {
                if (count > 0) topp(s, layer, std::min(count, 2));
                count -= 2;
            }
        }
        if (count-- > 0) attend(s, layer, m.kind != DENSE, m.prunes);
    }

    void use(const Method& m) {
        std::vector<RowMethod> rows;
        for (int tokens : visible) rows.push_back(m.of(tokens));
        methods.put(rows);
        int most = 1;   // pages of a list
        for (const RowMethod& row : rows) most = std::max(most, std::min({row.pages1, row.pages2, pages}));
        mostRanked2 = 0;
        for (const RowMethod& row : rows) mostRanked2 = std::max(mostRanked2, std::min(std::max(row.pages1, 16), pages));   // 16: forced
        for (listParts = 1; listParts * partTokens < most * PAGE && listParts < splits;) listParts *= 2;
        listParts = std::min(listParts, splits);
    }

    double time(const Method& m, int count) {
        use(m);
        const int launches = std::max(layers, 16);
        return timeGraph(launches, [&](cudaStream_t s, int i) { launch(s, i % layers, m, count); });
    }

    /** Microseconds, in brackets those of the chain's beginnings, tokens that a KV head reads and the attention that they have. */
    void report(const Method& m, bool stages) {
        std::vector<double> times(m.kernels());
        double tokens = 0, of = 0, sum = 0, least = 1;
        const int heads = shape.batch * shape.heads;
        Device<float> mass(heads);
        Device<int> kept(heads);
        cudaStream_t stream;
        CHECK(cudaStreamCreate(&stream));
        for (int r = 0; r < rounds(); r++) {
            begin(r);
            for (int k = stages ? 1 : m.kernels(); k <= m.kernels(); k++) times[k - 1] += time(m, k) / rounds();
            launch(stream, 0, m, m.kernels());
            keptMass<<<dim3(shape.heads, shape.batch), CHECK_THREADS, 0, stream>>>(selection(), cache.at, m.kind != DENSE,
                    m.prunes ? keptTokens() : nullptr, tokenStride, tokenCounts.at, D, mass.at, kept.at);
            CHECK(cudaDeviceSynchronize());
            for (int count : kept.get()) tokens += count;
            for (int count : visible) of += (double)count * shape.heads;
            for (float share : mass.get()) {
                sum += share;
                least = std::min<double>(least, share);
            }
        }
        CHECK(cudaStreamDestroy(stream));
        printf("%2d/%-2d %4dK b%-2d  %-26s %7.1f us %8.0f tokens %6.2f %%  attention %6.2f %%, least %6.2f %%", shape.heads,
                shape.kvHeads, shape.tokens / 1024, shape.batch, m.name, times.back(), tokens / heads / rounds(), 100 * tokens / of,
                100 * sum / heads / rounds(), 100 * least);
        if (stages) printStages(times);
        printf("\n");
    }

    static void printStages(const std::vector<double>& times) {
        for (size_t k = 0; k + 1 < times.size(); k++) printf("%s%.1f", k > 0 ? " " : " (", times[k]);
        printf("%s", times.size() > 1 ? ")" : "");
    }
};

}  // namespace

int main(int count, char** values) {
    const CommandLine line(count, values, {"stages", "batch", "keys="}, 42);
    const std::string file = line.value("keys");
    const std::unique_ptr<Capture> capture(file.empty() ? nullptr : new Capture(file));
    const int D = capture ? capture->D : 128;
    std::vector<Shape> shapes;
    for (int kvHeads : {8, 32})
        for (int tokens : {capture ? 16384 : 8192, 32768, 131072}) shapes.push_back({32, kvHeads, tokens, 1, D});
    if (line.has("batch"))
        for (int kvHeads : {8, 32})
            for (int batch : {8, 32}) shapes.push_back({32, kvHeads, 16384, batch, D});
    const Method dense{"dense", DENSE, 0, false};
    printf("attention in all, bf16, D %d, page %d, us\n", D, PAGE);
    if (capture) {
        printf("keys of %d layers of %d / %d heads, %d tokens, %d queries\n", capture->layers, capture->heads, capture->kvHeads,
                capture->tokens, capture->queries);
        const Method methods[] = {dense, {"quest:2048", QUEST, 2048, false}, {"quest fp8:2048", QUEST8, 2048, false},
                {"quest moments fp8:2048", MOMENTS8, 2048, false}, {"quest moments fp8:25%", MOMENTS8, 0.25, false},
                {"signs:1024", SIGNS, 1024, false}, {"signs:512", SIGNS, 512, false}, {"signs:6%", SIGNS, 0.06, false},
                {"sketch:1024", SKETCH, 1024, false}, {"sketch:256", SKETCH, 256, false}, {"sketch:3%", SKETCH, 0.03, false},
                {"twilight on quest:8192", QUEST, 8192, true}, {"twilight on moments fp8:25%", MOMENTS8, 0.25, true},
                {"twilight on signs:12.5%", SIGNS, 0.125, true}, {"twilight on signs:6%", SIGNS, 0.06, true}};
        for (const Shape& s : shapes) {
            Bench bench(s, line.seed, capture.get());
            for (const Method& m : methods) bench.report(m, line.has("stages"));
        }
        return 0;
    }
    const Method methods[] = {{"quest:2048", QUEST, 2048, false}, {"quest fp8:2048", QUEST8, 2048, false},
            {"quest moments fp8:2048", MOMENTS8, 2048, false}, {"signs:1024", SIGNS, 1024, false}, {"signs:512", SIGNS, 512, false},
            {"signs:384", SIGNS, 384, false}, {"signs:256", SIGNS, 256, false},
            {"sketch:1024", SKETCH, 1024, false}, {"sketch:256", SKETCH, 256, false}};
    for (const Shape& s : shapes) {
        Bench bench(s, line.seed, nullptr);
        printf("%2d/%-2d %4dK b%-2d  dense %7.1f", s.heads, s.kvHeads, s.tokens / 1024, s.batch, bench.time(dense, 1));
        for (const Method& m : methods) {
            printf(" | %s %6.1f", m.name, bench.time(m, m.kernels()));
            if (line.has("stages")) {
                std::vector<double> times(m.kernels());
                for (int k = 1; k < m.kernels(); k++) times[k - 1] = bench.time(m, k);
                Bench::printStages(times);
            }
        }
        printf("\n");
    }
    return 0;
}
