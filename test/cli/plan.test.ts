import { expect, test } from 'vitest';
import { directoryOf, foundry, webServer } from './run.ts';

const sum = (digit: string) => digit.repeat(64);

const manifest = [
  ['base.txz', sum('a'), '30443', 'base', '"Base system (MANDATORY)"', 'on'],
  ['kernel.txz', sum('b'), '900', 'kernel', '"Kernel (MANDATORY)"', 'on'],
  ['tests.txz', sum('c'), '7000', 'tests', '"Test suite"', 'off'],
]
  .map((fields) => `${fields.join('\t')}\n`)
  .join('');

const release = '/releases/amd64/amd64/15.1-RELEASE';

const world = () =>
  webServer({
    [`${release}/MANIFEST`]: manifest,
    [`${release}/BUILDDATE`]: '20260601\n',
    '/packages/packagesite.pkg': 'a catalogue',
  });

const recipe = (url: string, more = '') => `
name: web
release: 15.1-RELEASE
architecture: amd64
mirrors: ['${url}']
repositories:
  - { name: FreeBSD-ports, url: '${url}/packages' }
  - { name: FreeBSD-ports-kmods, url: '${url}/packages' }
packages: [nginx]
users:
  - { name: ann, password: $6$abcdefgh$0123456789abcdefghijklmnopqrstuvwxyz }
files:
  - { path: /etc/motd.template, content: "Hello\\n" }
  - path: /root/.htpasswd
    content: |
      ann:$6$abcdefgh$ABCDEFGHIJKLMNOPQRSTUVWXYZ
      see https://bucket.s3.amazonaws.com/key?X-Amz-Signature=abcdef
${more}`;

test('shows what would be built, with estimates that say that they are', async () => {
  await using mirror = await world();
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url) });
  const { code, stdout, stderr } = await foundry(['plan', 'web.yaml'], directory.path);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^web 15\.1-RELEASE-amd64 small UFS [0-9a-f]{12}\n/);
  for (const part of [
    'base  sha256 aaaaaaaaaaaa…, 30443 entries',
    'nginx',
    '/etc/motd.template',
    'about',
    'nothing of this was measured on AWS',
    'list prices of us-east-1',
  ])
    expect(stdout).toContain(part);
  expect(stdout).not.toContain('Hello');
});

test('estimates by the prices of the region that is named, and says when they are not its own', async () => {
  await using mirror = await world();
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url) });
  const at = async (...region: string[]) =>
    (await foundry(['plan', 'web.yaml', ...region], directory.path)).stdout;
  expect(await at('--aws-region', 'eu-central-1')).toContain('list prices of eu-central-1');
  expect(await at('--aws-region', 'mx-central-1')).toContain('some of them those of us-east-1');
});

test('shows where the image would go, and what its copies cost', async () => {
  await using mirror = await world();
  const distribution = `
distribution:
  regions: [eu-west-1, us-west-2]
  kmsKeys: { us-west-2: alias/images }
  share: { accounts: ['111122223333'] }
  parameters: /company/{name}/{architecture}
  deprecateAfter: 90
`;
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url, distribution) });
  const { code, stdout } = await foundry(['plan', 'web.yaml'], directory.path);
  expect(code).toBe(0);
  for (const part of [
    'goes to       the factory’s region, eu-west-1, us-west-2 with alias/images',
    'for           111122223333',
    '/company/web/amd64/latest',
    'deprecated 90 days after it is published',
    'transfer of copies $',
    'a month for the snapshots of all regions',
  ])
    expect(stdout).toContain(part);
  expect(stdout).toMatch(/\/company\/web\/amd64\/[0-9a-f]{12}\n/);
});

test('--files shows every file as it will be, without hashes and signatures', async () => {
  await using mirror = await world();
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url) });
  const { stdout } = await foundry(['plan', 'web.yaml', '--files'], directory.path);
  expect(stdout).toContain('──── /etc/motd.template 0644 root:wheel\n    Hello\n');
  expect(stdout).toMatch(/──── \/etc\/rc\.conf .*\n[\s\S]*sshd_enable/);
  expect(stdout).toMatch(/──── \/etc\/ssh\/sshd_config, changed\n/);
  expect(stdout).toContain('ann:$6$(hidden)');
  expect(stdout).toContain('https://bucket.s3.amazonaws.com/key?(hidden)');
  expect(stdout).not.toMatch(/ABCDEFGH|X-Amz|6789abcdefghijklm/);
});

