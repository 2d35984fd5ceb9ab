import { describe, expect, test } from 'vitest';
import { waitForImage, waitForImageStep } from '../../functions/steps/wait-for-image.ts';
import { rejected } from '../core/caught.ts';
import { account, imageSpec, madeOfWindows, plan, windowsPlan } from './builds.ts';

type State = Parameters<ReturnType<typeof waitForImage>>[0];

const MINUTE = 60_000;

let fake = account();
let state: State;

/** One look, with the state handed on as the state machine does. */
const look = async (): Promise<State> => {
  const output = await waitForImage(fake)(state);
  expect(waitForImageStep.output.safeParse(output).error).toBeUndefined();
  state = { ...state, ...output };
  return state;
};

/** Looks every eight seconds until it is ready or fails. */
const poll = async (): Promise<State> => {
  for (let looks = 0; looks < 20_000; looks++) {
    if ((await look()).waiting?.ready) return state;
    fake.time += 8_000;
  }
  throw new Error('never ready');
};

const minutes = (since: number) => (fake.time - since) / MINUTE;

const someVolume = async () =>
  (await fake.volumes.create({ clientToken: 'v', zone: 'eu-central-1a', sizeGiB: 12, tags: {} })).volumeId;

describe('waiting for the image', () => {
  const registered = () => {
    fake = account();
    const held = fake.holdImage(imageSpec('snap-0123456789abcdef0'));
    const image = { imageId: held.imageId, registeredAt: fake.time };
    state = { plan, snapshot: { snapshotId: 'snap-0123456789abcdef0', startedAt: fake.time }, image };
    return held;
  };

  test('is ready when it is available and has every property that was asked for', async () => {
    const held = registered();
    expect((await look()).waiting).toMatchObject({ ready: false, seen: 'pending' });
    held.state = 'available';
    expect((await look()).waiting?.ready).toBe(true);
  });

  test.each([
    ['BootMode', 'legacy-bios'],
    ['ImdsSupport', undefined],
    ['Architecture', 'i386'],
    ['Ebs.SnapshotId', 'snap-0f'],
    ['Ebs.VolumeSize', '8'],
    ['EnaSupport', 'false'],
  ])('is ImageMismatch when %s is %s', async (property, value) => {
    const held = registered();
    const { [property]: was, ...others } = held.properties;
    Object.assign(held, {
      state: 'available',
      properties: value === undefined ? others : { ...others, [property]: value },
    });
    const error = await rejected(look());
    expect(error.name).toBe('ImageMismatch');
    expect(error.message).toContain(`- ${property} is ${value ?? 'absent'}, not ${was}`);
  });

  test.each([
    ['UsageOperation', 'RunInstances:0002'],
    ['Platform', 'windows'],
    ['PlatformDetails', 'Windows'],
  ])('is ImageMismatch when it is billed as Windows by its %s', async (property, value) => {
    const held = registered();
    Object.assign(held, { state: 'available', properties: { ...held.properties, [property]: value } });
    expect((await rejected(look())).message).toContain(`- ${property} is ${value}, not `);
  });

  const KEY = 'arn:aws:kms:eu-central-1:123456789012:key/0a1b';
  test.each([
    [{ kmsKeyId: '0a1b' }, KEY, 'true', undefined],
    [{ kmsKeyId: KEY }, KEY, 'true', undefined],
    [{ kmsKeyId: 'alias/images' }, KEY, 'true', undefined],
    [{ kmsKeyId: null }, KEY, 'true', undefined],
    [{ kmsKeyId: 'cccc' }, KEY, 'true', /- KmsKeyId of snap-\w+ is arn:.*0a1b, not cccc/],
    [{ kmsKeyId: null }, undefined, 'false', /- Ebs\.Encrypted is false, not true/],
    [null, KEY, 'true', undefined],
  ] as const)(
    'with encryption %j, key %s and Encrypted %s',
    async (encryption, kmsKeyId, encrypted, says) => {
      const held = registered();
      Object.assign(held, {
        state: 'available',
        properties: { ...held.properties, 'Ebs.Encrypted': encrypted },
      });
      const { snapshotId } = await fake.snapshots.create(await someVolume(), 'x', {});
      const snapshot = fake.heldSnapshots.get(snapshotId);
      if (snapshot) snapshot.kmsKeyId = kmsKeyId;
      Object.assign(held, { properties: { ...held.properties, 'Ebs.SnapshotId': snapshotId } });
      state = { ...state, snapshot: { snapshotId, startedAt: 1 }, plan: { ...plan, encryption } };
      if (says === undefined) expect((await look()).waiting?.ready).toBe(true);
      else expect((await rejected(look())).message).toMatch(says);
    },
  );

  test.each(['failed', 'error', 'invalid', 'deregistered', 'disabled'])(
    'ends when it is %s',
    async (imageState) => {
      Object.assign(registered(), { state: imageState, stateReason: 'because' });
      const error = await rejected(look());
      expect(error.name).toBe('ImageFailed');
      expect(error.message).toContain(`went to ${imageState}: because`);
    },
  );

  test('ends after a quarter of an hour', async () => {
    registered();
    const since = fake.time;
    expect((await rejected(poll())).name).toBe('WaitTimedOut');
    expect(minutes(since)).toBeGreaterThan(15);
    expect(minutes(since)).toBeLessThan(15.2);
  });
});

