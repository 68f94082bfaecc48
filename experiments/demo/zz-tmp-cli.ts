import { runRegistrar } from '../../registrar/registrar.ts';
import { runCoordinator } from '../../coordinator/server.ts';
import { runKeyHolder } from '../../keyholder/server.ts';
const [role, ...rest] = process.argv.slice(2);
const config = rest[rest.indexOf('--config') + 1]!;
const say = (o: object) => process.stdout.write(`${JSON.stringify(o)}\n`);
const running =
  role === 'registrar' ? await runRegistrar(config)
  : role === 'coordinator' ? await runCoordinator(config, { onProgress: (p) => say({ event: p.type, ...p }) })
  : await runKeyHolder(config);
say({ event: 'listening', role });
process.on('SIGTERM', () => void running.stop().then(() => process.exit(0)));
