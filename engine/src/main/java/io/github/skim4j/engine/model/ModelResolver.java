package io.github.skim4j.engine.model;

import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;

/** Finds the model that a reference means, and brings it to disk if it isn't there. */
public final class ModelResolver {

    private static final String CLASSPATH = "classpath:";

    private ModelResolver() {}

    /**
     * Resolves a path, {@code classpath:NAME} (used in place, or copied to a temporary file if it is in a jar), or a Hugging Face id
     * {@code owner/name[@revision][:file.gguf]} (downloaded into the cache). What exists as a path is a path.
     *
     * @throws ModelNotFoundException if there is no such model, or the hub does not give it
     * @throws ModelDownloadException if the download fails
     */
    public static ResolvedModel resolve(String reference, HubConfig hub) {
        if (reference.startsWith(CLASSPATH)) {
            return fromClasspath(reference.substring(CLASSPATH.length()));
        }
        Optional<Path> path = existing(reference);
        if (path.isPresent()) {
            Path name = path.get().toAbsolutePath().normalize().getFileName();
            return ResolvedModel.inPlace(name == null ? reference : name.toString(), path.get());
        }
        HubReference id = HubReference.parse(reference);
        if (id == null) {
            throw new ModelNotFoundException("no model '" + reference
                    + "': there is no such file or directory, and it is neither " + CLASSPATH
                    + "NAME nor a Hugging Face id owner/name[@revision][:file.gguf]");
        }
        return ResolvedModel.inPlace(reference, new HubCache(hub).get(id));
    }

    private static Optional<Path> existing(String reference) {
        try {
            return Optional.of(Path.of(reference)).filter(Files::exists);
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    private static ResolvedModel fromClasspath(String resource) {
        String name = resource.startsWith("/") ? resource.substring(1) : resource;
        URL url = find(name);
        if (url == null || name.isEmpty()) {
            throw new ModelNotFoundException("no model '" + CLASSPATH + resource + "' on the class path");
        }
        String file = name.substring(name.lastIndexOf('/') + 1);
        try {
            if (url.getProtocol().equals("file")) {
                return ResolvedModel.inPlace(file, Path.of(url.toURI()));
            }
            // Created for its owner alone; a fixed name would let other users put their own file there.
            Path copy = Files.createTempFile("skim-", "-" + file);
            copy.toFile().deleteOnExit();
            ResolvedModel model = ResolvedModel.temporary(file, copy);
            try {
                copy(url, copy);
                URL labelChannels = find(name + LabelChannels.SUFFIX);
                if (labelChannels != null) {
                    copy(labelChannels, LabelChannels.fileOf(copy));
                    LabelChannels.fileOf(copy).toFile().deleteOnExit();
                }
            } catch (IOException | RuntimeException e) {
                model.close();
                throw e;
            }
            return model;
        } catch (IOException | URISyntaxException e) {
            throw new ModelNotFoundException(
                    "the model '" + CLASSPATH + resource + "' can't be read from " + url + ": " + e, e);
        }
    }

    private static void copy(URL source, Path target) throws IOException {
        try (InputStream in = source.openStream()) {
            Files.copy(in, target, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private static URL find(String name) {
        ClassLoader context = Thread.currentThread().getContextClassLoader();
        URL url = context == null ? null : context.getResource(name);
        return url != null ? url : ModelResolver.class.getClassLoader().getResource(name);
    }
}
