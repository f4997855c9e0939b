/*
 * Test and benchmark of attend.cuh and append.cuh.
 *
 * Checks attend_<KV>_<D> against attention in double: random shapes of all storage types, head sizes, page sizes and group
 * sizes, with and without windows, masks and log weights, lists of tokens, poison in every page and slot that must not be seen; that results
 * depend on neither the batch nor the run; that nothing is written outside. Checks append_<KV> against norm and RoPE in double.
 * Measures attention over 2K to 128K tokens, also with other widths of loads and numbers of warps and CTAs than the kernels have
 * ("variants", which are checked too), and append.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o attend attend.cu
 * Run:   attend [test] [bench] [seed=NUMBER]    (both without a word)
 */
#include "../../main/cuda/attend.cuh"
#include "../../main/cuda/append.cuh"
#include "harness.cuh"

#include <chrono>
using namespace harness;
using namespace harness::storage;
using namespace skim;
using skim::append::AppendArgs;
using skim::decode::AttendArgs;

template <class X, int D, int TILES, int WARPS, int CTAS>
__global__ void __launch_bounds__(WARPS * 32, CTAS) variant(const __grid_constant__ AttendArgs args) {
    decode::attend<X, D, TILES, WARPS, decode::Listed::MASKED_PAGES>(args);
}

typedef void (*Kernel)(const AttendArgs);
struct Variant {
    const char* name;
    Kernel kernel;
    int threads;
    int slots;  // CTAs on the chip
};

static Kernel productKernel(int kv, int D, decode::Listed listed = decode::Listed::PAGES) {
    using namespace decode;
#define SIZES(name) {attend_##name##_64, attend_##name##_80, attend_##name##_96, attend_##name##_128}
#define KINDS(name) {SIZES(name), SIZES(tokens_##name), SIZES(masked_##name)}
    static const Kernel all[4][3][4] = {KINDS(bf16), KINDS(f16), KINDS(fp8), KINDS(int8)};
    return all[kv][static_cast<int>(listed)][sizeIndex(D)];
}

// ---- attend against double ----

struct Case {
    int kv, D, group, kvHeads, page, batch, splits, partTokens, maxLength;
    bool perHead, masked, weighted, windowed, byToken;
    float peak;
};

