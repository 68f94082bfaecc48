/**
 * A whole Pulsefold deployment on loopback, as real processes: registrar, coordinator, four key holders.
 *
 * For: the demo and e2e runs. Every role gets its own directory and passphrase and starts from its own configuration
 * file, exactly as an operator would start it. Trusts: this machine.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toHex } from '../../crypto/bytes.ts';
import type { EnrolledRole } from '../../crypto/identity/certificate.ts';
import { getSuite, type SigningKeyPair, type SuiteName } from '../../crypto/identity/suite.ts';
import { randomBytes } from '../../crypto/random.ts';
import { approvePlan, type ParsedPlan } from '../../protos/plan.ts';
import { openClient, type RpcClient } from '../../protos/transport/channel.ts';
import { enrol } from '../../protos/transport/enrol.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { saveIdentity } from '../../protos/transport/identity-store.ts';
import { channelCredentials } from '../../protos/transport/tls.ts';
import { initialiseRegistrar, mintToken } from '../../registrar/registrar.ts';
import { Child, type ChildEvent } from './processes.ts';

const CLI = join(import.meta.dirname, '..', '..', 'cli', 'pulsefold.ts');
const TOKEN_LIFETIME_MS = 3_600_000;
export const HOLDER_COUNT = 4;

export interface DeploymentOptions {
  readonly directory: string;
  readonly runDirectory: string;
  readonly suite: SuiteName;
  readonly onEvent?: (name: string, event: ChildEvent) => void;
}

export class Deployment {
  readonly options: DeploymentOptions;
  readonly caPem: string;
  readonly caSha256: string;
  readonly approver: { readonly id: string; readonly key: SigningKeyPair };
  readonly researcher: IdentityBundle;
  readonly coordinatorIdentity: IdentityBundle;
  readonly holders: readonly {
    readonly id: string;
    readonly identity: IdentityBundle;
    readonly child: Child;
  }[];
  readonly coordinator: Child;
  readonly addresses: Addresses;
  readonly #registrar: Child;
  readonly #admin: RpcClient;

  private constructor(parts: {
    options: DeploymentOptions;
    ca: { caPem: string; caFingerprint: string };
    approver: Deployment['approver'];
    researcher: IdentityBundle;
    coordinatorIdentity: IdentityBundle;
    holders: Deployment['holders'];
    coordinator: Child;
    registrar: Child;
    addresses: Addresses;
  }) {
    this.options = parts.options;
    this.caPem = parts.ca.caPem;
    this.caSha256 = parts.ca.caFingerprint;
    this.approver = parts.approver;
    this.researcher = parts.researcher;
    this.coordinatorIdentity = parts.coordinatorIdentity;
    this.holders = parts.holders;
    this.coordinator = parts.coordinator;
    this.#registrar = parts.registrar;
    this.addresses = parts.addresses;
    this.#admin = openClient({
      service: 'Admin',
      address: parts.addresses.coordinator,
      credentials: channelCredentials({
        caPem: parts.ca.caPem,
        certPem: parts.researcher.certPem,
        keyPem: parts.researcher.tlsKeyPem,
        server: { role: 'coordinator' },
      }),
    });
  }

  /** Makes the CA, enrols the operators' roles, writes their configurations and starts every process. */
  static async start(options: DeploymentOptions): Promise<Deployment> {
    const { directory, suite } = options;
    mkdirSync(directory, { recursive: true });
    const addresses = await pickAddresses();
    const registrarPassphrase = freshSecret();
    const registrarDirectory = join(directory, 'registrar');
    const ca = await initialiseRegistrar(registrarDirectory, { suite, passphrase: registrarPassphrase });
    writeFileSync(join(directory, 'ca.pem'), ca.caPem);
    const registrar = startRegistrar(options, addresses, registrarPassphrase);
    await registrar.start('listening');
    const key = getSuite(suite).generateSigningKey();
    const approver = { id: 'ethics-board', key };
    const enrolAs = (role: EnrolledRole) =>
      enrol({
        enrolAddress: addresses.enrolment,
        caPem: ca.caPem,
        token: mintToken(registrarDirectory, role, TOKEN_LIFETIME_MS),
        role,
        suite,
      });
    const coordinatorIdentity = await enrolAs('coordinator');
    const researcher = await enrolAs('researcher');
    const holders: { id: string; identity: IdentityBundle; child: Child }[] = [];
    for (let index = 1; index <= HOLDER_COUNT; index++) {
      const id = `holder-${index}`;
      const identity = await enrolAs('keyholder');
      holders.push({
        id,
        identity,
        child: await holderChild(options, addresses, approver, id, index, identity),
      });
    }
    const coordinator = await coordinatorChild(options, addresses, approver, coordinatorIdentity);
    await Promise.all([
      ...holders.map((holder) => holder.child.start('listening')),
      coordinator.start('listening'),
    ]);
    return new Deployment({
      options,
      ca,
      approver,
      researcher,
      coordinatorIdentity,
      holders,
      coordinator,
      registrar,
      addresses,
    });
  }

  /** A one-time enrolment token for a client. */
  clientToken(): string {
    return mintToken(join(this.options.directory, 'registrar'), 'client', TOKEN_LIFETIME_MS);
  }

  /** Fields of a plan that name this deployment's parties. */
  parties() {
    return {
      holders: this.holders.map(({ id, identity }) => ({
        id,
        signingPublicKey: toHex(identity.signing.publicKey),
        sealingPublicKey: toHex(identity.sealing.publicKey),
      })),
      registrarSha256: this.caSha256,
      coordinatorPublicKey: toHex(this.coordinatorIdentity.signing.publicKey),
    };
  }

  /** The approver signs the plan, the researcher submits it. */
  async submit(parsed: ParsedPlan): Promise<void> {
    const approval = approvePlan(parsed, this.approver.id, this.approver.key);
    await this.#admin.call('submitPlan', { plan: parsed.bytes, approvals: [approval] }, { idempotent: true });
  }

  status(): Promise<{ phase: string; message: string; roundsCompleted: number; epsilonSpent: string }> {
    return this.#admin.call('getStatus', {}, { idempotent: true });
  }

  abortRound(
    planHash: Uint8Array,
    round: number,
    reason: string,
  ): Promise<{ aborted: boolean; message: string }> {
    return this.#admin.call('abortRound', { planHash, round, reason });
  }

  async restartCoordinator(): Promise<void> {
    await this.coordinator.kill();
    await this.coordinator.start('listening');
  }

  async stop(): Promise<void> {
    this.#admin.close();
    await Promise.all([
      this.coordinator.stop(),
      ...this.holders.map((holder) => holder.child.stop()),
      this.#registrar.stop(),
    ]);
  }
}

