/**
 * Reads the part of Lua in which the ports framework's keywords are written: assignments, calls, if, for, functions, the usual
 * expressions. Anything else is an {@link UnknownShell} error.
 */
import { UnknownShell } from './shell-syntax.ts';

export type Expression =
  | { readonly kind: 'constant'; readonly value: string | number | boolean | undefined }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'index'; readonly object: Expression; readonly key: Expression }
  | {
      readonly kind: 'call';
      readonly callee: Expression;
      readonly method: string | undefined;
      readonly args: readonly Expression[];
    }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: 'table';
      readonly items: readonly { readonly key: Expression | undefined; readonly value: Expression }[];
    }
  | { readonly kind: 'function'; readonly parameters: readonly string[]; readonly body: Block };

export type Statement =
  | {
      readonly kind: 'assign';
      readonly targets: readonly Expression[];
      readonly values: readonly Expression[];
      readonly local: boolean;
    }
  | { readonly kind: 'call'; readonly call: Expression }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly test: Expression; readonly body: Block }[];
      readonly otherwise: Block | undefined;
    }
  | {
      readonly kind: 'count';
      readonly name: string;
      readonly range: readonly Expression[];
      readonly body: Block;
    }
  | {
      readonly kind: 'each';
      readonly names: readonly string[];
      readonly over: Expression;
      readonly body: Block;
    }
  | { readonly kind: 'return'; readonly values: readonly Expression[] }
  | { readonly kind: 'do'; readonly body: Block };

export type Block = readonly Statement[];

interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'symbol' | 'end';
  readonly text: string;
}

const KEYWORDS = new Set(
  'and break do else elseif end false for function goto if in local nil not or repeat return then true until while'.split(
    ' ',
  ),
);
const SYMBOLS = [
  '...',
  '==',
  '~=',
  '<=',
  '>=',
  '..',
  '//',
  '::',
  ...'+ - * / % ^ # < > = ( ) { } [ ] ; : , . & | ~'.split(' '),
];
const MAX_DEPTH = 40;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at, at + 200);
    const long = /^(--)?\[(=*)\[/.exec(rest);
    if (long) {
      const close = `]${long[2]}]`;
      const end = text.indexOf(close, at + long[0].length);
      if (end < 0) throw new UnknownShell('a long text in Lua without an end');
      if (!long[1])
        found.push({ kind: 'string', text: text.slice(at + long[0].length, end).replace(/^\r?\n/, '') });
      at = end + close.length;
      continue;
    }
    if (rest.startsWith('--')) {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
      continue;
    }
    const blank = /^\s+/.exec(rest)?.[0];
    const name = /^[A-Za-z_]\w*/.exec(rest)?.[0];
    const number = /^(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)/.exec(rest)?.[0];
    if (blank !== undefined) at += blank.length;
    else if (name !== undefined) {
      found.push({ kind: 'name', text: name });
      at += name.length;
    } else if (number !== undefined) {
      found.push({ kind: 'number', text: number });
      at += number.length;
    } else if (rest.startsWith('"') || rest.startsWith("'")) {
      const [value, end] = quoted(text, at);
      found.push({ kind: 'string', text: value });
      at = end;
    } else {
      const symbol = SYMBOLS.find((one) => rest.startsWith(one));
      if (symbol === undefined) throw new UnknownShell(`${JSON.stringify(rest[0])} in Lua`);
      found.push({ kind: 'symbol', text: symbol });
      at += symbol.length;
    }
  }
  found.push({ kind: 'end', text: '' });
  return found;
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  '"': '"',
  "'": "'",
  '\n': '\n',
};

function quoted(text: string, start: number): [string, number] {
  const quote = text[start];
  let value = '';
  for (let at = start + 1; ; at++) {
    const character = text[at];
    if (character === undefined || character === '\n') throw new UnknownShell('a text in Lua without an end');
    if (character === quote) return [value, at + 1];
    if (character !== '\\') {
      value += character;
      continue;
    }
    const meant = ESCAPES[text[++at] ?? ''];
    if (meant === undefined) throw new UnknownShell(`the escape \\${text[at]} in Lua`);
    value += meant;
  }
}

