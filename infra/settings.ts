import { type BusEventType, busEventTypes, eventSlug } from '../core/events.ts';

/** How people hear of what is said on the bus (docs/events.md). */
export interface NotifySettings {
  /** Of which events. */
  readonly on: readonly BusEventType[];
  /** A topic, encrypted with a key that costs a dollar a month. */
  readonly topic: boolean;
  readonly email?: {
    readonly to: readonly string[];
    readonly from: string;
    /** What takes the mail when the sender is no verified identity of SES. */
    readonly relay?: {
      readonly host: string;
      readonly port: number;
      readonly tls: 'tls' | 'starttls' | 'none';
      /** SSM parameter with `user:password`, a SecureString. */
      readonly secretParameter?: string;
    };
  };
  readonly webhook?: {
    readonly url: string;
    /** SSM parameter with what it is signed with, a SecureString. */
    readonly secretParameter: string;
  };
}

/** What a deployment may choose: `make deploy SETTINGS="workerImageParameter=… vpcId=… subnetIds=subnet-…,subnet-…"`. */
export interface FoundrySettings {
  /** SSM parameter with the worker's AMI; {architecture} stands for amd64 or arm64. */
  readonly workerImageParameter: string;
  /** Account id (or alias such as `amazon`) that must own the worker's AMI; anyone when absent. */
  readonly workerImageOwner?: string;
  /** SSM parameter with the Windows AMI whose place images of the windows road take; Amazon must own it. */
  readonly windowsImageParameter: string;
  /** A network of one's own; a small one is made when absent. */
  readonly network?: { readonly vpcId: string; readonly subnetIds: readonly string[] };
  /** Zones of the network that is made; two that the account has when absent. */
  readonly zones?: readonly string[];
  /** Buckets of this region that recipes may name by s3://; none when absent. */
  readonly sourceBuckets?: readonly string[];
  /** Regions that recipes may distribute their images to, beside the stack's own; none when absent. */
  readonly distributionRegions?: readonly string[];
  /** How long the verified copies of a failed build wait for the next attempt; 0: not at all. */
  readonly resumableHours: number;
  /** What the paths of recipes' SSM parameters begin with, a slash at both ends. */
  readonly parameterPrefix: string;
  /** ARNs of the KMS keys, of any region, that recipes may encrypt with; only the account's own for EBS when absent. */
  readonly kmsKeys?: readonly string[];
  /** Who hears of builds and images; the event bus does in any case. */
  readonly notify: NotifySettings;
  /** The reaper only tells what it would end; readers are given back what they saw all the same. */
  readonly reaperDryRun: boolean;
  /** How many days an image that retires is put away before it is deleted. */
  readonly quarantineDays: number;
  /** Mirrors whose releases the watcher tells of, beside those of subscriptions; FreeBSD's own when absent. */
  readonly watchedMirrors: readonly string[];
  /** Retention only tells what it would put away or delete. */
  readonly retentionDryRun: boolean;
  /** Alarms of CloudWatch, ten cents a month each, and who hears of them beside the console: a topic, an address, or both. */
  readonly alarms: boolean;
  readonly alarmTopic?: string;
  readonly alarmEmail?: string;
  /** A dashboard of CloudWatch: three dollars a month, if the account has three others already. */
  readonly dashboard: boolean;
}

/** The release and flavour that the worker is tested with; FreeBSD publishes it in each region that it supports. */
const WORKER_IMAGE_PARAMETER = '/aws/service/freebsd/{architecture}/small/ufs/15.1/RELEASE';

/** The smallest Windows that every region has (AWS Systems Manager User Guide, "Calling AMI public parameters"). */
const WINDOWS_IMAGE_PARAMETER = '/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-Base';

const WATCHED_MIRRORS = 'https://download.freebsd.org';

const PARAMETER_PREFIX = '/ami-foundry/';

/** Long enough to see a failure in the morning and to build again; a copy costs cents a day. */
const RESUMABLE_HOURS = '24';

/** A job that runs every fortnight fails once, and somebody is there to ask why. */
const QUARANTINE_DAYS = '14';

