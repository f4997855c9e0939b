package io.github.skim4j.cli.eval.run;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.eval.cases.EvalCase;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What an evaluation has found, kept in a file if there is one: a line that says what is measured, then a line for each answer, written
 * as soon as it is there. A run that is cut off goes on where it ended; a torn last line is dropped.
 */
public final class EvalResults implements AutoCloseable {

    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .build();

    /**
     * What all answers of a file have in common.
     *
     * @param weights how they were kept, such as {@code as-stored}
     * @param kvType of the cache; a file that says nothing of the cache is of BF16 in pages of 16 tokens
     * @param protocol name of the {@link Protocol}
     */
    public record Setting(String model, String weights, KvType kvType, int pageSize, String protocol) {

        public Setting {
            kvType = kvType == null ? KvType.BF16 : kvType;
            pageSize = pageSize == 0 ? 16 : pageSize;
        }
    }

    private record Key(String caseId, String spec) {}

    private final Path file;
    /** {@code null} if nothing is kept. */
    private final FileChannel channel;

    private final List<EvalResult> all = new ArrayList<>();
    private final Map<Key, EvalResult> done = new HashMap<>();

    private EvalResults(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    public static EvalResults inMemory() {
        return new EvalResults(null, null);
    }

    /**
     * Opens or makes a file.
     *
     * @throws SkimException if the file has results of another setting, can't be read, or another run writes to it
     */
    public static EvalResults open(Path file, Setting setting) {
        FileChannel channel = null;
        try {
            channel = FileChannel.open(
                    file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            if (channel.tryLock() == null) {
                throw new SkimException("another run writes to " + file);
            }
            EvalResults results = new EvalResults(file, channel);
            results.load(setting);
            return results;
        } catch (OverlappingFileLockException e) {
            close(channel);
            throw new SkimException("another run writes to " + file, e);
        } catch (IOException e) {
            close(channel);
            throw new SkimException(file + " can't be used for results: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            close(channel);
            throw e;
        }
    }

    private void load(Setting setting) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) channel.size());
        while (bytes.hasRemaining() && channel.read(bytes) >= 0) {}
        byte[] content = bytes.array();
        int start = 0;
        for (int end = 0; end < content.length; end++) {
            if (content[end] == '\n') {
                readLine(new String(content, start, end - start, StandardCharsets.UTF_8), start == 0, setting);
                start = end + 1;
            }
        }
        channel.truncate(start);
        channel.position(start);
        if (start == 0) {
            append(setting);
        }
    }

    private void readLine(String line, boolean first, Setting setting) {
        try {
            if (!first) {
                remember(JSON.readValue(line, EvalResult.class));
                return;
            }
            Setting found = JSON.readValue(line, Setting.class);
            if (!found.equals(setting)) {
                throw new SkimException(file + " has results of " + describe(found) + ", but this run is of "
                        + describe(setting) + ": choose another folder");
            }
        } catch (JsonProcessingException e) {
            throw new SkimException(
                    file + " is no file of results, or damaged at '" + line.substring(0, Math.min(40, line.length()))
                            + "': remove it or choose another folder",
                    e);
        }
    }

    private static String describe(Setting setting) {
        return setting.model() + " (weights " + setting.weights() + ", keys and values in " + setting.kvType() + ", "
                + setting.pageSize() + " tokens a page) with protocol " + setting.protocol();
    }

    private void remember(EvalResult result) {
        all.add(result);
        done.put(new Key(result.caseId(), result.spec()), result);
    }

    /**
     * Whether the method answered the case.
     *
     * @throws SkimException if it answered another case of this id
     */
    boolean has(EvalCase evalCase, AttentionSpec method) {
        EvalResult result = done.get(new Key(evalCase.id(), method.method().spec()));
        if (result != null && !result.fingerprint().equals(evalCase.fingerprint())) {
            throw new SkimException(
                    file + " has an answer to another case " + evalCase.id() + ": choose another folder");
        }
        return result != null;
    }

    void add(EvalResult result) {
        remember(result);
        try {
            append(result);
        } catch (IOException e) {
            throw new SkimException(file + " can't be written: " + e.getMessage(), e);
        }
    }

    private void append(Object line) throws IOException {
        if (channel != null) {
            ByteBuffer bytes = ByteBuffer.wrap((JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        }
    }

    /** All answers, those of earlier runs first. */
    public List<EvalResult> all() {
        return List.copyOf(all);
    }

    @Override
    public void close() {
        close(channel);
    }

    private static void close(FileChannel channel) {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                throw new SkimException("the results can't be closed: " + e.getMessage(), e);
            }
        }
    }
}
