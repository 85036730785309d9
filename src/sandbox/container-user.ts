import { BerthError } from '#base/errors';
import type { LinuxContainerSecurityContext__Output } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';

/** Texts of the image's own files: untrusted, bounded by whoever read them. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
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
export function resolveUser(
  context: LinuxContainerSecurityContext__Output | null,
  imageUser: string,
  accounts: Accounts,
): ResolvedUser {
  const { user, group } = wantedUser(context, imageUser);
  const passwd = parsePasswd(accounts.passwd);
  const entry = findUser(passwd, user);
  const uid = entry?.uid ?? parseId(user, 'user');
  const gid = group === '' ? (entry?.gid ?? 0) : resolveGroup(group, accounts.group);
  const merged = isStrict(context) || entry === undefined ? [] : groupsOf(accounts.group, entry.name);
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

/** The words before they are looked up: `user` and `group` of "user[:group]". */
function wantedUser(
  context: LinuxContainerSecurityContext__Output | null,
  imageUser: string,
): { readonly user: string; readonly group: string } {
  const asked = context?.run_as_username !== '' ? context?.run_as_username : context.run_as_user?.value;
  const group = context?.run_as_group?.value;
  if (asked === undefined) {
    if (group !== undefined) {
      throw new BerthError('INVALID_ARGUMENT', `run_as_group ${group} is set without run_as_user or run_as_username`);
    }
    const [user = '', ...rest] = imageUser.split(':');
    if (rest.length > 1) throw new BerthError('INVALID_ARGUMENT', `image user ${quote(imageUser)} is not user[:group]`);
    return { user: user === '' ? '0' : user, group: rest[0] ?? '' };
  }
  return { user: asked, group: group ?? '' };
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 64));
const isNumber = (text: string): boolean => /^-?[0-9]+$/.test(text);

function parseId(text: string, what: 'user' | 'group'): number {
  if (!isNumber(text)) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `no ${what} ${quote(text)} in the image's /etc/${what === 'user' ? 'passwd' : 'group'}`,
    );
  }
  const id = Number(text);
  if (!Number.isSafeInteger(id) || id < 0 || id > largestId) {
    throw new BerthError('INVALID_ARGUMENT', `${what} id ${quote(text)} is not between 0 and ${largestId}`);
  }
  return id;
}

function findUser(passwd: readonly PasswdEntry[], user: string): PasswdEntry | undefined {
  if (!isNumber(user)) return passwd.find((entry) => entry.name === user);
  const uid = parseId(user, 'user');
  return passwd.find((entry) => entry.uid === uid);
}

function resolveGroup(group: string, groupText: string): number {
  if (isNumber(group)) return parseId(group, 'group');
  const found = parseGroups(groupText).find((entry) => entry.name === group);
  return found?.gid ?? parseId(group, 'group');
}

function groupsOf(groupText: string, user: string): number[] {
  return parseGroups(groupText)
    .filter((entry) => entry.members.includes(user))
    .map((entry) => entry.gid);
}

const smallId = (text: string | undefined): number | undefined => {
  const id = text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
  return id !== undefined && id <= largestId ? id : undefined;
};

/** Lines that are not of the form are passed over, as every libc does. */
function parsePasswd(text: string): PasswdEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uidText, gidText, , home] = line.split(':');
    const uid = smallId(uidText);
    const gid = smallId(gidText);
    if (name === undefined || name === '' || uid === undefined || gid === undefined) return [];
    return [{ name, uid, gid, home: home ?? '' }];
  });
}

function parseGroups(
  text: string,
): { readonly name: string; readonly gid: number; readonly members: readonly string[] }[] {
  return text.split('\n').flatMap((line) => {
    const [name, , gidText, members] = line.split(':');
    const gid = smallId(gidText);
    if (name === undefined || name === '' || gid === undefined) return [];
    return [{ name, gid, members: (members ?? '').split(',') }];
  });
}
