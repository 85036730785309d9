import { setImmediate as otherWork } from 'node:timers/promises';
import { BerthError, isBerthError } from '#base/errors';
import type { LinuxContainerSecurityContext__Output } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';

/** The image's own files, untrusted, and read only when they are needed. */
export interface Accounts {
  readonly passwd: () => Promise<string>;
  readonly group: () => Promise<string>;
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Home of the account; "/" when the image knows none. */
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const largestId = 0xffff_fffe; // 2^32 - 1 means "no change" to the kernel

/**
 * Who a container's process runs as: the request's user, else the image's USER. A number is never looked up as a name,
 * and one out of range is an error (CVE-2024-40635, CVE-2026-46680).
 */
export async function resolveUser(
  context: LinuxContainerSecurityContext__Output | null,
  imageUser: string,
  accounts: Accounts,
  warn: (message: string) => void = () => undefined,
): Promise<ResolvedUser> {
  const { user, group, named } = wantedUser(context, imageUser);
  // Where every number is known, all that the files could add are a home and groups.
  const known = !named || (isNumber(user) && isNumber(group));
  const read = known
    ? (file: () => Promise<string>) => unlessHuge(file, warn)
    : (file: () => Promise<string>) => file();
  const entry = await findUser(await read(accounts.passwd), user);
  const uid = entry?.uid ?? parseId(user, 'user');
  const gid = group === '' ? (entry?.gid ?? 0) : await resolveGroup(group, accounts.group);
  const merged = isStrict(context) || entry === undefined ? [] : await groupsOf(await read(accounts.group), entry.name);
  const requested = (context?.supplemental_groups ?? []).map((text) => parseId(text, 'group'));
  return {
    uid,
    gid,
    additionalGids: [...new Set([gid, ...requested, ...merged])],
    home: entry === undefined || entry.home === '' ? '/' : entry.home,
  };
}

/** KEP-3619. @throws INVALID_ARGUMENT for a policy that is none: a container must not get groups that nobody meant */
function isStrict(context: LinuxContainerSecurityContext__Output | null): boolean {
  const policy = context?.supplemental_groups_policy ?? 'Merge';
  if (policy === 'Merge' || policy === 'Strict') return policy === 'Strict';
  throw new BerthError('INVALID_ARGUMENT', `supplemental_groups_policy ${policy as string} is not Merge or Strict`);
}

/** A file that is too large to be read has nobody, when nothing that must be known stands in it. */
async function unlessHuge(file: () => Promise<string>, warn: (message: string) => void): Promise<string> {
  try {
    return await file();
  } catch (error) {
    if (!isBerthError(error, 'IMAGE_INVALID')) throw error;
    warn(`${error.message}; the container has no groups and no home directory from there`);
    return '';
  }
}

/** The words before they are looked up: `user` and `group` of "user[:group]"; root, where nobody named one. */
function wantedUser(
  context: LinuxContainerSecurityContext__Output | null,
  imageUser: string,
): { readonly user: string; readonly group: string; readonly named: boolean } {
  const asked = context?.run_as_username !== '' ? context?.run_as_username : context.run_as_user?.value;
  const group = context?.run_as_group?.value;
  if (asked === undefined) {
    if (group !== undefined) {
      throw new BerthError('INVALID_ARGUMENT', `run_as_group ${group} is set without run_as_user or run_as_username`);
    }
    const [user = '', ...rest] = imageUser.split(':');
    if (rest.length > 1) throw new BerthError('INVALID_ARGUMENT', `image user ${quote(imageUser)} is not user[:group]`);
    return { user: user === '' ? '0' : user, group: rest[0] ?? '', named: imageUser !== '' };
  }
  return { user: asked, group: group ?? '', named: true };
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 64));
const isNumber = (text: string): boolean => /^-?[0-9]+$/.test(text);

function parseId(text: string, what: 'user' | 'group'): number {
  if (!isNumber(text)) {
    const file = what === 'user' ? 'passwd' : 'group';
    throw new BerthError(
      'INVALID_ARGUMENT',
      `unable to find ${what} ${quote(text)}: no matching entries in ${file} file: the image's /etc/${file}`,
    );
  }
  const id = Number(text);
  if (!Number.isSafeInteger(id) || id < 0 || id > largestId) {
    throw new BerthError('INVALID_ARGUMENT', `${what} id ${quote(text)} is not between 0 and ${largestId}`);
  }
  return id;
}

async function findUser(passwd: string, user: string): Promise<PasswdEntry | undefined> {
  const uid = isNumber(user) ? parseId(user, 'user') : undefined;
  for await (const lines of piecesOf(passwd)) {
    for (const [name = '', , uidText, gidText, , home = ''] of lines) {
      const entry = { name, uid: smallId(uidText), gid: smallId(gidText), home };
      if (uid === undefined ? entry.name !== user : entry.uid !== uid) continue;
      if (isUsable(entry)) return entry;
    }
  }
  return undefined;
}

const isUsable = (entry: { readonly [K in keyof PasswdEntry]: PasswdEntry[K] | undefined }): entry is PasswdEntry =>
  entry.name !== '' && entry.uid !== undefined && entry.gid !== undefined;

async function resolveGroup(group: string, file: () => Promise<string>): Promise<number> {
  if (isNumber(group)) return parseId(group, 'group');
  for await (const lines of piecesOf(await file())) {
    for (const [name, , gidText] of lines) {
      const gid = smallId(gidText);
      if (name === group && gid !== undefined) return gid;
    }
  }
  return parseId(group, 'group');
}

async function groupsOf(text: string, user: string): Promise<number[]> {
  const gids: number[] = [];
  // A name with a comma would be found across two others.
  if (user.includes(',')) return gids;
  for await (const lines of piecesOf(text)) {
    for (const [name, , gidText, members = ''] of lines) {
      const gid = smallId(gidText);
      if (name !== '' && gid !== undefined && `,${members},`.includes(`,${user},`)) gids.push(gid);
    }
  }
  return gids;
}

const smallId = (text: string | undefined): number | undefined => {
  const id = text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
  return id !== undefined && id <= largestId ? id : undefined;
};

/** Of a line of passwd; one of group has four. There is no limit to the colons of a line. */
const maxFields = 7;

/** Characters looked through at once: some milliseconds. What is larger lets other calls go on in between. */
const pieceLength = 256 * 1024;

async function* piecesOf(text: string): AsyncGenerator<Iterable<readonly string[]>> {
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start + pieceLength);
    const stop = end < 0 ? text.length : end;
    if (start > 0) await otherWork();
    yield linesOf(text.slice(start, stop));
    start = stop + 1;
  }
}

/**
 * The fields of each line, without blanks at its ends, as the peers and glibc read them; comments are no lines. Lines that
 * are not of the form (those of NIS among them) are passed over by whoever looks for a number in them.
 */
function* linesOf(text: string): Generator<readonly string[]> {
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end < 0 ? text.length : end).trim();
    start = end < 0 ? text.length : end + 1;
    if (line !== '' && !line.startsWith('#')) yield line.split(':', maxFields);
  }
}
