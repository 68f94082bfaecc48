/**
 * From the law of a privacy loss to finitely many atoms that bound it on both sides, with no common grid.
 *
 * Every cell [a, b] of a mesh carries P-mass p and Q-mass q, both integrated without cancellation.
 *   upper: the mass is split between the losses at the two ends so that p and q are kept ("connect the dots",
 *          Doroshenko et al. 2022, arXiv 2207.04380): the hockey-stick curve is interpolated from above.
 *   lower: the cell becomes one outcome of loss ln(p/q), a post-processing: the curve can only fall.
 * Both err by the square of the cell's width in loss, so a mesh of a few hundred cells, fine where the tilted mass is,
 * brackets ε to 1e-4. Cut-off tails: upper, all of it at its largest loss (infinite loss: counted into δ); lower, gone.
 * Trusts: the law's smoothness and stepMax. May be called by: loss-bracket.ts.
 */
import { ensure } from '../error.ts';
import type { LossAtom, LossLaw, LossPiece } from './loss-law.ts';
import { gaussLegendre } from './special-functions.ts';

export interface Atoms {
  readonly masses: Float64Array;
  readonly losses: Float64Array;
  readonly count: number;
}

export interface LossAtoms {
  readonly upper: Atoms;
  readonly lower: Atoms;
  /** P-mass that `upper` treats as loss +∞. */
  readonly infiniteMass: number;
}

/** Cells of one law at most; beyond it the noise is too small for the loss to be resolved. */
export const CELLS_MAX = 60_000;

const QUADRATURE = gaussLegendre(8);

class AtomList {
  masses = new Float64Array(256);
  losses = new Float64Array(256);
  count = 0;

  add(mass: number, loss: number): void {
    if (!(mass > 0)) return;
    if (this.count === this.masses.length) {
      const masses = new Float64Array(2 * this.count);
      const losses = new Float64Array(2 * this.count);
      masses.set(this.masses);
      losses.set(this.losses);
      this.masses = masses;
      this.losses = losses;
    }
    this.masses[this.count] = mass;
    this.losses[this.count++] = loss;
  }
  done(): Atoms {
    return {
      masses: this.masses.slice(0, this.count),
      losses: this.losses.slice(0, this.count),
      count: this.count,
    };
  }
}

/** One cell: p = ∫P, and p − e^(lossLow)·q = ∫P·(1 − e^(lossLow − L)), all terms ≥ 0. */
function integrateCell(piece: LossPiece, from: number, to: number, lossLow: number) {
  const half = (to - from) / 2;
  const middle = (from + to) / 2;
  let mass = 0;
  let surplus = 0;
  for (let i = 0; i < 8; i++) {
    const x = middle + half * QUADRATURE.nodes[i]!;
    const part = QUADRATURE.weights[i]! * Math.exp(piece.logDensity(x));
    mass += part;
    surplus -= part * Math.expm1(Math.min(0, lossLow - piece.loss(x)));
  }
  return { mass: mass * half, surplus: surplus * half };
}

interface Cell {
  readonly from: number;
  readonly to: number;
  /** Parts that this cell is cut into. */
  parts: number;
}

interface Mesh {
  readonly piece: LossPiece;
  readonly cells: readonly Cell[];
}

function coarseMesh(piece: LossPiece): Mesh {
  const count = Math.max(32, Math.ceil((piece.high - piece.low) / piece.stepMax));
  ensure(
    count <= CELLS_MAX / 2,
    'UNSUPPORTED_EVENT',
    'the noise of this event is too small for the PLD accountant: account it by RDP',
  );
  const width = (piece.high - piece.low) / count;
  return {
    piece,
    cells: Array.from({ length: count }, (_, i) => ({
      from: piece.low + i * width,
      to: i === count - 1 ? piece.high : piece.low + (i + 1) * width,
      parts: 1,
    })),
  };
}

/** A law with its mesh; `refine` decides where cells are cut. */
export class Discretisation {
  readonly #law: LossLaw;
  readonly #atoms: readonly LossAtom[];
  readonly #meshes: readonly Mesh[];
  /** P-mass of the outcomes that were cut off. */
  readonly #cutMass: number;

