package io.github.skim4j.samples.assistant;

import dev.langchain4j.data.document.splitter.DocumentByParagraphSplitter;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.embedding.onnx.allminilml6v2q.AllMiniLmL6V2QuantizedEmbeddingModel;
import dev.langchain4j.model.input.PromptTemplate;
import dev.langchain4j.rag.DefaultRetrievalAugmentor;
import dev.langchain4j.rag.RetrievalAugmentor;
import dev.langchain4j.rag.content.injector.DefaultContentInjector;
import dev.langchain4j.rag.content.retriever.EmbeddingStoreContentRetriever;
import dev.langchain4j.store.embedding.EmbeddingStore;
import dev.langchain4j.store.embedding.EmbeddingStoreIngestor;
import dev.langchain4j.store.embedding.inmemory.InMemoryEmbeddingStore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Retrieval with LangChain4j: embeddings are computed in this process and kept in memory. */
@Configuration(proxyBeanMethods = false)
class RetrievalConfiguration {

    /** The text stands before the question, so that prompts on the same text begin alike. */
    private static final PromptTemplate PROMPT = PromptTemplate.from("""
            Context:
            {{contents}}

            Question: {{userMessage}}""");

    private static final Logger log = LoggerFactory.getLogger(RetrievalConfiguration.class);

    @Bean
    EmbeddingModel embeddingModel() {
        return new AllMiniLmL6V2QuantizedEmbeddingModel();
    }

    @Bean
    EmbeddingStore<TextSegment> embeddingStore(
            Library library, EmbeddingModel embeddingModel, AssistantProperties properties) {
        long start = System.nanoTime();
        EmbeddingStore<TextSegment> store = new InMemoryEmbeddingStore<>();
        EmbeddingStoreIngestor.builder()
                .documentSplitter(new DocumentByParagraphSplitter(properties.segmentLength(), 0))
                .embeddingModel(embeddingModel)
                .embeddingStore(store)
                .build()
                .ingest(library.documents());
        log.info(
                "Indexed {} documents from {} in {} ms",
                library.documents().size(),
                properties.documents().toAbsolutePath().normalize(),
                (System.nanoTime() - start) / 1_000_000);
        return store;
    }

    @Bean
    RetrievalAugmentor retrievalAugmentor(
            EmbeddingStore<TextSegment> store, EmbeddingModel embeddingModel, AssistantProperties properties) {
        return DefaultRetrievalAugmentor.builder()
                .contentRetriever(EmbeddingStoreContentRetriever.builder()
                        .embeddingStore(store)
                        .embeddingModel(embeddingModel)
                        .maxResults(properties.topK())
                        .build())
                .contentInjector(new DefaultContentInjector(PROMPT))
                .build();
    }
}
