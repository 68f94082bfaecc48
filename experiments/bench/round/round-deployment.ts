/**
 * The roles of `pulsefold bench round` as real processes on loopback, started from configuration files through the
 * command line like any operator's: registrar, four key holders, coordinator.
 *
 * Unlike experiments/demo it keeps the CA's key: the benchmark issues ten thousand client certificates by itself before
 * the clock starts. Trusts: this machine. May be called by: experiments/bench/round.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toHex } from '../../../crypto/bytes.ts';
import type { CertificateAuthority, EnrolledRole } from '../../../crypto/identity/certificate.ts';
import { getSuite, type SigningKeyPair } from '../../../crypto/identity/suite.ts';
import { randomBytes } from '../../../crypto/random.ts';
import { approvePlan, type ParsedPlan } from '../../../protos/plan.ts';
import { openClient } from '../../../protos/transport/channel.ts';
import { enrol } from '../../../protos/transport/enrol.ts';
import type { IdentityBundle } from '../../../protos/transport/identity-bundle.ts';
import { saveIdentity } from '../../../protos/transport/identity-store.ts';
import { channelCredentials } from '../../../protos/transport/tls.ts';
import { openAuthority } from '../../../registrar/authority.ts';
import { initialiseRegistrar, mintToken } from '../../../registrar/registrar.ts';
import { Child, type ChildEvent } from '../../demo/processes.ts';

const CLI = join(import.meta.dirname, '..', '..', '..', 'cli', 'pulsefold.ts');
const HOLDERS = 4;
const TOKEN_LIFETIME_MS = 600_000;
/** One opening of ten thousand clients is one call. */
const HOLDER_CALL_MS = 600_000;
const CONNECTIONS_MAX = 20_000;
const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };

export interface RoundDeploymentOptions {
  readonly directory: string;
  /** CPU profiles of coordinator and holders go here when they stop. */
  readonly profileDirectory?: string | undefined;
  readonly onEvent: (name: string, event: ChildEvent) => void;
}

interface Role {
  readonly id: string;
  readonly identity: IdentityBundle;
  readonly child: Child;
}

export class RoundDeployment {
  readonly authority: CertificateAuthority;
  readonly approver: { readonly id: string; readonly key: SigningKeyPair };
  readonly coordinator: Role;
  readonly holders: readonly Role[];
  readonly coordinatorAddress: string;
  readonly runDirectory: string;
  readonly #registrar: Child;
  readonly #researcher: IdentityBundle;
  readonly #caSha256: string;

  private constructor(parts: {
    authority: CertificateAuthority;
    caSha256: string;
    approver: RoundDeployment['approver'];
    coordinator: Role;
    holders: readonly Role[];
    coordinatorAddress: string;
    runDirectory: string;
    registrar: Child;
    researcher: IdentityBundle;
  }) {
    this.authority = parts.authority;
    this.approver = parts.approver;
    this.coordinator = parts.coordinator;
    this.holders = parts.holders;
    this.coordinatorAddress = parts.coordinatorAddress;
    this.runDirectory = parts.runDirectory;
    this.#registrar = parts.registrar;
    this.#researcher = parts.researcher;
    this.#caSha256 = parts.caSha256;
  }

  static async start(options: RoundDeploymentOptions): Promise<RoundDeployment> {
    const { directory } = options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const starter = new Starter(options, await freePorts(3 + HOLDERS));
    try {
      return new RoundDeployment(await starter.run());
    } catch (error) {
      await starter.stop();
      throw error;
    }
  }

  /** Fields of a plan that name this deployment's parties. */
  parties(): object {
    return {
      holders: this.holders.map(({ id, identity }) => ({
        id,
        signingPublicKey: toHex(identity.signing.publicKey),
        sealingPublicKey: toHex(identity.sealing.publicKey),
      })),
      registrarSha256: this.#caSha256,
      coordinatorPublicKey: toHex(this.coordinator.identity.signing.publicKey),
    };
  }

  async submit(parsed: ParsedPlan): Promise<void> {
    const { caPem, certPem, tlsKeyPem: keyPem } = this.#researcher;
    const admin = openClient({
      service: 'Admin',
      address: this.coordinatorAddress,
      credentials: channelCredentials({ caPem, certPem, keyPem, server: { role: 'coordinator' } }),
    });
    try {
      const approval = approvePlan(parsed, this.approver.id, this.approver.key);
      await admin.call('submitPlan', { plan: parsed.bytes, approvals: [approval] }, { idempotent: true });
    } finally {
      admin.close();
    }
  }

