/*
 * Test and benchmark of gemm.cuh and rows.cuh.
 *
 * Checks the gemm_f16_* kernels against products in double in all modes: random shapes, strides, bias and scale; that the
 * kernels without Hopper's instructions give the same bits; that nothing is written outside and nothing past a row is used.
 * Checks the tensor maps that tensor_map makes against the driver's, and rms_norm against double.
 * Measures all kernels for 64 to 2048 tokens in the shapes of a model of 8 billion parameters, with weights that are not in the
 * L2 cache, and rms_norm.
 *
 * Build: nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -Xcompiler -pthread -o gemm gemm.cu
 * Run:   gemm [test] [bench] [seed=NUMBER]    (both without a word)
 */
#include "../../main/cuda/gemm.cuh"
#include "../../main/cuda/rows.cuh"
#include "harness.cuh"

#include <csignal>
#include <cuda.h>
#include <unistd.h>
using namespace harness;
using skim::gemm::TensorMap;

static char current[200] = "start";
/** A lost barrier leaves a kernel running for ever: after 80 s the process ends and says which. */
static void hang(int) {
    printf("FAIL hang in %s, failures before %d\n", current, failures);
    fflush(stdout);
    _exit(1);
}
static int sms = 132;
static std::mt19937 rng;
static float normal() {
    return std::normal_distribution<float>()(rng);
}

__global__ void fill(half* p, size_t n, float scale, unsigned seed) {
    for (size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x; i < n; i += size_t(gridDim.x) * blockDim.x) {
        float sum = 0;
        uint64_t h = (i + 1) * 0x9E3779B97F4A7C15ull + seed * 0xD1B54A32D192ED03ull;
        for (int k = 0; k < 4; k++) {
            h ^= h >> 29;
            h *= 0xBF58476D1CE4E5B9ull;
            h ^= h >> 32;
            sum += (unsigned(h) >> 8) * 0x1p-24f - 0.5f;
        }
        p[i] = __float2half(sum * 1.732f * scale);
    }
}

// ---- tensor maps
static TensorMap deviceMap(const half* p, int rows, int columns, int stride) {
    static void* scratch = nullptr;
    if (!scratch) CHECK(cudaMalloc(&scratch, 256));
    CHECK(cudaMemset(scratch, 0xEE, 128));
    tensor_map<<<1, 1>>>(p, rows, columns, stride, scratch);
    CHECK(cudaGetLastError());
    TensorMap map;
    CHECK(cudaMemcpy(&map, scratch, 128, cudaMemcpyDeviceToHost));
    return map;
}
static TensorMap hostMap(const half* p, int rows, int columns, int stride) {
    static CUresult (*encode)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
            const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
            CUtensorMapFloatOOBfill) = nullptr;
    if (!encode) {
        cudaDriverEntryPointQueryResult found;
        CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", (void**)&encode, 12000, cudaEnableDefault, &found));
        if (!encode) {
            printf("FAIL no cuTensorMapEncodeTiled\n");
            exit(2);
        }
    }
    CUtensorMap map;
    cuuint64_t dims[2] = {cuuint64_t(columns), cuuint64_t(rows)}, strides[1] = {cuuint64_t(stride) * 2};
    cuuint32_t box[2] = {64, 128}, steps[2] = {1, 1};
    CUresult r =
            encode(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, (void*)p, dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                    CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (r != CUDA_SUCCESS) {
        printf("FAIL encode %d\n", r);
        exit(2);
    }
    TensorMap out;
    memcpy(&out, &map, 128);
    return out;
}
/** The driver's maps may differ in bits that do not matter, so that is told, not counted: products are what must be right. */
static void compareMaps() {
    Device<half> b(1024 * 4096);
    bool same = true;
    int shapes[3][3] = {{1024, 4096, 4096}, {1, 64, 64}, {300, 448, 512}};
    for (auto& s : shapes) {
        TensorMap d = deviceMap(b.at, s[0], s[1], s[2]), h = hostMap(b.at, s[0], s[1], s[2]);
        for (int i = 0; i < 16; i++) {
            if (d.words[i] == h.words[i]) continue;
            same = false;
            printf("  map word %d: device %016llx host %016llx\n", i, (unsigned long long)d.words[i],
                    (unsigned long long)h.words[i]);
        }
    }
    printf("tensor maps: device-made %s the driver's\n", same ? "equal" : "DIFFER from");
}

