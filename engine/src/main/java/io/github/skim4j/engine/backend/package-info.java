/** What a device must do to run a model: batches of sequence spans in, logits out. */
package io.github.skim4j.engine.backend;
