/**
 * Devices, uploads and openings as an honest coordinator makes them: for tests in keyholder/ only.
 *
 * Every ciphertext, signature and certificate is real; attacks change one of them.
 */
import {
  type CertificateAuthority,
  generateTlsKey,
  issueCertificate,
  type Role,
  subjectIdOf,
} from '../crypto/identity/certificate.ts';
import { getSuite, type KeyPair } from '../crypto/identity/suite.ts';
import type { Entry, OpenHeader, OpenReply } from '../protos/keyholder-messages.ts';
import { digitCountOf } from '../protos/plan-mechanism.ts';
import {
  entryLeaf,
  type RoundBinding,
  type UploadStatement,
  uploadDigest,
  uploadStatement,
} from '../protos/statements.ts';
import { cohortRootOf } from './certification.ts';
import { DAY_MS, START_MS, type TestHolder, type World } from './testing.ts';

export interface Device {
  readonly id: string;
  readonly signing: KeyPair;
  readonly certificate: Uint8Array;
  readonly serial: string;
}

export async function createDevice(
  world: World,
  options: {
    readonly authority?: CertificateAuthority;
    readonly role?: Role;
    readonly notAfterMs?: number;
  } = {},
): Promise<Device> {
  const signing = world.suite.generateSigningKey();
  const role = options.role ?? 'client';
  const id = subjectIdOf(role, world.suite.name, signing.publicKey);
  const { tlsPublicKey } = await generateTlsKey();
  const { der, serial } = await issueCertificate(options.authority ?? world.authority, {
    claims: {
      role,
      suite: world.suite.name,
      subjectId: id,
      signingPublicKey: signing.publicKey,
      sealingPublicKey: world.suite.generateSealingKey().publicKey,
    },
    tlsPublicKey,
    notBeforeMs: START_MS - DAY_MS,
    notAfterMs: options.notAfterMs ?? START_MS + 365 * DAY_MS,
  });
  return { id, signing, certificate: der, serial };
}

export const createDevices = (world: World, count: number): Promise<Device[]> =>
  Promise.all(Array.from({ length: count }, () => createDevice(world)));

export interface Upload {
  readonly device: Device;
  readonly digits: Int32Array;
  readonly c0: Uint8Array;
  readonly c1: Uint8Array;
  readonly entry: Entry;
}

export const bindingOf = (world: World, round: number, keyId: Uint8Array): RoundBinding => ({
  planHash: world.parsed.hash,
  round,
  modelHash: new Uint8Array(32).fill(1),
  configHash: new Uint8Array(32).fill(2),
  committeeKeyId: keyId,
});

/** Signs any ciphertext as `device`. */
export function signEntry(world: World, device: Device, binding: RoundBinding, digest: Uint8Array): Entry {
  const statement: UploadStatement = { ...binding, deviceId: device.id, digest };
  const signature = world.suite.sign(device.signing.secretKey, uploadStatement(statement));
  return { certificate: device.certificate, ...binding, digest, signature };
}

/** Encrypts digits, digit i of upload k being (k+1)·(i+1), and signs. */
export function createUpload(
  world: World,
  device: Device,
  binding: RoundBinding,
  publicKey: Uint8Array,
  number = 0,
): Upload {
  const digits = Int32Array.from(
    { length: digitCountOf(world.parsed, 'training') },
    (_, i) => (number + 1) * (i + 1),
  );
  const { c0, c1 } = world.bfv.encrypt(publicKey, digits);
  return {
    device,
    digits,
    c0,
    c1,
    entry: signEntry(world, device, binding, uploadDigest(world.suite, c0, c1)),
  };
}

export const byDevice = (a: Upload, b: Upload): number => (a.device.id < b.device.id ? -1 : 1);

/** Root over the entries of these uploads, as an honest coordinator computes it. */
export function rootOf(_world: World, uploads: readonly Upload[]): Uint8Array {
  return cohortRootOf(
    uploads.map(({ device, entry }) => ({
      deviceId: device.id,
      modelHash: entry.modelHash,
      configHash: entry.configHash,
      committeeKeyId: entry.committeeKeyId,
      digest: entry.digest,
      leaf: entryLeaf({ ...entry, deviceId: device.id }),
    })),
  );
}

