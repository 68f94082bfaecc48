/**
 * Goal: every device gets a receipt that proves its fate to somebody who trusts only the holders' keys in the plan:
 * certified with an inclusion proof, late or rejected with the whole cohort, aborted with a quorum.
 */
import { afterEach, beforeAll, expect, test } from 'vitest';
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { leafHash, nodeHash, verifyInclusion } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { realisedCharge } from '../../protos/plan-mechanism.ts';
import { parseReceipt, type Receipt } from '../../protos/receipt.ts';
import {
  abortStatement,
  certificateStatement,
  entryLeaf,
  receiptStatement,
} from '../../protos/statements.ts';
import {
  codeOf,
  createDevice,
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  type TestDevice,
  type TestWorld,
  until,
} from '../testing.ts';
import { Bench, type Sealed, seal } from '../testing-bench.ts';
import { createHolders, type FakeHolder } from '../testing-holder.ts';
import { digitsOf } from '../testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
let bench: Bench;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 5);
});
afterEach(() => bench.stop());

async function play(parsed: ParsedPlan, holders: readonly FakeHolder[]): Promise<Sealed[]> {
  bench = new Bench(world, holders).start();
  bench.submit(parsed);
  await until('the plan runs', () => bench.coordinator.find(parsed.hash) !== null);
  const configs = await Promise.all(devices.map((device) => bench.invited(device, parsed)));
  return devices.map((device, i) =>
    seal(world, device, configs[i]!, digitsOf(parsed, configs[i]!, new Float64Array(3).fill(0.1))),
  );
}

