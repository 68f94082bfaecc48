import { afterEach, describe, expect, it, vi } from 'vitest';
import type { SignedOutcome } from '../../coordinator/rounds/signed-uploads.ts';
import { CertificateVerifier } from '../../crypto/identity/certificate.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { uploadDigest } from '../../protos/statements.ts';
import { deviceIdentity } from './device-identity.ts';
import { FleetIdentities, type MadeUploads } from './fleet-identities.ts';
import { simulationParties } from './parties.ts';
import { sharedVerification } from './shared-verification.ts';
import { SIGNATURE_BYTES, SignedDevices } from './signed-devices.ts';
import { type SimulationOptions, simulate } from './simulate.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';

const DEVICES = 6;
const BAD = 2;
const suite = getSuite('intl');
const plan = testPlan({ devices: DEVICES, rounds: { training: 1 } });
const population = testPopulation(DEVICES);

const run = (more: Partial<SimulationOptions> = {}, parsed = plan) =>
  simulate(parsed, parties, population, {
    seal: 'none',
    identity: 'signed',
    devices: 'seeds',
    store: 'memory',
    noise: 'seeded',
    seed: 'a',
    workers: 0,
    ...more,
  });

const firstRound = async (more: Partial<SimulationOptions> = {}) => (await run(more)).rounds[0]!;

afterEach(() => {
  vi.restoreAllMocks();
});

describe('devices with identities that are seeds', () => {
  it('have the model, noise and all, of devices that are believed, and say what they are', async () => {
    const [signed, believed] = [await run(), await run({ identity: 'none' })];
    expect([...signed.weights]).toEqual([...believed.weights]);
    expect(signed.rounds[0]).toMatchObject({ uploaded: DEVICES, certified: DEVICES, phase: 'released' });
    expect(signed.label).toMatchObject({ identity: 'signed', devices: 'seeds' });
    expect(believed.label).toMatchObject({ identity: 'none', devices: 'seeds' });
    expect((await run()).logRoot).toBe(signed.logRoot);
  });

  it('under a seal, too, and as whole agents: where there is no noise, all release the same', async () => {
    const open = testPlan({ devices: DEVICES, privacy: null, rounds: { training: 1 } });
    const [plain, sealed, agents] = [
      await run({}, open),
      await run({ seal: 'shares' }, open),
      await run({ devices: 'agents' }, open),
    ];
    expect([...sealed.weights]).toEqual([...plain.weights]);
    expect([...agents.weights]).toEqual([...plain.weights]);
    expect(agents.label.devices).toBe('agents');
    expect(plain.weights.some((weight) => weight !== 0)).toBe(true);
  });

  it.each(['seeds', 'agents'] as const)(
    'consent by themselves where the plan asks for it: %s',
    async (form) => {
      const consent = {
        required: true,
        controller: 'A clinic',
        contact: 'mail@clinic.invalid',
        retentionDays: 30,
      };
      const asking = testPlan({ devices: DEVICES, rounds: { training: 1 }, consent });
      const { rounds } = await run({ devices: form }, asking);
      expect(rounds[0]).toMatchObject({ certified: DEVICES, phase: 'released' });
    },
  );
});

/** The device signs its upload, or its check-in, with other bytes. */
function forge(method: 'uploads' | 'checkIns'): { readonly isForged: (signature: Uint8Array) => boolean } {
  const forged = new Set<string>();
  const text = (signature: Uint8Array) => Buffer.from(signature).toString('hex');
  const whole = SignedDevices.prototype[method] as (...call: unknown[]) => Uint8Array;
  vi.spyOn(SignedDevices.prototype, method).mockImplementation(function (
    this: SignedDevices,
    ...call: unknown[]
  ) {
    const signatures = whole.apply(this, call);
    const at = BAD * SIGNATURE_BYTES;
    signatures[at + 5]! ^= 1;
    forged.add(text(signatures.slice(at, at + SIGNATURE_BYTES)));
    return signatures;
  });
  return { isForged: (signature) => forged.has(text(signature)) };
}

/** A verifier that believes the first `times` questions about a forged signature. */
function weakenSignatures(isForged: (signature: Uint8Array) => boolean, times: number): void {
  const { verify } = suite;
  let left = times;
  vi.spyOn(suite, 'verify').mockImplementation((key, message, signature) =>
    isForged(signature) && left-- > 0 ? true : verify(key, message, signature),
  );
}

