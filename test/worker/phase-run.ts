import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freebsdPackageJudge } from './freebsd-package-syntax.ts';
import { type Call, freebsdJudge } from './freebsd-syntax.ts';
import { job, root } from './worker-run.ts';

const scratch: string[] = [];

export function removeScratch(): void {
  for (const folder of scratch.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A worker's directories without a worker: what a phase finds when it begins. */
export interface Bench {
  readonly folder: string;
  readonly state: string;
  readonly tree: string;
  readonly devices: string;
}

/** `files` are those of the tree: text, or a link as `{ link }`. */
export function makeBench(files: Readonly<Record<string, string | { readonly link: string }>> = {}): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'worker-phase-'));
  scratch.push(folder);
  const bench = {
    folder,
    state: join(folder, 'state'),
    tree: join(folder, 'tree'),
    devices: join(folder, 'devices'),
  };
  for (const each of [bench.state, bench.tree, bench.devices]) mkdirSync(each);
  for (const [path, content] of Object.entries(files)) {
    const target = join(bench.tree, path);
    mkdirSync(join(target, '..'), { recursive: true });
    if (path.endsWith('/')) mkdirSync(target, { recursive: true });
    else if (typeof content === 'string') writeFileSync(target, content);
    else symlinkSync(content.link, target);
  }
  return bench;
}

const here = join(root, 'test/worker');
const reference = join(root, '../shared/reference/freebsd-13.2');

const base =
  'uname id sha256 b64decode chflags mtree find gzip fold date touch chown chmod awk sed tr grep head tail ls du mkdir rm mv cp cat sort od basename dirname tee cut sleep xz'.split(
    ' ',
  );
const packageTools = 'pkg freebsd-update mount umount devfs fuser chroot df openssl nc timeout'.split(' ');
const foreign = 'curl wget sha256sum base64 sfdisk node bsdtar lsblk truncate mkfifo'.split(' ');

/** Takes away the files that every job of the tests has. */
const noFiles = {
  'file.count': 0,
  ...Object.fromEntries(
    [1, 2, 3].flatMap((n) =>
      ['path', 'mode', 'uid', 'gid', 'content'].map((key) => [`file.${n}.${key}`, undefined]),
    ),
  ),
};

export interface PhaseResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** code, message, remedy of `fail`, or undefined. */
  readonly failure: readonly [code: string, message: string, remedy: string] | undefined;
  readonly calls: readonly Call[];
  /** What is wrong with a call, by FreeBSD's manual pages. */
  readonly wrong: readonly string[];
}

export interface PhaseOptions {
  readonly shell: readonly [string, ...string[]];
  readonly bench: Bench;
  readonly platform: 'freebsd' | 'linux';
  readonly script: string;
  readonly job?: Readonly<Record<string, string | number | undefined>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where the worker's files are; the source tree if not given. */
  readonly worker?: string;
}

/** Runs shell with the whole worker loaded and the job read, but main.sh. */
export async function runPhase(options: PhaseOptions): Promise<PhaseResult> {
  const { bench, platform } = options;
  const bin = join(bench.folder, 'bin');
  const record = join(bench.folder, 'record');
  writeFileSync(record, '');
  mkdirSync(bin, { recursive: true });
  if (platform === 'freebsd') {
    rmSync(bin, { recursive: true });
    mkdirSync(bin);
    for (const name of [...base, ...foreign]) symlinkSync(join(here, 'freebsd-double.sh'), join(bin, name));
    for (const name of packageTools) symlinkSync(join(here, 'freebsd-package-double.sh'), join(bin, name));
  }
  writeFileSync(
    join(bench.folder, 'job'),
    `${job([], { ...noFiles, 'mirror.count': 1, 'mirror.1': 'http://mirror.example/r', ...options.job }).join('\n')}\n`,
  );
  rmSync(join(bench.state, 'job'), { recursive: true, force: true });
  rmSync(join(bench.state, 'failure'), { force: true });
  const script = `set -eu; LC_ALL=C; TZ=UTC; export LC_ALL TZ; umask 022
worker=$1; work=$2; state=$2/state; tree=$2/tree; sets=$2/sets; images=$2/images; power_off=; volume=vol-0
phases=; job_build=unknown; job_linger=0; job_deadline=; platform=${platform}
for part in console job extents tree accounts sbom upload; do . "$worker/$part.sh"; done
for part in "$worker"/phases/*.sh; do . "$part"; done
. "$worker/platform/${platform}.sh"; . "$worker/platform/${platform}-packages.sh"
phase_bytes() { :; }; progress_of() { :; }
fail() { printf '%s\\n%s\\n%s\\n' "$(one_line "$1")" "$(one_line "$2")" "$(one_line "$3")" >"$state/failure"; exit 1; }
job_load "$2/job"
[ -e "$state/patch-level" ] || printf '15.1-RELEASE\\n' >"$state/patch-level"
[ -e "$state/packages" ] || : >"$state/packages"
${options.script}
`;
  const [command, ...rest] = options.shell;
  const child: ChildProcess = spawn(
    command,
    [...rest, '-c', script, 'sh', options.worker ?? join(root, 'worker'), bench.folder],
    {
      cwd: bench.folder,
      env: {
        PATH: [platform === 'freebsd' ? bin : '', process.env.PATH ?? ''].filter(Boolean).join(':'),
        HOME: bench.folder,
        FREEBSD_RECORD: record,
        FREEBSD_DEVICES: bench.devices,
        FREEBSD_SERIAL: 'vol0',
        FREEBSD_TREE: bench.tree,
        ...options.environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  let failure: PhaseResult['failure'];
  try {
    const [code = '', message = '', remedy = ''] = readFileSync(join(bench.state, 'failure'), 'utf8').split(
      '\n',
    );
    failure = [code, message, remedy];
  } catch {
    failure = undefined;
  }
  const calls = readFileSync(record, 'utf8')
    .split('\x1d')
    .filter(Boolean)
    .map((each) => {
      const [name = '', ...words] = each.split('\x1f');
      return { name, words };
    });
  const judge = freebsdPackageJudge(freebsdJudge(reference));
  const wrong = calls.flatMap((call) => {
    const problem = judge(call);
    return problem === undefined ? [] : [`${[call.name, ...call.words].join(' ')}: ${problem}`];
  });
  return { status, stdout, stderr, failure, calls, wrong };
}

/** The calls of some programs, one per line, with the bench's directories replaced. */
export const told = (result: PhaseResult, bench: Bench, names: readonly string[]): string[] =>
  result.calls
    .filter(({ name }) => names.includes(name))
    .map(({ name, words }) =>
      [name, ...words].join(' ').replaceAll(bench.tree, 'TREE').replaceAll(bench.folder, 'WORK'),
    );
