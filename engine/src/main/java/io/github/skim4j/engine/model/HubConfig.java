package io.github.skim4j.engine.model;

import java.net.URI;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Objects;

/**
 * How models are fetched from a Hugging Face hub.
 *
 * @param endpoint the hub
 * @param token access token for gated models; {@code null} for none
 * @param cache folder that keeps downloads
 * @param offline use what the cache has and never connect
 * @param progress told of downloads
 */
public record HubConfig(URI endpoint, String token, Path cache, boolean offline, DownloadProgress progress) {

    /** Told how a download goes on; called often, from the downloading thread. */
    @FunctionalInterface
    public interface DownloadProgress {

        DownloadProgress NONE = (file, done, total) -> {};

        /**
         * @param file name of the file
         * @param done bytes that are there
         * @param total bytes of the whole file, or -1 if unknown
         */
        void update(String file, long done, long total);
    }

    public HubConfig {
        Objects.requireNonNull(endpoint, "endpoint");
        Objects.requireNonNull(cache, "cache");
        Objects.requireNonNull(progress, "progress");
        if (endpoint.getHost() == null || !List.of("http", "https").contains(endpoint.getScheme())) {
            throw new IllegalArgumentException(
                    "the hub's endpoint must be an http or https address, but is " + endpoint);
        }
        token = token == null || token.isBlank() ? null : token.strip();
    }

    /**
     * The hub's own environment variables: {@code HF_ENDPOINT}, {@code HF_TOKEN}, {@code HF_HUB_OFFLINE}; the cache is {@code
     * $SKIM_HOME} or {@code ~/.cache/skim}.
     */
    public static HubConfig fromEnvironment() {
        String endpoint = environment("HF_ENDPOINT", "https://huggingface.co");
        String home = environment("SKIM_HOME", null);
        String offline = environment("HF_HUB_OFFLINE", "").toLowerCase(Locale.ROOT);
        URI uri;
        try {
            uri = URI.create(endpoint);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("HF_ENDPOINT is not an address: " + endpoint, e);
        }
        return new HubConfig(
                uri,
                environment("HF_TOKEN", null),
                home != null ? Path.of(home) : Path.of(System.getProperty("user.home"), ".cache", "skim"),
                List.of("1", "true", "yes", "on").contains(offline),
                DownloadProgress.NONE);
    }

    private static String environment(String name, String fallback) {
        String value = System.getenv(name);
        return value == null || value.isBlank() ? fallback : value.strip();
    }

    public HubConfig withProgress(DownloadProgress progress) {
        return new HubConfig(endpoint, token, cache, offline, progress);
    }

    /** Without the token. */
    @Override
    public String toString() {
        return "HubConfig[endpoint=" + endpoint + ", token=" + (token == null ? "none" : "set") + ", cache=" + cache
                + ", offline=" + offline + "]";
    }
}
