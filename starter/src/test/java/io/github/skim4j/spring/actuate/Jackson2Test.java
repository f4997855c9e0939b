package io.github.skim4j.spring.actuate;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.spring.ScriptedEngine;
import io.github.skim4j.spring.SkimAutoConfiguration;
import io.github.skim4j.spring.SkimProperties;
import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.springframework.boot.actuate.autoconfigure.context.properties.ConfigurationPropertiesReportEndpointAutoConfiguration;
import org.springframework.boot.actuate.context.properties.ConfigurationPropertiesReportEndpoint;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;

/** Actuator without a web starter: of Jackson there is only what LangChain4j brings, version 2. */
class Jackson2Test {

    @Test
    void propertiesWithDurationsAreReported() throws Exception {
        List<URL> classpath = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!entry.replace('\\', '/').contains("/tools/jackson/")) {
                classpath.add(Path.of(entry).toUri().toURL());
            }
        }
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        try (URLClassLoader withoutJackson3 =
                new URLClassLoader(classpath.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
            thread.setContextClassLoader(withoutJackson3);
            Callable<?> report = (Callable<?>) withoutJackson3
                    .loadClass(Report.class.getName())
                    .getConstructor()
                    .newInstance();

            assertThat(report.call())
                    .asInstanceOf(InstanceOfAssertFactories.MAP)
                    .containsKeys("shutdownTimeout", "attention")
                    .doesNotContainKey("error");
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    /** Loaded by a class loader of its own. */
    public static class Report implements Callable<Map<String, Object>> {

        private Map<String, Object> properties;

        @Override
        public Map<String, Object> call() {
            new ApplicationContextRunner()
                    .withConfiguration(AutoConfigurations.of(
                            SkimAutoConfiguration.class, ConfigurationPropertiesReportEndpointAutoConfiguration.class))
                    .withBean(Engine.class, ScriptedEngine::immediate)
                    .withPropertyValues("management.endpoints.web.exposure.include=configprops")
                    .run(context -> properties = context.getBean(ConfigurationPropertiesReportEndpoint.class)
                            .configurationPropertiesWithPrefix(SkimProperties.PREFIX)
                            .getContexts()
                            .get(context.getId())
                            .getBeans()
                            .values()
                            .iterator()
                            .next()
                            .getProperties());
            return properties;
        }
    }
}
