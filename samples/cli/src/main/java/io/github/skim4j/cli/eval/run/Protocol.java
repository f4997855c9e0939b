package io.github.skim4j.cli.eval.run;

import java.util.Locale;

/** What an attention method applies to; whatever is left is dense. */
public enum Protocol {
    /** The generation. */
    PROMPT,
    /** The question and the generation; only the documents before them are dense. */
    QUESTION;

    /** As the user writes it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
