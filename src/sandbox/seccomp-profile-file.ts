import { readBounded, UnfitFile } from '#base/bounded-file';
import { BerthError, errnoOf, messageOf } from '#base/errors';
import { type ParsedProfile, parseSeccompProfile } from '#runtime/seccomp/parse-profile';

const maxProfileBytes = 1024 * 1024;

/** Reads a Localhost profile: a regular file of the node, named by its absolute path, at most 1 MiB. */
export async function readSeccompProfile(file: string): Promise<ParsedProfile> {
  if (!file.startsWith('/')) {
    throw new BerthError('INVALID_ARGUMENT', `seccomp profile ${file.slice(0, 256)} is not an absolute path`);
  }
  let text: string;
  try {
    text = (await readBounded(file, maxProfileBytes)).toString('utf8');
  } catch (cause) {
    if (cause instanceof UnfitFile) {
      const code = cause.tooLong ? 'RESOURCE_EXHAUSTED' : 'INVALID_ARGUMENT';
      throw new BerthError(code, `seccomp profile ${file} ${cause.message}`, { cause });
    }
    const missing = errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR';
    const why = missing
      ? `seccomp profile ${file} does not exist: no such file or directory`
      : `cannot read seccomp profile ${file}: ${messageOf(cause)}`;
    throw new BerthError('INVALID_ARGUMENT', why, { cause });
  }
  try {
    return parseSeccompProfile(text);
  } catch (cause) {
    throw new BerthError('INVALID_ARGUMENT', `seccomp profile ${file}: ${messageOf(cause)}`, { cause });
  }
}
