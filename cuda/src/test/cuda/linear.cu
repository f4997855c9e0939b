/*
 * Test and benchmark of pack.cuh, linear.cuh and warpgroup.cuh.
 *
 * Checks pack_<format>, unpack_<TYPE> and embed_<TYPE> against decoders of ggml's blocks written from the format;
 * linear_<TYPE>_<NT> and the kernels of warpgroup.cuh against products in double in all modes: random shapes, bias, one tensor or
 * a gate and an up tensor, any grid; that a row's result has the same bits at any batch and from any kernel; that nothing is
 * written outside and no row past the batch is read.
 * Measures products of 1 to 64 rows in the shapes of a model of 7 or 8 billion parameters, and the rate of packing and
 * unpacking. "variants" measures products of up to 8 rows with other numbers of row tiles, stages, units and blocks of an SM than
 * the kernels have, "groups" those of warpgroup.cuh in other shapes; both check that the bits are the same: to tune for another GPU.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o linear linear.cu
 * Run:   linear [test] [bench] [variants] [groups] [seed=NUMBER]    (test and bench without a word)
 */
#include "../../main/cuda/pack.cuh"
#include "../../main/cuda/linear.cuh"
#include "../../main/cuda/warpgroup.cuh"
#include "harness.cuh"
using namespace harness;

using Bytes = std::vector<uint8_t>;
static std::mt19937 rng;
static int passes = 0;

static float uniform(float a, float b) {
    return a + (b - a) * (rng() >> 8) * (1.0f / 16777216);
}
static uint16_t half_bits(float v) {
    __half h = __float2half_rn(v);
    uint16_t b;
    memcpy(&b, &h, 2);
    return b;
}
static float half_value(uint16_t b) {
    __half h;
    memcpy(&h, &b, 2);
    return __half2float(h);
}

enum Type { F16, Q8, Q8S16, Q4, Q4M, TYPES };
static const char* const NAMES[] = {"f16", "q8", "q8s16", "q4", "q4m"};
static const int UNITS[] = {16, 32, 32, 64, 64};
static const int SCALES[] = {0, 128, 256, 256, 512};  // bytes a tile and group of 4 units
static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}
static size_t unit_bytes(Type t, int rows, int columns) {
    return size_t(ceil_div(rows, 16)) * ceil_div(columns, UNITS[t]) * 512;
}
static size_t scale_bytes(Type t, int rows, int columns) {
    return size_t(ceil_div(rows, 16)) * ceil_div(ceil_div(columns, UNITS[t]), 4) * SCALES[t];
}

using LinearFn = void (*)(const void*, const void*, int, int, const __half*, int, int, const float*, float, int, void*, int);
using PackFn = void (*)(const uint8_t*, int, int, int, int, int, void*, void*);
using UnpackFn = void (*)(const void*, const void*, int, int, __half*, int);
using EmbedFn = void (*)(const void*, const void*, int, const int*, int, float*);
#define L(T) {linear_##T##_1, linear_##T##_2, linear_##T##_4, linear_##T##_8}
static const LinearFn LINEAR[TYPES][4] = {L(f16), L(q8), L(q8s16), L(q4), L(q4m)};
static const UnpackFn UNPACK[] = {unpack_f16, unpack_q8, unpack_q8s16, unpack_q4, unpack_q4m};
static const EmbedFn EMBED[] = {embed_f16, embed_q8, embed_q8s16, embed_q4, embed_q4m};
static int rows_per_block(Type, int i) {
    return i < 2 ? 16 : 32;
}
#define SH(T, ...) {skim::linear::Stream<skim::weights::T, 1, __VA_ARGS__>::SHARED_BYTES, 0, 0, 0}
static const int SHARED[TYPES][4] = {SH(F16, 1, 3, 4), SH(Q8, 1, 2, 4), SH(Q8S16, 1, 2, 4), SH(Q4, 1, 2, 2), SH(Q4M, 1, 3, 2)};
static const int STREAM_CTAS[TYPES] = {3, 4, 4, 4, 3};  // an SM
/** How a kernel of warpgroup.cuh is launched, and for how many rows of weights a multiprocessor. */
struct Warpgroups {
    const char* name;
    LinearFn kernel;
    int threads, shared, tiles, cluster, most;

