/** What a repository knows of a package, in memory: only what choosing and fetching need, strings shared. */
import { PackageError, reason } from './errors.ts';

export interface CataloguePackage {
  readonly name: string;
  readonly version: string;
  readonly origin: string;
  /** Empty when the catalogue does not say. */
  readonly flavor: string;
  readonly dependencies: readonly string[];
  readonly requires: readonly string[];
  readonly provides: readonly string[];
  readonly shlibsRequired: readonly string[];
  readonly shlibsProvided: readonly string[];
  readonly conflicts: readonly string[];
  /** Path below the repository's URL. */
  readonly path: string;
  readonly sha256: string;
  /** Bytes of the file; 0 when the catalogue does not say. */
  readonly size: number;
  readonly repository: string;
}

const NOTHING: readonly string[] = [];

/** One string for many equal ones: a catalogue names the same few thousand things over and over. */
class Pool {
  readonly #strings = new Map<string, string>();

  share(text: string): string {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    this.#strings.set(text, text);
    return text;
  }

  list(value: unknown): readonly string[] {
    if (!Array.isArray(value) || value.length === 0) return NOTHING;
    return value.map((item) => this.share(String(item)));
  }
}

/** Whether `pattern` (an ABI with `*` for any part) holds for `abi`. Letters of either case are equal, as in pkg. */
export function abiFits(pattern: string, abi: string): boolean {
  if (pattern === '*') return true;
  const wanted = abi.toLowerCase().split(':');
  const parts = pattern.toLowerCase().split(':');
  return (
    parts.every((part, at) => part === '*' || part === wanted[at]) &&
    (parts.length === wanted.length || parts.at(-1) === '*')
  );
}

/** Names that go into paths and messages. */
const WORD = /^[A-Za-z0-9][A-Za-z0-9._+@~-]*$/;

/** Whether a path stays below what it is joined to. */
export function staysBelow(path: string): boolean {
  return (
    path !== '' &&
    !path.startsWith('/') &&
    !path.includes('\0') &&
    !path.split('/').some((part) => part === '..' || part === '.' || part === '')
  );
}

/** Collects the packages of one catalogue. */
export class Catalogue {
  readonly packages: CataloguePackage[] = [];
  /** How many are for another ABI. */
  foreign = 0;
  readonly #pool = new Pool();
  readonly #repository: string;
  readonly #abi: string;

  constructor(repository: string, abi: string) {
    this.#repository = repository;
    this.#abi = abi;
  }

  /** Takes one manifest, a line of packagesite.yaml: JSON, as pkg writes it. */
  add(line: string): void {
    if (line === '') return;
    let facts: Record<string, unknown>;
    try {
      facts = JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      throw this.#bad(`a line is not JSON: ${reason(error)}`);
    }
    if (typeof facts !== 'object' || facts === null || Array.isArray(facts))
      throw this.#bad('a line is no object');
    const text = (key: string): string => (typeof facts[key] === 'string' ? facts[key] : '');
    const abi = text('abi') || '*';
    if (!abiFits(abi, this.#abi)) {
      this.foreign++;
      return;
    }
    const name = text('name');
    const version = text('version');
    const path = text('repopath') || text('path');
    const sha256 = text('sum').toLowerCase();
    if (!WORD.test(name) || !/^[A-Za-z0-9._+,~*:-]+$/.test(version)) {
      throw this.#bad(`${JSON.stringify(`${name}-${version}`).slice(0, 200)} is no name of a package`);
    }
    if (!staysBelow(path)) throw this.#bad(`${name} has the path ${JSON.stringify(path).slice(0, 200)}`);
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw this.#bad(`${name} has no SHA-256`);
    const size = Number(facts.pkgsize ?? 0);
    const pool = this.#pool;
    const dependencies = typeof facts.deps === 'object' && facts.deps !== null ? Object.keys(facts.deps) : [];
    const annotations = (facts.annotations ?? {}) as Record<string, unknown>;
    this.packages.push({
      name: pool.share(name),
      version,
      origin: pool.share(text('origin')),
      flavor: pool.share(typeof annotations.flavor === 'string' ? annotations.flavor : ''),
      dependencies: pool.list(dependencies),
      requires: pool.list(facts.requires),
      provides: pool.list(facts.provides),
      shlibsRequired: pool.list(facts.shlibs_required),
      shlibsProvided: pool.list(facts.shlibs_provided),
      conflicts: pool.list(
        Array.isArray(facts.conflicts)
          ? facts.conflicts
          : Object.keys((facts.conflicts as object | undefined) ?? {}),
      ),
      path,
      sha256,
      size: Number.isSafeInteger(size) && size > 0 ? size : 0,
      repository: this.#repository,
    });
  }

  #bad(problem: string): PackageError {
    return new PackageError(
      'RepositoryUnavailable',
      `the catalogue of repository ${this.#repository} is damaged: ${problem}`,
      'try again later, or name another repository',
    );
  }
}

/** Splits a stream of bytes into lines. Longer ones than 16 MiB are hostile. */
export class LineSplitter {
  readonly #line: (line: string) => void;
  #held: Buffer[] = [];
  #length = 0;

  constructor(line: (line: string) => void) {
    this.#line = line;
  }

  write(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const to = chunk.indexOf(10, from);
      if (to < 0) break;
      this.#held.push(chunk.subarray(from, to));
      this.#flush();
      from = to + 1;
    }
    if (from === chunk.length) return;
    // A copy: the chunk belongs to a pool that is used again.
    this.#held.push(Buffer.from(chunk.subarray(from)));
    this.#length += chunk.length - from;
    if (this.#length > 16 << 20) throw new Error('a line has more than 16 MiB');
  }

  end(): void {
    if (this.#held.length > 0) this.#flush();
  }

  #flush(): void {
    const line = this.#held.length === 1 ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = [];
    this.#length = 0;
    this.#line(line?.toString('utf8') ?? '');
  }
}

/** Cuts the objects of the array `packages` out of pkg's `data` file, which is one line of JSON. */
export class ObjectSplitter {
  readonly #object: (json: string) => void;
  #depth = 0;
  #quoted = false;
  #escaped = false;
  #inPackages = false;
  #tail = '';
  #parts: string[] = [];

  constructor(object: (json: string) => void) {
    this.#object = object;
  }

  /** @param text UTF-8, cut at any place between characters */
  write(text: string): void {
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (this.#quoted) {
        if (this.#escaped) this.#escaped = false;
        else if (code === 0x5c) this.#escaped = true;
        else if (code === 0x22) this.#quoted = false;
      } else if (code === 0x22) this.#quoted = true;
      else if (code === 0x7b || code === 0x5b) {
        // Depth 1 is the whole object, 2 the array, 3 a package.
        if (this.#depth === 1 && code === 0x5b) {
          const before = (this.#tail + text.slice(Math.max(0, at - 40), at)).trimEnd();
          this.#inPackages = /"packages"\s*:$/.test(before);
        }
        this.#depth++;
        if (this.#depth === 3 && this.#inPackages && code === 0x7b) {
          from = at;
          this.#parts = [];
        }
      } else if (code === 0x7d || code === 0x5d) {
        if (this.#depth === 3 && this.#inPackages && code === 0x7d) {
          this.#parts.push(text.slice(from, at + 1));
          this.#object(this.#parts.join(''));
          this.#parts = [];
        }
        this.#depth--;
      }
    }
    if (this.#depth >= 3 && this.#inPackages) this.#parts.push(text.slice(from));
    this.#tail = (this.#tail + text).slice(-40);
  }
}