describe('what is refused of them, alone', () => {
  it('a forged upload: by the coordinator, else by the holders, else by nobody', async () => {
    const { isForged } = forge('uploads');
    expect(await firstRound()).toMatchObject({
      invited: DEVICES,
      uploaded: DEVICES - 1,
      certified: DEVICES - 1,
    });
    weakenSignatures(isForged, 1);
    expect(await firstRound()).toMatchObject({ uploaded: DEVICES, certified: DEVICES - 1 });
    vi.restoreAllMocks();
    weakenSignatures(forge('uploads').isForged, Number.POSITIVE_INFINITY);
    expect(await firstRound()).toMatchObject({ uploaded: DEVICES, certified: DEVICES });
  });

  it('a forged check-in', async () => {
    const { isForged } = forge('checkIns');
    expect(await firstRound()).toMatchObject({ invited: DEVICES - 1 });
    weakenSignatures(isForged, Number.POSITIVE_INFINITY);
    expect(await firstRound()).toMatchObject({ invited: DEVICES });
  });

  const validity = { notBefore: '20200101000000Z', notAfter: '20261231000000Z' };
  it.each([
    ['that is over before the study begins', () => deviceIdentity(parties, 'a', BAD, { validity })],
    ['of another registrar', () => deviceIdentity(simulationParties('intl', 'other'), 'a', BAD)],
    ['of a role that takes no part', () => deviceIdentity(parties, 'a', BAD, { role: 'auditor' })],
  ])('a certificate %s', async (_, make) => {
    const enrol = SignedDevices.prototype.enrol;
    vi.spyOn(SignedDevices.prototype, 'enrol').mockImplementation(function (this: SignedDevices, devices) {
      const certificates = enrol.call(this, devices);
      return certificates.map((certificate, i) => (devices[i] === BAD ? make().certificate : certificate));
    });
    expect(await firstRound()).toMatchObject({ invited: DEVICES - 1, certified: DEVICES - 1 });
  });

  it('a certificate that is over: whoever does not look at its times takes it', async () => {
    const enrol = SignedDevices.prototype.enrol;
    vi.spyOn(SignedDevices.prototype, 'enrol').mockImplementation(function (this: SignedDevices, devices) {
      const certificates = enrol.call(this, devices);
      return certificates.map((certificate, i) =>
        devices[i] === BAD ? deviceIdentity(parties, 'a', BAD, { validity }).certificate : certificate,
      );
    });
    vi.spyOn(CertificateVerifier.prototype, 'requireValid').mockImplementation((identity) => identity);
    expect(await firstRound()).toMatchObject({ invited: DEVICES, certified: DEVICES });
  });

  it('a second update of a device; the first one stands, and sent again is acknowledged again', async () => {
    const { deliver } = FleetIdentities.prototype;
    const seen: SignedOutcome[] = [];
    vi.spyOn(FleetIdentities.prototype, 'deliver').mockImplementation(async function (
      this: FleetIdentities,
      active,
      uploads,
    ) {
      const own = only(uploads, BAD);
      for (const sent of [own, changed(own)]) seen.push(...(await deliver.call(this, active, sent)));
      const all = await deliver.call(this, active, uploads);
      seen.push(all[BAD]!);
      return all;
    });
    const { weights, rounds } = await run();
    expect(rounds[0]).toMatchObject({ uploaded: DEVICES, certified: DEVICES });
    expect(seen.map(({ kind }) => kind)).toEqual(['acknowledged', 'refused', 'acknowledged']);
    expect(seen[1]).toMatchObject({ error: { code: 'SECOND_DIGEST' } });
    vi.restoreAllMocks();
    expect([...weights]).toEqual([...(await run()).weights]);
  });
});

/** One of these uploads. */
function only({ devices, digests, bytes }: MadeUploads, index: number): MadeUploads {
  const length = bytes.length / devices.length;
  return {
    devices: [devices[index]!],
    digests: digests.slice(index * 32, (index + 1) * 32),
    bytes: bytes.slice(index * length, (index + 1) * length),
  };
}

/** Another upload of the same device. */
function changed({ devices, bytes }: MadeUploads): MadeUploads {
  const other = bytes.slice();
  other[0]! ^= 1;
  // Of seal none, a holder part is one byte.
  return { devices, digests: uploadDigest(suite, other.subarray(0, -1), other.subarray(-1)), bytes: other };
}

it('parties of one thread share what was verified, and nothing else', () => {
  const pair = suite.generateSigningKey();
  const [message, other] = [Uint8Array.of(1), Uint8Array.of(2)];
  const signature = suite.sign(pair.secretKey, message);
  const verify = vi.spyOn(suite, 'verify');
  const shared = sharedVerification(suite);
  for (let i = 0; i < 4; i++) expect(shared.verify(pair.publicKey, message, signature)).toBe(true);
  expect(verify).toHaveBeenCalledTimes(1);
  expect(shared.verify(pair.publicKey, other, signature)).toBe(false);
  expect(shared.verify(suite.generateSigningKey().publicKey, message, signature)).toBe(false);
  for (let i = 0; i < 4; i++) expect(shared.verify(pair.publicKey, other, signature)).toBe(false);
  expect(shared.verify(pair.publicKey, message, signature)).toBe(true);
});
