import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Sample } from './contenders.ts';
import { errorOf, runPeersBench } from './peers-bench.ts';
import { type PeersRow, ratioRow } from './report.ts';

const sample = (sums: readonly number[]): Sample => ({
  sums,
  tolerance: 0,
  clientMs: [1],
  clientCryptoMs: [1],
  serverMs: [1],
  serverCryptoMs: [1],
  openMs: 1,
  uploadBytes: 1,
  cpuShare: 1,
});

describe('agreement', () => {
  const slots = [Int32Array.of(1, -2, 3), Int32Array.of(10, 20, 30)];

  it('is exact for the plain sum, also where clients outnumber the vectors', () => {
    expect(errorOf(sample([11, 18, 33]), slots, 2)).toBe(0);
    expect(errorOf(sample([12, 16, 36]), slots, 3)).toBe(0);
  });

  it('tells the largest distance', () => {
    expect(errorOf(sample([11.25, 18, 31]), slots, 2)).toBe(2);
  });

  it('takes neither a number that is none nor a vector of another length', () => {
    expect(errorOf(sample([11, Number.NaN, 33]), slots, 2)).toBe(Number.POSITIVE_INFINITY);
    expect(errorOf(sample([11, 18]), slots, 2)).toBe(Number.POSITIVE_INFINITY);
    expect(errorOf(sample([11, 18, 33, 0]), slots, 2)).toBe(Number.POSITIVE_INFINITY);
  });
});

it('divides bare by bare, signed by signed and their bare by all of ours', () => {
  const row = (
    contender: string,
    [bare, whole, pipeline, serverBare, serverWhole, bytes]: readonly (number | null)[],
  ) =>
    ({
      contender,
      d: 10,
      client_crypto_ms: bare,
      client_ms: whole,
      client_pipeline_ms: pipeline,
      server_crypto_ms_per_client: serverBare,
      server_ms_per_client: serverWhole,
      upload_bytes: bytes,
    }) as PeersRow;
  const rows = [row('pulsefold-shares', [1, 4, 8, 2, 5, 100]), row('peer', [20, 24, null, 40, 60, 2500])];
  expect(ratioRow(rows, 10)).toEqual([
    {
      bench: 'peers-ratio',
      d: 10,
      against: 'peer',
      client_crypto: 20,
      client_signed: 6,
      client_strict: 2.5,
      server_crypto: 20,
      server_signed: 12,
      server_strict: 8,
      bytes: 25,
    },
  ]);
});

describe('without Python', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('says what to do and skips', async () => {
    const { mkdtempSync, rmSync } = await import('node:fs');
    const { tmpdir } = await import('node:os');
    const { join } = await import('node:path');
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-peers-test-'));
    vi.stubEnv('PULSEFOLD_PEERS_VENV', directory);
    vi.stubEnv('PULSEFOLD_PYTHON', join(directory, 'no-such-python'));
    const result = await runPeersBench({ dimensions: [10], rounds: 2, onProgress: () => undefined });
    rmSync(directory, { recursive: true });
    expect(result).toMatchObject({ bench: 'peers', skipped: true });
    expect('reason' in result && result.reason).toMatch(/install Python 3\.11.*PULSEFOLD_PYTHON/);
  });
});
