package io.github.skim4j.engine;

/**
 * A snapshot of an engine.
 *
 * @param device what it runs on, in words
 * @param fallbackReason why it is not on the device that was asked for; {@code null} if it is
 * @param failure why it serves no more requests: it was closed or its device failed; {@code null} while it serves
 * @param pagesTotal KV pages in the pool
 * @param pagesFree KV pages that no sequence holds, those that the prefix cache keeps included
 * @param pageSize tokens in a page
 * @param running sequences being prefilled or decoded
 * @param queued requests that wait
 * @param completed requests that ended, cancelled ones included
 * @param cancelled requests that were cancelled
 * @param failed requests that ended with an error
 * @param promptTokens prompt tokens processed since the start
 * @param cachedTokens how many of them had their keys and values in the prefix cache
 * @param generatedTokens tokens decoded since the start
 * @param attention what sparse attention read since the start
 */
public record EngineStats(
        String device,
        String fallbackReason,
        String failure,
        int pagesTotal,
        int pagesFree,
        int pageSize,
        int running,
        int queued,
        long completed,
        long cancelled,
        long failed,
        long promptTokens,
        long cachedTokens,
        long generatedTokens,
        AttentionStats attention) {}
