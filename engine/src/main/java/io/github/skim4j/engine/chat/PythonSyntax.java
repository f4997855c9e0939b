package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.el.ExtendedSyntaxBuilder;
import com.hubspot.jinjava.el.ext.AdditionOperator;
import com.hubspot.jinjava.el.ext.CollectionMembershipOperator;
import com.hubspot.jinjava.el.ext.CollectionNonMembershipOperator;
import com.hubspot.jinjava.el.ext.ExtendedParser;
import com.hubspot.jinjava.el.ext.OrOperator;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import jinjava.de.odysseus.el.tree.impl.Builder;
import jinjava.de.odysseus.el.tree.impl.Parser;
import jinjava.de.odysseus.el.tree.impl.Scanner.ScanException;
import jinjava.de.odysseus.el.tree.impl.Scanner.Symbol;
import jinjava.de.odysseus.el.tree.impl.ast.AstBinary;
import jinjava.de.odysseus.el.tree.impl.ast.AstNode;
import jinjava.de.odysseus.el.tree.impl.ast.AstNull;

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
                    value = createAstDot(value, consumeToken(Symbol.IDENTIFIER).getImage(), lvalue);
                } else if (getToken().getSymbol() == Symbol.LBRACK) {
                    consumeToken();
                    value = subscript(value, lvalue);
                } else {
                    break;
                }
                if (getToken().getSymbol() == Symbol.LPAREN
                        && value instanceof jinjava.de.odysseus.el.tree.impl.ast.AstProperty property) {
                    value = createAstMethod(property, params());
                }
            }
            return value;
        }

        private AstNode subscript(AstNode base, boolean lvalue) throws ScanException, ParseException {
            AstNode first = expr(false);
            if (getToken().getSymbol() != Symbol.COLON) {
                consumeToken(Symbol.RBRACK);
                return createAstBracket(base, first, lvalue, false);
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
}
