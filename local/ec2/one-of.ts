import { ServiceError } from '../front/service-error.ts';

/** Refuses a value that the API does not list. */
export function checkOneOf(parameter: string, value: string | undefined, legal: readonly string[]): void {
  if (value !== undefined && !legal.includes(value)) {
    throw new ServiceError(
      'InvalidParameterValue',
      `Value (${value}) for parameter ${parameter} is invalid. Valid: ${legal.join(', ')}`,
    );
  }
}
