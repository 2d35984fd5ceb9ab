import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { workerPhases } from '../../core/worker-console.ts';

/**
 * How a stub ends: as a good worker, by a report with that code in phase `fetch`, never (it only begins), or without a word as a
 * machine whose plug is pulled.
 */
export type StubWorkerEnd = 'ok' | 'hang' | 'die' | { readonly code: string };

interface StubWork {
  readonly userData: string;
  /** Resolves to the file of a volume once it is attached. */
  readonly disk: (volumeId: string) => Promise<string>;
  readonly print: (line: string) => Promise<void>;
  readonly endsAs: (build: string) => StubWorkerEnd;
  readonly signal: AbortSignal;
}

/**
 * Says on the console what a worker says of its job, in milliseconds and without making an image: the disk gets a line that tells
 * whose it is. Resolves when it wants to be powered off.
 */
export async function stubWorker({ userData, disk, print, endsAs, signal }: StubWork): Promise<void> {
  const word = (name: string) => shellWord(userData, name);
  const [jobUrl, jobSha256, volume, build] = ['job_url', 'job_sha256', 'volume', 'build'].map(word);
  if (!jobUrl || !jobSha256 || volume === undefined || !build) {
    await print('stub: this user-data is no worker');
    return await forever(signal);
  }
  const report = (members: object) =>
    print(`foundry-report: ${JSON.stringify({ version: 1, build, ...members })}`);

  const text = await (await fetch(jobUrl, { signal })).text();
  if (sha256(text) !== jobSha256) {
    const code = 'PayloadChecksumMismatch';
    return await report({
      ok: false,
      phase: 'bootstrap',
      code,
      message: '',
      remedy: '',
      seconds: 0,
      phases: [],
    });
  }
  const job = new Map(text.split('\n').map((line) => [line.split('=', 1)[0], line.replace(/^[^=]*=/, '')]));
  const end = endsAs(build);
  await print(`foundry: build=${build} platform=linux version=1`);
  await print(`foundry: phase=preflight state=start`);
  if (end === 'die') return;
  if (end === 'hang') return await forever(signal);
  // Without a volume the disk goes up in pieces.
  const file = volume === '' ? undefined : await disk(volume);
  const done: { name: string; seconds: number; bytes: number }[] = [];
  const finish = async (name: string, bytes = 0) => {
    await print(`foundry: phase=${name} state=done seconds=0.0 bytes=${bytes}`);
    done.push({ name, seconds: 0, bytes });
  };
  await finish('preflight');
  if (end !== 'ok') {
    await print(`foundry: phase=fetch state=start`);
    await print(`foundry: phase=fetch state=failed seconds=0.0 code=${end.code}`);
    const what = { message: 'the stub was told to fail', remedy: 'none' };
    await report({ ok: false, phase: 'fetch', code: end.code, ...what, seconds: 0, phases: done });
    return await linger(job, signal);
  }
  const content = stubDisk(job.get('disk.id') ?? '');
  const manifest = gzipSync(`#mtree\n. type=dir\n`);
  let blocks: { pieces: number; count: number; indexSha256: string } | undefined;
  for (const name of workerPhases.slice(1)) {
    await print(`foundry: phase=${name} state=start`);
    if (name === 'inventory') {
      await put(job.get('upload.manifest'), manifest, signal);
      await put(job.get('upload.sbom'), JSON.stringify({ bomFormat: 'CycloneDX' }), signal);
    }
    if (name === 'write' && file !== undefined) await write(file, content);
    if (name === 'write' && file === undefined) blocks = await sendBlocks(job, content, signal);
    await finish(name, name === 'write' ? content.length : 0);
  }
  const written = { bytes: Number(job.get('disk.size')), written: content.length, sha256: sha256(content) };
  await report({
    ok: true,
    seconds: 0,
    phases: done,
    tree: { entries: 1 },
    packages: 0,
    patchLevel: job.get('release'),
    manifestSha256: sha256(manifest),
    disk: written,
    ...(blocks ? { blocks } : {}),
  });
  await linger(job, signal);
}

/** What a stub writes at the beginning of the disk of that id: whoever finds it has the image that was asked for. */
export const stubDisk = (diskId: string): Buffer => Buffer.from(`ami-foundry stub ${diskId}\n`);

async function write(file: string, content: Buffer): Promise<void> {
  const disk = await open(file, 'r+');
  await disk.write(content, 0, content.length, 0);
  await disk.close();
}

const BLOCK_BYTES = 512 * 1024;

/** The first block of the disk and its last, in one piece, and the index of that (worker/blocks.sh). */
async function sendBlocks(
  job: ReadonlyMap<string | undefined, string>,
  content: Buffer,
  signal: AbortSignal,
) {
  const size = Number(job.get('disk.size'));
  const piece = Buffer.alloc(2 * BLOCK_BYTES);
  content.copy(piece);
  const last = size / BLOCK_BYTES - 1;
  const index = `version 1\ndisk ${size}\npiece 1 ${sha256(piece)} 0-0,${last}-${last}\n`;
  await put(job.get('upload.blocks.1'), piece, signal);
  await put(job.get('upload.index'), index, signal);
  return { pieces: 1, count: 2, indexSha256: sha256(index) };
}

async function put(
  url: string | undefined,
  body: string | Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<void> {
  if (!url) return;
  const { ok, status } = await fetch(url, { method: 'PUT', body, signal });
  if (!ok) throw new Error(`an upload was answered with HTTP ${status}`);
}

/** The report stands on the live console until its reader has had the time. */
const linger = async (job: ReadonlyMap<string | undefined, string>, signal: AbortSignal): Promise<void> => {
  await pause(Number(job.get('linger') ?? 0) * 1000, undefined, { signal, ref: false });
};

/** A timer that does not fire within a day. */
const forever = (signal: AbortSignal): Promise<void> => pause(86_400_000, undefined, { signal, ref: false });

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** The value that the bootstrap was filled with: a word in single quotes (core/user-data.ts). */
function shellWord(script: string, name: string): string | undefined {
  const [, quoted] = new RegExp(`^${name}=('.*')$`, 'm').exec(script) ?? [];
  return quoted?.slice(1, -1).replaceAll("'\\''", "'");
}
