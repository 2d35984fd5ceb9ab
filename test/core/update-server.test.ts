import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { MirrorBytes } from '../../core/ports.ts';
import { updateServer } from '../../core/update-server.ts';
import { keyPrint, signed, updateKey } from '../events/mirror-history.ts';
import { rejected } from './caught.ts';
import { resolved } from './upstream.ts';

const URL = 'http://updates.example';
const INDEX = 'a'.repeat(64);
const tag = (line = `freebsd-update|amd64|15.1-RELEASE|3|${INDEX}|1811808000\n`) => line;

/** A server with these files below 15.1-RELEASE/amd64/. */
const server = (files: Readonly<Record<string, string | Uint8Array | MirrorBytes>>) => {
  const asked: string[] = [];
  const ask = updateServer(
    {
      bytes: async (url): Promise<MirrorBytes> => {
        asked.push(url);
        const file = files[url.replace(`${URL}/15.1-RELEASE/amd64/`, '')];
        if (file === undefined) return { status: 'absent' };
        if (typeof file === 'string' || file instanceof Uint8Array)
          return { status: 'found', bytes: Buffer.from(file) };
        return file;
      },
    },
    { url: URL, keyPrint },
  );
  return { asked, level: () => ask.patchLevel('15.1-RELEASE', 'amd64') };
};

describe('the patch level of a release', () => {
  test('is what the signed line says', async () => {
    const { level, asked } = server({ 'pub.ssl': updateKey, 'latest.ssl': signed(tag()) });
    expect(await level()).toBe(3);
    expect(asked.sort()).toEqual([
      `${URL}/15.1-RELEASE/amd64/latest.ssl`,
      `${URL}/15.1-RELEASE/amd64/pub.ssl`,
    ]);
  });

  test('is none where the server has none', async () => {
    expect(await server({}).level()).toBeUndefined();
  });

  test('is not known while the server does not answer', async () => {
    const error = await rejected(
      server({ 'latest.ssl': { status: 'unreachable', reason: 'HTTP 503' } }).level(),
    );
    expect(error.name).toBe('MirrorUnreachable');
    expect(error.message).toContain('latest.ssl: HTTP 503');
  });

  const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
  test.each<[string, Parameters<typeof server>[0]]>([
    ['a page in the place of the line', { 'pub.ssl': updateKey, 'latest.ssl': '<html>login</html>' }],
    ['a page of the length of a signature', { 'pub.ssl': updateKey, 'latest.ssl': 'x'.repeat(256) }],
    ['a line in the clear', { 'pub.ssl': updateKey, 'latest.ssl': tag() }],
    [
      'a line signed with another key',
      { 'pub.ssl': updateKey, 'latest.ssl': signed(tag(), other.privateKey) },
    ],
    [
      'another key, and what it signed',
      {
        'pub.ssl': other.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
        'latest.ssl': signed(tag(), other.privateKey),
      },
    ],
    ['no key', { 'latest.ssl': signed(tag()) }],
    [
      'a line about another release',
      { 'pub.ssl': updateKey, 'latest.ssl': signed(tag().replace('15.1', '15.0')) },
    ],
    [
      'a line about another machine',
      { 'pub.ssl': updateKey, 'latest.ssl': signed(tag().replace('amd64', 'arm64')) },
    ],
    ['two lines', { 'pub.ssl': updateKey, 'latest.ssl': signed(`${tag()}x\n`) }],
    [
      'another word of its owner',
      { 'pub.ssl': updateKey, 'latest.ssl': signed(tag().replace('freebsd-update', 'portsnap')) },
    ],
  ])('is not believed from %s', async (_what, files) => {
    const error = await rejected(server(files).level());
    expect(error.name).toBe('UpdatesUntrusted');
    expect(error.message).toMatch(/updates\.example\/15\.1-RELEASE\/amd64\/(pub|latest)\.ssl/);
  });
});

describe('an image with patches in it', () => {
  const recipe = { name: 'demo', release: '15.1-RELEASE', architecture: 'amd64' };
  const patched = (level: number | undefined, changes: object = { updates: 'at-build' }) =>
    resolved({ ...recipe, ...changes }, undefined, { patchLevel: async () => level });

  test('is another image at each patch level, and says which', async () => {
    const [first, second, again] = await Promise.all([patched(1), patched(2), patched(2)]);
    expect(second.contentDigest).not.toBe(first.contentDigest);
    expect(again.contentDigest).toBe(second.contentDigest);
    expect(second.patches).toBe('p2');
    expect((await patched(undefined)).patches).toBeUndefined();
  });

  test.each([{}, { updates: 'none' }, { system: 'pkgbase', updates: 'at-build' }])(
    'is the only one of which the update server is asked: not with %j',
    async (changes) => {
      const asked = async () => {
        throw new Error('asked');
      };
      const { patches } = await resolved({ ...recipe, ...changes }, undefined, { patchLevel: asked });
      // Base packages have their catalogue.
      expect(patches).toEqual('system' in changes ? expect.stringMatching(/^[0-9a-f]{12}$/) : undefined);
    },
  );
});
