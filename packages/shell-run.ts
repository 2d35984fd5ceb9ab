/**
 * Runs a script that {@link parseShell} has understood, on the staged tree and with the commands of `shell-commands.ts`. Nothing
 * is started on this machine. A command or option that is not known ends it with {@link UnknownShell}.
 */
import { postfixPostInstall } from './postfix.ts';
import { COMMANDS, type CommandResult, type ScriptContext } from './shell-commands.ts';
import {
  type Command,
  type List,
  parseShell,
  type Redirection,
  UnknownShell,
  type Word,
} from './shell-syntax.ts';

class Exit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

class Return extends Exit {}

/** Scripts that packages bring and start themselves, and whose effect is known. */
const PROGRAM_SCRIPTS: readonly {
  readonly path: RegExp;
  readonly run: (context: ScriptContext, words: readonly string[]) => CommandResult;
}[] = [{ path: /\/libexec\/postfix\/post-install$/, run: postfixPostInstall }];

/** More steps than this, and a script runs in circles. */
const MAX_STEPS = 20_000;
const SYSTEM_PATHS = /^\/(?:usr\/)?s?bin\//;

class Shell {
  readonly #context: ScriptContext;
  readonly #variables: Map<string, string>;
  readonly #functions = new Map<string, Command>();
  #positional: string[];
  #status = 0;
  #steps = 0;
  /** `set -e`, and how many conditions are being looked at. */
  #strict = false;
  #testing = 0;

  constructor(context: ScriptContext, variables: Map<string, string>, positional: readonly string[]) {
    this.#context = context;
    this.#variables = variables;
    this.#positional = [...positional];
  }

  run(list: List): number {
    try {
      this.#list(list, '');
    } catch (error) {
      if (error instanceof Exit) return error.status;
      throw error;
    }
    return this.#status;
  }

