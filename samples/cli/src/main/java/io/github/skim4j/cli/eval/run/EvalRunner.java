package io.github.skim4j.cli.eval.run;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.Generations;
import io.github.skim4j.cli.eval.cases.EvalCase;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;

/** Asks each case with all methods in turn, so that they share the document's keys and values through the prefix cache. */
public final class EvalRunner {

    private final Engine engine;
    private final Protocol protocol;
    private final int cueTokens;

    /** @param cueTokens see {@link #cueTokens(Engine)} */
    public EvalRunner(Engine engine, Protocol protocol, int cueTokens) {
        this.engine = engine;
        this.protocol = protocol;
        this.cueTokens = cueTokens;
    }

    /**
     * Tokens by which the chat template cues the answer, which end every prompt and which the engine does not count as a message's.
     */
    public static int cueTokens(Engine engine) {
        List<ChatMessage> shortChat = List.of(ChatMessage.user("Hello"));
        GenerationResult result = Generations.await(
                engine, GenerationRequest.chat(shortChat).maxOutputTokens(1).build());
        return result.promptTokens() - engine.countTokens(shortChat);
    }

    /**
     * Adds to {@code results} what they lack.
     *
     * @param progress runs after each answer, those that were there already included
     */
    public void run(List<EvalCase> cases, List<AttentionSpec> methods, EvalResults results, Runnable progress) {
        for (EvalCase evalCase : cases) {
            for (AttentionSpec method : methods) {
                if (!results.has(evalCase, method)) {
                    results.add(EvalResult.of(evalCase, method, answer(evalCase, method)));
                }
                progress.run();
            }
        }
    }

    private GenerationResult answer(EvalCase evalCase, AttentionSpec method) {
        try {
            Integer denseTokens = null;
            if (protocol == Protocol.QUESTION) {
                int promptTokens = engine.countTokens(evalCase.messages()) + cueTokens;
                denseTokens = Math.max(0, promptTokens - evalCase.questionTokens());
            }
            return Generations.await(
                    engine,
                    GenerationRequest.chat(evalCase.messages())
                            .maxOutputTokens(evalCase.maxTokens())
                            .attention(method.method())
                            .denseTokens(denseTokens)
                            .build());
        } catch (SkimException e) {
            throw new SkimException("case " + evalCase.id() + ": " + e.getMessage(), e);
        }
    }
}
