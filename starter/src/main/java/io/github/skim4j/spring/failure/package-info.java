/** What to do when an application does not start. */
package io.github.skim4j.spring.failure;
