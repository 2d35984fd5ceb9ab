import { afterAll, afterEach, describe, expect, it } from 'vitest';
import {
  alwaysCutAt,
  cutAt,
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
import { base } from './synthetic-release.ts';
import { down, expectFailure, job, removeMachines, removePayload, runWorker, shells } from './worker-run.ts';

const mirrors: Mirror[] = [];
const mirrorWith = async (...args: Parameters<typeof startMirror>) => {
  const mirror = await startMirror(...args);
  mirrors.push(mirror);
  return mirror;
};
afterEach(async () => {
  await Promise.all(mirrors.splice(0).map((mirror) => mirror.close()));
});
afterAll(() => {
  removeMachines();
  removePayload();
});

describe.each(shells.map((shell) => ({ name: shell.join(' '), shell })))('fetch under $name', ({ shell }) => {
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
  }, 60_000);

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
  }, 80_000);

  it('is MirrorUnreachable when none answers', async () => {
    const result = await runWorker({ shell, lines: job([down]) });
    expectFailure(result, 'fetch', 'MirrorUnreachable');
    expect(result.report.message).toContain(down);
  });
});
