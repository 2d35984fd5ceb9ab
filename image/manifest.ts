/**
 * Command line that tells everything of a staged tree:
 *
 *   node manifest.mjs --spec SPEC --root TREE
 *
 * Prints an mtree(5) specification, a line for each path, sorted by the bytes of the paths, as mtree(8) reads it: type, owner, mode,
 * flags, link target, size, time and SHA-256. What a file system made of the same two by makefs.mjs holds, so an image can be
 * checked against it. An error is one line on stderr, `manifest: CODE: message; remedy`, and exit 1.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { DirectorySource } from './directory-source.ts';
import { ImageError, runProgram } from './errors.ts';
import { MtreeReader } from './mtree.ts';
import { formatFlags, S_IFLNK, S_IFMT, S_IFREG, typeName } from './ufs2/format.ts';
import { FileTree } from './ufs2/tree.ts';

/** Large enough that system calls do not count, small enough for a cache. */
const CHUNK = 1 << 18;

function usage(problem: string): ImageError {
  return new ImageError('Usage', problem, 'usage: manifest --spec SPEC --root TREE');
}

function parseCommandLine(args: readonly string[]): { spec: string; root: string } {
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i += 2) {
    const [option = '', value] = args.slice(i, i + 2);
    if (option !== '--spec' && option !== '--root') throw usage(`option ${option} is unknown`);
    if (value === undefined) throw usage(`option ${option} wants a value`);
    values.set(option, value);
  }
  const [spec, root] = [values.get('--spec'), values.get('--root')];
  if (spec === undefined || root === undefined) throw usage('--spec or --root is missing');
  return { spec, root };
}

function readSpec(path: string): FileTree {
  const tree = new FileTree();
  const reader = new MtreeReader(tree);
  const chunk = Buffer.allocUnsafe(CHUNK);
  const fd = openSync(path, 'r');
  try {
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      reader.write(chunk.toString('latin1', 0, length));
    }
  } finally {
    closeSync(fd);
  }
  reader.end();
  return tree;
}

/** vis(3) as mtree(8) quotes paths: octal for what is not a graphic character, and for its own and the shell's special ones. */
const quoted = (bytes: string): string =>
  bytes.replaceAll(
    /[^!-~]|[#*?[\\]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );

function sha256(source: DirectorySource, node: number, size: number, chunk: Buffer): string {
  const hash = createHash('sha256');
  source.open(node);
  try {
    for (let at = 0; at < size; at += chunk.length) {
      const length = Math.min(chunk.length, size - at);
      source.read(chunk, 0, length, at);
      hash.update(chunk.subarray(0, length));
    }
  } finally {
    source.close();
  }
  return hash.digest('hex');
}

/** The words of one path. A hard link has what its inode has. */
function describe(
  tree: FileTree,
  source: DirectorySource,
  node: number,
  digests: Map<number, string>,
  chunk: Buffer,
): string {
  const inode = tree.link[node] ?? node;
  const mode = tree.mode[inode] ?? 0;
  const words = [
    `type=${typeName(mode)}`,
    `uid=${tree.uid[inode]}`,
    `gid=${tree.gid[inode]}`,
    `mode=${(mode & 0o7777).toString(8).padStart(4, '0')}`,
    `flags=${
      formatFlags(tree.flags[inode] ?? 0)
        .split(',')
        .sort()
        .join(',') || 'none'
    }`,
  ];
  const kind = mode & S_IFMT;
  if (kind === S_IFLNK) words.push(`link=${quoted(tree.targets.get(inode) ?? '')}`);
  const size = tree.size[node] ?? 0;
  if (kind === S_IFREG) words.push(`size=${size}`);
  words.push(`time=${tree.seconds[inode]}.${String(tree.nanoseconds[inode] ?? 0).padStart(9, '0')}`);
  if (kind === S_IFREG) {
    const digest = digests.get(inode) ?? sha256(source, node, size, chunk);
    digests.set(inode, digest);
    words.push(`sha256digest=${digest}`);
  }
  return words.join(' ');
}

function run(args: readonly string[]): void {
  const { spec, root } = parseCommandLine(args);
  const tree = readSpec(spec);
  const source = new DirectorySource(tree, Buffer.from(root).toString('latin1'), 32_768);
  source.scan();
  const chunk = Buffer.allocUnsafe(CHUNK);
  const digests = new Map<number, string>();
  const paths = Array.from({ length: tree.count }, (_, node) => ({ node, path: quoted(tree.path(node)) }));
  paths.sort((a, b) => (a.path < b.path ? -1 : 1));
  const lines = paths.map(({ node, path }) => `${path} ${describe(tree, source, node, digests, chunk)}\n`);
  process.stdout.write(lines.join(''));
}

runProgram('manifest', run);
