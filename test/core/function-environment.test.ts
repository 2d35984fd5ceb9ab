import { describe, expect, test } from 'vitest';
import { readEnvironment } from '../../core/function-environment.ts';
import { caught } from './caught.ts';

const plan = {
  ARTIFACTS_BUCKET: 'bucket',
  WORKER_IMAGE_PARAMETER: '/ami-foundry/{architecture}',
  WORKER_PLATFORM: 'linux',
  WORKER_INSTANCE_TYPES_AMD64: 'c7i.large, m7i.large',
  WORKER_INSTANCE_TYPES_ARM64: 'c7g.large',
  WORKER_SECONDS: '3600',
  BOOT_TEST_INSTANCE_TYPES_AMD64: 'm6i.large',
  BOOT_TEST_INSTANCE_TYPES_ARM64: 'm7g.large',
  DISTRIBUTION_REGIONS: 'eu-west-1,us-west-2',
  PARAMETER_PREFIX: '/company/',
  WINDOWS_IMAGE_PARAMETER: '/windows',
  WINDOWS_INSTANCE_TYPES: 'm6i.large,m5.large',
};

describe('the environment of a function', () => {
  test('is read with lists and numbers, and without what is not its own', () => {
    expect(readEnvironment('plan', { ...plan, AWS_SECRET_ACCESS_KEY: 'x' })).toEqual({
      ARTIFACTS_BUCKET: 'bucket',
      WORKER_IMAGE_PARAMETER: '/ami-foundry/{architecture}',
      WORKER_PLATFORM: 'linux',
      WORKER_INSTANCE_TYPES_AMD64: ['c7i.large', 'm7i.large'],
      WORKER_INSTANCE_TYPES_ARM64: ['c7g.large'],
      WORKER_SECONDS: 3600,
      BOOT_TEST_INSTANCE_TYPES_AMD64: ['m6i.large'],
      BOOT_TEST_INSTANCE_TYPES_ARM64: ['m7g.large'],
      DISTRIBUTION_REGIONS: ['eu-west-1', 'us-west-2'],
      PARAMETER_PREFIX: '/company/',
      WINDOWS_IMAGE_PARAMETER: '/windows',
      WINDOWS_INSTANCE_TYPES: ['m6i.large', 'm5.large'],
    });
  });

  test('that lacks settings is refused with every one of them, and shows no value', () => {
    const error = caught(() =>
      readEnvironment('plan', { WORKER_SECONDS: 'soon', AWS_SECRET_ACCESS_KEY: 'hush' }),
    );
    expect(error.name).toBe('ConfigurationError');
    const { DISTRIBUTION_REGIONS: _optional, ...needed } = plan;
    for (const variable of Object.keys(needed)) expect(error.message).toContain(variable);
    expect(error.message).not.toContain('hush');
  });

  test.each([
    ['WORKER_SECONDS', ''],
    ['WORKER_SECONDS', '0'],
    ['WORKER_SECONDS', '-5'],
    ['WORKER_SECONDS', '1.5'],
    ['WORKER_IMAGE_PARAMETER', 'ami-0123'],
    ['WORKER_INSTANCE_TYPES_AMD64', ''],
    ['WORKER_INSTANCE_TYPES_AMD64', 'c7i.large,,m7i.large'],
    ['ARTIFACTS_BUCKET', ''],
  ])('%s=%j is refused by its name', (variable, value) => {
    const error = caught(() => readEnvironment('plan', { ...plan, [variable]: value }));
    expect(error.name).toBe('ConfigurationError');
    expect(error.message).toContain(variable);
  });

  test('of the reaper: a number, a yes or no, and a state machine of any partition', () => {
    const reaper = {
      ARTIFACTS_BUCKET: 'artifacts',
      STATE_MACHINE_ARN: 'arn:aws-cn:states:cn-north-1:123456789012:stateMachine:build-image',
      MATRIX_STATE_MACHINE_ARN: 'arn:aws-cn:states:cn-north-1:123456789012:stateMachine:build-matrix',
      RESUMABLE_HOURS: '24',
      GRACE_SECONDS: '600',
      DRY_RUN: 'yes',
    };
    expect(readEnvironment('reaper', reaper)).toEqual({
      ...reaper,
      RESUMABLE_HOURS: 24,
      GRACE_SECONDS: 600,
      DRY_RUN: true,
    });
    for (const wrong of [
      { DRY_RUN: '' },
      { DRY_RUN: 'true' },
      { GRACE_SECONDS: '' },
      { GRACE_SECONDS: '-1' },
      { STATE_MACHINE_ARN: 'arn:aws:states:eu-west-1:123456789012:execution:build-image:x' },
    ]) {
      expect(caught(() => readEnvironment('reaper', { ...reaper, ...wrong })).message).toContain(
        Object.keys(wrong)[0],
      );
    }
  });
});
