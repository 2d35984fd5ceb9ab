/**
 * Makes the demo release: a tree with the paths and formats of download.freebsd.org, for machines that have no mirror.
 *
 *   node local/demo-release/make.ts OUT_DIR [--architecture amd64|arm64] [--grub-directory DIR]
 *
 * The sets depend on: the sources in this directory, the program of `@esbuild/freebsd-*` in the version of the lock file,
 * GRUB's modules and grub-mkimage (base only), and xz. With these equal, two runs give the same bytes.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import {
  lstat,
  lutimes,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { lockDirectory } from '../state-directory.ts';
import { basePackages } from './base-packages.ts';
import { efiLoader, grubDirectory, grubVersion } from './boot-files.ts';
import { packageAbi, writeRepository } from './package-repository.ts';
import { PORTS } from './ports.ts';
import { fetchProgram, programSource } from './programs.ts';
import {
  type Architecture,
  BUILD_DATE,
  BUILD_TIME,
  GIT_BRANCH,
  MACHINE_ARCHITECTURE,
  RELEASE,
  REVISION_TEXT,
} from './release.ts';
import { type Entry, tarStream } from './tar-stream.ts';
import { baseTree, debugTree, kernelTree, sourceTree, type TreeInputs } from './tree.ts';

const run = promisify(execFile);

/** xz's two threads are part of the format (block borders), not of the machine. -0: set-up time counts more than size. */
const XZ = ['-T2', '-0', '--check=crc64', '-c'];

export interface DemoReleaseOptions {
  /** The root of the mirror: `releases/…` comes to lie below it. */
  readonly directory: string;
  readonly architecture?: Architecture;
  /** 1 (default) is the full release; a smaller number makes a smaller one with every kind of entry, for tests. */
  readonly scale?: number;
  /** Where GRUB's modules lie, if not where Debian puts them. */
  readonly grubDirectory?: string;
  readonly log?: (line: string) => void;
}

export interface DemoSet {
  /** File name, e.g. `base.txz`. */
  readonly file: string;
  /** Name in MANIFEST, `_` for the file's `-`. */
  readonly name: string;
  readonly sha256: string;
  readonly entries: number;
  readonly description: string;
  readonly selected: boolean;
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes of the regular files in it, each hard-linked file once, holes included. */
  readonly unpackedSize: number;
  /** The same without the holes. */
  readonly dataSize: number;
}

export interface DemoRelease {
  /** The directory of the sets. */
  readonly directory: string;
  /** Its path on the mirror, with a slash at both ends. */
  readonly path: string;
  readonly release: string;
  readonly architecture: Architecture;
  readonly sets: readonly DemoSet[];
  /** False if it was there already. */
  readonly made: boolean;
}

interface Plan {
  readonly file: string;
  readonly description: string;
  readonly selected: boolean;
  readonly tree: (inputs: TreeInputs) => Entry[];
}

/** Descriptions and defaults as in FreeBSD's MANIFEST, in its order (by file name). */
const PLANS: readonly Plan[] = [
  {
    file: 'base-dbg.txz',
    description: 'Base system (Debugging)',
    selected: false,
    tree: (inputs) => debugTree(inputs, 'base'),
  },
  { file: 'base.txz', description: 'Base system (MANDATORY)', selected: true, tree: baseTree },
  {
    file: 'kernel-dbg.txz',
    description: 'Kernel (Debugging)',
    selected: true,
    tree: (inputs) => debugTree(inputs, 'kernel'),
  },
  { file: 'kernel.txz', description: 'Kernel (MANDATORY)', selected: true, tree: kernelTree },
  { file: 'src.txz', description: 'System source tree', selected: false, tree: sourceTree },
];

/** MANIFEST: file, SHA-256, entries, name, quoted description, on or off; tabs between. */
export function manifestLine(set: DemoSet): string {
  return `${[set.file, set.sha256, set.entries, set.name, `"${set.description}"`, set.selected ? 'on' : 'off'].join('\t')}\n`;
}

