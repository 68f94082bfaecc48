/**
 * What the observer remembers of witnesses' answers and of what groups are drawn from.
 *
 * Trusts: nothing. May be called by: observer.ts, inspections.
 */
import { toHex } from '../../crypto/bytes.ts';
import { parseCheckpointText, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import { parseAddCheckpoint } from '../../crypto/log/witness-protocol.ts';
import type { DrawAnswer } from '../../crypto/secagg/shares/index.ts';
import type { Call } from './network.ts';
import type { Observer } from './observer.ts';

export interface CosignedTree {
  readonly witness: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** Every checkpoint that a witness has cosigned. */
export class WitnessWatch {
  readonly #observer: Observer;
  readonly #sizes = new Map<string, number>();
  /** Not yet compared with the log. */
  #fresh: CosignedTree[] = [];

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  /** An answer leaves a witness. */
  answered({ link, request }: Call, message: unknown): void {
    if ((message as { status: number }).status !== 200) return;
    const { checkpoint } = parseAddCheckpoint((request as { body: Uint8Array }).body);
    const { size, root } = parseCheckpointText(parseSignedNote(checkpoint).text);
    const before = this.#sizes.get(link) ?? 0;
    this.#observer.check(
      'witness-never-goes-back',
      size >= before,
      () => `${link} cosigns a tree of ${size} leaves after one of ${before}`,
    );
    this.#sizes.set(link, Math.max(size, before));
    this.#fresh.push({ witness: link, size, root });
  }

  /** Those of at most `size` leaves that were not taken before. */
  take(size: number): CosignedTree[] {
    const taken = this.#fresh.filter((tree) => tree.size <= size);
    this.#fresh = this.#fresh.filter((tree) => tree.size > size);
    return taken;
  }
}

/** What holders say that groups are drawn from. */
export class DrawWatch {
  readonly #answers = new Map<string, DrawAnswer[]>();

  answered({ link, request }: Call, message: unknown): void {
    const { header } = (request as readonly { header: { planHash: Uint8Array; round: number } }[])[0]!;
    const key = `${toHex(header.planHash)}/${header.round}`;
    const { values } = message as { values: Uint8Array };
    const known = this.#answers.get(key) ?? [];
    known.push({ holderIndex: Number(link.at(-1)), values: values.slice() });
    this.#answers.set(key, known);
  }

  of(planHex: string, round: number): readonly DrawAnswer[] {
    return this.#answers.get(`${planHex}/${round}`) ?? [];
  }
}
