/** The two engines behind one function each: run a case, tell how it ended. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  paginateGetExecutionHistory,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import jsonata from 'jsonata';
import { systemClock } from '../../../../local/clock.ts';
import { ROLE, stage, Troupe } from '../stage.ts';
import type { OracleCase } from './cases.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../../../..');

export interface Ending {
  status: string;
  output?: unknown;
  error?: string;
  cause?: string;
  /** How many events of each type. */
  events: Record<string, number>;
}

/** Waits and pauses of moto's engine, which runs in real time, at this part of their length. */
const TIME_SCALE = 0.001;

const definitionOf = ({ definition }: OracleCase, child: string) =>
  JSON.stringify({ QueryLanguage: 'JSONata', ...definition }).replaceAll('CHILD_ARN', child);

export async function runOurs(oracleCase: OracleCase): Promise<Ending> {
  const { create, run } = stage(oracleCase.script);
  const child = oracleCase.child === undefined ? '' : await create(oracleCase.child);
  const { status, output, error, cause, types } = await run(
    JSON.parse(definitionOf(oracleCase, child)) as object,
    oracleCase.input,
  );
  return ending(status, output, error, cause, types);
}

/** Undefined when moto is there; otherwise why not. */
export function motoMissing(): string | undefined {
  const setup = spawnSync('sh', [join(here, 'setup.sh')], { encoding: 'utf8' });
  return setup.status === 0
    ? undefined
    : `moto 5.2.1 cannot be installed: ${setup.stderr || setup.error?.message}`;
}

export class Moto {
  readonly #process: ChildProcess;
  readonly #helper: Server;
  readonly #sfn: SFNClient;
  readonly #troupes: Map<string, Troupe>;
  #said: string;
  #cases = 0;

  private constructor(process: ChildProcess, helper: Server, port: number, troupes: Map<string, Troupe>) {
    this.#process = process;
    this.#helper = helper;
    this.#troupes = troupes;
    this.#said = '';
    process.stderr?.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
    this.#sfn = new SFNClient({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'oracle', secretAccessKey: 'oracle' },
      disableHostPrefix: true,
    });
  }

  static async start(): Promise<Moto> {
    const troupes = new Map<string, Troupe>();
    const helper = await serve(troupes);
    const { port: helperPort } = helper.address() as AddressInfo;
    const port = await freePort();
    const child = spawn(
      join(root, '.state/venv/bin/python'),
      [join(here, 'moto_states.py'), String(port), `http://127.0.0.1:${helperPort}`, String(TIME_SCALE)],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const moto = new Moto(child, helper, port, troupes);
    for (let attempt = 0; ; attempt++) {
      if (child.exitCode !== null) throw new Error(`moto ended: ${moto.#said}`);
      const answer = await fetch(`http://127.0.0.1:${port}/moto-api/data.json`).catch(() => undefined);
      if (answer?.ok) return moto;
      if (attempt === 200) throw new Error(`moto does not answer: ${moto.#said}`);
      await systemClock.sleep(100);
    }
  }

  async run(oracleCase: OracleCase): Promise<Ending> {
    const id = `case-${++this.#cases}`;
    // Functions of cases that run at the same time are told apart by a prefix.
    const troupe = new Troupe(oracleCase.script ?? {}, systemClock, {
      success: (taskToken, output) => this.#sfn.send(new SendTaskSuccessCommand({ taskToken, output })),
      failure: (taskToken, failure) => this.#sfn.send(new SendTaskFailureCommand({ taskToken, ...failure })),
      heartbeat: (taskToken) => this.#sfn.send(new SendTaskHeartbeatCommand({ taskToken })),
    });
    this.#troupes.set(id, troupe);
    const child =
      oracleCase.child === undefined
        ? ''
        : await this.#create(`${id}-child`, { ...oracleCase, definition: oracleCase.child }, '');
    const stateMachineArn = await this.#create(id, oracleCase, child);
    const { executionArn } = await this.#sfn.send(
      new StartExecutionCommand({ stateMachineArn, name: id, input: JSON.stringify(oracleCase.input ?? {}) }),
    );
    for (;;) {
      const { status, error, cause } = await this.#sfn.send(new DescribeExecutionCommand({ executionArn }));
      if (status !== undefined && status !== 'RUNNING') {
        const types: string[] = [];
        let output: string | undefined;
        for await (const page of paginateGetExecutionHistory({ client: this.#sfn }, { executionArn })) {
          for (const event of page.events ?? []) {
            types.push(String(event.type));
            // moto's DescribeExecution gives a string without its quotes, and no null: its history has both.
            output ??= event.executionSucceededEventDetails?.output;
          }
        }
        return ending(status, output === undefined ? undefined : JSON.parse(output), error, cause, types);
      }
      await systemClock.sleep(50);
    }
  }

  async stop(): Promise<void> {
    this.#sfn.destroy();
    this.#process.kill('SIGKILL');
    this.#helper.closeAllConnections();
    await new Promise((resolve) => this.#helper.close(resolve));
  }

  async #create(name: string, oracleCase: OracleCase, child: string): Promise<string> {
    const definition = definitionOf(oracleCase, child).replaceAll(
      '"FunctionName":"',
      `"FunctionName":"${name}/`,
    );
    const { stateMachineArn } = await this.#sfn.send(
      new CreateStateMachineCommand({ name, roleArn: ROLE, definition }),
    );
    return String(stateMachineArn);
  }
}

/** What moto's engine asks of Node. */
async function serve(troupes: Map<string, Troupe>): Promise<Server> {
  const answers: Record<string, (question: Record<string, unknown>) => Promise<unknown>> = {
    '/jsonata': async ({ expression }) => {
      try {
        // A function that comes out is no JSON: `{}` makes moto call it what it is.
        return { value: await jsonata(String(expression)).evaluate(undefined) };
      } catch (thrown) {
        const { code, message } = thrown as { code?: string; message?: string };
        return { error: `${code}: ${message}` };
      }
    },
    '/invoke': async ({ name, payload }) => {
      const [id = '', functionName = ''] = String(name).split('/');
      try {
        return (
          (await troupes.get(id)?.invoke(functionName, payload)) ?? {
            refused: { name: 'NoSuchCase', message: id },
          }
        );
      } catch (thrown) {
        const { name: code, message } = thrown as Error;
        return { refused: { name: code, message } };
      }
    },
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      void answers[request.url ?? '']?.(
        JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>,
      ).then((answer) => response.end(JSON.stringify(answer)));
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return server;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What can differ from one run to the next, or between two calls of one service, is taken out. */
function ending(
  status: string,
  output: unknown,
  error?: string,
  cause?: string,
  types: string[] = [],
): Ending {
  const events: Record<string, number> = {};
  for (const type of [...types].sort()) events[type] = (events[type] ?? 0) + 1;
  return {
    status,
    ...(output === undefined ? {} : { output: withoutMetadata(output) }),
    ...(error === undefined ? {} : { error }),
    ...(cause === undefined ? {} : { cause }),
    events,
  };
}

const withoutMetadata = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, part: unknown) =>
      key === 'SdkHttpMetadata' || key === 'SdkResponseMetadata' ? undefined : part,
    ),
  );
