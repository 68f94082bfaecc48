/**
 * The operators' way through the command: CA, tokens, identities, approval, coordinator, status. Roles are processes of
 * their own, the commands that talk to them run in this one.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { RunFixture } from '../auditor/testing.ts';
import type { EnrolledRole } from '../crypto/identity/identity.ts';
import { decodeApprovals } from '../protos/approvals.ts';
import { parsePlanText, requireApproved } from '../protos/plan.ts';
import { mintToken } from '../registrar/registrar.ts';
import {
  type Finished,
  PASSPHRASE,
  pulsefoldHere,
  type Role,
  runNode,
  startRole,
  temporaryDirectory,
} from './testing.ts';

const scratch = temporaryDirectory();
const roles: Role[] = [];
const write = (name: string, value: object | string): void =>
  writeFileSync(join(scratch.path, name), typeof value === 'string' ? value : stringify(value));
const run = (line: string): Promise<Finished> => pulsefoldHere(line.split(' '), { cwd: scratch.path });
async function json<Value>(line: string): Promise<Value> {
  const finished = await run(`${line} --json`);
  expect(finished).toMatchObject({ code: 0, stderr: '' });
  return JSON.parse(finished.stdout) as Value;
}
function start(line: string): Role {
  const role = startRole(line.split(' '), scratch.path);
  roles.push(role);
  return role;
}
interface PublicIdentity {
  readonly role: string;
  readonly subjectId: string;
  readonly signingPublicKey: string;
  readonly sealingPublicKey: string;
  readonly serial: string;
}

let registrar: Role;
let enrolment: string;
let registrarAddress: string;
let registrarSha256: string;

/** Tokens come from the library here; the command that mints them has a test of its own. */
async function enrol(role: EnrolledRole): Promise<PublicIdentity> {
  write(`${role}.token`, mintToken(join(scratch.path, 'ca'), role, 300_000));
  const files = `--ca ca/ca.pem --token-file ${role}.token --out ${role}.identity`;
  return await json(`enrol --role ${role} --registrar ${enrolment} ${files}`);
}

beforeAll(async () => {
  write('secret', `${PASSPHRASE}\n`);
  const addresses = { address: '127.0.0.1:0', enrolAddress: '127.0.0.1:0' };
  write('registrar.yaml', { directory: 'ca', ...addresses, passphraseFile: 'secret' });
  ({ registrarSha256 } = await json<{ registrarSha256: string }>('registrar init --config registrar.yaml'));
  registrar = start('registrar --config registrar.yaml');
  const { role, port, enrolPort } = await registrar.event('listening');
  expect(role).toBe('registrar');
  enrolment = `127.0.0.1:${enrolPort}`;
  registrarAddress = `127.0.0.1:${port}`;
});

afterAll(async () => {
  for (const { child } of roles) child.kill('SIGKILL');
  await Promise.all(roles.map(({ exit }) => exit));
  scratch.dispose();
});

