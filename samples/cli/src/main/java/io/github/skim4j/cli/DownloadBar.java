package io.github.skim4j.cli;

import io.github.skim4j.engine.model.HubConfig.DownloadProgress;
import me.tongfei.progressbar.ProgressBar;

/** Shows downloads, one bar a file. */
public final class DownloadBar implements DownloadProgress, AutoCloseable {

    private final boolean visible;
    private String file;
    private ProgressBar bar;

    public DownloadBar(boolean visible) {
        this.visible = visible;
    }

    @Override
    public synchronized void update(String name, long done, long total) {
        if (!visible) {
            return;
        }
        if (!name.equals(file)) {
            close();
            file = name;
            bar = ProgressBars.bytes(name);
        }
        bar.maxHint(total);
        bar.stepTo(done);
    }

    @Override
    public synchronized void close() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
    }
}
