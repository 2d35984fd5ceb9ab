import * as z from 'zod/mini';
import { inRegions } from '../../core/at-once.ts';
import { type BuildState, buildState, type Execution, regionOf, required } from '../../core/build-state.ts';
import { FactoryError } from '../../core/errors.ts';
import { tagKey } from '../../core/names.ts';
import type { ImageParameters, ImageRules, Images, Keys, Quotas, Regional } from '../../core/ports.ts';
import { publicImagesQuota } from '../../core/public-images.ts';
import { parameterNames, permissionsOf } from '../../core/publication.ts';

export const preflightStep = {
  name: 'preflight',
  input: z.pick(buildState, { plan: true }),
  output: z.pick(buildState, { preflight: true }),
  options: z.object({}),
};

interface RegionPorts {
  readonly images: Images;
  readonly rules: ImageRules;
  readonly keys: Keys;
  readonly quotas: Quotas;
  readonly parameters: ImageParameters;
}

type Plan = BuildState['plan'];
type Distribution = NonNullable<Plan['distribution']>;

/** Where an image shall be, and what it is encrypted with there. */
interface Target {
  readonly region: string;
  readonly encrypted: boolean;
  readonly kmsKeyId: string | null;
}

/** What a region says of the plan: what is wrong, and the ARN of its key. */
interface Findings {
  readonly region: string;
  readonly problems: readonly string[];
  readonly keyArn?: string | undefined;
}

/** What AWS says when a function may not look: that is a finding, not an outage. */
const refusals = ['AccessDeniedException', 'UnauthorizedOperation', 'AccessDenied'];

/**
 * Asks every region, before anything is paid for, whether it would take the image as the recipe wants it there. All that is wrong is
 * one error. Throttling and outages go on as they are: the state machine tries again.
 */
export const preflight =
  ({ regions }: { readonly regions: Regional<RegionPorts> }) =>
  async (
    { plan }: z.output<typeof preflightStep.input>,
    { arn }: Execution,
  ): Promise<Pick<BuildState, 'preflight'>> => {
    const distribution = required(plan.distribution, 'plan.distribution');
    const home = regionOf(arn);
    const encrypted = plan.encryption !== null;
    const targets: Target[] = [
      { region: home, encrypted, kmsKeyId: plan.encryption?.kmsKeyId ?? null },
      ...distribution.regions.map(({ region, kmsKeyId }) => ({
        region,
        encrypted: encrypted || kmsKeyId !== null,
        kmsKeyId,
      })),
    ];
    const known = await regions(home).rules.regions();
    const findings = await inRegions(targets, async (target): Promise<Findings> => {
      const enabled = known.get(target.region);
      if (enabled === undefined)
        return { region: target.region, problems: ['AWS has no region of this name'] };
      if (!enabled) {
        const problem =
          'the account has not enabled this region: enable it under "AWS Regions" of the account';
        return { region: target.region, problems: [problem] };
      }
      return await ask(regions(target.region), target, plan, distribution);
    });
    const wrong = findings.flatMap(({ region, problems }) =>
      problems.map((problem) => `- ${region}: ${problem}`),
    );
    if (wrong.length > 0) {
      throw new FactoryError('PreflightFailed', {
        message: `the image cannot be distributed as the recipe asks:\n${wrong.join('\n')}`,
        remedy: 'see to what each line says, or leave the region out; nothing has been made yet.',
      });
    }
    const keys = findings.flatMap(({ region, keyArn }) => (keyArn === undefined ? [] : [[region, keyArn]]));
    return { preflight: { kmsKeys: Object.fromEntries(keys) } };
  };