/** @param masked the kernel, or the one like it that knows masks */
static double attendCase(const Case& c, Kernel kernel, Kernel masked, int threads, Rng& rng, const char* name, bool invariance) {
    const int D = c.D, page = c.page, kvH = c.kvHeads, heads = kvH * c.group, lists = c.batch * (c.perHead ? kvH : 1);
    const int common = 96, bytes = bytesOf(c.kv);
    const size_t bb = blockBytes(c.kv, D, page);
    // Lengths: the first few are borders.
    std::vector<int> counts(lists), first(lists), last(lists);
    int stride = 0;
    for (int b = 0; b < lists; b++) {
        int n = 1 + rng.upTo(c.maxLength);
        if (b == 0 && c.batch > 1) n = 1;
        if (b == 1) n = page * (1 + rng.upTo(4));
        if (b == 2) n = page * (1 + rng.upTo(3)) + 1;
        if (b == 3) n = c.maxLength;
        last[b] = n;
        counts[b] = (n + page - 1) / page + (b % 5 == 4 ? 2 : 0);  // entries beyond the visible
        first[b] = c.windowed && b % 2 == 0 ? rng.upTo(n) : 0;
        if (b == 5) first[b] = last[b] = counts[b] = 0;  // an empty list
        stride = std::max(stride, counts[b]);
    }
    stride += 3;
    const int dedicated = 4;  // per list: first and last visible page, two invisible
    const int pagesAll = common + lists * dedicated + 1, poison = pagesAll - 1;
    std::vector<int> ids(pagesAll);
    for (int i = 0; i < pagesAll; i++) ids[i] = i;
    std::shuffle(ids.begin(), ids.end(), rng.r);
    // Values from a table of encoded normals.
    static std::vector<uint8_t> tables[4];
    std::vector<uint8_t>& table = tables[c.kv];
    if (table.empty()) {
        table.resize(4096 * 2);
        for (int i = 0; i < 4096; i++) encodeValue(c.kv, rng.normal() * (c.kv == INT8 ? 40 : 1), &table[i * 2]);
    }
    std::vector<uint8_t> cache((size_t)pagesAll * kvH * bb);
    std::vector<float> dense((size_t)pagesAll * kvH * 2 * page * D);  // [page][head][K|V][token][D], dequantised
    const uint64_t seed = rng.r();
    parallel(pagesAll * kvH, [&](int i) {
        uint8_t* block = &cache[i * bb];
        float* to = &dense[(size_t)i * 2 * page * D];
        uint64_t s = seed + i * 7919;
        float* scales = (float*)(block + 2 * (size_t)page * D * bytes);
        for (int k = 0; k < 2; k++)
            for (int token = 0; token < page; token++) {
                float scale = 1;
                if (c.kv == INT8) {
                    s = s * 6364136223846793005ull + 1442695040888963407ull;
                    scale = scales[k * page + token] = 0.01f + 0.03f * (s >> 40) / (1 << 24);
                }
                for (int d = 0; d < D; d++) {
                    s = s * 6364136223846793005ull + 1442695040888963407ull;
                    const uint8_t* v = &table[(s >> 52) * 2];
                    memcpy(block + k * page * D * bytes + kvRowOffset(D * bytes, token, d * bytes), v, bytes);
                    to[((size_t)k * page + token) * D + d] = (float)(decodeValue(c.kv, v) * scale);
                }
            }
    });
    auto poisonToken = [&](int pageId, int token) {
        for (int h = 0; h < kvH; h++) {
            uint8_t* block = &cache[((size_t)pageId * kvH + h) * bb];
            float* scales = (float*)(block + 2 * (size_t)page * D * bytes);
            for (int k = 0; k < 2; k++)
                for (int d = 0; d < D; d++)
                    memset(block + k * page * D * bytes + kvRowOffset(D * bytes, token, d * bytes), 0xff, bytes);
            if (c.kv == INT8) scales[token] = scales[page + token] = NAN;
        }
    };
    for (int token = 0; token < page; token++) poisonToken(ids[poison], token);
    std::vector<int> pages((size_t)lists * stride, ids[poison]);
    std::vector<uint64_t> masks((size_t)lists * stride, 0);
    std::vector<float> logWeights((size_t)lists * stride, NAN);
    for (int b = 0; b < lists; b++)
        for (int e = 0; e < counts[b]; e++) {
            const int lo = e * page, hi = lo + page, mine = common + b * dedicated;
            int id = ids[rng.upTo(common)];
            if (last[b] <= lo || first[b] >= hi)
                id = ids[poison];
            else if (last[b] < hi || first[b] > lo) {
                id = ids[mine + (last[b] < hi ? 0 : 1)];
                for (int token = 0; token < page; token++)
                    if (lo + token < first[b] || lo + token >= last[b]) poisonToken(id, token);
            }
            pages[(size_t)b * stride + e] = id;
            uint64_t m = rng.r() & rng.r();
            if (e == last[b] / page || rng.upTo(4) == 0) m = ~0ull;
            if (rng.upTo(7) == 0 && e != last[b] / page) m = 0;
            masks[(size_t)b * stride + e] = m;
            logWeights[(size_t)b * stride + e] = rng.upTo(3) ? 0.f : 2.f * rng.normal();
        }
    const int rows = c.batch + 2, qStride = heads * D + 64, outStride = (heads * D + 63) / 64 * 64 + 64;
    std::vector<int> rowIndex(c.batch);
    for (int b = 0; b < c.batch; b++) rowIndex[b] = rows - 1 - b;
    std::vector<float> q((size_t)rows * qStride);
    for (float& x : q) x = rng.normal() * c.peak;
    const float scale = 1 / sqrtf((float)D);

    std::vector<double> ref((size_t)rows * heads * D, 0.);
    parallel(c.batch * heads, [&](int i) {
        const int b = i / heads, head = i % heads, h = head / c.group, list = c.perHead ? b * kvH + h : b;
        const float* qRow = &q[(size_t)rowIndex[b] * qStride + head * D];
        double* out = &ref[((size_t)rowIndex[b] * heads + head) * D];
        const int end = std::min(last[list], counts[list] * page);
        std::vector<double> s(end, -INFINITY);
        double top = -INFINITY, sum = 0;
        for (int slot = first[list]; slot < end; slot++) {
            const size_t e = (size_t)list * stride + slot / page;
            if (c.masked && !(masks[e] >> (slot % page) & 1)) continue;
            const float* k = &dense[(((size_t)pages[e] * kvH + h) * 2 * page + slot % page) * D];
            double x = 0;
            for (int d = 0; d < D; d++) x += (double)qRow[d] * k[d];
            s[slot] = x * scale + (c.weighted ? logWeights[e] : 0.);
            top = std::max(top, s[slot]);
        }
        for (int slot = first[list]; slot < end; slot++) {
            if (s[slot] == -INFINITY) continue;
            const size_t e = (size_t)list * stride + slot / page;
            const float* v = &dense[((((size_t)pages[e] * kvH + h) * 2 + 1) * page + slot % page) * D];
            const double w = exp(s[slot] - top);
            sum += w;
            for (int d = 0; d < D; d++) out[d] += w * v[d];
        }
        if (sum > 0)
            for (int d = 0; d < D; d++) out[d] /= sum;
    });

    // Two lists of three by their tokens; then their pages say nothing.
    const int tokenStride = stride * page;
    std::vector<int> tokens((size_t)lists * tokenStride, -1), tokenCounts(lists, -1), listedPages = pages;
    for (int b = 0; b < lists; b++) {
        if (b % 3 == 1) continue;
        int& n = tokenCounts[b] = 0;
        for (int slot = first[b]; slot < std::min(last[b], counts[b] * page); slot++) {
            const size_t e = (size_t)b * stride + slot / page;
            if (!c.masked || masks[e] >> (slot % page) & 1) tokens[(size_t)b * tokenStride + n++] = pages[e] * page + slot % page;
        }
        if (c.byToken) std::fill_n(listedPages.begin() + (size_t)b * stride, stride, ids[poison]);
    }
    Device<float> dq(q), dWeights(logWeights);
    Device<uint8_t> dCache(cache);
    Device<int> dTokens(tokens), dTokenCounts(tokenCounts);
    Device<int> dPages(listedPages), dCounts(counts), dFirst(first), dLast(last), dRow(rowIndex);
    Device<uint64_t> dMasks(masks);
    Device<half> dOut((size_t)rows * outStride);
    const int tiles = (c.group + 7) / 8;
    Device<float> dPartials((size_t)c.batch * kvH * tiles * c.splits * decode::attendPartialFloats(D));
    Device<int> dTickets((size_t)c.batch * kvH * tiles);
    dTickets.fill(0);
    dPartials.fill(0xff);
    AttendArgs a{dq.at, qStride, dCache.at, page, kvH, c.group, dPages.at, stride, c.perHead, dCounts.at, dFirst.at, dLast.at,
            c.masked ? dMasks.at : nullptr, c.weighted ? dWeights.at : nullptr, dRow.at, dOut.at, outStride, scale, dPartials.at,
            dTickets.at, c.splits, c.partTokens};
    if (c.byToken) {
        a.tokens = dTokens.at;
        a.tokenStride = tokenStride;
        a.tokenCounts = dTokenCounts.at;
    }
    auto run = [&](const AttendArgs& args, int batch) {
        dOut.fill(0xff);
        (args.masks == nullptr ? kernel : masked)<<<dim3(c.splits, kvH * tiles, batch), threads>>>(args);
        CHECK(cudaGetLastError());
        CHECK(cudaDeviceSynchronize());
        return dOut.get();
    };
    std::vector<half> out = run(a, c.batch);
    double error = 0, norm = 0;
    bool untouched = true;
    for (int row = 0; row < rows; row++)
        for (int x = 0; x < outStride; x++) {
            const half value = out[(size_t)row * outStride + x];
            uint16_t bits;
            memcpy(&bits, &value, 2);
            if (row < rows - c.batch || x >= heads * D) {
                untouched &= bits == 0xffff;
                continue;
            }
            const double r = ref[(size_t)row * heads * D + x], y = __half2float(value);
            error += (y - r) * (y - r);
            norm += r * r;
        }
    error = sqrt(error / norm);
    const double limit = (c.kv == BF16 ? 8e-3 : 1.2e-3) * std::max(1.f, c.peak);
    bool good = error < limit && untouched;
    const char* why = "";
    if (!untouched) why = "wrote outside";
    for (int x : dTickets.get())
        if (x != 0) {
            good = false;
            why = "tickets not reset";
        }
    if (invariance) {
        auto same = [&](const std::vector<half>& x, int b) {
            return memcmp(&x[(size_t)rowIndex[b] * outStride], &out[(size_t)rowIndex[b] * outStride], heads * D * 2) == 0;
        };
        std::vector<half> again = run(a, c.batch);
        for (int b = 0; b < c.batch; b++)
            if (!same(again, b)) {
                good = false;
                why = "second run differs";
            }
        const int step = std::max(1, c.batch / 4);
        for (int b = 0; b < c.batch; b += step) {
            AttendArgs one = a;
            const size_t l = c.perHead ? (size_t)b * kvH : b;
            one.pages += l * stride;
            one.counts += l;
            one.first += l;
            one.last += l;
            one.rowIndex += b;
            if (one.masks) one.masks += l * stride;
            if (one.logWeights) one.logWeights += l * stride;
            if (one.tokens) {
                one.tokens += l * tokenStride;
                one.tokenCounts += l;
            }
            if (!same(run(one, 1), b)) {
                good = false;
                why = "depends on the batch";
            }
        }
        if (!c.masked && !c.weighted) {  // all-ones masks and zero weights give the dense bits
            Device<uint64_t> ones(masks.size());
            ones.fill(0xff);
            Device<float> zeros(logWeights.size());
            zeros.fill(0);
            AttendArgs listed = a;
            listed.masks = ones.at;
            listed.logWeights = zeros.at;
            std::vector<half> x = run(listed, c.batch);
            for (int b = 0; b < c.batch; b++)
                if (!same(x, b)) {
                    good = false;
                    why = "full masks differ from dense";
                }
        }
    }
    if (!good) {
        failures++;
        printf("FAIL attend %s %s D %d group %d kvHeads %d page %d batch %d splits %d partTokens %d max %d%s%s%s%s%s peak %g: "
               "error %.2e (limit %.1e) %s\n",
                name, KV_NAMES[c.kv], D, c.group, kvH, page, c.batch, c.splits, c.partTokens, c.maxLength,
                c.perHead ? " per head" : "", c.masked ? " masked" : "", c.weighted ? " weighted" : "",
                c.windowed ? " window" : "", c.byToken ? " by token" : "", c.peak, error, limit, why);
    }
    return error;
}

