import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../crypto/bytes.ts';
import { encodeVerifierKey, openCheckpoint } from '../../crypto/log/checkpoint.ts';
import { leafHash, verifyConsistency } from '../../crypto/log/merkle.ts';
import { noteVerifier } from '../../crypto/log/note-keys.ts';
import { openCheckpointUnder, parseTlogPolicy, policyOfLogs } from '../../crypto/log/tlog-policy.ts';
import { parseTlogProof, verifyTlogProof } from '../../crypto/log/tlog-proof.ts';
import { LogProofs } from './log-proofs.ts';
import { MemoryWitness, openLog, PLAN } from './testing.ts';
import { postCheckpoint } from './witness-client.ts';
import { witnessesSchema } from './witness-config.ts';
import { Witnessing, type WitnessingParts } from './witnessing.ts';

const coded = (code: string) => expect.objectContaining({ code });
const directories: string[] = [];
const running: Witnessing[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});
const makeDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-witnessing-'));
  directories.push(directory);
  return directory;
};

function logged() {
  const messages: string[] = [];
  const logger = Object.fromEntries(
    ['info', 'warn', 'error'].map((level) => [
      level,
      (_: object, text: string) => messages.push(`${level} ${text}`),
    ]),
  ) as unknown as WitnessingParts['logger'];
  return { messages, logger };
}

