import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';

const main = new URL('../../cli/main.ts', import.meta.url).pathname;

/** Nobody has to be at the address: the page says so. */
const foundry = (...args: readonly string[]) => {
  const child = spawn(process.execPath, [
    main,
    'console',
    '--api',
    'http://127.0.0.1:1',
    '--no-open',
    ...args,
  ]);
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text;
  });
  return { child, said, end: once(child, 'close') as Promise<[number | null]> };
};

describe('foundry console', () => {
  it('prints its address alone, serves its page there, and ends well by Ctrl-C', async () => {
    const { child, said, end } = foundry();
    await once(child.stdout, 'data');
    const address = said.out.trim();
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#key=[\w-]{43}$/);
    expect((await fetch(address)).status).toBe(200);
    const key = new URL(address).hash.slice('#key='.length);
    const asked = await fetch(new URL('/api/builds', address), { headers: { 'x-console-key': key } });
    expect([asked.status, await asked.json()]).toEqual([
      502,
      expect.objectContaining({ code: 'ApiUnreachable', detail: expect.stringContaining('127.0.0.1:1') }),
    ]);
    child.kill('SIGINT');
    expect(await end).toEqual([0, null]);
    expect(said.err).toContain('until Ctrl-C');
  }, 60_000);

  it('says which port is in use, and what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    try {
      const { port } = other.address() as AddressInfo;
      const { said, end } = foundry('--port', String(port));
      expect((await end)[0]).toBe(1);
      expect(said.err).toContain(`port ${port} of this machine is in use`);
      expect(said.err).toContain('Remedy: name another by --port');
    } finally {
      other.close();
    }
  }, 60_000);
});
