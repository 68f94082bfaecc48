/**
 * A round from configuration files alone: every command an operator, approver, researcher and hospital would type, in
 * their order, roles and clients as real processes; no demo code. Goal: whoever follows the README's walk-through ends with a model that
 * `audit verify` accepts.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  type Finished,
  pulsefoldHere,
  pulsefold as pulsefoldProcess,
  type Role,
  startRole,
  temporaryDirectory,
} from '../../cli/testing.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';

const scratch = temporaryDirectory();
const home = scratch.path;
const daemons: Role[] = [];

const file = (name: string) => join(home, name);
const write = (name: string, value: unknown) =>
  writeFileSync(file(name), typeof value === 'string' ? value : stringify(value));

function jsonOf(args: readonly string[], { code, stdout, stderr }: Finished): Record<string, unknown>[] {
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr.slice(-1500)}`);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
/** Runs a command in this process; returns its JSON lines. */
const pulsefold = async (...args: string[]): Promise<Record<string, unknown>[]> =>
  jsonOf(args, await pulsefoldHere([...args, '--json'], { cwd: home }));
/** The same in a process of its own, for what runs beside others. */
const pulsefoldApart = async (...args: string[]): Promise<Record<string, unknown>[]> =>
  jsonOf(args, await pulsefoldProcess([...args, '--json'], { cwd: home }));

