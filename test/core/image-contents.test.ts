import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ImageContents, imageContents } from '../../core/image-contents.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { caught } from './caught.ts';
import { contentsListing } from './contents-listing.ts';
import { demo } from './legal-recipes.ts';

const contents = (recipe: object = {}) => imageContents(parseRecipe({ ...demo, ...recipe }));
const fileOf = (path: string, recipe: object = {}) => {
  const file = contents(recipe).files.find((one) => one.path === path);
  if (!file) throw new Error(`${path} is not laid over the release`);
  return file;
};
const textOf = (path: string, recipe: object = {}): string => {
  const { source } = fileOf(path, recipe);
  if (!('content' in source)) throw new Error(`${path} is fetched`);
  return source.content;
};

/** What sourcing rc.conf sets, the way rc.subr does, beside what a shell has anyway: NUL-separated, byte for byte. */
function sourced([command = '', ...args]: readonly string[], content: string, keys: readonly string[]) {
  const script = `${content}\n${keys.map((key) => `printf '%s\\0' "\${${key}-unset}"`).join('\n')}\n`;
  const { status, stdout, stderr } = spawnSync(command, args, {
    env: {},
    input: script,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0 || stderr !== '') throw new Error(`${command} ended with ${status}: ${stderr}`);
  return Object.fromEntries(
    stdout
      .split('\0')
      .slice(0, -1)
      .map((value, index) => [keys[index] ?? '', value]),
  );
}

const shells = [['dash'], ['busybox', 'ash']];

/** Words that a shell, a loader or a careless program would make something of. */
const hostile = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    '$(reboot)',
    '`id`',
    '-n',
    "it's",
    '"',
    '\\',
    '\\"',
    'a #b',
    '$HOME',
    `$\{HOME:?}`,
    ' a ',
    '*',
    'é𝄞',
    "';reboot;'",
  ),
);

describe('what an image has beside the release', () => {
  const matrix = (['base', 'small', 'cloud-init'] as const).flatMap((flavour) =>
    (['amd64', 'arm64'] as const).flatMap((architecture) =>
      (['ufs', 'zfs'] as const).map((filesystem) => ({ flavour, architecture, filesystem })),
    ),
  );

  test.each(matrix)('$flavour on $architecture with $filesystem is as reviewed', async (recipe) => {
    const { flavour, architecture, filesystem } = recipe;
    await expect(contentsListing(contents(recipe))).toMatchFileSnapshot(
      `golden/${flavour}-${architecture}-${filesystem}.txt`,
    );
  });

  test('pkgbase, updates at build and a repository of one’s own are as reviewed', async () => {
    const recipe = {
      system: 'pkgbase',
      updates: 'at-build',
      packages: ['nginx', 'www/node22'],
      repositories: [
        {
          name: 'company',
          url: 'https://pkg.example.com/{abi}/latest',
          fingerprints: ['c'.repeat(64)],
          priority: 10,
        },
        { name: 'internal', url: 'http://10.0.0.5/{major}.{minor}', unsigned: true, inImage: false },
      ],
      swap: 2,
      data: { size: 4, mount: '/data' },
      serialConsole: { speed: 57600 },
      kernelModules: ['ipfw', 'nullfs'],
      services: { nginx: true, ntpd: false },
      firstbootPackages: ['tmux'],
    };
    await expect(contentsListing(contents(recipe))).toMatchFileSnapshot('golden/pkgbase-company.txt');
  });

  test('mail and panicmail are as reviewed', async () => {
    const path = new URL('../../examples/mail-panicmail.yaml', import.meta.url);
    const recipe = parseRecipe(readRecipeText(readFileSync(path, 'utf8'), 'mail-panicmail.yaml'));
    await expect(contentsListing(imageContents(recipe))).toMatchFileSnapshot('golden/mail-panicmail.txt');
  });

  test.each([
    ['14.2-RELEASE', ['FreeBSD quarterly']],
    ['14.3-RELEASE', ['FreeBSD quarterly', 'FreeBSD-kmods kmods_quarterly_3']],
    ['15.0-RELEASE', ['FreeBSD-ports quarterly', 'FreeBSD-ports-kmods kmods_quarterly_0']],
  ])('%s has the repositories that its own FreeBSD.conf has', (release, expected) => {
    const repositories = ({ repositories }: ImageContents) =>
      repositories.map(({ name, url }) => `${name} ${url.replace(/^.*:amd64./, '')}`);
    expect(repositories(contents({ release }))).toEqual(expected);
    // Under the name of a later release they are the same ones.
    const url = 'https://p.example/FreeBSD:{major}:amd64/k';
    const modules = release.startsWith('15') ? 'FreeBSD-ports-kmods' : 'FreeBSD-kmods';
    expect(
      repositories(
        contents({ release, repositories: [{ name: 'FreeBSD-ports-kmods', url, unsigned: true }] }),
      ),
    ).toEqual([expected[0], `${modules} k`]);
  });

  test('belongs to root, and only programs can be run', () => {
    for (const recipe of matrix) {
      for (const { path, mode, owner, group, source } of contents(recipe).files) {
        expect([owner, group]).toEqual(['root', 'wheel']);
        const program = 'content' in source && source.content.startsWith('#!');
        expect([path, mode]).toEqual([path, program ? '0755' : '0644']);
      }
    }
  });

  test('uses no IMDSv1: who asks the metadata service asks by aws-ec2-imdsv2-get', () => {
    for (const recipe of matrix) {
      expect(contentsListing(contents(recipe))).not.toMatch(
        /169\.254\.169\.254|fetch .*latest\/meta-data|ec2_bootmail/,
      );
    }
  });

  test.each(shells)('its programs are right for %s', (...shell) => {
    for (const { source } of contents().files) {
      if (!('content' in source && source.content.startsWith('#!'))) continue;
      const [command = '', ...args] = shell;
      expect(spawnSync(command, [...args, '-n'], { input: source.content, encoding: 'utf8' }).stderr).toBe(
        '',
      );
      const judged = spawnSync('shellcheck', ['-s', 'sh', '-'], { input: source.content, encoding: 'utf8' });
      expect(judged.stdout).toBe('');
    }
  });
});

