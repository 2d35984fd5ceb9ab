import { expect, test } from 'vitest';
import { directoryOf, foundry } from './run.ts';

const files = {
  'base.yaml': `
name: web
release: 15.1-RELEASE
parameters:
  tier: { type: choice, values: [test, production] }
packages: [curl]
users:
  - name: ann
    groups: [wheel]
    password: $6$abcdefgh$0123456789abcdefghijklmnopqrstuvwxyz
hostname: web-\${tier}
`,
  'web.yaml': `
extends: base.yaml
matrix: { architecture: [amd64, arm64], filesystem: [ufs, zfs] }
packages+: [nginx]
services: { nginx: true, sshd: false }
data: { size: 2, mount: /data }
files:
  - { path: /usr/local/etc/web.conf, content: "tier \${tier}\\n" }
`,
  'wrong.yaml': 'name: W\nrelease: 15.1-RELEASE\narchitecture: amd64\nrootsize: 10\n',
  'fleet.yaml': `
name: fleet
release: 15.1-RELEASE
matrix: { architecture: [amd64, arm64] }
image: { bootMode: legacy-bios }
`,
  'plain.yaml': 'name: plain\nrelease: 15.1-RELEASE\narchitecture: amd64\n',
  'broken.yaml': 'name: a\nname: b\n',
};

test('tells what each image of a matrix will contain', async () => {
  await using directory = await directoryOf(files);
  const { code, stdout, stderr } = await foundry(
    ['validate', 'web.yaml', '--set', 'tier=test'],
    directory.path,
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('web.yaml is right: 4 images');
  expect(stdout).toContain('web 15.1-RELEASE-arm64 small ZFS  (architecture=arm64 filesystem=zfs)');
  for (const part of [
    'nginx on',
    'sshd off',
    'ann in wheel',
    'curl, ',
    'data0 freebsd-ufs 2 GiB',
    'growfs: ',
  ])
    expect(stdout).toContain(part);
  expect(stdout).toMatch(/\/usr\/local\/etc\/web\.conf +0644 +root:wheel +10 bytes +The recipe says so\./);
  // No terminal, no colours.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one.
  expect(stdout).not.toMatch(/\u001b/);
});

test('--json is for programs, and one value of the matrix can be picked', async () => {
  await using directory = await directoryOf(files);
  const { code, stdout } = await foundry(
    ['validate', 'web.yaml', '--json', '--set', 'tier=production', '--set', 'architecture=arm64'],
    directory.path,
  );
  expect(code).toBe(0);
  const [result] = JSON.parse(stdout);
  expect(result).toMatchObject({ file: 'web.yaml', ok: true });
  expect(result.builds.map((build: { coordinates: object }) => build.coordinates)).toEqual([
    { architecture: 'arm64', filesystem: 'ufs' },
    { architecture: 'arm64', filesystem: 'zfs' },
  ]);
  expect(result.builds[0].image).toMatchObject({
    name: 'web',
    architecture: 'arm64',
    system: { from: 'sets', sets: ['base', 'kernel'] },
    services: { nginx: true, sshd: false },
  });
  expect(stdout).not.toContain('6789abcdefghijklm');
});

test('all problems go to stderr with field, remedy and exit code 1; good recipes beside it are shown', async () => {
  await using directory = await directoryOf(files);
  const { code, stdout, stderr } = await foundry(
    ['validate', 'wrong.yaml', 'broken.yaml', 'plain.yaml'],
    directory.path,
  );
  expect(code).toBe(1);
  expect(stderr).toContain('rootsize is not a key of a recipe; did you mean rootSize?');
  expect(stderr).toContain('name must be 2 to 40 characters');
  expect(stderr).toContain(
    'broken.yaml is not well-formed YAML or JSON:\n- Map keys must be unique at line 2',
  );
  expect(stderr).toContain('Remedy: ');
  expect(stdout).toContain('plain.yaml is right: one image');
});

test('problems are JSON too', async () => {
  await using directory = await directoryOf(files);
  const { code, stdout } = await foundry(['validate', 'wrong.yaml', '--json'], directory.path);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject([
    { file: 'wrong.yaml', ok: false, builds: [], error: { code: 'InvalidRecipe' } },
  ]);
});

test('what is wrong with some builds of a matrix says with which', async () => {
  await using directory = await directoryOf(files);
  const { code, stderr } = await foundry(['validate', 'fleet.yaml'], directory.path);
  expect(code).toBe(1);
  expect(stderr).toContain('image.bootMode must be uefi on arm64');
  expect(stderr).toContain('in architecture=arm64');
  expect(stderr).not.toContain('architecture=amd64');
});

test('a missing value names its parameter', async () => {
  await using directory = await directoryOf(files);
  const { code, stderr } = await foundry(['validate', 'web.yaml'], directory.path);
  expect(code).toBe(1);
  expect(stderr).toContain('parameters.tier has no value: say --set tier=…');
});

test.each([
  ['nowhere.yaml', 'there is no such file'],
  ['.', 'it is a directory'],
])('%s is no recipe: %s', async (file, reason) => {
  await using directory = await directoryOf({});
  const { code, stderr } = await foundry(['validate', file], directory.path);
  expect(code).toBe(1);
  expect(stderr).toContain(`${file} cannot be read: ${reason}`);
});

test.each([
  [[]],
  [['validate']],
  [['validate', 'a.yaml', '--set', 'x']],
  [['validate', 'a.yaml', '--set', 'x=1', '--set', 'x=2']],
  [['validate', 'a.yaml', '--jsn']],
  [['vlidate', 'a.yaml']],
])('%j is a wrong command line: exit code 2, and help', async (args) => {
  await using directory = await directoryOf({});
  const { code, stdout, stderr } = await foundry(args, directory.path);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).not.toBe('');
});

test('--help documents exit codes', async () => {
  await using directory = await directoryOf({});
  for (const args of [['--help'], ['validate', '--help'], ['plan', '--help']]) {
    const { code, stdout } = await foundry(args, directory.path);
    expect(code).toBe(0);
    expect(stdout).toContain('Exit codes: 0 ');
  }
});

test('warns of what Windows costs for ever', async () => {
  await using directory = await directoryOf({
    'billed.yaml': `${files['plain.yaml']}image: { road: windows }\nbootTest: false\n`,
  });
  const { code, stdout } = await foundry(['validate', 'billed.yaml'], directory.path);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ {2}WARNING {7}every instance ever launched/m);
  expect(stdout).toMatch(/^ {2}WARNING {7}the image is delivered without having booted/m);
});
