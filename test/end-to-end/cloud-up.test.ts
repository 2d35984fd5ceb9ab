import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { foundry } from '../cli/run.ts';

const root = new URL('../../', import.meta.url).pathname;

let state: string;
beforeAll(async () => {
  await mkdir(join(root, '.state'), { recursive: true });
  state = await mkdtemp(join(root, '.state/cloud-up-'));
});
afterAll(async () => {
  await ask('down');
  await rm(state, { recursive: true, force: true });
});

const ask = (action: string, ...more: readonly string[]) =>
  foundry(['cloud', action, '--state', state, ...more]);

const running = async () =>
  JSON.parse(await readFile(join(state, 'running.json'), 'utf8')) as { readonly pid: number };

it('a local cloud is started in the background, found, told of, and missed when it is killed', async () => {
  expect(await ask('status')).toMatchObject({ code: 1, stdout: '' });
  expect(await ask('down')).toMatchObject({ code: 0, stderr: 'No local cloud runs.\n' });

  const up = await ask('up', '--port', '0');
  expect(up).toMatchObject({ code: 0 });
  const [, url = ''] = /^export FOUNDRY_API_URL=(http:\/\/127\.0\.0\.1:\d+)$/m.exec(up.stdout) ?? [];
  for (const line of up.stdout.trimEnd().split('\n')) expect(line).toMatch(/^export [A-Z_]+=[\w:/.-]+$/);
  expect(await foundry(['builds', '--local', '--state', state, '--json'])).toMatchObject({
    code: 0,
    stdout: '{\n  "builds": []\n}\n',
  });
  const status = await ask('status', '--json');
  expect(JSON.parse(status.stdout)).toMatchObject({ endpoint: url });
  const again = await ask('up');
  expect(again).toMatchObject({ code: 0, stdout: up.stdout });
  expect(again.stderr).toContain('runs already');

  const { pid } = await running();
  process.kill(pid, 'SIGKILL');
  await pause(200);
  const killed = await ask('status');
  expect(killed).toMatchObject({ code: 1, stdout: '' });
  expect(killed.stderr).toContain('ended without a word');
  expect(await foundry(['builds', '--local', '--state', state])).toMatchObject({ code: 3, stdout: '' });
  const down = await ask('down');
  expect(down).toMatchObject({ code: 0 });
  expect(down.stderr).toContain('had ended already');
  await expect(running()).rejects.toThrow('ENOENT');
}, 300_000);
