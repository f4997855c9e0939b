package io.github.skim4j.engine.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a GGUF file, version 2 or 3: metadata and tensor positions. Format: {@code docs/gguf.md} of ggml.
 *
 * @param metadata strings, numbers, booleans, lists of strings, and arrays of {@code int} and {@code float}
 * @param tensors by name, in the file's order
 */
record GgufHeader(Fields metadata, Map<String, StoredTensor> tensors) {

    static final int MAGIC = 0x46554747; // "GGUF"
    static final String ALIGNMENT_KEY = "general.alignment";
    static final int DEFAULT_ALIGNMENT = 32;

    // What real files stay far below; they bound the memory that a hostile one can ask for.
    private static final long MAX_HEADER = 256L << 20;
    private static final int MAX_STRING = 64 << 20;
    private static final int MAX_ARRAY = 1 << 23;
    private static final int MAX_ENTRIES = 1 << 20;
    private static final int MAX_DIMENSIONS = 4;

    static GgufHeader read(ModelData data) {
        return new Parser(data).parse();
    }

    /** ggml's number of a type. */
    static int typeId(TensorType type) {
        return switch (type) {
            case F32 -> 0;
            case F16 -> 1;
            case Q4_0 -> 2;
            case Q4_1 -> 3;
            case Q5_0 -> 6;
            case Q5_1 -> 7;
            case Q8_0 -> 8;
            case Q2_K -> 10;
            case Q3_K -> 11;
            case Q4_K -> 12;
            case Q5_K -> 13;
            case Q6_K -> 14;
            case IQ4_NL -> 20;
            case IQ4_XS -> 23;
            case BF16 -> 30;
        };
    }

    /** Types of metadata values; the ordinal is the number in the file. */
    enum ValueType {
        UINT8(1),
        INT8(1),
        UINT16(2),
        INT16(2),
        UINT32(4),
        INT32(4),
        FLOAT32(4),
        BOOL(1),
        STRING(8),
        ARRAY(12),
        UINT64(8),
        INT64(8),
        FLOAT64(8);

        /** Bytes that a value has at least. */
        private final int minBytes;

        ValueType(int minBytes) {
            this.minBytes = minBytes;
        }
    }

    /** Reads a header from begin to end, each length checked before it is used. */
    private static final class Parser {

        private final ModelData data;
        private final long end;
        private long position;
        private final ByteBuffer window;
        private long arrayElements;

        Parser(ModelData data) {
            this.data = data;
            this.end = Math.min(data.size(), MAX_HEADER);
            this.window =
                    ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN).limit(0);
        }

        private ModelFormatException error(String problem) {
            return new ModelFormatException(data.path() + ": " + problem);
        }

        GgufHeader parse() {
            if (data.size() < 24 || readInt("magic") != MAGIC) {
                throw error("is not a GGUF file");
            }
            int version = readInt("version");
            if (version != 2 && version != 3) {
                throw error(
                        (version & 0xffff) == 0
                                ? "big-endian GGUF is not supported"
                                : "GGUF version " + version + " is not supported, only 2 and 3");
            }
            long tensorCount = readCount("tensor count", 24, MAX_ENTRIES);
            long metadataCount = readCount("metadata count", 13, MAX_ENTRIES);
            Map<String, Object> metadata = new LinkedHashMap<>();
            for (long i = 0; i < metadataCount; i++) {
                String key = readString("name of metadata entry " + i);
                Object value = readValue(key, readType(key));
                if (metadata.put(key, value) != null) {
                    throw error(key + " appears twice");
                }
            }
            Fields fields = new Fields(data.path().toString(), "", metadata);
            return new GgufHeader(fields, readTensors(fields, tensorCount));
        }

        private Map<String, StoredTensor> readTensors(Fields metadata, long count) {
            record Declared(String name, TensorType type, long[] dimensions, long offset) {}
            List<Declared> declared = new ArrayList<>();
            for (long i = 0; i < count; i++) {
                String name = readString("name of tensor " + i);
                String where = "tensor " + name;
                int dimensionCount = readInt(where);
                if (dimensionCount < 1 || dimensionCount > MAX_DIMENSIONS) {
                    throw error(where + " has " + dimensionCount + " dimensions, not 1 to " + MAX_DIMENSIONS);
                }
                long[] dimensions = new long[dimensionCount];
                for (int d = 0; d < dimensionCount; d++) {
                    dimensions[d] = readLong(where);
                }
                declared.add(new Declared(name, tensorType(where, readInt(where)), dimensions, readLong(where)));
            }
            int alignment = metadata.integer(ALIGNMENT_KEY, 1, 1 << 20, DEFAULT_ALIGNMENT);
            if (Integer.bitCount(alignment) != 1) {
                throw metadata.error(ALIGNMENT_KEY, "must be a power of 2, but is " + alignment);
            }
            long begin = (position + alignment - 1) / alignment * alignment;
            Map<String, StoredTensor> tensors = new LinkedHashMap<>();
            for (Declared d : declared) {
                if (d.offset % alignment != 0) {
                    throw error(
                            "tensor " + d.name + ": offset " + d.offset + " is not aligned to " + alignment + " bytes");
                }
                StoredTensor tensor = StoredTensor.check(data, d.name, d.type, d.dimensions, begin, d.offset);
                if (tensors.put(d.name, tensor) != null) {
                    throw error("tensor " + d.name + " appears twice");
                }
            }
            StoredTensor.checkDisjoint(tensors.values());
            return tensors;
        }

