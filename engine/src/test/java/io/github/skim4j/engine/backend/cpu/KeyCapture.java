package io.github.skim4j.engine.backend.cpu;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.chat.ChatTemplate;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.HubConfig;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ModelResolver;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.model.WeightFormat;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Captures queries and keys of a model that answers a question about a long document, so that attention can be measured on what a
 * trained model looks for: {@code keys=FILE} of {@code cuda/src/test/cuda/chain.cu}.
 *
 * <pre>
 * java --add-modules jdk.incubator.vector -cp engine/target/test-classes:samples/cli/target/skim.jar \
 *     io.github.skim4j.engine.backend.cpu.KeyCapture PROMPT OUT [case=ID] [model=MODEL] [layers=2-7] [queries=16] [answer=12]
 * </pre>
 *
 * PROMPT is a file of cases as {@code skim eval} reads them, if it ends with {@code .jsonl}, or a text that the user says. The
 * answer's first tokens are decoded, so that the last {@code queries} tokens are the question's end and these. By default layers from
 * 2 on, since the first two are attended densely.
 *
 * <p>The file, little-endian:
 *
 * <pre>
 * byte  magic[8]                                        SKIMKEYS
 * int   version                                         1
 * int   firstLayer, layers, heads, kvHeads, headDim     of the model, but for layers: those that are here
 * int   tokens, queries                                 query i is of token tokens - queries + i
 * float queries[query][layer][head][headDim]            rotated, not scaled
 * bf16  keys[layer][kvHead][token][headDim]             rotated
 * </pre>
 */
final class KeyCapture implements AutoCloseable {

    private static final byte[] MAGIC = "SKIMKEYS".getBytes(StandardCharsets.US_ASCII);
    private static final int VERSION = 1;

    private static final int PAGE_SIZE = 16;
    private static final int CHUNK = 256;

    /** The most that a share of the attention may differ from what the CPU attended with. */
    private static final double TOLERANCE = 1e-3;

    private final ModelConfig config;
    private final int firstLayer;
    private final int endLayer;
    private final List<Integer> tokens = new ArrayList<>();
    /** [query][layer][heads * headDim] */
    private final List<float[][]> queries = new ArrayList<>();

    private final WorkerTeam team;
    private final KvPages pages;
    private final TokenRecords records;
    private final QueryTap tap;
    private final CpuModel model;
    private final Transformer transformer;
    private final KvSequence sequence;

    /** @param firstLayer that is captured */
    KeyCapture(ModelWeights weights, int firstLayer, int endLayer, int contextLength) {
        config = weights.config();
        if (firstLayer < 0 || firstLayer >= endLayer || endLayer > config.layers()) {
            throw new IllegalArgumentException("the model has layers 0-" + (config.layers() - 1));
        }
        this.firstLayer = firstLayer;
        this.endLayer = endLayer;
        int pageCount = contextLength / PAGE_SIZE + 1;
        team = new WorkerTeam(Runtime.getRuntime().availableProcessors(), "capture");
        CpuKernels kernels = KernelSelection.select();
        tap = new QueryTap(kernels, config);
        model = new CpuModel(config);
        model.load(weights, team.threads(), kernels.matrix().lanes(), WeightFormat.AS_STORED);
        pages = new KvPages(config, PAGE_SIZE, KvType.BF16, pageCount);
        records = new TokenRecords(config, PAGE_SIZE, pageCount);
        transformer = new Transformer(
                model, tap, team, pages, records, new Attention(config, tap, pages, records, team, null, 0));
        sequence = new KvSequence(new PagePool(pageCount), PAGE_SIZE);
    }

