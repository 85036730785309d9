import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from '@jest/globals';
import type { LinuxContainerSecurityContext } from '#cri-api/gen/runtime/v1/LinuxContainerSecurityContext';
import { capabilityMask, defaultCapabilities } from '#runtime/spec/capabilities';
import type { CriUnderTest } from '../cri-under-test.fixture.ts';
import { askedOf, type ContainerAsked } from '../plan.fixture.ts';
import type { FieldTests } from './field-test.fixture.ts';
import { shifted } from './values.fixture.ts';

const refusal = { status: 'INVALID_ARGUMENT' };

/** What is asked of the runtime for a container with this context. */
async function confined(
  cri: CriUnderTest,
  security_context: LinuxContainerSecurityContext,
  pod?: string,
  image = 'localhost/busybox:latest',
): Promise<ContainerAsked> {
  return askedOf(cri, await cri.createContainer({ image: { image }, linux: { security_context } }, pod));
}

export const confinementTests: FieldTests = {
  'capabilities of a container': async (cri) => {
    const capabilities = {
      add_capabilities: ['SYS_TIME'],
      drop_capabilities: ['CHOWN'],
      add_ambient_capabilities: ['NET_ADMIN'],
    };
    const { process } = (await confined(cri, { capabilities })).plan;
    const usual = defaultCapabilities.filter((name) => name !== 'CAP_CHOWN');
    expect(process?.cap_bounding).toBe(capabilityMask([...usual, 'CAP_SYS_TIME', 'CAP_NET_ADMIN']).toString());
    expect(process?.cap_ambient).toBe(capabilityMask(['CAP_NET_ADMIN']).toString());
  },

  'a privileged container': async (cri) => {
    const pod = await cri.runPod({ linux: { security_context: { privileged: true } } });
    const { input, plan } = await confined(cri, { privileged: true }, pod);
    expect(input.privileged).toBe(true);
    expect(plan.masked_paths).toEqual([]);
    await expect(confined(cri, { privileged: true })).rejects.toMatchObject(refusal);
  },

  'the pid namespace of a container': async (cri) => {
    const pod = await cri.runPod();
    const target = await cri.startContainer({}, pod);
    const own = await confined(cri, { namespace_options: { pid: 'CONTAINER' } }, pod);
    expect(own.input.pid).toBe('container');
    const joined = await confined(cri, { namespace_options: { pid: 'TARGET', target_id: target } }, pod);
    expect(joined.input.pid).toEqual({ target });
  },

  "users of a container are its pod's": async (cri) => {
    const uids = [{ host_id: 100_000, container_id: 0, length: 65_536 }];
    const gids = [{ host_id: 200_000, container_id: 0, length: 65_536 }];
    const users = { mode: 'POD' as const, uids, gids };
    const pod = await cri.runPod({ linux: { security_context: { namespace_options: { userns_options: users } } } });
    const { input } = await confined(cri, { namespace_options: { userns_options: users } }, pod);
    expect(input.users).toEqual({
      uids: { hostId: 100_000, length: 65_536 },
      gids: { hostId: 200_000, length: 65_536 },
    });
    const [shiftedUids, shiftedGids] = [shifted(uids), shifted(gids)];
    for (const other of [
      { ...users, uids: shiftedUids },
      { ...users, gids: shiftedGids },
    ]) {
      const refused = confined(cri, { namespace_options: { userns_options: other } }, pod);
      await expect(refused).rejects.toMatchObject(refusal);
    }
    const ofNode = await confined(cri, { namespace_options: { userns_options: { mode: 'NODE' } } });
    expect(ofNode.input.users).toBeUndefined();
  },

  'the user of a container': async (cri) => {
    const image = `localhost/${cri.name()}:latest`;
    cri.sandboxes.node.images.add({
      names: [image],
      config: { cmd: ['sh'] },
      passwd: 'root:x:0:0::/:/bin/sh\nada:x:1001:1002::/home/ada:/bin/sh\n',
      group: 'wheel:x:10:ada\n',
    });
    const userOf = async (context: LinuxContainerSecurityContext) => {
      const { process } = (await confined(cri, context, undefined, image)).plan;
      return { uid: process?.uid, gid: process?.gid, groups: process?.groups };
    };
    const named = { run_as_username: 'ada', supplemental_groups: ['77'] };
    expect(await userOf(named)).toEqual({ uid: 1001, gid: 1002, groups: [1002, 77, 10] });
    const strict = {
      run_as_user: { value: '1001' },
      run_as_group: { value: '5' },
      supplemental_groups_policy: 'Strict',
    } as const;
    expect(await userOf(strict)).toEqual({ uid: 1001, gid: 5, groups: [5] });
  },

  'paths of a container that are confined': async (cri) => {
    const { plan } = await confined(cri, {
      ...{ readonly_rootfs: true, no_new_privs: true, masked_paths: ['/proc/a'], readonly_paths: ['/proc/b'] },
    });
    expect(plan).toMatchObject({ masked_paths: ['/proc/a'], readonly_paths: ['/proc/b'], rootfs: { readonly: true } });
    expect(plan.process?.no_new_privs).toBe(true);
  },

  'the seccomp profile of a container': async (cri) => {
    const file = path.join(cri.directory, `${cri.name()}.json`);
    writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW' }));
    const actionOf = async (context: LinuxContainerSecurityContext) =>
      (await confined(cri, context)).spec.linux.seccomp?.defaultAction;
    expect(await actionOf({ seccomp: { profile_type: 'Localhost', localhost_ref: file } })).toBe('SCMP_ACT_ALLOW');
    expect(await actionOf({ seccomp: { profile_type: 'RuntimeDefault' } })).toBe('SCMP_ACT_ERRNO');
    expect(await actionOf({ seccomp_profile_path: `localhost/${file}` })).toBe('SCMP_ACT_ALLOW');
    expect(await actionOf({})).toBeUndefined();
  },

  'the AppArmor profile of a container': async (cri) => {
    const profileOf = async (context: LinuxContainerSecurityContext) =>
      (await confined(cri, context)).plan.process?.apparmor_profile;
    expect(await profileOf({ apparmor: { profile_type: 'Localhost', localhost_ref: 'mine' } })).toBe('mine');
    expect(await profileOf({ apparmor_profile: 'localhost/yours' })).toBe('yours');
  },
};
