import { createHash } from 'node:crypto';
import type {
  AddTagsToResourceCommandInput,
  DeleteParameterCommandInput,
  DeleteParametersCommandInput,
  DescribeParametersCommandInput,
  GetParameterCommandInput,
  GetParameterHistoryCommandInput,
  GetParametersByPathCommandInput,
  GetParametersCommandInput,
  LabelParameterVersionCommandInput,
  ListTagsForResourceCommandInput,
  Parameter,
  PutParameterCommandInput,
} from '@aws-sdk/client-ssm';
import type { ImageParameters } from '../ec2/image-references.ts';
import type { Region } from '../ec2/region.ts';
import { checkTags, tagList } from '../ec2/tag-sets.ts';
import type { AwsJsonService } from '../front/aws-json.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { JsonFile } from '../state-directory.ts';
import { describeParameters } from './describe-parameters.ts';
import { pageOf } from './pages.ts';
import { IMAGE, notFound, type ParameterRecord, ParameterStore } from './store.ts';

/** GetParameters and DeleteParameters, Names: 1 to 10 items. */
const MOST_NAMES = 10;
/** LabelParameterVersion: letters, digits, `.`, `-` and `_`, and no digit in front; ten labels a version. */
const LABEL = /^(?!aws|ssm)[A-Za-z_.-][A-Za-z0-9_.-]{0,99}$/i;
const MOST_LABELS = 10;

/** Parameter Store: the calls a factory makes. `publicParameters` are AWS's, read-only. */
export class Parameters implements AwsJsonService, ImageParameters {
  readonly #store: ParameterStore;
  readonly #public: ReadonlyMap<string, string>;

  constructor(store: ParameterStore, publicParameters: ReadonlyMap<string, string>) {
    this.#store = store;
    this.#public = publicParameters;
  }

  static async open(parts: {
    path: string;
    publicParameters: ReadonlyMap<string, string>;
    region: Region;
  }): Promise<Parameters> {
    const saved = await JsonFile.read<ParameterRecord[]>(parts.path);
    return new Parameters(new ParameterStore(parts.region, parts.path, saved), parts.publicParameters);
  }

