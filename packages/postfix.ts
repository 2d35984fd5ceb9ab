/**
 * What Postfix's own script `post-install` does in a new installation when it is asked to `set-permissions` or `upgrade-package`: it
 * gives the files and directories that its list `postfix-files` names the owners and modes that stand there. The list's format is
 * described in its own head: NAME:TYPE:OWNER:GROUP:MODE:FLAGS, with parameters of main.cf in it.
 */
import type { CommandResult, ScriptContext } from './shell-commands.ts';
import { UnknownShell } from './shell-syntax.ts';

/** postconf(5): those parameters that paths and owners of the list are made of, as FreeBSD's port sets them. */
const DEFAULTS: Readonly<Record<string, string>> = {
  config_directory: '/usr/local/etc/postfix',
  meta_directory: '/usr/local/libexec/postfix',
  daemon_directory: '/usr/local/libexec/postfix',
  shlib_directory: '/usr/local/lib/postfix',
  command_directory: '/usr/local/sbin',
  queue_directory: '/var/spool/postfix',
  data_directory: '/var/db/postfix',
  sendmail_path: '/usr/local/sbin/sendmail',
  newaliases_path: '/usr/local/bin/newaliases',
  mailq_path: '/usr/local/bin/mailq',
  manpage_directory: '/usr/local/share/man',
  html_directory: 'no',
  readme_directory: 'no',
  sample_directory: '/usr/local/etc/postfix',
  mail_owner: 'postfix',
  setgid_group: 'maildrop',
};

/** `name = value`; a line that begins with a blank goes on with the one before. */
function parameters(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const joined = text.replaceAll(/^#.*\n/gm, '').replaceAll(/\n[ \t]+/g, ' ');
  for (const line of joined.split('\n')) {
    const match = /^(\w+)\s*=\s*(.*)$/.exec(line.trim());
    if (match) found.set(match[1] ?? '', match[2] ?? '');
  }
  return found;
}

/** @throws UnknownShell when the list or a word of the command is not understood */
export function postfixPostInstall({ tree }: ScriptContext, words: readonly string[]): CommandResult {
  const given = new Map<string, string>();
  const verbs: string[] = [];
  for (const word of words.slice(1)) {
    const match = /^(\w+)=(.*)$/.exec(word);
    if (match) given.set(match[1] ?? '', match[2] ?? '');
    else verbs.push(word);
  }
  if (verbs.join() !== 'upgrade-package' && verbs.join() !== 'set-permissions') {
    throw new UnknownShell(`Postfix's post-install ${verbs.join(' ')}`);
  }
  const directory = given.get('config_directory') ?? DEFAULTS.config_directory ?? '';
  const settings = tree.stat(`${directory}/main.cf`)
    ? parameters(tree.readText(`${directory}/main.cf`))
    : new Map<string, string>();
  const expand = (text: string, depth = 0): string => {
    if (depth > 10) throw new UnknownShell(`the setting ${text} of Postfix`);
    return text.replaceAll(/\$\{?(\w+)\}?/g, (_, name: string) => {
      const value = given.get(name) ?? settings.get(name) ?? DEFAULTS[name];
      if (value === undefined) throw new UnknownShell(`the setting ${name} of Postfix`);
      return expand(value, depth + 1);
    });
  };
  const list = `${expand('$meta_directory')}/postfix-files`;
  if (!tree.stat(list)?.isFile()) throw new UnknownShell(`Postfix's list ${list}, which is not there`);
  for (const line of tree.readText(list).split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue;
    const fields = line.split(':').map((field) => field.trim());
    const [name = '', type = '', owner = '', group = '', mode = '', flags = ''] = fields;
    const path = expand(name);
    // no: this system has no such files. o: obsolete. Links are the package's own.
    if (path === 'no' || path.startsWith('no/') || flags.includes('o') || type === 'l' || type === 'h')
      continue;
    if ((type !== 'd' && type !== 'f' && type !== 'p') || !path.startsWith('/')) {
      throw new UnknownShell(`the line ${JSON.stringify(line)} of ${list}`);
    }
    const user = expand(owner);
    const changes = {
      owner: user === 'root' ? 0 : user,
      ...(group === '-' ? {} : { group: expand(group) }),
      mode: Number.parseInt(mode, 8),
    };
    if (!Number.isInteger(changes.mode)) throw new UnknownShell(`the mode ${mode} in ${list}`);
    if (tree.stat(path)) {
      const real = tree.resolve(path, true);
      // What the package did not put under these rules keeps its times.
      if (tree.describe(real)) tree.change(real, changes);
    } else if (type === 'd' && /[cru]/.test(flags)) {
      tree.makeDirectory(path, { ...tree.attributes(changes.mode), ...changes });
    }
  }
  return { status: 0, output: '' };
}
