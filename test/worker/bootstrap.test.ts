import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { renderUserData } from '../../core/user-data.ts';
import { type Mirror, notFound, page, startMirror, unavailable } from './mirror.ts';
import {
  job,
  MIB,
  makeMachine,
  makePayload,
  removeMachines,
  removePayload,
  root,
  shells,
  volume,
  zfs,
} from './worker-run.ts';

const SECRET = 'X-Amz-Signature=5ec4e7';
const template = readFileSync(join(root, 'worker/bootstrap.sh'), 'utf8');
const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');

let payload: Buffer;
beforeAll(async () => {
  const packed = spawnSync('tar', ['-czf', '-', '-C', await makePayload(), 'worker'], { maxBuffer: 2 ** 28 });
  payload = packed.stdout;
});
const mirrors: Mirror[] = [];
afterEach(async () => {
  await Promise.all(mirrors.splice(0).map((mirror) => mirror.close()));
});
afterAll(() => {
  removeMachines();
  removePayload();
});

const mirrorWith = async (...args: Parameters<typeof startMirror>) => {
  const mirror = await startMirror(...args);
  mirrors.push(mirror);
  return mirror;
};

interface Boot {
  readonly shell: readonly string[];
  readonly url: string;
  readonly lines: string;
  readonly payloadSha256?: string;
  /** Programs in front of the path. */
  readonly doubles?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
}

