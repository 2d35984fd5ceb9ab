/** The package comes without types. */
declare module 'asl-validator' {
  interface Verdict {
    readonly isValid: boolean;
    errorsText(this: void): string;
  }
  export default function validate(definition: unknown): Verdict;
}
