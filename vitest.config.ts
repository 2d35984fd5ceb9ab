import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files of a minute and more, the longest first: one that begins last is waited for by workers that have nothing to do. Without results of
 * an earlier run vitest goes by size, which says little of tests that wait for machines.
 */
const long = [
  'end-to-end/kill',
  'end-to-end/security',
  'end-to-end/reaper',
  'local/instance-host/worker-machine',
  'end-to-end/boot-test',
  'worker/fetch',
  'end-to-end/demo-image',
  'end-to-end/distribution',
  'end-to-end/ebs-direct',
  'local/states/oracle',
  'local/demo-release/release',
  'worker/',
  'local/judges/',
  'infra/',
  'end-to-end/',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = long.findIndex((name) => moduleId.includes(`/test/${name}`));
      return index < 0 ? long.length : index;
    };
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // End-to-end files start a cloud and build disks, and spend half of their time waiting: three keep two cores busy.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