/** Weakest first; `..` binds to the right. */
const PRECEDENCE: readonly (readonly string[])[] = [
  ['or'],
  ['and'],
  ['<', '>', '<=', '>=', '~=', '=='],
  ['..'],
  ['+', '-'],
  ['*', '/', '%'],
];

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = tokens(text);
  }

  script(): Block {
    const block = this.#block();
    if (this.#token.kind !== 'end') throw this.#unexpected();
    return block;
  }

  get #token(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '' };
  }

  #unexpected(): UnknownShell {
    return new UnknownShell(`${JSON.stringify(this.#token.text)} in Lua`);
  }

  /** Passes over a symbol or keyword if it is next. */
  #accept(text: string): boolean {
    const { kind, text: next } = this.#token;
    if (next !== text || (kind !== 'symbol' && !(kind === 'name' && KEYWORDS.has(text)))) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw this.#unexpected();
  }

  #name(): string {
    const { kind, text } = this.#token;
    if (kind !== 'name' || KEYWORDS.has(text)) throw this.#unexpected();
    this.#at++;
    return text;
  }

  #block(): Block {
    if (++this.#depth > MAX_DEPTH) throw new UnknownShell('Lua nested too deeply');
    const statements: Statement[] = [];
    while (
      this.#token.kind !== 'end' &&
      !(this.#token.kind === 'name' && /^(end|else|elseif|until)$/.test(this.#token.text))
    ) {
      if (this.#accept(';')) continue;
      statements.push(this.#statement());
    }
    this.#depth--;
    return statements;
  }

  #statement(): Statement {
    if (this.#accept('if')) {
      const branches: { test: Expression; body: Block }[] = [];
      do {
        const test = this.#expression();
        this.#expect('then');
        branches.push({ test, body: this.#block() });
      } while (this.#accept('elseif'));
      const otherwise = this.#accept('else') ? this.#block() : undefined;
      this.#expect('end');
      return { kind: 'if', branches, otherwise };
    }
    if (this.#accept('for')) return this.#for();
    if (this.#accept('do')) {
      const body = this.#block();
      this.#expect('end');
      return { kind: 'do', body };
    }
    if (this.#accept('return')) {
      const ends = this.#token.kind === 'end' || /^(end|else|elseif|;)$/.test(this.#token.text);
      const values = ends ? [] : this.#expressions();
      this.#accept(';');
      return { kind: 'return', values };
    }
    if (this.#accept('function')) {
      const name = this.#name();
      return { kind: 'assign', local: false, targets: [{ kind: 'name', name }], values: [this.#function()] };
    }
    if (this.#accept('local')) {
      if (this.#accept('function')) {
        const name = this.#name();
        return { kind: 'assign', local: true, targets: [{ kind: 'name', name }], values: [this.#function()] };
      }
      const targets: Expression[] = [];
      do targets.push({ kind: 'name', name: this.#name() });
      while (this.#accept(','));
      return { kind: 'assign', local: true, targets, values: this.#accept('=') ? this.#expressions() : [] };
    }
    const first = this.#suffixed();
    if (first.kind === 'call' && this.#token.text !== '=' && this.#token.text !== ',')
      return { kind: 'call', call: first };
    const targets = [first];
    while (this.#accept(',')) targets.push(this.#suffixed());
    this.#expect('=');
    if (!targets.every(({ kind }) => kind === 'name' || kind === 'index')) throw this.#unexpected();
    return { kind: 'assign', local: false, targets, values: this.#expressions() };
  }

  #for(): Statement {
    const names = [this.#name()];
    if (this.#accept('=')) {
      const range = this.#expressions();
      this.#expect('do');
      const body = this.#block();
      this.#expect('end');
      return { kind: 'count', name: names[0] ?? '', range, body };
    }
    while (this.#accept(',')) names.push(this.#name());
    this.#expect('in');
    const over = this.#expression();
    this.#expect('do');
    const body = this.#block();
    this.#expect('end');
    return { kind: 'each', names, over, body };
  }

  #function(): Expression {
    this.#expect('(');
    const parameters: string[] = [];
    while (!this.#accept(')')) {
      parameters.push(this.#name());
      if (this.#token.text !== ')') this.#expect(',');
    }
    const body = this.#block();
    this.#expect('end');
    return { kind: 'function', parameters, body };
  }

  #expressions(): Expression[] {
    const found = [this.#expression()];
    while (this.#accept(',')) found.push(this.#expression());
    return found;
  }

  #expression(level = 0): Expression {
    const operators = PRECEDENCE[level];
    if (operators === undefined) return this.#unary();
    let left = this.#expression(level + 1);
    for (;;) {
      const operator = operators.find((one) => this.#accept(one));
      if (operator === undefined) return left;
      const right = this.#expression(operator === '..' ? level : level + 1);
      left = { kind: 'binary', operator, left, right };
    }
  }

  #unary(): Expression {
    for (const operator of ['not', '#', '-']) {
      if (this.#accept(operator)) {
        if (++this.#depth > MAX_DEPTH) throw new UnknownShell('Lua nested too deeply');
        const operand = this.#unary();
        this.#depth--;
        return { kind: 'unary', operator, operand };
      }
    }
    return this.#simple();
  }

  #simple(): Expression {
    const { kind, text } = this.#token;
    if (kind === 'string' || kind === 'number') {
      this.#at++;
      return { kind: 'constant', value: kind === 'string' ? text : Number(text) };
    }
    if (this.#accept('nil')) return { kind: 'constant', value: undefined };
    if (this.#accept('true')) return { kind: 'constant', value: true };
    if (this.#accept('false')) return { kind: 'constant', value: false };
    if (this.#accept('function')) return this.#function();
    if (text === '{' && kind === 'symbol') return this.#table();
    return this.#suffixed();
  }

  #table(): Expression {
    if (++this.#depth > MAX_DEPTH) throw new UnknownShell('Lua nested too deeply');
    this.#expect('{');
    const items: { key: Expression | undefined; value: Expression }[] = [];
    while (!this.#accept('}')) {
      let key: Expression | undefined;
      if (this.#accept('[')) {
        key = this.#expression();
        this.#expect(']');
        this.#expect('=');
      } else if (
        this.#token.kind === 'name' &&
        this.#tokens[this.#at + 1]?.text === '=' &&
        this.#tokens[this.#at + 1]?.kind === 'symbol'
      ) {
        key = { kind: 'constant', value: this.#name() };
        this.#expect('=');
      }
      items.push({ key, value: this.#expression() });
      if (!this.#accept(',') && !this.#accept(';') && this.#token.text !== '}') throw this.#unexpected();
    }
    this.#depth--;
    return { kind: 'table', items };
  }

  #suffixed(): Expression {
    if (++this.#depth > MAX_DEPTH) throw new UnknownShell('Lua nested too deeply');
    let found: Expression;
    if (this.#accept('(')) {
      found = this.#expression();
      this.#expect(')');
    } else found = { kind: 'name', name: this.#name() };
    for (;;) {
      const { kind, text } = this.#token;
      if (kind === 'string' || (kind === 'symbol' && (text === '(' || text === '{'))) {
        found = { kind: 'call', callee: found, method: undefined, args: this.#args() };
      } else if (this.#accept('.')) {
        found = { kind: 'index', object: found, key: { kind: 'constant', value: this.#name() } };
      } else if (this.#accept('[')) {
        found = { kind: 'index', object: found, key: this.#expression() };
        this.#expect(']');
      } else if (this.#accept(':')) {
        const method = this.#name();
        found = { kind: 'call', callee: found, method, args: this.#args() };
      } else {
        this.#depth--;
        return found;
      }
    }
  }

  #args(): Expression[] {
    const { kind, text } = this.#token;
    if (kind === 'string') {
      this.#at++;
      return [{ kind: 'constant', value: text }];
    }
    if (kind === 'symbol' && text === '{') return [this.#table()];
    this.#expect('(');
    if (this.#accept(')')) return [];
    const args = this.#expressions();
    this.#expect(')');
    return args;
  }
}

/** @throws UnknownShell with what is not read */
export function parseLua(text: string): Block {
  return new Parser(text).script();
}
