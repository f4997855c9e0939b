/** Model files (Hugging Face directories and GGUF), where they come from, and what they hold. */
package io.github.skim4j.engine.model;