    /** All sets at once in clusters; as many blocks as there is room for without. */
    int grid(int rows) const {
        const int sets = ceil_div(rows, 16 * tiles);
        return cluster > 1 ? sets * cluster : std::min(sets, multiprocessors());
    }
};
template <class S>
static Warpgroups warpgroups(const char* name, LinearFn f, int most = 0) {
    return {name, f, S::THREADS, S::SHARED_BYTES, S::SET_TILES, S::CLUSTER, most};
}
#define WG(T, NAME, NT, SHAPE, W, P, C, MOST) \
    warpgroups<skim::linear::KernelShape<skim::weights::T, NT, W, P, C>>(#SHAPE, linear_##NAME##_##NT##_##SHAPE, MOST)
#define FEW_WG(T, NAME, NT) WG(T, NAME, NT, w1p2c2, 1, 2, 2, 32), WG(T, NAME, NT, w4c4, 4, 1, 4, 58)
#define MANY_WG(T, NAME, NT) WG(T, NAME, NT, w3, 3, 1, 1, 192), WG(T, NAME, NT, w4, 4, 1, 1, 1 << 16)
#define WGS(T, NAME)                                                                               \
    {{FEW_WG(T, NAME, 2), WG(T, NAME, 2, w3c2, 3, 1, 2, 96), MANY_WG(T, NAME, 2)},                 \
            {FEW_WG(T, NAME, 4), WG(T, NAME, 4, w3c2, 3, 1, 2, 96), MANY_WG(T, NAME, 4)},          \
            {FEW_WG(T, NAME, 8), MANY_WG(T, NAME, 8)}}
static const std::vector<Warpgroups> WARPGROUPS[TYPES][3] = {
        WGS(F16, f16), WGS(Q8, q8), WGS(Q8S16, q8s16), WGS(Q4, q4), WGS(Q4M, q4m)};
/** As Products.java chooses. */
static const Warpgroups& chosen(Type t, int i, int rows) {
    for (const Warpgroups& w : WARPGROUPS[t][i - 1])
        if (rows <= int64_t(w.most) * multiprocessors()) return w;
    return WARPGROUPS[t][i - 1].back();
}
static int threads_of(LinearFn f) {
    for (auto& type : WARPGROUPS)
        for (auto& size : type)
            for (auto& w : size)
                if (w.kernel == f) return w.threads;
    return 256;
}
static int shared_of(LinearFn f) {
    for (auto& type : WARPGROUPS)
        for (auto& size : type)
            for (auto& w : size)
                if (w.kernel == f) return w.shared;
    for (int t = 0; t < TYPES; t++)
        for (int i = 0; i < 4; i++) {
            if (LINEAR[t][i] == f) return SHARED[t][i];
        }
    return 0;
}

// ---- ggml blocks: random ones and their decoding, written from the format, not from the kernels ----
struct Format {
    const char* name;
    Type type;
    PackFn pack;
    int block, bytes;
    std::function<void(uint8_t*)> random;                // fills one block
    std::function<void(const uint8_t*, float*)> decode;  // one block to floats
};
static void put16(uint8_t* p, uint16_t v) {
    p[0] = v & 255;
    p[1] = v >> 8;
}
static float get16(const uint8_t* p) {
    return half_value(uint16_t(p[0] | p[1] << 8));
}
static void random_bytes(uint8_t* p, int n) {
    for (int i = 0; i < n; i++) p[i] = rng() >> 13;
}
static void scale_min_k4(int j, const uint8_t* q, int& d, int& m) {  // ggml's get_scale_min_k4
    if (j < 4) {
        d = q[j] & 63;
        m = q[j + 4] & 63;
    } else {
        d = (q[j + 4] & 0xF) | ((q[j - 4] >> 6) << 4);
        m = (q[j + 4] >> 4) | ((q[j - 0] >> 6) << 4);
    }
}
static std::vector<Format> formats() {
    return {
            {"f32", F16, pack_f32, 1, 4,
                    [](uint8_t* p) {
                        float v = uniform(-1, 1);
                        memcpy(p, &v, 4);
                    },
                    [](const uint8_t* p, float* o) { memcpy(o, p, 4); }},
            {"f16", F16, pack_f16, 1, 2, [](uint8_t* p) { put16(p, half_bits(uniform(-1, 1))); },
                    [](const uint8_t* p, float* o) { *o = get16(p); }},
            {"bf16", F16, pack_bf16, 1, 2,
                    [](uint8_t* p) {
                        float v = uniform(-1, 1);
                        memcpy(p, reinterpret_cast<uint8_t*>(&v) + 2, 2);
                    },
                    [](const uint8_t* p, float* o) {
                        uint32_t b = (p[0] | p[1] << 8) << 16;
                        memcpy(o, &b, 4);
                    }},
            {"q8_0", Q8, pack_q8_0, 32, 34,
                    [](uint8_t* p) {
                        random_bytes(p, 34);
                        put16(p, half_bits(uniform(0.001f, 0.01f)));
                    },
                    [](const uint8_t* p, float* o) {
                        for (int i = 0; i < 32; i++) o[i] = get16(p) * int8_t(p[2 + i]);
                    }},
            {"q6_k", Q8S16, pack_q6_k, 256, 210,
                    [](uint8_t* p) {
                        random_bytes(p, 210);
                        put16(p + 208, half_bits(uniform(-0.001f, 0.001f)));
                    },
                    [](const uint8_t* p, float* y) {  // ggml's dequantize_row_q6_K
                        const uint8_t *ql = p, *qh = p + 128;
                        const int8_t* sc = reinterpret_cast<const int8_t*>(p + 192);
                        float d = get16(p + 208);
                        for (int n = 0; n < 256; n += 128, y += 128, ql += 64, qh += 32, sc += 8)
                            for (int l = 0; l < 32; l++) {
                                int is = l / 16;
                                int q1 = int((ql[l] & 0xF) | (((qh[l] >> 0) & 3) << 4)) - 32,
                                    q2 = int((ql[l + 32] & 0xF) | (((qh[l] >> 2) & 3) << 4)) - 32;
                                int q3 = int((ql[l] >> 4) | (((qh[l] >> 4) & 3) << 4)) - 32,
                                    q4 = int((ql[l + 32] >> 4) | (((qh[l] >> 6) & 3) << 4)) - 32;
                                y[l] = d * sc[is] * q1;
                                y[l + 32] = d * sc[is + 2] * q2;
                                y[l + 64] = d * sc[is + 4] * q3;
                                y[l + 96] = d * sc[is + 6] * q4;
                            }
                    }},
            {"q4_0", Q4, pack_q4_0, 32, 18,
                    [](uint8_t* p) {
                        random_bytes(p, 18);
                        put16(p, half_bits(uniform(-0.1f, 0.1f)));
                    },
                    [](const uint8_t* p, float* o) {
                        for (int i = 0; i < 16; i++) {
                            o[i] = get16(p) * ((p[2 + i] & 15) - 8);
                            o[i + 16] = get16(p) * ((p[2 + i] >> 4) - 8);
                        }
                    }},
            {"q4_1", Q4M, pack_q4_1, 32, 20,
                    [](uint8_t* p) {
                        random_bytes(p, 20);
                        put16(p, half_bits(uniform(0.01f, 0.1f)));
                        put16(p + 2, half_bits(uniform(-1, 0.2f)));
                    },
                    [](const uint8_t* p, float* o) {
                        for (int i = 0; i < 16; i++) {
                            o[i] = get16(p) * (p[4 + i] & 15) + get16(p + 2);
                            o[i + 16] = get16(p) * (p[4 + i] >> 4) + get16(p + 2);
                        }
                    }},
            {"q4_k", Q4M, pack_q4_k, 256, 144,
                    [](uint8_t* p) {
                        random_bytes(p, 144);
                        put16(p, half_bits(uniform(0.0005f, 0.002f)));
                        put16(p + 2, half_bits(uniform(0.004f, 0.015f)));
                    },
                    [](const uint8_t* p, float* y) {
                        const uint8_t* q = p + 16;
                        for (int j = 0, is = 0; j < 256; j += 64, q += 32, is += 2) {
                            int d1, m1, d2, m2;
                            scale_min_k4(is, p + 4, d1, m1);
                            scale_min_k4(is + 1, p + 4, d2, m2);
                            for (int l = 0; l < 32; l++) *y++ = get16(p) * d1 * (q[l] & 0xF) - get16(p + 2) * m1;
                            for (int l = 0; l < 32; l++) *y++ = get16(p) * d2 * (q[l] >> 4) - get16(p + 2) * m2;
                        }
                    }},
    };
}

static void report(const std::string& what, double error, double limit, bool quiet = true) {
    bool good = error <= limit;  // NaN: no
    (good ? passes : failures)++;
    if (!good || !quiet) printf("%s %-62s rel %.2e (limit %.0e)\n", good ? "ok  " : "FAIL", what.c_str(), error, limit);
}
struct Error {
    double difference = 0, reference = 0;
    void add(double out, double ref) {
        difference += (out - ref) * (out - ref);
        reference += ref * ref;
    }
    double relative() const { return std::sqrt(difference / reference); }
};
template <class V>
static bool is_poison(V v) {
    const uint8_t* b = reinterpret_cast<const uint8_t*>(&v);
    for (size_t i = 0; i < sizeof(V); i++)
        if (b[i] != 0xff) return false;
    return true;
}

static int nt_index(int batch) {
    return batch <= 8 ? 0 : batch <= 16 ? 1 : batch <= 32 ? 2 : 3;
}

/** Runs a product; y is poisoned first unless mode 1 (then before is added to). */
template <class V>
static std::vector<V> product(LinearFn f, int grid, const void* units, const void* scales, int rows, int columns, const __half* x,
        int xs, int batch, const float* bias, float outScale, int mode, int ys, const std::vector<V>* before) {
    Device<V> y(size_t(batch + 1) * ys, 0xff);
    if (before) y.put(*before);
    f<<<grid, threads_of(f), shared_of(f)>>>(units, scales, rows, columns, x, xs, batch, bias, outScale, mode, y.at, ys);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    return y.get();
}

/** Pack (in chunks; paired: a gate and an up tensor), unpack, embed, products in all modes and batches. */
static void check_format(const Format& f, int rows, int columns, bool paired) {
    const Type t = f.type;
    char label[128];
    const int matrixRows = paired ? 2 * rows : rows, k64 = (columns + 63) / 64 * 64, tensors = paired ? 2 : 1;
    const size_t rowBytes = size_t(columns) / f.block * f.bytes;
    std::vector<float> w(size_t(matrixRows) * columns);
    const int tilesRows = paired ? ceil_div(rows, 8) * 16 : matrixRows;
    Device<uint8_t> units(unit_bytes(t, tilesRows, columns), 0), scales(scale_bytes(t, tilesRows, columns) + 16, 0);
    if (paired && rows % 8 != 0) {
        printf("FAIL bad test\n");
        failures++;
        return;
    }
    for (int tensor = 0; tensor < tensors; tensor++) {
        Bytes raw(rowBytes * rows);
        for (size_t b = 0; b < raw.size() / f.bytes; b++) f.random(&raw[b * f.bytes]);
        Device<uint8_t> d(raw);
        const int chunk = 8 + int(rng() % rows);  // calls that end inside a tile
        for (int first = 0; first < rows; first += chunk)
            f.pack<<<1 + rng() % 7, 256>>>(d.at + first * rowBytes, first, std::min(chunk, rows - first), columns, paired,
                    paired ? 8 * tensor : 0, units.at, scales.at);
        CHECK(cudaGetLastError());
        CHECK(cudaDeviceSynchronize());
        for (int r = 0; r < rows; r++) {
            int m = paired ? r / 8 * 16 + r % 8 + 8 * tensor : r;
            for (int c = 0; c < columns; c += f.block)
                f.decode(&raw[r * rowBytes + size_t(c) / f.block * f.bytes], &w[size_t(m) * columns + c]);
        }
    }
    Device<__half> unpacked(size_t(matrixRows) * k64, 0xff);
    UNPACK[t]<<<5, 256>>>(units.at, scales.at, matrixRows, columns, unpacked.at, k64);
    CHECK(cudaGetLastError());
    std::vector<__half> u = unpacked.get();
    Error e;
    bool pads = true;
    for (int r = 0; r < matrixRows; r++) {
        for (int c = 0; c < columns; c++) e.add(__half2float(u[size_t(r) * k64 + c]), w[size_t(r) * columns + c]);
        for (int c = columns; c < k64; c++) pads = pads && __half2float(u[size_t(r) * k64 + c]) == 0;
    }
    snprintf(label, sizeof label, "%s %dx%d%s pack+unpack", f.name, matrixRows, columns, paired ? " paired" : "");
    report(label, pads ? e.relative() : NAN, 6e-4);

    std::vector<int> tokens = {0, matrixRows - 1, int(rng() % matrixRows), int(rng() % matrixRows), int(rng() % matrixRows)};
    Device<int> dt(tokens);
    Device<float> em(tokens.size() * columns, 0xff);
    EMBED[t]<<<3, 256>>>(units.at, scales.at, columns, dt.at, int(tokens.size()), em.at);
    CHECK(cudaGetLastError());
    std::vector<float> ev = em.get();
    Error ee;
    for (size_t i = 0; i < tokens.size(); i++)
        for (int c = 0; c < columns; c++) ee.add(ev[i * columns + c], __half2float(u[size_t(tokens[i]) * k64 + c]));
    snprintf(label, sizeof label, "%s %dx%d embed", f.name, matrixRows, columns);
    report(label, ee.relative(), 0);

    // 64 rows of x, then NaN rows that no kernel may read; pad columns zero
    const int xs = k64 + 64 * int(rng() % 2);
    std::vector<__half> x(size_t(72) * xs);
    for (int n = 0; n < 72; n++)
        for (int c = 0; c < xs; c++)
            x[size_t(n) * xs + c] = n >= 64 ? __ushort_as_half(0xffff) : __float2half_rn(c < columns ? uniform(-2, 2) : 0);
    std::vector<float> bias(matrixRows);
    for (float& b : bias) b = uniform(-1, 1);
    Device<float> db(bias);
    std::vector<double> exact(size_t(64) * matrixRows), decoded(exact.size());
    std::vector<double> xd(x.size()), ud(u.size());
    for (size_t i = 0; i < x.size(); i++) xd[i] = __half2float(x[i]);
    for (size_t i = 0; i < u.size(); i++) ud[i] = __half2float(u[i]);
    for (int n = 0; n < 64; n++)
        for (int r = 0; r < matrixRows; r++) {
            double a = 0, b = 0;
            for (int c = 0; c < columns; c++) {
                double v = xd[size_t(n) * xs + c];
                a += v * ud[size_t(r) * k64 + c];
                b += v * w[size_t(r) * columns + c];
            }
            exact[size_t(n) * matrixRows + r] = a;
            decoded[size_t(n) * matrixRows + r] = b;
        }
    std::vector<float> first;  // results of the full batch, to compare bit for bit
    const int ys = matrixRows + 5, ysHalf = (rows + 63) / 64 * 64;
    for (int batch : {64, 1, 2, 7, 8, 9, 16, 23, 32, 57}) {
        const int i = nt_index(batch);
        std::vector<__half> xb = x;
        for (int n = batch; n < 72; n++)
            for (int c = 0; c < xs; c++) xb[size_t(n) * xs + c] = __ushort_as_half(0xffff);
        Device<__half> dx(xb);
        const int full = ceil_div(matrixRows, rows_per_block(t, i));
        const int grid = batch % 2 ? full : 1 + int(rng() % full);  // any grid is right
        const float outScale = batch % 3 ? 1 : 64;
        auto y = product<float>(
                LINEAR[t][i], grid, units.at, scales.at, matrixRows, columns, dx.at, xs, batch, nullptr, 1, 0, ys, nullptr);
        Error a, b;
        bool clean = true, same = true;
        if (batch == 64) first = y;
        for (int n = 0; n <= batch; n++)
            for (int r = 0; r < ys; r++) {
                float v = y[size_t(n) * ys + r];
                if (n < batch && r < matrixRows) {
                    a.add(v, exact[size_t(n) * matrixRows + r]);
                    b.add(v, decoded[size_t(n) * matrixRows + r]);
                    same = same && memcmp(&v, &first[size_t(n) * ys + r], 4) == 0;
                } else
                    clean = clean && is_poison(v);
            }
        snprintf(label, sizeof label, "%s %dx%d batch %d", f.name, matrixRows, columns, batch);
        report(std::string(label) + " vs unpacked", a.relative(), 1e-5);
        report(std::string(label) + " vs ggml", b.relative(), 8e-4);
        report(std::string(label) + " writes only its own", clean ? 0 : 1, 0);
        report(std::string(label) + " same bits at any batch", same ? 0 : 1, 0);
        std::vector<float> before(y.size());
        for (float& v : before) v = uniform(-9, 9);
        auto z = product<float>(
                LINEAR[t][i], grid, units.at, scales.at, matrixRows, columns, dx.at, xs, batch, db.at, outScale, 1, ys, &before);
        if (i > 0) {
            auto same_bits = [](const auto& u, const auto& v) {
                return u.size() == v.size() && memcmp(u.data(), v.data(), u.size() * sizeof(u[0])) == 0;
            };
            auto check = [&](LinearFn f, const std::string& name, int g) {
                const auto y0 = product<float>(
                        f, g, units.at, scales.at, matrixRows, columns, dx.at, xs, batch, nullptr, 1, 0, ys, nullptr);
                report(std::string(label) + " " + name + ", mode 0", same_bits(y, y0) ? 0 : 1, 0);
                const auto y1 = product<float>(
                        f, g, units.at, scales.at, matrixRows, columns, dx.at, xs, batch, db.at, outScale, 1, ys, &before);
                report(std::string(label) + " " + name + ", mode 1", same_bits(z, y1) ? 0 : 1, 0);
                if (!paired) return;
                const auto h = product<__half>(LINEAR[t][i], grid, units.at, scales.at, matrixRows, columns, dx.at, xs, batch,
                        db.at, 0.25f, 2, ysHalf, nullptr);
                const auto y2 = product<__half>(
                        f, g, units.at, scales.at, matrixRows, columns, dx.at, xs, batch, db.at, 0.25f, 2, ysHalf, nullptr);
                report(std::string(label) + " " + name + ", mode 2", same_bits(h, y2) ? 0 : 1, 0);
            };
            for (const Warpgroups& w : WARPGROUPS[t][i - 1]) {
                check(w.kernel, w.name, w.grid(matrixRows));
                if (w.cluster == 1) check(w.kernel, std::string(w.name) + ", one at a time", 1);
            }
        }
        Error c;
        for (int n = 0; n < batch; n++)
            for (int r = 0; r < matrixRows; r++)
                c.add(z[size_t(n) * ys + r], exact[size_t(n) * matrixRows + r] * outScale + bias[r] + before[size_t(n) * ys + r]);
        report(std::string(label) + " mode 1, bias, outScale", c.relative(), 1e-5);
        if (paired) {
            auto h = product<__half>(LINEAR[t][i], grid, units.at, scales.at, matrixRows, columns, dx.at, xs, batch, nullptr,
                    0.25f, 2, ysHalf, nullptr);
            Error d;
            for (int n = 0; n < batch; n++)
                for (int r = 0; r < rows; r++) {
                    int m = r / 8 * 16 + r % 8;
                    double g = exact[size_t(n) * matrixRows + m] * 0.25, up = exact[size_t(n) * matrixRows + m + 8] * 0.25;
                    d.add(__half2float(h[size_t(n) * ysHalf + r]), g / (1 + exp(-g)) * up / 64);
                }
            report(std::string(label) + " mode 2", d.relative(), 4e-4);
        }
    }
}

// ---- large shapes: against a double-precision kernel on the unpacked weights ----
__global__ void reference(const __half* w, int ws, const __half* x, int xs, int rows, int columns, double* y) {
    int r = blockIdx.x * 4 + threadIdx.x / 32, n = blockIdx.y;
    double s = 0;
    if (r < rows)
        for (int c = threadIdx.x % 32; c < columns; c += 32)
            s += double(__half2float(w[size_t(r) * ws + c])) * double(__half2float(x[size_t(n) * xs + c]));
    for (int d = 16; d; d /= 2) s += __shfl_down_sync(~0u, s, d);
    if (r < rows && threadIdx.x % 32 == 0) y[size_t(n) * rows + r] = s;
}
__device__ uint32_t hash(uint64_t v) {
    v ^= v >> 33;
    v *= 0xff51afd7ed558ccdULL;
    v ^= v >> 33;
    v *= 0xc4ceb9fe1a85ec53ULL;
    return uint32_t(v >> 32);
}
/** Halves of magnitude 2^-8 ... 2^-5, random sign and fraction: fit for units of all types, scales and x. */
__global__ void fill(uint32_t* p, size_t n, uint64_t seed) {
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += size_t(gridDim.x) * blockDim.x) {
        uint32_t h = hash(i + seed);
        p[i] = (h & 0x8fff8fff) | 0x20002000;
    }
}
static void check_large(Type t, int rows, int columns, uint8_t* units, uint8_t* scales) {
    const int batch = 64;
    Device<__half> x(size_t(batch) * columns), w(size_t(rows) * columns);
    fill<<<256, 256>>>(reinterpret_cast<uint32_t*>(x.at), x.n / 2, 77);
    UNPACK[t]<<<1024, 256>>>(units, scales, rows, columns, w.at, columns);
    Device<double> ref(size_t(batch) * rows);
    reference<<<dim3(ceil_div(rows, 4), batch), 128>>>(w.at, columns, x.at, columns, rows, columns, ref.at);
    CHECK(cudaGetLastError());
    auto r = ref.get();
    for (int b : {1, 5, 12, 32, 64}) {
        int i = nt_index(b);
        Error e;
        bool same = true;
        std::vector<float> y;
        for (int repeat = 0; repeat < 3; repeat++) {
            int grid = repeat == 2 ? 264 : ceil_div(rows, rows_per_block(t, i));
            auto z = product<float>(
                    LINEAR[t][i], grid, units, scales, rows, columns, x.at, columns, b, nullptr, 1, 0, rows, nullptr);
            if (repeat) same = same && memcmp(y.data(), z.data(), size_t(b) * rows * 4) == 0;
            y = z;
        }
        for (size_t k = 0; k < size_t(b) * rows; k++) e.add(y[k], r[k]);
        for (const Warpgroups& w : i > 0 ? WARPGROUPS[t][i - 1] : std::vector<Warpgroups>()) {
            auto z = product<float>(
                    w.kernel, w.grid(rows), units, scales, rows, columns, x.at, columns, b, nullptr, 1, 0, rows, nullptr);
            char label[96];
            snprintf(label, sizeof label, "%s %dx%d batch %d, bits of %s", NAMES[t], rows, columns, b, w.name);
            report(label, memcmp(y.data(), z.data(), size_t(b) * rows * 4) == 0 ? 0 : 1, 0);
        }
        char label[96];
        snprintf(label, sizeof label, "%s %dx%d batch %d, three runs alike", NAMES[t], rows, columns, b);
        report(label, same ? e.relative() : NAN, 3e-5, b != 1);
    }
}

