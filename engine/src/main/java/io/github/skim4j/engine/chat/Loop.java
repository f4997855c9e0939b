package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.util.ForLoop;
import java.util.List;

/** The variable {@code loop}. */
final class Loop extends ForLoop {

    private final List<?> items;

    Loop(List<?> items) {
        super(items.iterator(), items.size());
        this.items = items;
    }

    Object property(String name) {
        int at = getIndex0();
        return switch (name) {
            case "index" -> at + 1;
            case "index0" -> at;
            case "revindex" -> items.size() - at;
            case "revindex0" -> items.size() - at - 1;
            case "first" -> at == 0;
            case "last" -> at == items.size() - 1;
            case "length" -> items.size();
            case "previtem" -> at > 0 ? items.get(at - 1) : null;
            case "nextitem" -> at < items.size() - 1 ? items.get(at + 1) : null;
            default -> null;
        };
    }
}
