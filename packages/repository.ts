/**
 * Reads a repository in the layouts of pkg: meta.conf (or meta.txz, or nothing) names the archives; packagesite.pkg (or .tzst,
 * .txz, .tbz, .tgz) has the catalogue as lines, data.pkg as one object. The archive is verified before a line of it is read.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { Catalogue, LineSplitter, ObjectSplitter } from './catalogue.ts';
import { decompressed } from './decompress.ts';
import { download, NotThere, printable } from './download.ts';
import { PackageError, reason } from './errors.ts';
import type { RepositoryRequest } from './request.ts';
import { checkSignature, type Signatures } from './signature.ts';
import { readTar, type TarEntry, wholeBody } from './tar-reader.ts';
import { members, parseUcl, type Ucl } from './ucl.ts';

interface Meta {
  /** Archives without their suffix, and the member of each. */
  readonly manifestsArchive: string;
  readonly manifests: string;
  readonly dataArchive: string;
  readonly data: string;
  readonly suffixes: readonly string[];
  /** Public keys that the meta file carries, by name. */
  readonly keys: ReadonlyMap<string, Buffer>;
}

/** A signature has some hundred bytes, a key some thousand. */
const SMALL = 1 << 16;

function unavailable(repository: RepositoryRequest, problem: string, cause?: unknown): PackageError {
  return new PackageError(
    'RepositoryUnavailable',
    `repository ${repository.name}: ${problem}`,
    `check that ${printable(repository.url)} is a repository for this ABI and can be reached`,
    cause,
  );
}

function metaOf(repository: RepositoryRequest, text: string): Meta {
  let facts: { readonly [key: string]: Ucl | undefined };
  try {
    facts = members(text === '' ? {} : parseUcl(text));
  } catch (error) {
    throw unavailable(repository, `its meta.conf cannot be read: ${reason(error)}`, error);
  }
  const version = facts.version ?? 1;
  if (version !== 1 && version !== 2)
    throw unavailable(repository, `its meta.conf has version ${JSON.stringify(version)}`);
  const word = (key: string, otherwise: string): string => {
    const value = facts[key] ?? otherwise;
    if (typeof value !== 'string' || !/^[\w][\w.+-]*$/.test(value)) {
      throw unavailable(repository, `its meta.conf has ${key} ${JSON.stringify(value)}`);
    }
    return value;
  };
  const keys = new Map<string, Buffer>();
  const certificates = facts.cert;
  for (const one of Array.isArray(certificates)
    ? (certificates as Ucl[])
    : certificates === undefined
      ? []
      : [certificates]) {
    const { name, data } = members(one);
    if (typeof name === 'string' && typeof data === 'string') keys.set(name, Buffer.from(data));
  }
  const format = word('packing_format', 'txz');
  return {
    manifestsArchive: word('manifests_archive', 'packagesite'),
    manifests: word('manifests', 'packagesite.yaml'),
    dataArchive: word('data_archive', 'data'),
    data: word('data', 'data'),
    suffixes: [...new Set(['pkg', format, 'tzst', 'txz', 'tbz', 'tgz'])],
    keys,
  };
}

/** Takes a member of a signature's family; false if the entry is none. */
async function signatureMember(entry: TarEntry, found: Signatures): Promise<boolean> {
  const name = /^(.*)\.(sig|pub)$/.exec(entry.path);
  if (name)
    (name[2] === 'sig' ? found.signatures : found.keys).set(name[1] ?? '', await wholeBody(entry, SMALL));
  else if (entry.path === 'signature') found.plain = await wholeBody(entry, SMALL);
  else return false;
  return true;
}

