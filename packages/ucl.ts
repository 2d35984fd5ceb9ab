/**
 * The part of UCL that pkg's own small files use: JSON, and `key = value;`, `key: value`, `key { … }`, arrays,
 * comments (`#`, nested), here-documents. Macros, units and variables are not read: no file of a repository needs them.
 */

export type Ucl = string | number | boolean | null | readonly Ucl[] | { readonly [key: string]: Ucl };

/** Nested deeper, a file is hostile. */
const MAX_DEPTH = 32;

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Ucl {
    this.#space();
    const braced = this.#text[this.#at] === '{';
    if (braced) this.#at++;
    else if (this.#text[this.#at] === '[') return this.#array(0);
    const value = this.#members(braced ? '}' : undefined, 0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#error('more text after the end');
    return value;
  }

  #error(problem: string): SyntaxError {
    return new SyntaxError(`line ${this.#text.slice(0, this.#at).split('\n').length}: ${problem}`);
  }

  #space(): void {
    for (;;) {
      const rest = this.#text.slice(this.#at, this.#at + 2);
      if (rest !== '' && /^\s/.test(rest)) this.#at++;
      else if (rest.startsWith('#')) {
        const end = this.#text.indexOf('\n', this.#at);
        this.#at = end < 0 ? this.#text.length : end;
      } else if (rest === '/*') {
        let depth = 0;
        do {
          if (this.#at >= this.#text.length) throw this.#error('a comment has no end');
          if (this.#text.startsWith('/*', this.#at)) depth++;
          else if (this.#text.startsWith('*/', this.#at)) depth--;
          else {
            this.#at++;
            continue;
          }
          this.#at += 2;
        } while (depth > 0);
      } else return;
    }
  }

  #members(end: string | undefined, depth: number): Ucl {
    if (depth > MAX_DEPTH) throw this.#error('nested too deeply');
    const members = new Map<string, Ucl>();
    for (;;) {
      this.#space();
      const next = this.#text[this.#at];
      if (next === undefined) {
        if (end !== undefined) throw this.#error(`${end} is missing`);
        break;
      }
      if (next === end) {
        this.#at++;
        break;
      }
      if (next === ',' || next === ';') {
        this.#at++;
        continue;
      }
      const key = next === '"' ? this.#quoted() : this.#bare(/[\s=:{[,;}\]]/);
      if (key === '') throw this.#error(`${JSON.stringify(next)} is no key`);
      this.#space();
      const separator = this.#text[this.#at];
      if (separator === '=' || separator === ':') this.#at++;
      members.set(key, this.#value(depth));
    }
    return Object.fromEntries(members);
  }

  #array(depth: number): Ucl {
    if (depth > MAX_DEPTH) throw this.#error('nested too deeply');
    this.#at++;
    const values: Ucl[] = [];
    for (;;) {
      this.#space();
      const next = this.#text[this.#at];
      if (next === undefined) throw this.#error('] is missing');
      if (next === ']') {
        this.#at++;
        return values;
      }
      if (next === ',' || next === ';') this.#at++;
      else values.push(this.#value(depth));
    }
  }

  #value(depth: number): Ucl {
    this.#space();
    const next = this.#text[this.#at];
    if (next === '{') {
      this.#at++;
      return this.#members('}', depth + 1);
    }
    if (next === '[') return this.#array(depth + 1);
    if (next === '"') return this.#quoted();
    if (this.#text.startsWith('<<', this.#at)) return this.#here();
    const word = this.#bare(/[\n,;}\]]/).trimEnd();
    if (/^-?\d+(\.\d+)?$/.test(word)) return Number(word);
    if (/^(true|yes|on)$/i.test(word)) return true;
    if (/^(false|no|off)$/i.test(word)) return false;
    if (word === 'null') return null;
    return word.replace(/^'(.*)'$/s, '$1');
  }

  #quoted(): string {
    const match = /"(?:[^"\\]|\\.)*"/sy;
    match.lastIndex = this.#at;
    const text = match.exec(this.#text)?.[0];
    if (text === undefined) throw this.#error('a quotation has no end');
    this.#at += text.length;
    return JSON.parse(text.replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\r', '\\r')) as string;
  }

  #bare(end: RegExp): string {
    const from = this.#at;
    while (this.#at < this.#text.length && !end.test(this.#text[this.#at] ?? '')) this.#at++;
    return this.#text.slice(from, this.#at);
  }

  #here(): string {
    const match = /<<([A-Z]+)\n/y;
    match.lastIndex = this.#at;
    const found = match.exec(this.#text);
    if (!found) throw this.#error('a here-document without a terminator');
    const from = this.#at + found[0].length;
    const end = this.#text.indexOf(`\n${found[1]}`, from - 1);
    if (end < 0) throw this.#error(`the here-document has no ${found[1]}`);
    this.#at = end + 1 + (found[1]?.length ?? 0);
    return this.#text.slice(from, Math.max(from, end));
  }
}

/** @throws SyntaxError with the line */
export function parseUcl(text: string): Ucl {
  return new Parser(text).document();
}

/** The members of an object, or none. */
export function members(value: Ucl | undefined): { readonly [key: string]: Ucl | undefined } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: Ucl })
    : {};
}
