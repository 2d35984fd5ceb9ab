import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { AwsJsonService } from '../front/aws-json.ts';
import { ServiceError, unsupported } from '../front/service-error.ts';
import { JsonFile } from '../state-directory.ts';

interface KeyRecord {
  id: string;
  description: string;
  /** AWS: made by a service for itself; such a key cannot be shared with other accounts. */
  manager: 'AWS' | 'CUSTOMER';
  /** Epoch milliseconds. */
  created: number;
  aliases: string[];
}

/** The key that EBS takes when nobody names one ("Amazon EBS encryption": made at its first use in a Region). */
export const EBS_ALIAS = 'alias/aws/ebs';

/** CreateAlias, AliasName. */
const ALIAS = /^alias\/[a-zA-Z0-9/_-]{1,250}$/;

/**
 * KMS as far as EBS needs it: which keys there are in the region, by which names, and whose they are. Nothing is encrypted:
 * a disk's record says which key it would have.
 */
export class Keys implements AwsJsonService {
  readonly #keys = new Map<string, KeyRecord>();
  readonly #file: JsonFile<KeyRecord[]>;
  readonly #clock: Clock;
  readonly #arnPrefix: string;

  constructor(parts: {
    path: string;
    saved: KeyRecord[] | undefined;
    clock: Clock;
    region: string;
    accountId: string;
  }) {
    this.#clock = parts.clock;
    this.#arnPrefix = `arn:aws:kms:${parts.region}:${parts.accountId}:`;
    this.#file = new JsonFile(parts.path, () => [...this.#keys.values()]);
    for (const one of parts.saved ?? []) this.#keys.set(one.id, one);
    if (!this.#named(EBS_ALIAS)) {
      this.#add('Default key that protects my EBS volumes when no other key is defined', 'AWS', [EBS_ALIAS]);
    }
  }

  static async open(parts: Omit<ConstructorParameters<typeof Keys>[0], 'saved'>): Promise<Keys> {
    const keys = new Keys({ ...parts, saved: await JsonFile.read<KeyRecord[]>(parts.path) });
    await keys.#file.save();
    return keys;
  }

  /** ARN of the key that a key id, an alias or the ARN of either names; undefined when this region has none such. */
  arnOf(name: string): string | undefined {
    const key = this.#named(name);
    return key && this.#arn(key);
  }

  /** Whether AWS made the key for its own service. */
  awsManaged(arn: string): boolean {
    return this.#named(arn)?.manager === 'AWS';
  }

  async handle(operation: string, body: unknown): Promise<unknown> {
    const input = body as Record<string, string | undefined>;
    const only = (...known: string[]) => {
      const other = Object.keys(input).find((member) => !known.includes(member));
      if (other !== undefined) throw unsupported(`KMS's ${operation} with ${other}`);
    };
    switch (operation) {
      case 'CreateKey': {
        only('Description');
        const key = this.#add(input.Description ?? '', 'CUSTOMER', []);
        await this.#file.save();
        return { KeyMetadata: this.#describe(key) };
      }
      case 'CreateAlias': {
        only('AliasName', 'TargetKeyId');
        const alias = input.AliasName ?? '';
        // CreateAlias: "The alias name cannot begin with alias/aws/."
        if (!ALIAS.test(alias) || alias.startsWith('alias/aws/')) {
          throw new ServiceError('InvalidAliasNameException', `Alias name ${alias} is not valid`);
        }
        if (this.#named(alias)) {
          throw new ServiceError('AlreadyExistsException', `An alias with the name ${alias} already exists`);
        }
        this.#need(input.TargetKeyId).aliases.push(alias);
        await this.#file.save();
        return {};
      }
      case 'DescribeKey':
        only('KeyId');
        return { KeyMetadata: this.#describe(this.#need(input.KeyId)) };
      case 'ListAliases':
        only();
        return {
          Aliases: [...this.#keys.values()].flatMap(({ id, aliases }) =>
            aliases.map((AliasName) => ({
              AliasName,
              AliasArn: `${this.#arnPrefix}${AliasName}`,
              TargetKeyId: id,
            })),
          ),
          Truncated: false,
        };
      default:
        throw unsupported(`the KMS operation ${operation}`);
    }
  }

  #add(description: string, manager: KeyRecord['manager'], aliases: string[]): KeyRecord {
    const key = { id: randomUUID(), description, manager, created: this.#clock.now(), aliases };
    this.#keys.set(key.id, key);
    return key;
  }

  #arn(key: KeyRecord): string {
    return `${this.#arnPrefix}key/${key.id}`;
  }

  #named(name: string): KeyRecord | undefined {
    const local = name.startsWith(this.#arnPrefix) ? name.slice(this.#arnPrefix.length) : name;
    if (local.startsWith('alias/')) {
      return [...this.#keys.values()].find(({ aliases }) => aliases.includes(local));
    }
    return this.#keys.get(local === name ? local : local.replace(/^key\//, ''));
  }

  #need(name: string | undefined): KeyRecord {
    const key = this.#named(name ?? '');
    if (!key) throw new ServiceError('NotFoundException', `Key '${name}' does not exist`);
    return key;
  }

  #describe(key: KeyRecord) {
    return {
      AWSAccountId: this.#arnPrefix.split(':')[4],
      Arn: this.#arn(key),
      CreationDate: new Date(key.created),
      Description: key.description,
      Enabled: true,
      KeyId: key.id,
      KeyManager: key.manager,
      KeySpec: 'SYMMETRIC_DEFAULT',
      KeyState: 'Enabled',
      KeyUsage: 'ENCRYPT_DECRYPT',
      MultiRegion: false,
      Origin: 'AWS_KMS',
    };
  }
}