    public static void main(String[] args) throws IOException {
        if (args.length < 2) {
            System.err.println("Arguments: PROMPT OUT [case=ID] [model=MODEL] [layers=2-7] [queries=16] [answer=12]");
            System.exit(2);
        }
        Map<String, String> options = new HashMap<>();
        Arrays.stream(args).skip(2).map(arg -> arg.split("=", 2)).forEach(pair -> options.put(pair[0], pair[1]));
        Path out = Path.of(args[1]);
        String reference = options.getOrDefault("model", "classpath:io/github/skim4j/demo/skim-demo-q8_0.gguf");
        try (ResolvedModel resolved = ModelResolver.resolve(reference, HubConfig.fromEnvironment());
                ModelFile file = ModelFile.open(resolved.path());
                Tokenizer tokenizer = Tokenizers.of(file.tokenizer())) {
            Prompt prompt = Prompt.read(Path.of(args[0]), options.get("case"));
            ChatTemplate template = ChatTemplate.of(file.chatTemplate(), resolved.name(), file.specialTokens());
            int[] tokens = tokenizer.encode(template.render(prompt.messages, List.of(), Map.of(), true));
            String[] layers = options.getOrDefault(
                            "layers", "2-" + (file.config().layers() - 1))
                    .split("-");
            int queries = Integer.parseInt(options.getOrDefault("queries", "16"));
            int answer = Integer.parseInt(options.getOrDefault("answer", "12"));
            try (KeyCapture capture = new KeyCapture(
                    file, Integer.parseInt(layers[0]), Integer.parseInt(layers[1]) + 1, tokens.length + answer)) {
                capture.run(tokens, queries, answer, file.generationDefaults().endTokens());
                capture.write(out);
                System.out.printf(
                        "%s: %d tokens, %d MB; answer begins: %s%n",
                        out, capture.tokens.size(), Files.size(out) >> 20, tokenizer.decode(capture.answer(tokens)));
                capture.reportFact(tokenizer, tokens.length, prompt.value);
            }
        }
    }

    /** @param value what the answer has to say; {@code null} if that is not known */
    private record Prompt(List<ChatMessage> messages, String value) {

        static Prompt read(Path file, String id) throws IOException {
            if (!file.toString().endsWith(".jsonl")) {
                return new Prompt(List.of(ChatMessage.user(Files.readString(file))), null);
            }
            ObjectMapper json = new ObjectMapper();
            try (Stream<String> lines = Files.lines(file)) {
                for (String line : (Iterable<String>) lines::iterator) {
                    JsonNode node = json.readTree(line);
                    if (id == null || node.path("id").asText().equals(id)) {
                        List<ChatMessage> messages = new ArrayList<>();
                        for (JsonNode message : node.path("messages")) {
                            messages.add(new ChatMessage(
                                    message.path("role").asText(),
                                    message.path("content").asText(),
                                    Map.of()));
                        }
                        return new Prompt(messages, node.path("value").asText(null));
                    }
                }
            }
            throw new IllegalArgumentException(file + " has no case " + id);
        }
    }

    /**
     * Reads a prompt, decodes the likeliest tokens after it and captures the last {@code count} tokens' queries.
     *
     * @param answer most tokens that are decoded
     * @param ends tokens that end an answer
     */
    void run(int[] prompt, int count, int answer, Set<Integer> ends) {
        // The first alone, which tells the tap the layers' arrays.
        append(prompt, 0, 1);
        int single = Math.max(1, prompt.length - count);
        for (int from = 1; from < single; from += CHUNK) {
            append(prompt, from, Math.min(CHUNK, single - from));
        }
        int next = -1;
        for (int i = single; i < prompt.length + answer; i++) {
            int token = i < prompt.length ? prompt[i] : next;
            if (i >= prompt.length && ends.contains(token)) {
                break;
            }
            next = capture(token);
        }
        while (queries.size() > count) {
            queries.remove(0);
        }
    }

    /** Appends a token, captures its queries and returns the likeliest next one. */
    private int capture(int token) {
        tap.clear();
        float[] logits = append(new int[] {token}, 0, 1);
        queries.add(tap.taken());
        requireSameAttention();
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        return best;
    }

