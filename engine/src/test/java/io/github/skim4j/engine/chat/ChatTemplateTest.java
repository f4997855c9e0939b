package io.github.skim4j.engine.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.model.ModelFile.SpecialTokens;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ChatTemplateTest {

    private static final SpecialTokens TOKENS = new SpecialTokens("<s>", "</s>", null, null, true);
    private static final List<ChatMessage> HELLO = List.of(ChatMessage.user("Hello"));

    @Test
    void aModelWithoutOneGetsAChoice() {
        for (String none : new String[] {null, "", " \n"}) {
            assertThatThrownBy(() -> ChatTemplate.of(none, "some-model", TOKENS))
                    .isInstanceOf(ChatTemplateException.class)
                    .hasMessageContainingAll("some-model", "chat-template", "text");
        }
    }

    @Test
    void faultsNameTemplateAndLine() {
        assertThatThrownBy(() -> template("one\n{% if true %}\nnever closed"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContainingAll("some-model", "line 2", "endif", "chat-template");
        assertThatThrownBy(() -> template("{% nonsense %}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContainingAll("line 1", "nonsense");
        assertThatThrownBy(() -> render("\n\n{#\n#}\n   {%- if true %}{{ 1 + }}{% endif %}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("line 5");
        assertThatThrownBy(() -> render("a\n{{ nothing.at.all }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContainingAll("line 2", "nothing");
        assertThatThrownBy(() -> render("{{ 'a' + none }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("can't add a text and nothing");
        assertThatThrownBy(() -> render("{{ 'a' | no_such_filter }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContainingAll("some-model", "no_such_filter");
        assertThatThrownBy(() -> render("{{ 'a' is no_such_test }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("no_such_test");
        assertThatThrownBy(() -> render("{{ no_such_function(1) }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("no_such_function");
        assertThatThrownBy(() -> render("{{ messages[0].reasoning.strip() }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("strip");
        assertThatThrownBy(() -> render("{{ 'a'.no_such_method() }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("no_such_method");
    }

    @Test
    void messagesAreNeverTakenForTemplates() {
        String tricky = "{{ 7 * 7 }} {% for x in y %} {# gone? #} {{ raise_exception('x') }}";
        assertThat(template("{{ messages[0].content }}|{{ messages[0].content | trim }}")
                        .render(List.of(ChatMessage.user(tricky)), List.of(), Map.of(), true))
                .isEqualTo(tricky + "|" + tricky);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{{ messages.getClass() }}",
                "{{ ''.getClass().forName('java.lang.Runtime') }}",
                "{{ messages.stream() }}",
                "{{ ____int3rpr3t3r____.getContext() }}",
                "{{ ____int3rpr3t3r____.getConfig() }}",
                "{% include '/etc/passwd' %}",
                "{% import '/etc/passwd' as x %}",
                "{% from '/etc/passwd' import x %}",
                "{% extends '/etc/passwd' %}",
                "{{ messages[0].content | fromjson }}",
                "{{ messages[0].content | render }}",
                "{{ '%99999999d' | format(1) }}",
                "{{ messages.append(1) }}",
            })
    void templatesReachNothingElse(String source) {
        assertThatThrownBy(() -> render(source)).isInstanceOf(ChatTemplateException.class);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{{ ''.class }}",
                "{{ messages.class.name }}",
                "{{ (____int3rpr3t3r____).context }}",
                "{{ raise_exception.class }}"
            })
    void javaPropertiesAreNotThere(String source) {
        String text;
        try {
            text = render(source);
        } catch (ChatTemplateException e) {
            return;
        }
        assertThat(text).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% for i in range(1000000000) %}x{% endfor %}",
                "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
                "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
                "{{ 'xxxxxxxxxx' * 1000000000 }}",
                "{% set s = 'x' * 10000 %}{{ s | replace('x', s) }}",
                "{% set s = 'x' * 10000 %}{{ s.join(s | list) }}",
                "{{ 'a' | indent(2000000000, true) }}",
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            })
    void limitsHold(String source) {
        assertThatThrownBy(() -> render(source)).isInstanceOf(ChatTemplateException.class);
    }

    @Test
    void extremeNumbersDoNotOverflow() {
        assertThat(render("{{ 'abc'[::2147483647] }}{{ 'abc'[::-2147483648] }}{{ 'abc'[-2147483648:2147483647] }}"))
                .isEqualTo("acabc");
        assertThatThrownBy(() -> render("{{ 'abc' * 4294967297 }}")).isInstanceOf(ChatTemplateException.class);
        assertThat(render("{{ 4294967296 == 0 }}{{ 1 == 1.0 }}{{ 0.1 + 0.2 == 0.3 }}"))
                .isEqualTo("FalseTrueFalse");
    }

    @Test
    void deepNestingIsAnErrorOfTheTemplate() {
        assertThatThrownBy(() -> render("{{ " + "(".repeat(100_000) + "1" + ")".repeat(100_000) + " }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContainingAll("some-model", "deep");
        assertThatThrownBy(() -> template("x".repeat(2_000_000)))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("longer");
    }

    @Test
    void anInterruptEndsAnEndlessTemplate() {
        Thread.currentThread().interrupt();
        try {
            assertThatThrownBy(() -> render("{% for i in range(99999) %}{% for j in range(99999) %}{% set x = 1 %}"
                            + "{% endfor %}{% endfor %}"))
                    .isInstanceOf(ChatTemplateException.class)
                    .hasMessageContaining("interrupted");
        } finally {
            Thread.interrupted();
        }
    }

    @Test
    void longPromptsRender() {
        List<ChatMessage> messages = new ArrayList<>();
        for (int i = 0; i < 2_000; i++) {
            messages.add(ChatMessage.user("question " + i));
            messages.add(ChatMessage.assistant("x".repeat(1_000)));
        }
        String text = template("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}")
                .render(messages, List.of(), Map.of(), true);
        assertThat(text).hasSizeGreaterThan(2_000_000).endsWith("x\n");
    }

    @Test
    void knowsTheDate() {
        LocalDateTime time = LocalDateTime.of(2026, 3, 5, 15, 4, 9);
        assertThat(Strftime.format(time, "%d %b %Y, %A %B %-d; %H:%M:%S %I %p %y-%m %j %% %F %T"))
                .isEqualTo("05 Mar 2026, Thursday March 5; 15:04:09 03 PM 26-03 064 % 2026-03-05 15:04:09");
        assertThat(render("{{ strftime_now('%Y') }}{{ strftime_now is defined }}"))
                .matches("20\\d\\dTrue");
        assertThatThrownBy(() -> render("{{ strftime_now('%Q') }}"))
                .isInstanceOf(ChatTemplateException.class)
                .hasMessageContaining("%Q");
    }

    @Test
    void oneTemplateServesManyThreads() throws Exception {
        ChatTemplate template = template("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
                + "{{ ns.n }}{{ m.content }}{% endfor %}");
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Callable<Void>> work = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                String text = "text " + i;
                work.add(() -> {
                    assertThat(template.render(List.of(ChatMessage.user(text)), List.of(), Map.of(), true))
                            .isEqualTo("1" + text);
                    return null;
                });
            }
            for (Future<Void> done : threads.invokeAll(work)) {
                done.get();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private static ChatTemplate template(String source) {
        return ChatTemplate.of(source, "some-model", TOKENS);
    }

    private static String render(String source) {
        return template(source).render(HELLO, List.of(), Map.of(), true);
    }
}