async function ask(
  ports: RegionPorts,
  target: Target,
  plan: Plan,
  distribution: Distribution,
): Promise<Findings> {
  const { region, kmsKeyId } = target;
  const problems: string[] = [];
  /** One question; when AWS refuses to answer, that is what is wrong. */
  const asked = async <T>(about: string, question: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await question();
    } catch (error) {
      if (!(error instanceof Error && refusals.includes(error.name))) throw error;
      problems.push(`${about} cannot be looked at: ${error.message}`);
      return undefined;
    }
  };

  let keyArn: string | undefined;
  if (kmsKeyId !== null) {
    const key = await asked(
      `KMS key ${kmsKeyId}`,
      async () => (await ports.keys.describe(kmsKeyId)) ?? 'absent',
    );
    if (key === 'absent') problems.push(`there is no KMS key ${kmsKeyId} in this region`);
    else if (key !== undefined && !key.usable) {
      problems.push(`KMS key ${kmsKeyId} cannot encrypt a disk: it is ${key.state}`);
    } else if (key?.ofAws && permissionsOf(distribution.share).length > 0) {
      problems.push(`KMS key ${kmsKeyId} is AWS’s own, and what it encrypts cannot be shared`);
    } else keyArn = key?.arn;
  }
  const about = 'what this region lets an image be';
  problems.push(...((await asked(about, () => sharing(ports, target, plan, distribution))) ?? []));
  problems.push(...((await asked('images', () => nameTaken(ports, plan))) ?? []));
  if (distribution.parameters !== null) {
    for (const name of parameterNames(distribution.parameters, plan.contentDigest)) {
      const parameter = await asked(`parameter ${name}`, () => ports.parameters.get(name));
      // "You can't change a parameter to or from either of these data types" (Systems Manager User Guide, "Parameter data types").
      if (parameter !== undefined && parameter.dataType !== 'aws:ec2:image') {
        problems.push(
          `parameter ${name} exists with data type ${parameter.dataType}, which cannot be changed to aws:ec2:image: delete it, or choose another path`,
        );
      }
    }
  }
  return { region, problems, keyArn };
}

/** Whether it can be shared there. */
async function sharing(
  { rules, quotas }: RegionPorts,
  { encrypted, kmsKeyId }: Target,
  plan: Plan,
  { share }: Distribution,
): Promise<string[]> {
  const shared = permissionsOf(share);
  if (shared.length === 0) return [];
  const problems: string[] = [];
  // The default key may be a customer's that can be shared; which it is, is for the account to know.
  const byDefault = !encrypted && (await rules.encryptsByDefault());
  if (encrypted && kmsKeyId === null) {
    problems.push(
      'the image would be encrypted with the default key of EBS there, and what that encrypts cannot be shared: name a key in distribution.kmsKeys',
    );
  }
  if (byDefault) {
    problems.push(
      'the account encrypts every disk there (EbsEncryptionByDefault) with its default key, so the image cannot be shared: name a key in distribution.kmsKeys, or switch that off',
    );
  }
  if (!share.public) return problems;
  if (await rules.publicBlocked()) {
    problems.push(
      'block public access for AMIs is on: aws ec2 disable-image-block-public-access takes up to ten minutes',
    );
  }
  // What is public already counts once.
  const others = (await rules.publicImages()).filter(({ name }) => name !== plan.image.name).length;
  const { service, code, usually } = publicImagesQuota;
  const quota = (await quotas.value(service, code)) ?? usually;
  if (others >= quota) {
    problems.push(
      `the account has ${others} public AMIs there, and its quota is ${quota}: deregister some, or ask Service Quotas for more (${code})`,
    );
  }
  return problems;
}

async function nameTaken({ images }: RegionPorts, plan: Plan): Promise<string[]> {
  const found = await images.findByName(plan.image.name);
  return found.flatMap(({ imageId, name, state, tags }) => {
    if (state === 'disabled') {
      return [`${imageId} is this image, but it is disabled: take it out of quarantine, or deregister it`];
    }
    return state === 'available' && tags[tagKey.contentDigest] !== plan.contentDigest
      ? [`${imageId} is called ${name}, and its tags say that it is another image`]
      : [];
  });
}
