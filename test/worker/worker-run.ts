import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { expect } from 'vitest';
import { sets } from './synthetic-release.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The shells a worker must run under. FreeBSD's own sh is an ash, like both of these. */
export const shells: readonly (readonly [string, ...string[]])[] = [['dash'], ['busybox', 'sh']];

export const volume = 'vol-0123456789abcdef0';
export const MIB = 2 ** 20;

export type JobLines = Record<string, string | number>;

/** The job for the synthetic release; `changes` with undefined as value takes a line away. */
export function job(
  mirrors: readonly string[],
  changes: Readonly<Record<string, string | number | undefined>> = {},
) {
  const lines: Record<string, string | number | undefined> = {
    version: 3,
    build: 'demo-3f1c',
    deadline: Math.floor(Date.now() / 1000) + 600,
    linger: 0,
    release: '15.1-RELEASE',
    architecture: 'amd64',
    filesystem: 'ufs',
    system: 'sets',
    update: 'none',
    'mirror.count': mirrors.length,
    ...Object.fromEntries(mirrors.map((url, i) => [`mirror.${i + 1}`, url])),
    'set.count': sets.length,
    ...Object.fromEntries(
      sets.flatMap((set, i) => [
        [`set.${i + 1}.name`, set.name],
        [`set.${i + 1}.file`, set.file],
        [`set.${i + 1}.sha256`, set.sha256],
        [`set.${i + 1}.entries`, set.entries],
      ]),
    ),
    ...files([
      { path: '/etc/fstab', content: '/dev/gpt/rootfs / ufs rw 1 1\n' },
      {
        path: '/usr/local/etc/new.conf',
        content: 'made="$(with) `its` directories"\n',
        mode: '0640',
        gid: 69,
      },
      { path: '/firstboot', content: '' },
    ]),
    ...Object.fromEntries(
      ['edit', 'group', 'user', 'package', 'repository', 'script'].map((kind) => [`${kind}.count`, 0]),
    ),
    timestamp: 1_795_400_000,
    'filesystem.id': '0123456789abcdef',
    'disk.size': 96 * MIB,
    'disk.id': '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
    'partition.count': 3,
    'partition.1.content': 'boot',
    'partition.1.type': 'freebsd-boot',
    'partition.1.label': 'bootfs',
    'partition.1.size': 524_288,
    'partition.1.id': '3f2504e0-4f89-41d3-9a0c-0305e82c3311',
    'partition.2.content': 'efi',
    'partition.2.type': 'efi',
    'partition.2.label': 'efiboot0',
    'partition.2.size': 34 * MIB,
    'partition.2.id': '3f2504e0-4f89-41d3-9a0c-0305e82c3312',
    'partition.3.content': 'root',
    'partition.3.type': 'freebsd-ufs',
    'partition.3.label': 'rootfs',
    'partition.3.size': 0,
    'partition.3.id': '3f2504e0-4f89-41d3-9a0c-0305e82c3313',
    ...changes,
  };
  return Object.entries(lines).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
}

/** What makes the root of the job a pool. */
export const zfs: JobLines = {
  filesystem: 'zfs',
  'partition.3.type': 'freebsd-zfs',
  'zfs.pool': 'zroot',
  'zfs.bootfs': 'zroot/ROOT/default',
  'dataset.count': 6,
  'dataset.1.name': 'zroot',
  'dataset.1.options': 'mountpoint=none',
  'dataset.2.name': 'zroot/ROOT',
  'dataset.2.options': 'mountpoint=none',
  'dataset.3.name': 'zroot/ROOT/default',
  'dataset.3.options': 'mountpoint=/;canmount=noauto',
  'dataset.4.name': 'zroot/tmp',
  'dataset.4.options': 'mountpoint=/tmp;exec=on;setuid=off',
  'dataset.5.name': 'zroot/usr',
  'dataset.5.options': 'canmount=off;mountpoint=/usr',
  'dataset.6.name': 'zroot/usr/src',
  'dataset.6.options': '',
};

