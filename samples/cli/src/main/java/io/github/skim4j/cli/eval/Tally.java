package io.github.skim4j.cli.eval;

/** Right answers among cases. */
record Tally(int right, int cases) {

    static final Tally NONE = new Tally(0, 0);

    Tally plus(boolean isRight) {
        return new Tally(right + (isRight ? 1 : 0), cases + 1);
    }

    double accuracy() {
        return cases == 0 ? 0 : (double) right / cases;
    }
}
