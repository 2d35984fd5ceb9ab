/**
 * Memory and time of the UFS2 writer at the size it promises: a 10 GiB file system with 500,000 files, made from a
 * synthetic source into a sparse file. Run: node bench/image/makefs-memory.ts [files] [GiB]
 * Exits 1 when the peak of resident memory passes the limit.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageFile } from '../../image/image-file.ts';
import { FileTree } from '../../image/ufs2/tree.ts';
import { type DataRange, type FileContents, writeFileSystem } from '../../image/ufs2/writer.ts';

const LIMIT_MB = 300;
const files = Number(process.argv[2] ?? 500_000);
const size = Number(process.argv[3] ?? 10) * 2 ** 30;
const FILES_PER_DIRECTORY = 250;

/** Every file is a pattern; no real directory is needed. */
class Pattern implements FileContents {
  open(): void {}
  read(target: Uint8Array, offset: number, length: number): void {
    target.fill(0x5a, offset, offset + length);
  }
  *ranges(): Generator<DataRange> {}
  close(): void {}
}

const folder = mkdtempSync(join(tmpdir(), 'makefs-memory-'));
try {
  const started = performance.now();
  const tree = new FileTree();
  const owner = { uid: 0, gid: 0, seconds: 1_700_000_000, nanoseconds: 5 };
  tree.add('', { type: 'dir', mode: 0o755, ...owner });
  let bytes = 0;
  for (let i = 0; i < files; i++) {
    const directory = `directory-${Math.floor(i / FILES_PER_DIRECTORY)}`;
    if (i % FILES_PER_DIRECTORY === 0) tree.add(directory, { type: 'dir', mode: 0o755, ...owner });
    // 0 to 16 KB in steps of a prime: every length of tail occurs. Every 5,000th file has indirect blocks.
    const length = i % 5000 === 4999 ? 3_000_000 : (i * 4099) % 16384;
    bytes += length;
    tree.add(`${directory}/file-with-an-ordinary-name-${i}`, {
      type: 'file',
      mode: 0o644,
      ...owner,
      size: length,
    });
  }
  const listed = performance.now();
  const path = join(folder, 'image');
  const image = new ImageFile(path, size);
  const report = writeFileSystem(tree, new Pattern(), image, {
    size,
    time: 1_700_000_000,
    id: [1, 2],
    label: 'bench',
    softUpdates: true,
  });
  image.close();
  const done = performance.now();
  // maxRSS is in kilobytes (getrusage(2)).
  const peak = process.resourceUsage().maxRSS / 1000;
  const seconds = (done - listed) / 1000;
  console.log(
    JSON.stringify({
      ...report,
      contentBytes: bytes,
      occupiedBytes: statSync(path).blocks * 512,
      listSeconds: Number(((listed - started) / 1000).toFixed(2)),
      writeSeconds: Number(seconds.toFixed(2)),
      megabytesPerSecond: Math.round(report.bytesWritten / 1e6 / seconds),
      peakResidentMegabytes: Math.round(peak),
      limitMegabytes: LIMIT_MB,
    }),
  );
  if (peak > LIMIT_MB) {
    console.error(`peak of resident memory ${Math.round(peak)} MB is above ${LIMIT_MB} MB`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