/** Starts a role; resolves when it listens. */
async function start(args: string[]): Promise<Role> {
  const role = startRole(args, home);
  daemons.push(role);
  await role.event('listening');
  return role;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

afterAll(async () => {
  for (const { child } of daemons) child.kill('SIGKILL');
  await Promise.all(daemons.map(({ exit }) => exit));
  scratch.dispose();
});

const FEATURES = {
  dataset: 'walkthrough',
  label: { column: 'ill', positive: { equals: '1' } },
  features: [
    { column: 'age', kind: 'number', minimum: 18, maximum: 100 },
    { column: 'pulse', kind: 'number', minimum: 40, maximum: 140 },
  ],
  complete: true,
};

/** Sixty plausible rows: older people with a faster pulse are ill more often. */
function table(seed: string): string {
  const random = seededRandom(seed);
  const rows = Array.from({ length: 60 }, () => {
    const age = 20 + Math.floor(uniform(random) * 70);
    const pulse = 50 + Math.floor(uniform(random) * 70);
    return `${age},${pulse},${uniform(random) < (age + pulse - 70) / 140 ? 1 : 0}`;
  });
  return `age,pulse,ill\n${rows.join('\n')}\n`;
}

describe('a deployment from configuration files', () => {
  it('enrols, approves, trains and passes the audit', { timeout: 180_000 }, async () => {
    const [enrolment, registrar, coordinator, witnessPort, ...holderPorts] = await Promise.all(
      Array.from({ length: 8 }, freePort),
    );
    const at = (port: number | undefined) => `127.0.0.1:${port}`;

    // The registrar's operator.
    write('registrar.yaml', {
      directory: 'registrar',
      enrolAddress: at(enrolment),
      address: at(registrar),
      passphraseEnv: 'PULSEFOLD_PASSPHRASE',
    });
    const [made] = await pulsefold('registrar', 'init', '--config', file('registrar.yaml'));
    const ca = readFileSync(file('registrar/ca.pem'), 'utf8');
    write('ca.pem', ca);
    await start(['registrar', 'run', '--config', file('registrar.yaml')]);
    const enrol = async (role: string, out: string) => {
      const [token] = await pulsefold(
        'registrar',
        'token',
        '--config',
        file('registrar.yaml'),
        '--role',
        role,
      );
      write(`${out}.token`, String(token!.token));
      const [identity] = await pulsefold(
        ...['enrol', '--role', role, '--registrar', at(enrolment), '--ca', file('ca.pem')],
        ...['--token-file', file(`${out}.token`), '--out', file(out)],
      );
      return identity as { signingPublicKey: string; sealingPublicKey: string };
    };
    const coordinatorIdentity = await enrol('coordinator', 'coordinator.identity');
    const holders: { id: string; signingPublicKey: string; sealingPublicKey: string }[] = [];
    for (let i = 1; i <= 4; i++) {
      const { signingPublicKey, sealingPublicKey } = await enrol('keyholder', `holder-${i}.identity`);
      holders.push({ id: `holder-${i}`, signingPublicKey, sealingPublicKey });
    }

    // The approver.
    const [approver] = await pulsefold('approver', 'keygen', '--out', file('board.key'));
    const approvers = [{ id: 'board', publicKey: String(approver!.publicKey) }];

    // A witness of the log, and what everybody pins of both.
    const logOrigin = 'walkthrough.example/log';
    const coordinatorKey = ['--public-key', coordinatorIdentity.signingPublicKey];
    const [logKey] = await pulsefold('witness', 'log-key', '--origin', logOrigin, ...coordinatorKey);
    const witnessName = ['--name', 'witness.example/w1'];
    const [witness] = await pulsefold('witness', 'keygen', ...witnessName, '--out', file('witness.key'));
    const [witnessKey] = witness!.keys as string[];
    write('witness.yaml', {
      directory: 'witness',
      listen: at(witnessPort),
      key: { file: 'witness.key', passphraseEnv: 'PULSEFOLD_PASSPHRASE' },
      logs: [{ keys: [logKey!.key] }],
    });
    write('policy.txt', `log ${logKey!.key}\nwitness w1 ${witnessKey}\nquorum w1\n`);
    await start(['witness', '--config', file('witness.yaml')]);

    // Holders and coordinator.
    const common = {
      registrar: { caFile: 'ca.pem', address: at(registrar) },
      approvals: { required: 1, approvers },
      logLevel: 'warn',
    };
    for (const [index, holder] of holders.entries()) {
      mkdirSync(file(holder.id));
      const identity = { file: `${holder.id}.identity`, passphraseEnv: 'PULSEFOLD_PASSPHRASE' };
      write(`${holder.id}.yaml`, {
        role: 'keyholder',
        id: holder.id,
        directory: holder.id,
        listen: at(holderPorts[index]),
        identity,
        ...common,
      });
    }
    write('plan.yaml', planOf(holders, String(made!.registrarSha256), coordinatorIdentity.signingPublicKey));
    const [checked] = await pulsefold('plan', 'check', file('plan.yaml'));
    expect(checked).toMatchObject({ privacy: { unit: 'record', epsilonStated: '8' } });
    await pulsefold('plan', 'approve', file('plan.yaml'), '--approver', 'board', '--key', file('board.key'));
    write('coordinator.yaml', {
      role: 'coordinator',
      directory: 'coordinator',
      runDirectory: 'runs',
      listen: at(coordinator),
      identity: { file: 'coordinator.identity', passphraseEnv: 'PULSEFOLD_PASSPHRASE' },
      holders: holders.map(({ id }, index) => ({ id, address: at(holderPorts[index]) })),
      plans: ['plan.yaml'],
      logOrigin,
      witnesses: [{ name: 'witness.example/w1', url: `http://${at(witnessPort)}/`, key: witnessKey }],
      ...common,
    });
    await Promise.all(holders.map(({ id }) => start(['keyholder', '--config', file(`${id}.yaml`)])));
    const { event: eventOf } = await start(['coordinator', '--config', file('coordinator.yaml')]);

    // Three hospitals.
    const joins = ['north', 'south', 'west'].map(async (name) => {
      const [token] = await pulsefold(
        'registrar',
        'token',
        '--config',
        file('registrar.yaml'),
        '--role',
        'client',
      );
      write(`${name}.csv`, table(name));
      write(`${name}.yaml`, {
        directory: name,
        coordinator: { address: at(coordinator) },
        registrar: { ca: 'ca.pem' },
        enrolment: { address: at(enrolment), token: String(token!.token) },
        passphrase: { env: 'PULSEFOLD_PASSPHRASE' },
        data: { train: `${name}.csv` },
        approvers: { required: 1, pinned: approvers },
        budget: { epsilon: '8', delta: '0.00001', units: ['record'] },
        log: { policy: 'policy.txt' },
      });
      return (await pulsefoldApart('client', 'join', '--config', file(`${name}.yaml`))).at(-1)!;
    });
    const summaries = await Promise.all(joins);
    expect(await eventOf('plan')).toMatchObject({ status: 'finished' });
    for (const summary of summaries)
      expect(JSON.stringify(summary)).toMatch(/"outcome":"certified".*"outcome":"certified"/);

    // Each device keeps a proof that its round is in the log.
    for (const name of ['north', 'south', 'west'])
      expect(
        readdirSync(file(name)).filter((entry) => entry.startsWith('tlog-proof-')).length,
      ).toBeGreaterThan(0);

    // The auditor, who needs nobody's secret.
    const [run] = readdirSync(file('runs'));
    const checkpoint = () => readFileSync(join(file('runs'), run!, 'log', 'checkpoint'), 'utf8');
    // Nothing waits for the witness, so its line may come a moment after the export.
    await expect.poll(checkpoint, { timeout: 20_000 }).toContain('— witness.example/w1 ');
    const verdict = (
      await pulsefold(
        'audit',
        'verify',
        join(file('runs'), run!),
        '--approver',
        `board=${approvers[0]!.publicKey}`,
        '--policy',
        file('policy.txt'),
      )
    ).at(-1);
    expect(verdict).toMatchObject({ ok: true });
  });
});

function planOf(
  holders: readonly { id: string; signingPublicKey: string; sealingPublicKey: string }[],
  registrarSha256: string,
  coordinatorPublicKey: string,
): object {
  return {
    version: 1,
    name: 'walkthrough',
    purpose: 'Shows that configuration files are enough.',
    suite: 'intl',
    seed: 'walkthrough',
    features: FEATURES,
    model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: {
      strategy: 'fedavgm',
      epochs: 1,
      batchSize: 1,
      learningRate: 1,
      serverLearningRate: 4,
      serverMomentum: 0.5,
    },
    rounds: {
      training: 2,
      evaluation: 0,
      spare: 1,
      cohortMin: 3,
      cohortTarget: 3,
      cohortMax: 4,
      checkInWindowMs: 3000,
      deadlineMs: 60_000,
    },
    eligibility: { recordsMin: 10, recordsMax: 100 },
    mechanism: { clip: '1', unitsPerClip: 128, expectedBatch: '90', recordsMax: 100 },
    privacy: {
      unit: 'record',
      epsilon: '8',
      delta: '0.00001',
      gamma: '1/3',
      samplingRate: '1/2',
      noiseVariance: '20000',
    },
    holders,
    registrarSha256,
    coordinatorPublicKey,
  };
}
