package io.github.skim4j.engine.model;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Reads JSON objects as {@link Fields}. */
final class Json {

    private static final long MAX_FILE = 16L << 20;

    /** Python writes NaN and Infinity, which {@link Fields} refuses where a number is needed. */
    static final ObjectMapper MAPPER = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .build();

    private static final TypeReference<Map<String, Object>> OBJECT = new TypeReference<>() {};

    private Json() {}

    /** The object in a file. */
    static Fields read(Path file) {
        try {
            if (Files.size(file) > MAX_FILE) {
                throw new ModelFormatException(file + ": is larger than " + MAX_FILE + " bytes");
            }
            return parse(file.toString(), Files.readAllBytes(file));
        } catch (IOException e) {
            throw new ModelFormatException(file + ": can't be read: " + e, e);
        }
    }

    /** The object in a file, without fields if there is no such file. */
    static Fields readIfThere(Path file) {
        return Files.isRegularFile(file) ? read(file) : new Fields(file.toString(), "", Map.of());
    }

    static Fields parse(String file, byte[] json) {
        try {
            Map<String, Object> object = MAPPER.readValue(json, OBJECT);
            if (object == null) {
                throw new ModelFormatException(file + ": is not a JSON object");
            }
            return new Fields(file, "", object);
        } catch (IOException e) {
            throw syntaxError(file, e);
        }
    }

    static ModelFormatException syntaxError(String file, IOException e) {
        String reason = e instanceof JsonProcessingException json ? json.getOriginalMessage() : e.toString();
        return new ModelFormatException(file + ": is not valid JSON: " + reason, e);
    }

    /** Value of the field that the parser is at, as maps, lists, strings, numbers and booleans. */
    static Object value(JsonParser parser) throws IOException {
        return MAPPER.readValue(parser, Object.class);
    }
}
