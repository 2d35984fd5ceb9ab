import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCloud } from '../../local/cloud.ts';
import { type DemoRelease, makeDemoRelease } from '../../local/demo-release/make.ts';
import { startMirror } from '../../local/demo-release/serve.ts';
import { haveVenv, program } from '../local/judges/judges.ts';
import {
  type Entry,
  listSet,
  listUfs,
  partitionStart,
  read,
  readBytes,
  type UfsEntry,
} from './disk-judges.ts';

/** `make image` as a newcomer runs it, with the demo release in full size; then the disk by readers that are not ours. */

const root = new URL('../../', import.meta.url).pathname;
const laidOver = ['/etc/fstab', '/etc/rc.conf', '/boot/loader.conf', '/firstboot'];

/** Files of the release that have other bytes in the image, and why. */
const changed = new Map([
  ...laidOver.map((path) => [path, 'laid over the release'] as const),
  ['/etc/ttys', 'edited'],
  ['/etc/ntp.conf', 'edited'],
  ['/etc/sysctl.conf', 'edited'],
  ['/etc/ssh/sshd_config', 'edited'],
  ['/etc/master.passwd', 'root is locked'],
  ['/etc/passwd', 'made from master.passwd'],
  ['/etc/pwd.db', 'made from master.passwd'],
  ['/etc/spwd.db', 'made from master.passwd'],
  ['/var/db/dhclient.leases.example', 'a lease is a machine’s'],
]);

/** Where the factory and packages put what the release has not. */
const additions =
  /^\/(usr\/local|var\/db\/pkg|var\/db\/ec2_ephemeral_diskseen$|etc\/autofs|boot\.config$|firstboot$|etc\/s?pwd\.db$)/;

let scratch: string;
/** The sets, extracted by bsdtar. */
let extracted: string;
let release: DemoRelease;
let image: string;
let output: string;
let recipe: string;
let sets: Map<string, Entry & { hardLinkTo?: string }>;
let files: Map<string, UfsEntry>;
let rootStart: number;

const makeImage = () =>
  promisify(execFile)(
    'node',
    ['local/make-image.ts', recipe, '--state', join(scratch, 'cloud'), '--out', scratch],
    { cwd: root },
  );

beforeAll(async () => {
  await mkdir(join(root, '.state'), { recursive: true });
  scratch = await mkdtemp(join(root, '.state/demo-image-'));
  release = await makeDemoRelease({ directory: join(root, '.state/demo-release') });
  extracted = join(scratch, 'extracted');
  await mkdir(extracted);
  for (const { file } of release.sets.filter(({ name }) => ['base', 'kernel'].includes(name))) {
    const archive = join(release.directory, file);
    execFileSync(
      'bsdtar',
      ['-x', '--no-same-owner', '--no-same-permissions', '--no-fflags', '-C', extracted, '-f', archive],
      {
        stdio: 'ignore',
        env: { ...process.env, LC_ALL: 'C.UTF-8' },
      },
    );
  }
  // The example itself, on a port that nobody else uses.
  const probe = await startMirror({ directory: scratch });
  await probe.close();
  recipe = join(scratch, 'demo.yaml');
  await writeFile(
    recipe,
    (await readFile(join(root, 'examples/demo.yaml'), 'utf8')).replaceAll('http://127.0.0.1:9014', probe.url),
  );
  output = (await makeImage()).stdout;
  image = join(scratch, 'demo.raw');
  rootStart = partitionStart(image, 3);
  sets = new Map([
    ...listSet(join(release.directory, 'base.txz')),
    ...listSet(join(release.directory, 'kernel.txz')),
  ]);
  files = listUfs(image, rootStart);
}, 400_000);
afterAll(() => rm(scratch, { recursive: true, force: true }));

it('says what was made and how to look further', () => {
  expect(output).toMatch(/AMI {7}ami-[0-9a-f]{17}/);
  expect(output).toMatch(/snapshot {2}snap-[0-9a-f]{17}/);
  expect(output).toMatch(/worker: filesystem +\d+\.\d s/);
  expect(output).toContain('aws stepfunctions get-execution-history');
});

