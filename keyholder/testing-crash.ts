/**
 * Killing a holder at a chosen point: the scenario that a parent test writes and the child process that dies
 * in it.
 *
 * For: crash*.test.ts only. The child is a real process that opens the holder's directory, does one thing,
 * and at the chosen point sends itself SIGKILL: nothing after that instruction runs, no file is closed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { certificateDer } from '../crypto/identity/certificate.ts';
import { getSuite, type KeyPair, type SuiteName } from '../crypto/identity/suite.ts';
import { loadSecagg } from '../crypto/secagg/scheme.ts';
import { type PlanApproval, parsePlanBytes } from '../protos/plan.ts';
import type { HolderPoint } from './context.ts';
import { pack, unpack } from './packed.ts';
import { startHolder, type World } from './testing.ts';

export type CrashAction = 'accept' | 'certify' | 'open' | 'ceremonyStep';

interface Scenario {
  readonly suite: SuiteName;
  readonly caPem: string;
  readonly approver: KeyPair;
  readonly holderKeys: World['holderKeys'];
  readonly plan: Uint8Array;
  readonly approvals: readonly PlanApproval[];
  readonly index: number;
  readonly directory: string;
  readonly point: HolderPoint;
  readonly action: CrashAction;
  /** One message, or the messages of a stream. */
  readonly request: unknown;
}

/** Runs `action` at holder `index` in a child that dies at `point`. Throws unless it did die there. */
export function crashAt(
  world: World,
  holder: { readonly index: number; readonly directory: string },
  point: HolderPoint,
  action: CrashAction,
  request: unknown,
): void {
  const scenario: Scenario = {
    suite: world.suite.name,
    caPem: world.authority.caPem,
    approver: world.approver,
    holderKeys: world.holderKeys,
    plan: world.parsed.bytes,
    approvals: world.approvals,
    index: holder.index,
    directory: holder.directory,
    point,
    action,
    request,
  };
  const file = join(holder.directory, 'scenario.json');
  const done = join(holder.directory, 'done');
  writeFileSync(file, pack(scenario));
  const child = spawnSync(process.execPath, [import.meta.filename, file, done], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (child.signal !== 'SIGKILL' || existsSync(done))
    throw new Error(`the child did not die at ${point}: ${child.signal ?? child.status} ${child.stderr}`);
}

async function runChild(file: string, done: string): Promise<void> {
  // A process that is killed leaves nothing compiled to the next one.
  flushCompileCache();
  const scenario = unpack<Scenario>(new Uint8Array(readFileSync(file)));
  const secagg = await loadSecagg();
  const world: World = {
    suite: getSuite(scenario.suite),
    bfv: secagg.bfv,
    secagg,
    authority: { caPem: scenario.caPem, caKeyPem: '' },
    caDer: certificateDer(scenario.caPem),
    approver: scenario.approver,
    holderKeys: scenario.holderKeys,
    parsed: parsePlanBytes(scenario.plan),
    approvals: scenario.approvals,
  };
  const hooks = {
    reached(point: HolderPoint): void {
      if (point === scenario.point) process.kill(process.pid, 'SIGKILL');
    },
  };
  const { service } = startHolder(world, scenario.index, { directory: scenario.directory, hooks });
  const { request } = scenario;
  async function* messages(): AsyncGenerator<unknown> {
    yield* request as unknown[];
  }
  if (scenario.action === 'open') await service.open(messages());
  else await service[scenario.action](request);
  writeFileSync(done, 'survived');
}

if (process.argv[1] === import.meta.filename) await runChild(process.argv[2]!, process.argv[3]!);