// ---- bench ----
struct Shape {
    const char* name;
    int rows, columns, mode;
};
static const Shape SHAPES[] = {{"qkv", 6144, 4096, 0}, {"o", 4096, 4096, 1}, {"gate/up", 28672, 4096, 2},
        {"down", 4096, 14336, 1}, {"vocab", 128256, 4096, 0}, {"7B qkv", 12288, 4096, 0}, {"7B gate/up", 22016, 4096, 2},
        {"7B down", 4096, 11008, 1}};
static const size_t ARENA = size_t(3) << 30, SCALE_ARENA = size_t(1) << 30;
static uint8_t *arena, *scaleArena;
static __half* benchX;
static uint8_t* benchY;

/** Microseconds of a launch, in a graph of launches with different weights. */
static double time_linear(LinearFn f, Type t, const Shape& s, int batch, int grid, int sharedBytes, int threads = 256) {
    const size_t ub = unit_bytes(t, s.rows, s.columns), sb = (scale_bytes(t, s.rows, s.columns) + 255) / 256 * 256;
    const bool large = ub > (size_t(200) << 20);
    const int copies = int(std::min<size_t>({ARENA / ub, sb ? SCALE_ARENA / sb : 1000, size_t(large ? 2 : 40)}));
    const int ys = s.mode == 2 ? s.rows / 2 : s.rows;
    return timeGraph(large ? 4 : 40, [&](cudaStream_t stream, int i) {
        f<<<grid, threads, sharedBytes, stream>>>(arena + (i % copies) * ub, scaleArena + (i % copies) * sb, s.rows, s.columns,
                benchX, s.columns, batch, nullptr, 1, s.mode, benchY, ys);
    });
}
static double floor_of(Type t, const Shape& s, int batch) {
    double y = double(batch) * s.rows * (s.mode == 0 ? 4 : s.mode == 1 ? 8 : 1);
    return floorUs(unit_bytes(t, s.rows, s.columns) + scale_bytes(t, s.rows, s.columns) + 2.0 * batch * s.columns + y);
}
static void bench() {
    printf("us a launch / floor (bytes / 4.3 TB/s) = ratio; batch > 8: registers r, and of warpgroup.cuh what Products chooses\n");
    for (int batch : {1, 8, 16, 32, 64}) {
        for (int t = 0; t < TYPES; t++) {
            printf("%-6s b%-3d", NAMES[t], batch);
            for (const Shape& s : SHAPES) {
                const int i = nt_index(batch);
                const double fl = floor_of(Type(t), s, batch);
                int grid = ceil_div(s.rows, rows_per_block(Type(t), i));
                if (i == 0) grid = std::min(grid, STREAM_CTAS[t] * multiprocessors());
                double us = time_linear(LINEAR[t][i], Type(t), s, batch, grid, SHARED[t][i]);
                printf(" | %s %s%.1f/%.1f=%.2f", s.name, i ? "r" : "", us, fl, us / fl);
                if (i == 0) continue;
                const Warpgroups& w = chosen(Type(t), i, s.rows);
                us = time_linear(w.kernel, Type(t), s, batch, w.grid(s.rows), w.shared, w.threads);
                printf(" %s %.1f=%.2f", w.name, us, us / fl);
            }
            printf("\n");
        }
    }
}

