/** Whole installations: what lies in the tree, in the specification and in the register, and what is refused. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DemoPackage, packageFile } from '../../local/demo-release/package-archive.ts';
import { PORTS } from '../../local/demo-release/ports.ts';
import { ABI, makeStage, repositoryLines, type Stage, simple, TIMESTAMP } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await makeStage();
});
beforeEach(() => stage.fresh());
afterAll(() => stage.close());

const inTree = (path: string): string => join(stage.tree, path);

/** Asks the register by Python's SQLite, which is not Node's. */
function ask(sql: string): (string | number | null)[][] {
  const program =
    'import json,sqlite3,sys\nprint(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))';
  return JSON.parse(
    execFileSync('python3', ['-c', program, inTree('var/db/pkg/local.sqlite'), sql], { encoding: 'utf8' }),
  );
}

describe('the demo ports', () => {
  const WANTED = [
    'pkg',
    'nginx',
    'net/cloud-init',
    'postfix-sasl',
    'curl',
    'bash',
    'demo-shapes',
    'firstboot-*',
  ];
  beforeAll(() => stage.repository('ports', PORTS));

  test('tree, specification and list', async () => {
    const result = await stage.install(WANTED);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    const spec = await stage.spec();
    expect(spec.get('./usr/local/bin/demo-setuid')).toContain('uid=0 gid=0 mode=4755');
    expect(spec.get('./usr/local/bin/demo-setgid')).toContain('gid=4 mode=2755');
    expect(spec.get('./usr/local/bin/demo-flags')).toContain('flags=schg,uarch time=1780358400.0');
    expect(spec.get('./usr/local/share/demo-shapes/caf\\303\\251')).toContain(
      'uid=65534 gid=65534 mode=0640',
    );
    expect(spec.get('./usr/local/share/demo-shapes/absolute')).toContain(
      'link=/usr/local/share/demo-shapes/caf\\303\\251',
    );
    expect(spec.get('./var/demo-shapes')).toContain('type=dir uid=1 gid=1 mode=1777');
    expect(spec.get('./var/tmp/nginx')).toContain('uid=80 gid=80 mode=0700');
    // Accounts that a script has made.
    expect(spec.get('./usr/local/sbin/postdrop')).toContain('uid=0 gid=126 mode=2755');
    expect(spec.get('./var/db/postfix')).toContain('uid=125 gid=125 mode=0700');
    expect(readFileSync(inTree('etc/group'), 'utf8')).toMatch(/^mail:\*:6:postfix$/m);
    expect(spec.get('./etc/master.passwd')).toContain('mode=0600');
    // Parents that nobody names, and what is made here, have the time of the image.
    expect(spec.get('./usr/local')).toContain(`uid=0 gid=0 mode=0755 flags=none time=${TIMESTAMP}.0`);
    expect(spec.get('./var/db/pkg/local.sqlite')).toContain('uid=0 gid=0 mode=0644');
    const [one, other] = ['one name', 'other name'].map(
      (name) => lstatSync(inTree(`usr/local/share/demo-shapes/${name}`)).ino,
    );
    expect(one).toBe(other);
    expect(readFileSync(inTree('etc/shells'), 'utf8')).toContain('\n/usr/local/bin/bash\n');
    expect(readlinkSync(inTree('usr/local/www/nginx'))).toBe('/usr/local/www/nginx-dist');
    expect(spec.get('./usr/local/www/nginx-dist')).toContain('mode=0555');
    expect(existsSync(inTree('usr/local/etc/nginx/nginx.conf'))).toBe(true);

    const list = await stage.list();
    expect(list.map(([name]) => name)).toContain('py311-cloud-init');
    const nginx = list.find(([name]) => name === 'nginx');
    expect(nginx?.slice(0, 7)).toEqual([
      'nginx',
      '1.28.0_3,3',
      'www/nginx',
      ABI,
      'BSD2CLAUSE',
      'https://ami-foundry.invalid/demo-release',
      'ports',
    ]);
    expect(nginx?.[7]).toMatch(/^[0-9a-f]{64}$/);

    // The file system writer takes it all.
    const makefs = join(import.meta.dirname, '../../image/makefs.ts');
    const image = join(stage.directory, 'image');
    const said = execFileSync(
      process.execPath,
      [
        makefs,
        '-t',
        'ffs',
        '-o',
        'version=2,label=rootfs,softupdates=1,time=1',
        '-s',
        '64m',
        '-F',
        join(stage.directory, 'spec'),
        image,
        stage.tree,
      ],
      { encoding: 'utf8' },
    );
    expect(JSON.parse(said)).toMatchObject({ image });
  });

  test("bsdtar's listing of every package is what the tree has", async () => {
    await stage.install(WANTED);
    const spec = await stage.spec();
    const hashed = join(stage.directory, 'mirror/ports/All/Hashed');
    const installed = new Set((await stage.list()).map(([name, version]) => `${name}-${version}`));
    let seen = 0;
    for (const file of readdirSync(hashed)) {
      if (!installed.has(file.replace(/~.*/, ''))) continue;
      const lines = execFileSync(
        'bsdtar',
        [
          '-cf',
          '-',
          '--format=mtree',
          '--options=mtree:!all,type,mode,link,flags,time',
          `@${join(hashed, file)}`,
        ],
        { encoding: 'latin1', env: { ...process.env, LC_ALL: 'C.UTF-8' } },
      );
      for (const line of lines.split('\n')) {
        const [path = '', ...words] = line.split(' ');
        if (!path.includes('/usr/local') && !path.includes('/var/')) continue;
        const facts = spec.get(path.replace(/^\.?\/+/, './').replace(/\/$/, ''));
        // A script has made it read-only since.
        if (path.endsWith('/nginx-dist')) continue;
        for (const word of words.filter((one) => one !== '')) {
          const wanted = word.startsWith('mode=') ? `mode=${word.slice(5).padStart(4, '0')}` : word;
          expect(`${path} ${facts}`).toContain(` ${wanted.replace('flags=none', '')}`);
        }
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(60);
  });

  test('the register answers what pkg asks', async () => {
    await stage.install(WANTED);
    expect(ask('PRAGMA user_version')).toEqual([[36]]);
    expect(ask('PRAGMA integrity_check')).toEqual([['ok']]);
    expect(ask('PRAGMA foreign_key_check')).toEqual([]);
    // pkg info, pkg query, pkg autoremove, pkg which, pkg check -s, pkg annotate, pkg audit (names and versions).
    expect(
      ask(
        "SELECT version, origin, automatic, time, prefix, licenselogic, vital FROM packages WHERE name = 'pkg'",
      ),
    ).toEqual([['2.2.2', 'ports-mgmt/pkg', 0, TIMESTAMP, '/usr/local', 1, 1]]);
    expect(ask("SELECT automatic FROM packages WHERE name IN ('pcre2', 'python311')")).toEqual([[1], [1]]);
    expect(
      ask(
        "SELECT p.name FROM files f JOIN packages p ON p.id = f.package_id WHERE path = '/usr/local/sbin/nginx'",
      ),
    ).toEqual([['nginx']]);
    for (const [path, sum] of ask(
      "SELECT path, sha256 FROM files WHERE path NOT LIKE '%/demo-shapes/a%' AND path NOT LIKE '%/relative'",
    )) {
      const facts = lstatSync(inTree(String(path)));
      if (!facts.isSymbolicLink())
        expect(
          `1$${createHash('sha256')
            .update(readFileSync(inTree(String(path))))
            .digest('hex')}`,
        ).toBe(sum);
    }
    expect(
      ask(
        "SELECT d.name, d.origin FROM deps d JOIN packages p ON p.id = d.package_id WHERE p.name = 'curl' ORDER BY 1",
      ),
    ).toEqual([
      ['ca_root_nss', 'security/ca_root_nss'],
      ['libnghttp2', 'www/libnghttp2'],
      ['libpsl', 'dns/libpsl'],
    ]);
    expect(
      ask(
        'SELECT p.name FROM packages p WHERE NOT EXISTS (SELECT 1 FROM packages q WHERE q.name IN (SELECT name FROM deps WHERE package_id = p.id)) AND p.id IN (SELECT package_id FROM deps)',
      ),
    ).toEqual([]);
    const annotation = (name: string, tag: string) =>
      ask(
        `SELECT v.annotation FROM pkg_annotation a JOIN packages p ON p.id = a.package_id JOIN annotation t ON t.annotation_id = a.tag_id JOIN annotation v ON v.annotation_id = a.value_id WHERE p.name = '${name}' AND t.annotation = '${tag}'`,
      );
    expect(annotation('nginx', 'repository')).toEqual([['ports']]);
    expect(annotation('py311-cloud-init', 'flavor')).toEqual([['py311']]);
    expect(
      ask(
        "SELECT u.name FROM pkg_users pu JOIN users u ON u.id = pu.user_id JOIN packages p ON p.id = pu.package_id WHERE p.name = 'nginx'",
      ),
    ).toEqual([['www']]);
    expect(
      ask(
        "SELECT s.name FROM pkg_shlibs_required r JOIN shlibs s ON s.id = r.shlib_id JOIN packages p ON p.id = r.package_id WHERE p.name = 'curl' ORDER BY 1",
      ),
    ).toEqual([['libnghttp2.so.14'], ['libpsl.so.5']]);
    expect(
      ask(
        "SELECT o.option, po.value FROM pkg_option po JOIN option o ON o.option_id = po.option_id JOIN packages p ON p.id = po.package_id WHERE p.name = 'curl' ORDER BY 1",
      ),
    ).toEqual([
      ['DOCS', 'off'],
      ['IPV6', 'on'],
    ]);
    expect(
      ask(
        "SELECT type, count(*) FROM pkg_script ps JOIN packages p ON p.id = ps.package_id WHERE p.name = 'nginx' GROUP BY 1",
      ),
    ).toEqual([
      [0, 1],
      [1, 1],
    ]);
    expect(
      ask(
        "SELECT count(*) FROM pkg_lua_script l JOIN packages p ON p.id = l.package_id WHERE p.name = 'nginx'",
      ),
    ).toEqual([[3]]);
    expect(ask('SELECT path, content FROM config_files')).toEqual([
      ['/usr/local/etc/demo-shapes.conf', expect.stringContaining('colour=green')],
    ]);
    expect(ask("SELECT message FROM packages WHERE name = 'ca_root_nss'")).toEqual([
      ['[{"message":"These are no certificates: 100% stand-in, für niemanden."}]'],
    ]);
    expect(ask("SELECT manifestdigest FROM packages WHERE name = 'curl'")).toEqual([
      [expect.stringMatching(/^2\$2\$[a-z0-9]{103}$/)],
    ]);
    // pkg delete: everything of a package goes with its row.
    const deleted = execFileSync(
      'python3',
      [
        '-c',
        "import sqlite3,sys\nd=sqlite3.connect(sys.argv[1]);d.execute('PRAGMA foreign_keys=ON');d.execute(\"DELETE FROM packages WHERE name='nginx'\")\nprint(d.execute(\"SELECT count(*) FROM files WHERE path LIKE '%nginx%'\").fetchone()[0])",
        inTree('var/db/pkg/local.sqlite'),
      ],
      { encoding: 'utf8' },
    );
    expect(deleted.trim()).toBe('0');
  });

  test('the same bytes in every run', async () => {
    const digest = (): string =>
      execFileSync(
        'sh',
        [
          '-c',
          'cd "$1" && { find . -type f | LC_ALL=C sort | xargs -d "\\n" sha256sum; cat ../spec ../list; } | sha256sum',
          'sh',
          stage.tree,
        ],
        { encoding: 'utf8' },
      );
    await stage.install(WANTED);
    const first = digest();
    await stage.fresh();
    await stage.install([...WANTED].reverse());
    expect(digest()).toBe(first);
  });

  test('pkg itself sets the checksum apart that an absolute link has', async () => {
    await stage.install(['demo-shapes']);
    const sum = (text: string) => `1$${createHash('sha256').update(text).digest('hex')}`;
    expect(ask("SELECT sha256 FROM files WHERE path LIKE '%/absolute'")).toEqual([
      [sum('usr/local/share/demo-shapes/café\0')],
    ]);
    expect(ask("SELECT sha256 FROM files WHERE path LIKE '%/relative'")).toEqual([
      [sum('../demo-shapes/café')],
    ]);
  });
});

describe('what does not fit', () => {
  const attempt = async (packages: readonly DemoPackage[], names = packages.map(({ name }) => name)) => {
    await stage.repository('ports', packages);
    return stage.install(names);
  };
  const file = (path: string, content = 'x\n') => ({ kind: 'file', path, content }) as const;

  test('two packages with one file, also by way of a link', async () => {
    const both = await attempt([
      simple('a', { entries: [file('/usr/local/bin/x')] }),
      simple('b', { entries: [file('/usr/local/bin/x')] }),
    ]);
    expect(both).toMatchObject({
      code: 'PackageConflict',
      message: 'b-1.0 and a-1.0 both have /usr/local/bin/x',
    });
    await stage.fresh();
    mkdirSync(inTree('usr/local/lib'), { recursive: true });
    symlinkSync('lib', inTree('usr/local/lib64'));
    const linked = await attempt([
      simple('a', { entries: [file('/usr/local/lib/x')] }),
      simple('b', { entries: [file('/usr/local/lib64/x')] }),
    ]);
    expect(linked.code).toBe('PackageConflict');
  });

  test.each([
    ['pre-install', { scripts: { 'pre-install': 'curl http://example.org | sh' } }, 'the command curl'],
    ['post-install', { scripts: { 'post-install': '/usr/local/bin/setup --all' } }, '/usr/local/bin/setup'],
    ['install', { scripts: { install: 'if [ "$2" = POST-INSTALL ]; then sysrc x=y; fi' } }, 'sysrc'],
    ['post-install', { luaScripts: { 'post-install': ['os.execute("x")'] } }, 'Lua'],
  ])('a %s script that cannot be run here', async (script, more, word) => {
    const result = await attempt([simple('scripted', more)]);
    expect(result).toMatchObject({ status: 1, code: 'PackageScriptsUnsupported' });
    expect(result.message).toContain(`the ${script} script of scripted-1.0`);
    expect(result.message).toContain(word);
    expect(result.remedy).toContain('FreeBSD worker');
  });

  test('a script that fails', async () => {
    expect(await attempt([simple('failing', { scripts: { 'pre-install': 'exit 3' } })])).toMatchObject({
      code: 'PackageFailed',
      message: expect.stringContaining('ended with 3'),
    });
  });

  test('triggers: those that would run and are not known', async () => {
    const trigger = (program: string, path: string) =>
      file(
        '/usr/local/share/pkg/triggers/t.ucl',
        `path: [ "${path}" ]\ntrigger: {\n  type: lua\n  sandbox: false\n  script: <<EOS\npkg.exec({"${program}", "x"})\nEOS\n}\n`,
      );
    const schemas = file('/usr/local/share/glib-2.0/schemas/x.xml');
    const fires = await attempt([
      simple('t', {
        entries: [
          trigger('/usr/local/bin/glib-compile-schemas', '/usr/local/share/glib-2.0/schemas'),
          schemas,
        ],
      }),
    ]);
    expect(fires).toMatchObject({
      code: 'PackageScriptsUnsupported',
      message: expect.stringContaining('glib-compile-schemas'),
    });
    await stage.fresh();
    expect(
      (
        await attempt([
          simple('t', {
            entries: [trigger('/usr/local/bin/glib-compile-schemas', '/usr/local/share/icons'), schemas],
          }),
        ])
      ).status,
    ).toBe(0);
    await stage.fresh();
    const known = await attempt([
      simple('t', {
        entries: [trigger('/usr/bin/makewhatis', '/usr/local/share/glib-2.0/schemas'), schemas],
      }),
    ]);
    expect(known).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('note: the index of manual pages'),
    });
  });

  test('a package for a newer FreeBSD', async () => {
    expect(await attempt([simple('new', { annotations: { FreeBSD_version: '1502000' } })])).toMatchObject({
      code: 'PackageFailed',
      message: expect.stringContaining('1502000'),
    });
  });

  test('owners that nobody knows: said, and refused where rights are at stake', async () => {
    const plain = await attempt([
      simple('x', { entries: [{ ...file('/usr/local/x'), owner: 'ghost', group: 'ghosts' }] }),
    ]);
    expect(plain.stdout).toMatch(/note: \/usr\/local\/x belongs to the user ghost/);
    expect((await stage.spec()).get('./usr/local/x')).toContain('uid=0 gid=0');
    await stage.fresh();
    expect(
      await attempt([simple('x', { entries: [{ ...file('/usr/local/x'), mode: 0o2755, group: 'ghosts' }] })]),
    ).toMatchObject({ code: 'PackageFailed', message: expect.stringContaining('ghosts') });
  });

  test('a configuration file that is there stays', async () => {
    const result = await attempt([
      simple('c', { entries: [file('/etc/shells', 'mine\n')], config: ['/etc/shells'] }),
    ]);
    expect(result.status).toBe(0);
    expect(readFileSync(inTree('etc/shells'), 'utf8')).toBe('/bin/sh\n/bin/csh\n');
    expect(readFileSync(inTree('etc/shells.pkgnew'), 'utf8')).toBe('mine\n');
    expect(ask('SELECT content FROM config_files')).toEqual([['mine\n']]);
  });

  test('nothing to do, a second time, and a request that is wrong', async () => {
    await stage.repository('ports', [simple('a')]);
    expect(await stage.install([])).toMatchObject({ status: 0 });
    expect(await stage.list()).toEqual([]);
    expect((await stage.install(['a'], [])).code).toBe('PackageNotFound');
    expect((await stage.install(['a'])).status).toBe(0);
    expect(await stage.install(['a'])).toMatchObject({
      code: 'PackageFailed',
      message: expect.stringContaining('local.sqlite already'),
    });
    expect(
      await stage.install(
        ['a'],
        ['repository.1.name=x', 'repository.1.url=file:///etc', 'repository.1.signature=none'],
      ),
    ).toMatchObject({ code: 'PackageFailed', message: expect.stringContaining('http') });
  });
});

