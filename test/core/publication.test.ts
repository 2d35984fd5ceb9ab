import { expect, test } from 'vitest';
import { flipStages, type Journal, undoStages } from '../../core/publication.ts';

const journal: Journal = {
  version: 1,
  build: 'demo',
  execution: '2026-11-26T12:00:00.000Z',
  at: '2026-11-26T12:00:00.000Z',
  begun: true,
  share: ['all'],
  deprecateAt: '2027-11-26T12:00:00.000Z',
  parameters: ['/company/demo/0123456789ab', '/company/demo/latest'],
  regions: ['us-east-1', 'eu-west-1'].map((region) => ({
    region,
    imageId: 'ami-1',
    before: { permissions: [], deprecatedAt: null, parameters: {} },
  })),
};

const kinds = (stages: readonly (readonly { readonly kind: string }[])[]) =>
  stages.map((stage) => [...new Set(stage.map(({ kind }) => kind))].join());

test('an image is shared before it is named, and named no more before it is withdrawn', () => {
  expect(kinds(flipStages(journal))).toEqual(['share', 'deprecate', 'parameter', 'parameter']);
  // DisableImageDeprecation: not while the image is public.
  expect(kinds(undoStages(journal))).toEqual(['parameter', 'parameter', 'share', 'deprecate']);
});
