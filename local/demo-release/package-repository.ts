/** A package repository in the layout of pkg.FreeBSD.org, with a signed catalogue. */
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { compressed, type DemoPackage, type PackageFile, packageFile } from './package-archive.ts';
import { type Architecture, BUILD_TIME, MACHINE_ARCHITECTURE } from './release.ts';
import { PUBLIC_KEY, signCatalogue } from './signing-key.ts';
import { type Entry, tarStream } from './tar-stream.ts';

export const packageAbi = (architecture: Architecture): string =>
  `FreeBSD:15:${MACHINE_ARCHITECTURE[architecture]}`;

/** __FreeBSD_version of 15.0, on which FreeBSD builds the packages of all of 15. */
const PORTS_OSVERSION = 1_500_000;

/** Settings of pkg's repositories of today. */
const META = `version = 2;
packing_format = "tzst";
manifests = "packagesite.yaml";
data = "data";
filesite = "filesite.yaml";
manifests_archive = "packagesite";
filesite_archive = "filesite";
`;

export interface RepositoryOptions {
  /** False: no signature; a function: another signer than the demo key, with its public key. */
  readonly sign?: false | { readonly signature: (catalogue: Buffer) => Buffer; readonly publicKey: Buffer };
  readonly osversion?: number;
}

function tarOf(members: readonly (readonly [string, Buffer])[]): Buffer {
  const entries = members.map(
    ([path, bytes]): Entry => ({
      kind: 'file',
      path,
      mode: 0o644,
      uid: 0,
      gid: 0,
      uname: 'root',
      gname: 'wheel',
      mtime: BUILD_TIME,
      size: bytes.length,
      read: (at, length) => bytes.subarray(at, at + length),
    }),
  );
  return Buffer.concat([...tarStream(entries)]);
}

/** The archive of a catalogue: signature and key in front, as pkg packs them. */
export function catalogueArchive(name: string, catalogue: Buffer, options: RepositoryOptions = {}): Buffer {
  const signer = options.sign ?? { signature: signCatalogue, publicKey: Buffer.from(PUBLIC_KEY) };
  const members: (readonly [string, Buffer])[] =
    signer === false
      ? []
      : [
          [`${name}.sig`, signer.signature(catalogue)],
          [`${name}.pub`, signer.publicKey],
        ];
  return compressed(tarOf([...members, [name, catalogue]]));
}

/** Writes the files of a repository into a directory. */
export async function writeRepository(
  directory: string,
  abi: string,
  packages: readonly DemoPackage[],
  options: RepositoryOptions = {},
): Promise<readonly PackageFile[]> {
  const known = new Map(packages.map(({ name, origin, version }) => [name, { origin, version }]));
  const sorted = [...packages].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const put = async (path: string, bytes: Buffer | string): Promise<void> => {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
    // Dates decide ETag and Last-Modified of the mirror.
    await utimes(file, BUILD_TIME, BUILD_TIME);
  };
  const made: PackageFile[] = [];
  for (const one of sorted) {
    const file = packageFile(one, abi, known, options.osversion ?? PORTS_OSVERSION);
    await put(file.path, file.bytes);
    made.push({ ...file, bytes: Buffer.alloc(0) });
  }
  const lines = made.map(({ line }) => line);
  await put('meta.conf', META);
  await put(
    'packagesite.pkg',
    catalogueArchive('packagesite.yaml', Buffer.from(lines.map((line) => `${line}\n`).join('')), options),
  );
  const data = Buffer.from(`{"groups":[],"expired_packages":[],"packages":[${lines.join(',')}]}`);
  await put('data.pkg', catalogueArchive('data', data, options));
  return made;
}