static void testAttend(const std::vector<std::pair<int, Variant>>& variants, uint64_t seed) {
    Rng rng(seed);
    const int before = failures;
    const int groups[] = {1, 2, 3, 4, 5, 6, 7, 8, 12}, batches[] = {1, 2, 3, 6, 11, 64};
    int n = 0;
    for (int kv = 0; kv < 4; kv++)
        for (int D : {64, 80, 96, 128}) {
            double worst = 0;
            for (int page : {16, 32, 64})
                for (int k = 0; k < 4; k++, n++) {
                    Case c{};
                    c.kv = kv;
                    c.D = D;
                    c.page = page;
                    c.group = groups[n % 9];
                    c.kvHeads = 1 + rng.upTo(3);
                    c.batch = batches[n % 6 == 5 ? (n / 6 % 2 ? 5 : 4) : n % 6];
                    c.splits = (const int[]){1, 4, 33, 128}[rng.upTo(4)];
                    c.partTokens = (const int[]){64, 128, 256, 512}[rng.upTo(4)];
                    c.maxLength = c.batch > 20 ? 400 : 5000;
                    c.perHead = k == 2 || (k % 2 == 1 && rng.upTo(2));
                    c.masked = k == 1 || k == 2 || (k == 3 && rng.upTo(2));
                    c.weighted = k == 2;
                    c.windowed = k != 1;
                    c.byToken = k == 3;
                    c.peak = rng.upTo(3) == 0 ? 3 : 1;
                    // One that can do more gives the same.
                    using decode::Listed;
                    const Listed least = c.masked ? Listed::MASKED_PAGES : c.byToken ? Listed::TOKENS : Listed::PAGES;
                    const Listed listed = std::max(least, static_cast<Listed>(rng.upTo(3)));
                    const Kernel masked = productKernel(kv, D, Listed::MASKED_PAGES);
                    worst = std::max(worst,
                            attendCase(c, productKernel(kv, D, listed), masked, decode::ATTEND_THREADS, rng, "product", k != 1));
                }
            printf("%s D %d: worst rel. error %.1e\n", KV_NAMES[kv], D, worst);
        }
    for (auto& [kv, v] : variants)
        for (int k = 0; k < 4; k++, n++) {
            Case c{kv, 128, groups[n % 9], 2, (const int[]){16, 32, 64}[n % 3], 5, 33, 128, 3000, k == 2, k >= 2, k == 3,
                    k % 2 == 0, k == 2, 1};
            attendCase(c, v.kernel, v.kernel, v.threads, rng, v.name, true);
        }
    printf("attend: %s\n", failures > before ? "FAIL" : "ok");
}

