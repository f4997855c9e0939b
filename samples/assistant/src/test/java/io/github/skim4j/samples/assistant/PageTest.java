package io.github.skim4j.samples.assistant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.openqa.selenium.By;
import org.openqa.selenium.Dimension;
import org.openqa.selenium.OutputType;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.support.ui.WebDriverWait;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.web.server.LocalServerPort;

/** The page in a real browser; screenshots are in {@code target/page}. */
@Tag("slow")
@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT)
class PageTest {

    private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
    private static final Path DRIVER = Path.of("/usr/bin/chromedriver");

    private static ChromeDriver browser;

    @LocalServerPort
    private int port;

    @BeforeAll
    static void start() {
        assumeTrue(
                Files.isExecutable(CHROMIUM) && Files.isExecutable(DRIVER),
                "needs Chromium and ChromeDriver in /usr/bin: apt-get install chromium chromium-driver");
        ChromeDriverService service = new ChromeDriverService.Builder()
                .usingDriverExecutable(DRIVER.toFile())
                .usingAnyFreePort()
                .build();
        ChromeOptions options = new ChromeOptions();
        options.setBinary(CHROMIUM.toFile());
        options.addArguments(
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync");
        browser = new ChromeDriver(service, options);
    }

    @AfterAll
    static void stop() {
        if (browser != null) {
            browser.quit();
        }
    }

    @BeforeEach
    void open() {
        browser.manage().window().setSize(new Dimension(1200, 900));
        browser.get("http://127.0.0.1:" + port + "/");
        waitFor("#samples button");
    }

    @Test
    void answersASampleQuestion() throws Exception {
        browser.findElement(By.xpath("//button[text()='Who leads Project Heron?']"))
                .click();
        waitFor("article[aria-busy=false] dl:not([hidden])");

        assertThat(text("article .text")).contains("Orla Kerr");
        assertThat(text("article .sources")).contains("project-fact-sheets.md");
        assertThat(text("article dl")).contains("tokens/s", "100 %");
        assertThat(text("aside")).contains("skim-demo-q8_0.gguf", "look-up model for regular text");
        assertThat(browser.findElement(By.id("ask")).isDisplayed()).isTrue();
        assertThat(browser.findElement(By.id("stop")).isDisplayed()).isFalse();
        screenshot("wide.png");
        browser.manage().window().setSize(new Dimension(500, 1100));
        assertThat((Boolean) browser.executeScript(
                        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
                .as("fits a narrow screen")
                .isTrue();
        screenshot("narrow.png");
    }

    @Test
    void showsATypedQuestionAsText() {
        String question = "Who leads <img src=x onerror=\"document.title='broken'\"> Project Heron?";
        browser.findElement(By.id("question")).sendKeys(question + "\n");
        waitFor("article[aria-busy=false]");

        assertThat(text("article h2")).isEqualTo(question);
        assertThat(browser.findElements(By.cssSelector("article img"))).isEmpty();
        assertThat(browser.getTitle()).isEqualTo("Skim assistant");
    }

    @Test
    void stops() {
        browser.findElement(By.id("question")).sendKeys("Who leads Project Heron?\n");
        browser.findElement(By.id("stop")).click();
        waitFor("article[aria-busy=false]");

        assertThat(text("article .state")).isEqualTo("Stopped.");
    }

    @Test
    void showsAnErrorInWords() {
        browser.executeScript("arguments[0].removeAttribute('maxlength')", browser.findElement(By.id("question")));
        browser.executeScript("arguments[0].value = 'x'.repeat(2000)", browser.findElement(By.id("question")));
        browser.findElement(By.id("ask")).click();
        waitFor("article .bad");

        assertThat(text("article .bad")).isEqualTo("The question has 2000 characters; at most 1000 are allowed.");
    }

    private static WebElement waitFor(String selector) {
        return new WebDriverWait(browser, Duration.ofMinutes(3)).until(driver -> {
            List<WebElement> found = driver.findElements(By.cssSelector(selector));
            return found.isEmpty() ? null : found.get(0);
        });
    }

    private static String text(String selector) {
        return browser.findElement(By.cssSelector(selector)).getText();
    }

    private static void screenshot(String name) throws Exception {
        Path folder = Files.createDirectories(Path.of("target", "page"));
        Files.write(folder.resolve(name), browser.getScreenshotAs(OutputType.BYTES));
    }
}
