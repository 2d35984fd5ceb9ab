import type { ImageUse } from '../../core/ports.ts';
import { unless } from './absence.ts';
import { jsonService } from './json-service.ts';

interface Page {
  readonly Parameters: readonly { readonly Name: string; readonly Value: string }[];
  readonly NextToken?: string;
}

/** "The maximum number of items to return": ten (GetParametersByPath). */
const PAGE = 10;

/** Parameters under the prefix: those that the factory writes, and what others keep beside them. */
export function parameterUses(environment: NodeJS.ProcessEnv, region: string, prefix: string) {
  const call = jsonService(environment, region, { service: 'ssm', target: 'AmazonSSM' });
  return {
    async all(): Promise<ImageUse[]> {
      const found: ImageUse[] = [];
      const input = { Path: prefix.replace(/(?<=.)\/$/, ''), Recursive: true, MaxResults: PAGE };
      for (let NextToken: string | undefined; ; ) {
        const answer = (await call('GetParametersByPath', { ...input, NextToken })) as Page;
        for (const { Name, Value } of answer.Parameters) {
          // A StringList has commas in it.
          for (const imageId of Value.split(',')) {
            found.push({ imageId: imageId.trim(), by: `parameter ${Name}`, parameter: Name });
          }
        }
        if (!answer.NextToken) return found;
        NextToken = answer.NextToken;
      }
    },

    /**
     * The image of `resolve:ssm:name`, which may have a version or label behind a colon and an ARN's beginning before it; undefined when
     * there is none, or the name is not under the prefix: what a role that reads all parameters could read is not for us to hold.
     */
    async resolve(reference: string): Promise<string | undefined> {
      const name = reference.replace(/^resolve:ssm:/, '').replace(/^arn:[^/]*:parameter(?=\/)/, '');
      if (!name.startsWith(prefix)) return undefined;
      const answer = await unless(
        ['ParameterNotFound', 'ParameterVersionNotFound'],
        async () => (await call('GetParameter', { Name: name })) as { Parameter: { Value: string } },
      );
      return answer?.Parameter.Value;
    },
  };
}
