/**
 * pkg's Lua scripts: the ports framework's keywords (`@sample` and its like) have become Lua. As with shell scripts, a small
 * interpreter of our own runs them on the staged tree, and refuses what it does not know. The functions of the table `pkg` are
 * described in pkg-lua-script(5).
 */
import { luaPattern } from './lua-pattern.ts';
import { type Block, type Expression, parseLua } from './lua-syntax.ts';
import { COMMANDS, type ScriptContext } from './shell-commands.ts';
import { UnknownShell } from './shell-syntax.ts';

type Value = undefined | boolean | number | string | Table | Native | Closure | OpenFile;
type Native = (args: readonly Value[]) => Value;
type Table = Map<string | number, Value>;

interface Closure {
  readonly parameters: readonly string[];
  readonly body: Block;
  readonly scope: Scope;
}

/** What a script is told of its package. */
export interface LuaPackage {
  readonly name: string;
  readonly prefix: string;
}

class OpenFile {
  readonly path: string;
  text: string;

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
  }
}

class Scope {
  readonly #names = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  get(name: string): Value {
    return this.#names.has(name) ? this.#names.get(name) : this.#outer?.get(name);
  }

  declare(name: string, value: Value): void {
    this.#names.set(name, value);
  }

  /** A name that nobody has declared is global. */
  set(name: string, value: Value): void {
    if (this.#names.has(name) || !this.#outer) this.#names.set(name, value);
    else this.#outer.set(name, value);
  }
}

class Returned {
  readonly value: Value;

  constructor(value: Value) {
    this.value = value;
  }
}

const MAX_STEPS = 20_000;
const truthy = (value: Value): boolean => value !== undefined && value !== false;

function text(value: Value, where: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  throw new UnknownShell(`${where} of something that is no text, in Lua`);
}

/** Words of the `-- args:` line that pkg puts in front. */
function argumentsOf(script: string): string[] {
  return (/^\s*-- args: *(.*)$/m.exec(script)?.[1] ?? '').split(/\s+/).filter((word) => word !== '');
}

class Lua {
  readonly #context: ScriptContext;
  #steps = 0;

  constructor(context: ScriptContext) {
    this.#context = context;
  }