// ---- variants
typedef void (*Plain)(const half*, int, const half*, int, int, int, int, const float*, float, int, void*, int);
typedef void (*Tma)(const TensorMap, const TensorMap, int, int, int, const float*, float, int, void*, int);
struct Variant {
    const char* name;
    Plain plain;
    Tma tma;
    int bm, bn, threads, shared, sharing, split;
};
static std::vector<Variant> variants = {
        {"mma256", gemm_f16_128x256, nullptr, 128, 256, 256, skim::gemm::Mma128x256::SHARED, 1, 1},
        {"mma128", gemm_f16_128x128, nullptr, 128, 128, 128, skim::gemm::Mma128x128::SHARED, 1, 1},
        {"mma64", gemm_f16_64x64, nullptr, 64, 64, 128, skim::gemm::Mma64x64::SHARED, 1, 1},
        {"tma256", nullptr, gemm_f16_sm90_256, 128, 256, 384, skim::gemm::TMA_SHARED, 2, 1},
        {"tma128", nullptr, gemm_f16_sm90_128, 128, 128, 384, skim::gemm::TMA_SHARED, 1, 1},
        {"split2", nullptr, gemm_f16_sm90_128_split2, 128, 128, 384, skim::gemm::TMA_SHARED, 1, 2},
        {"split4", nullptr, gemm_f16_sm90_128_split4, 128, 128, 384, skim::gemm::TMA_SHARED, 1, 4},
};
struct Call {
    const half* x;
    int ldx;
    const half* w;
    int ldw;
    int m, n, k;
    const float* bias;
    float scale;
    int mode;
    void* y;
    int ldy;
    TensorMap xm, wm;
};
static int gridOf(const Variant& v, int m, int n) {
    int rows = (m + v.bm * v.sharing - 1) / (v.bm * v.sharing), tiles = rows * ((n + v.bn - 1) / v.bn);
    if (v.plain) return tiles;
    if (v.split > 1) return tiles * v.split;
    return std::min(tiles, sms / v.sharing) * v.sharing;
}
static void launch(const Variant& v, const Call& c, cudaStream_t stream = nullptr, int grid = 0) {
    if (!grid) grid = gridOf(v, c.m, c.n);
    snprintf(current, sizeof current, "%s %dx%dx%d mode %d grid %d", v.name, c.m, c.n, c.k, c.mode, grid);
    if (v.plain)
        v.plain<<<grid, v.threads, v.shared, stream>>>(
                c.x, c.ldx, c.w, c.ldw, c.m, c.n, c.k, c.bias, c.scale, c.mode, c.y, c.ldy);
    else
        v.tma<<<grid, v.threads, v.shared, stream>>>(c.xm, c.wm, c.m, c.n, c.k, c.bias, c.scale, c.mode, c.y, c.ldy);
    CHECK(cudaGetLastError());
}
/** The kernel that Products.java chooses on Hopper for more than 64 tokens. */
static int choose(int m, int n) {
    enum { TMA256 = 3, TMA128, SPLIT2, SPLIT4 };
    const int rowTiles = (m + 127) / 128, wide = (n + 255) / 256 * rowTiles, narrow = (n + 127) / 128 * rowTiles;
    if (wide >= 2 * sms) return TMA256;
    if (2 * narrow > sms) return TMA128;
    return 4 * narrow > sms ? SPLIT2 : SPLIT4;
}

