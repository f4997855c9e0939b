package io.github.skim4j.cuda;

import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.engine.model.ModelConfig;

/** The sampling of vAttention, which adds weighted pages to the lists that ranks left; see {@code sample.cuh}. */
final class CudaSample {

    private static final String WHAT = "vattention";
    private static final String REMEDY = "Lower scheduler.max-batch-size or context-length";

    private static final int SAMPLE_THREADS = 192;
    private static final int DRAW_THREADS = 256;

    /** Tokens of the rest that a block draws. */
    private static final int DRAW_RANGE = 4096;

    private static final int PART_TOKENS = 128;
    private static final int BLOCKS_PER_PROCESSOR = 3;
    private static final int MOST_PILOT_BLOCKS = 32;
    private static final int MOST_SPLITS = 16;
    private static final int MOST_SPREAD_BLOCKS = 64;
    private static final int PLAN_INTS = 8;
    private static final int LEAST_STRATA = 512;

    /** Largest pilot that there is room for; with a larger one a long rest is read whole. */
    private static final double MOST_PILOT = 0.1;

    private final CudaDevice device;
    private final CudaStream stream;
    private final ModelConfig config;
    private final KvStorage cache;
    private final int headTiles;
    private final int splits;
    private final int pilotBlocks;
    private final int spreadBlocks;
    private final int drawBlocks;
    private final int maxStrata;
    private final int capacity;
    private final String variant;
    private final DeviceBuffer fixed;
    private final DeviceBuffer chunks;
    private final DeviceBuffer logits;
    private final DeviceBuffer states;
    private final DeviceBuffer spreads;
    private final DeviceBuffer plans;
    private final DeviceBuffer tickets;
    private final DeviceBuffer progress;
    /** Made when a numerator is first verified. */
    private DeviceBuffer values;

    /** @param capacity entries at a time */
    CudaSample(CudaDevice device, ModelConfig config, KvStorage cache, StepInputs inputs, int capacity) {
        this.device = device;
        this.stream = device.stream();
        this.config = config;
        this.cache = cache;
        this.capacity = capacity;
        headTiles = CudaAttention.headTiles(config);
        int lists = config.kvHeads() * headTiles;
        int blocks = BLOCKS_PER_PROCESSOR * device.multiprocessors() / lists;
        pilotBlocks = Math.max(2, Math.min(MOST_PILOT_BLOCKS, 2 * blocks / 3));
        splits = Math.max(1, Math.min(MOST_SPLITS, blocks / 3));
        spreadBlocks = Math.max(1, Math.min(MOST_SPREAD_BLOCKS, 2 * device.multiprocessors() / lists));
        int tokens = inputs.tableStride() * cache.pageSize();
        drawBlocks = (tokens + DRAW_RANGE - 1) / DRAW_RANGE;
        maxStrata = Math.max(LEAST_STRATA, (int) (MOST_PILOT * tokens) + 16);
        variant = cache.variant(config);
        int dimensions = config.headDim();
        int strataInChunk = 8 * SAMPLE_THREADS / 32;
        fixed = tiles((long) splits * CudaAttention.HEAD_TILE * (dimensions + 2) * Float.BYTES);
        chunks = tiles((long) ((maxStrata + strataInChunk - 1) / strataInChunk)
                * CudaAttention.HEAD_TILE
                * (8 + dimensions)
                * Float.BYTES);
        logits = tiles((long) maxStrata * CudaAttention.HEAD_TILE * Float.BYTES);
        states = tiles((long) CudaAttention.HEAD_TILE * (4 + dimensions) * Float.BYTES);
        spreads = tiles((long) spreadBlocks * CudaAttention.HEAD_TILE * 2 * Float.BYTES);
        plans = tiles((long) PLAN_INTS * Integer.BYTES);
        tickets = tiles(Integer.BYTES);
        progress = tiles((long) (drawBlocks + 1) * Integer.BYTES);
    }

    private DeviceBuffer tiles(long bytes) {
        return device.allocateCleared(bytes * capacity * config.kvHeads() * headTiles, WHAT, REMEDY);
    }

    /** Takes the memory that stages need; not during a capture. */
    void prepare(Stages stages) {
        if (values == null && stages.verifiesNumerators()) {
            values = tiles((long) maxStrata * config.headDim() * Short.BYTES);
        }
    }

    /** @param arguments what all kernels of selection are given, in the struct of the kernels */
    void run(int layer, Stages stages, int count, Arguments arguments) {
        arguments
                .address(cache.layer(layer))
                .integer(splits)
                .integer(PART_TOKENS)
                .integer(pilotBlocks)
                .integer(maxStrata)
                .integer(0)
                .integer(0)
                .address(fixed)
                .address(chunks)
                .address(logits)
                .address(values)
                .address(states)
                .address(spreads)
                .address(plans)
                .address(tickets)
                .address(progress)
                .endStruct();
        int tiles = config.kvHeads() * headTiles;
        launch("sample_pilot" + variant, splits + pilotBlocks, tiles, count, SAMPLE_THREADS, arguments);
        if (stages.verifiesNumerators()) {
            launch("sample_values" + variant, splits + pilotBlocks, tiles, count, SAMPLE_THREADS, arguments);
            launch("sample_spread_" + config.headDim(), spreadBlocks, tiles, count, SAMPLE_THREADS, arguments);
        }
        launch("sample_draw", drawBlocks, config.kvHeads(), count, DRAW_THREADS, arguments);
    }

    private void launch(String kernel, int gridX, int gridY, int gridZ, int threads, Arguments arguments) {
        device.kernel(kernel).launch(stream, gridX, gridY, gridZ, threads, 0, arguments);
    }
}