// ---- append against double ----

static void testAppend(uint64_t seed) {
    Rng rng(seed);
    const int before = failures;
    static void (*const kernels[])(const AppendArgs) = {
            append::append_bf16, append::append_f16, append::append_fp8, append::append_int8};
    double worstQ = 0, worstK[4] = {};
    for (int kv = 0; kv < 4; kv++)
        for (int D : {64, 80, 96, 128})
            for (int form = 0; form < 4; form++) {
                const int page = (const int[]){16, 32, 64}[(form + D / 16) % 3], kvH = 1 + rng.upTo(4), group = 1 + rng.upTo(5),
                          heads = kvH * group, rows = 37;
                const int sequences = 5, tableStride = 8, pagesAll = sequences * tableStride, columns = (heads + 2 * kvH) * D,
                          stride = columns + 8;
                const bool norms = form & 1, interleaved = form & 2;
                std::vector<float> x((size_t)rows * stride), qn(D), kn(D);
                for (float& f : x) f = rng.normal();
                for (float& f : qn) f = 1 + 0.3f * rng.normal();
                for (float& f : kn) f = 1 + 0.3f * rng.normal();
                const int fStride = form == 3 ? D / 2 : 0;
                std::vector<double> freq((size_t)(fStride ? rows : 1) * (D / 2));
                for (size_t i = 0; i < freq.size(); i++)
                    freq[i] = pow(form % 2 ? 5e5 : 1e4, -2. * (i % (D / 2)) / D) * (1 + 0.01 * (i / (D / 2)));
                const float factor = form == 1 ? 1.1f : 1.f;
                std::vector<int> table(pagesAll), positions(rows), slots(rows), seq(rows);
                for (int i = 0; i < pagesAll; i++) table[i] = i;
                std::shuffle(table.begin(), table.end(), rng.r);
                std::vector<int> taken;
                for (int r = 0; r < rows; r++) {
                    positions[r] = r == 0 ? 0 : r == 1 ? 1000000 : rng.upTo(131072);
                    int key;
                    do {
                        seq[r] = rng.upTo(sequences);
                        slots[r] = rng.upTo(tableStride * page);
                        key = seq[r] * 10000 + slots[r];
                    } while (std::count(taken.begin(), taken.end(), key));
                    taken.push_back(key);
                }
                slots[5] = -1;
                const size_t bb = blockBytes(kv, D, page);
                Device<float> dx(x), dqn(qn), dkn(kn), dq((size_t)rows * heads * D);
                Device<double> df(freq);
                Device<int> dt(table), dp(positions), dslots(slots), ds(seq);
                Device<uint8_t> dc((size_t)pagesAll * kvH * bb);
                dc.fill(0xff);
                dq.fill(0xff);
                AppendArgs a{dx.at, stride, heads, kvH, D, norms ? dqn.at : nullptr, norms ? dkn.at : nullptr, 1e-5f, interleaved,
                        df.at, fStride, factor, dp.at, dslots.at, ds.at, dt.at, tableStride, dc.at, page, dq.at};
                kernels[kv]<<<dim3(rows, (heads + 2 * kvH + append::APPEND_HEADS - 1) / append::APPEND_HEADS),
                        32 * append::APPEND_HEADS>>>(a);
                CHECK(cudaGetLastError());
                CHECK(cudaDeviceSynchronize());
                std::vector<float> q = dq.get();
                std::vector<uint8_t> cache = dc.get();
                std::vector<uint8_t> expected(cache.size(), 0xff);
                double eq = 0, nq = 0, ek = 0, nk = 0;
                for (int r = 0; r < rows; r++)
                    for (int h = 0; h < heads + 2 * kvH; h++) {
                        std::vector<double> v(D);
                        for (int d = 0; d < D; d++) v[d] = x[(size_t)r * stride + h * D + d];
                        if (h < heads + kvH) {
                            if (norms) {
                                double s = 0;
                                for (double y : v) s += y * y;
                                s = 1 / sqrt(s / D + 1e-5);
                                for (int d = 0; d < D; d++) v[d] *= s * (h < heads ? qn : kn)[d];
                            }
                            for (int i = 0; i < D / 2; i++) {
                                const int n = interleaved ? 2 * i : i, f = interleaved ? 2 * i + 1 : i + D / 2;
                                const double angle = positions[r] * freq[(size_t)(fStride ? r : 0) * (D / 2) + i],
                                             c = cos(angle) * factor, s = sin(angle) * factor, u = v[n], w = v[f];
                                v[n] = u * c - w * s;
                                v[f] = u * s + w * c;
                            }
                        }
                        if (h < heads) {
                            for (int d = 0; d < D; d++) {
                                const double y = q[((size_t)r * heads + h) * D + d];
                                eq += (y - v[d]) * (y - v[d]);
                                nq += v[d] * v[d];
                            }
                            continue;
                        }
                        if (slots[r] < 0) continue;
                        const bool key = h < heads + kvH;
                        const int kh = key ? h - heads : h - heads - kvH, token = slots[r] % page;
                        const size_t at = ((size_t)table[seq[r] * tableStride + slots[r] / page] * kvH + kh) * bb;
                        float scale = 1;
                        if (kv == INT8) {
                            const size_t o = at + 2 * (size_t)page * D + (key ? 0 : page * 4) + token * 4;
                            memcpy(&scale, &cache[o], 4);
                            memcpy(&expected[o], &cache[o], 4);
                        }
                        for (int d = 0; d < D; d++) {
                            const int bytes = bytesOf(kv);
                            const size_t o = at + (key ? 0 : page * D * bytes) + kvRowOffset(D * bytes, token, d * bytes);
                            const double y = decodeValue(kv, &cache[o]) * scale;
                            memcpy(&expected[o], &cache[o], bytesOf(kv));
                            ek += (y - v[d]) * (y - v[d]);
                            nk += v[d] * v[d];
                        }
                    }
                eq = sqrt(eq / nq);
                ek = sqrt(ek / nk);
                worstQ = std::max(worstQ, eq);
                worstK[kv] = std::max(worstK[kv], ek);
                const double limits[] = {2.5e-3, 3.5e-4, 4e-2, 1e-2};
                const bool outside = memcmp(expected.data(), cache.data(), cache.size()) != 0;
                if (!(eq < 1e-6) || !(ek < limits[kv]) || outside) {
                    failures++;
                    printf("FAIL append %s D %d page %d heads %d/%d%s%s: q %.1e, cache %.1e%s\n", KV_NAMES[kv], D, page, heads,
                            kvH, norms ? " norms" : "", interleaved ? " interleaved" : "", eq, ek,
                            outside ? ", wrote outside" : "");
                }
            }
    printf("append: %s, worst q %.1e, cache bf16 %.1e f16 %.1e fp8 %.1e int8 %.1e\n", failures > before ? "FAIL" : "ok", worstQ,
            worstK[0], worstK[1], worstK[2], worstK[3]);
}

