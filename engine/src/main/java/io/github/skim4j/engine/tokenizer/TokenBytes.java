package io.github.skim4j.engine.tokenizer;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** The bytes that each token decodes to, one after another in one array; tokens without text have none. */
final class TokenBytes {

    private final int[] ends;
    private final byte[] bytes;

    private TokenBytes(int[] ends, byte[] bytes) {
        this.ends = ends;
        this.bytes = bytes;
    }

    /** {@code tokens[id]} is that token's bytes, or {@code null} for none. */
    static TokenBytes of(byte[][] tokens) {
        int[] ends = new int[tokens.length];
        int length = 0;
        for (int id = 0; id < tokens.length; id++) {
            length += tokens[id] == null ? 0 : tokens[id].length;
            ends[id] = length;
        }
        ByteBuffer bytes = ByteBuffer.allocate(length);
        for (byte[] token : tokens) {
            if (token != null) {
                bytes.put(token);
            }
        }
        return new TokenBytes(ends, bytes.array());
    }

    /** Number of ids. */
    int size() {
        return ends.length;
    }

    /** {@code pending} followed by the bytes of {@code token}; ids beyond the vocabulary have no bytes. */
    ByteBuffer append(byte[] pending, int token) {
        if (token < 0 || token >= ends.length) {
            return ByteBuffer.wrap(pending);
        }
        int start = token == 0 ? 0 : ends[token - 1];
        int length = ends[token] - start;
        if (pending.length == 0) {
            return ByteBuffer.wrap(bytes, start, length).asReadOnlyBuffer();
        }
        byte[] joined = Arrays.copyOf(pending, pending.length + length);
        System.arraycopy(bytes, start, joined, pending.length, length);
        return ByteBuffer.wrap(joined);
    }
}
