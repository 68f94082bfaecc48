/**
 * Goal: a person's rights as they would be typed, against real processes: no consent, no invitation; consent, rounds,
 * export, proof, withdrawal, erasure; and the log proves the same before and after.
 */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { toHex } from '../../crypto/bytes.ts';
import { randomBytes } from '../../crypto/random.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { Deployment } from '../demo/deployment.ts';
import type { ChildEvent } from '../demo/processes.ts';

const CLI = join(import.meta.dirname, '..', '..', 'cli', 'pulsefold.ts');
const PEOPLE = ['ada', 'ben', 'cho', 'dia', 'eva'] as const;

interface Said {
  readonly code: number;
  readonly stderr: string;
  readonly stdout: string;
  /** The JSON lines. */
  readonly events: { readonly event?: string; readonly [name: string]: unknown }[];
}

const home = mkdtempSync(join(tmpdir(), 'pulsefold-rights-'));
const runs = join(home, 'runs');
let deployment: Deployment;
const ended = new Set<string>();
const waiting = new Map<string, () => void>();

beforeAll(async () => {
  deployment = await Deployment.start({
    directory: join(home, 'deployment'),
    runDirectory: runs,
    suite: 'intl',
    onEvent: (_name, event: ChildEvent) => {
      if (event.event !== 'plan') return;
      ended.add(String(event.plan));
      waiting.get(String(event.plan))?.();
    },
  });
  for (const person of PEOPLE) settle(person);
});
afterAll(async () => {
  await deployment?.stop();
  rmSync(home, { recursive: true, force: true });
});

const end = (parsed: ParsedPlan): Promise<void> =>
  ended.has(parsed.hashHex)
    ? Promise.resolve()
    : new Promise((resolve) => waiting.set(parsed.hashHex, resolve));

const at = (person: string, ...path: string[]): string => join(home, person, ...path);

/** A phone: its rows, its key, its configuration. */
function settle(person: (typeof PEOPLE)[number]): void {
  mkdirSync(at(person), { recursive: true });
  const rows = Array.from({ length: 12 }, (_, i) => `${40 + 3 * i},${60 + 2 * i},${i % 2}`);
  writeFileSync(at(person, 'train.csv'), `age,pulse,event\n${rows.join('\n')}\n`);
  writeFileSync(at(person, 'phone.key'), `${toHex(randomBytes(32))}\n`);
  writeFileSync(
    at(person, 'client.yaml'),
    stringify({
      directory: 'vault',
      coordinator: { address: deployment.addresses.coordinator },
      registrar: { ca: join(home, 'deployment', 'ca.pem'), address: deployment.addresses.registrar },
      enrolment: { address: deployment.addresses.enrolment, token: deployment.clientToken() },
      passphrase: { keyFile: 'phone.key' },
      data: { train: 'train.csv' },
      approvers: {
        required: 1,
        pinned: [{ id: deployment.approver.id, publicKey: toHex(deployment.approver.key.publicKey) }],
      },
      budget: { epsilon: '8', delta: '0.00001' },
      timing: { receiptPatienceMs: 60_000 },
    }),
  );
}

function planOf(name: string, people: number, changes: object = {}): ParsedPlan {
  const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 200 });
  return finishPlan({
    version: 1,
    name,
    purpose: 'To find out whether a pulse foretells an event. Research only.',
    consent: {
      required: true,
      controller: 'Heart Institute',
      contact: 'privacy@heart.example',
      retentionDays: 30,
    },
    suite: 'intl',
    seed: '1',
    features: {
      dataset: 'test',
      label: { column: 'event', positive: { above: 0 } },
      features: [feature('age'), feature('pulse')],
      complete: true,
    },
    model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1 },
    rounds: {
      training: 1,
      spare: 0,
      cohortMin: 3,
      // All who come are waited for: processes start slowly on a busy machine.
      cohortTarget: people,
      cohortMax: 8,
      checkInWindowMs: 120_000,
      deadlineMs: 240_000,
      stragglerMs: 120_000,
    },
    mechanism: { clip: '1', unitsPerClip: 64, recordsMax: 100 },
    privacy: {
      unit: 'person',
      epsilon: '3',
      delta: '0.00001',
      gamma: '1/4',
      noiseVariance: '20000',
      quota: { family: 'heart', share: '1', total: { epsilon: '7', delta: '0.00001', order: 'zcdp' } },
    },
    aggregation: { transport: 'shares' },
    ...deployment.parties(),
    ...changes,
  });
}