static void report(bool ok, const char* fmt, const char* name, int a, int b, int c, int mode, double err) {
    if (!ok) failures++;
    static int printed = 0;
    if (!ok && printed++ < 30) printf(fmt, name, a, b, c, mode, err);
}

static void testShape(int m, int n, int k, size_t from, size_t to) {
    const int wRows = (n + 15) / 16 * 16, ldx = k + 64 * (rng() % 2), ldw = k + 64 * (rng() % 2);
    const half nan = __float2half(NAN);
    std::vector<half> x(size_t(m) * ldx, nan), w(size_t(wRows) * ldw, nan);
    std::vector<float> bias(wRows);
    for (int r = 0; r < m; r++)
        for (int c = 0; c < k; c++) x[size_t(r) * ldx + c] = __float2half(normal());
    for (int r = 0; r < wRows; r++)
        for (int c = 0; c < k; c++) w[size_t(r) * ldw + c] = __float2half(normal() * 0.1f);
    for (auto& b : bias) b = normal();
    std::vector<float> xf(size_t(m) * k), wf(size_t(wRows) * k);
    for (int r = 0; r < m; r++)
        for (int c = 0; c < k; c++) xf[size_t(r) * k + c] = __half2float(x[size_t(r) * ldx + c]);
    for (int r = 0; r < wRows; r++)
        for (int c = 0; c < k; c++) wf[size_t(r) * k + c] = __half2float(w[size_t(r) * ldw + c]);
    std::vector<double> product(size_t(m) * wRows);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < wRows; j++) {
            const float *a = &xf[size_t(i) * k], *b = &wf[size_t(j) * k];
            double s[4] = {};
            for (int c = 0; c < k; c += 4)
                for (int u = 0; u < 4; u++) s[u] += double(a[c + u]) * b[c + u];
            product[size_t(i) * wRows + j] = s[0] + s[1] + s[2] + s[3];
        }
    Device<half> xd(x), wd(w);
    Device<float> bd(bias);
    for (int mode = 0; mode < 3; mode++) {
        const bool paired = mode == 2;
        const int nn = paired ? n / 2 * 2 : n, columns = paired ? nn / 2 : nn, usedRows = paired ? (nn + 15) / 16 * 16 : nn;
        const int ldy = columns + rng() % 6, guard = 3;
        const float* biasPointer = rng() % 3 ? bd.at : nullptr;
        const float scale = rng() % 2 ? 1.0f : 64.0f;
        Call call{xd.at, ldx, wd.at, ldw, m, nn, k, biasPointer, scale, mode, nullptr, ldy, deviceMap(xd.at, m, k, ldx),
                deviceMap(wd.at, usedRows, k, ldw)};
        std::vector<float> start(size_t(m + guard) * ldy);
        for (auto& v : start) v = mode == 1 ? normal() * 3 : NAN;
        std::vector<float> first;
        for (size_t vi = from; vi < to; vi++) {
            const Variant& v = variants[vi];
            for (int round = 0; round < (v.split > 1 || v.sharing > 1 ? 3 : 2); round++) {
                std::vector<float> got(start.size());
                std::vector<half> startHalf(start.size(), nan);
                Device<float> yf(start);
                Device<half> yh(startHalf);
                call.y = paired ? (void*)yh.at : (void*)yf.at;
                // the last round of the persistent ones: the fewest blocks, so that each walks over many tiles
                launch(v, call, nullptr,
                        v.plain || round < 1 ? 0
                                : round == 1 ? v.sharing * v.split
                                             : std::min(gridOf(v, m, nn), 2 * v.sharing * v.split));
                CHECK(cudaDeviceSynchronize());
                if (paired) {
                    auto h = yh.get();
                    for (size_t i = 0; i < h.size(); i++) got[i] = __half2float(h[i]);
                } else
                    got = yf.get();
                double diff = 0, norm = 0;
                bool clean = true;
                for (int i = 0; i < m + guard; i++)
                    for (int j = 0; j < ldy; j++) {
                        const float g = got[size_t(i) * ldy + j], s = start[size_t(i) * ldy + j];
                        if (i >= m || j >= columns) {
                            if (!(g == s || (std::isnan(g) && std::isnan(s)))) clean = false;
                            continue;
                        }
                        double ref;
                        const double* p = &product[size_t(i) * wRows];
                        if (paired) {
                            const int gate = j / 8 * 16 + j % 8, up = gate + 8;
                            const double gv = p[gate] * scale + (biasPointer ? bias[gate] : 0),
                                         uv = p[up] * scale + (biasPointer ? bias[up] : 0);
                            ref = gv / (1 + exp(-gv)) * uv / 64;
                        } else {
                            ref = p[j] * scale + (biasPointer ? bias[j] : 0) + (mode == 1 ? s : 0);
                        }
                        diff += (g - ref) * (g - ref);
                        norm += ref * ref;
                    }
                const double err = sqrt(diff / norm);
                report(clean && err < (paired ? 1e-3 : 3e-5),
                        clean ? "FAIL %s %dx%dx%d mode %d err %.2e\n" : "FAIL(outside written) %s %dx%dx%d mode %d err %.2e\n",
                        v.name, m, n, k, mode, err);
                if (vi == from && round == 0) first = got;
                if (v.plain && memcmp(first.data(), got.data(), got.size() * 4) && clean)
                    report(false, "FAIL(bits) %s %dx%dx%d mode %d %.0f\n", v.name, m, n, k, mode, 0);
            }
        }
    }
}

