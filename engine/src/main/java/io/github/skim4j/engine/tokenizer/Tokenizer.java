package io.github.skim4j.engine.tokenizer;

import java.util.List;

/**
 * Text to token ids and back; safe for use by several threads. After {@link #close()}, {@link #encode} throws {@link
 * IllegalStateException}.
 */
public interface Tokenizer extends AutoCloseable {

    /**
     * Token ids of {@code text}, however long. Special tokens written out in the text become their ids; none are added.
     */
    int[] encode(String text);

    /** Parts of {@code text} whose token ids, one after another, are those of the whole; just the text where none are known. */
    default List<String> split(String text) {
        return List.of(text);
    }

    /** Text of {@code tokens}; special tokens are left out. */
    String decode(int[] tokens);

    /** Turns a stream of tokens into pieces of whole characters. */
    StreamDecoder newStreamDecoder();

    int vocabSize();

    @Override
    void close();

    /** Decodes one stream; not thread-safe. */
    interface StreamDecoder {

        /** Text that is final after {@code token}, often one piece, empty in the middle of a UTF-8 sequence. */
        String next(int token);

        /** What is left at the end: an incomplete sequence as U+FFFD, else empty. */
        String finish();
    }
}
