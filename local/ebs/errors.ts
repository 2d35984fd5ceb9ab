import { ServiceError } from '../front/service-error.ts';

/** An error of the EBS direct APIs: code, message and, where its shape has one, a reason (EBS direct APIs, API Reference, "Errors"). */
export class EbsError extends ServiceError {
  readonly reason: string | undefined;

  constructor(code: string, statusCode: number, message: string, reason?: string) {
    super(code, message, statusCode);
    this.reason = reason;
  }
}

type ValidationReason =
  | 'INVALID_CUSTOMER_KEY'
  | 'INVALID_PAGE_TOKEN'
  | 'INVALID_BLOCK_TOKEN'
  | 'INVALID_SNAPSHOT_ID'
  | 'UNRELATED_SNAPSHOTS'
  | 'INVALID_BLOCK'
  | 'INVALID_TAG'
  | 'INVALID_DEPENDENCY_REQUEST'
  | 'INVALID_PARAMETER_VALUE'
  | 'INVALID_VOLUME_SIZE';

/** ValidationException, 400. Which reason goes with which mistake is not documented beyond the reasons' names. */
export const invalid = (reason: ValidationReason, message: string): EbsError =>
  new EbsError('ValidationException', 400, message, reason);

export const snapshotNotFound = (id: string): EbsError =>
  new EbsError(
    'ResourceNotFoundException',
    404,
    `The snapshot '${id}' does not exist.`,
    'SNAPSHOT_NOT_FOUND',
  );

export const throttled = (reason: 'ACCOUNT_THROTTLED' | 'RESOURCE_LEVEL_THROTTLE'): EbsError =>
  new EbsError('RequestThrottledException', 400, 'The request rate is too high.', reason);
