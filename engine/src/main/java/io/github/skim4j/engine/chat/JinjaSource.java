package io.github.skim4j.engine.chat;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Does a template's white space control beforehand, as Jinja 2 does it with {@code trim_blocks} and {@code lstrip_blocks} on
 * (jinjava's own differs where a tag follows text on its line). Comments go too, as do the {@code generation} tags that mark an
 * assistant's answer for training. Line breaks that are taken out of the text are put into the tags, so that line numbers stay.
 */
final class JinjaSource {

    private static final Pattern END_RAW = Pattern.compile("\\{%[-+]?\\s*endraw\\s*[-+]?%}");

    private final String source;
    private final StringBuilder result = new StringBuilder();
    private int position;
    /** What the tag before the text does to the text's start. */
    private Trim trim = Trim.NONE;
    /** Line breaks taken out of the text and not yet put back in a tag. */
    private int owedBreaks;

    private enum Trim {
        NONE,
        ONE_BREAK,
        ALL_SPACE
    }

    private JinjaSource(String source) {
        this.source = source;
    }

    static String withoutWhitespaceControl(String source) {
        String unix = source.replace("\r\n", "\n").replace('\r', '\n');
        return new JinjaSource(unix.endsWith("\n") ? unix.substring(0, unix.length() - 1) : unix).convert();
    }

    private String convert() {
        while (position < source.length()) {
            int tag = nextTag(position);
            if (tag < 0) {
                text(source.substring(position), ' ', ' ');
                break;
            }
            char kind = source.charAt(tag + 1);
            char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
            text(source.substring(position, tag), kind, sign);
            position = tag;
            tag(kind);
        }
        return result.toString();
    }

    /** Index of the next <code>{{</code>, <code>{%</code> or <code>{#</code>, or -1. */
    private int nextTag(int from) {
        for (int i = source.indexOf('{', from); i >= 0 && i + 1 < source.length(); i = source.indexOf('{', i + 1)) {
            if ("{%#".indexOf(source.charAt(i + 1)) >= 0) {
                return i;
            }
        }
        return -1;
    }

    private void text(String text, char nextKind, char nextSign) {
        int start = 0;
        if (trim == Trim.ALL_SPACE) {
            start = text.length() - text.stripLeading().length();
        } else if (trim == Trim.ONE_BREAK && text.startsWith("\n")) {
            start = 1;
        }
        int end = text.length();
        if (nextSign == '-') {
            end = Math.max(start, text.stripTrailing().length());
        } else if (nextSign != '+' && (nextKind == '%' || nextKind == '#')) {
            boolean startsLine = start == 0 ? position == 0 : text.charAt(start - 1) == '\n';
            int line = text.lastIndexOf('\n') + 1;
            if ((line > start || startsLine)
                    && text.substring(Math.max(start, line)).isBlank()) {
                end = Math.max(start, line);
            }
        }
        owedBreaks += breaks(text.substring(0, start)) + breaks(text.substring(end));
        result.append(text, start, end);
        trim = Trim.NONE;
    }

    private static int breaks(String text) {
        return (int) text.chars().filter(c -> c == '\n').count();
    }

    private void tag(char kind) {
        int end = kind == '#' ? source.indexOf("#}", position + 2) : endOfTag(kind == '{' ? "}}" : "%}");
        if (end < 0) {
            // Left to the parser to complain about.
            result.append(source, position, source.length());
            position = source.length();
            return;
        }
        int bodyStart = position + 2;
        int bodyEnd = end;
        if (bodyStart < bodyEnd && "+-".indexOf(source.charAt(bodyStart)) >= 0) {
            bodyStart++;
        }
        trim = kind == '{' ? Trim.NONE : Trim.ONE_BREAK;
        if (bodyStart < bodyEnd && source.charAt(bodyEnd - 1) == '-') {
            bodyEnd--;
            trim = Trim.ALL_SPACE;
        } else if (bodyStart < bodyEnd && source.charAt(bodyEnd - 1) == '+' && kind != '{') {
            bodyEnd--;
            trim = Trim.NONE;
        }
        String body = source.substring(bodyStart, bodyEnd);
        String word = body.strip();
        position = end + 2;
        if (kind == '#' || kind == '%' && (word.equals("generation") || word.equals("endgeneration"))) {
            owedBreaks += breaks(body);
            return;
        }
        if (kind == '%' && word.equals("raw")) {
            raw();
            return;
        }
        result.append('{').append(kind).append("\n".repeat(owedBreaks)).append(' ');
        // Jinjava would take a minus at the start for white space control.
        boolean signed = kind == '{' && (word.startsWith("-") || word.startsWith("+"));
        result.append(signed ? "(" : "");
        body(body);
        result.append(signed ? ")" : "");
        result.append(' ');
        result.append(kind == '{' ? "}}" : "%}");
        owedBreaks = 0;
    }

    /** Keeps braces apart, since jinjava ends an expression at the first two, those of nested dicts too. */
    private void body(String body) {
        for (int i = 0; i < body.length(); i++) {
            char c = body.charAt(i);
            if (c == '"' || c == '\'') {
                int end = Math.min(endOfString(body, i), body.length() - 1);
                result.append(body, i, end + 1);
                i = end;
            } else {
                result.append(c).append(c == '}' ? " " : "");
            }
        }
    }

    /** Copies up to and with the {@code endraw} tag. */
    private void raw() {
        Matcher endraw = END_RAW.matcher(source);
        int end = endraw.find(position) ? endraw.end() : source.length();
        result.append("{% raw %}").append(source, position, end);
        position = end;
    }

    /** Index of {@code close}, outside of string literals and braces, or -1. */
    private int endOfTag(String close) {
        int braces = 0;
        for (int i = position + 2; i < source.length(); i++) {
            char c = source.charAt(i);
            if (c == '"' || c == '\'') {
                i = endOfString(source, i);
            } else if (braces == 0 && source.startsWith(close, i)) {
                return i;
            } else if (c == '{') {
                braces++;
            } else if (c == '}') {
                braces--;
            }
        }
        return -1;
    }

    /** Index of the quote that ends the string which begins at {@code start}, or the length of {@code text}. */
    static int endOfString(String text, int start) {
        for (int i = start + 1; i < text.length(); i++) {
            if (text.charAt(i) == '\\') {
                i++;
            } else if (text.charAt(i) == text.charAt(start)) {
                return i;
            }
        }
        return text.length();
    }
}
