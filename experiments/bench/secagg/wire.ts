/**
 * Bytes of one upload as the server's socket sees them: real gRPC, mutual TLS 1.3, on a connection that is already open.
 *
 * A relay on loopback stands right in front of the server and counts what arrives: protobuf, gRPC and HTTP/2 frames and
 * TLS records are in the figure, the handshake is not. Trusts: nothing; benchmarks only. May be called by:
 * secagg-bench.ts.
 */
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import { concat } from '../../../crypto/bytes.ts';
import { CHUNK_BYTES_MAX } from '../../../protos/fields.ts';
import { openClient, type RpcClient } from '../../../protos/transport/channel.ts';
import { serviceDefinition } from '../../../protos/transport/load.ts';
import { type RunningServer, type ServedService, startServer } from '../../../protos/transport/server.ts';
import { channelCredentials, serverCredentials } from '../../../protos/transport/tls.ts';
import { benchIdentities } from '../measuring.ts';
import type { Upload } from './parties.ts';

/** Answers as the coordinator does, and keeps nothing. */
function rounds(): ServedService {
  const { definition } = serviceDefinition('Rounds');
  const refuse = () => {
    throw new Error('not part of the benchmark');
  };
  const names = Object.keys(definition).map((name) => name.charAt(0).toLowerCase() + name.slice(1));
  const signature = new Uint8Array(64);
  return {
    name: 'Rounds',
    handlers: {
      ...Object.fromEntries(names.map((name) => [name, refuse])),
      getUploadState: () => ({ nextOffset: 0, acknowledged: false }),
      putUpload: (message: unknown) => {
        const { offset, data } = message as { offset: number; data: Uint8Array };
        return { nextOffset: offset + data.length, acknowledged: true, late: false, signature };
      },
    },
  };
}

export class Wire {
  readonly #server: RunningServer;
  readonly #relay: Server;
  readonly #rpc: RpcClient;
  readonly #count: { bytes: number };

  private constructor(server: RunningServer, relay: Server, rpc: RpcClient, count: { bytes: number }) {
    this.#server = server;
    this.#relay = relay;
    this.#rpc = rpc;
    this.#count = count;
  }

  static async open(): Promise<Wire> {
    const { server: coordinator, client } = await benchIdentities('secagg bench');
    const { definition } = serviceDefinition('Rounds');
    const server = await startServer({
      engine: 'http2',
      services: [rounds()],
      credentials: serverCredentials({ ...coordinator, requireClientCertificate: true }),
      caPem: coordinator.caPem,
      address: '127.0.0.1:0',
      authorise: Object.fromEntries(Object.values(definition).map(({ path }) => [path, ['client' as const]])),
      isRevoked: () => false,
      onInternalError: (_method: string, error: unknown) => {
        throw error;
      },
    });
    const count = { bytes: 0 };
    const relay = createTcpServer((downstream) => {
      const upstream = connect(server.port, '127.0.0.1');
      downstream.on('data', (chunk) => {
        count.bytes += chunk.length;
      });
      downstream.pipe(upstream).pipe(downstream);
      for (const socket of [downstream, upstream]) socket.on('error', () => downstream.destroy());
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { port } = relay.address() as AddressInfo;
    const credentials = channelCredentials({ ...client, server: { role: 'coordinator' } });
    const rpc = openClient({ service: 'Rounds', address: `127.0.0.1:${port}`, credentials });
    const wire = new Wire(server, relay, rpc, count);
    // Connection, handshake and the header table: what a device has behind it once it has checked in.
    await rpc.call('getUploadState', { configHash: new Uint8Array(32), digest: new Uint8Array(32) });
    return wire;
  }

  /** Sends an upload as a device does and returns the bytes that reached the server for it. */
  async send(upload: Upload, configHash: Uint8Array): Promise<number> {
    const { body, holderPart, digest, signature } = upload;
    const bytes = concat(body, holderPart);
    const header = { configHash, digest, signature, bodyBytes: body.length, holderBytes: holderPart.length };
    const before = this.#count.bytes;
    for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES_MAX)
      await this.#rpc.call('putUpload', {
        header,
        offset,
        data: bytes.subarray(offset, offset + CHUNK_BYTES_MAX),
      });
    return this.#count.bytes - before;
  }

  async close(): Promise<void> {
    this.#rpc.close();
    await this.#server.stop(100);
    this.#relay.close();
  }
}
