/**
 * Rounds that open in groups, as an honest coordinator runs them against a committee: for tests in keyholder/ only.
 */
import { agreedDraws, partitionOf, partitionSeed } from '../crypto/secagg/shares/index.ts';
import type { DrawReply, OpenHeader, OpenReply } from '../protos/keyholder-messages.ts';
import { groupsOf } from '../protos/plan.ts';
import { certificateStatement, partitionDrawStatement, type RoundBinding } from '../protos/statements.ts';
import type { TestHolder, World } from './testing.ts';
import { openHeader, openMessages, schemeOfWorld, type Upload } from './testing-uploads.ts';

export interface GroupedRound {
  readonly world: World;
  readonly binding: RoundBinding;
  readonly cohort: readonly Upload[];
  readonly signatures: OpenHeader['signatures'];
}

export const headerOf = (round: GroupedRound, change: Partial<OpenHeader> = {}): OpenHeader =>
  openHeader(round.world, round.binding, round.cohort, {
    signatures: round.signatures,
    activeSet: [1, 2, 3],
    header: change,
  });

export const statementOf = (round: GroupedRound): Uint8Array => certificateStatement(headerOf(round));

const indexOf = (world: World, holderId: string): number =>
  world.holderKeys.findIndex(({ id }) => id === holderId) + 1;

/** An active set with this holder in it. */
export const setWith = (index: number): number[] => (index === 4 ? [1, 2, 4] : [1, 2, 3]);

export const drawAt = (round: GroupedRound, holder: TestHolder): Promise<DrawReply> =>
  holder.service.draw(openMessages(headerOf(round, { activeSet: setWith(holder.index) }), round.cohort));

export const drawAll = (round: GroupedRound, holders: readonly TestHolder[]): Promise<DrawReply[]> =>
  Promise.all(holders.map((holder) => drawAt(round, holder)));

/** Signs any values as holder `index`, as a corrupt one could. */
export function forgeDraw(round: GroupedRound, index: number, values: Uint8Array): DrawReply {
  const { world } = round;
  const { id: holderId, signing } = world.holderKeys[index - 1]!;
  const statement = partitionDrawStatement({ certificate: statementOf(round), holderId, values });
  return { holderId, values, signature: world.suite.sign(signing.secretKey, statement) };
}

export const agreedOf = ({ world }: GroupedRound, draws: readonly DrawReply[]): Uint8Array[] =>
  agreedDraws(draws.map(({ holderId, values }) => ({ holderIndex: indexOf(world, holderId), values }))).map(
    (value) => value!,
  );

/** The groups that P_1 to P_4 make. */
export function groupsFrom(round: GroupedRound, values: readonly Uint8Array[]): Upload[][] {
  const { world, cohort } = round;
  const seed = partitionSeed(world.suite, statementOf(round), values);
  const ids = cohort.map(({ device }) => device.id);
  return partitionOf(world.suite, seed, ids, groupsOf(world.parsed.plan, 'training')).map((group) =>
    group.map((id) => cohort.find(({ device }) => device.id === id)!),
  );
}

export const openGroupedAt = (
  round: GroupedRound,
  holder: TestHolder,
  draws: readonly DrawReply[],
  activeSet: number[] = setWith(holder.index),
): Promise<OpenReply> =>
  holder.service.open(openMessages(headerOf(round, { activeSet, draws: [...draws] }), round.cohort));

/** What the coordinator makes of the answers. */
export function openGroups(
  round: GroupedRound,
  groups: readonly (readonly Upload[])[],
  replies: readonly OpenReply[],
): (Int32Array | null)[] {
  const { world } = round;
  const scheme = schemeOfWorld(world);
  return world.secagg.openGroups(scheme, {
    configHash: round.binding.configHash,
    groups: groups.map((group) => {
      const folder = world.secagg.folder(scheme);
      for (const { body } of group) folder.add(body);
      return { bodySum: folder.bytes(), cohortCount: group.length };
    }),
    activeSet: replies.map(({ holderId }) => indexOf(world, holderId)),
    partials: replies.map(({ partial }) => partial),
  });
}

export const sumsOf = (groups: readonly (readonly Upload[])[]): Int32Array[] =>
  groups.map((group) =>
    group.reduce(
      (sum, { digits }) => sum.map((value, i) => value + digits[i]!),
      new Int32Array(group[0]!.digits.length),
    ),
  );

export const isGroupOf = (group: readonly Upload[], devices: readonly string[]): boolean =>
  group.length === devices.length && group.every(({ device }) => devices.includes(device.id));
