import { type Call, type Judge, judgeWords, type Syntax } from './freebsd-syntax.ts';

const any = [0, Number.POSITIVE_INFINITY] as const;
const some = [1, Number.POSITIVE_INFINITY] as const;

/** Synopses of the manual pages of 13.2, and of pkg 1.20 and later (docs/ of its sources). */
const table: Readonly<Record<string, Syntax>> = {
  mount: {
    section: 'mount(8)',
    flags: 'adflpruvwL',
    valued: 'Fot',
    operands: [0, 2],
  },
  umount: { section: 'umount(8)', flags: 'AafNnv', valued: 'Fht', operands: some },
  fuser: { section: 'fuser(1)', flags: 'cfkmu', valued: 'MNs', operands: some },
  chroot: { section: 'chroot(8)', flags: 'n', valued: 'Ggu', operands: some },
  df: { section: 'df(1)', flags: 'abcghHiklmnPT,', valued: 't', operands: any },
  timeout: {
    section: 'timeout(1)',
    flags: '',
    valued: 'ks',
    long: ['foreground', 'preserve-status'],
    operands: [2, 99],
  },
  nc: { section: 'nc(1)', flags: '46DdEFhklMNnOrStUuvz', valued: 'eIiPpqsTVwXx', operands: [1, 2] },
  devfs: {
    section: 'devfs(8)',
    valued: 'm',
    operands: some,
    judge: (_options, [keyword, verb, ...rule]) => {
      if (keyword !== 'rule' || verb !== 'apply') return `no ${keyword} ${verb}`;
      const conditions = rule.length === 3 ? rule.slice(0, 2) : [];
      const action = rule.at(-1) ?? '';
      if (rule.length !== 1 && conditions[0] !== 'path') return `no condition ${rule[0]}`;
      return ['hide', 'unhide'].includes(action) ? undefined : `no action ${action}`;
    },
  },
};

/** freebsd-update.sh reads options and commands in any order. */
function judgeUpdate(words: readonly string[]): string | undefined {
  const valued = ['-b', '-d', '-f', '-j', '-k', '-r', '-s', '-t', '-v', '--currently-running'];
  const flags = ['-F', '--not-running-from-cron', '--debug', '--no-stats'];
  const commands = 'cron fetch upgrade updatesready install rollback IDS showconfig'.split(' ');
  let given = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (valued.includes(word)) {
      if (words[++i] === undefined) return `${word} needs a value`;
    } else if (commands.includes(word)) given++;
    else if (!flags.includes(word)) return `no option ${word}`;
  }
  return given > 0 ? undefined : 'no command';
}

/** pkg(8): options, a command, its own options. */
const pkgGlobal: Syntax = { section: 'pkg(8)', flags: 'vdlN46', valued: 'ojcrCR', operands: any };
const pkgCommands: Readonly<Record<string, Syntax>> = {
  install: { section: 'pkg-install(8)', flags: 'AfIMnFqRUyCgix', valued: 'r', operands: some },
  update: { section: 'pkg-update(8)', flags: 'fq', valued: 'r', operands: [0, 0] },
  query: { section: 'pkg-query(8)', flags: 'aCgix', valued: 'eF', operands: some },
  triggers: { section: 'pkg-triggers(8)', flags: 'q', operands: [0, 0] },
  bootstrap: { section: 'pkg(7)', flags: 'f', operands: [0, 0] },
};
/** pkg.conf(5) */
const pkgOptions =
  'ABI ASSUME_ALWAYS_YES IGNORE_OSVERSION OSVERSION PKG_CACHEDIR PKG_DBDIR REPO_AUTOUPDATE SYSLOG'.split(' ');

function judgePkg(words: readonly string[]): string | undefined {
  let command = 0;
  const given: string[] = [];
  while (words[command]?.startsWith('-')) {
    const word = words[command] ?? '';
    if (pkgGlobal.valued?.includes(word[1] ?? '')) {
      given.push(word);
      const [option = ''] = (words[command + 1] ?? '').split('=');
      if (word === '-o' && !pkgOptions.includes(option)) return `pkg.conf has no ${option}`;
      command += 2;
    } else command++;
  }
  const global = judgeWords(pkgGlobal, words.slice(0, command), false);
  if (global !== undefined) return global;
  if (given.filter((word) => ['-c', '-r', '-j'].includes(word)).length > 1)
    return '-c, -r and -j exclude each other';
  const [name, ...rest] = words.slice(command);
  if (name === undefined) return words.includes('-N') ? undefined : 'no command';
  const syntax = pkgCommands[name];
  return syntax === undefined ? `no command ${name}` : judgeWords(syntax, rest, false);
}

/** openssl-s_client(1) of 1.1.1, which 13.2 has. */
function judgeOpenssl([command, ...words]: readonly string[]): string | undefined {
  if (command !== 's_client') return `no command ${command}`;
  const valued = ['-connect', '-servername', '-verify', '-verify_hostname', '-CAfile', '-CApath'];
  const flags = ['-quiet', '-ign_eof', '-verify_return_error', '-brief', '-no_ign_eof'];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (valued.includes(word)) i++;
    else if (!flags.includes(word)) return `no option ${word}`;
  }
  return undefined;
}

/** Judges what packages, scripts and uploads call; everything else as `base` does. */
export const freebsdPackageJudge =
  (base: Judge): Judge =>
  (call: Call) => {
    if (call.name === 'pkg') return judgePkg(call.words);
    if (call.name === 'freebsd-update') return judgeUpdate(call.words);
    if (call.name === 'openssl') return judgeOpenssl(call.words);
    const syntax = table[call.name];
    return syntax ? judgeWords(syntax, call.words, false) : base(call);
  };
