/*
 * How kernels wait for each other, and the blocks of one.
 *
 * Programmatic dependent launch, sm_90 on; before, and where the launch did not ask for it, nothing. Every kernel calls
 * waitForPreviousKernel() in all of its threads before it touches what the kernel before may have written or may still read.
 * Whoever waits for this kernel also relies on those before it, so blocks that have nothing to do wait too.
 *
 * Where the kernel before lets this one start only when it has waited itself, all kernels before that one have ended: so what they
 * wrote can be read at once. The kernels of a selection and what follows them rely on it for the queries.
 */
#pragma once

namespace skim {

__device__ __forceinline__ void waitForPreviousKernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/** The next kernel starts when all blocks have called this or ended. */
__device__ __forceinline__ void letNextKernelStart() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/**
 * Whether all other of `count` blocks have been here: what they wrote before can then be read, past L1. All threads of a block
 * call it. The ticket is zero before the first and after the last.
 */
__device__ inline bool isLast(int* ticket, int count, int& shared) {
    __syncthreads();
    if (threadIdx.x == 0) {   // its fences stand for all threads': barriers come before and after
        __threadfence();
        shared = atomicAdd(ticket, 1);
        __threadfence();
        if (shared == count - 1) {
            *ticket = 0;
        }
    }
    __syncthreads();
    return shared == count - 1;
}

}  // namespace skim
