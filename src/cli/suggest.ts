/** "Did you mean …?" for words that are nearly right. */

/** Edit distance with transpositions of neighbours (optimal string alignment). */
export const editDistance = (a: string, b: string): number => {
  let previous: number[] = [];
  let current = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min(current[j] + 1, next[j - 1] + 1, current[j - 1] + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        next[j] = Math.min(next[j], previous[j - 2] + 1);
    }
    previous = current;
    current = next;
  }
  return current[b.length];
};

/** The nearest known word, if it is near enough to have been meant. */
export const suggest = (word: string, known: Iterable<string>): string | undefined => {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length * 0.4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
};