    private float[] append(int[] source, int from, int count) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("there are too few pages");
        }
        // The attention that the last token gives is what captured queries and keys are compared with.
        Span.Observation observation = new Span.Observation(
                new Tova(Budget.ofTokens(1)), count == 1 ? 0 : Integer.MAX_VALUE, Integer.MAX_VALUE);
        Span span = new Span(sequence, source, from, count, new Dense(), Span.Logits.LAST, null, observation);
        float[] logits = transformer.forward(List.of(span)).get(0).logits()[0];
        sequence.advance(count);
        for (int i = from; i < from + count; i++) {
            tokens.add(source[i]);
        }
        return logits;
    }

    /** Compares the shares of the attention of the last query with those that the CPU observed. */
    private void requireSameAttention() {
        for (int layer = firstLayer; layer < endLayer; layer++) {
            for (int kvHead = 0; kvHead < config.kvHeads(); kvHead++) {
                double[] sums = new double[tokens.size()];
                for (int h = kvHead * config.group(); h < (kvHead + 1) * config.group(); h++) {
                    double[] shares = shares(queries.size() - 1, layer, h);
                    Arrays.setAll(sums, slot -> sums[slot] + shares[slot]);
                }
                for (int slot = 0; slot < sums.length; slot++) {
                    float[] observed = records.attention(sequence.page(slot / PAGE_SIZE));
                    float share = observed[records.index(layer, kvHead) + slot % PAGE_SIZE];
                    if (!(Math.abs(share - sums[slot]) < TOLERANCE)) {
                        throw new IllegalStateException("layer " + layer + ", KV head " + kvHead + ", token " + slot
                                + ": the share of the attention is " + sums[slot] + ", but was " + share);
                    }
                }
            }
        }
    }

    /** The softmax of a captured query's logits over the tokens up to its own. */
    double[] shares(int query, int layer, int head) {
        int headDim = config.headDim();
        int visible = tokens.size() - queries.size() + query + 1;
        float[] q = queries.get(query)[layer];
        float[] key = new float[headDim];
        double[] shares = new double[visible];
        double max = Double.NEGATIVE_INFINITY;
        for (int slot = 0; slot < visible; slot++) {
            key(layer, head / config.group(), slot, key);
            for (int i = 0; i < headDim; i++) {
                shares[slot] += q[head * headDim + i] * key[i] / Math.sqrt(headDim);
            }
            max = Math.max(max, shares[slot]);
        }
        double sum = 0;
        for (int slot = 0; slot < visible; slot++) {
            shares[slot] = Math.exp(shares[slot] - max);
            sum += shares[slot];
        }
        for (int slot = 0; slot < visible; slot++) {
            shares[slot] /= sum;
        }
        return shares;
    }

    private void key(int layer, int kvHead, int slot, float[] target) {
        pages.key(sequence.page(slot / PAGE_SIZE), layer, kvHead, slot % PAGE_SIZE, target, 0);
    }

    /** Tokens after the prompt. */
    private int[] answer(int[] prompt) {
        return tokens.stream().skip(prompt.length).mapToInt(i -> i).toArray();
    }

    void write(Path file) throws IOException {
        int layers = endLayer - firstLayer;
        int width = config.heads() * config.headDim();
        try (FileChannel out = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            ByteBuffer head = buffer(MAGIC.length + 8 * Integer.BYTES + queries.size() * layers * width * Float.BYTES);
            head.put(MAGIC).putInt(VERSION).putInt(firstLayer).putInt(layers).putInt(config.heads());
            head.putInt(config.kvHeads())
                    .putInt(config.headDim())
                    .putInt(tokens.size())
                    .putInt(queries.size());
            for (float[][] query : queries) {
                for (int layer = firstLayer; layer < endLayer; layer++) {
                    for (int i = 0; i < width; i++) {
                        head.putFloat(query[layer][i]);
                    }
                }
            }
            write(out, head);
            float[] key = new float[config.headDim()];
            for (int layer = firstLayer; layer < endLayer; layer++) {
                for (int kvHead = 0; kvHead < config.kvHeads(); kvHead++) {
                    ByteBuffer keys = buffer(tokens.size() * config.headDim() * Short.BYTES);
                    for (int slot = 0; slot < tokens.size(); slot++) {
                        key(layer, kvHead, slot, key);
                        for (float value : key) {
                            keys.putShort(HalfFloats.floatToBfloat16(value));
                        }
                    }
                    write(out, keys);
                }
            }
        }
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void write(FileChannel out, ByteBuffer bytes) throws IOException {
        bytes.flip();
        while (bytes.hasRemaining()) {
            out.write(bytes);
        }
    }

    /** Prints which heads attend most to the tokens of the prompt that say what was asked for. */
    private void reportFact(Tokenizer tokenizer, int promptTokens, String value) {
        if (value == null) {
            return;
        }
        // By token, since a tokenizer may split the same words in several ways.
        StringBuilder text = new StringBuilder();
        int[] ends = new int[promptTokens];
        Tokenizer.StreamDecoder decoder = tokenizer.newStreamDecoder();
        for (int i = 0; i < promptTokens; i++) {
            ends[i] = text.append(decoder.next(tokens.get(i))).length();
        }
        boolean[] fact = new boolean[tokens.size()];
        for (int from = text.indexOf(value); from >= 0; from = text.indexOf(value, from + 1)) {
            for (int i = 1; i < promptTokens; i++) {
                fact[i] |= ends[i] > from && ends[i - 1] < from + value.length();
            }
        }
        record Look(double share, int layer, int head, int query) {}
        List<Look> looks = new ArrayList<>();
        for (int q = 0; q < queries.size(); q++) {
            for (int layer = firstLayer; layer < endLayer; layer++) {
                for (int head = 0; head < config.heads(); head++) {
                    double[] shares = shares(q, layer, head);
                    double sum = 0;
                    for (int i = 0; i < shares.length; i++) {
                        sum += fact[i] ? shares[i] : 0;
                    }
                    looks.add(new Look(sum, layer, head, q));
                }
            }
        }
        looks.sort(Comparator.comparingDouble(Look::share).reversed());
        for (Look look : looks.subList(0, Math.min(8, looks.size()))) {
            int token = tokens.get(tokens.size() - queries.size() + look.query);
            System.out.printf(
                    "layer %d head %d, after '%s': %.0f %% of its attention on '%s'%n",
                    look.layer, look.head, tokenizer.decode(new int[] {token}), 100 * look.share, value);
        }
    }

    @Override
    public void close() {
        sequence.close();
        model.close();
        team.close();
    }

    /**
     * Kernels that note the queries with which a sequence's first page is scored. All heads do that once in a step, layer by layer, and
     * the array of keys tells which layer it is.
     */
    private static final class QueryTap implements CpuKernels, AttentionKernels {

        private final CpuKernels kernels;
        private final AttentionKernels attention;
        private final ModelConfig config;
        /** Of the first page, by layer. */
        private final List<int[]> arrays = new ArrayList<>();

        private float[][] taken;

        QueryTap(CpuKernels kernels, ModelConfig config) {
            this.kernels = kernels;
            this.attention = kernels.attention();
            this.config = config;
        }

        synchronized void clear() {
            taken = new float[config.layers()][config.heads() * config.headDim()];
        }

        /** [layer][heads * headDim] */
        synchronized float[][] taken() {
            return taken;
        }

        private synchronized void note(float[] queries, int[] keys, int from, int pageSize) {
            int layer = 0;
            while (layer < arrays.size() && arrays.get(layer) != keys) {
                layer++;
            }
            if (layer == arrays.size() && layer < config.layers()) {
                arrays.add(keys);
            }
            if (layer < config.layers() && taken != null) {
                // A KV head's keys and values take two times headDim * pageSize / 2 pairs.
                int kvHead = from / (config.headDim() * pageSize);
                int width = config.group() * config.headDim();
                for (int i = 0; i < width; i++) {
                    taken[layer][kvHead * width + i] = queries[i] * (float) Math.sqrt(config.headDim());
                }
            }
        }

        @Override
        public void score(
                float[] queries,
                int headDim,
                int rows,
                int[] keys,
                int from,
                int pageSize,
                float[] scores,
                int to,
                int stride) {
            note(queries, keys, from, pageSize);
            attention.score(queries, headDim, rows, keys, from, pageSize, scores, to, stride);
        }

        @Override
        public void score(
                float[] queries,
                int headDim,
                int rows,
                float[] keys,
                int from,
                int pageSize,
                float[] scores,
                int to,
                int stride) {
            attention.score(queries, headDim, rows, keys, from, pageSize, scores, to, stride);
        }

        @Override
        public void addWeighted(
                float[] weights,
                int from,
                int stride,
                int rows,
                float[] values,
                int at,
                int pageSize,
                float[] result,
                int headDim) {
            attention.addWeighted(weights, from, stride, rows, values, at, pageSize, result, headDim);
        }

        @Override
        public void addWeighted(
                float[] weights,
                int from,
                int stride,
                int rows,
                int[] values,
                int at,
                int pageSize,
                float[] result,
                int headDim) {
            attention.addWeighted(weights, from, stride, rows, values, at, pageSize, result, headDim);
        }

        @Override
        public float max(float[] values, int from, int count) {
            return attention.max(values, from, count);
        }

        @Override
        public void expAndSum(float[] values, int from, int count, float shift, float[] sums, int to) {
            attention.expAndSum(values, from, count, shift, sums, to);
        }

        @Override
        public void scale(float[] values, int from, int count, float factor) {
            attention.scale(values, from, count, factor);
        }

        @Override
        public String name() {
            return kernels.name();
        }

        @Override
        public MatrixKernels matrix() {
            return kernels.matrix();
        }

        @Override
        public AttentionKernels attention() {
            return this;
        }

        @Override
        public SelectionKernels selection() {
            return kernels.selection();
        }
    }
}
