package io.github.skim4j.engine.backend.cpu;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A test that runs with scalar and with vector kernels, its one parameter. */
@Retention(RetentionPolicy.RUNTIME)
@ParameterizedTest
@MethodSource("io.github.skim4j.engine.backend.cpu.SparseFixture#kernels")
@interface TestEachKernels {}
