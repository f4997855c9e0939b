package io.github.skim4j.engine.model;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;

/** A hub with one model, {@code owner/name}, on this machine, and a second host that keeps its large files. */
final class HubServer implements AutoCloseable {

    static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

    /** A request as it came. */
    record Request(String host, String path, String token, String range) {}

    private final HttpServer hub;
    private final HttpServer storage;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Map<String, byte[]> files = new ConcurrentHashMap<>();
    final List<Request> requests = new CopyOnWriteArrayList<>();

    /** Answers every request with this, if it isn't 0. */
    volatile int status;
    /** Redirects downloads to the second host. */
    volatile boolean redirects;
    /** How many downloads still break off halfway. */
    volatile int breaks;
    /** Whether the listing gives checksums that are wrong. */
    volatile boolean wrongChecksums;
    /** Whether ranges are ignored. */
    volatile boolean ignoresRanges;
    /** A further path in the listing. */
    volatile String foreignPath;

    HubServer() throws IOException {
        hub = start("hub");
        storage = start("storage");
    }

    private HttpServer start(String name) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", exchange -> {
            try (exchange) {
                requests.add(new Request(
                        name,
                        exchange.getRequestURI().getPath(),
                        exchange.getRequestHeaders().getFirst("Authorization"),
                        exchange.getRequestHeaders().getFirst("Range")));
                answer(name, exchange);
            }
        });
        server.start();
        return server;
    }

    URI endpoint() {
        return URI.create("http://localhost:" + hub.getAddress().getPort());
    }

    void put(String path, byte[] content) {
        files.put(path, content);
    }

    List<Request> downloads() {
        return requests.stream().filter(r -> r.path.contains("/resolve/")).toList();
    }

    private void answer(String host, HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        if (status != 0) {
            send(exchange, status, new byte[0]);
        } else if (path.equals("/api/models/owner/name/revision/main")) {
            send(exchange, 200, ("{\"sha\":\"" + COMMIT + "\"}").getBytes(StandardCharsets.UTF_8));
        } else if (path.equals("/api/models/owner/name/tree/" + COMMIT)) {
            send(exchange, 200, listing().getBytes(StandardCharsets.UTF_8));
        } else if (path.startsWith("/owner/name/resolve/" + COMMIT + "/")) {
            byte[] content = files.get(path.substring(path.indexOf(COMMIT) + COMMIT.length() + 1));
            if (content == null) {
                send(exchange, 404, new byte[0]);
            } else if (redirects && host.equals("hub")) {
                exchange.getResponseHeaders()
                        .add(
                                "Location",
                                "http://127.0.0.1:" + storage.getAddress().getPort() + path);
                send(exchange, 302, new byte[0]);
            } else {
                sendFile(exchange, content);
            }
        } else {
            send(exchange, 404, new byte[0]);
        }
    }

    private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
    }

    private void sendFile(HttpExchange exchange, byte[] content) throws IOException {
        String range = ignoresRanges ? null : exchange.getRequestHeaders().getFirst("Range");
        int from = range == null ? 0 : Integer.parseInt(range.replaceAll("\\D", ""));
        if (from > 0) {
            exchange.getResponseHeaders()
                    .add("Content-Range", "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
        }
        byte[] rest = Arrays.copyOfRange(content, from, content.length);
        exchange.sendResponseHeaders(from > 0 ? 206 : 200, rest.length);
        if (breaks > 0) {
            breaks--;
            exchange.getResponseBody().write(rest, 0, rest.length / 2);
            exchange.getResponseBody().flush();
            return; // closing the exchange now breaks the connection
        }
        exchange.getResponseBody().write(rest);
    }

    private String listing() {
        String entries = files.entrySet().stream()
                .map(file -> entry(file.getKey(), file.getValue()))
                .collect(Collectors.joining(","));
        return "[{\"type\":\"directory\",\"path\":\"sub\",\"oid\":\"1\",\"size\":0}"
                + (foreignPath == null
                        ? ""
                        : ",{\"type\":\"file\",\"path\":\"" + foreignPath + "\",\"oid\":\"1\",\"size\":3}")
                + (entries.isEmpty() ? "" : "," + entries) + "]";
    }

    /** Large files have a SHA-256, others git's SHA-1. */
    private String entry(String path, byte[] content) {
        String head = "{\"type\":\"file\",\"path\":\"" + path + "\",\"size\":" + content.length;
        if (path.endsWith(".json")) {
            byte[] prefix = ("blob " + content.length + "\0").getBytes(StandardCharsets.UTF_8);
            return head + ",\"oid\":\"" + digest("SHA-1", prefix, content) + "\"}";
        }
        return head + ",\"oid\":\"1\",\"lfs\":{\"oid\":\"" + digest("SHA-256", new byte[0], content) + "\",\"size\":"
                + content.length + "}}";
    }

    private String digest(String algorithm, byte[] prefix, byte[] content) {
        try {
            MessageDigest digest = MessageDigest.getInstance(algorithm);
            digest.update(prefix);
            digest.update(content);
            if (wrongChecksums) {
                digest.update((byte) 0);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        hub.stop(0);
        storage.stop(0);
        threads.shutdownNow();
    }
}
