"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const raw = atob($("units").textContent.trim());
  const units = new Int8Array(raw.length);
  for (let n = 0; n < raw.length; n++) units[n] = raw.charCodeAt(n);
  const total = data.cells.length;
  const width = data.groups.reduce((sum, group) => sum + group.size, 0);
  const IMPOSSIBLE = -1, FULL_BITS = 8, STEPS = 127, LARGEST_CLUSTER = 8;
  const MARK = /^\p{M}/u, HIDDEN = /^[\p{C}\u2028\u2029]$/u, JOINER = "\u200d";
  const FACES = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣", "\u00a0": "⍽" };
  const view = { cell: 0, unit: 0, colour: width ? "unit" : "bits", guesses: false, stretch: false };
  const spans = new Array(total);

  const code = (character) => "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  const codes = (piece) => [...piece].map(code).join(" ");
  const face = (piece) => FACES[piece] ?? (HIDDEN.test(piece) ? code(piece) : MARK.test(piece) ? "◌" + piece : piece);
  const values = () => units.subarray(view.unit * total, (view.unit + 1) * total);
  const groupOf = (unit) => data.groups.findIndex((group) => unit < group.first + group.size);
  const number = (value) => value.toFixed(2).replace("-", "−");
  const add = (parent, tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  // --- The text: a line, a div; a piece, a span; a mark joins the letter it stands on. ---
  function build() {
    const text = $("text"), lines = document.createDocumentFragment();
    let line = null, cluster = 0;
    data.cells.forEach((piece, n) => {
      if (line === null) {
        line = add(lines, "div", "line");
        line.dir = "auto";
        cluster = 0;
      }
      const joins = line.lastChild && !line.lastChild.firstElementChild && cluster < LARGEST_CLUSTER &&
        (MARK.test(piece) || piece === JOINER || (data.cells[n - 1] === JOINER && !HIDDEN.test(piece)));
      cluster = joins ? cluster + 1 : 0;
      spans[n] = view.guesses ? column(line, piece, n) : joins ? join(line.lastChild, piece) : letter(line, piece);
      spans[n].dataset.n = n;
      if (piece.endsWith("\n")) line = null;
    });
    text.replaceChildren(lines);
  }
  function letter(line, piece) {
    const made = add(line, "span", "c");
    if (piece === "\n" || piece === "\r" || (HIDDEN.test(piece) && piece !== "\t" && piece !== JOINER))
      add(made, "span", "mark", face(piece));
    else made.textContent = piece;
    return made;
  }
  function join(made, piece) {
    made.textContent += piece;
    return made;
  }
  function column(line, piece, n) {
    const made = add(line, "span", "c col");
    add(made, "span", "g", face(piece));
    data.likeliest[n].forEach((label, place) => {
      const guess = add(made, "span", "p", data.labels[label]);
      guess.style.setProperty("--p", data.chances[n][place] / 10 + "%");
      if (n + 1 < total && label === data.tokens[n + 1]) guess.classList.add("came");
    });
    return made;
  }

  // --- Colours: the sign and size of the unit, or bits of surprise. ---
  function paint() {
    const byUnit = view.colour === "unit", shown = byUnit ? values() : null;
    const scale = byUnit && view.stretch ? stretched(shown) : { middle: 0, low: -STEPS, high: STEPS };
    const sign = signOf(view.unit);
    for (let n = 0; n < total; n++) {
      const bits = data.bits[n] === IMPOSSIBLE ? FULL_BITS : data.bits[n] ?? 0;
      const value = byUnit ? sign * part(shown[n], scale) : Math.min(1, bits / FULL_BITS);
      const made = spans[n];
      made.style.setProperty("--a", (100 * Math.abs(value)).toFixed(1) + "%");
      made.classList.toggle("pos", byUnit && value > 0);
      made.classList.toggle("neg", byUnit && value < 0);
      made.classList.toggle("hot", !byUnit);
    }
    legend(byUnit, scale);
  }
  function stretched(shown) { // each side from the unit's median to the farthest value that it really has
    const sorted = Int8Array.from(shown).sort();
    return { middle: sorted[total >> 1], low: sorted[0], high: sorted[total - 1] };
  }
  function part(value, scale) { // -1 to 1
    const end = value < scale.middle ? scale.middle - scale.low : scale.high - scale.middle;
    return (value - scale.middle) / Math.max(1, end);
  }
  function signOf(unit) { // -1 where the signal that the chosen chip names is on when the unit falls
    return view.sign !== undefined && view.signed === unit ? view.sign : 1;
  }
  function legend(byUnit, scale) {
    const named = (value) => (value > 0 ? "+" : "") + number(value / STEPS);
    $("scale").className = "scale " + (byUnit ? "unit" : "bits");
    $("low").textContent = byUnit ? named(signOf(view.unit) < 0 ? scale.high : scale.low) : "0 bits";
    $("middle").textContent = byUnit ? named(scale.middle) : "";
    $("high").textContent = byUnit ? named(signOf(view.unit) < 0 ? scale.low : scale.high) + " " + unitName() + (view.signed === view.unit ? ", orange: on" : "") : FULL_BITS + " bits of surprise, or more";
    $("chances").hidden = !view.guesses;
  }
  function unitName() {
    const group = data.groups[groupOf(view.unit)];
    const divisor = data.divisors[view.unit];
    const how = divisor ? ` (divided by ${divisor})` : group.shown === "value" ? "" : ` (${group.shown})`;
    return `${group.name} ${view.unit - group.first}${how}`;
  }

  // --- One character and one unit. ---
  function choose(n, scroll) {
    view.anchor = undefined;
    move(n, scroll);
  }
  function move(n, scroll) {
    spans[view.cell].classList.remove("now");
    view.cell = Math.max(0, Math.min(total - 1, n));
    spans[view.cell].classList.add("now");
    if (scroll) keepInSight(spans[view.cell]);
    describe();
  }
  function keepInSight(made) { // within the text's own box, so that the page stays where it is
    const box = $("text"), inside = box.getBoundingClientRect(), at = made.getBoundingClientRect();
    if (at.top < inside.top) box.scrollTop -= inside.top - at.top + 30;
    if (at.bottom > inside.bottom) box.scrollTop += at.bottom - inside.bottom + 30;
  }
  function describe() {
    const n = view.cell, detail = $("detail"), bits = data.bits[n];
    const told = bits === null ? "first character: not predicted" :
      bits === IMPOSSIBLE ? "probability 0" : `surprise ${bits.toFixed(2)} bits`;
    const now = width ? ` · ${unitName()} = ${number(values()[n] / STEPS)}` : "";
    detail.replaceChildren();
    const first = add(detail, "p");
    const piece = add(first, "bdi", "", face(data.cells[n]));
    piece.style.fontWeight = "700";
    first.append(` ${codes(data.cells[n])} · character ${(n + 1).toLocaleString("en")} of ${total.toLocaleString("en")}${now} · ${told} · most probable next:`);
    const list = add(detail, "ol");
    data.likeliest[n].forEach((label, place) => {
      const item = add(list, "li", "", `${data.labels[label]} ${(data.chances[n][place] / 10).toFixed(1)} %`);
      item.style.setProperty("--p", data.chances[n][place] / 10 + "%");
      if (n + 1 < total && label === data.tokens[n + 1]) {
        item.classList.add("came");
        item.append(" came");
      }
    });
  }
  function chooseUnit(unit) {
    if (!width) return;
    view.unit = Math.max(0, Math.min(width - 1, unit));
    const group = groupOf(view.unit);
    $("group").value = group;
    $("unit").max = data.groups[group].size - 1;
    $("unit").value = view.unit - data.groups[group].first;
    if (view.signed !== view.unit) forget();
    setColour("unit");
  }
  function forget() { // another unit than the signal's: nothing is claimed of it
    view.signed = view.sign = undefined;
    view.runs = [];
    document.querySelectorAll(".chip").forEach((chip) => chip.setAttribute("aria-pressed", false));
    if ($("examples")) $("examples").hidden = true;
    mark();
  }
  function setColour(colour) {
    if (!width) colour = "bits";
    view.colour = colour;
    const button = document.querySelector(`input[name=colour][value=${colour}]`);
    if (button) button.checked = true;
    paint();
    describe();
  }
  function setGuesses(wanted) {
    view.guesses = wanted;
    $("guesses").checked = wanted;
    build();
    mark();
    if (width) markPassage();
    paint();
    move(view.cell, true);
  }

  // --- A passage: the units that are on throughout it, and other passages with the same units. ---
  const NAMED = 24, MATCHES = 20, AROUND = 24;
  const finder = passagesOf(units, total);
  function extend(n) {
    view.anchor ??= view.cell;
    move(n, true);
    select(Math.min(view.anchor, view.cell), Math.max(view.anchor, view.cell));
  }
  function select(first, last) {
    view.passage = [first, last];
    view.left = new Set();
    showPassage();
  }
  function clearPassage() {
    view.passage = view.anchor = undefined;
    document.getSelection()?.removeAllRanges();
    showPassage();
  }
  function markPassage() {
    const [first, last] = view.passage ?? [0, -1];
    spans.forEach((made) => made.classList.remove("in", "match"));
    for (let n = first; n <= last; n++) spans[n].classList.add("in");
    for (const one of view.matches ?? [])
      for (let n = one.first; n <= one.first + last - first; n++) spans[n].classList.add("match");
  }
  function showPassage() {
    $("passage").hidden = !view.passage;
    view.matches = [];
    if (view.passage) {
      const [first, last] = view.passage, threshold = Number($("level").value);
      view.through = finder.through(first, last, threshold);
      const chosen = view.through.filter(({ unit }) => !view.left.has(unit));
      if (chosen.length) view.matches = finder.matches(chosen, first, last, threshold, MATCHES);
      tellPassage(first, last, threshold);
      tellUnits();
      tellMatches(last - first + 1, chosen.length);
    }
    markPassage();
  }
  const quoted = (first, last) => data.cells.slice(Math.max(0, first), Math.max(0, last)).map((piece) => piece === " " ? " " : face(piece)).join("");
  const nameOf = (unit) => `${data.groups[groupOf(unit)].name} ${unit - data.groups[groupOf(unit)].first}`;
  function tellPassage(first, last, threshold) {
    const many = last - first + 1, text = quoted(first, last + 1), units = view.through.length;
    $("passage-text").textContent = many > 200 ? text.slice(0, 200) + "…" : text;
    $("passage-where").textContent = `character${many > 1 ? "s" : ""} ${(first + 1).toLocaleString("en")}${many > 1 ? " to " + (last + 1).toLocaleString("en") : ""}`;
    $("level-now").textContent = threshold.toFixed(2);
    $("passage-count").textContent = units ? `${units.toLocaleString("en")} unit${units > 1 ? "s are" : " is"} on throughout` :
      "No unit is on throughout: take a shorter passage, or lower the threshold";
    const at = threshold === 0.5 ? "" : ` --threshold ${threshold}`;
    $("passage-command").textContent = `${data.command} --passage ${first + 1}:${last + 1}${at}`;
  }
  function tellUnits() {
    const list = $("passage-units");
    list.replaceChildren();
    view.through.slice(0, NAMED).forEach(({ unit, sign, share }) => {
      const label = add(list, "label"), box = add(label, "input");
      box.type = "checkbox";
      box.checked = !view.left.has(unit);
      box.addEventListener("change", () => {
        if (box.checked) view.left.delete(unit); else view.left.add(unit);
        showPassage();
        [...list.querySelectorAll("input")].find((one) => one.value === box.value)?.focus();
      });
      box.value = unit;
      label.append(` ${nameOf(unit)} ${sign < 0 ? "falls" : "rises"} `);
      add(label, "small", "", `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);
    });
    if (view.through.length > NAMED) add(list, "span", "", `and ${view.through.length - NAMED} more`);
  }
  function tellMatches(length, chosen) {
    const list = $("passage-matches");
    list.replaceChildren();
    $("passage-none").hidden = view.matches.length > 0 || !chosen;
    view.matches.forEach((one) => {
      const button = add(add(list, "li"), "button", "match-row");
      button.type = "button";
      add(button, "span", "score", one.score.toFixed(3));
      add(button, "span", "score", `${one.through} of ${chosen}`);
      const text = add(button, "bdi", "around", quoted(one.first - AROUND, one.first));
      add(text, "mark", "", quoted(one.first, one.first + length));
      text.append(quoted(one.first + length, one.first + length + AROUND));
      button.addEventListener("click", () => { choose(one.first, true); $("text").scrollIntoView({ block: "nearest" }); });
    });
  }
  function dragged() { // with a mouse, or with a phone's handles: the browser's own selection
    const selection = document.getSelection();
    if (!selection?.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    if (!$("text").contains(range.startContainer) || !$("text").contains(range.endContainer)) return;
    let first = spans.findIndex((made) => range.intersectsNode(made));
    let last = spans.findLastIndex((made) => range.intersectsNode(made));
    if (first >= 0 && spans[first].contains(range.startContainer) && range.startOffset === range.startContainer.length) first++;
    if (last >= 0 && spans[last].contains(range.endContainer) && range.endOffset === 0) last--;
    if (first < 0 || last < first || (view.passage?.[0] === first && view.passage[1] === last)) return;
    move(last, false);
    view.anchor = first;
    select(first, last);
  }

  // --- What people do. ---
  function layer(step) {
    const from = groupOf(view.unit), group = Math.max(0, Math.min(data.groups.length - 1, from + step));
    chooseUnit(data.groups[group].first + Math.min(view.unit - data.groups[from].first, data.groups[group].size - 1));
  }
  const KEYS = {
    ArrowRight: () => choose(view.cell + 1, true), ArrowLeft: () => choose(view.cell - 1, true),
    Home: () => choose(0, true), End: () => choose(total - 1, true),
    ArrowDown: () => chooseUnit(view.unit + 1), ArrowUp: () => chooseUnit(view.unit - 1),
    PageDown: () => layer(1), PageUp: () => layer(-1),
    Escape: () => clearPassage(),
    s: () => setColour(view.colour === "unit" ? "bits" : "unit"), p: () => setGuesses(!view.guesses),
  };
  const EXTENDING = {
    ArrowRight: () => extend(view.cell + 1), ArrowLeft: () => extend(view.cell - 1),
    ArrowDown: () => extend(endOfLine(view.cell)), ArrowUp: () => extend(startOfLine(view.cell)),
    Home: () => extend(0), End: () => extend(total - 1),
  };
  function endOfLine(n) { // the end of this line, or of the next if this is the end
    const found = data.cells.findIndex((piece, m) => m > n && piece.endsWith("\n"));
    return found < 0 ? total - 1 : found;
  }
  function startOfLine(n) {
    const found = data.cells.findLastIndex((piece, m) => m < n - 1 && piece.endsWith("\n"));
    return found + 1;
  }
  const WIDGETS = "input:not([type=checkbox]), select, textarea, summary, [role=region]";
  document.addEventListener("keydown", (event) => { // without a click too; a control that has the focus keeps the keys that it uses
    if (event.defaultPrevented || event.target.closest?.(WIDGETS)) return;
    const keys = event.shiftKey && width && EXTENDING[event.key] ? EXTENDING : KEYS;
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!act || (!width && ["ArrowDown", "ArrowUp", "PageDown", "PageUp"].includes(event.key))) return;
    event.preventDefault();
    act();
  });
  $("text").addEventListener("click", (event) => {
    const made = event.target.closest(".c");
    if (!made || !document.getSelection()?.isCollapsed) return; // the end of a drag
    choose(Number(made.dataset.n), false);
  });
  function chooseButton(button) {
    const unit = Number(button.dataset.column), signed = button.dataset.sign !== undefined;
    view.signed = signed ? unit : undefined;
    view.sign = signed ? Number(button.dataset.sign) : undefined;
    view.runs = button.dataset.runs ? JSON.parse(button.dataset.runs) : [];
    chooseUnit(unit);
    document.querySelectorAll(".chip").forEach((chip) => chip.setAttribute("aria-pressed", chip.dataset.signal === button.dataset.signal));
    mark();
    if (button.dataset.at !== undefined) {
      $("stretch").checked = view.stretch = true; // as the gallery shows it
      paint();
      example(Math.max(0, view.runs.findIndex(([, last]) => last > Number(button.dataset.at))));
      $("text").scrollIntoView({ block: "nearest" });
    } else if (button.dataset.runs) example(0);
    else if ($("examples")) $("examples").hidden = true;
  }
  function mark() { // where the signal is on
    const runs = view.runs ?? [];
    spans.forEach((made) => made.classList.remove("on"));
    runs.forEach(([first, last]) => { for (let n = first; n < last; n++) spans[n].classList.add("on"); });
  }
  function example(n) {
    const many = view.runs.length;
    view.example = many ? (n + many) % many : 0;
    $("examples").hidden = false;
    $("which").textContent = many ? `example ${view.example + 1} of ${many} in this text` : "no example in this text";
    $("earlier").disabled = $("later").disabled = many < 2;
    if (many) choose(view.runs[view.example][0], true);
  }
  document.querySelectorAll("[data-column]").forEach((button) => button.addEventListener("click", () => {
    chooseButton(button);
    if (!button.classList.contains("chip")) $("text").focus();
  }));
  $("earlier")?.addEventListener("click", () => example(view.example - 1));
  $("later")?.addEventListener("click", () => example(view.example + 1));
  $("guesses").addEventListener("change", (event) => setGuesses(event.target.checked));
  if (width) {
    $("group").addEventListener("change", (event) => chooseUnit(data.groups[event.target.value].first));
    $("unit").addEventListener("change", (event) => {
      const group = data.groups[$("group").value], wanted = Math.round(Number(event.target.value)) || 0;
      chooseUnit(group.first + Math.max(0, Math.min(group.size - 1, wanted)));
    });
    $("back").addEventListener("click", () => chooseUnit(view.unit - 1));
    $("on").addEventListener("click", () => chooseUnit(view.unit + 1));
    $("stretch").addEventListener("change", (event) => { view.stretch = event.target.checked; paint(); });
    let waiting;
    document.addEventListener("selectionchange", () => {
      clearTimeout(waiting);
      waiting = setTimeout(dragged, 100);
    });
    $("level").addEventListener("input", showPassage);
    $("clear").addEventListener("click", () => { clearPassage(); $("text").focus(); });
    document.querySelectorAll("input[name=colour]").forEach((button) =>
      button.addEventListener("change", () => setColour(button.value)));
  }

  build();
  const first = document.querySelector(".chip");
  if (first) chooseButton(first);
  else if (width) chooseUnit(data.groups[data.groups.length - 1].first);
  else paint();
  if (!view.runs?.length) choose(0, false);
})();
