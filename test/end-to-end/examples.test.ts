import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRecipeFile } from '../../cli/recipe-file.ts';
import { imageContents } from '../../core/image-contents.ts';
import { renderJob } from '../../core/job.ts';
import { freebsdOnly } from '../../core/platform-limits.ts';
import type { Recipe } from '../../core/recipe.ts';
import { resolveBuild } from '../../core/resolve-build.ts';
import { snapshotPath } from '../../local/ec2/disks.ts';
import { patched, upstream } from '../core/upstream.ts';
import { listUfs, partitionStart, readBytes } from './disk-judges.ts';
import { type Factory, startFactory } from './local-build.ts';

/**
 * Every recipe in examples/: what a Linux worker can make of the demo release is built for real; the rest (FreeBSD-only features, releases and
 * architectures that the demo release has not) is resolved against mirrors as FreeBSD has them, rendered, and its job given to the worker.
 */

const root = new URL('../../', import.meta.url);
const names = (await readdir(new URL('examples/', root))).sort();
const wanted = (
  await Promise.all(
    names.map(async (name) => {
      const builds = await readRecipeFile(new URL(`examples/${name}`, root).pathname, {});
      return builds.map(({ recipe, coordinates }) => ({
        what: [name, ...Object.values(coordinates)].join(' '),
        recipe,
      }));
    }),
  )
).flat();

const buildable = ({ recipe }: { recipe: Recipe }) =>
  recipe.architecture === 'amd64' && recipe.release === '15.1-RELEASE' && freebsdOnly(recipe).length === 0;

let factory: Factory;
let scratch: string;
beforeAll(async () => {
  factory = await startFactory();
  scratch = await mkdtemp(join(factory.stateDirectory, 'examples-'));
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());

/** Of each kind of system and flavour the first is booted too; the rest would boot the same once more. */
const booted = new Map(
  wanted
    .filter(buildable)
    .toReversed()
    .map((one) => [`${one.recipe.system} ${one.recipe.flavour}`, one.what]),
);
const boots = (what: string): boolean => [...booted.values()].includes(what);

describe('an example that a Linux worker can make', () => {
  it.each(wanted.filter(buildable).map((one) => ({ ...one, more: boots(one.what) ? ', and boots' : '' })))(
    '$what is built$more',
    async ({ what, recipe }) => {
      const test = boots(what) ? {} : { bootTest: false };
      const execution = await factory.end(
        await factory.start({ recipe: { ...recipe, ...factory.upstream(recipe.system), ...test } }),
      );
      expect(`${execution.error ?? ''}${execution.cause ?? ''}`).toBe('');
      const { snapshotId } = JSON.parse(execution.output ?? '{}') as { snapshotId: string };
      const image = snapshotPath(factory.stateDirectory, snapshotId);
      const partitions = await partitionCount(image);
      const files = listUfs(image, partitionStart(image, partitions));
      const cat = (path: string) => readBytes('grub-fstest', image, 'cat', `(loop0,gpt${partitions})${path}`);
      for (const { path, mode, source } of imageContents(recipe).files) {
        expect([path, octal(files.get(path)?.mode)]).toEqual([path, mode]);
        // GRUB says nothing of an empty file.
        if ('content' in source && source.content !== '') expect(cat(path).toString()).toBe(source.content);
      }
      for (const { name } of recipe.users) expect(cat('/etc/passwd').toString()).toContain(`\n${name}:*:`);
      expect(cat('/etc/master.passwd').toString()).toMatch(/^root:\*:0:0:/m);
    },
    120_000,
  );
});

describe('an example for FreeBSD’s own machines', () => {
  it.each(wanted.filter((one) => !buildable(one)))(
    '$what is a job that the worker understands',
    async ({ what, recipe }) => {
      const resolved = await resolveBuild(recipe, { mirror: upstream(), updates: patched(1) });
      const job = await renderJob(resolved, {
        build: 'example',
        deadline: Math.floor(Date.now() / 1000) + 600,
        linger: 0,
        upload: {
          manifest: 'https://b.example/m?X-Amz-Signature=1',
          sbom: 'https://b.example/s?X-Amz-Signature=1',
        },
        urlOf: async (source) =>
          'url' in source ? source.url : `https://b.example/${source.s3.slice(5)}?X-Amz-Signature=1`,
      });
      const directory = join(scratch, what.replaceAll(/[^a-z0-9.-]+/gi, '-'));
      await mkdir(join(directory, 'dev/disk/by-id'), { recursive: true });
      await writeFile(join(directory, 'job'), job);
      await writeFile(join(directory, 'disk'), '');
      await truncate(join(directory, 'disk'), 1024 ** 2);
      await symlink(
        join(directory, 'disk'),
        join(directory, 'dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0abc'),
      );
      const { stdout } = await promisify(execFile)(
        'sh',
        [
          new URL('dist/payload/worker/main.sh', root).pathname,
          '--job',
          join(directory, 'job'),
          '--volume',
          'vol-0abc',
          '--work',
          join(directory, 'work'),
        ],
        { env: { ...process.env, FOUNDRY_DEV: join(directory, 'dev') } },
      ).catch((error: { stdout: string }) => error);
      const report = JSON.parse(/^foundry-report: (.*)$/m.exec(stdout)?.[1] ?? '{}') as {
        code?: string;
        message?: string;
      };
      // The job is understood; then the platform refuses, or the disk of one MiB.
      const refusal = freebsdOnly(recipe).length > 0 ? 'UnsupportedOnPlatform' : 'VolumeTooSmall';
      expect(report).toMatchObject({ code: refusal });
      await rm(directory, { recursive: true });
    },
    30_000,
  );
});

const octal = (mode = ''): string => {
  const bits = mode.replaceAll('-', '0').replaceAll(/[a-z]/g, '1');
  return `0${Number.parseInt(bits, 2).toString(8).padStart(3, '0')}`;
};

async function partitionCount(image: string): Promise<number> {
  const { stdout } = await promisify(execFile)('sgdisk', ['-p', image]);
  return stdout.split('\n').filter((line) => /^ +\d+ /.test(line)).length;
}
