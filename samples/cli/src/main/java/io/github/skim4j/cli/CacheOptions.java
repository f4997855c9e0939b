package io.github.skim4j.cli;

import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How keys and values are stored; shared by the commands that measure. */
public final class CacheOptions {

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    @Option(
            names = "--kv-type",
            paramLabel = "TYPE",
            description =
                    "Storage type of keys and values, of those that the device has: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).",
            defaultValue = "BF16")
    private KvType kvType;

    @Option(
            names = "--page-size",
            paramLabel = "N",
            defaultValue = "32",
            description = "Tokens in a page of the cache: 8, 16, 32 or 64 (default: ${DEFAULT-VALUE}).")
    private int pageSize;

    /**
     * @param memory bytes for all pages; 0 as in {@link KvCacheConfig}
     * @throws ParameterException if there are no pages of the size
     */
    public KvCacheConfig config(long memory, boolean prefixCache) {
        try {
            return new KvCacheConfig(pageSize, kvType, memory, prefixCache);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(command.commandLine(), e.getMessage(), e);
        }
    }
}
