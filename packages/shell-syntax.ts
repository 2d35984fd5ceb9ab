/**
 * Reads the part of the shell language in which packages' install scripts are written: simple commands, lists, pipelines, if, case,
 * for, groups, functions, redirections to files, plain parameter expansion. Loops with a condition and command substitution are
 * read over and refused when they would run: scripts have them in questions that nobody asks here. Everything else is an
 * {@link UnknownShell} error, never a guess.
 */

export class UnknownShell extends Error {
  override readonly name = 'UnknownShell';
}

export type WordPart =
  | { readonly kind: 'text'; readonly text: string; readonly quoted: boolean }
  | {
      readonly kind: 'parameter';
      readonly name: string;
      readonly quoted: boolean;
      /** `:-`, `:=`, `:+`, `-`, `+`, `=`, `%`, `%%`, `#`, `##`, or none. */
      readonly operator: string;
      readonly word: Word;
    }
  /** Command substitution. */
  | { readonly kind: 'unknown'; readonly text: string };

export type Word = readonly WordPart[];

export interface Redirection {
  /** 1 or 2. */
  readonly from: number;
  readonly operator: '>' | '>>' | '<' | '>&';
  readonly target: Word;
}

export type Command =
  | {
      readonly kind: 'simple';
      readonly assignments: readonly { readonly name: string; readonly word: Word }[];
      readonly words: readonly Word[];
      readonly redirections: readonly Redirection[];
    }
  | { readonly kind: 'group'; readonly body: List; readonly redirections: readonly Redirection[] }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly test: List; readonly body: List }[];
      readonly otherwise: List | undefined;
    }
  | {
      readonly kind: 'case';
      readonly word: Word;
      readonly branches: readonly { readonly patterns: readonly Word[]; readonly body: List }[];
    }
  | { readonly kind: 'for'; readonly name: string; readonly words: readonly Word[]; readonly body: List }
  | { readonly kind: 'function'; readonly name: string; readonly body: Command }
  | { readonly kind: 'unknown'; readonly text: string };

export interface Pipeline {
  readonly negated: boolean;
  readonly commands: readonly Command[];
}

/** Each pipeline with what stands in front of it: `;` (always), `&&`, `||`. */
export type List = readonly { readonly after: ';' | '&&' | '||'; readonly pipeline: Pipeline }[];

type Token =
  | { readonly kind: 'word'; readonly word: Word; readonly start: number }
  | { readonly kind: 'operator'; readonly text: string; readonly start: number }
  | { readonly kind: 'end'; readonly start: number };

const OPERATORS = ['&&', '||', ';;', '>>', '>&', '<<', ';', '&', '|', '(', ')', '<', '>', '\n'];
/** Deeper nesting is hostile. */
const MAX_DEPTH = 40;

