package io.github.skim4j.engine.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLEncoder;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The folder of downloaded models:
 *
 * <pre>
 * owner--name/refs/REVISION           the commit that a branch or tag was at
 * owner--name/COMMIT/FILE             a file, complete and checked
 * owner--name/COMMIT/FILE.part        what is there of a file
 * owner--name/COMMIT/.model           which file is the default model, or "." for the folder; written once all is there
 * owner--name/.lock                   held by the process that downloads
 * </pre>
 */
final class HubCache {

    private static final Logger LOG = LoggerFactory.getLogger(HubCache.class);
    private static final Duration RETRY_DELAY = Duration.ofSeconds(1);
    private static final Duration SILENCE = Duration.ofSeconds(60);
    private static final String MODEL = ".model";
    private static final TypeReference<List<Map<String, Object>>> OBJECTS = new TypeReference<>() {};

    private final HubConfig hub;
    private final HubClient client;

    HubCache(HubConfig hub) {
        this(hub, new HubClient(hub, RETRY_DELAY, SILENCE));
    }

    HubCache(HubConfig hub, HubClient client) {
        this.hub = hub;
        this.client = client;
    }

    /** Path of a model in the cache, after downloading what is missing. */
    Path get(HubReference reference) {
        Path repository = hub.cache().resolve(reference.id().replace("/", "--"));
        Path ref = repository.resolve("refs").resolve(URLEncoder.encode(reference.revision(), StandardCharsets.UTF_8));
        try {
            if (hub.offline()) {
                Path model = cached(repository, ref, reference);
                if (model == null) {
                    throw new ModelNotFoundException(reference + " is not in the cache " + hub.cache()
                            + ", and nothing is downloaded in offline mode; switch it off (HF_HUB_OFFLINE)"
                            + " or give a path");
                }
                return model;
            }
            return online(repository, ref, reference);
        } catch (HubClient.StatusException e) {
            throw refused(reference, e);
        } catch (IOException e) {
            throw new ModelDownloadException(
                    reference + " can't be downloaded from " + hub.endpoint() + ": " + describe(e), e);
        }
    }

