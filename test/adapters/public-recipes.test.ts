import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicRecipes } from '../../adapters/web/public-recipes.ts';

const directory = mkdtempSync(join(tmpdir(), 'recipes-'));
let server: Server;
let port = 0;
let ca = '';

beforeAll(async () => {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(directory, name));
  execFileSync('openssl', [
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' '),
    ...'-subj /CN=recipes.example -addext subjectAltName=DNS:recipes.example'.split(' '),
    '-keyout',
    key ?? '',
    '-out',
    cert ?? '',
  ]);
  ca = readFileSync(cert ?? '', 'utf8');
  server = createServer({ key: readFileSync(key ?? ''), cert: ca }, (request, response) => {
    if (request.url === '/web.yaml') response.end('name: web\n');
    else if (request.url === '/moved') response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    else if (request.url === '/large') response.end('x'.repeat(2000));
    else if (request.url === '/latin1') response.end(Buffer.from([0xe9]));
    else if (request.url !== '/slow') response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
});

const answers =
  (...addresses: string[]): LookupFunction =>
  (_host, _options, done) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );

/** As in Lambda, but that the test's own server counts as public. */
const fetchRecipe = (path: string) =>
  publicRecipes({
    ca,
    lookup: answers('127.0.0.1'),
    isPublic: (address) => address === '127.0.0.1',
    limits: { bytes: 1000, milliseconds: 500 },
  })(`https://recipes.example:${port}${path}`);

describe('a recipe by its URL', () => {
  test('is what the server answers', async () => {
    expect(await fetchRecipe('/web.yaml')).toBe('name: web\n');
  });

  test.each([
    ['/moved', 'is a redirect, which is not followed'],
    ['/large', 'has more than 1000 bytes'],
    ['/latin1', 'is no text in UTF-8'],
    ['/slow', 'did not come within 0.5 s'],
    ['/gone', 'the server answers 404'],
  ])('%s is refused: %s', async (path, reason) => {
    await expect(fetchRecipe(path)).rejects.toMatchObject({
      name: 'RecipeUnavailable',
      message: expect.stringContaining(reason),
    });
  });

  test('of a server whose certificate nobody vouches for is refused', async () => {
    const careless = publicRecipes({ lookup: answers('127.0.0.1'), isPublic: () => true });
    await expect(careless(`https://recipes.example:${port}/web.yaml`)).rejects.toThrow(/self-signed/);
  });

  test.each([
    'http://example.com/web.yaml',
    'https://user:hunter2@example.com/web.yaml',
    'https://127.0.0.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://[::1]/',
    'https://[::ffff:169.254.169.254]/',
    'https://[fd00:ec2::254]/latest/meta-data/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://10.0.0.1/',
    'https://100.64.0.1/',
    'https://192.168.1.1/',
    'https://172.31.255.255/',
    'https://0.0.0.0/',
    'https://localhost/',
    'https://',
    'https:///etc/passwd',
  ])('%s is never asked', async (url) => {
    const asked: string[] = [];
    const lookup: LookupFunction = (host, _options, done) => {
      asked.push(host);
      // What localhost is everywhere.
      done(null, [{ address: '127.0.0.1', family: 4 }]);
    };
    const error = await publicRecipes({ lookup })(url).catch((caught: Error) => caught);
    expect(error).toMatchObject({ name: 'RecipeUnavailable' });
    expect(String(error)).not.toContain('hunter2');
    expect(asked.filter((host) => host !== 'localhost' && host !== 'etc')).toEqual([]);
  });

  test.each([['10.0.0.7'], ['93.184.216.34', '169.254.169.254'], ['fe80::1'], ['::ffff:10.0.0.1']])(
    'a name that leads to %s is refused before anything is asked',
    async (...addresses) => {
      const asked = publicRecipes({ lookup: answers(...addresses) })('https://recipes.example/web.yaml');
      await expect(asked).rejects.toThrow('is not on the public internet');
    },
  );

  test('a secret in the query is not told', async () => {
    const asked = publicRecipes({ lookup: answers('10.0.0.7') })(
      'https://recipes.example/web.yaml?token=hunter2',
    );
    await expect(asked).rejects.not.toThrow('hunter2');
  });
});
