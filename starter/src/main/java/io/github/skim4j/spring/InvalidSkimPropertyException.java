package io.github.skim4j.spring;

import dev.langchain4j.exception.InvalidRequestException;
import io.github.skim4j.engine.SkimException;
import java.util.function.BiFunction;

/** The value of a property does not do; the message says why not. */
public class InvalidSkimPropertyException extends SkimException {

    private final String property;
    private final String value;

    /** @param property name without the prefix, such as {@code kv-cache.page-size} */
    InvalidSkimPropertyException(String property, Object value, RuntimeException cause) {
        super("Invalid " + SkimProperties.PREFIX + "." + property + ": " + cause.getMessage(), cause);
        this.property = SkimProperties.PREFIX + "." + property;
        this.value = String.valueOf(value);
    }

    /** The property's full name. */
    public String property() {
        return property;
    }

    public String value() {
        return value;
    }

    /** What {@code change} makes of {@code target} with the property's value; {@code target} itself where there is none. */
    static <T, V> T apply(String property, V value, T target, BiFunction<T, V, T> change) {
        if (value == null) {
            return target;
        }
        try {
            return change.apply(target, value);
        } catch (IllegalArgumentException | InvalidRequestException e) {
            throw new InvalidSkimPropertyException(property, value, e);
        }
    }
}