describe('the partition table', () => {
  it('has no problems, by sgdisk', () => {
    expect(read('sgdisk', '-v', image)).toContain('No problems found');
  });

  it("has FreeBSD's types and labels in order", () => {
    const rows = read('sgdisk', '-p', image)
      .split('\n')
      .filter((line) => /^ +\d /.test(line))
      .map((line) => line.trim().split(/\s+/))
      .map((columns) => [columns[0], columns.at(-2), columns.at(-1)]);
    // gptfdisk's codes for freebsd-boot, EFI system partition and freebsd-ufs.
    expect(rows).toEqual([
      ['1', 'A501', 'bootfs'],
      ['2', 'EF00', 'efiboot0'],
      ['3', 'A503', 'rootfs'],
    ]);
  });

  it("has pmbr's code in the protective MBR and gptboot in its partition", async () => {
    const disk = await open(image);
    const at = async (offset: number, length: number) => {
      const { buffer } = await disk.read(Buffer.alloc(length), 0, length, offset);
      return buffer;
    };
    const [pmbr, gptboot] = [await released('/boot/pmbr'), await released('/boot/gptboot')];
    expect((await at(0, 440)).equals(pmbr.subarray(0, 440))).toBe(true);
    expect((await at(partitionStart(image, 1) * 512, gptboot.length)).equals(gptboot)).toBe(true);
    await disk.close();
  });

  it('has the loader on the ESP, by mtools', async () => {
    const esp = `${image}@@${partitionStart(image, 2) * 512}`;
    const loader = readBytes('mtype', '-i', esp, '::EFI/BOOT/BOOTX64.EFI');
    expect(loader.equals(await released('/boot/loader_lua.efi'))).toBe(true);
  });
});

describe('the root file system', () => {
  it('has every entry of the sets with its type, mode, owner, size, time and link, and nothing else', () => {
    const expected = new Map([...sets].map(([path, entry]) => [printable(path), entry]));
    expected.delete('/');
    for (const path of changed.keys()) expected.delete(path);
    const found = new Map([...files].filter(([path]) => !changed.has(path)));
    expect([...found.keys()].filter((path) => !expected.has(path) && !additions.test(path))).toEqual([]);
    const different = [...expected].flatMap(([path, { hardLinkTo: _, ...entry }]) => {
      const { inode: __, ...ours } = found.get(path) ?? { inode: 0 };
      return JSON.stringify(sorted(ours)) === JSON.stringify(sorted(entry)) ? [] : [{ path, entry, ours }];
    });
    expect(different).toEqual([]);
    expect(found.size).toBeGreaterThan(20_000);
  });

  it('has hard links as such', () => {
    const links = [...sets].filter(([, { hardLinkTo }]) => hardLinkTo !== undefined);
    expect(links.length).toBeGreaterThan(100);
    const broken = links.filter(
      ([path, { hardLinkTo = '' }]) => files.get(path)?.inode !== files.get(hardLinkTo)?.inode,
    );
    expect(broken).toEqual([]);
  });

  it('returns every file byte-equal, by sleuthkit', async () => {
    const recovered = join(scratch, 'recovered');
    await mkdir(recovered);
    execFileSync('tsk_recover', ['-a', '-f', 'ufs2', '-o', String(rootStart), image, recovered], {
      stdio: 'ignore',
    });
    const [ours, theirs] = [await sumsOf(recovered), await sumsOf(extracted)];
    // tsk_recover leaves out empty files, whose size the listing has shown already.
    const wanted = [...theirs].filter(([path]) => !changed.has(path) && files.get(path)?.size !== 0);
    expect(wanted.length).toBeGreaterThan(19_000);
    // It also writes control characters of names as something else: those files are read by inode.
    for (const [path] of wanted.filter(([name]) => name !== printable(name))) {
      const inode = String(files.get(printable(path))?.inode);
      const content = readBytes('icat', '-f', 'ufs2', '-o', String(rootStart), image, inode);
      ours.set(path, createHash('sha256').update(content).digest('hex'));
    }
    expect(wanted.filter(([path, sum]) => ours.get(path) !== sum)).toEqual([]);
  }, 200_000);

  it('is read by GRUB too', async () => {
    const names = [...sets].filter(
      ([path, { type, size }]) => type === 'file' && size > 0 && /^[\w./-]+$/.test(path),
    );
    const few = names.filter((_, index) => index % Math.ceil(names.length / 40) === 0).map(([path]) => path);
    for (const path of few) {
      const ours = readBytes('grub-fstest', image, 'cat', `(loop0,gpt3)${path}`);
      const theirs = await released(path);
      expect(ours.equals(theirs), path).toBe(true);
    }
  }, 120_000);

  it('has the files that are laid over the release', () => {
    const cat = (path: string) => readBytes('grub-fstest', image, 'cat', `(loop0,gpt3)${path}`).toString();
    expect(cat('/etc/fstab')).toMatch(/^\/dev\/gpt\/rootfs\t\/\tufs\trw,noatime\t1\t1$/m);
    expect(cat('/etc/rc.conf')).toContain('sshd_enable="YES"');
    expect(cat('/boot/loader.conf')).toContain('if_ena_load="YES"');
    for (const path of laidOver)
      expect(files.get(path)).toMatchObject({ type: 'file', mode: 'rw-r--r--', uid: 0, gid: 0 });
  });
});

