// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what a shell would look into.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DeregisterImageCommand, DescribeImagesCommand } from '@aws-sdk/client-ec2';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { artifactKey } from '../../core/names.ts';
import { parseRecipe } from '../../core/recipe.ts';
import { snapshotPath } from '../../local/ec2/disks.ts';
import { listUfs, partitionStart, readBytes } from './disk-judges.ts';
import { type Factory, startFactory } from './local-build.ts';

/** What a recipe says, looked for in the finished disk by readers that are not ours. */

let factory: Factory;
beforeAll(async () => {
  factory = await startFactory();
}, 120_000);
afterAll(() => factory[Symbol.asyncDispose]());

interface Built {
  readonly imageId: string;
  readonly snapshotId: string;
  readonly build: string;
}

async function build(changes: Record<string, unknown>): Promise<Built> {
  const arn = await factory.start({ recipe: factory.recipe(changes) });
  const execution = await factory.end(arn);
  expect(`${execution.error ?? ''}${execution.cause ?? ''}`).toBe('');
  return { ...(JSON.parse(execution.output ?? '{}') as Built), build: arn.split(':').at(-1) ?? '' };
}

const disk = ({ snapshotId }: Built) => snapshotPath(factory.stateDirectory, snapshotId);

async function object(name: Parameters<typeof artifactKey>[1], { build: name_ }: Built): Promise<Buffer> {
  const { Body } = await factory.s3.send(
    new GetObjectCommand({ Bucket: 'ami-foundry-artifacts', Key: artifactKey(name_, name) }),
  );
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}

/** Everything that a shell, an archiver, an mtree reader or a careless program might make something of. */
const hostile = fc.oneof(
  { arbitrary: fc.string({ unit: 'grapheme', maxLength: 200 }), weight: 2 },
  {
    arbitrary: fc.constantFrom(
      '',
      '\n',
      'no line feed at the end',
      '$(touch /tmp/pwned)\n`id`\n$HOME ${IFS}\n',
      '-n\n--help\n',
      '\'"\\ \t\r\n',
      'version=3\nfile.count=0\n',
      '#!/bin/sh\nexit 1\n',
      '%s%n\0'.replace('\0', ''),
      '\u2028\u202e𝄞é\n',
    ),
    weight: 3,
  },
);

/** Components of paths, the odd ones too. */
const component = fc
  .oneof(
    fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/),
    fc.constantFrom(
      '-rf',
      ' ',
      "it's",
      '$(id)',
      '`id`',
      '*',
      'a b',
      'é𝄞',
      '\\',
      '"',
      '#x',
      'x=1',
      '|',
      '%00',
    ),
  )
  .filter((part) => part !== '.' && part !== '..');

