import type { Stats } from 'node:fs';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { ImageError, reason } from './errors.ts';
import { MAX_SYMLINK, S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './ufs2/format.ts';
import { type FileTree, ROOT } from './ufs2/tree.ts';
import type { DataRange, FileContents } from './ufs2/writer.ts';

/** A path for system calls from latin1 characters, one per byte. */
function systemPath(bytes: string): string | Buffer {
  return /[^\p{ASCII}]/u.test(bytes) ? Buffer.from(bytes, 'latin1') : bytes;
}

function mismatch(tree: FileTree, node: number, problem: string, cause?: unknown): ImageError {
  return new ImageError(
    'TreeMismatch',
    `${JSON.stringify(tree.path(node))} ${problem}`,
    'make the specification and the tree agree',
    cause,
  );
}

/** Types that an extractor without privileges cannot make: such entries need no counterpart in the tree. */
function needsCounterpart(mode: number): boolean {
  const type = mode & S_IFMT;
  return type !== S_IFBLK && type !== S_IFCHR && type !== S_IFIFO && type !== S_IFSOCK;
}

/**
 * Files that gptboot and boot2 open. Their reader takes a hole for fragment 0 (fsread_size in stand/libsa/ufsread.c),
 * so that such files are stored in full.
 */
function readByBootBlocks(path: string): boolean {
  return path.startsWith('./boot/') || path === './boot.config';
}

/**
 * A tree on disk beside its specification: sizes, hard links (by device and inode number) and contents come from the
 * disk, everything else from the specification.
 */
export class DirectorySource implements FileContents {
  readonly #tree: FileTree;
  readonly #root: string;
  readonly #blockSize: number;
  #directory = -1;
  #prefix = '';
  #node = -1;
  #fd = -1;
  readonly #scan: Buffer;
  readonly #zero: Buffer;

  /** @param root path of the tree as latin1 characters, one per byte */
  constructor(tree: FileTree, root: string, blockSize: number) {
    this.#tree = tree;
    this.#root = root;
    this.#blockSize = blockSize;
    this.#scan = Buffer.allocUnsafe(blockSize * 16);
    this.#zero = Buffer.alloc(blockSize);
  }

  /**
   * Compares the specification with the disk and fills in sizes, hard links and link targets.
   * @throws ImageError `TreeMismatch` naming the path
   */
  scan(): void {
    const tree = this.#tree;
    const seen = new Uint8Array(tree.count);
    const links = new Map<string, number[]>();
    const rootStat = this.#stat(ROOT, this.#root);
    if (!rootStat.isDirectory()) throw mismatch(tree, ROOT, 'is not a directory in the tree');
    seen[ROOT] = 1;
    const pending: { node: number; path: string }[] = [{ node: ROOT, path: this.#root }];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const { node, path } = at;
      for (const name of this.#list(node, path)) {
        const child = tree.find(node, name);
        const childPath = `${path}/${name}`;
        if (child < 0) {
          throw new ImageError(
            'TreeMismatch',
            `${JSON.stringify(`${tree.path(node)}/${name}`)} is in the tree and not in the specification`,
            'make the specification and the tree agree',
          );
        }
        seen[child] = 1;
        if (this.#examine(child, childPath, links)) pending.push({ node: child, path: childPath });
      }
    }
    for (let node = 0; node < tree.count; node++) {
      if (seen[node] === 0 && needsCounterpart(tree.mode[node] ?? 0)) {
        throw mismatch(tree, node, 'is in the specification and not in the tree');
      }
      if (((tree.mode[node] ?? 0) & S_IFMT) === S_IFLNK && !tree.targets.has(node)) {
        throw mismatch(tree, node, 'is a symbolic link without a target');
      }
    }
    for (const nodes of links.values()) tree.joinLinks(nodes);
  }

  /** Takes size, links and target of one node from the disk; true for a directory. */
  #examine(node: number, path: string, links: Map<string, number[]>): boolean {
    const tree = this.#tree;
    const stat = this.#stat(node, path);
    const wanted = (tree.mode[node] ?? 0) & S_IFMT;
    if ((stat.mode & S_IFMT) !== wanted) {
      throw mismatch(tree, node, 'is of another type in the tree than in the specification');
    }
    if (stat.isDirectory()) return true;
    if (wanted === S_IFREG) {
      tree.size[node] = stat.size;
      // Node cannot ask for SEEK_HOLE. A file that occupies less than its size is sparse; only then are its zero
      // blocks taken for holes. Zero blocks of a file that is stored in full are data and are written. A host that
      // compresses files reports fewer blocks too: then zero blocks become holes, which read the same.
      const sparse = stat.blocks * 512 < stat.size;
      tree.sparse[node] = sparse && !readByBootBlocks(tree.path(node)) ? 1 : 0;
    } else if (wanted === S_IFLNK && !tree.targets.has(node)) {
      const target = readlinkSync(systemPath(path), 'latin1');
      if (target.length > MAX_SYMLINK) {
        throw mismatch(tree, node, `has a link target longer than ${MAX_SYMLINK} bytes`);
      }
      tree.targets.set(node, target);
    }
    if (stat.nlink > 1) {
      // Inode numbers can exceed 2^53, where numbers are no longer exact.
      const exact = lstatSync(systemPath(path), { bigint: true });
      const key = `${exact.dev}:${exact.ino}`;
      const group = links.get(key);
      if (group === undefined) links.set(key, [node]);
      else group.push(node);
    }
    return false;
  }

  #stat(node: number, path: string): Stats {
    try {
      return lstatSync(systemPath(path));
    } catch (error) {
      throw mismatch(this.#tree, node, `cannot be examined: ${reason(error)}`, error);
    }
  }

  #list(node: number, path: string): string[] {
    try {
      return readdirSync(systemPath(path), { encoding: 'latin1' });
    } catch (error) {
      throw mismatch(this.#tree, node, `cannot be listed: ${reason(error)}`, error);
    }
  }

  open(node: number): void {
    const parent = this.#tree.parent[node] ?? ROOT;
    if (parent !== this.#directory) {
      this.#directory = parent;
      const path = this.#tree.path(parent);
      this.#prefix = path === '.' ? `${this.#root}/` : `${this.#root}${path.slice(1)}/`;
    }
    this.#node = node;
    try {
      this.#fd = openSync(systemPath(this.#prefix + this.#tree.name(node)), 'r');
    } catch (error) {
      throw mismatch(this.#tree, node, `cannot be opened: ${reason(error)}`, error);
    }
  }

  read(target: Uint8Array, offset: number, length: number, position: number): void {
    let done = 0;
    while (done < length) {
      const got = readSync(this.#fd, target, offset + done, length - done, position + done);
      if (got === 0) throw mismatch(this.#tree, this.#node, 'became shorter while it was read');
      done += got;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Ranges of blocks that are not all zero, of a file that is sparse on disk; the file must be open. */
  *ranges(node: number): Generator<DataRange> {
    const size = this.#tree.size[node] ?? 0;
    const block = this.#blockSize;
    let start = -1;
    for (let at = 0; at < size; at += this.#scan.length) {
      const length = Math.min(this.#scan.length, size - at);
      this.read(this.#scan, 0, length, at);
      for (let offset = 0; offset < length; offset += block) {
        const part = Math.min(block, length - offset);
        const empty = this.#scan.compare(this.#zero, 0, part, offset, offset + part) === 0;
        if (empty && start >= 0) {
          yield { start, end: at + offset };
          start = -1;
        } else if (!empty && start < 0) start = at + offset;
      }
    }
    if (start >= 0) yield { start, end: size };
  }
}
