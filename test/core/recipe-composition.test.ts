// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${…} is what a recipe writes.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRecipe } from '../../core/recipe.ts';
import { composeRecipe } from '../../core/recipe-composition.ts';
import { rejected } from './caught.ts';

/** Composes web.yaml among the given files. */
const compose = (recipe: unknown, set: Record<string, string> = {}, files: Record<string, string> = {}) =>
  composeRecipe(recipe, 'web.yaml', {
    set,
    read: async (path) => {
      const text = Object.hasOwn(files, path) ? files[path] : undefined;
      return text === undefined ? { reason: 'no such file' } : { text };
    },
  });

const one = async (...args: Parameters<typeof compose>): Promise<unknown> => {
  const builds = await compose(...args);
  expect(builds).toHaveLength(1);
  return builds[0]?.value;
};

const problems = async (...args: Parameters<typeof compose>): Promise<string[]> => {
  const error = await rejected(compose(...args));
  expect(error.code).toBe('InvalidRecipe');
  expect(error.message).toMatch(/^web\.yaml has /);
  return error.message.split('\n').flatMap((line) => (line.startsWith('- ') ? [line.slice(2)] : []));
};

describe('a recipe without composition', () => {
  test('is what it was', async () => {
    const text = 'name: demo\nrelease: 15.1-RELEASE\narchitecture: amd64\nimage: {tags: {a: b}}\n';
    expect(await compose(text)).toEqual([
      {
        coordinates: {},
        value: {
          name: 'demo',
          release: '15.1-RELEASE',
          architecture: 'amd64',
          image: { tags: { a: 'b' } },
        },
      },
    ]);
  });

  test.each([null, 5, ['a'], true])('%j is left to parseRecipe', async (value) => {
    expect(await compose(value)).toEqual([{ coordinates: {}, value }]);
  });

  test('has no key that is empty', async () => {
    expect(await problems('name: demo\npackages:\nimage:\n  tags: {a: null}\n')).toEqual([
      'packages is empty (null): that removes what an extended file sets, and none sets it',
      'image.tags.a is empty (null): that removes what an extended file sets, and none sets it',
    ]);
  });

  test('any JSON without null and $ comes out as it went in', async () => {
    const text = fc.string().map((s) => s.replaceAll('$', ''));
    const key = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty'));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.integer(),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 3 }),
        tie('fields'),
      ),
      fields: fc
        .array(fc.tuple(key, tie('value')), { maxLength: 4 })
        .map((entries) => Object.fromEntries(entries)),
    }));
    const fields = fc
      .array(fc.tuple(key, value), { maxLength: 5 })
      .map((entries) => Object.fromEntries(entries));
    const isComposition = (given: unknown): boolean =>
      /"(extends|parameters|matrix|[^"]*\+)":/.test(JSON.stringify(given));
    await fc.assert(
      fc.asyncProperty(fields, async (recipe) => {
        fc.pre(!isComposition(recipe));
        expect(JSON.stringify(await one(recipe))).toBe(JSON.stringify(recipe));
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
    );
  });
});

