package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HubCacheTest {

    private static final byte[] WEIGHTS = new byte[300_000];

    static {
        new Random(1).nextBytes(WEIGHTS);
    }

    @TempDir
    Path folder;

    private HubServer server;
    private final List<Long> progress = new CopyOnWriteArrayList<>();

    @BeforeEach
    void start() throws IOException {
        server = new HubServer();
        server.put("model-Q8_0.gguf", WEIGHTS);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private HubCache cache(String token, boolean offline) {
        HubConfig config =
                new HubConfig(server.endpoint(), token, folder.resolve("cache"), offline, (file, done, total) -> {
                    assertThat(total).isPositive();
                    progress.add(done);
                });
        return new HubCache(config, new HubClient(config, Duration.ofMillis(1), Duration.ofSeconds(10)));
    }

    private Path get(String reference) {
        return cache(null, false).get(HubReference.parse(reference));
    }

    private Path part() {
        return folder.resolve("cache/owner--name/" + HubServer.COMMIT + "/model-Q8_0.gguf.part");
    }

    @Test
    void downloadsOnceAndUsesItOffline() {
        Path model = get("owner/name");
        assertThat(model).hasBinaryContent(WEIGHTS).startsWith(folder.resolve("cache"));
        assertThat(progress).isSorted().endsWith((long) WEIGHTS.length);

        assertThat(get("owner/name@main:model-Q8_0.gguf")).isEqualTo(model);
        assertThat(server.downloads()).hasSize(1);

        int requests = server.requests.size();
        assertThat(cache(null, true).get(HubReference.parse("owner/name"))).isEqualTo(model);
        assertThat(server.requests).hasSize(requests);
    }

    @Test
    void usesWhatThereIsWhenTheHubCannotBeReached() {
        Path model = get("owner/name");
        server.close();
        assertThat(get("owner/name")).isEqualTo(model);
        assertThatThrownBy(() -> get("owner/other"))
                .isInstanceOf(ModelDownloadException.class)
                .hasMessageContaining("owner/other")
                .hasMessageContaining(server.endpoint().toString());
    }

    @Test
    void offlineNamesWhatTheCacheLacks() {
        assertThatThrownBy(() -> cache(null, true).get(HubReference.parse("owner/name")))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("owner/name")
                .hasMessageContaining("HF_HUB_OFFLINE");
        assertThat(server.requests).isEmpty();
    }

    @Test
    void goesOnWhereABrokenConnectionEnded() {
        server.breaks = 2;
        assertThat(get("owner/name")).hasBinaryContent(WEIGHTS);
        assertThat(server.downloads()).hasSize(3);
        assertThat(server.downloads().get(0).range()).isNull();
        assertThat(server.downloads().get(2).range()).isNotNull().isNotEqualTo("bytes=0-");
        assertThat(part()).doesNotExist();
    }

    @Test
    void goesOnAfterARestart() throws IOException {
        Files.createDirectories(part().getParent());
        Files.write(part(), Arrays.copyOf(WEIGHTS, 1000));
        assertThat(get("owner/name")).hasBinaryContent(WEIGHTS);
        assertThat(server.downloads()).extracting(HubServer.Request::range).containsExactly("bytes=1000-");
    }

    @Test
    void beginsAgainWhereRangesAreIgnored() throws IOException {
        server.ignoresRanges = true;
        Files.createDirectories(part().getParent());
        Files.write(part(), Arrays.copyOf(WEIGHTS, 1000));
        assertThat(get("owner/name")).hasBinaryContent(WEIGHTS);
    }

    @Test
    void beginsAgainWhenTheOldPartWasWrong() throws IOException {
        Files.createDirectories(part().getParent());
        Files.write(part(), new byte[1000]);
        assertThat(get("owner/name")).hasBinaryContent(WEIGHTS);
        assertThat(server.downloads()).extracting(HubServer.Request::range).containsExactly("bytes=1000-", null);
    }

    @Test
    void refusesAWrongChecksumAndLeavesNothing() {
        server.wrongChecksums = true;
        assertThatThrownBy(() -> get("owner/name"))
                .isInstanceOf(ModelDownloadException.class)
                .hasMessageContaining("checksum of model-Q8_0.gguf");
        assertThat(part()).doesNotExist();
        assertThat(part().resolveSibling("model-Q8_0.gguf")).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(ints = {401, 403})
    void hintsAtTheTokenWhereAccessIsDenied(int status) {
        server.status = status;
        assertThatThrownBy(() -> get("owner/name"))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("set HF_TOKEN")
                .hasMessageContaining(server.endpoint() + "/owner/name");
        assertThatThrownBy(() -> cache("secret", false).get(HubReference.parse("owner/name")))
                .hasMessageContaining("HF_TOKEN")
                .hasMessageNotContaining("secret");
        assertThat(server.requests).hasSize(2);
    }

    @Test
    void saysThatAModelDoesNotExist() {
        assertThatThrownBy(() -> get("owner/nothing"))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("owner/nothing does not exist");
        assertThatThrownBy(() -> get("owner/name@nowhere")).isInstanceOf(ModelNotFoundException.class);
    }

    @Test
    void triesTemporaryFailuresAgainAndGivesUp() {
        server.status = 503;
        assertThatThrownBy(() -> get("owner/name"))
                .isInstanceOf(ModelDownloadException.class)
                .hasMessageContaining("503");
        assertThat(server.requests).hasSize(5);
    }

    @Test
    void keepsTheTokenFromOtherHosts() {
        server.redirects = true;
        cache("secret", false).get(HubReference.parse("owner/name"));
        assertThat(server.requests).anyMatch(request -> request.host().equals("storage"));
        assertThat(server.requests)
                .allSatisfy(request ->
                        assertThat(request.token()).isEqualTo(request.host().equals("hub") ? "Bearer secret" : null));
    }

    @Test
    void downloadsADirectory() throws IOException {
        try (Stream<Path> files = Files.list(GoldenModels.path("llama-untied"))) {
            for (Path file : files.toList()) {
                server.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        }
        server.put("README.json", "{}".getBytes(StandardCharsets.UTF_8));
        server.breaks = 1;
        Path model = get("owner/name");
        try (ModelFile file = ModelFile.open(model)) {
            assertThat(file.config().layers()).isPositive();
        }
        assertThat(model.resolve("README.json")).doesNotExist();
        assertThat(model.resolve("model-Q8_0.gguf")).doesNotExist();
        assertThat(cache(null, true).get(HubReference.parse("owner/name"))).isEqualTo(model);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"../../../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "..\\\\evil.gguf", ".lock.gguf"})
    void writesNothingOutsideItsFolder(String path) throws IOException {
        server.foreignPath = path;
        server.put("model-Q8_0.gguf", WEIGHTS);
        get("owner/name");
        try (Stream<Path> files = Files.walk(folder)) {
            assertThat(files.filter(Files::isRegularFile))
                    .allMatch(file -> file.startsWith(folder.resolve("cache/owner--name")))
                    .noneMatch(file -> file.toString().contains("evil"));
        }
    }

    @Test
    void choosesAmongSeveralGgufs() {
        server.put("model-Q2_K.gguf", new byte[] {1});
        assertThat(get("owner/name").getFileName()).hasToString("model-Q8_0.gguf");
        assertThat(get("owner/name:model-Q2_K.gguf")).hasBinaryContent(new byte[] {1});
        assertThatThrownBy(() -> get("owner/name:model-Q3_K.gguf"))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("model-Q3_K.gguf")
                .hasMessageContaining("model-Q2_K.gguf, model-Q8_0.gguf");
    }

    @Test
    void listsGgufsOfWhichNoneIsTheDefault() {
        HubReference reference = HubReference.parse("owner/name");
        List<HubFile> files = List.of(
                new HubFile("a-Q2_K.gguf", 1, null, null),
                new HubFile("a-Q6_K.gguf", 1, null, null),
                new HubFile("a-Q8_0-00001-of-00002.gguf", 1, null, null));
        assertThatThrownBy(() -> HubFile.select(reference, files))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("owner/name:FILE of a-Q2_K.gguf, a-Q6_K.gguf");
        assertThatThrownBy(() -> HubFile.select(reference, List.of())).hasMessageContaining("neither");
        List<HubFile> preferred =
                List.of(new HubFile("a-Q8_0.gguf", 1, null, null), new HubFile("a-q4_k_m.gguf", 1, null, null));
        assertThat(HubFile.select(reference, preferred))
                .extracting(HubFile::path)
                .containsExactly("a-q4_k_m.gguf");
    }

    @Test
    void severalAtOnceDownloadOnce() {
        List<CompletableFuture<Path>> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            all.add(CompletableFuture.supplyAsync(() -> get("owner/name")));
        }
        for (CompletableFuture<Path> one : all) {
            assertThat(one.join()).hasBinaryContent(WEIGHTS);
        }
        assertThat(server.downloads()).hasSize(1);
    }

    @Test
    void theConfigurationKeepsTheTokenToItself() {
        HubConfig config = new HubConfig(
                URI.create("https://example.org"), " secret ", folder, false, HubConfig.DownloadProgress.NONE);
        assertThat(config.toString()).doesNotContain("secret");
        assertThat(config.token()).isEqualTo("secret");
        assertThatThrownBy(() ->
                        new HubConfig(URI.create("ftp://x"), null, folder, false, HubConfig.DownloadProgress.NONE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("ftp://x");
    }
}