async function receiptOf(device: TestDevice, parsed: ParsedPlan): Promise<Receipt> {
  const message = { planHash: parsed.hash, round: 1 };
  let reply: { receipt?: Uint8Array; signature?: Uint8Array } = {};
  for (let i = 0; i < 500 && !reply.receipt; i++) {
    reply = await bench.call(device, 'getReceipt', message);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  const statement = receiptStatement(reply.receipt!);
  expect(world.suite.verify(world.coordinatorKey.publicKey, statement, reply.signature!)).toBe(true);
  const receipt = parseReceipt(reply.receipt!);
  expect(receipt).toMatchObject({ planHash: parsed.hashHex, round: 1, deviceId: device.deviceId });
  expect(receipt.pseudonym).toBe(toHex(device.pseudonym(parsed.plan.epoch)));
  return receipt;
}

type Signatures = readonly { readonly holderId: string; readonly signature: string }[];

function validSigners(parsed: ParsedPlan, statement: Uint8Array, signatures: Signatures): number {
  const valid = signatures.filter(({ holderId, signature }) => {
    const key = parsed.plan.holders.find((holder) => holder.id === holderId)!.signingPublicKey;
    return world.suite.verify(fromHex(key), statement, fromHex(signature));
  });
  expect(valid).toHaveLength(signatures.length);
  return new Set(valid.map((s) => s.holderId)).size;
}

/** The quorum's signatures over the receipt's certificate; returns its root. */
function checkCertificate(parsed: ParsedPlan, receipt: Receipt): Uint8Array {
  const { certificate } = receipt;
  const statement = certificateStatement({
    planHash: parsed.hash,
    round: 1,
    modelHash: fromHex(certificate!.modelHash),
    configHash: fromHex(certificate!.configHash),
    committeeKeyId: fromHex(certificate!.committeeKeyId),
    cohortRoot: fromHex(certificate!.cohortRoot),
    cohortCount: certificate!.cohortCount,
  });
  expect(validSigners(parsed, statement, certificate!.signatures)).toBeGreaterThanOrEqual(3);
  return fromHex(certificate!.cohortRoot);
}

const leafHashOf = (device: TestDevice, { header }: Sealed): Uint8Array =>
  leafHash(entryLeaf({ ...header, deviceId: device.deviceId }));

/** RFC 6962 §2.1 over leaf hashes, written once more. */
function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!;
  let split = 1;
  while (2 * split < leaves.length) split *= 2;
  return nodeHash(rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

test('certified, rejected and late, each with its proof', async () => {
  const parsed = planOf(world, { privacy: strongPrivacy, rounds: { cohortTarget: 4 } });
  const holders = createHolders(world);
  const rejected = devices[1]!;
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  for (const holder of holders) {
    holder.rejects = new Set([rejected.deviceId]);
    holder.before = (call) => (call === 'accept' ? gate : undefined);
  }
  const sealed = await play(parsed, holders);
  for (const i of [0, 1, 2, 3]) await bench.put(devices[i]!, sealed[i]!);
  expect(await bench.put(devices[4]!, sealed[4]!)).toMatchObject({ late: true });
  const undecided = await bench.call(devices[0]!, 'getReceipt', { planHash: parsed.hash, round: 1 });
  expect(undecided).toEqual({ retryAfterMs: 300 });
  open();

  for (const i of [0, 2, 3]) {
    const receipt = await receiptOf(devices[i]!, parsed);
    expect(receipt).toMatchObject({ outcome: 'certified', digest: toHex(sealed[i]!.header.digest) });
    const root = checkCertificate(parsed, receipt);
    const { index, size, proof } = receipt.inclusion!;
    const claim = { index, size, proof: proof.map(fromHex), root };
    expect(verifyInclusion({ ...claim, leafHash: leafHashOf(devices[i]!, sealed[i]!) })).toBe(true);
    // The proof is for this device's entry and no other.
    expect(verifyInclusion({ ...claim, leafHash: leafHashOf(rejected, sealed[1]!) })).toBe(false);
    const paid = realisedCharge(parsed, 'training', 3, 'zcdp');
    expect(receipt.charge!.order).toBe('zcdp');
    expect(Number(receipt.charge!.amount)).toBe(paid);
  }
  for (const [i, outcome] of [
    [1, 'rejected'],
    [4, 'late'],
  ] as const) {
    const receipt = await receiptOf(devices[i]!, parsed);
    expect(receipt).toMatchObject({ outcome, digest: toHex(sealed[i]!.header.digest) });
    expect(receipt).not.toHaveProperty('charge');
    const leaves = receipt.exclusion!.leafHashes;
    expect(leaves).toHaveLength(receipt.certificate!.cohortCount);
    expect(toHex(rootOf(leaves.map(fromHex)))).toBe(toHex(checkCertificate(parsed, receipt)));
    expect(leaves).not.toContain(toHex(leafHashOf(devices[i]!, sealed[i]!)));
    expect(receipt.reason).toMatch(
      outcome === 'late' ? /after the cohort was frozen/ : /hospital: CERTIFICATE_REVOKED/,
    );
  }
  const stranger = await createDevice(world);
  expect(await codeOf(() => receiptOf(stranger, parsed))).toBe('NOT_FOUND');
});

test('aborted: a quorum signed the reason, and the ledger holds nothing any more', async () => {
  const parsed = planOf(world, { privacy: strongPrivacy, rounds: { spare: 1, cohortTarget: 5 } });
  const sealed = await play(parsed, createHolders(world));
  for (const i of [0, 1]) await bench.put(devices[i]!, sealed[i]!);
  bench.clock.jump(600_000);
  const receipt = await receiptOf(devices[0]!, parsed);
  expect(receipt).toMatchObject({ outcome: 'aborted', digest: toHex(sealed[0]!.header.digest) });
  const { reason, signatures } = receipt.abort!;
  expect(reason).toBe('only 2 of at least 3 uploads came in time');
  expect(
    validSigners(parsed, abortStatement({ planHash: parsed.hash, round: 1, reason }), signatures),
  ).toBeGreaterThanOrEqual(3);
  const pseudonym = toHex(devices[0]!.pseudonym('1'));
  const balance = () => bench.store.read('test', (db) => bench.ledger.within(db).balance(pseudonym));
  await until('the reservation is freed', () => balance().reserved === 0);
  expect(balance().spent).toBe(0);
  const kinds = bench.log.leaves().map((leaf) => leaf.kind);
  expect(kinds.filter((kind) => kind === 'abort')).toHaveLength(1);
  expect(kinds).not.toContain('round_certificate');
});