function open(...witnesses: MemoryWitness[]) {
  const parts = openLog();
  const { messages, logger } = logged();
  const byName = new Map(witnesses.map((witness) => [witness.peer.name, witness]));
  const start = () => {
    const witnessing = new Witnessing({
      ...parts,
      logger,
      peers: witnesses.map(({ peer }) => peer),
      post: (peer, request) => byName.get(peer.name)!.post(peer, request),
      retryMsMin: 5,
    });
    running.push(witnessing);
    return witnessing;
  };
  return { ...parts, messages, start };
}
const until = async (condition: () => boolean): Promise<void> => {
  for (let i = 0; i < 400 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
};

describe('witnessing', () => {
  it('the exported checkpoint gets the lines of witnesses as they come', async () => {
    const [near, far] = [new MemoryWitness('w.example/near'), new MemoryWitness('w.example/far')];
    far.away = true;
    const { log, signer, filler, start } = open(near, far);
    const witnessing = start();
    const directory = makeDirectory();
    filler(300);
    const note = log.export(directory, [signer], (plain) => witnessing.withCosignatures(plain));
    witnessing.exported(join(directory, 'log'), note);
    const file = () => readFileSync(join(directory, 'log', 'checkpoint'), 'utf8');
    const signers = () =>
      openCheckpoint(file(), [noteVerifier(signer), ...near.peer.verifiers, ...far.peer.verifiers]).signedBy
        .length;
    await until(() => signers() === 2);
    far.away = false;
    await until(() => signers() === 3);
    // The policy file that lies beside it opens it.
    const policy = parseTlogPolicy(witnessing.policyText());
    expect(openCheckpointUnder(file(), policy).cosigners.map(({ name }) => name)).toEqual([
      'w.example/near',
      'w.example/far',
    ]);
    // Exported again, at the same size: the lines are still there.
    log.export(directory, [signer], (plain) => witnessing.withCosignatures(plain));
    expect(signers()).toBe(3);
  });

  it('sends exports in order, and of the others only the newest', async () => {
    const witness = new MemoryWitness();
    const { log, signer, filler, start, messages } = open(witness);
    const witnessing = start();
    witness.away = true;
    for (let i = 0; i < 4; i++) {
      filler(1);
      witnessing.announce();
    }
    filler(1);
    witnessing.exported(makeDirectory(), log.checkpoint([signer]));
    for (let i = 0; i < 3; i++) {
      filler(1);
      witnessing.announce();
    }
    witness.away = false;
    await witnessing.idle();
    expect(witness.requests).toEqual([5, 8]);
    expect(messages.filter((message) => message.startsWith('info'))).toHaveLength(2);
  });

  it('asks on from what the witness has, also after a restart and a lost answer', async () => {
    const witness = new MemoryWitness();
    const { filler, start, cosignatures } = open(witness);
    const first = start();
    filler(3);
    first.announce();
    await first.idle();
    await first.stop();
    expect(cosignatures.lastSizeOf(witness.peer.name)).toBe(3);
    // The witness has cosigned 5, and the answer never arrived.
    filler(2);
    const second = start();
    const lost = witness.post;
    let lose = true;
    Object.assign(witness, {
      post: async (...args: Parameters<typeof lost>) => {
        const answer = await lost(...args);
        if (lose) {
          lose = false;
          throw new Error('connection reset');
        }
        return answer;
      },
    });
    second.announce();
    await second.idle();
    expect(cosignatures.lastSizeOf(witness.peer.name)).toBe(5);
    expect(witness.requests).toEqual([3, 5, 5, 5]);
  });

  it('says loudly when a witness knows another or a larger log', async () => {
    const witness = new MemoryWitness();
    const { filler, start, messages } = open(witness);
    witness.size = 50;
    filler(3);
    const witnessing = start();
    witnessing.announce();
    await witnessing.idle();
    expect(messages.join('\n')).toMatch(/error the witness has cosigned a larger log.*backup/);
    // The log has grown past that size, on another branch.
    filler(60);
    witnessing.announce();
    await until(() => messages.some((message) => /error witness: fork/.test(message)));
  });

  it('without witnesses signs nothing on its own', () => {
    const { log, filler, start } = open();
    filler(3);
    start().announce();
    expect(log.lastCheckpoint()).toBeUndefined();
  });
});

describe('proofs for receipts', () => {
  it('prove the deciding leaf under the best checkpoint, and continuity from what the device saw', async () => {
    const witness = new MemoryWitness();
    const { store, log, signer, cosignatures, filler, certificate, start } = open(witness);
    const proofs = new LogProofs({ store, log, signer, cosignatures });
    expect(proofs.prove(PLAN, 1, 0)).toBeUndefined();
    filler(700);
    const number = certificate(1);
    certificate(2);
    const policy = policyOfLogs([noteVerifier(signer)]);
    const plain = proofs.prove(PLAN, 1, 0)!;
    const { extra, index } = parseTlogProof(plain.tlogProof);
    expect(index).toBe(number);
    expect(JSON.parse(fromUtf8(extra!))).toMatchObject({ kind: 'round_certificate', round: 1 });
    expect(verifyTlogProof(plain.tlogProof, { leafHash: leafHash(extra!), policy }).checkpoint.size).toBe(
      702,
    );
    expect(proofs.prove(PLAN, 1, 0)).toBe(plain);
    expect(proofs.prove(PLAN, 3, 0)).toBeUndefined();
    expect(proofs.prove('9'.repeat(64), 1, 0)).toBeUndefined();

    // A witness signs a later tree: that one is shown from now on.
    filler(50);
    const witnessing = start();
    witnessing.announce();
    await witnessing.idle();
    filler(9);
    log.checkpoint([signer]);
    const cosigned = proofs.prove(PLAN, 1, 702)!;
    const demanding = parseTlogPolicy(
      `${witnessing.policyText().replace('quorum none', `quorum ${witness.peer.name}`)}`,
    );
    const verified = verifyTlogProof(cosigned.tlogProof, { leafHash: leafHash(extra!), policy: demanding });
    expect(verified.checkpoint.size).toBe(752);
    const claim = { oldSize: 702, oldRoot: log.root(702), size: 752, root: log.root(752) };
    expect(verifyConsistency({ ...claim, proof: cosigned.logConsistency })).toBe(true);
    // A device that has seen more than any cosigned tree gets the newest; one that claims the impossible, no proof.
    expect(parseTlogProof(proofs.prove(PLAN, 1, 755)!.tlogProof).checkpoint).toContain('\n761\n');
    expect(proofs.prove(PLAN, 1, 10_000)!.logConsistency).toEqual([]);
  });
});

describe('postCheckpoint over HTTP', () => {
  const witness = new MemoryWitness();
  async function against(handler: RequestListener): Promise<unknown> {
    const { log, signer, filler } = openLog();
    filler(2);
    const server = createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const request = { oldSize: 0, proof: [], checkpoint: log.checkpoint([signer]) };
      return await postCheckpoint({ ...witness.peer, url }, request);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
  const answering =
    (status: number, body: string): RequestListener =>
    (_request, response) => {
      response.writeHead(status).end(body);
    };

  it.each([
    [200, '— w.example/1 AAAAAAAA\n', 'BAD_SIGNATURE'],
    [200, 'hello\n', 'MALFORMED_MESSAGE'],
    [200, 'x'.repeat(100_000), 'MALFORMED_MESSAGE'],
    [409, 'many\n', 'MALFORMED_MESSAGE'],
    [400, '', 'MALFORMED_MESSAGE'],
    [403, '', 'BAD_SIGNATURE'],
    [404, '', 'NOT_FOUND'],
    [422, '', 'LOG_INCONSISTENT'],
    [500, '', 'UNAVAILABLE'],
    [503, '', 'UNAVAILABLE'],
  ])('answer %i', async (status, body, code) => {
    await expect(against(answering(status, body))).rejects.toThrow(coded(code));
  });

  it('a conflict names the size; a redirect or nobody at all is UNAVAILABLE', async () => {
    expect(await against(answering(409, '17\n'))).toEqual({ kind: 'conflict', size: 17 });
    const redirect: RequestListener = (_request, response) => {
      response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
    };
    await expect(against(redirect)).rejects.toThrow(coded('UNAVAILABLE'));
    await expect(against((request) => request.destroy())).rejects.toThrow(coded('UNAVAILABLE'));
  });
});

describe('configuration', () => {
  const line = (name: string) => encodeVerifierKey(new MemoryWitness(name).peer.verifiers[0]!);
  const good = { name: 'w.example/1', url: 'https://w.example/', key: line('w.example/1') };
  it.each([
    ['another name in the key', [{ ...good, name: 'w.example/2' }], /not a key of the name/],
    ['a log key', [{ ...good, key: encodeVerifierKey(openLog().signer), name: 'log.example/c' }], /log key/],
    ['a broken key', [{ ...good, key: 'w.example/1+0+0' }], /verifier key/],
    ['ftp', [{ ...good, url: 'ftp://w.example/' }], /url/i],
    ['the same twice', [good, good], /listed twice/],
    ['one key under two addresses', [good, { ...good, url: 'https://b.example/' }], /listed twice/],
  ])('refuses %s', (_name, value, message) => {
    expect(witnessesSchema.safeParse([good]).success).toBe(true);
    expect(witnessesSchema.safeParse(value).error?.message).toMatch(message);
  });
});
