import protobuf from 'protobufjs';
import { BerthError } from '#base/errors';
import type { ContainerPlan } from './gen/berth/shim/ContainerPlan.ts';
import type { Event__Output } from './gen/berth/shim/Event.ts';
import type { ExitRecord__Output } from './gen/berth/shim/ExitRecord.ts';
import type { Process } from './gen/berth/shim/Process.ts';
import type { Request } from './gen/berth/shim/Request.ts';
import type { Response__Output } from './gen/berth/shim/Response.ts';
import { descriptor } from './gen/descriptor.ts';

/** The version of the conversation this berthd speaks; it drives shims of the two previous minor versions as well. */
export const protocolVersion = 1;

const root = protobuf.Root.fromJSON(JSON.parse(descriptor) as protobuf.INamespace);
const type = (name: string): protobuf.Type => root.lookupType(`berth.shim.${name}`);
const types = {
  Request: type('Request'),
  Response: type('Response'),
  Event: type('Event'),
  ContainerPlan: type('ContainerPlan'),
  Process: type('Process'),
  ExitRecord: type('ExitRecord'),
};

// Longs are strings, so that no nanosecond is rounded; bytes are copied out of the frame they came in.
const toPlain: protobuf.IConversionOptions = {
  longs: String,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
};

function encode(of: protobuf.Type, value: object): Uint8Array {
  return of.encode(of.fromObject(value)).finish();
}

function decode(of: protobuf.Type, bytes: Uint8Array): unknown {
  try {
    return of.toObject(of.decode(bytes), toPlain);
  } catch (cause) {
    throw new BerthError('INTERNAL', `shim sent a ${of.name} that cannot be decoded`, { cause });
  }
}

export const encodeRequest = (request: Request): Uint8Array => encode(types.Request, request);
export const encodePlan = (plan: ContainerPlan): Uint8Array => encode(types.ContainerPlan, plan);
export const encodeProcess = (process: Process): Uint8Array => encode(types.Process, process);
export const decodeResponse = (bytes: Uint8Array): Response__Output =>
  decode(types.Response, bytes) as Response__Output;
export const decodeEvent = (bytes: Uint8Array): Event__Output => decode(types.Event, bytes) as Event__Output;
export const decodeExitRecord = (bytes: Uint8Array): ExitRecord__Output =>
  decode(types.ExitRecord, bytes) as ExitRecord__Output;
