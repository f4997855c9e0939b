// All text from the server is set as text, never as HTML.
const $ = id => document.getElementById(id);

let running = null;

$("form").addEventListener("submit", event => {
  event.preventDefault();
  ask($("question").value.trim());
});
$("stop").addEventListener("click", () => running?.abort());
showAbout();

async function showAbout() {
  try {
    const about = await json(await fetch("api/about"));
    $("model").textContent = about.model;
    $("device").textContent = `on ${about.device}`;
    $("demo").hidden = !about.model.startsWith("skim-demo");
    $("documents").replaceChildren(...about.documents.map(name => {
      const item = document.createElement("li");
      item.append(documentLink(name));
      return item;
    }));
    $("samples").replaceChildren(...about.sampleQuestions.map(question => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = question;
      button.addEventListener("click", () => {
        $("question").value = question;
        ask(question);
      });
      return button;
    }));
    $("samples").hidden = about.sampleQuestions.length === 0;
  } catch (error) {
    showProblem(error);
  }
}

async function ask(question) {
  if (running || !question) {
    return;
  }
  running = new AbortController();
  setBusy(true);
  $("problem").hidden = true;
  const card = addCard(question);
  try {
    const response = await fetch("api/answers", {
      method: "POST",
      headers: {"Content-Type": "application/json", "Accept": "text/event-stream, application/problem+json"},
      body: JSON.stringify({question}),
      signal: running.signal,
    });
    if (!response.ok) {
      await json(response);
    }
    let ended = false;
    for await (const {name, data} of events(response.body)) {
      card[name]?.(data);
      ended ||= name === "done" || name === "error";
    }
    if (!ended) {
      card.error({message: "The connection ended before the answer was complete."});
    }
  } catch (error) {
    if (error.name === "AbortError") {
      card.stopped();
    } else {
      card.error({message: readable(error)});
    }
  } finally {
    running = null;
    setBusy(false);
  }
}

/** The server-sent events of a response body: name and parsed data. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) {
      return;
    }
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const field = name => block.split("\n").filter(line => line.startsWith(`${name}:`)).map(line => line.slice(name.length + 1)).join("\n");
      yield {name: field("event"), data: JSON.parse(field("data"))};
    }
  }
}

/** Adds a card for a question; its functions are named after the events they show. */
function addCard(question) {
  const card = $("answer").content.firstElementChild.cloneNode(true);
  const part = selector => card.querySelector(selector);
  const end = state => {
    card.setAttribute("aria-busy", "false");
    part(".state").textContent = state;
    part(".state").hidden = !state;
  };
  part("h2").textContent = question;
  $("answers").prepend(card);
  return {
    sources(names) {
      part(".sources").append(...names.map(documentLink));
      part(".sources").hidden = names.length === 0;
    },
    token({text}) {
      part(".state").hidden = true;
      part(".text").append(text);
    },
    done(figures) {
      end(figures.complete ? "" : "The answer reached its length limit.");
      for (const cell of card.querySelectorAll("[data-figure]")) {
        cell.textContent = FIGURES[cell.dataset.figure](figures);
      }
      part("dl").hidden = false;
    },
    error({message}) {
      end(message);
      part(".state").classList.add("bad");
    },
    stopped() {
      end("Stopped.");
    },
  };
}

const number = (value, digits = 0) => value.toLocaleString("en", {maximumFractionDigits: digits});

const FIGURES = {
  firstToken: figures => `${number(figures.timeToFirstTokenMillis / 1000, 2)} s`,
  speed: figures => figures.tokensPerSecond > 0 ? `${number(figures.tokensPerSecond)} tokens/s` : "–",
  prompt: figures => `${number(figures.promptTokens)} tokens`
      + (figures.cachedTokens > 0 ? `, ${number(figures.cachedTokens)} reused` : ""),
  attended: figures => `${number(figures.attendedDensity * 100, 1)} %`,
};

function documentLink(name) {
  const link = document.createElement("a");
  link.href = `api/documents/${encodeURIComponent(name)}`;
  link.target = "_blank";
  link.textContent = name;
  return link;
}

function setBusy(busy) {
  $("ask").hidden = busy;
  $("stop").hidden = !busy;
  for (const button of $("samples").children) {
    button.disabled = busy;
  }
}

/** The body of a response; the problem's own words if it is one. */
async function json(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(body.detail ?? `The server answered ${response.status}.`);
  }
  return body;
}

function readable(error) {
  return error instanceof TypeError ? "The application can't be reached. Is it still running?" : error.message;
}

function showProblem(error) {
  $("problem").textContent = readable(error);
  $("problem").hidden = false;
}
