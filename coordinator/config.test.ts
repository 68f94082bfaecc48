/** Goal: whatever is wrong with a configuration file, the error names the file and the field. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { isPulsefoldError } from '../crypto/error.ts';
import { loadCoordinatorConfig } from './config.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-config-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, 'coordinator.yaml');

const good = {
  role: 'coordinator',
  directory: 'state',
  runDirectory: 'runs',
  listen: '127.0.0.1:7443',
  registrar: { caFile: 'ca.pem', address: '127.0.0.1:7441' },
  identity: { file: 'coordinator.identity', passphraseFile: 'secret' },
  holders: [{ id: 'hospital', address: '127.0.0.1:7450' }],
  approvals: { approvers: [{ id: 'ethics', publicKey: 'ab'.repeat(32) }] },
  plans: ['plans/heart.yaml', '/srv/plans/cardio.yaml'],
};

function load(value: unknown) {
  writeFileSync(file, typeof value === 'string' ? value : stringify(value));
  return loadCoordinatorConfig(file);
}

test('paths are relative to the file, limits have defaults', () => {
  expect(load(good)).toMatchObject({
    directory: join(directory, 'state'),
    runDirectory: join(directory, 'runs'),
    registrar: { caFile: join(directory, 'ca.pem') },
    identity: { file: join(directory, 'coordinator.identity'), passphraseFile: join(directory, 'secret') },
    plans: [join(directory, 'plans/heart.yaml'), '/srv/plans/cardio.yaml'],
    approvals: { required: 1 },
    limits: { holderCallMs: 5000, connectionsMax: 20_000 },
    logLevel: 'info',
  });
});

describe('errors', () => {
  const { identity, approvals, registrar } = good;
  const mistakes: [string, unknown, RegExp][] = [
    ['an empty file', '', /file: /],
    ['no YAML', 'a: [', /cannot be read as YAML/],
    ['a missing field', { ...good, listen: undefined }, /listen: /],
    ['an unknown field', { ...good, deadline: 3 }, /file: .*deadline/],
    ['an unknown field inside', { ...good, limits: { holderCallsMs: 5 } }, /limits: .*holderCallsMs/],
    ['the configuration of another role', { ...good, role: 'keyholder' }, /role: /],
    ['an address without a port', { ...good, listen: 'localhost' }, /listen: expected host:port/],
    ['a holder without an address', { ...good, holders: [{ id: 'hospital' }] }, /holders\.0\.address: /],
    ['no holder', { ...good, holders: [] }, /holders: /],
    [
      'a key that is none',
      { ...good, approvals: { approvers: [{ id: 'a', publicKey: 'xyz' }] } },
      /approvers\.0\.publicKey: expected a public key/,
    ],
    ['no approver', { ...good, approvals: { approvers: [] } }, /approvals\.approvers: /],
    ['no approval needed', { ...good, approvals: { ...approvals, required: 0 } }, /approvals\.required: /],
    [
      'more approvals than approvers',
      { ...good, approvals: { ...approvals, required: 2 } },
      /approvals\.required: .*1 approver/,
    ],
    ['no passphrase', { ...good, identity: { file: identity.file } }, /identity: .*passphraseEnv/],
    [
      'two passphrases',
      { ...good, identity: { ...identity, passphraseEnv: 'X' } },
      /identity: .*passphraseEnv/,
    ],
    [
      'a registrar without a CA',
      { ...good, registrar: { address: registrar.address } },
      /registrar\.caFile: /,
    ],
    ['a holder twice', { ...good, holders: [good.holders[0], good.holders[0]] }, /holders: .*hospital/],
    ['a limit of nothing', { ...good, limits: { holderCallMs: 0 } }, /limits\.holderCallMs: /],
  ];
  for (const [name, value, message] of mistakes)
    test(name, () => {
      let error: unknown;
      try {
        load(value);
      } catch (caught) {
        error = caught;
      }
      expect(isPulsefoldError(error) && error.code).toBe('CONFIG_INVALID');
      expect((error as Error).message).toContain(file);
      expect((error as Error).message).toMatch(message);
    });

  test('a file that is not there', () => {
    const missing = join(directory, 'missing.yaml');
    expect(() => loadCoordinatorConfig(missing)).toThrow(missing);
  });
});
