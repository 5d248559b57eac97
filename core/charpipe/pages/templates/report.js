"use strict";
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
(() => {
  const PAUSE = 900; // milliseconds for each sample while playing
  const all = [...document.querySelectorAll(".sample")];
  if (all.length < 2) return;
  const byId = (id) => document.getElementById(id);
  const box = byId("samples"), slider = byId("which"), back = byId("back"), on = byId("on");
  const play = byId("play"), marks = byId("marks"), told = byId("changed");
  const texts = all.map((one) => [...one.querySelector(".text").textContent]);
  const shares = [];
  let timer = 0;

  // Marks the characters that differ from the previous sample's at the same place: both were drawn with one seed.
  const mark = (n) => {
    if (n in shares) return;
    const place = all[n].querySelector(".text"), before = n ? texts[n - 1] : texts[n], made = document.createDocumentFragment();
    const differs = (i) => texts[n][i] !== before[i];
    let count = 0;
    for (let start = 0, end; start < texts[n].length; start = end) {
      const changed = differs(start);
      for (end = start + 1; end < texts[n].length && differs(end) === changed;) end += 1;
      const piece = document.createElement(changed ? "mark" : "span");
      piece.textContent = texts[n].slice(start, end).join("");
      made.append(piece);
      if (changed) count += end - start;
    }
    place.replaceChildren(made);
    shares[n] = texts[n].length ? count / texts[n].length : 0;
  };
  const now = () => Number(slider.value);
  const show = (n) => {
    const wanted = Math.max(0, Math.min(all.length - 1, n));
    mark(wanted);
    all.forEach((one, place) => one.classList.toggle("now", place === wanted));
    slider.value = wanted;
    slider.setAttribute("aria-valuetext", "step " + all[wanted].dataset.step);
    back.disabled = wanted === 0;
    on.disabled = wanted === all.length - 1;
    told.textContent = wanted
      ? Math.round(100 * shares[wanted]) + " % of the characters differ from step " + all[wanted - 1].dataset.step
      : "the first sample";
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play the samples");
  };
  const start = () => {
    if (now() === all.length - 1) show(0);
    timer = setInterval(() => {
      show(now() + 1);
      if (now() === all.length - 1) stop();
    }, PAUSE);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
  };
  const go = (n) => { stop(); show(n); };
  play.addEventListener("click", () => (timer ? stop() : start()));
  slider.addEventListener("input", () => go(now()));
  back.addEventListener("click", () => go(now() - 1));
  on.addEventListener("click", () => go(now() + 1));
  marks.addEventListener("change", () => box.classList.toggle("marked", marks.checked));
  box.addEventListener("keydown", (event) => {
    const wanted = { ArrowLeft: now() - 1, ArrowRight: now() + 1, Home: 0, End: all.length - 1 }[event.key];
    const scrolls = event.target.tagName === "PRE" && !event.key.startsWith("Arrow");
    if (wanted === undefined || scrolls || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(wanted);
  });
  box.classList.add("live");
  box.classList.toggle("marked", marks.checked);
  show(all.length - 1);
})();
