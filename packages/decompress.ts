/** A compressed file as a stream of its content. The format is told by the first bytes, never by the name. */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';

const MAGIC: readonly (readonly [string, 'zstd' | 'xz' | 'gzip' | 'bzip2'])[] = [
  ['28b52ffd', 'zstd'],
  ['fd377a585a00', 'xz'],
  ['1f8b', 'gzip'],
  ['425a68', 'bzip2'],
];

/** 128 MiB of window: what `zstd --long` makes by default, and a bound on memory. */
const ZSTD_WINDOW_LOG = 27;

async function formatOf(path: string): Promise<'zstd' | 'xz' | 'gzip' | 'bzip2' | 'plain'> {
  const file = await open(path);
  try {
    const first = Buffer.alloc(6);
    await file.read(first, 0, first.length, 0);
    const hex = first.toString('hex');
    return MAGIC.find(([magic]) => hex.startsWith(magic))?.[1] ?? 'plain';
  } finally {
    await file.close();
  }
}

/**
 * Chunks of the decompressed content. Whoever stops early (break, error) ends the decompression too.
 * @throws Error when the data is damaged or the xz or bzip2 program fails or is not there
 */
export async function* decompressed(path: string): AsyncGenerator<Buffer> {
  const format = await formatOf(path);
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  if (format === 'plain') {
    yield* file;
    return;
  }
  if (format === 'xz' || format === 'bzip2') {
    yield* byProgram(format, file);
    return;
  }
  const inflate =
    format === 'zstd'
      ? createZstdDecompress({
          params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
          chunkSize: 1 << 17,
        })
      : createGunzip({ chunkSize: 1 << 17 });
  let failure: unknown;
  const done = pipeline(file, inflate).catch((error: unknown) => {
    failure = error;
  });
  try {
    yield* inflate as AsyncIterable<Buffer>;
    await done;
    if (failure !== undefined) throw failure;
  } finally {
    file.destroy();
    inflate.destroy();
  }
}

async function* byProgram(program: 'xz' | 'bzip2', file: Readable): AsyncGenerator<Buffer> {
  const child = spawn(program, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const output = new PassThrough({ highWaterMark: 1 << 18 });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-500);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}: ${said.trim()}`)),
    );
  });
  const problems: unknown[] = [];
  const note = (error: unknown) => void problems.push(error);
  ended.catch((error: unknown) => {
    note(error);
    output.end();
  });
  pipeline(file, child.stdin).catch(note);
  pipeline(child.stdout, output).catch(note);
  try {
    yield* output as AsyncIterable<Buffer>;
    await ended;
  } catch (error) {
    throw problems[0] ?? error;
  } finally {
    child.kill();
    file.destroy();
  }
}
