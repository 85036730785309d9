import { describe, expect, test } from '@jest/globals';
import type { SecurityProfile__Output } from '#cri-api/gen/runtime/v1/SecurityProfile';
import { podWith, securityContext } from './cri-config.fixture.ts';
import { checkSelinux, chooseAppArmor, modulesInWords, warnOfModules } from './module-labels.ts';
import { checkPodLabels } from './pod-checks.ts';

// The three worlds: what the kernel says is a parameter.
const withAppArmor = { apparmor: true, selinux: false, seccomp: true };
const withSelinux = { apparmor: false, selinux: true, seccomp: true };
const withNeither = { apparmor: false, selinux: false, seccomp: true };

type Changes = Parameters<typeof securityContext>[0];
const profile = (profile_type: string, localhost_ref = ''): Changes => ({
  apparmor: { profile_type, localhost_ref } as SecurityProfile__Output,
});
const word = (apparmor_profile: string): Changes => ({ apparmor_profile });
const choose = (changes: Changes, active = withAppArmor): ReturnType<typeof chooseAppArmor> =>
  chooseAppArmor(securityContext(changes), active);

describe('where AppArmor is active', () => {
  test.each<[string, Changes, string]>([
    ['a name', profile('Localhost', 'web'), 'web'],
    ['a name with the prefix that critest and older kubelets bring', profile('Localhost', 'localhost/web'), 'web'],
    ['a name that has slashes', profile('Localhost', 'localhost//usr/bin/web'), '/usr/bin/web'],
    ['the deprecated word', word('localhost/web'), 'web'],
    ['both: the field counts', { ...word('localhost/old'), ...profile('Localhost', 'web') }, 'web'],
    ['both, and the field names none', { ...word('localhost/old'), ...profile('Unconfined') }, ''],
    ['a privileged container that names one', { privileged: true, ...profile('Localhost', 'web') }, 'web'],
    ['unconfined', profile('Unconfined'), ''],
    ['the word for it', word('unconfined'), ''],
    ['nothing said', {}, ''],
  ])('%s', (_what, changes, name) => {
    expect(choose(changes)).toEqual({ profile: name, warnings: [] });
  });

  test('no security context at all', () => {
    expect(chooseAppArmor(null, withAppArmor).profile).toBe('');
  });

  test.each<[string, Changes]>([
    ['the field', profile('RuntimeDefault')],
    ['the word', word('runtime/default')],
    ['the older word', word('docker/default')],
  ])('RuntimeDefault by %s runs unconfined, and says so', (_what, changes) => {
    expect(choose(changes)).toEqual({
      profile: '',
      warnings: ['AppArmor RuntimeDefault: Berth has no default profile yet, the container runs unconfined'],
    });
  });

  test('a privileged container is unconfined by default with everybody', () => {
    expect(choose({ privileged: true, ...profile('RuntimeDefault') })).toEqual({ profile: '', warnings: [] });
  });
});

describe.each([
  ['SELinux is active', withSelinux],
  ['neither is active', withNeither],
])('where %s', (_world, active) => {
  test.each<[string, Changes]>([
    ['the field', profile('Localhost', 'localhost/web')],
    ['the word', word('localhost/web')],
    ['a privileged container', { privileged: true, ...profile('Localhost', 'web') }],
  ])('an AppArmor profile by name is refused: %s', (_what, changes) => {
    expect(() => choose(changes, active)).toThrow(
      expect.objectContaining({
        code: 'FAILED_PRECONDITION',
        message: 'AppArmor profile web was asked for, but AppArmor is not active on this node',
      }),
    );
  });

  test('RuntimeDefault is taken, and says that it means nothing', () => {
    expect(choose(profile('RuntimeDefault'), active)).toEqual({
      profile: '',
      warnings: ['AppArmor RuntimeDefault: AppArmor is not active on this node, the container runs unconfined'],
    });
  });
});

