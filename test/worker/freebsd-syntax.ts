import { readFileSync } from 'node:fs';

/** How a FreeBSD program may be called. `section` says where that is written. */
export interface Syntax {
  readonly section: string;
  /** Options without a value. */
  readonly flags?: string;
  /** Options with a value, joined or as the next word. */
  readonly valued?: string;
  readonly long?: readonly string[];
  /** What must be there. */
  readonly required?: string;
  /** Least and most operands. */
  readonly operands: readonly [number, number];
  /** A further look at the words; returns what is wrong. */
  readonly judge?: (
    options: ReadonlyMap<string, readonly string[]>,
    operands: readonly string[],
  ) => string | undefined;
}

const any = [0, Number.POSITIVE_INFINITY] as const;
const some = [1, Number.POSITIVE_INFINITY] as const;

const ddKeys =
  'if of bs ibs obs cbs count files fillchar iflag iseek msgfmt oflag oseek seek skip speed status conv'.split(
    ' ',
  );
const ddConversions =
  'ascii block ebcdic fdatasync fsync ibm lcase noerror notrunc osync pareven parnone parodd parset sparse swab sync ucase unblock'.split(
    ' ',
  );

/** The programs of FreeBSD 13.2's base system, from their manual pages. Those with a usage text of their own are below. */
const table: Readonly<Record<string, Syntax>> = {
  uname: { section: 'uname(1)', flags: 'abiKmnoprsUv', operands: [0, 0] },
  id: { section: 'id(1)', flags: 'AGMPcdgnpru', operands: [0, 1] },
  sysctl: { section: 'sysctl(8)', flags: 'bdehiJlNnoqTtWxaAX', valued: 'BfFj', operands: some },
  diskinfo: { section: 'diskinfo(8)', flags: 'cilpsStvwx', operands: some },
  geom: { section: 'geom(8)', operands: [2, 99] },
  devctl: {
    section: 'devctl(8)',
    operands: [2, 2],
    judge: (_options, [verb]) => (verb === 'rescan' ? undefined : `no verb ${verb}`),
  },
  zpool: {
    section: 'zpool-sync(8)',
    operands: [1, 99],
    judge: (_options, [verb]) => (verb === 'sync' ? undefined : `no verb ${verb}`),
  },
  zfs: {
    section: 'zfs-get(8)',
    operands: [2, 99],
    // Its options stand behind the verb.
    judge: (_options, [verb, ...words]) => {
      if (verb !== 'get') return `no verb ${verb}`;
      return words.find(
        (word) => word.startsWith('-') && !['-H', '-p', '-r', '-d', '-o', '-s', '-t'].includes(word),
      );
    },
  },
  mdconfig: {
    section: 'mdconfig(8)',
    flags: 'adnlvrc',
    valued: 'tofxysSuL',
    operands: [0, 0],
    judge: (options) => {
      if (options.has('a') && !options.has('t') && !options.has('f')) return '-a needs -t or -f';
      return options.has('d') && !options.has('u') ? '-d needs -u' : undefined;
    },
  },
  tar: {
    section: 'bsdtar(1)',
    flags: 'BchJjklmnOoPpqrStUuvwXxyZz',
    valued: 'bCfIsTWX',
    long: ['format', 'read-sparse', 'numeric-owner'],
    operands: any,
  },
  fetch: {
    section: 'fetch(1)',
    flags: '146AadFlMmnPpqRrsUv',
    valued: 'BcfhiNoSTw',
    operands: some,
    judge: (options) => (options.has('F') && !options.has('r') ? '-F is for -r' : undefined),
  },
  sha256: { section: 'sha256(1)', flags: 'pqrtx', valued: 'cs', operands: any },
  b64decode: { section: 'b64decode(1)', flags: 'cimprs', valued: 'o', operands: any },
  fold: { section: 'fold(1)', flags: 'bs', valued: 'w', operands: any },
  chflags: {
    section: 'chflags(1)',
    flags: 'RHLPfhvx',
    operands: [2, 99],
    judge: (options) =>
      options.has('R') && options.has('h') ? '-R and -h may not be specified together' : undefined,
  },
  realpath: { section: 'realpath(1)', flags: 'q', operands: any },
  readlink: { section: 'readlink(1)', flags: 'fn', operands: any },
  stat: { section: 'stat(1)', flags: 'FHLnqlrsx', valued: 'ft', operands: any },
  pwd_mkdb: { section: 'pwd_mkdb(8)', flags: 'CiNp', valued: 'dsu', operands: [1, 1] },
  pgrep: { section: 'pgrep(1)', flags: 'LSafilnoqvx', valued: 'FGMNPUcdgjstu', operands: any },
  shutdown: { section: 'shutdown(8)', flags: 'cfhkonpqr', operands: some },
  dd: {
    section: 'dd(1)',
    operands: some,
    judge: (_options, operands) => {
      for (const word of operands) {
        const [key = '', value = ''] = word.split(/=(.*)/s);
        if (!ddKeys.includes(key)) return `dd has no operand ${key}`;
        if (key === 'conv' && !value.split(',').every((c) => ddConversions.includes(c)))
          return `dd has no conv=${value}`;
        if (key === 'status' && !['none', 'noxfer', 'progress'].includes(value))
          return `dd has no status=${value}`;
        if (key === 'iflag' && !['direct', 'fullblock'].includes(value)) return `dd has no iflag=${value}`;
        if (['bs', 'count', 'skip', 'seek'].includes(key) && !/^\d+$/.test(value))
          return `${word} is not a plain number`;
      }
      return undefined;
    },
  },
  date: {
    section: 'date(1)',
    flags: 'jnRu',
    valued: 'rvfIz',
    operands: [0, 1],
    judge: (_options, operands) =>
      operands.every((word) => word.startsWith('+')) ? undefined : 'would set the clock',
  },
  touch: { section: 'touch(1)', flags: 'acfhm', valued: 'Adrt', operands: some },
  chown: { section: 'chown(8)', flags: 'fhvxRHLP', operands: [2, 99] },
  chmod: { section: 'chmod(1)', flags: 'fhvRHLP', operands: [2, 99] },
  awk: {
    section: 'awk(1)',
    flags: '',
    valued: 'Fvf',
    long: ['version', 'safe', 'csv'],
    operands: any,
    judge: (options, operands) => (options.has('f') || operands.length > 0 ? undefined : 'no program'),
  },
  sed: {
    section: 'sed(1)',
    flags: 'Ealnru',
    // -i and -I need a suffix, which GNU's do not.
    valued: 'efiI',
    operands: any,
  },
  tr: { section: 'tr(1)', flags: 'Ccsdu', operands: [1, 2] },
  grep: { section: 'grep(1)', flags: 'abcdDEFGHhIiLlnOopqRrSsUvwxz', valued: 'ABCefmD', operands: any },
  head: { section: 'head(1)', flags: '', valued: 'nc', operands: any },
  tail: { section: 'tail(1)', flags: 'Ffrq', valued: 'bcn', operands: any },
  ls: { section: 'ls(1)', flags: 'ABCFGHILPRSTUWZabcdfghiklmnopqrstuvwxy1,', valued: 'D', operands: any },
  du: { section: 'du(1)', flags: 'AHLPagkhmscxn', valued: 'BItd', operands: any },
  df: { section: 'df(1)', flags: 'bghHkmPacilnT,', valued: 't', operands: any },
  mkdir: { section: 'mkdir(1)', flags: 'pv', valued: 'm', operands: some },
  rm: { section: 'rm(1)', flags: 'dfIiPRrvWx', operands: some },
  mv: { section: 'mv(1)', flags: 'fhinv', operands: [2, 99] },
  cp: { section: 'cp(1)', flags: 'RHLPaflnipsvxr', operands: [2, 99] },
  cat: { section: 'cat(1)', flags: 'belnstuv', operands: any },
  sort: { section: 'sort(1)', flags: 'bcCdfghiMmnrRsuVz', valued: 'kotST', operands: any },
  od: { section: 'od(1)', flags: 'aBbcDdeFfHhIiLlOosvXx', valued: 'AjNt', operands: any },
  basename: { section: 'basename(1)', flags: 'a', valued: 's', operands: some },
  dirname: { section: 'dirname(1)', flags: '', operands: some },
  tee: { section: 'tee(1)', flags: 'ai', operands: any },
  cut: { section: 'cut(1)', flags: 'nsw', valued: 'bcdf', operands: any },
  sleep: { section: 'sleep(1)', flags: '', operands: [1, 1] },
  find: {
    section: 'find(1)',
    flags: 'EHLPXdsx',
    valued: 'f',
    operands: some,
    judge: (_options, operands) => {
      const primaries = ['-type', '-size', '-depth', '-name', '-perm', '-newer', '-exec', '-print', '-mount'];
      const unknown = operands.find((word) => /^-[a-z]/.test(word) && !primaries.includes(word));
      return unknown === undefined ? undefined : `find has no ${unknown}`;
    },
  },
  gzip: { section: 'gzip(1)', flags: '123456789acdfhklLNnqrtVv', valued: 'S', operands: any },
  // FreeBSD 13.2's is NetBSD's; keywords from its "LIST OF KEYWORDS".
  mtree: {
    section: 'mtree(8)',
    flags: 'bCcDdejLlMnPqrStUuWwxi',
    valued: 'EfFIKkNOpRsX',
    operands: [0, 0],
    judge: (options) => {
      const keywords =
        'cksum device flags gid gname ignore inode link md5 md5digest mode nlink nochange optional resdevice ripemd160digest rmd160 rmd160digest sha1 sha1digest sha256 sha256digest sha384 sha384digest sha512 sha512digest size tags time type uid uname all'.split(
          ' ',
        );
      const unknown = (options.get('k') ?? [])
        .flatMap((list) => list.split(','))
        .find((word) => !keywords.includes(word));
      if (unknown !== undefined) return `mtree has no keyword ${unknown}`;
      return options.has('c') && options.has('C') ? '-c and -C exclude each other' : undefined;
    },
  },
  xz: {
    section: 'xz(1)',
    flags: 'cdfklqtvz0123456789e',
    valued: 'TFSCM',
    long: ['robot', 'list'],
    operands: any,
  },
};