/** Swap and data before the root. */
export const swapAndData: JobLines = Object.fromEntries(
  [
    ['boot', 'freebsd-boot', 'bootfs', 524_288],
    ['efi', 'efi', 'efiboot0', 34 * MIB],
    ['swap', 'freebsd-swap', 'swap0', 8 * MIB],
    ['data', 'freebsd-ufs', 'data0', 16 * MIB],
    ['root', 'freebsd-ufs', 'rootfs', 0],
  ]
    .flatMap(([content = '', type = '', label = '', size = 0], i) => [
      [`partition.${i + 1}.content`, content],
      [`partition.${i + 1}.type`, type],
      [`partition.${i + 1}.label`, label],
      [`partition.${i + 1}.size`, size],
      [`partition.${i + 1}.id`, `3f2504e0-4f89-41d3-9a0c-0305e82c331${i + 1}`],
    ])
    .concat([
      ['partition.4.mount', '/srv/data'],
      ['partition.count', 5],
    ]),
);

export interface LaidFile {
  readonly path: string;
  readonly content: string | Buffer;
  readonly mode?: string;
  readonly uid?: number | string;
  readonly gid?: number | string;
}

export function files(laid: readonly LaidFile[]): JobLines {
  return {
    'file.count': laid.length,
    ...Object.fromEntries(
      laid.flatMap((file, i) => [
        [`file.${i + 1}.path`, file.path],
        [`file.${i + 1}.mode`, file.mode ?? '0644'],
        [`file.${i + 1}.uid`, file.uid ?? 0],
        [`file.${i + 1}.gid`, file.gid ?? 0],
        [`file.${i + 1}.content`, Buffer.from(file.content).toString('base64')],
      ]),
    ),
  };
}

let payload: Promise<string> | undefined;
const folders: string[] = [];

/** The programs for Linux that a payload has beside worker/, as esbuild.config.mjs makes them. */
const bundles = {
  makefs: 'image/makefs.ts',
  manifest: 'image/manifest.ts',
  'pwd-mkdb': 'image/pwd-mkdb.ts',
  pkg: 'packages/pkg.ts',
};

/** worker/ and its bundles in one folder, as the factory ships them; made once. Removed by `removePayload`. */
export function makePayload(): Promise<string> {
  payload ??= bundled();
  return payload;
}

async function bundled(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'worker-payload-'));
  folders.push(folder);
  cpSync(join(root, 'worker'), join(folder, 'worker'), { recursive: true });
  await esbuild.build({
    entryPoints: Object.entries(bundles)
      .filter(([, source]) => existsSync(join(root, source)))
      .map(([out, source]) => ({ in: join(root, source), out })),
    outdir: join(folder, 'worker'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
  });
  // Another user runs it too.
  chmodSync(folder, 0o755);
  return folder;
}

export function removePayload(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  payload = undefined;
}

export interface WorkerResult {
  readonly status: number | null;
  readonly console: string;
  /** The last report, or undefined. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever the worker wrote.
  readonly report: any;
  readonly poweredOff: boolean;
  readonly machine: string;
  readonly disk: string;
}

export interface RunningWorker {
  readonly child: ChildProcess;
  readonly machine: string;
  readonly result: Promise<WorkerResult>;
  /** Resolves when the console shows it. */
  until(pattern: RegExp): Promise<void>;
}

export interface WorkerOptions {
  readonly shell?: readonly [string, ...string[]];
  readonly lines: readonly string[];
  /** False leaves --power-off away. */
  readonly powerOff?: boolean;
  /** Bytes of the volume; 0 for one that never appears. */
  readonly diskSize?: number;
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** In front of the path, for doubles. */
  readonly path?: string;
  /** Changes the machine before the worker starts on it. */
  readonly prepare?: (machine: string) => void;
  /** As this user and group, when the tests are root. */
  readonly user?: number;
}

const machines: string[] = [];

export function removeMachines(): void {
  for (const machine of machines.splice(0)) rmSync(machine, { recursive: true, force: true });
}

/** A directory that stands for a machine: its devices, its temporary files, its power switch. */
export function makeMachine(diskSize: number): string {
  const machine = mkdtempSync(join(tmpdir(), 'worker-machine-'));
  machines.push(machine);
  chmodSync(machine, 0o777);
  mkdirSync(join(machine, 'dev/disk/by-id'), { recursive: true });
  if (diskSize > 0) {
    const file = openSync(join(machine, 'dev/nvme1n1'), 'w', 0o666);
    ftruncateSync(file, diskSize);
    closeSync(file);
    chmodSync(join(machine, 'dev/nvme1n1'), 0o666);
    symlinkSync(
      '../../nvme1n1',
      join(machine, `dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume.replace('-', '')}`),
    );
  }
  writeFileSync(join(machine, 'power-off'), `#!/bin/sh\n: >"${machine}/powered-off"\n`, { mode: 0o755 });
  return machine;
}

