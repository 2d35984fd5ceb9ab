/**
 * Genuine FreeBSD programs without a FreeBSD mirror: npm's `@esbuild/freebsd-*` packages, each one ELF executable, in the
 * version of esbuild that the lock file names.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Architecture } from './release.ts';

const run = promisify(execFile);
const PROJECT = join(import.meta.dirname, '../..');

export interface ProgramSource {
  readonly name: string;
  readonly version: string;
  /** Subresource-integrity string (`sha512-…`) of the tarball as the lock file records it. */
  readonly integrity: string | undefined;
}

export async function programSource(architecture: Architecture): Promise<ProgramSource> {
  const lock = JSON.parse(await readFile(join(PROJECT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string; integrity?: string } | undefined>;
  };
  const version = lock.packages['node_modules/esbuild']?.version;
  if (!version)
    throw new Error('package-lock.json has no esbuild: its version names the FreeBSD program to fetch.');
  const name = architecture === 'amd64' ? '@esbuild/freebsd-x64' : '@esbuild/freebsd-arm64';
  const locked = lock.packages[`node_modules/${name}`];
  return { name, version, integrity: locked?.version === version ? locked.integrity : undefined };
}

function matches(bytes: Buffer, integrity: string | undefined): boolean {
  if (!integrity) return true; // npm itself has checked against the registry's record.
  const [algorithm = '', digest = ''] = integrity.split(/-(.*)/s);
  return createHash(algorithm).update(bytes).digest('base64') === digest;
}

/** The program and its licence; the tarball is kept in `cache`. */
export async function fetchProgram(
  source: ProgramSource,
  cache: string,
): Promise<{ program: Buffer; license: Buffer }> {
  await mkdir(cache, { recursive: true });
  const file = `${source.name.replace('@', '').replace('/', '-')}-${source.version}.tgz`;
  const kept = join(cache, file);
  let bytes = await readFile(kept).catch(() => undefined);
  if (!bytes || !matches(bytes, source.integrity)) {
    const arriving = join(cache, `arriving-${process.pid}`);
    await mkdir(arriving, { recursive: true });
    try {
      await run(
        'npm',
        [
          'pack',
          `${source.name}@${source.version}`,
          '--pack-destination',
          arriving,
          '--ignore-scripts',
          '--prefer-offline',
        ],
        // Not in the project: `npm pack` would otherwise read its workspace settings.
        { cwd: arriving },
      );
      bytes = await readFile(join(arriving, file));
      if (!matches(bytes, source.integrity)) {
        throw new Error(
          `${source.name}@${source.version} does not match the integrity in package-lock.json.`,
        );
      }
      await rename(join(arriving, file), kept);
    } finally {
      await rm(arriving, { recursive: true, force: true });
    }
  }
  const { stdout } = await run('bsdtar', ['-xOf', kept, 'package/bin/esbuild'], {
    encoding: 'buffer',
    maxBuffer: 64 << 20,
  });
  // e_ident[EI_OSABI] = 9 is ELFOSABI_FREEBSD (elf.h).
  if (stdout.readUInt32BE(0) !== 0x7f454c46 || stdout[7] !== 9) {
    throw new Error(`${source.name} does not hold a FreeBSD ELF program.`);
  }
  const license = await readFile(join(PROJECT, 'node_modules/esbuild/LICENSE.md'));
  return { program: stdout, license };
}