describe('values of a recipe', () => {
  it('land in the image byte for byte, or are refused with their field', async () => {
    const [sample] = fc.sample(
      fc.record({
        files: fc.uniqueArray(
          fc.record({ path: component.map((part) => `/opt/values/${part}`), content: hostile }),
          { minLength: 60, maxLength: 120, selector: ({ path }) => path },
        ),
        motd: hostile,
      }),
      { seed: 20_261_126, numRuns: 1 },
    );
    if (sample === undefined) throw new Error('no sample');
    // The schema decides for each file alone; what it refuses it names.
    const taken = sample.files.filter((file) => {
      try {
        parseRecipe(factory.recipe({ files: [file] }));
        return true;
      } catch (error) {
        expect((error as Error).message).toMatch(/\n- files\.0\.(path|content) /);
        return false;
      }
    });
    expect(taken.length).toBeGreaterThan(30);
    const built = await build({
      files: taken,
      users: [
        {
          name: 'ada',
          comment: '$(id) `id` "\'\\ é',
          sshKeys: [`restrict,command="echo '$(id)' \`id\`" ssh-ed25519 ${'A'.repeat(68)} $HOME`],
        },
      ],
      rcConf: { foundry_test: '$(id) `id` "it\'s" \\ é' },
      timezone: 'Europe/Berlin',
    });
    const image = disk(built);
    const start = partitionStart(image, 3);
    const files = listUfs(image, start);
    const cat = (path: string) => {
      const inode = files.get(path)?.inode;
      if (inode === undefined) throw new Error(`${path} is not in the image`);
      return readBytes('icat', '-f', 'ufs2', '-o', String(start), image, String(inode)).toString();
    };
    const found = Object.fromEntries(
      taken.map(({ path }) => [path, files.get(path)?.size === 0 ? '' : cat(path)]),
    );
    expect(found).toEqual(Object.fromEntries(taken.map(({ path, content }) => [path, content])));
    expect([...files.keys()].filter((path) => path.startsWith('/opt/values/')).sort()).toEqual(
      taken.map(({ path }) => path).sort(),
    );
    expect(cat('/etc/passwd')).toContain('\nada:*:1001:1001:$(id) `id` "\'\\ é:/home/ada:/bin/sh\n');
    expect(cat('/home/ada/.ssh/authorized_keys')).toContain(
      `restrict,command="echo '$(id)' \`id\`" ssh-ed25519`,
    );
    expect(files.get('/home/ada/.ssh/authorized_keys')).toMatchObject({ uid: 1001, mode: 'rw-------' });
    expect(cat('/etc/rc.conf')).toContain("foundry_test='$(id) `id` \"it'\\''s\" \\ é'\n");
    expect(cat('/etc/localtime')).toBe(cat('/usr/share/zoneinfo/Europe/Berlin'));
  }, 120_000);

  it('of two more partitions and 1,500 files make a disk that readers agree on', async () => {
    const many = Array.from({ length: 1500 }, (_, n) => ({ path: `/opt/many/${n}`, content: `${n}\n` }));
    const built = await build({
      files: many,
      rootSize: 8,
      swap: 1,
      data: { size: 1, mount: '/data' },
      image: { bootMode: 'uefi', tpm: true, volume: { iops: 4000, throughput: 500 } },
    });
    const { Images: [ami] = [] } = await factory.ec2.send(
      new DescribeImagesCommand({ ImageIds: [built.imageId] }),
    );
    expect(ami).toMatchObject({
      BootMode: 'uefi',
      TpmSupport: 'v2.0',
      ImdsSupport: 'v2.0',
      BlockDeviceMappings: [{ Ebs: { VolumeType: 'gp3', VolumeSize: 8, Iops: 4000, Throughput: 500 } }],
    });
    const image = disk(built);
    const types = ['1', '2', '3', '4', '5'].map(
      (number) => /code: \S+ \((.*?)\)/.exec(readBytes('sgdisk', '-i', number, image).toString())?.[1],
    );
    expect(types).toEqual([
      'FreeBSD boot',
      'EFI system partition',
      'FreeBSD swap',
      'FreeBSD UFS',
      'FreeBSD UFS',
    ]);
    const files = listUfs(image, partitionStart(image, 5));
    expect([...files.keys()].filter((path) => path.startsWith('/opt/many/'))).toHaveLength(1500);
    expect(files.get('/data')).toMatchObject({ type: 'directory' });
    expect(
      [...listUfs(image, partitionStart(image, 4)).keys()].filter((path) => !/^\/(\$|\.snap|$)/.test(path)),
    ).toEqual([]);
  }, 240_000);
});

