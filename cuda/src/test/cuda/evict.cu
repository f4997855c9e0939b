/*
 * Test and benchmark of evict.cuh.
 *
 * Checks evict_<KV> against a sort of all tokens by rank and position, to the byte, with many equal ranks: random shapes of
 * several sequences in one launch, all storage types, methods with and without pooling and with one choice for all heads; and
 * observe_<KV>_<D> against attention in double.
 * Measures the ranking and the observation of a token.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o evict evict.cu
 * Run:   evict [test] [bench] [seed=NUMBER]    (both and a random seed by default)
 */
#include "../../main/cuda/evict.cuh"
#include "harness.cuh"

#include <numeric>

using namespace harness;
using namespace harness::storage;
using namespace skim::evict;

typedef void (*Evicter)(const EvictArgs);
typedef void (*Observer)(const ObserveArgs);
static const Evicter EVICTERS[] = {evict_bf16, evict_f16, evict_fp8, evict_int8};
#define OBSERVERS_OF(kv) {observe_##kv##_64, observe_##kv##_80, observe_##kv##_96, observe_##kv##_128}
static const Observer OBSERVERS[][4] = {OBSERVERS_OF(bf16), OBSERVERS_OF(f16), OBSERVERS_OF(fp8), OBSERVERS_OF(int8)};
static const int SIZES[] = {64, 80, 96, 128};

static void check(bool good, const std::string& what) {
    if (!good) {
        failures++;
        printf("FAIL %s\n", what.c_str());
    }
}

/** Pages of several sequences, in random order, and what is recorded of their tokens. */
struct Pool {
    int kv, D, page, kvHeads, layers, pages, stride;
    size_t block, layerBytes, layerTokens;
    std::vector<int> tables;        // [sequence][stride]
    std::vector<uint8_t> cache;     // [layer][page][head] blocks
    std::vector<int> positions;     // [layer][page][head][slot]
    std::vector<float> attention;

    Pool(Rng& rng, int kv, int D, int page, int kvHeads, int layers, const std::vector<int>& slots)
        : kv(kv), D(D), page(page), kvHeads(kvHeads), layers(layers), pages(1), stride(1), block(blockBytes(kv, D, page)) {
        for (int count : slots) {
            pages += (count + page - 1) / page;
            stride = std::max(stride, (count + page - 1) / page + 1);
        }
        std::vector<int> ids(pages - 1);
        std::iota(ids.begin(), ids.end(), 1);
        std::shuffle(ids.begin(), ids.end(), rng.r);
        tables.assign(slots.size() * stride, 0);
        int next = 0;
        for (size_t s = 0; s < slots.size(); s++) {
            for (int p = 0; p < (slots[s] + page - 1) / page; p++) tables[s * stride + p] = ids[next++];
        }
        layerBytes = pages * kvHeads * block;
        layerTokens = static_cast<size_t>(pages) * kvHeads * page;
        cache.resize(layers * layerBytes);
        for (auto& x : cache) x = static_cast<uint8_t>(rng.r());
        positions.assign(layers * layerTokens, -1);
        attention.assign(layers * layerTokens, -1.f);
    }

    size_t record(int layer, int sequence, int head, int slot) const {
        return layer * layerTokens + (static_cast<size_t>(tables[sequence * stride + slot / page]) * kvHeads + head) * page + slot % page;
    }
    uint8_t* at(int layer, int sequence, int head, int slot) {
        return cache.data() + layer * layerBytes + (static_cast<size_t>(tables[sequence * stride + slot / page]) * kvHeads + head) * block;
    }
};

static void move(Pool& pool, int layer, int sequence, int head, int from, int to, bool attention) {
    const int bytes = bytesOf(pool.kv), D = pool.D, page = pool.page;
    uint8_t* source = pool.at(layer, sequence, head, from);
    uint8_t* target = pool.at(layer, sequence, head, to);
    const auto copy = [&](size_t fromByte, size_t toByte, int n) { memcpy(target + toByte, source + fromByte, n); };
    const int f = from % page, t = to % page;
    for (int k = 0; k < 2; k++)
        for (int d = 0; d < D; d++) {
            const int values = k * page * D * bytes;
            copy(values + skim::kvRowOffset(D * bytes, f, d * bytes), values + skim::kvRowOffset(D * bytes, t, d * bytes), bytes);
        }
    if (pool.kv == INT8) {
        for (int i = 0; i < 2; i++) copy(2 * page * D + (i * page + f) * 4, 2 * page * D + (i * page + t) * 4, 4);
    }
    const size_t a = pool.record(layer, sequence, head, from), b = pool.record(layer, sequence, head, to);
    pool.positions[b] = pool.positions[a];
    if (attention) pool.attention[b] = pool.attention[a];
}

