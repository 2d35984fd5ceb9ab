import type { Environment } from './find-api.ts';
import { printable, visible } from './secrets.ts';

/** For programs and for those who asked for it: to standard output. */
export const print = (text: string): void => {
  process.stdout.write(`${printable(text)}\n`);
};

/** An address whose query people need. */
export const printLink = (text: string): void => {
  process.stdout.write(`${visible(text)}\n`);
};

/** For people who watch: to standard error, so that pipelines get ids alone. */
export const say = (text: string): void => {
  process.stderr.write(`${printable(text)}\n`);
};

/** JSON in which no character moves a cursor: JSON.stringify leaves DEL and C1 as they are. */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(
    /[\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** One document. */
export const printJson = (value: unknown): void => {
  process.stdout.write(`${jsonText(value, 2)}\n`);
};

/** One line of NDJSON. */
export const printJsonLine = (value: unknown): void => {
  process.stdout.write(`${jsonText(value)}\n`);
};

/** Whether somebody looks at standard output: lists are tables then, and ids alone otherwise. */
export const isWatched = (): boolean => process.stdout.isTTY === true;

/** Whether what is said can be drawn over. */
export const isLive = ({ TERM }: Environment): boolean => process.stderr.isTTY === true && TERM !== 'dumb';
