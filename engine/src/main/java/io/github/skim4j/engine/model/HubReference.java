package io.github.skim4j.engine.model;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A model on the hub.
 *
 * @param id {@code owner/name}
 * @param revision branch, tag or commit
 * @param file path of a GGUF file in the repository, or {@code null} for the default
 */
record HubReference(String id, String revision, String file) {

    private static final Pattern SYNTAX = Pattern.compile(
            "([A-Za-z0-9][\\w.-]*/[A-Za-z0-9][\\w.-]*)(?:@([A-Za-z0-9][\\w./-]*))?(?::([\\w .+/-]+\\.gguf))?");

    /** {@code null} if it isn't one. */
    static HubReference parse(String reference) {
        Matcher matcher = SYNTAX.matcher(reference);
        if (!matcher.matches() || reference.contains("..")) {
            return null;
        }
        String revision = matcher.group(2);
        return new HubReference(matcher.group(1), revision == null ? "main" : revision, matcher.group(3));
    }

    @Override
    public String toString() {
        return id + (revision.equals("main") ? "" : "@" + revision) + (file == null ? "" : ":" + file);
    }
}
