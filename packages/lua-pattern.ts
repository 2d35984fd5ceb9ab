import { UnknownShell } from './shell-syntax.ts';

const CLASSES: Readonly<Record<string, string>> = {
  a: 'A-Za-z',
  d: '0-9',
  l: 'a-z',
  s: '\\s',
  u: 'A-Z',
  w: 'A-Za-z0-9',
  x: '0-9A-Fa-f',
  p: '!-\\/:-@\\[-`{-~',
};

/** A pattern of Lua (manual, 6.4.1) as a regular expression. Balances and frontiers are not read. */
export function luaPattern(pattern: string): RegExp {
  const literal = (character: string): string => character.replace(/[$()*+.?[\\\]^{|}/-]/, '\\$&');
  const ofLetter = (letter: string, inSet: boolean): string => {
    if (!/^[A-Za-z0-9]$/.test(letter)) return literal(letter);
    const lower = CLASSES[letter.toLowerCase()];
    if (lower === undefined || (inSet && letter !== letter.toLowerCase()))
      throw new UnknownShell(`the pattern ${pattern} in Lua`);
    if (inSet) return lower;
    return letter === letter.toLowerCase() ? `[${lower}]` : `[^${lower}]`;
  };
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (character === '%') source += ofLetter(pattern[++at] ?? '', false);
    else if (character === '[') {
      let set = '[';
      at++;
      if (pattern[at] === '^') {
        set += '^';
        at++;
      }
      for (let first = true; first || pattern[at] !== ']'; at++, first = false) {
        const member = pattern[at];
        if (member === undefined) throw new UnknownShell(`the pattern ${pattern} in Lua`);
        set += member === '%' ? ofLetter(pattern[++at] ?? '', true) : member === '-' ? '-' : literal(member);
      }
      source += `${set}]`;
    } else if (character === '.') source += '[\\s\\S]';
    else if (character === '-') source += '*?';
    else if (
      character === '*' ||
      character === '+' ||
      character === '?' ||
      character === '(' ||
      character === ')'
    )
      source += character;
    else if (character === '^' && at === 0) source += '^';
    else if (character === '$' && at === pattern.length - 1) source += '$';
    else source += literal(character);
  }
  try {
    return new RegExp(source);
  } catch {
    throw new UnknownShell(`the pattern ${pattern} in Lua`);
  }
}
