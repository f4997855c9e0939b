package io.github.skim4j.langchain4j.spi;

import io.github.skim4j.langchain4j.SkimStreamingChatModel;
import java.util.function.Supplier;

/** Makes what {@link SkimStreamingChatModel#builder()} returns. */
public interface SkimStreamingChatModelBuilderFactory extends Supplier<SkimStreamingChatModel.Builder> {}
