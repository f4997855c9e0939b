/** From request to text: scheduler, sampler, stop sequences and the running generation. */
package io.github.skim4j.engine.decode;
