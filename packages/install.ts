/** The whole of an installation: catalogues, choice, downloads, files, scripts, register, specification. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Accounts } from './accounts.ts';
import { rehashCertificates } from './certificates.ts';
import { type InstalledPackage, writeDatabase } from './database.ts';
import { decompressed } from './decompress.ts';
import { atOnce, type Downloaded, download, printable } from './download.ts';
import { PackageError, reason } from './errors.ts';
import { type Attributes, ImageTree } from './image-tree.ts';
import { imagePath, type Manifest, parseManifest } from './manifest.ts';
import { openRepository } from './repository.ts';
import type { InstallRequest, RepositoryRequest } from './request.ts';
import { type ChosenPackage, resolve } from './resolve.ts';
import { runScripts, runTriggers } from './scripts.ts';
import type { ScriptContext } from './shell-commands.ts';
import { readTar, type TarEntry, wholeBody } from './tar-reader.ts';

/** Connections to one mirror at once: what a browser would open. */
const AT_ONCE = 6;
/** The largest manifests (of packages with some hundred thousand files) have some ten megabytes. */
const MAX_MANIFEST = 256 << 20;
const DATABASE = '/var/db/pkg/local.sqlite';

export interface InstallPlace {
  readonly root: string;
  readonly specification: string;
  readonly cache: string;
  readonly log: (line: string) => void;
}

export interface Installed {
  readonly manifest: Manifest;
  readonly repository: string;
  readonly sha256: string;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 18 }), hash);
  return hash.digest('hex');
}

/** Fetches a package unless the cache has it. One wrong answer may be a broken transfer; two are the mirror's. */
async function fetchPackage(
  chosen: ChosenPackage,
  repository: RepositoryRequest,
  path: string,
): Promise<void> {
  if (existsSync(path) && (await sha256Of(path)) === chosen.sha256) return;
  const url = `${repository.url}/${chosen.path.split('/').map(encodeURIComponent).join('/')}`;
  for (let attempt = 1; ; attempt++) {
    let got: Downloaded;
    try {
      got = await download(url, path);
    } catch (error) {
      throw new PackageError(
        'RepositoryUnavailable',
        `${chosen.name}-${chosen.version} cannot be fetched: ${reason(error)}`,
        'try again later; a mirror that is being renewed may lack packages of its catalogue for a while',
        error,
      );
    }
    if (got.sha256 === chosen.sha256 && (chosen.size === 0 || got.bytes === chosen.size)) return;
    await rm(path, { force: true });
    if (attempt === 2) {
      throw new PackageError(
        'PackageChecksumMismatch',
        `${printable(url)} has ${got.bytes} bytes with SHA-256 ${got.sha256}, the catalogue says ${chosen.size || 'nothing of the size'} and ${chosen.sha256}`,
        'the mirror or something on the way changes files: try again later or name another repository',
      );
    }
  }
}

/** The library's file in one of the places where the booted machine looks for it. */
function hasLibrary(tree: ImageTree, name: string): boolean {
  const [file = '', kind] = name.split(':');
  if (file.includes('/')) return false;
  // Libraries of Linux have other places, and only packages have them.
  if (kind !== undefined && kind !== '32') return false;
  const directories =
    kind === '32' ? ['/usr/lib32', '/libexec'] : ['/lib', '/usr/lib', '/libexec', '/usr/lib/compat'];
  return directories.some((directory) => tree.stat(`${directory}/${file}`) !== undefined);
}

