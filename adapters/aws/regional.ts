import { EC2Client } from '@aws-sdk/client-ec2';
import type { Regional } from '../../core/ports.ts';

/** One set of ports for each region, made when it is first asked for. */
export function regional<Ports>(make: (ec2: EC2Client, region: string) => Ports): Regional<Ports> {
  const made = new Map<string, Ports>();
  return (region) => {
    const ports = made.get(region) ?? make(new EC2Client({ region }), region);
    made.set(region, ports);
    return ports;
  };
}
