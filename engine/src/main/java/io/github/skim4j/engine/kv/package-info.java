/** The paged KV cache: one pool of fixed-size pages, a page table for each sequence. */
package io.github.skim4j.engine.kv;
