import type { ChoiceState } from './definition.ts';
import { StatesError } from './errors.ts';
import { fieldOf, isBoolean, leave, type Transition, type Visit } from './visit.ts';

/**
 * The first rule whose Condition holds. A rule has its own Assign and Output; the state's are for the Default only.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
 */
export async function choice(visit: Visit<ChoiceState>): Promise<Transition> {
  const { Choices: rules, Default: fallback } = visit.state;
  for (const [i, rule] of rules.entries()) {
    if (await fieldOf(visit, `Choices[${i}]/Condition`, rule.Condition, 'boolean', isBoolean)) {
      return leave(visit, {
        by: rule,
        at: `Choices[${i}]/`,
        extra: {},
        otherwise: visit.input,
        next: rule.Next,
      });
    }
  }
  if (fallback === undefined) {
    throw new StatesError(
      'States.NoChoiceMatched',
      'Failed to transition out of the state. The state does not point to a next state.',
    );
  }
  return leave(visit, { by: visit.state, at: '', extra: {}, otherwise: visit.input, next: fallback });
}
