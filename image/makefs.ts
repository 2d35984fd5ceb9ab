/**
 * Command line of the UFS2 writer, in the manner of FreeBSD's makefs(8):
 *
 *   node makefs.mjs -t ffs -o version=2,label=rootfs,softupdates=1,time=SECONDS,id=HEX16 -s SIZE -F SPEC IMAGE TREE
 *
 * Prints one line of JSON with counts. An error is one line on stderr, `makefs: CODE: message; remedy`, and exit 1.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { DirectorySource } from './directory-source.ts';
import { ImageError, reason, runProgram } from './errors.ts';
import { ImageFile } from './image-file.ts';
import { MtreeReader } from './mtree.ts';
import { FileTree } from './ufs2/tree.ts';
import { type WriteOptions, writeFileSystem } from './ufs2/writer.ts';

const USAGE =
  'makefs -t ffs -o version=2,label=LABEL,softupdates=1,time=SECONDS,id=HEX16[,density=N,minfree=N,bsize=N,fsize=N] -s SIZE -F SPEC IMAGE TREE';

function usage(problem: string): ImageError {
  return new ImageError('Usage', problem, `usage: ${USAGE}`);
}

/** Bytes of `512`, `512b` (sectors), `64k`, `512m`, `10g`, `1t`. */
function parseSize(text: string): number {
  const match = /^(\d+)([bkmgt]?)$/i.exec(text);
  if (match === null) throw usage(`size ${JSON.stringify(text)} is not a number of bytes`);
  const unit = { '': 1, b: 512, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }[
    (match[2] ?? '').toLowerCase()
  ];
  return Number(match[1]) * (unit ?? 1);
}

function whole(key: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usage(`${key}=${text} is not a whole number`);
  return Number(text);
}

interface FfsOptions {
  label?: string;
  softUpdates?: boolean;
  time?: number;
  id?: readonly [number, number];
  density?: number;
  minfree?: number;
  blockSize?: number;
  fragmentSize?: number;
}

function parseFfsOptions(list: string, options: FfsOptions): void {
  for (const item of list.split(',')) {
    const equals = item.indexOf('=');
    const key = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    switch (key) {
      case 'version':
        if (value !== '2') throw usage(`version=${value}: only UFS version 2 is written`);
        break;
      case 'label':
        options.label = value;
        break;
      case 'softupdates':
        if (value !== '0' && value !== '1') throw usage(`softupdates=${value} is neither 0 nor 1`);
        options.softUpdates = value === '1';
        break;
      case 'time':
        options.time = whole(key, value);
        break;
      case 'id':
        if (!/^[0-9a-fA-F]{16}$/.test(value)) throw usage(`id=${value} is not 16 hexadecimal digits`);
        options.id = [Number.parseInt(value.slice(0, 8), 16), Number.parseInt(value.slice(8), 16)];
        break;
      case 'density':
        options.density = whole(key, value);
        break;
      case 'minfree':
        options.minfree = whole(key, value);
        break;
      case 'bsize':
        options.blockSize = whole(key, value);
        break;
      case 'fsize':
        options.fragmentSize = whole(key, value);
        break;
      default:
        throw usage(`option ${JSON.stringify(item)} is unknown`);
    }
  }
}

interface CommandLine {
  readonly options: FfsOptions;
  readonly size: number;
  readonly spec: string;
  readonly image: string;
  readonly tree: string;
}

function parseCommandLine(args: readonly string[]): CommandLine {
  const options: FfsOptions = {};
  let size: number | undefined;
  let spec: string | undefined;
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (!/^-[toFs]/.test(arg)) {
      if (arg.startsWith('-')) throw usage(`option ${arg} is unknown`);
      rest.push(arg);
      continue;
    }
    const value = arg.length > 2 ? arg.slice(2) : args[++i];
    if (value === undefined) throw usage(`option ${arg} wants a value`);
    if (arg[1] === 't' && value !== 'ffs') throw usage(`type ${value}: only ffs is written`);
    else if (arg[1] === 'o') parseFfsOptions(value, options);
    else if (arg[1] === 's') size = parseSize(value);
    else if (arg[1] === 'F') spec = value;
  }
  const [image, tree, extra] = rest;
  if (size === undefined) throw usage('-s SIZE is missing');
  if (spec === undefined) throw usage('-F SPEC is missing');
  if (image === undefined || tree === undefined) throw usage('IMAGE or TREE is missing');
  if (extra !== undefined) throw usage(`argument ${JSON.stringify(extra)} is too many`);
  return { options, size, spec, image, tree };
}

function readSpec(path: string): FileTree {
  const tree = new FileTree();
  const reader = new MtreeReader(tree);
  const chunk = Buffer.allocUnsafe(1 << 18);
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw new ImageError(
      'BadSpec',
      `the specification cannot be read: ${reason(error)}`,
      'name one that can',
      error,
    );
  }
  try {
    for (;;) {
      const length = readSync(fd, chunk, 0, chunk.length, null);
      if (length === 0) break;
      reader.write(chunk.toString('latin1', 0, length));
    }
  } finally {
    closeSync(fd);
  }
  reader.end();
  return tree;
}

/** Entries without a time take the time of the file system; that in turn is the latest time of an entry. */
function settleTimes(tree: FileTree, given: number | undefined): number {
  let latest = 0;
  for (let node = 0; node < tree.count; node++) latest = Math.max(latest, tree.seconds[node] ?? 0);
  const time = given ?? latest;
  for (let node = 0; node < tree.count; node++) {
    if (!tree.hasTime(node)) tree.seconds[node] = time;
  }
  return time;
}

function run(args: readonly string[]): void {
  const { options, size, spec, image, tree: root } = parseCommandLine(args);
  const tree = readSpec(spec);
  const source = new DirectorySource(tree, Buffer.from(root).toString('latin1'), options.blockSize ?? 32768);
  source.scan();
  const time = settleTimes(tree, options.time);
  const settings: WriteOptions = { ...options, size, time, id: options.id ?? [time % 2 ** 32, 0] };
  const file = new ImageFile(image, size);
  let report: ReturnType<typeof writeFileSystem>;
  try {
    report = writeFileSystem(tree, source, file, settings);
  } catch (error) {
    file.discard();
    throw error;
  }
  file.close();
  process.stdout.write(`${JSON.stringify({ image, ...report })}\n`);
}

runProgram('makefs', run);