/** `gpart` prints a line for each verb: `gpart add -t type [-a alignment] … geom`. */
function gpartSyntax(usage: string): ReadonlyMap<string, Syntax> {
  const verbs = new Map<string, Syntax>();
  for (const [, verb = '', rest = ''] of usage.matchAll(/gpart (\w+)(.*)$/gm)) {
    let flags = '';
    let valued = '';
    let required = '';
    let left = rest;
    left = left.replace(/\[([^\]]*)\]/g, (_whole, inside: string) => {
      for (const [, letters = '', value] of inside.matchAll(/-(\w+)(?: (?!\|)(\w+))?/g)) {
        if (value) valued += letters;
        else flags += letters;
      }
      // What is left of it is operands that may be missing.
      return inside.includes('-') ? '' : '?';
    });
    left = left.replace(/-(\w) (\w+)/g, (_whole, letter: string) => {
      valued += letter;
      required += letter;
      return '';
    });
    const operands = left.trim() === '' ? ([0, 0] as const) : left.includes('?') ? any : ([1, 1] as const);
    verbs.set(verb, { section: `gpart(8), ${verb}`, flags, valued, required, operands });
  }
  // In the usage `[-p partcode -i index]` is one bracket: one needs the other.
  const bootcode = verbs.get('bootcode');
  if (bootcode) {
    verbs.set('bootcode', {
      ...bootcode,
      judge: (options) => (options.has('p') !== options.has('i') ? '-p and -i go together' : undefined),
    });
  }
  return verbs;
}