// ---- bench ----

__global__ void fillCache(uint32_t* words, size_t n, bool bf16) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint64_t s = (i + 1) * 0x9e3779b97f4a7c15ull;
        s ^= s >> 29;
        s *= 0xbf58476d1ce4e5b9ull;
        s ^= s >> 32;
        // bf16: sign, exponent around 1, random mantissa; fp8: |x| up to 1.875
        words[i] = bf16 ? ((uint32_t)s & 0x80ff80ffu) | 0x3f003f00u : (uint32_t)s & 0xbfbfbfbfu;
    }
}

struct Shape {
    int heads, kvHeads, tokens, batch;
};

static void bench(const std::vector<std::pair<int, Variant>>& variants) {
    const Shape shapes[] = {{32, 8, 8192, 1}, {32, 8, 32768, 1}, {32, 8, 131072, 1}, {32, 32, 2048, 1}, {32, 32, 8192, 1},
            {32, 32, 32768, 1}, {32, 32, 131072, 1}, {32, 8, 32768, 8}, {32, 8, 8192, 16}};
    const float waves[] = {0.5f, 1, 2, 4};
    const int D = 128, page = 16;
    printf("\nattend, D 128, page 16, us by graph replay. For each variant: CTAs at batch 1 = 1/2, 1, 2, 4 x what the chip "
           "holds, parts of at least 128 tokens (64 in the last column)\n");
    for (int kv : {BF16, FP8})
        for (const Shape& s : shapes) {
            const int perList = s.tokens / page, group = s.heads / s.kvHeads;
            const size_t bytes = (size_t)s.batch * perList * s.kvHeads * blockBytes(kv, D, page);
            const int copies = (int)std::max<size_t>(1, (size_t(240) << 20) / bytes);
            Device<uint8_t> cache(bytes * copies);
            fillCache<<<2048, 256>>>((uint32_t*)cache.at, cache.n / 4, kv == BF16);
            CHECK(cudaGetLastError());
            Rng rng(1);
            std::vector<int> pages((size_t)copies * s.batch * perList);
            for (size_t i = 0; i < pages.size(); i++) pages[i] = (int)i;
            std::shuffle(pages.begin(), pages.end(), rng.r);  // over all copies
            std::vector<float> q((size_t)s.batch * s.heads * D);
            for (float& x : q) x = rng.normal();
            Device<int> dPages(pages), dCounts(std::vector<int>(s.batch, perList)), dLast(std::vector<int>(s.batch, s.tokens));
            Device<float> dq(q), partials((size_t)s.batch * s.kvHeads * 1024 * decode::attendPartialFloats(D));
            Device<half> out((size_t)s.batch * s.heads * D);
            Device<int> tickets((size_t)s.batch * s.kvHeads);
            tickets.fill(0);
            const double floor = floorUs(bytes);
            double best = 1e9;
            std::string bestName, line;
            for (const auto& offered : variants) {
                const Variant& v = offered.second;
                if (offered.first != kv) continue;
                line += std::string(" | ") + v.name;
                for (int w = 0; w < 4; w++) {
                    const int splits = std::min(1024, std::max(1, (int)(v.slots * waves[w] / s.kvHeads)));
                    const int partTokens = w == 3 ? 64 : 128;
                    auto launch = [&](cudaStream_t stream, int i) {
                        AttendArgs a{dq.at, s.heads * D, cache.at, page, s.kvHeads, group,
                                dPages.at + (size_t)(i % copies) * s.batch * perList, perList, 0, dCounts.at, nullptr, dLast.at,
                                nullptr, nullptr, nullptr, out.at, s.heads * D, 0.0883883f, partials.at, tickets.at, splits,
                                partTokens};
                        v.kernel<<<dim3(splits, s.kvHeads, s.batch), v.threads, 0, stream>>>(a);
                    };
                    const double us = timeGraph(std::max(copies, bytes > (size_t(1) << 30) ? 4 : 16), launch);
                    char text[32];
                    snprintf(text, sizeof text, " %.1f", us);
                    line += text;
                    if (us < best) {
                        best = us;
                        snprintf(text, sizeof text, "%s x%g", v.name, waves[w]);
                        bestName = text;
                    }
                }
            }
            printf("%s %d/%d %dK b%d: floor %.1f best %.1f ratio %.2f (%s)%s\n", KV_NAMES[kv], s.heads, s.kvHeads,
                    s.tokens / 1024, s.batch, floor, best, best / floor, bestName.c_str(), line.c_str());
        }
    // append: one decode step and one prefill chunk
    for (int rows : {1, 8, 4096}) {
        const int heads = 32, kvH = 8, columns = (heads + 2 * kvH) * D;
        std::vector<int> count(rows), zero(rows, 0), table((rows + page - 1) / page);
        for (int i = 0; i < rows; i++) count[i] = i;
        for (size_t i = 0; i < table.size(); i++) table[i] = (int)i;
        std::vector<double> freq(D / 2);
        for (int i = 0; i < D / 2; i++) freq[i] = pow(5e5, -2. * i / D);
        Device<float> x((size_t)rows * columns), q((size_t)rows * heads * D);
        x.fill(0x3f);
        Device<int> dCount(count), dZero(zero), dTable(table);
        Device<double> df(freq);
        Device<uint8_t> cache(table.size() * kvH * blockBytes(BF16, D, page));
        AppendArgs a{x.at, columns, heads, kvH, D, nullptr, nullptr, 0, 0, df.at, 0, 1, dCount.at, dCount.at, dZero.at, dTable.at,
                (int)table.size(), cache.at, page, q.at};
        const double us = timeGraph(16, [&](cudaStream_t stream, int) {
            append::append_bf16<<<dim3(rows, (heads + 2 * kvH + append::APPEND_HEADS - 1) / append::APPEND_HEADS),
                    32 * append::APPEND_HEADS, 0, stream>>>(a);
        });
        printf("append bf16 32/8 D 128, %d rows: %.1f us\n", rows, us);
    }
}