describe('extends', () => {
  const base =
    'name: base\npackages: [curl, git]\nimage:\n  description: Base\n  tags: {team: core, tier: one}\n';

  test('merges maps, replaces the rest, removes by null', async () => {
    const recipe =
      'extends: base.yaml\nname: web\npackages: [nginx]\nimage:\n  description: null\n  tags: {team: web}\n';
    expect(await one(recipe, {}, { 'base.yaml': base })).toEqual({
      name: 'web',
      packages: ['nginx'],
      image: { tags: { team: 'web', tier: 'one' } },
    });
  });

  test('a list under key+ is added; what is known by the same word, name or path takes its place', async () => {
    const files = {
      'base.yaml':
        'packages: [curl, git]\nusers:\n- {name: ann, uid: 1}\n- {name: bob}\nfiles:\n- {path: /a, content: old}\n',
    };
    const recipe =
      'extends: base.yaml\npackages+: [git, nginx]\nusers+:\n- {name: ann, uid: 2}\nfiles+:\n- {path: /b}\n- {path: /a, content: new}\n';
    expect(await one(recipe, {}, files)).toEqual({
      packages: ['curl', 'git', 'nginx'],
      users: [{ name: 'ann', uid: 2 }, { name: 'bob' }],
      files: [{ path: '/a', content: 'new' }, { path: '/b' }],
    });
  });

  test('what one file says twice is not hidden', async () => {
    const recipe = 'extends: base.yaml\npackages+: [git, git]\n';
    expect(await one(recipe, {}, { 'base.yaml': base })).toMatchObject({ packages: ['curl', 'git', 'git'] });
  });

  test('key+ begins a list where there is none', async () => {
    expect(await one('packages+: [nginx]\n')).toEqual({ packages: ['nginx'] });
  });

  test('key+ is for lists, and not beside key', async () => {
    expect(await problems('packages: [a]\npackages+: [b]\nname: x\n')).toEqual([
      'packages+ and packages stand in one file: put all into one list',
    ]);
    expect(await problems('extends: base.yaml\nname+: [b]\n', {}, { 'base.yaml': base })).toEqual([
      'name+ adds to a list, and name is none',
    ]);
  });

  test('of several files the later wins, and paths are those of the file that names them', async () => {
    const files = {
      'shared/a.yaml': 'extends: ../deep/base.yaml\nname: a\nhostname: a\npackages+: [a]\n',
      'shared/b.yaml': 'extends: [../deep/base.yaml]\nname: b\npackages+: [b]\n',
      'deep/base.yaml': 'name: base\nhostname: base\npackages: [base]\n',
    };
    // The base counts once: b does not bring its hostname back over a's.
    expect(await one('extends: [shared/a.yaml, ./shared/b.yaml]\n', {}, files)).toEqual({
      name: 'b',
      hostname: 'a',
      packages: ['base', 'a', 'b'],
    });
  });

  test('reads JSON, and YAML with merge keys', async () => {
    const files = { 'base.json': '{"image": {"tags": {"a": "1"}}}' };
    const recipe =
      'extends: base.json\nusers:\n- &user {name: ann, shell: /bin/sh}\n- {<<: *user, name: bob}\n';
    expect(await one(recipe, {}, files)).toEqual({
      image: { tags: { a: '1' } },
      users: [
        { name: 'ann', shell: '/bin/sh' },
        { name: 'bob', shell: '/bin/sh' },
      ],
    });
  });

  test('a circle is told with its chain', async () => {
    const files = { 'a.yaml': 'extends: dir/b.yaml\n', 'dir/b.yaml': 'extends: ../web.yaml\n' };
    expect(await problems('extends: a.yaml\n', {}, files)).toEqual([
      'dir/b.yaml: extends goes round in a circle: web.yaml → a.yaml → dir/b.yaml → web.yaml',
    ]);
  });

  test('eleven files deep is too deep, and the chain is told', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 12 }, (_, n) => [`${n}.yaml`, `extends: ${n + 1}.yaml\n`]),
    );
    const [problem, ...others] = await problems('extends: 0.yaml\n', {}, files);
    expect(others).toEqual([]);
    expect(problem).toMatch(
      /^8\.yaml: extends goes more than 10 files deep: web\.yaml → 0\.yaml → .* → 9\.yaml$/,
    );
  });

  test('everything that is wrong with files is told at once', async () => {
    const files = { 'list.yaml': '[1]\n', 'bad.yaml': 'a: 1\na: 2\nextends: nowhere.yaml\n' };
    const recipe = 'extends: [none.yaml, list.yaml, bad.yaml, 5, "https://x.example/a.yaml", ""]\n';
    expect(await problems(recipe, {}, files)).toEqual([
      'extends must be the path of a file, or a list of paths; 5 is none',
      'extends must be the path of a file, or a list of paths; "https://x.example/a.yaml" is none',
      'extends must be the path of a file, or a list of paths; "" is none',
      'extends none.yaml, which cannot be read: no such file',
      'extends list.yaml, which is not a map of keys and values',
      'bad.yaml is not well-formed YAML or JSON: Map keys must be unique at line 2, column 1',
    ]);
  });

  test.each([[[]], [null], [{}]])('%j names no file', async (given) => {
    expect(await problems({ extends: given })).toEqual([
      `extends must be the path of a file, or a list of paths; ${JSON.stringify(given)} is none`,
    ]);
  });

  test('a file called like a property of every object is not there', async () => {
    expect(await problems('extends: __proto__\n')).toEqual([
      'extends __proto__, which cannot be read: no such file',
    ]);
  });

  test('keys of every object’s prototype are keys', async () => {
    const files = { 'base.yaml': '__proto__: {polluted: 1}\nconstructor: {prototype: {polluted: 1}}\n' };
    const value = await one('extends: base.yaml\n__proto__: {more: 2}\n', {}, files);
    expect(Object.entries(value as object)).toEqual([
      ['__proto__', { polluted: 1, more: 2 }],
      ['constructor', { prototype: { polluted: 1 } }],
    ]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
    expect((await rejected(Promise.resolve().then(() => parseRecipe(value)))).message).toContain(
      '__proto__ is not a key',
    );
  });
});

