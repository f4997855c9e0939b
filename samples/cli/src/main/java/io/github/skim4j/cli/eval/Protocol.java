package io.github.skim4j.cli.eval;

/** What an attention method applies to; whatever is left is dense. */
enum Protocol {
    /** The generation. */
    PROMPT,
    /** The question and the generation; only the documents before them are dense. */
    QUESTION
}