describe('waiting for the image of the windows road', () => {
  const created = async () => {
    const { windows, image, held, ...rest } = await madeOfWindows();
    fake = rest.fake;
    state = { plan: windowsPlan, snapshot: { snapshotId: windows.snapshotId, startedAt: 1 }, image };
    return { held, windows };
  };

  test('is ready when it is billed as Windows and requires IMDSv2, and delivers its own snapshot', async () => {
    const { held, windows } = await created();
    expect((await look()).waiting).toMatchObject({ ready: false, seen: 'pending' });
    fake.settle();
    expect((await look()).waiting).toMatchObject({ ready: false, seen: 'available, but for IMDSv2' });
    expect(held.properties.ImdsSupport).toBe('v2.0');
    expect((await look()).waiting?.ready).toBe(true);
    expect(state.snapshot).toEqual({ snapshotId: held.rootSnapshotId, startedAt: fake.time });
    expect(held.rootSnapshotId).not.toBe(windows.snapshotId);
  });

  test('leaves IMDS as it is when the recipe does', async () => {
    const { held } = await created();
    const { image } = windowsPlan;
    state = { ...state, plan: { ...windowsPlan, image: { ...image, imdsV2Only: false } } };
    fake.settle();
    expect((await look()).waiting?.ready).toBe(true);
    expect(held.properties).not.toHaveProperty('ImdsSupport');
  });

  test.each([
    ['UsageOperation', 'RunInstances'],
    ['UsageOperation', 'RunInstances:0006'],
    ['PlatformDetails', 'Linux/UNIX'],
    ['Platform', undefined],
  ])('is ImageNotWindows when its %s is %s', async (property, value) => {
    const { held } = await created();
    const { [property]: was, ...others } = held.properties;
    held.properties = value === undefined ? others : { ...others, [property]: value };
    fake.settle();
    const error = await rejected(look());
    expect(error.name).toBe('ImageNotWindows');
    expect(error.message).toContain(`- ${property} is ${value ?? 'absent'}, not ${was}`);
  });

  test.each([
    ['BootMode', 'uefi'],
    ['Architecture', 'arm64'],
    ['EnaSupport', undefined],
    ['RootDeviceName', 'xvda'],
    ['Ebs.VolumeSize', '30'],
    ['Ebs.DeleteOnTermination', 'false'],
    ['Name', 'another'],
  ])('is ImageMismatch when its %s is %s', async (property, value) => {
    const { held } = await created();
    const { [property]: _was, ...others } = held.properties;
    held.properties = value === undefined ? others : { ...others, [property]: value };
    fake.settle();
    await look();
    const error = await rejected(look());
    expect(error.name).toBe('ImageMismatch');
    expect(error.message).toContain(`- ${property} is ${value ?? 'absent'}, not `);
  });

  test('takes BIOS in so many words for what Windows does not say', async () => {
    const { held } = await created();
    held.properties = { ...held.properties, BootMode: 'legacy-bios' };
    fake.settle();
    await look();
    expect((await look()).waiting?.ready).toBe(true);
  });

  test('is given the two hours that a snapshot is given', async () => {
    await created();
    const since = fake.time;
    expect((await rejected(poll())).name).toBe('WaitTimedOut');
    expect(minutes(since)).toBeGreaterThan(120);
  });
});
