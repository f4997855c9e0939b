package io.github.skim4j.engine.backend.cpu;

/** Order statistics. */
final class Ranks {

    private Ranks() {}

    /**
     * The {@code rank}-th largest of the first {@code count} values, from 1 on (Hoare's quickselect); reorders them.
     *
     * @param values without NaN
     */
    static float largest(float[] values, int count, int rank) {
        int low = 0;
        int high = count - 1;
        int wanted = rank - 1;
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

    private static float median(float a, float b, float c) {
        return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
    }
}
