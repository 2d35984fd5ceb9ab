import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { alarms } from './alarms.ts';
import { announcements } from './announcements.ts';
import { api } from './api.ts';
import { artifactsBucket, workerPayload } from './artifacts.ts';
import { dashboard } from './dashboard.ts';
import { stepFunctions } from './functions.ts';
import { buildMatrix } from './matrix.ts';
import { workerNetwork } from './network.ts';
import { notify } from './notify.ts';
import { reaper } from './reaper.ts';
import { recordBuild } from './record-build.ts';
import { retention } from './retention.ts';
import type { FoundrySettings } from './settings.ts';
import { buildImage } from './state-machine.ts';
import { watcher } from './watcher.ts';

export interface FoundryStackProps extends StackProps {
  readonly settings: FoundrySettings;
}

/** The whole factory: two state machines, a function per step, a bucket and a network for the workers, and the reaper. */
export class FoundryStack extends Stack {
  constructor(scope: Construct, id: string, props: FoundryStackProps) {
    const { settings, ...stackProps } = props;
    super(scope, id, stackProps);
    const artifacts = artifactsBucket(this);
    const functions = stepFunctions(this, {
      artifacts,
      payload: workerPayload(this),
      network: workerNetwork(this, settings),
      settings,
    });
    const stateMachine = buildImage(this, functions);
    reaper(this, { stateMachine, artifacts, settings });
    const matrices = buildMatrix(this, { functions, artifacts });
    announcements(this, { stateMachines: [stateMachine, matrices], settings });
    recordBuild(this, { stateMachine, artifacts });
    notify(this, { settings });
    api(this, { stateMachine, artifacts, retention: retention(this, { artifacts, settings }), settings });
    watcher(this, { stateMachine, artifacts, settings });
    // Last: they look for what they watch.
    alarms(this, { stateMachine, matrices, settings });
    dashboard(this, { stateMachine, matrices, settings });
    new CfnOutput(this, 'StateMachineArn', {
      value: stateMachine.stateMachineArn,
      description: 'Start an execution of this with {"recipe": …, "dryRun": false}',
    });
    new CfnOutput(this, 'ArtifactsBucket', {
      value: artifacts.bucketName,
      description: 'Job, console log and report of each build',
    });
  }
}
