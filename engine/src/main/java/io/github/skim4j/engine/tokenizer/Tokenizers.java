package io.github.skim4j.engine.tokenizer;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import io.github.skim4j.engine.model.ModelFile.TokenizerJson;
import io.github.skim4j.engine.model.ModelFile.TokenizerJsonText;
import io.github.skim4j.engine.model.ModelFile.TokenizerSource;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;

/** Makes tokenizers from what model files hold. */
public final class Tokenizers {

    /** The largest published files have 35 MB. */
    private static final long MAX_FILE_BYTES = 256L << 20;

    private Tokenizers() {}

    /**
     * A tokenizer as the Hugging Face tokenizers library runs it.
     *
     * @throws ModelFormatException naming file and field, if the data are damaged or of a kind that isn't known
     * @throws io.github.skim4j.engine.SkimException if the native library can't be loaded
     */
    public static Tokenizer of(TokenizerSource source) {
        return prepare(source).get();
    }

    /**
     * Checks what {@code source} says of the tokenizer, and returns what makes it, which takes longer, reads no file, and fails only for contents
     * of a vocabulary that no tokenizer can have.
     *
     * @throws ModelFormatException as {@link #of} does; so may what is returned
     * @throws io.github.skim4j.engine.SkimException if the native library can't be loaded
     */
    public static Supplier<Tokenizer> prepare(TokenizerSource source) {
        TokenizersLibrary library = NativeLibrary.load();
        if (source instanceof GgufVocabulary vocabulary) {
            GgufConverter converter = GgufConverter.of(vocabulary);
            return () -> new HubTokenizer(library, converter.toTokenizerJson(), converter.spec(), vocabulary.file());
        }
        if (source instanceof TokenizerJsonText text) {
            return prepare(library, text.json(), text.file());
        }
        if (source instanceof TokenizerJson json) {
            return prepare(library, read(json.file()), json.file());
        }
        throw new IllegalArgumentException("unknown tokenizer source " + source);
    }

    private static Supplier<Tokenizer> prepare(TokenizersLibrary library, String json, Path file) {
        TokenizerSpec spec = TokenizerSpec.parse(json, file);
        return () -> new HubTokenizer(library, json, spec, file);
    }

    private static String read(Path file) {
        try {
            if (Files.size(file) > MAX_FILE_BYTES) {
                throw new ModelFormatException(file + " is larger than a tokenizer.json can be: more than 256 MiB");
            }
            return Files.readString(file);
        } catch (MalformedInputException e) {
            throw new ModelFormatException(file + " is no UTF-8 text", e);
        } catch (IOException e) {
            throw new ModelFormatException("can't read " + file + ": " + e.getMessage(), e);
        }
    }
}
