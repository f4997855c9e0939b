package io.github.skim4j.engine.model;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A model file that is open for reading. It is read at given positions into the caller's memory rather than mapped: weights end
 * in memory of their own anyway, a mapping would stay resident beside it, and a file that is truncated while it is mapped kills
 * the process.
 */
final class ModelData implements Closeable {

    /** The JDK copies through a direct buffer as large as the read, unless the target is one. */
    private static final int MAX_READ = 1 << 20;

    private final Path path;
    private final FileChannel channel;
    private final long size;

    private ModelData(Path path, FileChannel channel, long size) {
        this.path = path;
        this.channel = channel;
        this.size = size;
    }

    static ModelData open(Path path) {
        if (!Files.isRegularFile(path)) {
            throw new ModelNotFoundException("no model file " + path);
        }
        try {
            FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
            try {
                return new ModelData(path, channel, channel.size());
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
        } catch (NoSuchFileException e) {
            throw new ModelNotFoundException("no model file " + path, e);
        } catch (IOException e) {
            throw new ModelFormatException(path + ": can't be opened: " + e.getMessage(), e);
        }
    }

    Path path() {
        return path;
    }

    long size() {
        return size;
    }

    /**
     * Reads {@code length} bytes.
     *
     * @throws ModelFormatException if the file ends before or can't be read
     */
    void read(long position, byte[] target, int offset, int length) {
        read(position, ByteBuffer.wrap(target, offset, length), length);
    }

    /**
     * Reads {@code length} bytes to the buffer's position, which moves behind them.
     *
     * @throws ModelFormatException if the file ends before or can't be read
     */
    void read(long position, ByteBuffer target, int length) {
        ByteBuffer rest = target.slice(target.position(), length);
        try {
            while (rest.position() < length) {
                rest.limit(Math.min(length, rest.position() + MAX_READ));
                long at = position + rest.position();
                if (channel.read(rest, at) < 0) {
                    throw new ModelFormatException(path + ": the file ends at byte " + at + ", "
                            + (length - rest.position()) + " bytes too early");
                }
            }
        } catch (IOException e) {
            throw new ModelFormatException(path + ": can't be read: " + e, e);
        }
        target.position(target.position() + length);
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new ModelFormatException(path + ": can't be closed: " + e.getMessage(), e);
        }
    }
}