/** Rates of packing and unpacking. */
static void bench_pack() {
    for (const Format& f : formats()) {
        size_t raw = size_t(28672) * 4096 / f.block * f.bytes;
        Device<uint8_t> units(unit_bytes(f.type, 28672, 4096), 0), scales(scale_bytes(f.type, 28672, 4096) + 16, 0);
        Device<__half> out(size_t(28672) * 4096);
        const double pack = timeGraph(1, [&](cudaStream_t stream, int) {
            f.pack<<<2112, 256, 0, stream>>>(arena, 0, 28672, 4096, 0, 0, units.at, scales.at);
        });
        const double unpack = timeGraph(1, [&](cudaStream_t stream, int) {
            UNPACK[f.type]<<<2112, 256, 0, stream>>>(units.at, scales.at, 28672, 4096, out.at, 4096);
        });
        printf("pack_%s %.0f GB/s (stored bytes), unpack %.2f TB/s (read + written)\n", f.name, raw / pack / 1e3,
                (out.n * 2 + units.n + scales.n) / unpack / 1e6);
    }
}

// ---- variants ----
template <class T, int R, int S, int U, int C>
__global__ void __launch_bounds__(256, C) stream(const void* units, const void* scales, int rows, int columns, const __half* x,
        int xStride, int batch, const float* bias, float outScale, int mode, void* y, int yStride) {
    skim::linear::stream<T, 1, R, S, U>({units, scales, rows, columns, x, xStride, batch, bias, outScale, mode, y, yStride});
}
/** Prepares a variant and compares its bits with the product's kernel. False: the GPU has too little shared memory. */
static bool admit(const std::string& name, LinearFn f, Type t, int bytes, int batch, int grid) {
    int most;
    CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    if (bytes > most) return false;
    CHECK(cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    cudaFuncAttributes a;
    CHECK(cudaFuncGetAttributes(&a, f));
    printf("%-6s b%-3d %-18s regs %3d local %zu shared %d:", NAMES[t], batch, name.c_str(), a.numRegs, a.localSizeBytes, bytes);
    const int i = nt_index(batch);
    Device<float> y0(size_t(batch) * 6144, 0xff), y1(size_t(batch) * 6144, 0xff);
    LINEAR[t][i]<<<384, 256, SHARED[t][i]>>>(arena, scaleArena, 6144, 4096, benchX, 4096, batch, nullptr, 1, 0, y0.at, 6144);
    f<<<grid, 256, bytes>>>(arena, scaleArena, 6144, 4096, benchX, 4096, batch, nullptr, 1, 0, y1.at, 6144);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    auto u = y0.get(), v = y1.get();
    if (memcmp(u.data(), v.data(), u.size() * 4)) {
        printf(" DIFFERS");
        failures++;
    }
    return true;
}
static void stream_line(const char* name, LinearFn f, Type t, int bytes, int batch, int rowTiles) {
    if (!admit(name, f, t, bytes, batch, multiprocessors())) return;
    int ctas;
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&ctas, f, 256, bytes));
    printf(" ctas %d", ctas);
    for (const Shape& s : SHAPES) {
        const int sets = ceil_div(s.rows, 16 * rowTiles), persistent = std::min(sets, multiprocessors() * ctas);
        const double floor = floor_of(t, s, batch);
        printf(" | %s %.2f", s.name, time_linear(f, t, s, batch, sets, bytes) / floor);
        if (persistent < sets) printf(" persistent %.2f", time_linear(f, t, s, batch, persistent, bytes) / floor);
    }
    printf("\n");
}
// R row tiles of a block, S stages, U units of a stage, C blocks of an SM
#define STREAM_AT(T, R, S, U, C, BATCH)                                                      \
    stream_line("stream R" #R "S" #S "U" #U "C" #C, stream<skim::weights::T, R, S, U, C>, T, \
            skim::linear::Stream<skim::weights::T, 1, R, S, U>::SHARED_BYTES, BATCH, R)