    private static String describe(IOException e) {
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    private Path online(Path repository, Path ref, HubReference reference) throws IOException {
        String commit;
        try {
            commit = commit(reference);
        } catch (HubClient.StatusException e) {
            throw e;
        } catch (IOException e) {
            Path model = cached(repository, ref, reference);
            if (model == null) {
                throw e;
            }
            LOG.warn(
                    "{} is used as it was downloaded before: {} can't be asked ({})",
                    reference,
                    hub.endpoint(),
                    describe(e));
            return model;
        }
        Path folder = repository.resolve(commit);
        Path model = cached(folder, reference);
        if (model == null) {
            Files.createDirectories(folder);
            model = download(repository, folder, reference, commit);
        }
        write(ref, commit);
        return model;
    }

    /** The model of the commit that the revision was at last time, or {@code null}. */
    private static Path cached(Path repository, Path ref, HubReference reference) throws IOException {
        if (reference.revision().matches("[0-9a-f]{40}")) {
            return cached(repository.resolve(reference.revision()), reference);
        }
        return Files.isRegularFile(ref)
                ? cached(repository.resolve(checkCommit(Files.readString(ref))), reference)
                : null;
    }

    /** The model in the folder of a commit, or {@code null} if it isn't complete. */
    private static Path cached(Path folder, HubReference reference) throws IOException {
        if (reference.file() != null) {
            Path file = below(folder, reference.file());
            return Files.isRegularFile(file) ? file : null;
        }
        Path marker = folder.resolve(MODEL);
        return Files.isRegularFile(marker) ? below(folder, Files.readString(marker)) : null;
    }

    private String commit(HubReference reference) throws IOException {
        String path = "/api/models/" + reference.id() + "/revision/" + reference.revision();
        Fields model = Json.parse(hub.endpoint() + path, client.document(path));
        String commit = model.string("sha");
        if (commit == null) {
            throw model.error("sha", "is missing");
        }
        return checkCommit(commit);
    }

    /** It becomes the name of a folder. */
    private static String checkCommit(String commit) throws IOException {
        if (!commit.matches("[0-9a-zA-Z]{1,64}")) {
            throw new IOException("not a commit: " + commit);
        }
        return commit;
    }

    private Path download(Path repository, Path folder, HubReference reference, String commit) throws IOException {
        Path lockFile = repository.resolve(".lock");
        try (FileChannel channel = FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            lock(channel);
            // Whoever held the lock may have brought it.
            Path model = cached(folder, reference);
            if (model != null) {
                return model;
            }
            List<HubFile> files = HubFile.select(reference, list(reference, commit));
            for (HubFile file : files) {
                Path target = below(folder, file.path());
                if (!Files.isRegularFile(target)) {
                    download(reference, commit, file, target);
                }
            }
            boolean gguf = files.size() == 1 && files.get(0).path().endsWith(".gguf");
            String path = gguf ? files.get(0).path() : ".";
            if (reference.file() == null) {
                write(folder.resolve(MODEL), path);
            }
            return below(folder, path);
        }
    }

    /** Waits for the lock, which another process or another thread of this one may hold; closing the channel releases it. */
    private static void lock(FileChannel channel) throws IOException {
        while (true) {
            try {
                if (channel.tryLock() != null) {
                    return;
                }
            } catch (OverlappingFileLockException e) {
                LOG.debug("another thread downloads from this repository");
            }
            HubClient.pause(100);
        }
    }

    private List<HubFile> list(HubReference reference, String commit) throws IOException {
        String path = "/api/models/" + reference.id() + "/tree/" + commit + "?recursive=true";
        List<Map<String, Object>> entries;
        try {
            entries = Json.MAPPER.readValue(client.document(path), OBJECTS);
        } catch (JsonProcessingException e) {
            throw Json.syntaxError(hub.endpoint() + path, e);
        }
        return entries.stream()
                .map(entry -> new Fields(hub.endpoint() + path, "", entry))
                .filter(entry -> "file".equals(entry.string("type")))
                .map(HubCache::file)
                .filter(HubFile::isSafe)
                .toList();
    }

    private static HubFile file(Fields entry) {
        Fields lfs = entry.object("lfs");
        Fields sized = lfs == null ? entry : lfs;
        double size = sized.number("size");
        if (size < 0 || size > 1L << 50 || size != Math.rint(size)) {
            throw sized.error("size", "must be a whole number of bytes, but is " + size);
        }
        String path = entry.string("path");
        if (path == null) {
            throw entry.error("path", "is missing");
        }
        return new HubFile(
                path, (long) size, lfs == null ? null : lfs.string("oid"), lfs == null ? entry.string("oid") : null);
    }

    private void download(HubReference reference, String commit, HubFile file, Path target) throws IOException {
        Files.createDirectories(target.getParent());
        Path part = target.resolveSibling(target.getFileName() + ".part");
        String path = "/" + reference.id() + "/resolve/" + commit + "/" + file.path();
        boolean resumed = Files.exists(part);
        client.download(path, file.path(), part, file.size());
        if (!isIntact(file, part)) {
            Files.delete(part);
            if (!resumed) {
                throw new IOException("the checksum of " + file.path() + " is wrong");
            }
            download(reference, commit, file, target);
            return;
        }
        Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private static boolean isIntact(HubFile file, Path path) throws IOException {
        if (file.sha256() != null) {
            return digest(path, newDigest("SHA-256")).equals(file.sha256());
        }
        if (file.gitId() != null) {
            MessageDigest digest = newDigest("SHA-1");
            digest.update(("blob " + file.size() + "\0").getBytes(StandardCharsets.US_ASCII));
            return digest(path, digest).equals(file.gitId());
        }
        return true;
    }

    private static MessageDigest newDigest(String algorithm) {
        try {
            return MessageDigest.getInstance(algorithm);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String digest(Path path, MessageDigest digest) throws IOException {
        try (InputStream in = Files.newInputStream(path)) {
            byte[] buffer = new byte[1 << 16];
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                digest.update(buffer, 0, read);
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** A path that does not leave the folder. */
    private static Path below(Path folder, String path) throws IOException {
        Path target = folder.resolve(path).normalize();
        if (!target.startsWith(folder.normalize())) {
            throw new IOException("the path " + path + " leads out of the cache");
        }
        return target;
    }

    /** Writes a small file so that readers see all or nothing of it. */
    private static void write(Path target, String text) throws IOException {
        Files.createDirectories(target.getParent());
        Path temporary = Files.createTempFile(target.getParent(), ".", ".tmp");
        Files.writeString(temporary, text);
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private RuntimeException refused(HubReference reference, HubClient.StatusException e) {
        String page = hub.endpoint() + "/" + reference.id();
        return switch (e.status()) {
            case 401, 403 ->
                new ModelNotFoundException(
                        reference + " is not given to "
                                + (hub.token() == null
                                        ? "visitors without a token: if it is gated or private, accept its terms at "
                                                + page + " and set HF_TOKEN; otherwise it does not exist"
                                        : "the owner of this HF_TOKEN: accept its terms at " + page
                                                + " or use another token"),
                        e);
            case 404 ->
                new ModelNotFoundException(
                        reference + " does not exist on " + hub.endpoint() + " (model or revision)", e);
            default ->
                new ModelDownloadException(
                        reference + " can't be downloaded from " + hub.endpoint() + ": " + describe(e), e);
        };
    }
}
