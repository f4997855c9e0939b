/** Spring Boot auto-configuration of an engine and its LangChain4j models. */
package io.github.skim4j.spring;