export async function install(request: InstallRequest, place: InstallPlace): Promise<readonly Installed[]> {
  const { log } = place;
  if (request.packages.length === 0) return [];
  const tree = new ImageTree(place.root, place.specification, request.timestamp);
  if (tree.lstat(DATABASE)) {
    throw new PackageError(
      'PackageFailed',
      `the image has ${DATABASE} already`,
      'name all packages in one request; a set must not bring installed packages',
    );
  }
  if (request.repositories.length === 0) {
    throw new PackageError('PackageNotFound', 'there is no repository to take packages from', 'name one');
  }
  const opened = [];
  for (const repository of request.repositories) {
    const one = await openRepository(repository, request.abi, place.cache, (path) => tree.readable(path));
    log(`${repository.name}: ${one.catalogue.packages.length} packages`);
    opened.push(one);
  }
  const resolution = resolve(request.packages, opened, { shlib: (name) => hasLibrary(tree, name) });
  for (const note of resolution.notes) log(`note: ${note}`);
  const chosen = resolution.packages;
  const bytes = chosen.reduce((sum, { size }) => sum + size, 0);
  log(`${chosen.length} packages, ${bytes} bytes`);

  const repositories = new Map(request.repositories.map((one) => [one.name, one]));
  const fileOf = ({ sha256 }: ChosenPackage) => `${place.cache}/packages/${sha256}.pkg`;
  await atOnce(AT_ONCE, chosen, async (one) => {
    const repository = repositories.get(one.repository);
    if (repository) await fetchPackage(one, repository, fileOf(one));
  });

  const installer = new Installer(request, tree, log);
  const installed: Installed[] = [];
  for (const one of chosen) {
    const manifest = await installer.add(one, fileOf(one));
    installed.push({ manifest, repository: one.repository, sha256: one.sha256 });
    // It has done its part; the image needs the room.
    await rm(fileOf(one), { force: true });
  }
  installer.finish();
  return installed;
}

const isUnset = (sum: string): boolean => sum === '' || sum === '-';

class Installer {
  readonly #request: InstallRequest;
  readonly #tree: ImageTree;
  readonly #accounts: Accounts;
  readonly #log: (line: string) => void;
  readonly #packages: InstalledPackage[] = [];
  /** Which package has a path, by the real path: two names of one place collide too. */
  readonly #owners = new Map<string, string>();
  readonly #touched = new Set<string>();
  readonly #said = new Set<string>();
  readonly #context: ScriptContext;
  #rehash = false;
  #indexModules = false;

