import { deviceLimit, type DeviceIo, type Pressure, type PressureLine } from './stats.ts';

// Readers for the kernel's formats of numbers. None throws: what is not there, or not of the form, is undefined. They run
// for every group of every sample, so they search for what is wanted and split nothing else.

const digits = /^\d{1,20}$/;
const uint64 = 1n << 64n;
/** Above this a limit of cgroup v1 means "none": the kernel rounds its largest number down to pages. */
const unlimited = 1n << 62n;

/** An object without the keys whose value is undefined. */
export type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

export function defined<T extends object>(fields: T): Defined<T> {
  const kept: Record<string, unknown> = {};
  for (const key in fields) if (fields[key] !== undefined) kept[key] = fields[key];
  return kept as Defined<T>;
}

/** "123\n" */
export function toWhole(text: string): bigint | undefined {
  const trimmed = text.trimEnd();
  if (!digits.test(trimmed)) return undefined;
  const value = BigInt(trimmed);
  return value < uint64 ? value : undefined;
}

/** A limit; "max", and the number that means it in cgroup v1, is none. */
export function toLimit(text: string): bigint | undefined {
  const value = toWhole(text);
  return value === undefined || value >= unlimited ? undefined : value;
}

/** The value of a line "key value" of a file of such lines. */
export function field(text: string, key: string): bigint | undefined {
  const wanted = `${key} `;
  const at = text.startsWith(wanted) ? 0 : text.indexOf(`\n${wanted}`) + 1;
  if (at === 0 && !text.startsWith(wanted)) return undefined;
  const begin = at + wanted.length;
  const end = text.indexOf('\n', begin);
  return toWhole(end < 0 ? text.slice(begin) : text.slice(begin, end));
}

/** The lines "some avg10=0.12 avg60=0.05 avg300=0.00 total=1234" and "full …" of a pressure file. */
export function toPressure(text: string): Pressure | undefined {
  if (text === '') return undefined;
  const found = defined({ some: pressureLine(text, 'some'), full: pressureLine(text, 'full') });
  return found.some || found.full ? found : undefined;
}

function pressureLine(text: string, kind: 'some' | 'full'): PressureLine | undefined {
  const match = pressureLines[kind].exec(text);
  if (!match) return undefined;
  const total = toWhole(match[4] ?? '');
  if (total === undefined) return undefined;
  return { avg10: Number(match[1]), avg60: Number(match[2]), avg300: Number(match[3]), total };
}

const rest = String.raw` avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d+)$`;
const pressureLines = { some: new RegExp(`^some${rest}`, 'm'), full: new RegExp(`^full${rest}`, 'm') };

export interface DeviceIos {
  readonly io?: readonly DeviceIo[];
  readonly moreDevices?: true;
}

/** No devices at all are none that are counted. */
const deviceIos = (io: readonly DeviceIo[], more: boolean): DeviceIos => ({
  ...(io.length > 0 && { io }),
  ...(more && { moreDevices: true }),
});

/** Lines "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" of io.stat, up to `deviceLimit`. */
export function toDeviceIo(text: string): DeviceIos {
  const io: DeviceIo[] = [];
  for (const [line, major, minor] of text.matchAll(/^(\d+):(\d+) .*$/gm)) {
    if (io.length === deviceLimit) return deviceIos(io, true);
    const value = (key: string): bigint => toWhole(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? '') ?? 0n;
    io.push({
      major: Number(major),
      minor: Number(minor),
      readBytes: value('rbytes'),
      writeBytes: value('wbytes'),
      reads: value('rios'),
      writes: value('wios'),
    });
  }
  return deviceIos(io, false);
}

/** Lines "254:0 Read 4096" of the two blkio files of cgroup v1, bytes and operations, up to `deviceLimit` devices. */
export function blkioDevices(bytesText: string, operationsText: string): DeviceIos {
  const bytes = blkioLines(bytesText);
  const operations = blkioLines(operationsText);
  const io = [...bytes.devices].map(([device, counts]) => {
    const [major = 0, minor = 0] = device.split(':').map(Number);
    const { read: reads = 0n, write: writes = 0n } = operations.devices.get(device) ?? {};
    return { major, minor, readBytes: counts.read ?? 0n, writeBytes: counts.write ?? 0n, reads, writes };
  });
  return deviceIos(io, bytes.more);
}

/** The kernel lists a group's devices in the same order in both files: those of the bound are the same ones. */
function blkioLines(text: string) {
  const devices = new Map<string, { read?: bigint; write?: bigint }>();
  for (const [, device = '', kind, value = ''] of text.matchAll(/^(\d+:\d+) (Read|Write) (\d+)$/gm)) {
    const counts = devices.get(device) ?? {};
    if (devices.size === deviceLimit && !devices.has(device)) return { devices, more: true };
    counts[kind === 'Read' ? 'read' : 'write'] = toWhole(value) ?? 0n;
    devices.set(device, counts);
  }
  return { devices, more: false };
}

/** How many processes a cgroup.procs file lists. */
export function lineCount(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}
