package io.github.skim4j.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;

/** The arguments of a kernel, in order. A struct is one argument: its members are added between {@link #beginStruct} and {@link #endStruct}. */
final class Arguments {

    private static final int CAPACITY = 1024;

    private final ByteBuffer bytes = ByteBuffer.allocateDirect(CAPACITY).order(ByteOrder.nativeOrder());
    private final List<Integer> offsets = new ArrayList<>();
    private boolean inStruct;

    Arguments address(long value) {
        place(Long.BYTES);
        bytes.putLong(value);
        return this;
    }

    /** An address, or null where there is no buffer. */
    Arguments address(DeviceBuffer buffer) {
        return address(buffer == null ? 0 : buffer.address());
    }

    Arguments integer(int value) {
        place(Integer.BYTES);
        bytes.putInt(value);
        return this;
    }

    Arguments real(float value) {
        place(Float.BYTES);
        bytes.putFloat(value);
        return this;
    }

    /** A struct of words, aligned to {@code alignment} bytes. */
    Arguments block(long[] words, int alignment) {
        place(alignment);
        for (long word : words) {
            bytes.putLong(word);
        }
        return this;
    }

    /** Structs of this backend hold addresses, and so are aligned like them. */
    Arguments beginStruct() {
        place(Long.BYTES);
        inStruct = true;
        return this;
    }

    /** Fills up a struct within the struct. */
    Arguments align() {
        align(Long.BYTES);
        return this;
    }

    Arguments endStruct() {
        inStruct = false;
        align(Long.BYTES);
        return this;
    }

    private void place(int size) {
        align(size);
        if (!inStruct) {
            offsets.add(bytes.position());
        }
    }

    private void align(int size) {
        while (bytes.position() % size != 0) {
            bytes.put((byte) 0);
        }
    }

    /** The arguments as they lie in memory, each where {@link #offsets} says. */
    ByteBuffer bytes() {
        return bytes.duplicate().rewind();
    }

    List<Integer> offsets() {
        return offsets;
    }

    Pointer pointers() {
        Pointer start = Pointer.to(bytes());
        Pointer[] pointers = new Pointer[offsets.size()];
        for (int i = 0; i < pointers.length; i++) {
            pointers[i] = start.withByteOffset(offsets.get(i));
        }
        return Pointer.to(pointers);
    }
}
