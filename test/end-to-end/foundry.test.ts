import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { StubWorkerEnd } from '../../local/instance-host/stub-worker.ts';
import { directoryOf, foundry, shell, startFoundry } from '../cli/run.ts';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

/** The command line as people have it, against a factory on a local cloud whose workers are stubs. */

// A build is a second; each of the programs that follow it is as long on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

let factory: Factory;
let files: Awaited<ReturnType<typeof directoryOf>>;
const ends = new Map<string, StubWorkerEnd>();
/** By the name of the recipe, which begins the name of the build. */
const endOf = (build: string): StubWorkerEnd =>
  ends.get([...ends.keys()].find((name) => build.startsWith(`${name}-`)) ?? '') ?? 'ok';

beforeAll(async () => {
  [factory, files] = await Promise.all([
    startFactory({ cloud: { stub: { worker: endOf }, throttle: false } }),
    directoryOf({}),
  ]);
}, 120_000);
afterAll(async () => {
  await factory[Symbol.asyncDispose]();
  await files[Symbol.asyncDispose]();
});

const where = () => ({ cwd: files.path, environment: { FOUNDRY_API_URL: factory.cloud.endpoint } });
const ask = (args: readonly string[]) => foundry(args, where().cwd, where().environment);
const sh = (line: string) => shell(line, where());

/** Writes a recipe for the local mirror, and returns its file. */
async function recipe(name: string, end: StubWorkerEnd = 'ok', changes = {}): Promise<string> {
  ends.set(name, end);
  await writeFile(join(files.path, `${name}.yaml`), JSON.stringify(factory.recipe({ name, ...changes })));
  return `${name}.yaml`;
}

const statusOf = async (id: string): Promise<string> =>
  (JSON.parse((await ask(['show', '--json', id])).stdout) as { status: string }).status;

async function started(file: string): Promise<string> {
  const { code, stdout, stderr } = await ask(['build', '--detach', file]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trim();
}

describe('foundry build', () => {
  it('follows a build to its image', async () => {
    const { code, stdout, stderr } = await ask(['build', await recipe('followed')]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^ami-[0-9a-f]{17}\n$/);
    expect(stderr).toMatch(/Z followed-[0-9a-f]{12} {2}worker: verify {2}done/);
    expect(stderr).toMatch(/AMI +ami-[0-9a-f]{17} {2}followed 15\.1-RELEASE-amd64/);
    expect(stderr).toMatch(/price +\$0\.\d+/);
    const images = await sh('foundry images --recipe followed');
    expect(images).toMatchObject({ code: 0, stdout });
  });

  it('draws a live list on a terminal', async () => {
    const file = await recipe('drawn');
    // util-linux's script gives it a terminal.
    const { code, stdout } = await sh(`script -qec 'stty cols 120; foundry build ${file}' /dev/null`);
    expect(code).toBe(0);
    expect(stdout).toContain('\u001b[?25l');
    expect(stdout).toMatch(/✔.* worker: verify/);
    expect(stdout).toMatch(/AMI +ami-[0-9a-f]{17}/);
    const plain = await sh(`script -qec 'NO_COLOR=1 foundry show -f drawn-$RANDOM' /dev/null`);
    expect(plain).toMatchObject({ code: 1, stdout: expect.stringContaining('BuildNotFound') });
  });

  it('that is left by Ctrl-C goes on; it is followed again, read, stopped, and gone on with', async () => {
    const before = await whatIsLeft(factory.ec2);
    const child = startFoundry(['build', await recipe('left', 'hang')], where());
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const closed = new Promise((resolve) => child.once('close', resolve));
    while (!said.includes('worker: preflight')) await pause(50);
    child.kill('SIGINT');
    expect(await closed).toBe(130);
    const [, id = ''] = /foundry abort (left-[0-9a-f]{12})/.exec(said) ?? [];
    expect(await statusOf(id)).toBe('RUNNING');

    const log = startFoundry(['logs', '-f', id], where());
    let read = '';
    log.stdout?.on('data', (chunk: Buffer) => {
      read += chunk.toString();
    });
    const logClosed = new Promise((resolve) => log.once('close', resolve));
    while (!read.includes('foundry: phase=')) await pause(50);
    const running = await sh('foundry builds --status RUNNING');
    expect(running.stdout).toBe(`${id}\n`);
    const resumedEarly = await ask(['resume', id]);
    expect(resumedEarly).toMatchObject({ code: 1, stderr: expect.stringContaining('BuildRunning') });

    const stopped = await sh('foundry builds --status RUNNING | xargs foundry abort');
    expect(stopped).toMatchObject({ code: 0, stdout: `${id}\n` });
    expect(await logClosed).toBe(0);
    expect(await statusOf(id)).toBe('ABORTED');
    expect(await ask(['show', '-f', id])).toMatchObject({ code: 1, stdout: '' });

    // The reaper comes by itself.
    while ((await whatIsLeft(factory.ec2)).length > before.length) await pause(100);
    expect(await whatIsLeft(factory.ec2)).toEqual(before);

    ends.set('left', 'ok');
    const arn = `arn:aws:states:us-east-1:000000000000:execution:ami-foundry-build-image:${id}`;
    const resumed = await ask(['resume', '--follow', arn]);
    expect(resumed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ami-[0-9a-f]{17}\n$/) });
    expect(resumed.stderr).toContain(`goes on as ${id}-2`);
  });

  it('that fails says why, with its code, and what the runbook has', async () => {
    const { code, stdout, stderr } = await ask([
      'build',
      await recipe('failing', { code: 'SetChecksumMismatch' }),
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/failed +SetChecksumMismatch/);
    expect(stderr).toMatch(/runbook +\S+#setchecksummismatch/i);
  });

  it('is refused with the fields that are wrong', async () => {
    await writeFile(join(files.path, 'wrong.yaml'), 'name: web\nrelease: 15.1\narchitecture: amd64\n');
    const { code, stdout, stderr } = await ask(['build', 'wrong.yaml']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/InvalidRecipe: [\s\S]*release/);
  });

  it('is only planned with --dry-run', async () => {
    const { code, stdout } = await ask(['build', '--dry-run', '--json', await recipe('planned')]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ event: 'planned', plan: { release: '15.1-RELEASE' } });
  });

  it('makes pipelines: detached, shown, as JSON', async () => {
    const file = await recipe('piped');
    const shown = await sh(`foundry build --detach ${file} | xargs foundry show`);
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringMatching(/^piped-[0-9a-f]{12} {2}/) });
    const { stdout } = await sh(`foundry build --json ${file}`);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; details?: { status: string } });
    expect(events[0]).toMatchObject({ event: 'started' });
    expect(events.at(-1)).toMatchObject({ event: 'ended', details: { status: 'SUCCEEDED' } });
  });
});

