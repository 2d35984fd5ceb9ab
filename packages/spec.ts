/** Lines of an mtree(5) specification as the worker and bsdtar write them. */
import type { Entry } from './image-tree.ts';

/** Bytes outside the plain ones as three octal digits: names may have any. Latin1 text comes out, one character per byte. */
function quoted(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replaceAll(/[^A-Za-z0-9._/+,-]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function unquoted(text: string): string {
  const bytes = text.replaceAll(/\\([0-3][0-7]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

export function specLine(path: string, entry: Entry, uid: number, gid: number): string {
  return (
    `.${quoted(path)} type=${entry.type} uid=${uid} gid=${gid} mode=${entry.mode.toString(8).padStart(4, '0')}` +
    ` flags=${entry.flags === '' ? 'none' : entry.flags} time=${entry.seconds}.${entry.nanoseconds}` +
    `${entry.type === 'link' ? ` link=${quoted(entry.target)}` : ''}\n`
  );
}

/** What a line says of a file, directory or link; undefined for other lines. */
export function parseSpecLine(line: string): { path: string; entry: Entry } | undefined {
  const [name, ...words] = line.split(' ');
  if (!name?.startsWith('.') && !name?.startsWith('/')) return undefined;
  const facts = new Map(
    words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  );
  const type = facts.get('type');
  if (type !== 'file' && type !== 'dir' && type !== 'link') return undefined;
  const flags = facts.get('flags') ?? '';
  const [seconds = '0', nanoseconds = '0'] = (facts.get('time') ?? '0').split('.');
  const parts = unquoted(name)
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  return {
    path: `/${parts.join('/')}`,
    entry: {
      type,
      mode: Number.parseInt(facts.get('mode') ?? '0', 8),
      owner: Number(facts.get('uid') ?? 0),
      group: Number(facts.get('gid') ?? 0),
      flags: flags === 'none' ? '' : flags,
      seconds: Number(seconds),
      nanoseconds: Number(nanoseconds),
      target: unquoted(facts.get('link') ?? ''),
    },
  };
}
