/**
 * The commands that install scripts may use here: those whose effect on the tree is fully known, and those whose work is done elsewhere
 * (when the image is sealed, at its first boot) or of which packages/README.md says why it is left out. Each refuses options
 * that it does not know.
 */

import type { Accounts } from './accounts.ts';
import type { Attributes, ImageTree } from './image-tree.ts';
import { UnknownShell } from './shell-syntax.ts';

export interface ScriptContext {
  readonly tree: ImageTree;
  readonly accounts: Accounts;
  /** For messages: what was left to the booted machine or left out, and why. */
  readonly note: (text: string) => void;
  /** Certificates are hashed once, when everything is there. */
  readonly rehashCertificates: () => void;
  /** kldxref(8) is left to the first boot. */
  readonly indexKernelModules: () => void;
}

export interface CommandResult {
  readonly status: number;
  readonly output: string;
}

type Run = (context: ScriptContext, words: readonly string[], input: string) => CommandResult;

const DONE: CommandResult = { status: 0, output: '' };
const FAILED: CommandResult = { status: 1, output: '' };

interface Options {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

/** getopt(3): `plain` are options without, `valued` with a value. */
function options(command: string, words: readonly string[], plain: string, valued = ''): Options {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') {
      at++;
      break;
    }
    if (!/^-./.test(word)) break;
    for (let i = 1; i < word.length; i++) {
      const option = word[i] ?? '';
      if (plain.includes(option)) flags.add(option);
      else if (valued.includes(option)) {
        const value = i + 1 < word.length ? word.slice(i + 1) : words[++at];
        if (value === undefined) throw new UnknownShell(`${command} -${option} without a value`);
        values.set(option, value);
        break;
      } else throw new UnknownShell(`${command} ${word}`);
    }
  }
  return { flags, values, rest: words.slice(at) };
}

function octal(command: string, text: string): number {
  if (!/^[0-7]{1,4}$/.test(text)) throw new UnknownShell(`${command} with the mode ${text}`);
  return Number.parseInt(text, 8);
}

/** chmod(1): octal, or symbolic without X, s, t and copies of other parts. */
function newMode(text: string, before: number): number {
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  let mode = before;
  for (const clause of text.split(',')) {
    const match = /^([ugoa]*)([-+=])([rwxst]*)$/.exec(clause);
    if (!match) throw new UnknownShell(`chmod ${text}`);
    const [, who = '', operator, permissions = ''] = match;
    const all = who === '' || who.includes('a');
    let bits = 0;
    let reach = 0;
    for (const [letter, shift] of [
      ['u', 6],
      ['g', 3],
      ['o', 0],
    ] as const) {
      if (!all && !who.includes(letter)) continue;
      reach |= 0o7 << shift;
      for (const permission of permissions) {
        if (permission === 's') bits |= letter === 'u' ? 0o4000 : letter === 'g' ? 0o2000 : 0;
        else if (permission === 't') bits |= 0o1000;
        else bits |= (permission === 'r' ? 4 : permission === 'w' ? 2 : 1) << shift;
      }
    }
    if (operator === '+') mode |= bits;
    else if (operator === '-') mode &= ~bits;
    else mode = (mode & ~reach) | bits;
  }
  return mode;
}