describe('parameters', () => {
  const declared = (declaration: object) => ({ parameters: { p: declaration } });

  test('stand in any string, and alone with their type', async () => {
    const recipe = {
      parameters: {
        size: { type: 'integer', default: 12 },
        v2: { type: 'boolean', default: true },
        host: { description: 'Its host name' },
        tier: { type: 'choice', values: ['one', 2], default: 2 },
      },
      rootSize: '${size}',
      hostname: '${host}-${size}.example',
      image: { imdsV2Only: '${v2}', tags: { tier: '${tier}', '${host}': 'keys stay' } },
      packages: ['a-${tier}'],
    };
    expect(await one(recipe, { host: 'web' })).toEqual({
      rootSize: 12,
      hostname: 'web-12.example',
      image: { imdsV2Only: true, tags: { tier: 2, '${host}': 'keys stay' } },
      packages: ['a-2'],
    });
  });

  test('take texts by their type', async () => {
    const types = { type: 'choice', values: [1, 'two', true] };
    const recipe = {
      parameters: { i: { type: 'integer' }, b: { type: 'boolean' }, s: {}, c: types, d: types },
      value: ['${i}', '${b}', '${s}', '${c}', '${d}'],
    };
    expect(await one(recipe, { i: '-7', b: 'false', s: '12', c: '1', d: 'true' })).toEqual({
      value: [-7, false, '12', 1, true],
    });
  });

  test.each([
    [{ type: 'integer' }, '1.5', 'p must be a whole number; it is "1.5"'],
    [{ type: 'integer' }, '99999999999999999', 'p must be a whole number; it is "99999999999999999"'],
    [{ type: 'boolean' }, 'yes', 'p must be true or false; it is "yes"'],
    [{ type: 'choice', values: ['a', 'b'] }, 'c', 'p must be one of a, b; it is "c"'],
    [{ pattern: '[a-z]+' }, 'ab1', 'p must match [a-z]+; it is "ab1"'],
    [{ pattern: 'a|b' }, 'bc', 'p must match a|b; it is "bc"'],
  ])('%j does not take %j', async (declaration, text, problem) => {
    expect(await problems(declared(declaration), { p: text })).toEqual([problem]);
  });

  test('all mistakes in declarations are told at once', async () => {
    const recipe = {
      parameters: {
        'a-b': {},
        exclude: {},
        c: { type: 'number' },
        d: { type: 'choice' },
        e: { type: 'integer', default: 'x', pattern: 'x' },
        f: { defualt: 1 },
        g: { pattern: '(' },
        h: 'text',
        i: { type: 'integer', default: 'x' },
        j: { default: 5 },
      },
    };
    expect(await problems(recipe)).toEqual([
      'parameters.a-b must be called by letters, digits and _, a letter first, and not exclude',
      'parameters.exclude must be called by letters, digits and _, a letter first, and not exclude',
      'parameters.c.type must be string, integer, boolean or choice',
      'parameters.d.values must be there with type: choice, and only with it',
      'parameters.e.pattern must be left out: only a string has one',
      'parameters.f.defualt is not a key of a parameter; did you mean default?',
      'parameters.g.pattern must be a regular expression',
      'parameters.h must be a map: type, default, description …',
      'parameters.i.default must be a whole number; it is "x"',
      'parameters.j.default must be a string: put 5 into quotes',
    ]);
  });

  test('that nobody gave a value, and values that nobody declared, are told', async () => {
    const recipe = { parameters: { port: { type: 'integer', description: 'Where it listens' }, host: {} } };
    expect(await problems(recipe, { prot: '80', __proto__: 'x', constructor: 'y' })).toEqual([
      'prot is set, and is neither a parameter nor a key of the matrix; did you mean port?',
      'constructor is set, and is neither a parameter nor a key of the matrix',
      'parameters.port (Where it listens) has no value: say --set port=…, or give it a default',
      'parameters.host has no value: say --set host=…, or give it a default',
    ]);
  });

  test('that are not declared are told with the nearest', async () => {
    const recipe = {
      parameters: { hostname: { default: 'web' } },
      hostname: '${hostnam}',
      image: { description: 'a ${b c} ${ and ${}' },
    };
    expect(await problems(recipe)).toEqual([
      'hostname: ${hostnam} is no parameter; did you mean ${hostname}?; $${ stands for ${ itself',
      'image.description: ${b c} is no parameter; declare it under parameters; $${ stands for ${ itself',
      'image.description: ${ is no parameter; declare it under parameters; $${ stands for ${ itself',
      'image.description: ${} is no parameter; declare it under parameters; $${ stands for ${ itself',
    ]);
  });

  test('$${ is a literal ${', async () => {
    expect(await one({ parameters: { a: { default: 'x' } }, v: '$${a} $${ ${a} $$ $a' })).toEqual({
      v: '${a} ${ x $$ $a',
    });
  });

  test('in scripts and contents of files, what is not declared is left to their language', async () => {
    const recipe = {
      parameters: { port: { type: 'integer', default: 80 } },
      scripts: [{ name: 'a', run: 'echo ${PATH} ${port} ${x:-1} $${port} $${HOME} $$ ${' }],
      files: [
        { path: '/a', content: '${port}' },
        { path: '/${port}', content: 'make: $${CC} ${.CURDIR}\n' },
      ],
    };
    expect(await one(recipe)).toEqual({
      scripts: [{ name: 'a', run: 'echo ${PATH} 80 ${x:-1} ${port} $${HOME} $$ ${' }],
      files: [
        { path: '/a', content: '80' },
        { path: '/80', content: 'make: $${CC} ${.CURDIR}\n' },
      ],
    });
  });

  test('their declarations are merged as everything else', async () => {
    const files = {
      'base.yaml': 'parameters:\n  tier: {type: choice, values: [one, two]}\nhostname: ${tier}\n',
    };
    expect(await one('extends: base.yaml\nparameters: {tier: {default: two}}\n', {}, files)).toEqual({
      hostname: 'two',
    });
  });

  test('a value is never looked through again, whatever is in it', async () => {
    const hostile = fc.oneof(
      fc.constantFrom('${b}', '$${b}', '${a}', '$&', "$'", '$1', '$$', '{', '}', '${', '\n- x', '__proto__'),
      fc.string(),
    );
    const recipe = {
      parameters: { a: {}, b: {} },
      whole: '${a}',
      part: '<${a}|${b}>',
      files: [{ content: '<${a}|${b}>' }],
    };
    await fc.assert(
      fc.asyncProperty(hostile, hostile, async (a, b) => {
        expect(await one(recipe, { a, b })).toEqual({
          whole: a,
          part: `<${a}|${b}>`,
          files: [{ content: `<${a}|${b}>` }],
        });
      }),
    );
  });
});

