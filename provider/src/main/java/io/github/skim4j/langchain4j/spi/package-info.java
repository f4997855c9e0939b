/** Lets a framework put its own builders in place of the models' own, found by {@link java.util.ServiceLoader}. */
package io.github.skim4j.langchain4j.spi;
