/*
 * What the test and benchmark programs of the kernels share: the command line, checks of CUDA calls, device memory, random
 * numbers, times by graph replay, and the storage types of the KV cache as the host sees them.
 *
 * Every program exits with 0 if all checks passed, with 1 if one failed, and with 2 if it could not run.
 */
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define CHECK(call)                                                                               \
    do {                                                                                          \
        const cudaError_t error_ = (call);                                                        \
        if (error_ != cudaSuccess) {                                                              \
            printf("FAIL %s:%d %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(error_)); \
            exit(2);                                                                              \
        }                                                                                         \
    } while (0)

namespace harness {

/** About what the memory of an H200 delivers, in bytes a second: floors of times are bytes / BANDWIDTH. */
constexpr double BANDWIDTH = 4.3e12;

/** Microseconds in which memory delivers so many bytes. */
inline double floorUs(double bytes) {
    return bytes / BANDWIDTH * 1e6;
}

/** Failed checks so far. */
inline int failures = 0;

/** The command line: words that say what to run (none: what the program does by default), known NAME=VALUE and seed=NUMBER. */
class CommandLine {
    std::set<std::string> words;
    std::map<std::string, std::string> named;

public:
    uint64_t seed;

    CommandLine(int count, char** values, std::initializer_list<const char*> known, uint64_t defaultSeed) : seed(defaultSeed) {
        for (int i = 1; i < count; i++) {
            const std::string word = values[i];
            const size_t equals = word.find('=');
            char* end = nullptr;
            if (word.rfind("seed=", 0) == 0 && word.size() > 5) {
                seed = strtoull(values[i] + 5, &end, 10);
            } else if (equals == std::string::npos && std::find(known.begin(), known.end(), word) != known.end()) {
                words.insert(word);
                continue;
            } else if (equals != std::string::npos
                       && std::find(known.begin(), known.end(), word.substr(0, equals + 1)) != known.end()) {
                named[word.substr(0, equals)] = word.substr(equals + 1);
                continue;
            }
            if (end == nullptr || *end != 0) {
                fprintf(stderr, "%s: not an argument: %s. Known:", values[0], values[i]);
                for (const char* name : known) fprintf(stderr, " %s", name);
                fprintf(stderr, " seed=NUMBER\n");
                exit(2);
            }
        }
        setvbuf(stdout, nullptr, _IOLBF, 0);
        printf("seed %llu\n", static_cast<unsigned long long>(seed));
    }

    /** Whether a word was given. */
    bool has(const char* word) const { return words.count(word) > 0; }

    /** The value of NAME=VALUE, which is known as "NAME="; empty if it was not given. */
    std::string value(const char* name) const { return named.count(name) ? named.at(name) : ""; }

    /** Whether a word was given, or none at all. */
    bool wants(const char* word) const { return words.empty() || has(word); }
};

inline int multiprocessors() {
    int device, count;
    CHECK(cudaGetDevice(&device));
    CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
    return count;
}

/** Device memory of n elements. What nobody wrote is no sensible number: neither 0 nor -1, and far from 1 as a float. */
template <class T>
struct Device {
    T* at = nullptr;
    size_t n;

    explicit Device(size_t n, int byte = 0xCD) : n(n) {
        CHECK(cudaMalloc(&at, std::max<size_t>(1, n) * sizeof(T)));
        fill(byte);
    }
    explicit Device(const std::vector<T>& x) : Device(x.size()) { put(x); }
    Device(const Device&) = delete;
    ~Device() { cudaFree(at); }

    void fill(int byte) { CHECK(cudaMemset(at, byte, n * sizeof(T))); }
    void put(const std::vector<T>& x) { CHECK(cudaMemcpy(at, x.data(), x.size() * sizeof(T), cudaMemcpyHostToDevice)); }
    std::vector<T> get() const {
        std::vector<T> x(n);
        CHECK(cudaMemcpy(x.data(), at, n * sizeof(T), cudaMemcpyDeviceToHost));
        return x;
    }
};

struct Rng {
    std::mt19937_64 r;

    explicit Rng(uint64_t seed) : r(seed) {}
    int upTo(int n) { return static_cast<int>(r() % n); }
    float normal() { return std::normal_distribution<float>()(r); }
    float uniform() { return (r() >> 40) / 16777216.f; }
};

/** Runs body(0) ... body(n - 1) on up to 16 threads. */
inline void parallel(int n, const std::function<void(int)>& body) {
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const int threads = std::min({cores, 16, n});
    std::vector<std::thread> pool;
    for (int w = 0; w < threads; w++) {
        pool.emplace_back([=, &body] {
            for (int i = w; i < n; i += threads) body(i);
        });
    }
    for (auto& t : pool) t.join();
}

/** Median microseconds of one of the launches that body(stream, i) makes for i < launches, in a graph that is replayed. */
template <class Body>
double timeGraph(int launches, Body&& body, int replays = 10) {
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < launches; i++) {
        body(stream, i);
        CHECK(cudaGetLastError());
    }
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    cudaEvent_t from, to;
    CHECK(cudaEventCreate(&from));
    CHECK(cudaEventCreate(&to));
    constexpr int WARMUP = 2;
    std::vector<float> times;
    for (int i = 0; i < WARMUP + replays; i++) {
        CHECK(cudaEventRecord(from, stream));
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaEventRecord(to, stream));
        CHECK(cudaEventSynchronize(to));
        float ms;
        CHECK(cudaEventElapsedTime(&ms, from, to));
        if (i >= WARMUP) times.push_back(ms);
    }
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaEventDestroy(from));
    CHECK(cudaEventDestroy(to));
    CHECK(cudaStreamDestroy(stream));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2] * 1e3 / launches;
}

