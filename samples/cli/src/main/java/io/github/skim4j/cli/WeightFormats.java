package io.github.skim4j.cli;

import io.github.skim4j.engine.model.WeightFormat;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Weight formats by their names in settings: {@code as-stored}, {@code q8_0}, {@code q4_0}. */
public final class WeightFormats implements ITypeConverter<WeightFormat> {

    @Override
    public WeightFormat convert(String name) {
        return Arrays.stream(WeightFormat.values())
                .filter(format -> name(format).equalsIgnoreCase(name))
                .findFirst()
                .orElseThrow(
                        () -> new TypeConversionException("'" + name + "' is none of " + String.join(", ", names())));
    }

    private static List<String> names() {
        return Arrays.stream(WeightFormat.values()).map(WeightFormats::name).toList();
    }

    private static String name(WeightFormat format) {
        String lower = format.name().toLowerCase(Locale.ROOT);
        return format == WeightFormat.AS_STORED ? lower.replace('_', '-') : lower;
    }
}
