import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Mirror, startMirror } from '../../../local/demo-release/serve.ts';

const PATH = '/releases/amd64/amd64/15.1-RELEASE/base.txz';
const BYTES = randomBytes(300_000);
const DATE = 'Tue, 02 Jun 2026 00:00:00 GMT';

let scratch: string;
let mirror: Mirror;

interface Answer {
  /** curl's exit status: 0 fine, 18 partial file, 22 HTTP error with --fail, 28 timeout, 56 receive failure. */
  exit: number;
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** curl, since a client that is not ours must agree. */
async function curl(path: string, ...options: string[]): Promise<Answer> {
  const [head, out] = [join(scratch, 'head'), join(scratch, 'out')];
  await writeFile(out, '');
  const exit = await new Promise<number>((done) => {
    execFile(
      'curl',
      ['-sS', '--path-as-is', '-D', head, '-o', out, ...options, `${mirror.url}${path}`],
      (error) => done(error ? Number(error.code) : 0),
    );
  });
  const lines = (await readFile(head, 'latin1')).trimEnd().split('\r\n');
  return {
    exit,
    status: Number(lines[0]?.split(' ')[1] ?? 0),
    headers: Object.fromEntries(
      lines
        .slice(1)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
    ),
    body: await readFile(out),
  };
}

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'ami-foundry-mirror-'));
  const root = join(scratch, 'root');
  const directory = join(root, 'releases/amd64/amd64/15.1-RELEASE');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'base.txz'), BYTES);
  await utimes(join(directory, 'base.txz'), new Date(DATE), new Date(DATE));
  await writeFile(join(directory, 'MANIFEST'), 'demo\n');
  await mkdir(join(root, 'releases/amd64/amd64/15.0-RELEASE'));
  await symlink('amd64/15.1-RELEASE', join(root, 'releases/amd64/15.1-RELEASE'));
  await mkdir(join(root, '.cache'));
  await writeFile(join(root, '.cache/secret'), 'hidden');
  await writeFile(join(scratch, 'outside'), 'outside');
  await symlink(join(scratch, 'outside'), join(root, 'releases/escape'));
  mirror = await startMirror({ directory: root });
});

afterEach(async () => {
  await mirror.close();
  await rm(scratch, { recursive: true, force: true });
});

