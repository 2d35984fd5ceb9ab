import { createInterface } from 'node:readline';
import { type Duplex, duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import { DISK_SLOTS, DiskBusy, HotPlug } from '../../../local/instance-host/hot-plug.ts';
import { Monitor } from '../../../local/instance-host/qmp.ts';
import { VirtualClock } from '../virtual-clock.ts';

/** A monitor whose QEMU answers as "QMP Reference Manual" and "QEMU Machine Protocol Specification" say; the real one is in worker-machine.test.ts. */
function machine(answer: (command: string, qemu: Duplex, id: number) => object = () => ({ return: {} })) {
  const [ours, qemu] = duplexPair();
  const asked: { execute: string; arguments?: Record<string, unknown> }[] = [];
  qemu.write('{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n');
  createInterface({ input: qemu }).on('line', (line) => {
    const { id, ...command } = JSON.parse(line) as { id: number; execute: string };
    asked.push(command);
    qemu.write('{"event": "RTC_CHANGE", "data": {"offset": 0}}\r\n');
    const said = answer(command.execute, qemu, id);
    qemu.write(`${JSON.stringify({ ...said, id })}\r\n`);
  });
  const clock = new VirtualClock();
  return { asked, clock, qemu, hotPlug: new HotPlug(new Monitor(ours), clock, ['vol-0']) };
}

const deleted = (volumeId: string) =>
  `{"event": "DEVICE_DELETED", "data": {"device": "disk-${volumeId}", "path": "/machine/peripheral/disk-${volumeId}"}}\r\n`;

test('a disk is an NVMe device in the first free slot, with the volume as its serial', async () => {
  const { asked, hotPlug } = machine();
  await hotPlug.connect('vol-0abc', '/volumes/a,b.raw');
  expect(asked.map(({ execute }) => execute)).toEqual(['qmp_capabilities', 'blockdev-add', 'device_add']);
  expect(asked[1]?.arguments).toMatchObject({ file: { driver: 'file', filename: '/volumes/a,b.raw' } });
  expect(asked[2]?.arguments).toMatchObject({ driver: 'nvme', serial: 'vol0abc', bus: 'slot1' });
});

test('a disk is gone when the guest has let it go, and its slot is free', async () => {
  const { asked, hotPlug, qemu } = machine();
  const gone = hotPlug.disconnect('vol-0');
  const asks = () => asked.some(({ execute }) => execute === 'device_del');
  while (!asks()) await new Promise((resolve) => setImmediate(resolve));
  expect(asked.some(({ execute }) => execute === 'blockdev-del')).toBe(false);
  qemu.write(deleted('vol-0'));
  await gone;
  expect(asked.at(-1)).toMatchObject({ execute: 'blockdev-del', arguments: { 'node-name': 'vol-0' } });
  await hotPlug.connect('vol-1', '/b.raw');
  expect(asked.at(-1)?.arguments).toMatchObject({ bus: 'slot0' });
});

test('a guest that keeps a disk makes it busy, after a minute', async () => {
  const { asked, clock, hotPlug } = machine();
  const busy = hotPlug.disconnect('vol-0');
  busy.catch(() => {});
  while (!asked.some(({ execute }) => execute === 'device_del'))
    await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(60_000);
  await expect(busy).rejects.toThrow(DiskBusy);
  await expect(busy).rejects.toThrow('vol-0');
});

test('a machine that ends has let all its disks go', async () => {
  const { hotPlug } = machine((command, stream) => {
    if (command === 'device_del') setImmediate(() => stream.end());
    return { return: {} };
  });
  await hotPlug.disconnect('vol-0');
  await hotPlug.connect('vol-2', '/c.raw');
});

test('what QEMU has against a disk is told, and the slot stays free', async () => {
  let refuses = true;
  const { asked, hotPlug } = machine((command) =>
    refuses && command === 'device_add'
      ? { error: { class: 'GenericError', desc: 'Bus is full' } }
      : { return: {} },
  );
  await expect(hotPlug.connect('vol-1', '/b.raw')).rejects.toThrow('QEMU: Bus is full (GenericError)');
  refuses = false;
  await hotPlug.connect('vol-2', '/c.raw');
  expect(asked.at(-1)?.arguments).toMatchObject({ bus: 'slot1' });
});

test('there are as many disks as slots', async () => {
  const { hotPlug } = machine();
  for (let index = 1; index < DISK_SLOTS; index++) await hotPlug.connect(`vol-${index}`, '/d.raw');
  await expect(hotPlug.connect('vol-more', '/d.raw')).rejects.toThrow('slots');
});
