// Makes foundry.svg anew: records a real build on this machine's local cloud with script(1) and draws it with svg-term-cli.
// Run it from the root of the repository: node docs/pictures/record.ts
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const COLUMNS = 92;
const ROWS = 34;
/** Seconds: what is drawn at once, and the longest that nothing happens in the picture. */
const FRAME = 0.4;
const STILL = 1.5;
const LAST_PAUSE = 6;

const root = fileURLToPath(new URL('../../', import.meta.url));
const scratch = `${root}.state/recording`;
const picture = `${root}docs/pictures/foundry.svg`;

/** What is typed, and what it does. */
const commands = ['foundry cloud up', 'foundry build --local examples/demo.yaml'];

/** Ends this program with what a command says when it fails. */
function run(command: string, args: readonly string[], input?: string): void {
  const { status } = spawnSync(command, args, {
    cwd: root,
    input,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

run('mkdir', ['-p', scratch]);
rmSync(`${root}.state/cloud`, { recursive: true, force: true });
run('npm', ['install', '--silent', '--no-fund', '--no-audit', '--prefix', scratch, 'svg-term-cli@2.1.1']);

const scene = `${scratch}/scene.sh`;
const foundry = `${process.execPath} ${root}cli/main.ts`;
writeFileSync(
  scene,
  [
    'set -eu',
    `stty cols ${COLUMNS} rows ${ROWS}`,
    `foundry() { ${foundry} "$@"; }`,
    // A prompt, and a hand that types.
    "type_out() { printf '\\033[1;34m$\\033[0m '; printf '%s' \"$1\" | while IFS= read -r -n 1 letter; do printf '%s' \"$letter\"; sleep 0.05; done; printf '\\r\\n'; sleep 0.5; }",
    ...commands.flatMap((command) => [`type_out '${command}'`, command]),
    '',
  ].join('\n'),
);
try {
  run('script', [
    '--quiet',
    '--return',
    '--log-out',
    `${scratch}/output`,
    '--log-timing',
    `${scratch}/timing`,
    '--command',
    `bash ${scene}`,
  ]);
} finally {
  run(process.execPath, [`${root}cli/main.ts`, 'cloud', 'down']);
}

/** Where this repository lies is nobody's business. */
const shown = (output: Buffer) => output.toString('utf8').replaceAll(root, './');

/** script(1)'s own lines at begin and end are no output; the timing is a delay and a count of bytes to a line. */
const bytes = readFileSync(`${scratch}/output`);
let offset = bytes.indexOf('\n') + 1;
let time = 0;
const frames: [number, 'o', string][] = [];
let pending = Buffer.alloc(0);
let drawn = 0;
for (const line of readFileSync(`${scratch}/timing`, 'utf8').trim().split('\n')) {
  const [delay = 0, count = 0] = line.replace(/^O /, '').split(' ').map(Number);
  time += Math.min(delay, STILL);
  if (time - drawn >= FRAME && pending.length > 0) {
    frames.push([drawn, 'o', shown(pending)]);
    pending = Buffer.alloc(0);
    drawn = time;
  }
  pending = Buffer.concat([pending, bytes.subarray(offset, offset + count)]);
  offset += count;
}
frames.push([time, 'o', shown(pending)], [time + LAST_PAUSE, 'o', '']);

// The version of the format that svg-term reads.
const cast = [{ version: 2, width: COLUMNS, height: ROWS }, ...frames]
  .map((each) => JSON.stringify(each))
  .join('\n');
run(`${scratch}/node_modules/.bin/svg-term`, ['--out', picture, '--no-cursor', '--window'], `${cast}\n`);
console.log(`${picture}: ${Math.round(statSync(picture).size / 1000)} kB`);
