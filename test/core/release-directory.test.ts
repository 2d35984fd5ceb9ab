import { describe, expect, test } from 'vitest';
import type { Mirror, MirrorAnswer } from '../../core/ports.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { findRelease, revisionOf } from '../../core/release-directory.ts';
import { rejected } from './caught.ts';
import { demo } from './legal-recipes.ts';

const sha = (digit: string) => digit.repeat(64);
const MANIFEST = `base.txz\t${sha('1')}\t2\tbase\t"Base"\ton\nkernel.txz\t${sha('2')}\t1\tkernel\t"Kernel"\ton\n`;

/** Mirrors that hold exactly these texts; a host in `down` answers nothing. Everything read is noted. */
function mirrors(
  texts: Readonly<Record<string, string>>,
  down: readonly string[] = [],
): Pick<Mirror, 'read'> & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async read(url): Promise<MirrorAnswer> {
      asked.push(url);
      if (down.some((host) => url.startsWith(host))) return { status: 'unreachable', reason: 'ECONNREFUSED' };
      const text = texts[url];
      return text === undefined ? { status: 'absent' } : { status: 'found', text };
    },
  };
}

const [A, B] = ['https://a', 'https://b'] as const;
const directory = (mirror: string, tail = 'amd64/amd64/15.1-RELEASE') => `${mirror}/releases/${tail}`;
const recipe = parseRecipe({ ...demo, mirrors: [A, B] });
const full = (mirror: string) => ({
  [`${directory(mirror)}/MANIFEST`]: MANIFEST,
  [`${directory(mirror)}/BUILDDATE`]: '20261106\n',
});

describe('a release is found', () => {
  test('on mirrors that agree', async () => {
    expect(await findRelease(recipe, mirrors({ ...full(A), ...full(B) }))).toEqual({
      directories: [directory(A), directory(B)],
      manifestUrl: `${directory(A)}/MANIFEST`,
      sets: [
        { name: 'base', file: 'base.txz', sha256: sha('1'), entries: 2 },
        { name: 'kernel', file: 'kernel.txz', sha256: sha('2'), entries: 1 },
      ],
      builtAt: Date.UTC(2026, 10, 6) / 1000,
    });
  });

  test('in the directories of arm64/aarch64', async () => {
    const arm = directory(A, 'arm64/aarch64/15.1-RELEASE');
    const found = await findRelease(
      parseRecipe({ ...demo, architecture: 'arm64', mirrors: [`${A}/`] }),
      mirrors({ [`${arm}/MANIFEST`]: MANIFEST }),
    );
    expect(found.directories).toEqual([arm]);
  });

  test('in a source of the caller, without looking at any mirror', async () => {
    const port = mirrors({ 'http://own/r/MANIFEST': MANIFEST });
    const found = await findRelease(parseRecipe({ ...demo, source: 'http://own/r/', mirrors: [A] }), port);
    expect(found.directories).toEqual(['http://own/r']);
    expect(port.asked.filter((url) => !url.startsWith('http://own/r/'))).toEqual([]);
  });

  test('when one mirror is down: the one that answered comes first, the other stays a fallback', async () => {
    const found = await findRelease(recipe, mirrors(full(B), [A]));
    expect(found.directories).toEqual([directory(B), directory(A)]);
    expect(found.manifestUrl).toBe(`${directory(B)}/MANIFEST`);
    expect(found.builtAt).toBe(Date.UTC(2026, 10, 6) / 1000);
  });

  test.each(['', 'yesterday', '2026-11-06', '<html>'])(
    'and dated 2000-01-01 when BUILDDATE says %j',
    async (date) => {
      const found = await findRelease(recipe, mirrors({ ...full(A), [`${directory(A)}/BUILDDATE`]: date }));
      expect(found.builtAt).toBe(Date.UTC(2000, 0, 1) / 1000);
    },
  );

  test.each(['https://b', 's3://own'])('unless nobody can tell its date: %s', async (host) => {
    const source = `${host}/r`;
    const own = parseRecipe({ ...demo, source, mirrors: [A] });
    const port = mirrors({ [`${source}/MANIFEST`]: MANIFEST }, [`${source}/BUILDDATE`, `${source}/REVISION`]);
    expect((await rejected(findRelease(own, port))).name).toBe('MirrorUnreachable');
    expect((await rejected(revisionOf(source, port))).name).toBe('MirrorUnreachable');
  });

  test('and dated 2000-01-01 when S3 refuses BUILDDATE: Plan may not list the bucket', async () => {
    const source = 's3://own/r';
    const { read } = mirrors({ [`${source}/MANIFEST`]: MANIFEST });
    const port = {
      read: async (url: string): Promise<MirrorAnswer> =>
        url.endsWith('/MANIFEST') ? read(url) : { status: 'unreachable', reason: 'HTTP 403' },
    };
    const own = parseRecipe({ ...demo, source, mirrors: [A] });
    expect((await findRelease(own, port)).builtAt).toBe(Date.UTC(2000, 0, 1) / 1000);
    expect(await revisionOf(source, port)).toBeUndefined();
  });

  test('and dated 2000-01-01 without BUILDDATE', async () => {
    const found = await findRelease(recipe, mirrors({ [`${directory(A)}/MANIFEST`]: MANIFEST }));
    expect(found.builtAt).toBe(Date.UTC(2000, 0, 1) / 1000);
  });
});

