/**
 * Command line of the package installer, which installs FreeBSD packages into a staged tree without FreeBSD:
 *
 *   node pkg.mjs install --request FILE --root TREE --spec FILE --cache DIR --list FILE
 *
 * An error is one line on stderr, `pkg: CODE: message; remedy`, and exit 1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PackageError, reason } from './errors.ts';
import { type Installed, install } from './install.ts';
import { parseRequest } from './request.ts';

const USAGE = 'pkg install --request FILE --root TREE --spec FILE --cache DIR --list FILE';

/** Fields between tabs, one package a line; a tab or newline in a field would be a blank. */
function listLine({ manifest, repository, sha256 }: Installed): string {
  const fields = [
    manifest.name,
    manifest.version,
    manifest.origin,
    manifest.abi,
    manifest.licenses.join(','),
    manifest.www,
    repository,
    sha256,
  ];
  return `${fields.map((field) => field.replaceAll(/[\t\r\n]/g, ' ')).join('\t')}\n`;
}

async function run(args: string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { request: text, root: text, spec: text, cache: text, list: text },
  });
  const { request, root, spec, cache, list } = values;
  if (positionals.join() !== 'install' || !request || !root || !spec || !cache || !list) {
    throw new PackageError(
      'PackageFailed',
      'the installer was started with wrong options',
      `usage: ${USAGE}`,
    );
  }
  const installed = await install(parseRequest(readFileSync(request, 'utf8')), {
    root,
    specification: spec,
    cache,
    log: (line) => process.stdout.write(`${line}\n`),
  });
  writeFileSync(list, installed.map(listLine).join(''));
}

run(process.argv.slice(2)).catch((error: unknown) => {
  const line =
    error instanceof PackageError
      ? `${error.code}: ${reason(error.message)}; ${error.remedy}`
      : `PackageFailed: ${reason(error)}; report this as a defect`;
  process.stderr.write(`pkg: ${line}\n`);
  process.exitCode = 1;
});
