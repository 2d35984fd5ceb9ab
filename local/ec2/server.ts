import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyOf, type Scope } from '../front/request.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { type Action, checkMembers, dryRun } from './action.ts';
import { escapeXml, operationNamed, parseInput, renderOutput } from './codec.ts';
import type { Consistency } from './consistency.ts';
import { copyActions } from './copies.ts';
import { describeImageActions } from './describe-images.ts';
import { encryptionActions } from './encryption.ts';
import { imageLifetimeActions } from './image-lifetime.ts';
import { imagePermissionActions } from './image-permissions.ts';
import { type ImageParameters, imageReferenceActions } from './image-references.ts';
import { imageActions } from './images.ts';
import { instanceTypeActions } from './instance-types.ts';
import { instanceActions } from './instances.ts';
import { launchTemplateActions } from './launch-templates.ts';
import { networkActions } from './network.ts';
import type { Region } from './region.ts';
import { snapshotPermissionActions } from './snapshot-permissions.ts';
import { snapshotActions } from './snapshots.ts';
import { tagActions } from './tags.ts';
import type { Throttle } from './throttle.ts';
import { volumeActions } from './volumes.ts';

const VERSION = '2016-11-15';
/** User data of 16 KB in base64 and 50 tags fit many times over. */
const BODY_LIMIT_BYTES = 1024 * 1024;

/** Answers EC2 calls: decode, throttle, disturb, act, persist, encode. */
export class Ec2Server {
  readonly #actions: Map<string, Action>;
  readonly #region: Region;
  readonly #throttle: Throttle | undefined;
  readonly #consistency: Consistency;

  constructor(parts: {
    region: Region;
    parameters: ImageParameters;
    throttle: Throttle | undefined;
    consistency: Consistency;
  }) {
    this.#region = parts.region;
    this.#throttle = parts.throttle;
    this.#consistency = parts.consistency;
    const { region } = parts;
    const all = [
      ...instanceActions(region),
      ...volumeActions(region),
      ...snapshotActions(region),
      ...snapshotPermissionActions(region),
      ...encryptionActions(region),
      ...imageActions(region),
      ...describeImageActions(region),
      ...imagePermissionActions(region),
      ...imageLifetimeActions(region),
      ...copyActions(region),
      ...launchTemplateActions(region),
      ...imageReferenceActions(region, parts.parameters),
      ...networkActions(region),
      ...instanceTypeActions(region),
      ...tagActions(region),
    ];
    this.#actions = new Map(all.map((one) => [one.name, one]));
  }

  /** Names of the actions that are emulated. */
  get actionNames(): string[] {
    return [...this.#actions.keys()].sort();
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope): Promise<void> {
    const requestId = randomUUID();
    let status = 200;
    let xml: string;
    try {
      const body = await bodyOf(request, BODY_LIMIT_BYTES);
      const parameters = new URLSearchParams(request.method === 'GET' ? url.search : body.toString('utf8'));
      const name = parameters.get('Action') ?? '';
      const members = await this.#call(name, parameters, scope);
      xml = `<${name}Response xmlns="http://ec2.amazonaws.com/doc/${VERSION}/"><requestId>${requestId}</requestId>${members}</${name}Response>`;
    } catch (error) {
      const known = error instanceof ServiceError;
      if (!known) this.#region.log(`ec2: ${error instanceof Error ? error.stack : String(error)}`);
      status = known ? error.statusCode : 500;
      const code = known ? error.name : 'InternalError';
      const message = known ? error.message : `local cloud: ${String(error)}`;
      xml = `<Response><Errors><Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message></Error></Errors><RequestID>${requestId}</RequestID></Response>`;
    }
    response.writeHead(status, { 'content-type': 'text/xml;charset=UTF-8', 'x-amzn-requestid': requestId });
    response.end(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
  }

  async #call(name: string, parameters: URLSearchParams, scope: Scope): Promise<string> {
    const operation = operationNamed(name);
    if (!operation) {
      throw new ServiceError('InvalidAction', `The action ${name} is not valid for this web service.`);
    }
    if (parameters.get('Version') !== VERSION) {
      throw new ServiceError(
        'InvalidParameterValue',
        `The local cloud speaks version ${VERSION} of the EC2 API, not ${parameters.get('Version')}`,
      );
    }
    const action = this.#actions.get(name);
    if (!action) throw unsupported(`the EC2 action ${name}`);
    const input = parseInput(operation, parameters);
    checkMembers(action, input);
    this.#throttle?.take(name, input);
    if (input.DryRun === true) throw dryRun();
    this.#consistency.check(input);
    const done = await action.run(input as never, { accessKey: scope.accessKey });
    const output = this.#consistency.view(name, input, done as Record<string, unknown> | undefined);
    // What has been answered must survive: the state is on disk before the answer leaves.
    if (!/^(Describe|Get)/.test(name)) await this.#region.save();
    return output === undefined ? '<return>true</return>' : renderOutput(operation, output);
  }
}
