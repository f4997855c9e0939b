package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import java.beans.FeatureDescriptor;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/** What expressions reach: entries of maps, items of lists, Python's methods of both and of texts; nothing of Java. */
final class DataResolver extends ELResolver {

    @Override
    public Object getValue(ELContext context, Object base, Object property) {
        context.setPropertyResolved(true);
        String name = String.valueOf(property);
        if (base instanceof Loop loop) {
            return loop.property(name);
        }
        if (base instanceof Map<?, ?> map) {
            return map.get(name);
        }
        if (base instanceof List<?> list) {
            return item(list, name);
        }
        return Python.isText(base) ? item(Python.characters(base.toString()), name) : null;
    }

    private static Object item(List<?> items, String name) {
        if (!name.matches("-?\\d{1,9}")) {
            return null;
        }
        int index = Integer.parseInt(name);
        index += index < 0 ? items.size() : 0;
        return index >= 0 && index < items.size() ? items.get(index) : null;
    }

    @Override
    public Object invoke(ELContext context, Object base, Object method, Class<?>[] types, Object[] arguments) {
        context.setPropertyResolved(true);
        if (base instanceof Filter filter) {
            return filter.filter(
                    arguments[0], (JinjavaInterpreter) arguments[1], (Object[]) arguments[2], named(arguments[3]));
        }
        if (base instanceof ExpTest test) {
            JinjavaInterpreter interpreter = (JinjavaInterpreter) arguments[1];
            Object[] more = Arrays.copyOfRange(arguments, 2, arguments.length);
            return method.equals("evaluateNegated")
                    ? test.evaluateNegated(arguments[0], interpreter, more)
                    : test.evaluate(arguments[0], interpreter, more);
        }
        if (method.equals(PythonSyntax.SLICE)) {
            return Python.slice(base, arguments[0], arguments[1], arguments[2]);
        }
        return PythonMethods.call(base, method.toString(), arguments);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> named(Object arguments) {
        return (Map<String, Object>) arguments;
    }

    @Override
    public void setValue(ELContext context, Object base, Object property, Object value) {
        throw new InterpretException("templates can't change what they are given");
    }

    @Override
    public boolean isReadOnly(ELContext context, Object base, Object property) {
        return true;
    }

    @Override
    public Class<?> getType(ELContext context, Object base, Object property) {
        return null;
    }

    @Override
    public Class<?> getCommonPropertyType(ELContext context, Object base) {
        return null;
    }

    @Override
    public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
        return null;
    }
}