static void evictOnHost(Pool& pool, int sequence, const Eviction& e, int layer, int firstHead, int heads, int window) {
    const int n = e.count;
    std::vector<float> sum(n, 0.f), rank(n, 0.f);
    std::vector<int> position(n), order(n);
    for (int i = 0; i < n; i++) {
        position[i] = pool.positions[pool.record(layer, sequence, firstHead, i)];
        for (int h = firstHead; h < firstHead + heads; h++) sum[i] += pool.attention[pool.record(layer, sequence, h, i)];
    }
    for (int i = 0; i < n; i++) {
        if (e.kernel == 0) {
            rank[i] = sum[i];
        } else if (i < n - e.unpooled) {
            for (int j = std::max(0, i - e.kernel / 2); j <= std::min(n - e.unpooled - 1, i + e.kernel / 2); j++) rank[i] += sum[j] / e.kernel;
        }
        if (position[i] <= e.length - window) {
            rank[i] = -1;
        } else if (position[i] >= e.length - e.recent) {
            rank[i] = INFINITY;
        }
    }
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return rank[a] != rank[b] ? rank[a] > rank[b] : position[a] > position[b]; });
    std::vector<bool> kept(n, false);
    for (int i = 0; i < e.keep; i++) kept[order[i]] = true;
    int to = 0;
    for (int from = e.keep; from < n; from++) {
        if (!kept[from]) continue;
        while (kept[to]) to++;
        for (int h = firstHead; h < firstHead + heads; h++) move(pool, layer, sequence, h, from, to, e.kernel == 0);
        to++;
    }
}

static EvictArgs evictArgs(const Pool& pool, const Device<Eviction>& evictions, const Device<int>& tables, const Device<uint8_t>& cache,
                           const Device<int>& positions, const Device<float>& attention, int window, int windowFrom) {
    return {evictions.at, tables.at, pool.stride, pool.page, pool.kvHeads, pool.D, window, windowFrom, cache.at, pool.layerBytes,
            {positions.at, attention.at, pool.layerTokens}};
}

static void testEvict(Rng& rng, int kv) {
    const int page = 16 << rng.upTo(3), kvHeads = 1 + rng.upTo(4), layers = 1 + rng.upTo(3), sequences = 1 + rng.upTo(4);
    const int window = rng.upTo(2) ? INT_MAX : 20 + rng.upTo(400), windowFrom = rng.upTo(2);
    std::vector<int> slots;
    std::vector<Eviction> evictions;
    for (int s = 0; s < sequences; s++) {
        const int count = 2 + rng.upTo(rng.upTo(3) ? 300 : 3000), keep = rng.upTo(3) ? 1 + rng.upTo(count - 1) : count - 1;
        const int method = rng.upTo(3), voting = std::min(keep, 1 + rng.upTo(64));
        slots.push_back(count);
        const int length = method == 2 ? count : count + rng.upTo(1000);
        evictions.push_back({count, length, keep, method == 2 ? voting : method == 0 ? rng.upTo(keep + 1) : 0,
                             method == 2 ? 1 + 2 * rng.upTo(5) : 0, method == 2 ? voting : 0, method == 1, 0});
    }
    Pool pool(rng, kv, SIZES[rng.upTo(4)], page, kvHeads, layers, slots);
    const int levels = rng.upTo(2) ? 5 : 1 << 30;   // few: many equal ranks
    for (int s = 0; s < sequences; s++) {
        for (int layer = 0; layer < layers; layer++) {
            std::vector<int> positions(evictions[s].length);
            std::iota(positions.begin(), positions.end(), 0);
            if (evictions[s].kernel == 0) std::shuffle(positions.begin(), positions.end(), rng.r);
            for (int head = 0; head < kvHeads; head++) {
                for (int i = 0; i < slots[s]; i++) {
                    pool.positions[pool.record(layer, s, head, i)] = positions[i];
                    pool.attention[pool.record(layer, s, head, i)] = rng.upTo(levels) * (3.f / levels);
                }
            }
        }
    }
    Device<Eviction> dEvictions(evictions);
    Device<int> dTables(pool.tables), dPositions(pool.positions);
    Device<uint8_t> dCache(pool.cache);
    Device<float> dAttention(pool.attention);
    EVICTERS[kv]<<<dim3(layers * kvHeads, sequences), EVICT_THREADS>>>(
            evictArgs(pool, dEvictions, dTables, dCache, dPositions, dAttention, window, windowFrom));
    CHECK(cudaDeviceSynchronize());
    for (int s = 0; s < sequences; s++) {
        for (int layer = 0; layer < layers; layer++) {
            const int seen = layer < windowFrom ? INT_MAX : window;
            if (evictions[s].joint) {
                evictOnHost(pool, s, evictions[s], layer, 0, kvHeads, seen);
            } else {
                for (int head = 0; head < kvHeads; head++) evictOnHost(pool, s, evictions[s], layer, head, 1, seen);
            }
        }
    }
    const std::string what = std::string("evict ") + KV_NAMES[kv] + " page " + std::to_string(page) + " heads " + std::to_string(kvHeads)
            + " layers " + std::to_string(layers) + " D " + std::to_string(pool.D) + " first count " + std::to_string(slots[0]) + " keep "
            + std::to_string(evictions[0].keep) + " kernel " + std::to_string(evictions[0].kernel) + " joint "
            + std::to_string(evictions[0].joint) + " window " + std::to_string(window) + " of " + std::to_string(sequences);
    check(dPositions.get() == pool.positions, what + ": positions");
    check(dAttention.get() == pool.attention, what + ": attention");
    check(dCache.get() == pool.cache, what + ": cache");
}