  /** What DescribeImageReferences sees of the Parameter Store. */
  *imageParameters(): Iterable<{ arn: string; imageId: string }> {
    for (const { name, dataType, value } of this.#store.records) {
      if (dataType === IMAGE) yield { arn: this.#store.arn(name), imageId: value };
    }
  }

  async handle(operation: string, body: unknown): Promise<unknown> {
    const read = <T>(...names: string[]) => members<T>(operation, body, names);
    switch (operation) {
      case 'GetParameter': {
        const { Name, WithDecryption } = read<GetParameterCommandInput>('Name', 'WithDecryption');
        const found = readable(this.#find(Name ?? ''), WithDecryption);
        if (!found) throw notFound(Name);
        return { Parameter: found };
      }
      case 'GetParameters': {
        const { Names, WithDecryption } = read<GetParametersCommandInput>('Names', 'WithDecryption');
        const found = checkNames(Names).map((name) => ({
          name,
          parameter: readable(this.#find(name), WithDecryption),
        }));
        return {
          Parameters: found.flatMap(({ parameter }) => parameter ?? []),
          InvalidParameters: found.filter(({ parameter }) => !parameter).map(({ name }) => name),
        };
      }
      case 'GetParametersByPath':
        return this.#byPath(read('MaxResults', 'NextToken', 'Path', 'Recursive', 'WithDecryption'));
      case 'GetParameterHistory':
        return this.#history(read('MaxResults', 'Name', 'NextToken', 'WithDecryption'));
      case 'DescribeParameters':
        return describeParameters(
          this.#store,
          read<DescribeParametersCommandInput>('MaxResults', 'NextToken', 'ParameterFilters'),
        );
      case 'PutParameter':
        return this.#store.put(
          read<PutParameterCommandInput>(
            'DataType',
            'Description',
            'Name',
            'Overwrite',
            'Tags',
            'Tier',
            'Type',
            'Value',
          ),
        );
      case 'DeleteParameter': {
        const { Name } = read<DeleteParameterCommandInput>('Name');
        if (!(await this.#store.delete(Name ?? ''))) throw notFound(Name);
        return {};
      }
      case 'DeleteParameters': {
        const names = checkNames(read<DeleteParametersCommandInput>('Names').Names);
        const deleted = await Promise.all(names.map((name) => this.#store.delete(name)));
        return {
          DeletedParameters: names.filter((_, index) => deleted[index]),
          InvalidParameters: names.filter((_, index) => !deleted[index]),
        };
      }
      case 'LabelParameterVersion':
        return this.#label(read('Labels', 'Name', 'ParameterVersion'));
      case 'AddTagsToResource': {
        const input = read<AddTagsToResourceCommandInput>('ResourceId', 'ResourceType', 'Tags');
        const record = this.#tagged(input);
        checkTags(input.Tags ?? []);
        for (const { Key = '', Value = '' } of input.Tags ?? []) {
          record.tags = { ...record.tags, [Key]: Value };
        }
        await this.#store.save();
        return {};
      }
      case 'ListTagsForResource': {
        const input = read<ListTagsForResourceCommandInput>('ResourceId', 'ResourceType');
        return { TagList: tagList(this.#tagged(input).tags ?? {}) };
      }
      default:
        throw unsupported(`the SSM operation ${operation}`);
    }
  }

  /** `name`, `name:version` or `name:label` ("Working with parameter versions"). */
  #find(selected: string): Parameter | undefined {
    const [name = '', selector] = selected.split(':');
    const record = this.#store.get(name);
    if (record) {
      const { older = [], labels = {} } = record;
      const wanted =
        selector === undefined
          ? record.version
          : /^\d+$/.test(selector)
            ? Number(selector)
            : labels[selector];
      const version = [record, ...older].find((one) => one.version === wanted);
      if (!version) {
        throw new ServiceError(
          'ParameterVersionNotFound',
          `Systems Manager could not find version ${selector} of ${name}. Verify the version and try again.`,
        );
      }
      return {
        ARN: this.#store.arn(name),
        DataType: version.dataType,
        LastModifiedDate: new Date(version.modified),
        Name: name,
        ...(selector === undefined ? {} : { Selector: `:${selector}` }),
        Type: version.type,
        Value: version.value,
        Version: version.version,
      };
    }
    const value = this.#public.get(name);
    return value === undefined
      ? undefined
      : {
          ARN: `arn:aws:ssm:${this.#store.region.settings.region}::parameter${name}`,
          DataType: IMAGE,
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
    const prefix = path.endsWith('/') ? path : `${path}/`;
    const names = [...this.#public.keys(), ...this.#store.records.map(({ name }) => name)]
      .filter((name) => name.startsWith(prefix))
      .filter((name) => input.Recursive === true || !name.slice(prefix.length).includes('/'))
      .sort();
    // GetParametersByPath, MaxResults: 1 to 10, 10 by default.
    const { items, ...more } = pageOf(names, input, 10);
    return { Parameters: items.map((name) => readable(this.#find(name), input.WithDecryption)), ...more };
  }

  #history(input: GetParameterHistoryCommandInput) {
    const { name, older = [], labels = {}, ...latest } = this.#store.need(input.Name);
    // GetParameterHistory, MaxResults: 1 to 50.
    const { items, ...more } = pageOf([...older, latest], input, 50);
    return {
      Parameters: items.map((one) => ({
        DataType: one.dataType,
        ...(one.description === undefined ? {} : { Description: one.description }),
        Labels: Object.keys(labels).filter((label) => labels[label] === one.version),
        LastModifiedDate: new Date(one.modified),
        Name: name,
        Policies: [],
        Tier: 'Standard',
        Type: one.type,
        Value: one.type === SECRET && input.WithDecryption !== true ? sealed(one.value) : one.value,
        Version: one.version,
      })),
      ...more,
    };
  }

  async #label(input: LabelParameterVersionCommandInput) {
    const record = this.#store.need(input.Name);
    const version = input.ParameterVersion ?? record.version;
    if (![record, ...(record.older ?? [])].some((one) => one.version === version)) {
      throw new ServiceError('ParameterVersionNotFound', `There is no version ${version} of ${record.name}.`);
    }
    const labels = input.Labels ?? [];
    // "If a label doesn't meet the requirements, then the label isn't associated": the others are.
    const good = labels.filter((label) => LABEL.test(label));
    const moved = { ...record.labels, ...Object.fromEntries(good.map((label) => [label, version])) };
    if (Object.values(moved).filter((one) => one === version).length > MOST_LABELS) {
      throw new ServiceError(
        'ParameterVersionLabelLimitExceeded',
        `A version has ${MOST_LABELS} labels at most.`,
      );
    }
    record.labels = moved;
    await this.#store.save();
    return { InvalidLabels: labels.filter((label) => !good.includes(label)), ParameterVersion: version };
  }

  #tagged(input: { ResourceId?: string | undefined; ResourceType?: string | undefined }): ParameterRecord {
    if (input.ResourceType !== 'Parameter') throw unsupported(`tags of SSM's ${String(input.ResourceType)}`);
    const found = this.#store.get(input.ResourceId ?? '');
    if (!found) throw new ServiceError('InvalidResourceId', `The resource ${input.ResourceId} is not valid.`);
    return found;
  }
}

const SECRET = 'SecureString';

/** What a SecureString is to who does not ask for decryption ("A SecureString parameter", Systems Manager User Guide). */
const sealed = (value: string): string => createHash('sha512').update(value).digest('base64');

const readable = (parameter: Parameter | undefined, decrypt: boolean | undefined): Parameter | undefined =>
  parameter?.Type === SECRET && decrypt !== true
    ? { ...parameter, Value: sealed(parameter.Value ?? '') }
    : parameter;

function checkNames(names: readonly string[] = []): readonly string[] {
  if (names.length < 1 || names.length > MOST_NAMES) {
    throw new ServiceError('ValidationException', `Names must have 1 to ${MOST_NAMES} items`);
  }
  return names;
}

/** The body as its type, once every member of it is known to be read. */
function members<T>(operation: string, body: unknown, reads: readonly string[]): T {
  for (const key of Object.keys(body as object)) {
    if (!reads.includes(key)) throw unsupported(`${operation}'s ${key}`);
  }
  return body as T;
}
