/** Runs a witness from the configuration file in its argument and prints its port: a process that tests may kill. */
import { runWitness } from './server.ts';

const running = await runWitness(process.argv[2]!);
process.stdout.write(`${running.port}\n`);
