import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as esbuild from 'esbuild';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HashFile } from '../image/hash-file-reader.ts';
import { root, shells } from './worker-run.ts';

const scratch = mkdtempSync(join(tmpdir(), 'worker-accounts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** worker/ with pwd-mkdb.mjs beside it, as the payload has it. */
const worker = join(scratch, 'worker');
beforeAll(async () => {
  mkdirSync(worker);
  symlinkSync(join(root, 'worker/platform'), join(worker, 'platform'));
  for (const name of readdirSync(join(root, 'worker')))
    if (/\.(sh|awk)$/.test(name)) symlinkSync(join(root, 'worker', name), join(worker, name));
  await esbuild.build({
    entryPoints: [join(root, 'image/pwd-mkdb.ts')],
    outfile: join(worker, 'pwd-mkdb.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
  });
});

const GROUP = `# $FreeBSD$
#
wheel:*:0:root
daemon:*:1:
operator:*:5:root,daemon
www:*:80:
nogroup:*:65533:
`;
const MASTER = `# $FreeBSD$
#
root::0:0::0:0:Charlie &:/root:/bin/sh
toor::0:0::0:0:Bourne-again Superuser:/root:
daemon:*:1:1:daemon:0:0:Owner of many system processes:/root:/usr/sbin/nologin
www:*:80:80::0:0:World Wide Web Owner:/nonexistent:/usr/sbin/nologin
`;

let state: string;
let tree: string;
let turn = 0;
const put = (path: string, content: string) => {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content);
};
const fresh = () => {
  state = join(scratch, String(turn++));
  tree = join(state, 'tree');
  mkdirSync(tree, { recursive: true });
  put('etc/group', GROUP);
  put('etc/master.passwd', MASTER);
  put('root/.profile', '');
  put('usr/share/skel/dot.profile', 'PATH=/bin\n');
  put('usr/share/skel/dot.mail_aliases', '');
  put('usr/share/skel/notes with "quotes"', 'x\n');
  writeFileSync(
    join(state, 'spec'),
    './usr/share/skel/dot.profile type=file uid=0 gid=0 mode=0644 flags=none time=1.0\n./usr/share/skel/dot.mail_aliases type=file uid=0 gid=0 mode=600 flags=none time=1.0\n',
  );
};
beforeEach(fresh);

const read = (path: string) => readFileSync(join(tree, path), 'utf8');
const lineOf = (path: string, name: string) =>
  read(path)
    .split('\n')
    .find((line) => line.startsWith(`${name}:`));
/** What the last line of the specification says of a path. */
const recorded = (path: string) => {
  const line = readFileSync(join(state, 'spec'), 'utf8')
    .split('\n')
    .filter((text) => text.startsWith(`./${path} `))
    .at(-1);
  return line?.match(/type=\S+ uid=\S+ gid=\S+ mode=\S+/)?.[0];
};

type Values = Readonly<Record<string, string | number>>;
const encode = (text: string | Buffer) => Buffer.from(text).toString('base64');

/** The job's keys for these groups and users; comment, password and keys as plain text. */
function keys(groups: readonly Values[], users: readonly Values[]) {
  const lines: [string, string | number][] = [
    ['group.count', groups.length],
    ['user.count', users.length],
  ];
  for (const [i, group] of groups.entries())
    for (const [key, value] of Object.entries({ gid: '', ...group }))
      lines.push([`group.${i + 1}.${key}`, value]);
  const none = { uid: '', group: '', groups: '', comment: '', home: '', shell: '', password: '', keys: '' };
  for (const [i, user] of users.entries()) {
    for (const [key, value] of Object.entries({ ...none, ...user })) {
      const encoded = ['comment', 'password', 'keys'].includes(key) && value !== '';
      lines.push([`user.${i + 1}.${key}`, encoded ? encode(String(value)) : value]);
    }
  }
  return lines;
}

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))('under $name', ({ shell }) => {
  const run = (script: string, ...args: string[]) => {
    const prelude = `set -eu; LC_ALL=C; export LC_ALL; umask 022; worker='${worker}'; state='${state}'; tree='${tree}'; job_timestamp=1795400000
. "$worker/console.sh"; . "$worker/job.sh"; . "$worker/extents.sh"; . "$worker/tree.sh"; . "$worker/accounts.sh"; . "$worker/platform/linux.sh"
fail() { printf '%s\\n%s\\n%s\\n' "$1" "$2" "$3"; exit 1; }
`;
    const [command, ...rest] = shell;
    const { status, stdout, stderr } = spawnSync(command, [...rest, '-c', prelude + script, 'sh', ...args], {
      cwd: state,
      encoding: 'utf8',
    });
    const [code = '', message = ''] = stdout.split('\n');
    return { status, stdout, stderr, code, message };
  };
  const apply = (groups: readonly Values[], users: readonly Values[]) => {
    mkdirSync(join(state, 'job'), { recursive: true });
    for (const [key, value] of keys(groups, users)) writeFileSync(join(state, 'job', key), `${value}\n`);
    return run('accounts_apply');
  };
  const done = (result: ReturnType<typeof run>) =>
    expect(result).toMatchObject({ status: 0, stdout: '', stderr: '' });

  describe('accounts_apply', () => {
    it('leaves a tree alone for a job without accounts, and for one that knows none', () => {
      done(apply([], []));
      mkdirSync(join(state, 'job'), { recursive: true });
      rmSync(join(state, 'job'), { recursive: true });
      mkdirSync(join(state, 'job'));
      done(run('accounts_apply'));
      expect(read('etc/group')).toBe(GROUP);
      expect(read('etc/master.passwd')).toBe(MASTER);
    });

    it('makes a user with all defaults of pw(8)', () => {
      done(apply([], [{ name: 'ada' }]));
      expect(lineOf('etc/master.passwd', 'ada')).toBe('ada:*:1001:1001::0:0::/home/ada:/bin/sh');
      expect(read('etc/master.passwd').startsWith(MASTER)).toBe(true);
      expect(read('etc/group')).toBe(`${GROUP}ada:*:1001:\n`);
      expect(recorded('etc/master.passwd')).toBe('type=file uid=0 gid=0 mode=0600');
      expect(recorded('etc/group')).toBe('type=file uid=0 gid=0 mode=0644');
      expect(recorded('home')).toBe('type=dir uid=0 gid=0 mode=0755');
      expect(recorded('home/ada')).toBe('type=dir uid=1001 gid=1001 mode=0755');
    });

    it('makes a user with everything given, dangerous characters as they are', () => {
      const comment = '$(touch pwned) `id` \\n "Ada" %s & Lovelace, ő';
      done(
        apply(
          [{ name: 'staff', gid: 2000 }],
          [
            {
              name: 'ada',
              uid: 1500,
              group: 'staff',
              groups: 'wheel,operator',
              comment,
              home: '/srv/people/ada',
              shell: '/usr/local/bin/bash',
              password: '$6$a/b.c$xyz',
            },
          ],
        ),
      );
      expect(lineOf('etc/master.passwd', 'ada')).toBe(
        `ada:$6$a/b.c$xyz:1500:2000::0:0:${comment}:/srv/people/ada:/usr/local/bin/bash`,
      );
      expect(lineOf('etc/group', 'wheel')).toBe('wheel:*:0:root,ada');
      expect(lineOf('etc/group', 'operator')).toBe('operator:*:5:root,daemon,ada');
      expect(lineOf('etc/group', 'ada')).toBeUndefined();
      expect(existsSync(join(state, 'pwned'))).toBe(false);
    });

    it('copies the skeleton, with its modes, to the user', () => {
      done(apply([], [{ name: 'ada' }]));
      expect(readdirSync(join(tree, 'home/ada')).sort()).toEqual([
        '.mail_aliases',
        '.profile',
        'notes with "quotes"',
      ]);
      expect(read('home/ada/.profile')).toBe('PATH=/bin\n');
      expect(recorded('home/ada/.profile')).toBe('type=file uid=1001 gid=1001 mode=0644');
      expect(recorded('home/ada/.mail_aliases')).toBe('type=file uid=1001 gid=1001 mode=0600');
      expect(recorded('home/ada/notes\\040with\\040\\042quotes\\042')).toBe(
        'type=file uid=1001 gid=1001 mode=0644',
      );
    });

    it('gives the lowest free numbers, never one that the job names elsewhere', () => {
      put('etc/master.passwd', `${MASTER}old:*:1002:1002::0:0::/:/bin/sh\n`);
      done(apply([{ name: 'g' }], [{ name: 'a' }, { name: 'b' }, { name: 'c', uid: 1001 }, { name: 'd' }]));
      const ids = ['a', 'b', 'c', 'd'].map((name) =>
        lineOf('etc/master.passwd', name)?.split(':').slice(2, 4),
      );
      expect(lineOf('etc/group', 'g')).toBe('g:*:1001:');
      // b's group would be 1004 like its uid; c's uid 1001 is the group g's number, so that gets the lowest free one.
      expect(ids).toEqual([
        ['1003', '1003'],
        ['1004', '1004'],
        ['1001', '1002'],
        ['1005', '1005'],
      ]);
    });

    it('changes a user that is there in what is given only', () => {
      done(apply([], [{ name: 'www', shell: '/usr/local/bin/bash' }]));
      expect(lineOf('etc/master.passwd', 'www')).toBe(
        'www:*:80:80::0:0:World Wide Web Owner:/nonexistent:/usr/local/bin/bash',
      );
      done(apply([], [{ name: 'daemon', uid: 1, group: 'wheel', comment: 'D', password: '$6$x' }]));
      expect(lineOf('etc/master.passwd', 'daemon')).toBe(
        'daemon:$6$x:1:0:daemon:0:0:D:/root:/usr/sbin/nologin',
      );
      expect(existsSync(join(tree, 'home'))).toBe(false);
    });

    it('leaves a user that is there as it is, but for what is given', () => {
      done(apply([], [{ name: 'root', keys: 'ssh-rsa A' }, { name: 'daemon' }, { name: 'www' }]));
      expect(read('etc/master.passwd')).toBe(MASTER);
      expect(read('etc/group')).toBe(GROUP);
      expect(read('root/.ssh/authorized_keys')).toBe('ssh-rsa A\n');
      expect(existsSync(join(tree, 'home'))).toBe(false);
    });

    it('makes keys that only their owner may write', () => {
      const text = 'ssh-ed25519 AAAA ada@example\nssh-rsa BBBB "x" $(id)';
      done(
        apply(
          [],
          [
            { name: 'ada', keys: text },
            { name: 'root', keys: text },
          ],
        ),
      );
      expect(read('home/ada/.ssh/authorized_keys')).toBe(`${text}\n`);
      expect(recorded('home/ada/.ssh')).toBe('type=dir uid=1001 gid=1001 mode=0700');
      expect(recorded('home/ada/.ssh/authorized_keys')).toBe('type=file uid=1001 gid=1001 mode=0600');
      expect(recorded('root/.ssh/authorized_keys')).toBe('type=file uid=0 gid=0 mode=0600');
      expect(recorded('root')).toBeUndefined();
    });

    it('does the same when nothing is new', () => {
      const job = [[{ name: 'g' }], [{ name: 'ada', groups: 'g,wheel' }]] as const;
      done(apply(...job));
      const before = [read('etc/group'), read('etc/master.passwd')];
      done(apply(...job));
      expect([read('etc/group'), read('etc/master.passwd')]).toEqual(before);
    });

    it.each([
      ['a directory', () => mkdirSync(join(tree, 'home')), 'home/ada'],
      ['absent', () => {}, 'home/ada'],
      [
        'a link to usr/home',
        () => {
          put('usr/home/.keep', '');
          symlinkSync('usr/home', join(tree, 'home'));
        },
        'usr/home/ada',
      ],
      ['a link to what is not there yet', () => symlinkSync('usr/home', join(tree, 'home')), 'usr/home/ada'],
      ['an absolute link', () => symlinkSync('/usr/home', join(tree, 'home')), 'usr/home/ada'],
      ['a link that climbs', () => symlinkSync('../../../../usr/home', join(tree, 'home')), 'usr/home/ada'],
    ])('makes the home directory where /home is %s', (_, prepare, expected) => {
      prepare();
      done(apply([], [{ name: 'ada', keys: 'ssh-rsa A' }]));
      expect(recorded(expected)).toBe('type=dir uid=1001 gid=1001 mode=0755');
      expect(read(`${expected}/.ssh/authorized_keys`)).toBe('ssh-rsa A\n');
    });

    it('never leaves the tree', () => {
      const outside = join(state, 'outside');
      mkdirSync(outside);
      symlinkSync(outside, join(tree, 'home'));
      done(apply([], [{ name: 'ada', keys: 'ssh-rsa A' }]));
      expect(readdirSync(outside)).toEqual([]);
    });

    it('replaces a link in the place of the keys and of the account files, and does not follow it', () => {
      const outside = join(state, 'outside');
      writeFileSync(outside, 'mine\n');
      mkdirSync(join(tree, 'root/.ssh'), { recursive: true });
      symlinkSync(outside, join(tree, 'root/.ssh/authorized_keys'));
      done(apply([], [{ name: 'root', keys: 'ssh-rsa A' }]));
      expect(readFileSync(outside, 'utf8')).toBe('mine\n');
      expect(lstatSync(join(tree, 'root/.ssh/authorized_keys')).isFile()).toBe(true);
    });

    it.each<[string, Values[], Values[]]>([
      ['group.1.gid is 5, which the group operator has', [{ name: 'g', gid: 5 }], []],
      ['group.1.gid is 7, but the group www has 80', [{ name: 'www', gid: 7 }], []],
      [
        'group.2.gid is 2000, which the group a has',
        [
          { name: 'a', gid: 2000 },
          { name: 'b', gid: '02000' },
        ],
        [],
      ],
      ['group.1.name is no name', [{ name: 'a:b' }], []],
      ['group.1.name is no name', [{ name: '-a' }], []],
      ['group.1.name is no name', [{ name: '123' }], []],
      ['group.1.name is no name', [{ name: 'a'.repeat(33) }], []],
      ['group.1.gid is no number', [{ name: 'g', gid: '4294967295' }], []],
      ['group.1.gid is no number', [{ name: 'g', gid: '1e3' }], []],
      ['user.1.uid is 80, which the user www has', [], [{ name: 'ada', uid: 80 }]],
      ['user.1.uid is 0, which the user root has', [], [{ name: 'ada', uid: '000' }]],
      ['user.1.uid is 81, but the user www has 80', [], [{ name: 'www', uid: 81 }]],
      [
        'user.2.uid is 1001, which the user a has',
        [],
        [
          { name: 'a', uid: 1001 },
          { name: 'b', uid: 1001 },
        ],
      ],
      ['user.1.groups names the group none, which is not there', [], [{ name: 'ada', groups: 'wheel,none' }]],
      ['user.1.groups names the group ??id?, which is not there', [], [{ name: 'ada', groups: '$(id)' }]],
      ['user.1.group is no name', [], [{ name: 'ada', group: 'a b' }]],
      ['user.1.comment has a colon', [], [{ name: 'ada', comment: 'a:0:0' }]],
      ['user.1.comment has a control character', [], [{ name: 'ada', comment: 'a\nroot::0:0::0:0::/:' }]],
      ['user.1.comment has a control character', [], [{ name: 'ada', comment: 'a\n' }]],
      ['user.1.comment has a control character', [], [{ name: 'ada', comment: 'a\tb' }]],
      ['user.1.password has a control character', [], [{ name: 'ada', password: 'a\0' }]],
      ['user.1.password has a colon', [], [{ name: 'ada', password: ':0:0' }]],
      ['user.1.shell has a control character', [], [{ name: 'ada', shell: '/bin/sh\t' }]],
      ['user.1.shell is no absolute path', [], [{ name: 'ada', shell: 'sh' }]],
      ['user.1.home is no absolute path', [], [{ name: 'ada', home: '/home/../etc' }]],
      ['user.1.home is no absolute path', [], [{ name: 'ada', home: '/' }]],
      ['user.1.home has a colon', [], [{ name: 'ada', home: '/home/a:b' }]],
      ['user.1.home is a file of the image', [], [{ name: 'ada', home: '/etc/group' }]],
      ['user.1.home has a parent that is a file', [], [{ name: 'ada', home: '/etc/group/ada' }]],
      ['user.1.keys has a control character', [], [{ name: 'ada', keys: 'ssh-rsa A\r\n' }]],
      [
        'user.1.keys has no place: the home directory is /nonexistent',
        [],
        [{ name: 'www', keys: 'ssh-rsa A' }],
      ],
    ])('is AccountInvalid: %s', (message, groups, users) => {
      const result = apply(groups, users);
      expect(result).toMatchObject({ status: 1, code: 'AccountInvalid', stderr: '' });
      expect(result.message).toContain(message);
    });

    it('names every mistake at once, and changes nothing', () => {
      const { message } = apply(
        [{ name: 'g', gid: 5 }],
        [{ name: 'ada', groups: 'x,y', uid: 80 }, { name: '!' }],
      );
      for (const part of ['group.1.gid', 'user.1.uid', 'group x', 'group y', 'user.2.name'])
        expect(message).toContain(part);
      expect(read('etc/group')).toBe(GROUP);
      expect(read('etc/master.passwd')).toBe(MASTER);
    });

    it('is AccountInvalid in a tree without account files, and in one whose are links', () => {
      rmSync(join(tree, 'etc/group'));
      expect(apply([], [{ name: 'ada' }])).toMatchObject({ status: 1, code: 'AccountInvalid' });
      symlinkSync('/etc/group', join(tree, 'etc/group'));
      expect(apply([], [{ name: 'ada' }])).toMatchObject({ status: 1, code: 'AccountInvalid' });
    });

    it('refuses a .ssh that is a link, and a path of links without end', () => {
      symlinkSync('/etc', join(tree, 'root/.ssh'));
      expect(apply([], [{ name: 'root', keys: 'ssh-rsa A' }])).toMatchObject({ code: 'AccountInvalid' });
      symlinkSync('home', join(tree, 'home'));
      expect(apply([], [{ name: 'ada' }]).message).toContain('user.1.home goes through more than');
    });

    it('keeps any comment byte for byte or names its key, and runs none', () => {
      const hostile = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('$(touch pwned)', '\\c', '%s', '&', '-n', '=', ' x '),
      );
      fc.assert(
        fc.property(hostile, (comment) => {
          fresh();
          const { status, code, message } = apply([], [{ name: 'ada', comment }]);
          if (status === 0) {
            expect(lineOf('etc/master.passwd', 'ada')).toBe(
              `ada:*:1001:1001::0:0:${Buffer.from(comment).toString()}:/home/ada:/bin/sh`,
            );
          } else {
            expect(code).toBe('AccountInvalid');
            expect(message).toContain('user.1.comment');
          }
          expect(existsSync(join(state, 'pwned'))).toBe(false);
        }),
        { numRuns: 30 },
      );
    }, 60_000);

    it('adds five hundred users', () => {
      done(
        apply(
          [],
          Array.from({ length: 500 }, (_, i) => ({ name: `user${i}`, home: '/nonexistent', groups: 'www' })),
        ),
      );
      expect(lineOf('etc/master.passwd', 'user499')).toContain(':1500:1500:');
      expect(lineOf('etc/group', 'www')?.split(',').length).toBe(500);
    }, 60_000);
  });

  describe('accounts_seal', () => {
    it('hides empty passwords of root and toor and makes the databases', () => {
      done(apply([], [{ name: 'ada', password: '$6$ada' }]));
      done(run('accounts_seal'));
      expect(lineOf('etc/master.passwd', 'root')).toMatch(/^root:\*:0:0:/);
      expect(lineOf('etc/master.passwd', 'toor')).toMatch(/^toor:\*:0:0:/);
      expect(lineOf('etc/passwd', 'ada')).toBe('ada:*:1001:1001::/home/ada:/bin/sh');
      const secret = new HashFile(readFileSync(join(tree, 'etc/spwd.db')));
      expect(secret.get(Buffer.from('Aada'))?.toString()).toContain('ada\0$6$ada\0');
      expect(secret.get(Buffer.from('Aroot'))?.toString()).toContain('root\0*\0');
      expect(readFileSync(join(tree, 'etc/pwd.db')).includes('$6$ada')).toBe(false);
      expect(
        ['master.passwd', 'passwd', 'pwd.db', 'spwd.db'].map((name) => recorded(`etc/${name}`)?.slice(-4)),
      ).toEqual(['0600', '0644', '0644', '0600']);
    });

    it('keeps the password that the job gives root', () => {
      done(apply([], [{ name: 'root', password: '$6$root' }]));
      done(run('accounts_seal'));
      expect(lineOf('etc/master.passwd', 'root')).toMatch(/^root:\$6\$root:0:0:/);
    });

    it('has nothing to do in a tree without master.passwd', () => {
      rmSync(join(tree, 'etc/master.passwd'));
      done(run('accounts_seal'));
      expect(readdirSync(join(tree, 'etc'))).toEqual(['group']);
    });

    it('is AccountInvalid, with the line, when master.passwd is malformed', () => {
      put('etc/master.passwd', `${MASTER}ada:*:1001\n`);
      const { status, code, message } = run('accounts_seal');
      expect({ status, code }).toEqual({ status: 1, code: 'AccountInvalid' });
      expect(message).toContain('line 7 has 3 fields instead of 10');
    });
  });

  describe('account_uid and account_gid', () => {
    it.each([
      ['account_uid root', '0'],
      ['account_uid www user.1', '80'],
      ['account_uid 4711', '4711'],
      ['account_gid operator', '5'],
      ['account_gid 0', '0'],
    ])('%s is %s', (call, expected) => {
      expect(run(call)).toMatchObject({ status: 0, stdout: `${expected}\n` });
    });

    it('finds the users of the job', () => {
      done(apply([], [{ name: 'ada' }]));
      expect(run('account_uid ada; account_gid ada').stdout).toBe('1001\n1001\n');
    });

    it.each(['nobody', '', 'ro', 'r.*', '1e0', 'root:'])(
      '%j is AccountInvalid, or false without a key',
      (name) => {
        expect(run('account_uid "$1" file.1.uid', name)).toMatchObject({
          status: 1,
          code: 'AccountInvalid',
          message: `file.1.uid names the user ${name}, which the image does not have`,
        });
        expect(run('account_gid "$1" && echo there || echo false', name).stdout).toBe('false\n');
      },
    );
  });
});
