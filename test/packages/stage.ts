/** A staged tree with accounts, and repositories that a mirror serves: what the installer finds on a worker. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { group, masterPasswd, passwd } from '../../local/demo-release/accounts.ts';
import type { DemoPackage } from '../../local/demo-release/package-archive.ts';
import { type RepositoryOptions, writeRepository } from '../../local/demo-release/package-repository.ts';
import { type Mirror, startMirror } from '../../local/demo-release/serve.ts';
import { FINGERPRINT } from '../../local/demo-release/signing-key.ts';

const run = promisify(execFile);
export const ABI = 'FreeBSD:15:amd64';
export const TIMESTAMP = 1_795_400_000;

const BASE_FILES: readonly (readonly [string, string, string])[] = [
  ['/etc/master.passwd', '0600', `# accounts\n${masterPasswd()}`],
  ['/etc/passwd', '0644', passwd()],
  ['/etc/group', '0644', group()],
  ['/etc/shells', '0644', '/bin/sh\n/bin/csh\n'],
  ['/etc/rc.subr', '0644', '# rc\n'],
  ['/usr/share/keys/pkg/trusted/demo', '0644', `# who\nfunction: "sha256"\nfingerprint: "${FINGERPRINT}"\n`],
];

export interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stderr, `pkg: CODE: message; remedy`, split. */
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export interface Stage {
  readonly directory: string;
  readonly tree: string;
  readonly mirror: Mirror;
  /** Makes a repository on the mirror. */
  repository(name: string, packages: readonly DemoPackage[], options?: RepositoryOptions): Promise<void>;
  /** Forgets what was installed: a fresh tree with or without the base files. */
  fresh(base?: boolean): Promise<void>;
  /** Runs the installer; `lines` come after the common ones of the request. */
  install(packages: readonly string[], lines?: readonly string[]): Promise<Result>;
  spec(): Promise<Map<string, string>>;
  list(): Promise<string[][]>;
  close(): Promise<void>;
}

/** Lines of a request for one repository of the mirror. */
export function repositoryLines(
  mirror: Mirror,
  n: number,
  name: string,
  more: readonly string[] = ['signature=fingerprints', 'keys=/usr/share/keys/pkg'],
): string[] {
  return [`name=${name}`, `url=pkg+${mirror.url}/${name}`, ...more].map((line) => `repository.${n}.${line}`);
}

export async function makeStage(): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'ami-foundry-packages-'));
  const served = join(directory, 'mirror');
  await mkdir(served);
  const mirror = await startMirror({ directory: served });
  const tree = join(directory, 'tree');
  const specification = join(directory, 'spec');
  const listFile = join(directory, 'list');

  const fresh = async (base = true): Promise<void> => {
    await rm(tree, { recursive: true, force: true });
    await mkdir(tree);
    const lines = ['. type=dir uid=0 gid=0 mode=0755 flags=none time=1.0\n'];
    const made = new Set<string>();
    for (const [path, mode, text] of base ? BASE_FILES : []) {
      const parts = path.split('/').slice(1, -1);
      for (let n = 1; n <= parts.length; n++) {
        const parent = `/${parts.slice(0, n).join('/')}`;
        if (!made.has(parent)) lines.push(`.${parent} type=dir uid=0 gid=0 mode=0755 flags=none time=1.0\n`);
        made.add(parent);
      }
      await mkdir(join(tree, ...parts), { recursive: true });
      await writeFile(join(tree, path), text);
      lines.push(`.${path} type=file uid=0 gid=0 mode=${mode} flags=none time=5.0\n`);
    }
    await writeFile(specification, lines.join(''));
    await rm(listFile, { force: true });
    await rm(join(directory, 'cache'), { recursive: true, force: true });
  };
  await fresh();

  return {
    directory,
    tree,
    mirror,
    fresh,
    repository: async (name, packages, options) => {
      await rm(join(served, name), { recursive: true, force: true });
      await writeRepository(join(served, name), ABI, packages, options);
    },
    install: async (packages, lines = repositoryLines(mirror, 1, 'ports')) => {
      const request = [
        `abi=${ABI}`,
        'osversion=1501000',
        `timestamp=${TIMESTAMP}`,
        ...packages.map((name, at) => `package.${at + 1}.name=${name}`),
        ...lines,
      ];
      await writeFile(join(directory, 'request'), `${request.join('\n')}\n`);
      const program = join(import.meta.dirname, '../../packages/pkg.ts');
      const args = [
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
      ];
      const { status, stdout, stderr } = await run(process.execPath, [program, 'install', ...args], {
        cwd: directory,
      }).then(
        (out) => ({ status: 0, ...out }),
        (error: { code: number; stdout: string; stderr: string }) => ({ ...error, status: error.code }),
      );
      const last = stderr.trimEnd().split('\n').at(-1) ?? '';
      const [, code = '', message = '', remedy = ''] = /^pkg: (\w+): ([\s\S]*); ([^;]*)$/.exec(last) ?? [];
      return { status, stdout, stderr, code, message, remedy };
    },
    spec: async () => {
      const lines = (await readFile(specification, 'latin1')).split('\n').filter((line) => line !== '');
      return new Map(
        lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
      );
    },
    list: async () =>
      (await readFile(listFile, 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split('\t')),
    close: async () => {
      await mirror.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A package with one file, or what is given. */
export function simple(name: string, more: Partial<DemoPackage> = {}): DemoPackage {
  return {
    name,
    version: '1.0',
    origin: `demo/${name}`,
    comment: name,
    entries: [{ kind: 'file', path: `/usr/local/share/${name}`, content: `${name}\n` }],
    ...more,
  };
}
