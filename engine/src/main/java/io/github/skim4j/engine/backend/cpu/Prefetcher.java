package io.github.skim4j.engine.backend.cpu;

/**
 * Brings memory into the caches before loops that compute with it, by reading a number of each cache line. These reads wait for nothing, so
 * that many are under way at once; those of a loop that computes soon wait for its arithmetic, and the processor's own prefetching begins
 * anew every 4 KB.
 */
final class Prefetcher {

    private static final int LINE_BYTES = 64;

    /** Takes what was read, so that the compiler does not leave the reading out; so long that no two threads write to one cache line. */
    private final int[] sums = new int[2 * LINE_BYTES / Integer.BYTES];

    void read(int[] array, int from, int end) {
        int read = 0;
        for (int i = from; i < end; i += LINE_BYTES / Integer.BYTES) {
            read += array[i];
        }
        use(read);
    }

    void read(short[] array, int from, int end) {
        int read = 0;
        for (int i = from; i < end; i += LINE_BYTES / Short.BYTES) {
            read += array[i];
        }
        use(read);
    }

    void read(byte[] array, int from, int end) {
        int read = 0;
        for (int i = from; i < end; i += LINE_BYTES) {
            read += array[i];
        }
        use(read);
    }

    void read(float[] array, int from, int end) {
        float read = 0;
        for (int i = from; i < end; i += LINE_BYTES / Float.BYTES) {
            read += array[i];
        }
        use(Float.floatToRawIntBits(read));
    }

    private void use(int read) {
        sums[LINE_BYTES / Integer.BYTES] += read;
    }
}
