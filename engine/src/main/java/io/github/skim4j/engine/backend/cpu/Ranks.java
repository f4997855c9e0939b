package io.github.skim4j.engine.backend.cpu;

/** Order statistics. */
final class Ranks {

    /** Up to so many values are not worth counting. */
    private static final int FEW = 256;

    /** Sign, exponent and two bits of the mantissa. */
    private static final int BITS = 11;

    private Ranks() {}

    /**
     * The {@code rank}-th largest of the first {@code count} values, from 1 on; reorders or overwrites them. Counting by the uppermost bits leaves
     * few for Hoare's quickselect, of which the processor foresees no comparison.
     *
     * @param values without NaN
     */
    static float largest(float[] values, int count, int rank) {
        int wanted = rank - 1;
        if (count > FEW) {
            int[] counts = new int[1 << BITS];
            for (int i = 0; i < count; i++) {
                counts[bucket(values[i])]++;
            }
            int bucket = counts.length - 1;
            while (wanted >= counts[bucket]) {
                wanted -= counts[bucket--];
            }
            int members = 0;
            for (int i = 0; i < count; i++) {
                float value = values[i];
                values[members] = value;
                members += bucket(value) == bucket ? 1 : 0;
            }
            count = members;
        }
        int low = 0;
        int high = count - 1;
        while (low < high) {
            float pivot = median(values[low], values[low + high >>> 1], values[high]);
            int i = low;
            int j = high;
            while (i <= j) {
                while (values[i] > pivot) {
                    i++;
                }
                while (values[j] < pivot) {
                    j--;
                }
                if (i <= j) {
                    float swapped = values[i];
                    values[i++] = values[j];
                    values[j--] = swapped;
                }
            }
            if (wanted <= j) {
                high = j;
            } else if (wanted >= i) {
                low = i;
            } else {
                return pivot;
            }
        }
        return values[low];
    }

    /** The uppermost bits of a value, in its order. */
    private static int bucket(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (bits ^ bits >> 31 & Integer.MAX_VALUE ^ Integer.MIN_VALUE) >>> 32 - BITS;
    }

    private static float median(float a, float b, float c) {
        return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
    }
}
