"use strict";
// Passages in which the same units are on, as charpipe/inspection/patterns.py and matches.py find them: `units` are int8,
// unit after unit, with `total` pieces each. A unit is on where it is beyond a share of the way from its median to its
// largest value (1, it rises) or to its smallest (-1, it falls).
function passagesOf(units, total) {
  const width = total ? units.length / total : 0, known = new Array(width);
  const TIE = 0.999;

  function usual(unit) {
    if (!known[unit]) {
      const sorted = units.slice(unit * total, (unit + 1) * total).sort();
      known[unit] = { median: sorted[total >> 1], low: sorted[0], high: sorted[total - 1] };
    }
    return known[unit];
  }
  function direction(unit, n, threshold) {
    const { median, low, high } = usual(unit), away = units[unit * total + n] - median;
    if (away >= threshold * Math.max(1, high - median)) return 1;
    return -away >= threshold * Math.max(1, median - low) ? -1 : 0;
  }

  // The units that are on throughout pieces first to last: the rarest first, by the share of the text where they are on.
  function through(first, last, threshold) {
    const found = [];
    for (let unit = 0; unit < width; unit++) {
      const sign = direction(unit, first, threshold);
      let n = first;
      while (sign && n <= last && direction(unit, n, threshold) === sign) n++;
      if (!sign || n <= last) continue;
      let on = 0;
      for (let m = 0; m < total; m++) on += direction(unit, m, threshold) === sign;
      found.push({ unit, sign, share: on / total });
    }
    return found.sort((one, other) => one.share - other.share || one.unit - other.unit);
  }

  // The best passages of the same length that overlap neither with this one nor with each other.
  function matches(chosen, first, last, threshold, many) {
    const length = last - first + 1, count = new Int32Array(total + 1), full = new Int32Array(total);
    const before = new Int32Array(total), after = new Int32Array(total);
    for (const { unit, sign } of chosen) {
      const on = (n) => n >= 0 && n < total && direction(unit, n, threshold) === sign;
      const was = on(first - 1), will = on(last + 1);
      for (let n = 0, run = 0; n < total; n++) {
        const now = on(n);
        run = now ? run + 1 : 0;
        count[n + 1] += now;
        full[n] += run >= length;
        before[n] += now === was;
        after[n] += now === will;
      }
    }
    for (let n = 0; n < total; n++) count[n + 1] += count[n];
    const peaks = [];
    for (let start = 1; start < total - length; start += length) {
      let best = null;
      for (let n = start; n < Math.min(start + length, total - length); n++) {
        const score = (count[n + length] - count[n] + before[n - 1] + after[n + length]) / (chosen.length * (length + 2));
        const rank = full[n + length - 1] + TIE * score;
        if (full[n + length - 1] && (!best || rank > best.rank)) best = { first: n, through: full[n + length - 1], score, rank };
      }
      if (best) peaks.push(best);
    }
    peaks.sort((one, other) => other.rank - one.rank);
    const kept = [];
    for (const one of peaks) {
      if (kept.length === many) break;
      if ([{ first }, ...kept].every((other) => Math.abs(one.first - other.first) >= length)) kept.push(one);
    }
    return kept;
  }
  return { through, matches };
}
