import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRecipe } from '../../core/recipe.ts';
import { systemFiles } from '../../core/system-files.ts';
import { demo } from './legal-recipes.ts';

const files = (recipe: object = {}) =>
  new Map(systemFiles(parseRecipe({ ...demo, ...recipe })).map((file) => [file.path, file]));
const contentOf = (path: string, recipe: object = {}): string => {
  const file = files(recipe).get(path);
  if (!file) throw new Error(`${path} is not laid over the release`);
  return file.content;
};

const rcConf = {
  hostname: 'freebsd',
  ifconfig_DEFAULT: 'SYNCDHCP accept_rtadv',
  ipv6_activate_all_interfaces: 'YES',
  dhclient_arpwait: 'NO',
  sshd_enable: 'YES',
  growfs_enable: 'YES',
};

/** What sourcing rc.conf sets, the way rc.subr does, beside what a shell has anyway. */
function sourced(command: string, args: readonly string[], content: string): Record<string, string> {
  const variables = (script: string) => {
    const { status, stdout, stderr } = spawnSync(command, [...args, '-c', script], {
      env: {},
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`sh ended with ${status}: ${stderr}`);
    return new Map(
      stdout.split('\n').flatMap((line) => {
        const [, key, quoted] = /^(\w+)='(.*)'$/.exec(line) ?? [];
        return key === undefined ? [] : [[key, quoted ?? ''] as const];
      }),
    );
  };
  const before = variables('set');
  const after = variables(`${content}\nset`);
  return Object.fromEntries([...after].filter(([key]) => !before.has(key) && key !== '_'));
}

describe('rc.conf', () => {
  test.each([
    ['dash', []],
    ['busybox', ['ash']],
  ])('sourced by %s sets exactly these variables', (command, args) => {
    expect(sourced(command, args, contentOf('/etc/rc.conf'))).toEqual(rcConf);
  });

  test('has the host name of the recipe, whatever it is', () => {
    const label = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?$/);
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 3 }), (labels) => {
        const hostname = labels.join('.');
        expect(sourced('dash', [], contentOf('/etc/rc.conf', { hostname }))).toEqual({ ...rcConf, hostname });
      }),
      { numRuns: 20 },
    );
  });
});

describe('loader.conf', () => {
  test('has one quoted value per line, in the form of loader.conf(5)', () => {
    const lines = contentOf('/boot/loader.conf').trimEnd().split('\n');
    const parsed = lines.map((line) => /^([A-Za-z_][\w.]*)="([^"\\]*)"$/.exec(line)?.slice(1) ?? [line]);
    expect(Object.fromEntries(parsed)).toEqual({
      autoboot_delay: '-1',
      beastie_disable: 'YES',
      boot_multicons: 'YES',
      if_ena_load: 'YES',
      'hw.nvme.use_nvd': '0',
    });
  });
});

describe('fstab', () => {
  test('mounts root and ESP by the labels of the disk, six fields each', () => {
    const lines = contentOf('/etc/fstab')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.map((line) => line.split(/\s+/))).toEqual([
      ['/dev/gpt/rootfs', '/', 'ufs', 'rw,noatime', '1', '1'],
      ['/dev/gpt/efiboot0', '/boot/efi', 'msdosfs', 'rw,failok', '2', '2'],
    ]);
  });
});

describe('every file', () => {
  test('belongs to root, is not writable by others, and ends its last line', () => {
    for (const file of files().values()) {
      expect(file).toMatchObject({ uid: 0, gid: 0, mode: '0644' });
      expect(file.path).toMatch(/^\/[a-z/.]+$/);
      expect(file.content === '' || file.content.endsWith('\n')).toBe(true);
    }
  });

  test('of the first boot is empty', () => expect(contentOf('/firstboot')).toBe(''));
});
