/**
 * A process that hosts clients: one hospital, or many phones. Each client has its own key, vault and channel and runs
 * the same agent as `pulsefold client join`; only the training engine is shared.
 *
 * Started by the demo; told over the IPC channel which clients to run. Not reachable from the role commands.
 */
import type { ClientAgent } from '../../client/agent/agent.ts';
import { readClientConfig } from '../../client/agent/config.ts';
import { giveConsent } from '../../client/agent/consent.ts';
import { openClient } from '../../client/agent/join.ts';
import type { Sealer } from '../../client/agent/seal.ts';
import { loadTrainEngine, type TrainEngine } from '../../client/training/engine.ts';
import { isPulsefoldError } from '../../crypto/error.ts';

export interface HostedClient {
  readonly name: string;
  readonly configFile: string;
}

export interface HostCommand {
  readonly type: 'join';
  readonly job: string;
  readonly clients: readonly HostedClient[];
}

/** Enrolments and TLS handshakes under way at a time in one host. */
const STARTING_AT_A_TIME = 8;

/** `sealerOf` lets an experiment watch what is sealed; the demo's own host passes none. */
export async function serveHost(sealerOf?: (client: HostedClient) => Promise<Sealer>): Promise<void> {
  const engine = await loadTrainEngine();
  process.on('message', (message: HostCommand) => {
    if (message.type === 'join') void runJob(message, engine, sealerOf);
  });
  process.once('disconnect', () => process.exit(0));
  process.send?.({ event: 'host-ready', engine: engine.name, skipped: engine.skipped });
}

async function runJob(
  command: HostCommand,
  engine: TrainEngine,
  sealerOf?: (client: HostedClient) => Promise<Sealer>,
): Promise<void> {
  const queue = [...command.clients];
  const joins: Promise<void>[] = [];
  const starter = async (): Promise<void> => {
    for (let client = queue.shift(); client; client = queue.shift()) {
      const opened = await startClient(client, engine, sealerOf);
      if (opened) joins.push(opened());
    }
  };
  await Promise.all(Array.from({ length: STARTING_AT_A_TIME }, starter));
  process.send?.({ event: 'joined', job: command.job, clients: joins.length });
  await Promise.all(joins);
  process.send?.({ event: 'job-done', job: command.job });
}

/** Enrols and opens one client; returns the function that lets it take part. */
async function startClient(
  client: HostedClient,
  engine: TrainEngine,
  sealerOf?: (client: HostedClient) => Promise<Sealer>,
): Promise<(() => Promise<void>) | null> {
  const report = (fields: object) => process.send?.({ event: 'client', name: client.name, ...fields });
  const logger = {
    info: () => {},
    warn: (fields: object, message: string) => log(client.name, fields, message),
  };
  try {
    const config = await readClientConfig(client.configFile);
    const sealer = sealerOf ? await sealerOf(client) : undefined;
    const opened = await openClient(config, { engine, logger, ...(sealer ? { sealer } : {}) });
    return async () => {
      try {
        await consentForThem(opened.agent);
        const summary = await opened.agent.join();
        report({ summary });
      } catch (error) {
        report({ error: describe(error) });
      } finally {
        await opened.close();
      }
    };
  } catch (error) {
    report({ error: describe(error) });
    return null;
  }
}

/** These people are pretended, and public data have asked nobody: only here does a program say yes for a person. */
async function consentForThem(agent: ClientAgent): Promise<void> {
  const rights = await agent.rights();
  if (rights.session.parsed.plan.consent) await giveConsent(rights);
}

const describe = (error: unknown): string =>
  isPulsefoldError(error)
    ? `${error.code}: ${error.message}`
    : `INTERNAL: ${(error as Error).stack ?? String(error)}`;

function log(name: string, fields: object, message: string): void {
  process.stderr.write(`${JSON.stringify({ client: name, message, ...fields })}\n`);
}

if (process.argv[1] === import.meta.filename) await serveHost();