describe('serving', () => {
  it('sends files with length, tag, date and its mark, also by the short path', async () => {
    for (const path of [PATH, '/releases/amd64/15.1-RELEASE/base.txz']) {
      const answer = await curl(path);
      expect([answer.exit, answer.status]).toEqual([0, 200]);
      expect(answer.body.equals(BYTES)).toBe(true);
      expect(answer.headers).toMatchObject({
        'content-length': '300000',
        'last-modified': DATE,
        'accept-ranges': 'bytes',
        'x-ami-foundry': 'demo-release',
      });
      expect(answer.headers.etag).toMatch(/^"[0-9a-f]+-[0-9a-f]+"$/);
    }
    const head = await curl(PATH, '--head');
    expect([head.status, head.headers['content-length'], mirror.requests.at(-1)?.bytes]).toEqual([
      200,
      '300000',
      0,
    ]);
  });

  it.each([
    ['0-99', 0, 100],
    ['299990-', 299_990, 300_000],
    ['-10', 299_990, 300_000],
    ['1000-999999', 1000, 300_000],
  ])('serves the range %s', async (range, start, end) => {
    const answer = await curl(PATH, '--range', range);
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/300000`);
    expect(answer.body.equals(BYTES.subarray(start, end))).toBe(true);
  });

  it('refuses a range behind the end', async () => {
    const answer = await curl(PATH, '--range', '300000-');
    expect([answer.status, answer.headers['content-range']]).toEqual([416, 'bytes */300000']);
  });

  it('honours If-Range: the part if nothing changed, else the whole', async () => {
    const tag = (await curl(PATH, '--head')).headers.etag ?? '';
    expect((await curl(PATH, '--range', '0-9', '-H', `If-Range: ${tag}`)).status).toBe(206);
    expect((await curl(PATH, '--range', '0-9', '-H', `If-Range: ${DATE}`)).status).toBe(206);
    const changed = await curl(PATH, '--range', '0-9', '-H', 'If-Range: "other"');
    expect([changed.status, changed.body.length]).toEqual([200, 300_000]);
  });

  it('answers 304 to a client that has the file', async () => {
    const tag = (await curl(PATH, '--head')).headers.etag ?? '';
    expect((await curl(PATH, '-H', `If-None-Match: ${tag}`)).status).toBe(304);
    expect((await curl(PATH, '-H', 'If-None-Match: "other"')).status).toBe(200);
    expect((await curl(PATH, '-H', `If-Modified-Since: ${DATE}`)).status).toBe(304);
    expect((await curl(PATH, '-H', 'If-Modified-Since: Mon, 01 Jun 2026 00:00:00 GMT')).status).toBe(200);
  });

  it('lists directories as nginx does and redirects to the slash', async () => {
    const index = await curl('/releases/amd64/amd64/');
    const names = [...index.body.toString().matchAll(/<a href="([^"]+)">/g)].map((match) => match[1]);
    expect(names).toEqual(['../', '15.0-RELEASE/', '15.1-RELEASE/']);
    expect((await curl('/releases/amd64/15.1-RELEASE/')).body.toString()).toMatch(
      /<a href="base\.txz">base\.txz<\/a> +02-Jun-2026 00:00 +300000\r\n/,
    );
    const redirect = await curl('/releases/amd64');
    expect([redirect.status, redirect.headers.location]).toEqual([301, '/releases/amd64/']);
  });

  it('gives nothing outside its directory, no dot files, and 404 for the rest', async () => {
    for (const path of [
      '/nothing',
      '/../outside',
      '/%2e%2e/outside',
      '/releases/escape',
      '/.cache/secret',
      `${PATH}/`,
    ]) {
      expect((await curl(path)).status, path).toBe(404);
    }
    expect((await curl(PATH, '-X', 'PUT', '-d', 'x')).status).toBe(405);
    expect((await curl('/')).body.toString()).not.toContain('cache');
  });

  it('records requests', async () => {
    await curl(PATH, '--range', '0-99');
    await curl('/nothing');
    expect(mirror.requests).toMatchObject([
      { method: 'GET', path: PATH, range: 'bytes=0-99', status: 206, bytes: 100 },
      { method: 'GET', path: '/nothing', range: undefined, status: 404 },
    ]);
  });
});

describe('faults', () => {
  it('resets the connection in the middle; a resumed transfer completes', async () => {
    mirror.faults.set(PATH, [{ kind: 'truncate', afterBytes: 100_000, ending: 'reset', times: 1 }]);
    const broken = await curl(PATH);
    expect(broken.exit).toBe(56);
    expect(broken.body.equals(BYTES.subarray(0, 100_000))).toBe(true);
    const rest = await curl(PATH, '--range', `${broken.body.length}-`);
    expect([rest.exit, rest.status]).toEqual([0, 206]);
    expect(Buffer.concat([broken.body, rest.body]).equals(BYTES)).toBe(true);
  });

  it('closes before the promised length', async () => {
    mirror.faults.set(PATH, [{ kind: 'truncate', afterBytes: 1000, ending: 'close' }]);
    const broken = await curl(PATH);
    expect([broken.exit, broken.body.length, broken.headers['content-length']]).toEqual([18, 1000, '300000']);
  });

  it('sends a short body that HTTP cannot tell', async () => {
    mirror.faults.set(PATH, [{ kind: 'truncate', afterBytes: 1000, ending: 'short' }]);
    const short = await curl(PATH);
    expect([short.exit, short.body.length, short.headers['content-length']]).toEqual([0, 1000, '1000']);
  });

  it('fails the first requests, then serves', async () => {
    mirror.faults.set(PATH, [
      { kind: 'status', status: 503, retryAfterSeconds: 1, times: 2 },
      { kind: 'status', status: 500, times: 1 },
    ]);
    const first = await curl(PATH);
    expect([first.status, first.headers['retry-after']]).toEqual([503, '1']);
    expect((await curl(PATH)).status).toBe(503);
    expect((await curl(PATH)).status).toBe(500);
    expect((await curl(PATH)).status).toBe(200);
    mirror.faults.set(PATH, [{ kind: 'status', status: 503, times: 2 }]);
    expect((await curl(PATH, '--fail', '--retry', '3', '--retry-delay', '1')).body.equals(BYTES)).toBe(true);
  });

  it('corrupts one byte, in the whole and in the range that holds it', async () => {
    mirror.faults.set(PATH, [{ kind: 'corrupt', atByte: 150_000 }]);
    const whole = await curl(PATH);
    const different = [...whole.body.keys()].filter((at) => whole.body[at] !== BYTES[at]);
    expect([whole.body.length, different]).toEqual([300_000, [150_000]]);
    expect((await curl(PATH, '--range', '0-999')).body.equals(BYTES.subarray(0, 1000))).toBe(true);
    expect((await curl(PATH, '--range', '150000-150000')).body[0]).toBe(~(BYTES[150_000] ?? 0) & 0xff);
  });

  it('is slow', async () => {
    mirror.faults.set(PATH, [{ kind: 'slow', bytesPerSecond: 300_000 }]);
    const start = performance.now();
    expect((await curl(PATH)).body.equals(BYTES)).toBe(true);
    const seconds = (performance.now() - start) / 1000;
    expect(seconds).toBeGreaterThan(0.8);
    expect(seconds).toBeLessThan(15);
    expect((await curl(PATH, '--max-time', '0.4')).exit).toBe(28);
  });

  it('hangs without a byte', async () => {
    mirror.faults.set(PATH, [{ kind: 'hang' }]);
    await writeFile(join(scratch, 'head'), '');
    const hung = await curl(PATH, '--max-time', '0.5');
    expect([hung.exit, hung.status, hung.body.length]).toEqual([28, 0, 0]);
    expect(mirror.requests.at(-1)?.status).toBe(0);
  });

  it('ignores ranges', async () => {
    mirror.faults.set(PATH, [{ kind: 'ignore-range' }]);
    const answer = await curl(PATH, '--range', '10-19');
    expect([answer.status, answer.body.length]).toEqual([200, 300_000]);
  });

  it('answers a page with 200 in the place of the file', async () => {
    mirror.faults.set(PATH, [{ kind: 'html' }]);
    const answer = await curl(PATH);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/html']);
    expect(answer.body.toString()).toContain('<html>');
  });

  it('leaves other paths alone', async () => {
    mirror.faults.set(PATH, [{ kind: 'status', status: 500 }]);
    expect((await curl('/releases/amd64/amd64/15.1-RELEASE/MANIFEST')).body.toString()).toBe('demo\n');
  });
});
