package io.github.skim4j.engine.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.ProxySelector;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodySubscribers;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;

/** HTTP as a hub needs it: redirects that keep the token at home, resumed downloads, retries, a limit on silence. */
final class HubClient {

    private static final int MAX_REDIRECTS = 10;
    private static final int ATTEMPTS = 5;
    private static final int MAX_DOCUMENT = 16 << 20;

    private final HubConfig hub;
    private final Duration retryDelay;
    private final Duration silence;
    private final HttpClient http;

    /**
     * @param retryDelay before the second attempt; it doubles for each one after
     * @param silence longest time without a byte
     */
    HubClient(HubConfig hub, Duration retryDelay, Duration silence) {
        this.hub = hub;
        this.retryDelay = retryDelay;
        this.silence = silence;
        HttpClient.Builder builder =
                HttpClient.newBuilder().connectTimeout(silence).followRedirects(HttpClient.Redirect.NEVER);
        if (ProxySelector.getDefault() != null) {
            builder.proxy(ProxySelector.getDefault());
        }
        this.http = builder.build();
    }

    /** The answer of the hub's API as JSON text. */
    byte[] document(String path) throws IOException {
        return retrying(() -> {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            send(path, 0, headers -> piece -> {
                if (bytes.size() + piece.length > MAX_DOCUMENT) {
                    throw new IOException("the answer is longer than " + MAX_DOCUMENT + " bytes");
                }
                bytes.write(piece);
            });
            return bytes.toByteArray();
        });
    }