it('logs prints a console that is complete, and follows it to its end', async () => {
  const id = await started(await recipe('logged'));
  const followed = await ask(['logs', '--follow', id]);
  expect(followed.code).toBe(0);
  const whole = await ask(['logs', id]);
  expect(whole.stdout).toContain('foundry: phase=verify state=done');
  expect(followed.stdout).toBe(whole.stdout);
});

it('completion offers builds by id', async () => {
  const [id = ''] = (await sh('foundry builds --limit 1')).stdout.split('\n');
  const { stdout } = await ask(['complete', '--', 'show', id.slice(0, 3)]);
  expect(stdout).toContain(`${id}\t`);
});

it('a matrix is started as one, followed, told of, and stopped', async () => {
  const matrix = { flavour: ['base', 'small'] };
  const file = await recipe('many', 'ok', { matrix });
  const { code, stdout, stderr } = await ask(['build', '--publish-together', file]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/^(ami-[0-9a-f]{17}\n){2}$/);
  const [, id = ''] = /^(matrix-\S+): started$/m.exec(stderr) ?? [];
  expect(stderr).toContain(`${id}  2 of 2 succeeded, 0 running, 0 waiting, 0 failed`);
  expect((await ask(['show', id])).stdout).toMatch(/publishes +all or none/);

  const hanging = await recipe('slow', 'hang', { matrix });
  const detached = await ask(['build', '--detach', '--concurrency', '1', hanging]);
  expect(detached.stdout).toMatch(/^matrix-\S+\n$/);
  expect(await ask(['abort', detached.stdout.trim()])).toMatchObject({ code: 0, stdout: detached.stdout });
});

it('recipes are subscribed, listed and unsubscribed', async () => {
  const file = await recipe('watched', 'ok', { subscribe: {} });
  expect(await ask(['subscribe', file])).toMatchObject({ code: 0, stdout: 'watched\n' });
  expect(await ask(['subscriptions'])).toMatchObject({ code: 0, stdout: 'watched\n' });
  expect(await ask(['unsubscribe', 'watched'])).toMatchObject({ code: 0, stdout: 'watched\n' });
  expect(await ask(['subscriptions', '--table'])).toMatchObject({ code: 0, stdout: 'no subscriptions\n' });
  expect(await ask(['releases', '--json'])).toMatchObject({ code: 0 });
});