async function boot({ shell, url, lines, payloadSha256, doubles = {}, environment = {} }: Boot) {
  const machine = makeMachine(96 * MIB);
  const path = join(machine, 'bin');
  mkdirSync(path);
  for (const [name, script] of Object.entries(doubles))
    writeFileSync(join(path, name), script, { mode: 0o755 });
  const userData = renderUserData(template, {
    payloadUrl: `${url}/payload.tar.gz?${SECRET}`,
    payloadSha256: payloadSha256 ?? sha256(payload),
    jobUrl: `${url}/job?${SECRET}`,
    jobSha256: sha256(lines),
    volume,
    build: 'demo-3f1c',
  });
  writeFileSync(join(machine, 'user-data'), userData, { mode: 0o755 });
  const [command = 'sh', ...rest] = shell;
  const child = spawn(command, [...rest, join(machine, 'user-data')], {
    cwd: '/',
    // As boot leaves it: hardly a path, no HOME.
    env: {
      PATH: `${path}:/bin`,
      TMPDIR: machine,
      FOUNDRY_DEV: join(machine, 'dev'),
      FOUNDRY_POWER_OFF: join(machine, 'power-off'),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr.on('data', (chunk) => {
    text += chunk;
  });
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const reports = [...text.matchAll(/^foundry-report: (.*)$/gm)].map((match) => JSON.parse(match[1] ?? ''));
  return {
    status,
    text,
    reports,
    poweredOff: existsSync(join(machine, 'powered-off')),
    machine,
  };
}

const noSleep = { sleep: '#!/bin/sh\nexit 0\n' };

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))(
  'the bootstrap under $name',
  ({ shell }) => {
    it('fetches the worker and the job, and the worker does the rest', async () => {
      const release = await mirrorWith();
      const lines = `${job([release.url]).join('\n')}\n`;
      const { url } = await mirrorWith({}, { 'payload.tar.gz': payload, job: Buffer.from(lines) });
      const result = await boot({ shell, url, lines });
      expect(result.reports, result.text).toMatchObject([{ ok: true, build: 'demo-3f1c' }]);
      expect(result).toMatchObject({ status: 0, poweredOff: true });
      expect(result.text).not.toContain(SECRET);
    });

    it('tries again while S3 or the network is not there yet', async () => {
      const lines = `${job(['http://127.0.0.1:9/r'], zfs).join('\n')}\n`;
      let asked = 0;
      const { url } = await mirrorWith(
        {
          'payload.tar.gz': (request, response, body) => {
            asked++;
            if (asked < 4) unavailable(request, response, body);
            else response.writeHead(200, { 'content-length': body.length }).end(body);
          },
        },
        { 'payload.tar.gz': payload, job: Buffer.from(lines) },
      );
      const result = await boot({ shell, url, lines, doubles: noSleep });
      expect(asked).toBe(4);
      expect(result.reports, result.text).toMatchObject([{ ok: false, code: 'UnsupportedOnPlatform' }]);
      expect(result.poweredOff).toBe(true);
    });

    it.each([
      ['a link that has expired', notFound, 'PayloadUnavailable'],
      ['a server that never recovers', unavailable, 'PayloadUnavailable'],
      ['another file', page, 'PayloadChecksumMismatch'],
    ])('reports %s, without the URL, and powers off', async (_what, behaviour, code) => {
      const { url } = await mirrorWith({ 'payload.tar.gz': behaviour }, { 'payload.tar.gz': payload });
      const result = await boot({ shell, url, lines: '', doubles: noSleep });
      expect(result.reports, result.text).toMatchObject([
        { version: 1, ok: false, build: 'demo-3f1c', phase: 'bootstrap', code, phases: [] },
      ]);
      expect(result).toMatchObject({ status: 1, poweredOff: true });
      expect(result.text).not.toContain('X-Amz');
      expect(result.text).not.toContain('127.0.0.1');
    });

    it('reports a mirror that is not there', async () => {
      const result = await boot({ shell, url: 'http://127.0.0.1:9/bucket', lines: '', doubles: noSleep });
      expect(result.reports, result.text).toMatchObject([{ ok: false, code: 'PayloadUnavailable' }]);
      expect(result.text).not.toContain('X-Amz');
      expect(result.poweredOff).toBe(true);
    });

    it('reports a payload that is no archive', async () => {
      const broken = Buffer.from('no archive');
      const { url } = await mirrorWith({}, { 'payload.tar.gz': broken, job: Buffer.from('x') });
      const result = await boot({ shell, url, lines: 'x', payloadSha256: sha256(broken), doubles: noSleep });
      expect(result.reports, result.text).toMatchObject([{ ok: false, code: 'PayloadChecksumMismatch' }]);
      expect(result.poweredOff).toBe(true);
    });

    it('reports nothing in the place of a worker that had reported, and powers off', async () => {
      const release = await mirrorWith({ 'base.txz': notFound });
      const lines = `${job([release.url], { linger: 30 }).join('\n')}\n`;
      const { url } = await mirrorWith({}, { 'payload.tar.gz': payload, job: Buffer.from(lines) });
      // As long as nothing else sleeps: the wait between the report and its repetition.
      const sleep = '#!/bin/sh\n[ "$1" != 5 ] || kill -KILL "$PPID"\nexec /bin/sleep "$@"\n';
      const result = await boot({ shell, url, lines, doubles: { sleep } });
      expect(result.reports, result.text).toMatchObject([{ ok: false, code: 'SetNotFound' }]);
      expect(result).toMatchObject({ status: 137, poweredOff: true });
    });

    it('does not let FreeBSD go on with its boot after shutdown(8) has returned', async () => {
      const note = (name: string) => `#!/bin/sh\necho "${name} $*" >>"$TMPDIR/calls"\n`;
      const doubles = {
        uname: '#!/bin/sh\necho FreeBSD\n',
        sleep: note('sleep'),
        shutdown: note('shutdown'),
        halt: note('halt'),
        fetch: '#!/bin/sh\necho "fetch: https://s3.example/payload: Forbidden" >&2\nexit 1\n',
      };
      const environment = { FOUNDRY_POWER_OFF: '' };
      const result = await boot({ shell, url: 'https://s3.example', lines: 'x', doubles, environment });
      expect(result.reports, result.text).toMatchObject([{ code: 'PayloadUnavailable' }]);
      const calls = readFileSync(join(result.machine, 'calls'), 'utf8').trim().split('\n');
      expect(calls.slice(-4)).toEqual(['sleep 60', 'shutdown -p now', 'sleep 60', 'halt -p']);
    });

    it('reports and powers off in the place of a worker that was killed', async () => {
      const { url } = await mirrorWith({}, { 'payload.tar.gz': payload, job: Buffer.from('x') });
      // The first thing main.sh makes is its work directory.
      const mkdir = '#!/bin/sh\n[ "$1" != -p ] || kill -KILL "$PPID"\nexec /bin/mkdir "$@"\n';
      const result = await boot({ shell, url, lines: 'x', doubles: { mkdir } });
      expect(result.reports, result.text).toMatchObject([
        { ok: false, phase: 'bootstrap', code: 'WorkerFailed' },
      ]);
      expect(result).toMatchObject({ poweredOff: true });
    });
  },
);
