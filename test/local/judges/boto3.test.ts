import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStage, type Stage } from '../stage.ts';
import { haveVenv, judge, program } from './judges.ts';

describe.skipIf(!haveVenv())('boto3 as a judge', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(() => stage.close());

  test('drives every emulated EC2 action, with its own waiters, and agrees', async () => {
    const script = fileURLToPath(new URL('boto3_judge.py', import.meta.url));
    const ended = await judge(stage, program('python'), [script, JSON.stringify(stage.cloud.ec2Actions)]);
    expect(ended.output).not.toMatch(/^(FAILED|Traceback)/m);
    expect(ended.code).toBe(0);
    expect(stage.log).toEqual([]);
  }, 60_000);

  test('writes a snapshot with every EBS direct API, and reads it back', async () => {
    const script = fileURLToPath(new URL('boto3_ebs_judge.py', import.meta.url));
    const ended = await judge(stage, program('python'), [script]);
    expect(ended.output).not.toMatch(/^(FAILED|Traceback)/m);
    expect(ended.code).toBe(0);
    expect(stage.log).toEqual([]);
  }, 60_000);
});
