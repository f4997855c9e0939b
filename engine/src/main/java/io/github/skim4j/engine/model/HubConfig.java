package io.github.skim4j.engine.model;

import java.net.URI;
import java.nio.file.Path;

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

    /**
     * The hub's own environment variables: {@code HF_ENDPOINT}, {@code HF_TOKEN}, {@code HF_HUB_OFFLINE}; the cache is {@code
     * $SKIM_HOME} or {@code ~/.cache/skim}.
     */
    public static HubConfig fromEnvironment() {
        String endpoint = System.getenv().getOrDefault("HF_ENDPOINT", "https://huggingface.co");
        String home = System.getenv("SKIM_HOME");
        String offline = System.getenv().getOrDefault("HF_HUB_OFFLINE", "");
        return new HubConfig(
                URI.create(endpoint),
                System.getenv("HF_TOKEN"),
                home != null ? Path.of(home) : Path.of(System.getProperty("user.home"), ".cache", "skim"),
                offline.equals("1") || offline.equalsIgnoreCase("true"),
                DownloadProgress.NONE);
    }

    public HubConfig withProgress(DownloadProgress progress) {
        return new HubConfig(endpoint, token, cache, offline, progress);
    }
}
