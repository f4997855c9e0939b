package io.github.skim4j.spring.failure;

import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.chat.ChatTemplateException;
import io.github.skim4j.engine.kv.KvCacheFullException;
import io.github.skim4j.engine.model.ModelDownloadException;
import io.github.skim4j.engine.model.ModelFormatException;
import io.github.skim4j.engine.model.ModelNotFoundException;
import io.github.skim4j.spring.NoModelException;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;

/** Tells the way out of an engine that could not be opened. */
class SkimFailureAnalyzer extends AbstractFailureAnalyzer<SkimException> {

    private static final String NO_MODEL = """
            Do one of these:

                - Set langchain4j.skim.model to the path of a Hugging Face directory or a GGUF file, to a classpath: \
            resource, or to a Hugging Face id such as HuggingFaceTB/SmolLM2-135M-Instruct.
                - Add the dependency io.github.skim4j:skim-demo-model, a small model to try things out, and leave \
            langchain4j.skim.model unset.

            If the application needs no model, set langchain4j.skim.enabled to false.""";

    private static final String NOT_FOUND = """
            Check langchain4j.skim.model: it takes the path of a Hugging Face directory or a GGUF file, a classpath: \
            resource, or a Hugging Face id such as owner/name@revision. A model that has yet to be downloaded needs \
            langchain4j.skim.hub.offline to be false, and a gated one langchain4j.skim.hub.token.""";

    private static final String DOWNLOAD = """
            Start the application again, which goes on with the download where it stopped, or fetch the model by other means \
            and set langchain4j.skim.model to its path. langchain4j.skim.hub.endpoint names the hub.""";

    private static final String FORMAT = """
            Set langchain4j.skim.model to a model of a supported kind, or fetch this one again: a download or copy that \
            broke off leaves a damaged file.""";

    private static final String MEMORY = """
            Do one of these:

                - Give the virtual machine more heap with -Xmx.
                - Set langchain4j.skim.context-length or langchain4j.skim.kv-cache.memory to what fits.
                - Set langchain4j.skim.weights to q8_0 or q4_0, or take a smaller model.""";

    private static final String DEVICE = """
            Set langchain4j.skim.device to auto, which takes the best device there is, or to cpu.""";

    private static final String CHAT_TEMPLATE = """
            Set langchain4j.skim.chat-template to a Jinja template for this model: the text itself, a classpath: resource, \
            or the path of a file.""";

    private static final String OTHER = "Correct the setting of langchain4j.skim that the description names.";

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, SkimException cause) {
        return new FailureAnalysis(cause.getMessage(), action(cause), cause);
    }

    private static String action(SkimException cause) {
        if (cause instanceof NoModelException) {
            return NO_MODEL;
        }
        if (cause instanceof ModelNotFoundException) {
            return NOT_FOUND;
        }
        if (cause instanceof ModelDownloadException) {
            return DOWNLOAD;
        }
        if (cause instanceof ModelFormatException) {
            return FORMAT;
        }
        if (cause instanceof DeviceMemoryException || cause instanceof KvCacheFullException) {
            return MEMORY;
        }
        if (cause instanceof BackendException) {
            return DEVICE;
        }
        if (cause instanceof ChatTemplateException) {
            return CHAT_TEMPLATE;
        }
        return OTHER;
    }
}
