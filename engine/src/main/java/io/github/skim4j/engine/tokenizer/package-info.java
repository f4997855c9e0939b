/** Text to tokens and back. */
package io.github.skim4j.engine.tokenizer;