const slugs = busEventTypes.map(eventSlug);

/** All but the beginnings of builds. */
const NOTIFY_ON = busEventTypes.filter((type) => type !== 'Build Started');

/** Each setting: the context key, and what its text must look like. */
const shapes = {
  workerImageParameter: /^\/[\w.\-/{}]+$/,
  windowsImageParameter: /^\/[\w.\-/]+$/,
  workerImageOwner: /^(\d{12}|[a-z-]+)$/,
  vpcId: /^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/,
  subnetIds: /^subnet-([0-9a-f]{8}|[0-9a-f]{17})(,subnet-([0-9a-f]{8}|[0-9a-f]{17}))*$/,
  zones: /^[a-z0-9-]+(,[a-z0-9-]+)+$/,
  reaperDryRun: /^(yes|no)$/,
  notifyOn: new RegExp(`^(${slugs.join('|')})(,(${slugs.join('|')}))*$`),
  notifyTopic: /^(yes|no)$/,
  notifyEmail: /^[^\s@,]+@[^\s@,]+(,[^\s@,]+@[^\s@,]+)*$/,
  notifySender: /^[^\s@,]+@[^\s@,]+$/,
  notifyRelay: /^[A-Za-z0-9.-]+:\d{1,5}$/,
  notifyRelayTls: /^(tls|starttls|none)$/,
  notifyRelaySecret: /^\/[\w./-]+$/,
  notifyWebhook: /^https:\/\/[^\s@]+$/,
  notifyWebhookSecret: /^\/[\w./-]+$/,
  quarantineDays: /^\d{1,3}$/,
  retentionDryRun: /^(yes|no)$/,
  alarms: /^(yes|no)$/,
  alarmTopic: /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/,
  alarmEmail: /^[^\s@]+@[^\s@]+$/,
  dashboard: /^(yes|no)$/,
  watchedMirrors: /^https?:\/\/[^\s,]+[^\s,/](,https?:\/\/[^\s,]+[^\s,/])*$/,
  distributionRegions: /^[a-z]{2}(-[a-z]+){1,2}-\d{1,2}(,[a-z]{2}(-[a-z]+){1,2}-\d{1,2})*$/,
  kmsKeys:
    /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]+(,arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]+)*$/,
  resumableHours: /^\d{1,4}$/,
  parameterPrefix: /^\/([\w.-]+\/)+$/,
  sourceBuckets: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](,[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])*$/,
} as const;

type Key = keyof typeof shapes;

/** Every setting that there is. */
export const settingNames = Object.keys(shapes);