  /**
   * Of the outcomes with the largest losses, P-mass up to `massFree` is cut off like a tail: far out, a mass that no δ
   * notices would rule the moments.
   */
  constructor(law: LossLaw, massFree: number) {
    this.#law = law;
    const meshes = law.pieces.map(coarseMesh);
    const outcomes = [
      ...law.atoms.map((atom) => ({ key: atom as object, mass: atom.mass, loss: atom.loss })),
      ...meshes.flatMap(({ piece, cells }) =>
        cells.map((cell) => ({
          key: cell as object,
          mass: integrateCell(piece, cell.from, cell.to, 0).mass,
          loss: Math.max(piece.loss(cell.from), piece.loss(cell.to)),
        })),
      ),
    ].sort((a, b) => b.loss - a.loss);
    const cut = new Set<object>();
    let mass = 0;
    for (const outcome of outcomes.slice(0, -1)) {
      if (mass + outcome.mass > massFree) break;
      mass += outcome.mass;
      cut.add(outcome.key);
    }
    this.#cutMass = mass;
    this.#atoms = law.atoms.filter((atom) => !cut.has(atom));
    this.#meshes = meshes
      .map(({ piece, cells }) => ({ piece, cells: cells.filter((cell) => !cut.has(cell)) }))
      .filter(({ cells }) => cells.length > 0);
  }

  /**
   * Cuts cells so that count·(θ+1)/2·E_θ[width²]·(1/6 + 1/12), the distance in ε between the two sides, is about
   * `tolerance`: parts in proportion to the cube root of each cell's error, which is the optimum for a square law.
   * logMoment = ln E_P[e^(θL)].
   */
  refine(count: number, tilt: number, logMoment: number, tolerance: number): void {
    const errors = this.#meshes.map(({ piece, cells }) =>
      cells.map(({ from, to }) => {
        const middle = (from + to) / 2;
        const width = piece.loss(to) - piece.loss(from);
        const most = Math.max(
          ...[from, middle, to].map((x) => Math.exp(piece.logDensity(x) + tilt * piece.loss(x) - logMoment)),
        );
        return most * (to - from) * width * width;
      }),
    );
    let roots = 0;
    for (const row of errors) for (const error of row) roots += Math.cbrt(error);
    const scale = Math.sqrt((count * (tilt + 1) * 0.125 * roots) / tolerance);
    for (let m = 0; m < errors.length; m++)
      for (let i = 0; i < errors[m]!.length; i++)
        this.#meshes[m]!.cells[i]!.parts = Math.max(1, Math.ceil(scale * Math.cbrt(errors[m]![i]!)));
    const total = this.#meshes.flatMap(({ cells }) => cells).reduce((sum, { parts }) => sum + parts, 0);
    const shrink = CELLS_MAX / total;
    if (shrink < 1)
      for (const { cells } of this.#meshes)
        for (const cell of cells) cell.parts = Math.max(1, Math.floor(cell.parts * shrink));
  }

  atoms(): LossAtoms {
    const upper = new AtomList();
    const lower = new AtomList();
    for (const { mass, loss } of this.#atoms) {
      upper.add(mass, loss);
      lower.add(mass, loss);
    }
    let infiniteMass = this.#cutMass;
    for (const { mass, lossMax } of this.#law.tails) {
      if (lossMax === Infinity) infiniteMass += mass;
      else upper.add(mass, lossMax);
    }
    for (const mesh of this.#meshes) discretise(mesh, upper, lower);
    return { upper: upper.done(), lower: lower.done(), infiniteMass };
  }
}

function discretise({ piece, cells }: Mesh, upper: AtomList, lower: AtomList): void {
  let lossFrom = piece.loss(cells[0]!.from);
  // Mass that the cell before left at the common end.
  let carried = 0;
  for (const { from, to, parts } of cells) {
    const width = (to - from) / parts;
    for (let part = 0; part < parts; part++) {
      const a = from + part * width;
      const b = part === parts - 1 ? to : from + (part + 1) * width;
      const lossTo = piece.loss(b);
      const lossLow = Math.min(lossFrom, lossTo);
      const spread = Math.abs(lossTo - lossFrom);
      const { mass, surplus } = integrateCell(piece, a, b, lossLow);
      const share = spread > 0 ? Math.min(mass, surplus / -Math.expm1(-spread)) : mass;
      const [atFrom, atTo] = lossTo > lossFrom ? [mass - share, share] : [share, mass - share];
      upper.add(carried + atFrom, lossFrom);
      carried = atTo;
      if (mass > 0) lower.add(mass, lossLow - Math.log1p(-Math.min(surplus / mass, 1 - 1e-16)));
      lossFrom = lossTo;
    }
  }
  upper.add(carried, lossFrom);
}
