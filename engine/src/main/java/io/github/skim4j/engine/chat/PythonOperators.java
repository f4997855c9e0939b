package io.github.skim4j.engine.chat;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.BinaryOperator;
import jinjava.de.odysseus.el.misc.NumberOperations;
import jinjava.de.odysseus.el.misc.TypeConverter;
import jinjava.de.odysseus.el.tree.Bindings;
import jinjava.de.odysseus.el.tree.impl.ast.AstBinary.Operator;
import jinjava.de.odysseus.el.tree.impl.ast.AstBinary.SimpleOperator;
import jinjava.de.odysseus.el.tree.impl.ast.AstNode;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELException;

/** Operators that mean something else in Java's expression language. */
final class PythonOperators {

    static final Operator ADD = simple(PythonOperators::add);
    static final Operator MULTIPLY = simple(PythonOperators::multiply);
    static final Operator EQUALS = simple(Python::equal);
    static final Operator DIFFERS = simple((left, right) -> !Python.equal(left, right));
    static final Operator IN = simple(PythonOperators::in);
    static final Operator NOT_IN = simple((left, right) -> !in(left, right));

    /** The first operand that decides, as it is. */
    static final Operator AND = new Operator() {
        @Override
        public Object eval(Bindings bindings, ELContext context, AstNode left, AstNode right) {
            Object value = left.eval(bindings, context);
            return Python.isTrue(value) ? right.eval(bindings, context) : value;
        }
    };

    static final Operator OR = new Operator() {
        @Override
        public Object eval(Bindings bindings, ELContext context, AstNode left, AstNode right) {
            Object value = left.eval(bindings, context);
            return Python.isTrue(value) ? value : right.eval(bindings, context);
        }
    };

    private PythonOperators() {}

    private static Operator simple(BinaryOperator<Object> operator) {
        return new SimpleOperator() {
            @Override
            protected Object apply(TypeConverter converter, Object left, Object right) {
                return operator.apply(left, right);
            }
        };
    }

    private static Object add(Object left, Object right) {
        if (Python.isText(left) && Python.isText(right)) {
            return Python.limited(left.toString(), right.toString());
        }
        if (left instanceof Collection<?> first && right instanceof Collection<?> second) {
            Python.requireItems((long) first.size() + second.size());
            List<Object> sum = new ArrayList<>(first);
            sum.addAll(second);
            return sum;
        }
        if (left instanceof Number && right instanceof Number) {
            return NumberOperations.add(TypeConverter.DEFAULT, left, right);
        }
        throw new ELException("can't add " + Python.typeName(left) + " and " + Python.typeName(right));
    }

    private static Object multiply(Object left, Object right) {
        if (Python.isText(left) && Python.isInteger(right)) {
            int times = Math.max(0, Python.integer(right));
            Python.requireLength((long) left.toString().length() * times);
            return left.toString().repeat(times);
        }
        return NumberOperations.mul(TypeConverter.DEFAULT, left, right);
    }

    private static boolean in(Object item, Object container) {
        if (Python.isText(container)) {
            return Python.isText(item) && container.toString().contains(item.toString());
        }
        if (container instanceof Map<?, ?> map) {
            return map.containsKey(item);
        }
        if (container instanceof Collection<?> items) {
            return items.stream().anyMatch(other -> Python.equal(item, other));
        }
        if (container == null) {
            return false;
        }
        throw new ELException("can't look into " + Python.typeName(container));
    }
}
