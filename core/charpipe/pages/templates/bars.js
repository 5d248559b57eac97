// A row of a list of next characters: its name, a bar as long as its probability, and that in words.
function barRow(name, chance, words) {
  const row = document.createElement("li");
  for (const [kind, value] of [["face", name], ["bar", ""], ["chance", words]]) {
    const part = document.createElement("span");
    part.className = kind;
    part.textContent = value;
    row.append(part);
  }
  const bar = document.createElement("i");
  bar.style.setProperty("--p", 100 * chance + "%");
  row.children[1].append(bar);
  return row;
}
