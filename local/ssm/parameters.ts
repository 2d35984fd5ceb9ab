import type {
  DeleteParameterCommandInput,
  GetParameterCommandInput,
  GetParametersByPathCommandInput,
  GetParametersCommandInput,
  Parameter,
  PutParameterCommandInput,
} from '@aws-sdk/client-ssm';
import type { Clock } from '../clock.ts';
import type { AwsJsonService } from '../front/aws-json.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { JsonFile } from '../state-directory.ts';

interface ParameterRecord {
  name: string;
  type: 'String' | 'StringList';
  value: string;
  version: number;
  dataType: string;
  /** Epoch milliseconds. */
  modified: number;
  description?: string;
}

/** PutParameter, Value: "Standard parameters have a value limit of 4 KB". */
const VALUE_BYTES = 4096;
/** PutParameter, Name: fully qualified name up to 1,011 characters of these. */
const NAME = /^[A-Za-z0-9_.\-/]{1,1011}$/;

/** Parameter Store: the calls a factory makes. `publicParameters` are AWS's, read-only. */
export class Parameters implements AwsJsonService {
  readonly #own = new Map<string, ParameterRecord>();
  readonly #public: ReadonlyMap<string, string>;
  readonly #clock: Clock;
  readonly #region: string;
  readonly #accountId: string;
  readonly #file: JsonFile<ParameterRecord[]>;

  constructor(parts: {
    path: string;
    saved: ParameterRecord[] | undefined;
    publicParameters: ReadonlyMap<string, string>;
    clock: Clock;
    region: string;
    accountId: string;
  }) {
    this.#public = parts.publicParameters;
    this.#clock = parts.clock;
    this.#region = parts.region;
    this.#accountId = parts.accountId;
    this.#file = new JsonFile(parts.path, () => [...this.#own.values()]);
    for (const one of parts.saved ?? []) this.#own.set(one.name, one);
  }

  static async open(parts: Omit<ConstructorParameters<typeof Parameters>[0], 'saved'>): Promise<Parameters> {
    return new Parameters({ ...parts, saved: await JsonFile.read<ParameterRecord[]>(parts.path) });
  }

