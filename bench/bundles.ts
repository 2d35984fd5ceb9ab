// Size and import time of every function's bundle. Limits: 300 kB minified, plan 400, reaper 340, retention 340, notify 340, watch-releases 400; 60 ms above a blank handler (medians of one run).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SIZE_LIMIT_KILOBYTES = 300;
const LARGER_LIMITS_KILOBYTES: Readonly<Record<string, number>> = {
  /** It alone carries the recipe's schema and every text of an image. */
  plan: 400,
  /** It alone speaks to every service that a build leaves something in, and nobody waits for it. */
  reaper: 340,
  /** Recipes, EC2 and Step Functions; nobody waits for it. */
  'watch-releases': 400,
  /** Likewise: EC2 and Auto Scaling, region by region. */
  retention: 340,
  /** It alone speaks SMTP: nodemailer is 200 kB, and nobody waits for it. */
  notify: 340,
};
const IMPORT_LIMIT_MILLISECONDS = 60;
const RUNS = 15;

const dist = new URL('../dist/functions/', import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), 'bundles-'));
const blank = join(scratch, 'index.mjs');
writeFileSync(blank, 'export const handler = async () => ({});\n');

const environment = {
  PATH: process.env.PATH,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'bench',
  AWS_SECRET_ACCESS_KEY: 'bench',
  ARTIFACTS_BUCKET: 'bench',
  WORKER_IMAGE_PARAMETER: '/bench',
  WORKER_INSTANCE_TYPES_AMD64: 'm6i.large',
  WORKER_INSTANCE_TYPES_ARM64: 'm7g.large',
  BOOT_TEST_INSTANCE_TYPES_AMD64: 'm6i.large',
  BOOT_TEST_INSTANCE_TYPES_ARM64: 'm7g.large',
  DISTRIBUTION_REGIONS: 'eu-west-1,us-west-2',
  PARAMETER_PREFIX: '/company/',
  WINDOWS_IMAGE_PARAMETER: '/windows',
  WINDOWS_INSTANCE_TYPES: 'm6i.large',
  WORKER_PLATFORM: 'freebsd',
  WORKER_SECONDS: '60',
  SUBNET_IDS: 'subnet-1',
  SECURITY_GROUP_ID: 'sg-1',
  PAYLOAD_BUCKET: 'bench',
  PAYLOAD_KEY: 'bench',
  PAYLOAD_SHA256: '0'.repeat(64),
  STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:bench',
  GRACE_SECONDS: '600',
  DRY_RUN: 'no',
  RESUMABLE_HOURS: '24',
  QUARANTINE_DAYS: '14',
  RETENTION_FUNCTION: 'bench',
};

/** Milliseconds that a fresh process takes to import a module. */
function importTime(file: string): number {
  const code = `const t=performance.now();await import(${JSON.stringify(file)});console.log(performance.now()-t)`;
  return Number(execFileSync('node', ['--input-type=module', '-e', code], { env: environment }));
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const functions = readdirSync(dist).map((name) => ({ name, file: join(dist, name, 'index.mjs') }));
const subjects = [{ name: '(blank)', file: blank }, ...functions];
const times = new Map<string, number[]>(subjects.map(({ name }) => [name, []]));
// Interleaved, so that a busy moment of the machine hits all alike.
for (let run = 0; run < RUNS; run++) {
  for (const { name, file } of subjects) times.get(name)?.push(importTime(file));
}
const base = median(times.get('(blank)') ?? []);
let failed = false;
console.log('function      kB   import ms above a blank handler');
for (const { name, file } of functions) {
  const kilobytes = statSync(file).size / 1000;
  const above = median(times.get(name) ?? []) - base;
  const limit = LARGER_LIMITS_KILOBYTES[name] ?? SIZE_LIMIT_KILOBYTES;
  const bad = kilobytes > limit || above > IMPORT_LIMIT_MILLISECONDS;
  failed ||= bad;
  console.log(
    `${name.padEnd(10)} ${kilobytes.toFixed(0).padStart(5)} ${above.toFixed(1).padStart(8)}${bad ? '  OVER' : ''}`,
  );
}
rmSync(scratch, { recursive: true });
process.exitCode = failed ? 1 : 0;
