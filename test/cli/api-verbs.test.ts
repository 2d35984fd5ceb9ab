import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { details, fakeApi, problem, stage } from './fake-api.ts';
import { directoryOf, foundry, shell, startFoundry } from './run.ts';

// Each program that is started takes a second on a busy machine, and some tests start ten.
vi.setConfig({ testTimeout: 120_000 });

const RECIPE = 'name: web\nrelease: 15.1-RELEASE\narchitecture: amd64\n';
const BUILD = 'web-0123456789ab';
const ARN = `arn:aws:states:us-east-1:000000000000:execution:ami-foundry-build-image:${BUILD}`;

const ask = (url: string, args: readonly string[], cwd = '/') => foundry(args, cwd, { FOUNDRY_API_URL: url });

const started = (changes = {}) => ({
  id: BUILD,
  kind: 'build',
  status: 'RUNNING',
  created: true,
  plan: null,
  ...changes,
});

describe('who cannot be asked', () => {
  test.each([
    ['nobody knows where it is', [], {}, 2, /no address and no AWS region/],
    ['nobody has signed in', [], { AWS_REGION: 'eu-west-1' }, 3, /no AWS credentials/],
    ['nobody listens', ['--api', 'http://127.0.0.1:9'], {}, 3, /127\.0\.0\.1:9 does not answer/],
    ['no local cloud runs', ['--local', '--state', '/nonexistent'], {}, 3, /foundry cloud up/],
    ['it is no address', ['--api', 'http://example.org'], {}, 2, /not the address of an API/],
    ['its region is not known', ['--api', 'https://api.example.org'], {}, 2, /--aws-region/],
  ])('%s', async (_, args, environment, code, says) => {
    const told = await foundry(['builds', ...args], '/', environment);
    expect(told).toMatchObject({ code, stdout: '' });
    expect(told.stderr).toMatch(says);
    expect(told.stderr).toContain('Remedy: ');
    expect(told.stderr).not.toContain('    at ');
  });

  test.each([
    // API Gateway's own words.
    [{ status: 403, body: { message: 'Forbidden' } }, /does not let these credentials in \(403\): Forbidden/],
    [
      {
        status: 403,
        headers: { date: new Date(Date.now() - 3_600_000).toUTCString() },
        body: { message: 'Signature expired' },
      },
      /clock is 6[01] minutes fast/,
    ],
    [{ status: 404, body: { message: 'Not Found' } }, /answered 404, and not as the API/],
    [{ status: 200, body: '<html>Please sign in</html>' }, /answered 200, and not as the API/],
    [
      {
        status: 503,
        body: problem({ status: 503, code: 'MirrorUnreachable', detail: 'no mirror answered' }),
      },
      /^MirrorUnreachable: no mirror answered\nRemedy: .*\nMore: https:/,
    ],
  ])('answers with %j', async (answer, says) => {
    await using api = await fakeApi(() => answer);
    const told = await ask(api.url, ['builds']);
    expect(told).toMatchObject({ code: 3, stdout: '' });
    expect(told.stderr).toMatch(says);
  });
});

