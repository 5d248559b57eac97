(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const LIMIT = 3000, SLICE = 10, SHOWN = 5, REFRESH = 100; // characters, milliseconds, bars, milliseconds
  const FACES = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣", "\u00a0": "⍽" };
  const HIDDEN = /^[\p{C}\u2028\u2029]$/u, MARK = /^\p{M}/u;
  const text = $("text"), written = $("written");
  let writer = null, running = false, count = 0, allowed = 0, last = 0, owed = 0, shown = 0;

  const hex = (value, digits) => value.toString(16).toUpperCase().padStart(digits, "0");
  function face(token) {
    if (typeof token !== "string") return token[0] === "byte" ? "<" + hex(token[1], 2) + ">" : "<" + hex(token[1], 1) + "_>";
    return FACES[token] ?? (HIDDEN.test(token) ? "U+" + hex(token.codePointAt(0), 4) : MARK.test(token) ? "◌" + token : token);
  }
  function temperature() { return Number($("temperature").value); }
  function predictions() { // of the model itself, at temperature 1
    const { logits } = writer, most = Math.max(...logits);
    let total = 0;
    for (const value of logits) total += Math.exp(value - most);
    const order = [...logits.keys()].sort((one, other) => logits[other] - logits[one]).slice(0, SHOWN);
    $("next").replaceChildren(...order.map((id) => {
      const chance = Math.exp(logits[id] - most) / total;
      return barRow(id === model.data.end ? "end" : face(model.data.tokens[id]), chance, (100 * chance).toFixed(1) + " %");
    }));
  }
  function show() {
    $("write").textContent = running ? "Pause" : count ? "Write on" : "Write";
    $("caret").hidden = !running;
    $("status").textContent = `${count.toLocaleString("en")} characters` + (running ? "" : count >= allowed ? ", stopped to save power" : ", paused");
    predictions();
  }
  function begin() {
    const seed = Math.min(4294967295, Math.max(0, Math.round(Number($("seed").value)) || 0));
    writer = startWriting($("prompt").value, seed);
    $("given").textContent = writer.given;
    written.replaceChildren(new Text(writer.begun));
    count = 0;
    allowed = LIMIT;
    $("notice").textContent = writer.unknown.length
      ? `The model does not know ${writer.unknown.slice(0, 8).map(face).join(" ")}; left out.` : "";
  }
  function frame(now) {
    if (!running) return;
    const speed = Number($("speed").value), began = performance.now();
    owed = speed ? Math.min(owed + (speed * Math.min(now - last, 100)) / 1000, speed) : Infinity;
    last = now;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 60;
    let piece = "";
    while (owed >= 1 && count < allowed && performance.now() - began < SLICE) {
      piece += writer.write(temperature());
      count++;
      owed--;
    }
    written.lastChild.appendData(piece);
    if (atEnd) text.scrollTop = text.scrollHeight;
    if (count >= allowed) running = false;
    if (!running || now - shown > REFRESH) {
      shown = now;
      show();
    }
    requestAnimationFrame(frame);
  }
  function start() {
    if (count >= allowed) allowed = count + LIMIT;
    running = true;
    owed = 0;
    last = performance.now();
    show();
    requestAnimationFrame(frame);
  }
  $("write").addEventListener("click", () => {
    if (!running) return start();
    running = false;
    show();
  });
  $("again").addEventListener("click", () => {
    const was = running;
    begin();
    if (was) show();
    else start();
  });
  $("temperature").addEventListener("input", () => { $("degrees").textContent = temperature().toFixed(2); });
  begin();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) show();
  else start();
})();
