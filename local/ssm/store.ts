import type { ParameterType, PutParameterCommandInput } from '@aws-sdk/client-ssm';
import { visible } from '../ec2/image-access.ts';
import type { Region } from '../ec2/region.ts';
import { checkTags } from '../ec2/tag-sets.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { JsonFile } from '../state-directory.ts';

interface Version {
  value: string;
  version: number;
  type: ParameterType;
  dataType: string;
  /** Epoch milliseconds. */
  modified: number;
  description?: string;
}

/** A parameter: its latest version, and what it was before. */
export interface ParameterRecord extends Version {
  name: string;
  older?: Version[];
  /** Label → version. */
  labels?: Record<string, number>;
  tags?: Record<string, string>;
}

export const IMAGE = 'aws:ec2:image';

/** PutParameter, Value: "Standard parameters have a value limit of 4 KB". */
const VALUE_BYTES = 4096;
/** PutParameter, Name: fully qualified name up to 1,011 characters of these. */
const NAME = /^[A-Za-z0-9_.\-/]{1,1011}$/;
/** PutParameter, Name: "Parameter names can … maximum number of levels is 15". */
const LEVELS = 15;
/** "Working with parameter versions": the 100 latest are kept. */
const KEPT_VERSIONS = 100;

export const notFound = (name: string | undefined) =>
  new ServiceError('ParameterNotFound', `Parameter ${name} not found.`);

/** The account's own parameters of one region. */
export class ParameterStore {
  readonly region: Region;
  readonly #records = new Map<string, ParameterRecord>();
  /** The last version that was promised: images are checked after the answer. */
  readonly #promised = new Map<string, number>();
  readonly #file: JsonFile<ParameterRecord[]>;

  constructor(region: Region, path: string, saved: ParameterRecord[] | undefined) {
    this.region = region;
    this.#file = new JsonFile(path, () => [...this.#records.values()]);
    for (const one of saved ?? []) this.#records.set(one.name, one);
  }

  get records(): readonly ParameterRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): ParameterRecord | undefined {
    return this.#records.get(name);
  }

  need(name: string | undefined): ParameterRecord {
    const found = this.#records.get(name ?? '');
    if (!found) throw notFound(name);
    return found;
  }

  arn(name: string): string {
    const { region, accountId } = this.region.settings;
    return `arn:aws:ssm:${region}:${accountId}:parameter/${name.replace(/^\//, '')}`;
  }

  save(): Promise<void> {
    return this.#file.save();
  }

  async delete(name: string): Promise<boolean> {
    const deleted = this.#records.delete(name);
    this.#promised.delete(name);
    if (deleted) await this.save();
    return deleted;
  }

  async put(input: PutParameterCommandInput): Promise<{ Version: number; Tier: 'Standard' }> {
    const { Name: name = '', Value: value = '' } = input;
    checkName(name);
    if (value === '') {
      throw new ServiceError('ValidationException', 'Value must have length greater than or equal to 1');
    }
    if (Buffer.byteLength(value) > VALUE_BYTES) {
      throw new ServiceError(
        'ValidationException',
        `Standard tier parameters support a maximum parameter value of ${VALUE_BYTES} characters.`,
      );
    }
    const known = this.#records.get(name);
    if (known && input.Overwrite !== true) {
      throw new ServiceError(
        'ParameterAlreadyExists',
        'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
      );
    }
    const tags = tagsOf(input);
    const type = input.Type ?? known?.type;
    if (type === undefined) {
      throw new ServiceError(
        'ValidationException',
        'A parameter type is required when you create a parameter.',
      );
    }
    if (input.Tier !== undefined && input.Tier !== 'Standard') throw unsupported(`the tier ${input.Tier}`);
    const dataType = input.DataType ?? known?.dataType ?? 'text';
    if (dataType === IMAGE && !/^ami-([0-9a-f]{8}|[0-9a-f]{17})$/.test(value)) {
      throw new ServiceError(
        'ValidationException',
        `Parameter value ${value} is not a valid AMI id for data type ${IMAGE}`,
      );
    }
    const version = Math.max(known?.version ?? 0, this.#promised.get(name) ?? 0) + 1;
    this.#promised.set(name, version);
    const { clock, settings } = this.region;
    const made: Version = {
      value,
      version,
      type,
      dataType,
      modified: clock.now(),
      ...(input.Description === undefined ? {} : { description: input.Description }),
    };
    if (dataType !== IMAGE) {
      this.#commit(name, made, tags);
      await this.save();
    } else {
      // "Native parameter support for AMI IDs": a success says that the request was taken; the image is looked up after
      // it, and where there is none, no parameter is created or updated.
      this.region.later(settings.delays.parameterValidation, async () => {
        const image = this.region.images.get(value);
        if (!image || !visible(this.region, image)) return;
        this.#commit(name, made, tags);
        await this.save();
      });
    }
    return { Version: version, Tier: 'Standard' };
  }

  #commit(name: string, made: Version, tags: Record<string, string> | undefined): void {
    const before = this.#records.get(name);
    if (before && before.version >= made.version) return; // A later one was quicker.
    const { older = [], labels = {}, tags: kept, name: _, ...last } = before ?? {};
    const history = [...older, ...(before ? [last as Version] : [])].slice(-KEPT_VERSIONS + 1);
    this.#records.set(name, { name, ...made, older: history, labels, tags: kept ?? tags ?? {} });
  }
}

function checkName(name: string): void {
  if (
    !NAME.test(name) ||
    (name.includes('/') && !name.startsWith('/')) ||
    name.split('/').length > LEVELS + 1
  ) {
    throw new ServiceError('ValidationException', `Parameter name ${name} is not valid.`);
  }
  if (/^\/?(aws|ssm)/i.test(name)) {
    throw new ServiceError('AccessDeniedException', `No access to reserved parameter name: ${name}.`);
  }
}

function tagsOf({ Tags, Overwrite }: PutParameterCommandInput): Record<string, string> | undefined {
  if (Tags === undefined) return undefined;
  // PutParameter, Tags: "To add tags to an existing … parameter, use the AddTagsToResource operation."
  if (Overwrite === true) {
    throw new ServiceError(
      'ValidationException',
      'Invalid request: tags and overwrite can’t be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.',
    );
  }
  checkTags(Tags);
  return Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value]));
}