class Lexer {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): Token {
    const text = this.#text;
    for (;;) {
      if (text.startsWith('\\\n', this.#at)) this.#at += 2;
      else if (/[ \t]/.test(text[this.#at] ?? '')) this.#at++;
      else if (text[this.#at] === '#') while (this.#at < text.length && text[this.#at] !== '\n') this.#at++;
      else break;
    }
    const start = this.#at;
    if (start >= text.length) return { kind: 'end', start };
    const operator = OPERATORS.find((one) => text.startsWith(one, start));
    if (operator !== undefined) {
      this.#at += operator.length;
      return { kind: 'operator', text: operator, start };
    }
    return { kind: 'word', word: this.#word(/[\s;&|()<>]/), start };
  }

  /** Whether a redirection begins at exactly this character. */
  isRedirectionAt(at: number): boolean {
    return this.#text[at] === '>' || this.#text[at] === '<';
  }

  #word(end: RegExp | undefined, closing?: string): Word {
    const text = this.#text;
    const parts: WordPart[] = [];
    let plain = '';
    const flush = () => {
      if (plain !== '') parts.push({ kind: 'text', text: plain, quoted: false });
      plain = '';
    };
    while (this.#at < text.length) {
      const character = text[this.#at] ?? '';
      if (closing !== undefined && character === closing) break;
      if (end?.test(character)) break;
      if (character === '\\') {
        const next = text[this.#at + 1];
        this.#at += 2;
        if (next === '\n' || next === undefined) continue;
        flush();
        parts.push({ kind: 'text', text: next, quoted: true });
      } else if (character === "'") {
        const close = text.indexOf("'", this.#at + 1);
        if (close < 0) throw new UnknownShell('a quotation without an end');
        flush();
        parts.push({ kind: 'text', text: text.slice(this.#at + 1, close), quoted: true });
        this.#at = close + 1;
      } else if (character === '"') {
        flush();
        this.#at++;
        parts.push(...this.#quoted());
      } else if (character === '`') {
        flush();
        parts.push(this.#substitution('`'));
      } else if (character === '$') {
        flush();
        parts.push(this.#dollar(false));
      } else {
        plain += character;
        this.#at++;
      }
    }
    flush();
    return parts;
  }

  #quoted(): WordPart[] {
    const text = this.#text;
    const parts: WordPart[] = [];
    let plain = '';
    for (;;) {
      const character = text[this.#at];
      if (character === undefined) throw new UnknownShell('a quotation without an end');
      if (character === '"') {
        this.#at++;
        break;
      }
      if (character === '`') {
        parts.push({ kind: 'text', text: plain, quoted: true });
        plain = '';
        parts.push(this.#substitution('`'));
        continue;
      }
      if (character === '\\' && /[$`"\\\n]/.test(text[this.#at + 1] ?? '')) {
        if (text[this.#at + 1] !== '\n') plain += text[this.#at + 1];
        this.#at += 2;
      } else if (character === '$') {
        parts.push({ kind: 'text', text: plain, quoted: true });
        plain = '';
        parts.push(this.#dollar(true));
      } else {
        plain += character;
        this.#at++;
      }
    }
    parts.push({ kind: 'text', text: plain, quoted: true });
    return parts;
  }

  /** Passes over `$(…)` or `…` in back quotes. */
  #substitution(end: ')' | '`'): WordPart {
    const text = this.#text;
    const start = this.#at;
    let depth = 0;
    for (this.#at++; this.#at < text.length; this.#at++) {
      const character = text[this.#at];
      if (character === '\\') this.#at++;
      else if (end === ')' && character === "'") this.#at = text.indexOf("'", this.#at + 1);
      else if (end === ')' && character === '(') depth++;
      else if (character === end && depth-- === 0) {
        this.#at++;
        return { kind: 'unknown', text: text.slice(start, this.#at) };
      }
      if (this.#at < 0) break;
    }
    throw new UnknownShell('command substitution without an end');
  }

  #dollar(quoted: boolean): WordPart {
    const text = this.#text;
    this.#at++;
    const next = text[this.#at] ?? '';
    if (next === '(') return this.#substitution(')');
    const simple = /^([A-Za-z_]\w*|[0-9@#?*])/.exec(text.slice(this.#at, this.#at + 200))?.[0];
    if (simple !== undefined) {
      this.#at += simple.length;
      return { kind: 'parameter', name: simple, quoted, operator: '', word: [] };
    }
    if (next !== '{') return { kind: 'text', text: '$', quoted: true };
    const match = /^\{([A-Za-z_]\w*|[0-9@#?*])(:?[-=+]|%%|%|##|#|)/.exec(
      text.slice(this.#at, this.#at + 200),
    );
    if (!match)
      throw new UnknownShell(`the expansion ${text.slice(this.#at - 1, this.#at + 20).split('\n')[0]}`);
    this.#at += match[0].length;
    const word = this.#word(undefined, '}');
    if (text[this.#at] !== '}') throw new UnknownShell('an expansion without an end');
    this.#at++;
    return { kind: 'parameter', name: match[1] ?? '', quoted, operator: match[2] ?? '', word };
  }
}

/** The text of a word that is one unquoted literal; undefined for others. */
export function literal(word: Word | undefined): string | undefined {
  const [part, ...more] = word ?? [];
  return part?.kind === 'text' && !part.quoted && more.length === 0 ? part.text : undefined;
}

class Parser {
  readonly #lexer: Lexer;
  #token: Token;
  #depth = 0;

  constructor(text: string) {
    this.#lexer = new Lexer(text);
    this.#token = this.#lexer.next();
  }

  script(): List {
    const list = this.#list([]);
    if (this.#token.kind !== 'end') throw this.#unexpected();
    return list;
  }

  #advance(): void {
    this.#token = this.#lexer.next();
  }

  #unexpected(): UnknownShell {
    const token = this.#token;
    const text =
      token.kind === 'operator'
        ? token.text
        : token.kind === 'word'
          ? (literal(token.word) ?? 'a word')
          : 'the end';
    return new UnknownShell(`${JSON.stringify(text)} where it is not expected`);
  }

  #isOperator(text: string): boolean {
    return this.#token.kind === 'operator' && this.#token.text === text;
  }

  #isWord(text: string): boolean {
    return this.#token.kind === 'word' && literal(this.#token.word) === text;
  }

  #newlines(): void {
    while (this.#isOperator('\n')) this.#advance();
  }

  #expectWord(text: string): void {
    if (!this.#isWord(text)) throw this.#unexpected();
    this.#advance();
  }

  #list(ends: readonly string[]): List {
    if (++this.#depth > MAX_DEPTH) throw new UnknownShell('commands nested too deeply');
    const list: { after: ';' | '&&' | '||'; pipeline: Pipeline }[] = [];
    let after: ';' | '&&' | '||' = ';';
    for (;;) {
      while (this.#isOperator('\n') || (after === ';' && list.length > 0 && this.#isOperator(';')))
        this.#advance();
      const token = this.#token;
      if (token.kind === 'end' || ends.some((end) => this.#isOperator(end) || this.#isWord(end))) {
        if (after !== ';') throw this.#unexpected();
        break;
      }
      list.push({ after, pipeline: this.#pipeline() });
      after = ';';
      if (this.#isOperator('&&')) after = '&&';
      else if (this.#isOperator('||')) after = '||';
      else if (this.#isOperator('&')) throw new UnknownShell('a command in the background');
      else if (!this.#isOperator(';') && !this.#isOperator('\n')) {
        if (ends.some((end) => this.#isOperator(end)) || this.#kindIsEnd()) continue;
        throw this.#unexpected();
      }
      this.#advance();
    }
    this.#depth--;
    return list;
  }

  #kindIsEnd(): boolean {
    return this.#token.kind === 'end';
  }

  #pipeline(): Pipeline {
    let negated = false;
    while (this.#isWord('!')) {
      negated = !negated;
      this.#advance();
    }
    const commands = [this.#command()];
    while (this.#isOperator('|')) {
      this.#advance();
      this.#newlines();
      commands.push(this.#command());
    }
    return { negated, commands };
  }

  #command(): Command {
    const token = this.#token;
    if (this.#isOperator('(')) {
      this.#advance();
      const body = this.#list([')']);
      if (!this.#isOperator(')')) throw this.#unexpected();
      this.#advance();
      return { kind: 'group', body, redirections: this.#redirections() };
    }
    if (token.kind !== 'word') {
      if (this.#isOperator('>') || this.#isOperator('>>')) return this.#simple();
      throw this.#unexpected();
    }
    switch (literal(token.word)) {
      case '{': {
        this.#advance();
        const body = this.#list(['}']);
        this.#expectWord('}');
        return { kind: 'group', body, redirections: this.#redirections() };
      }
      case 'if':
        return this.#if();
      case 'case':
        return this.#case();
      case 'for':
        return this.#for();
      case 'while':
      case 'until':
        this.#advance();
        this.#list(['do']);
        this.#expectWord('do');
        this.#list(['done']);
        this.#expectWord('done');
        this.#redirections();
        return { kind: 'unknown', text: 'a loop with a condition' };
      default:
        return this.#simple();
    }
  }

  #if(): Command {
    const branches: { test: List; body: List }[] = [];
    let otherwise: List | undefined;
    this.#advance();
    for (;;) {
      const test = this.#list(['then']);
      this.#expectWord('then');
      const body = this.#list(['elif', 'else', 'fi']);
      branches.push({ test, body });
      if (this.#isWord('elif')) {
        this.#advance();
        continue;
      }
      if (this.#isWord('else')) {
        this.#advance();
        otherwise = this.#list(['fi']);
      }
      this.#expectWord('fi');
      this.#plainEnd();
      return { kind: 'if', branches, otherwise };
    }
  }

  #plainEnd(): void {
    if (this.#redirections().length > 0) throw new UnknownShell('a redirection of if, case or for');
  }

  #case(): Command {
    this.#advance();
    if (this.#token.kind !== 'word') throw this.#unexpected();
    const { word } = this.#token;
    this.#advance();
    this.#newlines();
    this.#expectWord('in');
    const branches: { patterns: Word[]; body: List }[] = [];
    for (;;) {
      this.#newlines();
      if (this.#isWord('esac')) break;
      if (this.#isOperator('(')) this.#advance();
      const patterns: Word[] = [];
      for (;;) {
        if (this.#token.kind !== 'word') throw this.#unexpected();
        patterns.push(this.#token.word);
        this.#advance();
        if (!this.#isOperator('|')) break;
        this.#advance();
      }
      if (!this.#isOperator(')')) throw this.#unexpected();
      this.#advance();
      branches.push({ patterns, body: this.#list([';;', 'esac']) });
      if (this.#isOperator(';;')) this.#advance();
    }
    this.#expectWord('esac');
    this.#plainEnd();
    return { kind: 'case', word, branches };
  }

  #for(): Command {
    this.#advance();
    const name = this.#token.kind === 'word' ? literal(this.#token.word) : undefined;
    if (name === undefined || !/^[A-Za-z_]\w*$/.test(name)) throw this.#unexpected();
    this.#advance();
    this.#newlines();
    this.#expectWord('in');
    const words: Word[] = [];
    while (this.#token.kind === 'word') {
      words.push(this.#token.word);
      this.#advance();
    }
    while (this.#isOperator(';') || this.#isOperator('\n')) this.#advance();
    this.#expectWord('do');
    const body = this.#list(['done']);
    this.#expectWord('done');
    this.#plainEnd();
    return { kind: 'for', name, words, body };
  }

  #redirections(): Redirection[] {
    const found: Redirection[] = [];
    for (;;) {
      const one = this.#redirection();
      if (!one) return found;
      found.push(one);
    }
  }

  /** A number in front of a redirection is a word of its own for the lexer, but without a space between. */
  #redirection(number?: number): Redirection | undefined {
    const token = this.#token;
    if (token.kind === 'word') {
      const digit = literal(token.word);
      if ((digit !== '1' && digit !== '2') || !this.#lexer.isRedirectionAt(token.start + 1)) return undefined;
      this.#advance();
      return this.#redirection(Number(digit));
    }
    if (token.kind !== 'operator') return undefined;
    const { text } = token;
    if (text === '<<') throw new UnknownShell('a here-document');
    if (text !== '>' && text !== '>>' && text !== '<' && text !== '>&') return undefined;
    this.#advance();
    if (this.#token.kind !== 'word') throw this.#unexpected();
    const { word } = this.#token;
    this.#advance();
    return { from: number ?? 1, operator: text, target: word };
  }

  #simple(): Command {
    const assignments: { name: string; word: Word }[] = [];
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (;;) {
      const redirection = this.#redirection();
      if (redirection) {
        redirections.push(redirection);
        continue;
      }
      if (this.#token.kind !== 'word') break;
      const { word } = this.#token;
      const assigned = words.length === 0 ? assignment(word) : undefined;
      if (assigned) assignments.push(assigned);
      else words.push(word);
      this.#advance();
      if (words.length === 1 && assignments.length === 0 && this.#isOperator('(')) {
        const name = literal(words[0]);
        this.#advance();
        if (name === undefined || !this.#isOperator(')')) throw this.#unexpected();
        this.#advance();
        this.#newlines();
        return { kind: 'function', name, body: this.#command() };
      }
    }
    return { kind: 'simple', assignments, words, redirections };
  }
}

function assignment(word: Word): { name: string; word: Word } | undefined {
  const [first, ...rest] = word;
  if (first?.kind !== 'text' || first.quoted) return undefined;
  const match = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(first.text);
  if (!match) return undefined;
  const value: Word = [{ kind: 'text', text: match[2] ?? '', quoted: false }, ...rest];
  return { name: match[1] ?? '', word: value };
}

/** @throws UnknownShell with the construct that is not read */
export function parseShell(text: string): List {
  return new Parser(text).script();
}
