import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseClientConfig } from './config.ts';
import { runClient } from './join.ts';

const good = `
suite: intl
directory: vault
coordinator: { address: localhost:7443 }
registrar: { ca: ca.pem }
enrolment: { address: localhost:7442, tokenFile: token }
passphrase: { env: PULSEFOLD_PASSPHRASE }
data: { train: rows.csv, evaluation: /data/test.csv }
approvers:
  required: 1
  pinned: [{ id: board, publicKey: ${'a'.repeat(64)} }]
budget: { epsilon: 3, delta: "1/100000" }
conditions: { charging: false }
`;

const changed = (changes: object): string => stringify({ ...(parse(good) as object), ...changes });

describe('a client configuration', () => {
  it('is read with defaults and paths relative to its file', () => {
    expect(parseClientConfig(good, '/home/ada/client.yaml')).toMatchObject({
      suite: 'intl',
      directory: '/home/ada/vault',
      registrar: { ca: '/home/ada/ca.pem' },
      enrolment: { tokenFile: '/home/ada/token' },
      passphrase: { env: 'PULSEFOLD_PASSPHRASE' },
      data: { train: '/home/ada/rows.csv', evaluation: '/data/test.csv' },
      budget: { epsilon: 3, delta: 1e-5, units: ['person'], allowWithoutPrivacy: false },
      conditions: { charging: false, unmetered: true, worn: true },
      plan: {},
    });
  });

  it.each([
    ['an unknown field', { colour: 'red' }, /unrecognized|colour/i],
    ['no directory', { directory: undefined }, /directory/],
    [
      'an address without port',
      { coordinator: { address: 'localhost' } },
      /coordinator\.address: expected host:port/,
    ],
    [
      'two tokens',
      { enrolment: { address: 'a:1', token: 'x', tokenFile: 'y' } },
      /enrolment: give exactly one of token/,
    ],
    ['no passphrase source', { passphrase: {} }, /passphrase: give exactly one of env, file, keyFile/],
    ['no approver', { approvers: { required: 1, pinned: [] } }, /approvers\.pinned/],
    [
      'one approver pinned twice for two signatures',
      {
        approvers: {
          required: 2,
          pinned: [
            { id: 'a', publicKey: 'a'.repeat(64) },
            { id: 'b', publicKey: 'a'.repeat(64) },
          ],
        },
      },
      /approvers\.pinned: a key is listed twice/,
    ],
    [
      'no required signature',
      { approvers: { required: 0, pinned: [{ id: 'a', publicKey: 'a'.repeat(64) }] } },
      /approvers\.required/,
    ],
    ['a bad delta', { budget: { epsilon: 3, delta: 'small' } }, /budget\.delta: expected a number/],
    ['a delta of 1', { budget: { epsilon: 3, delta: 1 } }, /budget\.delta/],
    ['no unit', { budget: { epsilon: 3, delta: 1e-5, units: [] } }, /budget\.units/],
    ['another unit', { budget: { epsilon: 3, delta: 1e-5, units: ['household'] } }, /budget\.units/],
    ['a negative epsilon', { budget: { epsilon: -1, delta: 1e-5 } }, /budget\.epsilon/],
    ['an engine that is none', { engines: ['abacus'] }, /engines\.0/],
  ])('%s: the error names file and field', (_name, changes, message) => {
    const run = () => parseClientConfig(changed(changes), '/home/ada/client.yaml');
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(run).toThrow(/^\/home\/ada\/client\.yaml: /);
  });

  it('that is no YAML says so', () => {
    expect(() => parseClientConfig('a: [', 'c.yaml')).toThrow(/c\.yaml: not valid YAML/);
  });
});

describe('runClient', () => {
  it('names what is missing, file by file', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pulsefold-config-'));
    const file = join(directory, 'client.yaml');
    try {
      await expect(runClient(file)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/--config/),
      });
      await writeFile(file, good);
      await expect(runClient(file)).rejects.toMatchObject({
        message: expect.stringMatching(/ca\.pem: cannot be read \(registrar\.ca\)/),
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
