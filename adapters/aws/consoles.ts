import { type EC2Client, GetConsoleOutputCommand } from '@aws-sdk/client-ec2';
import type { Consoles } from '../../core/ports.ts';
import { unless } from './absence.ts';

/** Serial consoles, for functions that want nothing else of instances: the rest would take them past their 300 kB. */
export const ec2Consoles = (ec2: EC2Client): Consoles => ({
  async console(instanceId) {
    // Latest: the live console, on Nitro only and while it runs; without it, the copy that EC2 posted last.
    const read = (Latest: boolean) =>
      unless(
        ['InvalidInstanceID.NotFound', 'UnsupportedOperation', 'IncorrectInstanceState', 'IncorrectState'],
        async () => (await ec2.send(new GetConsoleOutputCommand({ InstanceId: instanceId, Latest }))).Output,
      );
    const output = (await read(true)) || (await read(false)) || '';
    return Buffer.from(output, 'base64').toString('utf8');
  },
});
