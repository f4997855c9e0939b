package io.github.skim4j.engine.tokenizer;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/** Holds back the bytes of a character that isn't complete, three at most. */
final class Utf8StreamDecoder implements Tokenizer.StreamDecoder {

    private static final byte[] NONE = {};

    private final CharsetDecoder utf8 = StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE)
            .onUnmappableCharacter(CodingErrorAction.REPLACE);
    private final TokenBytes tokens;
    private byte[] pending = NONE;
    private int leadingSpacesToStrip;

    Utf8StreamDecoder(TokenBytes tokens, int leadingSpacesToStrip) {
        this.tokens = tokens;
        this.leadingSpacesToStrip = leadingSpacesToStrip;
    }

    @Override
    public String next(int token) {
        ByteBuffer bytes = tokens.append(pending, token);
        String text = decode(bytes, false);
        pending = NONE;
        if (bytes.hasRemaining()) {
            pending = new byte[bytes.remaining()];
            bytes.get(pending);
        }
        return text;
    }

    @Override
    public String finish() {
        String text = decode(ByteBuffer.wrap(pending), true);
        pending = NONE;
        return text;
    }

    private String decode(ByteBuffer bytes, boolean end) {
        CharBuffer chars = CharBuffer.allocate(bytes.remaining() + 1);
        utf8.decode(bytes, chars, end);
        chars.flip();
        while (leadingSpacesToStrip > 0 && chars.hasRemaining()) {
            if (chars.get(chars.position()) == ' ') {
                chars.get();
                leadingSpacesToStrip--;
            } else {
                leadingSpacesToStrip = 0;
            }
        }
        return chars.toString();
    }
}