#define STREAM(T, R, S, U, C)    \
    STREAM_AT(T, R, S, U, C, 1); \
    STREAM_AT(T, R, S, U, C, 8)
static void variants() {
    printf("\nvariants: time / floor\n");
    STREAM(Q4, 1, 2, 1, 4);
    STREAM(Q4, 1, 2, 2, 4);
    STREAM(Q4, 1, 3, 2, 3);
    STREAM(Q4, 2, 2, 1, 2);
    STREAM(Q4, 2, 2, 2, 2);
    STREAM(Q4, 2, 2, 4, 2);
    STREAM(Q4M, 1, 2, 1, 4);
    STREAM(Q4M, 1, 3, 2, 3);
    STREAM(Q4M, 2, 2, 2, 2);
    STREAM(Q4M, 2, 2, 1, 2);
    STREAM(Q8, 1, 2, 2, 4);
    STREAM(Q8, 1, 2, 4, 4);
    STREAM(Q8, 1, 3, 4, 3);
    STREAM(Q8, 2, 2, 4, 2);
    STREAM(Q8S16, 1, 2, 2, 4);
    STREAM(Q8S16, 1, 2, 4, 4);
    STREAM(Q8S16, 1, 3, 4, 3);
    STREAM(Q8S16, 2, 2, 2, 2);
    STREAM(F16, 1, 2, 4, 4);
    STREAM(F16, 1, 3, 4, 3);
    STREAM(F16, 1, 3, 4, 4);
    STREAM(F16, 2, 2, 4, 2);
}