  async handle(operation: string, body: unknown): Promise<unknown> {
    switch (operation) {
      case 'GetParameter': {
        const input = members<GetParameterCommandInput>(operation, body, ['Name', 'WithDecryption']);
        const found = this.#find(input.Name ?? '');
        if (!found) throw notFound(input.Name);
        return { Parameter: found };
      }
      case 'GetParameters': {
        const input = members<GetParametersCommandInput>(operation, body, ['Names', 'WithDecryption']);
        const names = input.Names ?? [];
        // GetParameters, Names: 1 to 10 items.
        if (names.length < 1 || names.length > 10) {
          throw new ServiceError('ValidationException', 'Names must have 1 to 10 items');
        }
        const found = names.map((name) => ({ name, parameter: this.#find(name) }));
        return {
          Parameters: found.flatMap(({ parameter }) => parameter ?? []),
          InvalidParameters: found.filter(({ parameter }) => !parameter).map(({ name }) => name),
        };
      }
      case 'GetParametersByPath':
        return this.#byPath(
          members<GetParametersByPathCommandInput>(operation, body, [
            'MaxResults',
            'NextToken',
            'Path',
            'Recursive',
            'WithDecryption',
          ]),
        );
      case 'PutParameter':
        return this.#put(
          members<PutParameterCommandInput>(operation, body, [
            'DataType',
            'Description',
            'Name',
            'Overwrite',
            'Type',
            'Value',
          ]),
        );
      case 'DeleteParameter': {
        const input = members<DeleteParameterCommandInput>(operation, body, ['Name']);
        if (!this.#own.delete(input.Name ?? '')) throw notFound(input.Name);
        await this.#file.save();
        return {};
      }
      default:
        throw unsupported(`the SSM operation ${operation}`);
    }
  }

  #find(name: string): Parameter | undefined {
    const own = this.#own.get(name);
    if (own) {
      return {
        ARN: `arn:aws:ssm:${this.#region}:${this.#accountId}:parameter/${own.name.replace(/^\//, '')}`,
        DataType: own.dataType,
        LastModifiedDate: new Date(own.modified),
        Name: own.name,
        Type: own.type,
        Value: own.value,
        Version: own.version,
      };
    }
    const value = this.#public.get(name);
    return value === undefined
      ? undefined
      : {
          ARN: `arn:aws:ssm:${this.#region}::parameter${name}`,
          DataType: 'aws:ec2:image',
          Name: name,
          Type: 'String',
          Value: value,
          Version: 1,
        };
  }

  #byPath(input: GetParametersByPathCommandInput) {
    const path = input.Path ?? '';
    if (!path.startsWith('/')) {
      throw new ServiceError('ValidationException', `The parameter path ${path} must start with /`);
    }
    // GetParametersByPath, MaxResults: 1 to 10, 10 by default.
    const size = input.MaxResults ?? 10;
    if (size < 1 || size > 10) throw new ServiceError('ValidationException', 'MaxResults must be 1 to 10');
    const prefix = path.endsWith('/') ? path : `${path}/`;
    const names = [...this.#public.keys(), ...this.#own.keys()]
      .filter((name) => name.startsWith(prefix))
      .filter((name) => input.Recursive === true || !name.slice(prefix.length).includes('/'))
      .sort();
    const start = input.NextToken === undefined ? 0 : Number(input.NextToken);
    if (!Number.isInteger(start))
      throw new ServiceError('InvalidNextToken', 'The specified token is not valid.');
    const end = start + size;
    return {
      Parameters: names.slice(start, end).map((name) => this.#find(name)),
      ...(end < names.length ? { NextToken: String(end) } : {}),
    };
  }

  async #put(input: PutParameterCommandInput) {
    const { Name: name = '', Value: value = '' } = input;
    if (!NAME.test(name) || (name.includes('/') && !name.startsWith('/'))) {
      throw new ServiceError('ValidationException', `Parameter name ${name} is not valid.`);
    }
    if (/^\/?(aws|ssm)/i.test(name)) {
      throw new ServiceError('AccessDeniedException', `No access to reserved parameter name: ${name}.`);
    }
    if (value === '')
      throw new ServiceError('ValidationException', 'Value must have length greater than or equal to 1');
    if (Buffer.byteLength(value) > VALUE_BYTES) {
      throw new ServiceError(
        'ValidationException',
        `Standard tier parameters support a maximum parameter value of ${VALUE_BYTES} characters.`,
      );
    }
    const known = this.#own.get(name);
    if (known && input.Overwrite !== true) {
      throw new ServiceError(
        'ParameterAlreadyExists',
        'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
      );
    }
    const type = input.Type ?? known?.type;
    if (type === undefined)
      throw new ServiceError(
        'ValidationException',
        'A parameter type is required when you create a parameter.',
      );
    if (type === 'SecureString') throw unsupported('SecureString parameters');
    const dataType = input.DataType ?? 'text';
    if (dataType === 'aws:ec2:image' && !/^ami-([0-9a-f]{8}|[0-9a-f]{17})$/.test(value)) {
      throw new ServiceError(
        'ValidationException',
        `Parameter value ${value} is not a valid AMI id for data type aws:ec2:image`,
      );
    }
    const record: ParameterRecord = {
      name,
      type,
      value,
      version: (known?.version ?? 0) + 1,
      dataType,
      modified: this.#clock.now(),
      ...(input.Description === undefined ? {} : { description: input.Description }),
    };
    this.#own.set(name, record);
    await this.#file.save();
    return { Version: record.version, Tier: 'Standard' };
  }
}

const notFound = (name: string | undefined) =>
  new ServiceError('ParameterNotFound', `Parameter ${name} not found.`);

/** The body as its type, once every member of it is known to be read. */
function members<T>(operation: string, body: unknown, reads: readonly string[]): T {
  for (const key of Object.keys(body as object)) {
    if (!reads.includes(key)) throw unsupported(`${operation}'s ${key}`);
  }
  return body as T;
}
