/** What is to be installed and from where: the file that the worker writes for the installer. */
import { PackageError } from './errors.ts';

export type Trust =
  | { readonly kind: 'none' }
  /** Directory in the image with trusted/ and revoked/, or the fingerprints themselves (64 hex digits each). */
  | {
      readonly kind: 'fingerprints';
      readonly directory: string | undefined;
      readonly trusted: readonly string[];
    }
  | { readonly kind: 'pubkey'; readonly key: string };

export interface RepositoryRequest {
  readonly name: string;
  /** http:// or https://, without a slash at the end. */
  readonly url: string;
  readonly trust: Trust;
  /** Higher wins. */
  readonly priority: number;
}

export interface PackageRequest {
  /** Name, origin, name-version or a glob. */
  readonly name: string;
  /** Empty: any. */
  readonly repository: string;
}

export interface InstallRequest {
  /** e.g. `FreeBSD:15:amd64` */
  readonly abi: string;
  /** __FreeBSD_version, e.g. 1501000 */
  readonly osversion: number;
  /** Seconds since the epoch: time of what has no time of its own, and of the registration. */
  readonly timestamp: number;
  readonly packages: readonly PackageRequest[];
  readonly repositories: readonly RepositoryRequest[];
}

function bad(problem: string): PackageError {
  return new PackageError(
    'PackageFailed',
    `the request is wrong: ${problem}`,
    'report this as a defect of the worker',
  );
}

/** pkg's own spellings: pkg+https:// only says that SRV records name the mirrors; the host itself answers too. */
function repositoryUrl(url: string, abi: string, osversion: number): string {
  const [system = '', major = '', machine = ''] = abi.split(':');
  const known: Record<string, string> = {
    ABI: abi,
    ARCH: machine,
    OSNAME: system,
    RELEASE: `${major}`,
    VERSION_MAJOR: major,
    VERSION_MINOR: String(Math.floor(osversion / 1000) % 100),
  };
  return url
    .replace(/^pkg\+/, '')
    .replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => known[name] ?? whole)
    .replace(/\/+$/, '');
}

/** Lines `key=value`; the value is everything behind the first `=`. */
export function parseRequest(text: string): InstallRequest {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const equals = line.indexOf('=');
    if (equals < 1) throw bad(`${JSON.stringify(line)} is not key=value`);
    values.set(line.slice(0, equals), line.slice(equals + 1));
  }
  const get = (key: string): string => {
    const value = values.get(key);
    if (value === undefined) throw bad(`${key} is missing`);
    return value;
  };
  const number = (key: string, otherwise?: number): number => {
    const value = values.get(key);
    if ((value === undefined || value === '') && otherwise !== undefined) return otherwise;
    if (!/^-?\d{1,12}$/.test(value ?? '')) throw bad(`${key} is not a number`);
    return Number(value);
  };
  const count = (prefix: string): number => {
    const given = values.get(`${prefix}.count`);
    if (given !== undefined) return number(`${prefix}.count`);
    let last = 0;
    while (values.has(`${prefix}.${last + 1}.name`) || values.has(`${prefix}.${last + 1}`)) last++;
    return last;
  };
  const abi = values.get('package.abi') ?? get('abi');
  const osversion = values.has('package.osversion') ? number('package.osversion') : number('osversion');

  const trustOf = (prefix: string): Trust => {
    const signature = (values.get(`${prefix}.signature`) ?? '').toLowerCase();
    if (signature === 'none') return { kind: 'none' };
    if (signature === 'pubkey') {
      return { kind: 'pubkey', key: Buffer.from(get(`${prefix}.key`), 'base64').toString() };
    }
    if (signature !== 'fingerprints') throw bad(`${prefix}.signature is ${JSON.stringify(signature)}`);
    const trusted: string[] = [];
    for (let m = 1; m <= count(`${prefix}.fingerprint`); m++) {
      const fingerprint = get(`${prefix}.fingerprint.${m}`).toLowerCase();
      if (!/^[0-9a-f]{64}$/.test(fingerprint))
        throw bad(`${prefix}.fingerprint.${m} is not 64 hexadecimal digits`);
      trusted.push(fingerprint);
    }
    const directory = values.get(`${prefix}.keys`);
    return { kind: 'fingerprints', directory: directory === '' ? undefined : directory, trusted };
  };

  const repositories: RepositoryRequest[] = [];
  for (let n = 1; n <= count('repository'); n++) {
    const prefix = `repository.${n}`;
    const name = get(`${prefix}.name`);
    const url = repositoryUrl(get(`${prefix}.url`), abi, osversion);
    if (!/^https?:\/\/[^/]/.test(url)) throw bad(`${prefix}.url is not http:// or https://`);
    if (!/^[\w.+-]+$/.test(name)) throw bad(`${prefix}.name ${JSON.stringify(name)} is not a word`);
    if (repositories.some((other) => other.name === name)) throw bad(`two repositories are called ${name}`);
    repositories.push({ name, url, trust: trustOf(prefix), priority: number(`${prefix}.priority`, 0) });
  }
  const packages: PackageRequest[] = [];
  for (let n = 1; n <= count('package'); n++) {
    packages.push({
      name: get(`package.${n}.name`),
      repository: values.get(`package.${n}.repository`) ?? '',
    });
  }
  return { abi, osversion, timestamp: number('timestamp'), packages, repositories };
}