static void testLarge(int m, int n, int k) {
    Device<half> x(size_t(m) * k), w(size_t(n) * k);
    Device<float> y(size_t(m) * n);
    fill<<<1024, 256>>>(x.at, x.n, 1, 1);
    fill<<<1024, 256>>>(w.at, w.n, 0.05f, 2);
    auto xh = x.get(), wh = w.get();
    Call call{x.at, k, w.at, k, m, n, k, nullptr, 1, 0, y.at, n, deviceMap(x.at, m, k, k), deviceMap(w.at, n, k, k)};
    std::vector<float> first;
    for (auto& v : variants) {
        CHECK(cudaMemset(y.at, 0xFF, y.n * 4));
        launch(v, call);
        CHECK(cudaDeviceSynchronize());
        auto got = y.get();
        if (first.empty()) {
            first = got;
            double diff = 0, norm = 0;
            for (int t = 0; t < 2000; t++) {
                const size_t i = rng() % m, j = rng() % n;
                double s = 0;
                for (int c = 0; c < k; c++) s += double(__half2float(xh[i * k + c])) * __half2float(wh[j * k + c]);
                diff += (got[i * n + j] - s) * (got[i * n + j] - s);
                norm += s * s;
            }
            report(sqrt(diff / norm) < 3e-5, "FAIL %s sampled %dx%dx%d mode %d err %.2e\n", v.name, m, n, k, 0,
                    sqrt(diff / norm));
        }
        double diff = 0, norm = 0;
        for (size_t i = 0; i < got.size(); i++) {
            double d = double(got[i]) - first[i];
            diff += d * d;
            norm += double(first[i]) * first[i];
        }
        report(sqrt(diff / norm) < 3e-5, "FAIL %s against the first %dx%dx%d mode %d err %.2e\n", v.name, m, n, k, 0,
                sqrt(diff / norm));
    }
}

