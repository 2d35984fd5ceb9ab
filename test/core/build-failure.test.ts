import { describe, expect, test } from 'vitest';
import { readFailure } from '../../core/build-failure.ts';
import { FactoryError } from '../../core/errors.ts';
import { noticeOf } from '../../core/notice-text.ts';
import { exampleEvents } from '../../docs/example-events.ts';

const arn = 'arn:aws:states:us-east-1:111122223333:execution:ami-foundry-build-image:web-1';
const salvaged = (...lines: string[]) => `\n\n${lines.join('\n')}`;

describe('why a build failed is read from the cause', () => {
  test('of the factory’s own error, with what Salvage has added', () => {
    const { message } = new FactoryError('SetChecksumMismatch', {
      message: 'phase fetch: base.txz is not what the MANIFEST says\nLast console lines:\na\nb',
      remedy: 'see that the mirror is whole.',
    });
    const cause =
      message +
      salvaged(
        'Evidence: s3://bucket/builds/web-1/failure.json',
        'Kept until 2026-11-27T12:00:00.000Z for the next attempt: ami-1, snap-1',
        `Resume: foundry resume ${arn}`,
      );
    expect(readFailure('SetChecksumMismatch', cause)).toEqual({
      code: 'SetChecksumMismatch',
      message: 'phase fetch: base.txz is not what the MANIFEST says\nLast console lines:\na\nb',
      decisive: 'phase fetch: base.txz is not what the MANIFEST says',
      remedy: 'see that the mirror is whole.',
      runbook: 'docs/runbook.md#setchecksummismatch',
      evidence: ['s3://bucket/builds/web-1/failure.json'],
      kept: ['ami-1', 'snap-1'],
      resume: `foundry resume ${arn}`,
    });
  });

  test('of AWS’s error', () => {
    const cause = `Client.VolumeLimitExceeded: too many (request id 1)${salvaged('Evidence: s3://b/f')}`;
    expect(readFailure('VolumeLimitExceeded', cause)).toMatchObject({
      code: 'VolumeLimitExceeded',
      decisive: 'Client.VolumeLimitExceeded: too many (request id 1)',
      remedy: null,
      runbook: 'docs/runbook.md',
      resume: null,
      kept: [],
    });
  });

  test('of nothing', () => {
    expect(readFailure(undefined, undefined)).toMatchObject({
      code: 'Unknown',
      decisive: 'no cause was given',
    });
  });

  test('a message with empty lines of its own stays whole', () => {
    const cause = `first\n\nEvidently: second${salvaged('Evidence: s3://b/f')}`;
    expect(readFailure('X', cause).message).toBe('first\n\nEvidently: second');
  });
});

test('what a stranger has written makes no header of a mail', () => {
  const { subject } = noticeOf({
    type: 'Build Failed',
    detail: {
      ...exampleEvents['Build Failed'],
      recipe: 'web\r\nBcc: all@example.org',
      decisive: 'x'.repeat(400),
    },
  });
  expect(subject).not.toMatch(/[\r\n]/);
  expect(subject.length).toBeLessThanOrEqual(150);
});
