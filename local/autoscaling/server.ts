import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Action, checkMembers } from '../ec2/action.ts';
import { AUTO_SCALING, escapeXml, operationNamed, parseInput, renderOutput } from '../ec2/codec.ts';
import type { Region } from '../ec2/region.ts';
import { bodyOf } from '../front/request.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { autoScalingActions } from './groups.ts';

const NAMESPACE = 'http://autoscaling.amazonaws.com/doc/2011-01-01/';
const BODY_LIMIT_BYTES = 1024 * 1024;

/** Answers Auto Scaling calls (Smithy, "AWS Query protocol"). */
export class AutoScalingServer {
  readonly #region: Region;
  readonly #actions: ReadonlyMap<string, Action>;

  constructor(region: Region) {
    this.#region = region;
    this.#actions = new Map(autoScalingActions(region).map((one) => [one.name, one]));
  }

  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    accessKey: string,
  ): Promise<void> {
    const requestId = randomUUID();
    let status = 200;
    let xml: string;
    try {
      const body = await bodyOf(request, BODY_LIMIT_BYTES);
      const parameters = new URLSearchParams(request.method === 'GET' ? url.search : body.toString('utf8'));
      const name = parameters.get('Action') ?? '';
      const result = await this.#call(name, parameters, accessKey);
      xml = `<${name}Response xmlns="${NAMESPACE}">${result}<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${name}Response>`;
    } catch (error) {
      const known = error instanceof ServiceError;
      if (!known) this.#region.log(`autoscaling: ${error instanceof Error ? error.stack : String(error)}`);
      status = known ? error.statusCode : 500;
      const code = known ? error.name : 'InternalFailure';
      const message = known ? error.message : `local cloud: ${String(error)}`;
      xml = `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>${status < 500 ? 'Sender' : 'Receiver'}</Type><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
    }
    response.writeHead(status, { 'content-type': 'text/xml', 'x-amzn-requestid': requestId });
    response.end(xml);
  }

  async #call(name: string, parameters: URLSearchParams, accessKey: string): Promise<string> {
    const operation = operationNamed(name, AUTO_SCALING);
    if (!operation) {
      throw new ServiceError('InvalidAction', `Could not find operation ${name} for version 2011-01-01`);
    }
    const action = this.#actions.get(name);
    if (!action) throw unsupported(`the Auto Scaling action ${name}`);
    const input = parseInput(operation, parameters);
    checkMembers(action, input);
    const output = await action.run(input as never, { accessKey });
    if (!name.startsWith('Describe')) await this.#region.save();
    return output === undefined ? '' : `<${name}Result>${renderOutput(operation, output)}</${name}Result>`;
  }
}
