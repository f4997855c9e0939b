package io.github.skim4j.engine.model;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes GGUF files, version 3: metadata in the order of {@link #put}, tensors in that of {@link #add}. */
public final class GgufWriter {

    private static final int VERSION = 3;
    private static final int CHUNK = 1 << 20;

    private final Map<String, Object> metadata = new LinkedHashMap<>();
    private final List<Tensor> tensors = new ArrayList<>();

    /**
     * Adds a metadata entry.
     *
     * @param value {@link String}, {@link Boolean}, {@link Integer} (unsigned in the file if it isn't negative), {@link Long},
     *     {@link Float}, a list of strings, {@code int[]} or {@code float[]}
     */
    public GgufWriter put(String key, Object value) {
        valueType(value);
        if (metadata.put(key, value) != null) {
            throw new IllegalArgumentException(key + " appears twice");
        }
        return this;
    }

    /** Adds a tensor, whose rows are read when the file is written; one with a single row becomes a vector. */
    public GgufWriter add(Tensor tensor) {
        tensors.add(tensor);
        return this;
    }

    /** Writes the file; it appears under its name when it is complete. */
    public void write(Path target) throws IOException {
        Path temporary = target.resolveSibling("." + target.getFileName() + ".tmp");
        try {
            try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(temporary), CHUNK)) {
                byte[] header = header();
                out.write(header);
                pad(out, header.length);
                for (Tensor tensor : tensors) {
                    write(out, tensor);
                    pad(out, tensor.bytes());
                }
            }
            Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static void write(OutputStream out, Tensor tensor) throws IOException {
        int rows = Math.max(1, Math.min(tensor.rows(), CHUNK / tensor.rowBytes()));
        byte[] chunk = new byte[rows * tensor.rowBytes()];
        for (int row = 0; row < tensor.rows(); row += rows) {
            int count = Math.min(rows, tensor.rows() - row);
            tensor.read(row, count, chunk, 0);
            out.write(chunk, 0, count * tensor.rowBytes());
        }
    }

    private static void pad(OutputStream out, long length) throws IOException {
        out.write(new byte[(int) (align(length) - length)]);
    }

    private static long align(long length) {
        int alignment = GgufHeader.DEFAULT_ALIGNMENT;
        return (length + alignment - 1) / alignment * alignment;
    }

    private byte[] header() {
        Encoder encoder = new Encoder();
        encoder.int32(GgufHeader.MAGIC);
        encoder.int32(VERSION);
        encoder.int64(tensors.size());
        encoder.int64(metadata.size());
        metadata.forEach((key, value) -> {
            encoder.string(key);
            encoder.int32(valueType(value).ordinal());
            encoder.value(value);
        });
        long offset = 0;
        for (Tensor tensor : tensors) {
            encoder.string(tensor.name());
            boolean vector = tensor.rows() == 1;
            encoder.int32(vector ? 1 : 2);
            encoder.int64(tensor.columns());
            if (!vector) {
                encoder.int64(tensor.rows());
            }
            encoder.int32(GgufHeader.typeId(tensor.type()));
            encoder.int64(offset);
            offset = align(offset + tensor.bytes());
        }
        return encoder.bytes();
    }

    private static GgufHeader.ValueType valueType(Object value) {
        if (value instanceof String) {
            return GgufHeader.ValueType.STRING;
        }
        if (value instanceof Boolean) {
            return GgufHeader.ValueType.BOOL;
        }
        if (value instanceof Integer number) {
            return number < 0 ? GgufHeader.ValueType.INT32 : GgufHeader.ValueType.UINT32;
        }
        if (value instanceof Long) {
            return GgufHeader.ValueType.INT64;
        }
        if (value instanceof Float) {
            return GgufHeader.ValueType.FLOAT32;
        }
        if (value instanceof List || value instanceof int[] || value instanceof float[]) {
            return GgufHeader.ValueType.ARRAY;
        }
        throw new IllegalArgumentException("GGUF has no type for " + value);
    }

    /** Little-endian output of growing length. */
    private static final class Encoder {

        private ByteBuffer buffer = ByteBuffer.allocate(CHUNK).order(ByteOrder.LITTLE_ENDIAN);

        private ByteBuffer room(int bytes) {
            if (buffer.remaining() < bytes) {
                int capacity = Math.addExact(buffer.position(), Math.max(bytes, buffer.position()));
                buffer = ByteBuffer.allocate(capacity)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put(buffer.flip());
            }
            return buffer;
        }

        void int32(int value) {
            room(Integer.BYTES).putInt(value);
        }

        void int64(long value) {
            room(Long.BYTES).putLong(value);
        }

        void string(String value) {
            byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
            int64(bytes.length);
            room(bytes.length).put(bytes);
        }

        void value(Object value) {
            if (value instanceof String string) {
                string(string);
            } else if (value instanceof Boolean flag) {
                room(1).put((byte) (flag ? 1 : 0));
            } else if (value instanceof Integer number) {
                int32(number);
            } else if (value instanceof Long number) {
                int64(number);
            } else if (value instanceof Float number) {
                int32(Float.floatToRawIntBits(number));
            } else if (value instanceof List<?> strings) {
                array(GgufHeader.ValueType.STRING, strings.size());
                strings.forEach(string -> string((String) string));
            } else if (value instanceof int[] numbers) {
                array(GgufHeader.ValueType.INT32, numbers.length);
                for (int number : numbers) {
                    int32(number);
                }
            } else if (value instanceof float[] numbers) {
                array(GgufHeader.ValueType.FLOAT32, numbers.length);
                for (float number : numbers) {
                    int32(Float.floatToRawIntBits(number));
                }
            }
        }

        private void array(GgufHeader.ValueType type, int length) {
            int32(type.ordinal());
            int64(length);
        }

        byte[] bytes() {
            return Arrays.copyOf(buffer.array(), buffer.position());
        }
    }
}
