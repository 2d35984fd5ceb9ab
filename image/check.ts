/**
 * Read-only check of a UFS2 image:
 *
 *   node image/check.ts IMAGE [--offset BYTES] [--list] [--sha256]
 *
 * Prints one line per finding and a summary; `--list` prints the tree in the manner of mtree(5), `--sha256` with the
 * digests of the files. Exits 1 if there is any finding, 2 if the image cannot be read.
 */
import { ImageError, reason } from './errors.ts';
import { ImageFileReader } from './image-file.ts';
import { checkFileSystem } from './ufs2/checker.ts';
import { formatFlags, S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, S_IFREG, typeName } from './ufs2/format.ts';
import { FileSystemReader, type WalkEntry } from './ufs2/reader.ts';

/** vis(3) octal escapes, as libarchive writes them. */
function quote(bytes: string): string {
  return bytes.replaceAll(
    // All but the printable ASCII characters, and of these the ones with a meaning.
    /[^!-~]|["#\\]/g,
    (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** One line of the listing. */
function listLine(reader: FileSystemReader, { path, number, inode }: WalkEntry, digests: boolean): string {
  const type = inode.mode & S_IFMT;
  const words = [
    quote(path),
    `type=${typeName(inode.mode) ?? 'unknown'}`,
    `uid=${inode.uid}`,
    `gid=${inode.gid}`,
    `mode=${(inode.mode & 0o7777).toString(8)}`,
    `nlink=${inode.nlink}`,
    `inode=${number}`,
    `time=${inode.mtime}.${String(inode.mtimensec).padStart(9, '0')}`,
  ];
  if (inode.flags !== 0) words.push(`flags=${formatFlags(inode.flags)}`);
  if (type === S_IFREG) words.push(`size=${inode.size}`);
  if (type === S_IFLNK) words.push(`link=${quote(reader.content(inode).toString('latin1'))}`);
  if (type === S_IFBLK || type === S_IFCHR) words.push(`device=0x${deviceNumber(inode.bytes).toString(16)}`);
  if (digests && type === S_IFREG) words.push(`sha256digest=${reader.sha256(inode)}`);
  return words.join(' ');
}

function deviceNumber(inode: Uint8Array): bigint {
  return new DataView(inode.buffer, inode.byteOffset).getBigUint64(112, true);
}

function run(args: readonly string[]): number {
  let offset = 0;
  let list = false;
  let digests = false;
  let image: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (arg === '--list') list = true;
    else if (arg === '--sha256') digests = true;
    else if (arg === '--offset') offset = Number(args[++i]);
    else if (image === undefined && !arg.startsWith('-')) image = arg;
    else throw new ImageError('Usage', `argument ${JSON.stringify(arg)} is not understood`, 'see the usage');
  }
  if (image === undefined || !Number.isSafeInteger(offset) || offset < 0) {
    throw new ImageError(
      'Usage',
      'no image, or no such offset',
      'usage: node image/check.ts IMAGE [--offset BYTES] [--list] [--sha256]',
    );
  }
  const file = new ImageFileReader(image, offset);
  try {
    const report = checkFileSystem(file);
    for (const { code, message } of report.findings) console.log(`${code}: ${message}`);
    if (report.dropped > 0) console.log(`… and ${report.dropped} more`);
    if (list && report.findings.every(({ code }) => code !== 'NotUfs2')) {
      const reader = new FileSystemReader(file);
      for (const entry of reader.walk()) console.log(listLine(reader, entry, digests));
    }
    console.log(
      `${report.files} files, ${report.used} used, ${report.freeFragments} free fragments, ` +
        `${report.freeBlocks} free blocks, ${report.findings.length + report.dropped} findings`,
    );
    return report.findings.length > 0 ? 1 : 0;
  } finally {
    file.close();
  }
}

try {
  process.exitCode = run(process.argv.slice(2));
} catch (error) {
  const line =
    error instanceof ImageError
      ? `${error.code}: ${reason(error)}; ${error.remedy}`
      : `Internal: ${reason(error)}; report this as a defect`;
  process.stderr.write(`check: ${line}\n`);
  process.exitCode = 2;
}
