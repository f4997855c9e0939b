package io.github.skim4j.samples.assistant;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.springframework.http.MediaType;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Talks to the application over HTTP as the page does. */
final class SseClient {

    record Event(String name, JsonNode data) {}

    private static final JsonMapper JSON = new JsonMapper();

    private final HttpClient http = HttpClient.newHttpClient();
    private final URI base;

    SseClient(int port) {
        base = URI.create("http://127.0.0.1:" + port);
    }

    HttpResponse<String> get(String path) {
        return send(HttpRequest.newBuilder(base.resolve(path)).build(), HttpResponse.BodyHandlers.ofString());
    }

    HttpResponse<InputStream> ask(String question) {
        HttpRequest request = HttpRequest.newBuilder(base.resolve("/api/answers"))
                .header("Content-Type", MediaType.APPLICATION_JSON_VALUE)
                .POST(HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(Map.of("question", question))))
                .build();
        return send(request, HttpResponse.BodyHandlers.ofInputStream());
    }

    /** All events of an answer. */
    List<Event> answer(String question) {
        try (BufferedReader reader = reader(ask(question))) {
            List<Event> events = new ArrayList<>();
            for (Event event = next(reader); event != null; event = next(reader)) {
                events.add(event);
            }
            return events;
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    static BufferedReader reader(HttpResponse<InputStream> response) {
        return new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8));
    }

    /** The next event, or {@code null} at the end. */
    static Event next(BufferedReader reader) throws IOException {
        String name = "";
        String data = "";
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            if (line.startsWith("event:")) {
                name = line.substring("event:".length());
            } else if (line.startsWith("data:")) {
                data += line.substring("data:".length());
            } else if (line.isEmpty()) {
                return new Event(name, JSON.readTree(data));
            }
        }
        return null;
    }

    static String text(List<Event> events) {
        StringBuilder text = new StringBuilder();
        for (Event event : events) {
            if (event.name().equals("token")) {
                text.append(event.data().get("text").asString());
            }
        }
        return text.toString();
    }

    static JsonNode json(String text) {
        return JSON.readTree(text);
    }

    private <T> HttpResponse<T> send(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        try {
            return http.send(request, handler);
        } catch (IOException e) {
            throw new AssertionError(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }
}
