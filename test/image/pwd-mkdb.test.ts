import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { accountDatabases } from '../../image/account-databases.ts';
import { hash, hashFile } from '../../image/berkeley-hash.ts';
import { HashFile, torekHash } from './hash-file-reader.ts';

const scratch = mkdtempSync(join(tmpdir(), 'pwd-mkdb-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const program = fileURLToPath(new URL('../../image/pwd-mkdb.ts', import.meta.url));

/** As in a release, with a comment, a hidden and an empty password, two users of uid 0. */
const base = `# $FreeBSD$
#
root::0:0::0:0:Charlie &:/root:/bin/sh
toor:*:0:0::0:0:Bourne-again Superuser:/root:
daemon:*:1:1::0:0:Owner of many system processes:/root:/usr/sbin/nologin
nobody:*:65534:65534::0:0:Unprivileged user:/nonexistent:/usr/sbin/nologin
`;
const user = (name: string, uid: number, password = '$6$salt$hash') =>
  `${name}:${password}:${uid}:${uid}:staff:5:1795400000:User ${name}:/home/${name}:/bin/sh\n`;
const many = (count: number) =>
  base + Array.from({ length: count }, (_, i) => user(`user${i}`, 1001 + i)).join('');
const databases = (text: string) => accountDatabases(Buffer.from(text));

const word = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const byName = (name: string) => Buffer.from(`A${name}`);
const byNumber = (number: number) => Buffer.concat([Buffer.from('B'), word(number)]);
const byUid = (uid: number) => Buffer.concat([Buffer.from('C'), word(uid)]);
const versionKey = Buffer.from('\xffVERSION', 'latin1');

/** Reads an entry as getpwent(3) does. */
function parse(entry: Buffer | undefined) {
  if (entry === undefined) return undefined;
  let at = 0;
  const string = () => {
    const end = entry.indexOf(0, at);
    if (end < 0) throw new Error('entry: a string without an end');
    const value = entry.toString('latin1', at, end);
    at = end + 1;
    return value;
  };
  const number = () => {
    at += 4;
    return entry.readUInt32BE(at - 4);
  };
  const parsed = {
    name: string(),
    password: string(),
    uid: number(),
    gid: number(),
    change: number(),
    class: string(),
    gecos: string(),
    home: string(),
    shell: string(),
    expire: number(),
    fields: number(),
  };
  if (at !== entry.length) throw new Error('entry: too long');
  return parsed;
}

/** Names with one hash: in `h × 33 + byte`, `b!` and `aB` are the same. */
const colliding = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    Array.from({ length: 9 }, (_bit, at) => (((i >> at) & 1) === 0 ? 'aB' : 'b!')).join(''),
  );

describe('the hash', () => {
  it.each([
    ['', 0],
    ['a', 97],
    ['ab', 97 * 33 + 98],
    // 65 × 33^4 + 114 × 33^3 + 111 × 33^2 + 111 × 33 + 116
    ['Aroot', 65 * 1_185_921 + 114 * 35_937 + 111 * 1089 + 111 * 33 + 116],
    ['%$sniglet^&\0', 0x956e_7de3],
  ])('of %j is %i', (key, value) => {
    expect(hash(Buffer.from(key))).toBe(value);
    expect(torekHash(Buffer.from(key))).toBe(value);
  });
});

describe('a file of one pair, by hand', () => {
  const file = hashFile([{ key: Buffer.from('a'), value: Buffer.from('xyz') }]);

  it('has ten pages: a header, eight buckets, the bitmap', () => {
    expect(file.length).toBe(10 * 4096);
  });

  it('has this header', () => {
    const words = [
      0x61561, 2, 4321, 4096, 12, 256, 256, 8, 3, 2, 7, 15, 7, 32, 1, 1, 0x956e7de3, 0, 0, 0, 4, 4,
    ];
    expect(Array.from({ length: 22 }, (_, i) => file.readUInt32BE(4 * i))).toEqual(words);
    // Split point 3, page 1 of it.
    expect(file.readUInt16BE(196)).toBe(3 * 2048 + 1);
    expect(file.subarray(198, 4096).every((byte) => byte === 0)).toBe(true);
  });

  it('has the pair in bucket 97 % 8 = 1, on page 2', () => {
    const page = file.subarray(2 * 4096, 3 * 4096);
    // Two slots, the key at 4095, the value at 4092; 4092 - 10 bytes are free, the lowest used byte is 4092.
    expect(page.subarray(0, 10).toString('hex')).toBe('00020fff0ffc0ff20ffc');
    expect(page.subarray(4092).toString()).toBe('xyza');
    expect(page.subarray(10, 4092).every((byte) => byte === 0)).toBe(true);
  });

  it('has a bitmap in which the bitmap itself is used, three pages are free and the others are not there', () => {
    expect(file.subarray(9 * 4096, 9 * 4096 + 8).toString('hex')).toBe('fffffff1ffffffff');
  });
});

describe('the databases', () => {
  const made = databases(base + user('ada', 1001));
  const open = new HashFile(made['pwd.db']);
  const secret = new HashFile(made['spwd.db']);

  it('say version 4, as one byte', () => {
    expect(open.get(versionKey)).toEqual(Buffer.from([4]));
    expect(secret.get(versionKey)).toEqual(Buffer.from([4]));
  });

  it('have every entry by name, number and uid', () => {
    const ada = {
      name: 'ada',
      password: '$6$salt$hash',
      uid: 1001,
      gid: 1001,
      change: 5,
      class: 'staff',
      gecos: 'User ada',
      home: '/home/ada',
      shell: '/bin/sh',
      expire: 1_795_400_000,
      fields: 0x3ff,
    };
    for (const key of [byName('ada'), byNumber(5), byUid(1001)]) {
      expect(parse(secret.get(key))).toEqual(ada);
      expect(parse(open.get(key))).toEqual({ ...ada, password: '*' });
    }
    expect(secret.check().size).toBe(1 + 3 * 5 - 1);
    expect(open.check().size).toBe(1 + 3 * 5 - 1);
  });

  it('have one byte string for an entry, by hand', () => {
    expect(secret.get(byName('toor'))?.toString('hex')).toBe(
      `${Buffer.from('toor\0*\0').toString('hex')}${'00'.repeat(12)}${Buffer.from('\0Bourne-again Superuser\0/root\0\0').toString('hex')}${'00000000'}${'000002df'}`,
    );
  });

  it('give uid 0 to the first that has it', () => {
    expect(parse(secret.get(byUid(0)))?.name).toBe('root');
    expect(parse(secret.get(byNumber(2)))?.name).toBe('toor');
  });

  it('tell an empty password from a hidden one in the fields', () => {
    expect(parse(secret.get(byName('root')))).toMatchObject({ password: '', fields: 0x3ff - 2 - 0x20 });
  });

  it('come with a passwd that has the comments and no password', () => {
    expect(made.passwd.toString().split('\n').slice(0, 4)).toEqual([
      '# $FreeBSD$',
      '#',
      'root:*:0:0:Charlie &:/root:/bin/sh',
      'toor:*:0:0:Bourne-again Superuser:/root:',
    ]);
    expect(made.passwd.toString()).toContain('\nada:*:1001:1001:User ada:/home/ada:/bin/sh\n');
  });

  it('keep bytes beyond ASCII', () => {
    const text = Buffer.from('ő:*:7:7::0:0:Erdős Pál:/:/bin/sh\n');
    const { 'pwd.db': db, passwd } = accountDatabases(text);
    expect(new HashFile(db).get(byName('ő'))?.includes(Buffer.from('Erdős Pál\0'))).toBe(true);
    expect(passwd.toString()).toBe('ő:*:7:7:Erdős Pál:/:/bin/sh\n');
  });

  it('have NIS lines as pwd_mkdb(8) does', () => {
    const file = new HashFile(databases(`${base}+@staff:*::::::::\n+:::::::::\n`)['spwd.db']);
    expect(file.get(Buffer.from('D'))).toEqual(Buffer.from([3]));
    expect(parse(file.get(Buffer.concat([Buffer.from('E'), word(1)])))).toMatchObject({
      name: '+@staff',
      fields: 2,
    });
    expect(parse(file.get(Buffer.concat([Buffer.from('E'), word(2)])))).toMatchObject({
      name: '+',
      fields: 1,
    });
  });

  it('are the same bytes every time', () => {
    const again = databases(base + user('ada', 1001));
    expect(again['pwd.db'].equals(made['pwd.db'])).toBe(true);
    expect(again['spwd.db'].equals(made['spwd.db'])).toBe(true);
  });

  it('hold 5,000 users, each found by each key', () => {
    const { 'spwd.db': db } = databases(many(5000));
    const file = new HashFile(db);
    expect(file.check().size).toBe(1 + 3 * 5004 - 1);
    for (let i = 0; i < 5000; i++) {
      expect(parse(file.get(byName(`user${i}`)))?.uid).toBe(1001 + i);
      expect(parse(file.get(byNumber(5 + i)))?.name).toBe(`user${i}`);
      expect(parse(file.get(byUid(1001 + i)))?.name).toBe(`user${i}`);
    }
    expect(file.header.keys / (file.header.maxBucket + 1)).toBeLessThanOrEqual(file.header.fillFactor);
  });

  it('put names of equal hash on overflow pages', () => {
    const names = colliding(500);
    expect(new Set(names.map((name) => hash(byName(name)))).size).toBe(1);
    const file = new HashFile(
      databases(base + names.map((name, i) => user(name, 1001 + i)).join(''))['spwd.db'],
    );
    expect(file.header.spares.at(file.header.overflowPoint)).toBeGreaterThan(11);
    file.check();
    for (const [i, name] of names.entries()) expect(parse(file.get(byName(name)))?.uid).toBe(1001 + i);
  });

  it('hold any pairs that fit a page', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
    const value = fc.oneof(
      bytes,
      fc.integer({ min: 0, max: 4000 }).map((length) => Buffer.alloc(length, 'v')),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ key: bytes, value }), { maxLength: 120 }), (pairs) => {
        const file = new HashFile(hashFile(pairs));
        const expected = new Map<string, Buffer>();
        for (const pair of pairs) {
          const name = pair.key.toString('latin1');
          if (!expected.has(name)) expected.set(name, pair.value);
        }
        expect(file.check()).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it('refuse a pair that is larger than a page', () => {
    const pair = (length: number) => [{ key: Buffer.from('k'), value: Buffer.alloc(length, 'v') }];
    // 4096 - 6 (table) - 4 (the pair's slots) - 4 (room for a link) - 1 (the key)
    expect(new HashFile(hashFile(pair(4081))).check().size).toBe(1);
    expect(() => hashFile(pair(4082))).toThrow(expect.objectContaining({ code: 'AccountInvalid' }));
  });
});

describe('damage is seen by the reader', () => {
  const whole = databases(
    base +
      colliding(40)
        .map((name, i) => user(name, 1001 + i))
        .join(''),
  )['spwd.db'];
  const at = (file: HashFile, key: Buffer) => 4096 * (1 + file.bucketOf(key));
  const chained = at(new HashFile(whole), byName(colliding(1)[0] ?? ''));

  it('has none before', () => {
    expect(new HashFile(whole).check().size).toBe(1 + 3 * 44 - 1);
  });

  it.each<[string, string, (bytes: Buffer) => void]>([
    ['the magic', 'wrong magic', (b) => b.writeUInt32BE(0x61562, 0)],
    ['the byte order', 'big-endian', (b) => b.writeUInt32BE(1234, 8)],
    ['the hash function', 'another hash function', (b) => b.writeUInt32BE(1, 64)],
    ['the masks', 'masks', (b) => b.writeUInt32BE(7, 44)],
    ['the number of keys', 'number of keys', (b) => b.writeUInt32BE(3, 56)],
    ['a key', 'wrong bucket', (b) => b.writeUInt8(b.readUInt8(chained + 4095) ^ 1, chained + 4095)],
    ['an offset', 'offsets', (b) => b.writeUInt16BE(4097, chained + 2)],
    ['the free bytes', 'free bytes', (b) => b.writeUInt16BE(0, chained + 2 * (b.readUInt16BE(chained) + 1))],
    ['a link', 'number of keys', (b) => b.writeUInt16BE(0x4801, chained + 2 * (b.readUInt16BE(chained) - 1))],
    ['the bitmap', 'overflow page', (b) => b.writeUInt8(0, b.length - 4096 * overflowPages(b) - 4093)],
  ])('in %s', (_, message, damage) => {
    const bytes = Buffer.from(whole);
    damage(bytes);
    expect(() => new HashFile(bytes).check()).toThrow(message);
  });

  /** Pages behind the bitmap. */
  function overflowPages(bytes: Buffer): number {
    return bytes.length / 4096 - 1 - (bytes.readUInt32BE(40) + 1) - 1;
  }
});

describe('a malformed line', () => {
  it.each([
    ['ada:*:1001:1001::0:0:A:/home/ada', 'has 9 fields instead of 10'],
    ['ada:*:1001:1001::0:0:A:/home/ada:/bin/sh:', 'has 11 fields'],
    ['ada', 'has 1 fields'],
    [':*:1001:1001::0:0:A:/home/ada:/bin/sh', 'has no name'],
    [`${'a'.repeat(33)}:*:1001:1001::0:0:A:/home/ada:/bin/sh`, 'longer than 32 bytes'],
    ['ada:*::1001::0:0:A:/home/ada:/bin/sh', 'uid ""'],
    ['ada:*:-1:1001::0:0:A:/home/ada:/bin/sh', 'uid "-1"'],
    ['ada:*:4294967296:1001::0:0:A:/home/ada:/bin/sh', 'uid "4294967296"'],
    ['ada:*:1001:x::0:0:A:/home/ada:/bin/sh', 'gid "x"'],
    ['root:*:5:0::0:0:A:/root:/bin/sh', 'root a uid that is not 0'],
    ['ada:*:1001:1001::soon:0:A:/home/ada:/bin/sh', 'change time "soon"'],
    ['ada:*:1001:1001::0:never:A:/home/ada:/bin/sh', 'expire time "never"'],
    ['ada:*:1001:1001::0:0:A\0B:/home/ada:/bin/sh', 'control character'],
    ['ada:*:1001:1001::0:0:A:/home/ada:/bin/sh\r', 'control character'],
    [`ada:*:1001:1001::0:0:${'g'.repeat(2010)}:/home/ada:/bin/sh`, 'longer than 2046 bytes'],
  ])('line %j is refused with its number', (line, problem) => {
    expect(() => databases(`${base}${line}\n`)).toThrow(': line 7 ');
    expect(() => databases(`${base}${line}\n`)).toThrow(problem);
  });

  it('is no line that is empty or a comment', () => {
    expect(databases(`\n \t# x\n${base}`).passwd.toString().startsWith('\n \t# x\n# $FreeBSD$\n')).toBe(true);
  });
});

describe('the command', () => {
  const etc = (text: string) => {
    const folder = mkdtempSync(join(scratch, 'etc-'));
    writeFileSync(join(folder, 'master.passwd'), text, { mode: 0o600 });
    return folder;
  };
  const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });

  it('writes the three files, the secret one for the owner only', () => {
    const folder = etc(base);
    expect(run('--directory', folder)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readdirSync(folder).sort()).toEqual(['master.passwd', 'passwd', 'pwd.db', 'spwd.db']);
    expect(statSync(join(folder, 'spwd.db')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(folder, 'spwd.db')).equals(databases(base)['spwd.db'])).toBe(true);
  });

  it('replaces a link and does not follow it', () => {
    const folder = etc(base);
    mkdirSync(join(folder, 'outside'));
    for (const name of ['pwd.db', 'spwd.db.tmp', 'passwd']) symlinkSync('outside/x', join(folder, name));
    expect(run('--directory', folder).status).toBe(0);
    expect(existsSync(join(folder, 'outside/x'))).toBe(false);
  });

  it('says what is wrong in one line and leaves the files as they were', () => {
    const folder = etc(`${base}ada\nbob:*:x:1::0:0::/:\n`);
    writeFileSync(join(folder, 'pwd.db'), 'before');
    const { status, stderr } = run('--directory', folder);
    expect(status).toBe(1);
    expect(stderr).toBe(
      'pwd-mkdb: AccountInvalid: master.passwd: line 7 has 1 fields instead of 10, line 8 has the uid "x", which is no number up to 4294967295; write these lines as passwd(5) says\n',
    );
    expect(readFileSync(join(folder, 'pwd.db'), 'utf8')).toBe('before');
  });

  it.each([[[]], [['--directory']], [['--directory', '']], [['/etc']]])('refuses %j', (args) => {
    expect(run(...args)).toMatchObject({ status: 1, stderr: expect.stringMatching(/^pwd-mkdb: Usage: /) });
  });

  it('is AccountInvalid without a master.passwd', () => {
    expect(run('--directory', scratch)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^pwd-mkdb: AccountInvalid: master\.passwd cannot be read: .*; .*\n$/),
    });
  });
});