/** Reads the settings from the CDK context; throws one error that lists everything that is wrong. */
export function readSettings(context: (key: string) => unknown): FoundrySettings {
  const wrong: string[] = [];
  const read = (key: Key): string | undefined => {
    const value = context(key);
    if (value === undefined) return undefined;
    if (typeof value === 'string' && shapes[key].test(value)) return value;
    wrong.push(`${key} is ${JSON.stringify(value)}, which does not match ${shapes[key]}`);
    return undefined;
  };
  const workerImageOwner = read('workerImageOwner');
  const workerImageParameter = read('workerImageParameter') ?? WORKER_IMAGE_PARAMETER;
  const windowsImageParameter = read('windowsImageParameter') ?? WINDOWS_IMAGE_PARAMETER;
  const vpcId = read('vpcId');
  const subnetIds = read('subnetIds')?.split(',');
  const zones = read('zones')?.split(',');
  const sourceBuckets = read('sourceBuckets')?.split(',');
  const distributionRegions = read('distributionRegions')?.split(',');
  const kmsKeys = read('kmsKeys')?.split(',');
  const resumableHours = Number(read('resumableHours') ?? RESUMABLE_HOURS);
  const parameterPrefix = read('parameterPrefix') ?? PARAMETER_PREFIX;
  const reaperDryRun = read('reaperDryRun') === 'yes';
  const notify = readNotify(read, wrong);
  if (context('publishedTopic') !== undefined) {
    wrong.push('publishedTopic is called notifyTopic now, and hears of builds too; notifyOn says of what');
  }
  const quarantineDays = Number(read('quarantineDays') ?? QUARANTINE_DAYS);
  const watchedMirrors = (read('watchedMirrors') ?? WATCHED_MIRRORS).split(',');
  const retentionDryRun = read('retentionDryRun') === 'yes';
  const alarms = read('alarms') === 'yes';
  const alarmTopic = read('alarmTopic');
  const alarmEmail = read('alarmEmail');
  const dashboard = read('dashboard') === 'yes';
  if ((vpcId === undefined) !== (subnetIds === undefined)) {
    wrong.push('vpcId and subnetIds go together: the worker needs a subnet, its security group the VPC');
  }
  if (vpcId !== undefined && zones !== undefined) {
    wrong.push('zones is for the network that is made; with vpcId the subnets say the zones');
  }
  if (!alarms && (alarmTopic ?? alarmEmail) !== undefined) {
    wrong.push('alarmTopic and alarmEmail are told of alarms, which this deployment has not: alarms=yes');
  }
  if (wrong.length > 0)
    throw new Error(`the CDK context is not right:\n${wrong.map((w) => `- ${w}`).join('\n')}`);
  return {
    workerImageParameter,
    windowsImageParameter,
    parameterPrefix,
    resumableHours,
    notify,
    reaperDryRun,
    quarantineDays,
    retentionDryRun,
    alarms,
    dashboard,
    ...(alarmTopic === undefined ? {} : { alarmTopic }),
    ...(alarmEmail === undefined ? {} : { alarmEmail }),
    watchedMirrors,
    ...(workerImageOwner === undefined ? {} : { workerImageOwner }),
    ...(vpcId === undefined || subnetIds === undefined ? {} : { network: { vpcId, subnetIds } }),
    ...(zones === undefined ? {} : { zones }),
    ...(sourceBuckets === undefined ? {} : { sourceBuckets }),
    ...(kmsKeys === undefined ? {} : { kmsKeys }),
    ...(distributionRegions === undefined ? {} : { distributionRegions }),
  };
}

function readNotify(read: (key: Key) => string | undefined, wrong: string[]): NotifySettings {
  const chosen = read('notifyOn')?.split(',');
  const topic = read('notifyTopic') === 'yes';
  const to = read('notifyEmail')?.split(',');
  const from = read('notifySender');
  const [host = '', port = ''] = read('notifyRelay')?.split(':') ?? [];
  const tls = (read('notifyRelayTls') ?? (port === '465' ? 'tls' : 'starttls')) as
    | 'tls'
    | 'starttls'
    | 'none';
  const relaySecret = read('notifyRelaySecret');
  const url = read('notifyWebhook');
  const webhookSecret = read('notifyWebhookSecret');
  if ((to === undefined) !== (from === undefined)) {
    wrong.push('notifyEmail and notifySender go together: whom to mail, and in whose name');
  }
  if (host !== '' && to === undefined) wrong.push('notifyRelay is for mail: notifyEmail says to whom');
  if (relaySecret !== undefined && tls === 'none') {
    wrong.push('notifyRelaySecret would cross the network as it is: notifyRelayTls is none');
  }
  if ((url === undefined) !== (webhookSecret === undefined)) {
    wrong.push(
      'notifyWebhook and notifyWebhookSecret go together: its receiver must be able to tell who posts',
    );
  }
  const relay = {
    host,
    port: Number(port),
    tls,
    ...(relaySecret === undefined ? {} : { secretParameter: relaySecret }),
  };
  return {
    on: chosen === undefined ? NOTIFY_ON : busEventTypes.filter((type) => chosen.includes(eventSlug(type))),
    topic,
    ...(to === undefined || from === undefined
      ? {}
      : { email: { to, from, ...(host === '' ? {} : { relay }) } }),
    ...(url === undefined || webhookSecret === undefined
      ? {}
      : { webhook: { url, secretParameter: webhookSecret } }),
  };
}
