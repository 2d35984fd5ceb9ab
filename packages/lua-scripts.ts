/**
 * pkg's Lua scripts. There is no Lua here: the scripts of the ports framework's own keywords are recognised by their text, which
 * is the same in all packages but for its arguments (Keywords/*.ucl of the ports tree). Any other is refused.
 */
import type { ImageTree } from './image-tree.ts';
import { UnknownShell } from './shell-syntax.ts';

/** The text without comments, `local`, kinds of quotes and blanks, so that only what it does is compared. */
function skeleton(script: string): string {
  return script
    .split('\n')
    .filter((line) => !/^\s*--/.test(line))
    .join('\n')
    .replaceAll(/\blocal\s+/g, '')
    .replaceAll("'", '"')
    .replaceAll(/\s+/g, '');
}

/** Words of the `-- args:` line that pkg puts in front. */
function argumentsOf(script: string): string[] {
  return (/^\s*-- args: *(.*)$/m.exec(script)?.[1] ?? '').split(/\s+/).filter((word) => word !== '');
}

const STRIP_SUFFIX = 'string.gsub(sample_file,"%.sample$","")';
const COPY_IF_MISSING = 'ifnotpkg.stat(target_file)thenpkg.copy(sample_file,target_file)end';

/** `@sample FILE` and `@sample FILE TARGET`, with the arguments in the table `arg`. */
const SAMPLES = new Set([
  `sample_file=pkg.prefixed_path(arg[1])ifarg[2]==nilthentarget_file=${STRIP_SUFFIX}elsetarget_file=pkg.prefixed_path(arg[2])end${COPY_IF_MISSING}`,
  `sample_file=pkg.prefixed_path(arg[1])if#arg==2thentarget_file=pkg.prefixed_path(arg[2])elsetarget_file=${STRIP_SUFFIX}end${COPY_IF_MISSING}`,
]);

/** The same with the arguments put into the text. */
const SAMPLE_EXPANDED =
  /^sample_file=pkg\.prefixed_path\("([^"%]+)"\)if"(\d+)"==2thentarget_file=pkg\.prefixed_path\("([^"%]+)"\)elsetarget_file=string\.gsub\(sample_file,"%\.sample\$",""\)endifnotpkg\.stat\(target_file\)thenpkg\.copy\(sample_file,target_file\)end$/;

const TOUCH = 'fori=1,#argdoassert(io.open(pkg.prefixed_path(arg[i]),"a"):close())end';
const MESSAGES = /^(pkg\.print_msg\("[^"]*"\))*$/;

/**
 * Does what a script would do.
 * @throws UnknownShell when it is none of those that are known
 */
export function runLua(script: string, prefix: string, tree: ImageTree): void {
  const absolute = (path: string): string =>
    path.startsWith('/') ? path : `${prefix.replace(/\/$/, '')}/${path}`;
  const words = argumentsOf(script);
  const text = skeleton(script);
  const sample = (from: string, to: string): void => {
    if (tree.stat(to)) return;
    if (!tree.stat(from)?.isFile()) throw new UnknownShell(`a sample of ${from}, which is not there`);
    const entry = tree.describe(tree.resolve(from, true)) ?? tree.attributes(0o644);
    tree.copy(from, to, entry);
  };
  if (SAMPLES.has(text)) {
    const [from, to] = words;
    if (from === undefined) throw new UnknownShell('a sample without a name');
    sample(absolute(from), to === undefined ? absolute(from).replace(/\.sample$/, '') : absolute(to));
    return;
  }
  const expanded = SAMPLE_EXPANDED.exec(text);
  if (expanded) {
    const [, from = '', count, to = ''] = expanded;
    sample(absolute(from), count === '2' ? absolute(to) : absolute(from).replace(/\.sample$/, ''));
    return;
  }
  if (text === TOUCH) {
    for (const word of words)
      if (!tree.stat(absolute(word))) tree.writeText(absolute(word), '', tree.attributes(0o644));
    return;
  }
  if (MESSAGES.test(text)) return;
  throw new UnknownShell(
    `a Lua script that begins ${JSON.stringify(
      script
        .trim()
        .split('\n')
        .find((line) => !/^\s*(--|$)/.test(line))
        ?.trim()
        .slice(0, 60) ?? '',
    )}`,
  );
}
