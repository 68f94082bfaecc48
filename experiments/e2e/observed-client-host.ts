/**
 * The demo's client host with an observer between agent and sealer: it writes down the digits that each client seals,
 * so that a test can compare the opened sum with the sum of what was really sent.
 *
 * This breaks every promise to the clients, which is why it lives here and nowhere else: client/ has no hook that a
 * configuration or the command line could reach (experiments/e2e/no-observer.test.ts).
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadSealer, type Sealer } from '../../client/agent/seal.ts';
import { toHex } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { uploadDigest } from '../../protos/statements.ts';
import { serveHost } from '../demo/client-host.ts';

export interface Observation {
  /** Upload digests in both suites; one of them is the one that was signed. */
  readonly digests: readonly string[];
  readonly digits: readonly number[];
}

const directory = process.argv[2]!;
mkdirSync(directory, { recursive: true });
const file = join(directory, `${process.pid}.ndjson`);

await serveHost(async (): Promise<Sealer> => {
  const inner = await loadSealer();
  return {
    seal(request) {
      const { digits } = request;
      const sealed = inner.seal(request);
      const digests = (['intl', 'gm'] as const).map((name) =>
        toHex(uploadDigest(getSuite(name), sealed.body, sealed.holderPart)),
      );
      appendFileSync(file, `${JSON.stringify({ digests, digits: [...digits] } satisfies Observation)}\n`);
      return sealed;
    },
  };
});