  async stop(graceMs: number): Promise<void> {
    const children = [this.coordinator.child, ...this.holders.map(({ child }) => child), this.#registrar];
    await Promise.all(children.map((child) => child.stop(graceMs)));
  }
}

/** Everything between an empty directory and six listening processes. */
class Starter {
  readonly #options: RoundDeploymentOptions;
  readonly #addresses: readonly string[];
  readonly #approver = { id: 'ethics-board', key: getSuite('intl').generateSigningKey() };
  readonly #children: Child[] = [];
  #caPem = '';

  constructor(options: RoundDeploymentOptions, ports: readonly number[]) {
    this.#options = options;
    this.#addresses = ports.map((port) => `127.0.0.1:${port}`);
  }

  async run() {
    const { directory } = this.#options;
    const passphrase = toHex(randomBytes(24));
    const registrarDirectory = join(directory, 'registrar');
    const made = await initialiseRegistrar(registrarDirectory, { suite: 'intl', passphrase, scrypt });
    this.#caPem = made.caPem;
    writeFileSync(join(directory, 'ca.pem'), made.caPem);
    const { authority, store } = await openAuthority(registrarDirectory, { passphrase });
    store.close();
    const [enrolAddress, address, coordinatorAddress, ...holderAddresses] = this.#addresses as string[];
    const registrar = this.#child('registrar', ['registrar', 'run'], passphrase, {
      directory: 'registrar',
      suite: 'intl',
      enrolAddress,
      address,
      passphraseEnv: 'PULSEFOLD_PASSPHRASE',
    });
    await registrar.start('listening');
    const holders: Role[] = [];
    for (const [index, listen] of holderAddresses.entries())
      holders.push(
        await this.#role('keyholder', `holder-${index + 1}`, { id: `holder-${index + 1}`, listen }),
      );
    const coordinator = await this.#role('coordinator', 'coordinator', {
      listen: coordinatorAddress,
      runDirectory: 'runs',
      holders: holders.map(({ id }, index) => ({ id, address: holderAddresses[index] })),
      limits: { holderCallMs: HOLDER_CALL_MS, connectionsMax: CONNECTIONS_MAX },
    });
    const researcher = await this.#enrol('researcher');
    await Promise.all([coordinator, ...holders].map(({ child }) => child.start('listening')));
    return {
      authority,
      caSha256: made.caFingerprint,
      approver: this.#approver,
      coordinator,
      holders,
      coordinatorAddress: coordinatorAddress!,
      runDirectory: join(directory, 'runs'),
      registrar,
      researcher,
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
  }

  #enrol(role: EnrolledRole): Promise<IdentityBundle> {
    return enrol({
      enrolAddress: this.#addresses[0]!,
      caPem: this.#caPem,
      token: mintToken(join(this.#options.directory, 'registrar'), role, TOKEN_LIFETIME_MS),
      role,
      suite: 'intl',
    });
  }

  async #role(role: 'keyholder' | 'coordinator', id: string, more: object): Promise<Role> {
    const identity = await this.#enrol(role);
    const passphrase = toHex(randomBytes(24));
    const { directory } = this.#options;
    await saveIdentity(join(directory, `${id}.identity`), identity, { passphrase }, scrypt);
    mkdirSync(join(directory, id), { recursive: true, mode: 0o700 });
    const child = this.#child(id, [role], passphrase, {
      role,
      directory: id,
      identity: { file: `${id}.identity`, passphraseEnv: 'PULSEFOLD_PASSPHRASE' },
      registrar: { caFile: 'ca.pem', address: this.#addresses[1] },
      approvals: {
        required: 1,
        approvers: [{ id: this.#approver.id, publicKey: toHex(this.#approver.key.publicKey) }],
      },
      ...more,
    });
    return { id, identity, child };
  }

  #child(name: string, command: readonly string[], passphrase: string, config: object): Child {
    const { directory, profileDirectory, onEvent } = this.#options;
    const file = join(directory, `${name}.yaml`);
    writeFileSync(file, stringify(config));
    const profiled = profileDirectory !== undefined && name !== 'registrar';
    const child = new Child({
      name,
      module: CLI,
      args: [...command, '--config', file, '--json'],
      env: {
        PULSEFOLD_PASSPHRASE: passphrase,
        ...(profiled ? profileEnv(join(profileDirectory, name)) : {}),
      },
      logFile: join(directory, `${name}.log`),
      onEvent: (event) => onEvent(name, event),
    });
    this.#children.push(child);
    return child;
  }
}

/** Makes a child write a CPU profile of each of its threads when it ends. */
export function profileEnv(directory: string): Record<string, string> {
  mkdirSync(directory, { recursive: true });
  const others = process.env.NODE_OPTIONS ?? '';
  return { NODE_OPTIONS: `${others} --cpu-prof --cpu-prof-dir=${directory}`.trim() };
}

/** Free loopback ports, held open together so that no two are alike. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof createServer>>();
      const server = createServer().once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(server));
      return promise;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