static void testRows() {
    for (int width : {33, 64, 100, 4096, 4097, 14336})
        for (int threads : {32, 512})
            for (int indexed = 0; indexed < 2; indexed++) {
                const int rows = 5, stride = width + (width % 2 ? 3 : 4), outStride = (width + 63) / 64 * 64;
                std::vector<float> x(rows * size_t(stride)), weight(width);
                for (auto& v : x) v = normal() * 2;
                for (auto& v : weight) v = normal();
                std::vector<int> index = {3, 0, 4, 4, 1};
                Device<float> xd(x), wd(weight);
                Device<int> id(index);
                Device<half> out(std::vector<half>(size_t(rows) * outStride, __float2half(NAN)));
                rms_norm<<<rows, threads>>>(xd.at, stride, indexed ? id.at : nullptr, wd.at, out.at, outStride, width, 1e-5f);
                CHECK(cudaGetLastError());
                auto got = out.get();
                double diff = 0, norm = 0;
                for (int r = 0; r < rows; r++) {
                    const float* from = &x[size_t(indexed ? index[r] : r) * stride];
                    double sum = 0;
                    for (int c = 0; c < width; c++) sum += double(from[c]) * from[c];
                    for (int c = 0; c < outStride; c++) {
                        double ref = c < width ? from[c] / sqrt(sum / width + 1e-5) * weight[c] : 0,
                               d = __half2float(got[size_t(r) * outStride + c]) - ref;
                        diff += d * d;
                        norm += ref * ref;
                    }
                }
                report(sqrt(diff / norm) < 5e-4, "FAIL %s width %d threads %d indexed %d (%d) err %.2e\n", "rms_norm", width,
                        threads, indexed, 0, sqrt(diff / norm));
            }
}

static void bench() {
    printf("\nTFLOP/s (mode 0, f32 out)      floor us |");
    for (auto& v : variants) printf(" %6s", v.name);
    printf(" | best us  chosen us\n");
    const int shapes[4][2] = {{6144, 4096}, {4096, 4096}, {28672, 4096}, {4096, 14336}};
    for (auto& s : shapes) {
        const int n = s[0], k = s[1];
        const size_t elements = size_t(n) * k;
        const int copies = std::max<int>(2, int(300e6 / (elements * 2)));
        Device<half> w(elements * copies), x(size_t(2048) * k);
        Device<float> y(size_t(2048) * n);
        fill<<<2048, 256>>>(w.at, w.n, 0.05f, 3);
        fill<<<2048, 256>>>(x.at, x.n, 1, 4);
        std::vector<TensorMap> maps;
        for (int i = 0; i < copies; i++) maps.push_back(deviceMap(w.at + i * elements, n, k, k));
        const TensorMap xm = deviceMap(x.at, 2048, k, k);
        for (int m : {64, 128, 256, 512, 1024, 2048}) {
            const double flops = 2.0 * m * n * k,
                         floor = std::max(floorUs(elements * 2 + double(m) * k * 2 + double(m) * n * 4), flops / 989e6);
            printf("M %4d N %5d K %5d         %7.1f |", m, n, k, floor);
            double least = 1e30, chosen = 0;
            int best = 0;
            const int pick = choose(m, n);
            for (size_t vi = 0; vi < variants.size(); vi++) {
                const Variant& v = variants[vi];
                const int count = std::max(copies, std::min(60, int(3000 / floor)));
                const double us = timeGraph(count, [&](cudaStream_t stream, int i) {
                    launch(v,
                            Call{x.at, k, w.at + (i % copies) * elements, k, m, n, k, nullptr, 1, 0, y.at, n, xm,
                                    maps[i % copies]},
                            stream);
                });
                if (us < least) {
                    least = us;
                    best = int(vi);
                }
                if (int(vi) == pick) chosen = us;
                printf(" %6.0f", flops / us / 1e6);
            }
            printf(" | %7.1f %s%s %.1f\n", least, variants[best].name, pick == best ? " =" : variants[pick].name, chosen);
        }
    }
    // the modes that matter at M = 2048: gate/up (2) and residual add (1)
    for (int mode = 1; mode < 3; mode++) {
        const int n = mode == 2 ? 28672 : 4096, k = mode == 2 ? 4096 : 14336, m = 2048;
        Device<half> w(size_t(n) * k), x(size_t(m) * k), h(size_t(m) * n / 2);
        Device<float> y(size_t(m) * n);
        fill<<<2048, 256>>>(w.at, w.n, 0.05f, 3);
        fill<<<2048, 256>>>(x.at, x.n, 1, 4);
        CHECK(cudaMemset(y.at, 0, y.n * 4));
        Call call{x.at, k, w.at, k, m, n, k, nullptr, 1, mode, mode == 2 ? (void*)h.at : (void*)y.at, mode == 2 ? n / 2 : n,
                deviceMap(x.at, m, k, k), deviceMap(w.at, n, k, k)};
        printf("M %4d N %5d K %5d mode %d          |", m, n, k, mode);
        for (auto& v : variants)
            printf(" %6.0f", 2.0 * m * n * k / timeGraph(6, [&](cudaStream_t s, int) { launch(v, call, s); }) / 1e6);
        printf("\n");
    }
    {
        const int width = 4096, rows = 2048;
        Device<float> x(size_t(rows) * width * 4, 0x3D), weight(width, 0x3D);
        Device<half> out(size_t(rows) * width);
        for (int threads : {256, 512, 1024}) {
            const double one = timeGraph(100, [&](cudaStream_t s, int i) {
                rms_norm<<<1, threads, 0, s>>>(x.at + (i % 64) * width, width, nullptr, weight.at, out.at, width, width, 1e-5f);
            });
            const double many = timeGraph(20, [&](cudaStream_t s, int i) {
                rms_norm<<<rows, threads, 0, s>>>(
                        x.at + size_t(i % 4) * rows * width, width, nullptr, weight.at, out.at, width, width, 1e-5f);
            });
            printf("threads %4d: rms_norm 1x4096 %.2f us, 2048x4096 %.1f us (floor %.1f)\n", threads, one, many,
                    floorUs(rows * double(width) * 6));
        }
    }
}

