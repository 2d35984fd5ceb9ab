import { createHash, generateKeyPairSync, privateEncrypt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Mirror, MirrorAnswer, MirrorFiles, MirrorHead } from '../../core/ports.ts';

/** A mirror and an update server at a time of a recorded history. */

export const MIRROR = 'https://mirror.example';
export const UPDATES = 'http://updates.example';
const targetArch = { amd64: 'amd64', arm64: 'aarch64' } as const;
export const architectures = ['amd64', 'arm64'] as const;
type Architecture = (typeof architectures)[number];

/** How whole a release is: as it should be; only a name in the index; and in between. */
const states = [
  'whole',
  'listed',
  'without-sets',
  'without-manifest',
  'truncated',
  'without-revision',
] as const;

interface Release {
  state: (typeof states)[number];
  date: string;
  revision: string;
  patches: number | undefined;
}

export interface Change {
  readonly at: string;
  readonly what: string;
  readonly order?: 'reversed';
  /** What the mirror answers from now on. */
  readonly answers?: 'all' | 'page' | 'nothing';
  readonly amd64?: Readonly<Record<string, string>>;
  readonly arm64?: Readonly<Record<string, string>>;
}

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');

export const history = parse(fixture('how-15.1-appeared.yaml')) as readonly Change[];
const PAGE = fixture('captive-portal.index');
export const indexes = ['nginx', 'fancyindex', 'apache', 'lighttpd', 'absolute'].map((name) => ({
  name,
  html: fixture(`${name}.index`),
}));
export const page = PAGE;

const sets = ['base', 'kernel', 'lib32'];
const sha = (text: string) => createHash('sha256').update(text).digest('hex');

const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicKey = keys.publicKey.export({ type: 'spki', format: 'pem' });
/** Of the update server of this history. */
export const keyPrint = sha(publicKey.toString());

/** As freebsd-update's servers sign: the line itself is encrypted with the private key (PKCS #1 v1.5). */
export const signed = (line: string, key = keys.privateKey): Uint8Array =>
  privateEncrypt(key, Buffer.from(line));
export const updateKey = publicKey.toString();

export class MirrorHistory implements Mirror, MirrorFiles {
  readonly #releases: Record<Architecture, Map<string, Release>> = { amd64: new Map(), arm64: new Map() };
  #order: 'reversed' | undefined;
  answers: 'all' | 'page' | 'nothing' = 'all';
  requests = 0;
  /** Called at each request. */
  readonly pause: () => Promise<unknown>;

  constructor(pause: () => Promise<unknown> = async () => {}) {
    this.pause = pause;
  }

  apply(change: Omit<Change, 'at' | 'what'>): void {
    this.answers = change.answers ?? this.answers;
    this.#order = change.order ?? this.#order;
    for (const architecture of architectures) {
      for (const [name, text] of Object.entries(change[architecture] ?? {})) {
        const [state = '', date = '', revision = '', patches] = text.split(' ');
        if (state === 'gone') this.#releases[architecture].delete(name);
        else {
          const known = states.find((one) => one === state);
          if (known === undefined) throw new Error(`${state} is no state of a release`);
          this.#releases[architecture].set(name, {
            state: known,
            date,
            revision,
            patches: patches === undefined ? undefined : Number(patches.slice(1)),
          });
        }
      }
    }
  }

  /** What there is, whether the mirror answers or not. */
  releases(architecture: Architecture): ReadonlyMap<string, Readonly<Release>> {
    return this.#releases[architecture];
  }

  #index(architecture: Architecture): string {
    const names = [...this.#releases[architecture].keys(), 'ISO-IMAGES'];
    if (this.#order === 'reversed') names.reverse();
    const lines = names.map((name) => `<a href="${name}/">${name}/</a>   28-Nov-2025 18:16   -\r\n`);
    return `<html><head><title>Index</title></head><body><pre><a href="../">../</a>\r\n${lines.join('')}</pre></body></html>`;
  }

  #manifest({ state, revision }: Release): string {
    const lines = sets
      .map((name) => `${name}.txz\t${sha(`${revision} ${name}`)}\t12\t${name}\t"${name}"\ton\n`)
      .join('');
    return state === 'truncated' ? lines.slice(0, 120) : lines;
  }

  /** What is at a URL; undefined when nothing is. */
  #file(url: string): string | Uint8Array | undefined {
    for (const architecture of architectures) {
      const base = `${MIRROR}/releases/${architecture}/${targetArch[architecture]}/`;
      if (url === base) return this.#index(architecture);
      const [, name = '', file = ''] = url.startsWith(base)
        ? (/^([^/]+)\/(.*)$/.exec(url.slice(base.length)) ?? [])
        : [];
      const release = this.#releases[architecture].get(name);
      if (release === undefined) continue;
      const { state, date, revision } = release;
      if (file === '') return '<html><body>a directory</body></html>';
      if (state === 'listed') return undefined;
      if (file === 'MANIFEST') return state === 'without-manifest' ? undefined : this.#manifest(release);
      if (file === 'BUILDDATE') return `${date}\n`;
      if (file === 'REVISION') return state === 'without-revision' ? undefined : `${revision}\n`;
      if (sets.includes(file.replace('.txz', ''))) return state === 'without-sets' ? undefined : 'an archive';
    }
    return undefined;
  }

  #update(url: string): Uint8Array | undefined {
    const [, name = '', architecture = '', file] =
      /^http:\/\/updates\.example\/([^/]+)\/([^/]+)\/(.*)$/.exec(url) ?? [];
    const patches = this.#releases[architecture as Architecture]?.get(name)?.patches;
    if (patches === undefined) return undefined;
    if (file === 'pub.ssl') return Buffer.from(publicKey.toString());
    return signed(`freebsd-update|${architecture}|${name}|${patches}|${sha(url)}|1811808000\n`);
  }

  async #answer(
    url: string,
  ): Promise<Exclude<MirrorAnswer, { status: 'found' }> | { status: 'found'; body: string | Uint8Array }> {
    this.requests++;
    await this.pause();
    if (url.startsWith(UPDATES)) {
      const body = this.#update(url);
      return body === undefined ? { status: 'absent' } : { status: 'found', body };
    }
    if (this.answers === 'nothing') return { status: 'unreachable', reason: 'connect ECONNREFUSED' };
    if (this.answers === 'page') return { status: 'found', body: PAGE };
    const body = this.#file(url);
    return body === undefined ? { status: 'absent' } : { status: 'found', body };
  }

  read = async (url: string) => {
    const answer = await this.#answer(url);
    return answer.status === 'found'
      ? ({ status: 'found', text: Buffer.from(answer.body).toString() } as const)
      : answer;
  };
  bytes = async (url: string) => {
    const answer = await this.#answer(url);
    return answer.status === 'found'
      ? ({ status: 'found', bytes: Buffer.from(answer.body) } as const)
      : answer;
  };
  digest = async (url: string) => {
    const answer = await this.#answer(url);
    return answer.status === 'found'
      ? ({ status: 'found', sha256: sha(answer.body.toString()), bytes: answer.body.length } as const)
      : answer;
  };
  head = async (url: string): Promise<MirrorHead> => {
    const answer = await this.#answer(url);
    const html = answer.status === 'found' && answer.body.toString().includes('<html');
    return answer.status === 'found'
      ? ({
          status: 'found',
          bytes: answer.body.length,
          type: html ? 'text/html' : 'application/x-xz',
        } as const)
      : answer;
  };
}
