/**
 * Four key holders as in keyholder/: the real service over its real database, asked by direct calls instead of gRPC.
 *
 * For `identity: signed`: each checks every certificate, statement and sealed seed by itself, makes its share of every
 * committee key in a real ceremony, and signs only what it accepted. Their keys follow from the simulation's seed, and
 * their files lie in one temporary directory. Trusts: nothing beyond that. May be called by: experiments/simulation.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HolderPort, OpenPart, OpenRequest } from '../../coordinator/rounds/holder-port.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { randomBytes } from '../../crypto/random.ts';
import type { Secagg } from '../../crypto/secagg/scheme.ts';
import { noHooks, PlanBook } from '../../keyholder/context.ts';
import { Custody } from '../../keyholder/custody.ts';
import { holderRules } from '../../keyholder/rules.ts';
import { KeyHolderService } from '../../keyholder/service.ts';
import { HolderStore } from '../../keyholder/store.ts';
import { type HolderKeys, type Parties, policyOf } from './parties.ts';
import type { RandomOf } from './seeds.ts';
import { sharedVerification } from './shared-verification.ts';

const OPEN_CHUNK_BYTES = 256 * 1024;

export interface RealHolders {
  readonly ports: readonly HolderPort[];
  close(): void;
}

export interface RealHolderOptions {
  readonly directory: string;
  readonly nowMs: () => number;
  readonly randomOf: RandomOf;
}

/** Opens four holders in `directory`, which they make. */
export function realHolders(parties: Parties, secagg: Secagg, options: RealHolderOptions): RealHolders {
  const suite = sharedVerification(getSuite(parties.suite));
  const opened = parties.holderKeys.map((keys) => openHolder({ parties, suite, secagg }, keys, options));
  return {
    ports: opened.map(({ port }) => port),
    close: () => {
      for (const { store } of opened) store.close();
    },
  };
}

function openHolder(
  { parties, suite, secagg }: { readonly parties: Parties; readonly suite: Suite; readonly secagg: Secagg },
  { id, signing, sealing }: HolderKeys,
  { directory, nowMs, randomOf }: RealHolderOptions,
): { port: HolderPort; store: HolderStore } {
  const home = join(directory, id);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const store = new HolderStore(join(home, 'keyholder.sqlite'));
  const identity = { id, suite, signing, sealing };
  const registrarCaDer = parties.registrar.caDer;
  const approvals = policyOf(parties);
  const limits = { plansMax: 8, openingsMax: 4 };
  const { plansMax } = limits;
  const service = new KeyHolderService({
    identity,
    store,
    custody: new Custody({ suite, storageKey: randomBytes(32), holderId: id }),
    plans: new PlanBook({ identity, store, registrarCaDer, approvals, rules: holderRules, plansMax }),
    registrarCaDer,
    revocations: { requireFresh: () => {}, isRevoked: () => false },
    // Only plans over bfv ask for it.
    get bfv() {
      return secagg.bfv;
    },
    random: randomOf(`holder/${id}`),
    nowMs,
    rules: holderRules,
    hooks: noHooks,
    limits,
  });
  return { port: portOf(id, service), store };
}

/** As coordinator/grpc/holder-client.ts, without the wire. */
const portOf = (holderId: string, service: KeyHolderService): HolderPort => ({
  holderId,
  async registerPlan(plan, approvals) {
    service.registerPlan({ plan, approvals });
  },
  ceremonyStep: async (request) => service.ceremonyStep(request),
  accept: (planHash, round, entries) => service.accept({ planHash, round, entries: entries.map(unnamed) }),
  certify: async (request) => service.certify(request),
  abort: async (planHash, round, reason) => service.abort({ planHash, round, reason }),
  draw: (request, parts) => service.draw(openMessages(request, parts)),
  open: (request, parts) => service.open(openMessages(request, parts)),
  async erase(planHash, round) {
    service.erase({ planHash, round });
  },
});

/** A holder takes the device's name from its certificate. */
export function unnamed(entry: object): object {
  const { deviceId: _, ...rest } = entry as { deviceId?: string };
  return rest;
}

async function* openMessages(request: OpenRequest, parts: Iterable<OpenPart>): AsyncIterable<object> {
  yield { header: request };
  for (const { deviceId, bodyDigest, holderPart, entry } of parts)
    for (let offset = 0; offset === 0 || offset < holderPart.length; offset += OPEN_CHUNK_BYTES) {
      const chunk = holderPart.subarray(offset, offset + OPEN_CHUNK_BYTES);
      const sent = offset === 0 && entry !== null ? unnamed(entry) : null;
      yield { part: { deviceId, bodyDigest, offset, holderPart: chunk, entry: sent } };
    }
}
