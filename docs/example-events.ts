import type { BusEventType, DetailOf } from '../core/events.ts';

const build = 'web-0861ae9e7de4';
const execution = `arn:aws:states:us-east-1:111122223333:execution:ami-foundry-build-image:${build}`;
const started = {
  id: `${build}/2026-11-26T12:00:00.000Z`,
  build,
  execution,
  region: 'us-east-1',
  recipe: 'web',
  startedAt: '2026-11-26T12:00:00.000Z',
};
const ended = {
  ...started,
  id: `${build}/2026-11-26T12:06:41.000Z`,
  endedAt: '2026-11-26T12:06:41.000Z',
  seconds: 401,
  dollars: 0.0147,
  receipt: `builds/${build}/receipt.json`,
};
const regions = { 'us-east-1': 'ami-0c2f3b4a5d6e7f809', 'eu-west-1': 'ami-0a9b8c7d6e5f40312' };
const edition = {
  name: 'web 15.1-RELEASE-arm64 base UFS 0861ae9e7de4',
  line: 'web/15/arm64/base/ufs',
  regions,
};

/** One of each, for docs/events.md; a test holds them to their schemas. */
export const exampleEvents: { readonly [Type in BusEventType]: DetailOf<Type> } = {
  'Build Started': started,
  'Build Succeeded': {
    ...ended,
    monthlyDollars: 0.126,
    imageId: regions['us-east-1'],
    snapshotId: 'snap-0b1c2d3e4f5061728',
    name: edition.name,
    release: '15.1-RELEASE',
    adopted: false,
    held: false,
    regions,
  },
  'Build Failed': {
    ...ended,
    status: 'FAILED',
    code: 'BootPanicked',
    decisive: 'the image on i-0f1e2d3c4b5a69788 (m7g.large) failed to boot: panic: vm_fault failed',
    message: 'the image on i-0f1e2d3c4b5a69788 (m7g.large) failed to boot: panic: vm_fault failed',
    remedy: `read the console kept in the artifacts bucket under builds/${build}/boot/m7g.large.log.`,
    runbook: 'docs/runbook.md#bootpanicked',
    evidence: [`s3://ami-foundry-artifacts/builds/${build}/failure.json`],
    kept: [],
    resume: `foundry resume ${execution}`,
  },
  'Build Aborted': {
    ...ended,
    code: 'ABORTED',
    decisive: 'the execution is ABORTED',
    message: 'the execution is ABORTED',
    remedy: null,
    runbook: 'docs/runbook.md',
    evidence: [],
    kept: [],
    resume: `foundry resume ${execution}`,
  },
  'Image Published': {
    name: edition.name,
    recipe: 'web',
    release: '15.1-RELEASE',
    architecture: 'arm64',
    filesystem: 'ufs',
    flavour: 'base',
    digest: '0861ae9e7de4'.padEnd(64, '0'),
    build,
    publishedAt: '2026-11-26T12:06:40.000Z',
    regions,
    parameters: ['/company/web/0861ae9e7de4', '/company/web/latest'],
  },
  'Image Quarantined': {
    ...edition,
    deletedAfter: '2026-12-10T03:00:00.000Z',
    undo: `echo '{"restore":"${regions['us-east-1']}"}' | aws lambda invoke --region us-east-1 --function-name ami-foundry-retention --payload fileb:///dev/stdin /dev/stdout`,
  },
  'Image Restored': edition,
  'Image Retired': edition,
  'Release Seen': {
    id: '15.1-RELEASE/arm64/5e4d3c2b1a6f/2026-06-12',
    release: '15.1-RELEASE',
    architecture: 'arm64',
    builtOn: '2026-06-12',
    revision: '5e4d3c2b1a6f',
  },
};