  constructor(request: InstallRequest, tree: ImageTree, log: (line: string) => void) {
    this.#request = request;
    this.#tree = tree;
    this.#accounts = new Accounts(tree);
    this.#log = log;
    this.#context = {
      tree,
      accounts: this.#accounts,
      note: (text) => this.#note(text),
      rehashCertificates: () => {
        this.#rehash = true;
      },
      indexKernelModules: () => {
        this.#indexModules = true;
      },
    };
  }

  #note(text: string): void {
    if (!this.#said.has(text)) this.#log(`note: ${text}`);
    this.#said.add(text);
  }

  async add(chosen: ChosenPackage, path: string): Promise<Manifest> {
    const what = `${chosen.name}-${chosen.version}`;
    try {
      return await this.#add(chosen, path, what);
    } catch (error) {
      if (error instanceof PackageError) throw error;
      throw new PackageError(
        'PackageFailed',
        `${what} cannot be extracted: ${reason(error)}`,
        'the package is damaged or the disk is full; the message tells which',
        error,
      );
    }
  }

  async #add(chosen: ChosenPackage, path: string, what: string): Promise<Manifest> {
    let manifest: Manifest | undefined;
    const done = new Set<string>();
    const configFiles = new Map<string, string>();
    for await (const entry of readTar(decompressed(path))) {
      if (entry.path === '+MANIFEST') {
        if (manifest) throw new Error('it has two manifests');
        manifest = parseManifest((await wholeBody(entry, MAX_MANIFEST)).toString('utf8'), what);
        this.#begin(manifest, chosen, what);
        continue;
      }
      if (entry.path.startsWith('+')) continue;
      if (!manifest) throw new Error('a file comes before the manifest');
      await this.#entry(entry, manifest, what, done, configFiles);
    }
    if (!manifest) throw new Error('it has no manifest');
    const missing = [...manifest.files.keys()].filter((file) => !done.has(file));
    if (missing.length > 0)
      throw new Error(`${missing.length} files of its manifest are not in it, ${missing[0]} among them`);
    // Directories that the archive only names in its manifest.
    for (const directory of manifest.directories) {
      if (!done.has(directory) && !this.#tree.stat(directory))
        this.#tree.makeDirectory(directory, this.#tree.attributes(0o755));
    }
    runScripts(manifest, 'post', this.#context);
    this.#packages.push({
      manifest,
      automatic: chosen.automatic,
      repository: chosen.repository,
      configFiles,
    });
    return manifest;
  }

  #begin(manifest: Manifest, chosen: ChosenPackage, what: string): void {
    if (manifest.name !== chosen.name || manifest.version !== chosen.version) {
      throw new Error(`it is ${manifest.name}-${manifest.version}`);
    }
    const built = Number(manifest.annotations.get('FreeBSD_version') ?? 0);
    if (built > this.#request.osversion) {
      throw new PackageError(
        'PackageFailed',
        `${what} is built for FreeBSD ${built}, the image is ${this.#request.osversion}`,
        'take a newer release, or a repository for this one',
      );
    }
    for (const file of manifest.files.keys()) {
      const real = this.#tree.resolve(file);
      const other = this.#owners.get(real);
      if (other !== undefined) {
        throw new PackageError(
          'PackageConflict',
          `${what} and ${other} both have ${file}`,
          'ask for one of the two',
        );
      }
      this.#owners.set(real, what);
    }
    runScripts(manifest, 'pre', this.#context);
  }

  async #entry(
    entry: TarEntry,
    manifest: Manifest,
    what: string,
    done: Set<string>,
    configFiles: Map<string, string>,
  ): Promise<void> {
    const tree = this.#tree;
    const path = imagePath(entry.path);
    if (path === null) {
      if (entry.kind === 'directory' && /^[./]*$/.test(entry.path) && !entry.path.includes('..')) return;
      throw new Error(`the path ${JSON.stringify(entry.path).slice(0, 200)} leads out of the image`);
    }
    const attributes: Attributes = {
      mode: entry.mode,
      owner: entry.uname === '' ? entry.uid : entry.uname,
      group: entry.gname === '' ? entry.gid : entry.gname,
      flags: entry.flags,
      seconds: entry.seconds,
      nanoseconds: entry.nanoseconds,
    };
    this.#touched.add(path.slice(0, path.lastIndexOf('/')) || '/');
    if (entry.kind === 'directory') {
      tree.makeDirectory(path, attributes);
      this.#touched.add(path);
      done.add(path);
      return;
    }
    const listed = manifest.files.get(path);
    if (!listed) throw new Error(`${path} is not in its manifest`);
    if (done.has(path)) throw new Error(`${path} is in it twice`);
    done.add(path);
    const wrong = (found: string): PackageError =>
      new PackageError(
        'PackageChecksumMismatch',
        `${path} of ${what} has the checksum ${found}, its manifest says ${listed.sum}`,
        'the package is wrongly built: name another repository',
      );
    switch (entry.kind) {
      case 'symlink': {
        tree.makeLink(path, entry.target, attributes);
        // Of an absolute target pkg leaves the slash out, and takes a NUL instead.
        const forms = [entry.target, `${entry.target.slice(1)}\0`].map(
          (text) => `1$${createHash('sha256').update(text).digest('hex')}`,
        );
        if (listed.sum.startsWith('1$') && !forms.includes(listed.sum)) throw wrong(forms[0] ?? '');
        break;
      }
      case 'hardlink': {
        const target = imagePath(entry.target);
        if (target === null || !done.has(target) || !manifest.files.has(target)) {
          throw new Error(
            `${path} is a hard link to ${JSON.stringify(entry.target).slice(0, 200)}, which is no earlier file of the package`,
          );
        }
        tree.makeHardLink(path, target);
        break;
      }
      case 'file':
        await this.#file(
          entry,
          path,
          attributes,
          listed.sum,
          wrong,
          manifest.config.has(path) ? configFiles : undefined,
        );
        break;
      default:
        throw new Error(`${path} is neither a file nor a directory nor a link`);
    }
    if (path === '/etc/master.passwd' || path === '/etc/group') this.#accounts.reread(what);
  }

  async #file(
    entry: TarEntry,
    path: string,
    attributes: Attributes,
    sum: string,
    wrong: (found: string) => PackageError,
    configFiles: Map<string, string> | undefined,
  ): Promise<void> {
    const tree = this.#tree;
    const hash = createHash('sha256');
    const config: Buffer[] = [];
    let place = path;
    // A configuration file that is there belongs to whoever put it there; pkg lays its own beside it.
    if (configFiles && tree.lstat(path)) place = `${path}.pkgnew`;
    const measured = async function* (): AsyncGenerator<Buffer> {
      for await (const piece of entry.body()) {
        hash.update(piece);
        if (configFiles) config.push(Buffer.from(piece));
        yield piece;
      }
    };
    await tree.writeFile(place, attributes, entry.size, measured(), entry.extents);
    if (entry.extents === undefined || entry.extents.length === 0) {
      const found = `1$${hash.digest('hex')}`;
      const stated = /^[0-9a-f]{64}$/.test(sum) ? `1$${sum}` : sum;
      if (!isUnset(sum) && stated.startsWith('1$') && stated !== found && entry.extents === undefined)
        throw wrong(found);
    } else if (sum.startsWith('1$')) {
      // Holes count as zeros.
      const found = `1$${await sha256Of(tree.onDisk(place))}`;
      if (found !== sum) throw wrong(found);
    }
    if (configFiles) {
      const content = Buffer.concat(config);
      configFiles.set(path, content.toString('utf8'));
      if (place !== path && content.equals(tree.readBytes(path))) tree.remove(place);
    }
  }

  /** What is done once: triggers, certificates, accounts, the register, the specification. */
  finish(): void {
    const tree = this.#tree;
    runTriggers(tree, this.#touched, this.#context);
    if (this.#rehash) rehashCertificates(tree, (text) => this.#note(text));
    if (this.#indexModules && !tree.stat('/etc/rc.conf.d/kldxref')) {
      tree.writeText(
        '/etc/rc.conf.d/kldxref',
        '# The index of kernel modules (linker.hints) is made at boot: the image was built where kldxref(8) does not run.\nkldxref_enable="YES"\n',
        tree.attributes(0o644),
      );
      this.#note('the index of kernel modules is left to rc.d/kldxref at the first boot');
    }
    this.#accounts.save();
    const place = tree.onDisk(DATABASE);
    // The register is made in place: its directory first, with the attributes it shall have.
    tree.writeText(DATABASE, '', tree.attributes(0o644));
    writeDatabase(place, this.#packages, this.#request.timestamp);
    const unknown = (kind: string, name: string, path: string): number => {
      if (((tree.describe(path)?.mode ?? 0) & 0o6000) !== 0) {
        throw new PackageError(
          'PackageFailed',
          `${path} belongs to the ${kind} ${name}, which the image does not have, and runs with its rights`,
          'add the package that brings the account',
        );
      }
      // As pkg does it; but said.
      this.#note(`${path} belongs to the ${kind} ${name}, which the image does not have: number 0 instead`);
      return 0;
    };
    tree.appendSpecification(
      (name, path) => (name === 'root' ? 0 : (this.#accounts.user(name)?.uid ?? unknown('user', name, path))),
      (name, path) =>
        name === 'wheel' ? 0 : (this.#accounts.group(name)?.gid ?? unknown('group', name, path)),
    );
    const size = statSync(place).size;
    this.#log(`registered ${this.#packages.length} packages, ${size} bytes`);
  }
}
