/*
 * Test and benchmark of prefill.cuh.
 *
 * Checks prefill_<KV>_<D> against causal attention in double: random spans of several sequences in one launch, all storage
 * types, head sizes, page sizes and group sizes, with and without a window, poison in every page that must not be seen; that
 * rows have the same bits when they are cut into other spans; that nothing is written outside.
 * Measures chunks of 512 and 2048 tokens at positions up to 30K.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o prefill prefill.cu
 * Run:   prefill [test] [bench] [seed=NUMBER]    (both and a random seed by default)
 */
#include "../../main/cuda/prefill.cuh"
#include "harness.cuh"

#include <climits>
using namespace harness;
using namespace harness::storage;
using skim::PrefillArgs;

using Fn = void (*)(PrefillArgs);
struct Entry {
    Kv kind;
    int D;
    Fn fn;
    int shared;
};

static std::vector<Entry> entries() {
    std::vector<Entry> list;
    int bytes;
#define E(KIND, KV, X, D)                                                        \
    CHECK(cudaMemcpyFromSymbol(&bytes, prefill_shared_##KV##_##D, sizeof(int))); \
    if (bytes != skim::prefill::SHARED_BYTES<skim::X, D>) {                      \
        printf("FAIL shared bytes\n");                                           \
        exit(1);                                                                 \
    }                                                                            \
    list.push_back({KIND, D, prefill_##KV##_##D, bytes});
#define ALL(KIND, KV, X) E(KIND, KV, X, 64) E(KIND, KV, X, 80) E(KIND, KV, X, 96) E(KIND, KV, X, 128)
    ALL(BF16, bf16, KvBf16)
    ALL(F16, f16, KvF16)
    ALL(FP8, fp8, KvFp8)
    ALL(INT8, int8, KvInt8)
    for (auto& e : list) CHECK(cudaFuncSetAttribute((const void*)e.fn, cudaFuncAttributeMaxDynamicSharedMemorySize, e.shared));
    return list;
}

/** Stores a value (int8: divided by its scale); returns what it stands for. */
static float stored(Kv kind, float x, uint8_t* to) {
    encodeValue(kind, x, to);
    return (float)decodeValue(kind, to);
}

struct Span {
    int count, position;
};
static std::mt19937 rng;
static float normal() {  // from a table: the tests draw hundreds of millions
    static const std::vector<float> table = [] {
        std::normal_distribution<float> n;
        std::vector<float> t(1 << 16);
        for (auto& x : t) x = n(rng);
        return t;
    }();
    static uint64_t state = rng();
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return table[state >> 48];
}
static int cases = 0;

static void launch(const Entry& e, const PrefillArgs& a, const std::vector<int>& counts) {
    const int rows = *std::max_element(counts.begin(), counts.end()) * a.group;
    e.fn<<<dim3((rows + 127) / 128, a.kvHeads, (unsigned)counts.size()), 128, e.shared>>>(a);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
}

// spans of different sequences in one launch; afterwards the same rows cut into smaller spans must give the same bits
static void test(const Entry& e, int kvHeads, int group, int ps, int window, const std::vector<Span>& spans) {
    cases++;
    const int D = e.D, heads = kvHeads * group, n = (int)spans.size(), eb = bytesOf(e.kind), bb = (int)blockBytes(e.kind, D, ps);
    const int qStride = (heads + 2 * kvHeads) * D, outStride = (heads * D + 63) / 64 * 64 + 64;
    int tableStride = 1, pages = 1, rows = 0;  // page 0 is poison
    std::vector<int> firstRow(n), count(n), position(n), sequence(n);
    std::vector<int> order(n);
    for (int i = 0; i < n; i++) order[i] = i;
    std::shuffle(order.begin(), order.end(), rng);
    for (int i = 0; i < n; i++) {
        const int need = (spans[i].position + spans[i].count + ps - 1) / ps;
        tableStride = std::max(tableStride, need + 3);
        pages += need;
        firstRow[i] = rows + 2;  // rows between spans belong to nobody
        rows = firstRow[i] + spans[i].count + 1;
        count[i] = spans[i].count;
        position[i] = spans[i].position;
        sequence[i] = order[i];
    }
    std::vector<int> ids(pages - 1);
    for (int i = 0; i < pages - 1; i++) ids[i] = i + 1;
    std::shuffle(ids.begin(), ids.end(), rng);
    std::vector<int> tables((size_t)n * tableStride, 0);
    std::vector<uint8_t> cache((size_t)pages * kvHeads * bb, 0xFF);
    std::vector<std::vector<float>> K(n), V(n);  // [kvHead][slot][D]
    int next = 0;
    for (int i = 0; i < n; i++) {
        const int length = position[i] + count[i];
        const int lowest = (int)std::max(0L, (long)position[i] - window + 1) / ps;  // pages below the window are gone
        K[i].resize((size_t)kvHeads * length * D);
        V[i].resize((size_t)kvHeads * length * D);
        for (int p = 0; p < (length + ps - 1) / ps; p++) {
            const int id = ids[next++];
            if (p < lowest) continue;
            tables[(size_t)sequence[i] * tableStride + p] = id;
            for (int h = 0; h < kvHeads; h++) {
                uint8_t* b = cache.data() + ((size_t)id * kvHeads + h) * bb;
                for (int t = 0; t < ps && p * ps + t < length; t++) {
                    const size_t at = ((size_t)h * length + p * ps + t) * D;
                    const float magnitude = std::exp(0.5f * normal());
                    float kMax = 0, vMax = 0;
                    for (int d = 0; d < D; d++) {
                        K[i][at + d] = normal();
                        V[i][at + d] = (normal() + 0.3f) * magnitude;
                        kMax = std::max(kMax, std::fabs(K[i][at + d]));
                        vMax = std::max(vMax, std::fabs(V[i][at + d]));
                    }
                    const float ks = e.kind == INT8 ? kMax / 127 : 1, vs = e.kind == INT8 ? vMax / 127 : 1;
                    for (int d = 0; d < D; d++) {
                        K[i][at + d] = stored(e.kind, K[i][at + d] / ks, b + skim::kvRowOffset(D * eb, t, d * eb)) * ks;
                        V[i][at + d] = stored(e.kind, V[i][at + d] / vs, b + ps * D * eb + skim::kvRowOffset(D * eb, t, d * eb)) * vs;
                    }
                    if (e.kind == INT8) {
                        memcpy(b + 2 * ps * D + t * 4, &ks, 4);
                        memcpy(b + 2 * ps * D + (ps + t) * 4, &vs, 4);
                    }
                }
            }
        }
    }
    std::vector<float> q((size_t)rows * qStride);
    for (auto& x : q) x = 1.5f * normal();
    const size_t outSize = (size_t)rows * outStride;
    Device<float> dq(q);
    Device<uint8_t> dc(cache);
    Device<int> dt(tables), df(firstRow), dn(count), dp(position), ds(sequence);
    Device<uint16_t> dout(outSize, 0xFF);
    const float scale = 1 / std::sqrt((float)D);
    PrefillArgs a{dq.at, dc.at, dt.at, df.at, dn.at, dp.at, ds.at, (half*)dout.at, qStride, outStride, tableStride, ps, kvHeads,
            group, window, scale};
    launch(e, a, count);
    const std::vector<uint16_t> out = dout.get();

    std::vector<int> f2, n2, p2, s2;  // the same rows, cut
    for (int i = 0; i < n; i++) {
        for (int at = 0; at < count[i];) {
            const int c = std::min(count[i] - at, 1 + (int)(rng() % 150));
            f2.push_back(firstRow[i] + at);
            n2.push_back(c);
            p2.push_back(position[i] + at);
            s2.push_back(sequence[i]);
            at += c;
        }
    }
    PrefillArgs a2 = a;
    Device<int> e1(f2), e2(n2), e3(p2), e4(s2);
    a2.firstRow = e1.at;
    a2.count = e2.at;
    a2.firstPosition = e3.at;
    a2.sequence = e4.at;
    dout.fill(0xFF);
    launch(e, a2, n2);
    const bool same = dout.get() == out;

    // untouched outside the spans, numbers inside
    long strayWrites = 0, missing = 0;
    std::vector<char> owned(rows, 0);
    for (int i = 0; i < n; i++)
        for (int r = 0; r < count[i]; r++) owned[firstRow[i] + r] = 1;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < outStride; c++) {
            const bool ours = owned[r] && c < heads * D;
            const uint16_t bits = out[(size_t)r * outStride + c];
            if (!ours && bits != 0xFFFF) strayWrites++;
            if (ours && (bits & 0x7C00) == 0x7C00) missing++;
        }
    struct Job {
        int span, token;
    };
    std::vector<Job> jobs;
    for (int i = 0; i < n; i++)
        for (int r = 0; r < count[i]; r++)
            if (count[i] <= 48 || r < 2 || r >= count[i] - 2 || rng() % (count[i] / 24) == 0) jobs.push_back({i, r});
    std::vector<double> error(jobs.size() * heads), norm(jobs.size() * heads);
    parallel((int)jobs.size(), [&](int j) {
        const int i = jobs[j].span, token = jobs[j].token, pos = position[i] + token, length = position[i] + count[i];
        const int lo = (int)std::max(0L, (long)pos - window + 1);
        std::vector<double> s(pos + 1 - lo), o(D);
        for (int h = 0; h < heads; h++) {
            const float* x = &q[(size_t)(firstRow[i] + token) * qStride + h * D];
            const size_t base = (size_t)(h / group) * length * D;
            double top = -1e300, sum = 0;
            for (int k = lo; k <= pos; k++) {
                double dot = 0;
                for (int d = 0; d < D; d++) dot += (double)x[d] * K[i][base + (size_t)k * D + d];
                s[k - lo] = dot * scale;
                top = std::max(top, s[k - lo]);
            }
            std::fill(o.begin(), o.end(), 0.0);
            for (int k = lo; k <= pos; k++) {
                const double p = std::exp(s[k - lo] - top);
                sum += p;
                for (int d = 0; d < D; d++) o[d] += p * V[i][base + (size_t)k * D + d];
            }
            double e2 = 0, n2_ = 0;
            for (int d = 0; d < D; d++) {
                __half_raw raw;
                raw.x = out[(size_t)(firstRow[i] + token) * outStride + h * D + d];
                const double r = o[d] / sum, y = __half2float(__half(raw));
                e2 += (y - r) * (y - r);
                n2_ += r * r;
            }
            error[(size_t)j * heads + h] = e2;
            norm[(size_t)j * heads + h] = n2_;
        }
    });
    double errorSum = 0, normSum = 0, worst = 0;
    bool nan = false;
    for (size_t j = 0; j < error.size(); j++) {
        errorSum += error[j];
        normSum += norm[j];
        if (!(error[j] >= 0)) nan = true;
        worst = std::max(worst, std::sqrt(error[j] / norm[j]));
    }
    const double rel = std::sqrt(errorSum / normSum), limit = e.kind == BF16 ? 6e-3 : 1.5e-3;
    const bool ok = rel < limit && worst < 6 * limit && !nan && !strayWrites && !missing && same;
    if (!ok) failures++;
    if (!ok || getenv("VERBOSE"))
        printf("%s %s D%d kv%d group%d page%d window%d spans%d (%d@%d…): rel %.2e worst row %.2e%s stray %ld missing %ld%s\n",
                ok ? "ok" : "FAIL", KV_NAMES[e.kind], D, kvHeads, group, ps, window == INT_MAX ? 0 : window, n, spans[0].count,
                spans[0].position, rel, worst, nan ? " NaN" : "", strayWrites, missing, same ? "" : " depends on the cut");
}

// ---- bench ----

__device__ inline float hashed(size_t i) {
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    return (float)((z >> 40) * (1.0 / (1 << 24)) - 0.5) * 3.46f;
}
template <class X>
__global__ void fillCache(uint8_t* cache, int bb, int D, int ps) {
    uint8_t* b = cache + (size_t)blockIdx.x * bb;
    for (int i = threadIdx.x; i < 2 * ps * D; i += blockDim.x)
        X::store(b + i * X::BYTES, hashed((size_t)blockIdx.x * 2 * ps * D + i) * (X::SCALED ? 70 : 1));
    if (X::SCALED)
        for (int i = threadIdx.x; i < 2 * ps; i += blockDim.x) ((float*)(b + 2 * ps * D))[i] = 0.014f;
}
__global__ void fillFloats(float* x, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) x[i] = hashed(i);
}

static void bench(const Entry& e, int heads, int kvHeads, int chunk, int position, int ps) {
    const int D = e.D, group = heads / kvHeads, length = position + chunk, need = (length + ps - 1) / ps,
              bb = (int)blockBytes(e.kind, D, ps);
    const int qStride = (heads + 2 * kvHeads) * D, outStride = heads * D;
    Device<uint8_t> cache((size_t)need * kvHeads * bb);
    switch (e.kind) {
        case BF16: fillCache<skim::KvBf16><<<need * kvHeads, 256>>>(cache.at, bb, D, ps); break;
        case F16: fillCache<skim::KvF16><<<need * kvHeads, 256>>>(cache.at, bb, D, ps); break;
        case FP8: fillCache<skim::KvFp8><<<need * kvHeads, 256>>>(cache.at, bb, D, ps); break;
        case INT8: fillCache<skim::KvInt8><<<need * kvHeads, 256>>>(cache.at, bb, D, ps); break;
    }
    CHECK(cudaGetLastError());
    Device<float> q((size_t)chunk * qStride);
    fillFloats<<<512, 256>>>(q.at, q.n);
    Device<half> out((size_t)chunk * outStride);
    std::vector<int> table(need);
    for (int i = 0; i < need; i++) table[i] = i;
    std::shuffle(table.begin(), table.end(), rng);
    Device<int> dt(table), spans(std::vector<int>{0, chunk, position, 0});
    PrefillArgs a{q.at, cache.at, dt.at, spans.at, spans.at + 1, spans.at + 2, spans.at + 3, out.at, qStride, outStride, need, ps,
            kvHeads, group, INT_MAX, 1 / std::sqrt((float)D)};
    const dim3 grid((chunk * group + 127) / 128, kvHeads, 1);
    const double pairs = (double)chunk * position + (double)chunk * (chunk + 1) / 2, flops = 4.0 * D * pairs * heads;
    const int repeats = (int)std::max(1.0, 1.5e12 / flops);  // 4 ms and more a sample
    const double us = timeGraph(repeats, [&](cudaStream_t stream, int) { e.fn<<<grid, 128, e.shared, stream>>>(a); });
    const double floor = flops / 989e12 * 1e6;  // dense 16-bit products of an H200
    printf("%-4s D%-3d %2d/%-2d page %2d chunk %4d at %5d: %9.1f us  floor %8.1f  ratio %5.2f  %6.1f TFLOP/s\n", KV_NAMES[e.kind],
            D, heads, kvHeads, ps, chunk, position, us, floor, us / floor, flops / us * 1e-6);
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench"}, std::random_device{}());
    rng.seed(line.seed);
    const auto list = entries();
    for (const auto& e : list) {
        if (e.D == 128 && e.kind == BF16) {
            int blocks;
            CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, e.fn, 128, e.shared));
            printf("shared %d bytes, %d blocks an SM\n", e.shared, blocks);
        }
    }
    if (line.wants("test")) {
        const int starts[] = {0, 1, 15, 16, 63, 64, 65, 500, 1000},
                  counts[] = {1, 2, 15, 16, 31, 33, 64, 127, 128, 129, 300, 700};
        const int sizes[] = {16, 32, 64};
        auto pick = [](auto& array) { return array[rng() % (sizeof(array) / sizeof(array[0]))]; };
        for (const auto& e : list) {
            for (int ps : sizes) test(e, 1 + rng() % 3, 1 + rng() % 8, ps, INT_MAX, {{pick(counts), pick(starts)}});
            for (int ps : sizes)
                test(e, 2, 1 + rng() % 8, ps, 1 + (int)(rng() % 200),
                        {{pick(counts), pick(starts)}, {pick(counts), pick(starts)}});
            test(e, 2, 1 + rng() % 8, pick(sizes), INT_MAX,
                    {{pick(counts), pick(starts)}, {1, pick(starts)}, {1, 0}, {(int)(1 + rng() % 700), (int)(rng() % 300)}});
        }
        const Entry& main = list[3];  // bf16, 128
        for (int group = 1; group <= 8; group++)
            test(main, 2, group, pick(sizes), INT_MAX, {{pick(counts), pick(starts)}, {77, 3}});
        for (int start : starts) test(main, 1, 4, 16, INT_MAX, {{pick(counts), start}});
        for (int count : counts) test(main, 2, 4, 16, INT_MAX, {{count, pick(starts)}});
        for (int window : {1, 2, 16, 63, 64, 65, 100, 1000}) test(main, 1, 3, 16, window, {{300, 500}, {130, 0}});
        printf("%d cases, %d failed\n", cases, failures);
    }
    if (line.wants("bench")) {
        auto entry = [&](Kv k, int D) {
            for (const auto& e : list)
                if (e.kind == k && e.D == D) return e;
            exit(2);
        };
        for (int kvHeads : {8, 32}) {
            for (int position : {0, 6144, 30720}) bench(entry(BF16, 128), 32, kvHeads, 2048, position, 16);
            bench(entry(BF16, 128), 32, kvHeads, 512, 30720, 16);
        }
        bench(entry(BF16, 128), 32, 8, 2048, 30720, 64);
        for (Kv k : {F16, FP8, INT8}) bench(entry(k, 128), 32, 8, 2048, 30720, 16);
        for (int D : {64, 80, 96}) bench(entry(BF16, D), 32, 8, 2048, 6144, 16);
    }
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
