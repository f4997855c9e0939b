package io.github.skim4j.engine.model;

import java.nio.charset.StandardCharsets;
import java.util.AbstractList;
import java.util.Arrays;
import java.util.RandomAccess;

/** Strings in one array, each decoded whenever it is asked for: as objects a vocabulary would take ten times as much. */
final class Utf8Strings extends AbstractList<String> implements RandomAccess {

    private final int[] ends;
    private int size;
    private byte[] bytes = new byte[1 << 16];

    /** @param capacity number of strings that will be added */
    Utf8Strings(int capacity) {
        ends = new int[capacity];
    }

    void add(byte[] source, int from, int length) {
        int start = size == 0 ? 0 : ends[size - 1];
        int end = Math.addExact(start, length);
        if (end > bytes.length) {
            bytes = Arrays.copyOf(bytes, (int) Math.min(Integer.MAX_VALUE - 8L, Math.max(end, 2L * bytes.length)));
        }
        System.arraycopy(source, from, bytes, start, length);
        ends[size++] = end;
    }

    @Override
    public String get(int index) {
        int start = index == 0 ? 0 : ends[index - 1];
        return new String(bytes, start, ends[index] - start, StandardCharsets.UTF_8);
    }

    @Override
    public int size() {
        return size;
    }
}