describe('what a recipe fetches', () => {
  const put = async (Key: string, Body: Buffer) => {
    await factory.s3.send(new PutObjectCommand({ Bucket: 'company', Key, Body }));
    return createHash('sha256').update(Body).digest('hex');
  };
  beforeAll(async () => {
    await factory.s3.send(new CreateBucketCommand({ Bucket: 'company' }));
  });

  it('from S3 is in the image: a kernel, a set and a file, and the whole release', async () => {
    const set = async (file: string) => await readFile(join(factory.release.directory, file));
    for (const file of ['MANIFEST', 'BUILDDATE', 'base.txz', 'kernel.txz'])
      await put(`own/15.1/${file}`, await set(file));
    const extra = await mkdtemp(join(factory.stateDirectory, 'set-'));
    await mkdir(join(extra, 'usr/local/libexec'), { recursive: true });
    await writeFile(join(extra, 'usr/local/libexec/product'), 'the product\n', { mode: 0o755 });
    execFileSync('bsdtar', [
      '-cJf',
      join(extra, 'product.txz'),
      '--uid',
      '0',
      '--gid',
      '0',
      '-C',
      extra,
      'usr',
    ]);
    const built = await build({
      name: 'from-s3',
      release: undefined,
      source: 's3://company/own/15.1',
      kernel: {
        s3: 's3://company/kernels/kernel.txz',
        sha256: await put('kernels/kernel.txz', await set('kernel.txz')),
      },
      extraSets: [
        {
          name: 'product',
          s3: 's3://company/product.txz',
          sha256: await put('product.txz', await readFile(join(extra, 'product.txz'))),
        },
      ],
      files: [
        {
          path: '/etc/banner',
          s3: 's3://company/banner',
          sha256: await put('banner', Buffer.from('hello\n')),
          mode: '0600',
        },
      ],
    });
    const image = disk(built);
    const cat = (path: string) => readBytes('grub-fstest', image, 'cat', `(loop0,gpt3)${path}`).toString();
    expect(cat('/etc/banner')).toBe('hello\n');
    expect(cat('/usr/local/libexec/product')).toBe('the product\n');
    expect(cat('/boot/kernel/kernel').length).toBeGreaterThan(0);
    // The addresses are secrets while they last.
    const console_ = (await object('console.log', built)).toString();
    expect(console_).toContain('foundry-report:');
    expect(console_).not.toMatch(/X-Amz-/);
  }, 120_000);

  it('with another checksum fails the build, and says which', async () => {
    await put('banner', Buffer.from('another\n'));
    const files = [{ path: '/etc/banner', s3: 's3://company/banner', sha256: 'a'.repeat(64) }];
    const execution = await factory.end(await factory.start({ recipe: factory.recipe({ files }) }));
    expect(execution.error).toBe('SourceUnavailable');
    expect(execution.cause).toContain('/etc/banner');
    expect(execution.cause).not.toMatch(/X-Amz-/);
  }, 60_000);
});

describe('two builds of one recipe', () => {
  it('are one image, byte for byte, with one manifest and one SBOM', async () => {
    const changes = { name: 'twice', users: [{ name: 'ada' }], packages: ['nginx', 'demo-shapes'] };
    const first = await build(changes);
    const sum = await sha256(disk(first));
    await factory.ec2.send(new DeregisterImageCommand({ ImageId: first.imageId }));
    const second = await build(changes);
    expect(second.imageId).not.toBe(first.imageId);
    expect(await sha256(disk(second))).toBe(sum);
    const text = async (built: Built) =>
      gunzipSync(await object('manifest.mtree.gz', built))
        .toString()
        .replaceAll(built.build, 'BUILD');
    expect(await text(second)).toBe(await text(first));
    const sbom = async (built: Built) =>
      (await object('sbom.cdx.json', built)).toString().replaceAll(built.build, 'BUILD');
    expect(await sbom(second)).toBe(await sbom(first));
  }, 120_000);

  it('have a manifest that tells every file of the disk', async () => {
    const built = await build({ name: 'told', packages: ['demo-shapes'] });
    const image = disk(built);
    const start = partitionStart(image, 3);
    const files = listUfs(image, start);
    const lines = gunzipSync(await object('manifest.mtree.gz', built))
      .toString()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const told = new Map(
      lines.map((line) => [unescaped(line.split(' ')[0] ?? '').replace(/^\./, '') || '/', line]),
    );
    const there = new Set([...files.keys()].filter((path) => !/^\/\.snap$/.test(path)));
    there.add('/');
    const names = new Set([...told.keys()].map(printable));
    expect([...there].filter((path) => !names.has(path))).toEqual([]);
    expect([...names].filter((path) => !there.has(path))).toEqual([]);
    // Every hundredth file, read back from the disk.
    const plain = [...told].filter(([path, line]) => / type=file /.test(line) && path === printable(path));
    for (const [path, line] of plain.filter((_, index) => index % 100 === 0)) {
      const entry = files.get(path);
      const content = entry?.size
        ? readBytes('icat', '-f', 'ufs2', '-o', String(start), image, String(entry.inode))
        : '';
      const digest = createHash('sha256').update(content).digest('hex');
      expect([path, / sha256digest=(\w+)/.exec(line)?.[1]]).toEqual([path, digest]);
    }
  }, 120_000);
});

/** mtree(5): other bytes than the plain ones as three octal digits. */
const unescaped = (name: string): string =>
  Buffer.from(
    name.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    'latin1',
  ).toString('utf8');

/** A name as sleuthkit prints it. */
const printable = (name: string) => name.replaceAll(/\p{Cc}/gu, '^');