/** makefs(8), "msdos-specific options": the usage text tells those of the default type only. */
const msdosOptions =
  'backup_sector block_size bootstrap bytes_per_sector create_size directory_entries drive_heads fat_type floppy hidden_sectors info_sector media_descriptor num_FAT OEM_string offset reserved_sectors sectors_per_cluster sectors_per_fat sectors_per_track size volume_id volume_label'.split(
    ' ',
  );

/** makefs(8) of 14.0, "zfs-specific options", and `nowarn`, which zfs.c takes for the sake of 13.x. */
const zfsOptions = 'ashift bootfs mssize poolguid poolname rootpath verify-txgs nowarn fs'.split(' ');
const zfsProperties = 'atime canmount compression exec mountpoint setuid'.split(' ');

/** What zfs_check_opts and dsl_init (usr.sbin/makefs/zfs) would exit with. */
function judgePool(options: ReadonlyMap<string, readonly string[]>): string | undefined {
  const settings = (options.get('o') ?? [])
    .flatMap((list) => list.split(','))
    .map((item) => item.split(/=(.*)/s));
  const pool = settings.find(([key]) => key === 'poolname')?.[1];
  if (!options.has('s')) return 'an image size must be specified';
  if (pool === undefined || !/^[A-Za-z]\w*$/.test(pool)) return 'a pool name must be specified';
  const mounted = new Map([[pool, '/']]);
  for (const [key, value = ''] of settings) {
    if (key !== 'fs') continue;
    const [name = '', ...properties] = value.split(';');
    const parent = name === pool ? pool : name.slice(0, name.lastIndexOf('/'));
    if (!mounted.has(parent)) return `no parent for ${name}`;
    const own = properties
      .find((property) => property.startsWith('mountpoint='))
      ?.slice('mountpoint='.length);
    // dsl_dir_get_mountpoint asserts that what it puts together begins with a slash.
    if (own === undefined && mounted.get(parent) === 'none') return `${name} has no mountpoint to inherit`;
    mounted.set(name, own ?? mounted.get(parent) ?? '/');
    for (const property of properties) {
      const [kind = '', setting = ''] = property.split('=');
      if (!zfsProperties.includes(kind)) return `unknown property ${kind}`;
      if (setting === '') return `missing value for property ${kind}`;
    }
  }
  return undefined;
}

