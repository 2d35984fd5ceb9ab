import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Api } from './api.ts';
import { serveConsole } from './console-server.ts';
import { CommandProblem } from './exit.ts';

/** Serves the console until Ctrl-C. Prints its address, and opens it in a browser unless that is not wanted. */
export async function showConsole(
  api: Api,
  {
    port = 0,
    open,
    json = false,
  }: { readonly port?: number; readonly open: boolean; readonly json?: boolean },
): Promise<void> {
  const server = await serveConsole({ api, port }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error;
    throw new CommandProblem(
      `port ${port} of this machine ${error.code === 'EACCES' ? 'may not be used' : 'is in use'}`,
      'name another by --port, or none: then one that is free is taken.',
    );
  });
  console.log(json ? JSON.stringify({ address: server.address }) : server.address);
  console.error('The console is at this address until Ctrl-C. It is for you alone: who has it acts as you.');
  if (open) openInBrowser(server.address);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await server.close();
}

/** Who has no browser here, or no program that opens one, has the address all the same. */
function openInBrowser(address: string): void {
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const child = spawn(program, [address], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}
