package io.github.skim4j.langchain4j.spi;

import io.github.skim4j.langchain4j.SkimChatModel;
import java.util.function.Supplier;

/** Makes what {@link SkimChatModel#builder()} returns. */
public interface SkimChatModelBuilderFactory extends Supplier<SkimChatModel.Builder> {}