  #list(list: List, input: string): string {
    let output = '';
    for (const [at, { after, pipeline }] of list.entries()) {
      if (after === '&&' && this.#status !== 0) continue;
      if (after === '||' && this.#status === 0) continue;
      let piped = input;
      for (const command of pipeline.commands) piped = this.#command(command, piped);
      output += piped;
      if (pipeline.negated) this.#status = this.#status === 0 ? 1 : 0;
      // set -e: not for what is tested, by !, && and || or as the condition of an if.
      const tested = pipeline.negated || this.#testing > 0 || (list[at + 1]?.after ?? ';') !== ';';
      if (this.#strict && this.#status !== 0 && !tested) throw new Exit(this.#status);
    }
    return output;
  }

  #command(command: Command, input: string): string {
    if (++this.#steps > MAX_STEPS) throw new UnknownShell('a script without an end');
    switch (command.kind) {
      case 'simple':
        return this.#simple(command, input);
      case 'group':
        this.#status = 0;
        return this.#redirect(
          command.redirections,
          { status: 0, output: this.#list(command.body, input) },
          true,
        );
      case 'if': {
        let output = '';
        for (const { test, body } of command.branches) {
          this.#testing++;
          output += this.#list(test, input);
          this.#testing--;
          if (this.#status === 0) return output + this.#list(body, input);
        }
        this.#status = 0;
        return output + (command.otherwise ? this.#list(command.otherwise, input) : '');
      }
      case 'case': {
        const value = this.#joined(command.word);
        this.#status = 0;
        for (const { patterns, body } of command.branches) {
          if (patterns.some((pattern) => this.#pattern(pattern).test(value))) return this.#list(body, input);
        }
        return '';
      }
      case 'for': {
        let output = '';
        const values = command.words.flatMap((word) => this.#fields(word));
        this.#status = 0;
        for (const value of values) {
          this.#variables.set(command.name, value);
          output += this.#list(command.body, input);
        }
        return output;
      }
      case 'unknown':
        throw new UnknownShell(command.text);
      case 'function':
        this.#functions.set(command.name, command.body);
        this.#status = 0;
        return '';
    }
  }

  #simple(command: Command & { kind: 'simple' }, input: string): string {
    const [first, ...rest] = command.words.flatMap((word) => this.#fields(word));
    if (first === undefined) {
      for (const { name, word } of command.assignments) this.#variables.set(name, this.#joined(word));
      this.#status = 0;
      return this.#redirect(command.redirections, { status: 0, output: '' });
    }
    if (command.assignments.length > 0) {
      const names = command.assignments.map(({ name }) => name);
      // Settings of a command that do not change what it does here.
      if (!names.every((name) => /^(LC_\w+|LANG|PATH|ASSUME_ALWAYS_YES)$/.test(name))) {
        throw new UnknownShell(`${names.join(', ')} set for one command`);
      }
    }
    let given = input;
    for (const { operator, target } of command.redirections) {
      if (operator === '<') given = this.#context.tree.readText(this.#joined(target));
    }
    const result = this.#builtin(first, rest, given) ?? this.#external(first, rest, given);
    return this.#redirect(command.redirections, result);
  }

  #builtin(name: string, words: readonly string[], input: string): CommandResult | undefined {
    const body = this.#functions.get(name);
    if (body) {
      const outer = this.#positional;
      this.#positional = [...words];
      let output = '';
      try {
        output = this.#command(body, input);
      } catch (error) {
        if (!(error instanceof Return)) throw error;
        this.#status = error.status;
      } finally {
        this.#positional = outer;
      }
      return { status: this.#status, output };
    }
    switch (name) {
      case 'exit':
        throw new Exit(this.#number(words[0]));
      case 'return':
        throw new Return(this.#number(words[0]));
      case 'set':
        if (words[0] === '--') this.#positional = words.slice(1);
        else if (words[0] === '-e') this.#strict = true;
        else throw new UnknownShell(`set ${words.join(' ')}`);
        return { status: 0, output: '' };
      case 'shift':
        this.#positional.splice(0, words[0] === undefined ? 1 : this.#number(words[0]));
        return { status: 0, output: '' };
      case 'export':
      case 'local':
      case 'readonly':
        for (const word of words) {
          const match = /^([A-Za-z_]\w*)(?:=([\s\S]*))?$/.exec(word);
          if (!match) throw new UnknownShell(`${name} ${word}`);
          if (match[2] !== undefined) this.#variables.set(match[1] ?? '', match[2]);
        }
        return { status: 0, output: '' };
      case 'unset':
        for (const word of words) this.#variables.delete(word);
        return { status: 0, output: '' };
      case 'umask':
        if (words.length === 1 && /^0*22$/.test(words[0] ?? '')) return { status: 0, output: '' };
        throw new UnknownShell(`umask ${words.join(' ')}`);
      default:
        return undefined;
    }
  }

  #number(word: string | undefined): number {
    if (word === undefined) return this.#status;
    if (!/^\d{1,3}$/.test(word)) throw new UnknownShell(`the number ${JSON.stringify(word)}`);
    return Number(word);
  }

  #external(name: string, words: readonly string[], input: string): CommandResult {
    const plain = name.replace(SYSTEM_PATHS, '');
    if (plain === 'sh' && words[0] !== undefined) {
      const known = PROGRAM_SCRIPTS.find(({ path }) => path.test(words[0] ?? ''));
      if (known) return known.run(this.#context, words);
    }
    const command = plain.includes('/') ? undefined : COMMANDS.get(plain);
    if (!command) throw new UnknownShell(`the command ${name}`);
    return command(this.#context, words, input);
  }

  /** Applies redirections to what a command said; returns what is left for the pipeline. */
  #redirect(redirections: readonly Redirection[], result: CommandResult, keepStatus = false): string {
    let { output } = result;
    for (const { from, operator, target } of redirections) {
      if (operator === '<') continue;
      const path = this.#joined(target);
      if (operator === '>&') {
        if (!/^[12]$/.test(path)) throw new UnknownShell(`the redirection >&${path}`);
        continue;
      }
      if (from === 1) {
        if (path !== '/dev/null') {
          const before =
            operator === '>>' && this.#context.tree.stat(path) ? this.#context.tree.readText(path) : '';
          this.#context.tree.writeText(path, before + output);
        }
        output = '';
      } else if (path !== '/dev/null') throw new UnknownShell('errors written to a file');
    }
    if (!keepStatus) this.#status = result.status;
    return output;
  }

  #parameter(name: string): string | undefined {
    if (/^[0-9]$/.test(name)) return name === '0' ? 'sh' : this.#positional[Number(name) - 1];
    if (name === '#') return String(this.#positional.length);
    if (name === '?') return String(this.#status);
    if (name === '@' || name === '*') return this.#positional.join(' ');
    return this.#variables.get(name);
  }

  #expanded(part: Word[number] & { kind: 'parameter' }): string {
    const { name, operator, word } = part;
    const value = this.#parameter(name);
    const missing = operator.startsWith(':') ? value === undefined || value === '' : value === undefined;
    switch (operator.replace(':', '')) {
      case '':
        return value ?? '';
      case '-':
        return missing ? this.#joined(word) : (value ?? '');
      case '=': {
        if (!missing) return value ?? '';
        const assigned = this.#joined(word);
        this.#variables.set(name, assigned);
        return assigned;
      }
      case '+':
        return missing ? '' : this.#joined(word);
      default:
        return trimmed(value ?? '', operator, this.#pattern(word));
    }
  }

  /** A word as one text, without field splitting. */
  #joined(word: Word): string {
    return word
      .map((part) => {
        if (part.kind === 'unknown')
          throw new UnknownShell(`command substitution, ${part.text.slice(0, 60)}`);
        return part.kind === 'text' ? part.text : this.#expanded(part);
      })
      .join('');
  }

  /** A word as the fields it becomes: unquoted expansions are split at blanks, patterns are refused. */
  #fields(word: Word): string[] {
    const fields: string[] = [];
    let current: string | undefined;
    for (const part of word) {
      if (part.kind === 'unknown') throw new UnknownShell(`command substitution, ${part.text.slice(0, 60)}`);
      if (part.kind === 'text') {
        if (!part.quoted && /[*?[]/.test(part.text) && part.text !== '[') {
          throw new UnknownShell(`the file pattern ${part.text}`);
        }
        current = (current ?? '') + part.text;
        continue;
      }
      if (part.quoted && part.name === '@') {
        const [first, ...more] = this.#positional;
        if (first === undefined) continue;
        current = (current ?? '') + first;
        for (const one of more) {
          fields.push(current);
          current = one;
        }
        continue;
      }
      const value = this.#expanded(part);
      if (part.quoted) {
        current = (current ?? '') + value;
        continue;
      }
      const pieces = value.split(/[ \t\n]+/);
      if (value !== '' && /[*?[]/.test(value)) throw new UnknownShell(`the file pattern ${value}`);
      for (const [at, piece] of pieces.entries()) {
        if (at > 0 && current !== undefined) {
          fields.push(current);
          current = undefined;
        }
        if (piece !== '') current = (current ?? '') + piece;
      }
    }
    if (current !== undefined) fields.push(current);
    return fields;
  }

  #pattern(word: Word): RegExp {
    const escaped = (text: string): string => text.replace(/[$()*+.?[\\\]^{|}/]/g, '\\$&');
    const source = word
      .map((part) => {
        if (part.kind !== 'text') return escaped(this.#joined([part]));
        if (part.quoted) return escaped(part.text);
        return part.text.replaceAll(/\[!?[^\]]*\]|[\s\S]/g, (piece) => {
          if (piece === '*') return '[\\s\\S]*';
          if (piece === '?') return '[\\s\\S]';
          return piece.length > 1 ? piece.replace(/^\[!/, '[^') : escaped(piece);
        });
      })
      .join('');
    return new RegExp(`^(?:${source})$`);
  }
}

/** `${x%p}` and its like: the shortest or longest end or beginning that fits is taken away. */
function trimmed(value: string, operator: string, pattern: RegExp): string {
  const ends = operator.startsWith('%');
  const longest = operator.length === 2;
  const cuts = Array.from({ length: value.length + 1 }, (_, length) => length);
  if (longest) cuts.reverse();
  for (const length of cuts) {
    const piece = ends ? value.slice(value.length - length) : value.slice(0, length);
    if (pattern.test(piece)) return ends ? value.slice(0, value.length - length) : value.slice(length);
  }
  return value;
}

/**
 * @returns the exit status of the script
 * @throws UnknownShell before or while running: the tree is then of no use any more
 */
export function runShell(
  script: string,
  context: ScriptContext,
  variables: ReadonlyMap<string, string>,
  positional: readonly string[],
): number {
  return new Shell(context, new Map(variables), positional).run(parseShell(script));
}
