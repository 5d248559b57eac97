// The model: reads a token, returns the logits of the next one. `cell` is its equations.
const model = (() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const raw = atob(document.getElementById("weights").textContent.trim());
  const bytes = new Uint8Array(raw.length);
  for (let n = 0; n < raw.length; n++) bytes[n] = raw.charCodeAt(n);
  const floats = (place) => place && new Float32Array(bytes.buffer, place[0], place[1]);
  const matrix = (made) => made && { ...made, numbers: new Int8Array(bytes.buffer, ...made.numbers), scale: floats(made.scale) };
  const { size, states, inputGates, hiddenGates, gates } = data;
  const layers = data.weights.layers.map((layer) => ({
    input: matrix(layer.input), inputBias: floats(layer.inputBias),
    recurrent: matrix(layer.recurrent), recurrentBias: floats(layer.recurrentBias), vectors: layer.vectors.map(floats),
  }));
  const head = matrix(data.weights.head), headBias = floats(data.weights.headBias), embedding = matrix(data.weights.embedding);
  const sums = new Float64Array(gates * size), embedded = new Float64Array(embedding ? embedding.columns : 0);
  const logits = new Float64Array(head.rows);
  let state;

  // out[gate * size + unit] += the product of a row with the input, and its bias; `blocks` are the gates of the rows.
  function product({ columns, numbers, scale }, bias, input, blocks, size, out) {
    let row = 0;
    for (const block of blocks) {
      for (let at = block * size, end = at + size; at < end; at++, row++) {
        let sum = 0;
        for (let n = 0, from = row * columns; n < columns; n++, from++) sum += numbers[from] * input[n];
        out[at] += scale[row] * sum + bias[row];
      }
    }
  }
  function oneHot({ columns, numbers, scale }, bias, token) {
    let row = 0;
    for (const block of inputGates)
      for (let at = block * size, end = at + size; at < end; at++, row++) sums[at] += scale[row] * numbers[row * columns + token] + bias[row];
  }
  function reset() {
    state = layers.map(() => states.map(() => new Float64Array(size)));
  }
  function read(token) {
    if (token === data.end) reset(); // a document starts from the zero state
    let input = embedded;
    if (embedding) for (let n = 0; n < input.length; n++) input[n] = embedding.scale[token] * embedding.numbers[token * input.length + n];
    layers.forEach((layer, place) => {
      sums.fill(0);
      if (place === 0 && !embedding) oneHot(layer.input, layer.inputBias, token);
      else product(layer.input, layer.inputBias, input, inputGates, size, sums);
      if (layer.recurrent) product(layer.recurrent, layer.recurrentBias, state[place][0], hiddenGates, size, sums);
      cell(size, sums, state[place], layer.vectors);
      input = state[place][0];
    });
    logits.fill(0);
    product(head, headBias, input, [0], head.rows, logits);
    return logits;
  }
  reset();
  return { data, reset, read, get state() { return state; } };
})();

// Characters: tokens to text, as they come, and text to tokens.
const characters = (() => {
  "use strict";
  const { tokens } = model.data, whole = new Map(), bytes = new Map(), nibbles = new Map();
  tokens.forEach((token, id) => {
    if (typeof token === "string") whole.set(token, id);
    else (token[0] === "byte" ? bytes : nibbles).set(token[1], id);
  });
  for (const [character, id] of whole) if (bytes.size && character.codePointAt(0) < 128) bytes.set(character.codePointAt(0), id);

  // The tokens of a text, and the characters that the model does not know.
  function encode(text) {
    const ids = [], unknown = new Set();
    for (const character of text) {
      const spelled = [...new TextEncoder().encode(character)];
      if (whole.has(character)) ids.push(whole.get(character));
      else if (spelled.every((byte) => bytes.has(byte))) ids.push(...spelled.map((byte) => bytes.get(byte)));
      else if (nibbles.size) ids.push(...spelled.flatMap((byte) => [nibbles.get(byte >> 4), nibbles.get(byte & 15)]));
      else unknown.add(character);
    }
    return { ids, unknown: [...unknown] };
  }
  function decoder() {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    let high = null;
    const flush = () => {
      const odd = high === null ? "" : "\ufffd";
      high = null;
      return utf8.decode() || odd;
    };
    const byte = (value) => utf8.decode(Uint8Array.of(value), { stream: true });
    return (id) => {
      const token = tokens[id];
      if (typeof token === "string") return flush() + token;
      if (token[0] === "byte") return byte(token[1]);
      if (high === null) { high = token[1]; return ""; }
      const value = (high << 4) | token[1];
      high = null;
      return byte(value);
    };
  }
  return { encode, decoder };
})();

// A writer: the beginning, then a token at a time. The same beginning, seed and temperatures give the same text.
function startWriting(prompt, seed) {
  "use strict";
  const decode = characters.decoder(), { ids, unknown } = characters.encode(prompt);
  let a = seed >>> 0;
  function random() { // mulberry32: 32 bits of state, numbers in [0, 1)
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  function draw(logits, temperature) {
    let best = 0;
    for (let n = 1; n < logits.length; n++) if (logits[n] > logits[best]) best = n;
    if (temperature === 0) return best;
    let total = 0;
    const chances = logits.map((value) => Math.exp((value - logits[best]) / temperature));
    for (const chance of chances) total += chance;
    let left = random() * total;
    for (let n = 0; n < chances.length; n++) if ((left -= chances[n]) < 0) return n;
    return best;
  }
  model.reset();
  const first = [];
  if (!ids.length && model.data.start === null) first.push(Math.floor(random() * model.data.tokens.length));
  let logits = null;
  const { start, end, between } = model.data;
  for (const id of ids.length ? (end === null ? ids : [end, ...ids]) : start === null ? first : [start]) logits = model.read(id);
  return {
    unknown, begun: first.map(decode).join(""),
    given: ids.length ? [...prompt].filter((character) => !unknown.includes(character)).join("") : "",
    get logits() { return logits; },
    write(temperature) {
      const token = draw(logits, temperature);
      logits = model.read(token);
      return token === end ? between : decode(token);
    },
  };
}
