/* All kernels, one translation unit: BuildKernels.java compiles it to skim.fatbin. */
#include "linear.cuh"
#include "pack.cuh"
#include "gemm.cuh"
#include "rows.cuh"
#include "append.cuh"
#include "attend.cuh"
#include "prefill.cuh"
