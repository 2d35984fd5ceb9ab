import { describe, expect, test } from 'vitest';
import { parseRecipe } from '../../core/recipe.ts';
import { readRecipeText } from '../../core/recipe-text.ts';
import { caught } from './caught.ts';
import { demo } from './legal-recipes.ts';

const refusal = (text: string): string => {
  const error = caught(() => readRecipeText(text, 'my.yaml'));
  expect(error.name).toBe('InvalidRecipe');
  expect(error.message).toMatch(/^my\.yaml /);
  return error.message;
};

describe('the text of a recipe', () => {
  test('is YAML', () => {
    const text = '# a comment\nname: demo\nrelease: 15.1-RELEASE # here too\narchitecture: amd64\n';
    expect(parseRecipe(readRecipeText(text, 'my.yaml'))).toEqual(parseRecipe(demo));
  });

  test('or JSON', () => {
    expect(parseRecipe(readRecipeText(JSON.stringify(demo, null, '\t'), 'my.json'))).toEqual(
      parseRecipe(demo),
    );
  });

  test('may have CRLF and a byte order mark', () => {
    expect(readRecipeText('\ufeffname: demo\r\nrootSize: 10\r\n', 'my.yaml')).toEqual({
      name: 'demo',
      rootSize: 10,
    });
  });

  test('reads YAML 1.2: no and on are words, 0o17 is octal, 1:30 is text', () => {
    expect(readRecipeText('a: no\nb: on\nc: 1:30\nd: 0o17\n', 'x')).toEqual({
      a: 'no',
      b: 'on',
      c: '1:30',
      d: 15,
    });
  });

  test.each([
    ['name: demo\nname: other\n', 2, 1, /unique/],
    ['{"name": "a", "name": "b"}', 1, 15, /unique/],
    ['name: [a\nrelease: b\n', 2, 1, /\]/],
    ['name: "a\n', 2, 1, /quote/],
    ['name: demo\n\trelease: x\n', 2, 1, /[Tt]ab/],
    ['a: 1\n---\nb: 2\n', 2, 1, /multiple documents/],
  ])('%j is refused with line %i, column %i', (text, line, column, reason) => {
    const message = refusal(text);
    expect(message).toContain(`at line ${line}, column ${column}`);
    expect(message).toMatch(reason);
  });

  test('lists all errors of syntax', () => {
    expect(refusal('a: 1\na: 2\nb: 1\nb: 2\n').match(/^- /gm)).toHaveLength(2);
  });

  test('may use anchors', () => {
    expect(readRecipeText('a: &x [1]\nb: *x\n', 'x')).toEqual({ a: [1], b: [1] });
  });

  test('an alias without its anchor is refused', () => {
    expect(refusal('name: *nowhere\n')).toContain('nowhere');
  });

  test('a bomb of aliases is refused, soon', () => {
    const layers = Array.from(
      { length: 12 },
      (_, n) => `b${n + 1}: &b${n + 1} [${Array(10).fill(`*b${n}`).join(', ')}]`,
    );
    const began = performance.now();
    expect(refusal(`b0: &b0 [x]\n${layers.join('\n')}\n`)).toMatch(/alias/i);
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test('a value that contains itself is refused', () => {
    expect(refusal('image: &a\n  tags: *a\n')).toMatch(/itself/);
  });

  test('a tag of another language is refused, not read as text', () => {
    expect(refusal('name: !!js/function "function () {}"\n')).toMatch(/tag/);
  });

  test('__proto__ becomes a key that parseRecipe refuses', () => {
    const value = readRecipeText(
      '__proto__:\n  polluted: 1\nname: demo\nrelease: 15.1-RELEASE\narchitecture: amd64\n',
      'x',
    );
    expect(caught(() => parseRecipe(value)).message).toContain('__proto__ is not a key');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  test('that is empty is no recipe', () => {
    expect(caught(() => parseRecipe(readRecipeText('', 'x'))).message).toContain(
      'must be an object; it is null',
    );
  });
});

describe('merge keys', () => {
  test('bring the keys of another map, and keep what stands beside them', () => {
    const text = 'a: &a {x: 1, y: 2}\nb: &b {z: 3}\nc: {<<: [*a, *b], y: 4}\n';
    expect(readRecipeText(text, 'x')).toMatchObject({ c: { x: 1, y: 4, z: 3 } });
  });

  test('of something that is no map are refused', () => {
    expect(refusal('a: &a 5\nb: {<<: *a}\n')).toContain('<< must name a map');
  });

  test('do not reach a prototype', () => {
    const value = readRecipeText('a: &a {__proto__: {polluted: 1}}\nb: {<<: *a}\n', 'x') as { b: object };
    expect(Object.keys(value.b)).toEqual(['__proto__']);
    expect('polluted' in value.b).toBe(false);
  });
});
