package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.TemplateSyntaxException;
import com.hubspot.jinjava.lib.tag.ElseTag;
import com.hubspot.jinjava.lib.tag.ForTag;
import com.hubspot.jinjava.tree.Node;
import com.hubspot.jinjava.tree.TagNode;
import com.hubspot.jinjava.util.LengthLimitingStringBuilder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code for}, with Jinja's filter ({@code for x in xs if …}), {@code else}, {@code loop.previtem} and {@code loop.nextitem}. */
final class LoopTag extends ForTag {

    private static final long serialVersionUID = 1L;
    private static final Pattern HEAD =
            Pattern.compile("\\s*\\(?\\s*([\\w]+(?:\\s*,\\s*\\w+)*)\\s*\\)?\\s+in\\s+(.*)", Pattern.DOTALL);

    @Override
    public String interpret(TagNode tag, JinjavaInterpreter interpreter) {
        Matcher head = HEAD.matcher(tag.getHelpers());
        if (!head.matches()) {
            throw new TemplateSyntaxException(
                    interpreter, tag.getMaster().getImage(), "a for needs variables and the word 'in'");
        }
        List<String> variables =
                Arrays.stream(head.group(1).split(",")).map(String::strip).toList();
        String expression = head.group(2);
        int filter = indexOfFilter(expression);
        Object value = interpreter.resolveELExpression(
                filter < 0 ? expression : expression.substring(0, filter), tag.getLineNumber());
        List<Object> items = items(value, tag);
        if (filter >= 0) {
            items = filter(items, variables, expression.substring(filter + 2), tag, interpreter);
        }
        return render(tag, interpreter, variables, items);
    }

    /** Index of a word {@code if} that has no {@code else}, outside of brackets and strings, or -1. */
    private static int indexOfFilter(String expression) {
        int depth = 0;
        int found = -1;
        for (int i = 0; i < expression.length(); i++) {
            char c = expression.charAt(i);
            if (c == '\'' || c == '"') {
                i = JinjaSource.endOfString(expression, i);
            } else if ("([{".indexOf(c) >= 0) {
                depth++;
            } else if (")]}".indexOf(c) >= 0) {
                depth--;
            } else if (depth == 0 && isWord(expression, i, "if")) {
                found = i;
            } else if (depth == 0 && isWord(expression, i, "else")) {
                found = -1;
            }
        }
        return found;
    }

    private static boolean isWord(String text, int index, String word) {
        return text.startsWith(word, index)
                && (index == 0 || !Character.isJavaIdentifierPart(text.charAt(index - 1)))
                && (index + word.length() == text.length()
                        || !Character.isJavaIdentifierPart(text.charAt(index + word.length())));
    }

    private static List<Object> items(Object value, TagNode tag) {
        if (value == null) {
            return List.of();
        }
        if (value instanceof Map<?, ?> map) {
            return new ArrayList<>(map.keySet());
        }
        if (value instanceof Collection<?> items) {
            return new ArrayList<>(items);
        }
        if (Python.isText(value)) {
            return Python.characters(value.toString());
        }
        throw new InterpretException(Python.typeName(value) + " can't be looped over", tag.getLineNumber());
    }

    private static List<Object> filter(
            List<Object> items, List<String> variables, String condition, TagNode tag, JinjavaInterpreter interpreter) {
        List<Object> chosen = new ArrayList<>();
        interpreter.enterScope();
        try {
            for (Object item : items) {
                assign(variables, item, interpreter);
                if (Python.isTrue(interpreter.resolveELExpression(condition, tag.getLineNumber()))) {
                    chosen.add(item);
                }
            }
        } finally {
            interpreter.leaveScope();
        }
        return chosen;
    }

    private static String render(
            TagNode tag, JinjavaInterpreter interpreter, List<String> variables, List<Object> items) {
        List<Node> body = new ArrayList<>();
        List<Node> otherwise = new ArrayList<>();
        List<Node> branch = body;
        for (Node child : tag.getChildren()) {
            if (child instanceof TagNode node && node.getTag() instanceof ElseTag) {
                branch = otherwise;
            } else {
                branch.add(child);
            }
        }
        LengthLimitingStringBuilder text =
                new LengthLimitingStringBuilder(interpreter.getConfig().getMaxOutputSize());
        interpreter.enterScope();
        try {
            if (items.isEmpty()) {
                otherwise.forEach(node -> text.append(node.render(interpreter)));
                return text.toString();
            }
            Loop loop = new Loop(items);
            interpreter.getContext().put(LOOP, loop);
            while (loop.hasNext()) {
                assign(variables, loop.next(), interpreter);
                for (int i = 0; i < body.size() && !loop.isContinued(); i++) {
                    text.append(body.get(i).render(interpreter));
                }
            }
        } finally {
            interpreter.leaveScope();
        }
        return text.toString();
    }

    private static void assign(List<String> variables, Object item, JinjavaInterpreter interpreter) {
        if (variables.size() == 1) {
            interpreter.getContext().put(variables.get(0), interpreter.wrap(item));
            return;
        }
        if (!(item instanceof List<?> values) || values.size() != variables.size()) {
            throw new InterpretException(
                    Python.typeName(item) + " can't be unpacked to " + variables.size() + " variables");
        }
        for (int i = 0; i < variables.size(); i++) {
            interpreter.getContext().put(variables.get(i), interpreter.wrap(values.get(i)));
        }
    }
}
