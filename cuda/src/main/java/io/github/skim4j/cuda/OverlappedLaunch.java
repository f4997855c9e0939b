package io.github.skim4j.cuda;

import com.sun.jna.Function;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Platform;
import com.sun.jna.Pointer;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Launches kernels whose blocks start, and load what nobody writes meanwhile, while those of the kernel before still end:
 * programmatic dependent launch (CUDA C++ Programming Guide, of that name). A step of one token is a chain of some hundred short
 * kernels, so that what lies between two of them counts. The call of the driver is {@code cuLaunchKernelEx}, which JCuda lacks.
 *
 * <p>Every kernel waits for the one before by an instruction of its own, before it touches what that may have written.
 */
final class OverlappedLaunch {

    private static final Logger LOG = LoggerFactory.getLogger(OverlappedLaunch.class);

    /** Compute capability of devices that know it. */
    private static final int LEAST_CAPABILITY = 90;

    // CUlaunchConfig, then one CUlaunchAttribute: see cuda.h.
    private static final int STREAM = 32;
    private static final int ATTRIBUTES = 40;
    private static final int ATTRIBUTE_COUNT = 48;
    private static final int ATTRIBUTE = 56;
    private static final int ATTRIBUTE_VALUE = ATTRIBUTE + 8;
    private static final int BYTES = ATTRIBUTE + 72;
    private static final int PROGRAMMATIC_STREAM_SERIALIZATION = 6;

    private final Function launch;

    private OverlappedLaunch(Function launch) {
        this.launch = launch;
    }

    /** {@code null} if the device or the driver can't. */
    static OverlappedLaunch of(int capability) {
        if (capability < LEAST_CAPABILITY) {
            return null;
        }
        try {
            String driver = Platform.isWindows() ? "nvcuda" : "libcuda.so.1";
            return new OverlappedLaunch(NativeLibrary.getInstance(driver).getFunction("cuLaunchKernelEx"));
        } catch (LinkageError e) {
            // JNA goes on for lines, with the whole class path.
            String reason = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
            LOG.warn("Kernels are launched one after another, which is slower: {}", reason);
            return null;
        }
    }

    /** Queues a launch and returns the driver's result. */
    int launch(
            CudaFunction function,
            CudaStream stream,
            int gridX,
            int gridY,
            int gridZ,
            int threads,
            int sharedBytes,
            Arguments arguments) {
        ByteBuffer config = ByteBuffer.allocateDirect(BYTES).order(ByteOrder.nativeOrder());
        config.putInt(gridX)
                .putInt(gridY)
                .putInt(gridZ)
                .putInt(threads)
                .putInt(1)
                .putInt(1)
                .putInt(sharedBytes);
        config.putLong(STREAM, stream.handle())
                .putLong(ATTRIBUTES, address(config) + ATTRIBUTE)
                .putInt(ATTRIBUTE_COUNT, 1)
                .putInt(ATTRIBUTE, PROGRAMMATIC_STREAM_SERIALIZATION)
                .putInt(ATTRIBUTE_VALUE, 1);
        long start = address(arguments.bytes());
        ByteBuffer addresses = ByteBuffer.allocateDirect(arguments.offsets().size() * Long.BYTES)
                .order(ByteOrder.nativeOrder());
        for (int offset : arguments.offsets()) {
            addresses.putLong(start + offset);
        }
        try {
            return launch.invokeInt(
                    new Object[] {config.rewind(), new Pointer(function.handle()), addresses.rewind(), Pointer.NULL});
        } finally {
            // The driver reads them through their addresses, which keep no buffer from being collected.
            Reference.reachabilityFence(arguments);
        }
    }

    private static long address(ByteBuffer buffer) {
        return Pointer.nativeValue(Native.getDirectBufferPointer(buffer));
    }
}