template <class X, int TILES, int WARPS, int CTAS>
static void offer(std::vector<std::pair<int, Variant>>& to, int kv, const char* name, int sms) {
    Kernel kernel = variant<X, 128, TILES, WARPS, CTAS>;
    int blocks;
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, WARPS * 32, 0));
    to.push_back({kv, Variant{name, kernel, WARPS * 32, blocks * sms}});
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench"}, 42);
    const int sms = multiprocessors();
    // t1 = tiles of a step; w = warps of a CTA; x = CTAs of an SM
    std::vector<std::pair<int, Variant>> variants;
    offer<KvBf16, 1, 8, 2>(variants, BF16, "t1w8x2", sms);
    offer<KvBf16, 1, 4, 3>(variants, BF16, "t1w4x3", sms);
    offer<KvBf16, 1, 6, 2>(variants, BF16, "t1w6x2", sms);
    offer<KvBf16, 2, 8, 1>(variants, BF16, "t2w8x1", sms);
    offer<KvFp8, 2, 8, 2>(variants, FP8, "t2w8x2", sms);
    offer<KvFp8, 2, 4, 3>(variants, FP8, "t2w4x3", sms);
    offer<KvFp8, 2, 6, 2>(variants, FP8, "t2w6x2", sms);
    offer<KvFp8, 1, 8, 2>(variants, FP8, "t1w8x2", sms);
    const auto start = std::chrono::steady_clock::now();
    if (line.wants("test")) {
        testAppend(line.seed);
        testAttend(variants, line.seed);
    }
    if (line.wants("bench")) bench(variants);
    printf("%s, %.1f s in all\n", failures ? "FAIL" : "ok",
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return failures ? 1 : 0;
}
