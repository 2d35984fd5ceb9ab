/**
 * Order of package versions, as pkg-version(8) and the Porter's Handbook define it:
 * PORTVERSION[_PORTREVISION][,PORTEPOCH]; the epoch decides first, then the version, then the revision.
 */

/** One component of a version: number, letter, patch level. */
interface Component {
  readonly number: number;
  readonly letter: number;
  readonly level: number;
}

/** Words that begin a component of their own when they follow a number, and the letter they count as. */
const STAGES: readonly (readonly [string, number])[] = [
  ['pl', 0],
  ['alpha', 1],
  ['beta', 2],
  ['pre', 16],
  ['rc', 18],
];

const ABSENT: Component = { number: 0, letter: 0, level: 0 };
const isDigit = (character: string | undefined): boolean =>
  character !== undefined && /^[0-9]$/.test(character);
const isLetter = (character: string | undefined): boolean =>
  character !== undefined && /^[A-Za-z]$/.test(character);

interface Parts {
  readonly version: string;
  readonly revision: number;
  readonly epoch: number;
}

function leadingNumber(text: string): number {
  return Number(/^\d+/.exec(text)?.[0] ?? 0);
}

/** `foo-1.2_3,4` or `1.2_3,4`: version 1.2, revision 3, epoch 4. */
function split(text: string): Parts {
  const rest = text.slice(text.lastIndexOf('-') + 1);
  const underscore = rest.lastIndexOf('_');
  // A comma in front of the underscore belongs to the version.
  const comma = rest.indexOf(',', underscore + 1) < 0 ? -1 : rest.lastIndexOf(',');
  const epoch = comma < 0 ? 0 : leadingNumber(rest.slice(comma + 1));
  const revision = underscore < 0 ? 0 : leadingNumber(rest.slice(underscore + 1));
  const end = underscore >= 0 ? underscore : comma;
  return { version: end < 0 ? rest : rest.slice(0, end), revision, epoch };
}

/** Takes the components of a version one by one. A `+` ends a group: the shorter group is filled up with zeros. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  get blocked(): boolean {
    return this.done || this.#text[this.#at] === '+';
  }

  passGroup(): void {
    if (!this.done) this.#at++;
  }

  component(): Component {
    const text = this.#text;
    let number = -1;
    let first = true;
    if (isDigit(text[this.#at])) {
      const digits = /^\d+/.exec(text.slice(this.#at))?.[0] ?? '';
      number = Number(digits);
      this.#at += digits.length;
      first = false;
    } else if (text[this.#at] === '*') {
      number = -2;
      while (!this.done && text[this.#at] !== '+') this.#at++;
      first = false;
    }
    let letter = 0;
    let level = 0;
    if (isLetter(text[this.#at])) {
      const word = /^[A-Za-z]+/.exec(text.slice(this.#at))?.[0] ?? '';
      const stage = STAGES.find(([name]) => name === word.toLowerCase());
      // Behind a number such a word begins the next component: 10alpha is 10.alpha, and thus less than 10.
      if (stage === undefined || first) {
        letter = stage === undefined ? word.toLowerCase().charCodeAt(0) - 96 : stage[1];
        this.#at += word.length;
        const digits = /^\d+/.exec(text.slice(this.#at))?.[0];
        level = digits === undefined ? -1 : Number(digits);
        this.#at += digits?.length ?? 0;
      }
    }
    while (
      !this.done &&
      !isDigit(text[this.#at]) &&
      !isLetter(text[this.#at]) &&
      !/[+*]/.test(text[this.#at] ?? '')
    )
      this.#at++;
    return { number, letter, level };
  }
}

function compareText(one: string, two: string): number {
  if (one.toLowerCase() === two.toLowerCase()) return 0;
  const left = new Scanner(one);
  const right = new Scanner(two);
  while (!left.done || !right.done) {
    if (left.blocked && right.blocked) {
      left.passGroup();
      right.passGroup();
      continue;
    }
    const a = left.blocked ? ABSENT : left.component();
    const b = right.blocked ? ABSENT : right.component();
    const difference = a.number - b.number || a.letter - b.letter || a.level - b.level;
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** Negative, zero or positive as the first version is older than, equal to or newer than the second. */
export function compareVersions(one: string, two: string): number {
  const a = split(one);
  const b = split(two);
  return (
    Math.sign(a.epoch - b.epoch) || compareText(a.version, b.version) || Math.sign(a.revision - b.revision)
  );
}
