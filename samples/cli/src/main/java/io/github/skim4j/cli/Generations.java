package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SkimException;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.CompletionException;

/** Runs generations to their end. */
public final class Generations {

    private Generations() {}

    /** Waits for the result; what ended the generation is thrown as it is. */
    public static GenerationResult await(Engine engine, GenerationRequest request) {
        return await(engine, request, new GenerationListener() {});
    }

    /** Prints the answer while it comes. */
    static GenerationResult stream(Engine engine, GenerationRequest request, PrintWriter out) {
        GenerationResult result = await(engine, request, new GenerationListener() {
            @Override
            public void onText(String piece) {
                out.print(piece);
                out.flush();
            }
        });
        out.println();
        out.flush();
        return result;
    }

    private static GenerationResult await(Engine engine, GenerationRequest request, GenerationListener listener) {
        Generation generation = engine.generate(request, listener);
        try {
            return generation.result().join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            if (e.getCause() instanceof Error cause) {
                throw cause;
            }
            throw new SkimException("the generation failed: " + e.getCause(), e.getCause());
        }
    }

    /** One line of statistics. */
    static String summary(GenerationResult result) {
        double prefillSeconds =
                result.timeToFirstToken().minus(result.queueTime()).toNanos() / 1e9;
        return String.format(
                Locale.ROOT,
                "[prompt %,d tokens in %.2f s (%,.0f/s); answer %,d tokens, %.1f/s; attention density %.1f %%; %s]",
                result.promptTokens(),
                prefillSeconds,
                prefillSeconds > 0 ? result.promptTokens() / prefillSeconds : 0,
                result.generatedTokens(),
                result.tokensPerSecond(),
                100 * result.attention().density(),
                finish(result));
    }

    static String finish(GenerationResult result) {
        return result.finishReason().name().toLowerCase(Locale.ROOT);
    }
}