export const acceptRequest = (world: World, round: number, entries: readonly unknown[]) => ({
  planHash: world.parsed.hash,
  round,
  entries,
});

export const certifyRequest = (world: World, binding: RoundBinding, uploads: readonly Upload[]) => ({
  ...binding,
  cohortRoot: rootOf(world, uploads),
  deviceIds: uploads.map((upload) => upload.device.id).sort(),
});

export interface OpenOptions {
  readonly signatures: OpenHeader['signatures'];
  readonly activeSet: readonly number[];
  readonly digitCount?: number;
  /** Overrides of the header, for attacks. */
  readonly header?: Partial<OpenHeader>;
}

export function openHeader(
  world: World,
  binding: RoundBinding,
  uploads: readonly Upload[],
  options: OpenOptions,
): OpenHeader {
  return {
    ...binding,
    cohortRoot: rootOf(world, uploads),
    cohortCount: uploads.length,
    signatures: options.signatures,
    activeSet: [...options.activeSet],
    digitCount: options.digitCount ?? digitCountOf(world.parsed, 'training'),
    ...options.header,
  };
}

const CHUNK_BYTES = 16_384;

/** The messages of an opening: header, then every c1 in chunks. */
export async function* openMessages(header: OpenHeader, uploads: readonly Upload[]): AsyncGenerator<object> {
  yield { message: 'header', header };
  for (const { device, c0, c1, entry } of uploads) {
    for (let offset = 0; offset < c1.length; offset += CHUNK_BYTES) {
      const first = offset === 0;
      yield {
        message: 'part',
        part: {
          deviceId: device.id,
          c0Digest: first ? suiteOf(device).digest(c0) : new Uint8Array(0),
          offset,
          c1: c1.subarray(offset, offset + CHUNK_BYTES),
          entry: first ? entry : null,
        },
      };
    }
  }
}

const suiteOf = (device: Device) => getSuite(device.signing.publicKey.length === 32 ? 'intl' : 'gm');

/** Accepts and certifies `uploads` at `holders`; the signatures. */
export async function certifyAt(
  world: World,
  holders: readonly TestHolder[],
  binding: RoundBinding,
  uploads: readonly Upload[],
): Promise<OpenHeader['signatures']> {
  const signatures: OpenHeader['signatures'] = [];
  for (const { service } of holders) {
    await service.accept(
      acceptRequest(
        world,
        binding.round,
        uploads.map((upload) => upload.entry),
      ),
    );
    signatures.push(service.certify(certifyRequest(world, binding, uploads)));
  }
  return signatures;
}

/** Partial decryptions of the active set `indices`. */
export async function openAt(
  world: World,
  holders: readonly TestHolder[],
  binding: RoundBinding,
  uploads: readonly Upload[],
  signatures: OpenHeader['signatures'],
  activeSet: readonly number[],
): Promise<OpenReply[]> {
  const header = openHeader(world, binding, uploads, { signatures, activeSet });
  const partials: OpenReply[] = [];
  for (const index of activeSet)
    partials.push(await holders[index - 1]!.service.open(openMessages(header, uploads)));
  return partials;
}

/** What the coordinator does with partials: adds the c0 itself and opens. */
export function openSum(
  world: World,
  uploads: readonly Upload[],
  partials: readonly OpenReply[],
): Int32Array {
  const digitCount = digitCountOf(world.parsed, 'training');
  const sum = world.bfv.accumulator('c0', digitCount);
  for (const upload of uploads) sum.add(upload.c0);
  return world.bfv.open({ c0Sum: sum.bytes(), partials: partials.map((reply) => reply.partial), digitCount });
}

/** Digit-wise sum, to compare with. */
export const plainSum = (uploads: readonly Upload[]): Int32Array =>
  uploads.reduce(
    (sum, { digits }) => sum.map((value, i) => value + digits[i]!),
    new Int32Array(uploads[0]!.digits.length),
  );