describe('the account afterwards', () => {
  // Not execFileSync: the cloud that answers runs in this process.
  const aws = async (endpoint: string, ...args: string[]) => {
    const { stdout } = await promisify(execFile)(
      program('aws'),
      ['--endpoint-url', endpoint, '--output', 'json', ...args],
      {
        env: {
          ...process.env,
          AWS_ACCESS_KEY_ID: 'local',
          AWS_SECRET_ACCESS_KEY: 'local',
          AWS_DEFAULT_REGION: 'us-east-1',
        },
      },
    );
    return JSON.parse(stdout);
  };

  it.skipIf(!haveVenv())(
    'has the image, its snapshot and nothing else, after a restart of the cloud, by the AWS CLI',
    async () => {
      const cloud = await startCloud({ stateDirectory: join(scratch, 'cloud'), log: () => {} });
      try {
        const { Images } = await aws(cloud.endpoint, 'ec2', 'describe-images', '--owners', 'self');
        expect(Images).toHaveLength(1);
        const [ami] = Images;
        expect(ami).toMatchObject({
          State: 'available',
          Architecture: 'x86_64',
          VirtualizationType: 'hvm',
          BootMode: 'uefi-preferred',
          EnaSupport: true,
          ImdsSupport: 'v2.0',
          RootDeviceName: '/dev/sda1',
          BlockDeviceMappings: [
            { DeviceName: '/dev/sda1', Ebs: { VolumeType: 'gp3', VolumeSize: 2, DeleteOnTermination: true } },
          ],
        });
        const tags = Object.fromEntries(
          ami.Tags.map(({ Key, Value }: { Key: string; Value: string }) => [Key, Value]),
        );
        expect(tags).toMatchObject({
          'ami-foundry:release': '15.1-RELEASE',
          'ami-foundry:recipe': 'demo',
          'ami-foundry:recipe-digest': expect.stringMatching(/^[0-9a-f]{64}$/),
        });
        const { Snapshots } = await aws(cloud.endpoint, 'ec2', 'describe-snapshots', '--owner-ids', 'self');
        expect(Snapshots.map(({ SnapshotId }: { SnapshotId: string }) => SnapshotId)).toEqual([
          ami.BlockDeviceMappings[0].Ebs.SnapshotId,
        ]);
        expect((await aws(cloud.endpoint, 'ec2', 'describe-volumes')).Volumes).toEqual([]);
        const { Reservations } = await aws(cloud.endpoint, 'ec2', 'describe-instances');
        const states = Reservations.flatMap(({ Instances }: { Instances: { State: { Name: string } }[] }) =>
          Instances.map(({ State }) => State.Name),
        );
        expect(states.filter((state: string) => state !== 'terminated')).toEqual([]);
      } finally {
        await cloud.stop();
      }
    },
    60_000,
  );

  it('keeps no secret in any log: neither presigned URLs nor user data', async () => {
    const logs = join(scratch, 'cloud/logs');
    const names = await readdir(logs);
    expect(names.length).toBeGreaterThan(5);
    const consoles = join(scratch, 'cloud/consoles');
    const all = [
      ...names.map((name) => join(logs, name)),
      ...(await readdir(consoles)).map((name) => join(consoles, name)),
    ];
    for (const file of all)
      expect(await readFile(file, 'utf8')).not.toMatch(/X-Amz-(Signature|Credential)|payload_url/);
  });

  it('is left as it is by a second run, which adopts what exists and says so', async () => {
    const { stdout } = await makeImage();
    expect(stdout).toContain('adopted, nothing was built');
    expect(/ami-[0-9a-f]+/.exec(stdout)?.[0]).toBe(/ami-[0-9a-f]+/.exec(output)?.[0]);
  }, 60_000);
});

/** A file of the release. */
const released = (path: string) => readFile(extracted + path);

/** A name as sleuthkit prints it. */
const printable = (name: string) => name.replaceAll(/\p{Cc}/gu, '^');

const sorted = (object: object) => Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));

/** SHA-256 of every regular file below a directory. */
async function sumsOf(directory: string): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sums.set(
      path.slice(directory.length),
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    );
  }
  return sums;
}
