import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { FoundryStack } from './foundry-stack.ts';
import { readSettings } from './settings.ts';

/** The CDK app. No account and no region: the stack deploys wherever the CLI points, and synthesis asks AWS nothing. */
export function foundryApp(props: AppProps = {}): { readonly app: App; readonly stack: FoundryStack } {
  const app = new App({
    ...props,
    // CDK's own look at the templates fails, too, instead of warning.
    context: { '@aws-cdk/core:validateAgainstDefaultRules': true, ...props.context },
  });
  const stack = new FoundryStack(app, 'AmiFoundry', {
    stackName: 'ami-foundry',
    description: 'Serverless factory for FreeBSD machine images',
    settings: readSettings((key) => app.node.tryGetContext(key)),
  });
  // Synthesis fails on a finding that no construct acknowledges with its reason.
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { app, stack };
}
