/**
 * Time and memory of the package installer on a catalogue as large as FreeBSD's: 40,000 packages, some 70 MB of lines, of which twelve are
 * installed. Run by `make bench`.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Dice } from '../../local/demo-release/content.ts';
import { compressed, packageFile } from '../../local/demo-release/package-archive.ts';
import { catalogueArchive } from '../../local/demo-release/package-repository.ts';
import { startMirror } from '../../local/demo-release/serve.ts';

const PACKAGES = 40_000;
const ABI = 'FreeBSD:15:amd64';
const run = promisify(execFile);
const dice = new Dice('bench catalogue');

/** A line of about 1.8 kB with a handful of dependencies, as a port's manifest has. */
function line(n: number): string {
  const name = `bench-${n}`;
  const deps = Object.fromEntries(
    Array.from({ length: n < 20 ? 0 : dice.below(12) }, () => {
      const other = dice.below(Math.min(n, 20_000));
      return [`bench-${other}`, { origin: `demo/bench-${other}`, version: `1.${other}` }];
    }),
  );
  const desc = Array.from({ length: 60 }, () => `word${dice.below(5000)}`).join(' ');
  return JSON.stringify({
    name,
    origin: `demo/${name}`,
    version: `1.${n}_${n % 7}`,
    comment: `Number ${n} of many`,
    maintainer: `m${n % 400}@example.org`,
    www: `https://example.org/${name}`,
    abi: ABI,
    arch: 'freebsd:15:x86:64',
    prefix: '/usr/local',
    sum: dice
      .below(2 ** 32)
      .toString(16)
      .padStart(64, '0'),
    flatsize: dice.below(1e8),
    path: `All/${name}.pkg`,
    repopath: `All/${name}.pkg`,
    licenselogic: 'single',
    licenses: ['BSD2CLAUSE'],
    pkgsize: dice.below(1e7),
    desc,
    deps,
    categories: ['demo'],
    shlibs_required: Array.from({ length: dice.below(8) }, () => `libbench${dice.below(3000)}.so.1`),
    options: { DOCS: 'on', EXAMPLES: 'off', NLS: 'on' },
    annotations: {
      FreeBSD_version: '1500000',
      built_by: 'bench',
      port_git_hash: 'abcdef0123',
      ports_top_git_hash: '0123abcdef',
    },
  });
}

const directory = await mkdtemp(join(tmpdir(), 'ami-foundry-bench-'));
try {
  const served = join(directory, 'mirror/ports');
  await mkdir(join(served, 'All'), { recursive: true });
  const wanted = [];
  const lines = Array.from({ length: PACKAGES }, (_, n) => line(n));
  for (let n = 0; n < 12; n++) {
    const name = `bench-${n}`;
    const entries = Array.from(
      { length: 200 },
      (_, at) => ({ kind: 'file', path: `/usr/local/share/${name}/${at}`, content: `${at}\n` }) as const,
    );
    const file = packageFile(
      { name, version: `1.${n}`, origin: `demo/${name}`, comment: name, entries },
      ABI,
      new Map(),
      1_500_000,
    );
    await mkdir(join(served, 'All/Hashed'), { recursive: true });
    await writeFile(join(served, file.path), file.bytes);
    lines[n] = file.line;
    wanted.push(name);
  }
  const text = Buffer.from(lines.map((one) => `${one}\n`).join(''));
  await writeFile(join(served, 'meta.conf'), 'version = 2;\npacking_format = "tzst";\n');
  await writeFile(join(served, 'packagesite.pkg'), catalogueArchive('packagesite.yaml', text));
  console.log(
    `catalogue: ${PACKAGES} packages, ${(text.length / 1e6).toFixed(0)} MB, ${(compressed(text).length / 1e6).toFixed(0)} MB compressed`,
  );

  const mirror = await startMirror({ directory: join(directory, 'mirror') });
  await mkdir(join(directory, 'tree'));
  await writeFile(join(directory, 'spec'), '. type=dir uid=0 gid=0 mode=0755 time=1.0\n');
  const request = [
    `abi=${ABI}`,
    'osversion=1501000',
    'timestamp=1795400000',
    ...wanted.map((name, at) => `package.${at + 1}.name=${name}`),
    'repository.1.name=ports',
    `repository.1.url=${mirror.url}/ports`,
    'repository.1.signature=none',
  ];
  await writeFile(join(directory, 'request'), `${request.join('\n')}\n`);
  const program = join(import.meta.dirname, '../../dist/image/pkg.mjs');
  const probe = `process.on('exit', () => console.log(JSON.stringify({ seconds: process.uptime(), megabytes: process.resourceUsage().maxRSS / 1024 })));`;
  const preload = `data:text/javascript,${encodeURIComponent(probe)}`;
  const { stdout } = await run(
    process.execPath,
    [
      '--import',
      preload,
      program,
      'install',
      '--request',
      'request',
      '--root',
      'tree',
      '--spec',
      'spec',
      '--cache',
      'cache',
      '--list',
      'list',
    ],
    { cwd: directory },
  );
  await mirror.close();
  const { seconds, megabytes } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as {
    seconds: number;
    megabytes: number;
  };
  console.log(`pkg.mjs: ${seconds.toFixed(1)} s, ${megabytes.toFixed(0)} MB at most`);
} finally {
  await rm(directory, { recursive: true, force: true });
}
