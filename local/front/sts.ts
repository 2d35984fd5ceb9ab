import { randomUUID } from 'node:crypto';
import { escapeXml } from '../ec2/codec.ts';
import type { Service } from './front.ts';
import { bodyOf } from './request.ts';
import { unsupported } from './service-error.ts';

/** GetCallerIdentity, which every guide to the AWS CLI starts with, and no more of STS. */
export const sts =
  (accountId: string, arnOf: (accessKey: string) => string): Service =>
  async (request, response, url, scope) => {
    const body = new URLSearchParams(
      request.method === 'GET' ? url.search : (await bodyOf(request, 65_536)).toString('utf8'),
    );
    if (body.get('Action') !== 'GetCallerIdentity') throw unsupported(`STS's ${body.get('Action')}`);
    response.writeHead(200, { 'content-type': 'text/xml' });
    response.end(
      `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>${escapeXml(arnOf(scope.accessKey))}</Arn><UserId>${escapeXml(scope.accessKey)}</UserId><Account>${accountId}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
    );
  };
