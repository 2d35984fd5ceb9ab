/** The scripts of a package at the two moments of an installation, and what its triggers would do. */
import { PackageError, reason } from './errors.ts';
import type { ImageTree } from './image-tree.ts';
import { runLua } from './lua-scripts.ts';
import type { Manifest, ScriptName } from './manifest.ts';
import type { ScriptContext } from './shell-commands.ts';
import { runShell } from './shell-run.ts';
import { UnknownShell } from './shell-syntax.ts';
import { members, parseUcl, type Ucl } from './ucl.ts';

function unsupported(what: string, script: string, error: unknown): PackageError {
  return new PackageError(
    'PackageScriptsUnsupported',
    `the ${script} script of ${what} cannot be run on Linux: it uses ${reason(error)}`,
    'build this image on a FreeBSD worker, leave the package out, or let the machine install it at its first boot',
    error,
  );
}

/** Runs what a package wants run before (`pre`) or after (`post`) its files come. */
export function runScripts(manifest: Manifest, moment: 'pre' | 'post', context: ScriptContext): void {
  const what = `${manifest.name}-${manifest.version}`;
  const variables = new Map([
    ['PKG_PREFIX', manifest.prefix],
    // pkg asks nothing in an image either.
    ['ASSUME_ALWAYS_YES', 'yes'],
    ['BATCH', 'yes'],
    ['PKG_NAME', manifest.name],
  ]);
  const scripts: readonly (readonly [ScriptName, string])[] = [
    [`${moment}-install`, ''],
    // The old form: one script for both moments, which are its second argument.
    ['install', moment === 'pre' ? 'PRE-INSTALL' : 'POST-INSTALL'],
  ];
  for (const [name, argument] of scripts) {
    const script = manifest.scripts.get(name);
    if (script === undefined) continue;
    let status: number;
    try {
      status = runShell(script, context, variables, [what, argument || name.toUpperCase()]);
    } catch (error) {
      if (error instanceof UnknownShell) throw unsupported(what, name, error);
      if (error instanceof PackageError) throw error;
      throw new PackageError(
        'PackageFailed',
        `the ${name} script of ${what} failed: ${reason(error)}`,
        'leave the package out',
        error,
      );
    }
    if (status !== 0) {
      throw new PackageError(
        'PackageFailed',
        `the ${name} script of ${what} ended with ${status}`,
        'leave the package out',
      );
    }
  }
  for (const script of manifest.luaScripts.get(`${moment}-install`) ?? []) {
    try {
      runLua(script, manifest, context);
    } catch (error) {
      if (error instanceof UnknownShell) throw unsupported(what, `${moment}-install`, error);
      throw error;
    }
  }
}

const TRIGGER_DIRECTORIES = ['/usr/share/pkg/triggers', '/usr/local/share/pkg/triggers'];

/** Programs that a trigger may start: what becomes of their work here. */
const TRIGGER_PROGRAMS: ReadonlyMap<string, (context: ScriptContext) => void> = new Map([
  ['certctl', (context) => context.rehashCertificates()],
  ['kldxref', (context) => context.indexKernelModules()],
  ['ldconfig', () => {}],
  [
    'makewhatis',
    (context) => context.note('the index of manual pages is left to the weekly run of periodic(8)'),
  ],
] as const);

const list = (value: Ucl | undefined): string[] =>
  Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];

/**
 * Triggers run once after everything, if a directory that they watch was written to. One that would run and is not known
 * is refused like a script.
 * @param directories in which packages have put files, absolute
 */
export function runTriggers(tree: ImageTree, directories: ReadonlySet<string>, context: ScriptContext): void {
  for (const directory of TRIGGER_DIRECTORIES) {
    for (const name of tree.list(directory)) {
      if (!name.endsWith('.ucl')) continue;
      const path = `${directory}/${name}`;
      let facts: ReturnType<typeof members>;
      try {
        facts = members(parseUcl(tree.readText(path)));
      } catch (error) {
        throw triggerUnsupported(path, `it cannot be read: ${reason(error)}`);
      }
      const fires =
        list(facts.path).some((one) => directories.has(one.replace(/(.)\/+$/, '$1'))) ||
        list(facts.path_glob).some((glob) => some(directories, globSource(glob))) ||
        list(facts.path_regexp).some((expression) => some(directories, expression));
      if (!fires) continue;
      const trigger = members(facts.trigger);
      const script = typeof trigger.script === 'string' ? trigger.script : '';
      const programs = [...script.matchAll(/(?:pkg\.exec|os\.execute)\s*\(\s*\{?\s*["']([^"' ]+)/g)].map(
        (match) => match[1] ?? '',
      );
      const calls =
        script.match(
          /\b(?:pkg\.exec|os\.execute|io\.popen|io\.open|os\.remove|os\.rename|pkg\.copy|pkg\.symlink)\b/g,
        ) ?? [];
      if (programs.length === 0 || calls.length !== programs.length) {
        throw triggerUnsupported(path, 'it does more than to start a known program');
      }
      for (const program of programs) {
        const known = TRIGGER_PROGRAMS.get(program.slice(program.lastIndexOf('/') + 1));
        if (!known) throw triggerUnsupported(path, `it starts ${program}`);
        known(context);
      }
    }
  }
}

function triggerUnsupported(path: string, problem: string): PackageError {
  return new PackageError(
    'PackageScriptsUnsupported',
    `the trigger ${path} would run and cannot on Linux: ${problem}`,
    'build this image on a FreeBSD worker, or leave out the packages that it is for',
  );
}

function globSource(glob: string): string {
  return `^${glob.replaceAll(/[$()+.?[\\\]^{|}*]/g, (character) => (character === '*' ? '.*' : character === '?' ? '.' : `\\${character}`))}$`;
}

function some(directories: ReadonlySet<string>, source: string): boolean {
  let expression: RegExp;
  try {
    expression = new RegExp(source);
  } catch {
    // Not an expression that we understand: it may well fit.
    return true;
  }
  for (const directory of directories) if (expression.test(directory)) return true;
  return false;
}
