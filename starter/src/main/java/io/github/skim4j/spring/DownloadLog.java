package io.github.skim4j.spring;

import io.github.skim4j.engine.model.HubConfig.DownloadProgress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Logs the begin of a download and then, of a large one, each tenth; used by one thread. */
final class DownloadLog implements DownloadProgress {

    private static final Logger log = LoggerFactory.getLogger(DownloadLog.class);

    private static final long MEGABYTE = 1 << 20;
    private static final long LARGE = 32 * MEGABYTE;

    private String current;
    private long nextStep;

    @Override
    public void update(String file, long done, long total) {
        long step = Math.max(LARGE, total / 10);
        if (!file.equals(current)) {
            current = file;
            nextStep = (done / step + 1) * step;
            log.info("Downloading {} ({})", file, total < 0 ? "size unknown" : megabytes(total));
        } else if (done >= nextStep) {
            nextStep = (done / step + 1) * step;
            log.info("Downloading {}: {}{}", file, megabytes(done), total < 0 ? "" : " of " + megabytes(total));
        }
    }

    private static String megabytes(long bytes) {
        return (bytes + MEGABYTE - 1) / MEGABYTE + " MB";
    }
}
