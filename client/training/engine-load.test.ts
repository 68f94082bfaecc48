/** Goal: the first engine that loads is taken, the others are named with the reason, and the process stays as it was. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { TrainEngine } from './engine.ts';
import { engineOrder, loadTrainEngine } from './engine.ts';
import { restoreRemovedUtilities } from './tfjs-load.ts';

const run = promisify(execFile);

describe('loadTrainEngine', () => {
  test('takes the first that loads and says why the better ones were not used', async () => {
    const engine = await loadTrainEngine();
    expect(['tfjs-node', 'tfjs-wasm']).toContain(engine.name);
    if (engine.name === 'tfjs-wasm') {
      expect(engine.skipped).toEqual([
        { engine: 'tfjs-node', reason: expect.stringContaining('not installed') },
      ]);
    }
  });

  test('the kernel engine comes by name only', async () => {
    expect(engineOrder).not.toContain('kernel');
    const engine = await loadTrainEngine(['kernel']);
    expect([engine.name, engine.skipped]).toEqual(['kernel', []]);
  });

  test('falls through failures, in order', async () => {
    const fail = async (): Promise<never> => {
      throw new Error('no SIMD here\nstack');
    };
    const loaders = {
      a: fail,
      b: fail,
      c: async (skipped: TrainEngine['skipped']) => ({ ...(await loadTrainEngine(['tfjs-cpu'])), skipped }),
    };
    const engine = await loadTrainEngine(['a', 'b', 'c'], loaders);
    expect(engine.skipped).toEqual([
      { engine: 'a', reason: 'no SIMD here' },
      { engine: 'b', reason: 'no SIMD here' },
    ]);
    await expect(loadTrainEngine(['a'], loaders)).rejects.toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE' }),
    );
    await expect(loadTrainEngine(['abacus'])).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    await expect(loadTrainEngine([])).rejects.toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
  });

  test('leaves a fresh process as it was: quick, no handlers, nothing printed', async () => {
    const script = `
      import { loadTrainEngine } from ${JSON.stringify(new URL('./engine.ts', import.meta.url).href)};
      const start = performance.now();
      await loadTrainEngine(['tfjs-wasm']);
      const elapsedMs = performance.now() - start;
      const engine = await loadTrainEngine(['tfjs-cpu']);
      const spec = { kind: 'lr', inputs: 1, hidden: [], activation: 'relu' };
      await engine.predict(spec, new Float32Array(2), new Float32Array(1), 1);
      const events = ['uncaughtException', 'unhandledRejection'];
      const listeners = events.map((event) => process.listenerCount(event));
      console.log(JSON.stringify({ elapsedMs, listeners }));`;
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length, `printed: ${stdout}`).toBe(1);
    expect(stderr).toBe('');
    const { elapsedMs, listeners } = JSON.parse(lines[0]!) as { elapsedMs: number; listeners: number[] };
    expect(listeners).toEqual([0, 0]);
    expect(elapsedMs).toBeLessThan(5000); // about 60 ms on an idle machine
  });

  test.each([
    ["cannot find module '/home/jane doe/x.js'", "cannot find module '<path>'"],
    ['no addon at path: /srv/a/tfjs_binding.node. ', 'no addon at path: <path>'],
    ['/srv/a/b.node: undefined symbol: TF_X', '<path>: undefined symbol: TF_X'],
    ['needs `GLIBC_9` (required by /srv/a.so)', 'needs `GLIBC_9` (required by <path>)'],
    [String.raw`C:\Users\jane\a.node is not valid`, '<path>'],
    ['no @scope/name imported from file:///home/jane/x.js', 'no @scope/name imported from <path>'],
    ['libx.so.2: and / or https://example.org/a', 'libx.so.2: and / or https://example.org/a'],
  ])('keeps the paths of this machine out of a reason: %s', async (message, reason) => {
    const loaders = { a: () => Promise.reject(new Error(message)) };
    await expect(loadTrainEngine(['a'], loaders)).rejects.toThrow(`(${reason})`);
  });

  test('puts back what Node 23 removed, without touching what is there', () => {
    const kept = () => true;
    const util: Record<string, unknown> = {};
    restoreRemovedUtilities(util);
    expect((util.isNullOrUndefined as (value: unknown) => boolean)(undefined)).toBe(true);
    expect((util.isNullOrUndefined as (value: unknown) => boolean)(0)).toBe(false);
    expect(util.isArray).toBe(Array.isArray); // Node's own one warns at every start
    const before: Record<string, unknown> = { isNullOrUndefined: kept };
    restoreRemovedUtilities(before);
    expect(before.isNullOrUndefined).toBe(kept);
  });
});