static void testObserve(Rng& rng, int kv) {
    const int D = SIZES[rng.upTo(4)], page = 16 << rng.upTo(3), kvHeads = 1 + rng.upTo(3), group = 1 + rng.upTo(9);
    const int window = rng.upTo(2) ? INT_MAX : 1 + rng.upTo(300), sequences = 1 + rng.upTo(3), heads = kvHeads * group;
    std::vector<int> slots;
    std::vector<Observed> observed;
    int rows = 3;
    for (int s = 0; s < sequences; s++) {
        const int count = rng.upTo(4) == 0 ? 0 : rng.upTo(2) ? 1 : 1 + rng.upTo(150), before = rng.upTo(500);
        observed.push_back({rows, count, before, before + 17, rng.upTo(2)});
        slots.push_back(before + count + 1);   // and one that no query sees
        rows += count + 2;
    }
    Pool pool(rng, kv, D, page, kvHeads, 1, slots);
    std::vector<float> q(static_cast<size_t>(rows) * heads * D), logSums(rows * heads, 0.f);
    for (auto& x : q) x = rng.normal();
    const float scale = 1 / std::sqrt(static_cast<float>(D));
    std::vector<double> expected(pool.attention.size());
    std::vector<bool> known(pool.attention.size(), false);
    for (int s = 0; s < sequences; s++) {
        const Observed& o = observed[s];
        for (int head = 0; head < kvHeads; head++) {
            std::vector<std::vector<double>> keys(slots[s], std::vector<double>(D));
            for (int i = 0; i < slots[s]; i++) {
                uint8_t* block = pool.at(0, s, head, i);
                float ks = 0.02f;
                for (int d = 0; d < D; d++) {
                    uint8_t* to = block + skim::kvRowOffset(D * bytesOf(kv), i % page, d * bytesOf(kv));
                    encodeValue(kv, rng.normal() / (kv == INT8 ? ks : 1), to);
                    keys[i][d] = decodeValue(kv, to) * (kv == INT8 ? ks : 1);
                }
                if (kv == INT8) memcpy(block + 2 * page * D + i % page * 4, &ks, 4);
                const size_t at = pool.record(0, s, head, i);
                pool.positions[at] = i + 17 - (i < o.firstSlot && rng.upTo(3) == 0 ? 17 : 0);
                pool.attention[at] = rng.uniform();
                expected[at] = o.count > 0 && i < o.firstSlot + o.count && o.replaces ? 0 : pool.attention[at];
                known[at] = true;
            }
            for (int t = 0; t < o.count; t++) {
                for (int h = head * group; h < (head + 1) * group; h++) {
                    const float* query = &q[(static_cast<size_t>(o.firstRow + t) * heads + h) * D];
                    std::vector<double> weights(slots[s], 0.);
                    double sum = 0;
                    for (int i = 0; i <= o.firstSlot + t; i++) {
                        if (pool.positions[pool.record(0, s, head, i)] <= static_cast<long>(o.firstPosition) + t - window) continue;
                        double score = 0;
                        for (int d = 0; d < D; d++) score += query[d] * keys[i][d];
                        sum += weights[i] = std::exp(score * scale);
                    }
                    logSums[(o.firstRow + t) * heads + h] = static_cast<float>(std::log2(sum));
                    for (int i = 0; i <= o.firstSlot + t; i++) expected[pool.record(0, s, head, i)] += weights[i] / sum;
                }
            }
        }
    }
    Device<float> dq(q), dLogSums(logSums), dAttention(pool.attention);
    Device<Observed> dObserved(observed);
    Device<int> dTables(pool.tables), dPositions(pool.positions);
    Device<uint8_t> dCache(pool.cache);
    const ObserveArgs args{dq.at, heads * D, dCache.at, page, kvHeads, group, dObserved.at, dTables.at, pool.stride, window, dLogSums.at,
                           scale, {dPositions.at, dAttention.at, pool.layerTokens}};
    OBSERVERS[kv][sizeIndex(D)]<<<dim3(1 + rng.upTo(5), kvHeads, sequences), OBSERVE_THREADS>>>(args);
    CHECK(cudaDeviceSynchronize());
    const std::vector<float> actual = dAttention.get();
    double worst = 0;
    for (size_t i = 0; i < actual.size(); i++) {
        const double error = known[i] ? std::fabs(actual[i] - expected[i]) / (1e-3 + expected[i]) : actual[i] == -1 ? 0 : 1;
        worst = std::max(worst, std::isfinite(error) ? error : 1.);
    }
    check(worst < 0.03, std::string("observe ") + KV_NAMES[kv] + " D " + std::to_string(D) + " page " + std::to_string(page) + " heads "
            + std::to_string(kvHeads) + " group " + std::to_string(group) + " window " + std::to_string(window) + ": error "
            + std::to_string(worst));
}

