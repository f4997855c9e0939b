package io.github.skim4j.engine.chat;

import io.github.skim4j.engine.SkimException;

/** A chat template is missing, damaged, over its limits or uses what isn't known; the message names template, line and way out. */
public class ChatTemplateException extends SkimException {

    public ChatTemplateException(String message) {
        super(message);
    }

    public ChatTemplateException(String message, Throwable cause) {
        super(message, cause);
    }
}
