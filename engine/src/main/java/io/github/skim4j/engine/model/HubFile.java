package io.github.skim4j.engine.model;

import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A file in a hub repository.
 *
 * @param path in the repository
 * @param sha256 of files in large-file storage, else {@code null}
 * @param gitId git's SHA-1 of other files, else {@code null}
 */
record HubFile(String path, long size, String sha256, String gitId) {

    private static final Set<String> CONFIGURATION = Set.of(
            HuggingFaceLoader.CONFIG,
            HuggingFaceLoader.GENERATION_CONFIG,
            HuggingFaceLoader.TOKENIZER,
            HuggingFaceLoader.TOKENIZER_CONFIG,
            HuggingFaceLoader.CHAT_TEMPLATE,
            HuggingFaceLoader.INDEX);
    private static final Pattern SHARD = Pattern.compile("model(-\\d+-of-\\d+)?\\.safetensors");
    private static final Pattern GGUF_PART = Pattern.compile(".*-\\d{5}-of-\\d{5}\\.gguf");
    private static final Pattern SAFE_SEGMENT = Pattern.compile("[\\w][\\w .+=,()-]*");

    /** Whether the path stays below the folder that it is resolved against, whatever the server says. */
    boolean isSafe() {
        return List.of(path.split("/", -1)).stream()
                .allMatch(segment -> SAFE_SEGMENT.matcher(segment).matches() && !segment.contains(".."));
    }

    /**
     * The files of a repository that make the model.
     *
     * @return a GGUF file, or a configuration with its safetensors
     * @throws ModelNotFoundException if there is nothing to choose, or too much
     */
    static List<HubFile> select(HubReference reference, List<HubFile> all) {
        List<HubFile> ggufs = all.stream()
                .filter(file -> file.path.endsWith(".gguf") && !file.path.contains("mmproj"))
                .toList();
        if (reference.file() != null) {
            return List.of(ggufs.stream()
                    .filter(file -> file.path.equals(reference.file()))
                    .findFirst()
                    .orElseThrow(() -> new ModelNotFoundException(
                            reference.id() + " has no file " + reference.file() + "; it has " + paths(ggufs))));
        }
        List<HubFile> directory = directory(all);
        if (!directory.isEmpty()) {
            return directory;
        }
        List<HubFile> whole = ggufs.stream()
                .filter(file -> !GGUF_PART.matcher(file.path).matches())
                .toList();
        if (whole.size() == 1) {
            return whole;
        }
        for (String preferred : List.of("q4_k_m", "q8_0")) {
            List<HubFile> matching = whole.stream()
                    .filter(file -> file.path.toLowerCase(Locale.ROOT).contains(preferred))
                    .toList();
            if (matching.size() == 1) {
                return matching;
            }
        }
        throw new ModelNotFoundException(
                whole.isEmpty()
                        ? reference.id() + " has neither config.json with *.safetensors nor a whole *.gguf file"
                        : reference.id() + " has several GGUF files; name one as " + reference.id() + ":FILE of "
                                + paths(whole));
    }

    private static List<HubFile> directory(List<HubFile> all) {
        List<HubFile> weights =
                all.stream().filter(file -> SHARD.matcher(file.path).matches()).toList();
        if (weights.isEmpty()) {
            weights = all.stream()
                    .filter(file -> file.path.endsWith(".safetensors")
                            && !file.path.contains("/")
                            && !file.path.startsWith("consolidated"))
                    .toList();
        }
        List<HubFile> configuration =
                all.stream().filter(file -> CONFIGURATION.contains(file.path)).toList();
        if (weights.isEmpty() || configuration.stream().noneMatch(file -> file.path.equals(HuggingFaceLoader.CONFIG))) {
            return List.of();
        }
        return Stream.concat(configuration.stream(), weights.stream()).toList();
    }

    private static String paths(List<HubFile> files) {
        return files.isEmpty()
                ? "no GGUF file"
                : String.join(", ", files.stream().map(HubFile::path).sorted().toList());
    }
}