describe('build', () => {
  test('follows: a line for each change, then what came of it, and the AMI alone on standard output', async () => {
    await using files = await directoryOf({ 'web.yaml': RECIPE });
    await using api = await fakeApi(({ method }, count) => {
      if (method === 'POST') return { status: 202, body: started() };
      const running = count < 5;
      return {
        body: details({
          status: running ? 'RUNNING' : 'SUCCEEDED',
          stages: [
            stage('plan', 'done'),
            stage('worker: fetch', running ? 'running' : 'done', { bytes: 141e6 }),
          ],
        }),
      };
    });
    const told = await ask(api.url, ['build', 'web.yaml'], files.path);
    expect(told).toMatchObject({ code: 0, stdout: 'ami-0123456789abcdef0\n' });
    expect(told.stderr).toMatch(/Z web-0123456789ab {2}plan {2}done {2}1\.5 s\n/);
    expect(told.stderr).toMatch(/worker: fetch {2}running {2}about 20 s\n/);
    expect(told.stderr.match(/worker: fetch {2}running/g)).toHaveLength(1);
    expect(told.stderr).toMatch(/worker: fetch {2}done {2}1\.5 s {2}141 MB\n/);
    expect(told.stderr).toMatch(/eu-west-1 +ami-0fedcba9876543210/);
    expect(told.stderr).toMatch(/price +\$0\.0312 \(estimated: \$0\.0400\)/);
    expect(told.stderr).toMatch(/worker m6i\.large +400 seconds +\$0\.0107/);
    expect(api.asked[0]?.body).toEqual({
      recipe: { name: 'web', release: '15.1-RELEASE', architecture: 'amd64' },
    });
  });

  test('composes here: extends, --set and the matrix; every recipe is right before any is built', async () => {
    await using files = await directoryOf({
      'base.yaml': 'packages: [curl]\n',
      'web.yaml': `extends: base.yaml\nname: web\nrelease: 15.1-RELEASE\nmatrix: { architecture: [amd64, arm64] }\n`,
      'wrong.yaml': 'name: web\n',
    });
    await using api = await fakeApi((_, count) => ({ status: 202, body: started({ id: `web-${count}` }) }));
    expect(await ask(api.url, ['build', '--detach', 'web.yaml', 'wrong.yaml'], files.path)).toMatchObject({
      code: 1,
      stdout: '',
    });
    expect(api.asked).toEqual([]);
    expect(await ask(api.url, ['build', '-d', 'web.yaml'], files.path)).toMatchObject({
      code: 0,
      stdout: 'web-1\nweb-2\n',
    });
    expect(api.asked.map(({ body }) => body)).toMatchObject([
      { recipe: { architecture: 'amd64', packages: ['curl'] } },
      { recipe: { architecture: 'arm64', packages: ['curl'] } },
    ]);
  });

  test('that fails tells why and how to go on, and neither moves the cursor nor shows a password', async () => {
    await using files = await directoryOf({ 'web.yaml': RECIPE });
    await using api = await fakeApi(({ method }) =>
      method === 'POST'
        ? { body: started({ created: false }) }
        : {
            body: details({
              status: 'FAILED',
              result: null,
              failure: {
                code: 'BootPanicked',
                message: 'the kernel panicked\u001b[2J\u009b2J',
                decisive: ['panic: page fault $6$abcdefgh$0123456789abcdef'],
                runbook: 'https://example.org/runbook.md#bootpanicked',
                evidence: [`builds/${BUILD}/failure.json`],
                kept: [],
                resumable: true,
              },
            }),
          },
    );
    const told = await ask(api.url, ['build', 'web.yaml'], files.path);
    expect(told).toMatchObject({ code: 1, stdout: '' });
    expect(told.stderr).toContain('runs already');
    expect(told.stderr).toMatch(/failed +BootPanicked\n +the kernel panicked\\x1b\[2J\\x9b2J/);
    expect(told.stderr).toMatch(/because +│ panic: page fault \$6\$\(hidden\)/);
    expect(told.stderr).toMatch(/go on +foundry resume web-0123456789ab/);
    expect(told.stderr).toContain('runbook.md#bootpanicked');
  });

  test('as NDJSON: what was started, each change, the end', async () => {
    await using files = await directoryOf({ 'web.yaml': RECIPE });
    await using api = await fakeApi(({ method }) =>
      method === 'POST' ? { body: started() } : { body: details() },
    );
    const { code, stdout } = await ask(api.url, ['build', '--json', 'web.yaml'], files.path);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(code).toBe(0);
    expect(lines.map(({ event }) => event)).toEqual(['started', 'stage', 'stage', 'ended']);
    expect(lines.at(-1)).toMatchObject({ build: BUILD, details: details() });
  });

  test('goes on when it is left by Ctrl-C, and says how to come back', async () => {
    await using files = await directoryOf({ 'web.yaml': RECIPE });
    let looks = 0;
    await using api = await fakeApi(async ({ method }) => {
      if (method === 'POST') return { body: started() };
      looks++;
      return { body: details({ status: 'RUNNING', result: null, endedAt: null }) };
    });
    const child = startFoundry(['build', 'web.yaml'], {
      cwd: files.path,
      environment: { FOUNDRY_API_URL: api.url },
    });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    while (looks < 2) await pause(20);
    child.kill('SIGINT');
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(130);
    expect(said).toMatch(/Detached\. The build goes on:/);
    expect(said).toContain(`foundry show --follow ${BUILD}`);
    expect(said).toContain(`foundry abort ${BUILD}`);
    expect(api.asked.filter(({ method }) => method === 'DELETE')).toEqual([]);
  });

  test('is left at once, though the API hangs', async () => {
    await using files = await directoryOf({ 'web.yaml': RECIPE });
    let looks = 0;
    const never = new Promise<never>(() => {});
    await using api = await fakeApi(async ({ method }) => {
      if (method === 'POST') return { body: started() };
      looks++;
      return looks > 1 ? await never : { body: details({ status: 'RUNNING', result: null }) };
    });
    const child = startFoundry(['build', 'web.yaml'], {
      cwd: files.path,
      environment: { FOUNDRY_API_URL: api.url },
    });
    const closed = new Promise((resolve) => child.once('close', resolve));
    while (looks < 2) await pause(20);
    const begun = performance.now();
    child.kill('SIGINT');
    expect(await closed).toBe(130);
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});

describe('pipelines', () => {
  test('get ids alone, from all pages', async () => {
    const summary = (id: string) => ({
      id,
      recipe: 'web',
      status: 'FAILED',
      startedAt: '2026-11-20T10:00:00.000Z',
      endedAt: null,
      seconds: 5,
      state: null,
    });
    await using api = await fakeApi(({ method, path, query }) => {
      if (method === 'POST') return { body: started({ id: `${path.split('/')[2]}-2` }) };
      return query.get('nextToken') === null
        ? { body: { builds: [summary('web-1'), summary('web-2')], nextToken: 'more' } }
        : { body: { builds: [summary('web-3')], nextToken: null } };
    });
    const environment = { FOUNDRY_API_URL: api.url };
    const told = await shell('foundry builds --status failed | xargs foundry resume', { environment });
    expect(told).toMatchObject({ code: 0, stdout: 'web-1-2\nweb-2-2\nweb-3-2\n' });
    expect(api.asked[0]?.query.get('status')).toBe('FAILED');
    const table = await shell('foundry builds --table --limit 1', { environment });
    expect(table.stdout).toMatch(/^BUILD +STATUS .*\nweb-1 +FAILED/);
    expect(table.stdout.trimEnd().split('\n')).toHaveLength(2);
    const json = await shell('foundry builds --json', { environment });
    expect(JSON.parse(json.stdout)).toEqual({ builds: ['web-1', 'web-2', 'web-3'].map(summary) });
    const head = await shell('set -o pipefail; foundry builds --json | head -c 1', { environment });
    expect(head).toMatchObject({ code: 0, stderr: '' });
  });

  test('may pass ARNs, as causes of failures have them', async () => {
    await using api = await fakeApi(({ path }) => ({ body: started({ id: `${path.split('/')[2]}-2` }) }));
    const told = await ask(api.url, ['resume', ARN]);
    expect(told).toMatchObject({ code: 0, stdout: `${BUILD}-2\n` });
    expect(api.asked.map(({ path }) => path)).toEqual([`/builds/${BUILD}/resume`]);
    const wrong = await ask(api.url, ['resume', 'arn:aws:ec2:us-east-1::image/ami-1']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain('not the ARN of an execution');
  });

  test('hear of what is not there', async () => {
    await using api = await fakeApi(() => ({ status: 404, body: problem({}) }));
    const told = await ask(api.url, ['show', BUILD]);
    expect(told).toMatchObject({ code: 1, stdout: '' });
    expect(told.stderr).toBe(
      'BuildNotFound: there is no build web-0123456789ab\nRemedy: see its name: foundry builds.\nMore: https://example.org/runbook.md#buildnotfound\n',
    );
  });
});

test('show tells all, with links that work', async () => {
  await using api = await fakeApi(() => ({ body: details() }));
  const { code, stdout } = await ask(api.url, ['show', BUILD]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/✔ worker: fetch +1\.5 s +of about 20 s +141 MB/);
  expect(stdout).toMatch(/worker +i-0123456789abcdef0 +us-east-1/);
  expect(stdout).toContain('/states/home?region=us-east-1#/v2/executions/details/x');
});

test('retire says what was kept and how to take it back', async () => {
  await using api = await fakeApi(() => ({
    body: {
      imageId: 'ami-0123456789abcdef0',
      quarantined: [{ region: 'us-east-1', imageId: 'ami-0123456789abcdef0' }],
      kept: [{ region: 'eu-west-1', imageId: 'ami-0fedcba9876543210', reason: 'an instance runs it' }],
      undo: 'echo …',
    },
  }));
  const told = await ask(api.url, ['retire', 'ami-0123456789abcdef0']);
  expect(told).toMatchObject({ code: 1, stdout: 'ami-0123456789abcdef0\n' });
  expect(told.stderr).toContain('is kept: an instance runs it');
});

describe('logs --follow', () => {
  test('prints new lines only, also when the window slides, and goes on with the next machine', async () => {
    const all = Array.from({ length: 40 }, (_, line) => `line ${line} of the worker\r\n`).join('');
    const windows = [all.slice(0, 300), all.slice(0, 290), all.slice(200, 600), all.slice(400)];
    let look = 0;
    await using api = await fakeApi(({ path, query }) => {
      if (!path.endsWith('/log')) return { body: details() };
      const source = query.get('source') ?? 'worker';
      if (source !== 'worker')
        return {
          body: { id: BUILD, source, sources: ['worker', source], text: 'FreeBSD\nlogin:', complete: true },
        };
      const text = windows[Math.min(look++, windows.length - 1)] ?? '';
      const complete = look >= windows.length;
      return {
        body: {
          id: BUILD,
          source,
          sources: ['worker', ...(complete ? ['boot-m6i.large'] : [])],
          text,
          complete,
        },
      };
    });
    const { code, stdout, stderr } = await ask(api.url, ['logs', '-f', BUILD]);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `${all.replaceAll('\r', '')}FreeBSD\nlogin:\n`,
    });
    expect(stderr).toContain('==> boot-m6i.large');
  });
});
