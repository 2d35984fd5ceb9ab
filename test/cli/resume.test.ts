import { describe, expect, test } from 'vitest';
import { resume } from '../../cli/resume.ts';
import { nextAttempt } from '../../core/names.ts';
import type { Builds } from '../../core/ports.ts';
import { rejected } from '../core/caught.ts';
import { foundry } from './run.ts';

const FACTORY = 'arn:aws:states:eu-west-1:123456789012:stateMachine:AmiFoundry-build-image';
const BUILD = 'web-0123456789ab';
const arnOf = (name: string, factory = FACTORY) => `${factory.replace('stateMachine', 'execution')}:${name}`;

/** Step Functions with these builds, name to status. */
const stepFunctions = (builds: Record<string, string>, factories = [FACTORY]): Builds => ({
  factories: async () => factories,
  describe: async (arn) => {
    const status = builds[arn.split(':').at(-1) ?? ''];
    return status === undefined ? undefined : { status, input: '{"recipe":1}', stateMachineArn: FACTORY };
  },
  start: async (factory, name, input) => {
    expect([factory, input]).toEqual([FACTORY, '{"recipe":1}']);
    // StartExecution: the running execution of the same name and input is answered with; a name that has ended is taken.
    if (name in builds && builds[name] !== 'RUNNING') return undefined;
    builds[name] = 'RUNNING';
    return arnOf(name);
  },
});

describe('resume', () => {
  test.each(['FAILED', 'ABORTED', 'TIMED_OUT'])(
    'of a build that is %s starts its next attempt',
    async (status) => {
      const builds = stepFunctions({ [BUILD]: status });
      expect(await resume(builds, BUILD)).toEqual({ build: `${BUILD}-2`, started: true });
      // Asked twice it is the same.
      expect(await resume(builds, arnOf(BUILD))).toEqual({ build: `${BUILD}-2`, started: true });
    },
  );

  test('goes by attempts that have failed too', async () => {
    const builds = stepFunctions({ [BUILD]: 'FAILED', [`${BUILD}-2`]: 'FAILED', [`${BUILD}-3`]: 'ABORTED' });
    expect((await resume(builds, `${BUILD}-2`)).build).toBe(`${BUILD}-4`);
  });

  test('of one that has succeeded starts nothing', async () => {
    expect(await resume(stepFunctions({ [BUILD]: 'SUCCEEDED' }), BUILD)).toEqual({
      build: BUILD,
      started: false,
    });
  });

  test.each<[string, Builds, string, RegExp]>([
    ['BuildRunning', stepFunctions({ [BUILD]: 'RUNNING' }), BUILD, /still running/],
    ['BuildNotFound', stepFunctions({}), BUILD, /there is no build arn:.*:web-0123456789ab/],
    ['BuildNotFound', stepFunctions({}, []), BUILD, /no state machine whose name ends in -build-image/],
    ['BuildNotFound', stepFunctions({}, [FACTORY, `${FACTORY}2`]), BUILD, /several factories/],
  ])('is %s otherwise', async (code, builds, build, says) => {
    const error = await rejected(resume(builds, build));
    expect(error.name).toBe(code);
    expect(error.message).toMatch(says);
  });

  test('needs a build, and says how it is called', async () => {
    const { code, stdout, stderr } = await foundry(['resume'], '/');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain("missing required argument 'build'");
  });
});

test.each([
  ['web-0123456789ab', 'web-0123456789ab-2'],
  ['web-0123456789ab-2', 'web-0123456789ab-3'],
  ['web-0123456789ab-99', 'web-0123456789ab-100'],
  ['by-hand', 'by-hand-2'],
  ['by-hand-2', 'by-hand-3'],
  ['n'.repeat(80), `${'n'.repeat(78)}-2`],
])('the attempt after %s is %s', (name, next) => expect(nextAttempt(name)).toBe(next));
