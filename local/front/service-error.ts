/** An error that a service answers on purpose. `name` is the AWS error code. */
export class ServiceError extends Error {
  override readonly name: string;
  readonly statusCode: number;

  constructor(code: string, message: string, statusCode = 400) {
    super(message);
    this.name = code;
    this.statusCode = statusCode;
  }
}

/** What AWS has and this cloud has not. Always loud: a green run must not rest on something ignored. */
export const unsupported = (what: string): ServiceError =>
  new ServiceError('UnsupportedByLocalCloud', `The local cloud does not emulate ${what}.`, 501);