async function inputDigest(facts: unknown): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(facts));
  const sources = (await readdir(import.meta.dirname)).filter(
    (name) => name.endsWith('.ts') && name !== 'serve.ts',
  );
  for (const name of sources.sort()) {
    hash.update(`\0${name}\0`).update(await readFile(join(import.meta.dirname, name)));
  }
  return hash.digest('hex');
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function writeSet(directory: string, plan: Plan, inputs: TreeInputs): Promise<DemoSet> {
  const path = join(directory, plan.file);
  const entries = plan.tree(inputs);
  const xz = spawn('xz', XZ, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((done, fail) => {
    xz.once('error', fail);
    xz.once('close', (code) => (code === 0 ? done() : fail(new Error(`xz ended with ${code}.`))));
  });
  await Promise.all([
    pipeline(Readable.from(tarStream(entries), { objectMode: false }), xz.stdin),
    pipeline(xz.stdout, createWriteStream(path)),
    ended,
  ]);
  let unpackedSize = 0;
  let dataSize = 0;
  for (const entry of entries) {
    if (entry.kind !== 'file') continue;
    unpackedSize += entry.size;
    dataSize += entry.extents ? entry.extents.reduce((sum, extent) => sum + extent.length, 0) : entry.size;
  }
  return {
    file: plan.file,
    name: plan.file.replace(/\.txz$/, '').replaceAll('-', '_'),
    sha256: await sha256(path),
    entries: entries.length,
    description: plan.description,
    selected: plan.selected,
    size: (await stat(path)).size,
    unpackedSize,
    dataSize,
  };
}

interface Stamp {
  readonly digest: string;
  readonly sets: readonly DemoSet[];
}

/** __FreeBSD_version of the release: base packages are built on it. */
const RELEASE_OSVERSION = 1_501_000;

/** Package repositories of the release, by their directory below `packages/ABI/`. */
const REPOSITORIES = ['quarterly', 'base_release_1'];

async function writePackages(directory: string, inputs: TreeInputs): Promise<void> {
  const abi = packageAbi(inputs.architecture);
  await writeRepository(join(directory, 'quarterly'), abi, PORTS);
  await writeRepository(join(directory, 'base_release_1'), abi, basePackages(inputs), {
    osversion: RELEASE_OSVERSION,
  });
}

/** The sets recorded by an earlier run with the same inputs, if their files are still there in the recorded sizes. */
async function alreadyMade(
  stampFile: string,
  digest: string,
  directory: string,
  packages: string,
): Promise<readonly DemoSet[] | undefined> {
  try {
    const stamp = JSON.parse(await readFile(stampFile, 'utf8')) as Stamp;
    if (stamp.digest !== digest) return undefined;
    for (const set of stamp.sets) {
      if ((await stat(join(directory, set.file))).size !== set.size) return undefined;
    }
    for (const repository of REPOSITORIES) await stat(join(packages, repository, 'packagesite.pkg'));
    const manifest = await readFile(join(directory, 'MANIFEST'), 'utf8');
    return manifest === stamp.sets.map(manifestLine).join('') ? stamp.sets : undefined;
  } catch {
    return undefined;
  }
}

export async function makeDemoRelease(options: DemoReleaseOptions): Promise<DemoRelease> {
  const { architecture = 'amd64', scale = 1, log = () => {} } = options;
  if (!(scale > 0 && scale <= 1))
    throw new RangeError(`scale must be more than 0 and at most 1, not ${scale}.`);
  const root = resolve(options.directory);
  const path = `/releases/${architecture}/${MACHINE_ARCHITECTURE[architecture]}/${RELEASE}/`;
  const directory = join(root, path);
  const packages = join(root, 'packages', packageAbi(architecture));
  const cache = join(root, '.cache');
  const stampFile = join(cache, `${architecture}-${RELEASE}.json`);

  const modules = await grubDirectory(architecture, options.grubDirectory);
  const source = await programSource(architecture);
  const xzVersion = (await run('xz', ['--version'])).stdout.trim();
  const digest = await inputDigest({ architecture, scale, source, xzVersion, XZ, grub: await grubVersion() });
  const facts = { directory, path, release: RELEASE, architecture };
  const kept = await alreadyMade(stampFile, digest, directory, packages);
  if (kept) return { ...facts, sets: kept, made: false };
  const unlock = await waitForLock(cache, log);
  try {
    const others = await alreadyMade(stampFile, digest, directory, packages);
    if (others) return { ...facts, sets: others, made: false };
    return { ...facts, sets: await makeSets(), made: true };
  } finally {
    await unlock();
  }

  async function makeSets(): Promise<readonly DemoSet[]> {
    log(`demo release: fetching ${source.name}@${source.version}`);
    const { program, license } = await fetchProgram(source, cache);
    log('demo release: making the EFI loader from GRUB');
    const inputs: TreeInputs = {
      architecture,
      scale,
      program,
      license,
      efiLoader: await efiLoader(architecture, modules),
    };

    // Made aside and put in place by a rename, so that a mirror that is running never shows half a release.
    const making = join(cache, `making-${architecture}-${process.pid}`);
    await rm(making, { recursive: true, force: true });
    await mkdir(making, { recursive: true });
    const makingPackages = `${making}-packages`;
    await rm(makingPackages, { recursive: true, force: true });
    try {
      log('demo release: making packages');
      await writePackages(makingPackages, inputs);
      const sets: DemoSet[] = [];
      for (const plan of PLANS) {
        log(`demo release: making ${plan.file}`);
        sets.push(await writeSet(making, plan, inputs));
      }
      const revision = createHash('sha1').update(REVISION_TEXT).digest('hex');
      await writeFile(join(making, 'MANIFEST'), sets.map(manifestLine).join(''));
      await writeFile(join(making, 'BUILDDATE'), `${BUILD_DATE}\n`);
      await writeFile(join(making, 'GITBRANCH'), `${GIT_BRANCH}\n`);
      await writeFile(join(making, 'REVISION'), `${revision}\n`);
      // Dates decide ETag and Last-Modified of the mirror.
      for (const name of await readdir(making)) await utimes(join(making, name), BUILD_TIME, BUILD_TIME);
      await mkdir(dirname(directory), { recursive: true });
      await rm(stampFile, { force: true });
      await rm(directory, { recursive: true, force: true });
      await rename(making, directory);
      await mkdir(dirname(packages), { recursive: true });
      await rm(packages, { recursive: true, force: true });
      await rename(makingPackages, packages);
      await linkRelease(
        join(root, 'releases', architecture, RELEASE),
        join(MACHINE_ARCHITECTURE[architecture], RELEASE),
      );
      const stamp: Stamp = { digest, sets };
      await writeFile(`${stampFile}.${process.pid}`, JSON.stringify(stamp, undefined, 2));
      await rename(`${stampFile}.${process.pid}`, stampFile);
      return sets;
    } finally {
      await rm(making, { recursive: true, force: true });
      await rm(makingPackages, { recursive: true, force: true });
    }
  }
}

/** Two test files or commands may want the release at once: the second waits for the first, at most ten minutes. */
async function waitForLock(cache: string, log: (line: string) => void): Promise<() => Promise<void>> {
  const attempts = 2400;
  for (let attempt = 0; ; attempt++) {
    try {
      return await lockDirectory(cache);
    } catch (error) {
      // A system error (no permission, no space) does not go away by waiting.
      if ((error as NodeJS.ErrnoException).code !== undefined || attempt >= attempts) throw error;
      if (attempt === 0) log('demo release: another process is making it, waiting');
      await sleep(250);
    }
  }
}

/** The short path of a release, `releases/amd64/15.1-RELEASE`, is a symlink on the real server. */
async function linkRelease(path: string, target: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (!there) await symlink(target, path);
  await lutimes(path, BUILD_TIME, BUILD_TIME);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { architecture: { type: 'string', default: 'amd64' }, 'grub-directory': { type: 'string' } },
  });
  const [directory] = positionals;
  const { architecture } = values;
  if (!directory || positionals.length > 1 || (architecture !== 'amd64' && architecture !== 'arm64')) {
    console.error(
      'usage: node local/demo-release/make.ts OUT_DIR [--architecture amd64|arm64] [--grub-directory DIR]',
    );
    process.exit(64);
  }
  try {
    const modules = values['grub-directory'];
    const made = await makeDemoRelease({
      directory,
      architecture,
      log: (line) => console.error(line),
      ...(modules === undefined ? {} : { grubDirectory: modules }),
    });
    console.log(`${made.directory}${made.made ? '' : ' (already made)'}`);
    for (const set of made.sets) {
      const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
      console.log(
        `${set.file}\t${set.entries} entries\t${mebibytes(set.size)} of ${mebibytes(set.dataSize)}`,
      );
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
