/*
 * Test and benchmark of draw.cuh.
 *
 * Checks draw against a sort in double: random rows of logits (many equal, not finite, far apart), temperatures, top-k, top-p
 * and min-p; that a row's token depends on neither the run nor the other rows; how often each token of one row is drawn. A token
 * beside the border of a kept set or of the random number is right if rounding may have moved the border.
 * Measures all methods for vocabularies of 32000 to 262144 tokens; logits are in the L2 cache, as the product before leaves
 * them.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o draw draw.cu
 * Run:   draw [test] [bench] [quick] [seed=NUMBER]    (test and bench without a word; quick: few checks, for a sanitizer)
 */
#include "../../main/cuda/draw.cuh"
#include "harness.cuh"

#include <numeric>
using namespace harness;
using skim::draw::Draw;
static std::mt19937_64 rng;
static double unit() {
    return (rng() >> 11) * 0x1p-53;
}
static int checks = 0, nearBorder = 0;

static void launch(const float* logits, int vocab, int stride, const Draw* draws, int* token, int rows, cudaStream_t s = 0) {
    draw<<<dim3(8, rows), skim::draw::THREADS, 0, s>>>(logits, vocab, stride, draws, token);
}

struct Parameters {
    double temperature;
    int topK;
    double topP, minP;
};

static Draw pack(const Parameters& p, double uniform) {
    Draw d;
    d.scale = p.temperature == 0 ? 0 : float(std::min(1 / (M_LN2 * p.temperature), 3.4e38));
    d.topK = p.topK;
    d.topP = float(p.topP);
    d.minP = float(p.minP);
    d.uniform = uint32_t(uniform * 4294967296.0);
    return d;
}

/** 0 right, 1 within rounding of a border, 2 wrong. */
static int judge(const float* x, int n, const Parameters& p, double u, int token) {
    int best = -1;
    for (int i = 0; i < n; i++)
        if (std::isfinite(x[i]) && (best < 0 || x[i] > x[best])) best = i;
    if (best < 0 || p.temperature == 0) return token == best ? 0 : 2;
    if (token < 0 || token >= n || !std::isfinite(x[token])) return 2;
    std::vector<float> d(n);
    std::vector<double> w(n);
    std::vector<int> order;
    for (int i = 0; i < n; i++) {
        d[i] = std::isfinite(x[i]) ? x[best] - x[i] : INFINITY;
        w[i] = std::isfinite(d[i]) ? std::exp(-double(d[i]) / p.temperature) : 0;
        if (w[i] > 0) order.push_back(i);
    }
    std::sort(order.begin(), order.end(), [&](int a, int b) { return d[a] != d[b] ? d[a] < d[b] : a < b; });
    if (p.topK > 0 && p.topK < int(order.size())) order.resize(p.topK);
    double total = 0, sum = 0;
    for (int i : order) total += w[i];
    // kept sets for a share a little smaller, the one asked for, and a little larger
    std::vector<char> kept[3];
    for (int v = 0; v < 3; v++) {
        kept[v].assign(n, 0);
        const double share = p.topP + (v - 1) * 3e-6, least = p.minP * (1 - (v - 1) * 1e-5);
        sum = 0;
        for (size_t i = 0; i < order.size() && (i == 0 || p.topP == 1 || sum < share * total); i++) {
            sum += w[order[i]];
            if (w[order[i]] >= least) kept[v][order[i]] = 1;
        }
    }
    int result = 2;
    for (int v : {1, 0, 2}) {
        if (!kept[v][token]) continue;
        double all = 0, below = 0;
        for (int i = 0; i < n; i++) {
            if (i == token) below = all;
            if (kept[v][i]) all += w[i];
        }
        const double low = below / all, high = (below + w[token]) / all;
        if (low <= u && u < high) return v == 1 ? 0 : 1;
        if (low - 1e-5 <= u && u < high + 1e-5) result = 1;
    }
    return result;
}

