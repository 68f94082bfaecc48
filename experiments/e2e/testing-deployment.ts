/**
 * A whole deployment in one process, on loopback with mutual TLS 1.3: registrar, four key holders and coordinator from
 * their configurations, and raw connections to it that say what came back. For experiments/e2e/*.test.ts only.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelCredentials, Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { stringify } from 'yaml';
import { type RunningCoordinator, runCoordinator } from '../../coordinator/server.ts';
import { toHex } from '../../crypto/bytes.ts';
import type { EnrolledRole } from '../../crypto/identity/certificate.ts';
import { getSuite, type KeyPair } from '../../crypto/identity/suite.ts';
import { type RunningKeyHolder, runKeyHolder } from '../../keyholder/server.ts';
import { approvePlan, finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { enrol } from '../../protos/transport/enrol.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { saveIdentity } from '../../protos/transport/identity-store.ts';
import { serviceDefinition } from '../../protos/transport/load.ts';
import { CODE_METADATA } from '../../protos/transport/status.ts';
import { channelCredentials, serverNameOf } from '../../protos/transport/tls.ts';
import {
  initialiseRegistrar,
  mintToken,
  type RunningRegistrar,
  revoke,
  startRegistrar,
} from '../../registrar/registrar.ts';

const PASSPHRASE = 'correct horse battery staple';
/** The least work that sealed files allow: these tests are not about them. */
const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };
export const MINUTE_MS = 60_000;
const holderIds = ['hospital', 'regulator', 'platform', 'university'];

export interface Answer {
  /** Name of the gRPC status. */
  readonly status: string;
  readonly code: string | undefined;
  readonly reply: { readonly [key: string]: unknown };
}

/** One connection as one identity; never throws for what the server answers. */
export class Wire {
  readonly identity: IdentityBundle;
  readonly #client: Client;
  constructor(port: number, identity: IdentityBundle, credentials: ChannelCredentials) {
    this.identity = identity;
    this.#client = new Client(`127.0.0.1:${port}`, credentials, {
      'grpc.ssl_target_name_override': serverNameOf('127.0.0.1'),
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
      'grpc.max_send_message_length': -1,
    });
  }
  /** Sends any bytes as the request of a method. */
  send(service: string, method: string, bytes: Buffer): Promise<Answer> {
    const { path, responseDeserialize } = serviceDefinition(service).definition[method]!;
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, reply?: object) =>
        resolve({
          status: status[error?.code ?? status.OK]!,
          code: error?.metadata?.get(CODE_METADATA)[0]?.toString(),
          reply: (reply ?? {}) as Answer['reply'],
        });
      const raw = (message: Buffer) => message;
      const decode = responseDeserialize as (bytes: Buffer) => object;
      const deadline = Date.now() + 20_000;
      this.#client.makeUnaryRequest(path, raw, decode, bytes, new Metadata(), { deadline }, done);
    });
  }
  call(method: string, message: object, service = 'Rounds'): Promise<Answer> {
    const { requestSerialize } = serviceDefinition(service).definition[method]!;
    return this.send(service, method, requestSerialize(message));
  }
  close(): void {
    this.#client.close();
  }
}

interface Certified {
  readonly caPem: string;
  readonly certPem: string;
  readonly tlsKeyPem: string;
}
export const credentialsOf = ({ caPem, certPem, tlsKeyPem }: Certified): ChannelCredentials =>
  channelCredentials({ caPem, certPem, keyPem: tlsKeyPem, server: { role: 'coordinator' } });

export class LoopbackDeployment {
  readonly home = mkdtempSync(join(tmpdir(), 'pulsefold-loopback-'));
  readonly approver: KeyPair = getSuite('intl').generateSigningKey();
  readonly #ended = Promise.withResolvers<string>();
  readonly #wires: Wire[] = [];
  readonly #holders: { readonly identity: IdentityBundle; readonly running: RunningKeyHolder }[] = [];
  #registrar!: RunningRegistrar;
  #registrarSha256!: string;
  #coordinator!: RunningCoordinator;
  #coordinatorIdentity!: IdentityBundle;

  /** Everything but the coordinator, which reads the revocation list when it starts. */
  async startOthers(): Promise<void> {
    const directory = join(this.home, 'registrar');
    const made = await initialiseRegistrar(directory, { suite: 'intl', passphrase: PASSPHRASE, scrypt });
    this.#registrarSha256 = made.caFingerprint;
    const own = { enrolAddress: '127.0.0.1:0', address: '127.0.0.1:0' };
    this.#registrar = await startRegistrar({ directory, passphrase: PASSPHRASE, ...own });
    this.#write('ca.pem', made.caPem);
    this.#write('passphrase', PASSPHRASE);
    for (const id of holderIds) {
      const { identity, file } = await this.#role(id, 'keyholder', { id });
      this.#holders.push({ identity, running: await runKeyHolder(file) });
    }
  }

