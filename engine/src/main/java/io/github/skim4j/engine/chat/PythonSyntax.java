package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.el.ExtendedSyntaxBuilder;
import com.hubspot.jinjava.el.ext.AdditionOperator;
import com.hubspot.jinjava.el.ext.AstNamedParameter;
import com.hubspot.jinjava.el.ext.CollectionMembershipOperator;
import com.hubspot.jinjava.el.ext.CollectionNonMembershipOperator;
import com.hubspot.jinjava.el.ext.ExtendedParser;
import com.hubspot.jinjava.el.ext.NamedParameterOperator;
import com.hubspot.jinjava.el.ext.OrOperator;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import jinjava.de.odysseus.el.tree.Bindings;
import jinjava.de.odysseus.el.tree.impl.Builder;
import jinjava.de.odysseus.el.tree.impl.Parser;
import jinjava.de.odysseus.el.tree.impl.Scanner.ScanException;
import jinjava.de.odysseus.el.tree.impl.Scanner.Symbol;
import jinjava.de.odysseus.el.tree.impl.ast.AstBinary;
import jinjava.de.odysseus.el.tree.impl.ast.AstBracket;
import jinjava.de.odysseus.el.tree.impl.ast.AstDot;
import jinjava.de.odysseus.el.tree.impl.ast.AstIdentifier;
import jinjava.de.odysseus.el.tree.impl.ast.AstMethod;
import jinjava.de.odysseus.el.tree.impl.ast.AstNode;
import jinjava.de.odysseus.el.tree.impl.ast.AstNull;
import jinjava.de.odysseus.el.tree.impl.ast.AstParameters;
import jinjava.de.odysseus.el.tree.impl.ast.AstProperty;
import jinjava.de.odysseus.el.tree.impl.ast.AstUnary;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELException;

/** Expressions with Python's slices and operators. */
final class PythonSyntax extends ExtendedSyntaxBuilder {

    /** Name of the method that {@code x[a:b:c]} is parsed to. */
    static final String SLICE = "slice:";

    PythonSyntax(Builder.Feature... features) {
        super(features);
    }

    @Override
    protected Parser createParser(String expression) {
        return new PythonParser(this, expression);
    }

    private static final class PythonParser extends ExtendedParser {

        private static final Map<AstBinary.Operator, AstBinary.Operator> OPERATORS = Map.of(
                AdditionOperator.OP, PythonOperators.ADD,
                AstBinary.MUL, PythonOperators.MULTIPLY,
                AstBinary.AND, PythonOperators.AND,
                OrOperator.OP, PythonOperators.OR,
                AstBinary.EQ, PythonOperators.EQUALS,
                AstBinary.NE, PythonOperators.DIFFERS);

        PythonParser(Builder context, String expression) {
            super(context, expression);
            putExtensionHandler(CollectionMembershipOperator.TOKEN, membership(PythonOperators.IN));
            putExtensionHandler(CollectionNonMembershipOperator.TOKEN, membership(PythonOperators.NOT_IN));
        }

        private static ExtensionHandler membership(AstBinary.Operator operator) {
            return new ExtensionHandler(ExtensionPoint.CMP) {
                @Override
                public AstNode createAstNode(AstNode... children) {
                    return new AstBinary(children[0], children[1], operator);
                }
            };
        }

        @Override
        protected AstBinary createAstBinary(AstNode left, AstNode right, AstBinary.Operator operator) {
            return super.createAstBinary(left, right, OPERATORS.getOrDefault(operator, operator));
        }

        @Override
        protected AstParameters params(Symbol left, Symbol right) throws ScanException, ParseException {
            consumeToken(left);
            List<AstNode> parameters = new ArrayList<>();
            while (getToken().getSymbol() != right) {
                if (!parameters.isEmpty()) {
                    consumeToken(Symbol.COMMA);
                }
                // Python allows a comma after the last one.
                if (getToken().getSymbol() != right) {
                    parameters.add(parameter());
                }
            }
            consumeToken(right);
            return createAstParameters(parameters);
        }

        private AstNode parameter() throws ScanException, ParseException {
            if (getToken().getSymbol() == Symbol.IDENTIFIER && lookahead(0) == NamedParameterOperator.TOKEN) {
                AstIdentifier name = identifier(consumeToken().getImage());
                consumeToken();
                return new AstNamedParameter(name, expr(true));
            }
            return expr(true);
        }

        /** {@code not} binds more loosely than comparisons. */
        @Override
        protected AstNode eq(boolean required) throws ScanException, ParseException {
            if (getToken().getSymbol() != Symbol.NOT) {
                return super.eq(required);
            }
            consumeToken();
            return createAstUnary(eq(true), AstUnary.NOT);
        }