static std::vector<float> row(int n, int kind) {
    std::vector<float> x(n);
    std::normal_distribution<float> g;
    const double keep = unit();
    const float far = float(unit() * 20);
    for (int i = 0; i < n; i++) {
        switch (kind) {
            case 0: x[i] = 3 * g(rng) + far; break;
            case 1: x[i] = 0.3f * g(rng); break;
            case 2: x[i] = 1.5f; break;                        // all equal
            case 3: x[i] = std::round(2 * g(rng)) / 2; break;  // many equal
            case 4: x[i] = 500 * g(rng); break;
            case 5: x[i] = unit() < keep ? 2 * g(rng) : -INFINITY; break;
            case 6: x[i] = unit() < 0.3 ? NAN : unit() < 0.3 ? INFINITY : unit() < 0.3 ? -INFINITY : g(rng); break;
            case 7: x[i] = unit() < 0.5 ? NAN : -INFINITY; break;  // none
            case 8:
                x[i] = g(rng) * 1e-3f - 7;
                if (i == n / 2) x[i] = 9;
                break;                                                      // one stands out
            case 9: x[i] = float(i % 7) * 1e38f * (i % 2 ? 1 : -1); break;  // distances overflow
        }
    }
    return x;
}
constexpr int KINDS = 10;

static Parameters parameters(int n) {
    static const double temperatures[] = {0, 0.1, 0.7, 1, 1.5, 5, 100, 1e-45};
    Parameters p;
    p.temperature = temperatures[rng() % 8];
    p.topK = rng() % 2 ? 0 : rng() % 2 ? 1 + rng() % 100 : 1 + rng() % (n + 3);
    p.topP = rng() % 2 ? 1 : rng() % 4 ? 0.05 + 0.94 * unit() : 1e-6;
    p.topP = float(p.topP);
    p.minP = rng() % 2 ? 0 : float(0.3 * unit());
    return p;
}

static void check(int n, int stride, int rows, int fixedKind = -1) {
    std::vector<float> logits(size_t(rows) * stride, NAN);
    std::vector<Draw> draws(rows);
    std::vector<Parameters> ps(rows);
    std::vector<double> us(rows);
    std::vector<int> kinds(rows);
    for (int r = 0; r < rows; r++) {
        kinds[r] = fixedKind < 0 ? rng() % KINDS : fixedKind;
        auto x = row(n, kinds[r]);
        std::copy(x.begin(), x.end(), logits.begin() + size_t(r) * stride);
        for (int i = n; i < stride; i++) logits[size_t(r) * stride + i] = 1e30f;  // must not be seen
        ps[r] = parameters(n);
        us[r] = rng() % 16 == 0 ? 0 : rng() % 16 == 0 ? 1 - 0x1p-32 : std::floor(unit() * 4294967296.0) * 0x1p-32;
        draws[r] = pack(ps[r], us[r]);
    }
    Device<float> x(logits);
    Device<Draw> d(draws);
    Device<int> t(rows), again(rows), alone(rows);
    launch(x.at, n, stride, d.at, t.at, rows);
    launch(x.at, n, stride, d.at, again.at, rows);
    for (int r = 0; r < rows; r++) launch(x.at + size_t(r) * stride, n, stride, d.at + r, alone.at + r, 1);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    auto got = t.get(), second = again.get(), single = alone.get();
    for (int r = 0; r < rows; r++) {
        checks++;
        const int verdict = judge(&logits[size_t(r) * stride], n, ps[r], us[r], got[r]);
        nearBorder += verdict == 1;
        if (verdict == 2 || got[r] != second[r] || got[r] != single[r]) {
            if (failures++ < 20)
                printf("FAIL vocab %d stride %d rows %d row %d kind %d T %g k %d p %g minP %g u %.9f: got %d, again %d, alone "
                       "%d\n",
                        n, stride, rows, r, kinds[r], ps[r].temperature, ps[r].topK, ps[r].topP, ps[r].minP, us[r], got[r],
                        second[r], single[r]);
        }
    }
}