    /**
     * Brings a file, going on after what is in {@code target} already.
     *
     * @param size bytes it must have
     */
    void download(String path, String name, Path target, long size) throws IOException {
        retrying(() -> {
            try (FileChannel channel = FileChannel.open(target, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                if (channel.size() > size) {
                    channel.truncate(0);
                }
                if (channel.size() < size) {
                    send(path, channel.size(), headers -> {
                        long start = start(headers, channel.size());
                        channel.truncate(start).position(start);
                        hub.progress().update(name, start, size);
                        return piece -> append(channel, piece, name, size);
                    });
                }
                if (channel.size() != size) {
                    throw new IOException("the connection ended after " + channel.size() + " of " + size + " bytes");
                }
                return null;
            }
        });
    }

    private void append(FileChannel channel, byte[] piece, String name, long size) throws IOException {
        if (channel.position() + piece.length > size) {
            throw new IOException("the hub sends more than the " + size + " bytes that it announced");
        }
        ByteBuffer buffer = ByteBuffer.wrap(piece);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
        hub.progress().update(name, channel.position(), size);
    }

    /** Where the body begins in the file: as asked for, or at 0 where the server ignores ranges. */
    private static long start(HttpHeaders headers, long asked) throws IOException {
        String range = headers.firstValue("content-range").orElse(null);
        if (range == null) {
            return 0;
        }
        if (!range.startsWith("bytes " + asked + "-")) {
            throw new IOException("asked for the bytes from " + asked + ", but got " + range);
        }
        return asked;
    }

    /** Where the body of an answer goes. */
    @FunctionalInterface
    private interface Receiver {
        Sink begin(HttpHeaders headers) throws IOException;
    }

    @FunctionalInterface
    private interface Sink {
        void accept(byte[] piece) throws IOException;
    }

    @FunctionalInterface
    private interface Attempt<T> {
        T run() throws IOException;
    }

    /** An answer that another attempt would not change. */
    static final class StatusException extends IOException {

        private static final long serialVersionUID = 1;

        private final int status;

        StatusException(int status, URI uri) {
            super("the server " + uri.getHost() + " answers with status " + status);
            this.status = status;
        }

        int status() {
            return status;
        }

        boolean isTemporary() {
            return status == 408 || status == 429 || status >= 500;
        }
    }

    private <T> T retrying(Attempt<T> attempt) throws IOException {
        long delay = retryDelay.toMillis();
        for (int i = 1; ; i++) {
            try {
                return attempt.run();
            } catch (InterruptedIOException e) {
                throw e;
            } catch (IOException e) {
                boolean worthIt = !(e instanceof StatusException status) || status.isTemporary();
                // A refused connection will be refused again, and whoever has no network should hear of it at once.
                if (!worthIt || e instanceof ConnectException || i == ATTEMPTS) {
                    throw e;
                }
            }
            pause(delay);
            delay *= 2;
        }
    }

    static void pause(long millis) throws InterruptedIOException {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    private static InterruptedIOException interrupted() {
        Thread.currentThread().interrupt();
        return new InterruptedIOException("the download was interrupted");
    }

    /**
     * @param path after the endpoint, not yet encoded
     * @param from first byte wanted
     */
    private void send(String path, long from, Receiver receiver) throws IOException {
        URI uri = encode(path);
        for (int i = 0; i < MAX_REDIRECTS; i++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(uri).header("User-Agent", "skim");
            // The hub redirects large files to storage hosts, which the token is none of the business of.
            if (hub.token() != null && isHub(uri)) {
                request.header("Authorization", "Bearer " + hub.token());
            }
            if (from > 0) {
                request.header("Range", "bytes=" + from + "-");
            }
            HttpResponse<Void> response = exchange(request.build(), receiver);
            int status = response.statusCode();
            if (Set.of(301, 302, 303, 307, 308).contains(status)) {
                uri = redirect(uri, response.headers());
            } else if (status == 200 || status == 206) {
                return;
            } else if (status == 416 && from > 0) {
                // What is there does not fit the file; begin again.
                from = 0;
            } else {
                throw new StatusException(status, uri);
            }
        }
        throw new IOException("more than " + MAX_REDIRECTS + " redirects");
    }

    private URI encode(String path) throws IOException {
        String endpoint = hub.endpoint().toString();
        int query = path.indexOf('?');
        try {
            String encoded = new URI(null, null, query < 0 ? path : path.substring(0, query), null).getRawPath();
            return URI.create((endpoint.endsWith("/") ? endpoint.substring(0, endpoint.length() - 1) : endpoint)
                    + encoded
                    + (query < 0 ? "" : path.substring(query)));
        } catch (URISyntaxException e) {
            throw new IOException("not a path: " + path, e);
        }
    }

    private boolean isHub(URI uri) {
        URI endpoint = hub.endpoint();
        return endpoint.getScheme().equalsIgnoreCase(uri.getScheme())
                && endpoint.getHost().equalsIgnoreCase(uri.getHost())
                && endpoint.getPort() == uri.getPort();
    }

    private static URI redirect(URI from, HttpHeaders headers) throws IOException {
        String location = headers.firstValue("location").orElse("");
        try {
            URI to = from.resolve(new URI(location));
            boolean secure = "https".equalsIgnoreCase(to.getScheme());
            boolean plain = "http".equalsIgnoreCase(to.getScheme()) && "http".equalsIgnoreCase(from.getScheme());
            if (to.getHost() != null && (secure || plain)) {
                return to;
            }
        } catch (URISyntaxException e) {
            throw new IOException("redirected to no address: " + location, e);
        }
        throw new IOException("redirected to an address that is not allowed: " + location);
    }

    private HttpResponse<Void> exchange(HttpRequest request, Receiver receiver) throws IOException {
        AtomicLong received = new AtomicLong();
        // Not sendAsync: its result comes by way of the common pool, whose threads may all be waiting here.
        FutureTask<HttpResponse<Void>> exchange = new FutureTask<>(() -> http.send(request, info -> {
            received.incrementAndGet();
            boolean wanted = info.statusCode() == 200 || info.statusCode() == 206;
            return wanted ? new Body(receiver, info.headers(), received) : BodySubscribers.discarding();
        }));
        Thread thread = new Thread(exchange, "skim-download");
        thread.setDaemon(true);
        thread.start();
        try {
            while (true) {
                long before = received.get();
                try {
                    return exchange.get(silence.toMillis(), TimeUnit.MILLISECONDS);
                } catch (TimeoutException e) {
                    if (received.get() == before) {
                        throw new IOException(
                                "no data from " + request.uri().getHost() + " for " + silence.toSeconds() + " s", e);
                    }
                }
            }
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException io ? io : new IOException(e.getCause());
        } catch (InterruptedException e) {
            throw interrupted();
        } finally {
            exchange.cancel(true);
        }
    }

    /** Passes an answer's body on as it comes; a failure there ends the exchange. */
    private static final class Body implements HttpResponse.BodySubscriber<Void> {

        private final Receiver receiver;
        private final HttpHeaders headers;
        private final AtomicLong received;
        private final CompletableFuture<Void> done = new CompletableFuture<>();
        private Flow.Subscription subscription;
        private Sink sink;

        Body(Receiver receiver, HttpHeaders headers, AtomicLong received) {
            this.receiver = receiver;
            this.headers = headers;
            this.received = received;
        }

        @Override
        public CompletionStage<Void> getBody() {
            return done;
        }

        @Override
        public void onSubscribe(Flow.Subscription subscription) {
            this.subscription = subscription;
            try {
                sink = receiver.begin(headers);
                subscription.request(1);
            } catch (IOException | RuntimeException e) {
                fail(e);
            }
        }

        @Override
        public void onNext(List<ByteBuffer> buffers) {
            try {
                for (ByteBuffer buffer : buffers) {
                    byte[] piece = new byte[buffer.remaining()];
                    buffer.get(piece);
                    received.addAndGet(piece.length);
                    sink.accept(piece);
                }
                subscription.request(1);
            } catch (IOException | RuntimeException e) {
                fail(e);
            }
        }

        private void fail(Exception e) {
            subscription.cancel();
            done.completeExceptionally(e);
        }

        @Override
        public void onError(Throwable error) {
            done.completeExceptionally(error);
        }

        @Override
        public void onComplete() {
            done.complete(null);
        }
    }
}
