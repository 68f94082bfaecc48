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
import type { SealedParts, SumScheme } from '../crypto/secagg/scheme.ts';
import type { Entry, OpenHeader, OpenReply } from '../protos/keyholder-messages.ts';
import { digitCountOf, schemeOf } from '../protos/plan-scheme.ts';
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
  /** c0, or the masked words: what the coordinator folds. */
  readonly body: Uint8Array;
  /** c1, or the sealed seeds. */
  readonly holderPart: Uint8Array;
  readonly entry: Entry;
}

export const bindingOf = (world: World, round: number, keyId: Uint8Array): RoundBinding => ({
  planHash: world.parsed.hash,
  round,
  modelHash: new Uint8Array(32).fill(1),
  configHash: new Uint8Array(32).fill(2),
  committeeKeyId: keyId,
});

const none = new Uint8Array(0);
export const isShares = (world: World): boolean => world.parsed.plan.aggregation.transport === 'shares';

/** Signs any two parts as `device`; under shares they are what the entry carries. */
export function signEntry(world: World, device: Device, binding: RoundBinding, parts: SealedParts): Entry {
  const { body, holderPart } = parts;
  const digest = uploadDigest(world.suite, body, holderPart);
  const statement: UploadStatement = { ...binding, deviceId: device.id, digest };
  return {
    certificate: device.certificate,
    ...binding,
    digest,
    signature: world.suite.sign(device.signing.secretKey, uploadStatement(statement)),
    bodyDigest: isShares(world) ? world.suite.digest(body) : none,
    holderPart: isShares(world) ? holderPart : none,
  };
}

export const schemeOfWorld = (world: World): SumScheme => schemeOf(world.parsed, 'training').scheme;

/** Seals `digits` as the device does, and signs. */
export function sealUpload(
  world: World,
  device: Device,
  binding: RoundBinding,
  publicKey: Uint8Array,
  digits: Int32Array,
): Upload {
  const context = { configHash: binding.configHash, deviceId: device.id };
  const parts = world.secagg.seal(schemeOfWorld(world), context, publicKey, digits);
  return { device, digits, ...parts, entry: signEntry(world, device, binding, parts) };
}

/** Seals digits, digit i of upload k being (k+1)·(i+1) modulo 1000, and signs. */
export function createUpload(
  world: World,
  device: Device,
  binding: RoundBinding,
  publicKey: Uint8Array,
  number = 0,
): Upload {
  const length = digitCountOf(world.parsed, 'training');
  const digits = Int32Array.from({ length }, (_, i) => ((number + 1) * (i + 1)) % 1000);
  return sealUpload(world, device, binding, publicKey, digits);
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
    draws: [],
    ...options.header,
  };
}

const CHUNK_BYTES = 16_384;
/** Few, so that a test's cohort takes several messages. */
const PARTS_PER_MESSAGE = 3;

/** The messages of an opening: header, then every c1 in chunks, or the devices of a cohort with their entries. */
export async function* openMessages(header: OpenHeader, uploads: readonly Upload[]): AsyncGenerator<object> {
  yield { message: 'header', header };
  if (uploads[0]?.entry.holderPart.length) {
    const parts = [...uploads].sort(byDevice).map(({ device, entry }) => ({ deviceId: device.id, entry }));
    for (let at = 0; at < parts.length; at += PARTS_PER_MESSAGE)
      yield { message: 'parts', parts: { parts: parts.slice(at, at + PARTS_PER_MESSAGE) } };
    return;
  }
  for (const { device, body, holderPart, entry } of uploads) {
    for (let offset = 0; offset < holderPart.length; offset += CHUNK_BYTES) {
      const first = offset === 0;
      yield {
        message: 'part',
        part: {
          deviceId: device.id,
          bodyDigest: first ? suiteOf(device).digest(body) : none,
          offset,
          holderPart: holderPart.subarray(offset, offset + CHUNK_BYTES),
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

/** What the coordinator does with partials: adds the bodies itself and opens. */
export function openSum(
  world: World,
  uploads: readonly Upload[],
  partials: readonly OpenReply[],
): Int32Array {
  const scheme = schemeOfWorld(world);
  const folder = world.secagg.folder(scheme);
  for (const upload of uploads) folder.add(upload.body);
  return world.secagg.open(scheme, {
    configHash: uploads[0]!.entry.configHash,
    bodySum: folder.bytes(),
    cohortCount: uploads.length,
    activeSet: partials.map(({ holderId }) => world.holderKeys.findIndex(({ id }) => id === holderId) + 1),
    partials: partials.map((reply) => reply.partial),
  });
}

/** Digit-wise sum, to compare with. */
export const plainSum = (uploads: readonly Upload[]): Int32Array =>
  uploads.reduce(
    (sum, { digits }) => sum.map((value, i) => value + digits[i]!),
    new Int32Array(uploads[0]!.digits.length),
  );
