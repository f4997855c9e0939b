package io.github.skim4j.cuda;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/** Work that was queued once, and is launched in one call from then on. */
final class DecodeGraph implements AutoCloseable {

    private final CUgraphExec executable = new CUgraphExec();

    /** The sizes that graphs are made for, powers of two, so that few serve all: the least that is no smaller than {@code size} >= 1. */
    static int bucket(int size) {
        return Integer.highestOneBit(2 * size - 1);
    }

    /** Captures what {@code work} queues on {@code stream}. */
    DecodeGraph(CudaStream stream, Runnable work) {
        Driver.check(
                JCudaDriver.cuStreamBeginCapture(stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "cuStreamBeginCapture");
        CUgraph graph = new CUgraph();
        try {
            work.run();
        } catch (RuntimeException | Error e) {
            JCudaDriver.cuStreamEndCapture(stream, graph);
            throw e;
        }
        Driver.check(JCudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture");
        try {
            Driver.check(JCudaDriver.cuGraphInstantiate(executable, graph, 0), "cuGraphInstantiate");
        } finally {
            JCudaDriver.cuGraphDestroy(graph);
        }
    }

    void launch(CudaStream stream) {
        Driver.check(JCudaDriver.cuGraphLaunch(executable, stream), "cuGraphLaunch");
    }

    @Override
    public void close() {
        JCudaDriver.cuGraphExecDestroy(executable);
    }
}
