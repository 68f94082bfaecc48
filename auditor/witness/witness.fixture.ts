/** Runs a witness from the configuration file in its argument and prints its port: a process that tests may kill. */
import { flushCompileCache } from 'node:module';
import { runWitness } from './server.ts';

// A process that is killed leaves nothing compiled to the next one.
flushCompileCache();
const running = await runWitness(process.argv[2]!);
process.stdout.write(`${running.port}\n`);
