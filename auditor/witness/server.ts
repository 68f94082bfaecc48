/**
 * `pulsefold witness`: the witness as an HTTP process (c2sp.org/tlog-witness). POST /add-checkpoint,
 * GET /<origin hash>/checkpoint; both prefixes are the root of the server.
 *
 * Requests carry no credentials: the log's signature is what counts. Trusts: the operator's configuration.
 * May be called by: cli/, tests.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { noteVerifierOf } from '../../crypto/log/note-keys.ts';
import { ADD_CHECKPOINT_BYTES_MAX } from '../../crypto/log/witness-protocol.ts';
import { readPassphrase } from '../../protos/transport/identity-store.ts';
import { loadWitnessConfig, type WitnessConfig } from './config.ts';
import { loadWitnessKeys } from './key-file.ts';
import { WitnessState } from './state.ts';
import { Witness } from './witness.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 60_000;
const CONNECTIONS_MAX = 1_000;
const HEADER_BYTES_MAX = 8 * 1024;

export interface RunningWitness {
  readonly port: number;
  /** What logs, clients and auditors pin. */
  readonly keyLines: readonly string[];
  stop(): Promise<void>;
}

/** Throws CONFIG_INVALID, NOT_FOUND (key file), FILE_SEALED. */
export async function runWitness(
  configFile: string,
  options: { readonly nowMs?: () => number } = {},
): Promise<RunningWitness> {
  const config = loadWitnessConfig(configFile);
  const { key } = config;
  const passphrase = await readPassphrase({ env: key.passphraseEnv, file: key.passphraseFile });
  const keys = await loadWitnessKeys(key.file, passphrase);
  const logger = pino({ level: config.logLevel, base: { role: 'witness' } }, pino.destination(2));
  const state = new WitnessState(join(config.directory, 'witness.db'));
  try {
    const witness = new Witness({
      keys,
      state,
      nowMs: options.nowMs ?? Date.now,
      logs: config.logs.map(({ origin, keys: lines }) => {
        const verifiers = lines.map(noteVerifierOf);
        return { origin: origin ?? verifiers[0]!.name, verifiers };
      }),
      onMisbehaviour: (origin, size) =>
        logger.error(
          { origin, size },
          'the log signed two trees that contradict each other; both notes are kept',
        ),
    });
    const server = await listen(config, (request, response) => {
      handle(witness, request, response).catch((error: unknown) => {
        logger.error({ err: error }, 'internal error');
        if (!response.headersSent) send(response, 500, 'internal error\n');
        response.destroy();
      });
    });
    return {
      port: (server.address() as AddressInfo).port,
      keyLines: witness.keyLines(),
      async stop() {
        await new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        });
        state.close();
      },
    };
  } catch (error) {
    state.close();
    throw error;
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function listen(config: WitnessConfig, handler: Handler): Promise<Server> {
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1_000,
  };
  const { tls } = config;
  const server: Server = tls
    ? createTlsServer(
        {
          ...limits,
          minVersion: 'TLSv1.3',
          cert: readFileSync(tls.certFile),
          key: readFileSync(tls.keyFile),
        },
        handler,
      )
    : createServer(limits, handler);
  server.maxConnections = CONNECTIONS_MAX;
  const at = config.listen.lastIndexOf(':');
  const host = config.listen.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(config.listen.slice(at + 1)), host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return server;
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}

async function handle(witness: Witness, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0]!;
  if (path === '/add-checkpoint') {
    if (request.method !== 'POST') return send(response, 405, 'POST only\n');
    const body = await readBody(request);
    if (body === undefined) {
      response.setHeader('connection', 'close');
      return send(response, 413, `a request has at most ${ADD_CHECKPOINT_BYTES_MAX} bytes\n`);
    }
    const answer = witness.addCheckpoint(body);
    send(response, answer.status, answer.body, answer.type);
    witness.keepEvidence();
    return;
  }
  const hash = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path)?.[1];
  if (hash === undefined) return send(response, 404, 'not found\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'GET only\n');
  const note = witness.latest(hash);
  return note === undefined ? send(response, 404, 'nothing cosigned\n') : send(response, 200, note);
}

/** The whole body, or undefined when it is longer than any request can be. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ADD_CHECKPOINT_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
