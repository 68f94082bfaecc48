/**
 * The order in which rows meet the optimiser, drawn from a public seed: the shuffle of crypto/random.ts, many draws at a
 * time, so that engines agree on it.
 *
 * Trusts: nothing. May be called by: training engines.
 */
import { type RandomSource, seededRandom } from '../../crypto/random.ts';

const drawsMax = 1024;

/** Order of `count` rows that `next` shuffles once more for every epoch. */
export class RowOrder {
  readonly rows: Uint32Array;
  readonly #random: RandomSource;

  constructor(count: number, seed: string) {
    this.rows = Uint32Array.from({ length: count }, (_, i) => i);
    this.#random = seededRandom(`batches/${seed}`);
  }

  /** The next epoch's order; the same array every time. */
  next(): Uint32Array {
    const { rows } = this;
    const bytes = new Uint8Array(8 * Math.min(drawsMax, rows.length));
    const view = new DataView(bytes.buffer);
    for (let i = rows.length - 1; i > 0; ) {
      const draws = Math.min(drawsMax, i);
      this.#random.fill(bytes.subarray(0, 8 * draws));
      for (let at = 0; at < 8 * draws; at += 8, i--) {
        const uniform =
          (view.getUint32(at, true) * 2 ** 21 + (view.getUint32(at + 4, true) >>> 11)) / 2 ** 53;
        const j = Math.floor(uniform * (i + 1));
        const row = rows[i]!;
        rows[i] = rows[j]!;
        rows[j] = row;
      }
    }
    return rows;
  }
}