const library = ['/lib/libdb1.so.2', '/usr/lib/libdb1.so.2'].find(existsSync);
if (library === undefined) {
  console.error(
    'SKIPPED: there is no Berkeley DB 1.85 (Debian: apt-get install libdb1-compat), so it does not judge the account databases.',
  );
}

describe.skipIf(library === undefined)('the original Berkeley DB 1.85', () => {
  const ask = (commands: readonly string[]) => {
    const script = fileURLToPath(new URL('db185.py', import.meta.url));
    const { status, stdout, stderr } = spawnSync('python3', [script, library ?? ''], {
      input: commands.map((command) => `${command}\n`).join(''),
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return stdout.split('\n');
  };
  let turn = 0;
  const onDisk = (bytes: Buffer) => {
    const path = join(scratch, `db-${turn++}`);
    writeFileSync(path, bytes);
    chmodSync(path, 0o644);
    return path;
  };
  const hex = (key: Buffer) => key.toString('hex');
  const pairsOf = (bytes: Buffer) =>
    [...new HashFile(bytes).check()].map(([key, value]) => [hex(Buffer.from(key, 'latin1')), hex(value)]);

  /** What lies between a page's table and its contents is whatever the library had in its memory. */
  function withoutFreeSpace(bytes: Buffer): Buffer {
    const clean = Buffer.from(bytes);
    for (let bucket = 0; bucket <= clean.readUInt32BE(40); bucket++) {
      const page = clean.subarray(4096 * (1 + bucket), 4096 * (2 + bucket));
      const slots = page.readUInt16BE(0);
      if (slots > 0) page.fill(0, 2 * (slots + 3), page.readUInt16BE(2 * (slots + 2)));
    }
    return clean;
  }

  it.each([0, 1, 24, 60])('writes the same bytes for %i users, asked as pwd_mkdb(8) asks', (count) => {
    const ours = databases(many(count))['spwd.db'];
    const path = join(scratch, `created-${count}`);
    const lines = many(count)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const file = new HashFile(ours);
    const keys = lines.flatMap((line, i) => {
      const [name, , uid] = line.split(':');
      return [byName(name ?? ''), byNumber(i + 1), byUid(Number(uid))];
    });
    const said = ask([
      `create ${path}`,
      ...[versionKey, ...keys].map((key) => `put ${hex(key)} ${hex(file.get(key) ?? Buffer.alloc(0))}`),
      'close',
    ]);
    expect(said[0]).toBe('opened');
    expect(withoutFreeSpace(readFileSync(path)).equals(ours)).toBe(true);
  });

  it.each([
    ['of a release', base],
    ['with 300 users', many(300)],
    ['with 5,000 users', many(5000)],
    [
      'with 500 names of equal hash',
      base +
        colliding(500)
          .map((name, i) => user(name, 1001 + i))
          .join(''),
    ],
  ])('reads a database %s: every pair by its key, and no other', (_, text) => {
    const ours = databases(text)['spwd.db'];
    const pairs = pairsOf(ours);
    const said = ask([
      `open ${onDisk(ours)}`,
      ...pairs.map(([key]) => `get ${key}`),
      `get ${hex(byName('nobody-at-all'))}`,
      'list',
      'close',
    ]);
    expect(said[0]).toBe('opened');
    expect(said.slice(1, 1 + pairs.length)).toEqual(pairs.map(([, value]) => value));
    expect(said[1 + pairs.length]).toBe('-');
    expect(said[2 + pairs.length]?.split(' ').sort()).toEqual(pairs.map((pair) => pair.join('=')).sort());
  });

  it.each([
    ['of a release', base],
    ['with 2,000 users', many(2000)],
    [
      'with 400 names of equal hash',
      base +
        colliding(400)
          .map((name, i) => user(name, 1001 + i))
          .join(''),
    ],
  ])('goes on writing in a database %s, as pw(8) would on the machine', (_, text) => {
    const ours = databases(text)['spwd.db'];
    const pairs = pairsOf(ours);
    const gone = pairs.filter((_pair, i) => i % 3 === 0);
    const added = Array.from({ length: 3000 }, (_pair, i) => [
      hex(Buffer.from(`added ${i}`)),
      hex(Buffer.alloc(1 + (i % 200), i)),
    ]);
    const path = onDisk(ours);
    const said = ask([
      `update ${path}`,
      ...gone.map(([key]) => `delete ${key}`),
      ...added.map(([key, value]) => `put ${key} ${value}`),
      ...pairs.slice(0, 1).map(([key, value]) => `put ${key} ${value}`),
      'close',
    ]);
    expect(new Set(said.slice(1, -1))).toEqual(new Set(['0']));
    const expected = [...pairs.filter((_pair, i) => i % 3 !== 0 || i === 0), ...added];
    expect(pairsOf(readFileSync(path)).map(String).sort()).toEqual(expected.map(String).sort());
  });
});