describe('rc.conf', () => {
  test.each(shells.map((shell) => [shell]))(
    'sourced by %s has any value byte for byte, or the recipe is refused by the field',
    (shell) => {
      let taken = 0;
      fc.assert(
        fc.property(
          fc.dictionary(fc.stringMatching(/^[a-z_][a-z0-9_]{0,20}$/), hostile, { maxKeys: 6 }),
          (given) => {
            // Variables that a shell has of its own are not rc.conf's.
            const rcConf = Object.fromEntries(
              Object.entries(given).map(([key, value]) => [`x${key}`, value]),
            );
            let text: string;
            try {
              text = textOf('/etc/rc.conf', { rcConf });
            } catch (error) {
              expect((error as Error).message).toMatch(/^the recipe has .*:\n- rcConf\.x/s);
              return;
            }
            taken++;
            expect(sourced(shell, text, Object.keys(rcConf))).toEqual(rcConf);
          },
        ),
        { numRuns: 60 },
      );
      expect(taken).toBeGreaterThan(10);
    },
  );

  test('takes 10,000 entries', () => {
    const rcConf = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`v${n}`, `${n}`]));
    const text = textOf('/etc/rc.conf', { rcConf });
    expect(sourced(['dash'], text, Object.keys(rcConf))).toEqual(rcConf);
    expect(caught(() => contents({ rcConf: { ...rcConf, one: 'more' } })).message).toContain(
      'rcConf must have at most 10000 entries',
    );
  });

  test('has what the recipe says in the place of what the factory says', () => {
    const rcConf = { sshd_enable: false, ntpd_enable: 'NO', hostname: 'other' };
    expect(sourced(['dash'], textOf('/etc/rc.conf', { rcConf }), Object.keys(rcConf))).toEqual({
      sshd_enable: 'NO',
      ntpd_enable: 'NO',
      hostname: 'other',
    });
  });

  test('turns services on and off and loads modules', () => {
    const text = textOf('/etc/rc.conf', {
      services: { nginx: true, sshd: false },
      kernelModules: ['ipfw', 'nullfs'],
    });
    expect(sourced(['dash'], text, ['nginx_enable', 'sshd_enable', 'kld_list'])).toEqual({
      nginx_enable: 'YES',
      sshd_enable: 'NO',
      kld_list: 'ipfw nullfs',
    });
  });
});

describe('loader.conf and sysctl.conf', () => {
  /** loader.conf(5) and sysctl.conf(5): a # begins a comment; the first = parts name and value; quotes around it are taken off. */
  const parsed = (text: string) =>
    Object.fromEntries(
      text
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => {
          const [, key = '', value = ''] = /^([^=]+)=(.*)$/.exec(line) ?? [];
          return [key, /^"[^"]*"$/.test(value) ? value.slice(1, -1) : value];
        }),
    );

  test.each([
    ['loaderConf', (recipe: object) => textOf('/boot/loader.conf', recipe)],
    [
      'sysctl',
      (recipe: object) => contents(recipe).edits.find(({ path }) => path === '/etc/sysctl.conf')?.last ?? '',
    ],
  ] as const)('%s has any value byte for byte, or the recipe is refused by the field', (field, text) => {
    let taken = 0;
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z][a-z0-9_.]{0,20}$/), hostile, (name, value) => {
        let written: string;
        try {
          written = text({ [field]: { [name]: value } });
        } catch (error) {
          expect((error as Error).message).toMatch(new RegExp(`^the recipe has .*:\\n- ${field}\\.`, 's'));
          return;
        }
        taken++;
        expect(parsed(written)).toMatchObject({ [name]: value });
      }),
    );
    expect(taken).toBeGreaterThan(10);
  });
});

describe('files of the recipe', () => {
  test('take the place of the factory’s, and of its changes to the release', () => {
    const files = [
      { path: '/etc/fstab', content: 'mine\n' },
      { path: '/etc/ntp.conf', content: 'mine too\n' },
    ];
    expect(textOf('/etc/fstab', { files })).toBe('mine\n');
    expect(contents({ files }).edits.map(({ path }) => path)).not.toContain('/etc/ntp.conf');
  });
});
