package io.github.skim4j.engine.backend;

import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/**
 * The device that a setting such as {@code auto} or {@code cuda:1} stands for.
 *
 * @param fallbackReason why it is not a more preferred one; {@code null} if it is the most preferred or was asked for
 */
public record Device(BackendProvider provider, int ordinal, String fallbackReason) {

    private static final String AUTO = "auto";

    /**
     * @param setting {@code auto}, or a provider's name with an optional number, such as {@code cuda:1}
     * @throws BackendException if there is no such device or it is not available
     */
    public static Device choose(String setting) {
        return choose(setting, providers());
    }

    /** All kinds of device that there is code for, available or not, the most preferred first. */
    public static List<BackendProvider> providers() {
        return ServiceLoader.load(BackendProvider.class, BackendProvider.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .sorted(Comparator.comparingInt(BackendProvider::preference).reversed())
                .toList();
    }

    /**
     * @param providers most preferred first
     */
    static Device choose(String setting, List<BackendProvider> providers) {
        if (setting.equals(AUTO)) {
            String reason = null;
            for (BackendProvider provider : providers) {
                String unavailable = provider.unavailable(0);
                if (unavailable == null) {
                    return new Device(provider, 0, reason);
                }
                reason = reason == null ? unavailable : reason + "; " + unavailable;
            }
            throw new BackendException("No device is available: " + reason);
        }
        int colon = setting.indexOf(':');
        String name = colon < 0 ? setting : setting.substring(0, colon);
        int ordinal = colon < 0 ? 0 : ordinal(setting, setting.substring(colon + 1));
        for (BackendProvider provider : providers) {
            if (provider.name().equals(name)) {
                String unavailable = provider.unavailable(ordinal);
                if (unavailable != null) {
                    throw new BackendException("Device " + setting + " is not available: " + unavailable
                            + "; set device to auto to fall back to another");
                }
                return new Device(provider, ordinal, null);
            }
        }
        throw new BackendException("There is no device '" + setting + "'; set device to auto or one of: "
                + providers.stream().map(BackendProvider::name).collect(Collectors.joining(", ")));
    }

    private static int ordinal(String setting, String text) {
        try {
            return Integer.parseUnsignedInt(text);
        } catch (NumberFormatException e) {
            throw new BackendException(
                    "The number in device '" + setting + "' is not one; expected a form like cuda:0");
        }
    }
}
