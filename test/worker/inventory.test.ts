import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MtreeReader } from '../../image/mtree.ts';
import { FileTree } from '../../image/ufs2/tree.ts';
import { haveVenv, program } from '../local/judges/judges.ts';
import { type Bench, makeBench, type PhaseOptions, removeScratch, runPhase, told } from './phase-run.ts';
import { root, shells, zfs } from './worker-run.ts';

const scratch = mkdtempSync(join(tmpdir(), 'worker-inventory-'));
const bundle = join(scratch, 'manifest.mjs');
const certificate = (name: string) => join(scratch, `${name}.pem`);

/** A certification authority, a certificate of it for localhost, and an authority that nobody trusts. */
function makeCertificates(): void {
  const openssl = (...args: string[]) => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: scratch, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  for (const name of ['authority', 'stranger'])
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
    '-subj',
    '/CN=localhost',
  );
  writeFileSync(join(scratch, 'extensions'), 'subjectAltName=DNS:localhost\n');
  openssl(
    'x509',
    '-req',
    '-in',
    'server.csr',
    '-CA',
    'authority.pem',
    '-CAkey',
    'authority.key',
    '-CAcreateserial',
    '-out',
    'server.pem',
    '-days',
    '2',
    '-extfile',
    'extensions',
  );
}

beforeAll(async () => {
  makeCertificates();
  await esbuild.build({
    entryPoints: [join(root, 'image/manifest.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
  });
});

afterAll(() => {
  removeScratch();
  rmSync(scratch, { recursive: true, force: true });
});

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Put {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** Answers each request with the next status; the last one stays. */
async function startStore(statuses: readonly number[], secure = false) {
  const puts: Put[] = [];
  let turn = 0;
  const hear = (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      puts.push({
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(parts),
      });
      const status = statuses[Math.min(turn++, statuses.length - 1)] ?? 200;
      response.writeHead(status, { 'content-type': 'application/xml' }).end(status === 200 ? '' : '<Error/>');
    });
  };
  const server: Server = secure
    ? createSecureServer(
        { key: readFileSync(join(scratch, 'server.key')), cert: readFileSync(certificate('server')) },
        hear,
      )
    : createServer(hear);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  return { puts, port, origin: `${secure ? 'https' : 'http'}://localhost:${port}` };
}

const secret = '/bucket/builds/x/manifest.mtree.gz?X-Amz-Signature=0123abcd&X-Amz-Expires=900';

/** The tree of both platforms, and its specification. */
function makeTree(): Bench {
  const bench = makeBench({
    'bin/sh': 'sh\n',
    'boot/loader.efi': 'loader\n',
    'etc/fstab': '/dev/gpt/rootfs / ufs rw 1 1\n',
    'etc/fstab-b': 'x',
    'usr/share/a b#c*?[': 'special\n',
    'usr/share/Főtanúsítvány.pem': 'utf-8\n',
    'usr/share/link': { link: '../a b' },
    'var/empty/': '',
  });
  const time = new Date(1_790_000_000_000);
  const spec = ['#mtree'];
  const entries: readonly (readonly [path: string, words: string])[] = [
    ['.', 'type=dir mode=755'],
    ['./bin', 'type=dir mode=755'],
    ['./bin/sh', 'type=file mode=555'],
    ['./boot', 'type=dir mode=755'],
    ['./boot/loader.efi', 'type=file mode=555 flags=none'],
    ['./etc', 'type=dir mode=755'],
    ['./etc/fstab', 'type=file mode=644'],
    ['./etc/fstab-b', 'type=file mode=600'],
    ['./usr', 'type=dir mode=755'],
    ['./usr/share', 'type=dir mode=755'],
    ['./usr/share/a\\040b\\043c\\052\\077\\133', 'type=file mode=644'],
    ['./usr/share/F\\305\\221tan\\303\\272s\\303\\255tv\\303\\241ny.pem', 'type=file mode=644'],
    ['./usr/share/link', 'type=link mode=755 link=../a\\040b'],
    ['./var', 'type=dir mode=755'],
    ['./var/empty', 'type=dir mode=555'],
  ];
  for (const [path, words] of [...entries].reverse()) {
    spec.push(`${path} ${words} uid=${process.getuid?.()} gid=${process.getgid?.()} time=1790000000.0`);
    const plain = Buffer.from(
      path.replace(/\\(\d{3})/g, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 8))),
      'latin1',
    ).toString();
    const target = join(bench.tree, plain);
    if (words.startsWith('type=link')) {
      spawnSync('touch', ['-h', '-d', '@1790000000', target]);
      continue;
    }
    chmodSync(target, Number.parseInt(/mode=(\d+)/.exec(words)?.[1] ?? '', 8));
    utimesSync(target, time, time);
  }
  writeFileSync(join(bench.state, 'spec'), `${spec.join('\n')}\n`);
  writeFileSync(join(bench.state, 'patch-level'), '15.1-RELEASE-p2\n');
  writeFileSync(
    join(bench.state, 'packages'),
    'nginx\t1.30.0,3\twww/nginx\tFreeBSD:15:amd64\tBSD2CLAUSE,MIT\thttps://nginx.example/\tFreeBSD-ports\t' +
      `${'ab'.repeat(32)}\npkg\t2.7.5\tports-mgmt/pkg\tFreeBSD:15:amd64\t\tUNKNOWN\tFreeBSD-ports\t\n`,
  );
  return bench;
}

