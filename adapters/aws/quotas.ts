import type { Quotas } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

/** GetServiceQuota's answer, as far as it is read. */
interface Answer {
  readonly Quota?: { readonly Value?: number };
}

/** Service Quotas of one region. */
export function serviceQuotas(environment: NodeJS.ProcessEnv, region: string): Quotas {
  const call = jsonService(environment, region, {
    service: 'servicequotas',
    target: 'ServiceQuotasV20190624',
  });
  return {
    async value(service, code) {
      // NoSuchResourceException: what was never raised has no value of its own in some regions.
      const answer = await unless(['NoSuchResourceException', 'AccessDeniedException'], () =>
        call('GetServiceQuota', { ServiceCode: service, QuotaCode: code }),
      );
      return (answer as Answer | undefined)?.Quota?.Value;
    },
  };
}
