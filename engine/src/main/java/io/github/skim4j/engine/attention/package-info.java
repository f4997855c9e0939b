/** The attention methods and their settings as records; see {@link io.github.skim4j.engine.attention.AttentionMethod}. */
package io.github.skim4j.engine.attention;
