/*
 * Test and benchmark of sample.cuh.
 *
 * Checks the sample_* kernels against the same sampling on the host in double: random shapes of all storage types, head sizes,
 * page sizes and methods, with windows and lists of pages that are kept anyway; the number of items drawn, the lists, masks and
 * weights, and attention over them; that a second run gives the same. "cover" draws many times from one attention and checks
 * that the error exceeds epsilon in at most the share delta of the draws, within three standard deviations, and that sums have
 * no bias.
 * Measures the kernels and the attention that follows beside attention over all pages; "tune" the pilot with other splits.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o sample sample.cu
 * Run:   sample [test] [cover] [bench] [tune] [seed=NUMBER]    (all but tune without a word; the seed is that of test's shapes)
 */
#include "../../main/cuda/sample.cuh"
#include "harness.cuh"

#include <map>
using namespace harness;
using namespace harness::storage;
using namespace skim;
using namespace skim::sparse;
using skim::decode::AttendArgs;

#define EXPECT(ok, ...)              \
    do {                             \
        if (!(ok)) {                 \
            if (failures++ < 20) {   \
                printf("FAIL ");     \
                printf(__VA_ARGS__); \
                printf("\n");        \
            }                        \
        }                            \
    } while (0)

typedef void (*Sampler)(const SampleArgs);
typedef void (*Attender)(const AttendArgs);
#define ROW(name, kv) {name##_##kv##_64, name##_##kv##_80, name##_##kv##_96, name##_##kv##_128}
static const Sampler PILOTS[4][4] = {
        ROW(sample_pilot, bf16), ROW(sample_pilot, f16), ROW(sample_pilot, fp8), ROW(sample_pilot, int8)};
static const Sampler VALUES[4][4] = {
        ROW(sample_values, bf16), ROW(sample_values, f16), ROW(sample_values, fp8), ROW(sample_values, int8)};
static const Sampler SPREADS[4] = {sample_spread_64, sample_spread_80, sample_spread_96, sample_spread_128};
using namespace skim::decode;
static const Attender ATTENDS[4][4] = {ROW(attend, bf16), ROW(attend, f16), ROW(attend, fp8), ROW(attend, int8)};

// ---- the CPU's Sample, in double ----

static uint64_t mixHost(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}
struct HostRandom {
    uint64_t key;
    HostRandom(uint64_t seed, int position, int layer, int head) {
        const uint64_t G = 0x9E3779B97F4A7C15ull;
        key = mixHost(seed + G);
        key = mixHost(key ^ (uint64_t)position * G);
        key = mixHost(key ^ ((uint64_t)layer << 32 | (uint64_t)head) * G);
    }
    int below(uint64_t c, int bound) const {
        return (int)((mixHost(key + c * 0x9E3779B97F4A7C15ull) >> 32) * (uint64_t)bound >> 32);
    }
};
static int firstOf(int s, int n, int count) {
    return (int)((int64_t)s * n / count);
}
static std::vector<int> drawHost(const HostRandom& r, int s, int n, int count, int k) {  // Strata.draw
    const int first = firstOf(s, n, count), size = firstOf(s + 1, n, count) - first;
    std::vector<int> drawn(k);
    for (int i = 0; i < k; i++) {
        int at = i + r.below(first + i, size - i);
        for (int j = i - 1; j >= 0; j--)
            if (at == j + r.below(first + j, size - j)) at = j;
        drawn[i] = first + at;
    }
    return drawn;
}

/** One list's keys and values as the kernel sees them. */
struct View {
    int slots, D, group, page, firstPage, first, last;
    std::function<const float*(int slot)> key, value;
    std::vector<float> q;  // [group][D] rounded, times scale * log2 e
};
static double spreadHost(
        const std::vector<std::vector<double>>& x, std::vector<double>& mean) {  // rows of w * v; returns cautious variance
    const int count = x.size(), D = x[0].size();
    mean.assign(D, 0);
    for (auto& row : x)
        for (int i = 0; i < D; i++) mean[i] += row[i] / count;
    double sum = 0, squares = 0;
    for (auto& row : x) {
        double d = 0;
        for (int i = 0; i < D; i++) d += (row[i] - mean[i]) * (row[i] - mean[i]);
        sum += d;
        squares += d * d;
    }
    return sum / (count - 1) + sqrt(std::max(0., squares - sum / count * sum)) / (count - 1);
}
/** The heads' greatest need of items, for a list of pages; nan-free. */
static double neededHost(const View& v, const std::vector<int>& listed, const std::vector<int>& rest, const RowMethod& m,
        const HostRandom& r, int n, int strata, int per) {
    double most = 0;
    const bool den = (m.verify & 3) != VERIFY_NUMERATOR, num = (m.verify & 3) != VERIFY_DENOMINATOR;
    for (int h = 0; h < v.group; h++) {
        auto logit = [&](int slot) {
            const float* k = v.key(slot);
            double x = 0;
            for (int d = 0; d < v.D; d++) x += (double)v.q[h * v.D + d] * k[d];
            return x;
        };
        auto sum = [&](int from, int to, double& total, std::vector<double>& values) {  // of visible slots, base 2 without shift
            for (int slot = std::max(from, v.first); slot < std::min(to, v.last); slot++) {
                const double w = exp2(logit(slot));
                total += w;
                if (num) {
                    const float* x = v.value(slot);
                    for (int d = 0; d < v.D; d++) values[d] += w * x[d];
                }
            }
        };
        double fixed = 0;
        std::vector<double> N(v.D, 0.);
        for (int index : listed) sum(index * v.page, (index + 1) * v.page, fixed, N);
        std::vector<std::vector<double>> ones, vectors;
        for (int s = 0; s < strata; s++) {
            const int item = drawHost(r, s, n, strata, 1)[0], slot = rest[item / per] * v.page + (per == 1 ? 0 : item % per);
            double w = 0;
            std::vector<double> x(v.D, 0.);
            sum(slot, slot + (per == 1 ? v.page : 1), w, x);
            ones.push_back({w});
            vectors.push_back(x);
        }
        auto size = [&](double variance, double tolerance) {
            const double s = pow((double)m.z * n / tolerance, 2) * variance;
            return s / (1 + s / n);
        };
        std::vector<double> mean;
        if (den) {
            const double var = spreadHost(ones, mean);
            most = std::max(most, size(var, (double)m.epsilon * (fixed + n * mean[0])));
        }
        if (num) {
            const double var = spreadHost(vectors, mean);
            double squares = 0;
            for (int d = 0; d < v.D; d++) squares += pow(N[d] + n * mean[d], 2);
            most = std::max(most, size(var, (double)m.epsilon * sqrt(squares)));
        }
    }
    return most;
}

