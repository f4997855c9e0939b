package io.github.skim4j.engine.backend.cpu;

/** Plain Java, for a JVM without the Vector API. The innermost loops run over lanes, which the JIT compiler turns into vector instructions. */
record ScalarKernels(MatrixKernels matrix, AttentionKernels attention, SelectionKernels selection)
        implements CpuKernels {

    ScalarKernels() {
        this(new ScalarMatrixKernels(), new ScalarAttentionKernels(), new ScalarSelectionKernels());
    }

    @Override
    public String name() {
        return "scalar code";
    }
}
