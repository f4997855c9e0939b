package io.github.skim4j.engine.backend.cpu;

/**
 * The loops that take the time. Two implementations give the same results within rounding; each gives the same bits for a row
 * of inputs whatever other rows are computed with it. Matrices in float arrays are row-major; a stride is the distance between
 * rows.
 */
interface CpuKernels {

    /** What computes, such as {@code 256-bit vectors}. */
    String name();

    MatrixKernels matrix();

    AttentionKernels attention();

    SelectionKernels selection();
}
