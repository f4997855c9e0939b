package io.github.skim4j.engine.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the header of a safetensors file; format: the safetensors project's README. */
final class Safetensors {

    private static final int MAX_HEADER = 32 << 20;
    private static final String METADATA = "__metadata__";

    private Safetensors() {}

    /** The tensors of a file, by name. */
    static Map<String, StoredTensor> read(ModelData data) {
        String file = data.path().toString();
        if (data.size() < Long.BYTES) {
            throw new ModelFormatException(file + ": is not a safetensors file: it has only " + data.size() + " bytes");
        }
        byte[] prefix = new byte[Long.BYTES];
        data.read(0, prefix, 0, prefix.length);
        long length = ByteBuffer.wrap(prefix).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length < 2 || length > data.size() - Long.BYTES || length > MAX_HEADER) {
            throw new ModelFormatException(file + ": header length " + Long.toUnsignedString(length)
                    + " does not fit the file of " + data.size() + " bytes or is above the limit of " + MAX_HEADER);
        }
        byte[] json = new byte[(int) length];
        data.read(Long.BYTES, json, 0, json.length);
        Fields header = Json.parse(file, json);
        Map<String, StoredTensor> tensors = new LinkedHashMap<>();
        for (String name : header.values().keySet()) {
            if (!name.equals(METADATA) && !TensorNaming.HUGGING_FACE.ignores(name)) {
                tensors.put(name, tensor(data, name, header, Long.BYTES + length));
            }
        }
        StoredTensor.checkDisjoint(tensors.values());
        return tensors;
    }

    private static StoredTensor tensor(ModelData data, String name, Fields header, long begin) {
        Fields entry = header.object(name);
        if (entry == null) {
            throw header.error(name, "is null");
        }
        TensorType type = type(entry);
        long[] shape = longs(entry, "shape");
        long[] offsets = longs(entry, "data_offsets");
        if (offsets.length != 2) {
            throw entry.error("data_offsets", "must be two numbers");
        }
        long[] dimensions = new long[shape.length];
        for (int i = 0; i < shape.length; i++) {
            dimensions[i] = shape[shape.length - 1 - i];
        }
        StoredTensor tensor = StoredTensor.check(data, name, type, dimensions, begin, offsets[0]);
        if (offsets[1] - offsets[0] != tensor.bytes()) {
            throw entry.error(
                    "data_offsets",
                    "span " + (offsets[1] - offsets[0]) + " bytes, but the shape takes " + tensor.bytes());
        }
        return tensor;
    }

    private static TensorType type(Fields entry) {
        String name = entry.string("dtype");
        if (name == null) {
            throw entry.error("dtype", "is missing");
        }
        return switch (name) {
            case "F32" -> TensorType.F32;
            case "F16" -> TensorType.F16;
            case "BF16" -> TensorType.BF16;
            default -> throw entry.error("dtype", "is " + name + "; supported are F32, F16 and BF16");
        };
    }

    /** Whole numbers of 0 or more. */
    private static long[] longs(Fields entry, String key) {
        if (!(entry.raw(key) instanceof List<?> list)) {
            throw entry.error(key, "must be a list of numbers");
        }
        return list.stream()
                .mapToLong(value -> {
                    if ((value instanceof Integer || value instanceof Long) && ((Number) value).longValue() >= 0) {
                        return ((Number) value).longValue();
                    }
                    throw entry.error(key, "must be whole numbers of 0 or more");
                })
                .toArray();
    }
}
