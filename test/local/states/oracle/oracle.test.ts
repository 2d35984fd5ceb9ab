import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildImageCases } from './build-image.ts';
import { CASES } from './cases.ts';
import { DIFFERENCES, NEVER_IN_MOTO, withoutField } from './differences.ts';
import { type Ending, Moto, motoMissing, runOurs } from './engines.ts';

const missing = motoMissing();
if (missing !== undefined) console.warn(`SKIPPED: the oracle for state machines. ${missing}`);

const ASPECTS = ['status', 'output', 'error', 'cause', 'events'] as const;
const all = [...CASES, ...buildImageCases()];

const pick = (ending: Ending, aspects: readonly (keyof Ending)[]) =>
  Object.fromEntries(aspects.map((aspect) => [aspect, ending[aspect]]));

/** What the general differences leave of an ending of ours. */
function comparable({ cause, events, ...rest }: Ending): Ending {
  const kept = withoutField(cause);
  return {
    ...rest,
    ...(kept === undefined ? {} : { cause: kept }),
    events: Object.fromEntries(Object.entries(events).filter(([type]) => !(type in NEVER_IN_MOTO))),
  };
}

describe.skipIf(missing !== undefined)("moto's engine agrees", () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await Moto.start();
  });
  afterAll(() => moto.stop());

  test.concurrent.for(all)('$name', { timeout: 60_000 }, async (oracleCase, { expect: check }) => {
    const [ours, theirs] = await Promise.all([runOurs(oracleCase).then(comparable), moto.run(oracleCase)]);
    const listed = DIFFERENCES[oracleCase.name];
    const differing = listed?.in ?? [];
    const same = ASPECTS.filter((aspect) => !differing.includes(aspect));
    check(pick(ours, same)).toEqual(pick(theirs, same));
    check(Object.keys(theirs.events).filter((type) => type in NEVER_IN_MOTO)).toEqual([]);
    // A listed difference that is no more has to leave the list; what each side says is pinned, so that it cannot drift.
    for (const aspect of differing) check(ours[aspect]).not.toEqual(theirs[aspect]);
    if (listed !== undefined) {
      check(pick(ours, differing)).toMatchObject(listed.ours);
      check(pick(theirs, differing)).toMatchObject(listed.moto);
    }
  });

  test('every listed difference has its case, and every case a name of its own', () => {
    const names = all.map(({ name }) => name);
    expect(Object.keys(DIFFERENCES).filter((name) => !names.includes(name))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });
});