test('--job shows what the worker would be told, without secrets', async () => {
  await using mirror = await world();
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url) });
  const { code, stdout } = await foundry(['plan', 'web.yaml', '--job', '--json'], directory.path);
  expect(code).toBe(0);
  const [{ builds }] = JSON.parse(stdout);
  const job: string[] = builds[0].job;
  expect(job).toEqual(
    expect.arrayContaining([
      'version=3',
      expect.stringMatching(/^build=web-[0-9a-f]{12}$/),
      'deadline=(set when the build starts)',
      `set.1.sha256=${sum('a')}`,
      expect.stringMatching(/^package\.\d\.name=nginx$/),
      'user.1.password=(hidden)',
      'upload.manifest=(hidden)',
    ]),
  );
  // Nothing else of the recipe's secrets, in whatever clothes.
  const hash = Buffer.from('$6$abcdefgh$').toString('base64').slice(0, 12);
  expect(stdout).not.toContain(hash);
  expect(stdout).not.toMatch(/ABCDEFGH|6789abcdefghijklm/);
});

test('--json has every build of the matrix, and the reasons of the numbers', async () => {
  await using mirror = await world();
  await using directory = await directoryOf({
    'web.yaml': recipe(mirror.url, 'matrix: { flavour: [base, small] }\n'),
  });
  const { code, stdout } = await foundry(['plan', 'web.yaml', '--json', '--files'], directory.path);
  expect(code).toBe(0);
  const [{ ok, builds }] = JSON.parse(stdout);
  expect(ok).toBe(true);
  expect(builds).toHaveLength(2);
  const [base, small] = builds;
  expect(base.sets.map((set: { name: string }) => set.name)).toEqual(['base', 'kernel', 'tests']);
  expect(small.sets).toEqual([
    { name: 'base', file: 'base.txz', sha256: sum('a'), entries: 30443 },
    { name: 'kernel', file: 'kernel.txz', sha256: sum('b'), entries: 900 },
  ]);
  expect(base.ami.name).toMatch(/^web 15\.1-RELEASE-amd64 base UFS [0-9a-f]{12}$/);
  expect(base.contentDigest).not.toBe(small.contentDigest);
  expect(small.estimate.price.lines[0]).toMatchObject({ name: 'worker m6i.large', because: '0.096 an hour' });
  const motd = small.image.files.find(({ path }: { path: string }) => path === '/etc/motd.template');
  expect(motd).toMatchObject({ content: 'Hello\n', because: 'The recipe says so.' });
  expect(stdout).not.toMatch(/ABCDEFGH|X-Amz|6789abcdefghijklm/);
});

test('a mirror that cannot be reached is said plainly', async () => {
  const gone = await world();
  await gone[Symbol.asyncDispose]();
  await using directory = await directoryOf({ 'web.yaml': recipe(gone.url) });
  const { code, stdout, stderr } = await foundry(['plan', 'web.yaml', '--json'], directory.path);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^MirrorUnreachable: web\.yaml: No mirror answered:\n- .*ECONNREFUSED/);
  expect(stderr).toContain('foundry validate web.yaml');
  expect(JSON.parse(stdout)).toMatchObject([
    { file: 'web.yaml', ok: false, builds: [], error: { code: 'MirrorUnreachable' } },
  ]);
});

test('what lies in S3 cannot be looked at from here', async () => {
  await using directory = await directoryOf({
    'own.yaml': 'name: own\nsource: s3://my-bucket/releases/mine\narchitecture: amd64\n',
  });
  const { code, stderr } = await foundry(['plan', 'own.yaml'], directory.path);
  expect(code).toBe(1);
  expect(stderr).toContain('it is in S3, which the factory reads with its own role');
});

test('a release that is not there lists those that are', async () => {
  await using mirror = await webServer({
    '/releases/amd64/amd64/': '<a href="15.0-RELEASE/">15.0-RELEASE/</a>',
  });
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url) });
  const { code, stderr } = await foundry(['plan', 'web.yaml'], directory.path);
  expect(code).toBe(1);
  expect(stderr).toContain('choose a release that is there: 15.0-RELEASE');
});

test('warns before anything of what Windows costs for ever, and counts its licence', async () => {
  await using mirror = await world();
  await using directory = await directoryOf({ 'web.yaml': recipe(mirror.url, 'image: { road: windows }') });
  const { code, stdout } = await foundry(['plan', 'web.yaml'], directory.path);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^ {2}WARNING {7}every instance ever launched from this image is billed as Windows:/m,
  );
  expect(stdout).toMatch(/^ {2}WARNING {7}EC2 documents the console of Windows/m);
  expect(stdout).toContain('in the place of Windows, with its boot mode');
  expect(stdout).toMatch(/Windows licence \$0\.00\d+/);
  for (const line of stdout.split('\n').filter((each) => /WARNING/.test(each)))
    expect(line.length).toBeLessThan(115);
  const [plan] = JSON.parse((await foundry(['plan', 'web.yaml', '--json'], directory.path)).stdout);
  expect(plan.builds[0].image).toMatchObject({
    road: 'windows',
    warnings: [expect.any(String), expect.any(String)],
  });
});