describe('hostile packages', () => {
  /** A package whose archive was changed after it was made; the catalogue says what it is. */
  const hostile = async (change: (tar: Buffer) => Buffer, given: DemoPackage = simple('evil')) => {
    const { compressed } = await import('../../local/demo-release/package-archive.ts');
    const { catalogueArchive } = await import('../../local/demo-release/package-repository.ts');
    const made = packageFile(given, ABI, new Map(), 1_500_000);
    const bytes = compressed(change(zstdDecompressSync(made.bytes)));
    const line = {
      ...(JSON.parse(made.line) as object),
      path: 'evil.pkg',
      repopath: 'evil.pkg',
      sum: createHash('sha256').update(bytes).digest('hex'),
      pkgsize: bytes.length,
    };
    const directory = join(stage.directory, 'mirror/hostile');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'evil.pkg'), bytes);
    writeFileSync(
      join(directory, 'packagesite.pkg'),
      catalogueArchive('packagesite.yaml', Buffer.from(`${JSON.stringify(line)}\n`)),
    );
    return stage.install([given.name], repositoryLines(stage.mirror, 1, 'hostile'));
  };
  const outside = (): string[] =>
    readdirSync(stage.directory).filter(
      (name) => !['tree', 'mirror', 'spec', 'list', 'cache', 'request', 'image'].includes(name),
    );

  test.each(['/usr/local/../../../../outside', '../outside', '/../outside', 'usr/../../outside'])(
    'the path %s',
    async (path) => {
      const result = await hostile(
        (tar) => tar,
        simple('evil', { entries: [{ kind: 'file', path, content: 'x' }] }),
      );
      expect(result).toMatchObject({ code: 'PackageFailed', message: expect.stringContaining('leads out') });
      expect(outside()).toEqual([]);
    },
  );

  test('a link that leads out, and a file through it', async () => {
    const entries = [
      { kind: 'symlink', path: '/usr/local/way', target: '../../../../../../..' },
      { kind: 'file', path: `/usr/local/way${stage.directory}/outside`, content: 'x' },
    ] as const;
    const result = await hostile((tar) => tar, simple('evil', { entries }));
    // As on the machine: / has no parent, so the file lies in the image.
    expect(result.status).toBe(0);
    expect(outside()).toEqual([]);
    expect(existsSync(join(stage.tree, stage.directory, 'outside'))).toBe(true);
    await stage.fresh();
    const absolute = await hostile(
      (tar) => tar,
      simple('evil', {
        entries: [
          { kind: 'symlink', path: '/usr/local/way', target: stage.directory },
          { kind: 'file', path: '/usr/local/way/outside', content: 'x' },
        ],
      }),
    );
    expect(absolute.status).toBe(0);
    expect(outside()).toEqual([]);
  });

  test('a circle of links', async () => {
    const result = await hostile(
      (tar) => tar,
      simple('evil', {
        entries: [
          { kind: 'symlink', path: '/usr/local/a', target: 'b' },
          { kind: 'symlink', path: '/usr/local/b', target: 'a' },
          { kind: 'file', path: '/usr/local/a/x', content: 'x' },
        ],
      }),
    );
    expect(result).toMatchObject({ code: 'PackageFailed', message: expect.stringContaining('circle') });
  });

  test('a hard link to what is not of the package', async () => {
    const result = await hostile(
      (tar) => tar,
      simple('evil', { entries: [{ kind: 'hardlink', path: '/usr/local/x', target: '/etc/master.passwd' }] }),
    );
    expect(result).toMatchObject({
      code: 'PackageFailed',
      message: expect.stringContaining('no earlier file'),
    });
  });

  test('a file that is not in the manifest, and a manifest that promises more', async () => {
    const renamed = await hostile((tar) => {
      const at = tar.lastIndexOf('/usr/local/share/evil');
      const copy = Buffer.from(tar);
      copy.write('/usr/local/share/evi2', at);
      copy.fill(' ', at + 148, at + 156);
      copy.write(
        copy
          .subarray(at, at + 512)
          .reduce((sum, byte) => sum + byte, 0)
          .toString(8)
          .padStart(6, '0'),
        at + 148,
      );
      copy[at + 154] = 0;
      return copy;
    });
    expect(renamed).toMatchObject({
      code: 'PackageFailed',
      message: expect.stringContaining('not in its manifest'),
    });
    await stage.fresh();
    const cut = await hostile((tar) => {
      const at = tar.lastIndexOf('/usr/local/share/evil');
      return Buffer.concat([tar.subarray(0, at), Buffer.alloc(1024)]);
    });
    expect(cut).toMatchObject({ code: 'PackageFailed', message: expect.stringContaining('not in it') });
  });

  test('content that is not what the manifest says', async () => {
    const result = await hostile((tar) => {
      const copy = Buffer.from(tar);
      copy.write('EVIL', copy.lastIndexOf('evil\n'));
      return copy;
    });
    expect(result).toMatchObject({
      code: 'PackageChecksumMismatch',
      message: expect.stringContaining('/usr/local/share/evil'),
    });
  });

  test('any damage to an archive is told by a code, and nothing is written outside', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(8191), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        await stage.fresh();
        const result = await hostile((tar) => {
          const copy = Buffer.from(tar);
          copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ flip;
          return copy;
        });
        if (result.status !== 0) expect(result.code).toMatch(/^(Package|Repository)\w+$/);
        expect(result.stderr).not.toContain('defect');
        expect(outside()).toEqual([]);
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});
