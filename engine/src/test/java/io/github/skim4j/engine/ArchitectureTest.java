package io.github.skim4j.engine;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** Who may import whom. */
@AnalyzeClasses(packages = "io.github.skim4j", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {

    private static final String ENGINE = "io.github.skim4j.engine";

    @ArchTest
    static final ArchRule THE_ENGINE_KNOWS_NO_FRAMEWORK = noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.springframework..", "dev.langchain4j..", "io.micrometer..", "jcuda..");

    @ArchTest
    static final ArchRule ONLY_THE_DECODE_PACKAGE_DRIVES_A_BACKEND = noClasses()
            .that()
            .resideInAnyPackage(
                    ENGINE + ".model..",
                    ENGINE + ".tokenizer..",
                    ENGINE + ".chat..",
                    ENGINE + ".kv..",
                    ENGINE + ".attention..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(ENGINE + ".backend..", ENGINE + ".decode..");

    @ArchTest
    static final ArchRule BACKENDS_KNOW_NOTHING_OF_REQUESTS = noClasses()
            .that()
            .resideInAPackage(ENGINE + ".backend..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(ENGINE + ".decode..", ENGINE + ".tokenizer..", ENGINE + ".chat..");

    @ArchTest
    static final ArchRule A_DEVICE_IS_FOUND_THROUGH_THE_SPI = noClasses()
            .that()
            .resideOutsideOfPackage(ENGINE + ".backend.cpu..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage(ENGINE + ".backend.cpu..");

    @ArchTest
    static final ArchRule THE_SUBJECTS_HAVE_NO_CYCLES =
            slices().matching(ENGINE + ".(*)..").should().beFreeOfCycles();
}