int main(int count, char** values) {
    const CommandLine line(count, values, {"test", "bench"}, 12345);
    rng.seed(line.seed);
    signal(SIGALRM, hang);
    alarm(80);
    cudaDeviceProp p;
    CHECK(cudaGetDeviceProperties(&p, 0));
    sms = p.multiProcessorCount;
    printf("%s, %d SMs\n", p.name, sms);
    for (auto& v : variants) {
        const void* f = v.plain ? (const void*)v.plain : (const void*)v.tma;
        CHECK(cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, v.shared));
    }
    if (line.wants("test")) {
        compareMaps();
        // the mma.sync variants come first in each shape, so that a hang or fault of the others still leaves their result
        const int shapes[][3] = {{1, 60, 64}, {7, 61, 128}, {16, 16, 64}, {64, 128, 64}, {65, 129, 192}, {128, 256, 512},
                {129, 257, 320}, {300, 700, 448}, {255, 511, 640}, {257, 384, 1024}, {200, 699, 256}, {37, 333, 4096},
                {300, 96, 2048}, {1, 700, 64}, {293, 650, 128}};
        for (int family = 0; family < 2; family++) {
            const size_t from = family ? 3 : 0, to = family ? variants.size() : 3;
            for (auto& s : shapes) testShape(s[0], s[1], s[2], from, to);
            for (int i = 0; i < 6; i++) testShape(1 + rng() % 300, 60 + rng() % 640, 64 * (1 + rng() % 12), from, to);
            printf("gemm %s shapes done, failures %d\n", family ? "wgmma" : "mma.sync", failures);
        }
        testLarge(1100, 6144, 4096);
        testLarge(2048, 5000, 1024);
        printf("gemm large done, failures %d\n", failures);
        testRows();
        printf("rows done, failures %d\n", failures);
    }
    if (line.wants("bench")) bench();
    printf(failures ? "FAIL\n" : "ok\n");
    return failures ? 1 : 0;
}
