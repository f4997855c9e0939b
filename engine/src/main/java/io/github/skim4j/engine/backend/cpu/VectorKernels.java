package io.github.skim4j.engine.backend.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Kernels on the Vector API. Only {@code fromArray} forms are used, which have stayed the same from Java 17 on. Hot loops are methods
 * of their own and call no helpers with vectors: one that is not inlined would put each vector on the heap.
 */
record VectorKernels(MatrixKernels matrix, AttentionKernels attention, SelectionKernels selection)
        implements CpuKernels {

    /** Lanes of the widest vectors that kernels are written for: bfloat16 values lie in groups of two such vectors. */
    static final int MOST_LANES = 16;

    /**
     * One width for all kernels: where vectors of two widths meet in the API's own methods, the compiler of JDK 17 loses a vector's class
     * and puts it on the heap.
     */
    static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED.length() > MOST_LANES
            ? FloatVector.SPECIES_512
            : FloatVector.SPECIES_PREFERRED;

    static final int LANES = F.length();
    static final VectorSpecies<Integer> I = VectorSpecies.of(int.class, F.vectorShape());
    static final VectorSpecies<Short> S = VectorSpecies.of(short.class, VectorShape.forBitSize(LANES * Short.SIZE));
    /** Of four bytes there are no vectors. */
    static final VectorSpecies<Byte> B =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(8, LANES) * Byte.SIZE));

    private static final VectorShuffle<Float> EIGHT_ON = further(8);
    private static final VectorShuffle<Float> FOUR_ON = further(4);
    private static final VectorShuffle<Float> TWO_ON = further(2);
    private static final VectorShuffle<Float> ONE_ON = further(1);

    /** Gives each lane what stands so many lanes further on, around the end. */
    private static VectorShuffle<Float> further(int lanes) {
        return VectorShuffle.iota(F, lanes % LANES, 1, true);
    }

    VectorKernels() {
        this(new VectorMatrixKernels(), new VectorAttentionKernels(), new VectorSelectionKernels());
    }

    @Override
    public String name() {
        return LANES * Float.SIZE + "-bit vectors";
    }

    /**
     * By halves until each lane holds the sum: {@code reduceLanes} leaves the order of a sum open, and with it the last bit, but not what
     * the greatest lane is; an array or {@code lane} would put the vector on the heap.
     */
    static float sumLanes(FloatVector v) {
        FloatVector sum = v;
        if (LANES == 16) {
            sum = sum.add(sum.rearrange(EIGHT_ON));
        }
        if (LANES >= 8) {
            sum = sum.add(sum.rearrange(FOUR_ON));
        }
        sum = sum.add(sum.rearrange(TWO_ON));
        return sum.add(sum.rearrange(ONE_ON)).reduceLanes(VectorOperators.MAX);
    }

    /**
     * The greater in each lane, {@code a} where one is NaN: two instructions, where {@link FloatVector#max}, which passes NaN on, takes six.
     */
    static FloatVector greater(FloatVector a, FloatVector b) {
        return a.blend(b, b.compare(VectorOperators.GT, a));
    }

    /** {@link Exp#exp} in lanes. */
    static FloatVector exp(FloatVector x) {
        VectorMask<Float> tooSmall = x.compare(VectorOperators.LT, Exp.MIN);
        FloatVector clamped = x.blend(Exp.MAX, x.compare(VectorOperators.GT, Exp.MAX));
        FloatVector shifted = clamped.fma(FloatVector.broadcast(F, Exp.LOG2_E), FloatVector.broadcast(F, Exp.ROUND));
        FloatVector n = shifted.sub(Exp.ROUND);
        FloatVector r = n.fma(FloatVector.broadcast(F, -Exp.LN2_HIGH), clamped);
        r = n.fma(FloatVector.broadcast(F, -Exp.LN2_LOW), r);
        FloatVector p = FloatVector.broadcast(F, Exp.C7);
        p = p.fma(r, FloatVector.broadcast(F, Exp.C6));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C5));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C4));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C3));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C2));
        p = p.mul(r).fma(r, r).add(1);
        IntVector exponent = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
        // The rounded integer stands in the lowest bits of "shifted"; shifted left it adds to p's exponent.
        FloatVector e = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
        return e.blend(FloatVector.zero(F), tooSmall);
    }
}