describe('registrar and identities', { timeout: 60_000 }, () => {
  it('mints tokens and refuses a second CA in one directory', async () => {
    const [token, { code, stderr }] = await Promise.all([
      run('registrar token --config registrar.yaml --role client --expires 5m'),
      run('registrar init --config registrar.yaml'),
    ]);
    expect(token.stdout).toMatch(/^pft1-[A-Za-z0-9_-]{43}\n$/);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error CONFIG_INVALID: .* already holds a registrar\n$/);
  });

  it('enrols, shows, lists and revokes', async () => {
    const identity = await enrol('auditor');
    expect(identity).toMatchObject({
      role: 'auditor',
      suite: 'intl',
      signingPublicKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(await json('identity show auditor.identity')).toEqual(identity);
    const wrong = await pulsefoldHere(['identity', 'show', 'auditor.identity'], {
      cwd: scratch.path,
      env: { PULSEFOLD_PASSPHRASE: 'another passphrase' },
    });
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toMatch(/^error FILE_SEALED: /);
    expect(await json(`registrar revoke ${identity.serial} --config registrar.yaml`)).toEqual({
      revoked: [identity.serial],
    });
    const table = (await run('registrar list --config registrar.yaml')).stdout;
    expect(table).toContain(identity.serial);
    expect(table).toMatch(/auditor .* revoked/);
  });

  it('does not use a token for a file that exists', async () => {
    await enrol('keyholder');
    const line = `enrol --role keyholder --registrar ${enrolment} --ca ca/ca.pem --token-file keyholder.token`;
    const { code, stderr } = await run(`${line} --out keyholder.identity`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error CONFIG_INVALID: keyholder\.identity \(--out\) exists already/);
    const used = await run(`${line} --out other.identity`);
    expect(used.stderr).toMatch(/^error TOKEN_USED: /);
  });
});

describe('from a plan to a coordinator that runs it', { timeout: 120_000 }, () => {
  it('checks, approves, submits and reports', async () => {
    const [coordinator, approver] = await Promise.all([
      enrol('coordinator'),
      json<{ publicKey: string }>('approver keygen --out ethics.key'),
      enrol('researcher'),
    ]);
    const again = await run('approver keygen --out ethics.key');
    expect(again.stderr).toMatch(/^error CONFIG_INVALID: ethics\.key \(--out\) exists already/);
    const { plan } = new RunFixture().parsed;
    write('plan.yaml', { ...plan, registrarSha256, coordinatorPublicKey: coordinator.signingPublicKey });

    const [facts, { stdout: read }] = await Promise.all([
      json<Record<string, unknown>>('plan check plan.yaml'),
      run('plan check plan.yaml'),
    ]);
    expect(facts).toMatchObject({
      name: plan.name,
      modelParameters: 3,
      privacy: { unit: 'person', epsilonStated: '3' },
    });
    expect(read).toContain(String(facts.planHash));
    expect(read).toMatch(/epsilon {2,}\d\.\d{4} of 3 stated/);

    write('coordinator.yaml', {
      role: 'coordinator',
      directory: 'state',
      runDirectory: 'runs',
      listen: '127.0.0.1:0',
      registrar: { caFile: 'ca/ca.pem', address: registrarAddress },
      identity: { file: 'coordinator.identity', passphraseFile: 'secret' },
      holders: plan.holders.map(({ id }) => ({ id, address: '127.0.0.1:9' })),
      approvals: { required: 1, approvers: [{ id: 'ethics', publicKey: approver.publicKey }] },
      logLevel: 'silent',
    });
    const role = start('coordinator --config coordinator.yaml');
    const { port } = await role.event('listening');
    const admin = `--coordinator 127.0.0.1:${port} --identity researcher.identity --passphrase-file secret`;
    expect((await run(`status ${admin}`)).stdout).toMatch(/^plan {3}none yet\nphase {2}idle/);

    const early = await run(`plan submit plan.yaml ${admin}`);
    expect(early.stderr).toMatch(/^error PLAN_NOT_APPROVED: plan\.yaml\.approvals\.json is missing/);
    write('plan.yaml.approvals.json', '[]');
    expect((await run(`plan submit plan.yaml ${admin}`)).stderr).toMatch(
      /^error PLAN_NOT_APPROVED: plan .* has 0 of 1/,
    );

    for (const approvals of [1, 1]) {
      expect(await json('plan approve plan.yaml --approver ethics --key ethics.key')).toMatchObject({
        approvals,
      });
    }
    const text = readFileSync(join(scratch.path, 'plan.yaml'), 'utf8');
    const approvals = decodeApprovals(readFileSync(join(scratch.path, 'plan.yaml.approvals.json'), 'utf8'));
    const policy = { approvers: [{ id: 'ethics', publicKey: approver.publicKey }], required: 1 };
    requireApproved(parsePlanText(text), approvals, policy);

    const { planHash } = await json<{ planHash: string }>(`plan submit plan.yaml ${admin}`);
    expect(planHash).toBe(facts.planHash);
    const [status, abort, other] = await Promise.all([
      json(`status ${admin}`),
      run(`abort ${admin} --round 1`),
      run(`status ${admin.replace('researcher', 'keyholder')}`),
    ]);
    const expected = { planHash, planName: plan.name, roundsPlanned: 2, epsilonAllowed: '3' };
    expect(status).toMatchObject(expected);
    expect(abort.stderr).toMatch(/^error WRONG_ROUND: round 1 of this plan is not running\n$/);
    expect(other.stderr).toMatch(/^error WRONG_ROLE: keyholder\.identity \(--identity\)/);

    role.child.kill('SIGTERM');
    await role.event('stopped');
    expect(await role.exit).toBe(0);
  });

  it('stops the registrar cleanly', async () => {
    registrar.child.kill('SIGINT');
    await registrar.event('stopped');
    expect(await registrar.exit).toBe(0);
  });
});

describe('the life of a role', () => {
  const role = JSON.stringify(new URL('./role.ts', import.meta.url).href);
  const main = JSON.stringify(new URL('./pulsefold.ts', import.meta.url).href);
  const program = (code: string) => runNode(['--input-type=module', '-e', code]);

  it('ends at once on a second signal when stopping hangs', async () => {
    const hanging = `
      const { runRole } = await import(${role});
      setInterval(() => {}, 1000);
      const stop = () => { process.kill(process.pid, 'SIGTERM'); return new Promise(() => {}); };
      setTimeout(() => process.kill(process.pid, 'SIGTERM'), 50);
      await runRole({ role: 'test', options: { json: true }, start: async () => ({ port: 1, stop }) });`;
    const { code, stdout } = await program(hanging);
    expect(code).toBe(143);
    expect(stdout).toBe('{"event":"listening","role":"test","port":1}\n');
  });

  it('ends with code 1 and a coded line when a promise is rejected that nobody waits for', async () => {
    const careless = `
      const { main } = await import(${main});
      await main(['node', 'pulsefold', '--version']);
      setInterval(() => {}, 1000);
      void Promise.reject(new Error('lost'));`;
    const { code, stderr } = await program(careless);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error INTERNAL: lost \(a bug: run again with --debug and report it\)\n$/);
  });
});