/** Frequencies of many draws from one small row. */
static void frequencies() {
    const int n = 1000, rows = 4096, rounds = 25;
    auto x = row(n, 0);
    const Parameters p{0.9, 40, 0.95, 0.01};
    std::vector<int> counts(n);
    Device<float> xs(size_t(rows) * n);
    std::vector<float> all;
    for (int r = 0; r < rows; r++) all.insert(all.end(), x.begin(), x.end());
    xs.put(all);
    Device<Draw> d(rows);
    Device<int> t(rows);
    for (int round = 0; round < rounds; round++) {
        std::vector<Draw> draws;
        for (int r = 0; r < rows; r++) draws.push_back(pack(p, unit()));
        d.put(draws);
        launch(xs.at, n, n, d.at, t.at, rows);
        CHECK(cudaDeviceSynchronize());
        for (int token : t.get()) counts[token]++;
    }
    const float max = *std::max_element(x.begin(), x.end());
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return x[a] > x[b]; });
    std::vector<double> w(n);
    double total = 0, sum = 0, kept = 0;
    for (int i = 0; i < 40; i++) total += std::exp((x[order[i]] - max) / 0.9);
    for (int i = 0; i < 40 && (i == 0 || sum < 0.95 * total); i++) {
        const double weight = std::exp((x[order[i]] - max) / 0.9);
        sum += weight;
        if (weight >= 0.01) {
            w[order[i]] = weight;
            kept += weight;
        }
    }
    const double draws = double(rows) * rounds;
    for (int i = 0; i < n; i++) {
        const double share = w[i] / kept, slack = 5 * std::sqrt(share * (1 - share) / draws) + 1e-9;
        checks++;
        if (std::fabs(counts[i] / draws - share) > slack) {
            failures++;
            printf("FAIL frequency of %d: %g, not %g\n", i, counts[i] / draws, share);
        }
    }
}

static void bench() {
    struct Case {
        const char* name;
        Parameters p;
    };
    const Case cases[] = {{"greedy", {0, 0, 1, 0}}, {"temperature", {1, 0, 1, 0}}, {"min-p .05", {1, 0, 1, 0.05}},
            {"top-k 50", {1, 50, 1, 0}}, {"top-p .9", {0.7, 0, 0.9, 0}}, {"top-k 50 top-p .9 min-p .05", {0.7, 50, 0.9, 0.05}},
            {"top-k 5000 top-p .99, T 1.5", {1.5, 5000, 0.99, 0}}};
    const char* const names[] = {"sd 3", "sd 0.3", "all equal"};  // of kinds of rows
    for (auto [vocab, kind] : {std::pair(128256, 0), {128256, 1}, {128256, 2}, {32000, 0}, {262144, 0}}) {
        for (int rows : {1, 8, 64}) {
            if (kind != 0 && rows > 1) continue;
            std::vector<float> logits;
            for (int r = 0; r < rows; r++) {
                auto x = row(vocab, kind);
                logits.insert(logits.end(), x.begin(), x.end());
            }
            Device<float> x(logits);
            Device<Draw> d(rows);
            Device<int> t(rows);
            for (const Case& c : cases) {
                std::vector<Draw> draws;
                for (int r = 0; r < rows; r++) draws.push_back(pack(c.p, unit()));
                d.put(draws);
                const double us = timeGraph(50, [&, n = vocab](cudaStream_t s, int) { launch(x.at, n, n, d.at, t.at, rows, s); });
                printf("vocab %6d %-10s rows %2d %-28s %6.2f us\n", vocab, names[kind], rows, c.name, us);
            }
        }
    }
}

static void test(bool quick) {
    for (int n : {1, 2, 3, 31, 32, 33, 255, 257, 1000, 1025, 4099}) {
        for (int i = 0; i < (quick ? 4 : 40); i++) check(n, n + (i % 3 ? 0 : int(rng() % 9)), 1 + rng() % 9);
    }
    printf("small rows: %d checks, %d failures\n", checks, failures);
    if (quick) return;
    for (int n : {32000, 32003, 50257, 128256, 151936, 262144})
        for (int kind = 0; kind < KINDS; kind++) check(n, n, 3, kind);
    check(128256, 128256, 64);
    printf("large rows: %d checks, %d failures\n", checks, failures);
    frequencies();
    printf("%d checks, %d failures, %d within rounding of a border\n", checks, failures, nearBorder);
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench", "quick"}, 12345);
    rng.seed(line.seed);
    if (line.wants("test") || line.has("quick")) test(line.has("quick"));
    if (line.wants("bench")) bench();
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
