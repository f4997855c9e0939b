package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.DeviceMemoryException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** The CUDA driver of this process, once it is loaded. */
final class Driver {

    private static final String TEMPORARY_FOLDER = "java.io.tmpdir";

    private static final int LEAST_CAPABILITY = 80;

    private Driver() {}

    /** The driver's state belongs to the process, as loaded libraries do. */
    private static final class Loaded {

        /** Why there is no driver; {@code null} if there is one. */
        static final String FAILURE = load();

        private static String load() {
            if (!List.of("amd64", "x86_64").contains(System.getProperty("os.arch"))) {
                return "the CUDA backend runs on x86-64 processors, but this one is " + System.getProperty("os.arch");
            }
            try {
                loadPrivately();
                int result = JCudaDriver.cuInit(0);
                return result == CUresult.CUDA_SUCCESS ? null : "cuInit failed: " + reason(result);
            } catch (LinkageError e) {
                return "no NVIDIA driver was found (libcuda.so.1, or nvcuda.dll on Windows)";
            } catch (IOException | UncheckedIOException e) {
                return "the native library of JCuda could not be unpacked: " + e.getMessage();
            }
        }

        /**
         * JCuda unpacks its library to a fixed name in the shared temporary folder and takes what lies there already, whoever put it
         * there. So it gets a folder that only this user can write to.
         */
        private static void loadPrivately() throws IOException {
            String shared = System.getProperty(TEMPORARY_FOLDER);
            Path folder = Files.createTempDirectory("skim-jcuda-");
            Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
            System.setProperty(TEMPORARY_FOLDER, folder.toString());
            try {
                JCudaDriver.setExceptionsEnabled(false);
            } finally {
                System.setProperty(TEMPORARY_FOLDER, shared);
            }
        }

        private static void delete(Path folder) {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.deleteIfExists(file);
                }
            } catch (IOException | UncheckedIOException e) {
                // Windows keeps loaded libraries locked; the temporary folder is cleaned by the system.
            }
        }
    }

    /** {@code null} if device {@code ordinal} is there, else why not, in one sentence. */
    static String unavailable(int ordinal) {
        if (Loaded.FAILURE != null) {
            return Loaded.FAILURE;
        }
        int[] count = {0};
        int result = JCudaDriver.cuDeviceGetCount(count);
        if (result != CUresult.CUDA_SUCCESS) {
            return "cuDeviceGetCount failed: " + reason(result);
        }
        if (ordinal >= count[0]) {
            return count[0] == 0
                    ? "the NVIDIA driver sees no GPU"
                    : "there are " + count[0] + " GPUs, numbered from 0, but number " + ordinal + " was asked for";
        }
        CUdevice device = new CUdevice();
        check(JCudaDriver.cuDeviceGet(device, ordinal), "cuDeviceGet");
        int capability = capability(device);
        return capability >= LEAST_CAPABILITY
                ? null
                : name(device) + " has compute capability " + capability / 10 + "." + capability % 10
                        + ", but 8.0 (Ampere) or later is needed";
    }

    /** @throws CudaException naming {@code call} if it failed */
    static void check(int result, String call) {
        if (result != CUresult.CUDA_SUCCESS) {
            throw new CudaException(call + " failed: " + reason(result));
        }
    }

    static DeviceMemoryException outOfMemory(long bytes, String what, String remedy) {
        long[] free = {0};
        long[] total = {0};
        JCudaDriver.cuMemGetInfo(free, total);
        return new DeviceMemoryException("The GPU has no room for " + what + ": " + mebibytes(bytes)
                + " were asked for, " + mebibytes(free[0]) + " of " + mebibytes(total[0]) + " are free. " + remedy);
    }

    static String mebibytes(long bytes) {
        return (bytes >> 20) + " MiB";
    }

    /** What the maker calls the device. */
    static String name(CUdevice device) {
        byte[] text = new byte[256];
        check(JCudaDriver.cuDeviceGetName(text, text.length, device), "cuDeviceGetName");
        int length = 0;
        while (length < text.length && text[length] != 0) {
            length++;
        }
        return new String(text, 0, length, StandardCharsets.UTF_8);
    }

    /** Major version of the compute capability times 10 plus the minor version. */
    static int capability(CUdevice device) {
        return 10 * attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                + attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    }

    static int attribute(CUdevice device, int attribute) {
        int[] value = {0};
        check(JCudaDriver.cuDeviceGetAttribute(value, attribute, device), "cuDeviceGetAttribute");
        return value[0];
    }

    private static String reason(int result) {
        String[] text = {null};
        JCudaDriver.cuGetErrorString(result, text);
        return CUresult.stringFor(result) + (text[0] == null ? "" : " (" + text[0] + ")");
    }
}
