/**
 * Makes the account databases of FreeBSD from its account file, as pwd_mkdb(8) -p does:
 *
 *   node pwd-mkdb.mjs --directory TREE/etc
 *
 * Owners, modes and times are the caller's business; spwd.db is never readable to others. An error is one line on stderr,
 * `pwd-mkdb: CODE: message; remedy`, and exit 1; the files are then as they were.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { accountDatabases } from './account-databases.ts';
import { ImageError, reason, runProgram } from './errors.ts';

function run(args: readonly string[]): void {
  const [option, directory, ...rest] = args;
  if (option !== '--directory' || directory === undefined || directory === '' || rest.length > 0) {
    throw new ImageError('Usage', 'one option is wanted', 'usage: pwd-mkdb --directory DIRECTORY');
  }
  let content: Buffer;
  try {
    content = readFileSync(`${directory}/master.passwd`);
  } catch (error) {
    throw new ImageError(
      'AccountInvalid',
      `master.passwd cannot be read: ${reason(error)}`,
      'the image needs the base system, whose account file it is',
      error,
    );
  }
  const files = Object.entries(accountDatabases(content));
  // New files in the place of the old names, so that a link is replaced and never followed.
  for (const [name, bytes] of files) {
    rmSync(`${directory}/${name}.tmp`, { force: true });
    writeFileSync(`${directory}/${name}.tmp`, bytes, {
      flag: 'wx',
      mode: name === 'spwd.db' ? 0o600 : 0o644,
    });
  }
  for (const [name] of files) renameSync(`${directory}/${name}.tmp`, `${directory}/${name}`);
}

runProgram('pwd-mkdb', run);