function owner(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** A path itself, or with everything below it. */
function paths(context: ScriptContext, path: string, recursive: boolean): string[] {
  const found = [path];
  if (recursive && context.tree.lstat(path)?.isDirectory()) {
    for (const name of context.tree.list(path)) found.push(...paths(context, `${path}/${name}`, true));
  }
  return found;
}

function test(context: ScriptContext, words: readonly string[]): boolean {
  const { tree } = context;
  const rest = [...words];
  const primary = (): boolean => {
    const word = rest.shift();
    if (word === undefined) return false;
    if (word === '!' && rest.length > 0) return !primary();
    const operator = rest[0];
    if (rest.length >= 2 && operator !== undefined && /^(=|==|!=|-eq|-ne|-lt|-gt|-le|-ge)$/.test(operator)) {
      rest.shift();
      const other = rest.shift() ?? '';
      const [a, b] = [Number(word), Number(other)];
      switch (operator) {
        case '=':
        case '==':
          return word === other;
        case '!=':
          return word !== other;
        case '-eq':
          return a === b;
        case '-ne':
          return a !== b;
        case '-lt':
          return a < b;
        case '-gt':
          return a > b;
        case '-le':
          return a <= b;
        default:
          return a >= b;
      }
    }
    if (rest.length === 0 || !/^-[a-zA-Z]$/.test(word)) return word !== '';
    const path = rest.shift() ?? '';
    switch (word) {
      case '-n':
        return path !== '';
      case '-z':
        return path === '';
      // No terminal, as for pkg in a script.
      case '-t':
        return false;
      case '-e':
        return tree.stat(path) !== undefined;
      case '-f':
        return tree.stat(path)?.isFile() ?? false;
      case '-d':
        return tree.stat(path)?.isDirectory() ?? false;
      case '-L':
      case '-h':
        return tree.lstat(path)?.isSymbolicLink() ?? false;
      case '-s':
        return (tree.stat(path)?.size ?? 0) > 0;
      case '-r':
      case '-w':
        return tree.stat(path) !== undefined;
      case '-x':
        return ((tree.describe(tree.resolve(path, true))?.mode ?? 0) & 0o111) !== 0;
      default:
        throw new UnknownShell(`test ${word}`);
    }
  };
  let result = primary();
  while (rest.length > 0) {
    const operator = rest.shift();
    if (operator !== '-a' && operator !== '-o') throw new UnknownShell(`test ${words.join(' ')}`);
    const next = primary();
    result = operator === '-a' ? result && next : result || next;
  }
  return result;
}

const status = (value: boolean): CommandResult => (value ? DONE : FAILED);

const bracket: Run = (context, words) => {
  if (words.at(-1) !== ']') throw new UnknownShell('[ without ]');
  return status(test(context, words.slice(0, -1)));
};

const grep: Run = (context, words, input) => {
  const { flags, values, rest } = options('grep', words, 'qvwxhsFEi', 'e');
  const [pattern, ...files] = values.has('e') ? [values.get('e') ?? '', ...rest] : rest;
  if (pattern === undefined) throw new UnknownShell('grep without a pattern');
  let source: string;
  if (flags.has('F')) source = pattern.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&');
  else {
    // What basic and extended expressions have in common with each other and with ours.
    if (!/^(?:[\w \t/:@,=%"'<>!#&;~-]|\\[./$^*]|\.\*?|\^|\$)*$/.test(pattern))
      throw new UnknownShell(`grep ${pattern}`);
    source = pattern.replaceAll('/', '\\/');
  }
  if (flags.has('w')) source = `(?<!\\w)(?:${source})(?!\\w)`;
  if (flags.has('x')) source = `^(?:${source})$`;
  const expression = new RegExp(source, flags.has('i') ? 'i' : '');
  let text = input;
  if (files.length > 0) {
    text = '';
    for (const file of files) {
      if (!context.tree.stat(file)?.isFile()) return { status: 2, output: '' };
      text += context.tree.readText(file);
    }
  }
  const lines = text.replace(/\n$/, '').split('\n');
  const kept = text === '' ? [] : lines.filter((line) => expression.test(line) !== flags.has('v'));
  const output = flags.has('q') ? '' : kept.map((line) => `${line}\n`).join('');
  return { status: kept.length > 0 ? 0 : 1, output };
};

const mkdir: Run = ({ tree }, words) => {
  const { flags, values, rest } = options('mkdir', words, 'pv', 'm');
  const mode = values.get('m');
  for (const path of rest) {
    if (tree.stat(path)?.isDirectory()) {
      if (!flags.has('p')) return FAILED;
      continue;
    }
    tree.makeDirectory(path, tree.attributes(mode === undefined ? 0o755 : octal('mkdir', mode)));
  }
  return DONE;
};

const install: Run = ({ tree }, words) => {
  const { flags, values, rest } = options('install', words, 'dcpCvS', 'ogmN');
  const owners = [owner(values.get('o') ?? '0'), owner(values.get('g') ?? '0')] as const;
  const mode = values.get('m');
  if (flags.has('d')) {
    for (const path of rest) {
      const there = tree.stat(path) ? tree.describe(tree.resolve(path, true)) : undefined;
      const kept = there ?? tree.attributes(0o755);
      tree.makeDirectory(path, {
        ...kept,
        mode: mode === undefined ? 0o755 : octal('install', mode),
        ...(values.has('o') ? { owner: owners[0] } : {}),
        ...(values.has('g') ? { group: owners[1] } : {}),
      });
    }
    return DONE;
  }
  const [from, to, more] = rest;
  if (from === undefined || to === undefined || more !== undefined)
    throw new UnknownShell('install of several files');
  if (!tree.stat(from)?.isFile()) return FAILED;
  const target = tree.stat(to)?.isDirectory() ? `${to}/${from.slice(from.lastIndexOf('/') + 1)}` : to;
  tree.copy(from, target, tree.attributes(mode === undefined ? 0o755 : octal('install', mode), ...owners));
  return DONE;
};

const copy: Run = ({ tree }, words) => {
  const { flags, rest } = options('cp', words, 'pnfv');
  const [from, to, more] = rest;
  if (from === undefined || to === undefined || more !== undefined)
    throw new UnknownShell('cp of several files');
  if (!tree.stat(from)?.isFile()) return FAILED;
  const target = tree.stat(to)?.isDirectory() ? `${to}/${from.slice(from.lastIndexOf('/') + 1)}` : to;
  if (flags.has('n') && tree.stat(target)) return DONE;
  const source = tree.describe(tree.resolve(from, true)) ?? tree.attributes(0o644);
  const there = tree.stat(target) ? tree.describe(tree.resolve(target, true)) : undefined;
  const plain: Attributes = there ?? tree.attributes(source.mode & 0o755);
  tree.copy(from, target, flags.has('p') ? source : plain);
  return DONE;
};

const link: Run = ({ tree }, words) => {
  const { flags, rest } = options('ln', words, 'sfhnv');
  if (!flags.has('s')) throw new UnknownShell('ln without -s');
  const [target, given, more] = rest;
  if (target === undefined || given === undefined || more !== undefined)
    throw new UnknownShell('ln of several files');
  const keepsLink = (flags.has('h') || flags.has('n')) && tree.lstat(given)?.isSymbolicLink();
  const path =
    tree.stat(given)?.isDirectory() && !keepsLink
      ? `${given}/${target.slice(target.lastIndexOf('/') + 1)}`
      : given;
  if (tree.lstat(path) && !flags.has('f')) return FAILED;
  tree.makeLink(path, target, tree.attributes(0o755));
  return DONE;
};

const chmod: Run = (context, words) => {
  // A mode such as -w would look like an option; scripts write a-w.
  const { flags, rest } = options('chmod', words, 'Rfhv');
  const [mode, ...files] = rest;
  if (mode === undefined) throw new UnknownShell('chmod without a mode');
  for (const path of files.flatMap((file) => paths(context, file, flags.has('R')))) {
    const real = context.tree.resolve(path, true);
    const before = context.tree.describe(real);
    if (!before) return FAILED;
    if (before.type !== 'link') context.tree.change(real, { mode: newMode(mode, before.mode) });
  }
  return DONE;
};

function changeOwners(
  command: string,
  context: ScriptContext,
  words: readonly string[],
  groupOnly: boolean,
): CommandResult {
  const { flags, rest } = options(command, words, 'Rfhv');
  const [owners, ...files] = rest;
  if (owners === undefined) throw new UnknownShell(`${command} without an owner`);
  const [user = '', group = ''] = groupOnly ? ['', owners] : owners.split(/[:.]/);
  for (const path of files.flatMap((file) => paths(context, file, flags.has('R')))) {
    const real = context.tree.resolve(path, !flags.has('h') && !flags.has('R'));
    if (!context.tree.describe(real)) return FAILED;
    context.tree.change(real, {
      ...(user === '' ? {} : { owner: owner(user) }),
      ...(group === '' ? {} : { group: owner(group) }),
    });
  }
  return DONE;
}

const remove: Run = ({ tree }, words) => {
  const { flags, rest } = options('rm', words, 'f');
  for (const path of rest) {
    if (!tree.lstat(path)) {
      if (!flags.has('f')) return FAILED;
      continue;
    }
    tree.remove(path);
  }
  return DONE;
};

const move: Run = ({ tree }, words) => {
  const { rest } = options('mv', words, 'fn');
  const [from, to, more] = rest;
  if (from === undefined || to === undefined || more !== undefined || tree.stat(to)?.isDirectory()) {
    throw new UnknownShell(`mv ${words.join(' ')}`);
  }
  const entry = tree.describe(from);
  if (entry?.type !== 'file') return FAILED;
  tree.copy(from, to, entry);
  tree.remove(from);
  return DONE;
};

const touch: Run = ({ tree }, words) => {
  const { rest } = options('touch', words, 'c');
  for (const path of rest) if (!tree.stat(path)) tree.writeText(path, '', tree.attributes(0o644));
  return DONE;
};

const compare: Run = ({ tree }, words) => {
  const { rest } = options('cmp', words, 's');
  const [one, two] = rest;
  if (one === undefined || two === undefined) throw new UnknownShell('cmp of less than two files');
  if (!tree.stat(one)?.isFile() || !tree.stat(two)?.isFile()) return { status: 2, output: '' };
  return status(tree.readBytes(one).equals(tree.readBytes(two)));
};

const concatenate: Run = ({ tree }, words, input) => {
  const { rest } = options('cat', words, 'u');
  if (rest.length === 0) return { status: 0, output: input };
  let output = '';
  for (const path of rest) {
    if (!tree.stat(path)?.isFile()) return FAILED;
    output += tree.readText(path);
  }
  return { status: 0, output };
};

/** pw(8), as far as the ports framework uses it to make users and groups. */
const accounts: Run = (context, words) => {
  let given = words;
  // -R ROOT: the root of these scripts is the tree anyway.
  if (given[0] === '-R') given = given.slice(2);
  const [verb = '', ...rest] = given;
  const named = rest[0] !== undefined && !rest[0].startsWith('-') ? rest[0] : undefined;
  const { values } = options(`pw ${verb}`, named === undefined ? rest : rest.slice(1), 'q', 'nugLcdsmhwG');
  const name = named ?? values.get('n');
  if (name === undefined) throw new UnknownShell(`pw ${verb} without a name`);
  const known = (allowed: string): void => {
    for (const option of values.keys())
      if (!`n${allowed}`.includes(option)) throw new UnknownShell(`pw ${verb} -${option}`);
  };
  const number = (option: string): number => {
    const value = values.get(option) ?? '';
    if (!/^\d{1,9}$/.test(value)) throw new UnknownShell(`pw ${verb} -${option} ${value}`);
    return Number(value);
  };
  const { accounts: files } = context;
  switch (verb) {
    case 'usershow': {
      const found = files.user(name);
      return found ? { status: 0, output: `${found.line}\n` } : { status: 67, output: '' };
    }
    case 'groupshow': {
      const found = files.group(name);
      return found ? { status: 0, output: `${found.line}\n` } : { status: 65, output: '' };
    }
    case 'groupadd':
      known('g');
      files.addGroup(name, number('g'));
      return DONE;
    case 'useradd':
      known('ugLcdsw');
      files.addUser({
        name,
        uid: number('u'),
        group: values.get('g') ?? name,
        loginClass: values.get('L') ?? '',
        comment: values.get('c') ?? 'User &',
        home: values.get('d') ?? `/home/${name}`,
        shell: values.get('s') ?? '/bin/sh',
      });
      return DONE;
    case 'groupmod':
      known('m');
      for (const user of (values.get('m') ?? '').split(',').filter((one) => one !== ''))
        files.addMember(name, user);
      return DONE;
    default:
      throw new UnknownShell(`pw ${verb}`);
  }
};

/** certctl(8): its own work is done once, when all certificates are there. */
const certctl: Run = (context, words) => {
  if (words.at(-1) !== 'rehash' || !words.slice(0, -1).every((word) => /^-[DUM]|^\/|^-[nv]$/.test(word))) {
    throw new UnknownShell(`certctl ${words.join(' ')}`);
  }
  context.rehashCertificates();
  return DONE;
};

const tzsetup: Run = ({ tree }, words) => {
  // -r installs again the zone that was chosen before: in a new image there is none.
  if (!words.includes('-r') || tree.stat('/var/db/zoneinfo'))
    throw new UnknownShell(`tzsetup ${words.join(' ')}`);
  return DONE;
};

const service: Run = (_context, words) => {
  // rc.d/ldconfig makes the hints at every boot.
  if (words[0] === 'ldconfig') return DONE;
  throw new UnknownShell(`service ${words.join(' ')}`);
};

/** Known to be done by somebody else, or to need nothing. */
const elsewhere: Run = () => DONE;

const leftOut =
  (what: string): Run =>
  (context) => {
    context.note(what);
    return DONE;
  };

export const COMMANDS: ReadonlyMap<string, Run> = new Map<string, Run>([
  [':', elsewhere],
  ['true', elsewhere],
  ['false', () => FAILED],
  [
    'echo',
    (_context, words) => ({
      status: 0,
      output: `${(words[0] === '-n' ? words.slice(1) : words).join(' ')}${words[0] === '-n' ? '' : '\n'}`,
    }),
  ],
  ['[', bracket],
  ['test', (context, words) => status(test(context, words))],
  ['grep', grep],
  ['egrep', (context, words, input) => grep(context, ['-E', ...words], input)],
  ['mkdir', mkdir],
  ['install', install],
  ['cp', copy],
  ['ln', link],
  ['chmod', chmod],
  ['chown', (context, words) => changeOwners('chown', context, words, false)],
  ['chgrp', (context, words) => changeOwners('chgrp', context, words, true)],
  ['rm', remove],
  ['mv', move],
  ['touch', touch],
  ['cmp', compare],
  ['cat', concatenate],
  ['pw', accounts],
  ['certctl', certctl],
  ['tzsetup', tzsetup],
  ['service', service],
  // The seal phase makes the account databases.
  ['pwd_mkdb', elsewhere],
  // Without their databases getcap(3) and getservent(3) read login.conf and services themselves.
  ['cap_mkdb', elsewhere],
  ['services_mkdb', elsewhere],
  // rc.d/ldconfig makes the hints at every boot.
  ['ldconfig', elsewhere],
  [
    'kldxref',
    (context) => {
      context.indexKernelModules();
      return DONE;
    },
  ],
  ['makewhatis', leftOut('the index of manual pages is left to the weekly run of periodic(8)')],
  ['indexinfo', leftOut('the index of info pages is not made: run indexinfo on the machine if it is wanted')],
]);
