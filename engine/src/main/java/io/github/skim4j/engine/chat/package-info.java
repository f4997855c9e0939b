/** Chat messages and the model's own templates for them. */
package io.github.skim4j.engine.chat;