describe('a matrix', () => {
  const coordinates = async (...args: Parameters<typeof compose>) =>
    (await compose(...args)).map((build) => Object.values(build.coordinates).join(' '));

  const recipe = {
    name: 'web',
    architecture: 'amd64',
    parameters: { port: { type: 'integer', default: 80 } },
    matrix: {
      architecture: ['amd64', 'arm64'],
      filesystem: ['ufs', 'zfs'],
      port: [80, 443],
      exclude: [
        { architecture: 'arm64', filesystem: 'zfs' },
        { port: 443, filesystem: 'ufs' },
      ],
    },
    hostname: 'web-${port}',
  };

  test('is built in order, without what is excluded', async () => {
    expect(await compose(recipe)).toEqual([
      {
        coordinates: { architecture: 'amd64', filesystem: 'ufs', port: 80 },
        value: { name: 'web', architecture: 'amd64', filesystem: 'ufs', hostname: 'web-80' },
      },
      {
        coordinates: { architecture: 'amd64', filesystem: 'zfs', port: 80 },
        value: { name: 'web', architecture: 'amd64', filesystem: 'zfs', hostname: 'web-80' },
      },
      {
        coordinates: { architecture: 'amd64', filesystem: 'zfs', port: 443 },
        value: { name: 'web', architecture: 'amd64', filesystem: 'zfs', hostname: 'web-443' },
      },
      {
        coordinates: { architecture: 'arm64', filesystem: 'ufs', port: 80 },
        value: { name: 'web', architecture: 'arm64', filesystem: 'ufs', hostname: 'web-80' },
      },
    ]);
  });

  test('of which one value is set', async () => {
    expect(await coordinates(recipe, { port: '443' })).toEqual(['amd64 zfs 443']);
    expect(await coordinates(recipe, { architecture: 'arm64', port: '80' })).toEqual(['arm64 ufs 80']);
    expect(await problems(recipe, { architecture: 'riscv' })).toEqual([
      'architecture is set to "riscv", and matrix.architecture has amd64, arm64',
    ]);
    expect(await problems(recipe, { architecture: 'arm64', filesystem: 'zfs' })).toEqual([
      'matrix.exclude leaves nothing to build',
    ]);
  });

  test('a key that is a field and a parameter gives both their value', async () => {
    const both = {
      parameters: { architecture: {} },
      matrix: { architecture: ['amd64', 'arm64'] },
      hostname: 'on-${architecture}',
    };
    expect((await compose(both)).map(({ value }) => value)).toEqual([
      { architecture: 'amd64', hostname: 'on-amd64' },
      { architecture: 'arm64', hostname: 'on-arm64' },
    ]);
  });

  test('values are not looked through for parameters', async () => {
    const sly = { parameters: { a: { default: 'x' } }, matrix: { release: ['${a}'] } };
    expect(await one(sly)).toEqual({ release: '${a}' });
  });

  test('all its mistakes are told at once', async () => {
    const matrix = {
      architectur: ['amd64'],
      release: [],
      filesystem: 'ufs',
      flavour: ['a', 'a', null, ['x']],
      port: [80, 'x'],
      exclude: [{}, 5, { prot: 80 }, { port: 81 }],
    };
    expect(await problems({ parameters: { port: { type: 'integer' } }, matrix })).toEqual([
      'matrix.architectur is neither release, architecture, filesystem, flavour nor a parameter; did you mean architecture?',
      'matrix.release must be a list of values',
      'matrix.filesystem must be a list of values',
      'matrix.flavour has "a" twice',
      'matrix.flavour.2 must be text, a number, true or false',
      'matrix.flavour.3 must be text, a number, true or false',
      'matrix.port.1 must be a whole number; it is "x"',
      'matrix.exclude.0 must be a map of some keys of the matrix, each with one value',
      'matrix.exclude.1 must be a map of some keys of the matrix, each with one value',
      'matrix.exclude.2.prot is not a key of the matrix; did you mean port?',
      'matrix.exclude.3.port must be one of 80; it is 81',
    ]);
    expect(await problems({ matrix: [] })).toEqual(['matrix must be a map of keys and lists of values']);
    expect(await problems({ matrix: { release: ['a'], exclude: 5 } })).toEqual([
      'matrix.exclude must be a list of combinations',
    ]);
  });

  test('has at most 200 combinations, and a large one is not made first', async () => {
    const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
    const parameters = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, { type: 'integer' }]));
    expect(
      await compose({ parameters: { a: { type: 'integer' } }, matrix: { a: numbers(200) } }),
    ).toHaveLength(200);
    expect(await problems({ parameters: { a: { type: 'integer' } }, matrix: { a: numbers(201) } })).toEqual([
      'matrix has 201 combinations; at most 200 are built at once',
    ]);
    const matrix = Object.fromEntries(Object.keys(parameters).map((name) => [name, numbers(1000)]));
    expect(await problems({ parameters, matrix })).toEqual([
      'matrix has 1000000000000 combinations; at most 200 are built at once',
    ]);
  });

  test('a mistake that every build has is told once', async () => {
    expect(await problems({ matrix: { release: ['a', 'b'] }, hostname: '${x}' })).toHaveLength(1);
  });
});
