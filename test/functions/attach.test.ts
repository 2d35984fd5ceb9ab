import { describe, expect, test } from 'vitest';
import { attach } from '../../functions/steps/attach.ts';
import { launched } from './builds.ts';
import { awsError } from './fake-account.ts';

describe('attach', () => {
  test('attaches the target volume to the worker under a name for data volumes', async () => {
    const { fake, worker, volume } = await launched();
    expect(await attach(fake)({ worker })).toEqual({ attached: { device: '/dev/sdf', at: fake.time } });
    expect(volume.attachedTo).toMatchObject({ instanceId: worker.instanceId, device: '/dev/sdf' });
  });

  test('twice is once', async () => {
    const { fake, worker } = await launched();
    const first = await attach(fake)({ worker });
    expect(await attach(fake)({ worker })).toEqual(first);
    expect(fake.changes.filter((change) => change.startsWith('attach'))).toHaveLength(1);
  });

  test('fails when another instance has the volume', async () => {
    const { fake, worker, volume } = await launched();
    volume.state = 'in-use';
    volume.attachedTo = {
      instanceId: 'i-0f',
      device: '/dev/sdf',
      state: 'attached',
      deleteOnTermination: false,
      attachedAt: 0,
    };
    await expect(attach(fake)({ worker })).rejects.toMatchObject({ name: 'VolumeInUse' });
  });

  test.each(['IncorrectState', 'InvalidVolume.NotFound', 'UnauthorizedOperation'])(
    'lets %s pass untouched: the state machine knows which to retry',
    async (code) => {
      const { fake, worker } = await launched();
      const failure = awsError(code);
      fake.failures.set('volumes.attach', failure);
      await expect(attach(fake)({ worker })).rejects.toBe(failure);
    },
  );
});