// ---- variants of warpgroup.cuh ----
template <class T, int NT, int W, int P, int C, int S, int X>
__global__ void __launch_bounds__(skim::linear::WarpgroupShape<T, NT, W, P, C, S, X>::THREADS, 1) grouped(
        const void* units, const void* scales, int rows, int columns, const __half* x, int xStride, int batch, const float* bias,
        float outScale, int mode, void* y, int yStride) {
    skim::linear::warpgroups<T, NT, skim::linear::WarpgroupShape<T, NT, W, P, C, S, X>>(
            {units, scales, rows, columns, x, xStride, batch, bias, outScale, mode, y, yStride});
}
/** As time_linear(), in clusters whose size the launch gives. */
static double time_grouped(const Warpgroups& w, Type t, const Shape& s, int batch) {
    const size_t ub = unit_bytes(t, s.rows, s.columns), sb = (scale_bytes(t, s.rows, s.columns) + 255) / 256 * 256;
    const bool large = ub > (size_t(200) << 20);
    const int copies = int(std::min<size_t>({ARENA / ub, sb ? SCALE_ARENA / sb : 1000, size_t(large ? 2 : 40)}));
    return timeGraph(large ? 4 : 40, [&](cudaStream_t stream, int i) {
        cudaLaunchAttribute attribute;
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim = {unsigned(w.cluster), 1, 1};
        cudaLaunchConfig_t config{};
        config.gridDim = w.grid(s.rows);
        config.blockDim = w.threads;
        config.dynamicSmemBytes = w.shared;
        config.stream = stream;
        config.attrs = &attribute;
        config.numAttrs = 1;
        CHECK(cudaLaunchKernelEx(&config, w.kernel, (const void*) (arena + (i % copies) * ub),
                (const void*) (scaleArena + (i % copies) * sb), s.rows, s.columns, (const __half*) benchX, s.columns, batch,
                (const float*) nullptr, 1.0f, s.mode, (void*) benchY, s.mode == 2 ? s.rows / 2 : s.rows));
    });
}
template <class T, int NT, int W, int P, int C, int S, int X>
static void grouped_line(Type t) {
    using Shape_ = skim::linear::WarpgroupShape<T, NT, W, P, C, S, X>;
    const int batch = NT * 8;
    printf("%-5s b%-3d W%d P%d C%d S%d X%d:", NAMES[t], batch, W, P, C, S, X);
    if constexpr (Shape_::SHARED_BYTES > 227 * 1024) {
        printf(" too much shared memory: %d\n", Shape_::SHARED_BYTES);
    } else {
        const Warpgroups w = warpgroups<Shape_>("", grouped<T, NT, W, P, C, S, X>);
        CHECK(cudaFuncSetAttribute(w.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, w.shared));
        cudaFuncAttributes a;
        CHECK(cudaFuncGetAttributes(&a, w.kernel));
        cudaLaunchAttribute attribute;
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim = {unsigned(C), 1, 1};
        cudaLaunchConfig_t config{};
        config.gridDim = w.grid(6144);
        config.blockDim = w.threads;
        config.dynamicSmemBytes = w.shared;
        config.attrs = &attribute;
        config.numAttrs = 1;
        int clusters = 0;
        CHECK(cudaOccupancyMaxActiveClusters(&clusters, w.kernel, &config));
        printf(" local %zu, %d clusters at once:", a.localSizeBytes, clusters);
        const int i = nt_index(batch);
        Device<float> y0(size_t(batch) * 6144, 0xff), y1(size_t(batch) * 6144, 0xff);
        LINEAR[t][i]<<<384, 256, SHARED[t][i]>>>(arena, scaleArena, 6144, 4096, benchX, 4096, batch, nullptr, 1, 0, y0.at, 6144);
        CHECK(cudaLaunchKernelEx(&config, w.kernel, (const void*) arena, (const void*) scaleArena, 6144, 4096,
                (const __half*) benchX, 4096, batch, (const float*) nullptr, 1.0f, 0, (void*) y1.at, 6144));
        CHECK(cudaDeviceSynchronize());
        auto u = y0.get(), v = y1.get();
        if (memcmp(u.data(), v.data(), u.size() * 4)) {
            printf(" DIFFERS");
            failures++;
        }
        for (const Shape& s : SHAPES)
            if (strcmp(s.name, "vocab")) printf(" | %s %.1f", s.name, time_grouped(w, t, s, batch));
        printf("\n");
    }
}
/** W warpgroups, P columns of them, C blocks of a cluster, S slots, X stages of activations. */
template <class T, int NT>
static void grouped_lines(Type t) {
    constexpr bool MANY = NT == 8;
    grouped_line<T, NT, 4, 1, 1, 2, 3>(t);
    grouped_line<T, NT, 3, 1, 1, 3, 3>(t);
    grouped_line<T, NT, 3, 1, 2, 3, 2>(t);
    grouped_line<T, NT, 4, 1, 4, 2, 2>(t);
    grouped_line<T, NT, 3, 1, 4, MANY ? 2 : 3, 3>(t);
    grouped_line<T, NT, 1, 2, 2, 3, MANY ? 2 : 3>(t);
    grouped_line<T, NT, 1, 2, 2, MANY ? 2 : 3, 2>(t);
    grouped_line<T, NT, 1, 4, 2, 2, 2>(t);
}
static void grouped_variants() {
    printf("\nwarpgroups: us\n");
    grouped_lines<skim::weights::Q4, 2>(Q4);
    grouped_lines<skim::weights::Q4, 4>(Q4);
    grouped_lines<skim::weights::Q4, 8>(Q4);
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench", "variants", "groups"}, 12345);
    rng.seed(line.seed);
    for (int t = 0; t < TYPES; t++)
        for (int i = 0; i < 4; i++)
            CHECK(cudaFuncSetAttribute(LINEAR[t][i], cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED[t][i]));
    for (auto& type : WARPGROUPS)
        for (auto& size : type)
            for (auto& w : size) CHECK(cudaFuncSetAttribute(w.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, w.shared));
    if (line.wants("test")) {
        for (const Format& f : formats()) {
            std::vector<int> columns = f.block == 256 ? std::vector<int>{256, 512, 1280}
                    : f.block == 32                   ? std::vector<int>{64, 96, 576, 608}
                                                      : std::vector<int>{64, 80, 576, 600};
            for (int c : columns) {
                check_format(f, 60 + int(rng() % 141), c, false);
                check_format(f, 8 * (4 + int(rng() % 8)), c, true);
            }
        }
        printf("ragged shapes: %d ok, %d FAIL\n", passes, failures);
    }
    CHECK(cudaMalloc(&arena, ARENA));
    CHECK(cudaMalloc(&scaleArena, SCALE_ARENA));
    CHECK(cudaMalloc(&benchX, 128 * 14336 * 2));
    CHECK(cudaMalloc(&benchY, size_t(64) * 128256 * 4));
    fill<<<2048, 256>>>(reinterpret_cast<uint32_t*>(arena), ARENA / 4, 1);
    fill<<<2048, 256>>>(reinterpret_cast<uint32_t*>(scaleArena), SCALE_ARENA / 4, 2);
    fill<<<2048, 256>>>(reinterpret_cast<uint32_t*>(benchX), 128 * 14336 / 2, 3);
    CHECK(cudaMemset(benchY, 0, size_t(64) * 128256 * 4));
    CHECK(cudaDeviceSynchronize());
    if (line.wants("test")) {
        for (int t = 0; t < TYPES; t++) {
            check_large(Type(t), 6144, 4096, arena, scaleArena);
            check_large(Type(t), 4096, 11008, arena, scaleArena);
            check_large(Type(t), 4096, 14336, arena, scaleArena);
        }
        printf("%d ok, %d FAIL\n", passes, failures);
    }
    if (line.wants("bench")) {
        bench_pack();
        bench();
    }
    if (line.has("variants")) variants();
    if (line.has("groups")) grouped_variants();
    CHECK(cudaDeviceSynchronize());
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