test.each<[string, Changes, string]>([
  ['a word that is none', word('web'), 'apparmor_profile "web" is not one of'],
  ['a type that is none', profile('Complain'), 'apparmor: profile_type Complain is unknown'],
  ['a type by a number that is none', profile(7 as unknown as string), 'apparmor: profile_type 7 is unknown'],
  ['Localhost without a name', profile('Localhost'), 'apparmor: Localhost needs localhost_ref'],
  ['Localhost with the prefix alone', word('localhost/'), 'apparmor: Localhost needs localhost_ref'],
  [
    'a name that would be dropped',
    profile('RuntimeDefault', 'web'),
    'apparmor: localhost_ref is set, but profile_type',
  ],
])('AppArmor: %s is refused everywhere', (_what, changes, message) => {
  for (const active of [withAppArmor, withSelinux, withNeither]) {
    expect(() => choose(changes, active)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => choose(changes, active)).toThrow(message);
  }
});

describe('SELinux options', () => {
  const options = (changes: object): Parameters<typeof checkSelinux>[0] => ({
    ...{ user: '', role: '', type: '', level: '' },
    ...changes,
  });

  test.each(['user', 'role', 'type'])('where it is active, a %s is refused: nothing is labelled yet', (name) => {
    const asked = options({ [name]: 'container_t' });
    expect(() => checkSelinux(asked, withSelinux, false)).toThrow(
      expect.objectContaining({
        code: 'FAILED_PRECONDITION',
        message: 'selinux_options are set, and SELinux is active on this node: Berth cannot label containers yet',
      }),
    );
    for (const active of [withAppArmor, withNeither]) expect(() => checkSelinux(asked, active, false)).not.toThrow();
  });

  test('so is a level alone, which the label that is dropped would have kept pods apart by', () => {
    expect(() => checkSelinux(options({ level: 's0:c1,c2' }), withSelinux, false)).toThrow('selinux_options');
  });

  test('empty ones, and those of a privileged container, mean no label with anybody', () => {
    expect(() => checkSelinux(options({}), withSelinux, false)).not.toThrow();
    expect(() => checkSelinux(null, withSelinux, false)).not.toThrow();
    expect(() => checkSelinux(options({ type: 'spc_t' }), withSelinux, true)).not.toThrow();
  });

  test.each(['s0', 's0:c1', 's0:c1,c2', 's0-s1:c0.c1023', 's0:c1.c5,c7'])('level %s is one', (level) => {
    expect(() => checkSelinux(options({ level }), withNeither, false)).not.toThrow();
  });

  test.each(['s', 'c1', 's0:c1,c2,', 's0:c12345', 's0 ', 's0\n', 'SystemHigh'])(
    'level %j is none, on any node',
    (level) => {
      expect(() => checkSelinux(options({ level }), withNeither, false)).toThrow('selinux_options.level');
    },
  );

  test('a pod’s are those of its containers', () => {
    const pod = podWith({});
    const selinux_options = { user: '', role: '', type: 'container_t', level: '' };
    const context = pod.linux?.security_context;
    if (!pod.linux || !context || !pod.metadata) throw new Error('the fixture has no security context');
    const asked = {
      ...pod,
      metadata: pod.metadata,
      linux: { ...pod.linux, security_context: { ...context, selinux_options } },
    };
    expect(() => checkPodLabels(asked, withSelinux)).toThrow('selinux_options');
    expect(() => checkPodLabels(asked, withNeither)).not.toThrow();
  });
});

describe('what is told of the node', () => {
  test('each world has words of its own', () => {
    const told = [withAppArmor, withSelinux, withNeither].map(modulesInWords);
    expect(told.map(({ apparmor, selinux }) => [apparmor.split(':')[0], selinux.split(':')[0]])).toEqual([
      ['active', 'not active'],
      ['not active', 'active'],
      ['not active', 'not active'],
    ]);
  });

  test('the log says at the start what is active and does less than people expect', () => {
    const said = (active: typeof withNeither): string[] => {
      const lines: string[] = [];
      warnOfModules(active, { warn: (_fields, message) => void lines.push(message) });
      return lines;
    };
    expect(said(withAppArmor)).toEqual([expect.stringContaining('AppArmor is active: Localhost profiles confine')]);
    expect(said(withSelinux)).toEqual([expect.stringContaining('SELinux is active: selinux_options are refused')]);
    expect(said(withNeither)).toEqual([]);
    expect(said({ ...withNeither, seccomp: false })).toEqual([expect.stringContaining('seccomp is not active')]);
  });
});
