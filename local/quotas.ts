import type { RegionSettings } from './ec2/region.ts';
import type { AwsJsonService } from './front/aws-json.ts';
import { ServiceError, unsupported } from './front/service-error.ts';

/** Service Quotas of EC2, as far as this cloud enforces them. */
export class Quotas implements AwsJsonService {
  readonly #settings: RegionSettings;

  constructor(settings: RegionSettings) {
    this.#settings = settings;
  }

  async handle(operation: string, body: unknown): Promise<unknown> {
    const { ServiceCode: service, QuotaCode: code } = body as { ServiceCode?: string; QuotaCode?: string };
    const all = service === 'ec2' ? this.#all() : [];
    switch (operation) {
      case 'ListServiceQuotas':
        return { Quotas: all };
      case 'GetServiceQuota': {
        const quota = all.find(({ QuotaCode }) => QuotaCode === code);
        if (!quota)
          throw new ServiceError(
            'NoSuchResourceException',
            'The request failed because the specified service or quota does not exist.',
          );
        return { Quota: quota };
      }
      default:
        throw unsupported(`the Service Quotas operation ${operation}`);
    }
  }

  #all() {
    const { region, accountId, publicImageQuota, vcpuQuota } = this.#settings;
    const quota = (QuotaCode: string, QuotaName: string, Value: number) => ({
      Adjustable: true,
      GlobalQuota: false,
      QuotaArn: `arn:aws:servicequotas:${region}:${accountId}:ec2/${QuotaCode}`,
      QuotaCode,
      QuotaName,
      ServiceCode: 'ec2',
      ServiceName: 'Amazon Elastic Compute Cloud (Amazon EC2)',
      Unit: 'None',
      Value,
    });
    return [
      quota('L-0E3CBAB9', 'Public AMIs', publicImageQuota),
      quota('L-1216C47A', 'Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances', vcpuQuota),
    ];
  }
}