/** worker/ with the bundle beside it, as the payload has it. */
function payload(bench: Bench): string {
  const worker = join(bench.folder, 'payload');
  mkdirSync(worker);
  for (const name of [
    'console.sh',
    'job.sh',
    'job.awk',
    'extents.sh',
    'tree.sh',
    'accounts.sh',
    'accounts.awk',
    'sbom.sh',
    'upload.sh',
    'phases',
    'platform',
  ])
    symlinkSync(join(root, 'worker', name), join(worker, name));
  copyFileSync(bundle, join(worker, 'manifest.mjs'));
  return worker;
}

/** FreeBSD's mtree(8) is NetBSD's, which Debian has too. */
const haveMtree = spawnSync('mtree', ['-?']).error === undefined;
if (!haveMtree) {
  console.error(
    'SKIPPED: there is no mtree (Debian: apt-get install mtree-netbsd), so it does not judge the manifest.',
  );
}

const platforms = ['freebsd', 'linux'] as const;
const manifestOf = (bench: Bench) =>
  gunzipSync(readFileSync(join(bench.state, 'inventory/manifest.mtree.gz'))).toString();
const sbomOf = (bench: Bench) => readFileSync(join(bench.state, 'inventory/sbom.cdx.json'), 'utf8');

describe.each(
  shells.flatMap((shell) =>
    platforms.map((platform) => ({ name: `${shell.join(' ')} on ${platform}`, shell, platform })),
  ),
)('the inventory under $name', ({ shell, platform }) => {
  const run = (bench: Bench, rest: Partial<PhaseOptions> = {}) =>
    runPhase({ shell, bench, platform, script: 'inventory_run', worker: payload(bench), ...rest });

  it('tells every path of the tree, as mtree(8) reads it', async () => {
    const bench = makeTree();
    const result = await run(bench);
    expect(result.failure, result.stderr).toBeUndefined();
    expect(result.status, result.stderr).toBe(0);
    if (platform === 'freebsd') expect(result.wrong).toEqual([]);
    const text = manifestOf(bench);
    // Linux has no modes for links.
    const here = text
      .replaceAll(/ uid=\d+ gid=\d+/g, ' uid=0 gid=0')
      .replace(/(type=link .*)mode=0777/, '$1mode=0755');
    await expect(here).toMatchFileSnapshot('manifest.mtree');
    expect(readFileSync(join(bench.state, 'manifest.sha256'), 'utf8').trim()).toBe(
      createHash('sha256').update(text).digest('hex'),
    );
    const reader = new MtreeReader(new FileTree());
    reader.write(text);
    reader.end();
  });

  it.runIf(haveMtree && platform === 'freebsd')('has mtree(8) find the tree as it says', async () => {
    const bench = makeTree();
    await run(bench);
    const check = () =>
      spawnSync('mtree', ['-p', bench.tree], { input: manifestOf(bench), encoding: 'utf8' });
    expect(check()).toMatchObject({ status: 0, stdout: '' });
    writeFileSync(join(bench.tree, 'etc/fstab'), '/dev/gpt/rootfs / ufs ro 1 1\n');
    rmSync(join(bench.tree, 'bin/sh'));
    const changed = check();
    expect(changed.status).toBe(2);
    expect(changed.stdout).toMatch(/etc\/fstab:.*sha256/is);
    expect(changed.stdout).toMatch(/missing: .*bin\/sh/);
  });

  it.runIf(haveMtree && platform === 'freebsd')('tells of a pool what makefs keeps in one', async () => {
    const bench = makeTree();
    utimesSync(join(bench.tree, 'etc/fstab'), 1_790_000_000, 1_790_000_000.0625);
    const result = await run(bench, { job: zfs });
    expect(result.status, result.stderr).toBe(0);
    const text = manifestOf(bench);
    expect(text).toMatch(/^\.\/etc\/fstab .* time=1790000000\.062500000 /m);
    expect(text).toMatch(/^\.\/bin\/sh .* time=1790000000\.000000000 /m);
    expect(text).not.toContain(' flags=');
    const judged = spawnSync('mtree', ['-p', bench.tree], { input: text, encoding: 'utf8' });
    expect(judged).toMatchObject({ status: 0, stdout: '' });
  });

  it('is the same bytes in every run', async () => {
    const read = async () => {
      const bench = makeTree();
      await run(bench);
      return [
        readFileSync(join(bench.state, 'inventory/manifest.mtree.gz')).toString('base64'),
        sbomOf(bench),
      ];
    };
    expect(await read()).toEqual(await read());
  });

  it('is uploaded where the job says, byte for byte, and the link is never told', async () => {
    const store = await startStore([503, 200]);
    const bench = makeTree();
    const result = await run(bench, {
      job: {
        'upload.manifest': `${store.origin}${secret}`,
        'upload.sbom': `${store.origin}/sbom.json?X-Amz-Signature=99`,
      },
      script: 'upload_rests="0 0 0"; inventory_run',
    });
    expect(result.failure, result.stderr).toBeUndefined();
    if (platform === 'freebsd') expect(result.wrong).toEqual([]);
    expect(store.puts.map(({ method, url }) => `${method} ${url}`)).toEqual([
      `PUT ${secret}`,
      `PUT ${secret}`,
      'PUT /sbom.json?X-Amz-Signature=99',
    ]);
    expect(store.puts[1]?.body.equals(readFileSync(join(bench.state, 'inventory/manifest.mtree.gz')))).toBe(
      true,
    );
    expect(store.puts[2]?.body.toString()).toBe(sbomOf(bench));
    expect(store.puts[1]?.headers.host).toBe(`localhost:${store.port}`);
    expect(store.puts[1]?.headers['content-length']).toBe(String(store.puts[1]?.body.length));
    expect(store.puts[1]?.headers['transfer-encoding']).toBeUndefined();
    expect(result.stdout + result.stderr).not.toContain('Signature');
    expect(JSON.stringify(result.calls)).not.toContain('Signature');
  });

  it.each([
    [[403, 200], 1, 'the answer is 403'],
    [[500, 429, 503], 3, 'the answer is 503'],
  ])('tells UploadFailed after %j', async (statuses, tries, part) => {
    const store = await startStore(statuses);
    const bench = makeTree();
    const result = await run(bench, {
      job: { 'upload.manifest': `${store.origin}${secret}` },
      script: 'upload_rests="0 0 0"; inventory_run',
    });
    expect(result.failure?.[0], result.stderr).toBe('UploadFailed');
    expect(result.failure?.[1]).toContain(`the manifest cannot be uploaded: ${part}`);
    expect(JSON.stringify(result.failure) + result.stdout + result.stderr).not.toContain('Signature');
    expect(store.puts).toHaveLength(tries);
  });

  it('tells UploadFailed when nobody answers', async () => {
    const result = await run(makeTree(), {
      job: { 'upload.manifest': `http://localhost:9${secret}` },
      script: 'upload_rests="0 0 0"; inventory_run',
    });
    expect(result.failure?.[0], result.stderr).toBe('UploadFailed');
    expect(result.failure?.[1]).toContain('no answer');
    expect(JSON.stringify(result.failure) + result.stdout + result.stderr).not.toContain('Signature');
  });

  it('goes over https to whom a trusted authority vouches for, and to nobody else', async () => {
    const store = await startStore([200], true);
    const upload = (authority: string, host = 'localhost') =>
      run(makeTree(), {
        job: { 'upload.manifest': `https://${host}:${store.port}${secret}` },
        script: 'upload_rests="0 0 0"; inventory_run',
        environment: {
          SSL_CERT_FILE: certificate(authority),
          SSL_CERT_DIR: '/nonexistent',
          CURL_CA_BUNDLE: certificate(authority),
        },
      });
    const good = await upload('authority');
    expect(good.failure, good.stderr).toBeUndefined();
    expect(store.puts).toHaveLength(1);
    expect(store.puts[0]?.body.length).toBeGreaterThan(100);
    expect((await upload('stranger')).failure?.[0]).toBe('UploadFailed');
    // The certificate is for localhost.
    expect((await upload('authority', '127.0.0.1')).failure?.[0]).toBe('UploadFailed');
    expect(store.puts).toHaveLength(1);
  });

  it('takes a file whose bytes could be commands, and one that is large', async () => {
    const store = await startStore([200], true);
    const bench = makeTree();
    const bytes = Buffer.concat([Buffer.from('Q\nR\nB\n\0'), Buffer.alloc(3_000_000, 'Q\n')]);
    writeFileSync(join(bench.folder, 'file'), bytes);
    const result = await run(bench, {
      job: { 'upload.sbom': `${store.origin}/file` },
      script: 'upload_file upload.sbom "$work/file" "the file"',
      environment: { SSL_CERT_FILE: certificate('authority'), CURL_CA_BUNDLE: certificate('authority') },
    });
    expect(result.failure, result.stderr).toBeUndefined();
    expect(store.puts[0]?.body.equals(bytes)).toBe(true);
  });

  it('uploads nothing without links', async () => {
    const result = await run(makeTree());
    expect(told(result, makeBench(), ['openssl', 'nc', 'curl'])).toEqual([]);
  });
});

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))('under $name', ({ shell }) => {
  it.runIf(haveVenv())(
    'the SBOM is CycloneDX 1.6 by the official schema, whatever the packages say',
    async () => {
      const field = fc
        .oneof(
          fc.string({ unit: 'binary', maxLength: 20 }),
          fc.constantFrom(
            '"',
            '\\',
            '\\u0000',
            'https://x.example/a"b',
            'https://x.example/%zz',
            'http://[::1',
            'UNKNOWN',
            'a,b,,c',
            '',
          ),
        )
        .map((text) => text.replace(/[\t\n\r\0]/g, ''));
      const name = fc.stringMatching(/^[a-z0-9._+@-]{1,12}$/);
      const lists = fc.sample(
        fc.uniqueArray(fc.tuple(name, field, field, field, field, field, field, field), {
          selector: ([each]) => each,
          maxLength: 6,
        }),
        30,
      );
      const documents: string[] = [];
      for (const packages of lists) {
        const bench = makeBench();
        writeFileSync(join(bench.state, 'packages'), packages.map((each) => `${each.join('\t')}\n`).join(''));
        const result = await runPhase({ shell, bench, platform: 'linux', script: 'sbom_write' });
        expect(JSON.parse(result.stdout).components).toHaveLength(packages.length + 2);
        documents.push(result.stdout);
      }
      // Python takes seconds to read the schema: once for all.
      const judged = spawnSync(program('python'), [join(root, 'test/worker/sbom_judge.py')], {
        input: documents.join(''),
        encoding: 'utf8',
      });
      expect(judged.stdout).toBe('');
      expect(judged.status, judged.stderr).toBe(0);
    },
    120_000,
  );

  it('the SBOM is the same on both platforms, whose awks are not', async () => {
    const [linux, freebsd] = await Promise.all(
      platforms.map((platform) => runPhase({ shell, bench: makeTree(), platform, script: 'sbom_write' })),
    );
    expect(freebsd?.stdout).toBe(linux?.stdout);
    expect(freebsd?.stderr).toBe('');
  });

  it('the SBOM says what is in the image', async () => {
    const bench = makeTree();
    const result = await runPhase({ shell, bench, platform: 'linux', script: 'sbom_write' });
    const sbom = JSON.parse(result.stdout);
    expect(sbom).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      serialNumber: 'urn:uuid:3f2504e0-4f89-41d3-9a0c-0305e82c3301',
      metadata: {
        timestamp: '2026-11-23T02:13:20Z',
        component: { type: 'operating-system', name: 'FreeBSD', version: '15.1-RELEASE-p2' },
      },
    });
    expect(
      sbom.components.map(({ name, version }: { name: string; version: string }) => `${name} ${version}`),
    ).toEqual(['base 15.1-RELEASE', 'kernel 15.1-RELEASE', 'nginx 1.30.0,3', 'pkg 2.7.5']);
    expect(sbom.components[2]).toMatchObject({
      licenses: [{ license: { name: 'BSD2CLAUSE' } }, { license: { name: 'MIT' } }],
      purl: 'pkg:generic/freebsd/nginx@1.30.0%2C3',
      hashes: [{ alg: 'SHA-256', content: 'ab'.repeat(32) }],
      externalReferences: [{ type: 'website', url: 'https://nginx.example/' }],
    });
  });

  it.each([0, 951_782_400, 951_868_800, 1_709_164_800, 1_709_251_199, 1_798_761_599, 4_102_444_800])(
    'the SBOM tells the time %i as ISO 8601',
    async (timestamp) => {
      const result = await runPhase({
        shell,
        bench: makeBench(),
        platform: 'linux',
        script: 'sbom_write',
        job: { timestamp },
      });
      expect(JSON.parse(result.stdout).metadata.timestamp).toBe(
        new Date(timestamp * 1000).toISOString().replace('.000', ''),
      );
    },
  );

  it('every way of mtree(8) to quote a name becomes the same text', async () => {
    // vis(3): VIS_CSTYLE, VIS_OCTAL, and the names that the FreeBSD layer must come to.
    const ways: readonly (readonly [string, string])[] = [
      ['./a\\sb', './a\\040b'],
      ['./a\\040b', './a\\040b'],
      ['./a\\#b\\tc\\nd', './a\\043b\\011c\\012d'],
      ['./F\\M-E\\M^Qt', './F\\305\\221t'],
      ['./\\^A\\^?', './\\001\\177'],
      ['./\\M-^A\\\\', './\\336A\\134'],
      ['./a*b?[', './a\\052b\\077\\133'],
    ];
    const bench = makeBench();
    writeFileSync(join(bench.folder, 'names'), ways.map(([given]) => `${given}\n`).join(''));
    const result = await runPhase({
      shell,
      bench,
      platform: 'freebsd',
      script: `awk "\${_vis_normal}"'{ print normal($1) }' "$work/names"`,
    });
    expect(result.stdout.split('\n').slice(0, -1), result.stderr).toEqual(ways.map(([, wanted]) => wanted));
  });
});
