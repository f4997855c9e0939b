package io.github.skim4j.engine.tokenizer;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.model.ModelFormatException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.LongStream;

/**
 * Encodes with the Hugging Face tokenizers library and decodes from a table of its tokens' bytes, so that a stream never decodes a
 * token twice. Calls the library's JNI class itself: DJL's wrapper truncates by default, copies eight arrays for each text and
 * sends telemetry.
 */
final class HubTokenizer implements Tokenizer {

    private final TokenizersLibrary library;
    private final TokenizerSpec spec;
    private final TextSplitter splitter;
    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private long handle;

    /**
     * @param json text of a {@code tokenizer.json}
     * @param spec what it says
     * @param file for messages
     */
    HubTokenizer(TokenizersLibrary library, String json, TokenizerSpec spec, Path file) {
        this.library = library;
        this.spec = spec;
        splitter = new TextSplitter(spec.addedTokens(), spec.paragraphCut());
        try {
            handle = library.createTokenizerFromString(json);
        } catch (RuntimeException e) {
            throw new ModelFormatException(file + " holds no usable tokenizer: " + e.getMessage(), e);
        }
        library.disableTruncation(handle);
        library.disablePadding(handle);
    }

    @Override
    public int[] encode(String text) {
        // An unpaired surrogate has no UTF-8 form; JNI would spoil every emoji of the text along with it.
        String wellFormed = Utf16.replaceUnpairedSurrogates(text);
        lock.readLock().lock();
        try {
            if (handle == 0) {
                throw new IllegalStateException("the tokenizer is closed");
            }
            return encodeOpen(wellFormed);
        } finally {
            lock.readLock().unlock();
        }
    }

    private int[] encodeOpen(String text) {
        long encoding;
        try {
            encoding = library.encode(handle, text, false);
        } catch (RuntimeException e) {
            throw new SkimException("the tokenizer can't encode the text: " + e.getMessage(), e);
        }
        try {
            return LongStream.of(library.getTokenIds(encoding))
                    .mapToInt(Math::toIntExact)
                    .toArray();
        } finally {
            library.deleteEncoding(encoding);
        }
    }

    @Override
    public List<String> split(String text) {
        return splitter.split(text);
    }

    @Override
    public String decode(int[] tokens) {
        StreamDecoder decoder = newStreamDecoder();
        StringBuilder text = new StringBuilder(tokens.length * 4);
        for (int token : tokens) {
            text.append(decoder.next(token));
        }
        return text.append(decoder.finish()).toString();
    }

    @Override
    public StreamDecoder newStreamDecoder() {
        return new Utf8StreamDecoder(spec.tokenBytes(), spec.leadingSpacesToStrip());
    }

    @Override
    public int vocabSize() {
        return spec.tokenBytes().size();
    }

    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            if (handle != 0) {
                library.deleteTokenizer(handle);
                handle = 0;
            }
        } finally {
            lock.writeLock().unlock();
        }
    }
}
