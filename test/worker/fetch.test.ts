import { createHash } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import {
  alwaysCutAt,
  cutAt,
  forbidden,
  inTurn,
  type Mirror,
  notFound,
  otherContent,
  page,
  serve,
  startMirror,
  unavailable,
  withoutRanges,
} from './mirror.ts';
import { base, kernel } from './synthetic-release.ts';
import { down, expectFailure, job, removeMachines, removePayload, runWorker, shells } from './worker-run.ts';

const mirrors: Mirror[] = [];
const mirrorWith = async (...args: Parameters<typeof startMirror>) => {
  const mirror = await startMirror(...args);
  mirrors.push(mirror);
  return mirror;
};
afterAll(async () => {
  await Promise.all(mirrors.map((mirror) => mirror.close()));
  removeMachines();
  removePayload();
});

const underShells = shells.map((shell) => ({ name: shell.join(' '), shell }));

// Beside each other: most of their time a worker rests before it asks again.
describe.concurrent.each(underShells)('fetch under $name', { timeout: 120_000 }, ({ shell }) => {
  it('resumes where a connection broke', async () => {
    const mirror = await mirrorWith({ 'base.txz': inTurn(cutAt(40_000), serve) });
    const result = await runWorker({ shell, lines: job([mirror.url]) });
    expect(result.report, result.console).toMatchObject({ ok: true });
    expect(mirror.requests).toEqual(['GET base.txz', 'GET base.txz bytes=40000-', 'GET kernel.txz']);
  });

  it('starts again where a server cannot resume', async () => {
    const mirror = await mirrorWith({ 'base.txz': inTurn(cutAt(40_000), withoutRanges) });
    const result = await runWorker({ shell, lines: job([mirror.url]) });
    expect(result.report, result.console).toMatchObject({ ok: true });
  });

  it('takes the next mirror when one is down, lacks the set, is busy or serves something else', async () => {
    for (const behaviour of [notFound, unavailable, otherContent, page]) {
      const bad = await mirrorWith({ 'base.txz': behaviour });
      const good = await mirrorWith();
      const result = await runWorker({ shell, lines: job([down, bad.url, good.url]) });
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(good.requests[0]).toBe('GET base.txz');
    }
  });

  it('waits for a mirror that comes back', async () => {
    const mirror = await mirrorWith({ 'kernel.txz': inTurn(unavailable, unavailable, serve) });
    const result = await runWorker({ shell, lines: job([mirror.url]) });
    expect(result.report, result.console).toMatchObject({ ok: true });
  });

  it('is SetNotFound when no mirror has the set', async () => {
    const [one, two] = [
      await mirrorWith({ 'kernel.txz': notFound }),
      await mirrorWith({ 'kernel.txz': notFound }),
    ];
    const result = await runWorker({ shell, lines: job([one.url, two.url]) });
    expectFailure(result, 'fetch', 'SetNotFound');
    expect(result.report.message).toContain('kernel.txz');
    expect(result.report.message).toContain(`${two.url}/kernel.txz: answered 404`);
    expect(result.report.phases.map((phase: { name: string }) => phase.name)).toEqual(['preflight']);
  });

  it('is SetChecksumMismatch with both digests, and nothing is extracted', async () => {
    const mirror = await mirrorWith({ 'base.txz': otherContent });
    const result = await runWorker({ shell, lines: job([mirror.url]) });
    expectFailure(result, 'fetch', 'SetChecksumMismatch');
    expect(result.report.message).toContain(base.sha256);
    expect(result.report.message).toMatch(/with SHA-256 [0-9a-f]{64}$/);
    expect(mirror.requests).toEqual(['GET base.txz']);
  });

  it('tells a page with status 200 from an archive', async () => {
    const mirror = await mirrorWith({ 'base.txz': page });
    const result = await runWorker({ shell, lines: job([mirror.url]) });
    expectFailure(result, 'fetch', 'SetChecksumMismatch');
    expect(result.report.message).toContain('it is a web page, not an xz archive');
  });

  it('is SetTruncated with the bytes that came', async () => {
    const mirror = await mirrorWith({ 'base.txz': alwaysCutAt(30_000) });
    const result = await runWorker({ shell, lines: job([mirror.url]) });
    expectFailure(result, 'fetch', 'SetTruncated');
    expect(result.report.message).toContain(`got 30000 of ${base.body.length} bytes`);
  });

  it('is MirrorUnreachable when none answers', async () => {
    const result = await runWorker({ shell, lines: job([down]) });
    expectFailure(result, 'fetch', 'MirrorUnreachable');
    expect(result.report.message).toContain(down);
  });

  describe('from URLs of their own', () => {
    const secret = '?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=5ec2e7';
    const content = Buffer.from('from a bucket\0\n');
    const digest = (data: Buffer) => createHash('sha256').update(data).digest('hex');
    const fileAt = (url: string, sha256 = digest(content)) => ({
      'file.1.content': undefined,
      'file.1.url': url,
      'file.1.sha256': sha256,
      'file.1.path': '/etc/from-a-bucket',
    });

    it('come sets, from there only, and files', async () => {
      const mirror = await mirrorWith();
      const bucket = await mirrorWith(
        { own: inTurn(unavailable, cutAt(40_000), serve) },
        { own: base.body, file: content },
      );
      const result = await runWorker({
        shell,
        lines: job([mirror.url], {
          'set.1.url': `${bucket.url}/own${secret}`,
          ...fileAt(`${bucket.url}/file${secret}`),
        }),
      });
      expect(result.report, result.console).toMatchObject({ ok: true });
      expect(mirror.requests).toEqual(['GET kernel.txz']);
      expect(bucket.requests).toEqual(['GET own', 'GET own', 'GET own bytes=40000-', 'GET file']);
      expect(result.report.phases[1].bytes).toBe(base.body.length + kernel.body.length + content.length);
      expect(result.console).not.toContain('5ec2e7');
    });

    it.each([
      ['a file that is not there', { file: notFound }, {}, 'SourceUnavailable', 'answered 404'],
      ['a link that has expired', { file: forbidden }, {}, 'SourceUnavailable', 'answered 403'],
      ['a file that ends early', { file: alwaysCutAt(5) }, {}, 'SourceUnavailable', 'got 5 of 15 bytes'],
      ['a file that was replaced', { file: otherContent }, {}, 'SourceUnavailable', digest(content)],
      [
        'a set that is not there',
        { own: notFound },
        { own: true },
        'SetNotFound',
        'base.txz is not at its URL',
      ],
      ['a set that was replaced', { own: otherContent }, { own: true }, 'SetChecksumMismatch', base.sha256],
      ['a set that nobody serves', { own: unavailable }, { own: true }, 'SourceUnavailable', 'answered 503'],
    ] as const)(
      '%s is told apart, and no query is shown',
      async (_what, behaviours, { own = false }: { own?: boolean }, code, words) => {
        const mirror = await mirrorWith();
        const bucket = await mirrorWith(behaviours, { own: base.body, file: content });
        const result = await runWorker({
          shell,
          lines: job(
            [mirror.url],
            own
              ? { 'set.1.url': `${bucket.url}/own${secret}` }
              : fileAt(`${bucket.url.replace('//', '//user:5ec2e7@')}/file${secret}`),
          ),
        });
        expectFailure(result, 'fetch', code);
        expect(result.report.message).toContain(words);
        expect(result.report.message).toContain(`${bucket.url}/${own ? 'own' : 'file'}: `);
        if (!own) expect(result.report.message).toContain('/etc/from-a-bucket');
        expect(result.console).not.toContain('X-Amz');
        expect(result.console).not.toContain('5ec2e7');
      },
    );
  });
});