        private TensorType tensorType(String where, int id) {
            for (TensorType type : TensorType.values()) {
                if (typeId(type) == id) {
                    return type;
                }
            }
            throw error(where + " has the unknown type " + id);
        }

        private ValueType readType(String key) {
            int id = readInt("type of " + key);
            if (id < 0 || id >= ValueType.values().length) {
                throw error(key + " has the unknown type " + id);
            }
            return ValueType.values()[id];
        }

        private Object readValue(String key, ValueType type) {
            return switch (type) {
                case UINT8 -> readByte(key) & 0xff;
                case INT8 -> (int) readByte(key);
                case UINT16 -> readShort(key) & 0xffff;
                case INT16 -> (int) readShort(key);
                case UINT32 -> readInt(key) & 0xffffffffL;
                case INT32 -> readInt(key);
                case FLOAT32 -> Float.intBitsToFloat(readInt(key));
                case BOOL -> readByte(key) != 0;
                case STRING -> readString(key);
                case ARRAY -> readArray(key);
                case UINT64, INT64 -> readLong(key);
                case FLOAT64 -> Double.longBitsToDouble(readLong(key));
            };
        }

        /** Strings as a list, whole numbers of up to 32 bits and booleans as {@code int[]}, other numbers as {@code float[]}. */
        private Object readArray(String key) {
            ValueType type = readType(key);
            if (type == ValueType.ARRAY) {
                throw error(key + " is an array of arrays, which is not supported");
            }
            int count = readCount("length of " + key, type.minBytes, MAX_ARRAY);
            arrayElements += count;
            if (arrayElements > 2 * MAX_ARRAY) {
                throw error(key + ": the metadata's arrays have more than " + 2 * MAX_ARRAY + " elements");
            }
            switch (type) {
                case STRING -> {
                    return readStrings(key, count);
                }
                case INT32, UINT32 -> {
                    int[] integers = new int[count];
                    for (int i = 0; i < count; i++) {
                        integers[i] = readInt(key);
                    }
                    return integers;
                }
                case FLOAT32, FLOAT64, UINT64, INT64 -> {
                    float[] floats = new float[count];
                    for (int i = 0; i < count; i++) {
                        floats[i] = ((Number) readValue(key, type)).floatValue();
                    }
                    return floats;
                }
                default -> {
                    int[] integers = new int[count];
                    for (int i = 0; i < count; i++) {
                        Object value = readValue(key, type);
                        integers[i] = value instanceof Boolean flag ? flag ? 1 : 0 : ((Number) value).intValue();
                    }
                    return integers;
                }
            }
        }

        /** A count of things that take at least {@code minBytes} each. */
        private int readCount(String what, int minBytes, int max) {
            long count = readLong(what);
            if (count < 0 || count > (end - position) / minBytes || count > max) {
                throw error(what + " of " + Long.toUnsignedString(count) + " is more than the file can hold"
                        + " or than is allowed (" + max + ")");
            }
            return (int) count;
        }

        private String readString(String what) {
            return new String(readBytes(readCount(what, 1, MAX_STRING)), StandardCharsets.UTF_8);
        }

        private List<String> readStrings(String key, int count) {
            Utf8Strings strings = new Utf8Strings(count);
            for (int i = 0; i < count; i++) {
                int length = readCount(key, 1, MAX_STRING);
                if (length <= window.remaining()) {
                    strings.add(window.array(), window.position(), length);
                    window.position(window.position() + length);
                    position += length;
                } else {
                    strings.add(readBytes(length), 0, length);
                }
            }
            return strings;
        }

        private byte[] readBytes(int length) {
            byte[] bytes = new byte[length];
            int buffered = Math.min(length, window.remaining());
            window.get(bytes, 0, buffered);
            data.read(position + buffered, bytes, buffered, length - buffered);
            position += length;
            return bytes;
        }

        private byte readByte(String what) {
            return window(1, what).get();
        }

        private short readShort(String what) {
            return window(2, what).getShort();
        }

        private int readInt(String what) {
            return window(4, what).getInt();
        }

        private long readLong(String what) {
            return window(8, what).getLong();
        }

        /** The buffered part of the file with at least {@code bytes} left, which count as read. */
        private ByteBuffer window(int bytes, String what) {
            if (window.remaining() < bytes) {
                if (end - position < bytes) {
                    throw error(what + ": the header ends at byte " + end + ", the file is truncated or damaged");
                }
                int length = (int) Math.min(window.capacity(), end - position);
                window.clear().limit(length);
                data.read(position, window.array(), 0, length);
            }
            position += bytes;
            return window;
        }
    }
}