// ---- everything on the device that a step needs ----

struct Rig {
    int kv, D, page, kvHeads, group, batch, tiles, lists, tableStride, stride, splits, pilotCtas, spreadCtas, drawCtas, maxStrata,
            attendSplits;
    SampleArgs args{};
    AttendArgs attend{};
    std::vector<void*> memory;
    template <class T>
    T* make(size_t n, int byte = 0xff) {
        void* p;
        CHECK(cudaMalloc(&p, std::max<size_t>(1, n) * sizeof(T)));
        CHECK(cudaMemset(p, byte, n * sizeof(T)));
        memory.push_back(p);
        return (T*)p;
    }
    ~Rig() {
        for (void* p : memory) cudaFree(p);
    }
    Rig(int kv, int D, int page, int kvHeads, int group, int batch, int maxTokens, double pilot, bool numerator, int splits,
            int pilotCtas)
            : kv(kv), D(D), page(page), kvHeads(kvHeads), group(group), batch(batch), splits(splits), pilotCtas(pilotCtas) {
        tiles = (group + 7) / 8;
        lists = batch * kvHeads;
        tableStride = (maxTokens + page - 1) / page + 1;
        stride = 2 * tableStride;
        spreadCtas = std::max(1, std::min(64, 264 / (kvHeads * tiles)));
        drawCtas = (tableStride * page + SAMPLE_RANGE - 1) / SAMPLE_RANGE;
        maxStrata = std::max(512, (int)ceil(pilot * maxTokens) + 16);
        attendSplits = std::max(1, std::min(64, 264 / (lists * tiles)));
        SelectionArgs& s = args.selection;
        s.methods = make<RowMethod>(batch);
        s.first = make<int>(batch);
        s.last = make<int>(batch);
        s.sequences = nullptr;
        s.pageTables = make<int>((size_t)batch * tableStride);
        s.tableStride = tableStride;
        s.pageSize = page;
        s.kvHeads = kvHeads;
        s.group = group;
        s.layer = 0;
        s.q = make<float>((size_t)batch * kvHeads * group * D);
        s.qStride = kvHeads * group * D;
        s.rowIndex = nullptr;
        s.scale = 1 / sqrtf((float)D);
        s.lists = {make<int>((size_t)lists * stride), make<int>((size_t)lists * stride), make<int>(lists), make<int>(lists),
                make<int>(lists), make<uint64_t>((size_t)lists * stride), make<float>((size_t)lists * stride), stride};
        args.splits = splits;
        args.partTokens = 128;
        args.pilotCtas = pilotCtas;
        args.maxStrata = maxStrata;
        args.fill = 1;
        const size_t lt = (size_t)lists * tiles;
        args.fixed = make<float>(lt * splits * attendPartialFloats(D));
        args.chunks = make<float>(lt * sampleChunks(maxStrata) * sampleChunkFloats(D));
        args.logits = make<float>(lt * maxStrata * 8);
        args.values = numerator ? make<half>(lt * maxStrata * D) : nullptr;
        args.states = make<float>(lt * sampleStateFloats(D));
        args.spreads = make<float2>(lt * spreadCtas * 8);
        args.plans = make<int>((size_t)lists * SAMPLE_PLAN_INTS);
        args.tickets = make<int>(lt, 0);
        args.progress = make<int>((size_t)lists * (drawCtas + 1), 0);
        attend.q = s.q;
        attend.qStride = s.qStride;
        attend.pageSize = page;
        attend.kvHeads = kvHeads;
        attend.group = group;
        attend.pages = s.lists.pages;
        attend.pageStride = stride;
        attend.pagesPerHead = 1;
        attend.counts = s.lists.counts;
        attend.first = s.lists.first;
        attend.last = s.lists.last;
        attend.masks = s.lists.masks;
        attend.logWeights = s.lists.logWeights;
        attend.rowIndex = nullptr;
        attend.outStride = kvHeads * group * D;
        attend.out = make<half>((size_t)batch * attend.outStride);
        attend.scale = s.scale;
        attend.splits = attendSplits;
        attend.partTokens = 128;
        attend.partials = make<float>(lt * attendSplits * attendPartialFloats(D));
        attend.tickets = make<int>(lt, 0);
    }
    void cache(const uint8_t* at) {
        args.cache = at;
        attend.cache = at;
    }
    void pilot(cudaStream_t st = 0) {
        PILOTS[kv][sizeIndex(D)]<<<dim3(splits + pilotCtas, kvHeads * tiles, batch), SAMPLE_THREADS, 0, st>>>(args);
        CHECK(cudaGetLastError());
    }
    void values(cudaStream_t st = 0) {
        VALUES[kv][sizeIndex(D)]<<<dim3(splits + pilotCtas, kvHeads * tiles, batch), SAMPLE_THREADS, 0, st>>>(args);
        CHECK(cudaGetLastError());
    }
    void spread(cudaStream_t st = 0) {
        SPREADS[sizeIndex(D)]<<<dim3(spreadCtas, kvHeads * tiles, batch), SAMPLE_THREADS, 0, st>>>(args);
        CHECK(cudaGetLastError());
    }
    void draw(cudaStream_t st = 0) {
        sample_draw<<<dim3(drawCtas, kvHeads, batch), DRAW_THREADS, 0, st>>>(args);
        CHECK(cudaGetLastError());
    }
    void run(cudaStream_t st = 0) {
        pilot(st);
        if (args.values) {
            values(st);
            spread(st);
        }
        draw(st);
    }
    void runAttend(cudaStream_t st = 0) {
        ATTENDS[kv][sizeIndex(D)]<<<dim3(attendSplits, kvHeads * tiles, batch), ATTEND_THREADS, 0, st>>>(attend);
        CHECK(cudaGetLastError());
    }
    template <class T>
    std::vector<T> get(const T* p, size_t n) {
        std::vector<T> x(n);
        CHECK(cudaMemcpy(x.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
        return x;
    }
    template <class T>
    void put(const T* p, const std::vector<T>& x) {
        CHECK(cudaMemcpy((void*)p, x.data(), x.size() * sizeof(T), cudaMemcpyHostToDevice));
    }
};

struct Stats {
    int none = 0, whole = 0, sampled = 0, border = 0;
    double error = 0;
};

static void testCase(int kv, int D, int page, int kvHeads, int group, int batch, int maxTokens, Rng& rng, Stats& stats) {
    char what[200];
    snprintf(what, sizeof what, "%s D %d page %d heads %d x %d", KV_NAMES[kv], D, page, kvHeads, group);
    Rig rig(kv, D, page, kvHeads, group, batch, maxTokens, 0.2, true, 1 + rng.upTo(6), 1 + rng.upTo(9));
    const int bytes = bytesOf(kv), stride = rig.stride;
    const size_t bb = blockBytes(kv, D, page);
    std::vector<RowMethod> methods(batch);
    std::vector<int> first(batch, 0), last(batch), tables((size_t)batch * rig.tableStride, 0);
    int pagesAll = 0;
    for (int b = 0; b < batch; b++) {
        last[b] = b == 1 ? 1 + rng.upTo(200) : maxTokens / 2 + rng.upTo(maxTokens / 2);
        if (b == batch - 1) last[b] = 0;  // no such entry
        if (b % 3 == 2) first[b] = rng.upTo(std::max(1, last[b] / 3));
        pagesAll += (last[b] + page - 1) / page;
    }
    std::vector<int> ids(pagesAll + 3);
    for (size_t i = 0; i < ids.size(); i++) ids[i] = i;
    std::shuffle(ids.begin(), ids.end(), rng.r);
    std::vector<uint8_t> cache(ids.size() * kvHeads * bb, 0xff);  // NaN what nobody wrote
    std::vector<float> dense(ids.size() * kvHeads * 2 * page * D, NAN);
    int next = 0;
    for (int b = 0; b < batch; b++)
        for (int i = 0; i * page < last[b]; i++) tables[(size_t)b * rig.tableStride + i] = ids[next++];
    const uint64_t seed = rng.r();
    const float offset = rng.upTo(2) ? 0.5f : 0.f;
    parallel(batch, [&](int b) {
        Rng own(seed + b);
        for (int slot = first[b]; slot < last[b]; slot++)
            for (int h = 0; h < kvHeads; h++)
                for (int k = 0; k < 2; k++) {
                    const int id = tables[(size_t)b * rig.tableStride + slot / page], token = slot % page;
                    uint8_t* block = &cache[((size_t)id * kvHeads + h) * bb];
                    float scale = 1;
                    float* scales = (float*)(block + 2 * (size_t)page * D * bytes);
                    if (kv == INT8) {
                        scale = (0.8f + 0.4f * own.uniform()) / 40;
                        scales[k * page + token] = scale;
                    }
                    const float common = own.upTo(50) == 0 ? 1.5f : 0.f;
                    for (int d = 0; d < D; d++) {
                        uint8_t v[2] = {0, 0};
                        encodeValue(kv, ((k ? offset : common * (d % 2 ? 1 : -1)) + own.normal()) * (kv == INT8 ? 40 : 1), v);
                        memcpy(block + k * page * D * bytes + skim::kvRowOffset(D * bytes, token, d * bytes), v, bytes);
                        dense[((((size_t)id * kvHeads + h) * 2 + k) * page + token) * D + d] =
                                (float)(decodeValue(kv, v) * scale);
                    }
                }
    });
    std::vector<float> q((size_t)batch * kvHeads * group * D);
    for (float& x : q) x = rng.normal() * (0.3f + rng.upTo(3) * 0.5f);
    const float EPS[] = {0.02f, 0.05f, 0.1f, 0.2f, 0.5f}, Z[] = {1.96f, 1.645f}, PILOT[] = {0.05f, 0.025f, 0.1f, 0.013f, 0.2f};
    std::vector<int> pages((size_t)rig.lists * stride, 0), indices(pages), counts(rig.lists, 0), lf(rig.lists, 0),
            ll(rig.lists, 0);
    for (int b = 0; b < batch; b++) {
        RowMethod& m = methods[b];
        memset(&m, 0, sizeof m);
        m.topP = 1;
        m.sinks = rng.upTo(40);
        m.recent = rng.upTo(60);
        m.epsilon = b == 3 ? 0 : EPS[rng.upTo(5)];
        m.z = Z[rng.upTo(2)];
        m.pilot = PILOT[rng.upTo(5)];
        m.verify = rng.upTo(3) | (rng.upTo(2) ? SAMPLE_PAGES : 0);
        m.seed = rng.r();
        m.step = last[b] - 1;
        const double keep = 0.02 + 0.2 * rng.uniform();
        for (int h = 0; h < kvHeads; h++) {
            const int l = b * kvHeads + h;
            int n = 0;
            for (int i = first[b] / page; i * page < last[b]; i++)
                if (i * page < m.sinks || i * page + page > last[b] - std::max(1, m.recent) || rng.uniform() < keep ||
                        (h == 1 && b == 0)) {
                    pages[(size_t)l * stride + n] = tables[(size_t)b * rig.tableStride + i];
                    indices[(size_t)l * stride + n++] = i;
                }
            counts[l] = n;
            if (n) {
                lf[l] = indices[(size_t)l * stride] == first[b] / page ? first[b] % page : 0;
                ll[l] = (n - 1) * page + (last[b] - 1) % page + 1;
            }
        }
    }
    const SelectionArgs& s = rig.args.selection;
    Device<uint8_t> deviceCache(cache);
    rig.cache(deviceCache.at);
    rig.args.selection.layer = 5;
    rig.put(s.methods, methods);
    rig.put(s.first, first);
    rig.put(s.last, last);
    rig.put(s.pageTables, tables);
    rig.put(s.q, q);
    auto putLists = [&] {
        rig.put(s.lists.pages, pages);
        rig.put(s.lists.indices, indices);
        rig.put(s.lists.counts, counts);
        rig.put(s.lists.first, lf);
        rig.put(s.lists.last, ll);
    };
    putLists();
    rig.run();
    rig.runAttend();
    CHECK(cudaDeviceSynchronize());
    auto gp = rig.get(s.lists.pages, pages.size()), gi = rig.get(s.lists.indices, pages.size()),
         gc = rig.get(s.lists.counts, counts.size());
    auto gf = rig.get(s.lists.first, counts.size()), gl = rig.get(s.lists.last, counts.size()),
         plans = rig.get(rig.args.plans, (size_t)rig.lists * SAMPLE_PLAN_INTS);
    auto gm = rig.get(s.lists.masks, pages.size());
    auto gw = rig.get(s.lists.logWeights, pages.size());
    auto out = rig.get(rig.attend.out, q.size());
    for (int c : rig.get(rig.args.tickets, (size_t)rig.lists * rig.tiles)) EXPECT(c == 0, "%s: ticket", what);
    for (int c : rig.get(rig.args.progress, (size_t)rig.lists * (rig.drawCtas + 1))) EXPECT(c == 0, "%s: progress", what);
    putLists();  // again: the same
    rig.run();
    CHECK(cudaDeviceSynchronize());
    EXPECT(gm == rig.get(s.lists.masks, pages.size()) && gi == rig.get(s.lists.indices, pages.size()) &&
                    gc == rig.get(s.lists.counts, counts.size()),
            "%s: repeated", what);
    std::vector<Stats> each(rig.lists);
    parallel(rig.lists, [&](int l) {
        const int b = l / kvHeads, h = l % kvHeads;
        if (last[b] == 0) return;
        const RowMethod& m = methods[b];
        Stats& st = each[l];
        const int firstPage = first[b] / page, endPage = (last[b] - 1) / page + 1, per = m.verify & SAMPLE_PAGES ? 1 : page;
        std::vector<int> listed(&indices[(size_t)l * stride], &indices[(size_t)l * stride] + counts[l]), rest;
        for (int i = firstPage, e = 0; i < endPage; i++)
            if (e < (int)listed.size() && listed[e] == i)
                e++;
            else
                rest.push_back(i);
        int k = 0;
        for (int t = 0; t < rig.tiles; t++) k = std::max(k, plans[(size_t)l * SAMPLE_PLAN_INTS + 1 + t]);
        View v{last[b], D, group, page, firstPage, first[b], last[b]};
        auto at = [&](int slot, int kind) {
            return &dense[((((size_t)tables[(size_t)b * rig.tableStride + slot / page] * kvHeads + h) * 2 + kind) * page +
                                  slot % page) *
                    D];
        };
        v.key = [&](int slot) { return at(slot, 0); };
        v.value = [&](int slot) { return at(slot, 1); };
        v.q.resize(group * D);
        for (int i = 0; i < group * D; i++) {
            float x = q[((size_t)b * kvHeads + h) * group * D + i] * (s.scale * 1.4426950408889634f);
            v.q[i] = kv == BF16 ? __bfloat162float(__float2bfloat16_rn(x)) : __half2float(__float2half_rn(x));
        }
        struct Entry {
            int index;
            uint64_t mask;
            float weight;
        };
        std::vector<Entry> want;
        auto seen = [&](int index) {
            uint64_t x = 0;
            for (int t = 0; t < page; t++)
                if (index * page + t >= first[b] && index * page + t < last[b]) x |= 1ull << t;
            return x;
        };
        for (int i : listed) want.push_back({i, seen(i), 0.f});
        const int n = rest.size() * per, strata = std::min(n, std::max(64, (int)ceil((double)m.pilot * n * (1 - 1.2e-7))));
        const HostRandom r(m.seed, m.step, 5, h);
        bool whole = false, sampled = false;
        if (m.epsilon == 0 || rest.empty()) {
            EXPECT(k == 0, "%s list %d: expected none, each %d", what, l, k);
            st.none++;
        } else if (n < 256) {
            EXPECT(k == SAMPLE_WHOLE, "%s list %d: expected whole, each %d", what, l, k);
            whole = true;
        } else {
            const double need = neededHost(v, listed, rest, m, r, n, strata, per) / strata;
            auto decide = [&](double x) {
                const int c = std::max(1, (int)ceil(x));
                return c > n / strata / 2 ? SAMPLE_WHOLE : c;
            };
            const int lo = decide(need * 0.99), hi = decide(need * 1.01), expected = decide(need);
            EXPECT(k >= lo && k <= hi, "%s list %d: items per stratum %d, expected %d (%.4f), n %d strata %d verify %d eps %g",
                    what, l, k, expected, need, n, strata, m.verify, m.epsilon);
            st.border += k != expected;
            whole = k == SAMPLE_WHOLE;
            sampled = !whole;
        }
        if (whole) {
            want.clear();
            for (int i = firstPage; i < endPage; i++) want.push_back({i, seen(i), 0.f});
            st.whole++;
        }
        if (sampled) {
            st.sampled++;
            std::map<std::pair<int, int>, uint64_t> masks;  // (rest page, size class)
            for (int t = 0; t < strata; t++) {
                const int size = firstOf(t + 1, n, strata) - firstOf(t, n, strata);
                for (int item : drawHost(r, t, n, strata, k)) {
                    const uint64_t bits = (per == 1 ? ~0ull : 1ull << item % per) & seen(rest[item / per]);
                    if (bits) masks[{item / per, size - n / strata}] |= bits;
                }
            }
            for (auto& e : masks)
                want.push_back({rest[e.first.first], e.second, (float)log((double)(n / strata + e.first.second) / k)});
        }
        EXPECT(gc[l] == (int)want.size(), "%s list %d: count %d, expected %zu", what, l, gc[l], want.size());
        bool same = gc[l] == (int)want.size();
        for (size_t e = 0; same && e < want.size(); e++) {
            const size_t i = (size_t)l * stride + e;
            uint64_t mask = 0;  // with first and last
            for (int t = 0; t < page; t++) {
                const int slot = e * page + t;
                if (slot >= gf[l] && slot < gl[l] && gm[i] >> t & 1) mask |= 1ull << t;
            }
            same = gi[i] == want[e].index && gp[i] == tables[(size_t)b * rig.tableStride + want[e].index] &&
                    mask == want[e].mask && fabsf(gw[i] - want[e].weight) < 1e-6f;
            EXPECT(same, "%s list %d entry %zu of %zu: index %d/%d mask %llx/%llx weight %g/%g", what, l, e, want.size(), gi[i],
                    want[e].index, (unsigned long long)mask, (unsigned long long)want[e].mask, gw[i], want[e].weight);
        }
        if (!same) return;
        double diff = 0, norm = 0;  // attention over the list
        for (int g = 0; g < group; g++) {
            double total = 0;
            std::vector<double> N(D, 0.);
            for (auto& e : want)
                for (int t = 0; t < page; t++)
                    if (e.mask >> t & 1) {
                        double x = 0;
                        const float* key = v.key(e.index * page + t);
                        for (int d = 0; d < D; d++) x += (double)v.q[g * D + d] * key[d];
                        const double w = exp2(x) * exp(e.weight);
                        total += w;
                        const float* val = v.value(e.index * page + t);
                        for (int d = 0; d < D; d++) N[d] += w * val[d];
                    }
            for (int d = 0; d < D; d++) {
                const double o = __half2float(out[((size_t)b * kvHeads + h) * group * D + g * D + d]), w = N[d] / total;
                diff += (o - w) * (o - w);
                norm += w * w;
            }
        }
        st.error = sqrt(diff / norm);
        EXPECT(st.error < 1e-2, "%s list %d: attention's error %g", what, l, st.error);
    });
    for (auto& e : each) {
        stats.none += e.none;
        stats.whole += e.whole;
        stats.sampled += e.sampled;
        stats.border += e.border;
        stats.error = std::max(stats.error, e.error);
    }
}

static void test(uint64_t seed) {
    Rng rng(seed);
    Stats stats;
    const int GROUPS[] = {1, 4, 8, 3, 12, 2, 5, 7}, DS[] = {64, 80, 96, 128}, PAGES[] = {16, 32, 64};
    int i = 0;
    for (int kv = 0; kv < 4; kv++)
        for (int D : DS) {
            const int page = PAGES[i % 3], group = GROUPS[i % 8];
            testCase(kv, D, page, 2, group, 6, page * (rng.upTo(2) ? 700 : 300), rng, stats);
            i++;
        }
    testCase(BF16, 64, 16, 1, 2, 5, 20000, rng, stats);
    testCase(F16, 64, 64, 1, 1, 5, 40000, rng, stats);
    printf("%s test: lists without a sample %d, whole %d, sampled %d (at a rounding border %d), attention's worst error %.1e\n",
            failures ? "FAIL" : "ok", stats.none, stats.whole, stats.sampled, stats.border, stats.error);
}

// ---- (epsilon, delta): many draws of the same attention, as SampleTest ----

static void cover(int tokens, int kind, int verify, float eps, float z, double delta, int pageOrder) {
    static const char* const KINDS[] = {"zipf", "peaked", "gauss", "wide", "flat"};
    const int D = 64, page = 16, kvHeads = 8, group = 2, batch = 32, pages = tokens / page;
    const bool num = (verify & 3) != VERIFY_DENOMINATOR;
    Rig rig(BF16, D, page, kvHeads, group, batch, tokens, 0.05, num, 4, 8);
    const size_t bb = blockBytes(BF16, D, page);
    std::vector<uint8_t> cache((size_t)pages * kvHeads * bb);
    std::vector<float> logits((size_t)kvHeads * group * tokens), values((size_t)kvHeads * tokens * D);
    Rng seedRng(tokens * 31 + kind);
    const uint64_t seed = seedRng.r();
    std::vector<float> pool(1 << 16);
    for (float& x : pool) x = __bfloat162float(__float2bfloat16_rn(seedRng.normal()));
    std::vector<std::vector<double>> N(kvHeads * group, std::vector<double>(D, 0.));
    std::vector<double> Z(kvHeads * group, 0.);
    std::vector<int> lists((size_t)rig.lists * rig.stride, 0), indices(lists), counts(rig.lists), zero(rig.lists, 0),
            last(rig.lists);
    const int keep = pages / 20;
    parallel(kvHeads, [&](int h) {
        Rng rng(seed + h);
        for (int g = 0; g < group; g++) {
            float* x = &logits[((size_t)h * group + g) * tokens];
            for (int i = 0; i < tokens; i++)
                x[i] = kind == 0    ? -1.1f * logf(1 + i) + 0.2f * rng.normal()
                        : kind == 1 ? rng.normal() + (rng.upTo(1000) == 0 ? 6 : 0)
                        : kind == 2 ? rng.normal()
                        : kind == 3 ? 2 * rng.normal()
                                    : 1.f;
            std::shuffle(x, x + tokens, rng.r);
            if (pageOrder) {  // neighbours are alike, as in a trained model: half of a logit is its page's
                for (int p = 0; p < pages; p++) {
                    const float common = x[p * page];
                    for (int t = 0; t < page; t++) x[p * page + t] = 0.5f * (x[p * page + t] + common);
                }
            }
            for (int i = 0; i < tokens; i++) x[i] = __bfloat162float(__float2bfloat16_rn(x[i]));
        }
        for (int i = 0; i < tokens; i++) {
            uint8_t* block = &cache[((size_t)(i / page) * kvHeads + h) * bb];
            for (int d = 0; d < D; d++) {
                uint8_t v[2];
                encodeValue(BF16, d < 2 ? logits[((size_t)h * group + d) * tokens + i] : 0., v);
                memcpy(block + skim::kvRowOffset(D * 2, i % page, d * 2), v, 2);
                encodeValue(BF16, 1 + pool[rng.r() & 65535], v);
                values[((size_t)h * tokens + i) * D + d] = (float)decodeValue(BF16, v);
                memcpy(block + page * D * 2 + skim::kvRowOffset(D * 2, i % page, d * 2), v, 2);
            }
            for (int g = 0; g < group; g++) {
                const double w = exp(logits[((size_t)h * group + g) * tokens + i]);
                Z[h * group + g] += w;
                for (int d = 0; d < D; d++) N[h * group + g][d] += w * values[((size_t)h * tokens + i) * D + d];
            }
        }
        std::vector<double> share(pages, 0.);  // oracle
        for (int g = 0; g < group; g++)
            for (int p = 0; p < pages; p++) {
                double sum = 0;
                for (int t = 0; t < page; t++) sum += exp(logits[((size_t)h * group + g) * tokens + p * page + t]);
                share[p] = std::max(share[p], sum / Z[h * group + g]);
            }
        share[0] = share[pages - 1] = share[pages - 2] = 1e9;
        std::vector<int> order(pages);
        for (int p = 0; p < pages; p++) order[p] = p;
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return share[a] > share[b]; });
        order.resize(keep);
        std::sort(order.begin(), order.end());
        for (int b = 0; b < batch; b++) {
            const int l = b * kvHeads + h;
            counts[l] = keep;
            last[l] = keep * page;
            for (int e = 0; e < keep; e++) lists[(size_t)l * rig.stride + e] = indices[(size_t)l * rig.stride + e] = order[e];
        }
    });
    std::vector<float> q((size_t)batch * kvHeads * group * D, 0.f);
    for (int r = 0; r < batch * kvHeads; r++)
        for (int g = 0; g < group; g++)
            q[((size_t)r * group + g) * D + g] = 8 / 1.4426950408889634f * 1.4453125f;  // exact in bf16 once folded
    const double fold = 1.4453125 / 1.4426950408889634;
    for (auto& x : N) std::fill(x.begin(), x.end(), 0.);
    std::fill(Z.begin(), Z.end(), 0.);
    parallel(kvHeads * group, [&](int i) {
        for (int t = 0; t < tokens; t++) {
            const double w = exp(fold * logits[(size_t)i * tokens + t]);
            Z[i] += w;
            for (int d = 0; d < D; d++) N[i][d] += w * values[((size_t)(i / group) * tokens + t) * D + d];
        }
    });
    std::vector<RowMethod> methods(batch);
    std::vector<int> tables((size_t)batch * rig.tableStride, 0), lasts(batch, tokens), firsts(batch, 0);
    for (int b = 0; b < batch; b++) {
        RowMethod& m = methods[b];
        memset(&m, 0, sizeof m);
        m.topP = 1;
        m.epsilon = eps;
        m.z = z;
        m.pilot = 0.05f;
        m.verify = verify;
        m.seed = 7919 * b;
        m.step = tokens - 1;
        for (int p = 0; p < pages; p++) tables[(size_t)b * rig.tableStride + p] = p;
    }
    const SelectionArgs& s = rig.args.selection;
    Device<uint8_t> dc(cache);
    rig.cache(dc.at);
    rig.put(s.methods, methods);
    rig.put(s.first, firsts);
    rig.put(s.last, lasts);
    rig.put(s.pageTables, tables);
    rig.put(s.q, q);
    rig.put(s.lists.pages, lists);
    rig.put(s.lists.indices, indices);
    rig.put(s.lists.counts, counts);
    rig.put(s.lists.first, zero);
    rig.put(s.lists.last, last);
    rig.run();
    CHECK(cudaDeviceSynchronize());
    auto gi = rig.get(s.lists.indices, lists.size()), gc = rig.get(s.lists.counts, counts.size());
    auto gm = rig.get(s.lists.masks, lists.size());
    auto gw = rig.get(s.lists.logWeights, lists.size());
    std::vector<double> den(rig.lists * group), numE(rig.lists * group), read(rig.lists), pagesRead(rig.lists);
    parallel(rig.lists, [&](int l) {
        const int h = l % kvHeads;
        for (int g = 0; g < group; g++) {
            const int i = h * group + g;
            double zs = 0;
            std::vector<double> n(D, 0.);
            for (int e = 0; e < gc[l]; e++) {
                const size_t at = (size_t)l * rig.stride + e;
                const double f = exp((double)gw[at]);
                for (uint64_t m = gm[at] & 0xffff; m; m &= m - 1) {
                    const int t = gi[at] * page + __builtin_ctzll(m);
                    const double w = f * exp(fold * logits[(size_t)i * tokens + t]);
                    zs += w;
                    if (g == 0) read[l]++;
                    if (num)
                        for (int d = 0; d < D; d++) n[d] += w * values[((size_t)h * tokens + t) * D + d];
                }
            }
            double diff = 0, norm = 0;
            for (int d = 0; d < D; d++) {
                diff += pow(n[d] - N[i][d], 2);
                norm += pow(N[i][d], 2);
            }
            den[l * group + g] = zs / Z[i] - 1;
            numE[l * group + g] = sqrt(diff / norm);
        }
        pagesRead[l] = gc[l];
    });
    double missD = 0, missN = 0, bias = 0, sq = 0, density = 0, pageDensity = 0;
    const int trials = rig.lists * group;
    for (int i = 0; i < trials; i++) {
        missD += fabs(den[i]) > eps;
        missN += numE[i] > eps;
        bias += den[i] / trials;
        sq += den[i] * den[i];
    }
    for (int l = 0; l < rig.lists; l++) {
        density += read[l] / tokens / rig.lists;
        pageDensity += pagesRead[l] / pages / rig.lists;
    }
    const double most = delta + 3 * sqrt(delta * (1 - delta) / trials);
    const bool ok = ((verify & 3) == VERIFY_NUMERATOR || missD / trials <= most) && (!num || missN / trials <= most) &&
            fabs(bias) < 5 * sqrt(sq) / trials + 1e-4;
    if (!ok) failures++;
    printf("%s %6d %-6s%s %s %s eps %.2f: misses den %.3f num %.3f (<= %.3f), bias %+.4f, tokens %.3f, pages read %.3f\n",
            ok ? "ok" : "FAIL", tokens, KINDS[kind], pageOrder ? "+" : " ", verify & 4 ? "page " : "token",
            (verify & 3) == 0           ? "den "
                    : (verify & 3) == 1 ? "num "
                                        : "both",
            eps, missD / trials, num ? missN / trials : 0., most, bias, density, pageDensity);
}

