package io.github.skim4j.cli;

import picocli.CommandLine.IVersionProvider;

/** What {@code --version} prints: the program's version, and which Java runs it. */
public final class Version implements IVersionProvider {

    @Override
    public String[] getVersion() {
        String version = Version.class.getPackage().getImplementationVersion();
        boolean vectors = ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
        return new String[] {
            "skim " + (version != null ? version : "(development)"),
            "Java " + Runtime.version() + (vectors ? ", Vector API on" : ", Vector API off (slower)")
        };
    }
}
