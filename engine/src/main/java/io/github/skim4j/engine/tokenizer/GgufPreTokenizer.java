package io.github.skim4j.engine.tokenizer;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * How a byte-level BPE vocabulary of a GGUF file cuts text into words, by the name in {@code tokenizer.ggml.pre}. Names and
 * patterns are llama.cpp's ({@code src/llama-vocab.cpp}), the patterns in the form of the models' own {@code tokenizer.json}.
 *
 * @param patterns each isolates its matches in what the ones before left
 * @param gpt2 whether GPT-2's own pattern, built into the library, comes last
 * @param ignoreMerges whether a word that is a token is taken whole
 * @param nfc whether text is normalised first
 */
record GgufPreTokenizer(List<String> patterns, boolean gpt2, boolean ignoreMerges, boolean nfc) {

    static final String LLAMA_3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    static final String QWEN_2 = LLAMA_3.replace("{1,3}", "");
    static final String TEKKEN =
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}"
                    + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    /** A digit alone: written as the library's own step, which models use and which knows digits of later Unicode than its patterns do. */
    private static final String DIGIT = "\\p{N}";

    private static final String CJK = "[一-龥\\u3040-ゟ゠-ヿ]+";
    private static final String DEEPSEEK_3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
            + "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    /** All that are known, by name. */
    static final Map<String, GgufPreTokenizer> BY_NAME = byName();

    private static Map<String, GgufPreTokenizer> byName() {
        Map<String, GgufPreTokenizer> known = new TreeMap<>();
        GgufPreTokenizer llama3 = new GgufPreTokenizer(List.of(LLAMA_3), false, true, false);
        for (String name : List.of("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral")) {
            known.put(name, llama3);
        }
        known.put("smaug-bpe", new GgufPreTokenizer(List.of(LLAMA_3), false, false, false));
        GgufPreTokenizer qwen2 = new GgufPreTokenizer(List.of(QWEN_2), false, false, true);
        for (String name : List.of("qwen2", "deepseek-r1-qwen", "megrez")) {
            known.put(name, qwen2);
        }
        known.put("tekken", new GgufPreTokenizer(List.of(TEKKEN), false, true, false));
        known.put("gpt-2", new GgufPreTokenizer(List.of(), true, false, false));
        GgufPreTokenizer singleDigits = new GgufPreTokenizer(List.of(DIGIT), true, false, false);
        for (String name : List.of("smollm", "starcoder", "refact", "command-r")) {
            known.put(name, singleDigits);
        }
        known.put(
                "default",
                new GgufPreTokenizer(List.of("[\\p{P}\\$\\+<=>\\^~\\|]+", "\\p{N}+", "[0-9]{3}"), true, false, false));
        known.put(
                "deepseek-coder",
                new GgufPreTokenizer(
                        List.of("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", DIGIT), false, false, false));
        known.put("deepseek-v3", new GgufPreTokenizer(List.of("\\p{N}{1,3}", CJK, DEEPSEEK_3), false, false, false));
        return known;
    }

    /** Writes the fields {@code normalizer} and {@code pre_tokenizer} of a {@code tokenizer.json}. */
    void write(JsonGenerator json) throws IOException {
        json.writeFieldName("normalizer");
        if (nfc) {
            json.writeStartObject();
            json.writeStringField("type", "NFC");
            json.writeEndObject();
        } else {
            json.writeNull();
        }
        json.writeObjectFieldStart("pre_tokenizer");
        json.writeStringField("type", "Sequence");
        json.writeArrayFieldStart("pretokenizers");
        for (String pattern : patterns) {
            json.writeStartObject();
            if (pattern.equals(DIGIT)) {
                json.writeStringField("type", "Digits");
                json.writeBooleanField("individual_digits", true);
            } else {
                json.writeStringField("type", "Split");
                json.writeObjectFieldStart("pattern");
                json.writeStringField("Regex", pattern);
                json.writeEndObject();
                json.writeStringField("behavior", "Isolated");
                json.writeBooleanField("invert", false);
            }
            json.writeEndObject();
        }
        writeByteLevel(json, gpt2);
        json.writeEndArray();
        json.writeEndObject();
    }

    /** Writes the value of a step {@code ByteLevel}. */
    static void writeByteLevel(JsonGenerator json, boolean useRegex) throws IOException {
        json.writeStartObject();
        json.writeStringField("type", "ByteLevel");
        json.writeBooleanField("add_prefix_space", false);
        json.writeBooleanField("trim_offsets", false);
        json.writeBooleanField("use_regex", useRegex);
        json.writeEndObject();
    }
}
