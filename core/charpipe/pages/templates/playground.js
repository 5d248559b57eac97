(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const { first, size } = JSON.parse($("data").textContent);
  const FACES = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣" };
  const HIDDEN = /^[\p{C}\u2028\u2029]$/u;
  const PAUSE = 150, NEAR = 40; // milliseconds after a key, pixels from the end of the text
  const text = $("text"), prompt = $("prompt");
  let pieces = [], at = -1, writing = null, asked = 0, timer = 0;

  const whole = (value) => value.toLocaleString("en");
  const percent = (chance) => (100 * chance).toFixed(chance < 0.001 ? 2 : 1) + " %";
  const face = (piece) => FACES[piece] ?? (HIDDEN.test(piece) ? "U+" + piece.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") : piece);

  // --- the settings ---
  const shown = {
    temperature: (value) => Number(value).toFixed(2),
    top_k: (value) => (Number(value) >= size ? "all" : whole(Number(value))),
    top_p: (value) => (Number(value) >= 1 ? "all" : Number(value).toFixed(2)),
    length: (value) => whole(Number(value)),
  };
  function showSettings() {
    for (const [id, format] of Object.entries(shown)) {
      const value = format($(id).value);
      $(id + "-value").textContent = value;
      $(id).setAttribute("aria-valuetext", value);
    }
  }
  function settings() {
    const seed = $("seed").value.trim();
    return {
      prompt: prompt.value,
      length: Number($("length").value),
      temperature: Number($("temperature").value),
      top_k: Number($("top_k").value) >= size ? null : Number($("top_k").value),
      top_p: Number($("top_p").value) >= 1 ? null : Number($("top_p").value),
      seed: seed === "" ? null : Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.round(Number(seed)) || 0)),
    };
  }

  // --- the bars ---
  function showBars(title, bars, chosen) {
    $("bars-title").textContent = title;
    $("bars").replaceChildren(...bars.map(([name, chance]) => {
      const row = barRow(name, chance, percent(chance));
      row.classList.toggle("chosen", name === chosen);
      return row;
    }));
  }
  async function ask() { // what comes at the cursor in the prompt
    const number = ++asked;
    try {
      const answer = await post("/next", { text: prompt.value.slice(0, prompt.selectionStart) });
      const found = await answer.json();
      if (number !== asked) return;
      $("notice").textContent = found.error ?? "";
      if (found.bars) showBars("At the cursor in the prompt", found.bars);
    } catch {
      if (number === asked) $("notice").textContent = "The server does not answer any more; start charpipe sample --web again.";
    }
  }
  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  }
  const post = (path, values, signal) =>
    fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values), signal });

  // --- the text ---
  function add(found) {
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < NEAR;
    const all = document.createDocumentFragment();
    for (const piece of found) {
      const span = document.createElement("span");
      if (piece.given) span.className = "given";
      if (piece.text === "\n") {
        span.classList.add("line");
        span.append("\n");
      }
      else if (HIDDEN.test(piece.text) && piece.text !== "\t") {
        const mark = document.createElement("span");
        mark.className = "mark";
        mark.textContent = face(piece.text);
        span.append(mark);
      } else span.textContent = piece.text;
      piece.span = span;
      pieces.push(piece);
      all.append(span);
    }
    text.append(all);
    if (atEnd && at < 0) text.scrollTop = text.scrollHeight;
  }
  function choose(place, scroll = true) {
    if (!pieces.length) return;
    pieces[at]?.span.classList.remove("at");
    clearTimeout(timer);
    asked++;
    at = Math.min(pieces.length - 1, Math.max(0, place));
    const piece = pieces[at];
    piece.span.classList.add("at");
    if (scroll) piece.span.scrollIntoView({ block: "nearest", behavior: "instant" });
    const title = piece.bars.length ? "What could stand at" : "Nothing was read before";
    showBars(`${title} character ${whole(at + 1)}`, piece.bars, face(piece.text));
    const chance = piece.chance === null ? "not predicted" : `probability ${percent(piece.chance)}`;
    $("status").textContent = `character ${whole(at + 1)} of ${whole(pieces.length)}: ${face(piece.text)}, ${chance}`;
  }
  function line(step) { // the nearest character of the line above or below
    const here = pieces[at].span.getBoundingClientRect();
    let best = at, top = null;
    for (let n = at + step; n >= 0 && n < pieces.length; n += step) {
      const box = pieces[n].span.getClientRects()[0];
      if (!box || Math.abs(box.top - here.top) < 2) continue;
      top ??= box.top;
      if (Math.abs(box.top - top) >= 2) break;
      const bestBox = pieces[best].span.getClientRects()[0];
      if (best === at || Math.abs(box.left - here.left) < Math.abs(bestBox.left - here.left)) best = n;
    }
    return best;
  }

  // --- writing ---
  function running(yes) {
    text.classList.toggle("writing", yes);
    $("stop").disabled = !yes;
    $("write").textContent = yes ? "Write anew" : "Write";
  }
  async function write() {
    writing?.abort();
    const own = (writing = new AbortController());
    const began = performance.now();
    clearTimeout(timer);
    asked++;
    pieces = [];
    at = -1;
    text.replaceChildren();
    $("notice").textContent = $("status").textContent = "";
    running(true);
    let ended = "stopped";
    try {
      const answer = await post("/write", settings(), own.signal);
      if (!answer.ok) throw new Error((await answer.json()).error);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        const found = lines.filter(Boolean).map((each) => JSON.parse(each));
        const error = found.find((each) => each.error);
        if (error) throw new Error(error.error);
        if (found.some((each) => each.done)) ended = "done";
        add(found.filter((each) => each.text !== undefined));
        if (at < 0 && pieces.length) showLast(`${whole(pieces.length)} characters`);
      }
    } catch (error) {
      if (own !== writing) return;
      if (error.name !== "AbortError") $("notice").textContent = error instanceof TypeError
        ? "The server does not answer any more; start charpipe sample --web again." : error.message;
    }
    if (own !== writing) return;
    writing = null;
    running(false);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    if (at < 0) showLast(`${whole(pieces.length)} characters, ${ended} after ${seconds} s`);
  }
  function showLast(status) {
    $("status").textContent = status;
    const last = pieces.at(-1);
    if (last) showBars("The last character", last.bars, face(last.text));
  }
  function stop() {
    writing?.abort();
  }

  // --- keys ---
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      write();
      text.focus({ preventScroll: true });
    } else if (event.key === "Escape" && writing) {
      event.preventDefault();
      stop();
    }
  });
  text.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !pieces.length) return;
    const start = at < 0 ? pieces.length : at;
    const moves = {
      ArrowLeft: () => start - 1,
      ArrowRight: () => (at < 0 ? 0 : at + 1),
      ArrowUp: () => (at < 0 ? pieces.length - 1 : line(-1)),
      ArrowDown: () => (at < 0 ? 0 : line(1)),
      Home: () => 0,
      End: () => pieces.length - 1,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(moves[event.key]());
  });
  text.addEventListener("click", (event) => {
    const span = event.target.closest("#text > span");
    if (span) choose(pieces.findIndex((piece) => piece.span === span), false);
  });
  for (const name of ["input", "click", "keyup", "focus"]) prompt.addEventListener(name, askSoon);
  for (const id of Object.keys(shown)) $(id).addEventListener("input", showSettings);
  $("write").addEventListener("click", write);
  $("stop").addEventListener("click", stop);

  prompt.value = first.prompt;
  $("temperature").value = first.temperature;
  $("top_k").value = first.top_k ?? size;
  $("top_p").value = first.top_p ?? 1;
  $("length").value = first.length;
  $("seed").value = first.seed ?? "";
  showSettings();
  prompt.focus({ preventScroll: true });
  ask();
})();
