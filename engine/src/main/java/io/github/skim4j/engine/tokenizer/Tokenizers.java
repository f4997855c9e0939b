package io.github.skim4j.engine.tokenizer;

import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import io.github.skim4j.engine.model.ModelFile.TokenizerJson;
import io.github.skim4j.engine.model.ModelFile.TokenizerJsonText;
import io.github.skim4j.engine.model.ModelFile.TokenizerSource;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;

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
        if (source instanceof GgufVocabulary vocabulary) {
            GgufConverter converter = GgufConverter.of(vocabulary);
            return new HubTokenizer(converter.toTokenizerJson(), converter.spec(), vocabulary.file());
        }
        if (source instanceof TokenizerJsonText text) {
            return of(text.json(), text.file());
        }
        if (source instanceof TokenizerJson json) {
            return of(read(json.file()), json.file());
        }
        throw new IllegalArgumentException("unknown tokenizer source " + source);
    }

    private static Tokenizer of(String json, Path file) {
        return new HubTokenizer(json, TokenizerSpec.parse(json, file), file);
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
