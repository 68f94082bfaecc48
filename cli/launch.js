#!/usr/bin/env node
/**
 * What `npx pulsefold` starts. Plain JavaScript, because the `node` that runs it may be too old for TypeScript.
 *
 * Node 24 and later: loads cli/pulsefold.ts. Older: starts the Node 24 that `npm ci` put into node_modules, passes
 * signals on and ends as it ends. Trusts: this package's node_modules.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;
const directory = dirname(fileURLToPath(import.meta.url));

if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) {
  const { main } = await import('./pulsefold.ts');
  await main(process.argv);
} else {
  startNewerNode();
}

function startNewerNode() {
  const node = join(
    directory,
    '..',
    'node_modules',
    '.bin',
    process.platform === 'win32' ? 'node.cmd' : 'node',
  );
  if (!existsSync(node)) {
    process.stderr.write(
      `error UNAVAILABLE: pulsefold needs Node ${NODE_MAJOR_MIN} and this is ${process.version}: ` +
        `run "npm ci" in ${join(directory, '..')}, or install Node ${NODE_MAJOR_MIN}\n`,
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, [join(directory, 'launch.js'), ...process.argv.slice(2)], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  // From a keyboard the child gets SIGINT by itself, as part of the same process group.
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  child.on('error', (error) => {
    process.stderr.write(`error UNAVAILABLE: ${node} does not start: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = code ?? 1;
    }
  });
}
