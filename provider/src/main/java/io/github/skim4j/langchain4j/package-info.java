/**
 * LangChain4j's {@link dev.langchain4j.model.chat.ChatModel ChatModel}, {@link dev.langchain4j.model.chat.StreamingChatModel
 * StreamingChatModel} and {@link dev.langchain4j.model.TokenCountEstimator TokenCountEstimator} over an {@link
 * io.github.skim4j.engine.Engine}.
 */
package io.github.skim4j.langchain4j;