/** Whose instructions take all room that a multiprocessor has for instructions: 256 KB. A template, for those who use it. */
template <int SEED>
__global__ void manyInstructions(float* out) {
    float x = threadIdx.x, y = SEED;
#define FOUR(x) x x x x
    FOUR(FOUR(FOUR(FOUR(FOUR(FOUR(asm volatile("fma.rn.f32 %0, %0, %0, 0f3F800000; fma.rn.f32 %1, %1, %1, 0f3F800000;"
                                               "fma.rn.f32 %0, %0, %0, 0f40000000; fma.rn.f32 %1, %1, %1, 0f40000000;"
                                               : "+f"(x), "+f"(y));))))))
#undef FOUR
    if (out != nullptr) *out = x + y;
}

/** As timeGraph, but the instructions of each launch are fetched anew: of other ones that come between the time is taken off. */
template <class Body>
double timeCold(int launches, Body&& body) {
    const auto between = [](cudaStream_t stream) { manyInstructions<0><<<multiprocessors(), 128, 0, stream>>>(nullptr); };
    const double both = timeGraph(launches, [&](cudaStream_t stream, int i) {
        between(stream);
        body(stream, i);
    });
    return both - timeGraph(launches, [&](cudaStream_t stream, int) { between(stream); });
}

/** Launches a kernel whose beginning may run beside the end of the one before it (programmatic dependent launch). */
template <class... Parameters, class... Values>
void launchEarly(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream, Values&&... values) {
    cudaLaunchAttribute attribute;
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = threads;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    CHECK(cudaLaunchKernelEx(&config, kernel, std::forward<Values>(values)...));
}

/** The storage types of the KV cache. */
namespace storage {

enum Kv { BF16, F16, FP8, INT8 };
constexpr const char* KV_NAMES[] = {"bf16", "f16", "fp8", "int8"};

inline int bytesOf(int kv) {
    return kv < FP8 ? 2 : 1;
}

/** Bytes of a page of one KV head: K and V, rows of page tokens, and, for int8, a scale of each key and value. */
inline size_t blockBytes(int kv, int D, int page) {
    return static_cast<size_t>(page) * (2 * D * bytesOf(kv) + (kv == INT8 ? 8 : 0));
}

/** A stored value; without its scale, if it is an int8. */
inline double decodeValue(int kv, const uint8_t* p) {
    uint16_t bits;
    memcpy(&bits, p, bytesOf(kv));
    if (kv == BF16) {
        const uint32_t x = static_cast<uint32_t>(bits) << 16;
        float f;
        memcpy(&f, &x, 4);
        return f;
    }
    if (kv == F16) {
        __half h;
        memcpy(&h, &bits, 2);
        return __half2float(h);
    }
    if (kv == INT8) return static_cast<int8_t>(*p);
    const int e = *p >> 3 & 15, m = *p & 7;  // e4m3 by its definition, independent of NVIDIA's code
    if (e == 15 && m == 7) return NAN;
    const double x = e == 0 ? ldexp(m, -9) : ldexp(8 + m, e - 10);
    return *p & 0x80 ? -x : x;
}

/** Stores a value, rounded; one that is divided by its scale, if it becomes an int8. */
inline void encodeValue(int kv, double x, uint8_t* p) {
    if (kv == BF16) {
        const __nv_bfloat16 h = __float2bfloat16(static_cast<float>(x));
        memcpy(p, &h, 2);
    } else if (kv == F16) {
        const __half h = __float2half(static_cast<float>(x));
        memcpy(p, &h, 2);
    } else if (kv == INT8) {
        *p = static_cast<uint8_t>(static_cast<int8_t>(lrint(std::max(-127., std::min(127., x)))));
    } else {
        *p = __nv_cvt_float_to_fp8(static_cast<float>(x), __NV_SATFINITE, __NV_E4M3);
    }
}

/** The index of a head size in tables of kernels. */
inline int sizeIndex(int D) {
    return D == 64 ? 0 : D == 80 ? 1 : D == 96 ? 2 : 3;
}

}  // namespace storage
}  // namespace harness
