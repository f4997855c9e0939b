/** A question-answering application over a folder of documents: retrieval, an AI service and a streaming web page. */
package io.github.skim4j.samples.assistant;
