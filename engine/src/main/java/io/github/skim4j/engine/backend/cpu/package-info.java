/** The CPU backend, the reference for all others: Vector API kernels with a scalar fallback. */
package io.github.skim4j.engine.backend.cpu;