export interface Addresses {
  readonly enrolment: string;
  readonly registrar: string;
  readonly coordinator: string;
  readonly holders: readonly string[];
}

export const freshSecret = (): string => toHex(randomBytes(24));

async function pickAddresses(): Promise<Addresses> {
  const ports = await freePorts(3 + HOLDER_COUNT);
  const [enrolment, registrar, coordinator, ...holders] = ports.map((port) => `127.0.0.1:${port}`);
  return { enrolment: enrolment!, registrar: registrar!, coordinator: coordinator!, holders };
}

/** Free loopback ports; held open together, so that no two are alike. A restarted role comes back on its own port. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer().once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function startRegistrar(options: DeploymentOptions, addresses: Addresses, passphrase: string): Child {
  const file = join(options.directory, 'registrar.yaml');
  writeFileSync(
    file,
    stringify({
      directory: 'registrar',
      suite: options.suite,
      enrolAddress: addresses.enrolment,
      address: addresses.registrar,
      passphraseEnv: 'PULSEFOLD_PASSPHRASE',
    }),
  );
  return roleChild(options, 'registrar', ['registrar', 'run', '--config', file], passphrase);
}

async function holderChild(
  options: DeploymentOptions,
  addresses: Addresses,
  approver: Deployment['approver'],
  id: string,
  index: number,
  identity: IdentityBundle,
): Promise<Child> {
  const passphrase = freshSecret();
  await saveIdentity(join(options.directory, `${id}.identity`), identity, { passphrase });
  mkdirSync(join(options.directory, id), { recursive: true, mode: 0o700 });
  const file = join(options.directory, `${id}.yaml`);
  writeFileSync(
    file,
    stringify({
      role: 'keyholder',
      id,
      directory: id,
      listen: addresses.holders[index - 1],
      identity: { file: `${id}.identity`, passphraseEnv: 'PULSEFOLD_PASSPHRASE' },
      registrar: { caFile: 'ca.pem', address: addresses.registrar },
      approvals: approvals(approver),
    }),
  );
  return roleChild(options, id, ['keyholder', '--config', file], passphrase);
}

async function coordinatorChild(
  options: DeploymentOptions,
  addresses: Addresses,
  approver: Deployment['approver'],
  identity: IdentityBundle,
): Promise<Child> {
  const passphrase = freshSecret();
  await saveIdentity(join(options.directory, 'coordinator.identity'), identity, { passphrase });
  const file = join(options.directory, 'coordinator.yaml');
  writeFileSync(
    file,
    stringify({
      role: 'coordinator',
      directory: 'coordinator',
      runDirectory: options.runDirectory,
      listen: addresses.coordinator,
      registrar: { caFile: 'ca.pem', address: addresses.registrar },
      identity: { file: 'coordinator.identity', passphraseEnv: 'PULSEFOLD_PASSPHRASE' },
      holders: addresses.holders.map((address, index) => ({ id: `holder-${index + 1}`, address })),
      approvals: approvals(approver),
    }),
  );
  return roleChild(options, 'coordinator', ['coordinator', '--config', file], passphrase);
}

const approvals = (approver: Deployment['approver']) => ({
  required: 1,
  approvers: [{ id: approver.id, publicKey: toHex(approver.key.publicKey) }],
});

function roleChild(
  options: DeploymentOptions,
  name: string,
  args: readonly string[],
  passphrase: string,
): Child {
  return new Child({
    name,
    module: CLI,
    args: [...args, '--json'],
    env: { PULSEFOLD_PASSPHRASE: passphrase },
    logFile: join(options.directory, `${name}.log`),
    onEvent: (event) => options.onEvent?.(name, event),
  });
}