  async startCoordinator(): Promise<void> {
    const holders = this.#holders.map(({ running }, i) => ({
      id: holderIds[i],
      address: `127.0.0.1:${running.port}`,
    }));
    const { identity, file } = await this.#role('coordinator', 'coordinator', {
      runDirectory: 'runs',
      holders,
    });
    this.#coordinatorIdentity = identity;
    this.#coordinator = await runCoordinator(file, {
      onProgress: (progress) => {
        if (progress.type === 'plan') this.#ended.resolve(progress.message);
      },
    });
  }

  async #role(id: string, role: 'keyholder' | 'coordinator', more: object) {
    const identity = await this.enrol(role);
    await saveIdentity(join(this.home, `${id}.identity`), identity, { passphrase: PASSPHRASE }, scrypt);
    const approvers = [{ id: 'ethics', publicKey: toHex(this.approver.publicKey) }];
    const config = {
      role,
      directory: id,
      identity: { file: `${id}.identity`, passphraseFile: 'passphrase' },
      registrar: { caFile: 'ca.pem', address: `127.0.0.1:${this.#registrar.port}` },
      approvals: { approvers },
      listen: '127.0.0.1:0',
      logLevel: 'silent',
      ...more,
    };
    return { identity, file: this.#write(`${id}.yaml`, stringify(config)) };
  }

  #write(name: string, text: string): string {
    writeFileSync(join(this.home, name), text);
    return join(this.home, name);
  }

  get caPem(): string {
    return this.#registrar.caPem;
  }

  enrol(role: EnrolledRole): Promise<IdentityBundle> {
    const token = mintToken(join(this.home, 'registrar'), role, MINUTE_MS);
    const enrolAddress = `127.0.0.1:${this.#registrar.enrolPort}`;
    return enrol({ enrolAddress, caPem: this.caPem, token, role, suite: 'intl' });
  }

  revoke(identity: IdentityBundle): void {
    revoke(join(this.home, 'registrar'), identity.serial);
  }

  wire(identity: IdentityBundle, credentials = credentialsOf(identity)): Wire {
    const wire = new Wire(this.#coordinator.port, identity, credentials);
    this.#wires.push(wire);
    return wire;
  }

  /** A plan over three parameters without DP, so that sums are exact and short. */
  plan(
    name: string,
    rounds: object,
    aggregation: object = { transport: 'bfv' },
    training: object = {},
  ): ParsedPlan {
    const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 200 });
    return finishPlan({
      version: 1,
      name,
      purpose: 'A test over the wire.',
      aggregation,
      suite: 'intl',
      seed: '1',
      features: {
        dataset: 'test',
        label: { column: 'event', positive: { above: 0 } },
        features: [feature('age'), feature('pulse')],
        complete: true,
      },
      model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
      training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1, ...training },
      rounds: { spare: 0, checkInWindowMs: 60_000, deadlineMs: 600_000, ...rounds },
      mechanism: { clip: '1', unitsPerClip: 64 },
      privacy: null,
      holders: this.#holders.map(({ identity }, i) => ({
        id: holderIds[i],
        signingPublicKey: toHex(identity.signing.publicKey),
        sealingPublicKey: toHex(identity.sealing.publicKey),
      })),
      registrarSha256: this.#registrarSha256,
      coordinatorPublicKey: toHex(this.#coordinatorIdentity.signing.publicKey),
    });
  }

  submit(parsed: ParsedPlan, researcher: Wire): Promise<Answer> {
    const approvals = [approvePlan(parsed, 'ethics', this.approver)];
    return researcher.call('SubmitPlan', { plan: parsed.bytes, approvals }, 'Admin');
  }

  /** Where clients reach the coordinator. */
  get address(): string {
    return `127.0.0.1:${this.#coordinator.port}`;
  }

  /** How the plan ended, in words. */
  ended(): Promise<string> {
    return this.#ended.promise;
  }

  /** What the coordinator exported of one round. */
  round(parsed: ParsedPlan, round: number): { cohortCount: number; sum: { digits: number[] } } {
    return JSON.parse(readFileSync(join(this.runOf(parsed), 'rounds', `${round}.json`), 'utf8'));
  }

  runOf(parsed: ParsedPlan): string {
    return join(this.home, 'runs', `${parsed.plan.name}-${parsed.hashHex.slice(0, 12)}`);
  }

  async stop(): Promise<void> {
    for (const wire of this.#wires) wire.close();
    await this.#coordinator?.stop();
    await Promise.all(this.#holders.map(({ running }) => running.stop()));
    await this.#registrar?.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}
