import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { buildState, parseSlice } from '../../core/build-state.ts';
import { caught } from './caught.ts';

describe('a slice of the state', () => {
  const slice = z.pick(buildState, { worker: true, attached: true });
  const worker = { instanceId: 'i-0a', volumeId: 'vol-0a', zone: 'z', instanceType: 't', launchedAt: 1 };

  test('is what a step declares and no more', () => {
    const state = { worker, attached: { device: '/dev/sdf', at: 2 }, recipe: { name: 'x' } };
    expect(parseSlice(slice, state, 'snapshot')).toEqual({ worker, attached: { device: '/dev/sdf', at: 2 } });
  });

  test('that is wrong is refused with the step and every field', () => {
    const error = caught(() =>
      parseSlice(slice, { worker: { ...worker, instanceId: 'vol-0a', zone: 7 } }, 'snapshot'),
    );
    expect(error.name).toBe('InvalidState');
    for (const word of ['snapshot', 'worker.instanceId', 'worker.zone', 'attached'])
      expect(error.message).toContain(word);
  });
});