describe('a release is not found', () => {
  test('when no mirror has it: ReleaseNotFound names what was tried and what there is, newest first', async () => {
    const index = [
      '13.5-RELEASE/',
      '15.0-RELEASE/',
      '14.10-RELEASE/',
      '14.9-RELEASE/',
      '15.1-RC1/',
      'ISO-IMAGES/',
      '../',
    ]
      .map((name) => `<a href="${name}">${name}</a>`)
      .join('\n');
    const error = await rejected(findRelease(recipe, mirrors({ [`${A}/releases/amd64/amd64/`]: index })));
    expect(error.name).toBe('ReleaseNotFound');
    expect(error.message).toContain('15.1-RELEASE for amd64');
    expect(error.message).toContain(directory(A));
    expect(error.message).toContain(directory(B));
    expect(error.remedy).toBe(
      'choose a release that is there: 15.1-RC1, 15.0-RELEASE, 14.10-RELEASE, 14.9-RELEASE, 13.5-RELEASE.',
    );
  });

  test('without an index of the parent the remedy is a general one', async () => {
    const error = await rejected(
      findRelease(recipe, mirrors({ [`${A}/releases/amd64/amd64/`]: '<html>nothing here</html>' })),
    );
    expect(error.name).toBe('ReleaseNotFound');
    expect(error.remedy).toMatch(/archive mirror/);
  });

  test('when its directory is there without MANIFEST', async () => {
    const error = await rejected(
      findRelease(recipe, mirrors({ [`${directory(A)}/`]: '<html>base.txz</html>' })),
    );
    expect(error.name).toBe('ManifestMissing');
    expect(error.message).toContain(`${directory(A)}/ exists`);
  });

  test('when no mirror answers: MirrorUnreachable with the reason of each', async () => {
    const error = await rejected(findRelease(recipe, mirrors({}, [A, B])));
    expect(error.name).toBe('MirrorUnreachable');
    expect(error.message).toContain(`${directory(A)}/MANIFEST: ECONNREFUSED`);
    expect(error.message).toContain(`${directory(B)}/MANIFEST: ECONNREFUSED`);
  });

  test('when one mirror has it not and the other does not answer: nobody knows, so it may be tried again', async () => {
    const error = await rejected(findRelease(recipe, mirrors({}, [A])));
    expect(error.name).toBe('MirrorUnreachable');
    expect(error.message).toContain(`${directory(A)}/MANIFEST: ECONNREFUSED`);
    expect(error.message).toMatch(new RegExp(`${directory(B)}.*not there`));
  });

  test('when two mirrors differ', async () => {
    const other = { [`${directory(B)}/MANIFEST`]: MANIFEST.replace('1', '3') };
    const error = await rejected(findRelease(recipe, mirrors({ ...full(A), ...other })));
    expect(error.name).toBe('ManifestMismatch');
    expect(error.message).toContain(`${directory(A)}/MANIFEST and ${directory(B)}/MANIFEST differ`);
  });

  test('when a proxy answers everything with its own page', async () => {
    const html = '<html>Please log in</html>';
    const port: Pick<Mirror, 'read'> = { read: async () => ({ status: 'found', text: html }) };
    const error = await rejected(findRelease(recipe, port));
    expect(error.name).toBe('ManifestInvalid');
    expect(error.message).toContain(`${directory(A)}/MANIFEST`);
  });
});