function makefsSyntax(usage: string): Syntax {
  const synopsis = usage.slice(0, usage.indexOf('ffs specific options'));
  const flags = [...synopsis.matchAll(/\[-(\w+)\]/g)].map((match) => match[1]).join('');
  const valued = [...synopsis.matchAll(/\[-(\w) [^\]]+\]/g)].map((match) => match[1]).join('');
  const ffsOptions = [...usage.matchAll(/^\t\w,\s+(\w+)\t/gm)].map((match) => match[1] ?? '');
  return {
    section: 'makefs(8)',
    flags,
    valued,
    operands: [0, 99],
    judge: (options, operands) => {
      const type = options.get('t')?.at(-1) ?? 'ffs';
      // Asked for its usage, which tells whether it knows the type.
      if (operands.length === 0 && options.size === 1 && type === 'zfs') return undefined;
      if (operands.length < 2) return `${operands.length} operands`;
      const known = { ffs: ffsOptions, msdos: msdosOptions, zfs: zfsOptions }[type] ?? [];
      for (const option of (options.get('o') ?? []).flatMap((list) => list.split(','))) {
        if (!known.includes(option.split('=')[0] ?? '')) return `-t ${type} has no option ${option}`;
      }
      if (type !== 'ffs' && (options.has('Z') || options.has('B'))) return '-Z and -B are for ffs';
      return type === 'zfs' ? judgePool(options) : undefined;
    },
  };
}

export interface Call {
  readonly name: string;
  readonly words: readonly string[];
}

/** What is wrong with a call, or undefined. */
export type Judge = (call: Call) => string | undefined;

/** getopt(3), as FreeBSD's programs use it: options end at the first operand. */
export function judgeWords(syntax: Syntax, words: readonly string[], permutes: boolean): string | undefined {
  const options = new Map<string, string[]>();
  const operands: string[] = [];
  const add = (letter: string, value: string) => options.set(letter, [...(options.get(letter) ?? []), value]);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (word === '--') {
      operands.push(...words.slice(i + 1));
      break;
    }
    if (word.startsWith('--')) {
      const name = word.slice(2).split('=')[0] ?? '';
      if (!syntax.long?.includes(name)) return `no option ${word}`;
      continue;
    }
    if (!/^-./.test(word)) {
      operands.push(word);
      if (permutes) continue;
      operands.push(...words.slice(i + 1));
      break;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at] ?? '';
      if (syntax.valued?.includes(letter)) {
        const joined = word.slice(at + 1);
        if (joined === '' && words[i + 1] === undefined) return `-${letter} needs a value`;
        add(letter, joined === '' ? (words[++i] ?? '') : joined);
        break;
      }
      if (!syntax.flags?.includes(letter)) return `no option -${letter}`;
      add(letter, '');
    }
  }
  for (const letter of syntax.required ?? '') if (!options.has(letter)) return `-${letter} is missing`;
  if (operands.length < syntax.operands[0] || operands.length > syntax.operands[1])
    return `${operands.length} operands`;
  return syntax.judge?.(options, operands);
}

/** Judges by the usage texts that FreeBSD 13.2 printed, and by the table for the programs that print none. */
export function freebsdJudge(reference: string): Judge {
  const gpart = gpartSyntax(readFileSync(`${reference}/usage-gpart.txt`, 'utf8'));
  const makefs = makefsSyntax(readFileSync(`${reference}/usage-makefs.txt`, 'utf8'));
  return ({ name, words }) => {
    if (name === 'gpart') {
      const verb = gpart.get(words[0] ?? '');
      return verb ? judgeWords(verb, words.slice(1), false) : `no verb ${words[0]}`;
    }
    if (name === 'makefs') return judgeWords(makefs, words, false);
    const syntax = table[name];
    if (!syntax) return 'not in the base system of 13.2, or not in the table';
    return judgeWords(syntax, words, name === 'tar' || name === 'xz');
  };
}
