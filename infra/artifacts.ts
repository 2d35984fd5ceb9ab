import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { watchedStarts } from '../core/names.ts';
import { acknowledge } from './acknowledge.ts';

/** A month to look into a failed build; what is worth more is in the image's tags and in the execution's history. */
const BUILD_RECORD_DAYS = 30;

/** What the release watcher started: longer than Step Functions remembers it, for whoever asks in a year. */
const START_RECORD_DAYS = 400;

/** A disk on its way into a snapshot: gigabytes. A build ends within fourteen hours, and may be resumed the day after. */
const PIECE_DAYS = 2;

/** As long as Step Functions remembers what became of its builds (Step Functions quotas). */
const MATRIX_DAYS = 90;

/** Holds each build's job, console log and report under builds/; each image's manifest and SBOM under images/, and subscriptions/, which do not expire. */
export function artifactsBucket(scope: Construct): Bucket {
  const bucket = new Bucket(scope, 'Artifacts', {
    // SSE-S3: a KMS key would have to be open to whoever holds a presigned URL's role, for text that is no secret.
    encryption: BucketEncryption.S3_MANAGED,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    enforceSSL: true,
    // Every object is written once by one build: there are no old versions to keep.
    versioned: false,
    lifecycleRules: [
      { id: 'builds', prefix: 'builds/', expiration: Duration.days(BUILD_RECORD_DAYS) },
      { id: 'matrices', prefix: 'matrices/', expiration: Duration.days(MATRIX_DAYS) },
      { id: 'pieces', prefix: 'pieces/', expiration: Duration.days(PIECE_DAYS) },
      { id: 'started', prefix: watchedStarts, expiration: Duration.days(START_RECORD_DAYS) },
      { id: 'uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
    ],
    // The records of images that live on outlive the stack; of the rest the lifecycle empties the bucket within a month.
    removalPolicy: RemovalPolicy.RETAIN,
  });
  acknowledge(
    bucket,
    'AwsSolutions-S1',
    'Access logs would need a second bucket that never empties. Only three roles of this stack can reach the objects; CloudTrail data events tell who did, for those who want to know.',
  );
  return bucket;
}

export interface WorkerPayload {
  readonly bucketName: string;
  readonly key: string;
  readonly sha256: string;
}

/**
 * The worker's program. It stays where `cdk deploy` uploads assets: a copy in the artifacts bucket would cost a custom resource,
 * that is a Python function and a role with write access, to save one environment variable.
 */
export function workerPayload(scope: Construct): WorkerPayload {
  const path = fileURLToPath(new URL('../dist/worker-payload.tar.gz', import.meta.url));
  if (!existsSync(path)) throw new Error(`${path} does not exist: run "npm run build" first.`);
  const asset = new Asset(scope, 'WorkerPayload', { path });
  return {
    bucketName: asset.s3BucketName,
    key: asset.s3ObjectKey,
    sha256: createHash('sha256').update(readFileSync(path)).digest('hex'),
  };
}
