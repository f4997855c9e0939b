/** What the other packages need of threads. */
package io.github.skim4j.engine.concurrent;
