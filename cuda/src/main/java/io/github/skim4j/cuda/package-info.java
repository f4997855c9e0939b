/**
 * The backend for NVIDIA GPUs, on the CUDA driver API alone: {@code CudaDevice} owns a device's context and memory, {@code
 * CudaModel} the weights, {@code KvStorage} the pages, and {@code CudaTransformer} runs a step, a decode step as one captured graph.
 * The kernels are in {@code src/main/cuda}.
 */
package io.github.skim4j.cuda;
