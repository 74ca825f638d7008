/**
 * Whether every directory hangs on the root. Gathered while the inodes go by: two numbers and a state for each
 * directory, 17 bytes, which is all that a check keeps in memory.
 */
import type { FindingSink } from './fsck-findings.js';

const UNKNOWN = 0;
const ON_TRAIL = 1;
const REACHED = 2;
const ADRIFT = 3;

export class TreeCheck {
  #count = 0;
  #inos = new Float64Array(1024);
  #parents = new Float64Array(1024);

  /** Directories come in the order of their inode numbers. `parent` is where a name leads to it; 0: nowhere. */
  add(ino: number, parent: number): void {
    if (this.#count === this.#inos.length) {
      this.#inos = doubled(this.#inos);
      this.#parents = doubled(this.#parents);
    }
    this.#inos[this.#count] = ino;
    this.#parents[this.#count++] = parent;
  }

  /**
   * Reports directories that only lead round in a circle, one finding a circle. What hangs below a directory without a
   * name, or in something that isn't a directory, comes back with it and isn't reported.
   */
  finish(sink: FindingSink): void {
    const states = new Uint8Array(this.#count);
    const trail: number[] = [];
    for (let start = 0; start < this.#count; start++) {
      let at = start;
      while (at >= 0 && states[at] === UNKNOWN && this.#inos[at] !== 1) {
        states[at] = ON_TRAIL;
        trail.push(at);
        at = this.#indexOf(this.#parents[at]);
      }
      const verdict = at < 0 ? ADRIFT : states[at] === ON_TRAIL ? this.#circle(at, trail, sink) : REACHED;
      if (at >= 0 && states[at] === UNKNOWN) states[at] = REACHED;
      for (const index of trail) states[index] = verdict;
      trail.length = 0;
    }
  }

  #circle(at: number, trail: readonly number[], sink: FindingSink): number {
    const circle = trail.slice(trail.indexOf(at)).map((index) => this.#inos[index]);
    const ino = circle.reduce((least, candidate) => Math.min(least, candidate), Infinity);
    const parent = this.#parents[this.#indexOf(ino)];
    const message = `no path from the root leads to it: ${circle.length} directories contain one another`;
    sink.structure('unreachable', ino, message, (m) => {
      m.dropEntriesTo(ino, parent);
      return m.adopt(ino);
    });
    return ADRIFT;
  }

  #indexOf(ino: number): number {
    let low = 0;
    let high = this.#count - 1;
    while (low <= high) {
      const mid = (low + high) >>> 1;
      const found = this.#inos[mid];
      if (found === ino) return mid;
      if (found < ino) low = mid + 1;
      else high = mid - 1;
    }
    return -1;
  }
}

const doubled = (array: Float64Array): Float64Array<ArrayBuffer> => {
  const larger = new Float64Array(array.length * 2);
  larger.set(array);
  return larger;
};