  block(block: Block, outer: Scope): Returned | undefined {
    const scope = new Scope(outer);
    for (const statement of block) {
      this.#step();
      switch (statement.kind) {
        case 'assign': {
          const values = statement.values.map((one) => this.#value(one, scope));
          for (const [n, target] of statement.targets.entries()) {
            const value = values[n];
            if (target.kind === 'name') {
              if (statement.local) scope.declare(target.name, value);
              else scope.set(target.name, value);
            } else if (target.kind === 'index') {
              const table = this.#value(target.object, scope);
              if (!(table instanceof Map))
                throw new UnknownShell('an index of something that is no table, in Lua');
              table.set(key(this.#value(target.key, scope)), value);
            }
          }
          break;
        }
        case 'call':
          this.#value(statement.call, scope);
          break;
        case 'do': {
          const result = this.block(statement.body, scope);
          if (result) return result;
          break;
        }
        case 'if': {
          const branch = statement.branches.find(({ test }) => truthy(this.#value(test, scope)));
          const body = branch?.body ?? statement.otherwise;
          const result = body && this.block(body, scope);
          if (result) return result;
          break;
        }
        case 'count': {
          const [from, to, step = 1] = statement.range.map((one) => this.#value(one, scope));
          if (typeof from !== 'number' || typeof to !== 'number' || typeof step !== 'number' || step === 0) {
            throw new UnknownShell('a for without numbers, in Lua');
          }
          for (let n = from; step > 0 ? n <= to : n >= to; n += step) {
            this.#step();
            const inner = new Scope(scope);
            inner.declare(statement.name, n);
            const result = this.block(statement.body, inner);
            if (result) return result;
          }
          break;
        }
        case 'each': {
          const over = this.#value(statement.over, scope);
          if (!(over instanceof Map)) throw new UnknownShell('a for over something that is no table, in Lua');
          for (const [name, value] of Array.from(over)) {
            this.#step();
            const inner = new Scope(scope);
            inner.declare(statement.names[0] ?? '_', name);
            if (statement.names[1] !== undefined) inner.declare(statement.names[1], value);
            const result = this.block(statement.body, inner);
            if (result) return result;
          }
          break;
        }
        case 'return':
          return new Returned(statement.values[0] && this.#value(statement.values[0], scope));
      }
    }
    return undefined;
  }

  #step(): void {
    if (++this.#steps > MAX_STEPS) throw new UnknownShell('a Lua script without an end');
  }

  #value(expression: Expression, scope: Scope): Value {
    this.#step();
    switch (expression.kind) {
      case 'constant':
        return expression.value;
      case 'name':
        return scope.get(expression.name);
      case 'function':
        return { parameters: expression.parameters, body: expression.body, scope };
      case 'table': {
        const table: Table = new Map();
        let next = 1;
        for (const item of expression.items) {
          table.set(
            item.key === undefined ? next++ : key(this.#value(item.key, scope)),
            this.#value(item.value, scope),
          );
        }
        return table;
      }
      case 'index': {
        const object = this.#value(expression.object, scope);
        if (object instanceof Map) return object.get(key(this.#value(expression.key, scope)));
        throw new UnknownShell(`${written(expression)} in Lua`);
      }
      case 'call':
        return this.#call(expression, scope);
      case 'unary': {
        const operand = this.#value(expression.operand, scope);
        if (expression.operator === 'not') return !truthy(operand);
        if (expression.operator === '-' && typeof operand === 'number') return -operand;
        if (expression.operator === '#' && typeof operand === 'string') return operand.length;
        if (expression.operator === '#' && operand instanceof Map) {
          let length = 0;
          while (operand.get(length + 1) !== undefined) length++;
          return length;
        }
        throw new UnknownShell(`${expression.operator} of such a value in Lua`);
      }
      case 'binary':
        return this.#binary(expression, scope);
    }
  }

  #binary({ operator, left, right }: Expression & { kind: 'binary' }, scope: Scope): Value {
    const a = this.#value(left, scope);
    if (operator === 'and') return truthy(a) ? this.#value(right, scope) : a;
    if (operator === 'or') return truthy(a) ? a : this.#value(right, scope);
    const b = this.#value(right, scope);
    if (operator === '==') return a === b;
    if (operator === '~=') return a !== b;
    if (operator === '..') return text(a, '..') + text(b, '..');
    if (typeof a === 'string' && typeof b === 'string' && /^[<>]/.test(operator)) {
      return operator === '<' ? a < b : operator === '>' ? a > b : operator === '<=' ? a <= b : a >= b;
    }
    if (typeof a !== 'number' || typeof b !== 'number')
      throw new UnknownShell(`${operator} of such values in Lua`);
    switch (operator) {
      case '+':
        return a + b;
      case '-':
        return a - b;
      case '*':
        return a * b;
      case '/':
        return a / b;
      case '%':
        return a - Math.floor(a / b) * b;
      case '<':
        return a < b;
      case '>':
        return a > b;
      case '<=':
        return a <= b;
      default:
        return a >= b;
    }
  }

  #call(call: Expression & { kind: 'call' }, scope: Scope): Value {
    const args = call.args.map((one) => this.#value(one, scope));
    const callee = this.#value(call.callee, scope);
    if (call.method !== undefined) return this.#method(callee, call.method, args);
    if (typeof callee === 'function') return callee(args);
    if (typeof callee === 'object' && !(callee instanceof Map) && !(callee instanceof OpenFile)) {
      const inner = new Scope(callee.scope);
      for (const [n, name] of callee.parameters.entries()) inner.declare(name, args[n]);
      return this.block(callee.body, inner)?.value;
    }
    throw new UnknownShell(`the function ${written(call.callee)} of Lua`);
  }

  #method(object: Value, method: string, args: readonly Value[]): Value {
    if (object instanceof OpenFile) {
      if (method === 'close') {
        this.#context.tree.writeText(object.path, object.text);
        return true;
      }
      if (method === 'write') {
        for (const one of args) object.text += text(one, 'write');
        return object;
      }
    } else if (typeof object === 'string') {
      const found = STRINGS[method];
      if (found) return found([object, ...args]);
    }
    throw new UnknownShell(`the method ${method} of Lua`);
  }
}

function key(value: Value): string | number {
  if (typeof value === 'string' || typeof value === 'number') return value;
  throw new UnknownShell('such an index in Lua');
}

/** A name for messages: `pkg.exec`. */
function written(expression: Expression): string {
  if (expression.kind === 'name') return expression.name;
  if (expression.kind === 'index' && expression.key.kind === 'constant') {
    return `${written(expression.object)}.${String(expression.key.value)}`;
  }
  return '(an expression)';
}

const STRINGS: Readonly<Record<string, Native>> = {
  gsub: ([subject, pattern, replacement, ...more]) => {
    if (more.length > 0 || typeof replacement !== 'string') throw new UnknownShell('such a gsub in Lua');
    const source = luaPattern(text(pattern, 'gsub'));
    const by = replacement.replaceAll(/%(.)/g, (_, letter: string) =>
      /\d/.test(letter) ? `\0${letter}` : letter,
    );
    return text(subject, 'gsub').replace(
      new RegExp(source.source, source.source.startsWith('^') ? '' : 'g'),
      (whole: string, ...groups: string[]) =>
        by.replaceAll(/\0(\d)/g, (_, digit: string) =>
          digit === '0' ? whole : (groups[Number(digit) - 1] ?? ''),
        ),
    );
  },
  match: ([subject, pattern]) => {
    const found = luaPattern(text(pattern, 'match')).exec(text(subject, 'match'));
    return found ? (found[1] ?? found[0]) : undefined;
  },
  find: ([subject, pattern, , plain]) => {
    const whole = text(subject, 'find');
    const at = truthy(plain)
      ? whole.indexOf(text(pattern, 'find'))
      : whole.search(luaPattern(text(pattern, 'find')));
    return at < 0 ? undefined : at + 1;
  },
  len: ([subject]) => text(subject, 'len').length,
  lower: ([subject]) => text(subject, 'lower').toLowerCase(),
  upper: ([subject]) => text(subject, 'upper').toUpperCase(),
  sub: ([subject, from, to = -1]) => {
    const whole = text(subject, 'sub');
    if (typeof from !== 'number' || typeof to !== 'number') throw new UnknownShell('such a sub in Lua');
    const start = from < 0 ? Math.max(0, whole.length + from) : Math.max(0, from - 1);
    return whole.slice(start, to < 0 ? whole.length + to + 1 : to);
  },
};

const table = (entries: Readonly<Record<string, Value>>): Table => new Map(Object.entries(entries));

function globals(context: ScriptContext, { prefix, name }: LuaPackage, words: readonly string[]): Scope {
  const { tree } = context;
  const base = prefix.replace(/\/+$/, '');
  const path = (value: Value): string => text(value, 'a path');
  const pkg = table({
    prefixed_path: ([given]) => (path(given).startsWith('/') ? path(given) : `${base}/${path(given)}`),
    stat: ([given]) => {
      const facts = tree.lstat(path(given));
      if (!facts) return undefined;
      return table({
        type: facts.isDirectory() ? 'dir' : facts.isSymbolicLink() ? 'lnk' : 'reg',
        size: facts.size,
      });
    },
    copy: ([from, to]) => {
      const source = path(from);
      if (!tree.stat(source)?.isFile()) throw new UnknownShell(`a copy of ${source}, which is not there`);
      tree.copy(source, path(to), tree.describe(tree.resolve(source, true)) ?? tree.attributes(0o644));
      return 0;
    },
    filecmp: ([one, two]) => {
      if (!tree.stat(path(one))?.isFile() || !tree.stat(path(two))?.isFile()) return 2;
      return tree.readBytes(path(one)).equals(tree.readBytes(path(two))) ? 0 : 1;
    },
    symlink: ([target, at]) => {
      tree.makeLink(path(at), path(target), tree.attributes(0o755));
      return 0;
    },
    readdir: ([given]) => new Map(tree.list(path(given)).map((name, n) => [n + 1, name])),
    print_msg: () => undefined,
    exec: ([command]) => {
      if (!(command instanceof Map)) throw new UnknownShell('pkg.exec without a list');
      const [program = '', ...rest] = [...command.values()].map((one) => text(one, 'pkg.exec'));
      const run = COMMANDS.get(program.replace(/^(\/(?:usr\/)?s?bin)?\//, ''));
      if (!run) throw new UnknownShell(`the command ${program}`);
      return run(context, rest, '').status;
    },
  });
  const scope = new Scope();
  const known: Readonly<Record<string, Value>> = {
    arg: new Map(words.map((word, n) => [n + 1, word])),
    pkg,
    pkg_name: name,
    pkg_prefix: prefix,
    pkg_upgrade: false,
    pkg_rootdir: '/',
    string: table(STRINGS),
    table: table({
      insert: ([list, value]) => {
        if (!(list instanceof Map)) throw new UnknownShell('such an insert in Lua');
        list.set(list.size + 1, value);
        return undefined;
      },
      concat: ([list, separator]) =>
        list instanceof Map
          ? [...list.values()]
              .map((one) => text(one, 'concat'))
              .join(separator === undefined ? '' : text(separator, 'concat'))
          : undefined,
    }),
    io: table({
      open: ([given, mode]) => {
        if (mode !== 'a' && mode !== 'w')
          throw new UnknownShell(`io.open with the mode ${JSON.stringify(mode)}`);
        const place = path(given);
        if (!tree.stat(place)) tree.writeText(place, '', tree.attributes(0o644));
        return new OpenFile(place, mode === 'a' ? tree.readText(place) : '');
      },
    }),
    os: table({
      remove: ([given]) => {
        if (!tree.lstat(path(given))) return undefined;
        tree.remove(path(given));
        return true;
      },
      getenv: () => undefined,
    }),
    assert: ([value]) => {
      if (!truthy(value)) throw new Error('an assertion in Lua failed');
      return value;
    },
    ipairs: ([list]) => list,
    pairs: ([list]) => list,
    print: () => undefined,
    tostring: ([value]) => text(value, 'tostring'),
    tonumber: ([value]) => (value === undefined || Number.isNaN(Number(value)) ? undefined : Number(value)),
    type: ([value]) => (value === undefined ? 'nil' : value instanceof Map ? 'table' : typeof value),
  };
  for (const [name, value] of Object.entries(known)) scope.declare(name, value);
  return scope;
}

/**
 * Runs a script on the tree.
 * @throws UnknownShell when it uses what is not known; the tree is then of no use any more
 */
export function runLua(script: string, of: LuaPackage, context: ScriptContext): void {
  new Lua(context).block(parseLua(script), globals(context, of, argumentsOf(script)));
}
