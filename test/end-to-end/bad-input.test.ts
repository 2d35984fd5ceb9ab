import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Fault, startMirror } from '../../local/demo-release/serve.ts';
import { whatIsLeft } from './account.ts';
import { type Factory, startFactory } from './local-build.ts';

let factory: Factory;
const directory = '/releases/amd64/amd64/15.1-RELEASE';

beforeAll(async () => {
  factory = await startFactory();
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());
afterEach(() => factory.mirror.faults.clear());

const fails = async (changes: Record<string, unknown>, faults: Record<string, Fault[]> = {}) => {
  for (const [path, list] of Object.entries(faults)) factory.mirror.faults.set(path, list);
  const execution = await factory.end(await factory.start({ recipe: factory.recipe(changes) }));
  expect(await whatIsLeft(factory.ec2)).toEqual([]);
  return { status: execution.status, error: execution.error, cause: execution.cause ?? '' };
};

describe('an execution that cannot succeed fails with the cause and leaves nothing', () => {
  it('unknown recipe key: names it and the nearest key', async () => {
    const { status, error, cause } = await fails({ arhcitecture: 'amd64' });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'InvalidRecipe' });
    expect(cause).toContain('arhcitecture is not a key of a recipe; did you mean architecture?');
    expect(cause).toContain('docs/runbook.md#invalidrecipe');
  });

  it('a recipe that is not an object', async () => {
    const executionArn = await factory.start({ recipe: 'name: [unclosed' });
    const { error, cause } = await factory.end(executionArn);
    expect(error).toBe('InvalidRecipe');
    expect(cause).toContain('the recipe must be an object');
  });

  it('an input without recipe', async () => {
    const { error, cause } = await factory.end(await factory.start({}));
    expect(error).toBe('InvalidState');
    expect(cause).toContain('at recipe');
    expect(cause).toContain('start the state machine with {"recipe": …} only');
  });

  it('release that does not exist: lists those that do', async () => {
    const { status, error, cause } = await fails({ release: '99.9-RELEASE' });
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'ReleaseNotFound' });
    expect(cause).toContain('choose a release that is there: 15.1-RELEASE');
  });

  it('MANIFEST missing', async () => {
    const { error, cause } = await fails(
      {},
      { [`${directory}/MANIFEST`]: [{ kind: 'status', status: 404 }] },
    );
    expect(error).toBe('ManifestMissing');
    expect(cause).toContain(`${directory}/ exists, but has no MANIFEST`);
  });

  it('a page of HTML where the MANIFEST should be', async () => {
    const { error } = await fails({}, { [`${directory}/MANIFEST`]: [{ kind: 'html' }] });
    expect(error).toBe('ManifestInvalid');
  });

  it('set that the MANIFEST does not list', async () => {
    const { error, cause } = await fails({ sets: ['base', 'kernel', 'games'] });
    expect(error).toBe('SetUnknown');
    expect(cause).toContain('games');
  });

  it('mirror that nobody answers at', async () => {
    const closed = await startMirror({ directory: factory.release.directory });
    await closed.close();
    const { error, cause } = await fails({ mirrors: [closed.url] });
    expect(error).toBe('MirrorUnreachable');
    expect(cause).toContain('ECONNREFUSED');
  });

  it('set with a wrong checksum: the worker never extracts it', async () => {
    const { status, error, cause } = await fails(
      {},
      { [`${directory}/base.txz`]: [{ kind: 'corrupt', atByte: 70_000 }] },
    );
    expect({ status, error }).toEqual({ status: 'FAILED', error: 'SetChecksumMismatch' });
    expect(cause).toContain('phase fetch');
    expect(cause).not.toContain('phase=extract');
  });

  it('truncated download: says how much came', async () => {
    // The connection breaks after 50 kB; whoever continues there gets nothing more.
    const breaks: Fault[] = [
      { kind: 'truncate', afterBytes: 50_000, ending: 'reset', times: 1 },
      { kind: 'truncate', afterBytes: 0, ending: 'reset' },
    ];
    const { error, cause } = await fails({}, { [`${directory}/base.txz`]: breaks });
    expect(error).toBe('SetTruncated');
    expect(cause).toMatch(/got 50000 of (\d+|\?) bytes/);
  }, 60_000);

  it('what only a FreeBSD worker can make, all of it at once', async () => {
    const { error, cause } = await fails({
      filesystem: 'zfs',
      updates: 'at-build',
      scripts: [{ name: 'one', run: 'true' }],
    });
    expect(error).toBe('UnsupportedOnPlatform');
    for (const field of ['filesystem: zfs', 'updates: at-build', 'scripts']) expect(cause).toContain(field);
  });
});

describe('volume too small', () => {
  it('says how much is needed', async () => {
    // A release of its own: one sparse gigabyte of data that xz makes small.
    const own = join(factory.stateDirectory, 'own-release');
    await mkdir(join(own, 'tree'), { recursive: true });
    await cp(factory.release.directory, own, { recursive: true });
    await writeFile(join(own, 'tree/large'), Buffer.alloc(1100 * 1024 ** 2));
    execFileSync('sh', ['-c', 'bsdtar -cf - --no-read-sparse -C tree ./large | xz -0 -T2 > kernel.txz'], {
      cwd: own,
    });
    const sha256 = createHash('sha256')
      .update(await readFile(join(own, 'kernel.txz')))
      .digest('hex');
    const manifest = (await readFile(join(own, 'MANIFEST'), 'utf8')).replace(
      /^kernel\.txz\t.*$/m,
      `kernel.txz\t${sha256}\t1\tkernel\t"Kernel"\ton`,
    );
    await writeFile(join(own, 'MANIFEST'), manifest);
    await rm(join(own, 'tree'), { recursive: true });
    const mirror = await startMirror({ directory: own });
    try {
      const { mirrors: _, ...recipe } = factory.recipe({ source: mirror.url });
      const execution = await factory.end(await factory.start({ recipe }));
      expect(execution.error).toBe('VolumeTooSmall');
      expect(execution.cause).toContain('rootSize');
      expect(await whatIsLeft(factory.ec2)).toEqual([]);
    } finally {
      await mirror.close();
    }
  }, 90_000);
});
