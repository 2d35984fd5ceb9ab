import type { BuildDetails, Stage } from '../core/api/schemas.ts';
import { dollars, megabytes, seconds } from './amounts.ts';
import { columns, labelled, listed, paragraph } from './text.ts';

/** What the words for a stage's state are. */
const marks: Readonly<Record<Stage['state'], string>> = {
  waiting: '·',
  running: '▶',
  done: '✔',
  failed: '✖',
  skipped: '–',
};

const expected = (stage: Stage): string =>
  stage.expectedSeconds === null ? '' : `of about ${seconds(stage.expectedSeconds)}`;

const stageRow = (stage: Stage): string[] => [
  `${marks[stage.state]} ${stage.name}`,
  stage.seconds === null ? '' : seconds(stage.seconds),
  stage.state === 'waiting' || stage.state === 'skipped' ? '' : expected(stage),
  megabytes(stage.bytes),
];

/** What a build delivered, where, and what it cost. */
export function resultText({ result, image }: BuildDetails): string[] {
  if (result === null) return [];
  return [
    ...listed('AMI', [
      `${result.imageId}${image === null ? '' : `  ${image.name}`}${result.adopted ? '  (made by an earlier build)' : ''}`,
    ]),
    ...(result.images.length > 1
      ? listed(
          'by region',
          result.images.map(({ region, imageId }) => `${region.padEnd(16)}${imageId}`),
        )
      : []),
    ...listed('snapshot', [result.snapshotId]),
  ];
}

/** Why a build failed, and how to go on. */
export function failureText({ id, failure, console: screen }: BuildDetails): string[] {
  if (failure === null) return [];
  return [
    ...listed('failed', [failure.code]),
    ...failure.message.split('\n').flatMap((line) => paragraph('', line)),
    ...listed(
      'because',
      failure.decisive.map((line) => `│ ${line}`),
    ),
    ...(failure.decisive.length > 0 || screen === null
      ? []
      : listed(
          'console',
          screen.tail.slice(-8).map((line) => `│ ${line}`),
        )),
    ...labelled('evidence', failure.evidence),
    ...labelled('kept', failure.kept),
    ...listed('runbook', [failure.runbook]),
    ...(failure.resumable ? listed('go on', [`foundry resume ${id}`]) : []),
  ];
}

/** Less than a thousandth of any unit is nothing that anybody pays for. */
const amount = (quantity: number): number =>
  quantity < 0.001 ? 0 : quantity < 100 ? Number(quantity.toPrecision(3)) : Math.round(quantity);

/** What a build took and cost, beside what was expected. */
export function receiptText({ receipt }: BuildDetails): string[] {
  const { estimate, prices } = receipt;
  const soFar = receipt.endedAt === null ? ' so far' : '';
  const expectation = estimate === null ? '' : ` (estimated: about ${seconds(estimate.seconds)})`;
  const price = estimate === null ? '' : ` (estimated: ${dollars(estimate.dollars)})`;
  return [
    ...listed('time', [`${seconds(receipt.seconds)}${soFar}${expectation}`]),
    ...listed('price', [
      `${dollars(receipt.dollars)}${soFar}${price}${receipt.monthlyDollars === 0 ? '' : `, and ${dollars(receipt.monthlyDollars)} a month for what stays`}`,
    ]),
    ...listed(
      '',
      columns(
        receipt.lines.map(({ name, quantity, unit, dollars: cost }) => [
          `  ${name}`,
          `${amount(quantity)} ${unit}`,
          dollars(cost),
        ]),
        '',
      ),
    ),
    ...listed('', [
      `list prices of ${prices.region}, ${prices.asOf}${prices.exact ? '' : ' (the region’s own are not known)'}`,
    ]),
  ];
}

/** How a build ended: what is told after following it. */
export const endText = (build: BuildDetails): string[] => [
  `${build.id}: ${build.status.toLowerCase().replace('_', ' ')} after ${seconds(build.seconds)}`,
  ...build.warnings.flatMap((warning) => paragraph('WARNING', warning)),
  ...resultText(build),
  ...failureText(build),
  ...receiptText(build),
];

/** All that is known of a build, without its links, whose queries nobody may mask. */
export const buildText = (build: BuildDetails): string[] => [
  `${build.id}  ${build.status}${build.state === null ? '' : ` (${build.state})`}${build.dryRun ? '  dry run' : ''}`,
  ...(build.image === null
    ? []
    : listed('image', [
        build.image.name,
        `content ${build.image.contentDigest.slice(0, 12)}, road ${build.image.road}`,
      ])),
  ...listed('started', [
    `${build.startedAt}${build.endedAt === null ? `, ${seconds(build.seconds)} ago` : `, ended ${build.endedAt}`}`,
  ]),
  ...build.warnings.flatMap((warning) => paragraph('WARNING', warning)),
  ...listed('stages', columns(build.stages.map(stageRow), '')),
  ...listed(
    'resources',
    columns(
      build.resources.map(({ role, id, region }) => [role, id, region]),
      '',
    ),
  ),
  ...resultText(build),
  ...failureText(build),
  ...receiptText(build),
  ...(build.console === null || build.failure !== null
    ? []
    : listed(
        `console`,
        build.console.tail.slice(-8).map((line) => `│ ${line}`),
      )),
];