/** 32 layers of an 8B shape, a sequence of `slots`. Of eviction the ranking alone: what is kept stands first already. */
static void bench(Rng& rng, int slots, int keep, bool joint, int kernel) {
    const int layers = 32, kvHeads = 8, group = 4, D = 128, page = 16;
    Pool pool(rng, BF16, D, page, kvHeads, layers, {slots});
    for (int layer = 0; layer < layers; layer++) {
        for (int head = 0; head < kvHeads; head++) {
            for (int i = 0; i < slots; i++) {
                pool.positions[pool.record(layer, 0, head, i)] = i;
                pool.attention[pool.record(layer, 0, head, i)] = rng.uniform() + (i < keep ? 100 : 0);
            }
        }
    }
    Device<Eviction> evictions(std::vector<Eviction>{{slots, slots, keep, 0, kernel, 0, joint, 0}});
    Device<Observed> observed(std::vector<Observed>{{0, 1, slots - 1, slots - 1, 0}});
    Device<int> tables(pool.tables), positions(pool.positions);
    Device<uint8_t> cache(pool.cache);
    Device<float> attention(pool.attention), q(kvHeads * group * D), logSums(kvHeads * group);
    const EvictArgs evictIt = evictArgs(pool, evictions, tables, cache, positions, attention, INT_MAX, 0);
    const double evictUs = timeGraph(4, [&](cudaStream_t stream, int) {
        evict_bf16<<<dim3(layers * kvHeads, 1), EVICT_THREADS, 0, stream>>>(evictIt);
    });
    const ObserveArgs observeIt{q.at, kvHeads * group * D, cache.at, page, kvHeads, group, observed.at, tables.at, pool.stride, INT_MAX,
                                logSums.at, 0.088f, {positions.at, attention.at, pool.layerTokens}};
    const double observeUs = timeGraph(20, [&](cudaStream_t stream, int) {
        observe_bf16_128<<<dim3(66, kvHeads, 1), OBSERVE_THREADS, 0, stream>>>(observeIt);
    });
    printf("%6d slots, keep %6d%s, kernel %d: evict %.1f us, observe a token %.1f us a layer\n", slots, keep, joint ? ", joint" : "", kernel,
           evictUs, observeUs);
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench"}, std::random_device()());
    Rng rng(line.seed);
    if (line.wants("test")) {
        for (int i = 0; i < 200; i++) {
            testEvict(rng, i % 4);
            testObserve(rng, i % 4);
        }
    }
    if (line.wants("bench")) {
        bench(rng, 1024, 1023, false, 0);
        bench(rng, 4096, 4095, false, 0);
        bench(rng, 2048, 2047, true, 0);
        bench(rng, 32768, 2048, false, 7);
        bench(rng, 32768, 2048, false, 0);
    }
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
