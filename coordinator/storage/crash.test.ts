// SIGKILL shows that the process may die at any point. It does not show that the disk keeps what was synced
// when the machine loses power: for that the store relies on WAL with synchronous=FULL (asserted in
// sqlite-store.test.ts).
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { BudgetLedger } from '../ledger/budget-ledger.ts';
import { LEDGER_CHARGE, LEDGER_PEOPLE, PAIR_MIGRATIONS } from './crash-writer.ts';
import { openStore } from './sqlite-store.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-crash-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const program = fileURLToPath(new URL('crash-writer.ts', import.meta.url));

interface Writer {
  readonly child: ChildProcess;
  /** Complete lines so far. */
  lines(): string[];
  readonly ended: Promise<NodeJS.Signals | null>;
}

function startWriter(mode: string, path: string, first: number): Writer {
  const child = spawn(process.execPath, [program, mode, path, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.on('close', (_code, signal) => resolve(signal)),
  );
  return { child, lines: () => output.split('\n').slice(0, -1), ended };
}

/** Waits for the first acknowledgement, then a random moment, then SIGKILL. */
async function killSoon(writer: Writer, spreadMs: number): Promise<string[]> {
  while (writer.lines().length === 0 && writer.child.exitCode === null) await sleep(2);
  await sleep(randomInt(spreadMs));
  writer.child.kill('SIGKILL');
  expect(await writer.ended).toBe('SIGKILL');
  return writer.lines();
}

function readPairs(path: string): { firsts: Set<number>; seconds: Set<number> } {
  const store = openStore(path);
  store.migrate('pairs', PAIR_MIGRATIONS);
  const ids = (table: string) =>
    new Set(
      store.read('test.read', (database) =>
        database.all<{ id: number }>(`SELECT id FROM ${table}`).map((row) => row.id),
      ),
    );
  const pairs = { firsts: ids('firsts'), seconds: ids('seconds') };
  const check = store.read('test.integrity', (database) => database.get('PRAGMA integrity_check'));
  expect(Object.values(check!)).toEqual(['ok']);
  store.close();
  return pairs;
}

describe('SIGKILL of a writing process', () => {
  it('loses no acknowledged write and leaves none half there, again and again', async () => {
    const path = join(directory, 'pairs.sqlite');
    const acknowledged: number[] = [];
    for (let run = 0; run < 4; run++) {
      acknowledged.push(...(await killSoon(startWriter('store', path, 1 + run * 1_000_000), 60)).map(Number));
      const { firsts, seconds } = readPairs(path);
      expect(acknowledged.filter((id) => !firsts.has(id))).toEqual([]);
      expect([...firsts].filter((id) => !seconds.has(id))).toEqual([]);
      expect(seconds.size).toBe(firsts.size);
    }
    expect(acknowledged.length).toBeGreaterThan(30);
  });

  it('in the middle of a write undoes that write and its uncommitted neighbours only', async () => {
    const path = join(directory, 'inside.sqlite');
    const writer = startWriter('inside', path, 0);
    expect(await writer.ended).toBe('SIGKILL');
    const { firsts, seconds } = readPairs(path);
    expect(writer.lines().map(Number)).toEqual([...firsts]);
    expect([...firsts]).toEqual([...seconds]);
    expect(firsts.size).toBe(16);
  });

  it('is caught when acknowledgements run ahead of the commit (weakened writer)', async () => {
    const path = join(directory, 'early.sqlite');
    const writer = startWriter('early', path, 0);
    expect(await writer.ended).toBe('SIGKILL');
    const { firsts } = readPairs(path);
    expect(
      writer
        .lines()
        .map(Number)
        .filter((id) => !firsts.has(id)),
    ).toEqual([20]);
  });
});

describe('SIGKILL of processes that reserve budget at the same time', () => {
  it('nobody overspends, acknowledged reservations are there, events replay to the balances', async () => {
    const path = join(directory, 'ledger.sqlite');
    const store = openStore(path);
    const ledger = new BudgetLedger(store);
    for (const pseudonym of LEDGER_PEOPLE)
      ledger.openFilter({ pseudonym, unit: 'person', epsilon: 3, delta: 1e-5, order: 32 });
    const { limit } = ledger.balance(LEDGER_PEOPLE[0]!);
    const acknowledged = new Set<string>();
    for (let run = 0; run < 2; run++) {
      const writers = [0, 1].map((i) => startWriter('ledger', path, 1 + (2 * run + i) * 10_000));
      for (const lines of await Promise.all(writers.map((writer) => killSoon(writer, 40))))
        for (const line of lines) if (!line.endsWith('done')) acknowledged.add(line);
      ledger.verify();
    }
    const reservations = new Set<string>();
    for (const event of ledger.events())
      if (event.kind === 'reserve')
        for (const pseudonym of event.pseudonyms) reservations.add(`${event.round} ${pseudonym}`);
    expect([...acknowledged].filter((line) => !reservations.has(line))).toEqual([]);
    const most = Math.floor(limit / LEDGER_CHARGE);
    for (const pseudonym of LEDGER_PEOPLE) {
      const { spent, reserved } = ledger.balance(pseudonym);
      expect(spent + reserved).toBeLessThanOrEqual(limit);
      const count = [...reservations].filter((line) => line.endsWith(` ${pseudonym}`)).length;
      expect(reserved).toBeCloseTo(count * LEDGER_CHARGE, 9);
      expect(count).toBe(most);
    }
    store.close();
  });
});