static void coverage() {
    for (int kind = 0; kind < 5; kind++) {
        cover(4096, kind, (kind + 0) % 3, 0.1f, 1.6449f, 0.1, 0);
        cover(16384, kind, (kind + 1) % 3 | 4, 0.1f, 1.6449f, 0.1, kind % 2);
        cover(16384, kind, (kind + 2) % 3, 0.05f, 1.96f, 0.05, 1);
        cover(16384, kind, 4, 0.05f, 1.96f, 0.05, 1);
    }
    cover(131072, 2, 0, 0.1f, 1.6449f, 0.1, 0);
    cover(131072, 3, 4, 0.1f, 1.6449f, 0.1, 1);
}

// ---- time ----

__global__ void fillNormal(uint16_t* to, size_t n, uint32_t seed) {  // bf16, about normal
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint64_t x = CounterRandom::mix(i * 0x9E3779B97F4A7C15ull + seed);
        const float sum = (float)(x & 65535) + (float)(x >> 16 & 65535) + (float)(x >> 32 & 65535) + (float)(x >> 48);
        to[i] = __bfloat16_as_ushort(__float2bfloat16_rn((sum - 131070.f) / 37837.f + (i / 2048 % 2)));  // values have mean 1
    }
}

static void benchShape(int kvHeads, int group, int tokens, int batch, bool full, bool tune) {
    const int D = 128, page = 16, pages = tokens / page;
    const size_t layerBytes = (size_t)batch * pages * kvHeads * blockBytes(BF16, D, page);
    const int layers = (int)std::max<size_t>(1, std::min<size_t>(8, ((size_t)24 << 30) / layerBytes));
    Device<uint8_t> cache(layerBytes * layers);
    fillNormal<<<2048, 256>>>((uint16_t*)cache.at, layerBytes * layers / 2, 7);
    Rng rng(3);
    std::vector<float> q((size_t)batch * kvHeads * group * D);
    for (float& x : q) x = rng.normal();
    std::vector<int> order((size_t)batch * pages);
    for (size_t i = 0; i < order.size(); i++) order[i] = i;
    std::shuffle(order.begin(), order.end(), rng.r);
    struct Config {
        const char* name;
        int verify;
        float pilot;
    };
    const Config configs[] = {{"token den 5%", 0, 0.05f}, {"token den 1%", 0, 0.01f}, {"page  den", 4, 0.02f},
            {"page  both", 6, 0.02f}, {"token both 1%", 2, 0.01f}};
    double denseTime = 0;
    for (int c = 0; c < (full ? 5 : 3); c++) {
        const Config& cfg = configs[c];
        const int lists = batch * kvHeads, slots = 396 / (lists * ((group + 7) / 8));
        Rig rig(BF16, D, page, kvHeads, group, batch, tokens, cfg.pilot, (cfg.verify & 3) != 0,
                tune ? 32 : std::max(1, std::min(16, slots / 3)), tune ? 32 : std::max(2, std::min(32, 2 * slots / 3)));
        const SelectionArgs& s = rig.args.selection;
        std::vector<RowMethod> methods(batch);
        std::vector<int> tables((size_t)batch * rig.tableStride, 0), first(batch, 0), last(batch, tokens);
        std::vector<int> lp((size_t)lists * rig.stride, 0), li(lp), counts(lists), lf(lists, 0), ll(lists);
        for (int b = 0; b < batch; b++) {
            RowMethod& m = methods[b];
            memset(&m, 0, sizeof m);
            m.topP = 1;
            m.epsilon = 0.1f;
            m.z = 1.6449f;
            m.pilot = cfg.pilot;
            m.verify = cfg.verify;
            m.seed = b;
            m.step = tokens - 1;
            for (int p = 0; p < pages; p++) tables[(size_t)b * rig.tableStride + p] = order[(size_t)b * pages + p];
            for (int h = 0; h < kvHeads; h++) {
                const int l = b * kvHeads + h;
                int n = 0;
                for (int p = 0; p < pages; p++)
                    if (p < 8 || p >= pages - 8 || rng.uniform() < 0.05f) {
                        lp[(size_t)l * rig.stride + n] = tables[(size_t)b * rig.tableStride + p];
                        li[(size_t)l * rig.stride + n++] = p;
                    }
                counts[l] = n;
                ll[l] = n * page;
            }
        }
        rig.put(s.methods, methods);
        rig.put(s.first, first);
        rig.put(s.last, last);
        rig.put(s.pageTables, tables);
        rig.put(s.q, q);
        rig.put(s.lists.pages, lp);
        rig.put(s.lists.indices, li);
        rig.put(s.lists.counts, counts);
        rig.put(s.lists.first, lf);
        rig.put(s.lists.last, ll);
        Device<int> keep(counts);
        auto at = [&](int i) {
            rig.cache(cache.at + (size_t)(i % layers) * layerBytes);
            rig.args.selection.layer = i;
        };
        auto reset = [&](cudaStream_t st) {
            CHECK(cudaMemcpyAsync(s.lists.counts, keep.at, lists * 4, cudaMemcpyDeviceToDevice, st));
        };
        if (c == 0) {  // dense by the same kernel: lists of everything
            std::vector<int> all((size_t)lists * rig.stride, 0), full(lists, pages), end(lists, tokens);
            for (int l = 0; l < lists; l++)
                for (int p = 0; p < pages; p++)
                    all[(size_t)l * rig.stride + p] = tables[(size_t)(l / kvHeads) * rig.tableStride + p];
            rig.put(s.lists.pages, all);
            rig.put(s.lists.counts, full);
            rig.put(s.lists.last, end);
            const AttendArgs saved = rig.attend;
            rig.attend.masks = nullptr;
            rig.attend.logWeights = nullptr;
            denseTime = timeGraph(layers, [&](cudaStream_t st, int i) {
                at(i);
                rig.runAttend(st);
            });
            rig.attend = saved;
            rig.put(s.lists.pages, lp);
            rig.put(s.lists.counts, counts);
            rig.put(s.lists.last, ll);
        }
        const int repeats = 8;
        const double base = timeGraph(repeats, [&](cudaStream_t st, int) { reset(st); });
        if (tune && (cfg.verify & 3) == 0) {
            printf("%2d/%-2d %4dK batch %2d %-13s pilot us by splits x pilotCtas:", kvHeads * group, kvHeads, tokens / 1024,
                    batch, cfg.name);
            for (int splits : {1, 2, 4, 8, 16, 32})
                for (int ctas : {1, 2, 4, 8, 16, 32}) {
                    if (splits + ctas > 64 || (size_t)(splits + ctas) * lists > 2048 || splits > 2 * ctas || ctas > 4 * splits)
                        continue;
                    rig.splits = rig.args.splits = splits;
                    rig.pilotCtas = rig.args.pilotCtas = ctas;
                    printf(" %dx%d %.1f", splits, ctas, timeGraph(repeats, [&](cudaStream_t st, int i) {
                        at(i);
                        reset(st);
                        rig.pilot(st);
                    }) - base);
                }
            printf("\n");
        }
        if (tune) continue;
        const double pilot = timeGraph(repeats, [&](cudaStream_t st, int i) {
            at(i);
            reset(st);
            rig.pilot(st);
            if (rig.args.values) rig.values(st);
        }) - base;
        double spread = 0;
        if (rig.args.values)
            spread = timeGraph(repeats,
                             [&](cudaStream_t st, int i) {
                                 at(i);
                                 reset(st);
                                 rig.pilot(st);
                                 rig.values(st);
                                 rig.spread(st);
                             }) -
                    base - pilot;
        const double all = timeGraph(repeats, [&](cudaStream_t st, int i) {
            at(i);
            reset(st);
            rig.run(st);
        }) - base;
        auto gc = rig.get(s.lists.counts, lists), plans = rig.get(rig.args.plans, (size_t)lists * SAMPLE_PLAN_INTS);
        double density = 0, fixed = 0;
        int whole = 0, most = 0;
        for (int l = 0; l < lists; l++) {
            density += (double)gc[l] / pages / lists;
            fixed += (double)counts[l] / pages / lists;
            int k = plans[(size_t)l * SAMPLE_PLAN_INTS + 1];
            if (k == SAMPLE_WHOLE)
                whole++;
            else
                most = std::max(most, k);
        }
        const double attend = timeGraph(repeats, [&](cudaStream_t st, int i) {
            at(i);
            rig.runAttend(st);
        });
        printf("%2d/%-2d %4dK batch %2d %-13s pilot %6.1f spread %5.1f draw %5.1f attend %6.1f = %6.1f us; dense %6.1f (%.2f); "
               "entries %.3f (list %.3f), each <= %d, whole %d of %d\n",
                kvHeads * group, kvHeads, tokens / 1024, batch, cfg.name, pilot, spread, all - pilot - spread, attend,
                all + attend, denseTime, (all + attend) / denseTime, density, fixed, most, whole, lists);
    }
}

static void bench() {
    const int shapes[][4] = {{32, 1, 8192, 1}, {32, 1, 32768, 1}, {32, 1, 131072, 1}, {8, 4, 8192, 1}, {8, 4, 32768, 1},
            {8, 4, 131072, 1}, {32, 1, 32768, 8}, {8, 4, 32768, 8}, {8, 4, 131072, 8}, {8, 4, 32768, 32}};
    for (auto& x : shapes) benchShape(x[0], x[1], x[2], x[3], x[3] == 1 && x[2] == 32768, false);
}

static void tuning() {
    const int shapes[][4] = {{32, 1, 8192, 1}, {32, 1, 32768, 1}, {32, 1, 131072, 1}, {8, 4, 8192, 1}, {8, 4, 32768, 1},
            {8, 4, 131072, 1}, {8, 4, 32768, 8}, {32, 1, 32768, 8}};
    for (auto& x : shapes) benchShape(x[0], x[1], x[2], x[3], false, true);
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "cover", "bench", "tune"}, 1);
    if (line.wants("test")) test(line.seed);
    if (line.wants("cover")) coverage();
    if (line.wants("bench") && failures == 0) bench();
    if (line.has("tune")) tuning();
    CHECK(cudaDeviceSynchronize());
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
