import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  apiFunctions,
  eventFunctions,
  type FunctionName,
  functionEnvironment,
  pascalCase,
  type StepName,
} from '../../core/function-environment.ts';
import { foundryApp } from '../../infra/foundry-app.ts';
import type { FoundryStack } from '../../infra/foundry-stack.ts';
import type { Statement } from '../../local/iam/policy.ts';

export const functionNames = Object.keys(functionEnvironment) as FunctionName[];
export const stepNames = functionNames.filter(
  (name): name is StepName => ![...eventFunctions, ...apiFunctions].some((each) => each === name),
);

export const machineFiles = ['build-image', 'build-matrix'] as const;
export type MachineFile = (typeof machineFiles)[number];

export interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: a template is looked into at many depths, and every look is an assertion.
  readonly Properties: any;
}

/** What references stand for; the default names things by their logical ids. */
export interface Naming {
  readonly pseudo: Readonly<Record<string, string>>;
  readonly subnet: (id: string) => string;
  readonly bucket: (id: string) => string;
  readonly stateMachine: (id: string) => string;
  readonly securityGroup: (id: string) => string;
  /** Fn::GetAtt Arn of something of a type. */
  readonly arn: (id: string, type: string) => string;
}

/** The app of infra/, synthesized with a context and perhaps changed before. */
export function synthesize(
  context: Record<string, string> = {},
  change: (stack: FoundryStack) => void = () => {},
  naming: Naming = byLogicalId,
): Synthesized {
  const outdir = mkdtempSync(join(tmpdir(), 'foundry-infra-'));
  const { app, stack } = foundryApp({ outdir, context, analyticsReporting: false });
  change(stack);
  const { template } = app.synth().getStackArtifact(stack.artifactId);
  return new Synthesized(outdir, template.Resources, naming);
}

/** A template with its references resolved to what they would be on AWS. */
export class Synthesized {
  readonly outdir: string;
  readonly resources: Readonly<Record<string, Resource>>;
  readonly #naming: Naming;

  constructor(outdir: string, resources: Record<string, Resource>, naming: Naming) {
    this.outdir = outdir;
    this.#naming = naming;
    this.resources = this.resolve(resources, resources) as Record<string, Resource>;
  }

  ofType(type: string): Record<string, Resource> {
    return Object.fromEntries(Object.entries(this.resources).filter(([, { Type }]) => Type === type));
  }

  only(type: string): Resource {
    const [found, another] = Object.values(this.ofType(type));
    if (found === undefined || another !== undefined) throw new Error(`not exactly one ${type}`);
    return found;
  }

  function(name: FunctionName): Resource {
    return one(
      this.resources,
      (id, { Type }) =>
        Type === 'AWS::Lambda::Function' && new RegExp(`^${pascalCase(name)}[0-9A-F]{8}$`).test(id),
    );
  }

  /** The statements of the role that a function runs with. */
  statements(name: FunctionName): Statement[] {
    return this.#statementsOf(this.function(name).Properties.Role);
  }

  /** The state machine of a file. */
  stateMachine(file: MachineFile): Resource {
    return one(
      this.resources,
      (id, { Type }) => Type === 'AWS::StepFunctions::StateMachine' && id.startsWith(pascalCase(file)),
    );
  }

  /** The statements of the role that a state machine runs with. */
  stateMachineStatements(file: MachineFile): Statement[] {
    return this.#statementsOf(this.stateMachine(file).Properties.RoleArn);
  }

