import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { judge, type Verdict } from '../adapters/signature-v4.ts';

/** The metadata service, SSM and Secrets Manager as an instance sees them, on one port. */
export interface AwsStage {
  readonly url: string;
  readonly role: { name: string; accessKeyId: string; secretAccessKey: string; token: string };
  /** Answers by target and name: a value, or an error. */
  readonly answers: Map<string, Answer>;
  /** Calls whose signature was checked. */
  readonly calls: { target: string; name: string; verdict: Verdict; host: string }[];
  /** Command lines of all processes while a request was under way. */
  readonly commandLines: Set<string>;
  /** How many requests the metadata service refuses from now on. */
  sleepy: number;
  readonly close: () => void;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export const parameter = (value: string): Answer => ({
  status: 200,
  // Keys and values that a careless reader takes for the value.
  body: JSON.stringify({
    Parameter: {
      ARN: 'Value',
      Name: '"Value":"no',
      Version: 1,
      Type: 'SecureString',
      Value: value,
      DataType: 'text',
    },
  }),
});

export const secret = (text: string): Answer => ({
  status: 200,
  body: JSON.stringify({
    Name: 'SecretString',
    VersionStages: ['SecretString'],
    SecretString: text,
    CreatedDate: 1.5e9,
  }),
});

export const refusal = (type: string, message: string): Answer => ({
  status: 400,
  body: JSON.stringify({ __type: type, message }),
});

export async function startAws(): Promise<AwsStage> {
  const role = {
    name: 'image-role',
    accessKeyId: 'ASIAEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    token: `IQoJb3JpZ2luX2VjE${'aB/+'.repeat(200)}==`,
  };
  const session = 'imds-token-AQAEAE==';
  const server = createServer((request, response) => {
    void read(request).then((body) => {
      for (const line of commandLines()) stage.commandLines.add(line);
      const answer = request.url?.startsWith('/latest/') ? metadata(request) : call(request, body);
      response.writeHead(answer.status).end(answer.body);
    });
  });
  const metadata = ({ method, url, headers }: IncomingMessage): Answer => {
    if (stage.sleepy-- > 0) return { status: 503, body: 'not yet' };
    if (method === 'PUT' && url === '/latest/api/token' && headers['x-aws-ec2-metadata-token-ttl-seconds']) {
      return { status: 200, body: session };
    }
    if (headers['x-aws-ec2-metadata-token'] !== session) return { status: 401, body: '' };
    const found = {
      'placement/region': 'eu-west-1',
      'services/domain': 'amazonaws.com',
      'iam/security-credentials/': role.name,
      [`iam/security-credentials/${role.name}`]: JSON.stringify(
        {
          Code: 'Success',
          Type: 'AWS-HMAC',
          AccessKeyId: role.accessKeyId,
          SecretAccessKey: role.secretAccessKey,
          Token: role.token,
        },
        null,
        2,
      ),
    }[(url ?? '').replace('/latest/meta-data/', '')];
    return found === undefined ? { status: 404, body: '' } : { status: 200, body: found };
  };
  const call = (request: IncomingMessage, body: string): Answer => {
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([key, value]) => [key, String(value)]),
    );
    const hash = createHash('sha256').update(body).digest('hex');
    const verdict = judge(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        headers: { ...headers, 'x-amz-content-sha256': hash },
      },
      role.secretAccessKey,
    );
    if (verdict.given !== verdict.computed || headers['x-amz-security-token'] !== role.token) {
      return refusal('InvalidSignatureException', 'The signature does not match.');
    }
    const target = headers['x-amz-target'] ?? '';
    const wanted = JSON.parse(body) as Record<string, unknown>;
    if (target === 'AmazonSSM.GetParameter' && wanted.WithDecryption !== true) {
      return refusal('ValidationException', 'WithDecryption is missing');
    }
    const name = String(wanted.Name ?? wanted.SecretId);
    stage.calls.push({ target, name, verdict, host: headers.host ?? '' });
    return stage.answers.get(`${target} ${name}`) ?? refusal('ParameterNotFound', `${name} is not there`);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stage: AwsStage = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    role,
    answers: new Map(),
    calls: [],
    commandLines: new Set(),
    sleepy: 0,
    close: () => server.close(),
  };
  return stage;
}

async function read(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const part of request) body += String(part);
  return body;
}

function commandLines(): string[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      return [readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ')];
    } catch (error) {
      // It has ended meanwhile.
      if (['ENOENT', 'ESRCH'].includes(String((error as NodeJS.ErrnoException).code))) return [];
      throw error;
    }
  });
}
