import { describe, expect, test } from 'vitest';
import { ImageError } from '../../image/errors.ts';
import { MtreeReader } from '../../image/mtree.ts';
import { formatFlags, parseFlags } from '../../image/ufs2/format.ts';
import { FileTree } from '../../image/ufs2/tree.ts';

const ROOT_LINE = '. type=dir uid=0 gid=0 mode=755 time=1.0';

function read(text: string, chunk = text.length): FileTree {
  const tree = new FileTree();
  const reader = new MtreeReader(tree);
  for (let at = 0; at < text.length; at += chunk) reader.write(text.slice(at, at + chunk));
  reader.end();
  return tree;
}

function entry(line: string): Record<string, unknown> {
  const tree = read(`${ROOT_LINE}\n${line}\n`);
  const node = tree.count - 1;
  return {
    path: tree.path(node),
    mode: tree.mode[node],
    uid: tree.uid[node],
    gid: tree.gid[node],
    flags: tree.flags[node],
    seconds: tree.seconds[node],
    nanoseconds: tree.nanoseconds[node],
    target: tree.targets.get(node),
    device: tree.devices.get(node),
  };
}

function refusal(text: string): ImageError {
  try {
    read(text);
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('an entry', () => {
  test('with every keyword', () => {
    expect(
      entry(
        './f time=12.345 mode=4555 gid=5 uid=7 type=file flags=schg,uarch nlink=3 size=9 sha256digest=00 uname=x',
      ),
    ).toEqual({
      path: './f',
      mode: 0o104555,
      uid: 7,
      gid: 5,
      flags: 0x20800,
      seconds: 12,
      nanoseconds: 345,
      target: undefined,
      device: undefined,
    });
  });

  test.each([
    ['5.1', 5, 1],
    ['5.63998000', 5, 63998000],
    ['5.999999999', 5, 999999999],
    ['5.000000007', 5, 7],
    ['-315619199.0', -315619199, 0],
    ['-1.5', -1, 5],
    ['2208988801', 2208988801, 0],
  ])('time=%s', (time, seconds, nanoseconds) => {
    expect(entry(`./f type=file uid=0 gid=0 mode=644 time=${time}`)).toMatchObject({ seconds, nanoseconds });
  });

  test('escapes in names and link targets', () => {
    expect(
      entry('./sp\\040ace\\043\\303\\251 type=link uid=0 gid=0 mode=777 link=a\\040b\\134c\\sd'),
    ).toMatchObject({
      path: './sp ace#\u00c3\u00a9',
      target: 'a b\\c d',
    });
  });

  test('devices', () => {
    const device = (value: string) => entry(`./d type=char uid=0 gid=0 mode=600 device=${value}`).device;
    expect(device('native,1,3')).toEqual({ low: 0x103, high: 0 });
    expect(device('native,0x12345678,0x9abcdef0')).toEqual({ low: 0x9abc78f0, high: 0x123456de });
    expect(device('259')).toEqual({ low: 259, high: 0 });
    expect(device('0x1200000034')).toEqual({ low: 0x34, high: 0x12 });
    expect(refusal(`${ROOT_LINE}\n./d type=char uid=0 gid=0 mode=600\n`).code).toBe('BadSpec');
    expect(refusal(`${ROOT_LINE}\n./d type=char uid=0 gid=0 mode=600 device=linux,1,2\n`).code).toBe(
      'BadSpec',
    );
  });

  test("the root as bsdtar writes it for '.' in an archive", () => {
    expect(read('#mtree\n/. type=dir uid=0 gid=0 mode=755\n./f type=file uid=0 gid=0 mode=644\n').count).toBe(
      2,
    );
  });
});

describe('the specification', () => {
  const text = [
    '#mtree',
    '# a comment',
    '',
    '/set type=file uid=0 gid=0 mode=644 flags=nodump',
    './a/b time=3.0',
    './a type=dir mode=755 \\',
    '    time=4.0 flags=none',
    '   ',
    '. type=dir mode=755',
    '/unset flags',
    './c',
    './a/b uid=9',
  ].join('\n');

  test('with defaults, continued lines, any order, and later lines that win', () => {
    const tree = read(text);
    const at = (path: string) => tree.resolve(path);
    expect(tree.count).toBe(4);
    expect([tree.uid[at('a/b')], tree.seconds[at('a/b')], tree.flags[at('a/b')]]).toEqual([9, 0, 0]);
    expect([tree.mode[at('a')], tree.seconds[at('a')], tree.flags[at('a')]]).toEqual([0o40755, 4, 0]);
    expect(tree.mode[at('c')]).toBe(0o100644);
    expect(tree.flags[0]).toBe(1);
  });

  test('is read the same in pieces of any size', () => {
    const list = (tree: FileTree) =>
      Array.from({ length: tree.count }, (_, n) => [tree.path(n), tree.mode[n], tree.uid[n], tree.line[n]]);
    for (const size of [1, 2, 3, 7, 50]) expect(list(read(text, size))).toEqual(list(read(text)));
    expect(list(read(text.replaceAll('\n', '\r\n')))).toEqual(list(read(text)));
  });

  test.each<[string, string, number, string]>([
    ['no type', `${ROOT_LINE}\n./f uid=0 gid=0 mode=644`, 2, 'type'],
    ['unknown type', `${ROOT_LINE}\n./f type=door uid=0 gid=0 mode=644`, 2, 'door'],
    ['no mode', `${ROOT_LINE}\n./f type=file uid=0 gid=0`, 2, 'mode'],
    ['no uid', `${ROOT_LINE}\n./f type=file uname=root gid=0 mode=644`, 2, 'uid'],
    ['uid that is a name', `${ROOT_LINE}\n./f type=file uid=root gid=0 mode=644`, 2, 'root'],
    ['mode that is not octal', `${ROOT_LINE}\n./f type=file uid=0 gid=0 mode=689`, 2, '689'],
    ['mode that is too large', `${ROOT_LINE}\n./f type=file uid=0 gid=0 mode=100644`, 2, '100644'],
    ['unknown keyword', `${ROOT_LINE}\n./f type=file uid=0 gid=0 mode=644 colour=red`, 2, 'colour'],
    ['unknown flag', `${ROOT_LINE}\n./f type=file uid=0 gid=0 mode=644 flags=fast`, 2, 'fast'],
    ['broken time', `${ROOT_LINE}\n./f type=file uid=0 gid=0 mode=644 time=now`, 2, 'now'],
    ['unknown escape', `${ROOT_LINE}\n./f\\q type=file uid=0 gid=0 mode=644`, 2, 'escape'],
    ['way out of the tree', `${ROOT_LINE}\n./../f type=file uid=0 gid=0 mode=644`, 2, 'names no file'],
    ['hidden way out', `${ROOT_LINE}\n./\\056\\056/f type=file uid=0 gid=0 mode=644`, 2, 'names no file'],
    ['escaped slash', `${ROOT_LINE}\n./a\\057b type=file uid=0 gid=0 mode=644`, 2, 'names no file'],
    ['dialect with a current directory', `${ROOT_LINE}\nf type=file uid=0 gid=0 mode=644`, 2, 'full path'],
    ['missing parent', `${ROOT_LINE}\n./a/f type=file uid=0 gid=0 mode=644`, 2, 'parent'],
    [
      'parent that is a file',
      `${ROOT_LINE}\n./a/f type=file uid=0 gid=0 mode=644\n./a type=file uid=0 gid=0 mode=644`,
      2,
      'not a directory',
    ],
    ['continued last line', `${ROOT_LINE}\n./f type=file \\`, 2, 'continued'],
    ['nothing', '#mtree\n', 1, 'no entries'],
    ['no root', './f type=file uid=0 gid=0 mode=644\n', 1, 'parent'],
    ['root that is a file', '. type=file uid=0 gid=0 mode=644\n', 1, 'root'],
    [
      'target too long',
      `${ROOT_LINE}\n./l type=link uid=0 gid=0 mode=755 link=${'x'.repeat(1024)}`,
      2,
      '1024',
    ],
  ])('is refused: %s', (_, spec, line, word) => {
    const error = refusal(spec);
    expect(error.code).toBe('BadSpec');
    expect(error.message).toContain(`line ${line} `);
    expect(error.message).toContain(word);
  });

  test('names of more than 255 bytes are refused with their line', () => {
    const error = refusal(`${ROOT_LINE}\n./${'n'.repeat(256)} type=file uid=0 gid=0 mode=644`);
    expect([error.code, error.message.includes('line 2 ')]).toEqual(['NameTooLong', true]);
  });
});

describe('flags', () => {
  test('by every name of strtofflags(3)', () => {
    const bits = {
      nodump: 0x1,
      uchg: 0x2,
      uimmutable: 0x2,
      uappnd: 0x4,
      opaque: 0x8,
      uunlnk: 0x10,
      usystem: 0x80,
      usparse: 0x100,
      uoffline: 0x200,
      ureparse: 0x400,
      uarch: 0x800,
      urdonly: 0x1000,
      uhidden: 0x8000,
      arch: 0x10000,
      schg: 0x20000,
      sappnd: 0x40000,
      sunlnk: 0x100000,
    };
    for (const [name, bit] of Object.entries(bits)) {
      expect([name, parseFlags(name)]).toEqual([name, bit]);
      expect([name, parseFlags(`no${name}`)]).toEqual([name, 0]);
    }
    expect(parseFlags('none')).toBe(0);
    expect(parseFlags('dump')).toBe(0);
    expect(parseFlags('schg,uarch')).toBe(0x20800);
    expect(parseFlags('schg,what')).toEqual({ unknown: 'what' });
    expect(parseFlags('nowhat')).toEqual({ unknown: 'nowhat' });
  });

  test('are printed by names that are read back', () => {
    for (const flags of [0, 1, 0x20800, 0x171f9f]) expect(parseFlags(formatFlags(flags))).toBe(flags);
    expect(formatFlags(0x40000000)).toBe('0x40000000');
  });
});
