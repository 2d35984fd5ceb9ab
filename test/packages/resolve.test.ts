import { expect, test } from 'vitest';
import { abiFits, Catalogue } from '../../packages/catalogue.ts';
import { PackageError } from '../../packages/errors.ts';
import type { OpenedRepository } from '../../packages/repository.ts';
import { type Resolution, resolve } from '../../packages/resolve.ts';

interface Wanted {
  readonly version?: string;
  readonly origin?: string;
  readonly deps?: readonly string[];
  readonly [key: string]: unknown;
}

function repository(
  name: string,
  packages: Readonly<Record<string, Wanted>>,
  priority = 0,
): OpenedRepository {
  const catalogue = new Catalogue(name, 'FreeBSD:15:amd64');
  for (const [key, { version = '1', origin, deps = [], ...more }] of Object.entries(packages)) {
    const packageName = key.replace(/#.*/, '');
    catalogue.add(
      JSON.stringify({
        name: packageName,
        version,
        origin: origin ?? `demo/${packageName}`,
        abi: 'FreeBSD:15:*',
        path: `All/${packageName}-${version}.pkg`,
        sum: 'a'.repeat(64),
        deps: Object.fromEntries(deps.map((dep) => [dep, { origin: 'x/y', version: '1' }])),
        ...more,
      }),
    );
  }
  return { request: { name, url: 'http://localhost', priority, trust: { kind: 'none' } }, catalogue };
}

const choose = (names: readonly string[], ...repositories: readonly OpenedRepository[]): Resolution =>
  resolve(
    names.map((name) => {
      const [first = '', from = ''] = name.split(' from ');
      return { name: first, repository: from };
    }),
    repositories,
    { shlib: (name) => name === 'libc.so.7' },
  );
const chosen = (names: readonly string[], ...repositories: readonly OpenedRepository[]): string[] =>
  choose(names, ...repositories).packages.map(
    ({ name, version, automatic }) => `${name}-${version}${automatic ? '*' : ''}`,
  );

function refused(names: readonly string[], ...repositories: readonly OpenedRepository[]): PackageError {
  try {
    choose(names, ...repositories);
  } catch (error) {
    if (error instanceof PackageError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('dependencies come first, in one order, and are automatic', () => {
  const ports = repository('ports', {
    a: { deps: ['c', 'b'] },
    b: { deps: ['d'] },
    c: { deps: ['d'] },
    d: {},
    e: {},
  });
  expect(chosen(['a', 'd'], ports)).toEqual(['d-1', 'b-1*', 'c-1*', 'a-1']);
  expect(chosen(['d', 'a'], ports)).toEqual(['d-1', 'b-1*', 'c-1*', 'a-1']);
});

test('names, name-version, origins with flavour, globs, either case', () => {
  const ports = repository('ports', {
    Foo: {},
    'foo-bar': { version: '2.0_1,1', origin: 'net/foo-bar' },
    'py311-x': { origin: 'devel/py-x', annotations: { flavor: 'py311' } },
    'py312-x': { origin: 'devel/py-x', annotations: { flavor: 'py312' } },
    'py311-cloud-init': { version: '25.1', origin: 'net/cloud-init', annotations: { flavor: 'py311' } },
  });
  expect(chosen(['foo'], ports)).toEqual(['Foo-1']);
  expect(chosen(['foo-bar-2.0_1,1'], ports)).toEqual(['foo-bar-2.0_1,1']);
  expect(chosen(['net/cloud-init'], ports)).toEqual(['py311-cloud-init-25.1']);
  expect(chosen(['devel/py-x@py312'], ports)).toEqual(['py312-x-1']);
  expect(chosen(['py31[12]-x', 'foo-*'], ports)).toEqual(['foo-bar-2.0_1,1', 'py311-x-1', 'py312-x-1']);
  expect(refused(['devel/py-x'], ports).message).toContain('py311-x, py312-x');
});

test('the newest in a repository; priority between repositories; a repository by name', () => {
  const one = repository('one', { 'a#1': { version: '1.9' }, 'a#2': { version: '1.10' }, b: {} });
  const two = repository('two', { a: { version: '1.5' } }, 10);
  expect(chosen(['a'], one)).toEqual(['a-1.10']);
  expect(chosen(['a'], one, two)).toEqual(['a-1.5']);
  expect(chosen(['a from one'], one, two)).toEqual(['a-1.10']);
  expect(refused(['a from three'], one).message).toContain('no repository three');
  expect(refused(['a from one', 'a from two'], one, two).code).toBe('PackageConflict');
});

test('needs by name of a thing and of a library', () => {
  const ports = repository('ports', {
    app: { requires: ['php-api'], shlibs_required: ['libz.so.1', 'libc.so.7', 'libgone.so.3'] },
    php81: { version: '8.1', provides: ['php-api'] },
    php82: { version: '8.2', provides: ['php-api'] },
    zlib: { shlibs_provided: ['libz.so.1'] },
  });
  expect(chosen(['app'], ports)).toEqual(['app-1', 'php82-8.2*', 'zlib-1*']);
  // What is chosen anyway meets the need.
  expect(chosen(['app', 'php81'], ports)).toEqual(['app-1', 'php81-8.1', 'zlib-1*']);
  expect(choose(['app'], ports).notes).toEqual([expect.stringContaining('libgone.so.3')]);
});

test('everything that is missing is told at once, with what is near', () => {
  const ports = repository('ports', {
    nginx: {},
    'py311-requests': {},
    a: { deps: ['gone', 'away'] },
    b: { requires: ['thing'] },
  });
  const error = refused(['ngnix', 'py-requests', 'zzzzzzzz'], ports);
  expect(error.code).toBe('PackageNotFound');
  expect(error.message).toContain('ngnix (near: nginx');
  expect(error.message).toContain('py-requests (near: py311-requests');
  expect(error.message).toContain('there is no zzzzzzzz');
  expect(refused(['a', 'b'], ports).message).toMatch(
    /away \(needed by a\), gone \(needed by a\), thing \(required by b\)/,
  );
});

test('declared conflicts', () => {
  const ports = repository('ports', {
    a: { conflicts: ['b-2*'] },
    'b#1': { version: '2.5' },
    c: { conflicts: ['b'] },
  });
  expect(refused(['a', 'b'], ports).message).toContain('a conflicts with b');
  expect(refused(['c', 'b'], ports).code).toBe('PackageConflict');
  expect(chosen(['a'], ports)).toEqual(['a-1']);
});

test('circles and long chains of dependencies end', () => {
  const links = Object.fromEntries(
    Array.from({ length: 5000 }, (_, n) => [`p${n}`, { deps: [`p${(n + 1) % 5000}`] }]),
  );
  expect(chosen(['p0'], repository('ports', links))).toHaveLength(5000);
});

test('ABIs with any part', () => {
  for (const pattern of [
    '*',
    'FreeBSD:15:amd64',
    'freebsd:15:AMD64',
    'FreeBSD:15:*',
    'FreeBSD:*',
    'FreeBSD:*:*',
  ]) {
    expect(abiFits(pattern, 'FreeBSD:15:amd64')).toBe(true);
  }
  for (const pattern of ['FreeBSD:14:amd64', 'FreeBSD:15:aarch64', 'FreeBSD:15', 'FreeBSD:15:amd64:x']) {
    expect(abiFits(pattern, 'FreeBSD:15:amd64')).toBe(false);
  }
});

test.each([
  { name: '../x' },
  { path: '../../etc/passwd' },
  { path: '/etc/passwd' },
  { path: 'All//x.pkg' },
  { version: '1/2' },
  { sum: 'abc' },
  { name: 'a\nb' },
])('a hostile line %j', (more) => {
  expect(() => repository('ports', { a: more })).toThrow(PackageError);
});