  #statementsOf(roleArn: string): Statement[] {
    const role = one(
      this.resources,
      (id, { Type }) => Type === 'AWS::IAM::Role' && roleArnOf(id) === roleArn,
    );
    const attached = Object.values(this.ofType('AWS::IAM::Policy'))
      .filter(({ Properties }) => Properties.Roles.includes(role.Properties.RoleName ?? roleArn))
      .map(({ Properties }) => Properties);
    if ('ManagedPolicyArns' in role.Properties) throw new Error(`${roleArn} has a managed policy`);
    return [...(role.Properties.Policies ?? []), ...attached].flatMap(({ PolicyDocument }) =>
      listed(PolicyDocument),
    );
  }

  /** Every statement of every identity policy in the template, with the resource that it is in. */
  allStatements(): (Statement & { readonly within: string })[] {
    return Object.entries(this.resources).flatMap(([within, { Type, Properties }]) => {
      const documents =
        Type === 'AWS::IAM::Role'
          ? (Properties.Policies ?? []).map((policy: { PolicyDocument: unknown }) => policy.PolicyDocument)
          : Type === 'AWS::IAM::Policy'
            ? [Properties.PolicyDocument]
            : [];
      return documents.flatMap(listed).map((statement: Statement) => ({ ...statement, within }));
    });
  }

  /** The file or folder that was uploaded under a key of the asset bucket. */
  asset(key: string): string {
    const { files } = JSON.parse(readFileSync(join(this.outdir, 'AmiFoundry.assets.json'), 'utf8'));
    const [hash] = key.split('.');
    return join(this.outdir, files[hash ?? ''].source.path);
  }

  private resolve(value: unknown, resources: Record<string, Resource>): unknown {
    if (Array.isArray(value)) return value.map((item) => this.resolve(item, resources));
    if (typeof value !== 'object' || value === null) return value;
    const [[key, inner] = ['', undefined], ...others] = Object.entries(value);
    if (others.length === 0) {
      if (key === 'Ref') return this.#reference(String(inner), resources);
      if (key === 'Fn::GetAtt' && Array.isArray(inner)) {
        return this.#attribute(inner[0], inner[1], resources[inner[0]]?.Type ?? '');
      }
      if (key === 'Fn::Join' && Array.isArray(inner)) {
        return (this.resolve(inner[1], resources) as string[]).join(inner[0]);
      }
      if (key === 'Fn::Sub' && typeof inner === 'string') {
        return inner.replaceAll(/\$\{([^}]+)\}/g, (_whole, name: string) => this.#reference(name, resources));
      }
    }
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, this.resolve(item, resources)]),
    );
  }

  #reference(name: string, resources: Record<string, Resource>): string {
    const { pseudo, subnet, bucket, stateMachine } = this.#naming;
    if (name in pseudo) return pseudo[name] ?? '';
    switch (resources[name]?.Type) {
      case 'AWS::EC2::Subnet':
        return subnet(name);
      case 'AWS::S3::Bucket':
        return bucket(name);
      case 'AWS::IAM::Role':
        return roleArnOf(name);
      case 'AWS::StepFunctions::StateMachine': {
        const { 'AWS::Region': region, 'AWS::AccountId': account } = pseudo;
        return `arn:aws:states:${region}:${account}:stateMachine:${stateMachine(name)}`;
      }
      default:
        return name;
    }
  }

  #attribute(id: string, name: string, type: string): string {
    const { arn, stateMachine, securityGroup } = this.#naming;
    if (type === 'AWS::StepFunctions::StateMachine' && name === 'Name') return stateMachine(id);
    if (name === 'Arn') return type === 'AWS::IAM::Role' ? roleArnOf(id) : arn(id, type);
    return name === 'GroupId' ? securityGroup(id) : `${id}.${name}`;
  }
}

const roleArnOf = (id: string) => `arn:of:${id}`;

const byLogicalId: Naming = {
  pseudo: {
    'AWS::Partition': 'aws',
    'AWS::Region': 'eu-west-1',
    'AWS::AccountId': '111122223333',
    'AWS::StackName': 'ami-foundry',
  },
  subnet: (id) => `subnet-${id}`,
  bucket: (id) => id.toLowerCase(),
  stateMachine: (id) => `${id}.Name`,
  securityGroup: (id) => `sg-${id}`,
  arn: (id) => `arn:of:${id}`,
};

export function one(
  resources: Readonly<Record<string, Resource>>,
  matches: (id: string, resource: Resource) => boolean,
): Resource {
  const found = Object.entries(resources).filter(([id, resource]) => matches(id, resource));
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${found.length} resources match, not one`);
  return first[1];
}

const listed = (document: { Statement: Record<string, unknown>[] }): Statement[] =>
  document.Statement.map(({ Effect, Action, Resource, Condition }) => ({
    Effect: String(Effect),
    Action: [Action].flat() as string[],
    Resource: [Resource].flat() as string[],
    Condition: (Condition ?? {}) as Statement['Condition'],
  }));