export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const folder = await makePayload();
  const machine = makeMachine(options.diskSize ?? 96 * MIB);
  writeFileSync(join(machine, 'job'), `${options.lines.join('\n')}\n`, { mode: 0o644 });
  options.prepare?.(machine);
  const [command, ...rest] = options.shell ?? ['dash'];
  const argv = [
    ...rest,
    join(folder, 'worker/main.sh'),
    ...(options.arguments ?? [
      '--job',
      join(machine, 'job'),
      '--volume',
      volume,
      '--work',
      join(machine, 'work'),
    ]),
    ...(options.powerOff === false ? [] : ['--power-off']),
  ];
  const as =
    options.user === undefined
      ? [command, ...argv]
      : ['setpriv', `--reuid=${options.user}`, `--regid=${options.user}`, '--clear-groups', command, ...argv];
  const child = spawn(as[0] ?? command, as.slice(1), {
    cwd: machine,
    env: {
      PATH: [options.path, process.env.PATH].filter(Boolean).join(':'),
      HOME: machine,
      TMPDIR: machine,
      FOUNDRY_DEV: join(machine, 'dev'),
      FOUNDRY_POWER_OFF: join(machine, 'power-off'),
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const waiting: { pattern: RegExp; resolve: () => void }[] = [];
  const hear = (chunk: Buffer) => {
    text += chunk;
    for (const waiter of waiting) if (waiter.pattern.test(text)) waiter.resolve();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const result = new Promise<WorkerResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      const report = text
        .match(/^foundry-report: (.*)$/gm)
        ?.at(-1)
        ?.slice('foundry-report: '.length);
      resolve({
        status,
        console: text,
        report: report === undefined ? undefined : JSON.parse(report),
        poweredOff: existsSync(join(machine, 'powered-off')),
        machine,
        disk: join(machine, 'dev/nvme1n1'),
      });
    });
  });
  return {
    child,
    machine,
    result,
    until: (pattern) =>
      pattern.test(text) ? Promise.resolve() : new Promise((resolve) => waiting.push({ pattern, resolve })),
  };
}

/** Nothing listens there. */
export const down = 'http://127.0.0.1:9/releases';

/** Every way to fail ends like this. */
export function expectFailure(result: WorkerResult, phase: string, code: string, status = 1): void {
  expect(result.report, result.console).toMatchObject({ version: 1, ok: false, phase, code });
  expect(result.report.message).not.toBe('');
  expect(result.report.remedy).not.toBe('');
  expect(result.poweredOff).toBe(true);
  expect(result.status).toBe(status);
}

/** Names left in the work directory. */
export const workLeft = (result: WorkerResult) => readdirSync(join(result.machine, 'work'));

export const runWorker = async (options: WorkerOptions): Promise<WorkerResult> =>
  (await startWorker(options)).result;

/** Runs a piece of shell with worker/console.sh, job.sh and extents.sh loaded; the arguments are $1 and on. */
export function shellPiece(
  shell: readonly [string, ...string[]],
  script: string,
  args: readonly string[],
  state: string,
): { command: string; argv: string[] } {
  const prelude = `set -eu; LC_ALL=C; export LC_ALL; worker='${join(root, 'worker')}'; state='${state}'; tree='${state}/tree'; sets='${state}/sets'; phases=; job_build=unknown; job_linger=0; job_deadline=
. "$worker/console.sh"; . "$worker/job.sh"; . "$worker/extents.sh"; . "$worker/tree.sh"; . "$worker/accounts.sh"; . "$worker/phases/50-configure.sh"; . "$worker/platform/linux.sh"
phase_bytes() { :; }
exec 9>&1
fail() { printf '%s\\n%s\\n' "$1" "$2" >&9; exit 1; }
`;
  const [command, ...rest] = shell;
  return { command, argv: [...rest, '-c', prelude + script, 'sh', ...args] };
}
