import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Data made by FreeBSD's own tools; it lies beside the project. */
const FOLDER = fileURLToPath(new URL('../../../shared/reference/freebsd-13.2', import.meta.url));

export function referenceText(name: string): string {
  return readFileSync(`${FOLDER}/${name}`, 'utf8');
}

const unpacked = new Map<string, string>();

/** Path of an unpacked copy of a reference image. */
export function referenceImage(kind: 'newfs' | 'makefs'): string {
  const known = unpacked.get(kind);
  if (known !== undefined) return known;
  const packed = `${FOLDER}/ufs2-${kind}.img.xz`;
  if (!existsSync(packed)) {
    throw new Error(
      `${packed} is missing: the shared folder with the reference data must lie beside the project`,
    );
  }
  const path = `${mkdtempSync(`${tmpdir()}/ufs2-reference-`)}/${kind}.img`;
  writeFileSync(path, execFileSync(judge('xz'), ['-dc', packed], { maxBuffer: 1 << 28 }));
  unpacked.set(kind, path);
  return path;
}

/** Takes the unpacked copies away; for the end of a test file. */
export function removeReferenceImages(): void {
  for (const path of unpacked.values()) rmSync(dirname(path), { recursive: true, force: true });
  unpacked.clear();
}

/** Name of a program that is not ours and judges our images; a missing one fails the test. */
export function judge(program: string): string {
  const found = (process.env.PATH ?? '')
    .split(':')
    .some((folder) => folder !== '' && existsSync(`${folder}/${program}`));
  if (!found) throw new Error(`${program} is not installed: run \`make setup\``);
  return program;
}
