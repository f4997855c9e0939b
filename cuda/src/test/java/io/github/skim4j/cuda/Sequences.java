package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;

/** A backend and sequences on it that are fed with tokens step by step. */
final class Sequences implements AutoCloseable {

    static final int CONTEXT = 1024;
    static final int BATCH = 64;
    static final int CHUNK = 512;

    private final Backend backend;
    private final KvCacheConfig kv;
    private final PagePool pool;
    private final List<KvSequence> all = new ArrayList<>();

    Sequences(BackendProvider provider, ModelWeights weights, KvCacheConfig kv) {
        this(provider, weights, kv, 0);
    }

    Sequences(BackendProvider provider, ModelWeights weights, KvCacheConfig kv, double recallProbe) {
        this.kv = kv;
        backend = provider.open(
                weights,
                new BackendConfig(
                        0, 0, CONTEXT, BATCH, BATCH + CHUNK, kv, WeightFormat.AS_STORED, new Dense(), recallProbe));
        pool = new PagePool(backend.pages());
    }

    /** Tokens that go to a sequence in a step. */
    record Feed(int sequence, AttentionMethod method, int... tokens) {

        Feed(int sequence, int[] tokens) {
            this(sequence, new Dense(), tokens);
        }
    }

    /** Runs a step; sequences are numbered in the order of their first feed. Results in the order of the feeds. */
    List<SpanResult> step(Logits logits, List<Feed> feeds) {
        return step(
                feeds, (sequence, feed) -> new Span(sequence, feed.tokens, 0, feed.tokens.length, feed.method, logits));
    }

    /** Runs a step that draws a token after each feed. */
    List<Integer> draw(TokenDraw draw, List<Feed> feeds) {
        return step(
                        feeds,
                        (sequence, feed) -> new Span(
                                sequence, feed.tokens, 0, feed.tokens.length, feed.method, Logits.TOKEN, draw, null))
                .stream()
                .map(SpanResult::token)
                .toList();
    }

    private List<SpanResult> step(List<Feed> feeds, BiFunction<KvSequence, Feed, Span> span) {
        List<Span> spans = new ArrayList<>();
        for (Feed feed : feeds) {
            while (all.size() <= feed.sequence) {
                all.add(new KvSequence(pool, kv.pageSize()));
            }
            KvSequence sequence = all.get(feed.sequence);
            if (!sequence.reserve(feed.tokens.length)) {
                throw new IllegalStateException("no pages left");
            }
            spans.add(span.apply(sequence, feed));
        }
        List<SpanResult> results = backend.forward(spans);
        spans.forEach(done -> done.sequence().advance(done.count()));
        return results;
    }

    /** Logits of all tokens of one feed. */
    float[][] feed(int sequence, int... tokens) {
        return feed(new Feed(sequence, tokens)).logits();
    }

    SpanResult feed(Feed feed) {
        return step(Logits.ALL, List.of(feed)).get(0);
    }

    /** Gives a sequence's pages back; it begins anew with its next feed. */
    void clear(int sequence) {
        all.get(sequence).close();
    }

    @Override
    public void close() {
        all.forEach(KvSequence::close);
        backend.close();
    }
}