        /** Reads a parenthesis in one go; jinjava's own look ahead for a tuple's comma takes quadratic time. */
        @Override
        protected AstNode nonliteral() throws ScanException, ParseException {
            if (getToken().getSymbol() != Symbol.LPAREN) {
                return super.nonliteral();
            }
            consumeToken();
            List<AstNode> items = new ArrayList<>();
            boolean tuple = getToken().getSymbol() == Symbol.RPAREN;
            while (getToken().getSymbol() != Symbol.RPAREN) {
                items.add(expr(true));
                if (getToken().getSymbol() != Symbol.COMMA) {
                    break;
                }
                consumeToken();
                tuple = true;
            }
            consumeToken(Symbol.RPAREN);
            return tuple ? createAstTuple(createAstParameters(items)) : createAstNested(items.get(0));
        }

        @Override
        protected AstNode value() throws ScanException, ParseException {
            boolean lvalue = true;
            AstNode value = nonliteral();
            if (value == null) {
                lvalue = false;
                value = literal();
            }
            while (value != null) {
                if (getToken().getSymbol() == Symbol.DOT) {
                    consumeToken();
                    value = member(value, consumeToken(Symbol.IDENTIFIER).getImage(), lvalue);
                } else if (getToken().getSymbol() == Symbol.LBRACK) {
                    consumeToken();
                    value = subscript(value, lvalue);
                } else {
                    break;
                }
            }
            return value;
        }

        private AstNode member(AstNode base, String name, boolean lvalue) throws ScanException, ParseException {
            AstDot member = createAstDot(base, name, lvalue);
            return getToken().getSymbol() == Symbol.LPAREN ? createAstMethod(member, params()) : member;
        }

        @Override
        protected AstDot createAstDot(AstNode base, String name, boolean lvalue) {
            return new Member(base, name, lvalue);
        }

        @Override
        protected AstMethod createAstMethod(AstProperty method, AstParameters parameters) {
            return new Call((Member) method, parameters);
        }

        private AstNode subscript(AstNode base, boolean lvalue) throws ScanException, ParseException {
            AstNode first = expr(false);
            if (getToken().getSymbol() != Symbol.COLON) {
                consumeToken(Symbol.RBRACK);
                return new Item(base, first, lvalue);
            }
            List<AstNode> bounds = new ArrayList<>();
            bounds.add(first == null ? new AstNull() : first);
            for (int i = 1; i < 3; i++) {
                AstNode bound = null;
                if (getToken().getSymbol() == Symbol.COLON) {
                    consumeToken();
                    bound = expr(false);
                }
                bounds.add(bound == null ? new AstNull() : bound);
            }
            consumeToken(Symbol.RBRACK);
            return createAstMethod(createAstDot(base, SLICE, lvalue), createAstParameters(bounds));
        }
    }

    /** {@code base.name}; that of nothing is an error, as in Python. */
    private static final class Member extends AstDot {

        private final String name;

        Member(AstNode base, String name, boolean lvalue) {
            super(base, name, lvalue);
            this.name = name;
        }

        AstNode base() {
            return prefix;
        }

        @Override
        public Object eval(Bindings bindings, ELContext context) {
            return valueOf(prefix, name, bindings, context);
        }
    }

    /** {@code base[key]}. */
    private static final class Item extends AstBracket {

        Item(AstNode base, AstNode key, boolean lvalue) {
            super(base, key, lvalue, false);
        }

        @Override
        public Object eval(Bindings bindings, ELContext context) {
            return valueOf(prefix, property.eval(bindings, context), bindings, context);
        }
    }

    /** A call of a method, a filter or a test. */
    private static final class Call extends AstMethod {

        private final Member method;
        private final AstParameters parameters;

        Call(Member method, AstParameters parameters) {
            super(method, parameters);
            this.method = method;
            this.parameters = parameters;
        }

        @Override
        public Object eval(Bindings bindings, ELContext context) {
            Object base = present(method.base(), method.name, bindings, context);
            return context.getELResolver().invoke(context, base, method.name, null, parameters.eval(bindings, context));
        }
    }

    private static Object valueOf(AstNode base, Object key, Bindings bindings, ELContext context) {
        return context.getELResolver().getValue(context, present(base, key, bindings, context), key);
    }

    private static Object present(AstNode node, Object key, Bindings bindings, ELContext context) {
        Object value = node.eval(bindings, context);
        if (value == null) {
            String name = node.toString();
            boolean builtIn =
                    name.startsWith(ExtendedParser.FILTER_PREFIX) || name.startsWith(ExtendedParser.EXPTEST_PREFIX);
            throw new ELException(
                    builtIn ? "there is no " + name : "there is no '" + name + "', so it has no '" + key + "'");
        }
        return value;
    }
}
