// `make image` against the bare data path (verify, extract, hash, make the file system, write), both in this run. Without the
// boot test: how long a machine takes to boot is not ours.
// Limits: 1.5 times the bare path; 512 MB of memory in the worker.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeDemoRelease } from '../local/demo-release/make.ts';

const TIME_LIMIT = 1.5;
const WORKER_LIMIT_MEGABYTES = 512;
const ROOT_SIZE = 2 * 1024 ** 3;

const root = new URL('../', import.meta.url).pathname;
const release = join(root, '.state/demo-release');
await makeDemoRelease({ directory: release, architecture: 'amd64', log: console.error });
const scratch = mkdtempSync(join(root, '.state/bench-'));

const sh = (script: string): void => {
  execFileSync('sh', ['-euc', script], { cwd: scratch, stdio: ['ignore', 'ignore', 'inherit'] });
};

/** Seconds that a step takes, with its data on the disk at the end. */
function timed(name: string, script: string): number {
  const started = performance.now();
  sh(script);
  const seconds = (performance.now() - started) / 1000;
  console.log(`bare  ${name.padEnd(12)} ${seconds.toFixed(2).padStart(7)} s`);
  return seconds;
}

function barePath(): number {
  const sets = `${release}/releases/amd64/amd64/15.1-RELEASE`;
  const verify = timed('verify', `sha256sum ${sets}/base.txz ${sets}/kernel.txz`);
  const extract = timed(
    'extract',
    `mkdir tree; for s in base kernel; do xz -dc ${sets}/$s.txz | bsdtar -x --no-same-owner --no-same-permissions --no-fflags -C tree -f -; done`,
  );
  // Of what has data: the large sparse files of the demo release are gigabytes of zeroes to a tool that knows no holes.
  const hash = timed(
    'hash',
    'find tree -type f -size -64M -print0 | xargs -0 openssl dgst -sha256 -r > sums',
  );
  // The specification is the factory's own need, not part of the bare path.
  sh(
    `{ printf '#mtree\\n'; for s in base kernel; do bsdtar -cf - --format=mtree --options='mtree:!all,type,uid,gid,mode,link,time,flags,device' @${sets}/$s.txz | sed '/^#mtree/d'; done; } > spec`,
  );
  const filesystem = timed(
    'file system',
    `node ${root}dist/image/makefs.mjs -t ffs -o version=2,label=rootfs,softupdates=1,time=0,id=0123456789abcdef -s ${ROOT_SIZE} -F spec image tree`,
  );
  const write = timed('write', `cp --sparse=auto image target; sync target`);
  return verify + extract + hash + filesystem + write;
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly kilobytes: number;
  readonly command: string;
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const status = readFileSync(`/proc/${name}/status`, 'utf8');
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const field = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
        return [
          {
            pid: Number(name),
            parent: field('PPid'),
            kilobytes: field('VmRSS'),
            command,
          },
        ];
      } catch (error) {
        // The process ended between the listing and the reading.
        if (error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH'].includes(String(error.code)))
          return [];
        throw error;
      }
    });
}

/** Resident memory of the worker's processes together, in MB; what they share counts for each, so it is never less. */
function workerMegabytes(): number {
  const all = processes();
  const family = new Set(
    all.filter(({ command }) => command.includes('worker/main.sh')).map(({ pid }) => pid),
  );
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent } of all) {
      if (family.has(parent) && !family.has(pid)) {
        family.add(pid);
        grown = true;
      }
    }
  }
  return all.filter(({ pid }) => family.has(pid)).reduce((sum, { kilobytes }) => sum + kilobytes, 0) / 1000;
}

async function makeImage(): Promise<{ seconds: number; megabytes: number }> {
  let running = true;
  let megabytes = 0;
  const watch = (async () => {
    while (running) {
      megabytes = Math.max(megabytes, workerMegabytes());
      await pause(50);
    }
  })();
  const recipe = join(scratch, 'demo.yaml');
  writeFileSync(recipe, `${readFileSync(join(root, 'examples/demo.yaml'), 'utf8')}bootTest: false\n`);
  const started = performance.now();
  const { stdout } = await promisify(execFile)(
    'node',
    ['local/make-image.ts', recipe, '--state', join(scratch, 'cloud'), '--out', join(scratch, 'out')],
    // As make sets it.
    { cwd: root, env: { ...process.env, NODE_COMPILE_CACHE: join(root, '.state/compile-cache') } },
  );
  const seconds = (performance.now() - started) / 1000;
  running = false;
  await watch;
  console.log(stdout);
  return { seconds, megabytes };
}

try {
  // Once before, so that both read the sets from the page cache.
  sh(`cat ${release}/releases/amd64/amd64/15.1-RELEASE/*.txz > /dev/null`);
  const bare = barePath();
  const { seconds, megabytes } = await makeImage();
  const ratio = seconds / bare;
  console.log(`bare data path   ${bare.toFixed(1)} s`);
  console.log(
    `make image       ${seconds.toFixed(1)} s, ${ratio.toFixed(2)} times the bare path (limit ${TIME_LIMIT})`,
  );
  console.log(`worker memory    ${megabytes.toFixed(0)} MB at its peak (limit ${WORKER_LIMIT_MEGABYTES} MB)`);
  process.exitCode = ratio > TIME_LIMIT || megabytes > WORKER_LIMIT_MEGABYTES ? 1 : 0;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
