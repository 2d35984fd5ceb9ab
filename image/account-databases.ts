/**
 * The account databases of FreeBSD, as pwd_mkdb(8) makes them from master.passwd: pwd.db (passwords hidden), spwd.db (with
 * them) and passwd.
 *
 * Each entry is there three times: by name, by its number among the entries and by uid. A key is a tag and the name or a
 * number of 32 bits in network order; the tag's upper half is the version of the entries, 4. Source: include/pwd.h,
 * usr.sbin/pwd_mkdb and lib/libc/gen/getpwent.c of FreeBSD, passwd(5).
 */
import { type HashPair, hashFile } from './berkeley-hash.ts';
import { ImageError } from './errors.ts';

const BY_NAME = 0x41;
const BY_NUMBER = 0x42;
const BY_UID = 0x43;
const NIS_ENABLED = 0x44;
const NIS_BY_NUMBER = 0x45;
const VERSION_KEY = Buffer.from('\xffVERSION', 'latin1');
const VERSION_VALUE = Buffer.from([4]);
const NIS_VALUE = Buffer.from([3]);

/** MAXLOGNAME without its NUL: getpwnam(3) finds no longer name. */
const LONGEST_NAME = 32;
/** LINE_MAX of limits.h, less the line end and NUL, that pwd_mkdb(8) reads a line into. */
const LONGEST_LINE = 2046;
const LARGEST_ID = 2 ** 32 - 1;
/** So many bad lines are named in one message. */
const LINES_NAMED = 10;

/** Fields of master.passwd in their order, with their bit in an entry's `fields`. */
const FIELD_BITS = {
  name: 0x001,
  password: 0x002,
  uid: 0x004,
  gid: 0x008,
  class: 0x020,
  change: 0x010,
  expire: 0x200,
  gecos: 0x040,
  home: 0x080,
  shell: 0x100,
} as const;
const FIELDS = Object.keys(FIELD_BITS) as (keyof typeof FIELD_BITS)[];

type Account = Readonly<Record<keyof typeof FIELD_BITS, string>> & { readonly fields: number };

const isNis = (account: Account): boolean => /^[+-]/.test(account.name);

/** Why the line is no entry, or the entry. */
function parseLine(line: string): Account | string {
  if (line.length > LONGEST_LINE) return `is longer than ${LONGEST_LINE} bytes`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(line)) return 'has a control character';
  const parts = line.split(':');
  if (parts.length !== FIELDS.length) return `has ${parts.length} fields instead of ${FIELDS.length}`;
  const record = Object.fromEntries(FIELDS.map((field, i) => [field, parts[i] ?? ''])) as Record<
    keyof typeof FIELD_BITS,
    string
  >;
  let fields = 0;
  for (const field of FIELDS) if (record[field] !== '') fields |= FIELD_BITS[field];
  // A line such as `+name` stands for another directory's entry and gives no name of its own.
  if (record.name.startsWith('+') && record.name !== '+') fields &= ~FIELD_BITS.name;
  const account = { ...record, fields };
  if (record.name === '') return 'has no name';
  if (record.name.length > LONGEST_NAME) return `has a name longer than ${LONGEST_NAME} bytes`;
  for (const id of ['uid', 'gid'] as const) {
    if (record[id] === '' && isNis(account)) continue;
    if (!/^\d{1,10}$/.test(record[id]) || Number(record[id]) > LARGEST_ID) {
      return `has the ${id} ${JSON.stringify(record[id])}, which is no number up to ${LARGEST_ID}`;
    }
  }
  if (record.name === 'root' && Number(record.uid) !== 0) return 'gives root a uid that is not 0';
  for (const time of ['change', 'expire'] as const) {
    if (!/^\d{0,10}$/.test(record[time]) || Number(record[time]) > LARGEST_ID) {
      return `has the ${time} time ${JSON.stringify(record[time])}, which is no number up to ${LARGEST_ID}`;
    }
  }
  return account;
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'latin1');

/** The value of each key of an account; numbers in network order, strings with their NUL. */
function entry(account: Account, password: string): Buffer {
  return Buffer.concat([
    text(account.name),
    text(password),
    word(Number(account.uid)),
    word(Number(account.gid)),
    word(Number(account.change)),
    text(account.class),
    text(account.gecos),
    text(account.home),
    text(account.shell),
    word(Number(account.expire)),
    word(account.fields),
  ]);
}

const key = (tag: number, rest: Buffer): Buffer => Buffer.concat([Buffer.from([tag]), rest]);

/** In the order in which pwd_mkdb(8) puts them. */
function* pairs(accounts: readonly Account[], password: (account: Account) => string): Generator<HashPair> {
  yield { key: VERSION_KEY, value: VERSION_VALUE };
  let nis = 0;
  for (const [i, account] of accounts.entries()) {
    const value = entry(account, password(account));
    yield { key: key(BY_NAME, Buffer.from(account.name, 'latin1')), value };
    yield { key: key(BY_NUMBER, word(i + 1)), value };
    yield { key: key(BY_UID, word(Number(account.uid))), value };
    if (isNis(account)) yield { key: key(NIS_BY_NUMBER, word(++nis)), value };
  }
  if (nis > 0) yield { key: Buffer.from([NIS_ENABLED]), value: NIS_VALUE };
}

/** `name:*:uid:gid:gecos:home:shell`, numbers as numbers. */
function passwdLine(account: Account): string {
  const id = (value: string) => (value === '' ? '' : String(Number(value)));
  return `${account.name}:*:${id(account.uid)}:${id(account.gid)}:${account.gecos}:${account.home}:${account.shell}`;
}

export interface AccountDatabases {
  readonly 'pwd.db': Buffer;
  readonly 'spwd.db': Buffer;
  readonly passwd: Buffer;
}

/** The three files of a master.passwd. Errors: AccountInvalid with the numbers of the lines that are none. */
export function accountDatabases(masterPasswd: Buffer): AccountDatabases {
  const accounts: Account[] = [];
  const passwd: string[] = [];
  const problems: string[] = [];
  // latin1 keeps every byte as it is, whatever the encoding of names.
  const lines = masterPasswd.toString('latin1').split('\n');
  if (lines.at(-1) === '') lines.pop();
  for (const [i, line] of lines.entries()) {
    if (/^[ \t]*(#|$)/.test(line)) {
      passwd.push(line);
      continue;
    }
    const account = parseLine(line);
    if (typeof account === 'string') {
      problems.push(`line ${i + 1} ${account}`);
    } else {
      accounts.push(account);
      passwd.push(passwdLine(account));
    }
  }
  if (problems.length > 0) {
    const more = problems.length - LINES_NAMED;
    throw new ImageError(
      'AccountInvalid',
      `master.passwd: ${problems.slice(0, LINES_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
      'write these lines as passwd(5) says',
    );
  }
  return {
    'pwd.db': hashFile(pairs(accounts, () => '*')),
    'spwd.db': hashFile(pairs(accounts, (account) => account.password)),
    passwd: Buffer.from(passwd.map((line) => `${line}\n`).join(''), 'latin1'),
  };
}
