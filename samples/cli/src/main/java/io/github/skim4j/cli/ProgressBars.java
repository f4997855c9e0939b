package io.github.skim4j.cli;

import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** Progress bars on the error stream; callers ask first whether it is a terminal. */
public final class ProgressBars {

    private static final int WIDTH = 78;

    private ProgressBars() {}

    /** Counts steps, such as cases. */
    public static ProgressBar steps(String task, String unit, long count) {
        return builder(task).setInitialMax(count).setUnit(" " + unit, 1).build();
    }

    /** Counts bytes of a total that is not known yet, in MiB. */
    static ProgressBar bytes(String task) {
        return builder(task).setInitialMax(-1).setUnit(" MiB", 1 << 20).build();
    }

    private static ProgressBarBuilder builder(String task) {
        return new ProgressBarBuilder()
                .setTaskName(task)
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(200)
                .setConsumer(new ConsoleProgressBarConsumer(System.err, WIDTH));
    }
}
