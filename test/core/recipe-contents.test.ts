import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseRecipe } from '../../core/recipe.ts';
import { caught } from './caught.ts';
import { demo } from './legal-recipes.ts';

const SHA = 'a'.repeat(64);
const KEY = `ssh-ed25519 ${'A'.repeat(68)} ann@example.com`;
const parse = (recipe: object) => parseRecipe({ ...demo, ...recipe });

/** The problems of a recipe, a line each. */
const problems = (recipe: object): string[] =>
  caught(() => parse(recipe))
    .message.split('\n')
    .filter((line) => line.startsWith('- '))
    .map((line) => line.slice(2));

const file = { path: '/etc/x', content: 'x' };
const user = { name: 'ann' };
const repository = { name: 'own', url: 'https://p.example', unsigned: true };

describe('what a recipe may hold', () => {
  const good: [what: string, recipe: object][] = [
    [
      'files by text, URL and S3',
      {
        files: [
          file,
          { path: '/a b/ü', url: 'https://e.example/x', sha256: SHA, owner: 'www', group: 80, mode: '4755' },
          { path: '/y', s3: 's3://company/dir/x-1.0', sha256: SHA, owner: 0 },
        ],
      },
    ],
    [
      'users with keys of every kind',
      {
        users: [
          {
            ...user,
            sshKeys: [
              KEY,
              `restrict,command="x y" ${KEY}`,
              `sk-ssh-ed25519@openssh.com ${'A'.repeat(68)}`,
              `ecdsa-sha2-nistp256 ${'A'.repeat(68)}`,
            ],
          },
          {
            name: '_svc',
            uid: 2000,
            group: 'ops',
            home: '/var/empty',
            shell: '/usr/sbin/nologin',
            password: `$6$salt$${'x'.repeat(86)}`,
          },
          { name: 'root', sshKeys: [KEY] },
        ],
      },
    ],
    [
      'packages by name, flavour and origin',
      { packages: ['nginx', 'py311-boto3', 'www/node22', 'gtk+', 'nginx-1.28.0,3'] },
    ],
    [
      'repositories',
      {
        repositories: [
          { name: 'FreeBSD-ports', url: 'https://p.example/{abi}/2026Q4' },
          { ...repository, unsigned: undefined, fingerprints: [SHA] },
          {
            name: 'two',
            url: 'http://10.0.0.5',
            publicKey: generateKeyPairSync('rsa', {
              modulusLength: 2048,
              publicKeyEncoding: { type: 'spki', format: 'pem' },
              privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
            }).publicKey,
          },
          { name: 'three', url: 'http://10.0.0.5/x', keys: '/usr/share/keys/own' },
        ],
      },
    ],
    [
      'settings of every type',
      {
        rcConf: { a_enable: true, b: 5, c: "it's" },
        loaderConf: { 'hw.x': 1 },
        sysctl: { 'kern.ipc.x': 0, 'net.y': true },
      },
    ],
    ['sizes', { rootSize: '20GiB', swap: '2GiB', data: { size: 5, mount: '/srv/data' } }],
    [
      'a kernel and sets of one’s own',
      {
        kernel: { s3: 's3://company/kernel.txz', sha256: SHA },
        extraSets: [{ name: 'agent', url: 'https://e.example/agent.txz', sha256: SHA }],
      },
    ],
    ['a release in S3', { release: undefined, source: 's3://company/releases/15.1-acme/' }],
    [
      'time zone, modules, services, scripts',
      {
        timezone: 'America/Argentina/Buenos_Aires',
        kernelModules: ['ipfw'],
        services: { nginx: true },
        scripts: [{ name: 'one', run: 'set -x\n' }],
      },
    ],
    ['pkgbase', { system: 'pkgbase', updates: 'at-build' }],
    ['cloud-init', { flavour: 'cloud-init', firstbootPackages: ['tmux'] }],
  ];
  test.each(good)('%s', (_what, recipe) => {
    expect(parse(recipe)).toMatchObject({ name: 'demo' });
  });

  const bad: [says: RegExp, recipe: object][] = [
    [/^files\.0\.path must be an absolute path/, { files: [{ ...file, path: 'etc/x' }] }],
    [/^files\.0\.path must be an absolute path/, { files: [{ ...file, path: '/etc/' }] }],
    [/^files\.0\.path must not have empty/, { files: [{ ...file, path: '/etc/../x' }] }],
    [/^files\.0\.path must be one line/, { files: [{ ...file, path: '/a\nb' }] }],
    [
      /^files\.0\.path must not have a component of over 255/,
      { files: [{ ...file, path: `/${'ü'.repeat(128)}` }] },
    ],
    [/^files\.0 must have exactly one of content, url, s3/, { files: [{ path: '/x' }] }],
    [
      /^files\.0 must have exactly one of content, url, s3/,
      { files: [{ ...file, url: 'https://e.example/x', sha256: SHA }] },
    ],
    [/^files\.0\.sha256 must be there with url/, { files: [{ path: '/x', url: 'https://e.example/x' }] }],
    [
      /^files\.0\.sha256 must be a SHA-256/,
      { files: [{ path: '/x', url: 'https://e.example/x', sha256: 'A' }] },
    ],
    [/^files\.0\.mode must be four octal digits/, { files: [{ ...file, mode: '644' }] }],
    [/^files\.0\.mode must be a string/, { files: [{ ...file, mode: 644 }] }],
    [/^files\.0\.content must not have NUL/, { files: [{ ...file, content: 'a\0' }] }],
    [/^files\.0\.owner must be 1 to 32 letters/, { files: [{ ...file, owner: '-x' }] }],
    [/^files must not have a path twice/, { files: [file, file] }],
    [/^files\.0\.s3 must be s3:/, { files: [{ path: '/x', s3: 's3://b/k?x', sha256: SHA }] }],
    [/^files\.0\.contents is not a key.*did you mean content\?/, { files: [{ ...file, contents: 'x' }] }],
    [/^users\.0\.name must be 1 to 32/, { users: [{ name: 'a:b' }] }],
    [/^users\.0\.comment must not have a colon/, { users: [{ ...user, comment: 'a:b' }] }],
    [/^users\.0\.comment must be one line/, { users: [{ ...user, comment: 'a\nroot::0' }] }],
    [/^users\.0\.shell must not have a colon/, { users: [{ ...user, shell: '/bin/sh:x' }] }],
    [/^users\.0\.uid must be at least 1/, { users: [{ ...user, uid: 0 }] }],
    [/^users\.0\.password must be a crypt\(3\) hash/, { users: [{ ...user, password: 'secret' }] }],
    [
      /^users\.0\.sshKeys\.0 must be a public key/,
      { users: [{ ...user, sshKeys: ['-----BEGIN OPENSSH PRIVATE KEY-----'] }] },
    ],
    [/^users\.0\.sshKeys\.0 must be one line/, { users: [{ ...user, sshKeys: [`${KEY}\n${KEY}`] }] }],
    [/^users must not have a name twice/, { users: [user, user] }],
    [/^groups\.0\.gid must be a whole number/, { groups: [{ name: 'g', gid: 1.5 }] }],
    [/^packages\.0 must be the name or origin/, { packages: ['-y'] }],
    [/^packages\.0 must be the name or origin/, { packages: ['a b'] }],
    [/^packages must not have an entry twice/, { packages: ['a', 'a'] }],
    [
      /^repositories\.0 must have exactly one of fingerprints/,
      { repositories: [{ name: 'own', url: 'https://p.example' }] },
    ],
    [
      /^repositories\.0 must have exactly one of fingerprints/,
      { repositories: [{ ...repository, fingerprints: [SHA] }] },
    ],
    [
      /^repositories\.0\.publicKey must be a public key/,
      { repositories: [{ ...repository, unsigned: undefined, publicKey: 'x' }] },
    ],
    [/^repositories\.0\.unsigned must be true/, { repositories: [{ ...repository, unsigned: false }] }],
    [/^rcConf must have keys that are variables/, { rcConf: { 'a; reboot': 'x' } }],
    [/^rcConf\.a must be one line/, { rcConf: { a: 'x\ny' } }],
    [/^rcConf\.a must be text, a number, true or false/, { rcConf: { a: ['x'] } }],
    [/^loaderConf\.a must not have " or/, { loaderConf: { a: 'x"y' } }],
    [/^loaderConf\.a must be at most 1024 printable/, { loaderConf: { a: 'ü' } }],
    [/^sysctl\.a must not have #/, { sysctl: { a: '1 # x' } }],
    [/^sysctl\.a must be 1 to 1024/, { sysctl: { a: ' 1' } }],
    [/^timezone must be a time zone/, { timezone: '../../etc/passwd' }],
    [/^kernelModules\.0 must be the name/, { kernelModules: ['a b'] }],
    [/^services\.nginx must be true/, { services: { nginx: 'yes' } }],
    [
      /^services must not say what rcConf says/,
      { services: { nginx: true }, rcConf: { nginx_enable: 'NO' } },
    ],
    [/^scripts\.0\.name must be 1 to 64/, { scripts: [{ name: 'a/b', run: '' }] }],
    [/^swap must be auto, none or a size/, { swap: 'some' }],
    [/^image\.tpm must not be true unless bootMode is uefi/, { image: { tpm: true } }],
    [
      /^image\.volume\.iops must be at most 500 for each GiB/,
      { rootSize: 10, image: { volume: { iops: 6000 } } },
    ],
    [/^image\.volume\.throughput must be at most a quarter/, { image: { volume: { throughput: 1000 } } }],
    [/^image\.volume\.iops must be at least 3000/, { image: { volume: { iops: 100 } } }],
    [/^data\.size must leave at least/, { rootSize: 10, swap: 5, data: { size: 5, mount: '/data' } }],
    [/^data\.mount must not be a directory of the system/, { data: { size: 1, mount: '/usr' } }],
    [
      /^data\.mount must not have files of the recipe/,
      { data: { size: 1, mount: '/data' }, files: [{ ...file, path: '/data/x' }] },
    ],
    [/^data\.mount must not have files of the recipe/, { data: { size: 1, mount: '/home' }, users: [user] }],
    [/^serialConsole\.speed must be 9600/, { serialConsole: { speed: 1 } }],
    [/^system must be sets before release 15/, { system: 'pkgbase', release: '14.3-RELEASE' }],
    [
      /^kernel must not be there with system: pkgbase/,
      { system: 'pkgbase', kernel: { url: 'https://e.example/k', sha256: SHA } },
    ],
    [/^ec2 must not turn parts/, { flavour: 'cloud-init', ec2: { configinit: true } }],
    [/^flavour must be one of base, small, cloud-init/, { flavour: 'desktop' }],
    [
      /^the recipe is too large/,
      { files: [1, 2].map((n) => ({ path: `/${n}`, content: 'x'.repeat(90_000) })) },
    ],
    [/^matrix is for the file of a recipe/, { matrix: { architecture: ['amd64'] } }],
  ];
  test.each(bad)('not: %s', (says, recipe) => {
    const found = problems(recipe);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(says);
  });

  test('what stands where a hash belongs is not repeated: it may be a password', () => {
    expect(problems({ users: [{ ...user, password: 'hunter2' }] })[0]).not.toContain('hunter2');
  });

  test('a prototype is no key', () => {
    const value = JSON.parse(
      '{"name":"demo","release":"15.1-RELEASE","architecture":"amd64","rcConf":{"__proto__":"x"}}',
    );
    const recipe = parseRecipe(value);
    expect(Object.getPrototypeOf(recipe.rcConf)).toBe(Object.prototype);
  });
});