/** Reads an archive once: the signatures in it and the digests of the member that they are for. */
async function examine(path: string, member: string): Promise<Signatures | undefined> {
  const found: Signatures = {
    signatures: new Map(),
    keys: new Map(),
    plain: undefined,
    sha256: '',
    blake2b: Buffer.alloc(0),
  };
  let seen = 0;
  for await (const entry of readTar(decompressed(path))) {
    if (entry.kind !== 'file') continue;
    if (entry.path === member) {
      seen++;
      const sha256 = createHash('sha256');
      const blake2b = createHash('blake2b512');
      for await (const piece of entry.body()) {
        sha256.update(piece);
        blake2b.update(piece);
      }
      found.sha256 = sha256.digest('hex');
      found.blake2b = blake2b.digest();
    } else await signatureMember(entry, found);
  }
  // Two members of one name: the one that is verified need not be the one that is read.
  return seen === 1 ? found : undefined;
}

async function readMember(path: string, member: string, chunk: (bytes: Buffer) => void): Promise<void> {
  for await (const entry of readTar(decompressed(path))) {
    if (entry.kind !== 'file' || entry.path !== member) continue;
    for await (const piece of entry.body()) chunk(piece);
    return;
  }
}

export interface OpenedRepository {
  readonly request: RepositoryRequest;
  readonly catalogue: Catalogue;
}

/**
 * Fetches, verifies and reads the catalogue.
 * @throws PackageError RepositoryUnavailable, RepositoryUntrusted
 */
export async function openRepository(
  repository: RepositoryRequest,
  abi: string,
  cache: string,
  locate: (path: string) => string,
): Promise<OpenedRepository> {
  const directory = `${cache}/${repository.name}`;
  const fetched = async (file: string): Promise<string | undefined> => {
    const path = `${directory}/${file}`;
    try {
      await download(`${repository.url}/${file}`, path);
      return path;
    } catch (error) {
      if (error instanceof NotThere) return undefined;
      throw unavailable(repository, reason(error), error);
    }
  };
  const damaged = (file: string, error: unknown): PackageError =>
    error instanceof PackageError
      ? error
      : unavailable(repository, `${file} is damaged: ${reason(error)}`, error);

  const examined = async (file: string, path: string, member: string, keys: ReadonlyMap<string, Buffer>) => {
    let found: Signatures | undefined;
    try {
      found = await examine(path, member);
    } catch (error) {
      throw damaged(file, error);
    }
    if (!found) throw unavailable(repository, `${file} has no ${member}, or more than one`);
    checkSignature(repository, found, keys, locate);
  };

  let meta: Meta;
  const conf = await fetched('meta.conf');
  if (conf !== undefined) meta = metaOf(repository, await readFile(conf, 'utf8'));
  else {
    const archive = await fetched('meta.txz');
    if (archive === undefined) meta = metaOf(repository, '');
    else {
      // The keys inside cannot vouch for themselves: only such as are in the archive or trusted by fingerprint count.
      await examined('meta.txz', archive, 'meta', new Map());
      const pieces: Buffer[] = [];
      await readMember(archive, 'meta', (bytes) => pieces.push(Buffer.from(bytes)));
      meta = metaOf(repository, Buffer.concat(pieces).toString());
    }
  }

  const catalogue = new Catalogue(repository.name, abi);
  const lines = new LineSplitter((line) => catalogue.add(line));
  const objects = new ObjectSplitter((json) => catalogue.add(json));
  const decoder = new StringDecoder('utf8');
  const forms = [
    { archive: meta.manifestsArchive, member: meta.manifests, take: (bytes: Buffer) => lines.write(bytes) },
    {
      archive: meta.dataArchive,
      member: meta.data,
      take: (bytes: Buffer) => objects.write(decoder.write(bytes)),
    },
  ];
  for (const { archive, member, take } of forms) {
    for (const suffix of meta.suffixes) {
      const file = `${archive}.${suffix}`;
      const path = await fetched(file);
      if (path === undefined) continue;
      await examined(file, path, member, meta.keys);
      try {
        await readMember(path, member, take);
        lines.end();
      } catch (error) {
        throw damaged(file, error);
      }
      if (catalogue.packages.length === 0 && catalogue.foreign > 0) {
        throw unavailable(repository, `all ${catalogue.foreign} packages are for another ABI than ${abi}`);
      }
      return { request: repository, catalogue };
    }
  }
  throw unavailable(repository, `it has neither ${meta.manifestsArchive}.pkg nor ${meta.dataArchive}.pkg`);
}