/** `pulsefold WORDS`, as it would be typed; never on a terminal. */
function pulsefold(...words: string[]): Promise<Said> {
  return new Promise((resolve) => {
    const options = { maxBuffer: 64 * 1024 * 1024, cwd: home };
    execFile(process.execPath, [CLI, ...words], options, (error, stdout, stderr) => {
      const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
      const code = error ? Number(error.code ?? 1) : 0;
      resolve({ code, stdout, stderr, events: lines.map((line) => JSON.parse(line)) });
    });
  });
}

const client = (person: string, ...words: string[]): Promise<Said> =>
  pulsefold('client', words[0]!, '--config', at(person, 'client.yaml'), ...words.slice(1));
const runOf = (parsed: ParsedPlan): string =>
  join(runs, readdirSync(runs).find((name) => name.includes(parsed.hashHex.slice(0, 12)))!);
const verify = async (parsed: ParsedPlan) => {
  const said = await pulsefold('audit', 'verify', runOf(parsed), '--json');
  const [result] = said.events as unknown as {
    ok: boolean;
    root: string;
    leaves: number;
    findings: { severity: string }[];
    rights: Record<string, number>;
  }[];
  expect(result?.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  expect(said.code).toBe(0);
  return result!;
};
const filesUnder = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
const contentOf = (file: string): string => readFileSync(file).toString('latin1');

describe('a person and their rights', () => {
  it('from no consent to no trace', async () => {
    const first = planOf('heart-1', 5);
    await deployment.submit(first);

    // Nobody takes part who has not said yes; nobody says yes without a person.
    const refused = await client('ada', 'join', '--json');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('CONSENT_MISSING')]);
    const unasked = await client('ada', 'consent');
    expect([unasked.code, unasked.stderr]).toEqual([1, expect.stringMatching(/a person must decide/)]);
    expect(unasked.stdout).toMatch(/Heart Institute/);
    expect(unasked.stdout).toMatch(/95\.3|99\.9/);

    for (const person of PEOPLE) {
      const said = await client(person, 'consent', '--yes', '--json');
      expect([said.code, said.stderr]).toEqual([0, '']);
      expect(said.events.map(({ event }) => event)).toEqual(['log', 'disclosure', 'consented']);
      expect(said.events.at(-1)).toMatchObject({ scope: 'family:heart', planHash: first.hashHex });
    }
    const joined = await Promise.all(PEOPLE.map((person) => client(person, 'join', '--json')));
    expect(joined.map(({ code, stderr }) => [code, stderr])).toEqual(PEOPLE.map(() => [0, '']));
    await end(first);
    const before = await verify(first);
    expect(before.rights).toMatchObject({ consents: 5, consenting: 5, withdrawals: 0, erasures: 0 });

    // A copy, which proves itself.
    const file = join(home, 'ada-part.json');
    const exported = await client('ada', 'export', '--out', file, '--with-data', '--json');
    expect([exported.code, exported.stderr]).toEqual([0, '']);
    expect(exported.events.at(-1)).toMatchObject({
      receipts: 1,
      consents: 1,
      coordinatorAsked: true,
      omitted: [],
    });
    const copy = JSON.parse(readFileSync(file, 'utf8'));
    expect(copy.data[0].text).toContain('age,pulse,event');
    expect(copy.coordinator.report.charges).toMatchObject([{ round: 1, state: 'charged' }]);
    const proven = await pulsefold('audit', 'prove', file, '--bundle', runOf(first), '--json');
    expect(proven.events[0]).toMatchObject({
      ok: true,
      problems: [],
      consents: { given: 1, proven: 1 },
      entries: [{ round: 1, charged: true, proven: true, logProofs: ['decision', 'settlement'] }],
    });
    expect(proven.stdout).not.toContain(copy.device.deviceId);

    // Out of the family; what is spent stays.
    const withdrawn = await client('ben', 'withdraw', '--from', 'family', '--json');
    expect([withdrawn.code, withdrawn.stderr]).toEqual([0, '']);
    expect(withdrawn.events.at(-1)).toMatchObject({ scope: 'family:heart', standingRound: 0 });
    expect(Number((withdrawn.events.at(-1) as { spent: string }).spent)).toBeGreaterThan(0);

    // Gone: here, at the coordinator, at the registrar.
    const { deviceId, certificate } = copy.device;
    const known = filesUnder(join(home, 'deployment', 'registrar'));
    expect(known.some((file) => contentOf(file).includes(deviceId))).toBe(true);
    const erased = await client(
      'ada',
      'erase',
      '--yes',
      '--keep-receipt',
      join(home, 'erased.json'),
      '--json',
    );
    expect([erased.code, erased.stderr]).toEqual([0, '']);
    expect(erased.events.at(-1)).toMatchObject({
      coordinator: { kind: 'erasure', deviceId, standing: [] },
      registrar: { kind: 'forgotten', deviceId },
    });
    expect([existsSync(at('ada', 'vault')), existsSync(at('ada', 'phone.key'))]).toEqual([false, false]);
    expect(existsSync(at('ada', 'train.csv'))).toBe(true);
    const kept = JSON.parse(readFileSync(join(home, 'erased.json'), 'utf8'));
    expect(kept.registrar.receipt).toContain('"kind":"forgotten"');
    expect(certificate).toContain('BEGIN CERTIFICATE');

    // The next plan of the family: consents still cover it, except where somebody left.
    const second = planOf('heart-2', 3);
    await deployment.submit(second);
    const again = await Promise.all(
      (['ben', 'cho', 'dia', 'eva'] as const).map((person) => client(person, 'join', '--json')),
    );
    expect(again.map(({ code }) => code)).toEqual([1, 0, 0, 0]);
    expect(again[0]!.stderr).toContain('WITHDRAWN');
    await end(second);
    const third = planOf('heart-3', 3, { purpose: 'To price insurance by pulse.' });
    await deployment.submit(third);
    const asked = await client('cho', 'join', '--json');
    expect([asked.code, asked.stderr]).toEqual([
      1,
      expect.stringMatching(/CONSENT_MISSING.*another purpose/s),
    ]);

    // The same proofs afterwards; the first run is exported again when the coordinator starts.
    await deployment.restartCoordinator();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const after = await verify(first);
    expect(after.leaves).toBeGreaterThan(before.leaves);
    expect(after.rights).toMatchObject({ withdrawals: 1, erasures: 1, accesses: 1, consents: 5 });
    expect((await verify(second)).rights).toMatchObject({ consenting: 5 });
    const later = await pulsefold('audit', 'prove', file, '--bundle', runOf(first), '--json');
    expect(later.events[0]).toMatchObject({ ok: true, problems: [] });
    const report = await pulsefold(
      'audit',
      'report',
      runOf(first),
      runOf(second),
      '--format',
      'json',
      '--out',
      join(home, 'report.json'),
    );
    expect([report.code, report.stderr]).toEqual([0, '']);

    await deployment.stop();
    // In every file that the two operators keep, free pages of databases included.
    const leftOver = ['coordinator', 'registrar'].flatMap((role) =>
      filesUnder(join(home, 'deployment', role)).filter((file) => contentOf(file).includes(deviceId)),
    );
    expect(leftOver).toEqual([]);
  }, 900_000);
});
