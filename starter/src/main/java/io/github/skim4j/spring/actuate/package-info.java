/** Health, info, endpoint and meters of an engine; each in an auto-configuration of its own, as Actuator is optional. */
package io.github.skim4j.spring.actuate;
